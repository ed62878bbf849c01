//! The structure parser: one pass, fed in pieces of any size, never recursive. RFC 2045, RFC 2046.
//!
//! It keeps the header of the part it is in, the first octets of the current line, and the tree; so
//! memory does not depend on the size of the message. Depth, parts and header octets are limited;
//! what lies beyond a limit stays opaque inside the part it is in. Any split of the input gives the
//! same result.

use super::delimiters::Delimiters;
use super::fields::{HEADER_BUFFER_OCTETS, PartFields};
use super::structure::{Part, PartBody};
use crate::header::{self, params};
use crate::limits::{ADDRESS_OCTETS, ADDRESSES_FREE, HEADER_FIELD_OCTETS_MAX, HEADER_OCTETS_MAX};
use crate::limits::{
    HEADERS_OCTETS_MAX, MIME_DEPTH_MAX, MIME_PART_OCTETS, MIME_PARTS_FREE, MIME_PARTS_MAX,
};
use crate::stored::{Content, StoredList};
use crate::summary::{Envelope, Summary};

/// Octets of a body line that are kept: a boundary has at most 70 (RFC 2046 §5.1.1), senders use
/// more.
const BOUNDARY_LINE_MAX: usize = 1024;

/// Makes a [`Summary`] from the octets of a message.
pub struct Parser {
    /// Open parts, outermost first; never empty.
    open: Vec<Open>,
    /// Those of open multiparts, while they count.
    delimiters: Delimiters,
    parts: usize,
    /// Octets of the headers of all parts so far that were looked at.
    header_octets: usize,
    /// Addresses in all envelopes so far.
    addresses: usize,
    /// References of the message itself.
    references: Option<Vec<u8>>,
    /// The header field or the start of the body line that is being read.
    line: Vec<u8>,
    /// Octets of the current line so far, kept or not.
    line_octets: u64,
    /// Octets up to the start of the current line.
    line_start: u64,
    /// Length of the line break that ended the previous line.
    previous_break: u64,
    /// Line breaks so far.
    breaks: u64,
    /// Where the last octet seen was a carriage return.
    after_cr: bool,
}

/// A part whose end is not known yet. There may be many, so it is small.
struct Open {
    part: Part,
    /// Its header, until that is complete.
    fields: Option<Box<PartFields>>,
    header_octets: usize,
    /// Line breaks before the body.
    breaks_before: u64,
    children: Vec<Part>,
    /// Of a message, once its header is complete.
    envelope: Option<Envelope>,
    digest: bool,
    /// It has a delimiter.
    delimits: bool,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum State {
    Header,
    Body,
}

impl Default for Parser {
    fn default() -> Parser {
        Parser::new()
    }
}

impl Parser {
    /// A parser at the start of a message.
    pub fn new() -> Parser {
        Parser {
            open: vec![Open::new(0, true, b"text/plain")],
            delimiters: Delimiters::default(),
            parts: 1,
            header_octets: 0,
            addresses: 0,
            references: None,
            line: Vec::new(),
            line_octets: 0,
            line_start: 0,
            previous_break: 0,
            breaks: 0,
            after_cr: false,
        }
    }

    /// The next octets of the message.
    pub fn feed(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            if self.line_octets == 0 && self.nothing_to_find() {
                self.skip(octets);
                return;
            }
            let end = memchr::memchr(b'\n', octets).map_or(octets.len(), |at| at + 1);
            let (piece, rest) = octets.split_at(end);
            self.keep(piece);
            self.line_octets += piece.len() as u64;
            if piece.ends_with(b"\n") {
                self.end_line(piece);
            } else {
                self.after_cr = piece.ends_with(b"\r");
            }
            octets = rest;
        }
    }

    /// In the body of a message without multiparts only the line breaks count. The last line is
    /// left for [`Parser::keep`], so that a break at the very end is seen whole.
    fn nothing_to_find(&self) -> bool {
        self.delimiters.is_empty() && self.open.iter().all(|open| open.fields.is_none())
    }

