//! `cargo +nightly fuzz run imap_command`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::imap::command(data));
