//! Hashes of other servers: Dovecot's schemes and those of `/etc/shadow`. They are verified, never
//! made: with the first login an account gets a hash of our own.
//!
//! `{SCHEME}hash`, `{SCHEME.HEX}` and `{SCHEME.B64}` as Dovecot writes them, or crypt(3)'s
//! `$id$…` alone. A password in clear is no hash and is hashed at import instead.

use crate::limits::{
    IMPORTED_ARGON2_MIB_MAX, IMPORTED_BCRYPT_MAX, IMPORTED_ROUNDS_MAX, IMPORTED_YESCRYPT_MIB_MAX,
};
use crate::md5_crypt;
use crate::password;
use crate::scram::Verifier;
use argon2::password_hash::PasswordVerifier;
use aws_lc_rs::{constant_time, digest, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use protocol::sasl::scram::Hash;
use sha_crypt::ShaCrypt;
use std::num::NonZeroU32;
use yescrypt::Yescrypt;

/// Rounds of PBKDF2 and SHA-crypt beyond which a text is no hash.
const ROUNDS_MAX: u32 = 10_000_000;

/// Octets of an MD5 digest.
const MD5_OCTETS: usize = 16;

/// A hash, read.
enum Imported {
    /// `$1$`
    Md5Crypt { salt: String, key: String },
    /// A digest by MD5, of password and salt.
    Md5 { digest: Vec<u8>, salt: Vec<u8> },
    /// What SCRAM needs to know.
    Scram(Hash, NonZeroU32, Verifier),
    /// `$2a$`, `$2b$`, `$2y$`
    Bcrypt(String),
    /// `$5$`, `$6$`
    ShaCrypt(String),
    /// `$y$`
    Yescrypt(String),
    /// `$argon2i$`, `$argon2id$`
    Argon2(String),
    /// A digest of password and salt.
    Digest { algorithm: &'static digest::Algorithm, digest: Vec<u8>, salt: Vec<u8> },
    /// Dovecot's PBKDF2, with HMAC-SHA-1.
    Pbkdf2 { rounds: NonZeroU32, salt: Vec<u8>, key: Vec<u8> },
}

/// The text is a hash of another server that [`verify`] understands.
pub fn is_hash(text: &str) -> bool {
    read(text).is_some()
}

/// The password is the one that was hashed.
pub fn verify(text: &str, hash: &str) -> bool {
    let octets = text.as_bytes();
    match read(hash) {
        None => false,
        Some(Imported::Md5Crypt { salt, key }) => {
            let found = md5_crypt::crypt(octets, salt.as_bytes());
            constant_time::verify_slices_are_equal(found.as_bytes(), key.as_bytes()).is_ok()
        }
        Some(Imported::Md5 { digest, salt }) => {
            let found = md5_crypt::digest(&[octets, &salt]);
            constant_time::verify_slices_are_equal(&found, &digest).is_ok()
        }
        Some(Imported::Scram(hash, rounds, kept)) => {
            let found = Verifier::new(hash, text, &kept.salt, rounds);
            constant_time::verify_slices_are_equal(&found.stored_key, &kept.stored_key).is_ok()
        }
        Some(Imported::Bcrypt(hash)) => bcrypt::verify(octets, &hash).unwrap_or(false),
        Some(Imported::ShaCrypt(hash)) => {
            ShaCrypt::default().verify_password(octets, hash.as_str()).is_ok()
        }
        Some(Imported::Yescrypt(hash)) => {
            Yescrypt::default().verify_password(octets, hash.as_str()).is_ok()
        }
        Some(Imported::Argon2(hash)) => password::verify(text, &hash),
        Some(Imported::Digest { algorithm, digest: expected, salt }) => {
            let mut context = digest::Context::new(algorithm);
            context.update(octets);
            context.update(&salt);
            let found = context.finish();
            constant_time::verify_slices_are_equal(found.as_ref(), &expected).is_ok()
        }
        Some(Imported::Pbkdf2 { rounds, salt, key }) => {
            pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA1, rounds, &salt, octets, &key).is_ok()
        }
    }
}

/// Its check takes so long that a wrong password is answered late.
pub fn is_too_dear(text: &str) -> bool {
    let rounds = match read(text) {
        Some(Imported::Scram(_, rounds, _) | Imported::Pbkdf2 { rounds, .. }) => rounds.get(),
        Some(Imported::ShaCrypt(hash)) => {
            let rounds = hash.split('$').nth(2).and_then(|field| field.strip_prefix("rounds="));
            rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(0)
        }
        Some(Imported::Bcrypt(hash)) => {
            let cost = hash.split('$').nth(2).and_then(|cost| cost.parse().ok());
            return cost.is_none_or(|cost: u32| cost > IMPORTED_BCRYPT_MAX);
        }
        Some(Imported::Yescrypt(hash)) => {
            let costs = hash.split('$').nth(2).and_then(|costs| costs.parse().ok());
            let octets = |costs: yescrypt::Params| {
                let blocks = costs.n().saturating_mul(u64::from(costs.r()));
                blocks.saturating_mul(u64::from(costs.p())).saturating_mul(128)
            };
            return costs.is_none_or(|costs| octets(costs) >> 20 > IMPORTED_YESCRYPT_MIB_MAX);
        }
        Some(Imported::Argon2(hash)) => {
            return password::memory_kib(&hash) >> 10 > IMPORTED_ARGON2_MIB_MAX;
        }
        Some(Imported::Md5Crypt { .. } | Imported::Md5 { .. } | Imported::Digest { .. }) | None => {
            0
        }
    };
    rounds > IMPORTED_ROUNDS_MAX
}

fn read(text: &str) -> Option<Imported> {
    if text.len() > 1024 || text.contains(|c: char| c.is_control() || c == ' ') {
        return None;
    }
    let Some((scheme, rest)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) else {
        return crypt(text);
    };
    let scheme = scheme.to_ascii_uppercase();
    let (name, encoding) = scheme.split_once('.').unwrap_or((&scheme, ""));
    match name {
        "CRYPT" | "MD5-CRYPT" | "BLF-CRYPT" | "SHA256-CRYPT" | "SHA512-CRYPT" | "ARGON2I"
        | "ARGON2ID" => crypt(rest),
        "SCRAM-SHA-1" => scram(Hash::Sha1, digest::SHA1_OUTPUT_LEN, rest),
        "SCRAM-SHA-256" => scram(Hash::Sha256, digest::SHA256_OUTPUT_LEN, rest),
        "PLAIN-MD5" => md5(rest, if encoding.is_empty() { "HEX" } else { encoding }, false),
        "LDAP-MD5" => md5(rest, encoding, false),
        "SMD5" => md5(rest, encoding, true),
        "PBKDF2" => pbkdf2(rest),
        "SHA" | "SHA1" => digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, rest, encoding, false),
        "SSHA" => digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, rest, encoding, true),
        "SHA256" => digest(&digest::SHA256, rest, encoding, false),
        "SSHA256" => digest(&digest::SHA256, rest, encoding, true),
        "SHA512" => digest(&digest::SHA512, rest, encoding, false),
        "SSHA512" => digest(&digest::SHA512, rest, encoding, true),
        _ => None,
    }
}

