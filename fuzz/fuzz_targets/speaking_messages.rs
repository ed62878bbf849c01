//! `cargo +nightly fuzz run speaking_messages`

#![no_main]

#[path = "../src/speaking.rs"]
mod speaking;

libfuzzer_sys::fuzz_target!(|data: &[u8]| speaking::message(data));
