//! The structure parser: one pass, fed in pieces of any size, never recursive. RFC 2045, RFC 2046.
//!
//! It keeps the header of the part it is in, the first octets of the current line, and the tree; so
//! memory does not depend on the size of the message. Depth, parts and header octets are limited;
//! what lies beyond a limit stays opaque inside the part it is in. Any split of the input gives the
//! same result.

use super::fields::PartFields;
use super::structure::{Part, PartBody};
use crate::header;
use crate::limits::{HEADER_FIELD_OCTETS_MAX, HEADER_OCTETS_MAX, MIME_DEPTH_MAX, MIME_PARTS_MAX};
use crate::summary::{Envelope, Summary};

/// Octets of a body line that are kept: a boundary has at most 70 (RFC 2046 §5.1.1), senders use
/// more.
const BOUNDARY_LINE_MAX: usize = 1024;

/// Makes a [`Summary`] from the octets of a message.
pub struct Parser {
    /// Open parts, outermost first; never empty.
    open: Vec<Open>,
    parts: usize,
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

/// A part whose end is not known yet.
struct Open {
    part: Part,
    fields: PartFields,
    header_octets: usize,
    state: State,
    /// Line breaks before the body.
    breaks_before: u64,
    /// `--` and the boundary, while its delimiters count.
    boundary: Option<Vec<u8>>,
    children: Vec<Part>,
    digest: bool,
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
            parts: 1,
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
        self.open.iter().all(|open| open.state == State::Body && open.boundary.is_none())
    }

    fn skip(&mut self, octets: &[u8]) {
        self.breaks += memchr::memchr_iter(b'\n', octets).count() as u64;
        self.line_start += octets.len() as u64;
        self.previous_break = 0;
        self.after_cr = false;
    }

