//! One write: the rows, what it changes for those who watch, and the time.

use crate::error::{Result, StoreError};
use crate::feed::{Heard, Kinds};
use crate::rows::MailboxRow;
use crate::txn::Txn;
use crate::unit::Unit;
use mail::{AccountId, ContentId, Entry, KeywordTable, MailboxId, MessageId, ModSeq, Uid};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a write closure works with.
pub struct Writing<'a> {
    /// The rows.
    pub(crate) unit: &'a mut Unit,
    /// What watchers are told after the commit.
    pub(crate) changes: &'a mut Changes,
    /// Seconds since 1970.
    pub now: i64,
    /// What accounts say of their mail is noted.
    pub(crate) learn: bool,
}

/// What a commit changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub mailboxes: BTreeMap<MailboxId, MailboxChange>,
    /// Rows of the queue were added or came to be due.
    pub queue: bool,
    /// There are new lessons.
    pub lessons: bool,
    /// Domains, accounts, aliases, limits or names of mailboxes.
    pub names: bool,
    /// Accounts that watchers are told of.
    pub accounts: Vec<AccountId>,
    /// What feeds tell of.
    pub heard: Heard,
}

/// What a commit changed in one mailbox.
#[derive(Clone, Debug)]
pub(crate) struct MailboxChange {
    pub modseq: ModSeq,
    pub uidnext: Option<Uid>,
    pub keywords: Arc<KeywordTable>,
    /// New and changed messages; of several with one UID the last counts.
    pub changed: Arc<Vec<Entry>>,
    pub expunged: Vec<Uid>,
    pub deleted: bool,
}

impl Changes {
    /// Adds what a later write changed.
    pub fn absorb(&mut self, later: Changes) {
        self.queue |= later.queue;
        self.lessons |= later.lessons;
        self.names |= later.names;
        self.accounts.extend(later.accounts);
        self.heard.absorb(later.heard);
        for (id, change) in later.mailboxes {
            match self.mailboxes.entry(id) {
                std::collections::btree_map::Entry::Vacant(slot) => {
                    slot.insert(change);
                }
                std::collections::btree_map::Entry::Occupied(mut slot) => {
                    slot.get_mut().absorb(change);
                }
            }
        }
    }
}

impl MailboxChange {
    fn absorb(&mut self, later: MailboxChange) {
        self.add_changed(later.changed);
        self.expunged.extend(later.expunged);
        self.modseq = later.modseq;
        self.uidnext = later.uidnext;
        self.keywords = later.keywords;
        self.deleted |= later.deleted;
    }

    /// Adds new and changed messages; the first ones are taken as they are, copies of 100,000 cost.
    pub fn add_changed(&mut self, changed: impl Into<Arc<Vec<Entry>>>) {
        let changed = changed.into();
        match self.changed.is_empty() {
            true => self.changed = changed,
            false => Arc::make_mut(&mut self.changed).extend_from_slice(&changed),
        }
    }

    /// Sorts both lists by UID; each UID is in one of them, once.
    pub fn settle(&mut self) {
        self.expunged.sort_unstable();
        self.expunged.dedup();
        let gone = std::mem::take(&mut self.expunged);
        if !self.changed.is_sorted_by(|one, next| one.uid < next.uid) {
            let changed = Arc::make_mut(&mut self.changed);
            changed.reverse();
            changed.sort_by_key(|entry| entry.uid);
            changed.dedup_by_key(|entry| entry.uid);
        }
        if !gone.is_empty() {
            Arc::make_mut(&mut self.changed)
                .retain(|entry| gone.binary_search(&entry.uid).is_err());
        }
        self.expunged = gone;
    }
}

impl Writing<'_> {
    /// For writing rows of domains, accounts and aliases.
    pub(crate) fn names(&mut self) -> Result<&mut dyn Txn> {
        self.changes.names = true;
        self.unit.write()
    }

    /// The mailbox, or an error.
    pub(crate) fn mailbox(&mut self, id: MailboxId) -> Result<MailboxRow> {
        let row = self.unit.mailbox(id)?.ok_or(StoreError::NoSuchMailbox)?;
        Ok(MailboxRow::clone(&row))
    }

    /// Notes that names of mailboxes, subscriptions or rights of an account change.
    pub(crate) fn renamed(&mut self, account: AccountId) {
        self.changes.heard.note(account, Kinds::NAMES);
    }

    /// The next value of a counter.
    pub(crate) fn next(&mut self, counter: &'static str) -> Result<u64> {
        let value = self.unit.counter(counter)? + 1;
        self.unit.put_counter(counter, value);
        Ok(value)
    }

    /// Writes a mailbox's row and notes that it changed.
    pub(crate) fn save(&mut self, row: &MailboxRow) -> Result<&mut MailboxChange> {
        self.unit.put_mailbox(row)?;
        Ok(self.note(row))
    }

    pub(crate) fn note(&mut self, row: &MailboxRow) -> &mut MailboxChange {
        self.changes.heard.note_messages(row.account, row.id);
        let change = self.changes.mailboxes.entry(row.id).or_insert_with(|| MailboxChange {
            modseq: row.modseq,
            uidnext: row.uidnext,
            keywords: row.keywords.clone(),
            changed: Arc::default(),
            expunged: Vec::new(),
            deleted: false,
        });
        assert!(row.modseq >= change.modseq, "MODSEQ of mailbox {} went back", row.id);
        change.modseq = row.modseq;
        change.uidnext = row.uidnext;
        change.keywords = row.keywords.clone();
        change
    }

    /// One more holder of some content.
    pub(crate) fn hold(&mut self, id: ContentId) -> Result<()> {
        self.unit.hold(id)
    }

    /// One holder of some content less; the last one takes it away.
    pub(crate) fn release(&mut self, id: ContentId) -> Result<()> {
        self.unit.release(id).map(drop)
    }

    /// Adds an entry to the journey of a message.
    pub fn add_journey(&mut self, message: MessageId, entry: &[u8]) -> Result<()> {
        self.unit.write()?.add_journey(message, entry)
    }
}
