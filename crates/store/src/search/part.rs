//! A part of a search index: the words of some messages, in one file that never changes.
//!
//! `lead | directory | dictionaries and postings of each field`, lengths and CRC32C in what comes
//! before. A dictionary is its words, sorted, each with a line break on both sides, so that one
//! search through it finds the words that contain, begin or end with a text. Postings (numbers of
//! messages within the part, as differences) stand in blocks of [`BLOCK`] words. A reader takes the
//! directory, one dictionary, and the blocks that it needs; nothing stays in memory.

use super::answers::Answers;
use crate::error::{Result, StoreError};
use mail::ContentId;
use mail::casemap::fold;
use mail::search::{Field, Fragment, Plan, words};
use mail::varint;
use std::collections::HashMap;
use std::io;
use sys::disk::DiskFile;

const MAGIC: &[u8; 8] = b"PRsrch02";
/// Magic, length and checksum of the directory.
const LEAD: usize = 16;
/// Words of one block of postings.
const BLOCK: usize = 256;
/// Octets of a directory or dictionary that are believed.
const OCTETS_MAX: u64 = 1 << 28;

fn damaged() -> StoreError {
    StoreError::Corrupt("a part of a search index cannot be read".to_owned())
}

fn take(from: &mut &[u8]) -> Result<u64> {
    varint::take(from).ok_or_else(damaged)
}

/// A part that is being made.
#[derive(Default)]
pub(crate) struct Builder {
    ids: Vec<ContentId>,
    unread: Vec<u64>,
    fields: [HashMap<Box<str>, Postings>; Field::ALL.len()],
    words: usize,
}

#[derive(Default)]
struct Postings {
    octets: Vec<u8>,
    count: u64,
    /// The next message number that is not in it yet.
    next: u64,
}

impl Builder {
    /// Messages in it.
    pub fn len(&self) -> usize {
        self.ids.len()
    }
    /// Words in it.
    pub fn words(&self) -> usize {
        self.words
    }
    /// Adds a message; ids ascend. `None` for one that every search must read.
    pub fn add(&mut self, id: ContentId, texts: Option<&[(Field, String)]>) {
        let n = self.ids.len() as u64;
        self.ids.push(id);
        let Some(texts) = texts else { return self.unread.push(n) };
        for (field, text) in texts {
            let Some(table) = self.fields.get_mut(*field as usize) else { continue };
            let mut fresh = 0;
            words(&fold(text), |word| {
                if let Some(postings) = table.get_mut(word) {
                    postings.add(n);
                } else {
                    fresh += 1;
                    let mut postings = Postings::default();
                    postings.add(n);
                    table.insert(word.into(), postings);
                }
            });
            self.words += fresh;
        }
    }

    /// The file.
    pub fn finish(self) -> Vec<u8> {
        let (mut directory, mut data) = (Vec::new(), Vec::new());
        varint::put(&mut directory, self.ids.len() as u64);
        let mut before = 0;
        for id in &self.ids {
            varint::put(&mut directory, id.0.wrapping_sub(before));
            before = id.0;
        }
        varint::put(&mut directory, self.unread.len() as u64);
        self.unread.iter().for_each(|n| varint::put(&mut directory, *n));
        for table in self.fields {
            section(table, &mut directory, &mut data);
        }
        let mut out = Vec::with_capacity(LEAD + directory.len() + data.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&(directory.len() as u32).to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&directory).to_le_bytes());
        out.append(&mut directory);
        out.append(&mut data);
        out
    }
}

impl Postings {
    fn add(&mut self, n: u64) {
        if n >= self.next {
            varint::put(&mut self.octets, n - self.next);
            (self.next, self.count) = (n + 1, self.count + 1);
        }
    }
}

