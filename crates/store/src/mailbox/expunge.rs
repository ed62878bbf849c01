//! Expunging messages. RFC 9051 §6.4.3, RFC 4315 §2.1.

use super::{bump, count, entries_of};
use crate::error::Result;
use crate::packed::encode_uids;
use crate::write::Writing;
use mail::{Entry, FlagBits, MailboxId, Uid};

/// Which messages go.
#[derive(Clone, Debug)]
pub enum Which {
    /// All with `\Deleted`.
    Deleted,
    /// Those of these with `\Deleted`.
    DeletedAmong(Vec<Uid>),
    /// Exactly these.
    Exactly(Vec<Uid>),
}

/// Takes messages out; returns their UIDs in order.
pub(crate) fn expunge(w: &mut Writing<'_>, mailbox: MailboxId, which: &Which) -> Result<Vec<Uid>> {
    let mut row = w.mailbox(mailbox)?;
    let sorted = |uids: &[Uid]| {
        let mut uids = uids.to_vec();
        uids.sort_unstable();
        uids.dedup();
        uids
    };
    let marked = |entry: &Entry| entry.flags.contains(FlagBits::DELETED);
    let mut gone = match which {
        Which::Deleted if row.deleted == 0 => Vec::new(),
        Which::Deleted => w.unit.entries(mailbox, Uid::FIRST, Uid::MAX)?,
        Which::DeletedAmong(uids) | Which::Exactly(uids) => {
            entries_of(w.unit, mailbox, &sorted(uids))?
        }
    };
    if !matches!(which, Which::Exactly(_)) {
        gone.retain(marked);
    }
    if gone.is_empty() {
        return Ok(Vec::new());
    }
    let modseq = bump(&mut row);
    for entry in &gone {
        w.release(entry.content)?;
        count(&mut row, entry.flags, entry.size, false);
    }
    let uids: Vec<Uid> = gone.iter().map(|entry| entry.uid).collect();
    w.unit.remove_entries(mailbox, &uids)?;
    w.unit.write()?.put_expunged(mailbox, modseq, &encode_uids(&uids))?;
    w.save(&row)?.expunged.extend(uids.iter().copied());
    Ok(uids)
}
