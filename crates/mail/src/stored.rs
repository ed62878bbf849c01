//! The stored form of a [`Summary`]: numbers in groups of seven bits, texts behind their length.
//!
//! It can be read where it lies ([`structure`], [`envelope`]), which is what FETCH does: nothing is
//! allocated to show a message of a long listing. [`Summary::decode`] makes the tree of it.

use crate::mime::{Part, PartBody};
use crate::summary::{Envelope, EnvelopeAddress, Summary};
use crate::varint;

/// Version of the stored form; another version is made anew from the message.
const VERSION: u8 = 3;
/// Parts within parts that are read back.
const DEPTH_MAX: usize = 2 * crate::limits::MIME_DEPTH_MAX + 2;
/// Octets of the greatest number.
const LENGTH_OCTETS_MAX: usize = 10;
/// Nothing given: three empty texts, five options without a value and two empty lists; or four
/// options and six lists.
const NOTHING: [u8; 10] = [0; 10];

impl Summary {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        // Of a large structure no second copy is made; its length goes in front of it later.
        let more = self.envelope.0.len() + self.references.as_ref().map_or(0, Vec::len);
        let mut out = Writer(Vec::with_capacity(octets_at_most(&self.root) + more + 64));
        out.0.extend([0; LENGTH_OCTETS_MAX + 1]);
        out.part(&self.root);
        let mut head = Writer(vec![VERSION]);
        head.number((out.0.len() - LENGTH_OCTETS_MAX - 1) as u64);
        let spare = LENGTH_OCTETS_MAX + 1 - head.0.len();
        out.0.drain(..spare);
        for (slot, octet) in out.0.iter_mut().zip(head.0) {
            *slot = octet;
        }
        out.option(self.sent.as_ref(), |out, sent| out.number(*sent as u64));
        out.maybe(self.references.as_deref());
        out.envelope(&self.envelope);
        out.0
    }

    /// Reads all but the structure from the stored form, which is quicker.
    pub fn decode_envelope(stored: &[u8]) -> Option<Summary> {
        let StoredOrder { sent, references, mut from } = order(stored)?;
        let envelope = Envelope(from.whole(Reader::envelope)?.into());
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredList<'a> {
    count: u64,
    items: &'a [u8],
}

/// An [`EnvelopeAddress`] where it is stored.
#[derive(Clone, Copy, Debug)]
pub enum StoredAddress<'a> {
    /// Display name, route, local part, host.
    Mailbox(Option<&'a [u8]>, Option<&'a [u8]>, &'a [u8], &'a [u8]),
    /// A group begins.
    GroupStart(&'a [u8]),
    /// The group ends.
    GroupEnd,
}

/// What the Content- fields of a part say, where it is stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Content<'a> {
    /// Media type in lower case, `text` if none is given. RFC 2045 §5.
    pub media_type: &'a [u8],
    /// Subtype in lower case.
    pub subtype: &'a [u8],
    /// Content-Transfer-Encoding in lower case, `7bit` if none is given.
    pub encoding: &'a [u8],
    /// Content-Type parameters, names in lower case; continuations are put
    /// together, RFC 2231 otherwise left as it stands.
    pub parameters: StoredList<'a>,
    /// Content-ID.
    pub id: Option<&'a [u8]>,
    /// Content-Description.
    pub description: Option<&'a [u8]>,
    /// Content-MD5.
    pub md5: Option<&'a [u8]>,
    /// Content-Location.
    pub location: Option<&'a [u8]>,
    /// Content-Disposition in lower case, and its parameters. RFC 2183.
    pub disposition: Option<(&'a [u8], StoredList<'a>)>,
    /// Content-Language.
    pub language: StoredList<'a>,
}

