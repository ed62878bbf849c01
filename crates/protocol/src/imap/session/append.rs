//! APPEND and REPLACE: messages pass through in pieces and are never held. RFC 3501 §6.3.11,
//! RFC 3502, RFC 4469, RFC 8508.

use super::framing::literal;
use super::{Asked, Phase, Question, Session, State};
use crate::imap::command::append::{Ends, Reader};
use crate::machine::Step;
use std::ops::Range;

/// Octets of a message that are handed on at once.
const PIECE_OCTETS: usize = 64 * 1024;

impl Session {
    /// Whether the command that the input begins with is APPEND or REPLACE: where its arguments
    /// begin, and what reads them.
    pub(super) fn appends(&self, end: usize) -> Option<(usize, Reader)> {
        if self.tag.is_empty() {
            return None;
        }
        let start = self.tag.len() + 1;
        let text = self.input.get(start..end)?;
        let verbs = [
            ("APPEND ", Reader::append()),
            ("REPLACE ", Reader::replace(false)),
            ("UID REPLACE ", Reader::replace(true)),
        ];
        let begins = |verb: &str| {
            text.get(..verb.len()).is_some_and(|t| t.eq_ignore_ascii_case(verb.as_bytes()))
        };
        verbs
            .into_iter()
            .find(|(verb, _)| begins(verb))
            .map(|(verb, reader)| (start + verb.len(), reader))
    }

    /// A literal follows the text at `text`. `None` when it is no message but belongs to the text.
    pub(super) fn append_literal(
        &mut self,
        reader: &Reader,
        text: Range<usize>,
        next: usize,
        size: u64,
        waits: bool,
    ) -> Option<Option<Step<Question>>> {
        let text = self.input.get(text).unwrap_or_default();
        let (pieces, reader) = match reader.read(text, Ends::Literal, self.enabled.charset()) {
            Ok(None) => return None,
            Ok(Some(read)) => read,
            Err(bad) => {
                self.consume(next);
                self.phase = Phase::Command;
                self.tagged("BAD", &format!("Expected {}", bad.0));
                if !waits {
                    self.phase = Phase::Skip { left: size };
                }
                return Some(None);
            }
        };
        self.consume(next);
        let refusal = if self.state == State::NotAuthenticated {
            Some(("BAD", "Log in first"))
        } else if size > self.offer.message_octets() {
            Some(("NO", "[TOOBIG] The message is larger than this server takes"))
        } else {
            None
        };
        if let Some((verdict, text)) = refusal {
            self.phase = Phase::Command;
            self.tagged(verdict, text);
            if !waits {
                self.phase = Phase::Skip { left: size };
            }
            return Some(None);
        }
        let asked = Asked::Append { size, waits, reader };
        Some(Some(self.ask(asked, Question::Append(pieces, size))))
    }

    /// Text after a message: the end, another message, or another part of it.
    pub(super) fn append_text(&mut self, reader: &Reader) -> Option<Step<Question>> {
        loop {
            let Some((end, next)) = self.line_end(self.most()) else {
                if self.input.len() > self.most() {
                    self.bye("Line too long");
                    return None;
                }
                return Some(Step::Read);
            };
            let line = self.input.get(self.scanned..end).unwrap_or_default();
            if let Some((open, size, waits)) = literal(line) {
                let open = self.scanned + open;
                if let Some(step) = self.append_literal(reader, 0..open, next, size, waits) {
                    return step;
                }
                match self.literal_octets(next, size, waits) {
                    Some(step) => return step,
                    None => continue,
                }
            }
            return self.append_line(reader, 0..end, next);
        }
    }

    /// Text up to the end of the command.
    pub(super) fn append_line(
        &mut self,
        reader: &Reader,
        text: Range<usize>,
        next: usize,
    ) -> Option<Step<Question>> {
        let text = self.input.get(text).unwrap_or_default();
        let read = reader.read(text, Ends::Line, self.enabled.charset());
        self.consume(next);
        self.phase = Phase::Command;
        match read {
            Ok(_) if self.state == State::NotAuthenticated => self.tagged("BAD", "Log in first"),
            Ok(Some((pieces, _))) => {
                return Some(self.ask(Asked::Command, Question::AppendEnd(pieces)));
            }
            Ok(None) => self.tagged("BAD", "Expected a literal"),
            Err(bad) => self.tagged("BAD", &format!("Expected {}", bad.0)),
        }
        None
    }

    /// Hands on octets of a message.
    pub(super) fn message(&mut self, left: u64, reader: Reader) -> Option<Step<Question>> {
        if left == 0 {
            self.phase = Phase::Append(reader);
            return None;
        }
        if self.input.is_empty() {
            return Some(Step::Read);
        }
        let wanted = usize::try_from(left).unwrap_or(PIECE_OCTETS).min(PIECE_OCTETS);
        let take = self.input.len().min(wanted);
        let piece = self.input.get(..take).unwrap_or_default().to_vec();
        self.consume(take);
        self.progress += 1;
        self.phase = Phase::Message { left: left - take as u64, reader };
        Some(Step::Body(piece))
    }
}
