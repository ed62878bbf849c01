//! What a client has been told of its mailbox: the numbering it counts by, and what is news to it.
//!
//! Invariant: sequence numbers mean `told`, whatever the store holds by now; only [`View::sync`]
//! changes the numbering, and says so.

use super::annotate;
use super::search::live::{self, Live};
use ::store::{FlagOutcome, Store, Watch, Which};
use mail::listing::Difference;
use mail::{AccountId, Entry, FlagBits, Listing, MailboxId, MailboxName, Rights, Uid};
use protocol::imap::grammar::SequenceSet;
use protocol::imap::response;
use protocol::imap::session::Enabled;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A selected mailbox, as the client knows it.
pub struct View {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// What the session calls it.
    pub name: MailboxName,
    /// EXAMINE, or no right to change anything: nothing may be changed.
    pub read_only: bool,
    /// EXAMINE.
    pub examined: bool,
    /// Changes of annotations are told: SELECT (ANNOTATE). RFC 5257 §4.2.
    pub annotate: bool,
    /// It is the session's own account's.
    pub owned: bool,
    /// What the session may do with it; looked up again before each command.
    pub rights: Rights,
    /// What it may do as far as the client was told.
    pub told_rights: Rights,
    /// Tells of changes.
    pub watch: Watch,
    /// What the client counts by.
    pub told: Arc<Listing>,
    /// UIDs that are `\Recent` here, as ranges in ascending order.
    pub recent: Vec<(u32, u32)>,
    /// `$`: the messages that the last SEARCH saved, in order. RFC 5182.
    pub saved: Vec<Uid>,
    /// The user's access key for the mailbox as it was when that was looked at last, and how many
    /// keys had been changed by then. RFC 4467 §2.2.
    pub key: Option<Vec<u8>>,
    pub key_changes: u64,
    /// Searches that are kept up to date. RFC 5267 §4.3.
    pub live: Vec<Live>,
    /// Expunges are held back, and the client knows of later changes.
    pub behind: bool,
    /// What was told of as new or changed, and is to be looked at for those.
    pub touched: Vec<Uid>,
    /// Those of them that are new.
    pub fresh: Vec<Uid>,
}

/// What a client was told.
#[derive(Default)]
pub struct Told {
    /// What was different.
    pub differences: Vec<Difference>,
    /// Expunges among it were held back.
    pub held: bool,
}

/// What a client wants to hear of messages that have changed.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// Their flags, and MODSEQs.
    pub flags: bool,
    /// Which of the annotations have changed that this account sees.
    pub annotations: Option<AccountId>,
}

/// What is to be told of a message that has changed.
struct News {
    flags: bool,
    modseq: bool,
    /// Names of annotations.
    entries: BTreeSet<String>,
}

/// What becomes of messages that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expunges {
    /// The client hears of them.
    Told,
    /// Not now: it is counting by sequence numbers. RFC 3501 §7.4.1.
    HeldBack,
}

impl View {
    /// `\Recent` in this session. RFC 3501 §2.3.2.
    pub fn is_recent(&self, uid: Uid) -> bool {
        let at = self.recent.partition_point(|(_, to)| *to < uid.get());
        self.recent.get(at).is_some_and(|(from, _)| *from <= uid.get())
    }

    /// How many are.
    pub fn recent_count(&self) -> u32 {
        self.recent.iter().map(|(from, to)| self.places(*from, *to)).map(|(a, b)| b - a).sum()
    }

    /// The places of the UIDs from `from` to `to`, counted from 0: first, and behind the last.
    fn places(&self, from: u32, to: u32) -> (u32, u32) {
        let start = Uid::new(from).map_or(0, |uid| self.told.find(uid).unwrap_or_else(|at| at));
        let end =
            Uid::new(to).map_or(0, |uid| self.told.find(uid).map_or_else(|at| at, |at| at + 1));
        (start, end.max(start))
    }

    /// Claims new messages as this session's `\Recent`.
    pub fn claim(&mut self, store: &Store, listing: &Listing) {
        let next = listing.uidnext.map_or(u32::MAX, Uid::get);
        let from = if self.read_only {
            self.watch.unclaimed()
        } else {
            store.claim_recent(&self.watch, listing.uidnext)
        };
        // With EXAMINE nothing is claimed, so that what was told here before is there once more.
        let from = from.max(self.recent.last().map_or(0, |(_, to)| to.saturating_add(1)));
        match self.recent.last_mut() {
            _ if from >= next => {}
            // One range goes on: a long session must not have one for each delivery.
            Some((_, to)) if to.checked_add(1) == Some(from) => *to = next - 1,
            _ => self.recent.push((from, next - 1)),
        }
    }

