//! COPY and MOVE. RFC 9051 §6.4.7, §6.4.8; UIDs of both sides as RFC 4315 §3 wants them.

use super::append::{self, NewEntry};
use super::{annotations, entries_of, expunge};
use crate::error::Result;
use crate::lessons;
use crate::rows::MailboxRow;
use crate::write::Writing;
use mail::{AccountId, Entry, Flag, FlagBits, Keyword, MailboxId, Rights, Uid, UidValidity};

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// UIDVALIDITY of the target.
    pub uidvalidity: UidValidity,
    /// UIDs in the source and in the target, in order.
    pub pairs: Vec<(Uid, Uid)>,
    /// Annotations were copied.
    pub annotated: bool,
}

/// Who copies.
#[derive(Clone, Copy, Debug)]
pub struct By {
    /// Whose private annotations go along.
    pub account: AccountId,
    /// What they may do with the target.
    pub rights: Rights,
}

/// Copies messages with dates, keywords, annotations and those flags that the rights to the target
/// let through. The bytes are shared.
pub(crate) fn copy(
    w: &mut Writing<'_>,
    from: MailboxId,
    uids: &[Uid],
    to: MailboxId,
    by: By,
) -> Result<Copied> {
    let source = w.mailbox(from)?;
    let mut target = w.mailbox(to)?;
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    let said = lessons::of_move(w, &source, &target)?;
    let mut pairs = Vec::with_capacity(uids.len());
    let annotated = annotations::are_in(w.unit.rows(), from)?;
    let mut notes = Vec::new();
    let mut taught = Vec::new();
    for entry in entries_of(w.unit, from, &uids)? {
        let mut entry = entry;
        entry.flags = entry.flags.permitted(by.rights).with(entry.flags.found());
        let flags = carried(&source, &mut target, &entry)?;
        w.hold(entry.content)?;
        let new = NewEntry { content: entry.content, size: entry.size, date: entry.date, flags };
        let placed = append::add(w, &mut target, new)?;
        pairs.push((entry.uid, placed.uid));
        if annotated {
            notes.push((entry.uid, placed.uid, placed.modseq));
        }
        if said.is_some() {
            taught.push(entry.content);
        }
    }
    if let Some(said) = said {
        lessons::note(w, target.account, said, &taught)?;
    }
    let annotated = annotations::copy(w, (from, to), &notes, by)?;
    Ok(Copied { uidvalidity: target.uidvalidity, pairs, annotated })
}

/// Copies messages and expunges the originals, in one commit. RFC 6851 §3.
pub(crate) fn move_(
    w: &mut Writing<'_>,
    from: MailboxId,
    uids: &[Uid],
    to: MailboxId,
    by: By,
) -> Result<Copied> {
    let copied = copy(w, from, uids, to, by)?;
    let gone: Vec<Uid> = copied.pairs.iter().map(|(uid, _)| *uid).collect();
    expunge::expunge(w, from, &expunge::Which::Exactly(gone))?;
    Ok(copied)
}

/// The flags of a message by the target's table. A keyword that the full table cannot take is
/// lost: the copy matters more.
fn carried(source: &MailboxRow, target: &mut MailboxRow, entry: &Entry) -> Result<FlagBits> {
    const SYSTEM: FlagBits = FlagBits((1 << FlagBits::KEYWORD_SHIFT) - 1);
    let keywords = entry.flags.without(SYSTEM);
    let mut bits = entry.flags.without(keywords);
    for name in source.keywords.names(keywords) {
        if let Some(keyword) = Keyword::new(name)
            && let Ok(bit) = append::bits(target, &[Flag::Keyword(keyword)])
        {
            bits = bits.with(bit);
        }
    }
    Ok(bits)
}
