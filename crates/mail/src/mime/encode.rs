//! Encodes what a way cannot carry: binary parts become base64 or quoted-printable, 8-bit parts
//! too where only 7 bits go through. RFC 2045 §6, RFC 3030 §3, RFC 6152 §3.
//!
//! Without I/O: [`Plan`] looks at each part once and says which octets are replaced, [`Rewrite`]
//! makes the new message from the old one, both from ranges that the caller reads. Invariants: no
//! information is lost, nothing is encoded twice, and what a signature covers stays as it is.

use super::fields::PartFields;
use super::structure::{Part, PartBody};
use crate::header;
use crate::limits::{HEADER_OCTETS_MAX, LINE_OCTETS_MAX};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::ops::Range;

/// What a way can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// Lines of ASCII. RFC 2045 §2.7.
    SevenBit,
    /// Lines of any octets but NUL. RFC 2045 §2.8.
    EightBit,
    /// Any octets but NUL, also without line breaks: strings of IMAP. RFC 3501 §9.
    NoNul,
}

/// Why a message cannot be encoded, for a reply or a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unconvertible(pub &'static str);

/// What octets that come in pieces have in them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Findings {
    /// Octets above 127.
    pub eight_bit: bool,
    /// NUL, a bare CR or LF, or a line of more than 998 octets: what is no text. RFC 2045 §2.9.
    pub binary: bool,
    /// NUL.
    pub nul: bool,
    line: usize,
    after_cr: bool,
}

impl Findings {
    /// The next octets.
    pub fn feed(&mut self, octets: &[u8]) {
        self.eight_bit |= !octets.is_ascii();
        self.nul |= octets.contains(&0);
        for byte in octets {
            self.binary |= *byte == 0 || self.after_cr != (*byte == b'\n');
            self.after_cr = *byte == b'\r';
            self.line = if *byte == b'\n' { 0 } else { self.line + 1 };
            // The carriage return counts in `line`.
            self.binary |= self.line > LINE_OCTETS_MAX + usize::from(self.after_cr);
        }
    }

    /// There are no more.
    pub fn finish(mut self) -> Findings {
        self.binary |= self.after_cr;
        self
    }

    fn needs_coding(&self, carries: Carries) -> bool {
        match carries {
            Carries::NoNul => self.nul,
            Carries::EightBit => self.binary,
            Carries::SevenBit => self.binary || self.eight_bit,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Base64,
    QuotedPrintable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    /// These octets instead.
    Octets(Vec<u8>),
    /// The same, encoded.
    Encoded(Coding),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Edit {
    range: Range<u64>,
    change: Change,
}

/// Which octets of a message are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    edits: Vec<Edit>,
    end: u64,
}

/// A part that is to be looked at: whether it is the message, and whether a signature covers it.
struct Waiting<'a> {
    part: &'a Part,
    message: bool,
    signed: bool,
}

/// RFC 1847 §2.1: nobody on the way may change what is signed.
const SIGNED: Unconvertible = Unconvertible("a signed part cannot be encoded anew");
/// Octets that are read at once.
const PIECE: u64 = 64 * 1024;

impl Plan {
    /// Looks at the message whose structure is `root`. `read` gives the octets of a range.
    pub fn make<E>(
        root: &Part,
        carries: Carries,
        mut read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
    ) -> Result<Result<Plan, Unconvertible>, E> {
        let mut plan = Plan { edits: Vec::new(), end: root.end };
        let mut waiting = vec![Waiting { part: root, message: true, signed: false }];
        while let Some(Waiting { part, message, signed }) = waiting.pop() {
            let coding = match &part.body {
                PartBody::Multipart(children) => {
                    let kind = part.content().subtype;
                    let signed = signed || kind == b"signed" || kind == b"encrypted";
                    let children = children.iter().rev();
                    waiting.extend(children.map(|part| Waiting { part, message: false, signed }));
                    None
                }
                PartBody::Message(_, inner) => {
                    waiting.push(Waiting { part: inner, message: true, signed });
                    None
                }
                PartBody::Leaf => {
                    let found = look(part.body_start..part.end, &mut read)?;
                    if !found.needs_coding(carries) {
                        None
                    } else if signed {
                        return Ok(Err(SIGNED));
                    } else {
                        match coding_of(part) {
                            Ok(coding) => Some(coding),
                            Err(why) => return Ok(Err(why)),
                        }
                    }
                }
            };
            // A label may say more than there is, and must where a signature covers it.
            let label = if signed { None } else { label(part, coding, carries) };
            if label.is_none() && carries != Carries::SevenBit {
                continue;
            }
            let range = part.header_start..part.body_start;
            if range.end - range.start > HEADER_OCTETS_MAX as u64 {
                return Ok(Err(Unconvertible("the header of a part is too long")));
            }
            let old = read(range.clone())?;
            let ascii = carries != Carries::SevenBit || old.is_ascii();
            if signed && !ascii {
                return Ok(Err(SIGNED));
            }
            let mut new = if ascii { old.clone() } else { header::in_ascii(&old) };
            if let Some(label) = label {
                new = relabelled(&new, label, message, coding.is_some());
            }
            if new != old {
                plan.edits.push(Edit { range, change: Change::Octets(new) });
            }
            if let Some(coding) = coding {
                let range = part.body_start..part.end;
                plan.edits.push(Edit { range, change: Change::Encoded(coding) });
            }
        }
        Ok(Ok(plan))
    }