    fn skip(&mut self, octets: &[u8]) {
        self.breaks += memchr::memchr_iter(b'\n', octets).count() as u64;
        self.line_start += octets.len() as u64;
        self.previous_break = 0;
        self.after_cr = false;
    }

    fn state(&self) -> State {
        let in_header = self.open.last().is_some_and(|open| open.fields.is_some());
        if in_header { State::Header } else { State::Body }
    }

    fn keep(&mut self, piece: &[u8]) {
        let most = match self.state() {
            State::Header => HEADER_FIELD_OCTETS_MAX,
            // Lines that cannot be a delimiter are not looked at any further.
            State::Body if self.line.is_empty() && !piece.starts_with(b"-") => return,
            State::Body if self.line.is_empty() && self.line_octets > 0 => return,
            State::Body => BOUNDARY_LINE_MAX,
        };
        let room = most.saturating_sub(self.line.len()).min(piece.len());
        self.line.extend_from_slice(piece.get(..room).unwrap_or_default());
    }

    fn end_line(&mut self, piece: &[u8]) {
        let cr = match piece.len() {
            1 => self.after_cr,
            n => piece.get(n - 2) == Some(&b'\r'),
        };
        self.breaks += 1;
        let break_octets = 1 + u64::from(cr);
        let next = self.line_start + self.line_octets;
        let content_octets = self.line_octets - break_octets;
        match self.state() {
            State::Header => self.header_line(content_octets, next),
            State::Body => self.body_line(next),
        }
        self.line_start = next;
        self.line_octets = 0;
        self.after_cr = false;
        self.previous_break = break_octets;
    }

    /// A header line is complete. `line` holds what is kept of it.
    fn header_line(&mut self, content_octets: u64, next: u64) {
        if self.delimiter_in_header(next) {
            return;
        }
        if content_octets == 0 {
            self.end_header(next, self.breaks);
        } else {
            self.read_header_line();
        }
        self.line.clear();
        self.line.shrink_to(HEADER_BUFFER_OCTETS);
    }

    /// `line` belongs to the header.
    fn read_header_line(&mut self) {
        let room = self.room_for_addresses();
        let Some(open) = self.open.last_mut() else { return };
        let Some(fields) = &mut open.fields else { return };
        let octets = self.line.len();
        let kept = open.header_octets + octets <= HEADER_OCTETS_MAX
            && self.header_octets + octets <= HEADERS_OCTETS_MAX;
        if kept {
            open.header_octets += octets;
            self.header_octets += octets;
            self.addresses += fields.line(&self.line, room);
        }
    }

    /// So many addresses may be read where the current line begins.
    fn room_for_addresses(&self) -> usize {
        let all = ADDRESSES_FREE + (self.line_start / ADDRESS_OCTETS) as usize;
        all.saturating_sub(self.addresses)
    }

    /// Another part may begin where the current line begins.
    fn room_for_part(&self) -> bool {
        let all = MIME_PARTS_FREE + (self.line_start / MIME_PART_OCTETS) as usize;
        self.parts < all.min(MIME_PARTS_MAX)
    }

    /// The header of the innermost part ends at `at`, behind so many line breaks.
    fn end_header(&mut self, at: u64, breaks: u64) {
        let (room, is_root) = (self.room_for_addresses(), self.open.len() == 1);
        let Some(open) = self.open.last_mut() else { return };
        let Some(mut fields) = open.fields.take() else { return };
        self.addresses += fields.finish(room);
        open.part.body_start = at;
        open.breaks_before = breaks;
        open.envelope = fields.envelope();
        if is_root {
            self.references = fields.references();
        }
        self.begin_body(at, fields.content());
    }

    /// The header ends where there is no empty line: at a delimiter, or where the message ends. So
    /// does that of a message which would begin there.
    fn cut_header(&mut self, at: u64, breaks: u64) {
        while self.state() == State::Header {
            self.end_header(at, breaks);
        }
    }

