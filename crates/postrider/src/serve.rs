//! The running server: opens everything, says when it is ready, ends cleanly.

use crate::access::Live;
use crate::admin::{Failure, exit, fail};
use crate::bans::Bans;
use crate::config::{self, Config, Limits};
use crate::logins::{self, Outside};
use crate::port_owner::port_owner;
use crate::privilege;
use crate::{certificate, check, control, housekeeping, judging, metrics};
use delivery::reports::Reports;
use delivery::{Delivery, Scheduler};
use directory::Directory;
use mail::{Address, Domain};
use policy::guard::Guard;
use policy::network::Network;
use server::counts::Counts;
use server::imap::Arrangements;
use server::listen::{self, Service};
use server::pop3::maildrops::Maildrops;
use server::{Settings, Shared};
use std::fmt::Display;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::{Health, Options, Store, StoreError, Surroundings};
use sys::World;
use sys::clock::SystemClock;
use sys::disk::RealDisk;
use sys::dnssec::{DnssecResolver, ValidatingResolver};
use sys::hands::{self, SystemHands};
use sys::net::{self, Listener, TcpNet};
use sys::page;
use sys::program::ProgramClient;
use sys::program::helper::start_helper as start_program;
use sys::random::SystemRandom;
use sys::resolver::DnsResolver;
use sys::tls::{TlsClient, TlsServer, Trust};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How long sessions may take to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Store and directory of a root folder; with an outside for those who log in.
pub fn open(
    root: &Path,
    config: &Config,
    outside: Option<Outside<'_>>,
) -> Result<(Store, Directory), Failure> {
    let mut options = Options::new(&root.join(&config.store.folder));
    options.min_free_octets = config.store.min_free_octets;
    options.two_sync = config.store.two_sync;
    options.memory_limit = config.store.memory_limit;
    options.learn = config.spam.learn;
    if let Some(trouble) = privilege::trouble_with(&options.folder) {
        return Err(fail(exit::CANT_CREATE, trouble));
    }
    let surroundings = Surroundings {
        disk: Arc::new(RealDisk),
        clock: Arc::new(SystemClock::new()),
        hands: Arc::new(SystemHands),
    };
    let store = Store::open(options, surroundings);
    let store = store.map_err(|error| match error {
        StoreError::Locked(who) => fail(
            exit::TEMPORARY,
            format!("the data folder is in use by {who}; stop the server first"),
        ),
        other => fail(exit::SOFTWARE, other.to_string()),
    })?;
    let settings = logins::settings(root, config, outside)?;
    let (random, clock) = (Arc::new(SystemRandom), Arc::new(SystemClock::new()));
    let directory = Directory::new(store.clone(), random, clock, Arc::new(SystemHands), settings);
    Ok((store, directory))
}

/// A server that began a new store because a disk is not mounted would refuse everybody's mail.
pub fn has_store(root: &Path, config: &Config) -> Result<(), Failure> {
    let folder = root.join(&config.store.folder);
    if Store::is_in(&folder) {
        return Ok(());
    }
    let begin = control::typed(root, &format!("domain add {}", config.domain));
    let text = format!(
        "there is no store in {}\nIs its disk mounted? To begin with an empty one: {begin}",
        folder.display(),
    );
    Err(fail(exit::NO_INPUT, text))
}

/// Begins to make search indexes whenever they are wanted.
fn make_indexes(
    store: &Store,
    world: &World,
    shutdown: &watch::Receiver<bool>,
) -> Result<(), Failure> {
    let (store, clock, shutdown) = (store.clone(), world.clock.clone(), shutdown.clone());
    let runtime = Handle::current();
    let work = move || housekeeping::index(&store, &*clock, &runtime, shutdown);
    hands::modest("search-index", work)
        .map_err(|error| fail(exit::TEMPORARY, format!("no thread for search indexes: {error}")))
}

