//! SPF: may this address send mail in the name of that domain? RFC 7208.
//!
//! `record.rs` reads a record, `macros.rs` its macros; here records are evaluated, over the
//! resolver and nothing else. Invariant: no record makes us ask more than [`SPF_LOOKUPS_MAX`]
//! terms' worth of questions.

mod macros;
mod record;

use crate::limits::{SPF_EXPLANATION_OCTETS_MAX, SPF_LOOKUPS_MAX, SPF_NAMES_MAX, SPF_VOID_MAX};
use macros::Values;
use record::{DomainSpec, Mechanism, Prefixes, Record};
use std::fmt;
use std::net::IpAddr;
use sys::BoxFuture;
use sys::resolver::{DnsError, Resolver};

pub use record::is_record;

/// What check_host() returns. RFC 7208 §2.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SpfResult {
    /// There is no record, or no domain that could have one.
    #[default]
    None,
    /// The domain does not say.
    Neutral,
    /// The address may.
    Pass,
    /// The address may not.
    Fail,
    /// The address probably may not.
    SoftFail,
    /// DNS did not answer.
    TempError,
    /// The records cannot be evaluated.
    PermError,
}

impl SpfResult {
    /// As in Authentication-Results. RFC 8601 §2.7.2.
    pub fn as_str(self) -> &'static str {
        match self {
            SpfResult::None => "none",
            SpfResult::Neutral => "neutral",
            SpfResult::Pass => "pass",
            SpfResult::Fail => "fail",
            SpfResult::SoftFail => "softfail",
            SpfResult::TempError => "temperror",
            SpfResult::PermError => "permerror",
        }
    }
}

impl fmt::Display for SpfResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who asks to send. RFC 7208 §4.1.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The client's address.
    pub ip: IpAddr,
    /// Whose record is looked for, in A-labels.
    pub domain: &'a str,
    /// The identity: an address, or a host name for HELO.
    pub sender: &'a str,
    /// What the client called itself.
    pub helo: &'a str,
    /// Our name, for explanations.
    pub receiver: &'a str,
    /// Seconds since 1970, for explanations.
    pub now: i64,
}

/// The result, and why.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What check_host() returns.
    pub result: SpfResult,
    /// Why, in words; one line.
    pub why: String,
    /// What the domain says to those who are refused: ASCII, one line, from a stranger.
    /// RFC 7208 §6.2.
    pub explanation: Option<String>,
}

/// Why a record is wrong, if it is. RFC 7208 §4.6.
pub fn check_record(text: &[u8]) -> Result<(), String> {
    Record::parse(text).map(drop)
}

/// check_host(). RFC 7208 §4.
pub async fn check_host(resolver: &dyn Resolver, request: Request<'_>) -> Outcome {
    let sender = match request.sender.rsplit_once('@') {
        None => format!("postmaster@{}", request.sender),
        Some(("", domain)) => format!("postmaster@{domain}"),
        Some(_) => request.sender.to_owned(),
    };
    let ip = match request.ip {
        // RFC 7208 §5: an IPv4 client that comes as an IPv6 address is an IPv4 client.
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(request.ip, IpAddr::V4),
        v4 => v4,
    };
    let mut check =
        Check { resolver, request: Request { ip, ..request }, sender, lookups: 0, void: 0 };
    let ended = check.host(request.domain.trim_end_matches('.').to_owned()).await;
    let (result, why) = match &ended {
        Ok(found) => (found.result, found.why.clone()),
        Err(Exception::Temporary(why)) => (SpfResult::TempError, why.clone()),
        Err(Exception::Permanent(why)) => (SpfResult::PermError, why.clone()),
    };
    let mut outcome = Outcome { result, why, explanation: None };
    if let Ok(Found { result: SpfResult::Fail, exp: Some((domain, spec)), .. }) = ended {
        outcome.explanation = check.explain(&domain, &spec).await;
    }
    outcome
}

/// The domain can have a record: several labels of legal length. RFC 7208 §4.3.
fn is_domain(name: &str) -> bool {
    let legal = |label: &str| (1..=63).contains(&label.len());
    name.len() <= 253 && name.contains('.') && name.split('.').all(legal)
}

/// Why an evaluation ends early.
enum Exception {
    Temporary(String),
    Permanent(String),
}

use Exception::{Permanent, Temporary};

/// How an evaluation ends.
struct Found {
    result: SpfResult,
    why: String,
    /// The explanation's place, and the domain that it is expanded for.
    exp: Option<(String, DomainSpec)>,
}

impl Found {
    fn none(why: String) -> Found {
        Found { result: SpfResult::None, why, exp: None }
    }
}

