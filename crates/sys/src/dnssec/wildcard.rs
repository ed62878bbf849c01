//! Answers that come from a wildcard. RFC 4035 §5.3.4, RFC 5155 §8.8.
//!
//! hickory takes right ones for wrong where NSEC proves them, and where an alias leads to one
//! (hickory-dns pull request 3812), and for secure where nobody can know, so the proof is looked at
//! again here.

use super::denial::{covers, covers_hash};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, RRSIG};
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

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
