//! What the octets of a message are like, where some ways of carrying it want to know.

use crate::flags::FlagBits;

/// Looks at a message that comes in pieces: has its header octets that are not ASCII, and does a
/// line end with something else than CRLF?
#[derive(Clone, Debug, Default)]
pub struct Look {
    found: FlagBits,
    /// The header is over.
    in_body: bool,
    /// Octets of the header line so far, without its LF.
    line_octets: usize,
    /// The first of them is a CR.
    cr_first: bool,
    /// The last octet.
    last: Option<u8>,
}

impl Look {
    /// The next octets.
    pub fn feed(&mut self, piece: &[u8]) {
        let Some(last) = piece.last() else { return };
        if !self.in_body {
            self.header(piece);
        }
        if !self.found.contains(FlagBits::NOT_LINES) && !self.are_lines(piece) {
            self.found = self.found.with(FlagBits::NOT_LINES);
        }
        self.last = Some(*last);
    }

    /// Up to the empty line: the same as `header::octets` takes for the header.
    fn header(&mut self, mut rest: &[u8]) {
        while !self.in_body && !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            if !line.is_ascii() {
                self.found = self.found.with(FlagBits::HEADER_8BIT);
            }
            if self.line_octets == 0 {
                self.cr_first = line.starts_with(b"\r");
            }
            self.line_octets += line.len();
            let Some(end) = end else { return };
            // An empty line has nothing before its LF, or a CR alone.
            self.in_body = self.line_octets == usize::from(self.cr_first);
            (self.line_octets, self.cr_first) = (0, false);
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }

    /// Each CR of the piece goes before an LF, as far as is known, and each LF behind a CR.
    fn are_lines(&self, piece: &[u8]) -> bool {
        let behind = piece.get(1..).unwrap_or_default();
        // Without a branch, so that many octets are compared at once.
        let differ = |first: u8, second: u8| u8::from(first == b'\r') ^ u8::from(second == b'\n');
        let found = piece.iter().zip(behind).fold(0, |found, (a, b)| found | differ(*a, *b));
        let first = piece.first().map_or(0, |first| differ(self.last.unwrap_or(0), *first));
        found | first == 0
    }

    /// What was found: [`FlagBits::HEADER_8BIT`], [`FlagBits::NOT_LINES`].
    pub fn found(&self) -> FlagBits {
        match self.last {
            Some(b'\n') | None => self.found,
            Some(_) => self.found.with(FlagBits::NOT_LINES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_lines_are_looked_at_in_any_split() {
        const NOTHING: FlagBits = FlagBits(0);
        let both = FlagBits::HEADER_8BIT.with(FlagBits::NOT_LINES);
        let cases: [(&str, FlagBits); 14] = [
            ("", NOTHING),
            ("A: b\r\n\r\nc\r\n", NOTHING),
            ("A: b\r\n\r\n\u{fc}\r\n", NOTHING),
            ("\r\nA: \u{fc}\r\n", NOTHING),
            ("A: \u{fc}\r\n\r\nc\r\n", FlagBits::HEADER_8BIT),
            ("A: b\r\nC: d\r\n \u{fc}\r\n", FlagBits::HEADER_8BIT),
            ("A: b\r\n\r\nc", FlagBits::NOT_LINES),
            ("A: b\r\n\r\nc\r", FlagBits::NOT_LINES),
            ("A: b\n\r\nc\r\n", FlagBits::NOT_LINES),
            ("A: b\n\n\u{fc}\r\n", FlagBits::NOT_LINES),
            ("A: b\r\n\r\nc\rd\r\n", FlagBits::NOT_LINES),
            ("A: b\r\n\r\nc\r\r\n", FlagBits::NOT_LINES),
            ("A: b\n\u{fc}", both),
            ("\rA: \u{fc}\r\n", both),
        ];
        for (message, found) in cases {
            for split in [1, 2, 3, 100] {
                let mut look = Look::default();
                message.as_bytes().chunks(split).for_each(|piece| look.feed(piece));
                assert_eq!(look.found(), found, "{message:?} by {split}");
            }
        }
    }
}
