//! Message flags. RFC 9051 §2.3.2, keywords of RFC 5788.
//!
//! A message's flags are one 64-bit word: the five system flags, then one bit for each keyword in
//! its mailbox's [`KeywordTable`]. `\Recent` belongs to a session, not to a message, and is not
//! here.

use crate::rights::Rights;
use std::fmt;

/// A system flag or a keyword, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flag {
    /// `\Seen`
    Seen,
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Draft`
    Draft,
    /// Any flag that does not start with a backslash.
    Keyword(Keyword),
}

impl Flag {
    /// The system flag of that name, backslash included, in any case.
    pub fn system(name: &str) -> Option<Flag> {
        [Flag::Seen, Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Draft]
            .into_iter()
            .find(|flag| flag.name().eq_ignore_ascii_case(name))
    }

    /// The right that it takes to change it. RFC 4314 §4.
    pub fn right(&self) -> Rights {
        match self {
            Flag::Seen => Rights::SEEN,
            Flag::Deleted => Rights::DELETED,
            _ => Rights::WRITE,
        }
    }

    /// The name as protocols spell it.
    pub fn name(&self) -> &str {
        match self {
            Flag::Seen => "\\Seen",
            Flag::Answered => "\\Answered",
            Flag::Flagged => "\\Flagged",
            Flag::Deleted => "\\Deleted",
            Flag::Draft => "\\Draft",
            Flag::Keyword(keyword) => keyword.as_str(),
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A keyword: an atom of at most 100 octets, compared without regard to case. RFC 9051 §2.3.2.
#[derive(Clone, Debug)]
pub struct Keyword(Box<str>);

impl Keyword {
    /// `None` unless `name` is an IMAP atom (RFC 9051 §9) of at most 100 octets.
    pub fn new(name: &str) -> Option<Keyword> {
        let atom = |b: u8| b > 0x20 && b < 0x7f && !b"(){%*\"\\]".contains(&b);
        let fits = !name.is_empty() && name.len() <= crate::limits::KEYWORD_OCTETS_MAX;
        (fits && name.bytes().all(atom)).then(|| Keyword(name.into()))
    }

    /// The name in the spelling it was first given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Keyword) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for Keyword {}
impl std::hash::Hash for Keyword {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_ascii_lowercase().hash(state);
    }
}
impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Keyword) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Keyword {
    fn cmp(&self, other: &Keyword) -> std::cmp::Ordering {
        self.0.to_ascii_lowercase().cmp(&other.0.to_ascii_lowercase())
    }
}

/// The flags of one message; keyword bits mean what the mailbox's [`KeywordTable`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub struct FlagBits(pub u64);

impl FlagBits {
    /// `\Seen`
    pub const SEEN: FlagBits = FlagBits(1);
    /// `\Answered`
    pub const ANSWERED: FlagBits = FlagBits(2);
    /// `\Flagged`
    pub const FLAGGED: FlagBits = FlagBits(4);
    /// `\Deleted`
    pub const DELETED: FlagBits = FlagBits(8);
    /// `\Draft`
    pub const DRAFT: FlagBits = FlagBits(16);
    /// No flag: the header has octets that are not ASCII. What was found out about the octets of a
    /// message goes with its flags; clients neither see nor change it.
    pub const HEADER_8BIT: FlagBits = FlagBits(32);
    /// No flag either: a line, perhaps the last, ends with something else than CRLF.
    pub const NOT_LINES: FlagBits = FlagBits(64);
    /// Bit of the first keyword; the bits from here on are the table's.
    pub const KEYWORD_SHIFT: u32 = 8;
    /// Keywords a mailbox can have.
    pub const KEYWORDS_MAX: usize = 56;

    /// The bit of the keyword at `index` in its table.
    pub fn keyword(index: usize) -> FlagBits {
        FlagBits(1u64.checked_shl(Self::KEYWORD_SHIFT + index as u32).unwrap_or(0))
    }
    /// Every flag of `other` is set here.
    pub fn contains(self, other: FlagBits) -> bool {
        self.0 & other.0 == other.0
    }
    /// Both sets together.
    pub const fn with(self, other: FlagBits) -> FlagBits {
        FlagBits(self.0 | other.0)
    }
    /// What was found out about the octets, which is no flag.
    pub const fn found(self) -> FlagBits {
        FlagBits(self.0 & (Self::HEADER_8BIT.0 | Self::NOT_LINES.0))
    }
    /// Those flags of this set that somebody with these rights may set. RFC 4314 §4.
    pub fn permitted(self, rights: Rights) -> FlagBits {
        let named = FlagBits::SEEN.with(FlagBits::DELETED).with(FlagBits(u64::MAX).found());
        let of = |right: Rights, flags: FlagBits| match rights.contains(right) {
            true => FlagBits(self.0 & flags.0),
            false => FlagBits(0),
        };
        of(Rights::SEEN, FlagBits::SEEN)
            .with(of(Rights::DELETED, FlagBits::DELETED))
            .with(of(Rights::WRITE, FlagBits(!named.0)))
    }
    /// This set less `other`.
    pub const fn without(self, other: FlagBits) -> FlagBits {
        FlagBits(self.0 & !other.0)
    }
}

/// The keywords a mailbox knows, in the order of their bits. Grows only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeywordTable(Vec<Keyword>);

impl KeywordTable {
    /// A table from stored names; names that are not keywords become unusable placeholders.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> KeywordTable {
        KeywordTable(
            names
                .into_iter()
                .map(|name| Keyword(name.into()))
                .take(FlagBits::KEYWORDS_MAX)
                .collect(),
        )
    }
    /// The keywords, first bit first.
    pub fn iter(&self) -> impl Iterator<Item = &Keyword> {
        self.0.iter()
    }
    /// The bit of a flag; `None` when the table does not have that keyword.
    pub fn bit(&self, flag: &Flag) -> Option<FlagBits> {
        Some(match flag {
            Flag::Seen => FlagBits::SEEN,
            Flag::Answered => FlagBits::ANSWERED,
            Flag::Flagged => FlagBits::FLAGGED,
            Flag::Deleted => FlagBits::DELETED,
            Flag::Draft => FlagBits::DRAFT,
            Flag::Keyword(word) => FlagBits::keyword(self.0.iter().position(|k| k == word)?),
        })
    }
    /// The bit of a flag, adding its keyword to the table; `None` when the table is full.
    pub fn bit_or_insert(&mut self, flag: &Flag) -> Option<FlagBits> {
        if let (None, Flag::Keyword(word)) = (self.bit(flag), flag) {
            if self.0.len() >= FlagBits::KEYWORDS_MAX {
                return None;
            }
            self.0.push(word.clone());
        }
        self.bit(flag)
    }
    /// The names of the set bits, system flags first, in a fixed order.
    pub fn names(&self, bits: FlagBits) -> impl Iterator<Item = &str> {
        const SYSTEM: [(FlagBits, &str); 5] = [
            (FlagBits::ANSWERED, "\\Answered"),
            (FlagBits::FLAGGED, "\\Flagged"),
            (FlagBits::DELETED, "\\Deleted"),
            (FlagBits::SEEN, "\\Seen"),
            (FlagBits::DRAFT, "\\Draft"),
        ];
        let system = SYSTEM.into_iter().filter(move |(bit, _)| bits.contains(*bit)).map(|(_, n)| n);
        let keywords = self.0.iter().enumerate();
        let keywords = keywords.filter(move |(i, _)| bits.contains(FlagBits::keyword(*i)));
        system.chain(keywords.map(|(_, k)| k.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_atoms_and_compare_without_case() {
        assert_eq!(Keyword::new("$Forwarded"), Keyword::new("$forwarded"));
        assert!(Keyword::new("a b").is_none() && Keyword::new("\\Seen").is_none());
        assert!(Keyword::new("").is_none() && Keyword::new(&"x".repeat(101)).is_none());
    }

    #[test]
    fn table_fills_up_and_then_refuses() {
        let mut table = KeywordTable::default();
        for n in 0..FlagBits::KEYWORDS_MAX {
            let flag = Flag::Keyword(Keyword::new(&format!("k{n}")).unwrap());
            assert_eq!(table.bit_or_insert(&flag), Some(FlagBits::keyword(n)));
        }
        let flag = Flag::Keyword(Keyword::new("more").unwrap());
        assert_eq!(table.bit_or_insert(&flag), None);
        let bits = FlagBits::SEEN.with(FlagBits::keyword(55));
        assert_eq!(table.names(bits).collect::<Vec<_>>(), ["\\Seen", "k55"]);
    }
}
