//! The header fields of one part that matter for its structure and envelope, gathered line by line.

use super::structure::{Disposition, Part};
use crate::header::params::{Parameterised, word};
use crate::header::{address_list, split_field, unfold};
use crate::limits::{ADDRESSES_MAX, HEADER_FIELD_OCTETS_MAX, REFERENCES_OCTETS_MAX};
use crate::summary::{Envelope, EnvelopeAddress};

/// Gathers fields; the first of each name counts, address lists add up.
pub struct PartFields {
    message: bool,
    default_type: &'static [u8],
    /// The field whose continuation lines may still come.
    pending: Vec<u8>,
    content_type: Option<Parameterised>,
    encoding: Option<Vec<u8>>,
    id: Option<Vec<u8>>,
    description: Option<Vec<u8>>,
    md5: Option<Vec<u8>>,
    disposition: Option<Parameterised>,
    language: Vec<Vec<u8>>,
    location: Option<Vec<u8>>,
    envelope: Envelope,
    references: Option<Vec<u8>>,
    addresses: usize,
}

impl PartFields {
    /// For a part that is a message (with an envelope) or only a body part.
    pub fn new(message: bool, default_type: &'static [u8]) -> PartFields {
        PartFields {
            message,
            default_type,
            pending: Vec::new(),
            content_type: None,
            encoding: None,
            id: None,
            description: None,
            md5: None,
            disposition: None,
            language: Vec::new(),
            location: None,
            envelope: Envelope::default(),
            references: None,
            addresses: 0,
        }
    }

    /// The part is a message.
    pub fn is_message(&self) -> bool {
        self.message
    }

    /// The next line of the header.
    pub fn line(&mut self, line: &[u8]) {
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            self.finish();
        }
        let room = HEADER_FIELD_OCTETS_MAX.saturating_sub(self.pending.len()).min(line.len());
        self.pending.extend_from_slice(line.get(..room).unwrap_or_default());
    }

    /// The pending field is complete.
    pub fn finish(&mut self) {
        let raw = std::mem::take(&mut self.pending);
        let field = split_field(&raw);
        let name = field.name;
        if name.len() >= 8 && name.get(..8).is_some_and(|n| n.eq_ignore_ascii_case(b"content-")) {
            self.content(name.get(8..).unwrap_or_default(), field.value);
        } else if self.message {
            self.envelope_field(name, field.value);
        }
        // The buffer serves the next field.
        self.pending = raw;
        self.pending.clear();
    }

    fn content(&mut self, name: &[u8], value: &[u8]) {
        let first = |slot: &mut Option<Vec<u8>>| {
            let text = unfold(value);
            if slot.is_none() && !text.is_empty() {
                *slot = Some(text);
            }
        };
        match name.to_ascii_lowercase().as_slice() {
            b"type" if self.content_type.is_none() => {
                self.content_type = Some(Parameterised::parse(value));
            }
            b"transfer-encoding" if self.encoding.is_none() => {
                let word = Parameterised::parse(value).value;
                self.encoding = Some(word).filter(|word| !word.is_empty());
            }
            b"disposition" if self.disposition.is_none() => {
                self.disposition = Some(Parameterised::parse(value));
            }
            b"language" if self.language.is_empty() => {
                let tags = value.split(|b| *b == b',').map(word);
                self.language = tags.filter(|tag| !tag.is_empty()).take(32).collect();
            }
            b"id" => first(&mut self.id),
            b"description" => first(&mut self.description),
            b"md5" => first(&mut self.md5),
            b"location" => first(&mut self.location),
            _ => {}
        }
    }

    fn envelope_field(&mut self, name: &[u8], value: &[u8]) {
        let envelope = &mut self.envelope;
        let first = |slot: &mut Option<Vec<u8>>| {
            if slot.is_none() {
                *slot = Some(unfold(value));
            }
        };
        let list: &mut Vec<EnvelopeAddress> = match name.to_ascii_lowercase().as_slice() {
            b"date" => return first(&mut envelope.date),
            b"subject" => return first(&mut envelope.subject),
            b"in-reply-to" => return first(&mut envelope.in_reply_to),
            b"message-id" => return first(&mut envelope.message_id),
            b"references" => {
                let skip = value.len().saturating_sub(REFERENCES_OCTETS_MAX);
                let end = value.get(skip..).unwrap_or_default();
                self.references.get_or_insert_with(|| unfold(end));
                return;
            }
            b"from" => &mut envelope.from,
            b"sender" => &mut envelope.sender,
            b"reply-to" => &mut envelope.reply_to,
            b"to" => &mut envelope.to,
            b"cc" => &mut envelope.cc,
            b"bcc" => &mut envelope.bcc,
            _ => return,
        };
        let room = ADDRESSES_MAX.saturating_sub(self.addresses);
        let mut found = address_list(value);
        found.truncate(room);
        self.addresses += found.len();
        list.append(&mut found);
    }

    /// Puts the Content- fields into the part. A type that is no type counts as the default.
    pub fn fill(&mut self, part: &mut Part) {
        let read = self.content_type.take().unwrap_or_default();
        let fine = |word: &[u8]| {
            !word.is_empty() && word.iter().all(|b| b.is_ascii_graphic() && *b != b'"')
        };
        // RFC 2045 §5.1 `token`.
        let token =
            |word: &[u8]| fine(word) && !word.iter().any(|b| b"()<>@,;:\\/[]?=".contains(b));
        let split = |value: &[u8]| {
            let slash = memchr::memchr(b'/', value)?;
            let (kind, sub) = (value.get(..slash)?, value.get(slash + 1..)?);
            (token(kind) && token(sub)).then(|| (kind.to_vec(), sub.to_vec()))
        };
        match split(&read.value) {
            Some((kind, sub)) => {
                (part.media_type, part.subtype) = (kind, sub);
                part.parameters = read.parameters;
            }
            None => {
                let default = split(self.default_type).unwrap_or_default();
                (part.media_type, part.subtype) = default;
            }
        }
        let encoding = self.encoding.take().filter(|word| fine(word));
        part.encoding = encoding.unwrap_or_else(|| b"7bit".to_vec());
        part.id = self.id.take();
        part.description = self.description.take();
        part.md5 = self.md5.take();
        part.language = std::mem::take(&mut self.language);
        part.location = self.location.take();
        part.disposition = self
            .disposition
            .take()
            .filter(|d| fine(&d.value))
            .map(|read| Disposition { kind: read.value, parameters: read.parameters });
    }

    /// References of a message part.
    pub fn references(&mut self) -> Option<Vec<u8>> {
        self.references.take()
    }

    /// The envelope of a message part.
    pub fn envelope(&self) -> Envelope {
        self.envelope.clone()
    }
}
