//! Restore: a store made of a backup.
//!
//! A backup is of a moment that is past. Clients saw messages, flags and mailboxes of a later one,
//! and other servers took mail that waits in the backup's queue. Invariant: no number that may have
//! been given out since means something else after a restore (UID, MODSEQ, the ids of mailboxes and
//! messages), and nothing that was in the queue is sent before an operator lets it go.

use crate::backup::{Copied, Progress, copy};
use crate::error::{Result, StoreError};
use crate::limits::MEMORY_LIMIT;
use crate::open::{Store, io_error, lock};
use crate::packed::{decode_entries, encode_entries, encode_runs};
use crate::rows::MailboxRow;
use crate::sqlite::Sqlite;
use crate::txn::{Durability, Engine as _, Txn};
use mail::{Entry, ModSeq, Uid};
use std::fs;
use std::path::Path;
use sys::disk::{Disk as _, RealDisk};

/// More than one mailbox got messages since the backup, and more mailboxes than were made.
const UIDS: u32 = 1 << 20;
/// More than there were changes of one mailbox since the backup, and more than messages came in.
const CHANGES: u64 = 1 << 32;

/// What was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The messages.
    pub copied: Copied,
    /// Messages of the queue that are held now.
    pub held: u64,
}

/// Makes a store in `folder`, which has none, of the backup in `from`.
pub fn restore(from: &Path, folder: &Path, progress: Progress<'_>) -> Result<Restored> {
    RealDisk.create_folders(folder).map_err(|e| io_error(folder, &e))?;
    let _lock = lock(folder)?;
    if Store::is_in(folder) {
        return Err(StoreError::AlreadyExists(format!("a store in {}", folder.display())));
    }
    // Not where a server would look, until it is complete.
    let part = folder.join("restored");
    let copied = copy(from, &part, progress)?;
    let mut engine = Sqlite::open(&part.join("meta.db"), MEMORY_LIMIT / 2)?;
    engine.begin(Durability::Synced)?;
    let held = go_ahead(engine.txn())?;
    engine.commit()?;
    engine.tidy(true)?;
    drop(engine);
    for name in ["segments", "meta.db"] {
        let to = folder.join(name);
        fs::rename(part.join(name), &to).map_err(|e| io_error(&to, &e))?;
    }
    let _ = fs::remove_dir_all(&part);
    RealDisk.sync_folder(folder).map_err(|e| io_error(folder, &e))?;
    Ok(Restored { copied, held })
}

/// Leaves behind all numbers that may have been given out since, and holds the queue; how many
/// messages are held.
fn go_ahead(txn: &mut dyn Txn) -> Result<u64> {
    for (name, step) in
        [("mailbox", u64::from(UIDS)), ("account", u64::from(UIDS)), ("content", CHANGES)]
    {
        let value = txn.counter(name)?;
        txn.put_counter(name, value + step)?;
    }
    for row in txn.every_mailbox()? {
        renew(txn, row)?;
    }
    hold_queue(txn)
}

/// A mailbox's messages count as changed, and those that came since as expunged: clients that ask
/// for changes (RFC 7162) hear of all that may be different from what they know.
fn renew(txn: &mut dyn Txn, mut row: MailboxRow) -> Result<()> {
    row.modseq = ModSeq(row.modseq.0 + CHANGES);
    let mut pages = Vec::new();
    txn.pages(row.id, Uid::FIRST, Uid::MAX, &mut |first, page| {
        let mut entries = Vec::new();
        decode_entries(page, |entry| entries.push(Entry { modseq: row.modseq, ..entry }))?;
        pages.push((first, encode_entries(&entries)));
        Ok(())
    })?;
    for (first, page) in pages {
        txn.put_page(row.id, first, &page)?;
    }
    let after = row.uidnext.and_then(|next| Some((next, next.get().checked_add(UIDS)?)));
    if let Some((next, after)) = after {
        let last = Uid::new(after - 1).unwrap_or(next);
        txn.put_expunged(row.id, row.modseq, &encode_runs([(next, last)].into_iter()))?;
        row.uidnext = Uid::new(after);
    }
    txn.put_mailbox(&row)
}

/// Other servers may have what waits in the queue: it is not sent by itself.
fn hold_queue(txn: &mut dyn Txn) -> Result<u64> {
    let (mut held, mut after) = (0, None);
    loop {
        let page = txn.queue(after, 500)?;
        let Some(last) = page.last() else { return Ok(held) };
        after = Some(last.message);
        for queued in page {
            held += 1;
            for mut row in txn.recipients(queued.message)? {
                row.held = true;
                txn.put_recipient(queued.message, &row)?;
            }
        }
    }
}
