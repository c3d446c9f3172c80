#![no_main]

#[path = "../cli.rs"]
mod cli;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cli::text(bytes));
