//! `cargo +nightly fuzz run pop3_session`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::pop3_session(data));
