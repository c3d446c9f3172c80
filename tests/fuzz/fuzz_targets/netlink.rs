#![no_main]

#[path = "../network.rs"]
mod network;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| network::netlink(bytes));
