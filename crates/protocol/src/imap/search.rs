//! Search keys. RFC 3501 §6.4.4, MODSEQ of RFC 7162 §3.1.5, RETURN of RFC 4731.

use super::SEARCH_DEPTH_MAX;
use super::grammar::{Bad, Cursor, Read, SequenceSet};
use mail::{Flag, Keyword};

/// A search key.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// All of these.
    And(Vec<Key>),
    /// One of these two.
    Or(Box<Key>, Box<Key>),
    /// Not this.
    Not(Box<Key>),
    /// Everything.
    All,
    /// With that flag.
    Flag(Flag),
    /// `\Recent`
    Recent,
    /// Sequence numbers.
    Sequence(SequenceSet),
    /// UIDs.
    Uid(SequenceSet),
    /// INTERNALDATE from (inclusive) to (exclusive), seconds since 1970.
    Internal(i64, i64),
    /// Date field from (inclusive) to (exclusive).
    Sent(i64, i64),
    /// More octets than that.
    Larger(u64),
    /// Fewer octets than that.
    Smaller(u64),
    /// A field of that name with that text in it.
    Header(String, String),
    /// Text in the body.
    Body(String),
    /// Text in header or body.
    Text(String),
    /// MODSEQ at least that.
    ModSeq(u64),
}

/// A SEARCH command.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// The command's tag, for ESEARCH.
    pub tag: String,
    /// RETURN options; `None` for a plain SEARCH.
    pub returns: Option<Returns>,
    /// The charset is one that we know.
    pub charset_known: bool,
    /// What to find.
    pub key: Key,
}

/// RETURN (…). RFC 4731 §3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returns {
    /// MIN
    pub min: bool,
    /// MAX
    pub max: bool,
    /// ALL
    pub all: bool,
    /// COUNT
    pub count: bool,
}

const DAY: i64 = 86_400;

/// What follows `SEARCH `.
pub fn search(from: &mut Cursor<'_>) -> Read<Search> {
    let mut probe = *from;
    let mut returns = None;
    if probe.keyword().is_ok_and(|word| word == "RETURN") {
        probe.space()?;
        returns = Some(return_options(&mut probe)?);
        probe.space()?;
        *from = probe;
    }
    let mut charset_known = true;
    let mut probe = *from;
    if probe.keyword().is_ok_and(|word| word == "CHARSET") {
        probe.space()?;
        let charset = probe.text()?.to_ascii_uppercase();
        charset_known = matches!(charset.as_str(), "UTF-8" | "US-ASCII" | "UTF8" | "ASCII");
        probe.space()?;
        *from = probe;
    }
    let key = keys(from, 0)?;
    Ok(Search { tag: String::new(), returns, charset_known, key })
}

fn return_options(from: &mut Cursor<'_>) -> Read<Returns> {
    from.expect(b'(', "RETURN options")?;
    let mut returns = Returns::default();
    while !from.eat(b')') {
        match from.keyword()?.as_str() {
            "MIN" => returns.min = true,
            "MAX" => returns.max = true,
            "ALL" => returns.all = true,
            "COUNT" => returns.count = true,
            _ => return Err(Bad("MIN, MAX, ALL or COUNT")),
        }
        if from.peek() != Some(b')') {
            from.space()?;
        }
    }
    if returns == Returns::default() {
        returns.all = true;
    }
    Ok(returns)
}

/// Keys up to the end or a closing parenthesis.
fn keys(from: &mut Cursor<'_>, depth: usize) -> Read<Key> {
    let mut all = vec![key(from, depth)?];
    while !from.at_end() && from.peek() != Some(b')') {
        from.space()?;
        if from.at_end() {
            break;
        }
        all.push(key(from, depth)?);
    }
    if all.len() == 1 { all.pop().ok_or(Bad("a search key")) } else { Ok(Key::And(all)) }
}

fn key(from: &mut Cursor<'_>, depth: usize) -> Read<Key> {
    if depth > SEARCH_DEPTH_MAX {
        return Err(Bad("a search that is not nested so deep"));
    }
    if from.eat(b'(') {
        let inner = keys(from, depth + 1)?;
        from.expect(b')', "a closing parenthesis")?;
        return Ok(inner);
    }
    if from.peek().is_some_and(|b| b.is_ascii_digit() || b == b'*') {
        return from.sequence_set().map(Key::Sequence);
    }
    let word = from.keyword()?;
    if let Some(key) = simple(&word) {
        return Ok(key);
    }
    from.space()?;
    Ok(match word.as_str() {
        "NOT" => Key::Not(Box::new(key(from, depth + 1)?)),
        "OR" => {
            let first = key(from, depth + 1)?;
            from.space()?;
            Key::Or(Box::new(first), Box::new(key(from, depth + 1)?))
        }
        "UID" => Key::Uid(from.sequence_set()?),
        "KEYWORD" => Key::Flag(keyword(from)?),
        "UNKEYWORD" => Key::Not(Box::new(Key::Flag(keyword(from)?))),
        "BEFORE" => Key::Internal(i64::MIN, from.date()?),
        "ON" => on(from.date()?, Key::Internal),
        "SINCE" => Key::Internal(from.date()?, i64::MAX),
        "SENTBEFORE" => Key::Sent(i64::MIN, from.date()?),
        "SENTON" => on(from.date()?, Key::Sent),
        "SENTSINCE" => Key::Sent(from.date()?, i64::MAX),
        "LARGER" => Key::Larger(from.number()?),
        "SMALLER" => Key::Smaller(from.number()?),
        "HEADER" => {
            let name = from.text()?;
            from.space()?;
            Key::Header(name, from.text()?)
        }
        "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => Key::Header(word, from.text()?),
        "BODY" => Key::Body(from.text()?),
        "TEXT" => Key::Text(from.text()?),
        "MODSEQ" => {
            if from.peek() == Some(b'"') {
                from.string()?;
                from.space()?;
                from.keyword()?;
                from.space()?;
            }
            Key::ModSeq(from.number()?)
        }
        _ => return Err(Bad("a search key")),
    })
}

fn on(day: i64, key: impl Fn(i64, i64) -> Key) -> Key {
    key(day, day + DAY)
}

fn keyword(from: &mut Cursor<'_>) -> Read<Flag> {
    let name = String::from_utf8_lossy(from.atom()?).into_owned();
    Keyword::new(&name).map(Flag::Keyword).ok_or(Bad("a keyword"))
}

fn simple(word: &str) -> Option<Key> {
    let flag = |flag| Key::Flag(flag);
    let not = |flag| Key::Not(Box::new(Key::Flag(flag)));
    Some(match word {
        "ALL" => Key::All,
        "ANSWERED" => flag(Flag::Answered),
        "DELETED" => flag(Flag::Deleted),
        "DRAFT" => flag(Flag::Draft),
        "FLAGGED" => flag(Flag::Flagged),
        "SEEN" => flag(Flag::Seen),
        "UNANSWERED" => not(Flag::Answered),
        "UNDELETED" => not(Flag::Deleted),
        "UNDRAFT" => not(Flag::Draft),
        "UNFLAGGED" => not(Flag::Flagged),
        "UNSEEN" => not(Flag::Seen),
        "RECENT" => Key::Recent,
        "OLD" => Key::Not(Box::new(Key::Recent)),
        "NEW" => Key::And(vec![Key::Recent, not(Flag::Seen)]),
        _ => return None,
    })
}
