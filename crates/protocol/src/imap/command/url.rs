//! RESETKEY, GENURLAUTH and URLFETCH. RFC 4467 §7; what URLFETCH may ask for, RFC 5524 §3.

use super::Command;
use crate::imap::grammar::{Bad, Cursor, Read};
use crate::imap::url::INTERNAL;

/// URLs of one command.
const URLS_MAX: usize = 100;

/// A URL, and what is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlFetch {
    /// The URL as it was said.
    pub url: String,
    /// What is wanted; with none the response is that of RFC 4467.
    pub items: Vec<UrlItem>,
}

/// RFC 5524 §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlItem {
    /// The structure of the part.
    BodyPartStructure,
    /// Its octets as they are.
    Body,
    /// Its octets without their transfer encoding.
    Binary,
}

/// RESETKEY, behind the verb: a mailbox and mechanisms may follow.
pub(super) fn reset_key(from: &mut Cursor<'_>) -> Read<Command> {
    while from.eat(b' ') {}
    if from.at_end() {
        return Ok(Command::ResetKey(None));
    }
    let mailbox = from.mailbox()?;
    while from.eat(b' ') && !from.at_end() {
        mechanism(from)?;
    }
    Ok(Command::ResetKey(Some(mailbox)))
}

/// GENURLAUTH, behind the verb.
pub(super) fn generate(from: &mut Cursor<'_>) -> Read<Command> {
    let mut pairs = Vec::new();
    loop {
        let url = from.text()?;
        from.space()?;
        pairs.push((url, mechanism(from)?));
        if !from.eat(b' ') {
            return Ok(Command::GenUrlAuth(pairs));
        }
        few(pairs.len())?;
    }
}

/// URLFETCH, behind the verb.
pub(super) fn fetch(from: &mut Cursor<'_>) -> Read<Command> {
    let mut wanted = Vec::new();
    loop {
        wanted.push(match from.eat(b'(') {
            true => extended(from)?,
            false => UrlFetch { url: from.text()?, items: Vec::new() },
        });
        if !from.eat(b' ') {
            return Ok(Command::UrlFetch(wanted));
        }
        few(wanted.len())?;
    }
}

/// `url-fetch-ext`, behind the parenthesis. RFC 5524 §5.
fn extended(from: &mut Cursor<'_>) -> Read<UrlFetch> {
    let url = from.text()?;
    let mut items = Vec::new();
    while !from.eat(b')') {
        from.space()?;
        let item = match from.keyword()?.as_str() {
            "BODYPARTSTRUCTURE" => UrlItem::BodyPartStructure,
            "BODY" => UrlItem::Body,
            "BINARY" => UrlItem::Binary,
            _ => return Err(Bad("BODYPARTSTRUCTURE, BODY or BINARY")),
        };
        // RFC 5524 §3.1: each once, and not both BODY and BINARY.
        let octets = |item: &UrlItem| *item != UrlItem::BodyPartStructure;
        if items.iter().any(|old| *old == item || (octets(old) && octets(&item))) {
            return Err(Bad("each item once, and BODY or BINARY"));
        }
        items.push(item);
    }
    Ok(UrlFetch { url, items })
}

fn mechanism(from: &mut Cursor<'_>) -> Read<String> {
    let word = from.keyword()?;
    if word == INTERNAL { Ok(word) } else { Err(Bad("the mechanism INTERNAL")) }
}

fn few(urls: usize) -> Read<()> {
    if urls >= URLS_MAX { Err(Bad("fewer URLs")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::command::command;
    use crate::imap::grammar::Charset;

    #[test]
    fn commands_of_the_rfcs_parse() {
        for text in [
            "RESETKEY",
            "RESETKEY INBOX",
            "RESETKEY INBOX INTERNAL",
            "GENURLAUTH \"imap://joe@example.com/INBOX/;uid=20;urlauth=submit+fred\" INTERNAL",
            "URLFETCH \"imap://x\" {1}\r\ny (z) (\"imap://z\" BODYPARTSTRUCTURE BINARY)",
        ] {
            assert!(command(text.as_bytes(), Charset::Ascii).is_ok(), "{text}");
        }
        let many = format!("URLFETCH{}", " x".repeat(URLS_MAX + 1));
        for text in [
            "RESETKEY INBOX XSAMPLE",
            "GENURLAUTH x",
            "GENURLAUTH",
            "URLFETCH",
            "URLFETCH (x BODY BINARY)",
            "URLFETCH (x BODY BODY)",
            "URLFETCH (x FROB)",
            &many,
        ] {
            assert!(command(text.as_bytes(), Charset::Ascii).is_err(), "{text}");
        }
        let text = b"URLFETCH a (b BODYPARTSTRUCTURE BINARY)";
        let Ok(Command::UrlFetch(wanted)) = command(text, Charset::Ascii) else { panic!() };
        assert_eq!(wanted.len(), 2);
        assert_eq!(
            wanted.get(1).map(|one| one.items.clone()),
            Some(vec![UrlItem::BodyPartStructure, UrlItem::Binary])
        );
    }
}
