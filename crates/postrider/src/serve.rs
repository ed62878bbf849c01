//! The running server: opens everything, says when it is ready, ends cleanly.

use crate::admin::{self, Failure, Request, Response, exit};
use crate::config::Config;
use delivery::{Delivery, Scheduler};
use directory::{Directory, password::Cost};
use mail::Domain;
use server::listen::{self, Service};
use server::{Settings, Shared};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::{Options, Store, StoreError};
use sys::World;
use sys::clock::SystemClock;
use sys::disk::RealDisk;
use sys::net::{Listener, TcpNet};
use sys::random::SystemRandom;
use sys::resolver::DnsResolver;
use sys::tls::{TlsClient, TlsServer, Trust};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// How long sessions may take to end.
const DRAIN: Duration = Duration::from_secs(10);
/// Octets that a round of housekeeping moves or checks.
const HOUSE_OCTETS: u64 = 4 << 20;
/// Between two rounds, when there is little to do; so about 35 GB are checked a day.
const HOUSE_PAUSE: Duration = Duration::from_secs(10);
/// Between two rounds, when there is much to do: 20 MB a second are moved at most.
const HOUSE_PAUSE_BUSY: Duration = Duration::from_millis(200);
/// How often certificate files are looked at (users.md D-07).
const CERTIFICATE_CHECK: Duration = Duration::from_secs(20);
/// Octets of a request over the control socket.
const REQUEST_OCTETS_MAX: u64 = 64 << 20;

fn fail(code: u8, text: impl Into<String>) -> Failure {
    Failure { text: text.into(), code }
}

/// Store and directory of a root folder.
pub fn open(root: &Path, config: &Config) -> Result<(Store, Directory), Failure> {
    let mut options = Options::new(&root.join(&config.store.folder));
    options.min_free_octets = config.store.min_free_octets;
    options.two_sync = config.store.two_sync;
    let store = Store::open(options, Arc::new(RealDisk), Arc::new(SystemClock::new()));
    let store = store.map_err(|error| match error {
        StoreError::Locked(who) => {
            fail(exit::TEMPORARY, format!("the data folder is in use by {who}"))
        }
        other => fail(exit::SOFTWARE, other.to_string()),
    })?;
    let auth = &config.auth;
    let settings = directory::Settings {
        default_domain: Domain::parse(&config.domain).ok(),
        hash_cost: Cost { memory_kib: auth.hash_memory_kib, passes: auth.hash_passes },
    };
    let directory = Directory::new(store.clone(), Arc::new(SystemRandom), settings);
    Ok((store, directory))
}

fn world(config: &Config) -> Result<World, Failure> {
    let resolver = match config.dns.servers.as_slice() {
        [] => DnsResolver::system(),
        servers => DnsResolver::servers(servers),
    };
    let resolver = resolver.map_err(|error| fail(exit::CONFIG, format!("DNS: {error}")))?;
    Ok(World {
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SystemRandom),
        resolver: Arc::new(resolver),
        net: Arc::new(TcpNet),
        disk: Arc::new(RealDisk),
    })
}

/// Where the control socket is.
pub fn control_socket(root: &Path) -> PathBuf {
    root.join("control.sock")
}

/// Serves until `shutdown`. `ready` is told the addresses once all listeners are up.
pub async fn serve(
    root: &Path,
    config: Config,
    shutdown: watch::Receiver<bool>,
    ready: impl FnOnce(&[(Service, SocketAddr)]),
) -> Result<(), Failure> {
    let hostname = Domain::parse(&config.hostname)
        .map_err(|error| fail(exit::CONFIG, format!("hostname: {error}")))?;
    let tls =
        TlsServer::from_files(&root.join(&config.tls.certificate), &root.join(&config.tls.key));
    let tls = Arc::new(tls.map_err(|error| fail(exit::CONFIG, format!("TLS: {error}")))?);
    let world = world(&config)?;
    let (store, directory) = open(root, &config)?;
    let listeners = bind(&config, &world)?;
    let addresses: Vec<(Service, SocketAddr)> =
        listeners.iter().filter_map(|(s, l)| Some((*s, l.local_addr().ok()?))).collect();
    let client = TlsClient::new(&Trust::Anybody)
        .map_err(|error| fail(exit::SOFTWARE, format!("TLS: {error}")))?;
    let settings = delivery_settings(&config, hostname.clone(), &addresses);
    let delivery = Delivery::new(settings, store.clone(), directory.clone(), world.clone(), client);
    let scheduler = tokio::spawn(Scheduler::new(&delivery).run(shutdown.clone()));
    let control = control(root, store.clone(), directory.clone(), shutdown.clone())?;
    tokio::spawn(watch_certificate(tls.clone(), shutdown.clone()));
    tokio::spawn(keep_house(store.clone(), shutdown.clone()));
    let limits = &config.limits;
    let settings = Settings {
        hostname,
        default_domain: Domain::parse(&config.domain).ok(),
        message_octets_max: limits.message_octets,
        recipients_max: limits.recipients,
        plaintext_auth: config.auth.plaintext,
        connections_max: limits.connections,
        connections_per_address_max: limits.connections_per_address,
    };
    let shared = Arc::new(Shared { store: store.clone(), directory, delivery, world, settings });
    let recovered = store.recovered();
    tracing::info!(repeated = recovered.deliveries, cut = recovered.cut, "store open");
    ready(&addresses);
    listen::run(shared, listeners, tls, shutdown, DRAIN).await;
    let _ = scheduler.await;
    let _ = control.await;
    let _ = tokio::task::spawn_blocking(move || store.close()).await;
    Ok(())
}