/// One evaluation with all that it includes.
struct Check<'a> {
    resolver: &'a dyn Resolver,
    request: Request<'a>,
    sender: String,
    /// Terms that asked DNS so far. RFC 7208 §4.6.4.
    lookups: usize,
    /// Those that found nothing.
    void: usize,
}

impl Check<'_> {
    /// check_host() for a domain. A boxed future: records include each other, at most as deep as
    /// look-ups are counted.
    fn host(&mut self, domain: String) -> BoxFuture<'_, Result<Found, Exception>> {
        Box::pin(async move {
            if !is_domain(&domain) {
                return Ok(Found::none(format!("'{}' is no domain", domain.escape_debug())));
            }
            let texts = match self.resolver.txt(&domain).await {
                Ok(texts) => texts,
                Err(DnsError::NoSuchName | DnsError::NoRecord) => Vec::new(),
                Err(error) => return Err(Temporary(format!("TXT of {domain}: {error}"))),
            };
            let mut records = texts.iter().filter(|text| is_record(text));
            let (Some(text), None) = (records.next(), records.next()) else {
                return match texts.iter().any(|text| is_record(text)) {
                    true => Err(Permanent(format!("{domain} has several SPF records"))),
                    false => Ok(Found::none(format!("{domain} has no SPF record"))),
                };
            };
            let record = Record::parse(text)
                .map_err(|why| Permanent(format!("the SPF record of {domain}: {why}")))?;
            self.evaluate(&domain, record).await
        })
    }

    async fn evaluate(&mut self, domain: &str, record: Record) -> Result<Found, Exception> {
        for directive in &record.directives {
            if self.matches(domain, &directive.mechanism).await? {
                let why = format!("{domain} says '{}'", directive.text);
                let exp = record.exp.map(|spec| (domain.to_owned(), spec));
                return Ok(Found { result: directive.qualifier, why, exp });
            }
        }
        let Some(spec) = &record.redirect else {
            let why = format!("{domain} does not say");
            return Ok(Found { result: SpfResult::Neutral, why, exp: None });
        };
        self.count()?;
        let target = self.target(domain, Some(spec)).await?;
        let found = self.host(target.clone()).await?;
        match found.result {
            // RFC 7208 §6.1.
            SpfResult::None => {
                Err(Permanent(format!("{domain} redirects to {target}: {}", found.why)))
            }
            _ => Ok(found),
        }
    }

    /// One more term that asks DNS.
    fn count(&mut self) -> Result<(), Exception> {
        self.lookups += 1;
        match self.lookups > SPF_LOOKUPS_MAX {
            true => Err(Permanent(format!("more than {SPF_LOOKUPS_MAX} DNS look-ups"))),
            false => Ok(()),
        }
    }

    /// Nothing found is nothing, but only so often; no answer ends all.
    fn none_or<T>(
        &mut self,
        name: &str,
        got: Result<Vec<T>, DnsError>,
    ) -> Result<Vec<T>, Exception> {
        match got {
            Ok(found) => Ok(found),
            Err(DnsError::NoSuchName | DnsError::NoRecord) => {
                self.void += 1;
                match self.void > SPF_VOID_MAX {
                    true => Err(Permanent(format!(
                        "more than {SPF_VOID_MAX} DNS look-ups found nothing"
                    ))),
                    false => Ok(Vec::new()),
                }
            }
            Err(error) => Err(Temporary(format!("{name}: {error}"))),
        }
    }

    /// The target-name of a term. RFC 7208 §4.8.
    async fn target(
        &mut self,
        domain: &str,
        spec: Option<&DomainSpec>,
    ) -> Result<String, Exception> {
        let Some(spec) = spec else { return Ok(domain.to_owned()) };
        let validated = match spec.wants_validated_name() {
            true => self.validated_for(domain).await,
            false => String::new(),
        };
        let name = spec.expand(&self.values(domain, &validated));
        Ok(macros::fitted(name.trim_end_matches('.')).to_owned())
    }

    fn values<'v>(&'v self, domain: &'v str, validated: &'v str) -> Values<'v> {
        Values { request: &self.request, sender: &self.sender, domain, validated }
    }

    async fn matches(&mut self, domain: &str, mechanism: &Mechanism) -> Result<bool, Exception> {
        let ip = self.request.ip;
        Ok(match mechanism {
            Mechanism::All => true,
            Mechanism::Ip(network) => network.contains(ip),
            Mechanism::Include(spec) => {
                self.count()?;
                let target = self.target(domain, Some(spec)).await?;
                let found = self.host(target.clone()).await?;
                if found.result == SpfResult::None {
                    let why = format!("{domain} includes {target}: {}", found.why);
                    return Err(Permanent(why));
                }
                found.result == SpfResult::Pass
            }
            Mechanism::A(spec, prefixes) => {
                self.count()?;
                let target = self.target(domain, spec.as_ref()).await?;
                let addresses = self.addresses(&target).await;
                let addresses = self.none_or(&target, addresses)?;
                addresses.iter().any(|at| prefixes.matches(*at, ip))
            }
            Mechanism::Mx(spec, prefixes) => {
                self.count()?;
                let target = self.target(domain, spec.as_ref()).await?;
                self.mx_matches(&target, *prefixes).await?
            }
            Mechanism::Ptr(spec) => {
                self.count()?;
                let target = self.target(domain, spec.as_ref()).await?;
                let names = self.validated().await.unwrap_or_default();
                names.iter().any(|name| is_within(name, &target))
            }
            Mechanism::Exists(spec) => {
                self.count()?;
                let target = self.target(domain, Some(spec)).await?;
                let found = match is_name(&target) {
                    true => self.resolver.ipv4(&target).await,
                    false => Err(DnsError::NoSuchName),
                };
                !self.none_or(&target, found)?.is_empty()
            }
        })
    }

    /// Addresses of the client's family. RFC 7208 §5.
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        if !is_name(name) {
            return Err(DnsError::NoSuchName);
        }
        match self.request.ip {
            IpAddr::V4(_) => self.resolver.ipv4(name).await,
            IpAddr::V6(_) => self.resolver.ipv6(name).await,
        }
    }

    /// RFC 7208 §5.4, §4.6.4.
    async fn mx_matches(&mut self, target: &str, prefixes: Prefixes) -> Result<bool, Exception> {
        let found = match is_name(target) {
            true => self.resolver.mx(target).await,
            false => Err(DnsError::NoSuchName),
        };
        let mut hosts = self.none_or(target, found)?;
        hosts.sort_by_key(|mx| mx.preference);
        if hosts.len() > SPF_NAMES_MAX {
            return Err(Permanent(format!("{target} has more than {SPF_NAMES_MAX} MX records")));
        }
        for mx in hosts.iter().filter(|mx| !mx.exchange.is_empty()) {
            let addresses = match self.addresses(&mx.exchange).await {
                Err(DnsError::NoSuchName | DnsError::NoRecord) => continue,
                Err(error) => return Err(Temporary(format!("{}: {error}", mx.exchange))),
                Ok(addresses) => addresses,
            };
            if addresses.iter().any(|at| prefixes.matches(*at, self.request.ip)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The names of the client that lead back to it. RFC 7208 §5.5. Errors find nothing.
    async fn validated(&mut self) -> Result<Vec<String>, Exception> {
        let names = self.resolver.ptr(self.request.ip).await;
        let names = self.none_or("PTR", names)?;
        let mut validated = Vec::new();
        for name in names.into_iter().take(SPF_NAMES_MAX) {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            if self.addresses(&name).await.is_ok_and(|all| all.contains(&self.request.ip)) {
                validated.push(name);
            }
        }
        Ok(validated)
    }

    /// The macro `p`. RFC 7208 §7.3.
    async fn validated_for(&mut self, domain: &str) -> String {
        let names = self.validated().await.unwrap_or_default();
        let same = names.iter().find(|name| name.eq_ignore_ascii_case(domain));
        let below = || names.iter().find(|name| is_within(name, domain));
        same.or_else(below).or(names.first()).map_or("unknown".to_owned(), String::clone)
    }

    /// The explanation; whatever goes wrong, there is none. RFC 7208 §6.2.
    async fn explain(&mut self, domain: &str, spec: &DomainSpec) -> Option<String> {
        let target = self.target(domain, Some(spec)).await.ok()?;
        let mut texts = self.resolver.txt(&target).await.ok()?;
        let text = texts.pop().filter(|_| texts.is_empty())?;
        let text = macros::parse_explanation(&text)?;
        let validated = match text.wants_validated_name() {
            true => self.validated_for(domain).await,
            false => String::new(),
        };
        let mut text = text.expand(&self.values(domain, &validated));
        text.retain(|c| c == ' ' || c.is_ascii_graphic());
        text.truncate(SPF_EXPLANATION_OCTETS_MAX);
        Some(text)
    }
}

/// Something that DNS can be asked about.
fn is_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

/// The same name, or one below it.
fn is_within(name: &str, domain: &str) -> bool {
    let (name, domain) = (name.to_ascii_lowercase(), domain.to_ascii_lowercase());
    name.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests;
