//! One write: the rows, what it changes for those who watch, and the time.

use crate::error::{Result, StoreError};
use crate::rows::MailboxRow;
use crate::txn::Txn;
use mail::{ContentId, Entry, KeywordTable, MailboxId, ModSeq, Uid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a write closure works with.
pub struct Writing<'a> {
    /// The rows.
    pub txn: &'a mut dyn Txn,
    /// What watchers are told after the commit.
    pub(crate) changes: &'a mut Changes,
    /// Seconds since 1970.
    pub now: i64,
}

/// What a commit changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub mailboxes: BTreeMap<MailboxId, MailboxChange>,
    /// Rows of the queue were added or came to be due.
    pub queue: bool,
    /// Segments that lost content.
    pub segments: BTreeSet<u32>,
}

/// What a commit changed in one mailbox.
#[derive(Clone, Debug)]
pub(crate) struct MailboxChange {
    pub modseq: ModSeq,
    pub uidnext: Option<Uid>,
    pub keywords: Arc<KeywordTable>,
    pub changed: BTreeMap<Uid, Entry>,
    pub expunged: BTreeSet<Uid>,
    pub deleted: bool,
}

impl Changes {
    /// Adds what a later write changed.
    pub fn absorb(&mut self, later: Changes) {
        self.queue |= later.queue;
        self.segments.extend(later.segments);
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
        for uid in &later.expunged {
            self.changed.remove(uid);
        }
        self.changed.extend(later.changed);
        self.expunged.extend(later.expunged);
        self.modseq = later.modseq;
        self.uidnext = later.uidnext;
        self.keywords = later.keywords;
        self.deleted |= later.deleted;
    }
}

impl Writing<'_> {
    /// The mailbox, or an error.
    pub(crate) fn mailbox(&self, id: MailboxId) -> Result<MailboxRow> {
        self.txn.mailbox(id)?.ok_or(StoreError::NoSuchMailbox)
    }

    /// The next value of a counter.
    pub(crate) fn next(&mut self, counter: &str) -> Result<u64> {
        let value = self.txn.counter(counter)? + 1;
        self.txn.put_counter(counter, value)?;
        Ok(value)
    }

    /// Writes a mailbox's row and notes that it changed.
    pub(crate) fn save(&mut self, row: &MailboxRow) -> Result<&mut MailboxChange> {
        self.txn.put_mailbox(row)?;
        Ok(self.note(row))
    }

    pub(crate) fn note(&mut self, row: &MailboxRow) -> &mut MailboxChange {
        let change = self.changes.mailboxes.entry(row.id).or_insert_with(|| MailboxChange {
            modseq: row.modseq,
            uidnext: row.uidnext,
            keywords: row.keywords.clone(),
            changed: BTreeMap::new(),
            expunged: BTreeSet::new(),
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
        let row = self.txn.content(id)?;
        let row = row.ok_or_else(|| StoreError::Corrupt(format!("content {id} has no row")))?;
        self.txn.set_content_refs(id, row.refs + 1)
    }

    /// One holder of some content less; the last one takes it away.
    pub(crate) fn release(&mut self, id: ContentId) -> Result<()> {
        let Some(row) = self.txn.content(id)? else { return Ok(()) };
        if row.refs > 1 {
            return self.txn.set_content_refs(id, row.refs - 1);
        }
        self.txn.remove_content(id)?;
        self.changes.segments.insert(row.segment);
        Ok(())
    }
}
