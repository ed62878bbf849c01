//! DNS look-ups, with the one distinction that mail needs: *there is nothing* against *we could
//! not find out* (RFC 5321 §5.1: only the first may bounce).

use crate::BoxFuture;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as HickoryDnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Resolver as HickoryResolver, TokioResolver};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A mail exchanger. RFC 5321 §5.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// Host name without a final dot; empty for the null MX (RFC 7505 §3).
    pub exchange: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsError {
    /// The name does not exist.
    NoSuchName,
    /// The name exists, but has no record of this type.
    NoRecord,
    /// Servers failed or did not answer: it may work later.
    Temporary(String),
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DnsError::NoSuchName => f.write_str("no such domain name"),
            DnsError::NoRecord => f.write_str("no such record"),
            DnsError::Temporary(why) => write!(f, "DNS did not answer: {why}"),
        }
    }
}

/// A resolver. Names are absolute, in A-label form.
pub trait Resolver: Send + Sync {
    /// MX records, in no particular order.
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Mx>, DnsError>>;
    /// A and AAAA records, IPv4 first.
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>>;
    /// A records.
    fn ipv4<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>>;
    /// AAAA records.
    fn ipv6<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>>;
    /// TXT records, the strings of each put together (RFC 7208 §3.3): at most [`RECORDS_MAX`] with
    /// [`TEXT_OCTETS_MAX`] each; a longer one is left out.
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, DnsError>>;
    /// Names of an address (PTR), without final dots. RFC 1035 §3.5, RFC 3596 §2.5.
    fn ptr(&self, ip: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>>;
}

/// Records of one answer that are looked at.
pub const RECORDS_MAX: usize = 100;
/// Octets of a TXT record: DKIM keys of 4096 bits have less than 1,000.
pub const TEXT_OCTETS_MAX: usize = 8192;

/// The name under which PTR records of an address are. RFC 1035 §3.5, RFC 3596 §2.5.
pub fn reverse_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = (0..32).map(|n| (v6.to_bits() >> (4 * n)) & 0xf);
            let labels: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            format!("{labels}ip6.arpa")
        }
    }
}

/// A resolver that asks name servers over UDP and TCP.
pub struct DnsResolver {
    inner: TokioResolver,
}

/// How long one server may take to answer one question.
const QUERY_WAIT: Duration = Duration::from_secs(5);

impl DnsResolver {
    /// Asks these servers only, or those of /etc/resolv.conf where there are none.
    pub fn new(servers: &[SocketAddr]) -> Result<DnsResolver, DnsError> {
        let (config, options) = servers_and_options(servers)?;
        let provider = TokioRuntimeProvider::default();
        let mut builder = HickoryResolver::builder_with_config(config, provider);
        *builder.options_mut() = options;
        Ok(DnsResolver { inner: builder.build().map_err(|e| temporary(&e))? })
    }

    pub(crate) async fn lookup(&self, name: &Name, kind: RecordType) -> Result<Lookup, DnsError> {
        self.inner.lookup(name.clone(), kind).await.map_err(|error| as_dns_error(&error))
    }
}

impl DnsResolver {
    /// What `take` finds in the answer; nothing is [`DnsError::NoRecord`].
    async fn records<T>(
        &self,
        name: String,
        kind: RecordType,
        take: fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, DnsError> {
        let found = self.lookup(&absolute(&name)?, kind).await?;
        let taken = found.answers().iter().filter_map(|record| take(&record.data));
        let all: Vec<T> = taken.take(RECORDS_MAX).collect();
        if all.is_empty() { Err(DnsError::NoRecord) } else { Ok(all) }
    }
}

/// These servers, or those of the system, and how they are asked.
pub(crate) fn servers_and_options(
    servers: &[SocketAddr],
) -> Result<(ResolverConfig, ResolverOpts), DnsError> {
    let server = |address: &SocketAddr| {
        let mut config = NameServerConfig::udp_and_tcp(address.ip());
        for connection in &mut config.connections {
            connection.port = address.port();
        }
        config
    };
    let (config, mut options) = match servers {
        [] => read_system_conf().map_err(|e| temporary(&e))?,
        servers => {
            let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
            (config, ResolverOpts::default())
        }
    };
    options.timeout = QUERY_WAIT;
    options.attempts = 2;
    options.cache_size = 4096;
    Ok((config, options))
}

/// Labels may hold anything; what is no name does not exist.
pub(crate) fn absolute(name: &str) -> Result<Name, DnsError> {
    let labels = name.trim_end_matches('.').split('.').map(str::as_bytes);
    let mut absolute = Name::from_labels(labels).map_err(|_| DnsError::NoSuchName)?;
    absolute.set_fqdn(true);
    Ok(absolute)
}

pub(crate) fn as_dns_error(error: &NetError) -> DnsError {
    match error {
        NetError::Dns(HickoryDnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => DnsError::NoSuchName,
            ResponseCode::NoError => DnsError::NoRecord,
            _ => temporary(error),
        },
        _ => temporary(error),
    }
}

pub(crate) fn temporary(error: &dyn fmt::Display) -> DnsError {
    DnsError::Temporary(error.to_string())
}

pub(crate) fn exchanger(data: &RData) -> Option<Mx> {
    let RData::MX(mx) = data else { return None };
    let exchange = mx.exchange.to_ascii().trim_end_matches('.').to_lowercase();
    Some(Mx { preference: mx.preference, exchange })
}

pub(crate) fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(a) => Some(IpAddr::V6(a.0)),
        _ => None,
    }
}

impl Resolver for DnsResolver {
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Mx>, DnsError>> {
        Box::pin(self.records(name.to_owned(), RecordType::MX, exchanger))
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(async move {
            let name = absolute(name)?;
            let v4 = self.lookup(&name, RecordType::A);
            let (v4, v6) = tokio::join!(v4, self.lookup(&name, RecordType::AAAA));
            let mut all = Vec::new();
            let mut error = None;
            for found in [v4, v6] {
                match found {
                    Ok(found) => {
                        all.extend(found.answers().iter().filter_map(|r| address(&r.data)));
                    }
                    // "Could not find out" outweighs "there is nothing".
                    Err(e) if matches!(e, DnsError::Temporary(_)) => error = Some(e),
                    Err(e) => error = error.or(Some(e)),
                }
            }
            if all.is_empty() { Err(error.unwrap_or(DnsError::NoRecord)) } else { Ok(all) }
        })
    }

    fn ipv4<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(self.records(name.to_owned(), RecordType::A, address))
    }

    fn ipv6<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(self.records(name.to_owned(), RecordType::AAAA, address))
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, DnsError>> {
        Box::pin(self.records(name.to_owned(), RecordType::TXT, |data| match data {
            RData::TXT(text) => {
                Some(text.txt_data.concat()).filter(|text| text.len() <= TEXT_OCTETS_MAX)
            }
            _ => None,
        }))
    }

    fn ptr(&self, ip: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>> {
        Box::pin(self.records(reverse_name(ip), RecordType::PTR, |data| match data {
            RData::PTR(name) => Some(name.0.to_ascii().trim_end_matches('.').to_lowercase()),
            _ => None,
        }))
    }
}
