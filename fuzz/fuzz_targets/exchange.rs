//! `cargo +nightly fuzz run exchange`

#![no_main]

#[path = "../src/exchange.rs"]
mod exchange;

libfuzzer_sys::fuzz_target!(|data: &[u8]| exchange::exchange(data));
