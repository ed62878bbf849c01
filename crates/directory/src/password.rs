//! Password hashes: Argon2id in PHC strings. RFC 9106 §4.

use crate::limits::PASSWORD_OCTETS_MAX;
use argon2::password_hash::{CustomizedPasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};

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

/// Hashes a password. The error says what is wrong with it.
pub fn hash(password: &str, salt: &[u8], cost: Cost) -> Result<String, String> {
    if password.is_empty() || password.len() > PASSWORD_OCTETS_MAX {
        return Err(format!("a password has 1 to {PASSWORD_OCTETS_MAX} octets"));
    }
    let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|e| e.to_string())?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let hash: PasswordHash = hasher
        .hash_password_with_params(password.as_bytes(), salt, params)
        .map_err(|e| e.to_string())?;
    Ok(hash.to_string())
}

/// The password is the one that was hashed.
pub fn verify(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

/// The text is a hash that [`verify`] understands.
pub fn is_hash(text: &str) -> bool {
    text.starts_with("$argon2") && PasswordHash::new(text).is_ok()
}

/// A hash that costs as much to verify as any other.
pub fn decoy(cost: Cost) -> String {
    hash("decoy", b"no such user....", cost).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