fn world(root: &Path, config: &Config) -> Result<World, Failure> {
    let dns = &config.dns;
    let no_dns = |error: &dyn Display| fail(exit::CONFIG, format!("DNS: {error}"));
    let resolver = Arc::new(DnsResolver::new(&dns.servers).map_err(|error| no_dns(&error))?);
    let mut validating: Option<Arc<dyn ValidatingResolver>> = None;
    if config.relay.dane {
        let anchors =
            (!dns.trust_anchors.as_os_str().is_empty()).then(|| root.join(&dns.trust_anchors));
        let made = DnssecResolver::new(&dns.servers, anchors.as_deref(), resolver.clone());
        let made = made.map_err(|error| match anchors {
            Some(file) => {
                fail(exit::CONFIG, format!("dns.trust_anchors: {}: {error}", file.display()))
            }
            None => no_dns(&error),
        })?;
        validating = Some(Arc::new(made));
    }
    Ok(World {
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SystemRandom),
        resolver,
        validating,
        net: Arc::new(TcpNet),
        disk: Arc::new(RealDisk),
        hands: Arc::new(SystemHands),
    })
}

/// Serves what is held until `shutdown`. `ready` is told the addresses when all is up.
pub async fn serve(
    root: &Path,
    config: Config,
    held: Held,
    shutdown: watch::Receiver<bool>,
    ready: impl FnOnce(&[(Service, SocketAddr)]),
) -> Result<(), Failure> {
    let hostname = hostname(&config)?;
    check::warn(&config);
    let tls = Arc::new(session_tls(root, &config)?);
    let world = world(root, &config)?;
    let Held { bound, metrics, helper } = held;
    let software = |error: std::io::Error| fail(exit::SOFTWARE, error.to_string());
    let metrics = metrics.map(net::adopt).transpose().map_err(software)?;
    let adopted = bound.into_iter().map(|(service, socket)| Ok((service, socket.adopt()?)));
    let listeners = adopted.collect::<std::io::Result<Listeners>>().map_err(software)?;
    let program = helper.map(ProgramClient::new).transpose().map_err(software)?;
    let outside = Outside { world: &world, program };
    let (store, directory) = open(root, &config, Some(outside))?;
    let addresses: Vec<(Service, SocketAddr)> =
        listeners.iter().filter_map(|(s, l)| Some((*s, l.local_addr().ok()?))).collect();
    let client = TlsClient::new(&Trust::Anybody)
        .map_err(|error| fail(exit::SOFTWARE, format!("TLS: {error}")))?;
    let settings = delivery_settings(root, &config, hostname.clone(), &addresses)?;
    let delivery = Delivery::new(settings, store.clone(), directory.clone(), world.clone(), client);
    let scheduler = tokio::spawn(Scheduler::new(&delivery).run(shutdown.clone()));
    let settings = session_settings(&config, hostname)?;
    let guard = guard(&config.limits, &settings);
    let folder = root.join(&config.store.folder);
    let bans = Bans::restore(guard.clone(), world.clock.clone(), &folder);
    let bans = tokio::spawn(bans.keep(shutdown.clone()));
    let (clock, lists) = (world.clock.clone(), settings.judge.lists.clone());
    let relay = delivery.clone();
    let live = Live { guard: guard.clone(), clock, tls: tls.clone(), lists, delivery: relay };
    let control =
        control::listen(root, store.clone(), directory.clone(), live.clone(), shutdown.clone())?;
    tokio::spawn(certificate::watch(tls.clone(), world.clock.clone(), shutdown.clone()));
    keep_house(&store, &directory, &delivery, &shutdown);
    make_indexes(&store, &world, &shutdown)?;
    if config.spam.learn {
        tokio::spawn(delivery::learning::learn(store.clone(), shutdown.clone()));
    }
    let uses = tokio::spawn(housekeeping::write_uses(directory.clone(), shutdown.clone()));
    let maildrops = Maildrops::new(settings.pop3_exclusive, settings.pop3_login_delay);
    let shared = Arc::new(Shared {
        store: store.clone(),
        directory,
        delivery,
        guard,
        maildrops,
        crowd: Arc::default(),
        counts: Counts::default(),
        arrangements: Arrangements::new(config.store.memory_limit),
        world,
        settings,
    });
    if let Some(listener) = metrics {
        let page = metrics::page(shared.clone(), live);
        tokio::spawn(page::serve(listener, page, shutdown.clone()));
    }
    let recovered = store.recovered();
    tracing::info!(repeated = recovered.deliveries, cut = recovered.cut, "store open");
    ready(&addresses);
    listen::run(shared, listeners, tls, shutdown, DRAIN).await;
    let _ = scheduler.await;
    let _ = uses.await;
    let _ = control.await;
    let _ = bans.await;
    close(store).await
}

