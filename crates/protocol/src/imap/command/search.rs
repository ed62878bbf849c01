//! SEARCH, SORT and THREAD. RFC 3501 §6.4.4, RFC 5256; MODSEQ of RFC 7162 §3.1.5, WITHIN of
//! RFC 5032, FUZZY of RFC 6203, ANNOTATION of RFC 5257. RETURN is in `returns.rs`.

use super::annotate;
use super::fetch::Item;
use super::returns::{Options, Returns, returns};
use crate::imap::SEARCH_DEPTH_MAX;
use crate::imap::grammar::{Bad, Charset, Cursor, Number, Read, SequenceSet};
use mail::header::encoded_word::decode_charset;
use mail::{Flag, Keyword, Scope};

/// Keys of one command, all levels together.
const KEYS_MAX: usize = 5000;
/// Those of them that bodies or annotations have to be read for.
const BODY_KEYS_MAX: usize = 100;
/// Those of them that are `$`, which may be all messages of a mailbox each.
const SAVED_KEYS_MAX: usize = 4;

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
    /// When it came into the mailbox, from (inclusive) to (exclusive). RFC 8514 §4.3.
    Saved(i64, i64),
    /// Date field from (inclusive) to (exclusive).
    Sent(i64, i64),
    /// More octets than that.
    Larger(u64),
    /// Fewer octets than that.
    Smaller(u64),
    /// SUBJECT, FROM, TO, CC or BCC with that text in it.
    Envelope(&'static str, String),
    /// A field of that name with that text in it.
    Header(String, String),
    /// Text in the body.
    Body(String),
    /// Text in header or body.
    Text(String),
    /// What the filter of that name finds. RFC 5466 §3.1.
    Filter(String),
    /// MODSEQ at least that.
    ModSeq(u64),
    /// INTERNALDATE at least that many seconds ago. RFC 5032.
    Older(u64),
    /// INTERNALDATE at most that many seconds ago. RFC 5032.
    Younger(u64),
    /// ANNOTATION: entries that a pattern names, whose values, the text in them. RFC 5257 §4.8.
    /// Without a text: that no such entry has a value.
    Annotation(String, Option<Scope>, Option<String>),
    /// EMAILID. RFC 8474 §5.
    EmailId(String),
    /// THREADID. RFC 8474 §5.
    ThreadId(String),
}

impl Key {
    /// Message numbers are among it; `$` is none.
    pub fn has_numbers(&self) -> bool {
        match self {
            Key::Sequence(set) => *set != SequenceSet::Saved,
            Key::And(keys) => keys.iter().any(Key::has_numbers),
            Key::Or(a, b) => a.has_numbers() || b.has_numbers(),
            Key::Not(key) => key.has_numbers(),
            _ => false,
        }
    }

    /// No more of it than one command may have: filters may have brought too many keys.
    pub fn fits_command(&self) -> bool {
        let (mut all, mut bodies, mut saved, mut open) = (0, 0, 0, vec![self]);
        while let Some(key) = open.pop() {
            all += 1;
            match key {
                Key::Body(_) | Key::Text(_) | Key::Annotation(..) => bodies += 1,
                Key::Sequence(SequenceSet::Saved) | Key::Uid(SequenceSet::Saved) => saved += 1,
                Key::And(keys) => open.extend(keys),
                Key::Or(a, b) => open.extend([&**a, &**b]),
                Key::Not(key) => open.push(key),
                _ => {}
            }
        }
        all <= KEYS_MAX && bodies <= BODY_KEYS_MAX && saved <= SAVED_KEYS_MAX
    }

    /// A filter is among it.
    pub fn has_filter(&self) -> bool {
        match self {
            Key::Filter(_) => true,
            Key::And(keys) => keys.iter().any(Key::has_filter),
            Key::Or(a, b) => a.has_filter() || b.has_filter(),
            Key::Not(key) => key.has_filter(),
            _ => false,
        }
    }
}

