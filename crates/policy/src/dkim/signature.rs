//! DKIM-Signature fields. RFC 6376 §3.5, §6.1.1.

use super::canon::Canon;
use super::{DkimResult, KeyKind};
use crate::limits::DKIM_NAMES_MAX;
use crate::tags::{Tags, base64};
use mail::Domain;

/// A signature that can be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The kind of its key; the hash is SHA-256.
    pub kind: KeyKind,
    /// Who signed (`d=`), lower case.
    pub domain: Domain,
    /// Its key's name there (`s=`), in A-labels.
    pub selector: String,
    /// On whose behalf (`i=`), as it stands; empty for none.
    pub identity: String,
    /// The identity is of a domain below `domain`.
    pub below: bool,
    pub(super) header: Canon,
    pub(super) body: Canon,
    /// `b=`.
    pub(super) value: Vec<u8>,
    /// `bh=`.
    pub(super) body_hash: Vec<u8>,
    /// `l=`.
    pub(super) length: Option<u64>,
    /// `h=`.
    pub(super) names: Vec<String>,
}

/// What is known of a signature that cannot be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverifiable {
    /// The domain, if it could be read.
    pub domain: Option<Domain>,
    pub result: DkimResult,
    pub why: String,
}

impl Signature {
    /// Where its key is. RFC 6376 §3.6.2.1, RFC 8616 §5.
    pub fn key_name(&self) -> String {
        let domain = self.domain.to_ascii().unwrap_or_default();
        format!("{}._domainkey.{domain}", self.selector)
    }

    /// Reads the value of a field.
    pub fn parse(value: &[u8], now: i64) -> Result<Signature, Unverifiable> {
        let text = std::str::from_utf8(value).unwrap_or_default();
        let tags = Tags::parse(text).filter(|tags| tags.first().is_some());
        let domain = tags.as_ref().and_then(|tags| Domain::parse(tags.get("d")?.trim()).ok());
        let read = tags.ok_or((DkimResult::Neutral, "it is no list of tags".to_owned()));
        read.and_then(|tags| parse(&tags, now)).map_err(|(result, why)| Unverifiable {
            domain,
            result,
            why,
        })
    }
}

type Wrong = (DkimResult, String);

fn neutral(why: &str) -> Wrong {
    (DkimResult::Neutral, why.to_owned())
}

fn parse(tags: &Tags<'_>, now: i64) -> Result<Signature, Wrong> {
    let need = |name: &str| {
        tags.get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
            .ok_or((DkimResult::PermError, format!("it has no {name}=")))
    };
    if need("v")? != "1" {
        return Err(neutral("it is of another version"));
    }
    let kind = match need("a")?.to_ascii_lowercase().as_str() {
        "rsa-sha256" => KeyKind::Rsa,
        "ed25519-sha256" => KeyKind::Ed25519,
        // RFC 8301 §3.1.
        "rsa-sha1" => return Err(neutral("rsa-sha1 counts no longer")),
        _ => return Err(neutral("it is of an unknown algorithm")),
    };
    let (header, body) = canons(tags.get("c")).ok_or(neutral("it has an unknown c="))?;
    let domain = Domain::parse(need("d")?).map_err(|_| neutral("its d= is no domain"))?;
    let ascii = domain.to_ascii().ok_or(neutral("its d= is no domain"))?;
    let selector = Domain::parse(need("s")?).ok().and_then(|s| s.to_ascii());
    let selector = selector.ok_or(neutral("its s= is no selector"))?;
    let below = is_below(tags, &ascii)?;
    if tags.list("q").is_some_and(|mut all| !all.any(|q| q.eq_ignore_ascii_case("dns/txt"))) {
        return Err(neutral("its key is not in DNS"));
    }
    need("h")?;
    let names: Vec<String> =
        tags.list("h").into_iter().flatten().map(str::to_ascii_lowercase).collect();
    if names.len() > DKIM_NAMES_MAX {
        return Err(neutral("it signs too many fields"));
    }
    if !names.iter().any(|name| name == "from") {
        return Err((DkimResult::PermError, "it does not sign From".to_owned()));
    }
    let length = match tags.get("l").map(|l| l.trim().parse::<u64>()) {
        None => None,
        Some(Ok(length)) => Some(length),
        Some(Err(_)) => return Err(neutral("its l= is no number")),
    };
    check_times(tags, now)?;
    let value = base64(need("b")?).ok_or(neutral("its b= is not base64"))?;
    let body_hash = base64(need("bh")?).ok_or(neutral("its bh= is not base64"))?;
    let identity = tags.get("i").map(|i| i.trim().to_owned()).unwrap_or_default();
    Ok(Signature {
        kind,
        domain,
        selector,
        identity,
        below,
        header,
        body,
        value,
        body_hash,
        length,
        names,
    })
}

/// `c=`: of the header, then of the body.
fn canons(text: Option<&str>) -> Option<(Canon, Canon)> {
    let one = |word: &str| match word.trim().to_ascii_lowercase().as_str() {
        "simple" => Some(Canon::Simple),
        "relaxed" => Some(Canon::Relaxed),
        _ => None,
    };
    match text.map(|text| text.split_once('/').unwrap_or((text, "simple"))) {
        None => Some((Canon::Simple, Canon::Simple)),
        Some((header, body)) => Some((one(header)?, one(body)?)),
    }
}

/// `i=` is of a domain below `d=`, which is the only other one that it may be of.
fn is_below(tags: &Tags<'_>, domain: &str) -> Result<bool, Wrong> {
    match tags.get("i").map(str::trim) {
        None => Ok(false),
        Some(identity) => {
            let of = identity.rsplit_once('@').and_then(|(_, of)| Domain::parse(of).ok());
            let of = of.and_then(|of| of.to_ascii()).ok_or(neutral("its i= is no address"))?;
            match of.strip_suffix(domain) {
                Some("") => Ok(false),
                Some(rest) if rest.ends_with('.') => Ok(true),
                _ => Err((DkimResult::PermError, "its i= is not of its d=".to_owned())),
            }
        }
    }
}

/// `x=` is still to come.
fn check_times(tags: &Tags<'_>, now: i64) -> Result<(), Wrong> {
    let seconds = |name: &str| tags.get(name).and_then(|t| t.trim().parse::<i64>().ok());
    if seconds("x").is_some_and(|end| end < now) {
        return Err((DkimResult::Fail, "it has expired".to_owned()));
    }
    if let (Some(from), Some(end)) = (seconds("t"), seconds("x"))
        && end < from
    {
        return Err(neutral("it expires before it was made"));
    }
    Ok(())
}
