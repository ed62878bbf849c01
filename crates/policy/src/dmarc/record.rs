//! DMARC policy records. RFC 9989 §4.7, §4.8.

use crate::tags::Tags;

/// What a domain wants, mildest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Nothing.
    #[default]
    None,
    /// It is suspicious.
    Quarantine,
    /// It is not to be taken.
    Reject,
}

impl Policy {
    /// As `p=` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::None => "none",
            Policy::Quarantine => "quarantine",
            Policy::Reject => "reject",
        }
    }

    fn parse(text: &str) -> Option<Policy> {
        [Policy::None, Policy::Quarantine, Policy::Reject]
            .into_iter()
            .find(|policy| policy.as_str().eq_ignore_ascii_case(text))
    }
}

/// How much of a domain has to be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    /// The Organizational Domain.
    Relaxed,
    /// All of it.
    Strict,
}

/// Whether others have names below the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Psd {
    /// They do.
    Yes,
    /// They do not: it is an Organizational Domain.
    No,
    /// It does not say.
    Unknown,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// For the domain itself.
    pub p: Policy,
    /// For those below it.
    pub sp: Policy,
    /// For those below it that do not exist.
    pub np: Policy,
    /// Of DKIM.
    pub adkim: Alignment,
    /// Of SPF.
    pub aspf: Alignment,
    /// Whether it is a public suffix.
    pub psd: Psd,
    /// `t=y`: one step milder.
    pub testing: bool,
}

impl Record {
    /// Reads a TXT record; none if it is no policy. Errors behind the version are passed over.
    pub fn parse(text: &[u8]) -> Option<Record> {
        let text = std::str::from_utf8(text).ok()?;
        let (version, rest) = text.split_once(';').unwrap_or((text, ""));
        let (name, value) = version.split_once('=')?;
        if name.trim_end() != "v" || value.trim() != "DMARC1" {
            return None;
        }
        // One tag after the other, so that a wrong one does not spoil the others.
        let one = |wanted: &str| {
            rest.split(';').find_map(|tag| {
                let tags = Tags::parse(tag)?;
                let first = tags.first().filter(|name| name.eq_ignore_ascii_case(wanted))?;
                tags.get(first).map(str::trim_end)
            })
        };
        let reports = one("rua").is_some_and(|all| all.split(',').any(is_uri));
        let policies = ["p", "sp", "np"].map(|name| one(name).map(Policy::parse));
        // RFC 9989 §4.10.1: without a valid `p`, or with a wrong `sp` or `np`, it only reports.
        let [p, sp, np] = match policies {
            [Some(Some(p)), sp, np] if sp != Some(None) && np != Some(None) => {
                let sp = sp.flatten().unwrap_or(p);
                [p, sp, np.flatten().unwrap_or(sp)]
            }
            _ if reports => [Policy::None; 3],
            _ => return None,
        };
        let alignment = |name: &str| match one(name) {
            Some("s" | "S") => Alignment::Strict,
            _ => Alignment::Relaxed,
        };
        let psd = match one("psd") {
            Some("y" | "Y") => Psd::Yes,
            Some("n" | "N") => Psd::No,
            _ => Psd::Unknown,
        };
        let testing = matches!(one("t"), Some("y" | "Y"));
        Some(Record { p, sp, np, adkim: alignment("adkim"), aspf: alignment("aspf"), psd, testing })
    }
}

/// Something with a scheme. RFC 3986 §3.
fn is_uri(text: &str) -> bool {
    let scheme = text.trim().split_once(':').filter(|(_, rest)| !rest.is_empty());
    scheme.is_some_and(|(s, _)| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric()))
}
