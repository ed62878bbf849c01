//! Putting a message into a mailbox: it gets the next UID and a new MODSEQ.

use super::{bump, count};
use crate::error::{Result, StoreError};
use crate::rows::MailboxRow;
use crate::write::Writing;
use mail::{ContentId, Entry, Flag, FlagBits, KeywordTable, ModSeq, Uid, UidValidity};
use std::sync::Arc;

/// Where a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The mailbox.
    pub mailbox: mail::MailboxId,
    /// Its UIDVALIDITY.
    pub uidvalidity: UidValidity,
    /// The message's UID.
    pub uid: Uid,
    /// The message's MODSEQ.
    pub modseq: ModSeq,
}

/// A message that is to be put into a mailbox.
pub(crate) struct NewEntry {
    pub content: ContentId,
    pub size: u32,
    pub date: i64,
    pub flags: FlagBits,
}

/// Adds a message. The content's holders are the caller's to count.
pub(crate) fn add(w: &mut Writing<'_>, row: &mut MailboxRow, new: NewEntry) -> Result<Placed> {
    let uid = row.uidnext.ok_or(StoreError::UidsUsedUp)?;
    let modseq = bump(row);
    let entry = Entry {
        uid,
        saved: saved(w.now),
        size: new.size,
        flags: new.flags,
        modseq,
        date: new.date,
        content: new.content,
    };
    put(w, row, entry)
}

/// The time as an entry keeps it.
pub(crate) fn saved(now: i64) -> u32 {
    now.clamp(0, i64::from(u32::MAX)) as u32
}

/// Adds a message whose UID and MODSEQ are given: after a crash, from a segment.
pub(crate) fn put(w: &mut Writing<'_>, row: &mut MailboxRow, entry: Entry) -> Result<Placed> {
    row.uidnext = entry.uid.next().max(row.uidnext.filter(|next| *next > entry.uid));
    row.modseq = row.modseq.max(entry.modseq);
    count(row, entry.flags, entry.size, true);
    w.unit.put_entry(row.id, &entry)?;
    Arc::make_mut(&mut w.save(row)?.changed).push(entry);
    Ok(Placed {
        mailbox: row.id,
        uidvalidity: row.uidvalidity,
        uid: entry.uid,
        modseq: entry.modseq,
    })
}

/// The bits of `flags` in the mailbox's table, which learns new keywords.
pub(crate) fn bits(row: &mut MailboxRow, flags: &[Flag]) -> Result<FlagBits> {
    let mut bits = FlagBits::default();
    for flag in flags {
        let bit = match row.keywords.bit(flag) {
            Some(bit) => bit,
            None => {
                let mut table = KeywordTable::clone(&row.keywords);
                let bit = table.bit_or_insert(flag).ok_or(StoreError::KeywordsFull)?;
                row.keywords = Arc::new(table);
                bit
            }
        };
        bits = bits.with(bit);
    }
    Ok(bits)
}
