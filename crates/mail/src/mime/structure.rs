//! The tree of a message's parts, as BODYSTRUCTURE tells it and BODY[…] walks it.
//!
//! Texts are octets as they stand in the message (unfolded, trimmed, encoded-words left alone): who
//! shows them decides about charsets. Offsets count from the first octet of the stored message.

use crate::stored::Content;
use crate::summary::Envelope;

/// One part. The whole message is the root part.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Part {
    /// Its Content- fields as they are stored, which is small; [`Part::content`] reads them.
    pub(crate) content: Box<[u8]>,
    /// Where the part's header starts.
    pub header_start: u64,
    /// Where its body starts: after the empty line.
    pub body_start: u64,
    /// Where its body ends; the line break before a boundary belongs to the boundary.
    pub end: u64,
    /// Line breaks in the body.
    pub lines: u64,
    /// What the body is.
    pub body: PartBody,
}

/// What is in a part.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum PartBody {
    /// Octets.
    #[default]
    Leaf,
    /// Parts between boundaries; never empty.
    Multipart(Vec<Part>),
    /// A message (`message/rfc822`, `message/global`): its envelope and its root part.
    Message(Box<Envelope>, Box<Part>),
}

impl Part {
    /// What its Content- fields say.
    pub fn content(&self) -> Content<'_> {
        Content::read(&self.content)
    }

    /// Has it say so.
    pub(crate) fn set_content(&mut self, content: &Content<'_>) {
        self.content = content.packed();
    }

    /// Octets of the body.
    pub fn octets(&self) -> u64 {
        self.end.saturating_sub(self.body_start)
    }

    /// The part that a section number such as `1.2` names. RFC 9051 §6.4.5: every message has a
    /// part 1; numbers go through the parts of multiparts and of messages within messages.
    pub fn section(&self, numbers: &[u32]) -> Option<&Part> {
        let Some((first, rest)) = numbers.split_first() else { return Some(self) };
        let child = match &self.body {
            PartBody::Multipart(parts) => parts.get((*first as usize).checked_sub(1)?)?,
            _ if *first == 1 => self,
            _ => return None,
        };
        let Some(_) = rest.first() else { return Some(child) };
        match &child.body {
            PartBody::Multipart(_) => child.section(rest),
            PartBody::Message(_, root) => root.section(rest),
            PartBody::Leaf => None,
        }
    }
}
