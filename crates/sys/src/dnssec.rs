//! DNS look-ups that tell what DNSSEC makes of the answer. RFC 4033, RFC 4035 §4.3.
//!
//! Signatures are checked here, from the root's keys on: nobody else's word is taken for it.
//! Invariant: what contradicts its signatures is no answer, but [`DnsError::Temporary`].

mod cut;
mod denial;
mod wildcard;

use crate::BoxFuture;
use crate::resolver::{
    DnsError, DnsResolver, Mx, RECORDS_MAX, Resolver, absolute, address, as_dns_error, exchanger,
    servers_and_options, temporary,
};
use hickory_resolver::TokioResolver;
use hickory_resolver::net::dnssec::DnssecDnsHandle;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle as _, FirstAnswer as _, RetryDnsHandle};
use hickory_resolver::net::{DnsError as HickoryDnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType, rdata::CNAME};
use hickory_resolver::{NameServerPool, PoolContext, Resolver as HickoryResolver, TlsConfig};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// An answer, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was asked for.
    pub found: T,
    /// Every record is proven, those of aliases too.
    pub secure: bool,
    /// Where aliases lead in the end: the name itself when it is none.
    pub canonical: String,
    /// The name itself is proven, even if what its alias leads to is not. RFC 7672 §2.2.2.
    pub name_secure: bool,
}

impl<T> Answer<T> {
    /// An answer that nobody proves.
    pub fn unproven(name: &str, found: T) -> Answer<T> {
        Answer { found, secure: false, canonical: name.to_ascii_lowercase(), name_secure: false }
    }
}

/// What a certificate is known by. RFC 6698 §2.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlsa {
    /// 2 for an authority, 3 for a server; 0 and 1 want public authorities besides.
    pub usage: u8,
    /// 0 for the certificate, 1 for its key.
    pub selector: u8,
    /// 0 for all of it, 1 for SHA-256, 2 for SHA-512.
    pub matching: u8,
    /// That, or its digest.
    pub data: Vec<u8>,
}

/// A resolver that validates. Names are absolute, in A-label form.
pub trait ValidatingResolver: Send + Sync {
    /// MX records, in no particular order.
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<Mx>>, DnsError>>;
    /// A and AAAA records, IPv4 first.
    fn addresses<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Answer<Vec<IpAddr>>, DnsError>>;
    /// TLSA records that are proven: at most [`RECORDS_MAX`]. Others are [`DnsError::NoRecord`].
    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Tlsa>, DnsError>>;
    /// Finds out whether anything can be proven here, where that is not known yet.
    fn probe(&self) -> BoxFuture<'_, ()>;
    /// Whether anything can be. `None` before the servers have answered.
    fn works(&self) -> Option<bool>;
}

/// A resolver that asks name servers, and checks signatures itself. Servers that leave signatures
/// out make it one that proves nothing, until they change; once they did not, what they leave out
/// is an attack.
pub struct DnssecResolver {
    validating: TokioResolver,
    /// The same without a memory, which tells more.
    second: DnssecDnsHandle<RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>>,
    plain: Arc<DnsResolver>,
    worked: AtomicBool,
    /// Until when they are taken to leave signatures out, and whether they did: they may only not
    /// have answered.
    failed: Mutex<Option<(Instant, bool)>>,
}

/// Aliases that are followed. RFC 7672 §2.1.3.
const ALIASES_MAX: usize = 8;
/// How often servers that leave signatures out are asked again.
const ASK_AGAIN: Duration = Duration::from_secs(600);
/// How often those that do not answer are.
const ASK_AGAIN_SOON: Duration = Duration::from_secs(30);

