//! Answers that come from a wildcard. RFC 4035 §5.3.4, RFC 5155 §8.8.
//!
//! hickory takes right ones for wrong where NSEC proves them, and where an alias leads to one
//! (hickory-dns pull request 3812), and for secure where nobody can know, so the proof is looked at
//! again here.

use data_encoding::BASE32HEX_NOPAD;
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, NSEC, NSEC3, RRSIG};
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// Rounds of NSEC3 that are still worth a proof. RFC 9276 §3.2.
const ROUNDS_MAX: u16 = 100;

/// What is known of a name that a wildcard may stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closer {
    /// Nothing closer exists.
    Nothing,
    /// There may be a zone that is not signed. RFC 5155 §6, §9.2: no answer is secure then.
    Unsigned,
    /// It is not proven.
    Unknown,
}

/// The answer's records, if everything was signed, or is known to be unsigned, and where a wildcard
/// stands for a name there is proof that nothing closer exists.
pub(super) fn proven(message: &Message) -> Option<Vec<Record>> {
    let signed = |record: &&Record| record.record_type() != RecordType::RRSIG;
    let mut records = Vec::new();
    for record in message.answers.iter().filter(signed) {
        let mut record = record.clone();
        match (record.proof, closer(&record, message)) {
            (Proof::Insecure, _) | (Proof::Secure, Some(Closer::Nothing)) => {}
            (Proof::Secure, Some(Closer::Unsigned)) => record.proof = Proof::Insecure,
            _ => return None,
        }
        records.push(record);
    }
    (!records.is_empty()).then_some(records)
}

/// Whether a wildcard stands for a name in an answer.
pub(super) fn is_there(records: &[Record]) -> bool {
    records.iter().any(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => {
            signature.input().num_labels < record.name.num_labels()
        }
        _ => false,
    })
}

/// What stands between a record's name and the wildcard that it may come from.
fn closer(record: &Record, message: &Message) -> Option<Closer> {
    let signature = signature(record, message)?;
    let labels = signature.input().num_labels;
    if labels >= record.name.num_labels() {
        return Some(Closer::Nothing);
    }
    Some(known_closer(&record.name, labels, signature, message))
}

/// The signature that proves a record.
fn signature<'a>(record: &Record, message: &'a Message) -> Option<&'a RRSIG> {
    message.answers.iter().find_map(|other| match &other.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature))
            if other.proof == Proof::Secure
                && other.name == record.name
                && signature.input().type_covered == record.record_type() =>
        {
            Some(signature)
        }
        _ => None,
    })
}

/// Of the name that is one label longer than what the wildcard is below.
fn known_closer(name: &Name, labels: u8, signature: &RRSIG, message: &Message) -> Closer {
    let mut next_closer = name.trim_to(usize::from(labels) + 1);
    next_closer.set_fqdn(true);
    let zone = &signature.input().signer_name;
    for record in message.authorities.iter().filter(|record| record.proof == Proof::Secure) {
        match &record.data {
            RData::DNSSEC(DNSSECRData::NSEC(nsec))
                if zone.zone_of(&record.name) && covers(&record.name, nsec, &next_closer) =>
            {
                return Closer::Nothing;
            }
            RData::DNSSEC(DNSSECRData::NSEC3(nsec3))
                if record.name.base_name() == *zone
                    && covers_hash(&record.name, nsec3, &next_closer) =>
            {
                return if nsec3.opt_out() { Closer::Unsigned } else { Closer::Nothing };
            }
            _ => {}
        }
    }
    Closer::Unknown
}

/// RFC 4034 §4.1.1, §6.1: it lies between the two names, or behind the last one, and is no part of
/// the next one, which would mean that it exists.
fn covers(owner: &Name, nsec: &NSEC, name: &Name) -> bool {
    let next = nsec.next_domain_name();
    let last = next <= owner;
    // RFC 6840 §4.1: the parent's side of a zone cut says nothing of what is below.
    let is_cut = nsec.is_ancestor_delegation() && owner.zone_of(name);
    !is_cut && owner < name && (name < next || (last && next.zone_of(name))) && !name.zone_of(next)
}

