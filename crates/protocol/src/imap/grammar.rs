//! The words of the IMAP grammar over one whole command. RFC 3501 §9.

use super::utf7;
use mail::{Flag, Keyword, MailboxName, Uid, date};
use std::collections::HashSet;

/// The text does not follow the grammar; what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad(pub &'static str);

/// What the functions here return.
pub type Read<T> = Result<T, Bad>;

/// How mailbox names and texts of headers travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// Names in modified UTF-7, headers in 7 bits. RFC 3501 §5.1.3.
    #[default]
    Ascii,
    /// Both in UTF-8, after ENABLE UTF8=ACCEPT or IMAP4rev2. RFC 9755 §3, RFC 9051 §5.1.
    Utf8,
}

/// A place in a command.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    charset: Charset,
}

/// A set of sequence numbers or UIDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceSet {
    /// Ranges; the ends in any order.
    Ranges(Vec<(Number, Number)>),
    /// `$`: what the last SEARCH saved. RFC 5182 §2.1.
    Saved,
}

/// A number of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// A number, not zero.
    Value(u32),
    /// `*`: the last.
    Last,
}

impl SequenceSet {
    /// `*` is in it.
    pub fn has_last(&self) -> bool {
        let SequenceSet::Ranges(ranges) = self else { return false };
        ranges.iter().any(|(a, b)| *a == Number::Last || *b == Number::Last)
    }

    /// The ranges, ascending and apart, with `*` meaning `last`; none for `$`.
    pub fn ranges(&self, last: u32) -> Vec<(u32, u32)> {
        let SequenceSet::Ranges(given) = self else { return Vec::new() };
        let value = |number: Number| match number {
            Number::Value(n) => n,
            Number::Last => last,
        };
        let mut ranges: Vec<(u32, u32)> = given
            .iter()
            .map(|(a, b)| (value(*a), value(*b)))
            .map(|(a, b)| (a.min(b), a.max(b)))
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (from, to) in ranges {
            match merged.last_mut() {
                Some((_, end)) if from <= end.saturating_add(1) => *end = (*end).max(to),
                _ => merged.push((from, to)),
            }
        }
        merged
    }
}

fn is_atom_char(b: u8) -> bool {
    b > 0x20 && b < 0x7f && !b"(){%*\"\\".contains(&b)
}