/// crypt(3): what the hash begins with says what it is. None of its fields may be empty, and the
/// hash is whole: libraries take the start of one for the hash itself.
fn crypt(text: &str) -> Option<Imported> {
    let mut fields = text.strip_prefix('$')?.split('$');
    if fields.clone().any(str::is_empty) {
        return None;
    }
    let id = fields.next()?;
    let count = fields.clone().count();
    let length = fields.clone().next_back()?.len();
    let rounds = fields.next()?.strip_prefix("rounds=").map(str::parse::<u32>);
    let fine = !matches!(rounds, Some(Err(_))) && !matches!(rounds, Some(Ok(n)) if n > ROUNDS_MAX);
    let text = text.to_owned();
    match id {
        "1" if count == 2 && length == 22 => {
            let (salt, key) = text.strip_prefix("$1$")?.split_once('$')?;
            Some(Imported::Md5Crypt { salt: salt.to_owned(), key: key.to_owned() })
        }
        "2a" | "2b" | "2y" if count == 2 && length == 53 => Some(Imported::Bcrypt(text)),
        "5" | "6" if count == 2 + usize::from(rounds.is_some()) && fine => {
            let whole = if id == "5" { 43 } else { 86 };
            (length == whole).then_some(Imported::ShaCrypt(text))
        }
        "y" if count == 3 && length == 43 => Some(Imported::Yescrypt(text)),
        "argon2i" | "argon2id" if password::is_hash(&text) => Some(Imported::Argon2(text)),
        _ => None,
    }
}

