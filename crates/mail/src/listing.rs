//! What is in a mailbox at one moment: an immutable, sorted list of messages that many sessions share.
//!
//! Copy on write in pages of 128: a new listing shares every page that did not change, so that
//! keeping an old one costs little and [`Listing::changes_since`] skips what is equal by pointer.
//! Invariant: UIDs strictly ascend; `modseq` of the listing is at least that of every entry.

use crate::flags::{FlagBits, KeywordTable};
use crate::id::{ContentId, ModSeq, Uid, UidValidity};
use std::sync::Arc;

/// Entries in a full page.
const PAGE: usize = 128;

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

/// A mailbox's messages at one moment. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Listing {
    pages: Vec<Arc<[Entry]>>,
    /// Index of each page's first entry.
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

/// One difference between two listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The message is gone.
    Expunged(Uid),
    /// The message is new.
    Added(Entry),
    /// Flags or MODSEQ changed; the new state.
    Changed(Entry),
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
        debug_assert!(entries.is_sorted_by(|a, b| a.uid < b.uid));
        let pages = entries.chunks(PAGE).map(Arc::from).collect();
        let mut listing =
            Listing { pages, starts: Vec::new(), len: 0, keywords, modseq, uidvalidity, uidnext };
        listing.recount();
        listing
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
        self.pages.iter().flat_map(|page| page.iter())
    }
    /// The entry at a place, counted from 0.
    pub fn at(&self, index: u32) -> Option<&Entry> {
        let page = self.starts.partition_point(|start| *start <= index).checked_sub(1)?;
        let start = *self.starts.get(page)?;
        self.pages.get(page)?.get((index - start) as usize)
    }
    /// The place of a UID, counted from 0: `Ok` where it is, `Err` where it would be.
    pub fn find(&self, uid: Uid) -> Result<u32, u32> {
        let page = self.pages.partition_point(|page| page.last().is_some_and(|e| e.uid < uid));
        let Some(entries) = self.pages.get(page) else { return Err(self.len) };
        let start = self.starts.get(page).copied().unwrap_or(self.len);
        match entries.binary_search_by(|entry| entry.uid.cmp(&uid)) {
            Ok(n) => Ok(start + n as u32),
            Err(n) => Err(start + n as u32),
        }
    }
    /// The entry of a UID.
    pub fn get(&self, uid: Uid) -> Option<&Entry> {
        self.find(uid).ok().and_then(|index| self.at(index))
    }
    /// The last entry.
    pub fn last(&self) -> Option<&Entry> {
        self.pages.last().and_then(|page| page.last())
    }
    /// The entries at places `from..to`, counted from 0.
    pub fn range(&self, from: u32, to: u32) -> impl Iterator<Item = &Entry> {
        let page = self.starts.partition_point(|start| *start <= from).saturating_sub(1);
        let skip = from - self.starts.get(page).copied().unwrap_or(from);
        let pages = self.pages.get(page..).unwrap_or_default().iter();
        let count = to.saturating_sub(from) as usize;
        pages.flat_map(|page| page.iter()).skip(skip as usize).take(count)
    }

    /// This listing with `changed` entries put in (replaced or, above the last UID, added) and
    /// `expunged` taken out; both sorted by UID. Pages without a change are shared.
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
        for page in &mut self.pages {
            let Some(last) = page.last().map(|e| e.uid) else { continue };
            let here = gone.partition_point(|uid| *uid <= last);
            let (now, later) = gone.split_at(here);
            gone = later;
            if !now.is_empty() {
                let keep = |e: &&Entry| now.binary_search(&e.uid).is_err();
                *page = page.iter().filter(keep).copied().collect();
            }
        }
        self.pages.retain(|page| !page.is_empty());
        self.merge_small();
    }

    /// Joins neighbours that together fit one page, so that scattered expunges leave no dust.
    fn merge_small(&mut self) {
        let mut merged: Vec<Arc<[Entry]>> = Vec::with_capacity(self.pages.len());
        for page in self.pages.drain(..) {
            match merged.last_mut() {
                Some(last) if last.len() + page.len() <= PAGE => {
                    *last = last.iter().chain(page.iter()).copied().collect();
                }
                _ => merged.push(page),
            }
        }
        self.pages = merged;
    }

    fn put_in(&mut self, changed: &[Entry]) {
        let last = self.last().map(|e| e.uid);
        let old = changed.partition_point(|e| last.is_some_and(|last| e.uid <= last));
        let (mut replaced, added) = changed.split_at(old);
        let mut at = 0;
        while let Some(first) = replaced.first() {
            at += self
                .pages
                .get(at..)
                .unwrap_or_default()
                .partition_point(|page| page.last().is_some_and(|e| e.uid < first.uid));
            let Some(page) = self.pages.get_mut(at) else { break };
            let Some(end) = page.last().map(|e| e.uid) else { break };
            let (here, later) = replaced.split_at(replaced.partition_point(|e| e.uid <= end));
            let mut entries = page.to_vec();
            for entry in here {
                if let Ok(n) = entries.binary_search_by(|e| e.uid.cmp(&entry.uid))
                    && let Some(slot) = entries.get_mut(n)
                {
                    *slot = *entry;
                }
            }
            *page = entries.into();
            replaced = later;
        }
        self.append(added);
    }

    fn append(&mut self, mut added: &[Entry]) {
        if let Some(last) = self.pages.last_mut().filter(|page| page.len() < PAGE) {
            let (fill, rest) = added.split_at(added.len().min(PAGE - last.len()));
            if !fill.is_empty() {
                *last = last.iter().chain(fill).copied().collect();
            }
            added = rest;
        }
        self.pages.extend(added.chunks(PAGE).map(Arc::<[Entry]>::from));
    }

    fn recount(&mut self) {
        self.starts.clear();
        self.len = 0;
        for page in &self.pages {
            self.starts.push(self.len);
            self.len += page.len() as u32;
        }
    }

    /// What happened between `old` and this listing, by UID. Shared pages cost one comparison.
    pub fn changes_since(&self, old: &Listing) -> Vec<Difference> {
        let mut out = Vec::new();
        let (mut a, mut b) = (Cursor::new(&old.pages), Cursor::new(&self.pages));
        loop {
            if a.skip_shared(&mut b) {
                continue;
            }
            match (a.peek(), b.peek()) {
                (None, None) => return out,
                (Some(x), Some(y)) if x.uid == y.uid => {
                    if x != y {
                        out.push(Difference::Changed(*y));
                    }
                    a.step();
                    b.step();
                }
                (Some(x), Some(y)) if x.uid < y.uid => {
                    out.push(Difference::Expunged(x.uid));
                    a.step();
                }
                (Some(x), None) => {
                    out.push(Difference::Expunged(x.uid));
                    a.step();
                }
                (_, Some(y)) => {
                    out.push(Difference::Added(*y));
                    b.step();
                }
            }
        }
    }
}

