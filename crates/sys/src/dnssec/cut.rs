//! Delegations that are not signed. RFC 4035 §5.2, RFC 5155 §8.9, RFC 6840 §4.4.
//!
//! hickory looks for them from a name upwards, and asks for NS records on its way: name servers
//! that only know addresses, as large providers of mail have them, do not answer that rightly, and
//! their unsigned names were wrong then. From the root downwards nobody has to be asked but those
//! who delegate.

use super::denial::{covers_hash, is_of_hash};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::dnssec::rdata::DNSSECRData;
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::{Name, RData, RecordType, RecordTypeSet};

/// The answer to a question for DS has them, proven.
pub(super) fn is_signed(zone: &Name, answer: &Message) -> bool {
    let is_ds = |kind| kind == RecordType::DS;
    answer.answers.iter().any(|record| {
        record.name == *zone && is_ds(record.record_type()) && record.proof == Proof::Secure
    })
}

/// It proves that there are none although there is a zone, or may be one: said by the signed zone
/// above.
pub(super) fn is_unsigned(zone: &Name, above: &Name, answer: &Message) -> bool {
    let mut proofs = answer.authorities.iter().filter(|record| record.proof == Proof::Secure);
    proofs.any(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
            above.zone_of(zone) && record.name == *zone && is_bare(nsec.type_set())
        }
        RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) if record.name.base_name() == *above => {
            let covered = || covers_hash(&record.name, nsec3, zone) && nsec3.opt_out();
            match is_of_hash(&record.name, nsec3, zone) {
                true => is_bare(nsec3.type_set()),
                false => covered(),
            }
        }
        _ => false,
    })
}

/// A delegation without DS, as the zone above has it.
fn is_bare(kinds: &RecordTypeSet) -> bool {
    let has = |kind| kinds.contains(kind);
    has(RecordType::NS) && !has(RecordType::DS) && !has(RecordType::SOA)
}
