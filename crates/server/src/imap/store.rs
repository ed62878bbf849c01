//! STORE. RFC 3501 §6.4.6, RFC 7162 §3.1.3.

use super::view::{View, tell_modseq};
use super::{Context, Done, ok};
use crate::drive::Output;
use ::store::{Change, ChangeFlags, FlagOutcome, StoreError};
use mail::{Entry, Flag, FlagBits, Listing, MailboxId, ModSeq, Rights, Uid};
use protocol::imap::command::{self, Store};
use protocol::imap::response;
use protocol::imap::session::Answer;
use std::sync::Arc;

/// The flags of a STORE that the session may change; `None` when it may change none of them.
/// RFC 4314 §4: what it may not change is passed over.
fn permitted(view: &View, command: &Store) -> Option<Vec<Flag>> {
    let may = |flag: &Flag| view.rights.contains(flag.right());
    let flags: Vec<Flag> = command.flags.iter().filter(|flag| may(flag)).cloned().collect();
    let some = Rights::SEEN.with(Rights::WRITE).with(Rights::DELETED);
    let replaces = command.change == command::Change::Replace && view.rights.intersects(some);
    (replaces || !flags.is_empty() || command.flags.is_empty()).then_some(flags)
}

/// None of these flags of a message has changed since that MODSEQ, as far as this session can tell:
/// it knows how they were then. RFC 7162 §3.1.3: a keyword that is not there has never changed.
fn is_beside(view: &View, now: &Listing, uid: Uid, since: ModSeq, flags: &[&Flag]) -> bool {
    let has = |listing: &Listing, entry: &Entry, flag: &Flag| {
        listing.keywords.bit(flag).is_some_and(|bit| entry.flags.contains(bit))
    };
    let Some(entry) = now.get(uid) else { return false };
    let is_absent = |flag: &&Flag| matches!(flag, Flag::Keyword(_)) && !has(now, entry, flag);
    if since == ModSeq(0) {
        return flags.iter().all(is_absent);
    }
    let told = &view.told;
    let known = told.get(uid).filter(|known| known.modseq <= since && since <= told.modseq);
    let same = |known: &Entry, flag| has(told, known, flag) == has(now, entry, flag);
    known.is_some_and(|known| flags.iter().all(|flag| same(known, flag)))
}

pub(super) fn bad_number() -> Answer {
    Answer::Bad("There is no message of that number".to_owned())
}

/// The answer to a STORE that has refused some messages, or found some `gone`.
pub(super) fn stored(command: &Store, told: &Listing, refused: &[Uid], gone: bool) -> Answer {
    let number = |uid: &Uid| match command.uid {
        true => Some(uid.get()),
        false => told.find(*uid).ok().map(|at| at + 1),
    };
    let refused: Vec<u32> = refused.iter().filter_map(number).collect();
    if !refused.is_empty() {
        // RFC 7162 §3.1.3.
        return Answer::Ok(format!("[MODIFIED {}] Some have changed", response::set(&refused)));
    }
    if gone && !command.silent && !command.uid {
        // RFC 2180 §4.2: an EXPUNGE of it is due that cannot be told now.
        return Answer::No("[EXPUNGEISSUED] Some of the messages are gone".to_owned());
    }
    ok("STORE completed")
}

/// Messages that were found, with their numbers, and what came of each, sorted by UID.
fn side_by_side<'a>(
    found: &'a mut [(u32, Entry)],
    now: &'a [Entry],
) -> impl Iterator<Item = (&'a (u32, Entry), &'a Entry)> {
    found.sort_by_key(|(number, _)| *number);
    let mut found = found.iter().peekable();
    now.iter().filter_map(move |entry| {
        while found.next_if(|(_, old)| old.uid < entry.uid).is_some() {}
        Some((found.next_if(|(_, old)| old.uid == entry.uid)?, entry))
    })
}

