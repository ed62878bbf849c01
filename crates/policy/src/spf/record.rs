//! The grammar of SPF records. RFC 7208 §4.6.1, §5, §6, §12.

use super::SpfResult;
use super::macros::MacroString;
use crate::network::Network;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The record is one of SPF's: it begins with `v=spf1`. RFC 7208 §4.5.
pub fn is_record(text: &[u8]) -> bool {
    let Some((version, rest)) = text.split_at_checked(6) else { return false };
    version.eq_ignore_ascii_case(b"v=spf1") && matches!(rest.first(), None | Some(b' '))
}

/// A record that is right from its first to its last octet.
#[derive(Debug)]
pub(super) struct Record {
    pub directives: Vec<Directive>,
    /// Not there if there is an `all`. RFC 7208 §5.1.
    pub redirect: Option<DomainSpec>,
    pub exp: Option<DomainSpec>,
}

#[derive(Debug)]
pub(super) struct Directive {
    /// The result when it matches.
    pub qualifier: SpfResult,
    pub mechanism: Mechanism,
    /// As it stands in the record.
    pub text: String,
}

#[derive(Debug)]
pub(super) enum Mechanism {
    All,
    Include(DomainSpec),
    A(Option<DomainSpec>, Prefixes),
    Mx(Option<DomainSpec>, Prefixes),
    Ptr(Option<DomainSpec>),
    Ip(IpNetwork),
    Exists(DomainSpec),
}

/// A network of one family: an IPv4 client is in no IPv6 network. RFC 7208 §5.6.
#[derive(Debug)]
pub(super) struct IpNetwork {
    v4: bool,
    network: Network,
}

impl IpNetwork {
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.v4 == ip.is_ipv4() && self.network.contains(ip)
    }
}

/// `dual-cidr-length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefixes {
    v4: u32,
    v6: u32,
}

impl Prefixes {
    /// The first bits of both are the same.
    pub fn matches(self, one: IpAddr, other: IpAddr) -> bool {
        match (one, other) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - self.v4).unwrap_or(0);
                (one.to_bits() ^ other.to_bits()) & mask == 0
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - self.v6).unwrap_or(0);
                (one.to_bits() ^ other.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

/// `domain-spec`: a macro string that ends like a domain.
pub(super) type DomainSpec = MacroString;

impl Record {
    /// Reads a record; the error says what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Record, String> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii());
        let text = text.ok_or("it is not ASCII")?;
        let mut record = Record { directives: Vec::new(), redirect: None, exp: None };
        let mut all = false;
        for term in text.split(' ').skip(1).filter(|term| !term.is_empty()) {
            let wrong = || format!("'{}' is no term", term.escape_debug());
            if let Some((name, value)) = modifier(term) {
                let known = match name.to_ascii_lowercase().as_str() {
                    "redirect" => &mut record.redirect,
                    "exp" => &mut record.exp,
                    _ => {
                        MacroString::parse(value, false).ok_or_else(wrong)?;
                        continue;
                    }
                };
                if known.is_some() {
                    return Err(format!("there are two '{name}='"));
                }
                *known = Some(domain_spec(value).ok_or_else(wrong)?);
                continue;
            }
            let directive = directive(term).ok_or_else(wrong)?;
            // What follows is right or wrong, but never asked.
            if !all {
                all = matches!(directive.mechanism, Mechanism::All);
                record.directives.push(directive);
            }
        }
        if all {
            record.redirect = None;
        }
        Ok(record)
    }
}

/// `name "=" macro-string`.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(fine))
        .then_some((name, value))
}

/// `[ qualifier ] mechanism`.
fn directive(term: &str) -> Option<Directive> {
    let qualifiers = [
        ('+', SpfResult::Pass),
        ('-', SpfResult::Fail),
        ('~', SpfResult::SoftFail),
        ('?', SpfResult::Neutral),
    ];
    let said = qualifiers.iter().find(|(sign, _)| term.starts_with(*sign));
    let (qualifier, rest) = match said {
        Some((_, qualifier)) => (*qualifier, term.get(1..)?),
        None => (SpfResult::Pass, term),
    };
    let end = rest.find([':', '/']).unwrap_or(rest.len());
    let (name, argument) = rest.split_at(end);
    let value = argument.strip_prefix(':');
    let mechanism = match name.to_ascii_lowercase().as_str() {
        "all" if argument.is_empty() => Mechanism::All,
        "include" => Mechanism::Include(domain_spec(value?)?),
        "exists" => Mechanism::Exists(domain_spec(value?)?),
        "ptr" if argument.is_empty() => Mechanism::Ptr(None),
        "ptr" => Mechanism::Ptr(Some(domain_spec(value?)?)),
        "a" => {
            let (spec, prefixes) = with_prefixes(argument)?;
            Mechanism::A(spec, prefixes)
        }
        "mx" => {
            let (spec, prefixes) = with_prefixes(argument)?;
            Mechanism::Mx(spec, prefixes)
        }
        "ip4" => Mechanism::Ip(ip4(value?)?),
        "ip6" => Mechanism::Ip(ip6(value?)?),
        _ => return None,
    };
    Some(Directive { qualifier, mechanism, text: term.to_owned() })
}

/// `macro-string domain-end`: the end is a macro, or a dot and a top label.
fn domain_spec(text: &str) -> Option<DomainSpec> {
    let spec = MacroString::parse(text, false)?;
    if spec.ends_with_macro() {
        return Some(spec);
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    let (_, top) = text.rsplit_once('.')?;
    let ldh = top.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let named = top.bytes().any(|b| b.is_ascii_alphabetic() || b == b'-');
    let ends = !top.starts_with('-') && !top.ends_with('-') && !top.is_empty();
    (ldh && named && ends).then_some(spec)
}

/// `[ ":" domain-spec ] [ dual-cidr-length ]`.
fn with_prefixes(argument: &str) -> Option<(Option<DomainSpec>, Prefixes)> {
    let (argument, v6) = cut_prefix(argument, "//", 128)?;
    let (argument, v4) = cut_prefix(argument, "/", 32)?;
    let prefixes = Prefixes { v4, v6 };
    if argument.is_empty() {
        return Some((None, prefixes));
    }
    Some((Some(domain_spec(argument.strip_prefix(':')?)?), prefixes))
}

/// Takes `/24` from the end, if digits are all that follows the last slash.
fn cut_prefix<'a>(text: &'a str, slash: &str, most: u32) -> Option<(&'a str, u32)> {
    let Some((before, digits)) = text.rsplit_once(slash) else { return Some((text, most)) };
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    // `/` and no number may be part of a domain, whose end is looked at anyway.
    match is_number && !before.ends_with('/') {
        true => Some((before, length(digits, most)?)),
        false => Some((text, most)),
    }
}

/// A prefix length without leading zeros.
fn length(digits: &str, most: u32) -> Option<u32> {
    let leading = digits.len() > 1 && digits.starts_with('0');
    let number = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|n| *n <= most && !leading && number)
}

fn network(text: &str, most: u32) -> Option<(&str, String)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, digits)) => (address, length(digits, most)?),
        None => (text, most),
    };
    Some((address, format!("{address}/{prefix}")))
}

fn ip4(text: &str) -> Option<IpNetwork> {
    let (address, network) = network(text, 32)?;
    address.parse::<Ipv4Addr>().ok()?;
    Some(IpNetwork { v4: true, network: network.parse().ok()? })
}

fn ip6(text: &str) -> Option<IpNetwork> {
    let (address, network) = network(text, 128)?;
    address.parse::<Ipv6Addr>().ok()?;
    Some(IpNetwork { v4: false, network: network.parse().ok()? })
}
