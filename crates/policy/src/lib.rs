//! Judgement: facts in, verdicts with reasons out. It never acts.
//!
//! Rates are here; SPF, DKIM and DMARC will be.

pub mod guard;
pub mod limits;
pub mod network;