impl<'a> Cursor<'a> {
    /// At the start of `text`.
    pub fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: text, charset: Charset::Ascii }
    }
    /// At the start of `text`, with names in that charset.
    pub fn with_charset(text: &'a [u8], charset: Charset) -> Cursor<'a> {
        Cursor { rest: text, charset }
    }
    /// Takes this word, in any case, if it follows.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let follows = self.rest.get(..word.len());
        let eats = follows.is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()));
        if eats {
            self.rest = self.rest.get(word.len()..).unwrap_or_default();
        }
        eats
    }
    /// A blank with more behind it: blanks at the end of a command say nothing.
    pub fn more(&mut self) -> bool {
        !self.rest.iter().all(|b| *b == b' ') && self.eat(b' ')
    }
    /// Items between parentheses, blanks between them; `read` takes one.
    pub fn list(&mut self, mut read: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.expect(b'(', "an opening parenthesis")?;
        while self.eat(b' ') {}
        while !self.eat(b')') {
            read(self)?;
            if self.peek() != Some(b')') {
                self.space()?;
            }
        }
        Ok(())
    }
    /// What follows.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
    /// Nothing follows.
    pub fn at_end(&self) -> bool {
        self.rest.is_empty()
    }
    /// The next octet.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }
    /// Nothing may follow.
    pub fn end(&self) -> Read<()> {
        if self.at_end() { Ok(()) } else { Err(Bad("the end of the line")) }
    }
    /// Takes this octet if it follows.
    pub fn eat(&mut self, octet: u8) -> bool {
        let eats = self.peek() == Some(octet);
        if eats {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        eats
    }
    /// This octet must follow.
    pub fn expect(&mut self, octet: u8, what: &'static str) -> Read<()> {
        if self.eat(octet) { Ok(()) } else { Err(Bad(what)) }
    }
    /// A blank; several are let through.
    pub fn space(&mut self) -> Read<()> {
        self.expect(b' ', "a blank")?;
        while self.eat(b' ') {}
        Ok(())
    }
    fn take_while(&mut self, fits: impl Fn(u8) -> bool) -> &'a [u8] {
        let len = self.rest.iter().position(|b| !fits(*b)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        taken
    }
    /// An atom in upper case: keywords.
    pub fn keyword(&mut self) -> Read<String> {
        let word = self.take_while(|b| is_atom_char(b) && b != b'[' && b != b']' && b != b'<');
        if word.is_empty() {
            return Err(Bad("a word"));
        }
        Ok(String::from_utf8_lossy(word).to_ascii_uppercase())
    }
    /// An atom as it stands.
    pub fn atom(&mut self) -> Read<&'a [u8]> {
        let word = self.take_while(is_atom_char);
        if word.is_empty() { Err(Bad("an atom")) } else { Ok(word) }
    }
    /// A number.
    pub fn number(&mut self) -> Read<u64> {
        let digits = self.take_while(|b| b.is_ascii_digit());
        let text = std::str::from_utf8(digits).unwrap_or_default();
        text.parse().map_err(|_| Bad("a number"))
    }
    /// `mod-sequence-valzer`: 63 bits. RFC 7162 §7.
    pub fn mod_sequence(&mut self) -> Read<u64> {
        self.number64().map_err(|_| Bad("a MODSEQ"))
    }
    /// `number64`: 63 bits. RFC 9051 §9.
    pub fn number64(&mut self) -> Read<u64> {
        self.number().ok().filter(|n| *n <= i64::MAX as u64).ok_or(Bad("a smaller number"))
    }
    /// A quoted string or a literal.
    pub fn string(&mut self) -> Read<Vec<u8>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal(),
            _ => Err(Bad("a string")),
        }
    }
    fn quoted(&mut self) -> Read<Vec<u8>> {
        self.expect(b'"', "a string")?;
        let mut text = Vec::new();
        loop {
            // RFC 3501 §9: a CHAR is not NUL.
            let run = self.take_while(|b| !b"\"\\\r\n\0".contains(&b));
            text.extend_from_slice(run);
            if self.eat(b'"') {
                // RFC 9755 §3, RFC 9051 §9: octets above 127 are UTF-8.
                let fine = self.charset == Charset::Ascii || std::str::from_utf8(&text).is_ok();
                return if fine { Ok(text) } else { Err(Bad("UTF-8")) };
            }
            if !self.eat(b'\\') {
                return Err(Bad("a closing quote"));
            }
            let escaped = self.peek().filter(|b| *b != 0).ok_or(Bad("a closing quote"))?;
            self.eat(escaped);
            text.push(escaped);
        }
    }
    fn literal(&mut self) -> Read<Vec<u8>> {
        let octets = self.literal8()?;
        // RFC 3501 §9: CHAR8 is any octet but NUL.
        if octets.contains(&0) { Err(Bad("a literal without NUL")) } else { Ok(octets) }
    }
    /// The octets of a literal, whatever they are.
    fn literal8(&mut self) -> Read<Vec<u8>> {
        self.expect(b'{', "a literal")?;
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Err(Bad("a literal"));
        }
        let len = usize::try_from(self.number()?).map_err(|_| Bad("a shorter literal"))?;
        self.eat(b'+');
        self.expect(b'}', "a literal")?;
        self.expect(b'\r', "a literal")?;
        self.expect(b'\n', "a literal")?;
        let (text, rest) = self.rest.split_at_checked(len).ok_or(Bad("a whole literal"))?;
        self.rest = rest;
        Ok(text.to_vec())
    }
    /// `value`: nstring or literal8. RFC 5464 §5, RFC 5257 §5.
    pub fn value(&mut self) -> Read<Option<Vec<u8>>> {
        if self.eat(b'~') { self.literal8().map(Some) } else { self.nstring() }
    }
    /// `astring`
    pub fn astring(&mut self) -> Read<Vec<u8>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => {
                let word = self.take_while(|b| is_atom_char(b) || b == b']');
                if word.is_empty() { Err(Bad("a string")) } else { Ok(word.to_vec()) }
            }
        }
    }
    /// An astring in UTF-8.
    pub fn text(&mut self) -> Read<String> {
        String::from_utf8(self.astring()?).map_err(|_| Bad("UTF-8"))
    }
    /// `nstring`
    pub fn nstring(&mut self) -> Read<Option<Vec<u8>>> {
        if self.rest.get(..3).is_some_and(|w| w.eq_ignore_ascii_case(b"NIL")) {
            self.rest = self.rest.get(3..).unwrap_or_default();
            return Ok(None);
        }
        self.string().map(Some)
    }
    /// `mailbox`: decoded; the error stands for a name that cannot exist.
    pub fn mailbox(&mut self) -> Read<Result<MailboxName, String>> {
        self.spelled_mailbox().map(|(name, _)| name)
    }
    /// The same, and how the client spelled it.
    pub fn spelled_mailbox(&mut self) -> Read<(Result<MailboxName, String>, String)> {
        let text = self.text()?;
        let spelled = self.name(&text).unwrap_or_else(|| text.clone());
        let name = self.name(&text).and_then(|name| MailboxName::new(&name).ok());
        Ok((name.ok_or(text), spelled))
    }
    fn name(&self, text: &str) -> Option<String> {
        match self.charset {
            Charset::Ascii => utf7::decode(text),
            Charset::Utf8 => Some(text.to_owned()),
        }
    }
    /// `list-mailbox`: a pattern, decoded.
    pub fn pattern(&mut self) -> Read<String> {
        let text = self.match_text()?;
        Ok(self.name(&text).unwrap_or(text))
    }
    /// `list-mailbox` as it stands.
    pub fn match_text(&mut self) -> Read<String> {
        let octets = match self.peek() {
            Some(b'"' | b'{') => self.string()?,
            _ => {
                let word = self.take_while(|b| is_atom_char(b) || b"]%*".contains(&b));
                if word.is_empty() {
                    return Err(Bad("a mailbox pattern"));
                }
                word.to_vec()
            }
        };
        String::from_utf8(octets).map_err(|_| Bad("UTF-8"))
    }
    /// `sequence-set`
    pub fn sequence_set(&mut self) -> Read<SequenceSet> {
        if self.eat(b'$') {
            return Ok(SequenceSet::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            let from = self.seq_number()?;
            let to = if self.eat(b':') { self.seq_number()? } else { from };
            ranges.push((from, to));
            if !self.eat(b',') {
                return Ok(SequenceSet::Ranges(ranges));
            }
        }
    }
    /// `seq-number`, or such a UID
    pub fn seq_number(&mut self) -> Read<Number> {
        if self.eat(b'*') {
            return Ok(Number::Last);
        }
        let number = u32::try_from(self.number()?).map_err(|_| Bad("a smaller number"))?;
        if number == 0 { Err(Bad("a number that is not zero")) } else { Ok(Number::Value(number)) }
    }
    /// `flag`; `None` for one that cannot be stored, such as `\Recent`.
    pub fn flag(&mut self) -> Read<Option<Flag>> {
        if self.eat(b'\\') {
            let name = format!("\\{}", String::from_utf8_lossy(self.atom()?));
            return Ok(Flag::system(&name));
        }
        let name = String::from_utf8_lossy(self.atom()?).into_owned();
        Keyword::new(&name).map(|keyword| Some(Flag::Keyword(keyword))).ok_or(Bad("a flag"))
    }
    /// `flag-list`; each once.
    pub fn flag_list(&mut self) -> Read<Vec<Flag>> {
        self.expect(b'(', "a list of flags")?;
        let (mut flags, mut seen) = (Vec::new(), HashSet::new());
        while !self.eat(b')') {
            flags.extend(self.flag()?.filter(|flag| seen.insert(flag.clone())));
            if self.peek() != Some(b')') {
                self.space()?;
            }
        }
        Ok(flags)
    }
    /// `date`: midnight UTC of that day.
    pub fn date(&mut self) -> Read<i64> {
        let text = self.astring()?;
        let mut parts = text.split(|b| *b == b'-');
        let (day, month, year) = (parts.next(), parts.next(), parts.next());
        let only = parts.next().is_none();
        civil(day, month, year, None)
            .filter(|_| only)
            .and_then(|c| c.to_unix(0))
            .ok_or(Bad("a date"))
    }
    /// `date-time`: `"17-Jul-1996 02:44:25 -0700"`.
    pub fn date_time(&mut self) -> Read<i64> {
        let text = self.quoted()?;
        let mut words = text.split(|b| *b == b' ').filter(|word| !word.is_empty());
        let mut day = words.next().unwrap_or_default().split(|b| *b == b'-');
        let time = words.next();
        let zone = words.next().and_then(zone);
        let made = civil(day.next(), day.next(), day.next(), time);
        let only = day.next().is_none() && words.next().is_none();
        let made = made.filter(|_| only);
        made.zip(zone).and_then(|(c, zone)| c.to_unix(zone)).ok_or(Bad("a date and time"))
    }
    /// A UID.
    pub fn uid(&mut self) -> Read<Uid> {
        u32::try_from(self.number()?).ok().and_then(Uid::new).ok_or(Bad("a UID"))
    }
}

fn digits(text: &[u8]) -> Option<u32> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn civil(
    day: Option<&[u8]>,
    month: Option<&[u8]>,
    year: Option<&[u8]>,
    time: Option<&[u8]>,
) -> Option<date::Civil> {
    let mut clock = time.unwrap_or(b"00:00:00").split(|b| *b == b':');
    let two = |text: &[u8]| if text.len() == 2 { digits(text) } else { None };
    let mut clock = std::iter::from_fn(|| clock.next().map(two));
    Some(date::Civil {
        year: year.filter(|text| text.len() == 4).and_then(digits).map(i64::from)?,
        month: month.filter(|text| text.len() == 3).and_then(date::month_number)?,
        day: day.map(<[u8]>::trim_ascii_start).filter(|text| text.len() <= 2).and_then(digits)?,
        hour: clock.next()??,
        minute: clock.next()??,
        second: clock.next()??,
        weekday: 0,
    })
}

fn zone(text: &[u8]) -> Option<i32> {
    let (sign, number) = match text.split_first()? {
        (b'+', rest) => (1, digits(rest)?),
        (b'-', rest) => (-1, digits(rest)?),
        _ => return None,
    };
    (text.len() == 5).then_some(sign * (number / 100 * 60 + number % 100) as i32)
}