    /// Changes the header of the message, whose octets now are at `range`, once more: `change` gets
    /// it as it is to be by now. `old` is what is there.
    pub fn change_header(
        &mut self,
        range: Range<u64>,
        old: Vec<u8>,
        change: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) {
        let mut now = old;
        if let Some(first) = self.edits.first().filter(|edit| edit.range == range)
            && let Change::Octets(octets) = &first.change
        {
            now = octets.clone();
            self.edits.remove(0);
        }
        self.edits.insert(0, Edit { range, change: Change::Octets(change(now)) });
    }

    /// It replaces something.
    pub fn changes(&self) -> bool {
        !self.edits.is_empty()
    }

    /// A message of so many octets stays as it is.
    pub fn nothing(octets: u64) -> Plan {
        Plan { edits: Vec::new(), end: octets }
    }
}

fn look<E>(
    range: Range<u64>,
    read: &mut impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
) -> Result<Findings, E> {
    let mut found = Findings::default();
    let mut at = range.start;
    while at < range.end {
        let to = range.end.min(at + PIECE);
        found.feed(&read(at..to)?);
        at = to;
    }
    Ok(found.finish())
}

/// How a leaf is encoded: text so that it stays readable.
fn coding_of(part: &Part) -> Result<Coding, Unconvertible> {
    let content = part.content();
    let plain = matches!(content.encoding, b"7bit" | b"8bit" | b"binary");
    if !plain {
        return Err(Unconvertible("a part is not what its Content-Transfer-Encoding says"));
    }
    match content.media_type {
        b"text" => Ok(Coding::QuotedPrintable),
        // RFC 2046 §5.2: these may not be encoded; RFC 6532 §3.7: these may.
        b"message" if content.subtype.starts_with(b"global") => Ok(Coding::Base64),
        b"message" => Err(Unconvertible("a message inside the message cannot be encoded")),
        b"multipart" => Err(Unconvertible("a multipart is broken or too deep")),
        _ => Ok(Coding::Base64),
    }
}

/// The Content-Transfer-Encoding that a part needs, if another than it has.
fn label(part: &Part, coding: Option<Coding>, carries: Carries) -> Option<&'static str> {
    match (coding, carries) {
        (Some(Coding::Base64), _) => Some("base64"),
        (Some(Coding::QuotedPrintable), _) => Some("quoted-printable"),
        (None, Carries::SevenBit) if matches!(part.content().encoding, b"8bit" | b"binary") => {
            Some("7bit")
        }
        (None, Carries::EightBit) if part.content().encoding == b"binary" => Some("8bit"),
        (None, _) => None,
    }
}

/// The header with another Content-Transfer-Encoding, and with the fields that make a message of
/// old one of MIME (RFC 1428 §3 has the name of its charset). A leaf that says it is a multipart
/// has no parts and is text; encoded, it could have some.
fn relabelled(header: &[u8], label: &str, message: bool, leaf: bool) -> Vec<u8> {
    let has = |name: &[u8]| header::fields(header).any(|f| f.name.eq_ignore_ascii_case(name));
    let mut out = Vec::with_capacity(header.len() + 64);
    for field in header::fields(header) {
        let named = |name: &[u8]| field.name.eq_ignore_ascii_case(name);
        if leaf && named(b"Content-Type") && is_multipart(field.raw) {
            out.extend_from_slice(b"Content-Type: text/plain\r\n");
        } else if !named(b"Content-Transfer-Encoding") {
            out.extend_from_slice(field.raw);
        }
    }
    if message && !has(b"MIME-Version") {
        out.extend_from_slice(b"MIME-Version: 1.0\r\n");
        if !has(b"Content-Type") {
            out.extend_from_slice(b"Content-Type: text/plain; charset=unknown-8bit\r\n");
        }
    }
    out.extend_from_slice(format!("Content-Transfer-Encoding: {label}\r\n\r\n").as_bytes());
    out
}

