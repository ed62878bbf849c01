//! The header fields of one part that matter for its structure and envelope, gathered line by line.

use crate::header::address_list::each_address;
use crate::header::params::{Parameterised, word};
use crate::header::{split_field, unfold};
use crate::limits::{ADDRESSES_MAX, HEADER_FIELD_OCTETS_MAX, REFERENCES_OCTETS_MAX};
use crate::stored::{Content, List, StoredEnvelope, StoredList};
use crate::summary::Envelope;

/// Octets of a buffer that is kept for the next field.
pub const HEADER_BUFFER_OCTETS: usize = 4096;

/// Gathers fields; the first of each name counts, address lists add up.
#[derive(Default)]
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
    language: List,
    location: Option<Vec<u8>>,
    /// Date, Subject, In-Reply-To, Message-ID.
    heads: [Option<Vec<u8>>; 4],
    /// From, Sender, Reply-To, To, Cc, Bcc.
    lists: [List; 6],
    references: Option<Vec<u8>>,
    addresses: usize,
}

impl PartFields {
    /// For a part that is a message (with an envelope) or only a body part.
    pub fn new(message: bool, default_type: &'static [u8]) -> PartFields {
        PartFields { message, default_type, ..PartFields::default() }
    }

    /// The next line of the header. There is room for so many addresses; says how many it took.
    pub fn line(&mut self, line: &[u8], room: usize) -> usize {
        let before = self.addresses;
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            self.finish(room);
        }
        let room = HEADER_FIELD_OCTETS_MAX.saturating_sub(self.pending.len()).min(line.len());
        self.pending.extend_from_slice(line.get(..room).unwrap_or_default());
        self.addresses - before
    }

    /// The pending field is complete. There is room for so many addresses; says how many it took.
    pub fn finish(&mut self, room: usize) -> usize {
        let before = self.addresses;
        let raw = std::mem::take(&mut self.pending);
        let field = split_field(&raw);
        let name = field.name;
        if name.len() >= 8 && name.get(..8).is_some_and(|n| n.eq_ignore_ascii_case(b"content-")) {
            self.content_field(name.get(8..).unwrap_or_default(), field.value);
        } else if self.message {
            self.envelope_field(name, field.value, room);
        }
        // The buffer serves the next field, if it is no large one.
        if raw.capacity() <= HEADER_BUFFER_OCTETS {
            self.pending = raw;
            self.pending.clear();
        }
        self.addresses - before
    }

    fn content_field(&mut self, name: &[u8], value: &[u8]) {
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
            b"language" if self.language.stored().is_empty() => {
                let tags = value.split(|b| *b == b',').map(word);
                for tag in tags.filter(|tag| !tag.is_empty()).take(32) {
                    self.language.text(&tag);
                }
            }
            b"id" => first(&mut self.id),
            b"description" => first(&mut self.description),
            b"md5" => first(&mut self.md5),
            b"location" => first(&mut self.location),
            _ => {}
        }
    }

    fn envelope_field(&mut self, name: &[u8], value: &[u8], room: usize) {
        let first = |slot: &mut Option<Vec<u8>>| {
            if slot.is_none() {
                *slot = Some(unfold(value));
            }
        };
        let [date, subject, in_reply_to, message_id] = &mut self.heads;
        let [from, sender, reply_to, to, cc, bcc] = &mut self.lists;
        let list = match name.to_ascii_lowercase().as_slice() {
            b"date" => return first(date),
            b"subject" => return first(subject),
            b"in-reply-to" => return first(in_reply_to),
            b"message-id" => return first(message_id),
            b"references" => {
                let skip = value.len().saturating_sub(REFERENCES_OCTETS_MAX);
                let end = value.get(skip..).unwrap_or_default();
                self.references.get_or_insert_with(|| unfold(end));
                return;
            }
            b"from" => from,
            b"sender" => sender,
            b"reply-to" => reply_to,
            b"to" => to,
            b"cc" => cc,
            b"bcc" => bcc,
            _ => return,
        };
        let room = room.min(ADDRESSES_MAX.saturating_sub(self.addresses));
        each_address(value, room, |address| {
            self.addresses += 1;
            list.address(&address);
        });
    }

    /// What the Content- fields say. A type that is no type counts as the default.
    pub fn content(&self) -> Content<'_> {
        let given = self.content_type.as_ref();
        let given = given.and_then(|of| Some((halves(&of.value)?, of.parameters.stored())));
        let by_default = || (halves(self.default_type).unwrap_or_default(), StoredList::default());
        let ((media_type, subtype), parameters) = given.unwrap_or_else(by_default);
        let disposition = self.disposition.as_ref().filter(|of| fine(&of.value));
        Content {
            media_type,
            subtype,
            parameters,
            encoding: self.encoding.as_deref().filter(|word| fine(word)).unwrap_or(b"7bit"),
            id: self.id.as_deref(),
            description: self.description.as_deref(),
            md5: self.md5.as_deref(),
            location: self.location.as_deref(),
            disposition: disposition.map(|of| (of.value.as_slice(), of.parameters.stored())),
            language: self.language.stored(),
        }
    }

    /// The envelope, where the part is a message.
    pub fn envelope(&self) -> Option<Envelope> {
        let [date, subject, in_reply_to, message_id] =
            self.heads.each_ref().map(|head| head.as_deref());
        let lists = self.lists.each_ref().map(List::stored);
        let envelope = StoredEnvelope { date, subject, in_reply_to, message_id, lists };
        self.message.then(|| envelope.packed())
    }

    /// References of a message part.
    pub fn references(&mut self) -> Option<Vec<u8>> {
        self.references.take()
    }
}

fn fine(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|b| b.is_ascii_graphic() && *b != b'"')
}

/// Type and subtype, if both are a `token`. RFC 2045 §5.1.
fn halves(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let token = |word: &[u8]| fine(word) && !word.iter().any(|b| b"()<>@,;:\\/[]?=".contains(b));
    let (kind, sub) = value.split_at_checked(memchr::memchr(b'/', value)?)?;
    let sub = sub.get(1..)?;
    (token(kind) && token(sub)).then_some((kind, sub))
}