/// A [`Part`] where it is stored, but for what is in it: that follows in the [`Reader`].
#[derive(Clone, Copy, Debug)]
pub struct StoredPart<'a> {
    /// Its Content- fields.
    pub content: Content<'a>,
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
    /// How many items are in it.
    pub fn len(&self) -> usize {
        self.count as usize
    }
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
    /// The value of the first parameter of that (lower case) name.
    pub fn parameter(self, name: &[u8]) -> Option<&'a [u8]> {
        self.pairs().find(|(other, _)| *other == name).map(|(_, value)| value)
    }
    /// The items of a list of addresses.
    pub fn addresses(self) -> impl Iterator<Item = StoredAddress<'a>> {
        self.each(Reader::address)
    }
}

/// Items one behind the other as they are stored, with room for more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    count: u64,
    items: Writer,
}

impl List {
    /// What is in it.
    pub fn stored(&self) -> StoredList<'_> {
        StoredList { count: self.count, items: &self.items.0 }
    }
    /// Adds a text.
    pub fn text(&mut self, text: &[u8]) {
        self.count += 1;
        self.items.text(text);
    }
    /// Adds a parameter.
    pub fn pair(&mut self, name: &[u8], value: &[u8]) {
        self.text(name);
        self.items.text(value);
    }
    /// Adds an address.
    pub fn address(&mut self, address: &EnvelopeAddress) {
        self.count += 1;
        let octets = 64
            + match address {
                EnvelopeAddress::Mailbox { name, route, local, host } => {
                    let maybe = |text: &Option<Vec<u8>>| text.as_ref().map_or(0, Vec::len);
                    maybe(name) + maybe(route) + local.len() + host.len()
                }
                EnvelopeAddress::GroupStart(name) => name.len(),
                EnvelopeAddress::GroupEnd => 0,
            };
        // While room is made there are two copies, so none is made for twice as much.
        let items = &mut self.items.0;
        if items.capacity() - items.len() < octets {
            items.reserve_exact(octets.max(items.len() / 4));
        }
        match address {
            EnvelopeAddress::Mailbox { name, route, local, host } => {
                self.items.0.push(if route.is_some() { 3 } else { 0 });
                if let Some(route) = route {
                    self.items.text(route);
                }
                self.items.maybe(name.as_deref());
                self.items.text(local);
                self.items.text(host);
            }
            EnvelopeAddress::GroupStart(name) => {
                self.items.0.push(1);
                self.items.text(name);
            }
            EnvelopeAddress::GroupEnd => self.items.0.push(2),
        }
    }
}