    /// The messages a set names: numbers and UIDs of what the client was told.
    pub fn resolve(&self, set: &SequenceSet, by_uid: bool) -> Option<Vec<(u32, Entry)>> {
        let places = self.places_of(set, by_uid)?;
        let count: usize = places.iter().map(|(from, to)| to.saturating_sub(*from) as usize).sum();
        let mut found = Vec::with_capacity(count.min(self.told.len() as usize));
        found.extend(at_places(&self.told, &places));
        Some(found)
    }

    /// Where those are: ranges of places counted from 0, first and behind the last. `None` when a
    /// number is no message.
    pub fn places_of(&self, set: &SequenceSet, by_uid: bool) -> Option<Vec<(u32, u32)>> {
        let told = &self.told;
        if *set == SequenceSet::Saved {
            // What is gone by now is no error. RFC 5182 §2.1.
            let found = self.saved.iter().filter_map(|uid| told.find(*uid).ok());
            return Some(found.map(|at| (at, at + 1)).collect());
        }
        let last = match by_uid {
            true => told.last().map_or(0, |entry| entry.uid.get()),
            false => told.len(),
        };
        let mut places = Vec::new();
        for (from, to) in set.ranges(last) {
            if by_uid {
                places.push(self.places(from, to));
            } else if from == 0 || to > told.len() {
                // A number that is no message is an error, but `*` of nothing is nothing.
                if told.is_empty() && from == 0 {
                    continue;
                }
                return None;
            } else {
                places.push((from - 1, to));
            }
        }
        Some(places)
    }

    /// The flags that somebody with these rights may change for good: RFC 4314 §5.1.1. `\*` is not
    /// among them when the mailbox has as many keywords as it can have: RFC 9051 §7.1.
    pub fn permanent_flags(&self, listing: &Listing, rights: Rights) -> String {
        let may = |name: &&str| match *name {
            "\\Seen" => rights.contains(Rights::SEEN),
            "\\Deleted" => rights.contains(Rights::DELETED),
            _ => rights.contains(Rights::WRITE),
        };
        let names = flag_names(listing);
        let more = if is_full(listing) { None } else { Some("\\*") };
        names.split(' ').chain(more).filter(may).collect::<Vec<_>>().join(" ")
    }

    /// What EXPUNGE takes: all that are `\Deleted` now. Found here, where no row has to be read.
    pub fn marked(&mut self) -> Which {
        Which::DeletedAmong(self.watch.current().deleted().map(|entry| entry.uid).collect())
    }

    /// Our own change of flags: told by the command's own response, so it is no news. Whether
    /// nothing else has changed since the client was told.
    pub fn patch(&mut self, outcome: &FlagOutcome) -> bool {
        let (now, entries) = (self.watch.current(), &outcome.entries);
        // Each change has the next MODSEQ: with ours alone, this is what the client knows. (An
        // entry of that MODSEQ would not do: another's change may be in it, and in others.)
        if now.modseq.0 == self.told.modseq.0 + 1 && outcome.modseq == Some(now.modseq) {
            self.told = now;
            self.touch(entries.iter().map(|entry| entry.uid));
            return true;
        }
        // Of what came later the client does not know; in between, only what it knows is replaced.
        let last = self.told.last().map(|entry| entry.uid);
        let known = entries.partition_point(|entry| Some(entry.uid) <= last);
        let known = entries.get(..known).unwrap_or_default();
        if !known.is_empty() {
            let mut told = self.told.apply(known, &[]);
            told.keywords = now.keywords.clone();
            self.told = Arc::new(told);
            self.touch(known.iter().map(|entry| entry.uid));
        }
        false
    }

    fn touch(&mut self, uids: impl Iterator<Item = Uid>) {
        if !self.live.is_empty() {
            self.touched.extend(uids);
        }
    }

