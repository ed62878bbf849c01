//! How many IMAP sessions each account has (users.md I-25).

use mail::AccountId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sessions of all accounts.
#[derive(Default)]
pub struct Crowd {
    counts: Mutex<HashMap<AccountId, usize>>,
}

/// A session's place; it is free again when this is dropped.
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    account: AccountId,
}

impl Crowd {
    fn counts(&self) -> MutexGuard<'_, HashMap<AccountId, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more session, unless the account has `most` already.
    pub(crate) fn enter(self: &Arc<Self>, account: AccountId, most: usize) -> Option<Place> {
        let mut counts = self.counts();
        let count = counts.entry(account).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place { crowd: self.clone(), account })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.counts();
        if let Some(count) = counts.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let crowd = Arc::new(Crowd::default());
        let (one, two) = (AccountId(1), AccountId(2));
        let places = [crowd.enter(one, 2), crowd.enter(one, 2)];
        assert!(places.iter().all(Option::is_some));
        assert!(crowd.enter(one, 2).is_none() && crowd.enter(two, 2).is_some());
        drop(places);
        assert!(crowd.counts().is_empty());
        assert!(crowd.enter(one, 2).is_some());
    }
}