impl DnssecResolver {
    /// Asks these servers, or those of /etc/resolv.conf where there are none; trusts the root's
    /// keys, or the DNSKEY records in the file.
    pub fn new(
        servers: &[SocketAddr],
        trust_anchors: Option<&Path>,
        plain: Arc<DnsResolver>,
    ) -> io::Result<DnssecResolver> {
        let failed = |error: &dyn fmt::Display| io::Error::other(error.to_string());
        let anchors = match trust_anchors {
            Some(file) => TrustAnchors::from_file(file).map_err(|error| failed(&error))?,
            None => TrustAnchors::default(),
        };
        if anchors.is_empty() {
            return Err(io::Error::other("it has no DNSKEY record of the root"));
        }
        let anchors = Arc::new(anchors);
        let provider = TokioRuntimeProvider::default();
        let (config, options) = servers_and_options(servers).map_err(|error| failed(&error))?;
        let tls = TlsConfig::new().map_err(|error| failed(&error))?;
        let context = Arc::new(PoolContext::new(options.clone(), tls));
        let name_servers = config.name_servers().to_vec();
        let pool = NameServerPool::from_config(name_servers, context, provider.clone());
        let pool = RetryDnsHandle::new(pool, options.attempts);
        let second = DnssecDnsHandle::with_trust_anchor(pool, anchors.clone());
        let mut builder = HickoryResolver::builder_with_config(config, provider);
        *builder.options_mut() = options;
        let validating = builder.with_trust_anchor(anchors).build();
        let validating = validating.map_err(|error| failed(&error))?;
        let (worked, failed) = (AtomicBool::new(false), Mutex::new(None));
        Ok(DnssecResolver { validating, second, plain, worked, failed })
    }

    /// The servers hand signatures on: seen once, it is expected ever after.
    async fn can_prove(&self) -> bool {
        if self.worked.load(Ordering::Relaxed) {
            return true;
        }
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_some_and(|(until, _)| Instant::now() < until) {
            return false;
        }
        let (wait, answered) = match self.validating.lookup(Name::root(), RecordType::NS).await {
            Ok(answer) if are_secure(answer.answers()) => {
                self.worked.store(true, Ordering::Relaxed);
                return true;
            }
            Ok(_) | Err(NetError::Dns(_)) => (ASK_AGAIN, true),
            Err(_) => (ASK_AGAIN_SOON, false),
        };
        if answered {
            tracing::warn!(
                "the DNS servers do not hand on what DNSSEC needs: there is no DANE; a resolver on \
                 this machine does, such as Unbound, and relay.dane = false ends this warning"
            );
        }
        let until = Instant::now() + wait;
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((until, answered));
        false
    }

    /// The records of an answer, proven or known to be unsigned.
    async fn lookup(&self, name: &Name, kind: RecordType) -> Result<Vec<Record>, DnsError> {
        match self.validating.lookup(name.clone(), kind).await {
            Ok(found) if wildcard::is_there(found.answers()) => self.look_again(name, kind).await,
            Ok(found) => Ok(found.answers().to_vec()),
            Err(NetError::Dns(HickoryDnsError::DnssecBogus)) => self.look_again(name, kind).await,
            Err(error) => unproven(error),
        }
    }

    /// What an answer is worth that the library does not judge well.
    async fn look_again(&self, name: &Name, kind: RecordType) -> Result<Vec<Record>, DnsError> {
        let response = self.response(name, kind).await?;
        // An alias of a name that is not there comes with NXDOMAIN.
        let right =
            matches!(response.response_code, ResponseCode::NoError | ResponseCode::NXDomain);
        if let Some(proven) = wildcard::proven(&response).filter(|_| right) {
            return Ok(proven);
        }
        if !self.is_unsigned(name).await? {
            return Err(as_dns_error(&HickoryDnsError::DnssecBogus.into()));
        }
        let mut records = self.plain.lookup(name, kind).await?.answers().to_vec();
        records.iter_mut().for_each(|record| record.proof = Proof::Insecure);
        Ok(records)
    }

    /// An answer, whatever it is worth.
    async fn response(&self, name: &Name, kind: RecordType) -> Result<DnsResponse, DnsError> {
        let query = Query::query(name.clone(), kind);
        let mut options = DnsRequestOptions::default();
        options.edns_set_dnssec_ok = true;
        match self.second.lookup(query, options).first_answer().await {
            Ok(response) => Ok(response),
            Err(NetError::Dns(HickoryDnsError::Nsec { response, .. })) => Ok(*response),
            Err(error) => Err(as_dns_error(&error)),
        }
    }

    /// The name lies in or below a zone of which a signed one proves that it is not signed.
    async fn is_unsigned(&self, name: &Name) -> Result<bool, DnsError> {
        let mut above = Name::root();
        let labels = name.iter().count();
        for depth in 1..=labels {
            let mut zone = name.trim_to(depth);
            zone.set_fqdn(true);
            let answer = self.response(&zone, RecordType::DS).await?;
            if cut::is_unsigned(&zone, &above, &answer) {
                return Ok(true);
            }
            if cut::is_signed(&zone, &answer) {
                above = zone;
            }
        }
        Ok(false)
    }

