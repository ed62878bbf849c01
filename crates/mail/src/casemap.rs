//! Comparing texts without regard to case: i;unicode-casemap, RFC 5051, which RFC 5255 §4.1 wants
//! of SEARCH, SORT and THREAD.

use icu_normalizer::DecomposingNormalizerBorrowed;

/// The text in title case and fully decomposed: equal for texts that differ only in case.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold_into(text, &mut out);
    out
}

/// The same, appended to `out`. No character of ASCII is joined to what stands beside it, so what
/// lies between them is folded on its own.
pub fn fold_into(text: &str, out: &mut String) {
    let mut rest = text;
    while !rest.is_empty() {
        let (plain, after) = rest.split_at(ascii_octets(rest));
        let start = out.len();
        out.push_str(plain);
        if let Some(pushed) = out.get_mut(start..) {
            pushed.make_ascii_uppercase();
        }
        let other = after.bytes().position(|octet| octet.is_ascii()).unwrap_or(after.len());
        let (foreign, after) = after.split_at(other);
        fold_foreign(foreign, out);
        rest = after;
    }
}

/// Octets of ASCII that a text begins with.
fn ascii_octets(text: &str) -> usize {
    // Many at once are looked at much faster than one after the other.
    let mut at = 0;
    for some in text.as_bytes().chunks(64) {
        if !some.is_ascii() {
            return at + some.iter().take_while(|octet| octet.is_ascii()).count();
        }
        at += some.len();
    }
    at
}

fn fold_foreign(text: &str, out: &mut String) {
    if text.is_empty() {
        return;
    }
    let titled: String = text.chars().map(title).collect();
    let normalizer = const { DecomposingNormalizerBorrowed::new_nfkd() };
    out.push_str(&normalizer.normalize(&titled));
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
        self.folded.is_empty() || self.is_in_folded(&fold(haystack))
    }

    /// The same for a text that is folded already.
    pub fn is_in_folded(&self, haystack: &str) -> bool {
        self.finder.find(haystack.as_bytes()).is_some()
    }
}

/// Looks for a text in one that comes in pieces.
pub struct Seeker<'a> {
    needle: &'a Needle,
    /// Where folding has to wait for what follows.
    open: String,
    /// The end of what was folded: the text may have begun there.
    tail: Vec<u8>,
}

/// Octets without a place to cut at which are folded all the same.
const OPEN_OCTETS_MAX: usize = 1 << 20;

/// A character that no normalization joins to what stands before it.
fn starts(c: char) -> bool {
    c.is_ascii() || matches!(c, '\u{4e00}'..='\u{9fff}')
}

impl<'a> Seeker<'a> {
    /// At the start of a text.
    pub fn new(needle: &'a Needle) -> Seeker<'a> {
        Seeker { needle, open: String::new(), tail: Vec::new() }
    }

    /// The text was found by now. `last`: this one ends here, and another may follow.
    pub fn feed(&mut self, piece: &str, last: bool) -> bool {
        if self.needle.folded.is_empty() {
            return true;
        }
        self.open.push_str(piece);
        let cut = match last || self.open.len() > OPEN_OCTETS_MAX {
            true => self.open.len(),
            false => self.open.char_indices().rfind(|(_, c)| starts(*c)).map_or(0, |(at, _)| at),
        };
        let after = self.open.split_off(cut);
        let folded = fold(&std::mem::replace(&mut self.open, after));
        self.tail.extend_from_slice(folded.as_bytes());
        let found = self.needle.finder.find(&self.tail).is_some();
        let kept = if last { 0 } else { self.needle.folded.len() - 1 };
        self.tail.drain(..self.tail.len().saturating_sub(kept));
        found
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

    #[test]
    fn what_lies_between_ascii_is_folded_as_if_it_were_together() {
        let chars = ['a', 'E', '\u{301}', '\u{323}', '\u{e9}', 'ı', '\u{fb01}', 'ß', '한', ' '];
        let mut seed = 1u64;
        let mut any = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for _ in 0..5_000 {
            let length = any(100);
            let text: String = (0..length).map(|_| chars[any(chars.len())]).collect();
            let titled: String = text.chars().map(title).collect();
            let normalizer = DecomposingNormalizerBorrowed::new_nfkd();
            assert_eq!(fold(&text), normalizer.normalize(&titled), "{text:?}");
        }
    }

    #[test]
    fn a_text_in_pieces_is_searched_as_a_whole() {
        let text = "Ein cafe\u{301}\u{323} am See, \u{6f22}\u{5b57}\u{304b}\u{3099}, stra\u{df}e";
        let parts =
            ["caf\u{e9}\u{323} a", "\u{5b57}\u{304c}", "SEE,", "STRA\u{df}E", "cafe", "x", ""];
        for part in parts {
            let needle = Needle::new(part);
            for cut in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                for again in (cut..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                    let mut seeker = Seeker::new(&needle);
                    let found = [&text[..cut], &text[cut..again], &text[again..]]
                        .into_iter()
                        .enumerate()
                        .fold(false, |found, (n, piece)| seeker.feed(piece, n == 2) || found);
                    assert_eq!(found, needle.is_in(text), "{part} in {cut} and {again}");
                }
            }
        }
        let needle = Needle::new("ab");
        let mut seeker = Seeker::new(&needle);
        assert!(!seeker.feed("a", true) && !seeker.feed("b", true));
    }
}
