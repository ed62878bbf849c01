//! What we add to a message when it comes in, and what we look at in its header. RFC 5321 §4.4.

use crate::accept::Incoming;
use crate::claims::Claims;
use crate::limits::SUBMITTED_HEADER_OCTETS_MAX;
use mail::date::format_rfc5322;
use mail::{Domain, header};
use std::net::IpAddr;

/// The `Return-Path` line. It belongs to the copy in a mailbox only; relaying starts behind it.
pub fn return_path(incoming: &Incoming) -> String {
    format!("Return-Path: <{}>\r\n", incoming.sender)
}

/// The `Received` line. The address of a client that logged in is nobody's business
/// (users.md S-35).
pub fn received(incoming: &Incoming, hostname: &Domain, unix_seconds: i64) -> String {
    let helo = in_ascii(&incoming.helo, incoming.smtputf8);
    let from = match &incoming.authenticated {
        Some(_) => format!("from {helo} (logged in)"),
        None => format!("from {helo} ({})", literal(incoming.peer.ip())),
    };
    let tls = incoming
        .tls
        .as_ref()
        .map_or(String::new(), |facts| format!("\r\n\t({} {})", facts.version, facts.cipher));
    let only = match incoming.recipients.as_slice() {
        [one] => format!("\r\n\tfor <{}>", one.address),
        _ => String::new(),
    };
    // RFC 6710 §4.1, §7.
    let priority = match incoming.terms.priority {
        0 => String::new(),
        priority => format!("\r\n\tpriority {priority}"),
    };
    format!(
        "Received: {from}\r\n\tby {hostname} with {} id {}{tls}{only}{priority};\r\n\t{}\r\n",
        incoming.protocol,
        incoming.message,
        format_rfc5322(unix_seconds)
    )
}

/// `address-literal`. RFC 5321 §4.1.3.
fn literal(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

/// What the client calls itself; only a message with SMTPUTF8 may have that in UTF-8.
/// RFC 6531 §3.7.3.
fn in_ascii(helo: &str, smtputf8: bool) -> String {
    if smtputf8 || helo.is_ascii() {
        return helo.to_owned();
    }
    let encoded = Domain::parse(helo).ok().and_then(|domain| domain.to_ascii());
    encoded.unwrap_or_else(|| helo.replace(|c: char| !c.is_ascii(), "?"))
}

/// Holds the header of a submitted message back until it is complete, then mends it: adds Date and
/// Message-ID where they are missing, names an author where nobody is (RFC 6409 §8), takes Bcc out,
/// and Return-Path, which only the last server of all writes (RFC 5321 §4.4).
#[derive(Debug, Default)]
pub struct Mender {
    held: Vec<u8>,
    done: bool,
    claims: Claims,
}

impl Mender {
    /// The next octets of the message; returns what may be stored now.
    pub fn feed(&mut self, octets: &[u8], new: &NewFields) -> Vec<u8> {
        if self.done {
            return octets.to_vec();
        }
        let searched = self.held.len().saturating_sub(3);
        self.held.extend_from_slice(octets);
        let ends = self.held.get(searched..).unwrap_or_default();
        let end = match (self.held.starts_with(b"\r\n"), memchr_empty_line(ends)) {
            (true, _) => Some(0),
            (false, Some(at)) => Some(searched + at + 2),
            (false, None) => None,
        };
        if end.is_none() && self.held.len() <= SUBMITTED_HEADER_OCTETS_MAX {
            return Vec::new();
        }
        self.done = true;
        let held = std::mem::take(&mut self.held);
        let (head, rest) = held.split_at(end.unwrap_or(0).min(held.len()));
        let too_long = end.is_none_or(|end| end > SUBMITTED_HEADER_OCTETS_MAX);
        self.claims = Claims { too_long, ..Claims::of(head) };
        mend(head, rest, new, self.claims.author)
    }

    /// The message is complete; what is still held back.
    pub fn finish(&mut self, new: &NewFields) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        if self.done || held.is_empty() {
            return held;
        }
        self.done = true;
        self.claims = Claims::of(&held);
        mend(&held, b"", new, self.claims.author)
    }

    /// Whom the message says it is from, once it is complete.
    pub fn claims(self) -> Claims {
        self.claims
    }
}