/// A SEARCH command.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// The command's tag, for ESEARCH.
    pub tag: String,
    /// RETURN options; `None` for a plain SEARCH.
    pub returns: Option<Returns>,
    /// What UPDATE wants to have of new messages. RFC 5465 §7.
    pub update_items: Vec<Item>,
    /// The charset that the command names.
    pub charset: Option<Vec<u8>>,
    /// What to find.
    pub key: Key,
    /// The keys among it that FUZZY stands before. RFC 6203 §3.
    pub fuzzy: Vec<Key>,
}

impl Search {
    /// The charset is one that we know.
    pub fn is_charset_known(&self) -> bool {
        self.charset.as_ref().is_none_or(|name| decode_charset(name, b"").is_some())
    }

    /// Its charset is UTF-8, or none is named.
    pub fn is_utf8(&self) -> bool {
        self.charset.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(b"UTF-8"))
    }

    /// Filters are kept in UTF-8, so that a search with one is too. RFC 5466 §3.1.
    pub fn fits_filters(&self) -> bool {
        let is_ascii = |name: &Vec<u8>| name.eq_ignore_ascii_case(b"US-ASCII");
        self.is_utf8() || self.charset.as_ref().is_some_and(is_ascii) || !self.key.has_filter()
    }
}

/// A SORT command. RFC 5256 §3.
#[derive(Clone, Debug, PartialEq)]
pub struct Sort {
    /// What to sort by, and whether the order is reversed.
    pub criteria: Vec<(Criterion, bool)>,
    /// Which messages.
    pub search: Search,
}

/// What messages are sorted by. RFC 5256 §3, RFC 5957 §3, RFC 5257 §4.9, RFC 6203 §6.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the RFC's names")]
pub enum Criterion {
    Arrival,
    Cc,
    Date,
    DisplayFrom,
    DisplayTo,
    From,
    Relevancy,
    Size,
    Subject,
    To,
    /// The value of an entry.
    Annotation(String, Scope),
}

/// A THREAD command. RFC 5256 §3.
#[derive(Clone, Debug, PartialEq)]
pub struct Thread {
    /// How threads are made.
    pub algorithm: Algorithm,
    /// Which messages.
    pub search: Search,
}

/// How threads are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the RFC's names")]
pub enum Algorithm {
    OrderedSubject,
    References,
    Refs,
}

const DAY: i64 = 86_400;

/// What follows `SEARCH `.
pub(super) fn search(from: &mut Cursor<'_>) -> Read<Search> {
    let returns = returns(from)?;
    let mut charset = None;
    let mut probe = *from;
    if probe.eat_word("CHARSET") && probe.space().is_ok() {
        charset = Some(probe.astring()?);
        probe.space()?;
        *from = probe;
    }
    finish(from, returns, charset)
}

/// The criteria of a filter as it is kept, in UTF-8; `None` when they are none.
/// RFC 5466 §3.1, §3.2.
pub fn filter(text: &[u8]) -> Option<Key> {
    let mut from = Cursor::with_charset(text, Charset::Utf8);
    let mut keys = Keys::new(None);
    let key = keys.keys(&mut from, 0).ok()?;
    from.at_end().then_some(key)
}

/// What follows `SORT `.
pub(super) fn sort(from: &mut Cursor<'_>) -> Read<Sort> {
    let returns = returns(from)?;
    let mut criteria = Vec::new();
    from.list(|from| {
        let mut word = from.keyword()?;
        let reverse = word == "REVERSE";
        if reverse {
            from.space()?;
            word = from.keyword()?;
        }
        let criterion = criterion(&word, from)?;
        // Once more it has nothing to say: messages are equal by it.
        if criteria.iter().all(|(other, _)| *other != criterion) {
            criteria.push((criterion, reverse));
        }
        if criteria.len() > 32 { Err(Bad("fewer criteria")) } else { Ok(()) }
    })?;
    if criteria.is_empty() {
        return Err(Bad("a sort criterion"));
    }
    from.space()?;
    let charset = from.astring()?;
    from.space()?;
    let search = finish(from, returns, Some(charset))?;
    let by_relevancy = criteria.iter().any(|(criterion, _)| *criterion == Criterion::Relevancy);
    if by_relevancy && search.fuzzy.is_empty() {
        return Err(Bad("FUZZY beside RELEVANCY"));
    }
    Ok(Sort { criteria, search })
}