    /// What is found at the name, or where its aliases lead. Each is asked for on its own: an
    /// answer with all of them does not tell what each is worth.
    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        take: fn(&RData) -> Option<T>,
    ) -> Result<Answer<Vec<T>>, DnsError> {
        let mut at = absolute(name)?;
        let (mut secure, mut name_secure) = (true, None);
        for _ in 0..=ALIASES_MAX {
            let records = self.lookup(&at, kind).await?;
            let here = |record: &&Record| record.name == at && record.record_type() == kind;
            let own: Vec<&Record> = records.iter().filter(here).collect();
            if !own.is_empty() {
                secure &= own.iter().all(|record| record.proof == Proof::Secure);
                let found = own.iter().filter_map(|record| take(&record.data));
                let found: Vec<T> = found.take(RECORDS_MAX).collect();
                let canonical = at.to_ascii().trim_end_matches('.').to_lowercase();
                let name_secure = name_secure.unwrap_or(secure);
                return Ok(Answer { found, secure, canonical, name_secure });
            }
            let link = alias(&self.lookup(&at, RecordType::CNAME).await?, &at);
            let Some((target, proof)) = link else { return Err(DnsError::NoRecord) };
            secure &= proof == Proof::Secure;
            name_secure.get_or_insert(secure);
            at = target;
        }
        Err(DnsError::Temporary(format!("{name} is an alias of an alias, and so on")))
    }
}

/// Where a name leads.
fn alias(records: &[Record], name: &Name) -> Option<(Name, Proof)> {
    records.iter().find_map(|record| match &record.data {
        RData::CNAME(CNAME(target)) if record.name == *name => Some((target.clone(), record.proof)),
        _ => None,
    })
}

/// An error, or what is known to be unsigned.
fn unproven(error: NetError) -> Result<Vec<Record>, DnsError> {
    let NetError::Dns(HickoryDnsError::Nsec { response, proof: Proof::Insecure, .. }) = error
    else {
        return Err(as_dns_error(&error));
    };
    let mut records = response.answers.clone();
    records.iter_mut().for_each(|record| record.proof = Proof::Insecure);
    match response.response_code {
        ResponseCode::NXDomain if records.is_empty() => Err(DnsError::NoSuchName),
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(records),
        code => Err(temporary(&code)),
    }
}

fn are_secure(records: &[Record]) -> bool {
    let mut signed = records.iter().filter(|record| record.record_type() != RecordType::RRSIG);
    !records.is_empty() && signed.all(|record| record.proof == Proof::Secure)
}

impl ValidatingResolver for DnssecResolver {
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<Mx>>, DnsError>> {
        Box::pin(async move {
            if !self.can_prove().await {
                return Ok(Answer::unproven(name, self.plain.mx(name).await?));
            }
            self.ask(name, RecordType::MX, exchanger).await
        })
    }

    fn addresses<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Answer<Vec<IpAddr>>, DnsError>> {
        Box::pin(async move {
            if !self.can_prove().await {
                return Ok(Answer::unproven(name, self.plain.addresses(name).await?));
            }
            let v4 = self.ask(name, RecordType::A, address);
            let (v4, v6) = tokio::join!(v4, self.ask(name, RecordType::AAAA, address));
            match (v4, v6) {
                (Ok(mut both), Ok(v6)) => {
                    both.found.extend(v6.found);
                    both.secure &= v6.secure;
                    both.name_secure &= v6.name_secure;
                    Ok(both)
                }
                (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
                // "Could not find out" outweighs "there is nothing".
                (Err(one @ DnsError::Temporary(_)), _) | (_, Err(one)) => Err(one),
            }
        })
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Tlsa>, DnsError>> {
        Box::pin(async move {
            if !self.can_prove().await {
                return Err(DnsError::NoRecord);
            }
            let answer = self.ask(name, RecordType::TLSA, tlsa).await?;
            if answer.secure { Ok(answer.found) } else { Err(DnsError::NoRecord) }
        })
    }

    fn probe(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.can_prove().await;
        })
    }

    fn works(&self) -> Option<bool> {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match self.worked.load(Ordering::Relaxed) {
            true => Some(true),
            false => failed.filter(|(_, answered)| *answered).map(|_| false),
        }
    }
}

fn tlsa(data: &RData) -> Option<Tlsa> {
    let RData::TLSA(tlsa) = data else { return None };
    Some(Tlsa {
        usage: tlsa.cert_usage.into(),
        selector: tlsa.selector.into(),
        matching: tlsa.matching.into(),
        data: tlsa.cert_data.clone(),
    })
}
