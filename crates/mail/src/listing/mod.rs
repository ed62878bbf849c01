//! What is in a mailbox at one moment: an immutable, sorted list of messages that many sessions
//! share.
//!
//! Copy on write in pages of 128 and chapters of 64 pages: a new listing shares every page and
//! chapter that did not change. In a mailbox of 1,000,000 messages a change copies one page, the
//! 64 pointers of its chapter and the 123 pointers of the listing; keeping the old one costs as
//! little, and [`Listing::changes_since`] skips what is equal by pointer.
//! Invariant: UIDs strictly ascend; `modseq` of the listing is at least that of every entry.

mod chapter;
mod difference;
#[cfg(test)]
mod test;

use crate::flags::{FlagBits, KeywordTable};
use crate::id::{ContentId, ModSeq, Uid, UidValidity};
use chapter::{Chapter, Chapters, starts};
pub use difference::Difference;
use std::sync::Arc;

/// One message of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its UID.
    pub uid: Uid,
    /// RFC822.SIZE: octets of the stored message.
    pub size: u32,
    /// Its flags; keyword bits by the listing's table.
    pub flags: FlagBits,
    /// MODSEQ of its last change.
    pub modseq: ModSeq,
    /// INTERNALDATE, seconds since 1970, UTC.
    pub date: i64,
    /// When it came into this mailbox, seconds since 1970. RFC 8514.
    pub saved: u32,
    /// Where its bytes are.
    pub content: ContentId,
}

/// Puts new entries in the place of those with the same UIDs; both are sorted by UID.
pub fn replace(entries: &mut [Entry], new: &[Entry]) {
    let mut new = new.iter().peekable();
    for slot in entries {
        while new.next_if(|entry| entry.uid < slot.uid).is_some() {}
        if let Some(entry) = new.next_if(|entry| entry.uid == slot.uid) {
            *slot = *entry;
        }
    }
}

/// A mailbox's messages at one moment. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Listing {
    /// None is empty.
    chapters: Vec<Arc<Chapter>>,
    /// Place of each chapter's first entry.
    starts: Vec<u32>,
    len: u32,
    /// The mailbox's keywords.
    pub keywords: Arc<KeywordTable>,
    /// HIGHESTMODSEQ; at least 1, also for an empty mailbox.
    pub modseq: ModSeq,
    /// UIDVALIDITY.
    pub uidvalidity: UidValidity,
    /// UIDNEXT; `None` when the UIDs are used up.
    pub uidnext: Option<Uid>,
}

/// Makes a listing of entries that come one after the other. It holds no entry twice.
#[derive(Debug, Default)]
pub struct Builder {
    chapters: Chapters,
}

impl Builder {
    /// Adds an entry, with a greater UID than those before.
    pub fn push(&mut self, entry: Entry) {
        self.chapters.push(entry);
    }

    /// The listing of the entries that came.
    pub fn finish(
        self,
        keywords: Arc<KeywordTable>,
        modseq: ModSeq,
        uidvalidity: UidValidity,
        uidnext: Option<Uid>,
    ) -> Listing {
        let (chapters, starts) = (self.chapters.finish(), Vec::new());
        let mut listing =
            Listing { chapters, starts, len: 0, keywords, modseq, uidvalidity, uidnext };
        listing.recount();
        debug_assert!(listing.iter().is_sorted_by(|a, b| a.uid < b.uid));
        listing
    }
}

impl Listing {
    /// A listing from entries sorted by UID.
    pub fn new(
        entries: &[Entry],
        keywords: Arc<KeywordTable>,
        modseq: ModSeq,
        uidvalidity: UidValidity,
        uidnext: Option<Uid>,
    ) -> Listing {
        let mut builder = Builder::default();
        entries.iter().for_each(|entry| builder.push(*entry));
        builder.finish(keywords, modseq, uidvalidity, uidnext)
    }

    /// A mailbox without messages or history.
    pub fn empty() -> Listing {
        let validity = UidValidity(std::num::NonZeroU32::MIN);
        Listing::new(&[], Arc::default(), ModSeq(1), validity, Some(Uid::FIRST))
    }