/// RFC 5155 §1.3: the same by hashes.
fn covers_hash(owner: &Name, nsec3: &NSEC3, name: &Name) -> bool {
    let Some(label) = owner.iter().next() else { return false };
    let Ok(from) = BASE32HEX_NOPAD.decode(&label.to_ascii_uppercase()) else { return false };
    if nsec3.iterations() > ROUNDS_MAX {
        return false;
    }
    let hash = nsec3.hash_algorithm().hash(nsec3.salt(), name, nsec3.iterations());
    let Ok(hash) = hash else { return false };
    let (from, hash, to) = (from.as_slice(), hash.as_ref(), nsec3.next_hashed_owner_name());
    if from < to { from < hash && hash < to } else { from < hash || hash < to }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::dnssec::Nsec3HashAlgorithm;
    use std::str::FromStr;

    fn name(text: &str) -> Name {
        Name::from_str(text).unwrap()
    }

    fn nsec(next: &str, kinds: &[RecordType]) -> NSEC {
        NSEC::new(name(next), kinds.iter().copied())
    }

    /// RFC 4035 B.6, and names around it.
    #[test]
    fn nsec_covers_what_lies_between() {
        let owner = name("x.y.w.example.");
        let example = nsec("xx.example.", &[RecordType::MX]);
        for covered in ["z.w.example.", "a.x.y.w.example."] {
            assert!(covers(&owner, &example, &name(covered)), "{covered}");
        }
        for other in ["x.y.w.example.", "xx.example.", "a.y.w.example.", "yy.example.", "example."]
        {
            assert!(!covers(&owner, &example, &name(other)), "{other}");
        }
        // The last name of a zone leads back to the first, and says nothing of other zones.
        let last = nsec("example.", &[RecordType::A]);
        assert!(covers(&name("xx.example."), &last, &name("zz.example.")));
        assert!(!covers(&name("xx.example."), &last, &name("zz.test.")));
        // A name that only has others below it exists.
        let above = nsec("a.b.example.", &[RecordType::A]);
        assert!(!covers(&name("aa.example."), &above, &name("b.example.")));
        assert!(covers(&name("aa.example."), &above, &name("ab.example.")));
        // RFC 6840 §4.1.
        let cut = nsec("z.example.", &[RecordType::NS]);
        assert!(!covers(&name("b.example."), &cut, &name("a.b.example.")));
        assert!(covers(&name("b.example."), &cut, &name("c.example.")));
    }

    /// RFC 5155 B.4.
    #[test]
    fn nsec3_covers_what_lies_between() {
        let nsec3 = |rounds, next: &str| {
            let next = BASE32HEX_NOPAD.decode(next.to_ascii_uppercase().as_bytes()).unwrap();
            let (sha1, salt) = (Nsec3HashAlgorithm::SHA1, vec![0xaa, 0xbb, 0xcc, 0xdd]);
            NSEC3::new(sha1, true, rounds, salt, next, [RecordType::A])
        };
        let owner = name("q04jkcevqvmu85r014c7dkba38o0ji5r.example.");
        let next = "r53bq7cc2uvmubfu5ocmm6pers9tk9en";
        assert!(covers_hash(&owner, &nsec3(12, next), &name("z.w.example.")));
        for other in ["w.example.", "a.z.w.example.", "example."] {
            assert!(!covers_hash(&owner, &nsec3(12, next), &name(other)), "{other}");
        }
        assert!(!covers_hash(&owner, &nsec3(ROUNDS_MAX + 1, next), &name("z.w.example.")));
        assert!(!covers_hash(&name("uuu1.example."), &nsec3(12, next), &name("z.w.example.")));
    }
}
