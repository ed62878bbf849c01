//! What is kept about a message beside its bytes, made once when it arrives: the envelope and the
//! structure that IMAP tells (RFC 9051 §7.5.2), so that no FETCH parses the message again.

use crate::mime::{Disposition, Part, PartBody};

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

/// Version of the stored form; another version is made anew from the message.
const VERSION: u8 = 3;
/// Parts within parts that are read back.
const DEPTH_MAX: usize = 2 * crate::limits::MIME_DEPTH_MAX + 2;

impl Summary {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut root = Writer(Vec::with_capacity(256));
        root.part(&self.root);
        let mut out = Writer(Vec::with_capacity(512 + root.0.len()));
        out.0.push(VERSION);
        out.text(&root.0);
        out.option(self.sent.as_ref(), |out, sent| out.number(*sent as u64));
        out.maybe(&self.references);
        out.envelope(&self.envelope);
        out.0
    }

    /// Reads all but the structure from the stored form, which is quicker.
    pub fn decode_envelope(stored: &[u8]) -> Option<Summary> {
        let mut from = Reader(stored.strip_prefix(&[VERSION])?);
        from.slice()?;
        let summary = Summary {
            sent: from.option(|from| from.number())?.map(|n| n as i64),
            references: from.maybe()?,
            envelope: from.envelope()?,
            root: Part::default(),
        };
        from.0.is_empty().then_some(summary)
    }

    /// Reads the structure only.
    pub fn decode_structure(stored: &[u8]) -> Option<Summary> {
        let mut root = Reader(Reader(stored.strip_prefix(&[VERSION])?).slice()?);
        let summary = Summary { root: root.part(0)?, ..Summary::default() };
        root.0.is_empty().then_some(summary)
    }

    /// Reads the stored form; `None` when it is of another version or damaged.
    pub fn decode(stored: &[u8]) -> Option<Summary> {
        let Summary { root, .. } = Summary::decode_structure(stored)?;
        Some(Summary { root, ..Summary::decode_envelope(stored)? })
    }
}

/// Numbers in groups of seven bits, texts behind their length.
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }
    fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text);
    }
    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Writer, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Writer, &T)) {
        self.number(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }
    fn maybe(&mut self, text: &Option<Vec<u8>>) {
        self.option(text.as_deref(), Writer::text);
    }
    fn parameters(&mut self, parameters: &[(Vec<u8>, Vec<u8>)]) {
        self.list(parameters, |out, (name, value)| {
            out.text(name);
            out.text(value);
        });
    }
    fn envelope(&mut self, envelope: &Envelope) {
        let texts =
            [&envelope.date, &envelope.subject, &envelope.in_reply_to, &envelope.message_id];
        for text in texts {
            self.maybe(text);
        }
        for list in envelope.lists() {
            self.list(list, |out, address| match address {
                EnvelopeAddress::Mailbox { name, local, host } => {
                    out.0.push(0);
                    out.maybe(name);
                    out.text(local);
                    out.text(host);
                }
                EnvelopeAddress::GroupStart(name) => {
                    out.0.push(1);
                    out.text(name);
                }
                EnvelopeAddress::GroupEnd => out.0.push(2),
            });
        }
    }
    fn part(&mut self, part: &Part) {
        for text in [&part.media_type, &part.subtype, &part.encoding] {
            self.text(text);
        }
        self.parameters(&part.parameters);
        for text in [&part.id, &part.description, &part.md5, &part.location] {
            self.maybe(text);
        }
        self.option(part.disposition.as_ref(), |out, disposition| {
            out.text(&disposition.kind);
            out.parameters(&disposition.parameters);
        });
        self.list(&part.language, |out, tag| out.text(tag));
        for n in [part.header_start, part.body_start, part.end, part.lines] {
            self.number(n);
        }
        match &part.body {
            PartBody::Leaf => self.0.push(0),
            PartBody::Multipart(parts) => {
                self.0.push(1);
                self.list(parts, Writer::part);
            }
            PartBody::Message(envelope, root) => {
                self.0.push(2);
                self.envelope(envelope);
                self.part(root);
            }
        }
    }
}

impl Envelope {
    fn lists(&self) -> [&[EnvelopeAddress]; 6] {
        [&self.from, &self.sender, &self.reply_to, &self.to, &self.cc, &self.bcc]
    }
}

struct Reader<'a>(&'a [u8]);

type Parameters = Vec<(Vec<u8>, Vec<u8>)>;

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }
    fn number(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }
    fn slice(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(text)
    }
    fn text(&mut self) -> Option<Vec<u8>> {
        self.slice().map(<[u8]>::to_vec)
    }
    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }
    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        // Each item takes at least one octet, so a lie about the count ends soon.
        (0..count).map(|_| read(self)).collect()
    }
    fn maybe(&mut self) -> Option<Option<Vec<u8>>> {
        self.option(Self::text)
    }
    fn parameters(&mut self) -> Option<Parameters> {
        self.list(|from| Some((from.text()?, from.text()?)))
    }
    fn address(&mut self) -> Option<EnvelopeAddress> {
        Some(match self.byte()? {
            0 => EnvelopeAddress::Mailbox {
                name: self.maybe()?,
                local: self.text()?,
                host: self.text()?,
            },
            1 => EnvelopeAddress::GroupStart(self.text()?),
            2 => EnvelopeAddress::GroupEnd,
            _ => return None,
        })
    }
    fn envelope(&mut self) -> Option<Envelope> {
        Some(Envelope {
            date: self.maybe()?,
            subject: self.maybe()?,
            in_reply_to: self.maybe()?,
            message_id: self.maybe()?,
            from: self.list(Self::address)?,
            sender: self.list(Self::address)?,
            reply_to: self.list(Self::address)?,
            to: self.list(Self::address)?,
            cc: self.list(Self::address)?,
            bcc: self.list(Self::address)?,
        })
    }
    fn part(&mut self, depth: usize) -> Option<Part> {
        if depth > DEPTH_MAX {
            return None;
        }
        let (media_type, subtype, encoding) = (self.text()?, self.text()?, self.text()?);
        let parameters = self.parameters()?;
        let (id, description, md5, location) =
            (self.maybe()?, self.maybe()?, self.maybe()?, self.maybe()?);
        let disposition = self.option(|from| {
            Some(Disposition { kind: from.text()?, parameters: from.parameters()? })
        })?;
        let language = self.list(Self::text)?;
        let (header_start, body_start) = (self.number()?, self.number()?);
        let (end, lines) = (self.number()?, self.number()?);
        let body = match self.byte()? {
            0 => PartBody::Leaf,
            1 => PartBody::Multipart(self.list(|from| from.part(depth + 1))?),
            2 => PartBody::Message(Box::new(self.envelope()?), Box::new(self.part(depth + 1)?)),
            _ => return None,
        };
        Some(Part {
            media_type,
            subtype,
            parameters,
            id,
            description,
            encoding,
            md5,
            disposition,
            language,
            location,
            header_start,
            body_start,
            end,
            lines,
            body,
        })
    }
}
