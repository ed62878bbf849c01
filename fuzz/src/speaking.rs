//! What must hold of anything that strangers write to prove who they are. Apart from `lib.rs`, which
//! crates use that know no policy.

use mail::Domain;
use policy::dkim::{Key, Signature, Signer, Verifier};
use policy::judge::Inspector;
use policy::{dmarc, mta_sts, spf};
use std::collections::HashMap;

/// Records of SPF, DMARC and MTA-STS, its policies, keys of DKIM: each is read, or refused with one line that says why.
pub fn record(octets: &[u8]) {
    if let Err(why) = spf::check_record(octets) {
        assert!(!why.contains(char::is_control), "{why:?}");
    }
    let _ = Key::parse(octets);
    if let Some(record) = dmarc::Record::parse(octets) {
        assert!(octets.trim_ascii_start().starts_with(b"v"), "{record:?}");
    }
    if let Some(id) = mta_sts::record_id(&[octets.to_vec()]) {
        assert!((1..=32).contains(&id.len()) && id.is_ascii(), "{id:?}");
    }
    if let Ok(policy) = mta_sts::Policy::parse(octets) {
        assert_eq!(mta_sts::Policy::parse(policy.to_string().as_bytes()), Ok(policy));
    }
}

/// A message: its signatures are verified alike in any pieces, a signature of somebody never passes
/// without a key, and only fields that pretend to be ours go.
pub fn message(octets: &[u8]) {
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = octets.split_at(end.map_or(octets.len(), |at| at + 2));
    for field in mail::header::fields(head) {
        if let Ok(signature) = Signature::parse(field.value, 0) {
            assert!(
                signature.key_name().ends_with(&signature.domain.to_ascii().unwrap_or_default())
            );
        }
    }
    let verify = |size: usize| {
        let mut verifier = Verifier::new(head, 0);
        body.chunks(size).for_each(|piece| verifier.feed(piece));
        verifier.finish(&HashMap::new())
    };
    let found = verify(1);
    assert_eq!(found, verify(1000));
    assert!(found.iter().all(|one| one.result != policy::dkim::DkimResult::Pass));
    let Ok(name) = Domain::parse("mail.example.org") else { return };
    let keep = |size: usize| {
        let (mut inspector, mut kept) = (Inspector::new(name.clone(), 0), Vec::new());
        octets.chunks(size).for_each(|piece| inspector.feed(piece, &mut kept));
        inspector.finish(&mut kept);
        kept
    };
    let kept = keep(1);
    assert_eq!(kept, keep(1000));
    assert!(kept.len() <= octets.len());
    if !octets.to_ascii_lowercase().windows(22).any(|w| w == b"authentication-results") {
        assert_eq!(kept, octets);
    }
    let mut signer = Signer::default();
    octets.chunks(5).for_each(|piece| signer.feed(piece));
    let _ = signer.author();
}
