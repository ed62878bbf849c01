//! The simulated world and the tests that drive the real crates in it.
