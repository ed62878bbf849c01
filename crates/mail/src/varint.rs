//! Numbers of stored forms, in groups of seven bits: the lowest first, the last below 0x80.

/// Appends a number: 1 to 10 octets.
#[inline]
pub fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Takes a number from the front; `None` where there is none of 64 bits.
#[inline]
pub fn take(from: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        let group = u64::from(byte & 0x7f);
        if shift == 63 && group > 1 {
            return None;
        }
        n |= group << shift;
        if *byte < 0x80 {
            return Some(n);
        }
    }
    None
}

/// Octets that [`put`] appends.
pub fn octets(n: u64) -> usize {
    (64 - (n | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_nothing_longer_is_taken() {
        for n in (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit]).chain([u64::MAX]) {
            let mut out = Vec::new();
            put(&mut out, n);
            assert_eq!(out.len(), octets(n));
            assert_eq!(take(&mut &out[..out.len() - 1]), None);
            let mut from = &out[..];
            assert_eq!((take(&mut from), from), (Some(n), &[][..]));
        }
        assert_eq!(
            take(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02][..]),
            None
        );
        assert_eq!(take(&mut &[0x80; 11][..]), None);
    }
}
