//! Housekeeping, a little at a time and beside everything else: what is dead is swept, segments
//! that are mostly dead are emptied and removed, and stored bytes are checked before they are
//! needed.
//!
//! Invariant: a segment is removed only after a synced commit left nothing in it, and one round
//! later, so that a reader who has just found a message there still gets it.

use crate::delivery::Moving;
use crate::error::{Result, StoreError};
use crate::limits::{CHUNK_MESSAGES, GIVE_BACK_OCTETS, MOVE_OCTETS_MAX, SPARE_OCTETS_MAX};
use crate::open::Store;
use crate::packed::decode_contents;
use crate::rows::ContentRow;
use crate::segment::{Found, find, zeros_from};
use crate::unit::contents;
use crate::write::Writing;
use crate::writer::Health;
use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

/// Sealed segments of which less than this part is alive are emptied.
const ALIVE_PERCENT: u64 = 50;
/// Octets read at once when bytes are checked.
const PIECE: u64 = 1 << 20;

/// What a round did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Housekeeping {
    /// Summaries of dead messages that were taken away.
    pub swept: usize,
    /// Octets of living messages that were moved out of a segment that is mostly dead.
    pub moved_octets: u64,
    /// Segments that were removed.
    pub removed: Vec<u32>,
    /// Octets of messages whose checksum was compared.
    pub checked_octets: u64,
    /// The disk got some of the rows' file back.
    pub gave_back: bool,
    /// There is more to do soon.
    pub more: bool,
}

/// Where housekeeping is.
#[derive(Default)]
pub(crate) struct Rounds {
    /// Segments that were found dead by the last round.
    dead: BTreeSet<u32>,
    /// The segment that is being emptied, and how far.
    emptying: Option<(u32, u64)>,
    /// Segments that cannot be emptied: a record of theirs cannot be read.
    stuck: BTreeSet<u32>,
    /// The next page of contents to be checked.
    next_checked: u64,
}

impl Store {
    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.inner.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One round of housekeeping: moves and checks at most about `octets`.
    pub async fn keep_house(&self, octets: u64) -> Result<Housekeeping> {
        if let Health::Failed(why) = self.health() {
            return Err(StoreError::Failed(why));
        }
        let mut done = Housekeeping::default();
        if !self.look(|txn| txn.dead(1))?.is_empty() {
            done.swept = self.write(sweep).await?;
            done.more |= done.swept > 0;
        }
        let (spare, all) = self.look(|txn| txn.spare())?;
        if spare > SPARE_OCTETS_MAX && spare > all / 4 {
            self.write(|w| w.unit.write()?.give_back(GIVE_BACK_OCTETS)).await?;
            (done.gave_back, done.more) = (true, true);
        }
        let (removed, moving) = self.aside(move |store| store.look_around(octets)).await?;
        done.removed = removed;
        if let Some((moving, end)) = moving {
            done.moved_octets = moving.iter().map(|one| one.content.len()).sum();
            if !moving.is_empty() {
                self.relocate(moving).await?;
            }
            self.rounds().emptying = end;
            done.more = true;
        }
        done.checked_octets = self.aside(move |store| store.check_some(octets)).await?;
        Ok(done)
    }

    /// Removes segments that stayed dead for a round, and reads what is to be moved next.
    fn look_around(&self, octets: u64) -> Result<(Vec<u32>, Option<Batch>)> {
        let segments = &self.inner.segments;
        let failed = |error: std::io::Error| StoreError::Engine(format!("segments: {error}"));
        let mut numbers = segments.numbers().map_err(failed)?;
        // The last one is being written.
        numbers.pop();
        let (mut removed, mut dead, mut worst) = (Vec::new(), BTreeSet::new(), None);
        for number in numbers {
            let (live, all) = self.look(|txn| txn.segment(number))?;
            if live == 0 {
                if self.rounds().dead.contains(&number) {
                    segments.remove(number).map_err(failed)?;
                    removed.push(number);
                } else {
                    dead.insert(number);
                }
                continue;
            }
            let percent = live.saturating_mul(100).checked_div(all).unwrap_or(100);
            let stuck = self.rounds().stuck.contains(&number);
            if percent < ALIVE_PERCENT && !stuck && worst.is_none_or(|(_, least)| percent < least) {
                worst = Some((number, percent));
            }
        }
        let mut rounds = self.rounds();
        rounds.dead = dead;
        let from = rounds.emptying.or(worst.map(|(number, _)| (number, 0)));
        drop(rounds);
        let moving = from.map(|(number, at)| self.read_living(number, at, octets)).transpose()?;
        Ok((removed, moving))
    }

    /// The living messages of a segment from `at` on, as many as are to be moved at once.
    fn read_living(&self, number: u32, mut at: u64, octets: u64) -> Result<Batch> {
        let Ok(file) = self.inner.segments.file(number) else { return Ok((Vec::new(), None)) };
        let failed = |error: std::io::Error| StoreError::Engine(format!("segment: {error}"));
        let len = file.len().map_err(failed)?;
        let (mut moving, mut sum) = (Vec::new(), 0);
        while sum < octets.min(MOVE_OCTETS_MAX) {
            let Some(found) = find(&*file, at, len).map_err(failed)? else {
                if zeros_from(&*file, at, len).map_err(failed)? > at {
                    tracing::error!(segment = number, at, "a record cannot be read");
                    self.rounds().stuck.insert(number);
                }
                return Ok((moving, None));
            };
            at = found.next;
            let row = self.look(|txn| contents(txn, &[found.header.content]))?.pop().flatten();
            let here = |row: &ContentRow| row.segment == number && row.offset == found.offset;
            if let Some(row) = row.filter(here) {
                sum += row.len;
                moving.push(self.moving(row, found)?);
            }
        }
        Ok((moving, Some((number, at))))
    }

    fn moving(&self, row: ContentRow, found: Found) -> Result<Moving> {
        let mut spool = self.spool();
        let mut at = 0;
        while at < row.len {
            let piece = self.inner.segments.read(&row, at..at + PIECE)?;
            at += piece.len() as u64;
            spool.write(&piece)?;
        }
        let content = spool.seal()?;
        if content.crc() != row.crc {
            // It was whole when it was found a moment ago.
            return Err(StoreError::Corrupt(format!("content {}: wrong checksum", row.id)));
        }
        Ok(Moving { from: row, header: found.header, content })
    }

    /// Compares the checksums of some messages, going round and round.
    fn check_some(&self, octets: u64) -> Result<u64> {
        let mut checked = 0;
        while checked < octets {
            let next = self.rounds().next_checked;
            let page = self.look(|txn| txn.content_pages(next, 1))?.pop();
            let Some((number, page)) = page else {
                self.rounds().next_checked = 0;
                break;
            };
            for row in decode_contents(number, &page)? {
                checked += row.len;
                // What is damaged is noted.
                let _ = self.check(&row);
            }
            self.rounds().next_checked = number + 1;
        }
        Ok(checked)
    }
}

/// Where emptying goes on: segment and offset; `None` when the segment is done.
type Next = Option<(u32, u64)>;
/// What is moved next, and where it goes on then.
type Batch = (Vec<Moving>, Next);

/// Takes away summaries of messages that are gone.
fn sweep(w: &mut Writing<'_>) -> Result<usize> {
    let mut swept = 0;
    for (first, last) in w.unit.rows().dead(16)? {
        let limit = CHUNK_MESSAGES - swept;
        let gone = w.unit.write()?.remove_summaries(first, last, limit)?;
        swept += gone;
        if gone >= limit {
            break;
        }
        w.unit.write()?.remove_dead(first)?;
    }
    Ok(swept)
}
