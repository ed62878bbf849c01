//! Keys as they stand in DNS. RFC 6376 §3.6.1, §6.1.2, RFC 8463 §4.

use super::KeyKind;
use crate::tags::{Tags, base64};

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its kind.
    pub kind: KeyKind,
    /// RSA: SubjectPublicKeyInfo, or RSAPublicKey; Ed25519: 32 octets.
    pub octets: Vec<u8>,
    /// `t=y`: the domain tries DKIM out.
    pub testing: bool,
    /// `t=s`: it signs for no domain below.
    pub strict: bool,
}

impl Key {
    /// Reads a TXT record; the error says why it is no key for mail.
    pub fn parse(text: &[u8]) -> Result<Key, &'static str> {
        let text = std::str::from_utf8(text).map_err(|_| "the key is no text")?;
        let tags = Tags::parse(text).ok_or("the key is no list of tags")?;
        if let Some(version) = tags.get("v")
            && (version.trim() != "DKIM1" || tags.first() != Some("v"))
        {
            return Err("the key is of another version");
        }
        let public = tags.get("p").ok_or("the key has no p=")?.trim();
        if public.is_empty() {
            return Err("the key was revoked");
        }
        let kind = match tags.get("k").map(str::trim) {
            None => KeyKind::Rsa,
            Some(kind) if kind.eq_ignore_ascii_case("rsa") => KeyKind::Rsa,
            Some(kind) if kind.eq_ignore_ascii_case("ed25519") => KeyKind::Ed25519,
            Some(_) => return Err("the key is of an unknown kind"),
        };
        let has = |name: &str, wanted: &[&str]| {
            tags.list(name).is_none_or(|mut all| {
                all.any(|word| wanted.iter().any(|wanted| word.eq_ignore_ascii_case(wanted)))
            })
        };
        if !has("h", &["sha256"]) {
            return Err("the key is for other hashes");
        }
        if !has("s", &["*", "email"]) {
            return Err("the key is not for mail");
        }
        let flag = |wanted: &str| {
            tags.list("t").is_some_and(|mut all| all.any(|f| f.eq_ignore_ascii_case(wanted)))
        };
        let octets = base64(public).ok_or("the key is not base64")?;
        if kind == KeyKind::Ed25519 && octets.len() != 32 {
            return Err("the key is not 32 octets long");
        }
        Ok(Key { kind, octets, testing: flag("y"), strict: flag("s") })
    }
}