    /// Tells the client what is new, and counts by it from now on.
    pub fn sync(
        &mut self,
        store: &Store,
        enabled: Enabled,
        expunges: Expunges,
        wanted: Wanted,
        out: &mut Vec<u8>,
    ) -> Told {
        let mut now = self.watch.current();
        if Arc::ptr_eq(&now, &self.told) {
            return Told::default();
        }
        if self.watch.deleted() {
            now = Arc::new(emptied(&now));
        }
        let differences = now.changes_since(&self.told);
        if now.keywords != self.told.keywords {
            flags_line(&now, out);
        }
        let gone: Vec<Uid> = differences.iter().filter_map(expunged).collect();
        live::expunged(&mut self.live, &gone, &self.told, out);
        let held = expunges == Expunges::HeldBack && !gone.is_empty();
        let told = match expunges {
            Expunges::Told => {
                self.tell_expunged(&gone, enabled, out);
                now
            }
            Expunges::HeldBack if gone.is_empty() => now,
            Expunges::HeldBack => {
                let entries: Vec<Entry> = differences.iter().filter_map(present).collect();
                let mut told = self.told.apply(&entries, &[]);
                (told.keywords, told.uidnext) = (now.keywords.clone(), now.uidnext);
                Arc::new(told)
            }
        };
        self.touch(differences.iter().filter_map(present).map(|entry| entry.uid));
        // `*` may be another message now.
        self.touch(told.last().filter(|_| !gone.is_empty()).map(|entry| entry.uid).into_iter());
        if !self.live.is_empty() {
            self.fresh.extend(differences.iter().filter_map(added));
        }
        let arrived = differences.iter().any(|d| matches!(d, Difference::Added(_)));
        let before = std::mem::replace(&mut self.told, told.clone());
        if arrived {
            self.claim(store, &told);
            out.extend_from_slice(format!("* {} EXISTS\r\n", told.len()).as_bytes());
            if !enabled.rev2 {
                out.extend_from_slice(format!("* {} RECENT\r\n", self.recent_count()).as_bytes());
            }
        }
        for difference in &differences {
            if let Difference::Changed(entry) = difference
                && let Ok(at) = told.find(entry.uid)
                && let Some(known) = before.get(entry.uid)
            {
                let entries = wanted.annotations.map(|who| {
                    annotate::changed(store, self.mailbox, who, entry.uid, known.modseq)
                });
                let entries = entries.unwrap_or_default();
                // Flags that became others and then the same again are told, as any news.
                let noted = || store.is_noted(self.mailbox, entry.uid, entry.modseq);
                let same = known.flags == entry.flags && noted().unwrap_or(false);
                let flags = wanted.flags && !same;
                let news = News { flags, modseq: wanted.flags, entries };
                self.tell_change(at + 1, entry, &news, enabled, out);
            }
        }
        Told { differences, held }
    }

    /// The client expunged these itself, and wants to hear of nothing else. RFC 5465 §3.1.
    pub fn forget(&mut self, gone: &[Uid], enabled: Enabled, out: &mut Vec<u8>) {
        let known = |uid: &Uid| self.told.find(*uid).is_ok();
        let gone: Vec<Uid> = gone.iter().copied().filter(known).collect();
        live::expunged(&mut self.live, &gone, &self.told, out);
        self.tell_expunged(&gone, enabled, out);
        let mut told = self.told.apply(&[], &gone);
        told.keywords = self.told.keywords.clone();
        self.told = Arc::new(told);
    }

    /// EXPUNGE, or VANISHED once QRESYNC is enabled (RFC 7162 §3.2.10.2) or UIDONLY is (RFC 9586).
    fn tell_expunged(&self, gone: &[Uid], enabled: Enabled, out: &mut Vec<u8>) {
        if (enabled.qresync || enabled.uid_only) && !gone.is_empty() {
            let uids: Vec<u32> = gone.iter().map(|uid| uid.get()).collect();
            let line = format!("* VANISHED {}\r\n", response::set(&uids));
            return out.extend_from_slice(line.as_bytes());
        }
        for (before, uid) in (0..).zip(gone) {
            if let Ok(at) = self.told.find(*uid) {
                out.extend_from_slice(format!("* {} EXPUNGE\r\n", at + 1 - before).as_bytes());
            }
        }
    }

