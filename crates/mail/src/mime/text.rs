//! The text of a message's parts, decoded: what a search looks through. RFC 2045 §6.

use super::structure::{Part, PartBody};
use super::transfer::Decoder;
use crate::header::decode_words;
use crate::header::encoded_word::decode_charset;

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
    let mut decoder = Decoder::of(part)?;
    let mut out = Vec::with_capacity(body.len());
    decoder.decode(body, &mut out);
    decoder.finish(&mut out);
    Some(out)
}

/// The body of a part as text. An encoding or charset that we do not know is passed over.
pub fn text_of(part: &Part, body: &[u8]) -> String {
    let octets = decoded(part, body).unwrap_or_else(|| body.to_vec());
    let charset = part.parameters.iter().find(|(name, _)| name == b"charset");
    let decoded = charset.and_then(|(_, charset)| decode_charset(charset, &octets));
    decoded.unwrap_or_else(|| String::from_utf8_lossy(&octets).into_owned())
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
}
