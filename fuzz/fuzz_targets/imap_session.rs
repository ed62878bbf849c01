//! `cargo +nightly fuzz run imap_session`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::imap::session(data));