/// A place in the pages of a listing.
struct Cursor<'a> {
    pages: &'a [Arc<[Entry]>],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(pages: &'a [Arc<[Entry]>]) -> Cursor<'a> {
        Cursor { pages, at: 0 }
    }
    fn peek(&self) -> Option<&'a Entry> {
        self.pages.first().and_then(|page| page.get(self.at))
    }
    fn step(&mut self) {
        self.at += 1;
        if self.pages.first().is_some_and(|page| self.at >= page.len()) {
            self.next_page();
        }
    }
    fn next_page(&mut self) {
        self.pages = self.pages.get(1..).unwrap_or_default();
        self.at = 0;
    }
    /// Both stand at the start of the very same page: pass over it.
    fn skip_shared(&mut self, other: &mut Cursor<'a>) -> bool {
        let (Some(a), Some(b)) = (self.pages.first(), other.pages.first()) else { return false };
        let shared = self.at == 0 && other.at == 0 && Arc::ptr_eq(a, b);
        if shared {
            self.next_page();
            other.next_page();
        }
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn entry(uid: u32, modseq: u64) -> Entry {
        Entry {
            uid: Uid::new(uid).unwrap(),
            size: 10,
            flags: FlagBits::default(),
            modseq: ModSeq(modseq),
            date: 0,
            saved: 0,
            content: ContentId(u64::from(uid)),
        }
    }

    fn listing(uids: impl Iterator<Item = u32>) -> Listing {
        let entries: Vec<_> = uids.map(|uid| entry(uid, 1)).collect();
        let validity = UidValidity(NonZeroU32::MIN);
        Listing::new(&entries, Arc::default(), ModSeq(1), validity, Some(Uid::FIRST))
    }

    #[test]
    fn finds_by_place_and_by_uid() {
        let list = listing((1..=1000).map(|n| n * 2));
        assert_eq!(list.len(), 1000);
        for index in 0..1000 {
            let uid = list.at(index).unwrap().uid;
            assert_eq!(uid.get(), (index + 1) * 2);
            assert_eq!(list.find(uid), Ok(index));
        }
        assert_eq!(list.find(Uid::new(3).unwrap()), Err(1));
        assert_eq!(list.find(Uid::MAX), Err(1000));
        assert!(list.at(1000).is_none());
        let some: Vec<u32> = list.range(127, 130).map(|e| e.uid.get()).collect();
        assert_eq!(some, [256, 258, 260]);
    }

    #[test]
    fn differences_rebuild_the_new_listing() {
        let old = listing(1..=600);
        let gone: Vec<Uid> = (1..=600).filter(|n| n % 7 == 0).filter_map(Uid::new).collect();
        let changed: Vec<Entry> = [3, 130, 400, 601, 602].map(|uid| entry(uid, 9)).to_vec();
        let new = old.apply(&changed, &gone);
        let differences = new.changes_since(&old);
        assert_eq!(differences.len(), gone.len() + 5);
        let mut have: Vec<Entry> = old.iter().copied().collect();
        for difference in differences {
            match difference {
                Difference::Expunged(uid) => have.retain(|e| e.uid != uid),
                Difference::Added(e) => have.push(e),
                Difference::Changed(e) => {
                    let slot = have.iter_mut().find(|x| x.uid == e.uid).unwrap();
                    *slot = e;
                }
            }
        }
        assert_eq!(have, new.iter().copied().collect::<Vec<_>>());
        assert_eq!(new.changes_since(&new), []);
    }
}
