//! What records of names deny that there are others. RFC 4034 §4, RFC 5155 §3.

use data_encoding::BASE32HEX_NOPAD;
use hickory_resolver::proto::dnssec::rdata::{NSEC, NSEC3};
use hickory_resolver::proto::rr::Name;

/// Rounds of NSEC3 that are still worth a proof. RFC 9276 §3.2.
const ROUNDS_MAX: u16 = 100;

/// RFC 4034 §4.1.1, §6.1: it lies between the two names, or behind the last one, and is no part of
/// the next one, which would mean that it exists.
pub(super) fn covers(owner: &Name, nsec: &NSEC, name: &Name) -> bool {
    let next = nsec.next_domain_name();
    let last = next <= owner;
    // RFC 6840 §4.1: the parent's side of a zone cut says nothing of what is below.
    let is_cut = nsec.is_ancestor_delegation() && owner.zone_of(name);
    !is_cut && owner < name && (name < next || (last && next.zone_of(name))) && !name.zone_of(next)
}

/// RFC 5155 §1.3: the same by hashes.
pub(super) fn covers_hash(owner: &Name, nsec3: &NSEC3, name: &Name) -> bool {
    let Some((from, hash)) = hashes(owner, nsec3, name) else { return false };
    let (from, hash, to) = (from.as_slice(), hash.as_ref(), nsec3.next_hashed_owner_name());
    if from < to { from < hash && hash < to } else { from < hash || hash < to }
}

/// It is the record of this name. RFC 5155 §1.3.
pub(super) fn is_of_hash(owner: &Name, nsec3: &NSEC3, name: &Name) -> bool {
    hashes(owner, nsec3, name).is_some_and(|(from, hash)| from == hash.as_ref())
}

/// That of the owner, and that of a name.
fn hashes(owner: &Name, nsec3: &NSEC3, name: &Name) -> Option<(Vec<u8>, impl AsRef<[u8]>)> {
    let from = BASE32HEX_NOPAD.decode(&owner.iter().next()?.to_ascii_uppercase()).ok()?;
    if nsec3.iterations() > ROUNDS_MAX {
        return None;
    }
    let hash = nsec3.hash_algorithm().hash(nsec3.salt(), name, nsec3.iterations()).ok()?;
    Some((from, hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::dnssec::Nsec3HashAlgorithm;
    use hickory_resolver::proto::rr::RecordType;
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
        // RFC 5155 A: H(x.w.example), whose record is another.
        let other = name("b4um86eghhds6nea196smvmlo4ors995.example.");
        assert!(is_of_hash(&other, &nsec3(12, next), &name("x.w.example.")));
        assert!(!is_of_hash(&owner, &nsec3(12, next), &name("x.w.example.")));
        for other in ["w.example.", "a.z.w.example.", "example."] {
            assert!(!covers_hash(&owner, &nsec3(12, next), &name(other)), "{other}");
        }
        assert!(!covers_hash(&owner, &nsec3(ROUNDS_MAX + 1, next), &name("z.w.example.")));
        assert!(!covers_hash(&name("uuu1.example."), &nsec3(12, next), &name("z.w.example.")));
    }
}
