//! Encoded-words: `=?charset?Q?text?=`. RFC 2047, language tags of RFC 2231 §5.
//!
//! Decoding never fails: what cannot be decoded stays as it is, bad octets become U+FFFD.

use base64::Engine as _;
use encoding_rs::Encoding;

/// The value of an unstructured field as text: encoded-words decoded, blanks between neighbouring
/// encoded-words dropped, other 8-bit octets read as UTF-8.
pub fn decode_words(value: &[u8]) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    let mut after_word = false;
    while let Some(start) = memchr::memmem::find(rest, b"=?") {
        let (before, word) = rest.split_at(start);
        if let Some((text, len)) = encoded_word(word) {
            if !(after_word && before.iter().all(u8::is_ascii_whitespace)) {
                push_plain(&mut out, before);
            }
            out.push_str(&text);
            rest = word.get(len..).unwrap_or_default();
            after_word = true;
        } else {
            push_plain(&mut out, before);
            out.push_str("=?");
            rest = word.get(2..).unwrap_or_default();
            after_word = false;
        }
    }
    push_plain(&mut out, rest);
    out
}

fn push_plain(out: &mut String, octets: &[u8]) {
    for chunk in octets.utf8_chunks() {
        chunk.valid().split(['\r', '\n']).for_each(|piece| out.push_str(piece));
        if !chunk.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Longest encoded-word we look for; RFC 2047 §2 allows 75, senders write more.
const WORD_OCTETS_MAX: usize = 2048;

/// The text and the length of the encoded-word that `bytes` starts with.
fn encoded_word(bytes: &[u8]) -> Option<(String, usize)> {
    let bytes = bytes.get(..bytes.len().min(WORD_OCTETS_MAX))?;
    let inner = bytes.strip_prefix(b"=?")?;
    let mut marks = memchr::memchr_iter(b'?', inner);
    let (first, second) = (marks.next()?, marks.next()?);
    let charset = inner.get(..first)?;
    let encoding = inner.get(first + 1..second)?;
    let end = second + 1 + memchr::memmem::find(inner.get(second + 1..)?, b"?=")?;
    let text = inner.get(second + 1..end)?;
    if text.contains(&b'\n') {
        return None;
    }
    let octets = match encoding {
        b"Q" | b"q" => decode_q(text),
        b"B" | b"b" => decode_b(text),
        _ => return None,
    };
    Some((decode_charset(charset, &octets)?, end + 4))
}

fn decode_q(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, rest.first().and_then(hex), rest.get(1).and_then(hex)) {
            (b'=', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                rest = rest.get(2..).unwrap_or_default();
            }
            (b'_', _, _) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    out
}

fn hex(byte: &u8) -> Option<u8> {
    (*byte as char).to_digit(16).map(|digit| digit as u8)
}

fn decode_b(text: &[u8]) -> Vec<u8> {
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    LENIENT.decode(text).unwrap_or_else(|_| text.to_vec())
}

/// Text in a named charset as a string; `None` when we do not know the charset.
pub fn decode_charset(charset: &[u8], octets: &[u8]) -> Option<String> {
    Some(charset_of(charset)?.decode_without_bom_handling(octets).0.into_owned())
}

/// The charset of that name, behind which a language may stand. RFC 2231 §5.
pub fn charset_of(name: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_label(name.split(|b| *b == b'*').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_rfc() {
        // RFC 2047 §8.
        for (value, text) in [
            (
                "=?ISO-8859-1?Q?Patrik_F=E4ltstr=F6m?= <paf@nada.kth.se>",
                "Patrik Fältström <paf@nada.kth.se>",
            ),
            (
                "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
                "If you can read this you understand the example.",
            ),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
            ("=?x-unknown?Q?a?=", "=?x-unknown?Q?a?="),
            ("=?utf-8?Q?open", "=?utf-8?Q?open"),
            ("plain \u{e9}", "plain \u{e9}"),
        ] {
            assert_eq!(decode_words(value.as_bytes()), text);
        }
    }
}