/// A Content-Type field that names a multipart.
fn is_multipart(raw: &[u8]) -> bool {
    let mut fields = PartFields::new(false, b"text/plain");
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        fields.line(line, 0);
    }
    fields.finish(0);
    fields.content().media_type == b"multipart"
}

/// Makes the new message.
#[derive(Clone, Debug)]
pub struct Rewrite {
    plan: Plan,
    /// The edit that is next, or under way.
    next: usize,
    at: u64,
    encoder: Option<Encoder>,
}

impl Rewrite {
    /// By a plan, of a message from its first octet on.
    pub fn new(plan: Plan) -> Rewrite {
        Rewrite { plan, next: 0, at: 0, encoder: None }
    }

    /// The octets of the old message to give next; `None` when the new one is complete.
    pub fn wants(&self) -> Option<Range<u64>> {
        let edit = self.plan.edits.get(self.next);
        let end = match edit {
            Some(edit) if self.at < edit.range.start => edit.range.start,
            Some(edit) => edit.range.end,
            None => self.plan.end,
        };
        let more = self.at < self.plan.end || edit.is_some();
        more.then(|| self.at..end.min(self.at + PIECE))
    }

    /// Takes the octets that were wanted, and adds what stands for them to `out`.
    pub fn give(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        self.at += octets.len() as u64;
        let Some(edit) = self.plan.edits.get(self.next) else {
            out.extend_from_slice(octets);
            return;
        };
        if self.at <= edit.range.start && !octets.is_empty() {
            out.extend_from_slice(octets);
            return;
        }
        if let Change::Encoded(coding) = edit.change {
            let encoder = self.encoder.get_or_insert_with(|| Encoder::new(coding));
            octets.iter().for_each(|byte| encoder.push(*byte, out));
        }
        if self.at < edit.range.end {
            return;
        }
        if let Change::Octets(new) = &edit.change {
            out.extend_from_slice(new);
        }
        if let Some(encoder) = self.encoder.take() {
            encoder.finish(self.at == self.plan.end, out);
        }
        self.next += 1;
    }
}

#[derive(Clone, Debug)]
enum Encoder {
    /// The octets of a line of base64 that is not complete.
    Base64(Vec<u8>),
    QuotedPrintable {
        column: usize,
        /// A carriage return or blank whose form depends on what follows.
        held: Option<u8>,
    },
}

/// Octets that make a line of 76 characters of base64. RFC 2045 §6.8.
const BASE64_LINE: usize = 57;
/// Characters of a line of quoted-printable, without the `=` at its end. RFC 2045 §6.7.
const QUOTED_LINE: usize = 75;

impl Encoder {
    fn new(coding: Coding) -> Encoder {
        match coding {
            Coding::Base64 => Encoder::Base64(Vec::with_capacity(BASE64_LINE)),
            Coding::QuotedPrintable => Encoder::QuotedPrintable { column: 0, held: None },
        }
    }

    fn push(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self {
            Encoder::Base64(line) => {
                line.push(byte);
                if line.len() == BASE64_LINE {
                    base64_line(line, out);
                    line.clear();
                }
            }
            Encoder::QuotedPrintable { column, held } => {
                match held.take() {
                    Some(b'\r') if byte == b'\n' => {
                        out.extend_from_slice(b"\r\n");
                        *column = 0;
                        return;
                    }
                    Some(b'\r') => quoted(b'\r', true, column, out),
                    // A blank must not be the last of its line.
                    Some(blank) => quoted(blank, byte == b'\r', column, out),
                    None => {}
                }
                match byte {
                    b'\r' | b' ' | b'\t' => *held = Some(byte),
                    b'=' => quoted(byte, true, column, out),
                    b'!'..=b'~' => quoted(byte, false, column, out),
                    _ => quoted(byte, true, column, out),
                }
            }
        }
    }

    /// `last`: nothing of the message follows, not even a line break.
    fn finish(self, last: bool, out: &mut Vec<u8>) {
        match self {
            Encoder::Base64(line) => {
                if !line.is_empty() {
                    base64_line(&line, out);
                }
            }
            Encoder::QuotedPrintable { mut column, held } => {
                if let Some(byte) = held {
                    quoted(byte, true, &mut column, out);
                }
                if last && column > 0 {
                    out.extend_from_slice(b"=\r\n");
                }
            }
        }
    }
}

