//! A set of messages' numbers, kept as bits: those of one mailbox lie close together.

use crate::limits::MARK_PAGES_MAX;
use mail::ContentId;
use std::collections::HashMap;

/// Numbers in a page.
const PAGE: u64 = 1024;

/// The set. When it is full it starts anew: it is for what can be found out again.
#[derive(Default)]
pub(crate) struct Marks {
    pages: HashMap<u64, [u64; (PAGE / 64) as usize]>,
}

impl Marks {
    /// Whether the number is in the set.
    pub fn contains(&self, id: ContentId) -> bool {
        let (page, word, bit) = place(id);
        let words = self.pages.get(&page);
        words.and_then(|words| words.get(word)).is_some_and(|word| word & bit != 0)
    }

    /// Adds a number.
    pub fn insert(&mut self, id: ContentId) {
        let (page, word, bit) = place(id);
        if self.pages.len() >= MARK_PAGES_MAX && !self.pages.contains_key(&page) {
            self.pages.clear();
        }
        if let Some(word) = self.pages.entry(page).or_default().get_mut(word) {
            *word |= bit;
        }
    }

    /// Takes a number away.
    pub fn remove(&mut self, id: ContentId) {
        let (page, word, bit) = place(id);
        if let Some(word) = self.pages.get_mut(&page).and_then(|words| words.get_mut(word)) {
            *word &= !bit;
        }
    }
}

/// Page, word of the page, and bit of the word.
fn place(id: ContentId) -> (u64, usize, u64) {
    let within = id.0 % PAGE;
    (id.0 / PAGE, (within / 64) as usize, 1 << (within % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_is_a_set() {
        let (mut marks, mut set) = (Marks::default(), BTreeSet::new());
        for n in (0..5000).map(|n: u64| n * 7919 % 4096).chain([u64::MAX, PAGE - 1, PAGE]) {
            match n % 3 {
                0 => {
                    marks.remove(ContentId(n));
                    set.remove(&n);
                }
                _ => {
                    marks.insert(ContentId(n));
                    set.insert(n);
                }
            }
        }
        let all = (0..5000).chain([u64::MAX]);
        assert!(all.clone().any(|n| set.contains(&n)));
        for n in all {
            assert_eq!(marks.contains(ContentId(n)), set.contains(&n), "{n}");
        }
    }

    #[test]
    fn it_starts_anew_when_it_is_full() {
        let mut marks = Marks::default();
        for n in 0..MARK_PAGES_MAX as u64 {
            marks.insert(ContentId(n * PAGE));
        }
        marks.insert(ContentId(1));
        assert!(marks.contains(ContentId(0)) && marks.contains(ContentId(1)));
        marks.insert(ContentId(u64::MAX));
        assert!(!marks.contains(ContentId(0)) && marks.contains(ContentId(u64::MAX)));
    }
}
