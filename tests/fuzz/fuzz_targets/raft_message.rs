#![no_main]

#[path = "../peers.rs"]
mod peers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| peers::raft_message(bytes));