/// `$1$salt$rounds$key`, the key in hexadecimal.
fn pbkdf2(text: &str) -> Option<Imported> {
    let fields: Vec<&str> = text.split('$').collect();
    let ["", "1", salt, rounds, key] = fields.as_slice() else { return None };
    let rounds = rounds.parse().ok().filter(|n: &NonZeroU32| n.get() <= ROUNDS_MAX)?;
    let key = hex(key).filter(|key| key.len() == digest::SHA1_OUTPUT_LEN)?;
    Some(Imported::Pbkdf2 { rounds, salt: salt.as_bytes().to_vec(), key })
}

/// A digest, and behind it the salt where there is one.
fn digest(
    algorithm: &'static digest::Algorithm,
    text: &str,
    encoding: &str,
    salted: bool,
) -> Option<Imported> {
    let (digest, salt) = parted(text, encoding, algorithm.output_len(), salted)?;
    Some(Imported::Digest { algorithm, digest, salt })
}

fn md5(text: &str, encoding: &str, salted: bool) -> Option<Imported> {
    let (digest, salt) = parted(text, encoding, MD5_OCTETS, salted)?;
    Some(Imported::Md5 { digest, salt })
}

/// Digest and salt.
fn parted(text: &str, encoding: &str, octets: usize, salted: bool) -> Option<(Vec<u8>, Vec<u8>)> {
    let both = match encoding {
        "" | "B64" => STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()?,
        "HEX" => hex(text)?,
        _ => return None,
    };
    let (digest, salt) = both.split_at_checked(octets)?;
    (salted != salt.is_empty()).then(|| (digest.to_vec(), salt.to_vec()))
}

