#![no_main]

#[path = "../image.rs"]
mod image;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| image::reference(bytes));
