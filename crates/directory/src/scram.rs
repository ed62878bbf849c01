//! SCRAM's arithmetic: verifiers made from passwords, proofs checked. RFC 5802 §3, RFC 7677 §3.

use crate::password::prepared;
use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use protocol::sasl::scram::Hash;
use std::num::NonZeroU32;

/// What is stored instead of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// Salt.
    pub salt: Vec<u8>,
    /// `StoredKey`
    pub stored_key: Vec<u8>,
    /// `ServerKey`
    pub server_key: Vec<u8>,
}

fn algorithms(hash: Hash) -> (pbkdf2::Algorithm, hmac::Algorithm, &'static digest::Algorithm) {
    match hash {
        Hash::Sha1 => (
            pbkdf2::PBKDF2_HMAC_SHA1,
            hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            &digest::SHA1_FOR_LEGACY_USE_ONLY,
        ),
        Hash::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, hmac::HMAC_SHA256, &digest::SHA256),
    }
}

fn mac(hash: Hash, key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithms(hash).1, key), text).as_ref().to_vec()
}

impl Verifier {
    /// The verifier of a password. Slow, as it has to be.
    pub fn new(hash: Hash, password: &str, salt: &[u8], iterations: NonZeroU32) -> Verifier {
        let (derivation, _, digest) = algorithms(hash);
        let prepared = prepared(password);
        let mut salted = vec![0; digest.output_len()];
        pbkdf2::derive(derivation, iterations, salt, prepared.as_bytes(), &mut salted);
        let client_key = mac(hash, &salted, b"Client Key");
        Verifier {
            iterations: iterations.get(),
            salt: salt.to_vec(),
            stored_key: digest::digest(digest, &client_key).as_ref().to_vec(),
            server_key: mac(hash, &salted, b"Server Key"),
        }
    }

    /// A verifier of nothing, for a user who is not there: salted by `key` so that the same name
    /// always gets the same salt, and proving nothing.
    pub fn decoy(hash: Hash, key: &[u8], user: &str, iterations: NonZeroU32) -> Verifier {
        let salt = mac(Hash::Sha256, key, user.to_lowercase().as_bytes());
        let nothing = vec![0; algorithms(hash).2.output_len()];
        Verifier {
            iterations: iterations.get(),
            salt: salt.get(..16).unwrap_or_default().to_vec(),
            stored_key: nothing.clone(),
            server_key: nothing,
        }
    }

    /// The server's signature, if the proof is right. Takes the same time either way.
    pub fn check(&self, hash: Hash, proof: &[u8], auth_message: &[u8]) -> Option<Vec<u8>> {
        let (_, _, digest) = algorithms(hash);
        let signature = mac(hash, &self.stored_key, auth_message);
        let client_key: Vec<u8> = signature.iter().zip(proof).map(|(a, b)| a ^ b).collect();
        let stored = digest::digest(digest, &client_key);
        let same = constant_time::verify_slices_are_equal(stored.as_ref(), &self.stored_key);
        let right = same.is_ok() && proof.len() == digest.output_len();
        right.then(|| mac(hash, &self.server_key, auth_message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// What one client says with a soft hyphen or a decomposed letter, another says without.
    #[test]
    fn passwords_are_prepared() {
        let rounds = NonZeroU32::new(1).unwrap();
        let made = |password| Verifier::new(Hash::Sha256, password, b"salt", rounds).stored_key;
        assert_eq!(made("I\u{ad}X\u{b2}"), made("IX2"));
        assert_eq!(made("u\u{308}"), made("\u{fc}"));
        assert_ne!(made("a\u{7}"), made("a"), "what cannot be prepared is as it was said");
    }

    /// The examples of RFC 5802 §5 and RFC 7677 §3.
    #[test]
    fn the_examples_of_the_rfcs() {
        let cases = [
            (
                Hash::Sha1,
                "QSXCR+Q6sek8bf92",
                "n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,\
                 s=QSXCR+Q6sek8bf92,i=4096,c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
                "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
                "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
            ),
            (
                Hash::Sha256,
                "W22ZaJ0SNY7soEsUEjb6gQ==",
                "n=user,r=rOprNGfwEbeRWgbNEkqO,\
                 r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
                 c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ),
        ];
        let rounds = NonZeroU32::new(4096).unwrap();
        for (hash, salt, auth_message, proof, signature) in cases {
            let verifier = Verifier::new(hash, "pencil", &STANDARD.decode(salt).unwrap(), rounds);
            let mut proof = STANDARD.decode(proof).unwrap();
            let signed = verifier.check(hash, &proof, auth_message.as_bytes()).unwrap();
            assert_eq!(STANDARD.encode(signed), signature);
            assert!(verifier.check(hash, &proof, b"another").is_none());
            proof.push(0);
            assert!(verifier.check(hash, &proof, auth_message.as_bytes()).is_none());
            assert!(verifier.check(hash, b"", auth_message.as_bytes()).is_none());
        }
    }
}