/// Writes one field: its dictionary and its blocks.
fn section(table: HashMap<Box<str>, Postings>, directory: &mut Vec<u8>, data: &mut Vec<u8>) {
    let mut sorted: Vec<(Box<str>, Postings)> = table.into_iter().collect();
    sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut dictionary = vec![b'\n'];
    let mut blocks = Vec::new();
    let mut postings = Vec::new();
    for block in sorted.chunks(BLOCK) {
        let (word_at, from) = (dictionary.len(), postings.len());
        for (word, list) in block {
            dictionary.extend_from_slice(word.as_bytes());
            dictionary.push(b'\n');
            varint::put(&mut postings, list.count);
            postings.extend_from_slice(&list.octets);
        }
        let octets = postings.get(from..).unwrap_or_default();
        blocks.push((word_at as u64, octets.len() as u64, crc32c::crc32c(octets)));
    }
    varint::put(directory, data.len() as u64);
    varint::put(directory, dictionary.len() as u64);
    varint::put(directory, u64::from(crc32c::crc32c(&dictionary)));
    varint::put(directory, blocks.len() as u64);
    for (word_at, len, crc) in blocks {
        varint::put(directory, word_at);
        varint::put(directory, len);
        varint::put(directory, u64::from(crc));
    }
    data.append(&mut dictionary);
    data.append(&mut postings);
}

/// A part that is there.
pub(crate) struct Part<'a> {
    file: &'a dyn DiskFile,
    /// The messages, ascending.
    pub ids: Vec<ContentId>,
    unread: Vec<u64>,
    sections: Vec<Section>,
}

#[derive(Default)]
struct Section {
    at: u64,
    len: u64,
    crc: u64,
    blocks: Vec<Block>,
}

struct Block {
    /// Where its first word is in the dictionary.
    word_at: u64,
    at: u64,
    len: u64,
    crc: u64,
}

fn read(file: &dyn DiskFile, at: u64, len: u64, crc: u64) -> Result<Vec<u8>> {
    if len > OCTETS_MAX || at.checked_add(len).is_none_or(|end| file.len().is_ok_and(|n| end > n)) {
        return Err(damaged());
    }
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(),
        _ => StoreError::Engine(format!("search index: {error}")),
    };
    let mut octets = vec![0; len as usize];
    file.read_at(&mut octets, at).map_err(failed)?;
    if u64::from(crc32c::crc32c(&octets)) == crc { Ok(octets) } else { Err(damaged()) }
}

/// A set of numbers below some number.
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Bits {
        Bits(vec![0; len.div_ceil(64)])
    }
    fn set(&mut self, n: u64) -> Result<()> {
        let word = self.0.get_mut((n / 64) as usize).ok_or_else(damaged)?;
        *word |= 1 << (n % 64);
        Ok(())
    }
    fn has(&self, n: u64) -> bool {
        self.0.get((n / 64) as usize).is_some_and(|word| word >> (n % 64) & 1 == 1)
    }
}

