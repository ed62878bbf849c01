//! Expunging messages. RFC 9051 §6.4.3, RFC 4315 §2.1.

use super::{annotations, bump, count, entries_of};
use crate::error::Result;
use crate::limits::HISTORY_CHANGES;
use crate::packed::{decode_uids, encode_runs, encode_uids};
use crate::write::Writing;
use mail::{Entry, FlagBits, MailboxId, ModSeq, Uid};

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
    annotations::forget(w, mailbox, &uids)?;
    w.unit.write()?.put_expunged(mailbox, modseq, &encode_uids(&uids))?;
    w.save(&row)?.expunged.extend(uids.iter().copied());
    if is_nth(modseq) {
        merge_history(w, mailbox, ModSeq(modseq.0.saturating_sub(HISTORY_CHANGES)))?;
    }
    Ok(uids)
}

/// True of about one in 512, however they are spaced.
fn is_nth(modseq: ModSeq) -> bool {
    modseq.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55 == 0
}

/// Makes one row of what was expunged up to `until`. Who asks for changes since some time before
/// then hears of some UIDs that it knows to be gone, and misses none. RFC 7162 §3.2.6.
fn merge_history(w: &mut Writing<'_>, mailbox: MailboxId, until: ModSeq) -> Result<()> {
    let old = w.unit.rows().expunged_until(mailbox, until)?;
    let Some((newest, _)) = old.last().filter(|_| old.len() > 1) else { return Ok(()) };
    let mut runs = Vec::new();
    for (_, uids) in &old {
        runs.extend(decode_uids(uids)?);
    }
    runs.sort_unstable();
    runs.dedup_by(|next, run| {
        let joins = next.0.get() <= run.1.get().saturating_add(1);
        if joins {
            run.1 = run.1.max(next.1);
        }
        joins
    });
    let merged = encode_runs(runs.into_iter());
    w.unit.write()?.remove_expunged(mailbox, until)?;
    w.unit.write()?.put_expunged(mailbox, *newest, &merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_merged_now_and_then_at_any_pace() {
        for step in [1, 2, 3, 1000] {
            let times = (0..51_200).filter(|n| is_nth(ModSeq(1 + n * step))).count();
            assert!((50..=200).contains(&times), "{step}: {times}");
        }
    }
}
