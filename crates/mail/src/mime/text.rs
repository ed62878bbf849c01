//! The text of a message's parts, decoded: what a search looks through. RFC 2045 §6.

use super::structure::{Part, PartBody};
use super::transfer::Decoder;
use crate::header::decode_words;
use crate::header::encoded_word::charset_of;
use std::borrow::Cow;
use std::ops::Range;

/// Octets of a message that are read together.
const PIECE_OCTETS: u64 = 256 * 1024;
/// Octets of them that are decoded together.
const DECODED_OCTETS: usize = 8 * 1024;

/// What a search looks through in the parts of a message.
enum Place<'a> {
    /// The header of a message inside.
    Header(Range<u64>),
    /// A text part.
    Text(&'a Part),
}

fn places(root: &Part) -> impl Iterator<Item = Place<'_>> {
    let mut open = vec![root];
    std::iter::from_fn(move || {
        while let Some(part) = open.pop() {
            match &part.body {
                PartBody::Multipart(parts) => open.extend(parts),
                PartBody::Message(_, inner) => {
                    open.push(inner);
                    let end = inner.body_start.max(inner.header_start);
                    return Some(Place::Header(inner.header_start..end));
                }
                PartBody::Leaf if part.content().media_type == b"text" => {
                    return Some(Place::Text(part));
                }
                PartBody::Leaf => {}
            }
        }
        None
    })
}

/// Gives the texts of all text parts of a message, and the headers of messages inside it: piece by
/// piece, each with whether its text ends with it. Reads nothing else, and nothing more once `each`
/// says false.
pub fn each_text<E>(
    root: &Part,
    mut read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
    mut each: impl FnMut(&str, bool) -> bool,
) -> Result<(), E> {
    for place in places(root) {
        let more = match place {
            Place::Header(range) => each(&decode_words(&read(range)?), true),
            Place::Text(part) => each_piece(part, &mut read, &mut each)?,
        };
        if !more {
            break;
        }
    }
    Ok(())
}

/// Gives the text of one part; whether more is wanted.
fn each_piece<E>(
    part: &Part,
    read: &mut impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
    each: &mut impl FnMut(&str, bool) -> bool,
) -> Result<bool, E> {
    let (mut text, mut at) = (Text::of(part), part.body_start);
    loop {
        let to = part.end.min(at.saturating_add(PIECE_OCTETS)).max(at);
        let last = to >= part.end;
        let piece = if at < to { read(at..to)? } else { Vec::new() };
        if !text.decode_each(&piece, last, each) {
            return Ok(false);
        }
        if last {
            return Ok(true);
        }
        at = to;
    }
}

/// The same of a message that is in memory: each text as a whole, and all of them. What needs no
/// decoding is not copied.
pub fn each_whole_text(root: &Part, message: &[u8], mut each: impl FnMut(&str)) {
    let octets = |range: Range<u64>| {
        message.get(range.start as usize..range.end as usize).unwrap_or_default()
    };
    for place in places(root) {
        match place {
            Place::Header(range) => each(&decode_words(octets(range))),
            Place::Text(part) => each(&Text::of(part).whole(octets(part.body_start..part.end))),
        }
    }
}

/// Reads a message that is in memory.
pub fn in_memory<E>(message: &[u8]) -> impl FnMut(Range<u64>) -> Result<Vec<u8>, E> {
    |range| Ok(message.get(range.start as usize..range.end as usize).unwrap_or_default().to_vec())
}

/// Those texts, each whole.
pub fn texts<E>(
    root: &Part,
    read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
) -> Result<Vec<String>, E> {
    let (mut all, mut fresh) = (Vec::<String>::new(), true);
    each_text(root, read, |piece, last| {
        match all.last_mut().filter(|_| !fresh) {
            Some(text) => text.push_str(piece),
            None => all.push(piece.to_owned()),
        }
        fresh = last;
        true
    })?;
    Ok(all)
}

/// Where the MIME headers of the parts in a message are, those of messages inside excepted, which
/// [`each_text`] gives. RFC 9051 §6.4.4: TEXT looks through them, BODY does not.
pub fn mime_headers(root: &Part) -> Vec<Range<u64>> {
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(part) = open.pop() {
        match &part.body {
            PartBody::Multipart(parts) => {
                let header = |part: &Part| part.header_start..part.body_start;
                found.extend(parts.iter().map(header).filter(|range| range.start < range.end));
                open.extend(parts);
            }
            PartBody::Message(_, inner) => open.push(inner),
            PartBody::Leaf => {}
        }
    }
    found
}

