//! What a search looks through, and how an index cuts it into words. RFC 3501 §6.4.4.
//!
//! A search is for substrings of folded texts (`casemap`). A *run* is a longest stretch of
//! letters, digits and marks; ideographs and kana stand alone, since their languages have no
//! blanks. So a text without anything between its words is in another text exactly when it is in
//! one of its runs, and any text can only be where its runs are. Runs of more than 64 octets are
//! kept as pieces that overlap, so that every stretch of [`FRAGMENT_OCTETS_MAX`] octets is whole in
//! one of them.

use crate::header::decode_words;
use crate::mime::text;
use crate::stored::{StoredAddress, StoredEnvelope, StoredList};
use crate::summary::Summary;
use std::ops::Range;

/// Octets of a longer run that one word holds.
const PIECE_OCTETS: usize = 64;
/// From the start of one piece to the start of the next.
const PIECE_STEP: usize = 32;
/// Octets of a fragment that is surely whole within one piece.
pub const FRAGMENT_OCTETS_MAX: usize = 28;

/// A kind of text in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The subject.
    Subject,
    /// From, as a header has it.
    From,
    /// To.
    To,
    /// Cc.
    Cc,
    /// Bcc.
    Bcc,
    /// The whole header, and the MIME headers of the parts.
    Header,
    /// The text parts, and the headers of messages inside.
    Body,
}

impl Field {
    /// All of them, in the order of their values.
    pub const ALL: [Field; 7] =
        [Field::Subject, Field::From, Field::To, Field::Cc, Field::Bcc, Field::Header, Field::Body];

    /// The text of an envelope; empty for header and body, which are not in it.
    pub fn text(self, envelope: &StoredEnvelope<'_>) -> String {
        let [from, _, _, to, cc, bcc] = envelope.lists;
        match self {
            Field::Subject => decode_words(envelope.subject.unwrap_or_default()),
            Field::From => addresses(from),
            Field::To => addresses(to),
            Field::Cc => addresses(cc),
            Field::Bcc => addresses(bcc),
            Field::Header | Field::Body => String::new(),
        }
    }
}

/// Everything in a message that a search looks through; not folded. Only that is read.
pub fn texts<E>(
    summary: &Summary,
    mut read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
) -> Result<Vec<(Field, String)>, E> {
    let head = read(0..summary.root.body_start)?;
    let envelope = summary.envelope.read();
    let mut out: Vec<(Field, String)> =
        Field::ALL.into_iter().take(5).map(|of| (of, of.text(&envelope))).collect();
    out.push((Field::Header, decode_words(&head)));
    for range in text::mime_headers(&summary.root) {
        out.push((Field::Header, decode_words(&read(range)?)));
    }
    let bodies = text::texts(&summary.root, &mut read)?;
    out.extend(bodies.into_iter().map(|body| (Field::Body, body)));
    Ok(out)
}

/// `Fred <fred@example.net>, Group: b@example.net;`
fn addresses(list: StoredList<'_>) -> String {
    let mut out = String::new();
    for address in list.addresses() {
        match address {
            StoredAddress::Mailbox(name, _, local, host) => {
                let at = if host.is_empty() { "" } else { "@" };
                let (local, host) = (String::from_utf8_lossy(local), String::from_utf8_lossy(host));
                match name {
                    Some(name) => {
                        out.push_str(&decode_words(name));
                        out.push_str(&format!(" <{local}{at}{host}>, "));
                    }
                    None => out.push_str(&format!("{local}{at}{host}, ")),
                }
            }
            StoredAddress::GroupStart(name) => {
                out.push_str(&decode_words(name));
                out.push_str(": ");
            }
            StoredAddress::GroupEnd => out.push(';'),
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Between,
    Alone,
    Run,
}

fn kind(c: char) -> Kind {
    match c {
        _ if c.is_ascii_alphanumeric() => Kind::Run,
        _ if c.is_ascii() => Kind::Between,
        '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => {
            if c.is_alphanumeric() { Kind::Alone } else { Kind::Between }
        }
        // Combining marks are part of what they mark.
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' => Kind::Run,
        _ if c.is_alphanumeric() => Kind::Run,
        _ => Kind::Between,
    }
}

/// A longest stretch of letters, digits and marks.
pub(crate) struct Run<'a> {
    /// Where it starts.
    pub at: usize,
    /// What it is.
    pub text: &'a str,
    /// It is one character of a language without blanks.
    pub alone: bool,
}