impl<'a> Content<'a> {
    /// Reads what [`Content::packed`] made.
    pub(crate) fn read(packed: &'a [u8]) -> Content<'a> {
        Reader(packed).content().unwrap_or_default()
    }
    /// The stored form.
    pub(crate) fn packed(&self) -> Box<[u8]> {
        let mut out = Writer(Vec::with_capacity(64));
        for text in [self.media_type, self.subtype, self.encoding] {
            out.text(text);
        }
        out.list(self.parameters);
        for text in [self.id, self.description, self.md5, self.location] {
            out.maybe(text);
        }
        out.option(self.disposition, |out, (kind, parameters)| {
            out.text(kind);
            out.list(parameters);
        });
        out.list(self.language);
        out.0.into()
    }
}

impl<'a> StoredEnvelope<'a> {
    /// Reads what [`StoredEnvelope::packed`] made.
    pub(crate) fn read(packed: &'a [u8]) -> StoredEnvelope<'a> {
        Reader(packed).envelope().unwrap_or_default()
    }
    /// The stored form.
    pub(crate) fn packed(&self) -> Envelope {
        let heads = [self.date, self.subject, self.in_reply_to, self.message_id];
        // Exactly: it may be large, and shrinking it would take another copy.
        let texts = heads.iter().map(|text| 1 + text.map_or(0, text_octets)).sum::<usize>();
        let lists = self.lists.iter().map(|list| varint::octets(list.count) + list.items.len());
        let mut out = Writer(Vec::with_capacity(texts + lists.sum::<usize>()));
        for text in heads {
            out.maybe(text);
        }
        for list in self.lists {
            out.list(list);
        }
        Envelope(out.0.into())
    }
}

/// Octets that the stored form of a part and of what is in it has at most.
fn octets_at_most(root: &Part) -> usize {
    let (mut octets, mut left) = (0, vec![root]);
    while let Some(part) = left.pop() {
        let numbers = [part.header_start, part.body_start, part.end, part.lines];
        octets +=
            part.content.len() + numbers.iter().map(|n| varint::octets(*n)).sum::<usize>() + 1;
        match &part.body {
            PartBody::Leaf => {}
            PartBody::Multipart(parts) => {
                octets += varint::octets(parts.len() as u64);
                left.extend(parts);
            }
            PartBody::Message(envelope, root) => {
                octets += envelope.0.len();
                left.push(root);
            }
        }
    }
    octets
}

fn text_octets(text: &[u8]) -> usize {
    varint::octets(text.len() as u64) + text.len()
}

/// Writes the stored form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, n: u64) {
        varint::put(&mut self.0, n);
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
    fn maybe(&mut self, text: Option<&[u8]>) {
        self.option(text, Writer::text);
    }
    fn list(&mut self, list: StoredList<'_>) {
        self.number(list.count);
        self.0.extend_from_slice(list.items);
    }
    /// What was packed; nothing given where it is that of nothing read.
    fn packed(&mut self, packed: &[u8]) {
        self.0.extend_from_slice(if packed.is_empty() { &NOTHING } else { packed });
    }
    fn envelope(&mut self, envelope: &Envelope) {
        self.packed(&envelope.0);
    }
    fn part(&mut self, part: &Part) {
        self.packed(&part.content);
        for n in [part.header_start, part.body_start, part.end, part.lines] {
            self.number(n);
        }
        match &part.body {
            PartBody::Leaf => self.0.push(0),
            PartBody::Multipart(parts) => {
                self.0.push(1);
                self.number(parts.len() as u64);
                for part in parts {
                    self.part(part);
                }
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
        varint::take(&mut self.0)
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
            0 => StoredAddress::Mailbox(self.maybe()?, None, self.slice()?, self.slice()?),
            1 => StoredAddress::GroupStart(self.slice()?),
            2 => StoredAddress::GroupEnd,
            3 => {
                let route = self.slice()?;
                StoredAddress::Mailbox(self.maybe()?, Some(route), self.slice()?, self.slice()?)
            }
            _ => return None,
        })
    }
    /// The octets of what `read` reads.
    fn whole<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<&'a [u8]> {
        let start = self.0;
        read(self)?;
        start.get(..start.len() - self.0.len())
    }
    /// Steps over a list and keeps it for later. Each item takes at least one octet, so a lie about
    /// the count ends soon.
    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<StoredList<'a>> {
        let count = self.number()?;
        let items = self.whole(|from| (0..count).try_for_each(|_| read(from).map(drop)))?;
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
    fn content(&mut self) -> Option<Content<'a>> {
        Some(Content {
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
        })
    }
    fn extent(&mut self) -> Option<[u64; 4]> {
        Some([self.number()?, self.number()?, self.number()?, self.number()?])
    }
    /// The next part. What is in it follows ([`StoredPart::body`]).
    pub fn part(&mut self) -> Option<StoredPart<'a>> {
        Some(StoredPart {
            content: self.content()?,
            extent: self.extent()?,
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
        let content = self.whole(Self::content)?.into();
        let [header_start, body_start, end, lines] = self.extent()?;
        let body = match self.byte()? {
            0 => PartBody::Leaf,
            1 => {
                let parts = (0..self.number()?).map(|_| self.tree(depth + 1));
                PartBody::Multipart(parts.collect::<Option<Vec<Part>>>()?)
            }
            2 => {
                let envelope = Envelope(self.whole(Self::envelope)?.into());
                PartBody::Message(Box::new(envelope), Box::new(self.tree(depth + 1)?))
            }
            _ => return None,
        };
        Some(Part { content, header_start, body_start, end, lines, body })
    }
}
