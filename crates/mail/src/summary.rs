//! What is kept about a message beside its bytes, made once when it arrives: the envelope and the
//! structure that IMAP tells (RFC 9051 §7.5.2), so that no FETCH parses the message again.

use crate::mime::{Part, PartBody};
use crate::stored::StoredEnvelope;

pub use crate::mime::parse::Parser;

/// The envelope of a message: some of its header fields, parsed. RFC 9051 §7.5.2.
///
/// Octets as they stand in the header, unfolded; encoded-words are left alone. It is held as it is
/// stored, so that it takes no more memory than the header did.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Envelope(pub(crate) Box<[u8]>);

impl Envelope {
    /// What is in it.
    pub fn read(&self) -> StoredEnvelope<'_> {
        StoredEnvelope::read(&self.0)
    }
}

/// An address structure, or one end of a group. RFC 9051 §7.5.2 `address`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvelopeAddress {
    /// A mailbox: display name, local part, host (empty when the header gives none).
    Mailbox {
        /// Display name, unquoted.
        name: Option<Vec<u8>>,
        /// What stood before the local part. RFC 5322 §4.4 `obs-route`, without its colon.
        route: Option<Vec<u8>>,
        /// Local part, unquoted.
        local: Vec<u8>,
        /// Domain.
        host: Vec<u8>,
    },
    /// A group begins.
    GroupStart(Vec<u8>),
    /// The group ends.
    GroupEnd,
}

/// Envelope and structure of a message.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Summary {
    /// The envelope.
    pub envelope: Envelope,
    /// The root part.
    pub root: Part,
    /// Date field as seconds since 1970, UTC, where it can be read (SENTSINCE, SORT).
    pub sent: Option<i64>,
    /// References, unfolded, at most [`crate::limits::REFERENCES_OCTETS_MAX`] (THREAD).
    pub references: Option<Vec<u8>>,
}

impl Summary {
    /// Trace fields of so many octets were put in front of the message. They say nothing that is
    /// kept here but where things are.
    pub fn shift(&mut self, octets: u64) {
        let mut left = vec![&mut self.root];
        let mut is_root = true;
        while let Some(part) = left.pop() {
            if !is_root {
                part.header_start += octets;
            }
            is_root = false;
            part.body_start += octets;
            part.end += octets;
            match &mut part.body {
                PartBody::Leaf => {}
                PartBody::Multipart(parts) => left.extend(parts),
                PartBody::Message(_, root) => left.push(root),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::mime::summary_of;

    #[test]
    fn a_shifted_summary_is_that_of_the_longer_message() {
        let trace = "Received: by x;\r\n\tThu, 1 Jan 2026 00:00:00 +0000\r\n";
        let messages = [
            "",
            "\r\n",
            "\r\nbody\r\n",
            "From: a@x.test\r\nSubject: s\r\n",
            "From: a@x.test\r\n\r\nbody\r\nmore",
            "From: a@x.test\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\
             Content-Type: message/rfc822\n\nSubject: i\n\nin\n--b--\nend\n",
        ];
        for message in messages {
            let mut shifted = summary_of(message.as_bytes());
            shifted.shift(trace.len() as u64);
            let whole = summary_of(format!("{trace}{message}").as_bytes());
            assert_eq!(shifted, whole, "{message:?}");
        }
    }
}