/// The runs of a text.
pub(crate) fn runs(folded: &str) -> impl Iterator<Item = Run<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = folded.get(at..)?;
        let mut chars = rest.char_indices();
        let (skip, first) = chars.find(|(_, c)| kind(*c) != Kind::Between)?;
        let alone = kind(first) == Kind::Alone;
        let end = match kind(first) {
            Kind::Alone => skip + first.len_utf8(),
            _ => chars.find(|(_, c)| kind(*c) != Kind::Run).map_or(rest.len(), |(end, _)| end),
        };
        let found = Run { at: at + skip, text: rest.get(skip..end)?, alone };
        at += end;
        Some(found)
    })
}

/// Gives every word of a folded text to `each`, as often as it is there.
pub fn words<'a>(folded: &'a str, mut each: impl FnMut(&'a str)) {
    for Run { text: run, .. } in runs(folded) {
        let mut start = 0;
        while let Some(rest) = run.get(start..) {
            if rest.len() <= PIECE_OCTETS {
                each(rest);
                break;
            }
            each(rest.get(..rest.floor_char_boundary(PIECE_OCTETS)).unwrap_or_default());
            start += rest.floor_char_boundary(PIECE_STEP);
        }
    }
}

/// A part of what is looked for, which must be in one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// At most [`FRAGMENT_OCTETS_MAX`] octets.
    pub text: String,
    /// The word begins with it.
    pub at_start: bool,
    /// The word ends with it.
    pub at_end: bool,
}

/// How a text is looked for in an index of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// All of them must be there; without any, an index knows nothing.
    pub fragments: Vec<Fragment>,
    /// Where they are, the text is. Else that is to be seen.
    pub exact: bool,
}

impl Plan {
    /// The plan for a folded text.
    pub fn new(folded: &str) -> Plan {
        let mut exact = false;
        let mut fragment = |Run { at, text: run, alone }: Run<'_>| {
            let cut = run.floor_char_boundary(FRAGMENT_OCTETS_MAX);
            exact = run.len() == folded.len() && cut == run.len();
            Fragment {
                text: run.get(..cut).unwrap_or_default().to_owned(),
                at_start: alone || at > 0,
                at_end: cut == run.len() && (alone || at + run.len() < folded.len()),
            }
        };
        let fragments = runs(folded).map(&mut fragment).collect();
        Plan { fragments, exact }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        words(text, |word| found.push(word.to_owned()));
        found
    }

    #[test]
    fn texts_are_cut_into_words() {
        assert_eq!(list("A1 b-c, CAFE\u{301}!"), ["A1", "b", "c", "CAFE\u{301}"]);
        assert_eq!(list("x\u{65e5}\u{672c}y\u{3002}"), ["x", "\u{65e5}", "\u{672c}", "y"]);
        assert_eq!(list(" .,"), Vec::<String>::new());
    }

    #[test]
    fn every_stretch_of_a_long_run_is_in_one_piece() {
        for unit in
            ["abcdefghij", "\u{e9}a\u{6f22}".get(..3).unwrap_or("x"), "\u{e4}\u{f6}\u{1e9e}"]
        {
            let run = unit.repeat(40);
            let pieces = list(&run);
            let starts: Vec<usize> = run.char_indices().map(|(at, _)| at).collect();
            for start in starts {
                let end = (start + FRAGMENT_OCTETS_MAX).min(run.len());
                let stretch = &run[start..run.floor_char_boundary(end)];
                assert!(pieces.iter().any(|piece| piece.contains(stretch)), "{stretch}");
            }
            assert!(pieces[0].starts_with(&run[..run.floor_char_boundary(FRAGMENT_OCTETS_MAX)]));
            let tail = run.len() - FRAGMENT_OCTETS_MAX;
            assert!(pieces[pieces.len() - 1].ends_with(&run[run.ceil_char_boundary(tail)..]));
        }
    }

    #[test]
    fn plans_say_where_words_begin_and_end() {
        let fragment =
            |text: &str, at_start, at_end| Fragment { text: text.to_owned(), at_start, at_end };
        let plan = Plan::new("ING THE STO");
        assert!(!plan.exact);
        let wanted = [
            fragment("ING", false, true),
            fragment("THE", true, true),
            fragment("STO", true, false),
        ];
        assert_eq!(plan.fragments, wanted);
        let plan = Plan::new("WORD");
        assert_eq!((plan.fragments, plan.exact), (vec![fragment("WORD", false, false)], true));
        assert_eq!(Plan::new(".WORD").fragments, [fragment("WORD", true, false)]);
        assert!(!Plan::new(".WORD").exact && !Plan::new(&"a".repeat(29)).exact);
        assert_eq!(Plan::new("--").fragments, []);
        assert!(Plan::new("\u{65e5}").exact && !Plan::new("\u{65e5}\u{672c}").exact);
    }
}
