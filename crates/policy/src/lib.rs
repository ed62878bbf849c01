//! Judgement: facts in, verdicts with reasons out. It never acts.
//!
//! Rates and spam; who is speaking: SPF, DKIM, DMARC, lists of addresses in DNS; and whom we may
//! speak to: DANE and MTA-STS.

mod authres;
pub mod counted;
pub mod dane;
pub mod dkim;
pub mod dmarc;
pub mod dnsbl;
pub mod guard;
pub mod judge;
pub mod limits;
pub mod mta_sts;
pub mod network;
pub mod spam;
pub mod spf;
mod tags;
