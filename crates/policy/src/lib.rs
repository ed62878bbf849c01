//! Judgement: facts in, verdicts with reasons out. It never acts.
//!
//! Rates and spam are here; SPF, DKIM and DMARC will be.

pub mod guard;
pub mod limits;
pub mod network;
pub mod spam;
