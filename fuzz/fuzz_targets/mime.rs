//! `cargo +nightly fuzz run mime`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::imap::message(data));
