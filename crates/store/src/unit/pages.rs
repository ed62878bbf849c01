//! The messages of a mailbox within a unit of work: pages of them, found by their first UID.
//!
//! Invariant: the pages of a mailbox do not overlap, and a page's key is at most its first UID, so
//! the page of a UID is the last one whose key is not above it.

use super::Unit;
use super::table::Table;
use crate::error::{Result, StoreError};
use crate::packed::{decode_entries, encode_entries};
use crate::txn::{ReadTxn, Txn};
use mail::listing::replace;
use mail::{Entry, MailboxId, Uid};

/// Messages of a full page.
const PAGE: usize = 128;

/// Shows the messages of a mailbox with UIDs from `from` on, in order, as they are committed.
pub(crate) fn each_entry(
    txn: &dyn ReadTxn,
    mailbox: MailboxId,
    from: Uid,
    mut each: impl FnMut(Entry),
) -> Result<()> {
    let first = txn.page_at(mailbox, from)?.unwrap_or(from);
    txn.pages(mailbox, first, Uid::MAX, &mut |_, page| {
        decode_entries(page, |entry| {
            if entry.uid >= from {
                each(entry);
            }
        })
    })
}

/// Writes the pages that changed.
pub(super) fn flush(pages: &Table<(MailboxId, Uid), Vec<Entry>>, txn: &mut dyn Txn) -> Result<()> {
    for ((mailbox, first), page) in pages.dirty() {
        match page {
            Some(entries) => txn.put_page(*mailbox, *first, &encode_entries(entries))?,
            None => txn.remove_page(*mailbox, *first)?,
        }
    }
    Ok(())
}

impl Unit {
    /// Brings the pages into memory that hold UIDs from `from` to `to`.
    fn load_pages(&mut self, mailbox: MailboxId, from: Uid, to: Uid) -> Result<()> {
        let txn = self.engine.txn();
        let first = txn.page_at(mailbox, from)?.unwrap_or(from);
        let pages = &mut self.pages;
        txn.pages(mailbox, first, to, &mut |first, page| {
            if !pages.knows(&(mailbox, first)) {
                let mut entries = Vec::with_capacity(PAGE);
                decode_entries(page, |entry| entries.push(entry))?;
                pages.learn((mailbox, first), Some(entries));
            }
            Ok(())
        })
    }

    /// The key of the page in memory where `uid` is or would be.
    fn page_of(&self, mailbox: MailboxId, uid: Uid) -> Option<Uid> {
        let mut below = self.pages.range((mailbox, Uid::FIRST)..=(mailbox, uid));
        below.next_back().map(|((_, first), _)| *first)
    }

    /// The messages of a mailbox with UIDs from `from` to `to`, in order.
    pub fn entries(&mut self, mailbox: MailboxId, from: Uid, to: Uid) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        self.each_entry(mailbox, from, to, |entry| found.push(*entry))?;
        Ok(found)
    }

    /// Shows the same messages one after the other.
    pub fn each_entry(
        &mut self,
        mailbox: MailboxId,
        from: Uid,
        to: Uid,
        mut each: impl FnMut(&Entry),
    ) -> Result<()> {
        self.load_pages(mailbox, from, to)?;
        let first = self.page_of(mailbox, from).unwrap_or(from);
        for (_, page) in self.pages.range((mailbox, first)..=(mailbox, to)) {
            let within = page.iter().filter(|entry| entry.uid >= from && entry.uid <= to);
            within.for_each(&mut each);
        }
        Ok(())
    }

    /// Adds a message.
    pub fn put_entry(&mut self, mailbox: MailboxId, entry: &Entry) -> Result<()> {
        let known = self.last_pages.get(&mailbox).is_some_and(|last| **last <= entry.uid);
        if !known {
            self.load_pages(mailbox, entry.uid, Uid::MAX)?;
        }
        let place = self.page_of(mailbox, entry.uid);
        let full = |page: &Vec<Entry>| {
            page.len() >= PAGE && page.last().is_some_and(|last| last.uid < entry.uid)
        };
        let place =
            place.filter(|first| !self.pages.get(&(mailbox, *first)).is_some_and(|p| full(p)));
        let first = match place {
            Some(first) => {
                self.pages.change(&(mailbox, first), |page| {
                    let at = page.partition_point(|other| other.uid < entry.uid);
                    page.insert(at, *entry);
                });
                first
            }
            None => {
                self.pages.set((mailbox, entry.uid), Some(vec![*entry]));
                entry.uid
            }
        };
        if self.last_pages.get(&mailbox).is_none_or(|last| **last < first) {
            self.last_pages.set(mailbox, Some(first));
        }
        Ok(())
    }

    /// Replaces messages that [`Unit::entries`] gave in this unit; sorted by UID.
    pub fn set_entries(&mut self, mailbox: MailboxId, entries: &[Entry]) -> Result<()> {
        let mut rest = entries;
        while let Some(entry) = rest.first() {
            let (first, here, later) = self.split(mailbox, rest, entry.uid, |entry| entry.uid)?;
            rest = later;
            let key = (mailbox, first);
            if self.pages.get(&key).is_some_and(|page| page.len() == here.len()) {
                // All of them, so none of the old ones is copied.
                self.pages.set(key, Some(here.to_vec()));
            } else {
                self.pages.change(&key, |page| replace(page, here));
            }
        }
        Ok(())
    }

    /// Takes messages out that [`Unit::entries`] gave in this unit; sorted.
    pub fn remove_entries(&mut self, mailbox: MailboxId, uids: &[Uid]) -> Result<()> {
        let mut rest = uids;
        while let Some(uid) = rest.first() {
            let (first, here, later) = self.split(mailbox, rest, *uid, |uid| *uid)?;
            rest = later;
            let left = self.pages.change(&(mailbox, first), |page| {
                page.retain(|entry| here.binary_search(&entry.uid).is_err());
                page.len()
            });
            if left == Some(0) {
                self.pages.set((mailbox, first), None);
            }
        }
        // The last page may be gone: it is looked for anew.
        self.last_pages.set(mailbox, None);
        Ok(())
    }

    /// The page of `uid`, and which of `rest` are in it.
    fn split<'a, T>(
        &self,
        mailbox: MailboxId,
        rest: &'a [T],
        uid: Uid,
        uid_of: impl Fn(&T) -> Uid,
    ) -> Result<(Uid, &'a [T], &'a [T])> {
        let first = self.page_of(mailbox, uid);
        let first = first.ok_or_else(|| StoreError::Corrupt(format!("no page has UID {uid}")))?;
        let above = first.next().unwrap_or(Uid::MAX);
        let next = self.pages.range((mailbox, above)..=(mailbox, Uid::MAX)).next();
        let end = next.map(|((_, first), _)| *first);
        let here = rest.partition_point(|item| end.is_none_or(|end| uid_of(item) < end));
        let (here, later) = rest.split_at(here.max(1));
        Ok((first, here, later))
    }

    /// Takes a page away, whatever is in it.
    pub fn remove_page(&mut self, mailbox: MailboxId, first: Uid) {
        self.pages.set((mailbox, first), None);
        self.last_pages.set(mailbox, None);
    }

    /// The mailbox is gone: so are its pages in memory.
    pub(super) fn forget_pages(&mut self, mailbox: MailboxId) {
        let range = (mailbox, Uid::FIRST)..=(mailbox, Uid::MAX);
        let keys: Vec<_> = self.pages.range(range).map(|(key, _)| *key).collect();
        for key in keys {
            self.pages.set(key, None);
        }
        self.last_pages.set(mailbox, None);
    }
}
