//! What differs between two listings of one mailbox.

use super::Entry;
use super::chapter::{Chapter, Page};
use crate::id::Uid;
use std::sync::Arc;

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

/// The differences by UID. Chapters and pages that both share cost one comparison.
pub(super) fn between(old: &[Arc<Chapter>], new: &[Arc<Chapter>]) -> Vec<Difference> {
    let mut out = Vec::new();
    let (mut a, mut b) = (Cursor::new(old), Cursor::new(new));
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

/// A place in the chapters of a listing: in the first of `chapters`, an entry of a page.
struct Cursor<'a> {
    chapters: &'a [Arc<Chapter>],
    page: usize,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(chapters: &'a [Arc<Chapter>]) -> Cursor<'a> {
        Cursor { chapters, page: 0, at: 0 }
    }
    fn page(&self) -> Option<&'a Page> {
        self.chapters.first().and_then(|chapter| chapter.pages().get(self.page))
    }
    fn peek(&self) -> Option<&'a Entry> {
        self.page().and_then(|page| page.get(self.at))
    }
    fn step(&mut self) {
        self.at += 1;
        if self.page().is_some_and(|page| self.at >= page.len()) {
            self.next_page();
        }
    }
    fn next_page(&mut self) {
        (self.page, self.at) = (self.page + 1, 0);
        if self.page().is_none() {
            self.next_chapter();
        }
    }
    fn next_chapter(&mut self) {
        *self = Cursor::new(self.chapters.get(1..).unwrap_or_default());
    }
    /// Both stand at the start of the very same chapter or page: pass over it.
    fn skip_shared(&mut self, other: &mut Cursor<'a>) -> bool {
        if self.at != 0 || other.at != 0 {
            return false;
        }
        if self.page == 0
            && other.page == 0
            && let (Some(a), Some(b)) = (self.chapters.first(), other.chapters.first())
            && Arc::ptr_eq(a, b)
        {
            self.next_chapter();
            other.next_chapter();
            return true;
        }
        let (Some(a), Some(b)) = (self.page(), other.page()) else { return false };
        let shared = a.is(b);
        if shared {
            self.next_page();
            other.next_page();
        }
        shared
    }
}
