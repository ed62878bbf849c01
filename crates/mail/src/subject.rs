//! The base subject of a message: what SORT and THREAD go by. RFC 5256 §2.1.

use crate::header::decode_words;
use std::borrow::Cow;

/// A subject without what replies and forwards put around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseSubject<'a> {
    /// What is left.
    pub text: Cow<'a, str>,
    /// Something that marks a reply or a forward was taken off.
    pub is_reply: bool,
}

/// The base subject of the raw value of a Subject field.
pub fn base_subject(raw: &[u8]) -> BaseSubject<'_> {
    // (1) Decoded, tabs and line breaks as blanks, one blank for several.
    match plain(raw) {
        Some(text) => {
            let (rest, is_reply) = strip(text);
            BaseSubject { text: Cow::Borrowed(rest), is_reply }
        }
        None => {
            let text = decoded(raw);
            let (rest, is_reply) = strip(&text);
            BaseSubject { text: Cow::Owned(rest.to_owned()), is_reply }
        }
    }
}

/// Steps (2) to (6).
fn strip(text: &str) -> (&str, bool) {
    let mut rest = text;
    let mut is_reply = false;
    loop {
        // (2)
        loop {
            let trimmed = rest.trim_end_matches(' ');
            match strip_suffix(trimmed, "(fwd)") {
                Some(shorter) => (rest, is_reply) = (shorter, true),
                None => break rest = trimmed,
            }
        }
        // (3), (4), (5)
        loop {
            if let Some((after, reply)) = leader(rest) {
                (rest, is_reply) = (after, is_reply || reply);
            } else if let Some(after) = inessential_blob(rest) {
                // All in a row at once: none of them stands before a refwd, or `leader` had it.
                rest = after;
                while let Some(after) = inessential_blob(rest) {
                    rest = after;
                }
            } else {
                break;
            }
        }
        // (6)
        let inner = strip_prefix(rest, "[fwd:").and_then(|rest| rest.strip_suffix(']'));
        match inner {
            Some(inner) => (rest, is_reply) = (inner, true),
            None => return (rest, is_reply),
        }
    }
}

/// A subject that step (1) would leave as it is, as most are.
fn plain(raw: &[u8]) -> Option<&str> {
    let mut blank = true;
    for (n, byte) in raw.iter().enumerate() {
        match byte {
            b' ' if blank => return None,
            b'=' if raw.get(n + 1) == Some(&b'?') => return None,
            b' '..=b'~' => blank = *byte == b' ',
            _ => return None,
        }
    }
    if blank && !raw.is_empty() { None } else { std::str::from_utf8(raw).ok() }
}

/// Step (1).
fn decoded(raw: &[u8]) -> String {
    let decoded = decode_words(raw);
    let words = decoded.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty());
    let mut out = String::with_capacity(decoded.len());
    for word in words {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    if start.eq_ignore_ascii_case(prefix) { text.get(prefix.len()..) } else { None }
}

fn strip_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    let end = text.get(at..)?;
    if end.eq_ignore_ascii_case(suffix) { text.get(..at) } else { None }
}

/// `subj-leader = (*subj-blob subj-refwd) / WSP`: what follows it, and whether it was a refwd.
fn leader(text: &str) -> Option<(&str, bool)> {
    if let Some(after) = text.strip_prefix(' ') {
        return Some((after, false));
    }
    let mut rest = text;
    while let Some(after) = blob(rest) {
        rest = after;
    }
    refwd(rest).map(|after| (after, true))
}

/// `subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`
fn refwd(text: &str) -> Option<&str> {
    let after = strip_prefix(text, "re")
        .or_else(|| strip_prefix(text, "fwd"))
        .or_else(|| strip_prefix(text, "fw"))?;
    let after = after.trim_start_matches(' ');
    let after = blob(after).unwrap_or(after);
    after.strip_prefix(':')
}

/// `subj-blob = "[" *BLOBCHAR "]" *WSP`
fn blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let after = inner.get(inner.find(['[', ']'])?..)?.strip_prefix(']')?;
    Some(after.trim_start_matches(' '))
}

/// What follows a blob, unless that is nothing.
fn inessential_blob(text: &str) -> Option<&str> {
    blob(text).filter(|after| !after.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_lose_their_wrapping() {
        for (raw, text, is_reply) in [
            ("Hello", "Hello", false),
            ("Re: Hello", "Hello", true),
            ("RE:  Fwd: [list] Re: Hello  (fwd) (FWD)", "Hello", true),
            ("[list] Hello", "Hello", false),
            ("[list]", "[list]", false),
            ("[a] [b] re: x", "x", true),
            ("Fw [5]: x", "x", true),
            ("[fwd: Re: inner]", "inner", true),
            ("Re: [fwd: a (fwd)]", "a", true),
            ("Regarding", "Regarding", false),
            ("=?utf-8?Q?Re=3A_caf=C3=A9?=", "caf\u{e9}", true),
            ("a\r\n\t b", "a b", false),
            ("", "", false),
            (" ", "", false),
            ("a  b ", "a b", false),
            ("a = ? b", "a = ? b", false),
            ("Re:", "", true),
        ] {
            let base = base_subject(raw.as_bytes());
            assert_eq!((&*base.text, base.is_reply), (text, is_reply), "{raw}");
        }
        for hostile in ["[", "re:", "[a]", "[a] re:", "[fwd:", "(fwd)", "[fwd: x]"] {
            base_subject(hostile.repeat(50_000).as_bytes());
        }
        base_subject(("[fwd:".repeat(50_000) + &"]".repeat(50_000)).as_bytes());
    }
}
