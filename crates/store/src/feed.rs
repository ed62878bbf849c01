//! Who wants to hear that something changed in an account: its mailboxes, their names, who may see
//! them, subscriptions, annotations. A feed tells that and of what kind, not what: whoever hears of
//! it looks, so that nothing piles up for one who is slow. RFC 5465.

use crate::rows::MailboxRow;
use mail::{AccountId, MailboxId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;

/// Rows of mailboxes that are held for those who hear of changes.
const ROWS_MAX: usize = 1_000;

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
    rows: Mutex<Latest>,
}

/// Rows of mailboxes that changed lately: the first who hears of a change reads the row, the others
/// have it from here.
#[derive(Default)]
struct Latest {
    /// Grows with each commit.
    commits: u64,
    rows: HashMap<MailboxId, Arc<MailboxRow>>,
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

    fn rows(&self) -> MutexGuard<'_, Latest> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read of a mailbox since it changed last; else what `read` finds.
    fn row<E>(
        &self,
        id: MailboxId,
        read: impl FnOnce() -> Result<Option<MailboxRow>, E>,
    ) -> Result<Option<Arc<MailboxRow>>, E> {
        let latest = self.rows();
        if let Some(row) = latest.rows.get(&id) {
            return Ok(Some(row.clone()));
        }
        let commits = latest.commits;
        drop(latest);
        let Some(row) = read()?.map(Arc::new) else { return Ok(None) };
        let mut latest = self.rows();
        // What was read before a commit is not kept after it.
        if latest.commits == commits {
            if latest.rows.len() >= ROWS_MAX {
                latest.rows.clear();
            }
            latest.rows.insert(id, row.clone());
        }
        Ok(Some(row))
    }

    /// Rows that a commit changed are read again.
    fn forget(&self, heard: &Heard) {
        let mut latest = self.rows();
        latest.commits += 1;
        let others = |(kinds, _): &(Kinds, Vec<MailboxId>)| *kinds != Kinds::MESSAGES;
        if heard.access || heard.accounts.values().any(others) {
            latest.rows.clear();
        }
        for id in heard.accounts.values().flat_map(|(_, mailboxes)| mailboxes) {
            latest.rows.remove(id);
        }
    }

    /// Tells of a commit.
    pub fn publish(&self, heard: &Heard) {
        self.forget(heard);
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

    /// A mailbox as it is, or as it was since it changed last; else what `read` finds. It is read
    /// once for all that hear of a change.
    pub fn mailbox<E>(
        &self,
        id: MailboxId,
        read: impl FnOnce() -> Result<Option<MailboxRow>, E>,
    ) -> Result<Option<Arc<MailboxRow>>, E> {
        self.feeds.row(id, read)
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
    use mail::{MailboxName, UidValidity};
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

    #[test]
    fn a_row_is_read_once_between_commits() {
        let feeds = Arc::new(Feeds::default());
        let feed = feeds.feed();
        let id = MailboxId(7);
        let validity = UidValidity(std::num::NonZeroU32::MIN);
        let new = MailboxRow::new(id, AccountId(2), MailboxName::inbox(), validity);
        let row = |exists| MailboxRow { exists, ..new.clone() };
        let read = |exists| {
            let found = feed.mailbox(id, || Ok::<_, ()>(Some(row(exists))));
            found.unwrap().map(|row| row.exists)
        };
        assert_eq!((read(1), read(2)), (Some(1), Some(1)));
        let mut heard = Heard::default();
        heard.note_messages(AccountId(2), id);
        feeds.publish(&heard);
        assert_eq!(read(3), Some(3));
        heard.note(AccountId(3), Kinds::NAMES);
        feeds.publish(&heard);
        // What was read before a commit is not kept after it.
        let during = feed.mailbox(id, || {
            feeds.publish(&Heard::default());
            Ok::<_, ()>(Some(row(4)))
        });
        assert_eq!(during.unwrap().map(|row| row.exists), Some(4));
        assert_eq!(read(5), Some(5));
        assert_eq!(feed.mailbox(MailboxId(8), || Ok::<_, ()>(None)), Ok(None));
    }
}
