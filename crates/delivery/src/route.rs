//! Which servers take the mail of a domain. RFC 5321 §5.1, RFC 7505.

use crate::Shared;
use crate::limits::HOSTS_MAX;
use mail::Domain;
use std::net::{IpAddr, SocketAddr};
use sys::dnssec::Answer;
use sys::resolver::{DnsError, Mx};

/// A server to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name, for TLS and the record; an address where a route names one.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// An operator named it; DNS did not.
    pub fixed: bool,
    /// DNSSEC proves that it is a server of the domain.
    pub proven: bool,
    /// The names at which its TLSA records may be, best first; none where DNSSEC proves nothing.
    /// RFC 7672 §2.2.2.
    pub bases: Vec<String>,
    /// Names of the domain, which its certificate may have instead. RFC 7672 §3.2.2.
    pub next_hop: Vec<String>,
}

impl Host {
    fn new(name: &str, address: SocketAddr) -> Host {
        let name = name.to_owned();
        let (bases, next_hop) = (Vec::new(), Vec::new());
        Host { name, address, fixed: false, proven: false, bases, next_hop }
    }
}

/// The servers of a domain, in the order to try, or why there are none.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// At most [`HOSTS_MAX`].
    pub hosts: Vec<Host>,
    /// DNS questions and answers, in words.
    pub dns: Vec<String>,
    /// An operator named the host; DNS did not.
    pub fixed: bool,
    /// The host is the smarthost.
    pub smarthost: bool,
    /// Why `hosts` is empty.
    pub problem: Option<RouteProblem>,
}

