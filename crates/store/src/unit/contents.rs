//! Where message bytes are, and who holds them, within a unit of work.

use super::Unit;
use super::table::Table;
use crate::error::{Result, StoreError};
use crate::packed::{CONTENTS_A_PAGE, decode_contents, encode_contents, unseal};
use crate::rows::ContentRow;
use crate::txn::{ReadTxn, Txn};
use mail::ContentId;

/// Summaries of so many neighbours are taken away at once; those of longer runs later.
const DEAD_AT_ONCE: u64 = 64;
/// Summaries closer than this are read in one go, with those between them.
const SUMMARY_GAP: u64 = 4;

/// The page a content is in.
pub(crate) fn page_number(id: ContentId) -> u64 {
    id.0 / CONTENTS_A_PAGE
}

/// Where the bytes of messages are, as it is committed, in the order asked for.
pub(crate) fn contents(txn: &dyn ReadTxn, ids: &[ContentId]) -> Result<Vec<Option<ContentRow>>> {
    let (mut number, mut page) = (u64::MAX, Vec::new());
    let mut find = |id: &ContentId| {
        if page_number(*id) != number {
            number = page_number(*id);
            page = content_page(txn, number)?;
        }
        Ok(find_in(&page, *id).and_then(|at| page.get(at)).copied())
    };
    ids.iter().map(&mut find).collect()
}

/// Gives each summary with its place among `ids`. Neighbours are read in one go.
pub(crate) fn each_summary(
    txn: &dyn ReadTxn,
    ids: &[ContentId],
    each: &mut dyn FnMut(usize, &[u8]),
) -> Result<()> {
    let mut places: Vec<(ContentId, usize)> = ids.iter().copied().zip(0..).collect();
    places.sort_unstable();
    for run in places.chunk_by(|a, b| b.0.0 - a.0.0 <= SUMMARY_GAP) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let mut rest = run;
        txn.summaries(first.0, last.0, &mut |id, octets| {
            rest = rest.get(rest.partition_point(|(wanted, _)| *wanted < id)..).unwrap_or_default();
            for (_, place) in rest.iter().take_while(|(wanted, _)| *wanted == id) {
                if let Some(octets) = unseal(octets) {
                    each(*place, octets);
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The contents of a page, as it is committed.
pub(crate) fn content_page(txn: &dyn ReadTxn, number: u64) -> Result<Vec<ContentRow>> {
    let octets = txn.content_page(number)?;
    octets.map_or(Ok(Vec::new()), |octets| decode_contents(number, &octets))
}

fn find_in(page: &[ContentRow], id: ContentId) -> Option<usize> {
    page.binary_search_by_key(&id, |row| row.id).ok()
}

/// Writes the pages that changed.
pub(super) fn flush(contents: &Table<u64, Vec<ContentRow>>, txn: &mut dyn Txn) -> Result<()> {
    for (number, rows) in contents.dirty() {
        match rows.filter(|rows| !rows.is_empty()) {
            Some(rows) => txn.put_content_page(*number, &encode_contents(rows))?,
            None => txn.remove_content_page(*number)?,
        }
    }
    Ok(())
}

/// Takes the summaries of dead contents away, or notes that it is to be done.
pub(super) fn flush_dead(dead: &[(u64, u64)], txn: &mut dyn Txn) -> Result<()> {
    for (first, last) in dead {
        let (from, to) = (ContentId(*first), ContentId(*last));
        if last - first < DEAD_AT_ONCE {
            txn.remove_summaries(from, to, DEAD_AT_ONCE as usize)?;
        } else {
            txn.put_dead(from, to)?;
        }
    }
    Ok(())
}

impl Unit {
    fn load_contents(&mut self, number: u64) -> Result<()> {
        if !self.contents.knows(&number) {
            let page = self.engine.txn().content_page(number)?;
            let rows = page.map(|page| decode_contents(number, &page)).transpose()?;
            self.contents.learn(number, Some(rows.unwrap_or_default()));
        }
        Ok(())
    }

    /// Where a message's bytes are.
    pub fn content(&mut self, id: ContentId) -> Result<Option<ContentRow>> {
        self.load_contents(page_number(id))?;
        let page = self.contents.get(&page_number(id));
        Ok(page.and_then(|page| page.get(find_in(page, id)?)).copied())
    }

    /// Adds message bytes and what is kept beside them, or says where they are now.
    pub fn put_content(&mut self, row: &ContentRow, summary: Option<&[u8]>) -> Result<()> {
        self.load_contents(page_number(row.id))?;
        let before = self.contents.change(&page_number(row.id), |page| {
            match page.binary_search_by_key(&row.id, |other| other.id) {
                Ok(at) => page.get_mut(at).map(|slot| std::mem::replace(slot, *row)),
                Err(at) => {
                    page.insert(at, *row);
                    None
                }
            }
        });
        if let Some(before) = before.flatten() {
            self.add_octets(before.segment, -(before.len as i64), 0);
        }
        self.add_octets(row.segment, row.len as i64, row.len as i64);
        if let Some(summary) = summary {
            self.summaries.push((row.id, summary.to_vec()));
        }
        Ok(())
    }

    /// One holder more.
    pub fn hold(&mut self, id: ContentId) -> Result<()> {
        self.load_contents(page_number(id))?;
        let held = self.contents.change(&page_number(id), |page| {
            let at = find_in(page, id)?;
            let row = page.get_mut(at)?;
            row.refs = row.refs.checked_add(1)?;
            Some(())
        });
        held.flatten().ok_or_else(|| StoreError::Corrupt(format!("content {id} has no row")))
    }

    /// One holder less; the last one takes it away, and then it is returned.
    pub fn release(&mut self, id: ContentId) -> Result<Option<ContentRow>> {
        self.load_contents(page_number(id))?;
        let gone = self.contents.change(&page_number(id), |page| {
            let at = find_in(page, id)?;
            let row = page.get_mut(at)?;
            row.refs = row.refs.saturating_sub(1);
            (row.refs == 0).then(|| page.remove(at))
        });
        let Some(row) = gone.flatten() else { return Ok(None) };
        self.add_octets(row.segment, -(row.len as i64), 0);
        match self.dead.get_mut(self.mark.2..).and_then(|dead| dead.last_mut()) {
            Some((_, last)) if *last + 1 == id.0 => *last = id.0,
            _ => self.dead.push((id.0, id.0)),
        }
        Ok(Some(row))
    }

    fn add_octets(&mut self, segment: u32, live: i64, all: i64) {
        let sum = self.segments.get(&segment).map_or((0, 0), |sum| **sum);
        self.segments.set(segment, Some((sum.0 + live, sum.1 + all)));
    }
}