/// What is done now and then until `shutdown`.
fn keep_house(
    store: &Store,
    directory: &Directory,
    delivery: &Delivery,
    shutdown: &watch::Receiver<bool>,
) {
    tokio::spawn(housekeeping::keep(store.clone(), shutdown.clone()));
    tokio::spawn(housekeeping::end_sessions(directory.clone(), shutdown.clone()));
    tokio::spawn(delivery::sts::renew(delivery.clone(), shutdown.clone()));
    let delivery = delivery.clone();
    tokio::spawn(async move { delivery.probe_dnssec().await });
}

async fn close(store: Store) -> Result<(), Failure> {
    let health = store.health();
    let _ = hands::blocking(&SystemHands, move || store.close()).await;
    match health {
        Health::Failed(why) => Err(fail(exit::IO, format!("the store stopped writing: {why}"))),
        Health::Fine | Health::Full => Ok(()),
    }
}

/// Reads all settings and files that [`serve`] reads, but for the store; gives TLS back.
pub fn check(root: &Path, config: &Config) -> Result<TlsServer, Failure> {
    let tls = session_tls(root, config)?;
    let world = world(root, config)?;
    let hostname = hostname(config)?;
    session_settings(config, hostname.clone())?;
    delivery_settings(root, config, hostname, &[])?;
    mode(&config.listen.lmtp_mode)?;
    program_exists(config)?;
    logins::settings(root, config, Some(Outside { world: &world, program: None }))?;
    Ok(tls)
}

fn hostname(config: &Config) -> Result<Domain, Failure> {
    let parsed = Domain::parse(&config.hostname);
    parsed.map_err(|error| fail(exit::CONFIG, format!("hostname: {error}")))
}

/// TLS of sessions.
fn session_tls(root: &Path, config: &Config) -> Result<TlsServer, Failure> {
    let tls = TlsServer::from_pairs(certificate::pairs(root, &config.tls));
    let mut tls = tls.map_err(|error| fail(exit::CONFIG, format!("TLS: {error}")))?;
    tls.bind_logins(config.auth.channel_binding);
    if let Some(trust) = logins::client_trust(root, &config.auth)? {
        let asked = tls.ask_clients(&trust);
        asked.map_err(|error| fail(exit::CONFIG, format!("auth.client_authorities: {error}")))?;
    }
    Ok(tls)
}

fn guard(limits: &Limits, sessions: &Settings) -> Arc<Guard> {
    let guard = Guard::new(policy::guard::Settings {
        ban_after: limits.failed_logins,
        ban_for: Duration::from_secs(limits.ban_minutes.saturating_mul(60)),
        recipients_per_hour: limits.recipients_per_hour,
        recipients_per_day: limits.recipients_per_day,
        strangers_per_day: limits.strangers_per_day,
    });
    let proxies = sessions.proxies.iter().chain(&sessions.xclients).copied().collect();
    Arc::new(guard.sparing(proxies))
}

pub(crate) fn networks(key: &str, texts: &[String]) -> Result<Vec<Network>, Failure> {
    let networks: Result<_, String> = texts.iter().map(|text| text.parse()).collect();
    networks.map_err(|why| fail(exit::CONFIG, format!("{key}: {why}")))
}

/// What sessions go by.
fn session_settings(config: &Config, hostname: Domain) -> Result<Settings, Failure> {
    let limits = &config.limits;
    let proxies = networks("trusted.proxies", &config.trusted.proxies)?;
    let xclients = networks("trusted.xclients", &config.trusted.xclients)?;
    Ok(Settings {
        hostname,
        default_domain: Domain::parse(&config.domain).ok(),
        message_octets_max: limits.message_octets,
        recipients_max: limits.recipients,
        plaintext_auth: config.auth.plaintext,
        failed_login: Duration::from_secs(config.auth.failed_seconds),
        proxies,
        xclients,
        tls_required: networks("tls.required_from", &config.tls.required_from)?,
        judge: judging::settings(config)?,
        hold_max: Duration::from_secs(limits.hold_seconds),
        held_messages_max: limits.held_messages,
        connections_max: limits.connections,
        connections_per_address_max: limits.connections_per_address,
        connections_per_account_max: limits.connections_per_account,
        imap: protocol::imap::session::Options {
            uid_only: config.imap.uid_only,
            message_limit: config.imap.message_limit,
            save_limit: config.imap.save_limit,
        },
        pop3_exclusive: config.pop3.exclusive,
        pop3_login_delay: Duration::from_secs(config.pop3.login_delay_seconds),
    })
}

