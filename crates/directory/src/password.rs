//! Password hashes: Argon2id in PHC strings. RFC 9106 §4.

use crate::limits::PASSWORD_OCTETS_MAX;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time;
use std::borrow::Cow;

/// What a new hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
}

impl Default for Cost {
    /// 19 MiB and two passes: what OWASP asks for at least, and fit for a machine of 512 MB.
    fn default() -> Cost {
        Cost { memory_kib: 19 * 1024, passes: 2 }
    }
}

/// The password as SASLprep prepares it; what cannot be prepared stays as it is, as clients have
/// it.
/// RFC 4013, RFC 5802 §2.2 `Normalize`.
pub fn prepared(password: &str) -> Cow<'_, str> {
    stringprep::saslprep(password).ok().filter(|it| !it.is_empty()).unwrap_or(password.into())
}

/// Hashes a password. The error says what is wrong with it.
pub fn hash(password: &str, salt: &[u8], cost: Cost) -> Result<String, String> {
    if password.is_empty() || password.len() > PASSWORD_OCTETS_MAX {
        return Err(format!("a password has 1 to {PASSWORD_OCTETS_MAX} octets"));
    }
    let made = || -> Option<PasswordHash> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).ok()?;
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        let password = prepared(password);
        let output = derive(&password, salt, algorithm, version, &params, OUTPUT_OCTETS)?;
        Some(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params).ok()?,
            salt: Salt::new(salt).ok(),
            hash: Output::new(&output).ok(),
        })
    };
    let made = made().ok_or("auth.hash_memory_kib and auth.hash_passes cannot be used")?;
    Ok(made.to_string())
}

/// Octets of a new hash.
const OUTPUT_OCTETS: usize = 32;

/// The password is the one that was hashed.
pub fn verify(password: &str, hash: &str) -> bool {
    let right = || -> Option<bool> {
        let hash = PasswordHash::new(hash).ok()?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version =
            hash.version.map_or(Some(Version::default()), |v| Version::try_from(v).ok())?;
        let (params, salt) = (Params::try_from(&hash).ok()?, hash.salt.as_ref()?);
        let wanted = hash.hash.as_ref()?.as_bytes();
        let output = derive(password, salt, algorithm, version, &params, wanted.len())?;
        Some(constant_time::verify_slices_are_equal(&output, wanted).is_ok())
    };
    right().unwrap_or(false)
}

/// The hash itself. The memory it works in goes back to the system: a block of some 20 MB that is
/// freed makes glibc's malloc keep such blocks from then on, one for each thread that hashes
/// (M_MMAP_THRESHOLD in mallopt(3)); one of more than 32 MB never does. What is not used of it
/// costs nothing but addresses.
fn derive(
    password: &str,
    salt: &[u8],
    algorithm: Algorithm,
    version: Version,
    params: &Params,
    octets: usize,
) -> Option<Vec<u8>> {
    const NEVER_KEPT_OCTETS: usize = 40 << 20;
    let blocks = params.block_count();
    let mut memory = Vec::new();
    memory.try_reserve_exact(blocks.max(NEVER_KEPT_OCTETS / Block::SIZE)).ok()?;
    memory.resize(blocks, Block::new());
    let mut output = vec![0; octets];
    let hasher = Argon2::new(algorithm, version, params.clone());
    hasher.hash_password_into_with_memory(password.as_bytes(), salt, &mut output, memory).ok()?;
    Some(output)
}

/// The text is a hash that [`verify`] understands.
pub fn is_hash(text: &str) -> bool {
    text.starts_with("$argon2") && PasswordHash::new(text).is_ok()
}

/// KiB that its check fills, in all passes.
pub fn memory_kib(hash: &str) -> u64 {
    let params = PasswordHash::new(hash).ok().and_then(|hash| Params::try_from(&hash).ok());
    params.map_or(0, |params| u64::from(params.m_cost()).saturating_mul(params.t_cost().into()))
}

/// A hash that costs as much to verify as any other.
pub fn decoy(cost: Cost) -> String {
    hash("decoy", b"no such user....", cost).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn au_1_the_decoy_costs_what_a_password_costs() {
        for (memory_kib, passes) in [(8, 1), (64, 3), (19 * 1024, 2)] {
            let cost = Cost { memory_kib, passes };
            let parameters = |hash: String| hash.split('$').take(4).map(str::to_owned).collect();
            let (real, decoy): (Vec<_>, Vec<_>) =
                (parameters(hash("x", &[7; 16], cost).unwrap()), parameters(decoy(cost)));
            assert_eq!(real, decoy);
            assert_eq!(real[3], format!("m={memory_kib},t={passes},p=1"));
        }
    }

    #[test]
    fn hashes_verify_and_only_the_right_password() {
        let cost = Cost { memory_kib: 64, passes: 1 };
        let made = hash("correct horse", b"0123456789abcdef", cost).unwrap();
        assert!(made.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{made}");
        assert!(verify("correct horse", &made) && is_hash(&made));
        assert!(!verify("Correct horse", &made) && !verify("", &made));
        assert!(!verify("x", "not a hash") && !is_hash("secret"));
        assert!(hash("", b"0123456789abcdef", cost).is_err());
        assert!(verify("decoy", &decoy(cost)));
        // `echo -n password | argon2 somesalt -id -t 2 -k 256 -p 1`, the reference implementation.
        let known = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$\
                     nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(verify("password", known) && !verify("Password", known));
    }
}
