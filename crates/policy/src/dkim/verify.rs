//! Verifying the signatures of a message that comes in pieces. RFC 6376 §6.1.

use super::canon::{self, BodyHash, Canon};
use super::signature::Unverifiable;
use super::{DkimResult, Key, KeyKind, Signature};
use crate::limits::{DKIM_SIGNATURES_MAX, RSA_BITS_MAX};
use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::signature::{self as crypto, UnparsedPublicKey};
use mail::Domain;
use mail::header::{self, Field};
use std::collections::HashMap;
use sys::resolver::DnsError;

/// What became of one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who signed, if that could be read.
    pub domain: Option<Domain>,
    /// The name of the key.
    pub selector: String,
    /// `rsa-sha256`, `ed25519-sha256`; empty if it is of no kind that we know.
    pub algorithm: &'static str,
    /// The first octets of `b=`, which tell signatures apart. RFC 6008 §4.
    pub mark: String,
    /// What became of it.
    pub result: DkimResult,
    /// Why, in words; empty if it is right.
    pub why: String,
}

/// A signature, and the hash of what it signs of the header.
struct Pending {
    read: Result<(Signature, Digest), Unverifiable>,
    mark: String,
}

/// Verifies the signatures of one message.
pub struct Verifier {
    pending: Vec<Pending>,
    simple: Option<BodyHash>,
    relaxed: Option<BodyHash>,
}

impl Verifier {
    /// For a message with this header, whose body is still to come. Of its signatures the first
    /// [`DKIM_SIGNATURES_MAX`] are looked at.
    pub fn new(head: &[u8], now: i64) -> Verifier {
        let fields: Vec<Field<'_>> = header::fields(head).collect();
        let is_signature = |f: &&Field<'_>| f.name.eq_ignore_ascii_case(b"DKIM-Signature");
        let signatures = fields.iter().filter(is_signature).take(DKIM_SIGNATURES_MAX);
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        let mut pending = Vec::new();
        for signature in signatures {
            if places.is_empty() {
                for (n, field) in fields.iter().enumerate() {
                    let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
                    places.entry(name).or_default().push(n);
                }
            }
            let read = Signature::parse(signature.value, now).map(|read| {
                let hash = header_hash(&fields, &places, signature, &read);
                (read, hash)
            });
            let text = String::from_utf8_lossy(signature.value);
            let tags = crate::tags::Tags::parse(&text);
            let value = tags.and_then(|tags| tags.get("b").map(str::to_owned)).unwrap_or_default();
            let mark = value.chars().filter(|c| "+/=".contains(*c) || c.is_ascii_alphanumeric());
            pending.push(Pending { read, mark: mark.take(8).collect() });
        }
        let wants = |canon: Canon| {
            let mut read = pending.iter().filter_map(|p| p.read.as_ref().ok());
            read.any(|(signature, _)| signature.body == canon).then(|| BodyHash::new(canon))
        };
        let (simple, relaxed) = (wants(Canon::Simple), wants(Canon::Relaxed));
        Verifier { pending, simple, relaxed }
    }

    /// The next octets of the body.
    pub fn feed(&mut self, octets: &[u8]) {
        for hash in [&mut self.simple, &mut self.relaxed].into_iter().flatten() {
            hash.feed(octets);
        }
    }

