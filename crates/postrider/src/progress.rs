//! How far a long command is.

use std::io::{self, IsTerminal as _};
use std::time::Duration;
use sys::clock::{Clock as _, SystemClock};

/// Tells a person at a terminal, once a second, how far it is.
pub fn progress() -> impl FnMut(u64, u64) {
    let (clock, watched) = (SystemClock::new(), io::stderr().is_terminal());
    let mut told = Duration::ZERO;
    move |done, all| {
        if watched && clock.monotonic().saturating_sub(told) > Duration::from_secs(1) {
            told = clock.monotonic();
            eprintln!("{} of {}", megabytes(done), megabytes(all));
        }
    }
}

/// Rounded up.
pub fn megabytes(octets: u64) -> String {
    format!("{} MB", octets.div_ceil(1_000_000))
}
