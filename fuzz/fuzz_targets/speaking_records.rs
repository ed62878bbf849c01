//! `cargo +nightly fuzz run speaking_records`

#![no_main]

#[path = "../src/speaking.rs"]
mod speaking;

libfuzzer_sys::fuzz_target!(|data: &[u8]| speaking::record(data));
