//! The receiver of message octets after DATA and BDAT, and the writer that sends them.
//!
//! Invariants: nothing but CRLF.CRLF ends DATA (RFC 5321 §4.1.1.4); a bare CR, bare LF or NUL is
//! noted wherever it stands; the writer emits nothing but CRLF lines and stuffs every leading dot.

/// What to do with bare line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// The message is refused.
    Refuse,
    /// They become CRLF: for those who logged in (users.md S-02).
    Repair,
}

/// Takes dot-stuffed lines apart.
#[derive(Debug)]
pub struct DataReader {
    state: State,
    bare: Bare,
    /// The message had a bare CR or LF or a NUL, and is to be refused.
    pub tainted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    Dot,
    DotCr,
    Text,
    Cr,
}

impl DataReader {
    /// At the start of a message.
    pub fn new(bare: Bare) -> DataReader {
        DataReader { state: State::LineStart, bare, tainted: false }
    }

    /// Reads from `input`, adds message octets to `out`; returns how many octets were used and
    /// whether the message ended with them.
    pub fn read(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, bool) {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if self.state == State::Text {
                let rest = input.get(at..).unwrap_or_default();
                let run = memchr::memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
                out.extend_from_slice(rest.get(..run).unwrap_or_default());
                at += run;
                if run == rest.len() {
                    break;
                }
                at += 1;
                self.special(rest.get(run).copied().unwrap_or(0), out);
                continue;
            }
            at += 1;
            if self.state == State::DotCr && byte == b'\n' {
                return (at, true);
            }
            self.step(byte, out);
        }
        (at, false)
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        match (self.state, byte) {
            (State::LineStart, b'.') => self.state = State::Dot,
            (State::Dot, b'\r') => self.state = State::DotCr,
            (State::Cr, b'\n') => {
                out.extend_from_slice(b"\r\n");
                self.state = State::LineStart;
            }
            (State::Cr | State::DotCr, _) => {
                self.bare_break(b'\r', out);
                if self.state == State::LineStart && byte == b'.' {
                    // A repaired break: the dot is text, it was not stuffed.
                    out.push(b'.');
                    self.state = State::Text;
                } else {
                    self.special_or_text(byte, out);
                }
            }
            (_, byte) => self.special_or_text(byte, out),
        }
    }

    fn special_or_text(&mut self, byte: u8, out: &mut Vec<u8>) {
        if matches!(byte, b'\r' | b'\n' | 0) {
            self.special(byte, out);
        } else {
            out.push(byte);
            self.state = State::Text;
        }
    }

    fn special(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'\r' => self.state = State::Cr,
            b'\n' => self.bare_break(b'\n', out),
            _ => {
                self.tainted |= self.bare == Bare::Refuse;
                out.push(byte);
                self.state = State::Text;
            }
        }
    }

    fn bare_break(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.bare {
            Bare::Refuse => {
                self.tainted = true;
                out.push(byte);
                self.state = State::Text;
            }
            Bare::Repair => {
                out.extend_from_slice(b"\r\n");
                // Never a place where a lone dot could end the message.
                self.state = State::Text;
            }
        }
    }
}

/// Looks for bare CR, bare LF and NUL in octets that come in pieces (BDAT).
#[derive(Debug, Default)]
pub struct BareCheck {
    after_cr: bool,
    /// There was one.
    pub tainted: bool,
}

impl BareCheck {
    /// The next octets.
    pub fn feed(&mut self, octets: &[u8]) {
        for byte in octets {
            let lone = (self.after_cr != (*byte == b'\n')) || *byte == 0;
            self.tainted |= lone;
            self.after_cr = *byte == b'\r';
        }
    }
    /// There are no more octets.
    pub fn finish(&mut self) {
        self.tainted |= std::mem::take(&mut self.after_cr);
    }
}

/// Writes a message for DATA: CRLF lines only, leading dots doubled. RFC 5321 §4.5.2.
#[derive(Debug)]
pub struct DataWriter {
    line_start: bool,
    after_cr: bool,
}

impl Default for DataWriter {
    fn default() -> DataWriter {
        DataWriter { line_start: true, after_cr: false }
    }
}

