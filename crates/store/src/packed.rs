//! The packed form of pages: some messages of a mailbox, some contents, or some UIDs in one row.
//!
//! A mailbox of 100,000 messages is 800 rows, so that flags of all of them change with 800 writes.
//! Numbers are written as differences to the line before, in groups of seven bits; each page says
//! its version first and ends with a CRC32C: SQLite would not notice a flipped bit in it. A damaged
//! page is an error, never another message.

use crate::error::{Result, StoreError};
use crate::rows::ContentRow;
use mail::{ContentId, Entry, FlagBits, ModSeq, Uid, varint};
use std::borrow::Cow;

const VERSION: u8 = 1;
/// Contents of one page: those whose numbers differ in the last six bits only.
pub(crate) const CONTENTS_A_PAGE: u64 = 64;

fn damaged(what: &str) -> StoreError {
    StoreError::Corrupt(format!("a page of {what} cannot be read"))
}

/// The packed form of some entries of a mailbox, sorted by UID.
pub(crate) fn encode_entries(entries: &[Entry]) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(8 + entries.len() * 12));
    out.0.push(VERSION);
    out.number(entries.len() as u64);
    let (mut uid, mut modseq, mut date, mut content) = (0u32, 0i64, 0i64, 0i64);
    for entry in entries {
        out.number(u64::from(entry.uid.get() - uid));
        out.number(u64::from(entry.size));
        out.number(entry.flags.0);
        out.signed((entry.modseq.0 as i64).wrapping_sub(modseq));
        out.signed(entry.date.wrapping_sub(date));
        out.signed(i64::from(entry.saved).wrapping_sub(entry.date));
        out.signed((entry.content.0 as i64).wrapping_sub(content));
        (uid, modseq) = (entry.uid.get(), entry.modseq.0 as i64);
        (date, content) = (entry.date, entry.content.0 as i64);
    }
    seal(out.0)
}

/// Reads entries and gives each to `each`, in order.
pub(crate) fn decode_entries(page: &[u8], mut each: impl FnMut(Entry)) -> Result<()> {
    let bad = || damaged("messages");
    let mut from = Reader::begin(page).ok_or_else(bad)?;
    let count = from.number().ok_or_else(bad)?;
    let (mut uid, mut modseq, mut date, mut content) = (0u32, 0i64, 0i64, 0i64);
    for _ in 0..count {
        let entry = (|| {
            let step = u32::try_from(from.number()?).ok().filter(|step| *step > 0)?;
            uid = uid.checked_add(step)?;
            let size = u32::try_from(from.number()?).ok()?;
            let flags = FlagBits(from.number()?);
            modseq = modseq.wrapping_add(from.signed()?);
            date = date.wrapping_add(from.signed()?);
            let saved = u32::try_from(date.wrapping_add(from.signed()?)).ok()?;
            content = content.wrapping_add(from.signed()?);
            Some(Entry {
                uid: Uid::new(uid)?,
                size,
                flags,
                modseq: ModSeq(modseq as u64),
                date,
                saved,
                content: ContentId(content as u64),
            })
        })();
        each(entry.ok_or_else(bad)?);
    }
    if from.0.is_empty() { Ok(()) } else { Err(bad()) }
}

/// The packed form of some contents, sorted by number, all of one page.
pub(crate) fn encode_contents(rows: &[ContentRow]) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(8 + rows.len() * 16));
    out.0.push(VERSION);
    out.number(rows.len() as u64);
    let mut end = (0u32, 0i64);
    for row in rows {
        out.0.push((row.id.0 % CONTENTS_A_PAGE) as u8);
        out.signed(i64::from(row.segment) - i64::from(end.0));
        out.signed((row.offset as i64).wrapping_sub(end.1));
        out.number(row.len);
        out.number(u64::from(row.refs));
        out.0.extend_from_slice(&row.crc.to_le_bytes());
        end = (row.segment, (row.offset + row.len) as i64);
    }
    seal(out.0)
}

