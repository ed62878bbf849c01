//! What mailboxes mean, written once over the rows: UIDs, MODSEQs, flags, copies, names.

pub(crate) mod annotations;
pub mod append;
pub mod copy;
pub mod expunge;
pub mod flags;
pub mod names;
mod replace;

use crate::error::Result;
use crate::rows::MailboxRow;
use crate::unit::Unit;
use mail::{Entry, FlagBits, MailboxId, ModSeq, Uid};

pub use annotations::Annotate;
pub use copy::{By, Copied};
pub use expunge::Which;
pub use flags::{Change, ChangeFlags, FlagOutcome};

/// UIDs further apart than this are read one by one.
const GAP: u32 = 16;

/// The messages with these UIDs (sorted); UIDs that are gone are passed over.
pub(crate) fn entries_of(unit: &mut Unit, mailbox: MailboxId, uids: &[Uid]) -> Result<Vec<Entry>> {
    let mut found = Vec::with_capacity(uids.len());
    each_of(unit, mailbox, uids, |entry| found.push(*entry))?;
    Ok(found)
}

/// Shows the same messages one after the other.
pub(crate) fn each_of(
    unit: &mut Unit,
    mailbox: MailboxId,
    uids: &[Uid],
    mut each: impl FnMut(&Entry),
) -> Result<()> {
    for run in uids.chunk_by(|a, b| b.get().saturating_sub(a.get()) <= GAP) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let mut wanted = run.iter().peekable();
        unit.each_entry(mailbox, *first, *last, |entry| {
            while wanted.next_if(|uid| **uid < entry.uid).is_some() {}
            if wanted.peek() == Some(&&entry.uid) {
                each(entry);
            }
        })?;
    }
    Ok(())
}

/// Gives out the next MODSEQ of a mailbox. RFC 7162 §3.1.1.
pub(crate) fn bump(row: &mut MailboxRow) -> ModSeq {
    row.modseq = ModSeq(row.modseq.0 + 1);
    row.modseq
}

/// Counts a message in (`sign` 1) or out (-1).
pub(crate) fn count(row: &mut MailboxRow, flags: FlagBits, octets: u32, into: bool) {
    let step = |n: &mut u32, applies: bool| {
        if applies {
            *n = if into { n.saturating_add(1) } else { n.saturating_sub(1) };
        }
    };
    step(&mut row.exists, true);
    step(&mut row.unseen, !flags.contains(FlagBits::SEEN));
    step(&mut row.deleted, flags.contains(FlagBits::DELETED));
    let octets = u64::from(octets);
    row.octets =
        if into { row.octets.saturating_add(octets) } else { row.octets.saturating_sub(octets) };
}