/// `iterations,salt,StoredKey,ServerKey`, as Dovecot has it; the last is made anew.
fn scram(hash: Hash, octets: usize, text: &str) -> Option<Imported> {
    let fields: Vec<&str> = text.split(',').collect();
    let [rounds, salt, stored, server] = fields.as_slice() else { return None };
    let rounds = rounds.parse().ok().filter(|n: &NonZeroU32| n.get() <= ROUNDS_MAX)?;
    let key = |text: &str| STANDARD.decode(text).ok().filter(|key| key.len() == octets);
    let (salt, stored_key, server_key) = (STANDARD.decode(salt).ok()?, key(stored)?, key(server)?);
    let kept = Verifier { iterations: rounds.get(), salt, stored_key, server_key };
    Some(Imported::Scram(hash, rounds, kept))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    let octet = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    pairs.map(octet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Debian's crypt(3), Dovecot's doveadm and Python's hashlib; all are of `secret`.
    const HASHES: [&str; 20] = [
        "$1$saltsalt$9xy1btjgzLYfb7hivXtC//",
        "{MD5-CRYPT}$1$neabZCnq$DDPjDMTmuBZUFQU8fg4hZ/",
        "{SMD5}bnH23mv1Px0hyWe7sQxQjiU4bf0=",
        "{LDAP-MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==",
        "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69",
        "{SCRAM-SHA-256}4096,OUjm+RunT9diqXVq5HAxOw==,zuZFbcDXpz6udPxkNdndJahnXV/ZlMfw0gwqPNWHkHw=,b34j5T6JDjpzDko79/L4LpHet6mtOsGlszMCDa9Lbx0=",
        "{SCRAM-SHA-1}4096,eypaiAWhy7wNBpAJLnpetg==,PPNMNWqR0L/l4n75NA5ZCRdLoP0=,Qvsa+cnXg2rW0rBl8rIwpHYChFs=",
        "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0",
        "{CRYPT}$y$j9T$F5Jx5fExrKuPp53xLKQ..1$GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0",
        "{BLF-CRYPT}$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
        "$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.",
        "{SHA512-CRYPT}$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.",
        "{SHA256-CRYPT}$5$saltstring$C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.",
        "{SSHA}Wcm1xEisNjqp921ALcHfuQ7avFdzYWx0MTIzNA==",
        "{SSHA256}lXT7qF+fT7OVoVlwD0tMd02E1ak2dLDbk993wZxIM65zYWx0MTIzNA==",
        "{ssha256.b64}lXT7qF+fT7OVoVlwD0tMd02E1ak2dLDbk993wZxIM65zYWx0MTIzNA==",
        "{SSHA512}Enu6C74BUnsH3FJ5DbcJeTfPKMqMpMZOm66wJaf/iZqtrDfdcDyFhEmcwbcWyY5CUEDqbpdskEI2yPdeCZGVPXNhbHQxMjM0",
        "{SHA256.HEX}2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
        "{PBKDF2}$1$saltsalt$1000$8b09c61e3ddee1285f60003548fcfb0963b1e8e2",
        "$5$saltstring$C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.",
    ];

    #[test]
    fn hashes_of_others_verify_and_only_the_right_password() {
        for hash in HASHES {
            assert!(is_hash(hash) && verify("secret", hash), "{hash}");
            assert!(!verify("Secret", hash) && !verify("", hash), "{hash}");
            // A hash that is cut short proves nothing.
            for len in 0..hash.trim_end_matches('=').len() {
                assert!(!verify("secret", &hash[..len]), "{len} of {hash}");
            }
        }
    }

    #[test]
    fn au_1_what_takes_too_long_to_check_is_known() {
        let sha = |rounds: u32| HASHES[10].replace("$6$", &format!("$6$rounds={rounds}$"));
        let bcrypt = |cost: u32| HASHES[9].replace("$05$", &format!("${cost:02}$"));
        let pbkdf2 = |rounds: u32| HASHES[18].replace("$1000$", &format!("${rounds}$"));
        let scram = |rounds: u32| HASHES[5].replace("4096,", &format!("{rounds},"));
        let yescrypt = |cost: &str| HASHES[7].replace("$j9T$", &format!("${cost}$"));
        let argon2 = |kib: u32, passes: u32| {
            format!(
                "{{ARGON2ID}}$argon2id$v=19$m={kib},t={passes},p=1$c29tZXNhbHQ${}",
                "A".repeat(43)
            )
        };
        let (fine, dear) = (
            [sha(2_000_000), bcrypt(14), pbkdf2(2_000_000), scram(2_000_000), yescrypt("jDT")],
            [sha(2_000_001), bcrypt(15), pbkdf2(2_000_001), scram(2_000_001), yescrypt("jET")],
        );
        let (fine, dear) = (
            fine.into_iter().chain([argon2(1 << 19, 2)]),
            dear.into_iter().chain([argon2(1 << 19, 3), argon2(1 << 21, 1)]),
        );
        for hash in fine.chain(HASHES.map(str::to_owned)) {
            assert!(is_hash(&hash) && !is_too_dear(&hash), "{hash}");
        }
        for hash in dear {
            assert!(is_hash(&hash) && is_too_dear(&hash), "{hash}");
        }
        assert!(!is_too_dear("secret"));
    }

    #[test]
    fn what_is_no_hash_is_none() {
        for text in [
            "",
            "secret",
            "{PLAIN}secret",
            "{SSHA256}",
            "{SHA256}x",
            "$6$",
            "$6$salt$",
            "$y$j9T$salt$",
            "$1$salt$hash",
            "{CRAM-MD5}cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56",
            "{SCRAM-SHA-256}4096,AAAA,AAAA,AAAA",
            "$6$rounds=999999999$salt$hash",
            "{PBKDF2}$1$salt$0$00",
            "{PBKDF2}$1$salt$1$",
            "$5$a$b\n$c",
        ] {
            assert!(!is_hash(text) && !verify("secret", text), "{text}");
        }
    }
}