fn delivery_settings(
    root: &Path,
    config: &Config,
    hostname: Domain,
    addresses: &[(Service, SocketAddr)],
) -> Result<delivery::Settings, Failure> {
    let relay = &config.relay;
    let smarthost_login = logins::smarthost(root, relay)?;
    let verifying = TlsClient::new(&Trust::Authorities(root.join(&relay.authorities)));
    if let Err(error) = &verifying {
        let file = relay.authorities.display();
        if smarthost_login.is_some() || !config.tls.required_to.is_empty() {
            return Err(fail(exit::CONFIG, format!("relay.authorities: {file}: {error}")));
        }
        tracing::warn!(%file, %error, "relay.authorities: mail with REQUIRETLS cannot leave, and there is no MTA-STS");
    }
    let smtp = addresses.iter().filter(|(service, _)| *service == Service::Smtp);
    let reports = reports(&config.reports)?;
    Ok(delivery::Settings {
        smarthost: (!relay.smarthost.is_empty()).then(|| relay.smarthost.clone()),
        smarthost_login,
        tls_required: config.tls.required_to.iter().filter_map(|d| Domain::parse(d).ok()).collect(),
        relay_port: relay.port,
        verifying: verifying.ok(),
        mta_sts: relay.mta_sts,
        own_addresses: smtp.map(|(_, address)| *address).collect(),
        retry_after: relay.retry_seconds.iter().map(|s| Duration::from_secs(*s)).collect(),
        sign: relay.sign,
        expire_after: Duration::from_secs(relay.expire_seconds),
        delay_notice_after: Duration::from_secs(relay.delay_notice_seconds),
        judge_spam: config.spam.learn,
        reports,
        file_spam: config.spam.file,
        ..delivery::Settings::new(hostname)
    })
}

/// Where reports come in.
fn reports(config: &config::Reports) -> Result<Option<Reports>, Failure> {
    if config.address.is_empty() {
        return Ok(None);
    }
    let address = Address::parse(&config.address)
        .map_err(|error| fail(exit::CONFIG, format!("reports.address: {error}")))?;
    Ok(Some(Reports { address, deliver: config.deliver }))
}

fn owner_of(address: SocketAddr) -> String {
    match port_owner(address) {
        Some(owner) => format!("\nIt is taken by {owner}"),
        None => format!("\nSee who has it, as root: ss -ltnp 'sport = :{}'", address.port()),
    }
}

type Listeners = Vec<(Service, Box<dyn Listener>)>;

/// A socket that listens already.
#[derive(Debug)]
pub enum Socket {
    /// TCP
    Tcp(std::net::TcpListener),
    /// A UNIX socket.
    Unix(std::os::unix::net::UnixListener),
}

impl Socket {
    fn adopt(self) -> std::io::Result<Box<dyn Listener>> {
        match self {
            Socket::Tcp(socket) => net::adopt(socket),
            Socket::Unix(socket) => net::adopt_unix(socket),
        }
    }
}

/// What was got before root was given up.
#[derive(Debug)]
pub struct Held {
    /// Sockets that listen already.
    pub bound: Bound,
    /// The one of `listen.metrics`.
    pub metrics: Option<std::net::TcpListener>,
    /// The stream to the helper of `[program]`, if there is one.
    pub helper: Option<UnixStream>,
}

/// Sockets that listen already.
pub type Bound = Vec<(Service, Socket)>;

/// `[listen] lmtp`: an address and port, or else the path of a socket.
fn bind_lmtp(root: &Path, on: &str, mode: u32) -> std::io::Result<Socket> {
    match on.parse() {
        Ok(address) => net::bind(address).map(Socket::Tcp),
        Err(_) => net::bind_unix(&root.join(on), mode).map(Socket::Unix),
    }
}

/// `[listen] lmtp_mode`: octal digits.
fn mode(text: &str) -> Result<u32, Failure> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    let why = format!("listen.lmtp_mode: '{text}' is no mode, as \"0660\" is");
    mode.ok_or_else(|| fail(exit::CONFIG, why))
}

