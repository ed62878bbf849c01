//! Whole commands out of octets: lines, literals, limits. RFC 3501 §4.3, RFC 7888.

use super::{Phase, Question, Session, State};
use crate::imap::{COMMAND_BEFORE_LOGIN_MAX, COMMAND_MAX};
use crate::line::{is_http_request, is_tls_handshake};
use crate::machine::Step;

/// Octets of an unwanted literal that are passed over; a client that sends more at us loses its
/// connection.
const SKIPPED_OCTETS_MAX: u64 = 1 << 20;

/// `{n}` or `{n+}` at the end of a line: where it begins, n, and whether the client waits.
pub(super) fn literal(line: &[u8]) -> Option<(usize, u64, bool)> {
    let inner = line.strip_suffix(b"}")?;
    let open = memchr::memrchr(b'{', inner)?;
    let digits = inner.get(open + 1..)?;
    let (digits, waits) = match digits.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (digits, true),
    };
    let fine = !digits.is_empty() && digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit);
    let n = std::str::from_utf8(digits).ok().filter(|_| fine)?.parse().ok()?;
    Some((open, n, waits))
}

impl Session {
    /// The end of the line that begins at `scanned`: where it ends and where the next begins. A
    /// line that ends behind `most` octets of input is as if it had no end, so that it is refused
    /// whether it comes in one piece or in many.
    pub(super) fn line_end(&mut self, most: usize) -> Option<(usize, usize)> {
        let from = self.looked.max(self.scanned);
        let Some(at) = memchr::memchr(b'\n', self.input.get(from..)?) else {
            self.looked = self.input.len();
            return None;
        };
        let at = from + at;
        if at > most {
            return None;
        }
        let end = at - usize::from(at > self.scanned && self.input.get(at - 1) == Some(&b'\r'));
        Some((end, at + 1))
    }

    pub(super) fn most(&self) -> usize {
        match self.state {
            State::NotAuthenticated => COMMAND_BEFORE_LOGIN_MAX,
            _ => COMMAND_MAX,
        }
    }

    /// Looks for one whole command, literals included.
    pub(super) fn command(&mut self) -> Option<Step<Question>> {
        if is_tls_handshake(&self.input) {
            return self.not_imap();
        }
        loop {
            let Some((end, next)) = self.line_end(self.most()) else {
                if self.input.len() > self.most() {
                    self.tag.clear();
                    self.tagged("BAD", "Command line too long");
                    self.bye("Command line too long");
                    return None;
                }
                return Some(Step::Read);
            };
            let line = self.input.get(self.scanned..end).unwrap_or_default();
            if self.scanned == 0 && is_http_request(line) {
                return self.not_imap();
            }
            let Some((open, size, waits)) = literal(line) else {
                self.take_tag();
                if let Some((after, reader)) = self.appends(end) {
                    // CATENATE with nothing but URLs.
                    return self.append_line(&reader, after..end, next);
                }
                let whole = self.input.get(..end).unwrap_or_default().to_vec();
                self.consume(next);
                return self.obey(&whole);
            };
            let open = self.scanned + open;
            self.take_tag();
            if let Some((after, reader)) = self.appends(open)
                && let Some(step) = self.append_literal(&reader, after..open, next, size, waits)
            {
                return step;
            }
            if let Some(step) = self.literal_octets(next, size, waits) {
                return step;
            }
        }
    }

    fn not_imap(&mut self) -> Option<Step<Question>> {
        self.bye("This is a mail server, speak IMAP");
        None
    }

    /// A literal that belongs to the command: asks for it, waits for it, or passes on behind it.
    pub(super) fn literal_octets(
        &mut self,
        next: usize,
        size: u64,
        waits: bool,
    ) -> Option<Option<Step<Question>>> {
        let room = self.most().saturating_sub(next);
        let Some(size) = usize::try_from(size).ok().filter(|size| *size <= room) else {
            return Some(self.refuse_literal(next, size, waits));
        };
        // Whether its octets are here already or not, so that any split of the input is answered
        // the same, and so is `{0}` (users.md I-10).
        if self.continued < next {
            self.continued = next;
            if waits {
                self.go_on("Go ahead");
                self.progress += 1;
            }
        }
        if self.input.len() < next + size {
            return Some(Some(Step::Read));
        }
        self.scanned = next + size;
        None
    }

    fn take_tag(&mut self) {
        let end = memchr::memchr(b' ', &self.input).unwrap_or(0);
        let tag = self.input.get(..end).unwrap_or_default();
        let fine = !tag.is_empty()
            && tag.iter().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\+".contains(b));
        self.tag = if fine { String::from_utf8_lossy(tag).into_owned() } else { String::new() };
    }

    fn refuse_literal(&mut self, next: usize, size: u64, waits: bool) -> Option<Step<Question>> {
        self.consume(next);
        self.phase = Phase::Command;
        self.tagged("BAD", "[TOOBIG] Literal too large");
        if waits {
            return None;
        }
        if size > SKIPPED_OCTETS_MAX {
            self.bye("Literal too large");
        } else {
            self.phase = Phase::Skip { left: size };
        }
        None
    }

    /// Passes over a literal that nobody wants.
    pub(super) fn skip(&mut self, left: u64) -> Option<Step<Question>> {
        let take = self.input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - take as u64;
        self.consume(take);
        self.progress += u64::from(take > 0);
        if left > 0 {
            self.phase = Phase::Skip { left };
            return Some(Step::Read);
        }
        self.phase = Phase::SkipLine;
        None
    }

    /// Passes over the rest of a command, with the literals that its client does not wait for.
    pub(super) fn skip_line(&mut self) -> Option<Step<Question>> {
        let Some((end, next)) = self.line_end(self.most()) else {
            if self.input.len() > self.most() {
                self.bye("Line too long");
                return None;
            }
            return Some(Step::Read);
        };
        let found = literal(self.input.get(..end).unwrap_or_default());
        self.consume(next);
        self.phase = match found {
            Some((_, size, false)) => Phase::Skip { left: size },
            _ => Phase::Command,
        };
        None
    }
}
