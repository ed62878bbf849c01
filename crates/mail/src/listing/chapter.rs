//! A chapter of a listing: up to 64 pages of up to 128 entries, each page shared by itself.

use super::{Entry, replace};
use crate::flags::FlagBits;
use crate::id::{ModSeq, Uid};
use std::ops::Deref;
use std::sync::Arc;

/// Entries in a full page.
pub(super) const PAGE: usize = 128;
/// Pages in a full chapter.
pub(super) const PAGES: usize = 64;

/// Entries in UID order, and what is known of them without a look at each. Cloning shares them.
#[derive(Clone, Debug)]
pub(super) struct Page {
    entries: Arc<[Entry]>,
    /// The highest MODSEQ.
    modseq: ModSeq,
    /// One of them is not `\Seen`.
    unseen: bool,
    /// One of them is `\Deleted`.
    deleted: bool,
}

impl From<Arc<[Entry]>> for Page {
    fn from(entries: Arc<[Entry]>) -> Page {
        let modseq = entries.iter().map(|entry| entry.modseq).max().unwrap_or(ModSeq(0));
        let unseen = entries.iter().any(Entry::is_unseen);
        let deleted = entries.iter().any(Entry::is_deleted);
        Page { entries, modseq, unseen, deleted }
    }
}

impl FromIterator<Entry> for Page {
    fn from_iter<T: IntoIterator<Item = Entry>>(entries: T) -> Page {
        entries.into_iter().collect::<Arc<[Entry]>>().into()
    }
}

impl Deref for Page {
    type Target = [Entry];
    fn deref(&self) -> &[Entry] {
        &self.entries
    }
}

impl Page {
    /// Both are the very same.
    pub fn is(&self, other: &Page) -> bool {
        Arc::ptr_eq(&self.entries, &other.entries)
    }
}

impl Entry {
    fn is_unseen(&self) -> bool {
        !self.flags.contains(FlagBits::SEEN)
    }
    fn is_deleted(&self) -> bool {
        self.flags.contains(FlagBits::DELETED)
    }
}

/// Never changed once made; none of its pages is empty.
#[derive(Debug)]
pub(super) struct Chapter {
    pages: Vec<Page>,
    /// Place of each page's first entry in the chapter.
    starts: Vec<u32>,
    len: u32,
    /// The highest MODSEQ.
    modseq: ModSeq,
}

/// Full chapters, but for the last, of entries that come one after the other: none is held twice.
#[derive(Debug, Default)]
pub(super) struct Chapters {
    full: Vec<Arc<Chapter>>,
    pages: Vec<Page>,
    page: Vec<Entry>,
}

impl Chapters {
    pub fn push(&mut self, entry: Entry) {
        self.page.push(entry);
        if self.page.len() >= PAGE {
            self.end_page();
            if self.pages.len() >= PAGES {
                self.end_chapter();
            }
        }
    }

    pub fn finish(mut self) -> Vec<Arc<Chapter>> {
        self.end_page();
        self.end_chapter();
        self.full
    }

    fn end_page(&mut self) {
        if !self.page.is_empty() {
            self.pages.push(Page::from(Arc::from(self.page.as_slice())));
            self.page.clear();
        }
    }

    fn end_chapter(&mut self) {
        if !self.pages.is_empty() {
            self.full.push(Arc::new(Chapter::new(std::mem::take(&mut self.pages))));
        }
    }
}

/// Where each of several neighbours starts, and where the last one ends.
pub(super) fn starts(lengths: impl ExactSizeIterator<Item = u32>) -> (Vec<u32>, u32) {
    let mut starts = Vec::with_capacity(lengths.len());
    let mut end = 0;
    for length in lengths {
        starts.push(end);
        end += length;
    }
    (starts, end)
}

impl Chapter {
    fn new(pages: Vec<Page>) -> Chapter {
        let (starts, len) = starts(pages.iter().map(|page| page.len() as u32));
        let modseq = pages.iter().map(|page| page.modseq).max().unwrap_or(ModSeq(0));
        Chapter { pages, starts, len, modseq }
    }

