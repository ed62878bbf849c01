//! Header fields: finding them, unfolding them, and what is in them. RFC 5322 §2.2, §3.
//!
//! One tokenizer for everybody who looks at a header: two readings of one header are an attack.

pub mod address_list;
pub mod encoded_word;
pub mod params;
pub mod surrogate;

pub use address_list::address_list;
pub use encoded_word::decode_words;
pub use surrogate::{in_ascii, surrogate};

/// One header field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, without the colon and white space before it.
    pub name: &'a [u8],
    /// All of it, name and final line break included.
    pub raw: &'a [u8],
    /// What follows the colon, line breaks included.
    pub value: &'a [u8],
}

/// The fields of a header, in order, until the empty line or the end. Lines that are no field
/// (no colon, or a name with blanks or control characters in it) come with an empty name.
pub fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        if rest.is_empty() || is_empty_line(rest) {
            return None;
        }
        let (raw, after) = rest.split_at(field_len(rest));
        rest = after;
        Some(split_field(raw))
    })
}

/// Octets of all fields: up to the empty line or the end.
pub fn octets(header: &[u8]) -> usize {
    let mut rest = header;
    while !rest.is_empty() && !is_empty_line(rest) {
        rest = rest.get(field_len(rest)..).unwrap_or_default();
    }
    header.len() - rest.len()
}

fn is_empty_line(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\r\n") || bytes.starts_with(b"\n")
}

/// Octets up to the first line break that no blank follows.
fn field_len(bytes: &[u8]) -> usize {
    for at in memchr::memchr_iter(b'\n', bytes) {
        if !matches!(bytes.get(at + 1), Some(b' ' | b'\t')) {
            return at + 1;
        }
    }
    bytes.len()
}

/// Name and value of a raw field.
pub fn split_field(raw: &[u8]) -> Field<'_> {
    let none = Field { name: b"", raw, value: raw };
    let Some(colon) = memchr::memchr(b':', raw) else { return none };
    let (name, value) = raw.split_at(colon);
    let name = name.trim_ascii_end();
    if name.is_empty() || !name.iter().all(|b| (0x21..=0x7e).contains(b)) {
        return none;
    }
    Field { name, raw, value: value.get(1..).unwrap_or_default() }
}

/// The value on one line: line breaks taken out, blanks at both ends trimmed. RFC 5322 §2.2.3. A
/// carriage return alone is a blank.
pub fn unfold(value: &[u8]) -> Vec<u8> {
    let value = value.trim_ascii();
    let mut out = Vec::with_capacity(value.len());
    for (at, octet) in value.iter().enumerate() {
        match octet {
            b'\n' => {}
            b'\r' if value.get(at + 1) == Some(&b'\n') => {}
            b'\r' => out.push(b' '),
            _ => out.push(*octet),
        }
    }
    out
}

/// Where a header that comes in pieces ends: behind its last field, in front of the empty line.
/// What came before `searched` was looked at already.
pub fn end_of(head: &[u8], searched: usize) -> Option<usize> {
    if head.starts_with(b"\r\n") {
        return Some(0);
    }
    let from = searched.saturating_sub(3);
    let tail = head.get(from..).unwrap_or_default();
    tail.windows(4).position(|four| four == b"\r\n\r\n").map(|at| from + at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_unfolded() {
        let header = b"From: a\r\nSubject : b\r\n\tc\r\nbroken line\r\nX:\r\n\r\nbody: no";
        let found: Vec<_> = fields(header).map(|f| (f.name, unfold(f.value))).collect();
        let expected: Vec<(&[u8], Vec<u8>)> = vec![
            (b"From", b"a".to_vec()),
            (b"Subject", b"b\tc".to_vec()),
            (b"", b"broken line".to_vec()),
            (b"X", b"".to_vec()),
        ];
        assert_eq!(found, expected);
    }
}
