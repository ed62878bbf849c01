//! DMARC: what a domain wants to happen to mail in its name that it did not send. RFC 9989.
//!
//! Which record counts is found by walking up the tree of names (RFC 9989 §4.10), eight questions
//! at most; there is no list of public suffixes.

mod record;

use crate::limits::DMARC_QUERIES_MAX;
use mail::Domain;
use sys::resolver::{DnsError, Resolver};

pub use record::{Alignment, Policy, Psd, Record};

/// The records found on the way up from a domain, longest name first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Where it began, in A-labels.
    pub start: String,
    /// Names, and their records.
    pub records: Vec<(String, Record)>,
}

/// DNS did not answer: about what, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered(pub String);

/// Walks up from a domain. RFC 9989 §4.10.
pub async fn walk(resolver: &dyn Resolver, domain: &Domain) -> Result<Walk, Unanswered> {
    let start = domain.to_ascii().unwrap_or_default();
    let mut walk = Walk { start: start.clone(), records: Vec::new() };
    let mut next = (!start.is_empty()).then_some(start.as_str());
    for _ in 0..DMARC_QUERIES_MAX {
        let Some(name) = next else { break };
        if let Some(record) = record_at(resolver, name).await? {
            let stop = record.psd != Psd::Unknown;
            walk.records.push((name.to_owned(), record));
            if stop {
                break;
            }
        }
        next = parent(name);
    }
    Ok(walk)
}

/// The next name: one label less, or seven labels where there were more than eight.
fn parent(name: &str) -> Option<&str> {
    let labels = name.split('.').count();
    let drop = if labels > DMARC_QUERIES_MAX { labels - (DMARC_QUERIES_MAX - 1) } else { 1 };
    let mut rest = name;
    for _ in 0..drop {
        rest = rest.split_once('.')?.1;
    }
    Some(rest)
}

async fn record_at(resolver: &dyn Resolver, name: &str) -> Result<Option<Record>, Unanswered> {
    let at = format!("_dmarc.{name}");
    match resolver.txt(&at).await {
        Ok(texts) => {
            let mut records = texts.iter().filter_map(|text| Record::parse(text));
            // RFC 9989 §4.10: several are none.
            let one = records.next();
            Ok(one.filter(|_| records.next().is_none()))
        }
        Err(DnsError::NoSuchName | DnsError::NoRecord) => Ok(None),
        Err(error) => Err(Unanswered(format!("{at}: {error}"))),
    }
}

impl Walk {
    /// The Organizational Domain. RFC 9989 §4.10.2.
    pub fn organizational(&self) -> &str {
        for (name, record) in &self.records {
            match record.psd {
                Psd::No => return name,
                Psd::Yes if *name != self.start => return self.below(name),
                _ => {}
            }
        }
        self.records.last().map_or(self.start.as_str(), |(name, _)| name)
    }

    /// The name one label below `above`, on the way to the start.
    fn below(&self, above: &str) -> &str {
        let rest = self.start.strip_suffix(above).unwrap_or_default().trim_end_matches('.');
        let label = rest.rsplit('.').next().unwrap_or_default().len();
        let octets = (label + 1 + above.len()).min(self.start.len());
        self.start.get(self.start.len() - octets..).unwrap_or(&self.start)
    }

    /// The record that counts for the start, and whether it is its own. RFC 9989 §4.10.1.
    pub fn applicable(&self) -> Option<(&Record, bool)> {
        let at = |wanted: &str| self.records.iter().find(|(name, _)| name == wanted);
        if let Some((_, record)) = at(&self.start) {
            return Some((record, true));
        }
        let suffix = || self.records.iter().find(|(_, record)| record.psd == Psd::Yes);
        at(self.organizational()).or_else(suffix).map(|(_, record)| (record, false))
    }
}

/// What DMARC says of a message. RFC 8601 §2.7, RFC 9989 §9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmarcResult {
    /// No record applies.
    None,
    /// The domain vouches for it.
    Pass,
    /// Nobody vouches for it.
    Fail,
    /// DNS did not answer.
    TempError,
    /// It cannot be said who wrote it.
    PermError,
}

impl DmarcResult {
    /// As in Authentication-Results.
    pub fn as_str(self) -> &'static str {
        match self {
            DmarcResult::None => "none",
            DmarcResult::Pass => "pass",
            DmarcResult::Fail => "fail",
            DmarcResult::TempError => "temperror",
            DmarcResult::PermError => "permerror",
        }
    }
}

/// A domain that SPF or DKIM may have proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// The domain.
    pub domain: Domain,
    /// By whom.
    pub by: By,
    /// Whether it did.
    pub proof: Proof,
}

