//! Reports that other receivers send about mail from our domains: DMARC aggregate reports (RFC 7489
//! Appendix C, RFC 9990) and SMTP TLS reports (RFC 8460), found in a message and read.
//!
//! Senders label them in every way there is (users.md S-23): as a part or as the whole message,
//! compressed by gzip or zip or not at all, with any content type. So what they are is told from
//! their first octets. Everything is hostile: what is unpacked, the depth of XML, the lengths of
//! its texts and the number of what is kept are bounded, and a document type is refused, so there
//! are no entities to expand.

mod aggregate;
mod tls;
mod unpack;

use crate::date::parse_rfc3339;
use crate::mime::text::decoded;
use crate::mime::{Part, PartBody};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A report, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Feedback {
    /// Who sent mail as our domain.
    Dmarc(Aggregate),
    /// How TLS went with our servers.
    Tls(TlsReport),
}

/// What both kinds begin with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Who reports.
    pub organization: String,
    /// Their name for the report.
    pub id: String,
    /// From when, seconds since 1970.
    pub begin: i64,
    /// Until when.
    pub end: i64,
}

/// A DMARC aggregate report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Who reports what time.
    #[serde(flatten)]
    pub head: Head,
    /// Our domain.
    pub domain: String,
    /// The policy that they found for it.
    pub policy: String,
    /// What they saw, one row for each source and result.
    pub rows: Vec<Row>,
    /// Messages in rows that are not kept, because there were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
}

/// Messages from one source that fared alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The address that they came from.
    pub source: String,
    /// How many.
    pub count: u64,
    /// The domain of their From field.
    pub header_from: String,
    /// DKIM passed, for our domain.
    pub dkim: bool,
    /// SPF passed, for our domain.
    pub spf: bool,
    /// What was done with them: `none`, `quarantine`, `reject`.
    pub disposition: String,
}

/// An SMTP TLS report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsReport {
    /// Who reports what time.
    #[serde(flatten)]
    pub head: Head,
    /// One for each policy that they found.
    pub policies: Vec<TlsPolicy>,
}

/// How TLS went under one policy. RFC 8460 §4.4.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsPolicy {
    /// `sts`, `tlsa` or `no-policy-found`.
    pub policy: String,
    /// Our domain.
    pub domain: String,
    /// Sessions that went well.
    pub successes: u64,
    /// Sessions that did not.
    pub failures: u64,
    /// Why not.
    pub details: Vec<TlsFailure>,
}

/// Sessions that failed alike. RFC 8460 §4.3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFailure {
    /// As `certificate-expired`.
    pub result: String,
    /// Our server, by name or by address.
    pub mx: String,
    /// The address that they came from.
    pub source: String,
    /// How many.
    pub count: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Feedback {
    /// Who reports what time.
    pub fn head(&self) -> &Head {
        match self {
            Feedback::Dmarc(report) => &report.head,
            Feedback::Tls(report) => &report.head,
        }
    }

    /// `dmarc` or `tls`.
    pub fn kind(&self) -> &'static str {
        match self {
            Feedback::Dmarc(_) => "dmarc",
            Feedback::Tls(_) => "tls",
        }
    }

    /// The domains it is about.
    pub fn domains(&self) -> Vec<&str> {
        match self {
            Feedback::Dmarc(report) => vec![&report.domain],
            Feedback::Tls(report) => report.policies.iter().map(|of| of.domain.as_str()).collect(),
        }
    }

    /// Sessions or messages that went well, and others.
    pub fn counts(&self) -> (u64, u64) {
        let sum = |(good, bad): (u64, u64), (more_good, more_bad): (u64, u64)| {
            (good.saturating_add(more_good), bad.saturating_add(more_bad))
        };
        match self {
            Feedback::Dmarc(report) => {
                let one = |row: &Row| if row.passes() { (row.count, 0) } else { (0, row.count) };
                report.rows.iter().map(one).fold((0, 0), sum)
            }
            Feedback::Tls(report) => {
                let each = report.policies.iter().map(|of| (of.successes, of.failures));
                each.fold((0, 0), sum)
            }
        }
    }
}

impl Row {
    /// One of both passed. RFC 9989 §5.3.5.
    pub fn passes(&self) -> bool {
        self.dkim || self.spf
    }
}

/// Why there is no report in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoReport {
    /// Nothing in it looks like one.
    NotThere,
    /// It is larger than what is read, packed or unpacked.
    TooLarge,
    /// It is packed, and damaged.
    Damaged,
    /// Something is wrong in it: what.
    Wrong(&'static str),
}

impl std::fmt::Display for NoReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NoReport::NotThere => "no part of it looks like a report",
            NoReport::TooLarge => "it is too large",
            NoReport::Damaged => "it is packed, and damaged",
            NoReport::Wrong(what) => what,
        })
    }
}

/// Parts of a message that are looked at for a report.
const PARTS_MAX: usize = 50;

/// Finds the report in a message. `read` gives its octets.
pub fn find<E>(
    root: &Part,
    mut read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
) -> Result<Result<Feedback, NoReport>, E> {
    let (mut open, mut left, mut why) = (vec![root], PARTS_MAX, NoReport::NotThere);
    while let (Some(part), Some(rest)) = (open.pop(), left.checked_sub(1)) {
        left = rest;
        match &part.body {
            PartBody::Multipart(parts) => open.extend(parts.iter().rev()),
            PartBody::Message(_, inner) => open.push(inner),
            PartBody::Leaf if part.octets() > unpack::PACKED_OCTETS_MAX => {
                // A large text or picture is no report that is too large.
            }
            PartBody::Leaf => {
                let body = read(part.body_start..part.end)?;
                let body = decoded(part, &body).unwrap_or(body);
                match of_octets(&body) {
                    Ok(report) => return Ok(Ok(report)),
                    // What is wrong with something says more than that something else is no report.
                    Err(NoReport::NotThere) => {}
                    Err(error) => why = error,
                }
            }
        }
    }
    Ok(Err(why))
}

/// Reads a report, packed or not.
pub fn of_octets(octets: &[u8]) -> Result<Feedback, NoReport> {
    let unpacked = unpack::unpack(octets)?;
    let start = unpacked.trim_ascii_start();
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    match start.first() {
        // HTML begins so as well.
        Some(b'<') if aggregate::is_feedback(start) => aggregate::read(start).map(Feedback::Dmarc),
        Some(b'{') => tls::read(start).map(Feedback::Tls),
        _ => Err(NoReport::NotThere),
    }
}

/// A time as reports write it: seconds or milliseconds since 1970, or RFC 3339, of which Microsoft
/// leaves the zone out and others the `T`.
fn time(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        let is_milliseconds = number > 100_000_000_000;
        return Some(if is_milliseconds { number / 1000 } else { number }).filter(|n| *n >= 0);
    }
    let text = text.replacen(' ', "T", 1);
    let (day, hour) = text.split_once(['T', 't']).unwrap_or((text.as_str(), "00:00:00"));
    let zoned = hour.contains(['Z', 'z', '+', '-']);
    parse_rfc3339(&format!("{day}T{hour}{}", if zoned { "" } else { "Z" }))
}

/// A text as it may be shown: without control characters, of bounded length.
fn shown(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

/// Characters of a text in a report that are kept.
const TEXT_CHARS_MAX: usize = 255;

#[cfg(test)]
mod tests;
