//! Addresses as envelopes use them: `local-part@domain`. RFC 5321 §4.1.2, RFC 6531 §3.3.
//!
//! Parsed once; the local part is kept unquoted, so that `"bob"@x` and `bob@x` are one address.
//! `Display` quotes it again where the grammar asks for it.

use crate::limits::{ADDRESS_OCTETS_MAX, DOMAIN_OCTETS_MAX};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A domain: a host name in lower case, U-labels or A-labels as given, or an address literal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Box<str>);

/// Why a text is not an address or a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// There is no `@`, or nothing before it.
    NoLocalPart,
    /// What follows the `@` is not a domain.
    Domain,
    /// A character the grammar does not allow.
    Character,
    /// Longer than RFC 5321 §4.5.3.1 allows.
    TooLong,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::NoLocalPart => "an address looks like name@example.org",
            AddressError::Domain => "the part after the @ is not a domain name",
            AddressError::Character => "a character that an address cannot have",
            AddressError::TooLong => "longer than 320 octets",
        })
    }
}

impl std::error::Error for AddressError {}

impl Domain {
    /// Reads a domain name or an address literal such as `[192.0.2.1]`. Underscores and a final
    /// dot are tolerated (users.md S-04); labels may be UTF-8 (RFC 6531 §3.3).
    pub fn parse(text: &str) -> Result<Domain, AddressError> {
        if text.len() > DOMAIN_OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(AddressError::Domain)?;
            let fine = |c: char| c.is_ascii_graphic() && !"[]\\".contains(c);
            if inner.is_empty() || !inner.chars().all(fine) {
                return Err(AddressError::Domain);
            }
            return Ok(Domain(text.to_ascii_lowercase().into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let label = |label: &str| {
            let fine = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c) || !c.is_ascii();
            !label.is_empty()
                && label.len() <= 63
                && label.chars().all(|c| fine(c) && !c.is_control())
        };
        if !name.split('.').all(label) {
            return Err(AddressError::Domain);
        }
        Ok(Domain(name.to_lowercase().into()))
    }

    /// The name in lower case, without a final dot; literals with their brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form DNS knows: A-labels (RFC 5891). `None` for literals and names IDNA refuses.
    pub fn to_ascii(&self) -> Option<String> {
        if self.is_literal() {
            return None;
        }
        if self.0.is_ascii() {
            return Some(self.0.to_string());
        }
        idna::domain_to_ascii(&self.0).ok()
    }

    /// The same domain in whatever spelling. RFC 5890 §2.3.2.4.
    pub fn is_same(&self, other: &Domain) -> bool {
        self == other || self.spellings().contains(other) || other.spellings().contains(self)
    }

    /// Its other spellings, if it has any: in A-labels, and in U-labels. RFC 5890 §2.3.2.4.
    pub fn spellings(&self) -> Vec<Domain> {
        if self.is_literal() || (self.0.is_ascii() && !self.0.contains("xn--")) {
            return Vec::new();
        }
        let ascii = idna::domain_to_ascii(&self.0).ok();
        let (unicode, fine) = idna::domain_to_unicode(&self.0);
        let unicode = fine.ok().map(|()| unicode);
        let both = ascii.into_iter().chain(unicode).filter_map(|name| Domain::parse(&name).ok());
        both.filter(|other| other != self).collect()
    }

    /// The spelling that names of ours are kept in: U-labels composed, A-labels as given.
    pub fn prepared(&self) -> Domain {
        let unicode = self.spellings().pop().filter(|name| !name.0.is_ascii());
        unicode.filter(|_| !self.0.is_ascii()).unwrap_or_else(|| self.clone())
    }

    /// A name of a single label, which is complete only where it is known. RFC 5321 §2.3.5.
    pub fn is_single(&self) -> bool {
        !self.is_literal() && !self.0.contains('.')
    }

    /// The address of an address literal, if it is one: `[192.0.2.1]`, `[IPv6:2001:db8::1]`. RFC
    /// 5321 §4.1.3.
    pub fn literal_ip(&self) -> Option<IpAddr> {
        let inner = self.0.strip_prefix('[')?.strip_suffix(']')?;
        match inner.strip_prefix("ipv6:") {
            Some(v6) => v6.parse().ok().map(IpAddr::V6),
            None => inner.parse().ok().map(IpAddr::V4),
        }
    }

    /// An address literal, `[…]`. RFC 5321 §4.1.3.
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.0)
    }
}
impl FromStr for Domain {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Domain, AddressError> {
        Domain::parse(text)
    }
}

/// `local-part@domain`. RFC 5321 §4.1.2 `Mailbox`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    local: Box<str>,
    domain: Domain,
}

/// The sender of an envelope: an address, or nobody (`<>`), as in bounces. RFC 5321 §4.5.5.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: nothing is ever sent back.
    Null,
    /// Where failures are reported to.
    Address(Address),
}

impl ReversePath {
    /// The address, if there is one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            ReversePath::Null => None,
            ReversePath::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => Ok(()),
            ReversePath::Address(address) => address.fmt(f),
        }
    }
}

