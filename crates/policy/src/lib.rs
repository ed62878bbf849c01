//! Judgement: facts in, verdicts with reasons out. It never acts.
//!
//! Empty until SPF, DKIM, DMARC and rates come; the wall stands so that they land behind it.