/// Octets of what [`each_text`] and [`mime_headers`] read, as they are stored.
pub fn text_octets(root: &Part) -> u64 {
    let headers = mime_headers(root).iter().map(|range| range.end - range.start).sum::<u64>();
    let texts = places(root).map(|place| match place {
        Place::Header(range) => range.end - range.start,
        Place::Text(part) => part.octets(),
    });
    headers + texts.sum::<u64>()
}

/// The body of a part, or the first of it, as text.
pub fn text_of(part: &Part, body: &[u8]) -> String {
    Text::of(part).whole(body).into_owned()
}

/// Makes text of the body of a part that comes in pieces. An encoding or charset that we do not
/// know is passed over.
struct Text {
    transfer: Option<Decoder>,
    charset: encoding_rs::Decoder,
    /// The beginning of a character in UTF-8 whose end has not come.
    begun: Vec<u8>,
}

impl Text {
    fn of(part: &Part) -> Text {
        let charset = part.content().parameters.parameter(b"charset");
        let charset = charset.and_then(charset_of).unwrap_or(encoding_rs::UTF_8);
        let charset = charset.new_decoder_without_bom_handling();
        Text { transfer: Decoder::of(part), charset, begun: Vec::new() }
    }

    /// The text of a whole body.
    fn whole(mut self, body: &[u8]) -> Cow<'_, str> {
        let encoding = self.charset.encoding();
        let plain = self.transfer.as_ref().is_none_or(Decoder::is_identity);
        let as_it_is = |text: &&str| {
            encoding == encoding_rs::UTF_8 || encoding.is_ascii_compatible() && text.is_ascii()
        };
        match std::str::from_utf8(body).ok().filter(|_| plain).filter(as_it_is) {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(self.decode(body, true)),
        }
    }

    /// Gives the text of a piece, a little at a time, since it may be three times as long.
    fn decode_each(
        &mut self,
        piece: &[u8],
        last: bool,
        each: &mut impl FnMut(&str, bool) -> bool,
    ) -> bool {
        let mut rest = piece;
        loop {
            let (some, after) = rest.split_at(rest.len().min(DECODED_OCTETS));
            rest = after;
            let last = last && rest.is_empty();
            if !each(&self.decode(some, last), last) {
                return false;
            }
            if rest.is_empty() {
                return true;
            }
        }
    }

    fn decode(&mut self, piece: &[u8], last: bool) -> String {
        let mut octets = std::mem::take(&mut self.begun);
        octets.reserve(piece.len());
        match &mut self.transfer {
            Some(decoder) => decoder.decode(piece, &mut octets),
            None => octets.extend_from_slice(piece),
        }
        if let (true, Some(decoder)) = (last, self.transfer.take()) {
            decoder.finish(&mut octets);
        }
        if self.charset.encoding() == encoding_rs::UTF_8 {
            return self.utf8(octets, last);
        }
        let room = self.charset.max_utf8_buffer_length(octets.len()).unwrap_or(octets.len());
        let mut text = String::with_capacity(room);
        let _ = self.charset.decode_to_string(&octets, &mut text, last);
        text
    }

    /// What `encoding_rs` makes of UTF-8; it begins anew at each octet that is none.
    fn utf8(&mut self, octets: Vec<u8>, last: bool) -> String {
        let error = match String::from_utf8(octets) {
            Ok(text) => return text,
            Err(error) => error,
        };
        let (good, mut rest) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let replaced = rest.len().saturating_mul(char::REPLACEMENT_CHARACTER.len_utf8());
        let mut text = String::with_capacity(good.len().saturating_add(replaced));
        text.push_str(&String::from_utf8_lossy(good));
        for chunk in rest.utf8_chunks() {
            text.push_str(chunk.valid());
            let broken = chunk.invalid();
            rest = rest.get(chunk.valid().len() + broken.len()..).unwrap_or_default();
            let begun = || std::str::from_utf8(broken).is_err_and(|e| e.error_len().is_none());
            if rest.is_empty() && !last && begun() {
                self.begun = broken.to_vec();
            } else if !broken.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }
}

