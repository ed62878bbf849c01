//! Who wants to hear that an account changed: sessions, which then look whether their login still
//! holds.

use mail::AccountId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The accounts that somebody watches. Small: a hundred octets for each.
#[derive(Default)]
pub(crate) struct AccountWatches {
    map: Mutex<HashMap<AccountId, Arc<Bell>>>,
}

#[derive(Default)]
struct Bell {
    rung: AtomicU64,
    notify: Notify,
}

/// Tells when an account changes: its password, its app passwords, whether it is switched off,
/// whether it is there.
pub struct AccountWatch {
    id: AccountId,
    bell: Arc<Bell>,
    heard: u64,
    watches: Arc<AccountWatches>,
}

impl AccountWatches {
    fn map(&self) -> MutexGuard<'_, HashMap<AccountId, Arc<Bell>>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches an account from now on.
    pub fn watch(self: &Arc<Self>, id: AccountId) -> AccountWatch {
        let bell = self.map().entry(id).or_default().clone();
        let heard = bell.rung.load(Ordering::SeqCst);
        AccountWatch { id, bell, heard, watches: self.clone() }
    }

    /// The account has changed.
    pub fn ring(&self, id: AccountId) {
        if let Some(bell) = self.map().get(&id) {
            bell.rung.fetch_add(1, Ordering::SeqCst);
            bell.notify.notify_waiters();
        }
    }
}

impl AccountWatch {
    /// Resolves when the account has changed since the watch began, or since this resolved last.
    /// Safe to drop.
    pub async fn changed(&mut self) {
        loop {
            // Whoever waits hears of what comes after this line, and sees what came before.
            let next = self.bell.notify.notified();
            let rung = self.bell.rung.load(Ordering::SeqCst);
            if rung != self.heard {
                self.heard = rung;
                return;
            }
            next.await;
        }
    }
}

impl Drop for AccountWatch {
    /// The last one takes the bell away.
    fn drop(&mut self) {
        let mut map = self.watches.map();
        // One is the map's, one is ours; new ones are made under the lock that we hold.
        if Arc::strong_count(&self.bell) <= 2 {
            map.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn changes_are_heard_once_and_nothing_is_left_behind() {
        let watches = Arc::new(AccountWatches::default());
        let (mut one, mut two) = (watches.watch(AccountId(1)), watches.watch(AccountId(1)));
        let mut other = watches.watch(AccountId(2));
        watches.ring(AccountId(1));
        watches.ring(AccountId(3));
        one.changed().await;
        two.changed().await;
        let quiet = |watch| tokio::time::timeout(Duration::ZERO, watch);
        assert!(quiet(one.changed()).await.is_err() && quiet(other.changed()).await.is_err());
        let waits = tokio::spawn(async move {
            one.changed().await;
            one
        });
        tokio::task::yield_now().await;
        watches.ring(AccountId(1));
        drop(waits.await.unwrap());
        assert_eq!(watches.map().len(), 2);
        drop((two, other));
        assert!(watches.map().is_empty());
    }
}