fn criterion(word: &str, from: &mut Cursor<'_>) -> Read<Criterion> {
    Ok(match word {
        "ANNOTATION" => {
            from.space()?;
            let (entry, scope) = annotate::sorted(from)?;
            Criterion::Annotation(entry, scope)
        }
        "ARRIVAL" => Criterion::Arrival,
        "CC" => Criterion::Cc,
        "DATE" => Criterion::Date,
        "DISPLAYFROM" => Criterion::DisplayFrom,
        "DISPLAYTO" => Criterion::DisplayTo,
        "FROM" => Criterion::From,
        "RELEVANCY" => Criterion::Relevancy,
        "SIZE" => Criterion::Size,
        "SUBJECT" => Criterion::Subject,
        "TO" => Criterion::To,
        _ => return Err(Bad("a sort criterion")),
    })
}

/// What follows `THREAD `.
pub(super) fn thread(from: &mut Cursor<'_>) -> Read<Thread> {
    let algorithm = match from.keyword()?.as_str() {
        "ORDEREDSUBJECT" => Algorithm::OrderedSubject,
        "REFERENCES" => Algorithm::References,
        "REFS" => Algorithm::Refs,
        _ => return Err(Bad("ORDEREDSUBJECT, REFERENCES or REFS")),
    };
    from.space()?;
    let charset = from.astring()?;
    from.space()?;
    Ok(Thread { algorithm, search: finish(from, (None, Vec::new()), Some(charset))? })
}

fn finish(
    from: &mut Cursor<'_>,
    (returns, update_items): Options,
    charset: Option<Vec<u8>>,
) -> Read<Search> {
    let (tag, key, fuzzy) = (String::new(), Key::All, Vec::new());
    let mut search = Search { tag, returns, update_items, charset, key, fuzzy };
    let charset = search.charset.clone().filter(|_| search.is_charset_known());
    let mut keys = Keys::new(charset);
    search.key = keys.keys(from, 0)?;
    search.fuzzy = keys.fuzzy;
    // RFC 6203 §4: it must not be asked for otherwise.
    match returns.is_some_and(|returns| returns.relevancy) && search.fuzzy.is_empty() {
        true => Err(Bad("FUZZY beside RELEVANCY")),
        false => Ok(search),
    }
}

/// Reads search keys; the depth and the number of keys are limited.
struct Keys {
    charset: Option<Vec<u8>>,
    left: usize,
    bodies_left: usize,
    saved_left: usize,
    fuzzy: Vec<Key>,
}

impl Keys {
    fn new(charset: Option<Vec<u8>>) -> Keys {
        let (bodies_left, saved_left) = (BODY_KEYS_MAX, SAVED_KEYS_MAX);
        Keys { charset, left: KEYS_MAX, bodies_left, saved_left, fuzzy: Vec::new() }
    }

    fn body(&mut self) -> Read<()> {
        self.bodies_left = self.bodies_left.checked_sub(1).ok_or(Bad("fewer texts of bodies"))?;
        Ok(())
    }

    fn set(&mut self, from: &mut Cursor<'_>) -> Read<SequenceSet> {
        let set = from.sequence_set()?;
        if set == SequenceSet::Saved {
            self.saved_left = self.saved_left.checked_sub(1).ok_or(Bad("fewer $"))?;
        }
        Ok(set)
    }

    /// A text in the command's charset.
    fn text(&self, from: &mut Cursor<'_>) -> Read<String> {
        self.decoded(from.astring()?)
    }

    fn decoded(&self, octets: Vec<u8>) -> Read<String> {
        match &self.charset {
            Some(charset) if !charset.eq_ignore_ascii_case(b"US-ASCII") => {
                decode_charset(charset, &octets).ok_or(Bad("a known charset"))
            }
            _ => String::from_utf8(octets).map_err(|_| Bad("UTF-8")),
        }
    }

