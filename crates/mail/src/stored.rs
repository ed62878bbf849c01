//! The stored form of a [`Summary`]: numbers in groups of seven bits, texts behind their length.
//!
//! It can be read where it lies ([`structure`], [`envelope`]), which is what FETCH does: nothing is
//! allocated to show a message of a long listing. [`Summary::decode`] makes the tree of it.

use crate::mime::{Disposition, Part, PartBody};
use crate::summary::{Envelope, EnvelopeAddress, Summary};

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
        let StoredOrder { sent, references, mut from } = order(stored)?;
        let envelope = Envelope::from(&from.envelope()?);
        let references = references.map(<[u8]>::to_vec);
        let summary = Summary { sent, references, envelope, root: Part::default() };
        from.0.is_empty().then_some(summary)
    }

    /// Reads the structure only.
    pub fn decode_structure(stored: &[u8]) -> Option<Summary> {
        let mut from = structure(stored)?;
        let summary = Summary { root: from.tree(0)?, ..Summary::default() };
        from.0.is_empty().then_some(summary)
    }

    /// Reads the stored form; `None` when it is of another version or damaged.
    pub fn decode(stored: &[u8]) -> Option<Summary> {
        let Summary { root, .. } = Summary::decode_structure(stored)?;
        Some(Summary { root, ..Summary::decode_envelope(stored)? })
    }
}

/// The parts of a stored summary, root first. `None` when it is of another version or damaged.
pub fn structure(stored: &[u8]) -> Option<Reader<'_>> {
    Reader(stored.strip_prefix(&[VERSION])?).slice().map(Reader)
}

/// The envelope of a stored summary. `None` when it is of another version or damaged.
pub fn envelope(stored: &[u8]) -> Option<StoredEnvelope<'_>> {
    order(stored)?.from.envelope()
}

/// What SORT and THREAD go by, where it is stored: what stands behind the structure.
pub struct StoredOrder<'a> {
    /// As in [`Summary`].
    pub sent: Option<i64>,
    /// As in [`Summary`].
    pub references: Option<&'a [u8]>,
    /// At the envelope.
    from: Reader<'a>,
}

impl<'a> StoredOrder<'a> {
    /// The subject, and the fields In-Reply-To and Message-ID; the rest is not looked at.
    pub fn heads(mut self) -> [Option<&'a [u8]>; 3] {
        self.from
            .heads()
            .map(|[_, subject, in_reply_to, id]| [subject, in_reply_to, id])
            .unwrap_or_default()
    }
    /// The envelope; an empty one when it is damaged.
    pub fn envelope(mut self) -> StoredEnvelope<'a> {
        self.from.envelope().unwrap_or_default()
    }
}

/// What SORT and THREAD go by. `None` when the summary is of another version or damaged.
pub fn order(stored: &[u8]) -> Option<StoredOrder<'_>> {
    let mut from = Reader(stored.strip_prefix(&[VERSION])?);
    from.slice()?;
    let sent = from.option(|from| from.number())?.map(|n| n as i64);
    Some(StoredOrder { sent, references: from.maybe()?, from })
}

/// An [`Envelope`] where it is stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoredEnvelope<'a> {
    /// Date.
    pub date: Option<&'a [u8]>,
    /// Subject.
    pub subject: Option<&'a [u8]>,
    /// In-Reply-To.
    pub in_reply_to: Option<&'a [u8]>,
    /// Message-ID.
    pub message_id: Option<&'a [u8]>,
    /// From, Sender, Reply-To, To, Cc, Bcc.
    pub lists: [StoredList<'a>; 6],
}

/// Items one behind the other, known to be whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoredList<'a> {
    count: u64,
    items: &'a [u8],
}