/// Why mail for a domain cannot go anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteProblem {
    /// It never will: enhanced status code and reason.
    Permanent(&'static str, String),
    /// It may later: enhanced status code and reason.
    Temporary(&'static str, String),
}

use RouteProblem::{Permanent, Temporary};

/// Finds the route: an operator's route for the domain, else the smarthost, else its MX.
pub(crate) async fn route(shared: &Shared, domain: &Domain) -> Route {
    let mut route = Route::default();
    let fixed = match shared.store.route(domain) {
        Ok(found) => found,
        Err(error) => return with_problem(route, Temporary("4.3.0", error.to_string())),
    };
    route.smarthost = fixed.is_none() && shared.settings.smarthost.is_some();
    if let Some(target) = fixed.or_else(|| shared.settings.smarthost.clone()) {
        route.dns.push(format!("{domain}: a fixed route to {target}"));
        route.fixed = true;
        return fixed_route(shared, route, &target).await;
    }
    if domain.is_literal() {
        return literal_route(shared, route, domain);
    }
    let Some(name) = domain.to_ascii() else {
        let why = format!("{domain} is no domain name that DNS could know");
        return with_problem(route, Permanent("5.1.2", why));
    };
    let exchangers = match exchangers(shared, &name).await {
        Ok(found) => found,
        Err(DnsError::NoRecord) => {
            route.dns.push(format!("MX {name}: none, so its own address counts"));
            let own = vec![Mx { preference: 0, exchange: name.clone() }];
            Exchangers { proven: false, next_hop: vec![name.clone()], found: own }
        }
        Err(DnsError::NoSuchName) => {
            route.dns.push(format!("MX {name}: no such domain"));
            let why = format!("the domain {domain} does not exist");
            return with_problem(route, Permanent("5.1.2", why));
        }
        Err(error) => {
            route.dns.push(format!("MX {name}: {error}"));
            return with_problem(route, Temporary("4.4.3", format!("MX of {domain}: {error}")));
        }
    };
    by_exchangers(shared, route, domain, exchangers).await
}

fn with_problem(mut route: Route, problem: RouteProblem) -> Route {
    route.problem = Some(problem);
    route
}

/// Servers of a domain.
struct Exchangers {
    /// By DNSSEC.
    proven: bool,
    /// What the domain is called by names that are proven. RFC 7672 §3.2.2.
    next_hop: Vec<String>,
    found: Vec<Mx>,
}

/// The MX records of a domain.
async fn exchangers(shared: &Shared, name: &str) -> Result<Exchangers, DnsError> {
    let answer = match &shared.world.validating {
        Some(resolver) => resolver.mx(name).await?,
        None => Answer::unproven(name, shared.world.resolver.mx(name).await?),
    };
    let mut next_hop = Vec::new();
    if answer.secure {
        next_hop = vec![name.to_owned(), answer.canonical];
        next_hop.dedup();
    }
    Ok(Exchangers { proven: answer.secure, next_hop, found: answer.found })
}

/// The hosts of an MX record set: by preference, shuffled among equals.
async fn by_exchangers(
    shared: &Shared,
    mut route: Route,
    domain: &Domain,
    Exchangers { proven, next_hop, found: mut exchangers }: Exchangers,
) -> Route {
    let by = if proven { " (DNSSEC)" } else { "" };
    for mx in &exchangers {
        route.dns.push(format!("MX {domain}: {} {}{by}", mx.preference, shown(&mx.exchange)));
    }
    if exchangers.iter().all(|mx| mx.exchange.is_empty()) {
        let why = format!("{domain} takes no mail (null MX, RFC 7505)");
        return with_problem(route, Permanent("5.1.10", why));
    }
    exchangers.retain(|mx| !mx.exchange.is_empty());
    exchangers.sort_by_cached_key(|mx| (mx.preference, shared.world.random.u32()));
    let own = shared.settings.hostname.as_str();
    let mut problem = None;
    let mut last_preference = None;
    for mx in &exchangers {
        if last_preference.is_some_and(|last| mx.preference >= last) {
            break;
        }
        let answer = lookup(shared, &mut route, &mx.exchange, &mut problem).await;
        let own_address = answer.found.iter().any(|ip| is_own(shared, *ip));
        if mx.exchange == own || own_address {
            // RFC 5321 §5.1: ourselves and everything behind us must not be tried.
            route.dns.push(format!("{} is this server", mx.exchange));
            last_preference = Some(mx.preference);
            let hosts = &mut route.hosts;
            hosts.retain(|host| {
                let same = exchangers.iter().find(|other| other.exchange == host.name);
                same.is_none_or(|other| other.preference < mx.preference)
            });
            continue;
        }
        for ip in &answer.found {
            let address = SocketAddr::new(*ip, shared.settings.relay_port);
            route.hosts.push(Host {
                proven,
                bases: bases(&mx.exchange, &answer),
                next_hop: next_hop.clone(),
                ..Host::new(&mx.exchange, address)
            });
        }
    }
    route.hosts.truncate(HOSTS_MAX);
    if route.hosts.is_empty() {
        let looped = last_preference.is_some();
        let why =
            format!("mail for {domain} would come back to this server, which does not know it");
        // RFC 3463 §3.5: the very example of X.4.4.
        let none = Permanent("5.4.4", format!("no server of {domain} has an address"));
        route.problem =
            Some(if looped { Permanent("5.4.6", why) } else { problem.unwrap_or(none) });
    }
    route
}

fn shown(exchange: &str) -> &str {
    if exchange.is_empty() { "." } else { exchange }
}

/// The names at which a server may have TLSA records. RFC 7672 §2.2.2.
fn bases(name: &str, answer: &Answer<Vec<IpAddr>>) -> Vec<String> {
    let mut names = Vec::new();
    if answer.secure {
        names.push(answer.canonical.clone());
    }
    if answer.name_secure {
        names.push(name.to_ascii_lowercase());
    }
    names.dedup();
    names
}

async fn lookup(
    shared: &Shared,
    route: &mut Route,
    name: &str,
    problem: &mut Option<RouteProblem>,
) -> Answer<Vec<IpAddr>> {
    let world = &shared.world;
    let answer = match &world.validating {
        Some(resolver) => resolver.addresses(name).await,
        None => world.resolver.addresses(name).await.map(|found| Answer::unproven(name, found)),
    };
    match answer {
        Ok(answer) => {
            let shown: Vec<String> = answer.found.iter().map(IpAddr::to_string).collect();
            let proven = if answer.secure { " (DNSSEC)" } else { "" };
            route.dns.push(format!("A, AAAA {name}: {}{proven}", shown.join(", ")));
            answer
        }
        Err(error) => {
            route.dns.push(format!("A, AAAA {name}: {error}"));
            if matches!(error, DnsError::Temporary(_)) {
                *problem = Some(Temporary("4.4.3", format!("address of {name}: {error}")));
            }
            Answer::unproven(name, Vec::new())
        }
    }
}

fn is_own(shared: &Shared, ip: IpAddr) -> bool {
    let port = shared.settings.relay_port;
    let same = |own: &SocketAddr| own.ip() == ip && own.port() == port;
    shared.settings.own_addresses.iter().any(same)
}

/// `host:port`, `[address]:port`; the port may be left out.
async fn fixed_route(shared: &Shared, mut route: Route, target: &str) -> Route {
    let Some((name, port)) = split_target(target, shared.settings.relay_port) else {
        let why = format!("the route '{target}' is not host:port");
        return with_problem(route, Temporary("4.3.5", why));
    };
    if let Ok(ip) = name.parse::<IpAddr>() {
        route.hosts.push(Host { fixed: true, ..Host::new(&name, SocketAddr::new(ip, port)) });
        return route;
    }
    let mut problem = None;
    let answer = lookup(shared, &mut route, &name, &mut problem).await;
    let host = |ip: &IpAddr| Host {
        fixed: true,
        bases: bases(&name, &answer),
        ..Host::new(&name, SocketAddr::new(*ip, port))
    };
    route.hosts = answer.found.iter().map(host).take(HOSTS_MAX).collect();
    if route.hosts.is_empty() {
        // A route that an operator set is mended by them, so the mail waits.
        let none = Temporary("4.4.4", format!("the route's host {name} has no address"));
        route.problem = Some(problem.unwrap_or(none));
    }
    route
}

/// Splits `host:port`, `[v6]:port`, `host`.
pub fn split_target(target: &str, default_port: u16) -> Option<(String, u16)> {
    if let Some(rest) = target.strip_prefix('[') {
        let (name, rest) = rest.split_once(']')?;
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if rest.is_empty() => default_port,
            None => return None,
        };
        return Some((name.to_owned(), port));
    }
    let (name, port) = match target.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok()?),
        None => (target, default_port),
    };
    (!name.is_empty() && !name.contains(':')).then(|| (name.to_ascii_lowercase(), port))
}

fn literal_route(shared: &Shared, mut route: Route, domain: &Domain) -> Route {
    match domain.literal_ip() {
        Some(ip) if !is_own(shared, ip) => {
            let address = SocketAddr::new(ip, shared.settings.relay_port);
            route.hosts.push(Host::new(&ip.to_string(), address));
            route
        }
        _ => with_problem(route, Permanent("5.1.2", format!("{domain} cannot be reached"))),
    }
}

#[cfg(test)]
mod tests {
    use super::split_target;

    #[test]
    fn targets_are_split() {
        let some = |name: &str, port| Some((name.to_owned(), port));
        assert_eq!(split_target("Mail.example:2525", 25), some("mail.example", 2525));
        assert_eq!(split_target("mail.example", 25), some("mail.example", 25));
        assert_eq!(split_target("[::1]:26", 25), some("::1", 26));
        assert_eq!(split_target("[127.0.0.1]", 25), some("127.0.0.1", 25));
        for bad in ["", ":25", "a:b", "a:70000", "::1:25", "[::1", "[::1]x"] {
            assert_eq!(split_target(bad, 25), None, "{bad}");
        }
    }
}