    /// Keys up to the end or a closing parenthesis.
    fn keys(&mut self, from: &mut Cursor<'_>, depth: usize) -> Read<Key> {
        let mut all = vec![self.key(from, depth)?];
        while !from.at_end() && from.peek() != Some(b')') {
            from.space()?;
            if from.at_end() {
                break;
            }
            all.push(self.key(from, depth)?);
        }
        if all.len() == 1 { all.pop().ok_or(Bad("a search key")) } else { Ok(Key::And(all)) }
    }

    fn key(&mut self, from: &mut Cursor<'_>, depth: usize) -> Read<Key> {
        if depth > SEARCH_DEPTH_MAX {
            return Err(Bad("a search that is not nested so deep"));
        }
        self.left = self.left.checked_sub(1).ok_or(Bad("fewer search keys"))?;
        if from.eat(b'(') {
            let inner = self.keys(from, depth + 1)?;
            from.expect(b')', "a closing parenthesis")?;
            return Ok(inner);
        }
        if from.peek().is_some_and(|b| b.is_ascii_digit() || b == b'*' || b == b'$') {
            return self.set(from).map(Key::Sequence);
        }
        let word = from.keyword()?;
        if let Some(key) = simple(&word) {
            return Ok(key);
        }
        from.space()?;
        Ok(match word.as_str() {
            "NOT" => Key::Not(Box::new(self.key(from, depth + 1)?)),
            "OR" => {
                let first = self.key(from, depth + 1)?;
                from.space()?;
                Key::Or(Box::new(first), Box::new(self.key(from, depth + 1)?))
            }
            // RFC 6203 §3: we find no less and no more than what is there.
            "FUZZY" => {
                let others = self.fuzzy.len();
                let key = self.key(from, depth + 1)?;
                // FUZZY within it says nothing more.
                self.fuzzy.truncate(others);
                self.fuzzy.push(key.clone());
                key
            }
            word => self.with_argument(word, from)?,
        })
    }

    fn with_argument(&mut self, word: &str, from: &mut Cursor<'_>) -> Read<Key> {
        Ok(match word {
            "UID" => Key::Uid(self.set(from)?),
            // RFC 9738 §3.2: later than a UID, and before one.
            "UIDAFTER" => Key::Uid(SequenceSet::Ranges(match from.uid()?.get().checked_add(1) {
                Some(next) => vec![(Number::Value(next), Number::Value(u32::MAX))],
                None => Vec::new(),
            })),
            "UIDBEFORE" => Key::Uid(SequenceSet::Ranges(match from.uid()?.get() {
                1 => Vec::new(),
                n => vec![(Number::Value(1), Number::Value(n - 1))],
            })),
            "KEYWORD" => Key::Flag(keyword(from)?),
            "UNKEYWORD" => Key::Not(Box::new(Key::Flag(keyword(from)?))),
            "BEFORE" => Key::Internal(i64::MIN, from.date()?),
            "ON" => on(from.date()?, Key::Internal),
            "SINCE" => Key::Internal(from.date()?, i64::MAX),
            "SENTBEFORE" => Key::Sent(i64::MIN, from.date()?),
            "SENTON" => on(from.date()?, Key::Sent),
            "SENTSINCE" => Key::Sent(from.date()?, i64::MAX),
            "SAVEDBEFORE" => Key::Saved(i64::MIN, from.date()?),
            "SAVEDON" => on(from.date()?, Key::Saved),
            "SAVEDSINCE" => Key::Saved(from.date()?, i64::MAX),
            "LARGER" => Key::Larger(from.number()?),
            "SMALLER" => Key::Smaller(from.number()?),
            "FILTER" => Key::Filter(filter_name(from)?),
            "OLDER" => Key::Older(interval(from)?),
            "YOUNGER" => Key::Younger(interval(from)?),
            "ANNOTATION" => {
                self.body()?;
                let (pattern, scope) = annotate::searched(from)?;
                from.space()?;
                let value = from.value()?.map(|octets| self.decoded(octets)).transpose()?;
                Key::Annotation(pattern, scope, value)
            }
            "EMAILID" => Key::EmailId(from.text()?),
            "THREADID" => Key::ThreadId(from.text()?),
            "HEADER" => {
                let name = from.text()?;
                from.space()?;
                Key::Header(name, self.text(from)?)
            }
            "BCC" => Key::Envelope("BCC", self.text(from)?),
            "CC" => Key::Envelope("CC", self.text(from)?),
            "FROM" => Key::Envelope("FROM", self.text(from)?),
            "SUBJECT" => Key::Envelope("SUBJECT", self.text(from)?),
            "TO" => Key::Envelope("TO", self.text(from)?),
            "BODY" | "TEXT" => {
                self.body()?;
                let text = self.text(from)?;
                if word == "BODY" { Key::Body(text) } else { Key::Text(text) }
            }
            "MODSEQ" => {
                if from.peek() == Some(b'"') {
                    // RFC 7162 §3.1.5: which flag, and whether shared; ours have one MODSEQ.
                    metadata_item(from)?;
                }
                Key::ModSeq(from.mod_sequence()?)
            }
            _ => return Err(Bad("a search key")),
        })
    }
}

