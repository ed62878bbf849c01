//! Messages while a search looks at them: what is read of them, and read once.

use crate::imap::fetch::summary;
use ::store::{ContentRow, Neighbours, Store, StoreError};
use mail::casemap::{Needle, Seeker, fold, fold_into};
use mail::mime::{Part, header_of, text};
use mail::search::Field;
use mail::summary::Summary;
use mail::{ContentId, Entry, header};
use std::collections::HashMap;
use std::ops::Range;

/// Octets in which the header of nearly every message ends.
const HEADER_OCTETS_LIKELY: u64 = 16 * 1024;
/// Octets of the largest message that is held in memory as a whole, with its texts.
const WHOLE_OCTETS_MAX: u32 = 512 * 1024;

/// Messages that are looked at one after the other.
pub(super) struct Batch<'a> {
    store: &'a Store,
    ids: Vec<ContentId>,
    /// What is kept beside them.
    kept: Vec<Option<Box<[u8]>>>,
    /// Where they are, once that is wanted.
    rows: Option<Vec<Option<ContentRow>>>,
    neighbours: Neighbours,
}

impl<'a> Batch<'a> {
    /// Finds what is kept beside some messages.
    pub fn new(
        store: &'a Store,
        messages: &[(u32, Entry)],
        neighbours: Neighbours,
    ) -> Result<Batch<'a>, StoreError> {
        let ids: Vec<ContentId> = messages.iter().map(|(_, entry)| entry.content).collect();
        let kept = store.kept(&ids, false, true)?.summaries;
        Ok(Batch { store, ids, kept, rows: None, neighbours })
    }

    /// One of the messages.
    pub fn candidate<'b>(&'b mut self, place: usize, entry: &'a Entry) -> Candidate<'a, 'b> {
        let kept = self.kept.get_mut(place).and_then(Option::take);
        Candidate { batch: self, place, entry, kept, read: Read::default() }
    }

    /// For the next batch.
    pub fn into_neighbours(self) -> Neighbours {
        self.neighbours
    }

    /// A whole message.
    fn octets(&mut self, place: usize) -> Result<&[u8], StoreError> {
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => self.store.kept(&self.ids, true, false)?.rows,
        };
        let rows = self.rows.insert(rows);
        let next = rows.get(place..).unwrap_or_default().iter();
        self.neighbours.first(self.store, next.map_while(Option::as_ref))
    }
}

/// One message, and what was read of it.
pub(super) struct Candidate<'a, 'b> {
    batch: &'b mut Batch<'a>,
    place: usize,
    pub entry: &'a Entry,
    /// What is kept beside it.
    kept: Option<Box<[u8]>>,
    read: Read<'a>,
}

/// What was read of a message. Texts are folded, with a NUL behind each: it is in no string.
#[derive(Default)]
struct Read<'a> {
    summary: Option<Summary>,
    root: Option<Part>,
    fields: Vec<(Field, String)>,
    header: Option<Vec<u8>>,
    header_fields: HashMap<&'a [u8], Option<String>>,
    /// Its header, and the MIME headers of its parts.
    headers: Option<String>,
    texts: Option<String>,
}

fn push_text(text: &str, out: &mut String) {
    fold_into(text, out);
    out.push('\0');
}

/// The text is in one of those that were put together so.
fn is_in(needle: &Needle, texts: &str) -> bool {
    !texts.is_empty() && needle.is_in_folded(texts)
}