    /// EXISTS.
    pub fn len(&self) -> u32 {
        self.len
    }
    /// No messages.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// All entries in UID order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.chapters.iter().flat_map(|chapter| chapter.iter())
    }
    /// The chapter with a place, and the place of its first entry.
    fn chapter_at(&self, index: u32) -> Option<(usize, u32)> {
        let n = self.starts.partition_point(|start| *start <= index).checked_sub(1)?;
        Some((n, *self.starts.get(n)?))
    }
    /// The entry at a place, counted from 0.
    pub fn at(&self, index: u32) -> Option<&Entry> {
        let (n, start) = self.chapter_at(index)?;
        self.chapters.get(n)?.at(index - start)
    }
    /// The place of a UID, counted from 0: `Ok` where it is, `Err` where it would be.
    pub fn find(&self, uid: Uid) -> Result<u32, u32> {
        let n = self.chapters.partition_point(|chapter| chapter.last_uid() < Some(uid));
        let Some(chapter) = self.chapters.get(n) else { return Err(self.len) };
        let start = self.starts.get(n).copied().unwrap_or(self.len);
        chapter.find(uid).map(|at| start + at).map_err(|at| start + at)
    }
    /// The entry of a UID.
    pub fn get(&self, uid: Uid) -> Option<&Entry> {
        self.find(uid).ok().and_then(|index| self.at(index))
    }
    /// The last entry.
    pub fn last(&self) -> Option<&Entry> {
        self.chapters.last().and_then(|chapter| chapter.last())
    }
    /// The entries at places `from..to`, counted from 0.
    pub fn range(&self, from: u32, to: u32) -> impl Iterator<Item = &Entry> {
        let (n, start) = self.chapter_at(from).unwrap_or((self.chapters.len(), from));
        let (first, others) =
            self.chapters.get(n..).unwrap_or_default().split_at_checked(1).unwrap_or_default();
        let here = first.iter().flat_map(move |chapter| chapter.iter_from(from - start));
        let behind = others.iter().flat_map(|chapter| chapter.iter());
        here.chain(behind).take(to.saturating_sub(from) as usize)
    }

    /// The places and entries whose MODSEQ is above `since`, in UID order. Pages and chapters
    /// without such cost one comparison. RFC 7162.
    pub fn changed(&self, since: ModSeq) -> impl Iterator<Item = (u32, &Entry)> {
        let chapters = self.chapters.iter().zip(&self.starts);
        chapters.flat_map(move |(chapter, start)| {
            chapter.changed(since).map(move |(at, entry)| (start + at, entry))
        })
    }
    /// The messages that are `\Deleted`, in UID order. Pages without such cost one comparison.
    pub fn deleted(&self) -> impl Iterator<Item = &Entry> {
        self.chapters.iter().flat_map(|chapter| chapter.deleted())
    }
    /// The place of the first message that is not `\Seen`, counted from 0.
    pub fn first_unseen(&self) -> Option<u32> {
        let mut chapters = self.chapters.iter().zip(&self.starts);
        chapters.find_map(|(chapter, start)| Some(start + chapter.first_unseen()?))
    }

    /// This listing with `changed` entries put in (replaced or, above the last UID, added) and
    /// `expunged` taken out; both sorted by UID. Pages and chapters without a change are shared.
    pub fn apply(&self, changed: &[Entry], expunged: &[Uid]) -> Listing {
        let mut next = self.clone();
        if !expunged.is_empty() {
            next.take_out(expunged);
        }
        next.put_in(changed);
        next.recount();
        next
    }

    fn take_out(&mut self, mut gone: &[Uid]) {
        for chapter in &mut self.chapters {
            let last = chapter.last_uid();
            let (now, later) = gone.split_at(gone.partition_point(|uid| Some(*uid) <= last));
            gone = later;
            if !now.is_empty() {
                *chapter = Arc::new(chapter.without(now));
            }
        }
        self.chapters.retain(|chapter| chapter.len() != 0);
        Chapter::merge_small(&mut self.chapters);
    }

    fn put_in(&mut self, changed: &[Entry]) {
        let last = self.last().map(|e| e.uid);
        let old = changed.partition_point(|e| Some(e.uid) <= last);
        let (mut replaced, added) = changed.split_at(old);
        let mut at = 0;
        while let Some(first) = replaced.first() {
            let rest = self.chapters.get(at..).unwrap_or_default();
            at += rest.partition_point(|chapter| chapter.last_uid() < Some(first.uid));
            let Some(chapter) = self.chapters.get_mut(at) else { break };
            let end = chapter.last_uid();
            let (here, later) = replaced.split_at(replaced.partition_point(|e| Some(e.uid) <= end));
            *chapter = Arc::new(chapter.with(here));
            replaced = later;
        }
        if !added.is_empty() {
            self.append(added);
        }
    }

    fn append(&mut self, mut added: &[Entry]) {
        if let Some(last) = self.chapters.last_mut() {
            let (fill, rest) = added.split_at(added.len().min(last.room()));
            if !fill.is_empty() {
                *last = Arc::new(last.extended(fill));
            }
            added = rest;
        }
        let mut chapters = Chapters::default();
        added.iter().for_each(|entry| chapters.push(*entry));
        self.chapters.extend(chapters.finish());
    }

    fn recount(&mut self) {
        (self.starts, self.len) = starts(self.chapters.iter().map(|chapter| chapter.len()));
    }

    /// What happened between `old` and this listing, by UID. Shared pages cost one comparison, and
    /// so do shared chapters.
    pub fn changes_since(&self, old: &Listing) -> Vec<Difference> {
        difference::between(&old.chapters, &self.chapters)
    }
}
