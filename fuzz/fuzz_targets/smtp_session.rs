//! `cargo +nightly fuzz run smtp_session`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::smtp_session(data));