/// Reads the contents of page `number`.
pub(crate) fn decode_contents(number: u64, page: &[u8]) -> Result<Vec<ContentRow>> {
    let read = || {
        let mut from = Reader::begin(page)?;
        let count = from.number().filter(|count| *count <= CONTENTS_A_PAGE)?;
        let mut rows: Vec<ContentRow> = Vec::with_capacity(count as usize);
        let mut end = (0i64, 0i64);
        for _ in 0..count {
            let place = from.byte().filter(|place| u64::from(*place) < CONTENTS_A_PAGE)?;
            let segment = u32::try_from(end.0.checked_add(from.signed()?)?).ok()?;
            let offset = end.1.wrapping_add(from.signed()?) as u64;
            let len = from.number()?;
            let refs = u32::try_from(from.number()?).ok()?;
            let crc = u32::from_le_bytes(from.take(4)?.try_into().ok()?);
            end = (i64::from(segment), offset.checked_add(len)? as i64);
            let id = ContentId(number.checked_mul(CONTENTS_A_PAGE)? + u64::from(place));
            rows.push(ContentRow { id, segment, offset, len, crc, refs });
        }
        let sorted = rows.is_sorted_by(|a, b| a.id < b.id);
        (from.0.is_empty() && sorted).then_some(rows)
    };
    read().ok_or_else(|| damaged("contents"))
}

/// The packed form of sorted UIDs: runs of neighbours.
pub(crate) fn encode_uids(uids: &[Uid]) -> Vec<u8> {
    let runs = uids.chunk_by(|a, b| a.get() + 1 == b.get());
    encode_runs(runs.filter_map(|run| Some((*run.first()?, *run.last()?))))
}

/// The packed form of sorted runs of UIDs, first and last, which do not overlap.
pub(crate) fn encode_runs(runs: impl Iterator<Item = (Uid, Uid)>) -> Vec<u8> {
    let mut out = Writer(vec![VERSION]);
    let mut end = 0;
    for (first, last) in runs {
        out.number(u64::from(first.get() - end));
        out.number(u64::from(last.get() - first.get()));
        end = last.get();
    }
    seal(out.0)
}

/// Reads UIDs, as runs of neighbours: first and last.
pub(crate) fn decode_uids(page: &[u8]) -> Result<Vec<(Uid, Uid)>> {
    let read = || {
        let mut from = Reader::begin(page)?;
        let (mut runs, mut end) = (Vec::new(), 0u32);
        while !from.0.is_empty() {
            let first = end.checked_add(u32::try_from(from.number()?).ok()?)?;
            end = first.checked_add(u32::try_from(from.number()?).ok()?)?;
            runs.push((Uid::new(first)?, Uid::new(end)?));
        }
        Some(runs)
    };
    read().ok_or_else(|| damaged("UIDs"))
}

/// What is kept of one entry of a message's annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// The entry's name.
    pub entry: Cow<'a, str>,
    /// MODSEQ of its last change.
    pub modseq: ModSeq,
    /// Its value; `None` when it was taken away.
    pub value: Option<Cow<'a, [u8]>>,
}

impl Note<'_> {
    /// The same, by itself.
    pub fn into_owned(self) -> Note<'static> {
        let entry = Cow::Owned(self.entry.into_owned());
        let value = self.value.map(|value| Cow::Owned(value.into_owned()));
        Note { entry, modseq: self.modseq, value }
    }
}

/// The packed form of the annotations of one message.
pub(crate) fn encode_notes(notes: &[Note<'_>]) -> Vec<u8> {
    let octets = |note: &Note<'_>| note.entry.len() + note.value.as_ref().map_or(0, |v| v.len());
    let all: usize = notes.iter().map(|note| octets(note) + 16).sum();
    let mut out = Writer(Vec::with_capacity(8 + all));
    out.0.push(VERSION);
    for note in notes {
        out.text(note.entry.as_bytes());
        out.number(note.modseq.0);
        out.0.push(u8::from(note.value.is_some()));
        if let Some(value) = &note.value {
            out.text(value);
        }
    }
    seal(out.0)
}

/// Reads the annotations of one message, where they lie.
pub(crate) fn decode_notes(row: &[u8]) -> Result<Vec<Note<'_>>> {
    let read = || {
        let mut from = Reader::begin(row)?;
        let mut notes = Vec::new();
        while !from.0.is_empty() {
            let entry = Cow::Borrowed(std::str::from_utf8(from.text()?).ok()?);
            let modseq = ModSeq(from.number()?);
            let value = match from.byte()? {
                0 => None,
                1 => Some(Cow::Borrowed(from.text()?)),
                _ => return None,
            };
            notes.push(Note { entry, modseq, value });
        }
        Some(notes)
    };
    read().ok_or_else(|| damaged("annotations"))
}