impl DataWriter {
    /// The next octets of the message.
    pub fn write(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let mut rest = octets;
        while let Some((&byte, after)) = rest.split_first() {
            if self.after_cr && byte != b'\n' {
                self.end_line(out);
            }
            if self.line_start && byte == b'.' {
                out.push(b'.');
            }
            match byte {
                b'\r' => self.after_cr = true,
                b'\n' => self.end_line(out),
                _ => {
                    let run = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                    let whole = rest.get(run..).is_some_and(|end| end.starts_with(b"\r\n"));
                    let taken = if whole { run + 2 } else { run };
                    out.extend_from_slice(rest.get(..taken).unwrap_or_default());
                    self.line_start = whole;
                    rest = rest.get(taken..).unwrap_or_default();
                    continue;
                }
            }
            rest = after;
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        (self.line_start, self.after_cr) = (true, false);
    }

    /// The end of the message, with its final dot.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        if self.after_cr || !self.line_start {
            self.end_line(out);
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], split: usize, bare: Bare) -> (Vec<u8>, Option<usize>, bool) {
        let mut reader = DataReader::new(bare);
        let (mut out, mut used) = (Vec::new(), 0);
        for piece in bytes.chunks(split) {
            let (n, ended) = reader.read(piece, &mut out);
            used += n;
            if ended {
                return (out, Some(used), reader.tainted);
            }
        }
        (out, None, reader.tainted)
    }

    #[test]
    fn messages_end_at_crlf_dot_crlf_only() {
        for split in [1, 2, 3, 5, 100] {
            let stuffed = b"a\r\n..b\r\n.\r\nNEXT";
            assert_eq!(
                read(stuffed, split, Bare::Refuse),
                (b"a\r\n.b\r\n".to_vec(), Some(11), false)
            );
            assert_eq!(read(b".\r\n", split, Bare::Refuse), (Vec::new(), Some(3), false));
            for smuggled in [
                &b"a\n.\nMAIL"[..],
                b"a\n.\r\nMAIL",
                b"a\r.\rMAIL",
                b"a\r\n.\nMAIL",
                b"a\r\n.\rMAIL",
                b"a\r.\r\nMAIL",
                b"a\r\n\0.\r\nMAIL",
                b"a\r\n.\r\r\nMAIL",
                b"a\r\r\n.\nM",
                b"a\n\r.\n\rM",
            ] {
                for bare in [Bare::Refuse, Bare::Repair] {
                    let (_, end, tainted) = read(smuggled, split, bare);
                    assert_eq!(end, None, "{:?}", String::from_utf8_lossy(smuggled));
                    assert_eq!(tainted, bare == Bare::Refuse);
                }
            }
            let repaired = read(b"a\nb\rc\r\n.\r\n", split, Bare::Repair);
            assert_eq!(repaired, (b"a\r\nb\r\nc\r\n".to_vec(), Some(10), false));
        }
    }

    #[test]
    fn what_is_written_reads_back_as_one_message() {
        for message in [
            &b""[..],
            b".",
            b"..\r\n",
            b"a\n.\nb",
            b"a\r.\r\nb",
            b"\r\n.\r\n",
            b"x\r",
            b"\n\n",
            b"a\r\n.b",
        ] {
            for split in [1, 2, 100] {
                let mut writer = DataWriter::default();
                let mut wire = Vec::new();
                message.chunks(split).for_each(|piece| writer.write(piece, &mut wire));
                writer.finish(&mut wire);
                let (read, end, tainted) = read(&wire, 3, Bare::Refuse);
                assert_eq!((end, tainted), (Some(wire.len()), false), "{message:?}");
                let lines = |m: &[u8]| {
                    let text = String::from_utf8_lossy(m).replace("\r\n", "\n").replace('\r', "\n");
                    text.trim_end_matches('\n').to_owned()
                };
                assert_eq!(lines(&read), lines(message));
            }
        }
    }

    #[test]
    fn bare_octets_in_chunks_are_seen() {
        for (octets, tainted) in [
            (&b"a\r\nb\r\n"[..], false),
            (b"a\nb", true),
            (b"a\rb", true),
            (b"a\r", true),
            (b"a\0", true),
            (b"\r\r\n", true),
            (b"", false),
        ] {
            for split in [1, 2, 100] {
                let mut check = BareCheck::default();
                octets.chunks(split).for_each(|piece| check.feed(piece));
                check.finish();
                assert_eq!(check.tainted, tainted, "{octets:?}");
            }
        }
    }
}