impl Context {
    pub(super) async fn store(&mut self, command: Store, out: &mut Output<'_>) -> Done {
        if command.unchanged_since.is_some() {
            self.enable_condstore(out);
        }
        if !command.annotations.is_empty() {
            return self.store_annotations(command, out).await;
        }
        let Some(view) = &self.view else { return Ok(bad_number()) };
        if view.read_only {
            return Ok(Answer::No("[READ-ONLY] The mailbox is open for reading only".to_owned()));
        }
        let Some(mut found) = view.resolve(&command.set, command.uid) else {
            return Ok(bad_number());
        };
        let lowest = self.limit_messages(&mut found);
        let mailbox = view.mailbox;
        let flags = match permitted(view, &command) {
            Some(flags) => flags,
            None => return Ok(Answer::No("[NOPERM] You may not change those flags".to_owned())),
        };
        let kind = match command.change {
            command::Change::Add => Change::Add,
            command::Change::Remove => Change::Remove,
            command::Change::Replace => Change::Replace,
        };
        let change = ChangeFlags {
            uids: found.iter().map(|(_, entry)| entry.uid).collect(),
            change: kind,
            flags: flags.clone(),
            within: view.rights,
            unchanged_since: command.unchanged_since.map(ModSeq),
        };
        let again = change.unchanged_since.is_some().then(|| change.clone());
        let mut outcome = self.shared.store.change_flags(mailbox, change).await?;
        if let Some(change) = again.filter(|_| !outcome.refused.is_empty()) {
            self.store_beside(mailbox, change, &mut outcome).await?;
        }
        let enabled = self.enabled;
        let patched = self.patch(&outcome, out.buffer());
        let Some((before, alone)) = patched else { return Ok(bad_number()) };
        let gone = outcome.entries.len() + outcome.refused.len() < found.len();
        let answer = stored(&command, &before, &outcome.refused, gone);
        if !(alone && command.silent && !enabled.condstore) {
            self.tell_changed(&command, kind, &flags, &mut found, &outcome, out.buffer());
        }
        Ok(self.tell_limit(answer, lowest, out))
    }

    /// What came of a STORE. RFC 3501 §6.4.6.
    fn tell_changed(
        &mut self,
        command: &Store,
        kind: Change,
        flags: &[Flag],
        found: &mut [(u32, Entry)],
        outcome: &FlagOutcome,
        out: &mut Vec<u8>,
    ) {
        let (enabled, Some(view)) = (self.enabled, &mut self.view) else { return };
        let bits = flags.iter().filter_map(|flag| view.told.keywords.bit(flag));
        let named = bits.fold(FlagBits::default(), FlagBits::with);
        for ((number, old), entry) in side_by_side(found, &outcome.entries) {
            let changed = old.modseq != entry.modseq;
            // RFC 3501 §6.4.6: what others changed meanwhile is told in any case.
            let meant = kind.apply(old.flags, named, view.rights);
            if !command.silent || meant != entry.flags {
                view.fetch_flags(*number, entry, command.uid, enabled, out);
            } else if enabled.condstore && (changed || command.unchanged_since.is_some()) {
                // RFC 7162 §3.1.3: the MODSEQ is told even when the flags are not.
                tell_modseq(*number, entry, enabled, out);
            }
        }
    }

    /// The MODSEQs of messages that a silent change has changed, or had to look at. RFC 7162
    /// §3.1.3. What others did to their flags meanwhile would be told no more: RFC 3501 §6.4.6.
    pub(super) fn tell_stored(
        &self,
        command: &Store,
        found: &mut [(u32, Entry)],
        outcome: &FlagOutcome,
        out: &mut Vec<u8>,
    ) {
        for ((number, old), entry) in side_by_side(found, &outcome.entries) {
            let changed = old.modseq != entry.modseq || command.unchanged_since.is_some();
            let view = self.view.as_ref().filter(|_| old.flags != entry.flags);
            if let Some(view) = view {
                view.fetch_flags(*number, entry, command.uid, self.enabled, out);
            } else if self.enabled.condstore && changed {
                tell_modseq(*number, entry, self.enabled, out);
            }
        }
    }

    /// Changes those of the refused messages after all whose other flags have changed, not these.
    /// RFC 7162 §3.1.12.
    async fn store_beside(
        &mut self,
        mailbox: MailboxId,
        mut change: ChangeFlags,
        outcome: &mut FlagOutcome,
    ) -> Result<(), StoreError> {
        let (Some(view), Some(since)) = (&mut self.view, change.unchanged_since) else {
            return Ok(());
        };
        let now = view.watch.current();
        // What neither listing has is the same in both.
        let listed = |flag: &&Flag| {
            [&now, &view.told].iter().any(|listing| listing.keywords.bit(flag).is_some())
        };
        let flags: Vec<&Flag> = change.flags.iter().filter(listed).collect();
        let refused = std::mem::take(&mut outcome.refused);
        let adds = change.change != Change::Replace && !change.flags.is_empty();
        let is_beside = |uid: &Uid| adds && is_beside(view, &now, *uid, since, &flags);
        (change.uids, outcome.refused) = refused.into_iter().partition(is_beside);
        if change.uids.is_empty() {
            return Ok(());
        }
        change.unchanged_since = Some(now.modseq);
        let more = self.shared.store.change_flags(mailbox, change).await?;
        let entries = Arc::make_mut(&mut outcome.entries);
        entries.extend_from_slice(&more.entries);
        entries.sort_unstable_by_key(|entry| entry.uid);
        outcome.refused.extend(more.refused);
        outcome.refused.sort_unstable();
        outcome.modseq = more.modseq.or(outcome.modseq);
        Ok(())
    }
}
