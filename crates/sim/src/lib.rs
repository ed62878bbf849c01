//! The simulated world and the tests that drive the real crates in it.
//!
//! [`world`] replaces clock, randomness, DNS and network below the same product code, [`hands`] its
//! threads; [`house`] is a whole server in it, [`hosts`] are those of others; [`play`] plays
//! conversations from files against one. [`model`] is the engine that specifies the others,
//! [`disk`] one that crashes, [`workload`] what a store is made to do. Nothing here is known to the
//! product.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod client;
pub mod disk;
pub mod dns;
pub mod hands;
pub mod hosts;
pub mod house;
pub mod log;
pub mod logins;
pub mod model;
pub mod neighbour;
pub mod pipe;
pub mod play;
pub mod random;
pub mod script;
pub mod town;
pub mod workload;
pub mod world;
