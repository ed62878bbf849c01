//! Changing flags. RFC 9051 §6.4.6, RFC 7162 §3.1.3.

use super::{append, bump, each_of};
use crate::error::Result;
use crate::lessons::{self, Said, Telling};
use crate::rows::MailboxRow;
use crate::write::Writing;
use mail::{ContentId, Entry, Flag, FlagBits, MailboxId, ModSeq, Rights, Uid};
use std::sync::Arc;

/// What to do with the named flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Set them.
    Add,
    /// Clear them.
    Remove,
    /// Set them and clear all others.
    Replace,
}

impl Change {
    /// What `flags` become by it. What may not be changed stays: RFC 4314 §4.
    pub fn apply(self, flags: FlagBits, named: FlagBits, within: Rights) -> FlagBits {
        match self {
            Change::Add => flags.with(named),
            Change::Remove => flags.without(named),
            Change::Replace => named.with(flags.without(flags.permitted(within))),
        }
    }
}

/// A change of flags.
#[derive(Clone, Debug)]
pub struct ChangeFlags {
    /// The messages; those that are gone are passed over.
    pub uids: Vec<Uid>,
    /// What to do.
    pub change: Change,
    /// With these flags.
    pub flags: Vec<Flag>,
    /// Refuse messages with a greater MODSEQ. RFC 7162 §3.1.3.
    pub unchanged_since: Option<ModSeq>,
    /// Flags that these rights do not let change stay as they are.
    pub within: Rights,
}

/// What a change of flags did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagOutcome {
    /// The messages asked for that were not refused, as they are now, changed or not.
    pub entries: Arc<Vec<Entry>>,
    /// The messages refused because of `unchanged_since`.
    pub refused: Vec<Uid>,
    /// The MODSEQ that this change has; none when no flags became others.
    pub modseq: Option<ModSeq>,
}

/// Changes flags. Messages whose flags stay the same keep their MODSEQ; the others get one new
/// MODSEQ together.
pub(crate) fn change_flags(
    w: &mut Writing<'_>,
    mailbox: MailboxId,
    mut wanted: ChangeFlags,
) -> Result<FlagOutcome> {
    let mut row = w.mailbox(mailbox)?;
    wanted.uids.sort_unstable();
    wanted.uids.dedup();
    let keywords_before = row.keywords.clone();
    let named = match wanted.change {
        // Clearing a keyword that the mailbox does not know changes nothing.
        Change::Remove => {
            let known = wanted.flags.iter().filter_map(|flag| row.keywords.bit(flag));
            known.fold(FlagBits::default(), FlagBits::with)
        }
        Change::Add | Change::Replace => append::bits(&mut row, &wanted.flags)?,
    };
    let touched = if wanted.change == Change::Replace { FlagBits(u64::MAX) } else { named };
    let telling = if w.learn { Telling::of(&row.keywords, touched) } else { None };
    let mut taught: [(Said, Vec<ContentId>); 3] =
        [Said::Nothing, Said::Ham, Said::Spam].map(|said| (said, Vec::new()));
    let mut outcome = FlagOutcome::default();
    let mut entries = Vec::with_capacity(wanted.uids.len());
    let mut changes = 0;
    each_of(w.unit, mailbox, &wanted.uids, |entry| {
        let mut entry = *entry;
        if wanted.unchanged_since.is_some_and(|since| entry.modseq > since) {
            outcome.refused.push(entry.uid);
            return;
        }
        let flags = wanted.change.apply(entry.flags, named, wanted.within);
        if flags != entry.flags {
            let at = *outcome.modseq.get_or_insert_with(|| bump(&mut row));
            recount(&mut row, entry.flags, flags);
            if let Some(said) = telling.as_ref().and_then(|t| t.said(entry.flags, flags)) {
                let all = taught.iter_mut().filter(|(of, _)| *of == said);
                all.for_each(|(_, contents)| contents.push(entry.content));
            }
            (entry.flags, entry.modseq) = (flags, at);
            changes += 1;
        }
        entries.push(entry);
    })?;
    outcome.entries = Arc::new(entries);
    if let Some(at) = outcome.modseq {
        // Often all of them have changed; copies of 100,000 cost.
        let changed = match changes == outcome.entries.len() {
            true => outcome.entries.clone(),
            false => {
                let changed = outcome.entries.iter().filter(|entry| entry.modseq == at);
                Arc::new(changed.copied().collect())
            }
        };
        w.unit.set_entries(mailbox, &changed)?;
        w.save(&row)?.add_changed(changed);
        for (said, contents) in taught {
            lessons::note(w, row.account, said, &contents)?;
        }
    } else if row.keywords != keywords_before {
        w.save(&row)?;
    }
    Ok(outcome)
}

/// Counts a message that has other flags now.
fn recount(row: &mut MailboxRow, before: FlagBits, after: FlagBits) {
    let step = |counter: &mut u32, before: bool, after: bool| match (before, after) {
        (false, true) => *counter = counter.saturating_add(1),
        (true, false) => *counter = counter.saturating_sub(1),
        _ => {}
    };
    let [seen, deleted] = [FlagBits::SEEN, FlagBits::DELETED];
    step(&mut row.unseen, !before.contains(seen), !after.contains(seen));
    step(&mut row.deleted, before.contains(deleted), after.contains(deleted));
}
