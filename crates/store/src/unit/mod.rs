//! A unit of work: the rows of one commit, held in memory until they are written together.
//!
//! A batch of deliveries touches the same counters, mailboxes and pages again and again; here each
//! is read once and written once. What was read stays known to the next commit (the one writer is
//! the only one who changes it). Every job can be undone by itself: rows in memory by their notes,
//! rows written directly by a savepoint, which is taken only when a job writes directly.

mod contents;
mod pages;
mod table;

use crate::caches::Caches;
use crate::error::Result;
use crate::packed::seal;
use crate::rows::{ContentRow, MailboxRow};
use crate::txn::{Durability, Engine, ReadTxn, ReaderMaker, Txn};
use mail::{AccountId, ContentId, Entry, MailboxId, MailboxName, MessageId, Uid};
use std::sync::Arc;
use table::Table;

pub(crate) use contents::{content_page, contents, each_summary, page_number};
pub(crate) use pages::each_entry;

/// The rows of one commit.
pub(crate) struct Unit {
    engine: Box<dyn Engine>,
    /// Rows that stay in memory between commits.
    caches: Caches,
    counters: Table<&'static str, u64>,
    mailboxes: Table<MailboxId, MailboxRow>,
    pages: Table<(MailboxId, Uid), Vec<Entry>>,
    /// First UID of the last page of a mailbox, where it is known.
    last_pages: Table<MailboxId, Uid>,
    contents: Table<u64, Vec<ContentRow>>,
    /// Octets of bodies that segments gain or lose: living ones, and all.
    segments: Table<u32, (i64, i64)>,
    summaries: Vec<(ContentId, Vec<u8>)>,
    journeys: Vec<(MessageId, Vec<u8>)>,
    /// Runs of contents that are gone.
    dead: Vec<(u64, u64)>,
    /// Lengths of the three lists when the job began.
    mark: (usize, usize, usize),
    /// The job has a savepoint.
    saved: bool,
}

impl Unit {
    pub fn new(engine: Box<dyn Engine>, caches: Caches) -> Unit {
        Unit {
            engine,
            caches,
            counters: Table::new(),
            mailboxes: Table::new(),
            pages: Table::new(),
            last_pages: Table::new(),
            contents: Table::new(),
            segments: Table::new(),
            summaries: Vec::new(),
            journeys: Vec::new(),
            dead: Vec::new(),
            mark: (0, 0, 0),
            saved: false,
        }
    }

    /// Begins a commit.
    pub fn begin(&mut self, durability: Durability) -> Result<()> {
        self.engine.begin(durability)
    }

    /// Begins a job within the commit.
    pub fn job_begin(&mut self) {
        self.mark = (self.summaries.len(), self.journeys.len(), self.dead.len());
        self.saved = false;
    }

    /// The job is done: it is part of the commit.
    pub fn job_keep(&mut self) -> Result<()> {
        self.counters.keep();
        self.mailboxes.keep();
        self.pages.keep();
        self.last_pages.keep();
        self.contents.keep();
        self.segments.keep();
        if std::mem::take(&mut self.saved) { self.engine.release_savepoint() } else { Ok(()) }
    }

    /// The job is refused: no trace of it stays.
    pub fn job_undo(&mut self) -> Result<()> {
        self.counters.undo();
        self.mailboxes.undo();
        self.pages.undo();
        self.last_pages.undo();
        self.contents.undo();
        self.segments.undo();
        self.summaries.truncate(self.mark.0);
        self.journeys.truncate(self.mark.1);
        self.dead.truncate(self.mark.2);
        if std::mem::take(&mut self.saved) { self.engine.undo_to_savepoint() } else { Ok(()) }
    }

    /// Writes what is in memory. Nothing is durable or visible before [`Unit::commit`].
    pub fn flush(&mut self) -> Result<()> {
        let txn = self.engine.txn();
        for (name, value) in self.counters.dirty() {
            txn.put_counter(name, value.copied().unwrap_or(0))?;
        }
        for (_, row) in self.mailboxes.dirty() {
            row.map_or(Ok(()), |row| txn.put_mailbox(row))?;
        }
        pages::flush(&self.pages, txn)?;
        for (id, summary) in &self.summaries {
            txn.put_summary(*id, &seal(summary.clone()))?;
        }
        for (message, entry) in &self.journeys {
            txn.put_journey(*message, entry)?;
        }
        contents::flush_dead(&self.dead, txn)?;
        self.flush_contents()
    }

    /// Writes what is in memory of contents and segments, so that [`Unit::rows`] shows it.
    pub fn flush_contents(&mut self) -> Result<()> {
        let txn = self.engine.txn();
        contents::flush(&self.contents, txn)?;
        for (segment, octets) in self.segments.dirty() {
            let (live, all) = octets.copied().unwrap_or_default();
            txn.add_to_segment(*segment, live, all)?;
        }
        self.segments.clear();
        Ok(())
    }