    /// The names whose TXT records [`Verifier::finish`] needs, each once.
    pub fn keys(&self) -> Vec<String> {
        let mut names = Vec::new();
        for pending in &self.pending {
            if let Ok((signature, _)) = &pending.read {
                let name = signature.key_name();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// The message is complete; `keys` has the answers for [`Verifier::keys`].
    pub fn finish(self, keys: &HashMap<String, Result<Vec<Vec<u8>>, DnsError>>) -> Vec<Verified> {
        let simple = self.simple.map(BodyHash::finish);
        let relaxed = self.relaxed.map(BodyHash::finish);
        let verified = |pending: Pending| match pending.read {
            Err(Unverifiable { domain, result, why }) => Verified {
                domain,
                selector: String::new(),
                algorithm: "",
                mark: pending.mark,
                result,
                why,
            },
            Ok((signature, hash)) => {
                let body = match signature.body {
                    Canon::Simple => &simple,
                    Canon::Relaxed => &relaxed,
                };
                let answer = keys.get(&signature.key_name());
                let (result, why) = verdict(&signature, &hash, body.as_ref(), answer);
                Verified {
                    domain: Some(signature.domain),
                    selector: signature.selector,
                    algorithm: match signature.kind {
                        KeyKind::Rsa => "rsa-sha256",
                        KeyKind::Ed25519 => "ed25519-sha256",
                    },
                    mark: pending.mark,
                    result,
                    why,
                }
            }
        };
        self.pending.into_iter().map(verified).collect()
    }
}

/// The hash of the fields that are signed: of each name the last one that was not taken yet, and
/// nothing where there is none. RFC 6376 §3.7, §5.4.2.
fn header_hash(
    fields: &[Field<'_>],
    places: &HashMap<String, Vec<usize>>,
    own: &Field<'_>,
    signature: &Signature,
) -> Digest {
    let mut taken: HashMap<&str, usize> = HashMap::new();
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut out = Vec::new();
    for name in &signature.names {
        let taken = taken.entry(name).or_default();
        *taken += 1;
        let all = places.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let place = all.len().checked_sub(*taken).and_then(|at| all.get(at));
        if let Some(field) = place.and_then(|at| fields.get(*at)) {
            out.clear();
            canon::field(field, signature.header, &mut out);
            hash.update(&out);
        }
    }
    out.clear();
    canon::own_field(own, signature.header, &mut out);
    hash.update(&out);
    hash.finish()
}

type Answer = Result<Vec<Vec<u8>>, DnsError>;

fn verdict(
    signature: &Signature,
    header: &Digest,
    body: Option<&(Vec<u8>, u64)>,
    answer: Option<&Answer>,
) -> (DkimResult, String) {
    let texts = match answer {
        Some(Ok(texts)) => texts,
        Some(Err(DnsError::NoSuchName | DnsError::NoRecord)) => {
            return (DkimResult::PermError, "there is no key".to_owned());
        }
        Some(Err(error)) => return (DkimResult::TempError, format!("the key: {error}")),
        None => return (DkimResult::TempError, "the key was not asked for".to_owned()),
    };
    let mut best = (DkimResult::PermError, "there is no key".to_owned());
    for text in texts {
        match Key::parse(text) {
            Ok(key) if key.kind != signature.kind => {
                best = (DkimResult::PermError, "the key is of another kind".to_owned());
            }
            Ok(key) if key.strict && signature.below => {
                best = (DkimResult::PermError, "the key is for no domain below".to_owned());
            }
            Ok(key) => {
                let found = with_key(signature, header, body, &key);
                // RFC 6376 §3.6.1 t=y: as if it were not signed.
                let fails = found.0 == DkimResult::Fail && key.testing;
                return match fails {
                    true => {
                        (DkimResult::Neutral, format!("the domain tries DKIM out: {}", found.1))
                    }
                    false => found,
                };
            }
            Err(why) => best = (DkimResult::PermError, why.to_owned()),
        }
    }
    best
}

fn with_key(
    signature: &Signature,
    header: &Digest,
    body: Option<&(Vec<u8>, u64)>,
    key: &Key,
) -> (DkimResult, String) {
    let bits = signature.value.len() * 8;
    let right = match signature.kind {
        // RFC 8301 §3.2: shorter ones are refused by the algorithm.
        KeyKind::Rsa if bits > RSA_BITS_MAX => {
            return (DkimResult::PermError, format!("the key has more than {RSA_BITS_MAX} bits"));
        }
        KeyKind::Rsa => {
            let algorithm = &crypto::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
            UnparsedPublicKey::new(algorithm, &key.octets)
                .verify_digest(header, &signature.value)
                .is_ok()
        }
        // RFC 8463 §3: the hash itself is what is signed.
        KeyKind::Ed25519 => UnparsedPublicKey::new(&crypto::ED25519, &key.octets)
            .verify(header.as_ref(), &signature.value)
            .is_ok(),
    };
    let Some((body_hash, octets)) = body else {
        return (DkimResult::TempError, "the body was not hashed".to_owned());
    };
    match signature.length {
        Some(length) if length > *octets => {
            return (DkimResult::PermError, "its l= is longer than the body".to_owned());
        }
        // RFC 6376 §8.2: anybody may have written the rest.
        Some(length) if length < *octets => {
            return (DkimResult::Policy, "its l= leaves a part of the body unsigned".to_owned());
        }
        _ => {}
    }
    if body_hash != &signature.body_hash {
        return (DkimResult::Fail, "the body was changed".to_owned());
    }
    match right {
        true => (DkimResult::Pass, String::new()),
        false => (DkimResult::Fail, "the signature does not fit header and key".to_owned()),
    }
}