    /// What has become of a message: flags, and which annotations are others now. When it is only
    /// its MODSEQ, that is told to those who want to know it.
    fn tell_change(
        &self,
        number: u32,
        entry: &Entry,
        news: &News,
        enabled: Enabled,
        out: &mut Vec<u8>,
    ) {
        if news.entries.is_empty() {
            return match news {
                News { flags: true, .. } => self.fetch_flags(number, entry, true, enabled, out),
                News { modseq: true, .. } if enabled.condstore => {
                    tell_modseq(number, entry, enabled, out);
                }
                _ => {}
            };
        }
        begin_fetch(number, entry, true, enabled, out);
        if news.flags {
            self.flags_item(entry, enabled, out);
            out.push(b' ');
        }
        annotate::tell_changed(&news.entries, out);
        end_fetch(entry, enabled, out);
    }

    /// `* n FETCH (FLAGS (…))`; with the UID for clients that know of MODSEQ: RFC 7162 §3.2.4.
    pub fn fetch_flags(
        &self,
        number: u32,
        entry: &Entry,
        with_uid: bool,
        enabled: Enabled,
        out: &mut Vec<u8>,
    ) {
        begin_fetch(number, entry, with_uid || enabled.condstore, enabled, out);
        self.flags_item(entry, enabled, out);
        end_fetch(entry, enabled, out);
    }

    fn flags_item(&self, entry: &Entry, enabled: Enabled, out: &mut Vec<u8>) {
        out.extend_from_slice(b"FLAGS ");
        response::flags(
            &self.told.keywords,
            entry.flags,
            self.is_recent(entry.uid) && !enabled.rev2,
            out,
        );
    }
}

/// `* n FETCH (`, with UID where it is wanted.
fn begin_fetch(number: u32, entry: &Entry, with_uid: bool, enabled: Enabled, out: &mut Vec<u8>) {
    response::fetch(number, entry.uid.get(), enabled.uid_only, out);
    if with_uid && !enabled.uid_only {
        out.extend_from_slice(b"UID ");
        response::number(u64::from(entry.uid.get()), out);
        out.push(b' ');
    }
}

/// The end of what [`begin_fetch`] began, with MODSEQ where CONDSTORE is enabled.
fn end_fetch(entry: &Entry, enabled: Enabled, out: &mut Vec<u8>) {
    if enabled.condstore {
        out.extend_from_slice(b" MODSEQ (");
        response::number(entry.modseq.0, out);
        out.push(b')');
    }
    out.extend_from_slice(b")\r\n");
}

/// `* n FETCH (UID u MODSEQ (m))`: nothing else of a message has changed that is told.
pub fn tell_modseq(number: u32, entry: &Entry, enabled: Enabled, out: &mut Vec<u8>) {
    begin_fetch(number, entry, true, enabled, out);
    out.extend_from_slice(b"MODSEQ (");
    response::number(entry.modseq.0, out);
    out.extend_from_slice(b"))\r\n");
}

fn expunged(difference: &Difference) -> Option<Uid> {
    if let Difference::Expunged(uid) = difference { Some(*uid) } else { None }
}

fn added(difference: &Difference) -> Option<Uid> {
    if let Difference::Added(entry) = difference { Some(entry.uid) } else { None }
}

fn present(difference: &Difference) -> Option<Entry> {
    match difference {
        Difference::Added(entry) | Difference::Changed(entry) => Some(*entry),
        Difference::Expunged(_) => None,
    }
}

/// The mailbox was deleted under us: for this session all its messages are expunged.
fn emptied(listing: &Listing) -> Listing {
    let (modseq, validity) = (listing.modseq, listing.uidvalidity);
    Listing::new(&[], listing.keywords.clone(), modseq, validity, listing.uidnext)
}

/// `* FLAGS (…)`. RFC 3501 §7.2.6.
pub fn flags_line(listing: &Listing, out: &mut Vec<u8>) {
    let text = format!("* FLAGS ({})\r\n", flag_names(listing));
    out.extend_from_slice(text.as_bytes());
}

/// It has as many keywords as a mailbox can have.
fn is_full(listing: &Listing) -> bool {
    listing.keywords.iter().count() >= FlagBits::KEYWORDS_MAX
}

/// All flags of a mailbox.
pub fn flag_names(listing: &Listing) -> String {
    let mut names = vec!["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];
    names.extend(listing.keywords.iter().map(mail::Keyword::as_str));
    names.join(" ")
}

/// The messages at ranges of places, with their numbers.
pub fn at_places(
    listing: &Listing,
    places: &[(u32, u32)],
) -> impl Iterator<Item = (u32, Entry)> + Send {
    let each = |(from, to): &(u32, u32)| (from + 1..).zip(listing.range(*from, *to).copied());
    places.iter().flat_map(each)
}
