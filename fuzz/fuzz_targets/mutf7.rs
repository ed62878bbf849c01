//! `cargo +nightly fuzz run mutf7`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::imap::mutf7(data));