/// A program that is named by its path must be there.
fn program_exists(config: &Config) -> Result<(), Failure> {
    let missing = |program: &&String| program.starts_with('/') && !Path::new(program).exists();
    match config.program.command.first().filter(missing) {
        Some(program) => Err(fail(exit::CONFIG, format!("program.command: no file '{program}'"))),
        None => Ok(()),
    }
}

/// Starts the helper that runs the program of `[program]`, as who we are now.
pub fn start_helper(config: &Config) -> Result<Option<UnixStream>, Failure> {
    let command = &config.program.command;
    if command.is_empty() {
        return Ok(None);
    }
    program_exists(config)?;
    let arguments: Vec<String> = ["password-helper".to_owned(), "--".to_owned()]
        .into_iter()
        .chain(command.clone())
        .collect();
    let started = std::env::current_exe().and_then(|own| start_program(&own, &arguments));
    started.map(Some).map_err(|error| fail(exit::SOFTWARE, format!("program.command: {error}")))
}

/// Binds `listen.metrics`, if it is set.
pub fn bind_metrics(config: &Config) -> Result<Option<std::net::TcpListener>, Failure> {
    let Ok(address) = config.listen.metrics.parse() else { return Ok(None) };
    let bound = net::bind(address);
    bound.map(Some).map_err(|error| {
        let text = format!("listen.metrics: {address}: {error}{}", owner_of(address));
        fail(exit::UNAVAILABLE, text)
    })
}

/// Binds every port. The error names who has one that is taken.
pub fn bind(root: &Path, config: &Config) -> Result<Bound, Failure> {
    let mut bound = Vec::new();
    for on in &config.listen.lmtp {
        // RFC 2033 §5: who connects to port 25 speaks SMTP.
        if on.parse().is_ok_and(|address: SocketAddr| address.port() == 25) {
            let why = format!("listen.lmtp: {on}: LMTP must not be on port 25; 24 is usual");
            return Err(fail(exit::CONFIG, why));
        }
    }
    for ip in &config.listen.addresses {
        for service in Service::ALL.into_iter().filter(|service| *service != Service::Lmtp) {
            let address = SocketAddr::new(*ip, config.listen.port_base + service.port());
            let socket = net::bind(address).map_err(|error| {
                let hint = match error.kind() {
                    std::io::ErrorKind::AddrInUse => owner_of(address),
                    std::io::ErrorKind::PermissionDenied => {
                        "\nPorts below 1024 need root, or CAP_NET_BIND_SERVICE".to_owned()
                    }
                    _ => String::new(),
                };
                fail(exit::UNAVAILABLE, format!("{} on {address}: {error}{hint}", service.name()))
            })?;
            bound.push((service, Socket::Tcp(socket)));
        }
    }
    for on in &config.listen.lmtp {
        let socket = bind_lmtp(root, on, mode(&config.listen.lmtp_mode)?);
        let socket =
            socket.map_err(|error| fail(exit::UNAVAILABLE, format!("lmtp on {on}: {error}")))?;
        bound.push((Service::Lmtp, socket));
    }
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lmtp_socket_is_for_user_and_group() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("postrider-lmtp-{}", std::process::id()));
        let mut config = Config::new("mail.example.org", "example.org");
        config.listen.addresses.clear();
        config.listen.lmtp = vec![path.to_str().unwrap().to_owned()];
        for (mode, expected) in [(None, 0o660), (Some("0666"), 0o666), (Some("600"), 0o600)] {
            config.listen.lmtp_mode =
                mode.map_or(Config::new("x.example", "x.example").listen.lmtp_mode, str::to_owned);
            let bound = bind(Path::new("/"), &config).unwrap();
            let found = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o777, expected);
            drop(bound);
        }
        std::fs::remove_file(&path).unwrap();
        for bad in ["", "rw", "0888", "1777", "-1"] {
            config.listen.lmtp_mode = bad.to_owned();
            assert_eq!(
                bind(Path::new("/"), &config).map_err(|failure| failure.code).unwrap_err(),
                exit::CONFIG
            );
        }
    }

    #[test]
    fn lmtp_is_not_on_port_25() {
        let mut config = Config::new("mail.example.org", "example.org");
        config.listen.addresses.clear();
        config.listen.lmtp = vec!["127.0.0.1:25".to_owned()];
        assert_eq!(
            bind(Path::new("/"), &config).map_err(|failure| failure.code).unwrap_err(),
            exit::CONFIG
        );
    }
}
