//! Every record of every segment that can be read, whatever lies between them.

use crate::backup::Progress;
use crate::error::{Result, StoreError};
use crate::record::{Header, MAGIC};
use crate::rows::ContentRow;
use crate::segment::{Segments, find, zeros_from};
use mail::ContentId;
use std::collections::BTreeMap;
use std::io;
use sys::disk::DiskFile;

/// Octets read at once while looking for the next record.
const WINDOW: usize = 1 << 20;

/// A record that is whole.
pub(super) struct Record {
    /// Where its body is, as a row without holders.
    pub row: ContentRow,
    pub header: Header,
}

/// What the segments hold.
#[derive(Default)]
pub(super) struct Scan {
    /// The whole records of each content, oldest first.
    pub records: BTreeMap<ContentId, Vec<Record>>,
    /// Places where something cannot be read: segment, offset, octets.
    pub damaged: Vec<(u32, u64, u64)>,
    /// Octets of bodies in each segment.
    pub totals: BTreeMap<u32, u64>,
    /// The last segment and where its last whole record ends.
    pub end: (u32, u64),
}

fn failed(error: io::Error) -> StoreError {
    StoreError::Failed(format!("segment: {error}"))
}

/// Reads all segments from beginning to end.
pub(super) fn scan(segments: &Segments, progress: Progress<'_>) -> Result<Scan> {
    let mut found = Scan { end: (1, 0), ..Scan::default() };
    let mut files = Vec::new();
    for number in segments.numbers().map_err(failed)? {
        let len = segments.file(number).and_then(|file| file.len()).map_err(failed)?;
        files.push((number, len));
    }
    let all = files.iter().map(|(_, len)| len).sum();
    let mut before = 0;
    for (number, len) in files {
        let file = segments.file(number).map_err(failed)?;
        let mut at = 0;
        found.end = (number, 0);
        while at < len {
            progress(before + at, all);
            if let Some(record) = find(&*file, at, len).map_err(failed)? {
                let row = ContentRow {
                    id: record.header.content,
                    segment: number,
                    offset: record.offset,
                    len: record.lead.body_len,
                    crc: record.lead.body_crc,
                    refs: 0,
                };
                *found.totals.entry(number).or_default() += row.len;
                let record_of = Record { row, header: record.header };
                found.records.entry(row.id).or_default().push(record_of);
                at = record.next;
                found.end.1 = at;
                continue;
            }
            if zeros_from(&*file, at, len).map_err(failed)? == at {
                break;
            }
            let next = next_magic(&*file, at + 1, len).map_err(failed)?;
            match found.damaged.last_mut() {
                Some((segment, from, octets)) if *segment == number && *from + *octets == at => {
                    *octets += next - at;
                }
                _ => found.damaged.push((number, at, next - at)),
            }
            at = next;
        }
        before += len;
    }
    Ok(found)
}

/// Where the next record may begin; the end of the file when there is none.
fn next_magic(file: &dyn DiskFile, mut at: u64, len: u64) -> io::Result<u64> {
    while at < len {
        let mut window = vec![0; WINDOW.min((len - at) as usize)];
        file.read_at(&mut window, at)?;
        if let Some(found) = window.windows(MAGIC.len()).position(|four| four == MAGIC) {
            return Ok(at + found as u64);
        }
        if window.len() < WINDOW {
            break;
        }
        // A magic may lie across the edge of the window.
        at += (window.len() - MAGIC.len() + 1) as u64;
    }
    Ok(len)
}
