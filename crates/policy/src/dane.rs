//! DANE: what the TLSA records of a mail server ask of a connection to it. RFC 7672 §2.2, RFC 7671.

use sys::dnssec::Tlsa;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// TLS, with a certificate that one of these records fits.
    Proof(Vec<Tlsa>),
    /// TLS: the server has records, none of which can be used.
    Encryption,
}

/// SHA2-256(1). RFC 7218 §2.3.
const SHA_256: u8 = 1;
/// SHA2-512(2).
const SHA_512: u8 = 2;

/// What records ask that DNSSEC proves; there is one at least.
pub fn demand(records: &[Tlsa]) -> Demand {
    let usable: Vec<&Tlsa> = records.iter().filter(|record| is_usable(record)).collect();
    // RFC 7671 §9: beside a stronger digest a weaker one does not count.
    let outdone = |record: &Tlsa| {
        let stronger = |other: &&Tlsa| {
            (other.usage, other.selector) == (record.usage, record.selector)
                && other.matching == SHA_512
        };
        record.matching == SHA_256 && usable.iter().any(stronger)
    };
    let kept: Vec<Tlsa> =
        usable.iter().filter(|record| !outdone(record)).map(|record| (*record).clone()).collect();
    if kept.is_empty() { Demand::Encryption } else { Demand::Proof(kept) }
}

/// Usages 0 and 1 cannot be: RFC 7672 §3.1.3. RFC 6698 §2.1, §4.1.
fn is_usable(record: &Tlsa) -> bool {
    let length = record.data.len();
    let whole = match record.matching {
        0 => length > 0,
        SHA_256 => length == 32,
        SHA_512 => length == 64,
        _ => false,
    };
    matches!(record.usage, 2 | 3) && record.selector <= 1 && whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlsa(usage: u8, selector: u8, matching: u8, octets: usize) -> Tlsa {
        Tlsa { usage, selector, matching, data: vec![7; octets] }
    }

    /// RFC 7672 §2.2, §3.1.
    #[test]
    fn only_what_can_be_used_is_asked_for() {
        for fine in [
            tlsa(3, 1, 1, 32),
            tlsa(3, 0, 2, 64),
            tlsa(2, 0, 1, 32),
            tlsa(2, 1, 2, 64),
            tlsa(3, 1, 0, 91),
            tlsa(2, 0, 0, 700),
        ] {
            let alone = std::slice::from_ref(&fine);
            assert_eq!(demand(alone), Demand::Proof(vec![fine.clone()]));
            let with_others = [tlsa(0, 0, 1, 32), fine.clone(), tlsa(1, 1, 1, 32)];
            assert_eq!(demand(&with_others), Demand::Proof(vec![fine]));
        }
        for odd in [
            tlsa(0, 1, 1, 32),
            tlsa(1, 1, 1, 32),
            tlsa(4, 1, 1, 32),
            tlsa(255, 1, 1, 32),
            tlsa(3, 2, 1, 32),
            tlsa(3, 1, 3, 32),
            tlsa(3, 1, 1, 31),
            tlsa(3, 1, 1, 64),
            tlsa(3, 1, 2, 32),
            tlsa(3, 1, 0, 0),
        ] {
            assert_eq!(demand(std::slice::from_ref(&odd)), Demand::Encryption, "{odd:?}");
        }
    }

    /// RFC 7671 §9, and its example.
    #[test]
    fn a_weaker_digest_does_not_count_beside_a_stronger_one() {
        let [weak, strong, whole] = [tlsa(3, 1, 1, 32), tlsa(3, 1, 2, 64), tlsa(3, 1, 0, 91)];
        let all = [weak.clone(), strong.clone(), whole.clone()];
        assert_eq!(demand(&all), Demand::Proof(vec![strong, whole]));
        // Only of the same usage and selector, and only if it can be used.
        let others = [weak, tlsa(2, 1, 2, 64), tlsa(3, 0, 2, 64), tlsa(3, 1, 2, 63)];
        assert_eq!(demand(&others), Demand::Proof(others[..3].to_vec()));
    }
}
