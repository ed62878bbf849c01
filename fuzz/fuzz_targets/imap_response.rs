//! `cargo +nightly fuzz run imap_response`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::imap::response(data));
