//! A header without UTF-8 in place of one with it, for clients that did not ask for it. RFC 6858.
//!
//! Invariants: what comes out is ASCII; an ASCII field comes out as it went in; no address comes
//! out that could be somebody else's. Headers of parts inside the message are not touched.

use super::{Field, address_list, fields};
use crate::summary::EnvelopeAddress;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Fields with addresses. RFC 6858 §2.1.
const ADDRESSES: [&str; 12] = [
    "Bcc",
    "Cc",
    "From",
    "Reply-To",
    "Resent-Bcc",
    "Resent-Cc",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Return-Path",
    "Sender",
    "To",
];
/// Stands for an address that cannot be shown.
const NOBODY: &str = "<invalid@internationalized-address.invalid>";
/// Octets of text in one encoded-word, which may have 75 in all. RFC 2047 §2.
const WORD_TEXT_OCTETS: usize = 45;

/// The surrogate of a header, which ends with its last field or its empty line.
pub fn surrogate(header: &[u8]) -> Vec<u8> {
    with_each(header, |field| replaced(field).into_bytes())
}

/// A header in ASCII for a way that carries nothing else: what has no surrogate stays as encoded
/// text, so that nothing is lost but addresses that cannot be written so.
pub fn in_ascii(header: &[u8]) -> Vec<u8> {
    with_each(header, |field| {
        let made = replaced(field).into_bytes();
        // Names are ASCII, or empty when the line is no field.
        if !made.is_empty() || field.name.is_empty() {
            return made;
        }
        let text = encoded(unfolded(field.value).trim_ascii());
        [field.name, format!(": {text}\r\n").as_bytes()].concat()
    })
}

/// The header with `made` in the place of each field that is not ASCII.
fn with_each(header: &[u8], made: impl Fn(&Field<'_>) -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(header.len() + 128);
    let mut used = 0;
    for field in fields(header) {
        used += field.raw.len();
        match field.raw.is_ascii() {
            true => out.extend_from_slice(field.raw),
            false => out.extend_from_slice(&made(&field)),
        }
    }
    out.extend_from_slice(header.get(used..).unwrap_or_default());
    out
}

/// A field with UTF-8 in it, as it can be shown; empty when it cannot. RFC 6858 §2.4.
fn replaced(field: &Field<'_>) -> String {
    let Ok(name) = std::str::from_utf8(field.name) else { return String::new() };
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    let value = match () {
        () if !name.is_ascii() || name.is_empty() => return String::new(),
        () if is("Subject") => encoded(unfolded(field.value).trim_ascii()),
        () if ADDRESSES.iter().any(|known| is(known)) => addresses(field.value),
        () if is("Content-Type") || is("Content-Disposition") => parameters(field.value),
        () => return String::new(),
    };
    if value.is_empty() { String::new() } else { format!("{name}: {value}\r\n") }
}

fn unfolded(value: &[u8]) -> Vec<u8> {
    value.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect()
}

/// Text as encoded-words, one on a line. RFC 2047 §2, §5; what is no UTF-8 is `unknown-8bit`
/// (RFC 1428 §3).
fn encoded(text: &[u8]) -> String {
    let charset = if std::str::from_utf8(text).is_ok() { "utf-8" } else { "unknown-8bit" };
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut at = rest.len().min(WORD_TEXT_OCTETS);
        // A character is not split (RFC 2047 §5); octets 10xxxxxx go on with one.
        while at > 1 && rest.get(at).is_some_and(|b| b & 0xC0 == 0x80) {
            at -= 1;
        }
        let (word, after) = rest.split_at(at);
        words.push(format!("=?{charset}?B?{}?=", STANDARD.encode(word)));
        rest = after;
    }
    words.join("\r\n ")
}

/// A display name, as a phrase. RFC 5322 §3.2.5.
fn phrase(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if text.is_ascii() => {
            let text: String = text.chars().filter(|c| !c.is_control()).collect();
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        _ => encoded(name),
    }
}

fn addresses(value: &[u8]) -> String {
    let mut out = String::new();
    let mut first = true;
    for item in address_list(value) {
        let ends = matches!(item, EnvelopeAddress::GroupEnd);
        if !first && !ends {
            out.push_str(",\r\n ");
        }
        first = false;
        match item {
            EnvelopeAddress::Mailbox { name, local, host, .. } => {
                out.push_str(&mailbox(name.as_deref(), &local, &host));
            }
            EnvelopeAddress::GroupStart(name) => {
                out.push_str(&format!("{}:", phrase(&name)));
                first = true;
            }
            EnvelopeAddress::GroupEnd => out.push(';'),
        }
    }
    out
}

