//! What a client has been told of its mailbox: the numbering it counts by, and what is news to it.
//!
//! Invariant: sequence numbers mean `told`, whatever the store holds by now; only [`View::sync`]
//! changes the numbering, and says so.

use ::store::{Store, Watch};
use mail::listing::Difference;
use mail::{Entry, Listing, MailboxId, Uid};
use protocol::imap::grammar::SequenceSet;
use protocol::imap::response;
use std::sync::Arc;

/// A selected mailbox, as the client knows it.
pub struct View {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// EXAMINE: nothing may be changed.
    pub read_only: bool,
    /// Tells of changes.
    pub watch: Watch,
    /// What the client counts by.
    pub told: Arc<Listing>,
    /// UIDs that are `\Recent` here, as ranges.
    pub recent: Vec<(u32, u32)>,
}

impl View {
    /// `\Recent` in this session. RFC 3501 §2.3.2.
    pub fn is_recent(&self, uid: Uid) -> bool {
        self.recent.iter().any(|(from, to)| (*from..=*to).contains(&uid.get()))
    }

    /// How many are.
    pub fn recent_count(&self) -> usize {
        self.told.iter().filter(|entry| self.is_recent(entry.uid)).count()
    }

    /// Claims new messages as this session's `\Recent`.
    pub fn claim(&mut self, store: &Store, listing: &Listing) {
        let next = listing.uidnext.map_or(u32::MAX, Uid::get);
        let from = if self.read_only {
            self.watch.unclaimed()
        } else {
            store.claim_recent(&self.watch, listing.uidnext)
        };
        if from < next {
            self.recent.push((from, next - 1));
        }
    }

    /// The messages a set names: numbers and UIDs of what the client was told.
    pub fn resolve(&self, set: &SequenceSet, by_uid: bool) -> Option<Vec<(u32, Entry)>> {
        let told = &self.told;
        let mut found = Vec::new();
        let last = match by_uid {
            true => told.last().map_or(0, |entry| entry.uid.get()),
            false => told.len(),
        };
        for (from, to) in set.ranges(last) {
            let (a, b) = if by_uid {
                let place = |uid: u32| {
                    Uid::new(uid).map_or(0, |uid| match told.find(uid) {
                        Ok(at) | Err(at) => at,
                    })
                };
                let end =
                    Uid::new(to).map_or(0, |uid| told.find(uid).map_or_else(|at| at, |at| at + 1));
                (place(from), end)
            } else if from == 0 || to > told.len() {
                // A number that is no message is an error, but `*` of nothing is nothing.
                if told.is_empty() && from == 0 {
                    continue;
                }
                return None;
            } else {
                (from - 1, to)
            };
            found.extend((a + 1..).zip(told.range(a, b).copied()));
        }
        Some(found)
    }

    /// Our own change of flags: told by the command's own response, so it is no news.
    pub fn patch(&mut self, entries: &[Entry]) {
        let known: Vec<Entry> =
            entries.iter().filter(|entry| self.told.find(entry.uid).is_ok()).copied().collect();
        if !known.is_empty() {
            let mut told = self.told.apply(&known, &[]);
            told.keywords = self.watch.current().keywords.clone();
            self.told = Arc::new(told);
        }
    }

    /// Tells the client all that is new, and counts by it from now on.
    pub fn sync(&mut self, store: &Store, condstore: bool, out: &mut Vec<u8>) {
        let now = self.watch.current();
        if Arc::ptr_eq(&now, &self.told) {
            return;
        }
        let differences = now.changes_since(&self.told);
        if now.keywords != self.told.keywords {
            flags_line(&now, out);
        }
        let mut gone = 0;
        for difference in &differences {
            if let Difference::Expunged(uid) = difference
                && let Ok(at) = self.told.find(*uid)
            {
                out.extend_from_slice(format!("* {} EXPUNGE\r\n", at + 1 - gone).as_bytes());
                gone += 1;
            }
        }
        let arrived = differences.iter().any(|d| matches!(d, Difference::Added(_)));
        self.told = now.clone();
        if arrived {
            self.claim(store, &now);
            let text = format!("* {} EXISTS\r\n* {} RECENT\r\n", now.len(), self.recent_count());
            out.extend_from_slice(text.as_bytes());
        }
        for difference in &differences {
            if let Difference::Changed(entry) = difference
                && let Ok(at) = now.find(entry.uid)
            {
                self.fetch_flags(at + 1, entry, true, condstore, out);
            }
        }
    }

    /// `* n FETCH (FLAGS (…))`.
    pub fn fetch_flags(
        &self,
        number: u32,
        entry: &Entry,
        with_uid: bool,
        condstore: bool,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(format!("* {number} FETCH (").as_bytes());
        if with_uid {
            out.extend_from_slice(format!("UID {} ", entry.uid).as_bytes());
        }
        out.extend_from_slice(b"FLAGS ");
        response::flags(&self.told.keywords, entry.flags, self.is_recent(entry.uid), out);
        if condstore {
            out.extend_from_slice(format!(" MODSEQ ({})", entry.modseq).as_bytes());
        }
        out.extend_from_slice(b")\r\n");
    }
}

/// `* FLAGS (…)`. RFC 3501 §7.2.6.
pub fn flags_line(listing: &Listing, out: &mut Vec<u8>) {
    let text = format!("* FLAGS ({})\r\n", flag_names(listing));
    out.extend_from_slice(text.as_bytes());
}

/// All flags of a mailbox.
pub fn flag_names(listing: &Listing) -> String {
    let mut names = vec!["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];
    names.extend(listing.keywords.iter().map(mail::Keyword::as_str));
    names.join(" ")
}
