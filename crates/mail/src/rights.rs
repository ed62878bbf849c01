//! What somebody may do with a mailbox: the rights of RFC 4314 §2.1 and RFC 5257 §3.4,
//! each a letter.

use std::fmt;

/// A set of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rights(u16);

impl Rights {
    /// None at all.
    pub const NONE: Rights = Rights(0);
    /// `l`: it is seen by LIST.
    pub const LOOKUP: Rights = Rights(1);
    /// `r`: SELECT, FETCH, SEARCH, COPY from it.
    pub const READ: Rights = Rights(1 << 1);
    /// `s`: `\Seen` is kept.
    pub const SEEN: Rights = Rights(1 << 2);
    /// `w`: flags other than `\Seen` and `\Deleted`, and shared annotations of the mailbox.
    pub const WRITE: Rights = Rights(1 << 3);
    /// `i`: APPEND, COPY into it.
    pub const INSERT: Rights = Rights(1 << 4);
    /// `p`: mail may be sent to it.
    pub const POST: Rights = Rights(1 << 5);
    /// `k`: CREATE below it.
    pub const CREATE: Rights = Rights(1 << 6);
    /// `x`: DELETE and RENAME it.
    pub const DELETE: Rights = Rights(1 << 7);
    /// `t`: `\Deleted`.
    pub const DELETED: Rights = Rights(1 << 8);
    /// `e`: EXPUNGE.
    pub const EXPUNGE: Rights = Rights(1 << 9);
    /// `a`: SETACL and its kin.
    pub const ADMIN: Rights = Rights(1 << 10);
    /// `n`: shared annotations of messages. RFC 5257 §3.4.
    pub const ANNOTATE: Rights = Rights(1 << 11);
    /// All of them: what an owner has.
    pub const ALL: Rights = Rights((1 << 12) - 1);

    const LETTERS: [(char, Rights); 12] = [
        ('l', Rights::LOOKUP),
        ('r', Rights::READ),
        ('s', Rights::SEEN),
        ('w', Rights::WRITE),
        ('i', Rights::INSERT),
        ('p', Rights::POST),
        ('k', Rights::CREATE),
        ('x', Rights::DELETE),
        ('t', Rights::DELETED),
        ('e', Rights::EXPUNGE),
        ('a', Rights::ADMIN),
        ('n', Rights::ANNOTATE),
    ];

    /// Every right by itself, with its letter.
    pub fn each() -> impl Iterator<Item = (char, Rights)> {
        Rights::LETTERS.into_iter()
    }

    /// The rights of these letters; the obsolete `c` is `kx`, `d` is `te` (RFC 4314 §2.1.1). `None`
    /// for a letter that is no right, capitals among them.
    pub fn parse(letters: &str) -> Option<Rights> {
        letters.chars().try_fold(Rights::NONE, |rights, letter| {
            Some(rights.with(match letter {
                'c' => Rights::CREATE.with(Rights::DELETE),
                'd' => Rights::DELETED.with(Rights::EXPUNGE),
                _ => Rights::LETTERS.into_iter().find(|(known, _)| *known == letter)?.1,
            }))
        })
    }

    /// All of `other` are here.
    pub const fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }
    /// Some of `other` are here.
    pub const fn intersects(self, other: Rights) -> bool {
        self.0 & other.0 != 0
    }
    /// Both sets together.
    pub const fn with(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
    /// This set less `other`.
    pub const fn without(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = Rights::LETTERS.into_iter().filter(|(_, right)| self.contains(*right));
        here.map(|(letter, _)| letter).try_for_each(|letter| write!(f, "{letter}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_round_trip() {
        assert_eq!(Rights::ALL.to_string(), "lrswipkxtean");
        assert_eq!(Rights::parse("lrswipkxtean"), Some(Rights::ALL));
        assert_eq!(Rights::parse("cd").unwrap().to_string(), "kxte");
        assert_eq!(Rights::parse(""), Some(Rights::NONE));
        assert_eq!((Rights::parse("L"), Rights::parse("z")), (None, None));
    }
}
