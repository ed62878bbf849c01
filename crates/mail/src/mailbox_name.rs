//! Mailbox names and special uses. RFC 9051 §5.1, RFC 6154.
//!
//! A name is UTF-8 with `/` between levels. `INBOX` in any case is one mailbox, always spelled
//! `INBOX` (users.md I-32). Wire encodings (modified UTF-7) belong to the protocol.

use crate::limits::{MAILBOX_NAME_LEVELS_MAX, MAILBOX_NAME_OCTETS_MAX};
use icu_normalizer::ComposingNormalizerBorrowed;
use std::borrow::Cow;
use std::fmt;

/// The separator between levels.
pub const SEPARATOR: char = '/';

/// Above the mailboxes of other accounts. RFC 2342 §5.
pub const OTHER_USERS: &str = "Other Users";

/// Above the mailboxes of nobody in particular. RFC 2342 §5.
pub const PUBLIC: &str = "Public Folders";

/// A valid mailbox name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxName(Box<str>);

/// Why a name cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Empty, or an empty level (`a//b`, `/a`).
    EmptyLevel,
    /// A control character, or one that separates lines or paragraphs. RFC 9755 §3.
    Control,
    /// More octets or levels than `limits` allow.
    TooLong,
}

impl MailboxName {
    /// It is none of the names of other accounts' mailboxes or public ones.
    pub fn is_personal(&self) -> bool {
        !matches!(self.0.split(SEPARATOR).next(), Some(OTHER_USERS | PUBLIC))
    }

    /// Checks and normalises a name; one trailing separator is dropped (RFC 9051 §6.3.4).
    pub fn new(name: &str) -> Result<MailboxName, NameError> {
        let name = name.strip_suffix(SEPARATOR).unwrap_or(name);
        if name.len() > MAILBOX_NAME_OCTETS_MAX {
            return Err(NameError::TooLong);
        }
        let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        if name.chars().any(breaks) {
            return Err(NameError::Control);
        }
        let mut levels = name.split(SEPARATOR);
        let first = levels.next().unwrap_or_default();
        if first.is_empty() || levels.clone().any(str::is_empty) {
            return Err(NameError::EmptyLevel);
        }
        if levels.count() >= MAILBOX_NAME_LEVELS_MAX {
            return Err(NameError::TooLong);
        }
        if first.eq_ignore_ascii_case("INBOX") {
            let rest = name.get(5..).unwrap_or_default();
            return Ok(MailboxName(format!("INBOX{rest}").into()));
        }
        Ok(MailboxName(name.into()))
    }

    /// The name in Net-Unicode: composed characters where there are any (NFC); `None` when it is so
    /// already, or would be too long. RFC 9051 §5.1, RFC 5198 §2.
    pub fn composed(&self) -> Option<MailboxName> {
        let normalizer = const { ComposingNormalizerBorrowed::new_nfc() };
        match normalizer.normalize(&self.0) {
            Cow::Owned(name) if name != *self.0 => MailboxName::new(&name).ok(),
            _ => None,
        }
    }

    /// `INBOX`.
    pub fn inbox() -> MailboxName {
        MailboxName("INBOX".into())
    }
    /// It is the INBOX itself.
    pub fn is_inbox(&self) -> bool {
        &*self.0 == "INBOX"
    }
    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The name one level up; `None` at the top.
    pub fn parent(&self) -> Option<MailboxName> {
        self.0.rsplit_once(SEPARATOR).map(|(parent, _)| MailboxName(parent.into()))
    }
    /// `self` stands somewhere below `other`.
    pub fn is_below(&self, other: &MailboxName) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with(SEPARATOR))
    }
    /// This name with the prefix `from` replaced by `to`; `None` unless it is `from` or below it.
    pub fn moved(
        &self,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Option<Result<MailboxName, NameError>> {
        let rest = self.0.strip_prefix(&*from.0)?;
        (rest.is_empty() || rest.starts_with(SEPARATOR))
            .then(|| MailboxName::new(&format!("{}{rest}", to.0)))
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailboxName({})", self.0)
    }
}

/// What a mailbox is for. RFC 6154 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
    /// `\Important`. RFC 8457 §3.
    Important,
    /// `\Memos`. RFC 9979.
    Memos,
    /// `\Scheduled`. RFC 9979.
    Scheduled,
    /// `\Snoozed`. RFC 9979.
    Snoozed,
}

impl SpecialUse {
    /// All of them.
    pub const ALL: [SpecialUse; 9] = [
        SpecialUse::Archive,
        SpecialUse::Drafts,
        SpecialUse::Junk,
        SpecialUse::Sent,
        SpecialUse::Trash,
        SpecialUse::Important,
        SpecialUse::Memos,
        SpecialUse::Scheduled,
        SpecialUse::Snoozed,
    ];

    /// Those of a new account's mailboxes, and what these are called.
    pub const DEFAULT: [(SpecialUse, &'static str); 5] = [
        (SpecialUse::Drafts, "Drafts"),
        (SpecialUse::Sent, "Sent"),
        (SpecialUse::Junk, "Junk"),
        (SpecialUse::Trash, "Trash"),
        (SpecialUse::Archive, "Archive"),
    ];

    /// The attribute as LIST gives it.
    pub fn attribute(self) -> &'static str {
        match self {
            SpecialUse::Archive => "\\Archive",
            SpecialUse::Drafts => "\\Drafts",
            SpecialUse::Junk => "\\Junk",
            SpecialUse::Sent => "\\Sent",
            SpecialUse::Trash => "\\Trash",
            SpecialUse::Important => "\\Important",
            SpecialUse::Memos => "\\Memos",
            SpecialUse::Scheduled => "\\Scheduled",
            SpecialUse::Snoozed => "\\Snoozed",
        }
    }

    /// The use of that attribute, in any case.
    pub fn parse(attribute: &str) -> Option<SpecialUse> {
        SpecialUse::ALL
            .into_iter()
            .find(|special| special.attribute().eq_ignore_ascii_case(attribute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_inbox_is_one() {
        assert_eq!(MailboxName::new("inBox").unwrap(), MailboxName::inbox());
        assert_eq!(MailboxName::new("inbox/x/").unwrap().as_str(), "INBOX/x");
        assert_eq!(MailboxName::new("inboxes").unwrap().as_str(), "inboxes");
        for bad in ["", "/", "a//b", "/a", "a\u{7}"] {
            assert!(MailboxName::new(bad).is_err(), "{bad:?}");
        }
        let name = MailboxName::new("a/b/c").unwrap();
        let (from, to) = (MailboxName::new("a").unwrap(), MailboxName::new("x/y").unwrap());
        assert_eq!(name.moved(&from, &to).unwrap().unwrap().as_str(), "x/y/b/c");
        assert!(name.is_below(&from) && !from.is_below(&from));
    }
}