fn delivery_settings(
    config: &Config,
    hostname: Domain,
    addresses: &[(Service, SocketAddr)],
) -> delivery::Settings {
    let relay = &config.relay;
    let smtp = addresses.iter().filter(|(service, _)| *service == Service::Smtp);
    delivery::Settings {
        smarthost: (!relay.smarthost.is_empty()).then(|| relay.smarthost.clone()),
        relay_port: relay.port,
        own_addresses: smtp.map(|(_, address)| *address).collect(),
        retry_after: relay.retry_seconds.iter().map(|s| Duration::from_secs(*s)).collect(),
        expire_after: Duration::from_secs(relay.expire_seconds),
        delay_notice_after: Duration::from_secs(relay.delay_notice_seconds),
        ..delivery::Settings::new(hostname)
    }
}

type Listeners = Vec<(Service, Box<dyn Listener>)>;

fn bind(config: &Config, world: &World) -> Result<Listeners, Failure> {
    let mut listeners = Vec::new();
    for ip in &config.listen.addresses {
        for service in Service::ALL {
            let address = SocketAddr::new(*ip, config.listen.port_base + service.port());
            let listener = world.net.listen(address).map_err(|error| {
                let hint = match error.kind() {
                    std::io::ErrorKind::AddrInUse => {
                        format!("\nSee who has it: ss -ltnp 'sport = :{}'", address.port())
                    }
                    std::io::ErrorKind::PermissionDenied => {
                        "\nPorts below 1024 need root, or CAP_NET_BIND_SERVICE".to_owned()
                    }
                    _ => String::new(),
                };
                fail(exit::UNAVAILABLE, format!("{} on {address}: {error}{hint}", service.name()))
            })?;
            listeners.push((service, listener));
        }
    }
    Ok(listeners)
}

async fn watch_certificate(tls: Arc<TlsServer>, mut shutdown: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            () = tokio::time::sleep(CERTIFICATE_CHECK) => {}
        }
        match tls.reload() {
            Ok(true) => tracing::info!("a new certificate is in use"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the new certificate cannot be read"),
        }
    }
}

/// Housekeeping of the store: often while there is much to do, else now and then.
async fn keep_house(store: Store, mut shutdown: watch::Receiver<bool>) {
    let mut pause = HOUSE_PAUSE;
    loop {
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = match store.keep_house(HOUSE_OCTETS).await {
            Ok(done) => {
                if !done.removed.is_empty() {
                    tracing::info!(segments = ?done.removed, "space of expunged messages is free");
                }
                if done.more { HOUSE_PAUSE_BUSY } else { HOUSE_PAUSE }
            }
            Err(error) => {
                tracing::warn!(%error, "housekeeping");
                HOUSE_PAUSE
            }
        }
    }
}

/// Takes commands over the control socket, one for each connection.
fn control(
    root: &Path,
    store: Store,
    directory: Directory,
    mut shutdown: watch::Receiver<bool>,
) -> Result<tokio::task::JoinHandle<()>, Failure> {
    let path = control_socket(root);
    // We hold the lock of the data folder, so a socket that is there is nobody's.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)
        .map_err(|error| fail(exit::CANT_CREATE, format!("{}: {error}", path.display())))?;
    use std::os::unix::fs::PermissionsExt;
    let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600));
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = shutdown.wait_for(|down| *down) => break,
                got = listener.accept() => if let Ok((stream, _)) = got {
                    tokio::spawn(command(stream, store.clone(), directory.clone()));
                }
            }
        }
        let _ = std::fs::remove_file(&path);
    }))
}

async fn command(stream: UnixStream, store: Store, directory: Directory) {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(REQUEST_OCTETS_MAX));
    if reader.read_line(&mut line).await.is_err() {
        return;
    }
    let outcome = match serde_json::from_str::<Request>(&line) {
        Ok(request) => admin::execute(&store, &directory, request).await,
        Err(error) => Err(fail(exit::DATA, format!("control socket: {error}"))),
    };
    let mut answer = serde_json::to_vec(&outcome).unwrap_or_default();
    answer.push(b'\n');
    let _ = writer.write_all(&answer).await;
}

/// Has a command carried out: by the running server, or here when there is none.
pub async fn administer(root: &Path, request: Request) -> Result<Response, Failure> {
    if let Ok(stream) = UnixStream::connect(control_socket(root)).await {
        let (reader, mut writer) = stream.into_split();
        let mut line = serde_json::to_vec(&request).unwrap_or_default();
        line.push(b'\n');
        let lost =
            |error: std::io::Error| fail(exit::UNAVAILABLE, format!("control socket: {error}"));
        writer.write_all(&line).await.map_err(lost)?;
        let mut answer = String::new();
        BufReader::new(reader).read_to_string(&mut answer).await.map_err(lost)?;
        let parsed: Result<Result<Response, Failure>, _> = serde_json::from_str(&answer);
        return parsed.unwrap_or_else(|error| Err(fail(exit::SOFTWARE, error.to_string())));
    }
    let config = Config::load(root).map_err(|text| fail(exit::CONFIG, text))?;
    let (store, directory) = open(root, &config)?;
    let outcome = admin::execute(&store, &directory, request).await;
    let _ = tokio::task::spawn_blocking(move || store.close()).await;
    outcome
}