const REMOVED: [&[u8]; 3] = [b"Bcc", b"Resent-Bcc", b"Return-Path"];

fn memchr_empty_line(octets: &[u8]) -> Option<usize> {
    octets.windows(4).position(|four| four == b"\r\n\r\n")
}

/// What a submitted message is given when it lacks it.
#[derive(Debug)]
pub struct NewFields {
    /// The value for `Date`.
    pub date: String,
    /// The value for `Message-ID`.
    pub message_id: String,
    /// The address for `From`.
    pub from: String,
}

/// `author` tells whether From has an address.
fn mend(head: &[u8], rest: &[u8], new: &NewFields, author: bool) -> Vec<u8> {
    let has = |name: &[u8]| header::fields(head).any(|f| f.name.eq_ignore_ascii_case(name));
    let mut out = Vec::with_capacity(head.len() + rest.len() + 128);
    if !has(b"Date") {
        out.extend_from_slice(format!("Date: {}\r\n", new.date).as_bytes());
    }
    // RFC 6409 §8.3: also in the place of one that names nothing.
    let named = header::fields(head).any(|field| is_message_id(&field) && has_id(field.value));
    if !named {
        out.extend_from_slice(format!("Message-ID: {}\r\n", new.message_id).as_bytes());
    }
    if !has(b"From") {
        out.extend_from_slice(format!("From: <{}>\r\n", new.from).as_bytes());
    }
    for field in header::fields(head) {
        let removed = REMOVED.iter().any(|name| field.name.eq_ignore_ascii_case(name));
        if !author && field.name.eq_ignore_ascii_case(b"From") {
            let name = phrase(field.value);
            out.extend_from_slice(format!("From: {name}<{}>\r\n", new.from).as_bytes());
        } else if !(removed || is_message_id(&field) && !named) {
            out.extend_from_slice(field.raw);
        }
    }
    out.extend_from_slice(rest);
    out
}