/// The body of a part without its transfer encoding; `None` when we do not know that. Base64 that
/// is damaged gives what can be read of it. RFC 2045 §6.
pub fn decoded(part: &Part, body: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = Decoder::of(part)?;
    let mut out = Vec::with_capacity(body.len());
    decoder.decode(body, &mut out);
    decoder.finish(&mut out);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::summary_of;

    #[test]
    fn texts_are_decoded() {
        let message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9 lo=\r\nng\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8=\r\n--b--\r\n";
        let mut found = texts(&summary_of(message).root, in_memory::<()>(message)).unwrap();
        found.sort();
        assert_eq!(found, ["café long", "hello"]);
    }

    #[test]
    fn whole_texts_are_the_texts() {
        let charsets =
            ["utf-8", "us-ascii", "iso-8859-1", "iso-2022-jp", "utf-16le", "none", "gbk"];
        let encodings = ["7bit", "8bit", "quoted-printable", "base64", "x-none"];
        let bodies: [&[u8]; 5] =
            [b"", b"plain =41\r\n", b"\x1b$BF|\x1b(B x", b"caf\xe9 \xc3\xa9", b"aGVsbG8=\r\n"];
        for (charset, encoding) in charsets.iter().flat_map(|c| encodings.map(|e| (c, e))) {
            for body in bodies {
                let head = format!(
                    "Content-Type: text/plain; charset={charset}\r\n\
                     Content-Transfer-Encoding: {encoding}\r\n\r\n"
                );
                let message = [head.as_bytes(), body].concat();
                let root = summary_of(&message).root;
                let mut whole = Vec::new();
                each_whole_text(&root, &message, |text| whole.push(text.to_owned()));
                let pieces = texts(&root, in_memory::<()>(&message)).unwrap();
                assert_eq!(whole, pieces, "{charset} {encoding} {}", body.escape_ascii());
            }
        }
    }

    #[test]
    fn octets_that_are_no_text_are_what_the_encoding_standard_makes_of_them() {
        let some = b"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xff";
        let root = summary_of(b"\r\n").root;
        let mut seed = 1u64;
        let mut any = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for _ in 0..20_000 {
            let octets: Vec<u8> = (0..any(12)).map(|_| some[any(some.len())]).collect();
            let (one, other) = octets.split_at(any(octets.len() + 1));
            let mut text = Text::of(&root);
            let told = text.decode(one, false) + &text.decode(other, true);
            let (meant, _) = encoding_rs::UTF_8.decode_without_bom_handling(&octets);
            assert_eq!(told, meant, "{octets:x?} after {}", one.len());
            assert_eq!(Text::of(&root).whole(&octets), meant, "{octets:x?}");
        }
    }

    #[test]
    fn mime_headers_are_those_of_parts() {
        let message = b"Subject: out\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: 1\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nX: 2\r\n\r\ntwo\r\n--c\r\n\r\nthree\r\n--c--\r\n--b--\r\n";
        let found = mime_headers(&summary_of(message).root).into_iter();
        let mut found: Vec<&[u8]> =
            found.map(|range| &message[range.start as usize..range.end as usize]).collect();
        found.sort();
        let expected: [&[u8]; 4] =
            [b"\r\n", b"Content-Type: message/rfc822\r\n\r\n", b"X: 1\r\n\r\n", b"X: 2\r\n\r\n"];
        assert_eq!(found, expected);
    }

    #[test]
    fn pieces_of_a_large_text_are_its_text() {
        let text = "größer und größer\r\n".repeat(40_000);
        let (latin, _, _) = encoding_rs::WINDOWS_1252.encode(&text);
        let cases = [("utf-8", text.as_bytes().to_vec()), ("iso-8859-1", latin.into_owned())];
        for (charset, body) in cases {
            let head = format!(
                "Content-Type: text/plain; charset={charset}\r\n\
                 Content-Transfer-Encoding: 8bit\r\n\r\n"
            );
            let message = [head.as_bytes(), &body].concat();
            let (mut pieces, mut message_read) = (0, in_memory::<()>(&message));
            let read = |range| {
                pieces += 1;
                message_read(range)
            };
            let root = summary_of(&message).root;
            assert_eq!(text_octets(&root), body.len() as u64);
            assert_eq!(texts(&root, read).unwrap(), [text.as_str()]);
            assert!(pieces > 2);
        }
    }
}