impl<'a> Candidate<'a, '_> {
    /// All but the structure.
    pub fn summary(&mut self) -> Result<&Summary, StoreError> {
        let summary = match self.read.summary.take() {
            Some(summary) => summary,
            None => match self.kept.as_deref().and_then(Summary::decode_envelope) {
                Some(summary) => summary,
                None => summary(self.batch.store, self.entry)?,
            },
        };
        Ok(self.read.summary.insert(summary))
    }

    fn root(&mut self) -> Result<&Part, StoreError> {
        let root = match self.read.root.take() {
            Some(root) => root,
            None => match self.kept.as_deref().and_then(Summary::decode_structure) {
                Some(Summary { root, .. }) => root,
                None => summary(self.batch.store, self.entry)?.root,
            },
        };
        Ok(self.read.root.insert(root))
    }

    /// A text of the envelope, folded.
    pub fn field(&mut self, of: Field) -> Result<&str, StoreError> {
        let known = self.read.fields.iter().position(|(field, _)| *field == of);
        let at = match known {
            Some(at) => at,
            None => {
                let text = fold(&of.text(&self.summary()?.envelope.read()));
                self.read.fields.push((of, text));
                self.read.fields.len() - 1
            }
        };
        Ok(self.read.fields.get(at).map_or("", |(_, text)| text))
    }

    fn header(&mut self) -> Result<&[u8], StoreError> {
        let header = match self.read.header.take() {
            Some(header) => header,
            None if u64::from(self.entry.size) <= HEADER_OCTETS_LIKELY => {
                header_of(self.batch.octets(self.place)?).to_vec()
            }
            None => {
                let (store, id) = (self.batch.store, self.entry.content);
                let mut start = store.content(id, 0..HEADER_OCTETS_LIKELY)?;
                if header_of(&start).len() == start.len() {
                    start = store.content(id, 0..self.root()?.body_start)?;
                }
                start.truncate(header_of(&start).len());
                start
            }
        };
        Ok(self.read.header.insert(header))
    }

    /// The texts of all fields of that name.
    pub fn header_fields(&mut self, name: &'a [u8]) -> Result<Option<&str>, StoreError> {
        if !self.read.header_fields.contains_key(name) {
            let mut texts: Option<String> = None;
            let named = |field: &header::Field<'_>| field.name.eq_ignore_ascii_case(name);
            for field in header::fields(self.header()?).filter(named) {
                let text = header::decode_words(field.value);
                push_text(text.trim(), texts.get_or_insert_default());
            }
            self.read.header_fields.insert(name, texts);
        }
        Ok(self.read.header_fields.get(name).and_then(Option::as_deref))
    }

    /// The text is in the header, or in the MIME header of a part.
    pub fn has_header(&mut self, needle: &Needle) -> Result<bool, StoreError> {
        if is_large(self.entry) {
            return Ok(needle.is_in(&header::decode_words(self.header()?))
                || self.has_mime_header(needle)?);
        }
        if self.read.headers.is_none() {
            let root = self.root()?;
            let ranges = std::iter::once(0..root.body_start).chain(text::mime_headers(root));
            let ranges: Vec<Range<u64>> = ranges.collect();
            let content = self.batch.octets(self.place)?;
            let mut headers = String::new();
            for range in ranges {
                let range = range.start as usize..range.end as usize;
                let header = content.get(range).unwrap_or_default();
                push_text(&header::decode_words(header), &mut headers);
            }
            self.read.headers = Some(headers);
        }
        Ok(self.read.headers.as_deref().is_some_and(|headers| is_in(needle, headers)))
    }

    /// The text is in the MIME header of a part of a large message.
    fn has_mime_header(&mut self, needle: &Needle) -> Result<bool, StoreError> {
        let (store, id) = (self.batch.store, self.entry.content);
        for range in text::mime_headers(self.root()?) {
            if needle.is_in(&header::decode_words(&store.content(id, range)?)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The text is in the body; that of a large message is read in pieces.
    pub fn has_text(&mut self, needle: &Needle) -> Result<bool, StoreError> {
        if is_large(self.entry) {
            return self.has_text_in_pieces(needle);
        }
        if self.read.texts.is_none() {
            self.root()?;
            let content = self.batch.octets(self.place)?;
            let mut texts = String::with_capacity(content.len() + 1);
            if let Some(root) = &self.read.root {
                text::each_whole_text(root, content, |text| push_text(text, &mut texts));
            }
            self.read.texts = Some(texts);
        }
        Ok(self.read.texts.as_deref().is_some_and(|texts| is_in(needle, texts)))
    }

    fn has_text_in_pieces(&mut self, needle: &Needle) -> Result<bool, StoreError> {
        let (store, id) = (self.batch.store, self.entry.content);
        let (mut seeker, mut found) = (Seeker::new(needle), false);
        text::each_text(
            self.root()?,
            |range| store.content(id, range),
            |piece, last| {
                found = seeker.feed(piece, last);
                !found
            },
        )?;
        Ok(found)
    }
}

/// Too large to be held in memory as a whole.
pub(super) fn is_large(entry: &Entry) -> bool {
    entry.size > WHOLE_OCTETS_MAX
}
