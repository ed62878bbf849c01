//! The text of a message's parts, decoded: what a search looks through. RFC 2045 §6.

use super::structure::{Part, PartBody};
use crate::header::decode_words;
use crate::header::encoded_word::decode_charset;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The texts of all text parts of a message, and the headers of messages inside it.
pub fn texts(message: &[u8], root: &Part) -> Vec<String> {
    let mut out = Vec::new();
    let mut open = vec![root];
    while let Some(part) = open.pop() {
        match &part.body {
            PartBody::Multipart(parts) => open.extend(parts),
            PartBody::Message(_, inner) => {
                let header = message.get(inner.header_start as usize..inner.body_start as usize);
                out.push(decode_words(header.unwrap_or_default()));
                open.push(inner);
            }
            PartBody::Leaf if part.media_type == b"text" => {
                let body = message.get(part.body_start as usize..part.end as usize);
                out.push(text_of(part, body.unwrap_or_default()));
            }
            PartBody::Leaf => {}
        }
    }
    out
}

/// The body of a part without its transfer encoding; `None` when we do not know that. Base64 that is
/// damaged gives what can be read of it. RFC 2045 §6.
pub fn decoded(part: &Part, body: &[u8]) -> Option<Vec<u8>> {
    Some(match part.encoding.as_slice() {
        b"7bit" | b"8bit" | b"binary" => body.to_vec(),
        b"base64" => base64(body),
        b"quoted-printable" => quoted_printable(body),
        _ => return None,
    })
}

/// The body of a part as text. An encoding or charset that we do not know is passed over.
pub fn text_of(part: &Part, body: &[u8]) -> String {
    let octets = decoded(part, body).unwrap_or_else(|| body.to_vec());
    let charset = part.parameters.iter().find(|(name, _)| name == b"charset");
    let decoded = charset.and_then(|(_, charset)| decode_charset(charset, &octets));
    decoded.unwrap_or_else(|| String::from_utf8_lossy(&octets).into_owned())
}

/// Decodes base64: what is not of its alphabet is passed over, a last group may be cut short.
fn base64(body: &[u8]) -> Vec<u8> {
    let of_alphabet = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    // The padding ends it.
    let body = body.split(|b| *b == b'=').next().unwrap_or_default();
    let mut code: Vec<u8> = body.iter().copied().filter(of_alphabet).collect();
    if code.len() % 4 == 1 {
        code.pop();
    }
    LENIENT.decode(&code).unwrap_or_default()
}

/// Decodes quoted-printable; what is wrong stays as it is. RFC 2045 §6.7.
pub fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    let hex = |b: Option<&u8>| b.and_then(|b| (*b as char).to_digit(16)).map(|d| d as u8);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'=' {
            out.push(byte);
        } else if let (Some(high), Some(low)) = (hex(rest.first()), hex(rest.get(1))) {
            out.push(high << 4 | low);
            rest = rest.get(2..).unwrap_or_default();
        } else if rest.starts_with(b"\r\n") {
            rest = rest.get(2..).unwrap_or_default();
        } else if rest.starts_with(b"\n") {
            rest = rest.get(1..).unwrap_or_default();
        } else {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::summary_of;

    #[test]
    fn texts_are_decoded() {
        let message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9 lo=\r\nng\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8=\r\n--b--\r\n";
        let mut found = texts(message, &summary_of(message).root);
        found.sort();
        assert_eq!(found, ["café long", "hello"]);
    }

    #[test]
    fn damaged_base64_gives_what_there_is() {
        assert_eq!(base64(b"aGVs\r\nbG8="), b"hello");
        assert_eq!(base64(b"aGVs bG8"), b"hello");
        assert_eq!(base64(b"aGVsb"), b"hel");
        assert_eq!(base64(b"!!!"), b"");
    }
}