/// `entry-name SP entry-type-req` and a blank. RFC 7162 §7.
fn metadata_item(from: &mut Cursor<'_>) -> Read<()> {
    if !from.string()?.to_ascii_lowercase().starts_with(b"/flags/") {
        return Err(Bad("/flags/ and a flag"));
    }
    from.space()?;
    if !matches!(from.keyword()?.as_str(), "PRIV" | "SHARED" | "ALL") {
        return Err(Bad("priv, shared or all"));
    }
    from.space()
}

/// RFC 5032 §3: an nz-number of seconds.
fn interval(from: &mut Cursor<'_>) -> Read<u64> {
    match from.number()? {
        0 => Err(Bad("an interval that is not zero")),
        seconds => Ok(seconds),
    }
}

/// An atom without `/` and `]`, as the entry of METADATA has it. RFC 5466 §4.
fn filter_name(from: &mut Cursor<'_>) -> Read<String> {
    let name = String::from_utf8_lossy(from.atom()?).to_ascii_lowercase();
    if name.contains(['/', ']']) { Err(Bad("the name of a filter")) } else { Ok(name) }
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
        // RFC 8514 §4.3: every mailbox here has save dates.
        "ALL" | "SAVEDATESUPPORTED" => Key::All,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_in_any_known_charset() {
        let read = |text: &[u8]| search(&mut Cursor::new(text)).unwrap();
        let latin = read(b"CHARSET ISO-8859-1 SUBJECT {4}\r\ncaf\xe9");
        assert_eq!(latin.key, Key::Envelope("SUBJECT", "caf\u{e9}".to_owned()));
        assert!(!read(b"CHARSET X-NONE ALL").is_charset_known());
    }

    #[test]
    fn what_is_said_again_costs_nothing() {
        let found = search(&mut Cursor::new(b"FUZZY (FUZZY FROM a FUZZY TO b) FUZZY BODY c"));
        let inner = vec![Key::Envelope("FROM", "a".into()), Key::Envelope("TO", "b".into())];
        assert_eq!(found.unwrap().fuzzy, [Key::And(inner), Key::Body("c".into())]);
        let sort = sort(&mut Cursor::new(b"(TO REVERSE DATE TO DATE SIZE) UTF-8 ALL")).unwrap();
        let criteria = [(Criterion::To, false), (Criterion::Date, true), (Criterion::Size, false)];
        assert_eq!(sort.criteria, criteria);
        let bodies =
            |n: usize| search(&mut Cursor::new("BODY a TEXT b ".repeat(n).trim().as_bytes()));
        assert!(bodies(BODY_KEYS_MAX / 2).is_ok() && bodies(BODY_KEYS_MAX / 2 + 1).is_err());
        let saved = |n: usize| search(&mut Cursor::new("$ UID $ ".repeat(n).trim().as_bytes()));
        assert!(saved(SAVED_KEYS_MAX / 2).is_ok() && saved(SAVED_KEYS_MAX / 2 + 1).is_err());
    }
}
