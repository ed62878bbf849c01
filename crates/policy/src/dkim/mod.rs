//! DKIM: a domain takes responsibility for a message by a signature. RFC 6376, RFC 8301 (which
//! algorithms), RFC 8463 (Ed25519), RFC 8616 (domains that are not ASCII).
//!
//! `canon.rs` says which octets are signed, `signature.rs` and `key.rs` read what senders write,
//! `verify.rs` and `sign.rs` do it. Bodies stream; nothing is read twice.

mod canon;
mod key;
mod sign;
mod signature;
mod verify;

use std::fmt;

pub use key::Key;
pub use sign::{Signer, SigningKey, new_ed25519, new_rsa};
pub use signature::Signature;
pub use verify::{Verified, Verifier};

/// What became of a signature. RFC 8601 §2.7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DkimResult {
    /// It is right.
    Pass,
    /// It is wrong.
    Fail,
    /// It is right, but does not cover enough.
    Policy,
    /// It cannot be read, or is of a kind that we do not know.
    Neutral,
    /// Its key could not be asked for now.
    TempError,
    /// Its key is not there, or is no good.
    PermError,
}

impl DkimResult {
    /// As in Authentication-Results.
    pub fn as_str(self) -> &'static str {
        match self {
            DkimResult::Pass => "pass",
            DkimResult::Fail => "fail",
            DkimResult::Policy => "policy",
            DkimResult::Neutral => "neutral",
            DkimResult::TempError => "temperror",
            DkimResult::PermError => "permerror",
        }
    }
}

impl fmt::Display for DkimResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// `rsa`.
    Rsa,
    /// `ed25519`. RFC 8463 §3.
    Ed25519,
}

impl KeyKind {
    /// As `k=` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyKind::Rsa => "rsa",
            KeyKind::Ed25519 => "ed25519",
        }
    }
}

#[cfg(test)]
mod tests;
