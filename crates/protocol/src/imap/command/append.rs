//! APPEND and REPLACE, read piece by piece, since messages come as literals in their midst and are
//! never whole in memory. RFC 3501 §6.3.11; several messages, RFC 3502; CATENATE, RFC 4469; UTF8,
//! RFC 9755 §4; REPLACE, RFC 8508; ANNOTATION, RFC 5257 §4.7.

use super::{Name, annotate};
use crate::imap::grammar::{Bad, Charset, Cursor, Read, SequenceSet};
use mail::{Annotation, Flag};

/// What stood between two literals.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// The command begins.
    Target {
        /// Where messages go.
        mailbox: Name,
        /// The message that REPLACE takes out, and whether its number is a UID.
        replaces: Option<(bool, SequenceSet)>,
    },
    /// A message begins.
    Message {
        /// Its flags.
        flags: Vec<Flag>,
        /// Its INTERNALDATE.
        date: Option<i64>,
        /// Its annotations. RFC 5257 §4.7.
        annotations: Vec<Annotation>,
    },
    /// A part of the message: what this URL names.
    Url(String),
    /// A part of the message, or all of it: the literal that follows.
    Text,
}

/// What ends a text that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// A literal follows.
    Literal,
    /// The command ends.
    Line,
}

/// Where in the command we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the mailbox name; `Some` for REPLACE, with whether UID stood before it.
    Start(Option<bool>),
    /// Between messages, and whether there was one already.
    Between(bool),
    /// In the list of CATENATE, and whether there was a part already.
    Parts(bool),
    /// Before the parenthesis that closes UTF8.
    Utf8,
}

/// Reads a command piece by piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    place: Place,
    replaces: bool,
}

impl Reader {
    /// Behind `APPEND `.
    pub fn append() -> Reader {
        Reader { place: Place::Start(None), replaces: false }
    }

    /// Behind `REPLACE `, or `UID REPLACE `.
    pub fn replace(uid: bool) -> Reader {
        Reader { place: Place::Start(Some(uid)), replaces: true }
    }

    /// Reads a text that `ends` so; `None` when the literal is a name or a URL, not a message.
    pub fn read(
        &self,
        text: &[u8],
        ends: Ends,
        charset: Charset,
    ) -> Read<Option<(Vec<Piece>, Reader)>> {
        let mut from = Cursor::with_charset(text, charset);
        let mut pieces = Vec::new();
        let mut place = self.place;
        loop {
            let read = match place {
                Place::Start(replaces) => start(&mut from, replaces, &mut pieces)?,
                Place::Between(true) if from.at_end() && ends == Ends::Line => {
                    return Ok(Some((pieces, Reader { place, ..*self })));
                }
                Place::Between(true) if self.replaces => return Err(Bad("the end of the line")),
                Place::Between(_) => message(&mut from, &mut pieces)?,
                Place::Parts(some) => part(&mut from, some, &mut pieces)?,
                Place::Utf8 => {
                    from.expect(b')', "a closing parenthesis")?;
                    Next::Text(Place::Between(true))
                }
            };
            match read {
                Next::Text(next) => place = next,
                _ if ends == Ends::Line => return Err(Bad("a literal")),
                Next::Message(place) => {
                    pieces.push(Piece::Text);
                    return Ok(Some((pieces, Reader { place, ..*self })));
                }
                Next::Literal => return Ok(None),
            }
        }
    }
}

/// What follows.
enum Next {
    /// More text, from that place.
    Text(Place),
    /// The octets of a message as a literal, then that place.
    Message(Place),
    /// A literal that belongs to the text.
    Literal,
}

fn start(from: &mut Cursor<'_>, replaces: Option<bool>, pieces: &mut Vec<Piece>) -> Read<Next> {
    let mut old = None;
    if let Some(uid) = replaces {
        // RFC 8508 §5: one number, no set.
        let number = from.seq_number()?;
        old = Some((uid, SequenceSet::Ranges(vec![(number, number)])));
        from.space()?;
    }
    if from.at_end() {
        return Ok(Next::Literal);
    }
    pieces.push(Piece::Target { mailbox: from.mailbox()?, replaces: old });
    Ok(Next::Text(Place::Between(false)))
}

fn message(from: &mut Cursor<'_>, pieces: &mut Vec<Piece>) -> Read<Next> {
    from.space()?;
    let mut flags = Vec::new();
    if from.peek() == Some(b'(') {
        flags = from.flag_list()?;
        from.space()?;
    }
    let mut date = None;
    if from.peek() == Some(b'"') {
        date = Some(from.date_time()?);
        from.space()?;
    }
    let mut annotations = Vec::new();
    while from.eat_word("ANNOTATION") {
        from.space()?;
        match annotate::annotations(from) {
            Ok(more) => annotations.extend(more),
            // A literal follows: it is a name or a value.
            Err(_) if from.at_end() => return Ok(Next::Literal),
            Err(bad) => return Err(bad),
        }
        from.space()?;
    }
    pieces.push(Piece::Message { flags, date, annotations });
    if from.eat_word("CATENATE") {
        from.space()?;
        from.expect(b'(', "parts")?;
        return Ok(Next::Text(Place::Parts(false)));
    }
    let utf8 = from.eat_word("UTF8");
    if utf8 {
        from.space()?;
        from.expect(b'(', "a literal between parentheses")?;
    }
    from.eat(b'~');
    from.end().map_err(|_| Bad("a literal"))?;
    Ok(Next::Message(if utf8 { Place::Utf8 } else { Place::Between(true) }))
}

fn part(from: &mut Cursor<'_>, some: bool, pieces: &mut Vec<Piece>) -> Read<Next> {
    if some && from.eat(b')') {
        return Ok(Next::Text(Place::Between(true)));
    }
    if some {
        from.space()?;
    }
    if from.eat_word("URL") {
        from.space()?;
        if from.at_end() {
            return Ok(Next::Literal);
        }
        pieces.push(Piece::Url(from.text()?));
        return Ok(Next::Text(Place::Parts(true)));
    }
    if !from.eat_word("TEXT") {
        return Err(Bad("URL or TEXT"));
    }
    from.space()?;
    from.eat(b'~');
    from.end().map_err(|_| Bad("a literal"))?;
    Ok(Next::Message(Place::Parts(true)))
}
