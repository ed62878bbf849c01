//! Hashes by MD5: crypt(3)'s `$1$`, which PostfixAdmin and old systems made, and Dovecot's digests.
//! They are verified, never made; with the first login an account gets a better one.
//!
//! MD5 itself is RustCrypto's. Of `$1$` there is no library that is kept: RustCrypto has none,
//! `pwhash` has rested for years, `md5crypt` and `crypt3_rs` are first releases of one person.

use md5::{Digest as _, Md5};

/// What crypt(3) writes six bits with.
const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The octets of a digest in the order in which crypt(3) writes them, by threes.
const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
/// Rounds.
const ROUNDS: usize = 1000;
/// Octets of salt that count.
const SALT_MAX: usize = 8;

/// The digest of texts, one behind the other.
pub fn digest(texts: &[&[u8]]) -> [u8; 16] {
    let mut md5 = Md5::new();
    texts.iter().for_each(|text| md5.update(text));
    md5.finalize().into()
}

/// The last field of `$1$salt$…` for a password.
pub fn crypt(password: &[u8], salt: &[u8]) -> String {
    let salt = salt.get(..SALT_MAX).unwrap_or(salt);
    let inner = digest(&[password, salt, password]);
    let mut first = Md5::new();
    [password, b"$1$", salt].iter().for_each(|text| first.update(text));
    for piece in password.chunks(inner.len()) {
        first.update(inner.get(..piece.len()).unwrap_or_default());
    }
    let mut bits = password.len();
    while bits > 0 {
        let start = password.get(..1).unwrap_or_default();
        first.update(if bits & 1 == 1 { &[0] } else { start });
        bits >>= 1;
    }
    let mut made: [u8; 16] = first.finalize().into();
    for round in 0..ROUNDS {
        let before = made;
        let (odd, nothing): (bool, &[u8]) = (round % 2 == 1, &[]);
        made = digest(&[
            if odd { password } else { &before },
            if round % 3 == 0 { nothing } else { salt },
            if round % 7 == 0 { nothing } else { password },
            if odd { &before } else { password },
        ]);
    }
    written(&made)
}

fn written(digest: &[u8; 16]) -> String {
    let octet = |at: usize| digest.get(at).map_or(0, |octet| usize::from(*octet));
    let threes = ORDER.iter().map(|[a, b, c]| (octet(*a) << 16 | octet(*b) << 8 | octet(*c), 4));
    let letters = threes.chain([(octet(11), 2)]).flat_map(|(bits, letters)| {
        (0..letters).map(move |n| LETTERS.get(bits >> (6 * n) & 63).copied().unwrap_or(b'.'))
    });
    letters.map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As OpenSSL and Debian's crypt(3) have it.
    #[test]
    fn crypt_is_that_of_others() {
        for (password, salt, made) in [
            ("secret", "saltsalt", "9xy1btjgzLYfb7hivXtC//"),
            ("secret", "neabZCnq", "DDPjDMTmuBZUFQU8fg4hZ/"),
            ("", "x", "fwjfZtMwarkdetsjiQreU1"),
            ("a password of more than sixteen octets", "ab", "kbFKOtvd98DCk6E6.MoX/."),
        ] {
            assert_eq!(crypt(password.as_bytes(), salt.as_bytes()), made, "{password}");
        }
    }
}