/// What a From without an address has, as a display name with a blank behind it, if it can be one.
/// RFC 5322 §3.2.3, §3.2.4.
fn phrase(value: &[u8]) -> String {
    let text = header::unfold(value);
    let text = std::str::from_utf8(&text).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c);
    if text.is_empty() || text.len() > 200 || !text.chars().all(|c| matches!(c, ' '..='~')) {
        return String::new();
    }
    match text.chars().all(plain) {
        true => format!("{text} "),
        false => format!("\"{}\" ", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

fn is_message_id(field: &header::Field<'_>) -> bool {
    field.name.eq_ignore_ascii_case(b"Message-ID")
}

/// There is something between angle brackets. However sloppy that is, the client has it in its own
/// copy, and answers will name it.
fn has_id(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    let inner = text.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.is_some_and(|(inner, _)| !inner.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Address;

    fn new() -> NewFields {
        NewFields {
            date: "D".to_owned(),
            message_id: "<m>".to_owned(),
            from: "a@x.test".to_owned(),
        }
    }

    #[test]
    fn the_client_is_named_as_the_grammar_has_it() {
        for (ip, shown) in [
            ("192.0.2.1", "[192.0.2.1]"),
            ("2001:db8::1", "[IPv6:2001:db8::1]"),
            ("::ffff:192.0.2.1", "[192.0.2.1]"),
        ] {
            assert_eq!(literal(ip.parse().unwrap()), shown);
        }
        assert_eq!(in_ascii("exämple.org", true), "exämple.org");
        assert_eq!(in_ascii("exämple.org", false), "xn--exmple-cua.org");
        assert_eq!(in_ascii("böse,", false), "b?se,");
    }

    fn in_pieces(message: &[u8], size: usize) -> String {
        let mut mender = Mender::default();
        let mut out = Vec::new();
        for piece in message.chunks(size) {
            out.extend(mender.feed(piece, &new()));
        }
        out.extend(mender.finish(&new()));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn submitted_headers_are_mended_in_any_split() {
        let cases: [(&str, &str); 9] = [
            (
                "From: a@x.test\r\nMessage-ID:\r\nDate: a\r\nMESSAGE-ID: < >\r\n\r\nMessage-ID:\r\n",
                "Message-ID: <m>\r\nFrom: a@x.test\r\nDate: a\r\n\r\nMessage-ID:\r\n",
            ),
            (
                "Return-Path: <x@y>\r\nFrom: a@x.test\r\nSubject: x\r\nBcc: secret@x,\r\n\tmore@y\r\nresent-bcc: z@x\r\n\r\n\
                 Bcc: body\r\n",
                "Date: D\r\nMessage-ID: <m>\r\nFrom: a@x.test\r\nSubject: x\r\n\r\nBcc: body\r\n",
            ),
            (
                "Date: a\r\nmessage-id: <b>\r\nFROM : b@x\r\n\r\nbody\r\n\r\nmore",
                "Date: a\r\nmessage-id: <b>\r\nFROM : b@x\r\n\r\nbody\r\n\r\nmore",
            ),
            ("\r\nbody\r\n", "Date: D\r\nMessage-ID: <m>\r\nFrom: <a@x.test>\r\n\r\nbody\r\n"),
            (
                "Subject: only\r\n",
                "Date: D\r\nMessage-ID: <m>\r\nFrom: <a@x.test>\r\nSubject: only\r\n",
            ),
            (
                "Date: a\r\nMessage-ID: <b>\r\nFrom: root\r\n\r\n",
                "Date: a\r\nMessage-ID: <b>\r\nFrom: root <a@x.test>\r\n\r\n",
            ),
            (
                "Date: a\r\nMessage-ID: <b>\r\nFrom: The \"cron\" of\r\n db1.x <>\r\n\r\n",
                "Date: a\r\nMessage-ID: <b>\r\nFrom: \"The \\\"cron\\\" of db1.x <>\" <a@x.test>\r\n\r\n",
            ),
            (
                "Date: a\r\nMessage-ID: <b>\r\nFrom:\r\n\r\n",
                "Date: a\r\nMessage-ID: <b>\r\nFrom: <a@x.test>\r\n\r\n",
            ),
            (
                "Date: a\r\nMessage-ID: <b>\r\nFrom: jörg\r\n\r\n",
                "Date: a\r\nMessage-ID: <b>\r\nFrom: <a@x.test>\r\n\r\n",
            ),
        ];
        for (message, mended) in cases {
            for size in [1, 2, 3, 5, 1000] {
                assert_eq!(in_pieces(message.as_bytes(), size), mended, "in pieces of {size}");
            }
        }
    }

    #[test]
    fn every_from_and_sender_is_a_claim() {
        let message = "From: A <a@x.test>, g: b@x.test;\r\nfrom: \"c d\"@x.test\r\n\
            Sender: (hi) e@\r\n x.test\r\nResent-From: f@x.test\r\nTo: g@x.test\r\n\
            From: nobody\r\n\r\nFrom: h@x.test\r\n";
        for size in [1, 7, 1000] {
            let mut mender = Mender::default();
            message.as_bytes().chunks(size).for_each(|piece| drop(mender.feed(piece, &new())));
            mender.finish(&new());
            let claims = mender.claims();
            let found: Vec<String> = claims.addresses.iter().map(Address::to_string).collect();
            let all = ["a@x.test", "b@x.test", "\"c d\"@x.test", "e@x.test", "f@x.test"];
            assert_eq!(
                (found.as_slice(), claims.too_long),
                (all.map(str::to_owned).as_slice(), false)
            );
        }
        let mut mender = Mender::default();
        mender.feed(&vec![b'x'; SUBMITTED_HEADER_OCTETS_MAX + 1], &new());
        assert!(mender.claims().too_long);
    }
}
