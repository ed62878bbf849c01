//! Values into response octets. RFC 3501 §7. The one place that picks atom, quoted or literal.

use super::grammar::Charset;
use mail::stored::{Reader, StoredAddress, StoredBody, StoredEnvelope, StoredList, StoredPart};
use mail::{FlagBits, KeywordTable, date};

/// Longer texts are literals.
const QUOTED_OCTETS_MAX: usize = 1000;

/// A string: quoted where that can be, else a literal.
pub fn string(text: &[u8], out: &mut Vec<u8>) {
    let quotable = text.len() <= QUOTED_OCTETS_MAX && text.iter().all(|b| (0x20..0x7f).contains(b));
    if !quotable {
        out.extend_from_slice(format!("{{{}}}\r\n", text.len()).as_bytes());
        out.extend_from_slice(text);
        return;
    }
    quoted(text, out);
}

/// Nothing in it has to be quoted: nearly every text of nearly every message.
fn is_plain(text: &[u8]) -> bool {
    let odd = |b: u8| !(0x20..0x7f).contains(&b) | (b == b'"') | (b == b'\\');
    text.len() <= QUOTED_OCTETS_MAX && !text.iter().fold(false, |any, b| any | odd(*b))
}

/// Between quotes; the text has no line breaks and no NUL.
fn quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        out.push(b'\\');
        out.extend(special.first());
        rest = special.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// An atom where that can be, else a string.
pub fn astring(text: &[u8], out: &mut Vec<u8>) {
    let atom = |b: &u8| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(b);
    match !text.is_empty() && text.iter().all(atom) {
        true => out.extend_from_slice(text),
        false => string(text, out),
    }
}

/// A mailbox name.
pub fn mailbox(name: &str, charset: Charset, out: &mut Vec<u8>) {
    let encoded = match charset {
        Charset::Ascii => super::utf7::encode(name),
        Charset::Utf8 => name.to_owned(),
    };
    // NIL would be nothing at all.
    let atom = !encoded.is_empty()
        && !encoded.eq_ignore_ascii_case("NIL")
        && encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./&,+".contains(&b));
    match charset {
        _ if atom => out.extend_from_slice(encoded.as_bytes()),
        Charset::Utf8 => quoted(encoded.as_bytes(), out),
        Charset::Ascii => string(encoded.as_bytes(), out),
    }
}

/// Text of a header. Rev1 wants 7 bits, so raw 8-bit octets become encoded-words (users.md I-75);
/// with UTF8=ACCEPT they are sent as they are (RFC 9755 §3).
fn header_text(text: &[u8], charset: Charset, out: &mut Vec<u8>) {
    if is_plain(text) {
        out.push(b'"');
        out.extend_from_slice(text);
        return out.push(b'"');
    }
    if text.iter().all(|b| (1..0x80).contains(b)) {
        return string(text, out);
    }
    let clean: Vec<u8> = text.iter().copied().filter(|b| *b != 0).collect();
    if clean.is_ascii() {
        return string(&clean, out);
    }
    use base64::Engine as _;
    let decoded = String::from_utf8_lossy(&clean);
    if charset == Charset::Utf8 && !decoded.contains(['\r', '\n']) {
        return quoted(decoded.as_bytes(), out);
    }
    let chars: Vec<char> = decoded.chars().collect();
    // An encoded-word holds at most 75 octets (RFC 2047 §2): 10 characters of 4 octets fit.
    let words: Vec<String> = chars
        .chunks(10)
        .map(|piece| {
            let piece: String = piece.iter().collect();
            let code = base64::engine::general_purpose::STANDARD.encode(piece);
            format!("=?UTF-8?B?{code}?=")
        })
        .collect();
    string(words.join(" ").as_bytes(), out);
}

