//! Mail that leaves is signed in the name of its author's domain, if that is ours. RFC 6376 §5.

use crate::accept::{Incoming, Receiving};
use crate::{DeliveryError, Shared, convert, trace};
use mail::Domain;
use mail::header;
use mail::summary::Summary;
use policy::dkim::{DkimResult, Signer, SigningKey, Verifier};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use store::{NewRecipient, Notify, Sealed, SigningKeyRow, StoreError};

/// Domains whose keys are kept ready.
const DOMAINS_MAX: usize = 1000;

/// Keys as they were read last, with the rows that they were read from: reading a key takes longer
/// than looking whether it is still the same.
#[derive(Default)]
pub(crate) struct ReadyKeys(Mutex<HashMap<Domain, Ready>>);

type Ready = (Vec<SigningKeyRow>, Arc<[SigningKey]>);

impl ReadyKeys {
    fn of(&self, domain: &Domain, rows: Vec<SigningKeyRow>) -> Arc<[SigningKey]> {
        let mut ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((from, keys)) = ready.get(domain)
            && *from == rows
        {
            return keys.clone();
        }
        let read = |row: &SigningKeyRow| SigningKey::new(domain, &row.selector, &row.secret);
        let keys: Arc<[SigningKey]> = rows.iter().filter_map(read).collect();
        if ready.len() >= DOMAINS_MAX {
            ready.clear();
        }
        ready.insert(domain.clone(), (rows, keys.clone()));
        keys
    }
}

/// The DKIM-Signature fields for a message that was read; empty if no domain of ours is its author,
/// or has no key, or another server is to sign. A domain without keys is signed for by the one
/// above it.
pub(crate) fn signatures(shared: &Shared, signer: Signer) -> Result<String, StoreError> {
    let author = signer.author().filter(|_| shared.settings.sign);
    let mut name = author.as_ref().map(Domain::as_str);
    while let Some(domain) = name {
        let domain_name = Domain::parse(domain).ok();
        if let Some(domain) = domain_name {
            let mut rows = shared.store.signing_keys(&domain)?;
            rows.retain(|row| !row.next);
            if !rows.is_empty() {
                let keys = shared.keys.of(&domain, rows);
                return Ok(signer.finish(&keys, shared.world.clock.unix_seconds()));
            }
        }
        name = domain.split_once('.').map(|(_, above)| above);
    }
    Ok(String::new())
}

/// Which DKIM-Signature fields, counted from the top, are ours and right. `head` is the header with
/// the empty line, `body` hands over what follows, piece by piece.
pub(crate) fn own(
    shared: &Shared,
    head: &[u8],
    body: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), StoreError>,
) -> Result<Vec<usize>, StoreError> {
    let mut verifier = Verifier::new(head, shared.world.clock.unix_seconds());
    let mut known = HashMap::new();
    for name in verifier.keys() {
        let domain = name.split_once("._domainkey.").map(|(_, domain)| Domain::parse(domain));
        let Some(Ok(domain)) = domain else { continue };
        let keys = shared.keys.of(&domain, shared.store.signing_keys(&domain)?);
        if let Some(key) = keys.iter().find(|key| key.name() == name) {
            known.insert(name, Ok(vec![key.record().into_bytes()]));
        }
    }
    if known.is_empty() {
        return Ok(Vec::new());
    }
    body(&mut |octets| verifier.feed(octets))?;
    let all = verifier.finish(&known).into_iter().enumerate();
    Ok(all.filter(|(_, one)| one.result == DkimResult::Pass).map(|(n, _)| n).collect())
}

/// A header without these of its DKIM-Signature fields.
pub(crate) fn without(head: &[u8], signatures: &[usize]) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len());
    let mut count = 0;
    for field in header::fields(head) {
        let is_signature = field.name.eq_ignore_ascii_case(b"DKIM-Signature");
        if !(is_signature && signatures.contains(&count)) {
            out.extend_from_slice(field.raw);
        }
        count += usize::from(is_signature);
    }
    out.extend_from_slice(head.get(header::octets(head)..).unwrap_or_default());
    out
}

/// Who logged in may have the message signed; for whoever is here nobody needs to vouch.
pub(crate) fn signer(incoming: &Incoming) -> Option<Signer> {
    let leaves = incoming.recipients.iter().any(|recipient| recipient.account.is_none());
    (incoming.authenticated.is_some() && leaves).then(Signer::default)
}

impl Receiving {
    /// The whole message in its final form, with the lines in front that are not there yet.
    pub(crate) fn put_together(&mut self, summary: &mut Summary) -> Result<Sealed, DeliveryError> {
        let mut spool = std::mem::replace(&mut self.spool, self.shared.store.spool());
        if self.incoming.binary {
            let binary = spool.seal()?;
            let signer = self.signer.as_mut();
            (spool, *summary) = convert::as_lines(&self.shared, &binary, summary, signer)?;
        }
        if let Some(received) = self.trace.take() {
            let return_path = trace::return_path(&self.incoming);
            let signed = match self.signer.take() {
                Some(signer) => signatures(&self.shared, signer)?,
                None => String::new(),
            };
            let front = format!("{return_path}{}{received}{signed}", self.judgement.lines);
            spool.prepend(front.as_bytes())?;
            summary.shift(front.len() as u64);
            if let Some(head) = &mut self.head {
                head.splice(..0, front.into_bytes());
            }
        }
        Ok(spool.seal()?)
    }

    /// Whoever is named as the sender did not send it, perhaps: no report goes there (users.md
    /// S-62).
    pub(crate) fn tell_nobody(&mut self, remote: &mut [NewRecipient]) {
        self.head = None;
        remote.iter_mut().for_each(|recipient| recipient.notify = Notify::NEVER);
    }
}