/// An [`EnvelopeAddress`] where it is stored.
#[derive(Clone, Copy, Debug)]
pub enum StoredAddress<'a> {
    /// Display name, local part, host.
    Mailbox(Option<&'a [u8]>, &'a [u8], &'a [u8]),
    /// A group begins.
    GroupStart(&'a [u8]),
    /// The group ends.
    GroupEnd,
}

/// A [`Part`] where it is stored, but for what is in it: that follows in the [`Reader`].
#[derive(Clone, Copy, Debug)]
pub struct StoredPart<'a> {
    /// Media type in lower case.
    pub media_type: &'a [u8],
    /// Subtype in lower case.
    pub subtype: &'a [u8],
    /// Content-Transfer-Encoding in lower case.
    pub encoding: &'a [u8],
    /// Content-Type parameters.
    pub parameters: StoredList<'a>,
    /// Content-ID.
    pub id: Option<&'a [u8]>,
    /// Content-Description.
    pub description: Option<&'a [u8]>,
    /// Content-MD5.
    pub md5: Option<&'a [u8]>,
    /// Content-Location.
    pub location: Option<&'a [u8]>,
    /// Content-Disposition and its parameters.
    pub disposition: Option<(&'a [u8], StoredList<'a>)>,
    /// Content-Language.
    pub language: StoredList<'a>,
    /// As in [`Part`]: where the header starts, where the body starts, where it ends, its lines.
    pub extent: [u64; 4],
    /// What follows.
    pub body: StoredBody<'a>,
}

/// What is in a part.
#[derive(Clone, Copy, Debug)]
pub enum StoredBody<'a> {
    /// Octets: nothing follows.
    Leaf,
    /// So many parts follow.
    Multipart(u64),
    /// One part follows: the root of this message.
    Message(StoredEnvelope<'a>),
}

impl StoredPart<'_> {
    /// Octets of the body.
    pub fn octets(&self) -> u64 {
        let [_, start, end, _] = self.extent;
        end.saturating_sub(start)
    }
}

impl<'a> StoredList<'a> {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    fn each<T>(
        self,
        read: impl Fn(&mut Reader<'a>) -> Option<T> + 'a,
    ) -> impl Iterator<Item = T> + 'a {
        let mut from = Reader(self.items);
        (0..self.count).map_while(move |_| read(&mut from))
    }
    /// The items of a list of texts.
    pub fn texts(self) -> impl Iterator<Item = &'a [u8]> {
        self.each(Reader::slice)
    }
    /// The items of a list of parameters.
    pub fn pairs(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.each(Reader::pair)
    }
    /// The items of a list of addresses.
    pub fn addresses(self) -> impl Iterator<Item = StoredAddress<'a>> {
        self.each(Reader::address)
    }
}

impl From<&StoredEnvelope<'_>> for Envelope {
    fn from(stored: &StoredEnvelope<'_>) -> Envelope {
        let owned = |text: Option<&[u8]>| text.map(<[u8]>::to_vec);
        let [from, sender, reply_to, to, cc, bcc] =
            stored.lists.map(|list| list.addresses().map(|address| address.owned()).collect());
        Envelope {
            date: owned(stored.date),
            subject: owned(stored.subject),
            in_reply_to: owned(stored.in_reply_to),
            message_id: owned(stored.message_id),
            from,
            sender,
            reply_to,
            to,
            cc,
            bcc,
        }
    }
}

impl StoredAddress<'_> {
    fn owned(&self) -> EnvelopeAddress {
        match *self {
            StoredAddress::Mailbox(name, local, host) => EnvelopeAddress::Mailbox {
                name: name.map(<[u8]>::to_vec),
                local: local.to_vec(),
                host: host.to_vec(),
            },
            StoredAddress::GroupStart(name) => EnvelopeAddress::GroupStart(name.to_vec()),
            StoredAddress::GroupEnd => EnvelopeAddress::GroupEnd,
        }
    }
}

