//! The simulated world and the tests that drive the real crates in it.
//!
//! [`world`] replaces clock, randomness, DNS and network below the same product code; [`house`] is
//! a whole server in it; [`transcript`] plays conversations from files against one. Nothing here is
//! known to the product.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod house;
pub mod pipe;
pub mod play;
pub mod script;
pub mod world;