    /// A delimiter of an enclosing multipart ends even a header that has no end.
    fn delimiter_in_header(&mut self, next: u64) -> bool {
        if !self.line.starts_with(b"--") {
            return false;
        }
        let found = self.delimiter();
        if found.is_some() {
            self.cut_header(self.line_start, self.breaks - 1);
        }
        self.boundary_line(found, next)
    }

    fn body_line(&mut self, next: u64) {
        if self.line.starts_with(b"--") {
            let found = self.delimiter();
            self.boundary_line(found, next);
        }
        self.line.clear();
    }

    /// Which open multipart the current line delimits, and whether it closes it. RFC 2046 §5.1.1:
    /// the boundary has to stand at its beginning, whatever follows. Where it begins with several,
    /// the longest counts, of equal ones the innermost.
    fn delimiter(&self) -> Option<(usize, bool)> {
        self.delimiter_of(&self.line)
    }

    fn delimiter_of(&self, line: &[u8]) -> Option<(usize, bool)> {
        if line.trim_ascii_end().len() < 3 {
            // A signature's dashes; no boundary is empty, or ends with a blank.
            return None;
        }
        let (at, octets) = self.delimiters.of(line)?;
        Some((at, line.get(octets..).unwrap_or_default().starts_with(b"--")))
    }

    fn boundary_line(&mut self, found: Option<(usize, bool)>, next: u64) -> bool {
        let Some((at, closes)) = found else { return false };
        if !closes && !self.room_for_part() {
            return false;
        }
        self.line.clear();
        let end = self.line_start - self.previous_break;
        // Two line breaks belong to the delimiter: the one before it and its own.
        self.close_above(at + 1, end, self.breaks.saturating_sub(2));
        let Some(multipart) = self.open.get_mut(at) else { return false };
        if closes {
            multipart.delimits = false;
            self.delimiters.remove(at);
            return true;
        }
        let default: &[u8] = if multipart.digest { b"message/rfc822" } else { b"text/plain" };
        self.parts += 1;
        self.open.push(Open::new(next, false, default));
        true
    }

    /// The header of the innermost part is complete: is there something inside its body?
    fn begin_body(&mut self, next: u64, mut content: Content<'_>) {
        let (depth, room) = (self.open.len(), self.room_for_part());
        let Some(open) = self.open.last_mut() else { return };
        let deep = depth >= MIME_DEPTH_MAX;
        if content.media_type == b"multipart" && !deep {
            // A longer one is longer than what is kept of a line.
            let boundary = boundary(content.parameters);
            if let Some(boundary) = boundary.filter(|text| text.len() + 2 <= BOUNDARY_LINE_MAX) {
                self.delimiters.insert(&boundary, depth - 1);
                open.delimits = true;
            }
            open.digest = content.subtype == b"digest";
        }
        // Whatever its encoding: RFC 2046 §5.2.1 permits none, and a message without an envelope
        // cannot be told (RFC 9051 §9 `body-type-msg`).
        let message =
            content.media_type == b"message" && matches!(content.subtype, b"rfc822" | b"global");
        if message && (deep || !room) {
            // Not taken apart, so it must not be called a message.
            (content.media_type, content.subtype) = (b"application", b"octet-stream");
            content.parameters = StoredList::default();
        }
        open.part.set_content(&content);
        if message && !deep && room {
            self.parts += 1;
            self.open.push(Open::new(next, true, b"text/plain"));
        }
    }

    /// Closes the open parts from `keep` on: their bodies end at `end`.
    fn close_above(&mut self, keep: usize, end: u64, breaks: u64) {
        // The line break before a delimiter is the delimiter's, unless it is that of another one.
        let start = self.open.get(keep.max(1)).map_or(0, |open| open.part.header_start);
        let end = end.max(start);
        while self.open.len() > keep.max(1) {
            let Some(open) = self.open.pop() else { return };
            if open.delimits {
                self.delimiters.remove(self.open.len());
            }
            let (envelope, part) = open.close(end, breaks);
            let Some(parent) = self.open.last_mut() else { return };
            match envelope {
                Some(envelope) => {
                    parent.part.body = PartBody::Message(Box::new(envelope), Box::new(part));
                }
                None => parent.add(part),
            }
        }
    }