/// The octets in lines of base64. RFC 2045 §6.8.
pub(crate) fn base64_lines(octets: &[u8], out: &mut Vec<u8>) {
    octets.chunks(BASE64_LINE).for_each(|line| base64_line(line, out));
}

fn base64_line(octets: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(STANDARD.encode(octets).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn quoted(byte: u8, coded: bool, column: &mut usize, out: &mut Vec<u8>) {
    if *column + if coded { 3 } else { 1 } > QUOTED_LINE {
        out.extend_from_slice(b"=\r\n");
        *column = 0;
    }
    // A line must not become a delimiter that it was not. RFC 2046 §5.1.1.
    let coded = coded || byte == b'-' && *column == 0;
    *column += if coded { 3 } else { 1 };
    if coded {
        out.extend_from_slice(format!("={byte:02X}").as_bytes());
    } else {
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::summary_of;

    fn read(message: &[u8], range: Range<u64>) -> Result<Vec<u8>, ()> {
        message.get(range.start as usize..range.end as usize).map(<[u8]>::to_vec).ok_or(())
    }

    /// The new message, with what is wanted given in pieces of `size`.
    fn convert(message: &[u8], carries: Carries, size: usize) -> Result<Vec<u8>, Unconvertible> {
        let root = summary_of(message).root;
        let plan = Plan::make(&root, carries, |range| read(message, range)).unwrap()?;
        let mut rewrite = Rewrite::new(plan);
        let mut out = Vec::new();
        while let Some(range) = rewrite.wants() {
            let to = range.end.min(range.start + size as u64);
            rewrite.give(&read(message, range.start..to).unwrap(), &mut out);
        }
        Ok(out)
    }

    fn text(message: &str, carries: Carries) -> String {
        let made = convert(message.as_bytes(), carries, 1000).unwrap();
        for size in [1, 2, 7] {
            assert_eq!(convert(message.as_bytes(), carries, size).unwrap(), made);
        }
        String::from_utf8(made).unwrap()
    }

    const MIXED: &str = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
        Content-Transfer-Encoding: binary\r\n\r\n--b\r\n\r\nplain\r\n--b\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
        Grüße = \r\nx\r\n--b\r\nContent-Type: image/png\r\n\
        Content-Transfer-Encoding: binary\r\nX-Kept: yes\r\n\r\n\0\n\r--bäh\r\n--b--\r\nend\r\n";

    #[test]
    fn a_multipart_without_parts_is_text_and_gets_none_by_its_encoding() {
        let empty = "MIME-Version: 1.0\r\nContent-Type: (c) Multipart/\r\n mixed; boundary=o\r\n\r\n\
                     x\n--o--\r\n--oo\r\n";
        assert_eq!(
            text(empty, Carries::EightBit),
            "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\nx=0A--o--\r\n=2D-oo\r\n"
        );
    }

    #[test]
    fn no_line_becomes_a_delimiter() {
        let head = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n";
        // Behind a soft line break; what a multipart without parts had for its own.
        let long = format!("{head}\r\n{}--b\r\nü\r\n--b--\r\n", "x".repeat(QUOTED_LINE));
        let inner = format!(
            "{head}Content-Type: multipart/mixed; boundary=b\r\n\r\nü\r\n--b--\r\n--b--\r\n"
        );
        for (message, kept) in [(long, "=\r\n=2D-b\r\n=C3=BC\r\n"), (inner, "=C3=BC\r\n=2D-b--")] {
            let made = text(&message, Carries::SevenBit);
            assert!(made.contains(kept), "{made}");
            let PartBody::Multipart(parts) = summary_of(made.as_bytes()).root.body else {
                panic!()
            };
            assert_eq!(parts.len(), 1, "{made}");
        }
    }

    #[test]
    fn binary_parts_become_base64_and_text_stays_where_eight_bits_pass() {
        assert_eq!(
            text(MIXED, Carries::EightBit),
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n--b\r\n\r\nplain\r\n--b\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
             Grüße = \r\nx\r\n--b\r\nContent-Type: image/png\r\nX-Kept: yes\r\n\
             Content-Transfer-Encoding: base64\r\n\r\nAAoNLS1iw6Ro\r\n\r\n--b--\r\nend\r\n"
        );
    }

    #[test]
    fn text_becomes_quoted_printable_where_seven_bits_pass() {
        let made = text(MIXED, Carries::SevenBit);
        assert!(made.is_ascii());
        assert!(made.contains(
            "charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
             Gr=C3=BC=C3=9Fe =3D=20\r\nx\r\n--b\r\n"
        ));
        assert!(made.starts_with(
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
             Content-Transfer-Encoding: 7bit\r\n\r\n--b\r\n\r\nplain\r\n--b\r\n"
        ));
        let clean = "Subject: x\r\n\r\nplain\r\n";
        assert_eq!(text(clean, Carries::SevenBit), clean);
    }

    #[test]
    fn a_message_of_old_becomes_one_of_mime() {
        assert_eq!(
            text("Subject: x\r\n\r\nä", Carries::SevenBit),
            "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4=\r\n"
        );
    }

    #[test]
    fn headers_become_ascii_where_seven_bits_pass() {
        let message = "Subject: Grüße\r\nX-Note: ä\r\nTo: a@b.test\r\n\r\nplain\r\n";
        assert_eq!(
            text(message, Carries::SevenBit),
            "Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\nX-Note: =?utf-8?B?w6Q=?=\r\nTo: a@b.test\r\n\r\n\
             plain\r\n"
        );
        assert_eq!(text(message, Carries::EightBit), message);
    }

    #[test]
    fn messages_in_messages_are_gone_into() {
        let inner = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\
            MIME-Version: 1.0\r\n\r\nSubject: y\r\nMIME-Version: 1.0\r\n\
            Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\nä\r\n";
        assert_eq!(
            text(inner, Carries::SevenBit),
            "Content-Type: message/rfc822\r\nMIME-Version: 1.0\r\n\
             Content-Transfer-Encoding: 7bit\r\n\r\nSubject: y\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
             =C3=A4\r\n"
        );
    }

    #[test]
    fn what_is_signed_or_encoded_already_is_not_encoded() {
        let signed = "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n\
            --b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\nä\r\n--b--\r\n";
        let encoded = "MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\nä\r\n";
        let report = "MIME-Version: 1.0\r\nContent-Type: message/partial\r\n\r\nä\r\n";
        for message in [signed, encoded, report] {
            assert!(convert(message.as_bytes(), Carries::SevenBit, 9).is_err(), "{message}");
            assert_eq!(text(message, Carries::EightBit), message);
        }
    }

    #[test]
    fn encoded_lines_are_short_and_decode_to_what_was_there() {
        let body: Vec<u8> = (0..5000u32).map(|n| (n * 7 % 251) as u8).collect();
        for kind in ["text/plain", "application/x"] {
            let head = format!(
                "MIME-Version: 1.0\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\n\r\n"
            );
            let message = [head.as_bytes(), &body].concat();
            let made = convert(&message, Carries::EightBit, 4096).unwrap();
            let mut found = Findings::default();
            found.feed(&made);
            assert!(!found.finish().binary && !found.eight_bit);
            let at = made.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            let lines = made[at..].split(|b| *b == b'\n');
            assert!(lines.clone().all(|line| line.trim_ascii_end().len() <= 76), "{kind}");
            let decoded = if kind == "text/plain" {
                unquoted(&made[at..])
            } else {
                let text: Vec<u8> =
                    made[at..].iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
                STANDARD.decode(text).unwrap()
            };
            assert_eq!(decoded, body, "{kind}");
        }
    }

    fn unquoted(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = text;
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            if *first != b'=' {
                out.push(*first);
            } else if let Some(after) = rest.strip_prefix(b"\r\n") {
                rest = after;
            } else {
                let digits = std::str::from_utf8(&rest[..2]).unwrap();
                out.push(u8::from_str_radix(digits, 16).unwrap());
                rest = &rest[2..];
            }
        }
        out
    }

    #[test]
    fn findings_are_the_same_in_any_split() {
        let long = "x".repeat(LINE_OCTETS_MAX);
        let cases: [(&[u8], bool); 9] = [
            (b"a\r\nb", false),
            (b"a\rb", true),
            (b"a\nb", true),
            (b"a\r", true),
            (b"\r\r\n", true),
            (b"\0", true),
            (b"", false),
            (&[long.as_bytes(), b"\r\n"].concat(), false),
            (&[long.as_bytes(), b"x\r\n"].concat(), true),
        ];
        for (octets, binary) in cases {
            for size in [1, 2, 5000] {
                let mut found = Findings::default();
                octets.chunks(size).for_each(|piece| found.feed(piece));
                assert_eq!(found.finish().binary, binary, "{octets:?}");
            }
        }
    }
}
