//! Signing a message that comes in pieces, once it is in its final form. RFC 6376 §5.

use super::KeyKind;
use super::canon::{self, BodyHash, Canon};
use crate::judge::Authors;
use crate::limits::SIGNED_HEADER_OCTETS_MAX;
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Domain;
use mail::header::{self, Field};

/// Fields that are signed, and signed once more than they are there, so that nobody can add one
/// (RFC 6376 §8.15). Those that relays and lists put in or change are not among them.
const FIELDS: [&str; 13] = [
    "From",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
];

enum Secret {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// A private key, and under which name it signs.
pub struct SigningKey {
    /// Who signs, in A-labels.
    domain: String,
    selector: String,
    secret: Secret,
}

/// A new RSA key of 2048 bits, as PKCS #8.
pub fn new_rsa() -> Option<Vec<u8>> {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).ok()?;
    Some(AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).ok()?.as_ref().to_vec())
}

/// A new Ed25519 key, as PKCS #8.
pub fn new_ed25519() -> Option<Vec<u8>> {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok()?;
    Some(made.as_ref().to_vec())
}

impl SigningKey {
    /// A key from PKCS #8; none if it is no RSA or Ed25519 key.
    pub fn new(domain: &Domain, selector: &str, pkcs8: &[u8]) -> Option<SigningKey> {
        let secret = match Ed25519KeyPair::from_pkcs8(pkcs8) {
            Ok(pair) => Secret::Ed25519(Box::new(pair)),
            Err(_) => Secret::Rsa(Box::new(RsaKeyPair::from_pkcs8(pkcs8).ok()?)),
        };
        Some(SigningKey { domain: domain.to_ascii()?, selector: selector.to_owned(), secret })
    }

    /// Its kind.
    pub fn kind(&self) -> KeyKind {
        match self.secret {
            Secret::Rsa(_) => KeyKind::Rsa,
            Secret::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// Where its public half has to be. RFC 6376 §3.6.2.1.
    pub fn name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// The TXT record there. RFC 6376 §3.6.1.
    pub fn record(&self) -> String {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        let public = match &self.secret {
            Secret::Rsa(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())
                .map(|der| STANDARD.encode(der.as_ref()))
                .unwrap_or_default(),
            Secret::Ed25519(pair) => STANDARD.encode(pair.public_key().as_ref()),
        };
        format!("v=DKIM1; k={}; p={public}", self.kind().as_str())
    }

    fn sign(&self, octets: &[u8]) -> Option<Vec<u8>> {
        match &self.secret {
            Secret::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), octets, &mut out).ok()?;
                Some(out)
            }
            // RFC 8463 §3.
            Secret::Ed25519(pair) => {
                let hash = digest::digest(&digest::SHA256, octets);
                Some(pair.sign(hash.as_ref()).as_ref().to_vec())
            }
        }
    }
}

/// Reads a message, and signs it.
pub struct Signer {
    head: Vec<u8>,
    /// The header is complete.
    in_body: bool,
    body: BodyHash,
}

impl Default for Signer {
    fn default() -> Signer {
        Signer { head: Vec::new(), in_body: false, body: BodyHash::new(Canon::Relaxed) }
    }
}

impl Signer {
    /// The next octets of the message.
    pub fn feed(&mut self, octets: &[u8]) {
        if self.in_body {
            self.body.feed(octets);
            return;
        }
        let searched = self.head.len();
        self.head.extend_from_slice(octets);
        let end = header::end_of(&self.head, searched);
        if let Some(end) = end {
            self.in_body = true;
            let rest = self.head.split_off(end);
            self.body.feed(rest.get(2..).unwrap_or_default());
        }
    }

    /// The domain that the message is from, if it is one.
    pub fn author(&self) -> Option<Domain> {
        let mut authors = Authors::of(&self.head);
        authors.domains.pop().filter(|_| authors.domains.is_empty())
    }

    /// DKIM-Signature fields for the message's front, one for each key.
    pub fn finish(self, keys: &[SigningKey], now: i64) -> String {
        if self.head.len() > SIGNED_HEADER_OCTETS_MAX {
            return String::new();
        }
        let fields: Vec<Field<'_>> = header::fields(&self.head).collect();
        let mut names = Vec::new();
        let mut octets = Vec::new();
        for name in FIELDS {
            let same = |field: &&Field<'_>| field.name.eq_ignore_ascii_case(name.as_bytes());
            for field in fields.iter().rev().filter(same) {
                names.push(name);
                canon::field(field, Canon::Relaxed, &mut octets);
            }
            names.push(name);
        }
        let (hash, _) = self.body.finish();
        let hash = STANDARD.encode(hash);
        let one = |key: &SigningKey| one(key, &names, &octets, &hash, now);
        keys.iter().filter_map(one).collect()
    }
}

fn one(key: &SigningKey, names: &[&str], octets: &[u8], hash: &str, now: i64) -> Option<String> {
    let (domain, selector) = (&key.domain, &key.selector);
    let kind = key.kind().as_str();
    let mut text = format!(
        "DKIM-Signature: v=1; a={kind}-sha256; c=relaxed/relaxed; d={domain};\r\n\t\
         s={selector}; t={now};\r\n\th="
    );
    let mut column = 10;
    for (n, name) in names.iter().enumerate() {
        if column + name.len() > 70 {
            text.push_str("\r\n\t ");
            column = 9;
        }
        column += name.len() + 1;
        text.push_str(name);
        text.push_str(if n + 1 < names.len() { ":" } else { ";" });
    }
    text.push_str(&format!("\r\n\tbh={hash};\r\n\tb="));
    let raw = format!("{text}\r\n");
    let mut signed = octets.to_vec();
    canon::own_field(&header::split_field(raw.as_bytes()), Canon::Relaxed, &mut signed);
    let value = STANDARD.encode(key.sign(&signed)?);
    let mut rest = value.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(70));
        text.push_str(line);
        text.push_str(if after.is_empty() { "\r\n" } else { "\r\n\t " });
        rest = after;
    }
    Some(text)
}
