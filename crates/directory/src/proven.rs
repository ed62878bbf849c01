//! A bounded memory of logins that were proven, so that the next one need not hash.
//!
//! Holds only keyed hashes of (address, password, stored hash), with a key of this process: nothing
//! in it can be used elsewhere, and a changed password misses by itself.

use crate::limits::PROVEN_MAX;
use blake2::Blake2sMac256;
use blake2::digest::{KeyInit, Mac};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use sys::random::Random;

/// The memory.
pub struct Proven {
    key: [u8; 32],
    known: Mutex<HashSet<[u8; 32]>>,
}

impl Proven {
    /// An empty memory with a fresh key.
    pub fn new(random: &dyn Random) -> Proven {
        let mut key = [0; 32];
        random.fill(&mut key);
        Proven { key, known: Mutex::default() }
    }

    /// This very login was proven before.
    pub fn knows(&self, parts: [&str; 3]) -> bool {
        let mac = self.of(parts);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&mac)
    }

    /// This login has been proven. A full memory starts anew: the price is one hash each.
    pub fn learn(&self, parts: [&str; 3]) {
        let mac = self.of(parts);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PROVEN_MAX {
            known.clear();
        }
        known.insert(mac);
    }

    /// A keyed hash, good in this process only.
    pub fn of(&self, parts: [&str; 3]) -> [u8; 32] {
        let Ok(mut mac) = Blake2sMac256::new_from_slice(&self.key) else { return [0; 32] };
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sys::random::SystemRandom;

    #[test]
    fn only_the_same_login_is_known() {
        let proven = Proven::new(&SystemRandom);
        proven.learn(["a@x", "secret", "$hash"]);
        assert!(proven.knows(["a@x", "secret", "$hash"]));
        assert!(!proven.knows(["a@x", "secret", "$other"]));
        assert!(!proven.knows(["a@xs", "ecret", "$hash"]));
    }
}
