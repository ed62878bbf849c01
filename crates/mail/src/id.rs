//! Identifiers, each a type of its own so that none can be taken for another.
//!
//! UIDs, UIDVALIDITY and MODSEQ: RFC 9051 §2.3.1.1, RFC 7162 §3.1. Invariant: they are never zero
//! and, within one mailbox, only grow.

use std::fmt;
use std::num::NonZeroU32;

/// Unique identifier of a message in a mailbox. RFC 9051 §2.3.1.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// The first UID a mailbox gives out.
    pub const FIRST: Uid = Uid(NonZeroU32::MIN);
    /// The greatest UID there can be.
    pub const MAX: Uid = Uid(NonZeroU32::MAX);

    /// `None` for 0, which is no UID.
    pub fn new(value: u32) -> Option<Uid> {
        NonZeroU32::new(value).map(Uid)
    }

    /// The number itself.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// The next UID; `None` when the 32 bits are used up.
    pub fn next(self) -> Option<Uid> {
        self.0.checked_add(1).map(Uid)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uid({})", self.0)
    }
}

/// The UID validity value of a mailbox, never zero. RFC 9051 §2.3.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UidValidity(pub NonZeroU32);

impl fmt::Display for UidValidity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A modification sequence: 63 bits, never zero once given. RFC 7162 §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ModSeq(pub u64);

impl fmt::Display for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

row_id!(
    /// An account: what owns mailboxes and logs in.
    AccountId(u32)
);
row_id!(
    /// A mailbox, for ever: it survives RENAME and is never used again after DELETE.
    MailboxId(u32)
);
row_id!(
    /// Stored message bytes, shared by all the mailboxes and queue entries that hold the message.
    ContentId(u64)
);

/// The name a message has with us from the moment its sender says MAIL: in the 250 reply, in the
/// `Received` line, in the queue, and in every log line about it. Thirteen letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u64);

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl MessageId {
    /// From milliseconds since 1970 and random bits: ids sort by time and do not repeat.
    pub fn new(unix_millis: u64, random: u32) -> MessageId {
        MessageId(((unix_millis & 0x3ff_ffff_ffff) << 21) | u64::from(random & 0x1f_ffff))
    }

    /// From a stored number.
    pub fn from_u64(value: u64) -> MessageId {
        MessageId(value)
    }

    /// The number to store; below 2^63.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// Reads what `Display` writes; `None` for anything else.
    pub fn parse(text: &str) -> Option<MessageId> {
        if text.len() != 13 {
            return None;
        }
        let mut value = 0u64;
        for byte in text.bytes() {
            let digit = CROCKFORD.iter().position(|c| *c == byte.to_ascii_lowercase())?;
            value = value.checked_mul(32)?.checked_add(digit as u64)?;
        }
        Some(MessageId(value))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for shift in (0..13u32).rev() {
            let digit = ((self.0 >> (shift * 5)) & 31) as usize;
            let letter = CROCKFORD.get(digit).copied().unwrap_or(b'0');
            write!(f, "{}", letter as char)?;
        }
        Ok(())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_id_round_trips_and_sorts_by_time() {
        let a = MessageId::new(1_700_000_000_000, 7);
        let b = MessageId::new(1_700_000_000_001, 3);
        assert!(a < b && a.to_string() < b.to_string());
        assert_eq!(MessageId::parse(&a.to_string()), Some(a));
        assert_eq!(a.to_string().len(), 13);
        assert!(a.as_u64() < 1 << 63);
        assert_eq!(MessageId::parse("zzzzzzzzzzzzz"), None);
        assert_eq!(MessageId::parse("uuuuuuuuuuuuu"), None);
    }
}