/// Which mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// SPF, for the domain of MAIL FROM.
    Spf,
    /// A DKIM signature.
    Dkim,
}

/// What a mechanism says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It passes.
    Given,
    /// DNS did not answer; it might have passed.
    Unanswered,
}

/// What was found for one author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The author's domain.
    pub author: Domain,
    /// The result.
    pub result: DmarcResult,
    /// What the domain wants for what fails; `None` if nothing applies.
    pub policy: Policy,
    /// Why, in words.
    pub why: String,
}

/// Evaluates a message of one author. RFC 9989 §5.3.
pub async fn evaluate(
    resolver: &dyn Resolver,
    author: &Domain,
    walked: Result<Walk, Unanswered>,
    identifiers: &[Identifier],
) -> Finding {
    let found =
        |result, policy, why: String| Finding { author: author.clone(), result, policy, why };
    let walk = match walked {
        Ok(walk) => walk,
        Err(Unanswered(why)) => {
            // Who is proven to be the author passes whatever the record says.
            let same = |id: &&Identifier| id.domain.is_same(author) && id.proof == Proof::Given;
            return match identifiers.iter().find(same) {
                Some(id) => found(DmarcResult::Pass, Policy::None, proven(id)),
                None => found(DmarcResult::TempError, Policy::Reject, why),
            };
        }
    };
    let Some((record, own)) = walk.applicable() else {
        return found(DmarcResult::None, Policy::None, format!("{author} has no DMARC policy"));
    };
    let mut unanswered = None;
    for id in identifiers {
        let alignment = if id.by == By::Spf { record.aspf } else { record.adkim };
        match aligned(resolver, &walk, id, alignment).await {
            Ok(true) if id.proof == Proof::Given => {
                return found(DmarcResult::Pass, Policy::None, proven(id));
            }
            Ok(true) => unanswered = Some(format!("{} could not be asked", id.domain)),
            Ok(false) => {}
            Err(Unanswered(why)) => unanswered = Some(why),
        }
    }
    let policy = match policy(resolver, &walk, record, own).await {
        Ok(policy) => policy,
        Err(Unanswered(why)) => return found(DmarcResult::TempError, Policy::Reject, why),
    };
    match unanswered {
        Some(why) => found(DmarcResult::TempError, policy, why),
        None => {
            let why = format!("neither SPF nor DKIM proves that it is from {author}");
            found(DmarcResult::Fail, policy, why)
        }
    }
}

fn proven(id: &Identifier) -> String {
    let by = if id.by == By::Spf { "SPF" } else { "DKIM" };
    format!("{by} proves {}", id.domain)
}

/// The policy for the author's domain. RFC 9989 §4.7 np, sp, t.
async fn policy(
    resolver: &dyn Resolver,
    walk: &Walk,
    record: &Record,
    own: bool,
) -> Result<Policy, Unanswered> {
    let policy = match own {
        true => record.p,
        false if record.np != record.sp && !exists(resolver, &walk.start).await? => record.np,
        false => record.sp,
    };
    Ok(match (record.testing, policy) {
        (false, policy) => policy,
        (true, Policy::Reject) => Policy::Quarantine,
        (true, _) => Policy::None,
    })
}

/// There are addresses or MX records. RFC 9989 §3.2.13.
async fn exists(resolver: &dyn Resolver, name: &str) -> Result<bool, Unanswered> {
    let nothing = |error: DnsError| match error {
        DnsError::NoSuchName | DnsError::NoRecord => Ok(false),
        DnsError::Temporary(why) => Err(Unanswered(format!("{name}: {why}"))),
    };
    if resolver.mx(name).await.map(|_| true).or_else(nothing)? {
        return Ok(true);
    }
    resolver.addresses(name).await.map(|_| true).or_else(nothing)
}

/// The identifier is the author's. RFC 9989 §4.4, §4.10.2.
async fn aligned(
    resolver: &dyn Resolver,
    author: &Walk,
    id: &Identifier,
    alignment: Alignment,
) -> Result<bool, Unanswered> {
    let Some(domain) = id.domain.to_ascii() else { return Ok(false) };
    if domain == author.start {
        return Ok(true);
    }
    let organizational = author.organizational();
    // Whose Organizational Domain that is can only be at or below it.
    let within = domain.strip_suffix(organizational);
    let within = within.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if alignment == Alignment::Strict || !within {
        return Ok(false);
    }
    Ok(walk(resolver, &id.domain).await?.organizational() == organizational)
}

#[cfg(test)]
mod tests;