fn nstring(text: Option<&[u8]>, charset: Charset, out: &mut Vec<u8>) {
    match text {
        Some(text) => header_text(text, charset, out),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// `(\Seen $X)`, with `\Recent` where it is this session's.
pub fn flags(table: &KeywordTable, bits: FlagBits, recent: bool, out: &mut Vec<u8>) {
    let mut before = b'(';
    for name in table.names(bits).chain(recent.then_some("\\Recent")) {
        out.push(before);
        out.extend_from_slice(name.as_bytes());
        before = b' ';
    }
    out.extend_from_slice(if before == b'(' { b"()" } else { b")" });
}

/// `* n FETCH (`, or with UIDONLY `* uid UIDFETCH (`. RFC 9586.
pub fn fetch(n: u32, uid: u32, uid_only: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* ");
    number(u64::from(if uid_only { uid } else { n }), out);
    out.extend_from_slice(if uid_only { b" UIDFETCH (".as_slice() } else { b" FETCH (" });
}

/// ` {n}` and a line break: a literal follows.
pub fn literal(octets: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b" {");
    number(octets, out);
    out.extend_from_slice(b"}\r\n");
}

/// A number in decimal digits.
pub fn number(mut n: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (n % 10) as u8;
        }
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// `"17-Jul-1996 02:44:25 +0000"`.
pub fn date_time(seconds: i64, out: &mut Vec<u8>) {
    let c = date::Civil::from_unix(seconds, 0);
    let month = date::MONTHS.get(c.month as usize - 1).copied().unwrap_or("Jan");
    let text = format!(
        "\"{:>2}-{month}-{:04} {:02}:{:02}:{:02} +0000\"",
        c.day, c.year, c.hour, c.minute, c.second
    );
    out.extend_from_slice(text.as_bytes());
}

/// ENVELOPE, of a summary as it is stored. RFC 3501 §7.4.2.
pub fn envelope(envelope: &StoredEnvelope<'_>, charset: Charset, out: &mut Vec<u8>) {
    out.push(b'(');
    nstring(envelope.date, charset, out);
    out.push(b' ');
    nstring(envelope.subject, charset, out);
    let [from, sender, reply_to, to, cc, bcc] = envelope.lists;
    let or_from = |list: StoredList<'_>| list.is_empty();
    let sender = if or_from(sender) { from } else { sender };
    let reply_to = if or_from(reply_to) { from } else { reply_to };
    for list in [from, sender, reply_to, to, cc, bcc] {
        out.push(b' ');
        addresses(list, charset, out);
    }
    out.push(b' ');
    nstring(envelope.in_reply_to, charset, out);
    out.push(b' ');
    nstring(envelope.message_id, charset, out);
    out.push(b')');
}

fn addresses(list: StoredList<'_>, charset: Charset, out: &mut Vec<u8>) {
    if list.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    out.push(b'(');
    for address in list.addresses() {
        out.push(b'(');
        match address {
            StoredAddress::Mailbox(name, route, local, host) => {
                nstring(name, charset, out);
                out.push(b' ');
                nstring(route, charset, out);
                out.push(b' ');
                header_text(local, charset, out);
                out.push(b' ');
                // An empty host would look like a group (users.md I-73).
                let host: &[u8] = if host.is_empty() { b"unknown.invalid" } else { host };
                header_text(host, charset, out);
            }
            StoredAddress::GroupStart(name) => {
                out.extend_from_slice(b"NIL NIL ");
                header_text(name, charset, out);
                out.extend_from_slice(b" NIL");
            }
            StoredAddress::GroupEnd => out.extend_from_slice(b"NIL NIL NIL NIL"),
        }
        out.push(b')');
    }
    out.push(b')');
}

/// BODY and BODYSTRUCTURE, of the parts of a summary as it is stored. RFC 3501 §7.4.2. `None` when
/// it is damaged; then `out` holds half of it.
///
/// Parts nest at most `mail::limits::MIME_DEPTH_MAX` deep.
pub fn structure(
    from: &mut Reader<'_>,
    extended: bool,
    charset: Charset,
    out: &mut Vec<u8>,
) -> Option<()> {
    let part = from.part()?;
    out.push(b'(');
    if let StoredBody::Multipart(count) = part.body {
        for _ in 0..count {
            structure(from, extended, charset, out)?;
        }
        out.push(b' ');
        word(part.content.subtype, out);
        if extended {
            out.push(b' ');
            parameters(part.content.parameters, charset, out);
            extension(&part, charset, out);
        }
        out.push(b')');
        return Some(());
    }
    single_part(&part, charset, out);
    if let StoredBody::Message(inner) = &part.body {
        out.push(b' ');
        envelope(inner, charset, out);
        out.push(b' ');
        structure(from, extended, charset, out)?;
    }
    if part.content.media_type == b"text" || matches!(part.body, StoredBody::Message(_)) {
        let [.., lines] = part.extent;
        out.push(b' ');
        number(lines, out);
    }
    if extended {
        out.push(b' ');
        nstring(part.content.md5, charset, out);
        extension(&part, charset, out);
    }
    out.push(b')');
    Some(())
}

/// What every part that is no multipart begins with: `body-fields` and the types before them.
fn single_part(part: &StoredPart<'_>, charset: Charset, out: &mut Vec<u8>) {
    word(part.content.media_type, out);
    out.push(b' ');
    word(part.content.subtype, out);
    out.push(b' ');
    if part.content.parameters.is_empty() && part.content.media_type == b"text" {
        // RFC 2045 §5.2: what a text without a charset is.
        out.extend_from_slice(b"(\"CHARSET\" \"US-ASCII\")");
    } else {
        parameters(part.content.parameters, charset, out);
    }
    out.push(b' ');
    nstring(part.content.id, charset, out);
    out.push(b' ');
    nstring(part.content.description, charset, out);
    out.push(b' ');
    word(part.content.encoding, out);
    out.push(b' ');
    number(part.octets(), out);
}

/// A name that has no case, in upper case.
fn word(text: &[u8], out: &mut Vec<u8>) {
    if text.iter().all(|b| b.is_ascii_alphanumeric() || b"-._+".contains(b)) {
        out.push(b'"');
        let start = out.len();
        out.extend_from_slice(text);
        out.get_mut(start..).unwrap_or_default().make_ascii_uppercase();
        return out.push(b'"');
    }
    header_text(&text.to_ascii_uppercase(), Charset::Ascii, out);
}

fn parameters(list: StoredList<'_>, charset: Charset, out: &mut Vec<u8>) {
    if list.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    let mut before = b'(';
    for (name, value) in list.pairs() {
        out.push(before);
        before = b' ';
        word(name, out);
        out.push(b' ');
        header_text(value, charset, out);
    }
    out.push(b')');
}

/// Disposition, language, location.
fn extension(part: &StoredPart<'_>, charset: Charset, out: &mut Vec<u8>) {
    out.push(b' ');
    match part.content.disposition {
        Some((kind, list)) => {
            out.push(b'(');
            word(kind, out);
            out.push(b' ');
            parameters(list, charset, out);
            out.push(b')');
        }
        None => out.extend_from_slice(b"NIL"),
    }
    out.push(b' ');
    if part.content.language.is_empty() {
        out.extend_from_slice(b"NIL");
    } else {
        let mut before = b'(';
        for tag in part.content.language.texts() {
            out.push(before);
            before = b' ';
            header_text(tag, charset, out);
        }
        out.push(b')');
    }
    out.push(b' ');
    nstring(part.content.location, charset, out);
}

/// Ascending numbers as a set: `1:3,5`.
pub fn set(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|a, b| *b == a.saturating_add(1));
    let one = |run: &[u32]| match (run.first(), run.last()) {
        (Some(a), Some(b)) if a != b => format!("{a}:{b}"),
        (Some(a), _) => a.to_string(),
        _ => String::new(),
    };
    runs.map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::mime::summary_of;
    use mail::stored;

    #[test]
    fn structures_and_envelopes_are_encoded() {
        let message = b"From: \"A \\\"q\\\" B\" <a@x.test>\r\nSubject: h\xc3\xa9\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: image/png; name=x\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"x.png\"\r\n\r\nAAAA\r\n--b--\r\n";
        let stored = summary_of(message).encode();
        let mut out = Vec::new();
        structure(&mut stored::structure(&stored).unwrap(), true, Charset::Ascii, &mut out)
            .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 2 0 NIL NIL NIL NIL)(\"IMAGE\" \"PNG\" (\"NAME\" \"x\") NIL NIL \"BASE64\" 4 NIL (\"ATTACHMENT\" (\"FILENAME\" \"x.png\")) NIL NIL) \"MIXED\" (\"BOUNDARY\" \"b\") NIL NIL NIL)"
        );
        let mut out = Vec::new();
        envelope(&stored::envelope(&stored).unwrap(), Charset::Ascii, &mut out);
        let a = "((\"A \\\"q\\\" B\" NIL \"a\" \"x.test\"))";
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("(NIL \"=?UTF-8?B?aMOp?=\" {a} {a} {a} NIL NIL NIL NIL NIL)")
        );
        assert_eq!(set(&[1, 2, 3, 5, 9, 10]), "1:3,5,9:10");
    }
}
