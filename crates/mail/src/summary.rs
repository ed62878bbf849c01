//! What is kept about a message beside its bytes, made once when it arrives: the envelope and the
//! structure that IMAP tells (RFC 9051 §7.5.2), so that no FETCH parses the message again.

use crate::mime::Part;

pub use crate::mime::parse::Parser;

/// The envelope of a message: some of its header fields, parsed. RFC 9051 §7.5.2.
///
/// Octets as they stand in the header, unfolded; encoded-words are left alone.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Envelope {
    /// Date.
    pub date: Option<Vec<u8>>,
    /// Subject.
    pub subject: Option<Vec<u8>>,
    /// From.
    pub from: Vec<EnvelopeAddress>,
    /// Sender; empty means the same as From (the encoder fills it in).
    pub sender: Vec<EnvelopeAddress>,
    /// Reply-To; empty means the same as From (the encoder fills it in).
    pub reply_to: Vec<EnvelopeAddress>,
    /// To.
    pub to: Vec<EnvelopeAddress>,
    /// Cc.
    pub cc: Vec<EnvelopeAddress>,
    /// Bcc.
    pub bcc: Vec<EnvelopeAddress>,
    /// In-Reply-To.
    pub in_reply_to: Option<Vec<u8>>,
    /// Message-ID.
    pub message_id: Option<Vec<u8>>,
}

/// An address structure, or one end of a group. RFC 9051 §7.5.2 `address`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvelopeAddress {
    /// A mailbox: display name, local part, host (empty when the header gives none).
    Mailbox {
        /// Display name, unquoted.
        name: Option<Vec<u8>>,
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
