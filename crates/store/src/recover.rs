//! What happens at start: deliveries that are in a segment but not in the rows are repeated.
//!
//! Only deliveries can be missing from the rows after a power cut (`writer.rs`), and each of them
//! is whole in a segment. The first record that is not whole ends the last segment: it was never
//! acknowledged.

use crate::delivery::Place;
use crate::error::{Result, StoreError};
use crate::mailbox::append;
use crate::queue;
use crate::record::{Header, Kind};
use crate::rows::{ContentRow, MailboxRow};
use crate::segment::{Found, Segments, Tail, find, zeros_from};
use crate::txn::Durability;
use crate::unit::Unit;
use crate::write::{Changes, Writing};
use mail::octets::Look;
use mail::summary::Parser;
use mail::{Entry, FlagBits};
use std::io;
use std::sync::Arc;

/// What recovery did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Deliveries that were repeated.
    pub deliveries: u64,
    /// Octets that were cut off.
    pub cut: u64,
}

fn broken(error: io::Error) -> StoreError {
    StoreError::Failed(format!("segment: {error}"))
}

/// Repeats what is missing and opens the last segment for appending.
pub(crate) fn recover(
    unit: &mut Unit,
    segments: &Arc<Segments>,
    now: i64,
) -> Result<(Tail, Recovered)> {
    let mut done = Recovered::default();
    unit.begin(Durability::Synced)?;
    let (applied, from) = unit.rows().applied()?;
    let (mut number, mut at) = (applied, from);
    let numbers = segments.numbers().map_err(broken)?;
    for next in numbers.into_iter().filter(|next| *next >= applied) {
        (number, at) = (next, if next == applied { from } else { 0 });
        let file = segments.file(number).map_err(broken)?;
        let len = file.len().map_err(broken)?;
        while let Some(found) = find(&*file, at, len).map_err(broken)? {
            at = found.next;
            if found.lead.kind == Kind::Replay {
                done.deliveries += u64::from(replay(unit, segments, number, &found, now)?);
            }
        }
        done.cut = zeros_from(&*file, at, len).map_err(broken)? - at;
    }
    unit.write_outside().set_applied(number, at)?;
    unit.flush()?;
    unit.commit()?;
    let tail = Tail::open(segments, number, at).map_err(broken)?;
    Ok((tail, done))
}

/// Repeats one delivery unless its rows are there.
fn replay(
    unit: &mut Unit,
    segments: &Segments,
    segment: u32,
    found: &Found,
    now: i64,
) -> Result<bool> {
    let Header { message, content, date, saved, places, queue: queued, journey } = &found.header;
    if unit.content(*content)?.is_some() {
        return Ok(false);
    }
    let mut changes = Changes::default();
    let mut w = Writing { unit, changes: &mut changes, now, learn: false };
    let row = ContentRow {
        id: *content,
        segment,
        offset: found.offset,
        len: found.lead.body_len,
        crc: found.lead.body_crc,
        refs: 0,
    };
    let (summary, found_out) = look_through(segments, &row)?;
    let mut refs = 0;
    for Place { mailbox, uid, modseq, flags, .. } in places {
        // The mailbox may be gone: deleting it came later and is durable.
        let Some(mailbox) = w.unit.mailbox(*mailbox)? else { continue };
        let mut mailbox = MailboxRow::clone(&mailbox);
        if !w.unit.entries(mailbox.id, *uid, *uid)?.is_empty() {
            continue;
        }
        let flags = append::bits(&mut mailbox, flags)?.with(found_out);
        let size = u32::try_from(row.len).unwrap_or(u32::MAX);
        let (uid, modseq) = (*uid, *modseq);
        let entry =
            Entry { uid, size, flags, modseq, date: *date, saved: *saved, content: *content };
        append::put(&mut w, &mut mailbox, entry)?;
        refs += 1;
    }
    if let Some(new) = queued {
        queue::add(&mut w, *message, *content, row.len, new)?;
        refs += 1;
    }
    if !journey.is_empty() {
        w.unit.begin_journey(*message, journey);
    }
    let known = w.unit.counter("content")?;
    w.unit.put_counter("content", known.max(content.0));
    if refs > 0 {
        w.unit.put_content(&ContentRow { refs, ..row }, Some(&summary))?;
    }
    Ok(true)
}

/// What is kept beside a message, and what is with its flags, out of its bytes.
pub(crate) fn look_through(segments: &Segments, row: &ContentRow) -> Result<(Vec<u8>, FlagBits)> {
    let (mut parser, mut look) = (Parser::new(), Look::default());
    let mut at = 0;
    while at < row.len {
        let piece = segments.read(row, at..at + (1 << 20))?;
        at += piece.len() as u64;
        parser.feed(&piece);
        look.feed(&piece);
    }
    Ok((parser.finish().encode(), look.found()))
}