/// Writes the stored form.
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
        let Envelope { from, sender, reply_to, to, cc, bcc, .. } = envelope;
        for list in [from, sender, reply_to, to, cc, bcc] {
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

/// Reads the stored form. Every call is `None` where it is damaged.
pub struct Reader<'a>(&'a [u8]);

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
        let len = match self.0.split_first()? {
            (len, rest) if *len < 0x80 => {
                self.0 = rest;
                usize::from(*len)
            }
            _ => usize::try_from(self.number()?).ok()?,
        };
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(text)
    }
    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }
    fn maybe(&mut self) -> Option<Option<&'a [u8]>> {
        self.option(Self::slice)
    }
    fn pair(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        Some((self.slice()?, self.slice()?))
    }
    fn address(&mut self) -> Option<StoredAddress<'a>> {
        Some(match self.byte()? {
            0 => StoredAddress::Mailbox(self.maybe()?, self.slice()?, self.slice()?),
            1 => StoredAddress::GroupStart(self.slice()?),
            2 => StoredAddress::GroupEnd,
            _ => return None,
        })
    }
    /// Steps over a list and keeps it for later. Each item takes at least one octet, so a lie about
    /// the count ends soon.
    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<StoredList<'a>> {
        let count = self.number()?;
        let start = self.0;
        for _ in 0..count {
            read(self)?;
        }
        let items = start.get(..start.len() - self.0.len())?;
        Some(StoredList { count, items })
    }
    fn heads(&mut self) -> Option<[Option<&'a [u8]>; 4]> {
        Some([self.maybe()?, self.maybe()?, self.maybe()?, self.maybe()?])
    }
    fn envelope(&mut self) -> Option<StoredEnvelope<'a>> {
        let [date, subject, in_reply_to, message_id] = self.heads()?;
        let mut lists = [StoredList::default(); 6];
        for list in &mut lists {
            *list = self.list(Self::address)?;
        }
        Some(StoredEnvelope { date, subject, in_reply_to, message_id, lists })
    }
    /// The next part. What is in it follows ([`StoredPart::body`]).
    pub fn part(&mut self) -> Option<StoredPart<'a>> {
        Some(StoredPart {
            media_type: self.slice()?,
            subtype: self.slice()?,
            encoding: self.slice()?,
            parameters: self.list(Self::pair)?,
            id: self.maybe()?,
            description: self.maybe()?,
            md5: self.maybe()?,
            location: self.maybe()?,
            disposition: self.option(|from| Some((from.slice()?, from.list(Self::pair)?)))?,
            language: self.list(Self::slice)?,
            extent: [self.number()?, self.number()?, self.number()?, self.number()?],
            body: match self.byte()? {
                0 => StoredBody::Leaf,
                1 => StoredBody::Multipart(self.number()?),
                2 => StoredBody::Message(self.envelope()?),
                _ => return None,
            },
        })
    }
    /// The next part with all that is in it.
    fn tree(&mut self, depth: usize) -> Option<Part> {
        if depth > DEPTH_MAX {
            return None;
        }
        let part = self.part()?;
        let body = match &part.body {
            StoredBody::Leaf => PartBody::Leaf,
            StoredBody::Multipart(count) => PartBody::Multipart(
                (0..*count).map(|_| self.tree(depth + 1)).collect::<Option<Vec<Part>>>()?,
            ),
            StoredBody::Message(envelope) => {
                PartBody::Message(Box::new(envelope.into()), Box::new(self.tree(depth + 1)?))
            }
        };
        let owned = |text: Option<&[u8]>| text.map(<[u8]>::to_vec);
        let pairs = |list: StoredList<'_>| {
            list.pairs().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
        };
        let [header_start, body_start, end, lines] = part.extent;
        Some(Part {
            media_type: part.media_type.to_vec(),
            subtype: part.subtype.to_vec(),
            parameters: pairs(part.parameters),
            id: owned(part.id),
            description: owned(part.description),
            encoding: part.encoding.to_vec(),
            md5: owned(part.md5),
            disposition: part.disposition.map(|(kind, parameters)| Disposition {
                kind: kind.to_vec(),
                parameters: pairs(parameters),
            }),
            language: part.language.texts().map(<[u8]>::to_vec).collect(),
            location: owned(part.location),
            header_start,
            body_start,
            end,
            lines,
            body,
        })
    }
}
