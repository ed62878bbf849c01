//! Who wants to hear that something changed in an account: its mailboxes, their names, who may see
//! them, subscriptions, annotations. A feed tells that and of what kind, not what: whoever hears of
//! it looks, so that nothing piles up for one who is slow. RFC 5465.

use mail::{AccountId, MailboxId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;

/// Kinds of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Messages or their flags.
    pub const MESSAGES: Kinds = Kinds(1);
    /// Names of mailboxes, subscriptions, rights.
    pub const NAMES: Kinds = Kinds(2);
    /// Annotations.
    pub const METADATA: Kinds = Kinds(4);
    /// Everything.
    pub const ALL: Kinds = Kinds(7);

    /// One of `other` is among them.
    pub fn any(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }
    /// Both.
    #[must_use]
    pub fn with(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }
    /// There are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What a commit changed, by account.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    accounts: BTreeMap<AccountId, (Kinds, Vec<MailboxId>)>,
    /// The list of access of some mailbox: that can concern anybody.
    pub access: bool,
}

impl Heard {
    /// Notes a change.
    pub fn note(&mut self, account: AccountId, kind: Kinds) {
        let (kinds, _) = self.accounts.entry(account).or_default();
        *kinds = kinds.with(kind);
    }

    /// Notes that messages of a mailbox or their flags changed.
    pub fn note_messages(&mut self, account: AccountId, mailbox: MailboxId) {
        let (kinds, mailboxes) = self.accounts.entry(account).or_default();
        *kinds = kinds.with(Kinds::MESSAGES);
        if !mailboxes.contains(&mailbox) {
            mailboxes.push(mailbox);
        }
    }

    /// Adds what a later write changed.
    pub fn absorb(&mut self, later: Heard) {
        self.access |= later.access;
        for (id, (kinds, mailboxes)) in later.accounts {
            self.note(id, kinds);
            mailboxes.into_iter().for_each(|mailbox| self.note_messages(id, mailbox));
        }
    }
}

/// The feeds of a store.
#[derive(Default)]
pub(crate) struct Feeds {
    map: Mutex<HashMap<AccountId, Vec<Weak<Bell>>>>,
}

#[derive(Default)]
struct Bell {
    rung: AtomicU8,
    /// Whose messages changed; no more than the accounts have.
    mailboxes: Mutex<BTreeSet<MailboxId>>,
    notify: Notify,
}

impl Bell {
    fn mailboxes(&self) -> MutexGuard<'_, BTreeSet<MailboxId>> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, kinds: Kinds, mailboxes: &[MailboxId]) {
        if !mailboxes.is_empty() {
            self.mailboxes().extend(mailboxes);
        }
        self.rung.fetch_or(kinds.0, Ordering::SeqCst);
        self.notify.notify_one();
    }
}

/// Tells of changes in some accounts.
pub struct Feed {
    bell: Arc<Bell>,
    accounts: BTreeSet<AccountId>,
    feeds: Arc<Feeds>,
}

impl Feeds {
    fn map(&self) -> MutexGuard<'_, HashMap<AccountId, Vec<Weak<Bell>>>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A feed of nothing yet.
    pub fn feed(self: &Arc<Self>) -> Feed {
        Feed { bell: Arc::default(), accounts: BTreeSet::new(), feeds: self.clone() }
    }

    /// Tells of a commit.
    pub fn publish(&self, heard: &Heard) {
        let map = self.map();
        if heard.access {
            map.values()
                .flatten()
                .filter_map(Weak::upgrade)
                .for_each(|b| b.ring(Kinds::NAMES, &[]));
        }
        for (id, (kinds, mailboxes)) in &heard.accounts {
            let bells = map.get(id).into_iter().flatten();
            bells.filter_map(Weak::upgrade).for_each(|bell| bell.ring(*kinds, mailboxes));
        }
    }
}

impl Feed {
    /// Tells of changes in exactly these accounts from now on; whether that is any news.
    pub fn watch(&mut self, accounts: BTreeSet<AccountId>) -> bool {
        if accounts == self.accounts {
            return false;
        }
        self.leave();
        let mut map = self.feeds.map();
        for id in &accounts {
            map.entry(*id).or_default().push(Arc::downgrade(&self.bell));
        }
        drop(map);
        self.accounts = accounts;
        true
    }

    /// Resolves when there is something to take. Safe to drop.
    pub async fn changed(&self) {
        while self.bell.rung.load(Ordering::SeqCst) == 0 {
            self.bell.notify.notified().await;
        }
    }

    /// What has changed since this was called last. What is read after this is at least as new.
    pub fn take(&self) -> Kinds {
        Kinds(self.bell.rung.swap(0, Ordering::SeqCst))
    }

    /// The mailboxes whose messages have changed since this was called last; to be called behind
    /// [`Feed::take`], so that none is missed.
    pub fn take_mailboxes(&self) -> BTreeSet<MailboxId> {
        std::mem::take(&mut *self.bell.mailboxes())
    }

    fn leave(&mut self) {
        let own = Arc::downgrade(&self.bell);
        let mut map = self.feeds.map();
        for id in std::mem::take(&mut self.accounts) {
            if let Some(bells) = map.get_mut(&id) {
                bells.retain(|bell| !bell.ptr_eq(&own));
                if bells.is_empty() {
                    map.remove(&id);
                }
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn feeds_hear_of_their_accounts_and_leave_nothing_behind() {
        let feeds = Arc::new(Feeds::default());
        let (mut one, mut two) = (feeds.feed(), feeds.feed());
        assert!(one.watch([AccountId(1), AccountId(2)].into()) && two.watch([AccountId(3)].into()));
        let mut heard = Heard::default();
        heard.note_messages(AccountId(2), MailboxId(7));
        heard.note_messages(AccountId(2), MailboxId(7));
        heard.note_messages(AccountId(3), MailboxId(8));
        heard.note(AccountId(2), Kinds::METADATA);
        heard.note(AccountId(9), Kinds::NAMES);
        feeds.publish(&heard);
        one.changed().await;
        assert_eq!(one.take(), Kinds::MESSAGES.with(Kinds::METADATA));
        assert_eq!(one.take_mailboxes(), [MailboxId(7)].into());
        assert!(one.take_mailboxes().is_empty());
        assert!(tokio::time::timeout(Duration::ZERO, one.changed()).await.is_err());
        assert_eq!(two.take(), Kinds::MESSAGES);
        feeds.publish(&Heard { access: true, ..Heard::default() });
        assert!(one.take().any(Kinds::NAMES) && two.take().any(Kinds::NAMES));
        assert!(one.watch([AccountId(3)].into()) && !one.watch([AccountId(3)].into()));
        assert_eq!(feeds.map().len(), 1);
        drop((one, two));
        assert!(feeds.map().is_empty());
    }
}
