//! ESEARCH: a search of several mailboxes. RFC 7377 §4.

use super::Name;
use super::notify::mailboxes;
use super::search::{Search, search};
use crate::imap::grammar::{Bad, Cursor, Read};

/// Source options of one command, and names in all of them.
const SOURCES_MAX: usize = 100;

/// ESEARCH. RFC 7377 §2.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiSearch {
    /// Which mailboxes; at least one source.
    pub sources: Vec<Source>,
    /// What is looked for.
    pub search: Search,
}

/// Which mailboxes. RFC 7377 §2.2, RFC 5465 §6.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "they are the RFC's names")]
pub enum Source {
    Selected,
    Inboxes,
    Personal,
    Subscribed,
    Subtree(Vec<Name>),
    SubtreeOne(Vec<Name>),
    Mailboxes(Vec<Name>),
}

/// ESEARCH, behind the verb.
pub(super) fn multi_search(from: &mut Cursor<'_>) -> Read<MultiSearch> {
    let mut sources = Vec::new();
    let mut probe = *from;
    if probe.eat_word("IN") && probe.eat(b' ') {
        let mut names = 0;
        probe.list(|from| {
            sources.push(source(from, &mut names)?);
            if sources.len() > SOURCES_MAX { Err(Bad("fewer sources")) } else { Ok(()) }
        })?;
        if sources.is_empty() {
            return Err(Bad("which mailboxes"));
        }
        probe.space()?;
        *from = probe;
    } else {
        // RFC 7377 §2.2: what is assumed.
        sources.push(Source::Selected);
    }
    Ok(MultiSearch { sources, search: search(from)? })
}

fn source(from: &mut Cursor<'_>, names: &mut usize) -> Read<Source> {
    Ok(match from.keyword()?.as_str() {
        "SELECTED" => Source::Selected,
        "INBOXES" => Source::Inboxes,
        "PERSONAL" => Source::Personal,
        "SUBSCRIBED" => Source::Subscribed,
        "SUBTREE" => Source::Subtree(mailboxes(from, names)?),
        "SUBTREE-ONE" => Source::SubtreeOne(mailboxes(from, names)?),
        "MAILBOXES" => Source::Mailboxes(mailboxes(from, names)?),
        _ => return Err(Bad("which mailboxes")),
    })
}

#[cfg(test)]
mod tests {
    use crate::imap::command::command;
    use crate::imap::grammar::Charset;

    #[test]
    fn sources_are_read() {
        let reads = |text: &str| command(text.as_bytes(), Charset::Ascii).is_ok();
        for text in [
            "ESEARCH IN (mailboxes \"folder1\" subtree \"folder2\") unseen",
            "ESEARCH IN (mailboxes \"folder1\" subtree-one \"folder2\") subject \"chad\"",
            "esearch in (mailboxes (a \"b c\") personal inboxes subscribed selected) return (count) all",
            "ESEARCH UNSEEN",
            "UID ESEARCH FROM \"frobozz\" 1:100",
            "ESEARCH RETURN (MIN MAX) CHARSET UTF-8 TEXT {3}\r\nfoo",
        ] {
            assert!(reads(text), "{text}");
        }
        for text in [
            "ESEARCH",
            "ESEARCH IN () ALL",
            "ESEARCH IN (selected-delayed) ALL",
            "ESEARCH IN (mailboxes) ALL",
            "ESEARCH IN (personal)",
            "ESEARCH IN (personal (option)) ALL",
            "ESEARCH IN personal ALL",
        ] {
            assert!(!reads(text), "{text}");
        }
        let sources = |n: usize| format!("ESEARCH IN ({}) ALL", vec!["personal"; n].join(" "));
        assert!(reads(&sources(super::SOURCES_MAX)) && !reads(&sources(super::SOURCES_MAX + 1)));
    }
}
