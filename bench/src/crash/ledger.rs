//! What was acknowledged, and what was asked for but not answered before the kill.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What one message of the IMAP account must look like.
#[derive(Clone, Debug)]
pub struct Expected {
    /// How often it is in the INBOX.
    pub inbox: RangeInclusive<usize>,
    /// How often it is in Archive.
    pub archive: RangeInclusive<usize>,
    /// How often it is in both together; a MOVE that was cut must not change it.
    pub both: RangeInclusive<usize>,
    /// \Flagged in the INBOX; `None` when that is open.
    pub flagged: Option<bool>,
    /// Its UID in the INBOX, once known.
    pub uid: Option<u32>,
}

/// All of it.
#[derive(Default)]
pub struct Books {
    /// Delivered by SMTP, never deleted: true once acknowledged.
    pub inbound: BTreeMap<u64, bool>,
    /// Delivered by SMTP, taken by POP3: how often it must be there.
    pub taken: BTreeMap<u64, RangeInclusive<usize>>,
    /// Accepted for another server.
    pub outbound: BTreeSet<u64>,
    /// Changed by IMAP.
    pub changed: BTreeMap<u64, Expected>,
    /// UIDs of the inbound mailbox, as they were seen.
    pub uids: BTreeMap<u32, u64>,
    /// UIDNEXT and HIGHESTMODSEQ of each mailbox, as last seen.
    pub counters: BTreeMap<&'static str, (u64, u64)>,
    /// Changes of IMAP that were acknowledged.
    pub changes: usize,
    /// Messages deleted by POP3, acknowledged at QUIT.
    pub deleted: usize,
}

/// The books, shared by the workers.
#[derive(Default)]
pub struct Ledger {
    books: Mutex<Books>,
    next: AtomicU64,
}

impl Ledger {
    /// A number no message had.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The books.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages accepted for another server.
    pub fn outbound(&self) -> Vec<u64> {
        self.books().outbound.iter().copied().collect()
    }

    /// For people.
    pub fn summary(&self) -> String {
        let books = self.books();
        let inbound = books.inbound.values().filter(|acknowledged| **acknowledged).count();
        format!(
            "{inbound} messages in, {} out, {} changes by IMAP, {} taken by POP3",
            books.outbound.len(),
            books.changes,
            books.deleted
        )
    }
}
