//! DNS look-ups, with the one distinction that mail needs: *there is nothing* against *we could
//! not find out* (RFC 5321 §5.1: only the first may bounce).

use crate::BoxFuture;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as HickoryDnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
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
}

/// A resolver that asks name servers over UDP and TCP.
pub struct DnsResolver {
    inner: TokioResolver,
}

/// How long one server may take to answer one question.
const QUERY_WAIT: Duration = Duration::from_secs(5);

impl DnsResolver {
    /// Asks the servers of /etc/resolv.conf.
    pub fn system() -> Result<DnsResolver, DnsError> {
        let builder = TokioResolver::builder_tokio().map_err(|e| temporary(&e))?;
        build(builder)
    }

    /// Asks these servers only.
    pub fn servers(servers: &[SocketAddr]) -> Result<DnsResolver, DnsError> {
        let server = |address: &SocketAddr| {
            let mut config = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut config.connections {
                connection.port = address.port();
            }
            config
        };
        let servers = servers.iter().map(server).collect();
        let config = ResolverConfig::from_name_servers(servers);
        let provider = TokioRuntimeProvider::default();
        build(HickoryResolver::builder_with_config(config, provider))
    }

    async fn lookup(&self, name: &str, kind: RecordType) -> Result<Lookup, DnsError> {
        let absolute = format!("{}.", name.trim_end_matches('.'));
        self.inner.lookup(absolute, kind).await.map_err(|error| match &error {
            NetError::Dns(HickoryDnsError::NoRecordsFound(none)) => match none.response_code {
                ResponseCode::NXDomain => DnsError::NoSuchName,
                ResponseCode::NoError => DnsError::NoRecord,
                _ => temporary(&error),
            },
            _ => temporary(&error),
        })
    }
}

fn build(
    mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>,
) -> Result<DnsResolver, DnsError> {
    let options = builder.options_mut();
    options.timeout = QUERY_WAIT;
    options.attempts = 2;
    options.cache_size = 4096;
    Ok(DnsResolver { inner: builder.build().map_err(|e| temporary(&e))? })
}

fn temporary(error: &dyn fmt::Display) -> DnsError {
    DnsError::Temporary(error.to_string())
}

impl Resolver for DnsResolver {
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Mx>, DnsError>> {
        Box::pin(async move {
            let found = self.lookup(name, RecordType::MX).await?;
            let mut hosts = Vec::new();
            for record in found.answers() {
                if let RData::MX(mx) = &record.data {
                    let exchange = mx.exchange.to_ascii().trim_end_matches('.').to_lowercase();
                    hosts.push(Mx { preference: mx.preference, exchange });
                }
            }
            if hosts.is_empty() { Err(DnsError::NoRecord) } else { Ok(hosts) }
        })
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(async move {
            let (v4, v6) =
                tokio::join!(self.lookup(name, RecordType::A), self.lookup(name, RecordType::AAAA));
            let mut all = Vec::new();
            let mut error = None;
            for found in [v4, v6] {
                match found {
                    Ok(found) => all.extend(found.answers().iter().filter_map(|r| match &r.data {
                        RData::A(a) => Some(IpAddr::V4(a.0)),
                        RData::AAAA(a) => Some(IpAddr::V6(a.0)),
                        _ => None,
                    })),
                    // "Could not find out" outweighs "there is nothing".
                    Err(e) if matches!(e, DnsError::Temporary(_)) => error = Some(e),
                    Err(e) => error = error.or(Some(e)),
                }
            }
            if all.is_empty() { Err(error.unwrap_or(DnsError::NoRecord)) } else { Ok(all) }
        })
    }
}
