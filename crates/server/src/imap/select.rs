//! SELECT, EXAMINE, CLOSE, UNSELECT. RFC 3501 §6.3.1, §6.3.2, §6.4.2, RFC 3691, RFC 7162 §3.2.5.

use super::view::{View, flags_line};
use super::{Context, Done, annotate, mailbox_id, refusal};
use crate::drive::Output;
use ::store::{StoreError, Visible};
use mail::{ModSeq, Rights, Uid};
use protocol::imap::command::{Resync, Select};
use protocol::imap::grammar::SequenceSet;
use protocol::imap::response;
use protocol::imap::session::{Answer, State};

/// With any of these a mailbox is not read-only. RFC 4314 §5.2.
const CHANGES: Rights = Rights::SEEN
    .with(Rights::WRITE)
    .with(Rights::INSERT)
    .with(Rights::DELETED)
    .with(Rights::EXPUNGE)
    .with(Rights::ANNOTATE);

impl Context {
    /// SELECT, EXAMINE. A failure leaves nothing selected. RFC 3501 §6.3.1.
    pub(super) async fn select(&mut self, select: Select, out: &mut Output<'_>) -> Done {
        let mut before = self.view.take();
        if before.is_some() {
            // RFC 7162 §3.2.11: what follows is about the other mailbox.
            self.untagged("OK", "CLOSED", "The mailbox before is closed", out.buffer());
        }
        self.enabled.condstore |= select.condstore;
        let selected = match self.mailbox(&select.mailbox, Rights::READ) {
            Ok(found) => {
                // A mailbox that is selected again stays in memory meanwhile, any other does not.
                before = before.filter(|view| view.mailbox == found.row.id);
                self.open(&found, select.examine).await
            }
            Err(error) => Err(error),
        };
        drop(before);
        let mut view = match selected {
            Ok(view) => view,
            Err(error) => {
                return Ok(match refusal(&error) {
                    Answer::No(text) => Answer::NoDeselected(text),
                    answer => answer,
                });
            }
        };
        view.annotate = select.annotate;
        self.tell_selected(&view, &select.spelled, out.buffer())?;
        if let Some(resync) = &select.resync {
            self.resync(&view, resync, out).await?;
        }
        self.view = Some(view);
        // RFC 4467 §8: URLMECH; only for those who have given URLs of the mailbox.
        self.tell_mechanisms(out.buffer())?;
        let verb = if select.examine { "EXAMINE" } else { "SELECT" };
        let read_only = self.view.as_ref().is_some_and(|view| view.read_only);
        let code = if read_only { "READ-ONLY" } else { "READ-WRITE" };
        Ok(Answer::OkIn(State::Selected, format!("[{code}] {verb} completed")))
    }

    /// Opens a mailbox that may be read, as it is now.
    pub(super) async fn open(&self, found: &Visible, examine: bool) -> Result<View, StoreError> {
        let selected = self.shared.store.select(found.row.id).await?;
        self.shared.store.mailbox_opened(found.row.account, &selected.listing);
        let mut view = View {
            mailbox: found.row.id,
            name: found.name.clone(),
            read_only: examine || !found.rights.intersects(CHANGES),
            examined: examine,
            annotate: false,
            owned: found.row.account == self.actor()?.account,
            rights: found.rights,
            told_rights: found.rights,
            watch: selected.watch,
            told: selected.listing.clone(),
            recent: Vec::new(),
            saved: Vec::new(),
            live: Vec::new(),
            behind: false,
            touched: Vec::new(),
            fresh: Vec::new(),
            key: None,
            key_changes: u64::MAX,
        };
        view.claim(&self.shared.store, &selected.listing);
        Ok(view)
    }

    /// What a mailbox is when it is selected. RFC 3501 §6.3.1, RFC 9051 §6.3.2.
    fn tell_selected(
        &self,
        view: &View,
        supplied: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let listing = &view.told;
        flags_line(listing, out);
        out.extend_from_slice(format!("* {} EXISTS\r\n", listing.len()).as_bytes());
        if self.enabled.rev2 {
            self.tell_name(&view.name, supplied, out)?;
        } else {
            out.extend_from_slice(format!("* {} RECENT\r\n", view.recent_count()).as_bytes());
            // RFC 9586 §3: no message numbers.
            let first = listing.first_unseen().filter(|_| !self.enabled.uid_only);
            if let Some(at) = first {
                self.untagged("OK", &format!("UNSEEN {}", at + 1), "First unseen", out);
            }
        }
        let permanent = match view.read_only {
            true => String::new(),
            false => view.permanent_flags(listing, view.rights),
        };
        let next = listing.uidnext.map_or(u32::MAX, Uid::get);
        let id = mailbox_id(view.mailbox);
        for (code, text) in [
            (format!("PERMANENTFLAGS ({permanent})"), "Flags that stay"),
            (format!("UIDVALIDITY {}", listing.uidvalidity), "UIDs valid"),
            (format!("UIDNEXT {next}"), "Next UID"),
            (format!("HIGHESTMODSEQ {}", listing.modseq), "Highest"),
            (format!("MAILBOXID ({id})"), "Its id"),
            (annotate::support(view), "Annotations"),
        ] {
            self.untagged("OK", &code, text, out);
        }
        Ok(())
    }