    /// Commits what was flushed.
    pub fn commit(&mut self) -> Result<()> {
        self.engine.commit()?;
        self.counters.written(usize::MAX);
        self.mailboxes.written(self.caches.mailboxes);
        if self.pages.written(self.caches.pages) == 0 {
            self.last_pages.clear();
        }
        self.last_pages.written(self.caches.pages);
        self.contents.written(self.caches.content_pages);
        self.forget_lists();
        Ok(())
    }

    /// Undoes everything since [`Unit::begin`].
    pub fn rollback(&mut self) {
        self.engine.rollback();
        self.counters.clear();
        self.mailboxes.clear();
        self.pages.clear();
        self.last_pages.clear();
        self.contents.clear();
        self.forget_lists();
    }

    fn forget_lists(&mut self) {
        self.segments.clear();
        self.summaries.clear();
        self.journeys.clear();
        self.dead.clear();
        self.saved = false;
    }

    /// Housekeeping between commits; `last` before the end.
    pub fn tidy(&mut self, last: bool) -> Result<()> {
        self.engine.tidy(last)
    }

    /// A maker of readers, which see what is committed.
    pub fn readers(&self) -> Result<ReaderMaker> {
        self.engine.readers()
    }

    /// The rows of all tables that are not held here.
    pub fn rows(&mut self) -> &dyn ReadTxn {
        &*self.engine.txn()
    }

    /// For writing rows of tables that are not held here, undone with the job.
    pub fn write(&mut self) -> Result<&mut dyn Txn> {
        if !self.saved {
            self.engine.savepoint()?;
            self.saved = true;
        }
        Ok(self.engine.txn())
    }

    /// For writing rows of tables that are not held here, outside of any job.
    pub fn write_outside(&mut self) -> &mut dyn Txn {
        self.engine.txn()
    }

    /// A counter; 0 before it is first set.
    pub fn counter(&mut self, name: &'static str) -> Result<u64> {
        if !self.counters.knows(&name) {
            let value = self.engine.txn().counter(name)?;
            self.counters.learn(name, Some(value));
        }
        Ok(self.counters.get(&name).map_or(0, |value| **value))
    }
    /// Sets a counter.
    pub fn put_counter(&mut self, name: &'static str, value: u64) {
        self.counters.set(name, Some(value));
    }

    /// A mailbox.
    pub fn mailbox(&mut self, id: MailboxId) -> Result<Option<Arc<MailboxRow>>> {
        if !self.mailboxes.knows(&id) {
            let row = self.engine.txn().mailbox(id)?;
            self.mailboxes.learn(id, row);
        }
        Ok(self.mailboxes.get(&id).cloned())
    }
    /// A mailbox by name.
    pub fn mailbox_named(
        &mut self,
        account: AccountId,
        name: &MailboxName,
    ) -> Result<Option<MailboxRow>> {
        Ok(self.engine.txn().mailbox_named(account, name)?.map(|row| self.newest(row)))
    }
    /// All mailboxes of an account, by name.
    pub fn mailboxes(&mut self, account: AccountId) -> Result<Vec<MailboxRow>> {
        let rows = self.engine.txn().mailboxes(account)?;
        Ok(rows.into_iter().map(|row| self.newest(row)).collect())
    }
    /// The mailboxes of an account that are somewhere below this name, by name.
    pub fn mailboxes_below(
        &mut self,
        account: AccountId,
        name: &MailboxName,
    ) -> Result<Vec<MailboxRow>> {
        let rows = self.engine.txn().mailboxes_below(account, name)?;
        Ok(rows.into_iter().map(|row| self.newest(row)).collect())
    }
    /// The row as it is in memory, if it is: names are always written, counts may wait.
    fn newest(&self, row: MailboxRow) -> MailboxRow {
        self.mailboxes.get(&row.id).map_or(row, |held| MailboxRow::clone(held))
    }
    /// Puts a mailbox.
    pub fn put_mailbox(&mut self, row: &MailboxRow) -> Result<()> {
        let same_name = |held: &Arc<MailboxRow>| {
            held.name == row.name
                && held.account == row.account
                && held.special_use == row.special_use
        };
        if !self.mailboxes.get(&row.id).is_some_and(same_name) {
            self.write()?.put_mailbox(row)?;
        }
        self.mailboxes.set(row.id, Some(row.clone()));
        Ok(())
    }
    /// Takes a mailbox away, with its messages' rows and its history.
    pub fn remove_mailbox(&mut self, id: MailboxId) -> Result<()> {
        self.write()?.remove_mailbox(id)?;
        self.mailboxes.set(id, None);
        self.forget_pages(id);
        Ok(())
    }

    /// Sets what is kept beside the bytes of a message.
    pub fn put_summary(&mut self, id: ContentId, summary: Vec<u8>) {
        self.summaries.push((id, summary));
    }

    /// Begins the journey of a new message.
    pub fn begin_journey(&mut self, message: MessageId, entry: &[u8]) {
        self.journeys.push((message, entry.to_vec()));
    }
}
