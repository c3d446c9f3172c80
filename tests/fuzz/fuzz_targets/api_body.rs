#![no_main]

#[path = "../api.rs"]
mod api;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| api::body(bytes));