    /// The message is complete.
    pub fn finish(mut self) -> Summary {
        let end = self.line_start + self.line_octets;
        let line = std::mem::take(&mut self.line);
        let found = if line.starts_with(b"--") { self.delimiter_of(&line) } else { None };
        if found.is_some() {
            // A delimiter without a line break is one all the same.
            self.cut_header(self.line_start, self.breaks);
            self.breaks += 1;
            self.boundary_line(found, end);
            self.breaks -= 1;
        } else if self.state() == State::Header {
            self.line = line;
            self.read_header_line();
        }
        self.cut_header(end, self.breaks);
        self.close_above(1, end, self.breaks);
        let Some(root) = self.open.pop() else { return Summary::default() };
        let (envelope, root) = root.close(end, self.breaks);
        let envelope = envelope.unwrap_or_default();
        let sent = envelope.read().date.and_then(crate::date::parse_rfc5322);
        Summary { envelope, root, sent, references: self.references }
    }
}

/// The boundary of a multipart, which may come as RFC 2231 §4 has it.
fn boundary(parameters: StoredList<'_>) -> Option<Vec<u8>> {
    let value = |name: &[u8]| {
        let found = parameters.parameter(name).map(<[u8]>::trim_ascii_end);
        found.filter(|value| !value.is_empty())
    };
    match (value(b"boundary"), value(b"boundary*")) {
        (Some(plain), _) => Some(plain.to_vec()),
        (None, Some(extended)) => {
            Some(params::extended(extended)).filter(|value| !value.is_empty())
        }
        (None, None) => None,
    }
}

impl Open {
    fn new(start: u64, message: bool, default: &'static [u8]) -> Open {
        Open {
            part: Part { header_start: start, body_start: start, end: start, ..Part::default() },
            fields: Some(Box::new(PartFields::new(message, default))),
            header_octets: 0,
            breaks_before: 0,
            children: Vec::new(),
            envelope: None,
            digest: false,
            delimits: false,
        }
    }

    /// Adds a part. Room is made for few at a time: while it is made, there are two copies.
    fn add(&mut self, part: Part) {
        let most = self.children.len();
        if most == self.children.capacity() {
            self.children.reserve_exact((most / 4).max(2));
        }
        self.children.push(part);
    }

    fn close(mut self, end: u64, breaks: u64) -> (Option<Envelope>, Part) {
        // Of many multiparts with one part each, room for more would be most of what is kept.
        self.children.shrink_to_fit();
        let mut part = self.part;
        // An empty line that is a delimiter's line break as well is the delimiter's.
        part.header_start = part.header_start.min(end);
        part.body_start = part.body_start.min(end);
        part.end = end;
        part.lines =
            if part.end > part.body_start { breaks.saturating_sub(self.breaks_before) } else { 0 };
        if !self.children.is_empty() {
            part.body = PartBody::Multipart(self.children);
        } else if part.content().media_type == b"multipart" {
            // Nothing inside: shown as text, for a multipart of no parts cannot be (users.md I-74).
            let before = std::mem::take(&mut part.content);
            let parameters = StoredList::default();
            let content = Content::read(&before);
            part.set_content(&Content {
                media_type: b"text",
                subtype: b"plain",
                parameters,
                ..content
            });
        }
        (self.envelope, part)
    }
}

/// Reads a whole message at once.
pub fn summary_of(message: &[u8]) -> Summary {
    let mut parser = Parser::new();
    parser.feed(message);
    parser.finish()
}

/// The header of a message: octets up to and including the empty line.
pub fn header_of(message: &[u8]) -> &[u8] {
    let end = header::octets(message);
    let rest = message.get(end..).unwrap_or_default();
    let blank = if rest.starts_with(b"\r\n") { 2 } else { usize::from(rest.starts_with(b"\n")) };
    message.get(..end + blank).unwrap_or(message)
}
