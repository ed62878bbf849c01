//! Judgement: facts in, verdicts with reasons out. It never acts.
//!
//! Rates and spam; and who is speaking: SPF, DKIM, DMARC, lists of addresses in DNS.

mod authres;
pub mod counted;
pub mod dkim;
pub mod dmarc;
pub mod dnsbl;
pub mod guard;
pub mod judge;
pub mod limits;
pub mod network;
pub mod spam;
pub mod spf;
mod tags;