fn mailbox(name: Option<&[u8]>, local: &[u8], host: &[u8]) -> String {
    let ascii = local.is_ascii() && host.is_ascii();
    let address = [local, b"@", host].concat();
    let text = String::from_utf8_lossy(&address);
    let shown = match crate::Address::parse(&text) {
        Ok(address) if ascii => format!("<{address}>"),
        _ => NOBODY.to_owned(),
    };
    match name {
        Some(name) => format!("{} {shown}", phrase(name)),
        None if shown == NOBODY => format!("{} {shown}", phrase(&address)),
        None => shown,
    }
}

/// A MIME field without the parameters that cannot be shown. RFC 6858 §2.2.
fn parameters(value: &[u8]) -> String {
    let value = unfolded(value);
    let mut kept = Vec::new();
    let (mut quoted, mut escaped, mut start) = (false, false, 0);
    for (at, byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                kept.push(value.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    kept.push(value.get(start..).unwrap_or_default());
    let kept = kept.iter().filter(|part| part.is_ascii()).map(|part| part.trim_ascii());
    let kept: Vec<_> = kept.filter_map(|part| std::str::from_utf8(part).ok()).collect();
    kept.join(";\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(header: &str) -> String {
        let made = String::from_utf8(surrogate(header.as_bytes())).unwrap();
        assert!(made.is_ascii(), "{made}");
        made
    }

    #[test]
    fn ascii_stays_and_the_rest_is_replaced() {
        let ascii = "From: a@b.c\r\nSUBJECT :  odd \r\nno field\r\n\r\n";
        assert_eq!(made(ascii), ascii);
        assert_eq!(made("Subject: Grüße\r\n\r\n"), "Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n\r\n");
        let long = made(&format!("Subject: {}\r\n", "ü".repeat(100)));
        assert!(long.lines().all(|line| line.len() <= 84), "{long}");
        let back = crate::header::decode_words(long.strip_prefix("Subject:").unwrap().as_bytes());
        assert_eq!(back.trim(), "ü".repeat(100));
        assert_eq!(
            made("From: Fred Foo <fred@ÉXAMPLE.com>, Zoë <zoe@b.c>, plain@b.c\r\n"),
            "From: \"Fred Foo\" <invalid@internationalized-address.invalid>,\r\n \
             =?utf-8?B?Wm/Dqw==?= <zoe@b.c>,\r\n <plain@b.c>\r\n"
        );
        let path = made("Return-Path: <jörg@b.c>\r\n");
        assert_eq!(
            path,
            "Return-Path: =?utf-8?B?asO2cmdAYi5j?= <invalid@internationalized-address.invalid>\r\n"
        );
        assert_eq!(made("To: Größe: a@b.c;\r\n"), "To: =?utf-8?B?R3LDtsOfZQ==?=:<a@b.c>;\r\n");
        assert_eq!(
            made("Content-Disposition: attachment; filename=\"ü;.txt\"; size=3\r\n"),
            "Content-Disposition: attachment;\r\n size=3\r\n"
        );
        assert_eq!(made("X-Ü: a\r\nX-Y: ü\r\nKept: a\r\n\r\n"), "Kept: a\r\n\r\n");
        let latin1 = surrogate(b"Subject: Gr\xfc\xdfe\r\n");
        assert_eq!(latin1, b"Subject: =?unknown-8bit?B?R3L832U=?=\r\n");
    }

    #[test]
    fn any_octets_become_ascii() {
        let mut seed = 7u32;
        for _ in 0..20_000 {
            let octets: Vec<u8> = (0..40)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let pick = (seed >> 24) as usize;
                    *b"From:To,;<>@\"\\() \r\n\xc3\xbc\xff=?x".get(pick % 24).unwrap_or(&b'a')
                })
                .collect();
            let header = [b"From: \xc3\xbc", octets.as_slice(), b"\r\nSubject:", &octets].concat();
            assert!(surrogate(header.get(..super::super::octets(&header)).unwrap()).is_ascii());
        }
    }
}
