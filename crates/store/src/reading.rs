//! Messages read back for somebody: never is what is damaged given out as if it were whole.
//!
//! Invariant: octets that reach to the end of a message are compared with its checksum on the way,
//! and the last of them are not given when it is not theirs. Of other octets none are given before
//! the whole message was compared once; that is remembered while there is room, until the program
//! ends or the message is found damaged. What is damaged is compared anew before it is read again.

use crate::api::moved;
use crate::error::{Result, StoreError};
use crate::limits::{COMPARED_AT_ONCE_OCTETS, NEIGHBOURS_GAP_MAX, NEIGHBOURS_OCTETS_MAX};
use crate::marks::Marks;
use crate::open::Store;
use crate::rows::ContentRow;
use crate::unit::contents;
use mail::ContentId;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{MutexGuard, PoisonError};

/// What is known of messages' octets.
#[derive(Default)]
pub(crate) struct Compared {
    /// Those whose checksum was right.
    whole: Marks,
    /// Those whose checksum was wrong, or that could not be read.
    damaged: BTreeSet<ContentId>,
}

/// Octets of a message, piece by piece.
#[derive(Clone)]
pub struct Reading {
    row: ContentRow,
    left: Range<u64>,
    /// CRC32C of all octets before those that are left, if the end is going to be reached.
    sum: Option<u32>,
}

impl Store {
    fn compared(&self) -> MutexGuard<'_, Compared> {
        self.inner.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages whose bytes were found damaged since the store was opened.
    pub fn damaged(&self) -> Vec<ContentId> {
        self.compared().damaged.iter().copied().collect()
    }

    /// Begins to read octets of a message that [`Store::kept`] found; what lies behind its end is
    /// left out.
    pub async fn reading(&self, row: &ContentRow, range: Range<u64>) -> Result<Reading> {
        let left = range.start.min(row.len)..range.end.min(row.len);
        let (damaged, whole) = {
            let compared = self.compared();
            (compared.damaged.contains(&row.id), compared.whole.contains(row.id))
        };
        let on_the_way = left.end == row.len && left.start <= COMPARED_AT_ONCE_OCTETS;
        let mut sum = None;
        if left.is_empty() {
            // Nothing is given.
        } else if damaged || !on_the_way && !whole {
            self.check_aside(row).await?;
        } else if on_the_way {
            let mut before = Vec::new();
            if left.start > 0 {
                self.octets(row, 0..left.start, &mut before)?;
            }
            sum = Some(crc32c::crc32c(&before));
        }
        Ok(Reading { row: *row, left, sum })
    }

    /// The same for a message of which only the number is known.
    pub async fn reading_of(&self, id: ContentId, range: Range<u64>) -> Result<Reading> {
        let row = self.kept(&[id], true, false)?.rows.pop().flatten();
        let row = row.ok_or_else(|| StoreError::NotFound(format!("content {id}")))?;
        self.reading(&row, range).await
    }

    /// Appends octets that lists of messages show: of a header, or where a text begins. The whole
    /// message is compared before only if it is not larger than 256 KB.
    pub fn glance(&self, row: &ContentRow, range: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        let part = range.start > 0 || range.end < row.len;
        if part && row.len <= COMPARED_AT_ONCE_OCTETS && !self.compared().whole.contains(row.id) {
            self.check(row)?;
        }
        self.octets(row, range, out)
    }

    /// Compares a whole message with its checksum, unless that was done before.
    pub async fn compare(&self, row: &ContentRow) -> Result<()> {
        let known = self.compared().whole.contains(row.id);
        if known { Ok(()) } else { self.check_aside(row).await }
    }

    async fn check_aside(&self, row: &ContentRow) -> Result<()> {
        if row.len <= COMPARED_AT_ONCE_OCTETS {
            return self.check(row);
        }
        let row = *row;
        self.aside(move |store| store.check(&row)).await
    }

    /// The same, on this thread, and notes what comes of it.
    pub(crate) fn check(&self, row: &ContentRow) -> Result<()> {
        let Err(error) = self.inner.segments.check(row) else {
            self.note_whole(row.id);
            return Ok(());
        };
        // It may have been moved or expunged meanwhile.
        match self.look(|txn| contents(txn, &[row.id]))?.pop().flatten() {
            None => Err(StoreError::NotFound(format!("content {}", row.id))),
            Some(now) if moved(row, &now) => {
                let checked = self.inner.segments.check(&now);
                checked.inspect_err(|error| self.note_damaged(&now, error))
            }
            Some(now) => {
                self.note_damaged(&now, &error);
                Err(error)
            }
        }
    }