impl Address {
    /// From an unquoted local part and a domain.
    pub fn new(local: &str, domain: Domain) -> Result<Address, AddressError> {
        if local.is_empty() {
            return Err(AddressError::NoLocalPart);
        }
        if local.len() + 1 + domain.as_str().len() > ADDRESS_OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
        if local.chars().any(char::is_control) {
            return Err(AddressError::Character);
        }
        Ok(Address { local: local.into(), domain })
    }

    /// Reads `local@domain`, the local part as Dot-string or Quoted-string.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let (local, domain) = match text.strip_prefix('"') {
            Some(quoted) => split_quoted(quoted)?,
            None => {
                let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoLocalPart)?;
                if local.is_empty() {
                    return Err(AddressError::NoLocalPart);
                }
                if !is_dot_string(local) {
                    return Err(AddressError::Character);
                }
                (local.to_string(), domain)
            }
        };
        Address::new(&local, Domain::parse(domain)?)
    }

    /// The local part, unquoted, in the case it was given.
    pub fn local(&self) -> &str {
        &self.local
    }
    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }
    /// It cannot be written without UTF-8. RFC 6531 §3.3.
    pub fn needs_utf8(&self) -> bool {
        !self.local.is_ascii() || !self.domain.as_str().is_ascii()
    }
    /// The address in the one spelling that names are compared and kept in: the local part as
    /// SASLprep prepares it (RFC 4013), a domain in U-labels composed (RFC 5891 §5.2). What
    /// SASLprep refuses stays as it is: its rule for what is written from right to left takes no
    /// name that ends in a digit, and RFC 8265, which follows it, does.
    pub fn prepared(&self) -> Address {
        if !self.needs_utf8() {
            return self.clone();
        }
        let local = stringprep::saslprep(&self.local).ok().filter(|local| !local.is_empty());
        let local = local.as_deref().unwrap_or(&self.local);
        Address::new(local, self.domain.prepared()).unwrap_or_else(|_| self.clone())
    }
    /// The address in lower case, the form directories look up: we compare local parts without
    /// regard to case, as every mail server in use does.
    pub fn key(&self) -> String {
        format!("{}@{}", self.local.to_lowercase(), self.domain)
    }
}

/// The text after an opening quote: the unquoted local part and what follows the `@`.
fn split_quoted(text: &str) -> Result<(String, &str), AddressError> {
    let mut local = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let rest = text.get(at + 1..).and_then(|rest| rest.strip_prefix('@'));
                return Ok((local, rest.ok_or(AddressError::Domain)?));
            }
            '\\' => {
                let (_, c) = chars.next().ok_or(AddressError::Character)?;
                local.push(c);
            }
            c => local.push(c),
        }
    }
    Err(AddressError::Character)
}

/// `Dot-string` of RFC 5321 §4.1.2, extended by RFC 6531 §3.3. Leading, trailing and double dots
/// are let through: such addresses exist, and refusing them helps nobody.
fn is_dot_string(text: &str) -> bool {
    let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    text.chars().all(|c| atext(c) || (!c.is_ascii() && !c.is_control()))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is let in is not let out: RFC 5321 §4.1.2 has such names quoted.
        let dots = self.local.split('.').any(str::is_empty);
        if is_dot_string(&self.local) && !dots {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local.chars() {
            if c == '"' || c == '\\' {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}
impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Address, AddressError> {
        Address::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_parse_and_print() {
        for (text, printed) in [
            ("bob@Example.ORG", "bob@example.org"),
            ("\"bob\"@example.org.", "bob@example.org"),
            ("\"a b\\\"c\"@example.org", "\"a b\\\"c\"@example.org"),
            ("bob+tag@[192.0.2.1]", "bob+tag@[192.0.2.1]"),
            ("\"a@b\"@c.example", "\"a@b\"@c.example"),
            ("jörg@exämple.org", "jörg@exämple.org"),
            ("a..b@c.example", "\"a..b\"@c.example"),
            ("\".a\"@c.example", "\".a\"@c.example"),
            ("a.@c.example", "\"a.\"@c.example"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), printed);
            assert_eq!(Address::parse(printed).unwrap(), address);
        }
        let bad = [
            "", "bob", "@x", "bob@", "a b@x.y", "a@b@c.d", "\"\"@x.y", "\"x", "a@b..c", "a@[",
            "a\r\n@b",
        ];
        for bad in bad {
            assert!(Address::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn idn_domains_have_an_ascii_form() {
        let domain = Domain::parse("Exämple.org").unwrap();
        assert_eq!(domain.to_ascii().as_deref(), Some("xn--exmple-cua.org"));
        let other = |name| Domain::parse(name).unwrap();
        assert!(domain.is_same(&other("XN--exmple-cua.ORG")) && domain.is_same(&domain));
        assert!(other("xn--exmple-cua.org.").is_same(&other("exa\u{308}mple.org")));
        assert!(!domain.is_same(&other("example.org")));
    }
}
