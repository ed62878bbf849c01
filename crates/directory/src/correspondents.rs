//! Whom an account wrote to before. Somebody who stole a password writes to strangers, many of
//! them, so recipients that are new to an account are counted (users.md S-36).
//!
//! Of an address only a hash of eight octets is kept, of each account so many. They are written
//! down now and then ([`Directory::write_correspondents`]); a crash may forget the last minute,
//! and a recipient of then counts as new once more.

use crate::limits::{CORRESPONDENTS_MAX, WRITERS_MAX};
use crate::{Directory, Unavailable};
use blake2::Blake2s256;
use blake2::digest::Digest;
use mail::{AccountId, Address};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{MutexGuard, PoisonError};

/// The hash of an address.
type Hash = [u8; 8];

/// What is remembered, by account.
pub(crate) type Correspondents = HashMap<AccountId, Met>;

/// Whom one account wrote to.
#[derive(Default)]
pub(crate) struct Met {
    known: HashSet<Hash>,
    /// The one that was met first goes first when there are too many.
    order: VecDeque<Hash>,
    changed: bool,
}

fn hash(address: &Address) -> Hash {
    let mut out = [0; 8];
    let whole = Blake2s256::digest(address.key().as_bytes());
    out.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    out
}

impl Met {
    fn decode(octets: &[u8]) -> Met {
        let mut met = Met::default();
        let (hashes, _) = octets.as_chunks::<8>();
        hashes.iter().for_each(|hash| met.add(*hash));
        met.changed = false;
        met
    }

    fn encode(&self) -> Vec<u8> {
        self.order.iter().flatten().copied().collect()
    }

    fn add(&mut self, hash: Hash) {
        if !self.known.insert(hash) {
            return;
        }
        self.order.push_back(hash);
        if self.order.len() > CORRESPONDENTS_MAX
            && let Some(first) = self.order.pop_front()
        {
            self.known.remove(&first);
        }
        self.changed = true;
    }
}

impl Directory {
    fn correspondents(&self) -> MutexGuard<'_, Correspondents> {
        self.inner.correspondents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account wrote to this address before.
    pub fn has_met(&self, account: AccountId, address: &Address) -> Result<bool, Unavailable> {
        let hash = hash(address);
        if let Some(met) = self.correspondents().get(&account) {
            return Ok(met.known.contains(&hash));
        }
        let read = Met::decode(&self.store.correspondents(account)?);
        let mut all = self.correspondents();
        if all.len() >= WRITERS_MAX {
            all.retain(|_, met| met.changed);
        }
        // Somebody may have been faster, and may have met more.
        Ok(all.entry(account).or_insert(read).known.contains(&hash))
    }

    /// From now on it has.
    pub fn meet(&self, account: AccountId, address: &Address) {
        if let Some(met) = self.correspondents().get_mut(&account) {
            met.add(hash(address));
        }
    }

    /// Writes down whom accounts wrote to since the last time.
    pub async fn write_correspondents(&self) {
        let mut changed: Vec<(AccountId, Vec<u8>)> = Vec::new();
        for (account, met) in self.correspondents().iter_mut().filter(|(_, met)| met.changed) {
            met.changed = false;
            changed.push((*account, met.encode()));
        }
        for (account, octets) in changed {
            if let Err(error) = self.store.set_correspondents(account, octets).await {
                tracing::warn!(%error, "whom an account wrote to");
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_the_rest_is_kept() {
        let address = |n: usize| Address::parse(&format!("a{n}@example.net")).unwrap();
        let mut met = Met::default();
        for n in 0..=CORRESPONDENTS_MAX {
            met.add(hash(&address(n)));
        }
        let octets = met.encode();
        assert_eq!(octets.len(), CORRESPONDENTS_MAX * 8);
        let read = Met::decode(&octets);
        assert!(!read.changed && !read.known.contains(&hash(&address(0))));
        assert!((1..=CORRESPONDENTS_MAX).all(|n| read.known.contains(&hash(&address(n)))));
        assert!(read.known.contains(&hash(&Address::parse("A1@EXAMPLE.net").unwrap())));
        assert!(Met::decode(b"short").known.is_empty());
    }
}