    fn note_whole(&self, id: ContentId) {
        let mut compared = self.compared();
        compared.damaged.remove(&id);
        compared.whole.insert(id);
    }

    /// Counts and names a message that cannot be read as it was stored.
    pub(crate) fn note_damaged(&self, row: &ContentRow, error: &StoreError) {
        let mut compared = self.compared();
        compared.whole.remove(row.id);
        if compared.damaged.insert(row.id) {
            let segment = row.segment;
            tracing::error!(content = %row.id, segment, %error, "a message is damaged");
        }
    }
}

/// Reads whole messages one after another: what lies close together on the disk comes at once.
#[derive(Default)]
pub struct Neighbours {
    /// Where the octets are, unless there are none.
    segment: Option<u32>,
    at: u64,
    /// How many of `octets` are meant.
    len: usize,
    /// Never shorter, so that it need not be cleared anew.
    octets: Vec<u8>,
}

impl Neighbours {
    /// The first of some messages that [`Store::kept`] found, compared with its checksum; others
    /// are read next.
    pub fn first<'a>(
        &mut self,
        store: &Store,
        mut rows: impl Iterator<Item = &'a ContentRow>,
    ) -> Result<&[u8]> {
        let none = || StoreError::NotFound("a message".to_owned());
        let first = rows.next().ok_or_else(none)?;
        let mut place = self.place(first);
        if place.is_none() && self.read(store, first, rows).is_ok() {
            place = self.place(first);
        }
        let whole = |octets: &[u8]| crc32c::crc32c(octets) == first.crc;
        match place.filter(|place| self.octets.get(place.clone()).is_some_and(whole)) {
            Some(place) => Ok(self.octets.get(place).unwrap_or_default()),
            None => {
                // It may have been moved, or it is damaged.
                (self.segment, self.octets) = (None, store.content(first.id, 0..first.len)?);
                Ok(&self.octets)
            }
        }
    }

    /// Where in `octets` a message is.
    fn place(&self, row: &ContentRow) -> Option<Range<usize>> {
        let from = row.offset.checked_sub(self.at).filter(|_| self.segment == Some(row.segment))?;
        let to = from.checked_add(row.len).filter(|to| *to <= self.len as u64)?;
        Some(from as usize..to as usize)
    }

    /// Reads a message and those behind it that are close enough.
    fn read<'a>(
        &mut self,
        store: &Store,
        first: &ContentRow,
        next: impl Iterator<Item = &'a ContentRow>,
    ) -> Result<()> {
        let mut end = first.offset.saturating_add(first.len);
        for row in next {
            let gap = row.offset.checked_sub(end).filter(|_| row.segment == first.segment);
            let to = row.offset.saturating_add(row.len);
            let fits = to.saturating_sub(first.offset) <= NEIGHBOURS_OCTETS_MAX;
            if gap.is_none_or(|gap| gap > NEIGHBOURS_GAP_MAX) || !fits {
                break;
            }
            end = to;
        }
        (self.segment, self.at) = (None, first.offset);
        self.len = end.saturating_sub(first.offset) as usize;
        if self.octets.len() < self.len {
            self.octets.resize(self.len, 0);
        }
        let octets = self.octets.get_mut(..self.len).unwrap_or_default();
        store.inner.segments.read_raw(first.segment, first.offset, octets)?;
        self.segment = Some(first.segment);
        Ok(())
    }
}

impl Reading {
    /// Octets that are still to come.
    pub fn left(&self) -> u64 {
        self.left.end.saturating_sub(self.left.start)
    }

    /// Appends the next octets, at most so many; whether there were any. After an error nothing
    /// was appended: when it comes at the end of the message, all of it may be wrong.
    pub fn next(&mut self, store: &Store, octets: u64, out: &mut Vec<u8>) -> Result<bool> {
        let (row, start) = (&self.row, out.len());
        let range = self.left.start..self.left.end.min(self.left.start.saturating_add(octets));
        if range.is_empty() {
            return Ok(false);
        }
        store.octets(row, range.clone(), out)?;
        // All at once was compared already.
        let all = range.start == 0 && range.end == row.len;
        if let Some(sum) = self.sum.as_mut().filter(|_| !all) {
            *sum = crc32c::crc32c_append(*sum, out.get(start..).unwrap_or_default());
            if range.end == row.len && *sum != row.crc {
                out.truncate(start);
                // It is read once more, so that it is noted only if it is so on the disk.
                store.check(row)?;
                return Err(StoreError::Corrupt(format!("content {}: wrong checksum", row.id)));
            }
        }
        self.left.start = range.end;
        Ok(true)
    }
}
