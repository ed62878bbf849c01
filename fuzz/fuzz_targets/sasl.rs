//! `cargo +nightly fuzz run sasl`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::sasl(data));