    fn state(&self) -> State {
        self.open.last().map_or(State::Body, |open| open.state)
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

    /// A header line is complete. `line` holds all lines of the field so far.
    fn header_line(&mut self, content_octets: u64, next: u64) {
        if self.delimiter_in_header(next) {
            return;
        }
        let empty = content_octets == 0;
        let field_octets = self.line.len();
        let field = std::mem::take(&mut self.line);
        let breaks = self.breaks;
        let Some(open) = self.open.last_mut() else { return };
        let kept = open.header_octets + field_octets <= HEADER_OCTETS_MAX;
        if !empty && kept {
            open.header_octets += field_octets;
            open.fields.line(&field);
        }
        if empty {
            open.fields.finish();
            open.part.body_start = next;
            open.breaks_before = breaks;
            open.state = State::Body;
            self.begin_body(next);
        }
    }

    /// A delimiter of an enclosing multipart ends even a header that has no end.
    fn delimiter_in_header(&mut self, next: u64) -> bool {
        if !self.line.starts_with(b"--") {
            return false;
        }
        let found = self.delimiter();
        if found.is_some()
            && let Some(open) = self.open.last_mut()
        {
            open.fields.finish();
            open.part.body_start = self.line_start;
            open.breaks_before = self.breaks - 1;
            open.state = State::Body;
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

    /// Which open multipart the current line delimits, and whether it closes it.
    fn delimiter(&self) -> Option<(usize, bool)> {
        let line = self.line.trim_ascii_end();
        let matches =
            |text: &[u8]| self.open.iter().rposition(|open| open.boundary.as_deref() == Some(text));
        let closing = line.strip_suffix(b"--").and_then(matches).map(|at| (at, true));
        matches(line).map(|at| (at, false)).max(closing)
    }

    fn boundary_line(&mut self, found: Option<(usize, bool)>, next: u64) -> bool {
        let Some((at, closes)) = found else { return false };
        if !closes && self.parts >= MIME_PARTS_MAX {
            return false;
        }
        self.line.clear();
        let end = self.line_start - self.previous_break;
        // Two line breaks belong to the delimiter: the one before it and its own.
        self.close_above(at + 1, end, self.breaks.saturating_sub(2));
        let Some(multipart) = self.open.get_mut(at) else { return false };
        if closes {
            multipart.boundary = None;
            return true;
        }
        let default: &[u8] = if multipart.digest { b"message/rfc822" } else { b"text/plain" };
        self.parts += 1;
        self.open.push(Open::new(next, false, default));
        true
    }

    /// The header of the innermost part is complete: is there something inside its body?
    fn begin_body(&mut self, next: u64) {
        let depth = self.open.len();
        let Some(open) = self.open.last_mut() else { return };
        open.fields.fill(&mut open.part);
        if depth >= MIME_DEPTH_MAX {
            return;
        }
        let part = &open.part;
        if part.media_type == b"multipart" {
            let boundary = part.parameters.iter().find(|(name, _)| name == b"boundary");
            if let Some((_, boundary)) = boundary.filter(|(_, value)| !value.is_empty()) {
                let boundary = boundary.trim_ascii_end();
                open.boundary = Some([b"--", boundary].concat());
                open.digest = part.subtype == b"digest";
            }
        }
        let plain = matches!(part.encoding.as_slice(), b"7bit" | b"8bit" | b"binary");
        let message = matches!(part.subtype.as_slice(), b"rfc822" | b"global" | b"news");
        if part.media_type == b"message" && message && plain && self.parts < MIME_PARTS_MAX {
            self.parts += 1;
            self.open.push(Open::new(next, true, b"text/plain"));
        }
    }

    /// Closes the open parts from `keep` on: their bodies end at `end`.
    fn close_above(&mut self, keep: usize, end: u64, breaks: u64) {
        while self.open.len() > keep.max(1) {
            let Some(open) = self.open.pop() else { return };
            let envelope = open.fields.is_message().then(|| open.fields.envelope());
            let part = open.close(end, breaks);
            let Some(parent) = self.open.last_mut() else { return };
            match envelope {
                Some(envelope) => {
                    parent.part.body = PartBody::Message(Box::new(envelope), Box::new(part));
                }
                None => parent.children.push(part),
            }
        }
    }

    /// The message is complete.
    pub fn finish(mut self) -> Summary {
        let end = self.line_start + self.line_octets;
        if self.state() == State::Header {
            let line = std::mem::take(&mut self.line);
            let depth = self.open.len();
            let found = self.open.last_mut();
            if let Some(open) = found.filter(|_| depth > 0) {
                open.fields.line(&line);
                open.fields.finish();
                open.fields.fill(&mut open.part);
                open.part.body_start = end;
                open.breaks_before = self.breaks;
            }
        } else if self.line.starts_with(b"--") {
            // A delimiter without a line break is one all the same.
            if let Some((at, _)) = self.delimiter() {
                let before = self.line_start - self.previous_break;
                self.close_above(at + 1, before, self.breaks.saturating_sub(1));
            }
        }
        self.close_above(1, end, self.breaks);
        let Some(mut root) = self.open.pop() else { return Summary::default() };
        let references = root.fields.references();
        let envelope: Envelope = root.fields.envelope();
        let sent = envelope.date.as_deref().and_then(crate::date::parse_rfc5322);
        Summary { envelope, root: root.close(end, self.breaks), sent, references }
    }
}

impl Open {
    fn new(start: u64, message: bool, default: &'static [u8]) -> Open {
        Open {
            part: Part { header_start: start, body_start: start, end: start, ..Part::default() },
            fields: PartFields::new(message, default),
            header_octets: 0,
            state: State::Header,
            breaks_before: 0,
            boundary: None,
            children: Vec::new(),
            digest: false,
        }
    }

    fn close(self, end: u64, breaks: u64) -> Part {
        let mut part = self.part;
        part.end = end.max(part.body_start);
        part.lines =
            if part.end > part.body_start { breaks.saturating_sub(self.breaks_before) } else { 0 };
        if !self.children.is_empty() {
            part.body = PartBody::Multipart(self.children);
        } else if part.media_type == b"multipart" {
            // Nothing inside: shown as text, for a multipart of no parts cannot be (users.md I-74).
            part.media_type = b"text".to_vec();
            part.subtype = b"plain".to_vec();
            part.parameters.clear();
        }
        part
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