    /// How many entries.
    pub fn len(&self) -> u32 {
        self.len
    }
    /// Its pages, in order.
    pub fn pages(&self) -> &[Page] {
        &self.pages
    }
    /// All entries in UID order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.pages.iter().flat_map(|page| page.iter())
    }
    /// The places and entries whose MODSEQ is above `since`.
    pub fn changed(&self, since: ModSeq) -> impl Iterator<Item = (u32, &Entry)> {
        let pages = if self.modseq > since { self.pages.as_slice() } else { &[] };
        let pages = pages.iter().zip(&self.starts).filter(move |(page, _)| page.modseq > since);
        let entries = pages.flat_map(|(page, start)| (*start..).zip(page.iter()));
        entries.filter(move |(_, entry)| entry.modseq > since)
    }
    /// The entries that are `\Deleted`.
    pub fn deleted(&self) -> impl Iterator<Item = &Entry> {
        let pages = self.pages.iter().filter(|page| page.deleted);
        pages.flat_map(|page| page.iter()).filter(|entry| entry.is_deleted())
    }
    /// The place of the first entry that is not `\Seen`.
    pub fn first_unseen(&self) -> Option<u32> {
        let (page, start) = self.pages.iter().zip(&self.starts).find(|(page, _)| page.unseen)?;
        (*start..).zip(page.iter()).find(|(_, entry)| entry.is_unseen()).map(|(at, _)| at)
    }
    /// The entries from a place on, counted from 0.
    pub fn iter_from(&self, index: u32) -> impl Iterator<Item = &Entry> {
        let page = self.starts.partition_point(|start| *start <= index).saturating_sub(1);
        let skip = index - self.starts.get(page).copied().unwrap_or(index);
        let pages = self.pages.get(page..).unwrap_or_default().iter();
        pages.flat_map(|page| page.iter()).skip(skip as usize)
    }
    /// The entry at a place, counted from 0.
    pub fn at(&self, index: u32) -> Option<&Entry> {
        let page = self.starts.partition_point(|start| *start <= index).checked_sub(1)?;
        let start = *self.starts.get(page)?;
        self.pages.get(page)?.get((index - start) as usize)
    }
    /// The last entry.
    pub fn last(&self) -> Option<&Entry> {
        self.pages.last().and_then(|page| page.last())
    }
    /// Its UID.
    pub fn last_uid(&self) -> Option<Uid> {
        self.last().map(|entry| entry.uid)
    }
    /// The page that has a UID or would have it.
    fn page_of(&self, uid: Uid) -> usize {
        self.pages.partition_point(|page| page.last().is_some_and(|e| e.uid < uid))
    }
    /// The place of a UID, counted from 0: `Ok` where it is, `Err` where it would be.
    pub fn find(&self, uid: Uid) -> Result<u32, u32> {
        let n = self.page_of(uid);
        let Some(page) = self.pages.get(n) else { return Err(self.len) };
        let start = self.starts.get(n).copied().unwrap_or(self.len);
        match page.binary_search_by(|entry| entry.uid.cmp(&uid)) {
            Ok(at) => Ok(start + at as u32),
            Err(at) => Err(start + at as u32),
        }
    }

    /// Without some UIDs, which are sorted. Neighbours that together fit one page are joined, so
    /// that scattered expunges leave no dust.
    pub fn without(&self, mut gone: &[Uid]) -> Chapter {
        let mut pages: Vec<Page> = Vec::with_capacity(self.pages.len());
        for page in &self.pages {
            let last = page.last().map(|entry| entry.uid);
            let (now, later) = gone.split_at(gone.partition_point(|uid| Some(*uid) <= last));
            gone = later;
            let page = if now.is_empty() {
                page.clone()
            } else {
                page.iter().filter(|e| now.binary_search(&e.uid).is_err()).copied().collect()
            };
            match pages.last_mut() {
                _ if page.is_empty() => {}
                Some(before) if before.len() + page.len() <= PAGE => {
                    *before = before.iter().chain(page.iter()).copied().collect();
                }
                _ => pages.push(page),
            }
        }
        Chapter::new(pages)
    }

    /// With some entries in the place of those of their UIDs; sorted. Others are passed over.
    pub fn with(&self, mut replaced: &[Entry]) -> Chapter {
        let mut pages = self.pages.clone();
        while let Some(first) = replaced.first() {
            let Some(page) = pages.get_mut(self.page_of(first.uid)) else { break };
            let end = page.last().map(|entry| entry.uid);
            let (here, later) = replaced.split_at(replaced.partition_point(|e| Some(e.uid) <= end));
            let mut entries: Arc<[Entry]> = Arc::from(&**page);
            if let Some(entries) = Arc::get_mut(&mut entries) {
                replace(entries, here);
            }
            *page = Page::from(entries);
            replaced = later;
        }
        Chapter::new(pages)
    }

    /// How many entries [`Chapter::extended`] takes.
    pub fn room(&self) -> usize {
        let last = self.pages.last().map_or(PAGE, |page| page.len());
        (PAGES.saturating_sub(self.pages.len())) * PAGE + PAGE.saturating_sub(last)
    }

    /// With more entries behind the last.
    pub fn extended(&self, mut added: &[Entry]) -> Chapter {
        let mut pages = self.pages.clone();
        if let Some(last) = pages.last_mut().filter(|page| page.len() < PAGE) {
            let (fill, rest) = added.split_at(added.len().min(PAGE - last.len()));
            *last = last.iter().chain(fill).copied().collect();
            added = rest;
        }
        pages.extend(added.chunks(PAGE).map(|entries| Page::from(Arc::from(entries))));
        Chapter::new(pages)
    }

    /// Joins neighbours that together fit one chapter; their pages stay shared.
    pub fn merge_small(chapters: &mut Vec<Arc<Chapter>>) {
        let fits = |a: &Chapter, b: &Chapter| a.pages.len() + b.pages.len() <= PAGES;
        if !chapters.windows(2).any(|pair| matches!(pair, [a, b] if fits(a, b))) {
            return;
        }
        let mut merged: Vec<Arc<Chapter>> = Vec::with_capacity(chapters.len());
        for chapter in chapters.drain(..) {
            match merged.last_mut() {
                Some(last) if fits(last, &chapter) => {
                    let pages = last.pages.iter().chain(&chapter.pages).cloned().collect();
                    *last = Arc::new(Chapter::new(pages));
                }
                _ => merged.push(chapter),
            }
        }
        *chapters = merged;
    }
}
