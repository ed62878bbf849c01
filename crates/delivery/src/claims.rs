//! Whom the header of a submitted message says it is from. RFC 5322 §3.6.2, RFC 6409 §6.
//!
//! Invariant: nothing that a reader could take for an author is passed over. Sloppy names are fine;
//! what is not read alike by all is [`Claims::unclear`].

use mail::header::{self, address_list};
use mail::limits::ADDRESSES_MAX;
use mail::summary::EnvelopeAddress;
use mail::{Address, Domain};

/// Whom a header says a message is from.
#[derive(Debug, Default)]
pub struct Claims {
    /// The addresses of all its From, Sender, Resent-From and Resent-Sender fields.
    pub addresses: Vec<Address>,
    /// There is an address in From.
    pub author: bool,
    /// Why it cannot be said whom it is from.
    pub unclear: Option<String>,
    /// Domains of a single word in any of its addresses, ten at most.
    pub short: Vec<Domain>,
    /// The header is longer than what is looked at.
    pub too_long: bool,
}

/// Fields that name who is responsible. RFC 5322 §3.6.2, §3.6.6.
const FROM_FIELDS: [&str; 4] = ["From", "Sender", "Resent-From", "Resent-Sender"];

/// Other fields with addresses. RFC 5322 §3.6.2, §3.6.3, §3.6.6.
const TO_FIELDS: [&str; 7] =
    ["Reply-To", "To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"];

impl Claims {
    /// The claims of a header.
    pub fn of(head: &[u8]) -> Claims {
        let mut claims = Claims::default();
        let mut authors = 0;
        for field in header::fields(head) {
            let is = |name: &&&str| field.name.eq_ignore_ascii_case(name.as_bytes());
            if let Some(name) = FROM_FIELDS.iter().find(is) {
                authors += usize::from(*name == "From");
                claims.read_from(name, field.value);
            } else if TO_FIELDS.iter().any(|name| is(&name)) {
                for (_, host) in mailboxes(address_list(field.value)) {
                    claims.note_short(domain(&host).as_ref());
                }
            }
        }
        if authors > 1 {
            claims.unclear = Some(format!("it has {authors} From fields"));
        }
        claims
    }

    fn read_from(&mut self, name: &str, value: &[u8]) {
        if !address_list::passed_over(value).is_empty() {
            self.unclear = Some(format!("{name} has one address behind the other"));
        }
        let items = address_list(value);
        if items.len() >= ADDRESSES_MAX {
            self.unclear = Some(format!("{name} has too many addresses"));
        }
        for (local, host) in mailboxes(items) {
            if host.is_empty() {
                // A word: `Doe, John <john@example.org>`.
                continue;
            }
            match address(&local, &host) {
                Some(address) => {
                    self.author |= name == "From";
                    self.note_short(Some(address.domain()));
                    self.addresses.push(address);
                }
                None => {
                    let text = [local.as_slice(), b"@", &host].concat();
                    let text = String::from_utf8_lossy(&text);
                    self.unclear = Some(format!("{name} has '{text}', which is no address"));
                }
            }
        }
    }

    fn note_short(&mut self, domain: Option<&Domain>) {
        let single = domain.filter(|domain| domain.is_single() && self.short.len() < 10);
        if let Some(domain) = single.filter(|domain| !self.short.contains(domain)) {
            self.short.push(domain.clone());
        }
    }
}

/// Local parts and hosts.
fn mailboxes(items: Vec<EnvelopeAddress>) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    items.into_iter().filter_map(|item| match item {
        EnvelopeAddress::Mailbox { local, host, .. } => Some((local, host)),
        _ => None,
    })
}

fn domain(host: &[u8]) -> Option<Domain> {
    Domain::parse(std::str::from_utf8(host).ok()?).ok()
}

/// The address, if all who read it see the same one.
fn address(local: &[u8], host: &[u8]) -> Option<Address> {
    let local = std::str::from_utf8(local).ok()?;
    Address::new(local, domain(host)?).ok().filter(|_| !local.contains(['<', '>', '@']))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sloppy, and clear all the same: clients like these exist.
    #[test]
    fn sloppy_names_do_not_matter() {
        for value in [
            "John Q. Public <a@x.test>",
            "Public, John <a@x.test>",
            "a@x.test <a@x.test>",
            "ceo@bank.test <a@x.test>",
            "Sales: A <a@x.test>",
            "\"A <a@x.test>",
            "=?utf-8?q?J=C3=B6rg?= <a@x.test>",
            "Jörg Müller <a@x.test>",
            "A (the (first) one) <a@x.test>,",
            "A <<a@x.test>>",
            "A <B> <a@x.test>",
            "a@x.test;",
            "<@relay.test:a@x.test>",
            "a @ x . test",
        ] {
            let claims = Claims::of(format!("From: {value}\r\n").as_bytes());
            let found: Vec<String> = claims.addresses.iter().map(Address::to_string).collect();
            let wanted = if value.starts_with('"') { vec![] } else { vec!["a@x.test".to_owned()] };
            assert_eq!((found, claims.unclear), (wanted, None), "{value}");
        }
        let latin = Claims::of(b"From: J\xf6rg M\xfcller <a@x.test>\r\n");
        assert!(latin.author && latin.unclear.is_none());
    }

    #[test]
    fn what_one_may_read_so_and_another_otherwise_is_unclear() {
        for (head, why) in [
            ("From: a@x.test\r\nFrom: a@x.test\r\n", "2 From"),
            ("From: <ceo@bank.test> <a@x.test>\r\n", "behind the other"),
            ("From: <ceo@bank.test <a@x.test>\r\n", "no address"),
            ("From: ceo@bank_\u{1}.test, a@x.test\r\n", "no address"),
            ("From: a@x.test, @bank.test\r\n", "no address"),
            ("From: ceo@=?utf-8?q?bank?=.test\r\n", "no address"),
            ("Sender: ceo@bank..test\r\nFrom: a@x.test\r\n", "Sender has"),
        ] {
            let unclear = Claims::of(head.as_bytes()).unclear;
            assert!(unclear.as_ref().is_some_and(|u| u.contains(why)), "{head:?}: {unclear:?}");
        }
        for filler in ["a@x.test,", "g:;"] {
            let many = format!("From: {}ceo@bank.test\r\n", filler.repeat(ADDRESSES_MAX));
            assert!(Claims::of(many.as_bytes()).unclear.is_some());
        }
    }
}
