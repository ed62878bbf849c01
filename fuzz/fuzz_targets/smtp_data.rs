//! `cargo +nightly fuzz run smtp_data`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::smtp_data(data));
