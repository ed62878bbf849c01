//! DNS as a test fills it, signed or not.

use crate::world::lock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use sys::BoxFuture;
use sys::dnssec::{Answer, Tlsa, ValidatingResolver};
use sys::resolver::{DnsError, Mx, Resolver, reverse_name};

/// DNS from a table.
#[derive(Default)]
pub struct SimDns {
    names: Mutex<HashMap<String, Records>>,
    /// Questions that were asked.
    asked: AtomicU64,
}

/// What there is at a name.
#[derive(Clone, Default)]
struct Records {
    mx: Vec<Mx>,
    addresses: Vec<IpAddr>,
    texts: Vec<Vec<u8>>,
    names: Vec<String>,
    tlsa: Vec<Tlsa>,
    /// CNAME.
    alias: Option<String>,
    signed: Signed,
    /// Nobody answers.
    fails: bool,
    /// Nobody answers questions about texts.
    texts_fail: bool,
}

/// What DNSSEC makes of the records of a name. RFC 4035 §4.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signed {
    /// There are no signatures, as is to be expected.
    #[default]
    Insecure,
    /// They are right.
    Secure,
    /// They are wrong.
    Bogus,
}

impl SimDns {
    fn change(&self, name: &str, change: impl FnOnce(&mut Records)) {
        change(lock(&self.names).entry(name.to_ascii_lowercase()).or_default());
    }

    /// Adds an MX record; the empty exchange is the null MX.
    pub fn add_mx(&self, name: &str, preference: u16, exchange: &str) {
        let mx = Mx { preference, exchange: exchange.to_owned() };
        self.change(name, |records| {
            records.fails = false;
            records.mx.push(mx);
        });
    }

    /// Adds an address record.
    pub fn add_address(&self, name: &str, address: IpAddr) {
        self.change(name, |records| {
            records.fails = false;
            records.addresses.push(address);
        });
    }

    /// Adds a TXT record.
    pub fn add_text(&self, name: &str, text: &[u8]) {
        self.change(name, |records| records.texts.push(text.to_vec()));
    }

    /// Takes all TXT records of a name away; the name stays.
    pub fn clear_texts(&self, name: &str) {
        self.change(name, |records| records.texts.clear());
    }

    /// Adds a PTR record.
    pub fn add_name(&self, ip: IpAddr, name: &str) {
        self.add_text_name(&reverse_name(ip), name);
    }

    /// Adds a PTR record at a name of `in-addr.arpa` or `ip6.arpa`.
    pub fn add_text_name(&self, at: &str, name: &str) {
        self.change(at, |records| records.names.push(name.to_owned()));
    }

    /// Adds a TLSA record.
    pub fn add_tlsa(&self, name: &str, tlsa: Tlsa) {
        self.change(name, |records| records.tlsa.push(tlsa));
    }

    /// Makes the name a CNAME of another.
    pub fn alias(&self, name: &str, target: &str) {
        self.change(name, |records| records.alias = Some(target.to_owned()));
    }

    /// Signs what is at the name, rightly or not.
    pub fn sign(&self, name: &str, signed: Signed) {
        self.change(name, |records| records.signed = signed);
    }

    /// From now on questions about the name fail.
    pub fn fail(&self, name: &str) {
        self.change(name, |records| *records = Records { fails: true, ..Records::default() });
    }

    /// From now on, or no longer, questions about texts of the name fail.
    pub fn fail_texts(&self, name: &str, fails: bool) {
        self.change(name, |records| records.texts_fail = fails);
    }

    /// How many questions were asked.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    fn find<T>(
        &self,
        name: &str,
        take: impl FnOnce(&Records) -> Vec<T>,
    ) -> Result<Vec<T>, DnsError> {
        self.answer(name, take).map(|answer| answer.found)
    }

    fn answer<T>(
        &self,
        name: &str,
        take: impl FnOnce(&Records) -> Vec<T>,
    ) -> Result<Answer<Vec<T>>, DnsError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let names = lock(&self.names);
        let mut name = name.to_ascii_lowercase();
        let (mut secure, mut name_secure) = (true, None);
        loop {
            let Some(records) = names.get(&name) else {
                // A name with others below it exists (RFC 8020 §2).
                let below =
                    names.keys().any(|n| n.strip_suffix(&name).is_some_and(|n| n.ends_with('.')));
                return Err(if below { DnsError::NoRecord } else { DnsError::NoSuchName });
            };
            if records.fails {
                return Err(DnsError::Temporary("SERVFAIL".to_owned()));
            }
            if records.signed == Signed::Bogus {
                return Err(DnsError::Temporary("DNSSEC validation failed".to_owned()));
            }
            secure &= records.signed == Signed::Secure;
            let name_secure = *name_secure.get_or_insert(secure);
            if let Some(target) = &records.alias {
                name = target.to_ascii_lowercase();
                continue;
            }
            let found = take(records);
            return match found.is_empty() {
                true => Err(DnsError::NoRecord),
                false => Ok(Answer { found, secure, canonical: name, name_secure }),
            };
        }
    }
}

impl Resolver for SimDns {
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Mx>, DnsError>> {
        let found = self.find(name, |records| records.mx.clone());
        Box::pin(async move { found })
    }
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        let found = self.find(name, |records| records.addresses.clone());
        Box::pin(async move { found })
    }
    fn ipv4<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        let v4 = |all: &Records| all.addresses.iter().copied().filter(IpAddr::is_ipv4).collect();
        let found = self.find(name, v4);
        Box::pin(async move { found })
    }
    fn ipv6<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        let v6 = |all: &Records| all.addresses.iter().copied().filter(IpAddr::is_ipv6).collect();
        let found = self.find(name, v6);
        Box::pin(async move { found })
    }
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, DnsError>> {
        let fails = lock(&self.names).get(&name.to_ascii_lowercase()).is_some_and(|r| r.texts_fail);
        let found = match fails {
            true => Err(DnsError::Temporary("SERVFAIL".to_owned())),
            false => self.find(name, |records| records.texts.clone()),
        };
        Box::pin(async move { found })
    }
    fn ptr(&self, ip: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>> {
        let found = self.find(&reverse_name(ip), |records| records.names.clone());
        Box::pin(async move { found })
    }
}

impl ValidatingResolver for SimDns {
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<Mx>>, DnsError>> {
        let found = self.answer(name, |records| records.mx.clone());
        Box::pin(async move { found })
    }
    fn addresses<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Answer<Vec<IpAddr>>, DnsError>> {
        let found = self.answer(name, |records| records.addresses.clone());
        Box::pin(async move { found })
    }
    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Tlsa>, DnsError>> {
        let found = self.answer(name, |records| records.tlsa.clone());
        let found = found.and_then(|answer| match answer.secure {
            true => Ok(answer.found),
            false => Err(DnsError::NoRecord),
        });
        Box::pin(async move { found })
    }
    fn probe(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
    fn works(&self) -> Option<bool> {
        Some(true)
    }
}
