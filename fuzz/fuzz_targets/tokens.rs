//! `cargo +nightly fuzz run tokens`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::judge::tokens(data));