impl<'a> Part<'a> {
    /// Reads the directory.
    pub fn open(file: &'a dyn DiskFile) -> Result<Part<'a>> {
        let mut lead = [0; LEAD];
        file.read_at(&mut lead, 0).map_err(|_| damaged())?;
        let (magic, rest) = lead.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let crc = rest.first_chunk::<4>().ok_or_else(damaged)?;
        let len = u64::from(u32::from_le_bytes(*len));
        if magic != MAGIC {
            return Err(damaged());
        }
        let octets = read(file, LEAD as u64, len, u64::from(u32::from_le_bytes(*crc)))?;
        let (mut from, data) = (octets.as_slice(), LEAD as u64 + len);
        let mut part = Part { file, ids: Vec::new(), unread: Vec::new(), sections: Vec::new() };
        let mut id = 0u64;
        for _ in 0..take(&mut from)? {
            id = id.checked_add(take(&mut from)?).ok_or_else(damaged)?;
            part.ids.push(ContentId(id));
        }
        for _ in 0..take(&mut from)? {
            part.unread.push(take(&mut from)?);
        }
        for _ in Field::ALL {
            part.sections.push(Section::read(&mut from, data)?);
        }
        Ok(part)
    }

    /// Notes what is known of all its messages.
    pub fn look(&self, field: Field, plan: &Plan, answers: &mut Answers) -> Result<()> {
        let section = self.sections.get(field as usize).ok_or_else(damaged)?;
        let dictionary = read(self.file, section.at, section.len, section.crc)?;
        let mut found: Option<Bits> = None;
        for fragment in &plan.fragments {
            let words = matching(&dictionary, fragment);
            let here = self.holders(section, &dictionary, &words)?;
            found = Some(match found {
                None => here,
                Some(Bits(before)) => {
                    Bits(before.iter().zip(&here.0).map(|(a, b)| a & b).collect())
                }
            });
        }
        let Some(found) = found else { return Ok(()) };
        let mut unread = self.unread.as_slice();
        for (n, id) in (0..).zip(&self.ids) {
            if unread.first() == Some(&n) {
                unread = unread.get(1..).unwrap_or_default();
            } else if !found.has(n) {
                answers.note(*id, false);
            } else if plan.exact {
                answers.note(*id, true);
            }
        }
        Ok(())
    }

    /// The messages that have one of the words, which are given by where they are.
    fn holders(&self, section: &Section, dictionary: &[u8], words: &[usize]) -> Result<Bits> {
        let mut found = Bits::new(self.ids.len());
        let mut rest = words;
        while let Some(first) = rest.first() {
            let n = section.blocks.partition_point(|block| block.word_at <= *first as u64);
            let block = n.checked_sub(1).and_then(|n| section.blocks.get(n)).ok_or_else(damaged)?;
            let end = section.blocks.get(n).map_or(section.len, |next| next.word_at);
            let (here, later) = rest.split_at(rest.partition_point(|at| (*at as u64) < end));
            rest = later;
            let octets = read(self.file, block.at, block.len, block.crc)?;
            let (mut from, mut at) = (octets.as_slice(), block.word_at as usize);
            for wanted in here {
                let between = dictionary.get(at..*wanted).ok_or_else(damaged)?;
                for _ in memchr::memchr_iter(b'\n', between) {
                    skip(&mut from)?;
                }
                let mut n = 0u64;
                for _ in 0..take(&mut from)? {
                    n = n.checked_add(take(&mut from)?).ok_or_else(damaged)?;
                    found.set(n)?;
                    n += 1;
                }
                let word = dictionary.get(*wanted..).unwrap_or_default();
                at = *wanted + memchr::memchr(b'\n', word).ok_or_else(damaged)? + 1;
            }
        }
        Ok(found)
    }
}

/// Passes over the postings of a word. Of octets that are as many as the numbers that are left,
/// none is behind these, so the ends of numbers are counted in them all at once.
fn skip(from: &mut &[u8]) -> Result<()> {
    let mut left = take(from)?;
    while left > 0 {
        let (octets, rest) = from.split_at_checked(left as usize).ok_or_else(damaged)?;
        left -= octets.iter().filter(|octet| **octet < 0x80).count() as u64;
        *from = rest;
    }
    Ok(())
}

impl Section {
    fn read(from: &mut &[u8], data: u64) -> Result<Section> {
        let at = data.checked_add(take(from)?).ok_or_else(damaged)?;
        let (len, crc) = (take(from)?, take(from)?);
        let mut section = Section { at, len, crc, blocks: Vec::new() };
        let mut next = at.checked_add(len).ok_or_else(damaged)?;
        for _ in 0..take(from)? {
            let (word_at, len, crc) = (take(from)?, take(from)?, take(from)?);
            section.blocks.push(Block { word_at, at: next, len, crc });
            next = next.checked_add(len).ok_or_else(damaged)?;
        }
        Ok(section)
    }
}

/// Where the words start that have the fragment; ascending.
fn matching(dictionary: &[u8], fragment: &Fragment) -> Vec<usize> {
    let (start, end) = (if fragment.at_start { "\n" } else { "" }, fragment.at_end);
    let text = format!("{start}{}{}", fragment.text, if end { "\n" } else { "" });
    let finder = memchr::memmem::Finder::new(text.as_bytes());
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(place) = finder.find(dictionary.get(at..).unwrap_or_default()) {
        // The line break in front of the word is no part of it.
        let inside = at + place + start.len();
        let before = dictionary.get(..inside).unwrap_or_default();
        found.push(memchr::memrchr(b'\n', before).map_or(0, |n| n + 1));
        let rest = dictionary.get(inside..).unwrap_or_default();
        // On at the line break behind the word: one word counts once.
        at = inside + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postings_of_any_width_are_passed_over() {
        for numbers in [vec![], vec![5], vec![u64::MAX >> 1; 3], (0..40).map(|n| 1 << n).collect()]
        {
            let mut octets = Vec::new();
            varint::put(&mut octets, numbers.len() as u64);
            numbers.iter().for_each(|n| varint::put(&mut octets, *n));
            let mut cut = octets.get(..octets.len() - 1).unwrap_or_default();
            assert!(skip(&mut cut).is_err());
            octets.extend_from_slice(b"behind");
            let mut from = octets.as_slice();
            assert!(skip(&mut from).is_ok());
            assert_eq!(from, b"behind");
        }
    }
}