/// Octets with their checksum behind them.
pub(crate) fn seal(mut octets: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&octets);
    octets.extend_from_slice(&crc.to_le_bytes());
    octets
}

/// The octets without their checksum; `None` when it is not theirs.
pub(crate) fn unseal(sealed: &[u8]) -> Option<&[u8]> {
    let (octets, crc) = sealed.split_last_chunk::<4>()?;
    (u32::from_le_bytes(*crc) == crc32c::crc32c(octets)).then_some(octets)
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, n: u64) {
        varint::put(&mut self.0, n);
    }
    fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text);
    }
    /// Small numbers of either sign stay small.
    fn signed(&mut self, n: i64) {
        self.number(((n << 1) ^ (n >> 63)) as u64);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn begin(page: &'a [u8]) -> Option<Reader<'a>> {
        unseal(page)?.strip_prefix(&[VERSION]).map(Reader)
    }
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
    fn text(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len)
    }
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }
    fn number(&mut self) -> Option<u64> {
        varint::take(&mut self.0)
    }
    fn signed(&mut self) -> Option<i64> {
        let n = self.number()?;
        Some((n >> 1) as i64 ^ -((n & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(uid: u32, n: i64) -> Entry {
        Entry {
            uid: Uid::new(uid).unwrap(),
            size: u32::MAX - uid,
            flags: FlagBits(u64::MAX >> (uid % 64)),
            modseq: ModSeq((1 << 62) - u64::from(uid)),
            date: n * 1_000_000_007,
            saved: uid,
            content: ContentId(u64::from(uid) << 40),
        }
    }

    #[test]
    fn entries_round_trip_and_no_cut_page_is_read() {
        let entries = [entry(1, 0), entry(2, -5), entry(700, 3), entry(u32::MAX, 1)];
        let page = encode_entries(&entries);
        let mut back = Vec::new();
        decode_entries(&page, |entry| back.push(entry)).unwrap();
        assert_eq!(back, entries);
        for len in 0..page.len() {
            assert!(decode_entries(&page[..len], drop).is_err());
        }
    }

    #[test]
    fn contents_round_trip_and_no_cut_page_is_read() {
        let row = |id, segment, offset, len| ContentRow {
            id: ContentId(id),
            segment,
            offset,
            len,
            crc: 7,
            refs: 2,
        };
        let rows = [row(128, 9, 1 << 40, 5), row(130, 9, (1 << 40) + 90, 0), row(191, 2, 3, 4)];
        let page = encode_contents(&rows);
        assert_eq!(decode_contents(2, &page).unwrap(), rows);
        for len in 0..page.len() {
            assert!(decode_contents(2, &page[..len]).is_err());
        }
        for bit in 0..page.len() * 8 {
            let mut flipped = page.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_contents(2, &flipped).is_err());
        }
    }

    #[test]
    fn uids_round_trip_in_runs() {
        let uids: Vec<Uid> = (1..=100_000).chain([u32::MAX]).filter_map(Uid::new).collect();
        let page = encode_uids(&uids);
        assert!(page.len() < 20);
        let runs = [(Uid::FIRST, Uid::new(100_000).unwrap()), (Uid::MAX, Uid::MAX)];
        assert_eq!(decode_uids(&page).unwrap(), runs);
        assert_eq!(decode_uids(&encode_uids(&[])).unwrap(), []);
    }

    #[test]
    fn any_bytes_are_an_error_or_a_page() {
        let mut seed = 1u64;
        for len in 0..2000usize {
            let bytes: Vec<u8> = (0..len % 97)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (seed >> 33) as u8
                })
                .collect();
            let page = seal([&[VERSION], bytes.as_slice()].concat());
            let _ = decode_entries(&page, drop);
            let _ = decode_contents(1, &page);
        }
    }
}
