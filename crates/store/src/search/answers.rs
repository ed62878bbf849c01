//! What an index knows of messages: they have a text, they have it not, or that is to be seen.

use mail::ContentId;

/// Messages of one page: those whose numbers differ in the last nine bits only.
const PAGE: u64 = 512;
const WORDS: usize = (PAGE / 64) as usize;

#[derive(Clone)]
struct Page {
    number: u64,
    known: [u64; WORDS],
    yes: [u64; WORDS],
}

/// Answers to one question, by message.
#[derive(Clone, Default)]
pub struct Answers {
    /// Sorted by number.
    pages: Vec<Page>,
}

impl Answers {
    /// Whether the message has the text, where that is known.
    pub fn get(&self, id: ContentId) -> Option<bool> {
        let at = self.pages.binary_search_by_key(&(id.0 / PAGE), |page| page.number).ok()?;
        let page = self.pages.get(at)?;
        let (word, bit) = ((id.0 % PAGE / 64) as usize, id.0 % 64);
        let is = |words: &[u64; WORDS]| words.get(word).is_some_and(|word| word >> bit & 1 == 1);
        is(&page.known).then(|| is(&page.yes))
    }

    /// Notes an answer. Quick when ids ascend.
    pub(crate) fn note(&mut self, id: ContentId, yes: bool) {
        let number = id.0 / PAGE;
        let at = match self.pages.binary_search_by_key(&number, |page| page.number) {
            Ok(at) => at,
            Err(at) => {
                let page = Page { number, known: [0; WORDS], yes: [0; WORDS] };
                self.pages.insert(at, page);
                at
            }
        };
        let Some(page) = self.pages.get_mut(at) else { return };
        let (word, bit) = ((id.0 % PAGE / 64) as usize, 1 << (id.0 % 64));
        if let Some(word) = page.known.get_mut(word) {
            *word |= bit;
        }
        if let (true, Some(word)) = (yes, page.yes.get_mut(word)) {
            *word |= bit;
        }
    }
}
