//! Comparing texts without regard to case: i;unicode-casemap, RFC 5051, which RFC 5255 §4.1 wants of
//! SEARCH, SORT and THREAD.

use icu_normalizer::DecomposingNormalizerBorrowed;
use std::borrow::Cow;

/// The text in title case and fully decomposed: equal for texts that differ only in case.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    let titled: String = text.chars().map(title).collect();
    let normalizer = const { DecomposingNormalizerBorrowed::new_nfkd() };
    match normalizer.normalize(&titled) {
        Cow::Borrowed(_) => titled,
        Cow::Owned(text) => text,
    }
}

/// The simple title case mapping of a character: one character, or itself.
fn title(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian has capitals, but no title case.
        '\u{10d0}'..='\u{10ff}' => c,
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(one), None) => one,
                _ => c,
            }
        }
    }
}

/// A text to be looked for, folded once.
pub struct Needle {
    folded: String,
    finder: memchr::memmem::Finder<'static>,
}

impl Needle {
    /// Folds the text.
    pub fn new(text: &str) -> Needle {
        let folded = fold(text);
        let finder = memchr::memmem::Finder::new(folded.as_bytes()).into_owned();
        Needle { folded, finder }
    }

    /// The folded text.
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// The text is somewhere in `haystack`, in any case. The empty text is in every text.
    pub fn is_in(&self, haystack: &str) -> bool {
        self.folded.is_empty() || self.finder.find(fold(haystack).as_bytes()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_composition_do_not_matter() {
        // RFC 5051 §2: U+01C4 becomes U+0044 U+007A U+030C.
        assert_eq!(fold("\u{1c4}"), "D\u{7a}\u{30c}");
        assert_eq!(fold("caf\u{e9}"), fold("CAFE\u{301}"));
        assert_eq!(fold("stra\u{df}e"), "STRA\u{df}E");
        assert!(Needle::new("F\u{dc}R").is_in("nichts f\u{fc}r ungut"));
        assert!(Needle::new("").is_in(""));
        assert!(!Needle::new("x").is_in("y"));
    }
}
