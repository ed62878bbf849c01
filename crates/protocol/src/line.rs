//! Lines that end in CRLF, out of bytes in any split. RFC 5321 §2.3.8.
//!
//! Invariant: only CRLF ends a line; a bare CR or LF is told, never taken for an end.

/// These octets begin with a TLS record that shakes hands: its client takes the port for one where
/// TLS comes first. No line of any protocol begins so.
pub fn is_tls_handshake(octets: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    octets.first() == Some(&HANDSHAKE)
}

/// The line begins an HTTP request, so its client is a browser or another program's puppet:
/// `GET / HTTP/1.1`. Its methods are those of RFC 9110 §9.3 and RFC 5789, with the preface of
/// RFC 9113 §3.4; its target is a path, `*`, or has a colon (RFC 9112 §3.2). A command of IMAP
/// behind a tag `GET` has none of these, so it is no request.
pub fn is_http_request(line: &[u8]) -> bool {
    let mut words = line.split(|&octet| octet == b' ');
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    HTTP_METHODS.iter().any(|known| method.eq_ignore_ascii_case(known))
        && (target == b"*" || target.starts_with(b"/") || target.contains(&b':'))
}

const HTTP_METHODS: [&[u8]; 10] = [
    b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH", b"PRI",
];

/// What the buffer holds next.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line, without its CRLF.
    Whole(Vec<u8>),
    /// Not yet a whole line.
    Partial,
    /// Longer than the limit; it is dropped up to its end.
    TooLong,
    /// A CR or LF that stands alone.
    Bare,
}

/// Bytes received and not used yet.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    /// Octets at the front that are used already.
    used: usize,
    /// In the middle of a line that is too long.
    dropping: bool,
}

impl Input {
    /// More bytes from the peer.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.used > 0 && self.used == self.bytes.len() {
            self.bytes.clear();
            self.used = 0;
        } else if self.used > 16 * 1024 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// What is not used yet.
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.used..).unwrap_or_default()
    }

    /// What comes instead of a line is a TLS handshake.
    pub fn is_tls_handshake(&self) -> bool {
        !self.dropping && is_tls_handshake(self.rest())
    }

    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    /// These octets are used.
    pub fn consume(&mut self, octets: usize) {
        self.used = (self.used + octets).min(self.bytes.len());
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Input::default();
    }

    /// The next line of at most `most` octets. Of a line that is longer and has a bare CR or LF,
    /// what comes first counts, so that no split of the input changes anything.
    pub fn line(&mut self, most: usize) -> Line {
        if self.dropping {
            return self.drop_line();
        }
        let rest = self.rest();
        match memchr::memchr2(b'\r', b'\n', rest) {
            None if rest.len() > most => self.drop_line(),
            Some(at) if at > most => self.drop_line(),
            None => Line::Partial,
            Some(at) => match (rest.get(at), rest.get(at + 1)) {
                (Some(b'\r'), None) => Line::Partial,
                (Some(b'\r'), Some(b'\n')) => {
                    let line = rest.get(..at).unwrap_or_default().to_vec();
                    self.consume(at + 2);
                    Line::Whole(line)
                }
                _ => Line::Bare,
            },
        }
    }

    /// Drops octets up to the end of the line.
    fn drop_line(&mut self) -> Line {
        let rest = self.rest();
        if let Some(at) = memchr::memmem::find(rest, b"\r\n") {
            self.consume(at + 2);
            self.dropping = false;
            return Line::TooLong;
        }
        // A CR at the very end may belong to the CRLF.
        let octets = rest.len() - usize::from(rest.ends_with(b"\r"));
        self.dropping = true;
        self.consume(octets);
        Line::Partial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], split: usize) -> Vec<Line> {
        let mut input = Input::default();
        let mut lines = Vec::new();
        for piece in bytes.chunks(split) {
            input.receive(piece);
            loop {
                match input.line(10) {
                    Line::Partial => break,
                    Line::Bare => {
                        lines.push(Line::Bare);
                        return lines;
                    }
                    line => lines.push(line),
                }
            }
        }
        lines
    }

    #[test]
    fn an_http_request_is_told_from_commands() {
        for line in [
            "GET / HTTP/1.1",
            "get /",
            "POST /submit?x=1 HTTP/1.0",
            "CONNECT 192.0.2.1:25 HTTP/1.1",
            "GET http://mail.example.org/ HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "PRI * HTTP/2.0",
            "DELETE /\u{fc}",
        ] {
            assert!(is_http_request(line.as_bytes()), "{line}");
        }
        for line in [
            "",
            "GET",
            "GET ",
            "GET NOOP",
            "POST UID FETCH 1:* FLAGS",
            "a GET / HTTP/1.1",
            "GETS /",
        ] {
            assert!(!is_http_request(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn only_crlf_ends_a_line_in_any_split() {
        for split in 1..40 {
            let text = b"EHLO x\r\n\r\n0123456789abc\r\n0123456789\r\n01234567890\r\nNOOP\r\n";
            let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
            assert_eq!(
                all(text, split),
                [
                    whole("EHLO x"),
                    whole(""),
                    Line::TooLong,
                    whole("0123456789"),
                    Line::TooLong,
                    whole("NOOP")
                ]
            );
            assert_eq!(all(b"a\nb\r\n", split), [Line::Bare]);
            assert_eq!(all(b"a\rb\r\n", split), [Line::Bare]);
        }
    }
}
