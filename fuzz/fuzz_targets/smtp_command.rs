//! `cargo +nightly fuzz run smtp_command`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::smtp_command(data));