    /// What has changed since a client was last here. RFC 7162 §3.2.5.1.
    async fn resync(
        &self,
        view: &View,
        resync: &Resync,
        out: &mut Output<'_>,
    ) -> Result<(), StoreError> {
        if resync.uidvalidity != view.told.uidvalidity.0.get() {
            return Ok(());
        }
        let known = match &resync.known {
            Some(set) => set.ranges(u32::MAX),
            None => vec![(1, u32::MAX)],
        };
        let floor =
            resync.matches.as_ref().map_or(0, |(numbers, uids)| agreed(view, numbers, uids));
        let since = ModSeq(resync.modseq);
        self.vanished_earlier(view, since, &known, floor, out)?;
        for (at, entry) in view.told.changed(since) {
            if is_within(&known, entry.uid.get()) {
                view.fetch_flags(at + 1, entry, true, self.enabled, out.buffer());
                if out.relieve().await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// `* VANISHED (EARLIER) …`: those of `known`, above `floor`, that went after `since`.
    pub(super) fn vanished_earlier(
        &self,
        view: &View,
        since: ModSeq,
        known: &[(u32, u32)],
        floor: u32,
        out: &mut Output<'_>,
    ) -> Result<(), StoreError> {
        let gone = self.shared.store.expunged(view.mailbox, since)?;
        let gone =
            gone.into_iter().map(|(from, to)| (from.get().max(floor.saturating_add(1)), to.get()));
        let both = intersection(gone, known);
        // What the client still counts goes later, as an ordinary VANISHED.
        let counted = |uid: &u32| Uid::new(*uid).is_some_and(|uid| view.told.find(uid).is_ok());
        let each = both.into_iter().flat_map(|(from, to)| from..=to);
        let uids: Vec<u32> = each.filter(|uid| !counted(uid)).collect();
        if !uids.is_empty() {
            let line = format!("* VANISHED (EARLIER) {}\r\n", response::set(&uids));
            out.buffer().extend_from_slice(line.as_bytes());
        }
        Ok(())
    }

    /// CLOSE: expunges silently unless read-only. RFC 3501 §6.4.2.
    pub(super) async fn close(&mut self) -> Done {
        let may = |view: &View| !view.read_only && view.rights.contains(Rights::EXPUNGE);
        if let Some(mut view) = self.view.take().filter(may) {
            let marked = view.marked();
            match self.shared.store.expunge(view.mailbox, marked).await {
                Ok(_) | Err(StoreError::NoSuchMailbox) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Answer::OkIn(State::Authenticated, "CLOSE completed".to_owned()))
    }
}

/// The highest UID up to which client and server count the same: it knows of every expunge up to
/// there. RFC 7162 §3.2.5.2.
fn agreed(view: &View, numbers: &SequenceSet, uids: &SequenceSet) -> u32 {
    let each = |set: &SequenceSet| set.ranges(u32::MAX).into_iter().flat_map(|(a, b)| a..=b);
    let pairs = each(numbers).zip(each(uids));
    let same = |(number, uid): &(u32, u32)| {
        view.told.at(number.saturating_sub(1)).is_some_and(|entry| entry.uid.get() == *uid)
    };
    let within = |(number, _): &(u32, u32)| *number <= view.told.len();
    pairs.take_while(within).filter(same).map(|(_, uid)| uid).last().unwrap_or(0)
}

/// A number is in one of some ascending ranges.
fn is_within(ranges: &[(u32, u32)], n: u32) -> bool {
    let at = ranges.partition_point(|(_, to)| *to < n);
    ranges.get(at).is_some_and(|(from, _)| *from <= n)
}

/// What is in both of two ascending lists of ranges.
fn intersection(runs: impl Iterator<Item = (u32, u32)>, known: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut both = Vec::new();
    let mut rest = known;
    for (from, to) in runs {
        let passed = rest.partition_point(|(_, end)| *end < from);
        rest = rest.get(passed..).unwrap_or_default();
        let overlap = rest.iter().take_while(|(start, _)| *start <= to);
        both.extend(overlap.map(|(start, end)| (from.max(*start), to.min(*end))));
    }
    both.retain(|(from, to)| from <= to);
    both
}

#[cfg(test)]
mod tests {
    use super::intersection;

    #[test]
    fn ranges_intersect() {
        let known = [(1, 4), (8, 10), (20, u32::MAX)];
        let runs = [(3, 8), (10, 30), (40, 41)].into_iter();
        assert_eq!(intersection(runs, &known), [(3, 4), (8, 8), (10, 10), (20, 30), (40, 41)]);
        assert_eq!(intersection([(6, 5)].into_iter(), &known), []);
    }
}
