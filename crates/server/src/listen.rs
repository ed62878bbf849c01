//! Listeners: accept, count, shake hands, run a session, survive its panic.

use crate::counts::Taken;
use crate::drive::{Ending, drive};
use crate::{Shared, imap, limits, pop3, smtp};
use policy::guard::Source;
use protocol::proxy;
use protocol::smtp::reply;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use sys::net::{BoxStream, Listener, NotAccepted};
use sys::tls::{Speaks, TlsFacts, TlsServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// 25
    Smtp,
    /// 587
    Submission,
    /// 465
    Submissions,
    /// 143
    Imap,
    /// 993
    Imaps,
    /// 110
    Pop3,
    /// 995
    Pop3s,
    /// LMTP, which has no port of its own: 24 is its name at IANA. RFC 2033.
    Lmtp,
}

impl Service {
    /// All of them.
    pub const ALL: [Service; 8] = [
        Service::Smtp,
        Service::Submission,
        Service::Submissions,
        Service::Imap,
        Service::Imaps,
        Service::Pop3,
        Service::Pop3s,
        Service::Lmtp,
    ];

    /// Its standard port.
    pub fn port(self) -> u16 {
        match self {
            Service::Smtp => 25,
            Service::Submission => 587,
            Service::Submissions => 465,
            Service::Imap => 143,
            Service::Imaps => 993,
            Service::Pop3 => 110,
            Service::Pop3s => 995,
            Service::Lmtp => 24,
        }
    }

    /// Its name, as the configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            Service::Smtp => "smtp",
            Service::Submission => "submission",
            Service::Submissions => "submissions",
            Service::Imap => "imap",
            Service::Imaps => "imaps",
            Service::Pop3 => "pop3",
            Service::Pop3s => "pop3s",
            Service::Lmtp => "lmtp",
        }
    }

    /// Mail comes in from other servers: no login, and no ban for a failed one (users.md S-21).
    pub fn takes_mail(self) -> bool {
        matches!(self, Service::Smtp | Service::Lmtp)
    }

    fn speaks(self) -> Speaks {
        match self {
            Service::Smtp | Service::Lmtp => Speaks::Mail,
            Service::Submission | Service::Submissions => Speaks::Submission,
            Service::Imap | Service::Imaps => Speaks::Imap,
            Service::Pop3 | Service::Pop3s => Speaks::Pop3,
        }
    }

    /// TLS begins with the first octet. RFC 8314 §3.
    pub fn implicit_tls(self) -> bool {
        matches!(self, Service::Submissions | Service::Imaps | Service::Pop3s)
    }
}

/// A connection that was accepted.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The service it came to.
    pub service: Service,
    /// Who it is.
    pub peer: SocketAddr,
    /// Our address that it came to; none behind a proxy, whose client came to another.
    pub local: Option<IpAddr>,
    /// TLS, if it is up already.
    pub tls: Option<TlsFacts>,
    /// It spoke first: octets came before anything was said to it.
    pub spoke_first: bool,
}

/// Who is connected.
#[derive(Default)]
struct Census {
    all: usize,
    /// By IPv4 address, and by the /64 of an IPv6 one: whoever has one has all of them.
    by_source: HashMap<Source, usize>,
}

/// Runs the listeners until `shutdown`, then gives sessions `drain` to end.
pub async fn run(
    shared: Arc<Shared>,
    listeners: Vec<(Service, Box<dyn Listener>)>,
    tls: Arc<TlsServer>,
    shutdown: watch::Receiver<bool>,
    drain: Duration,
) {
    let census = Arc::new(Mutex::new(Census::default()));
    let mut loops = JoinSet::new();
    for (service, listener) in listeners {
        let one = Accepting {
            shared: shared.clone(),
            service,
            tls: tls.clone(),
            census: census.clone(),
            shutdown: shutdown.clone(),
        };
        loops.spawn(one.run(listener, drain));
    }
    while loops.join_next().await.is_some() {}
}

#[derive(Clone)]
struct Accepting {
    shared: Arc<Shared>,
    service: Service,
    tls: Arc<TlsServer>,
    census: Arc<Mutex<Census>>,
    shutdown: watch::Receiver<bool>,
}

impl Accepting {
    async fn run(mut self, listener: Box<dyn Listener>, drain: Duration) {
        let mut sessions = JoinSet::new();
        let mut failing = NotAccepted::default();
        loop {
            tokio::select! {
                biased;
                () = is_down(&mut self.shutdown) => break,
                Some(ended) = sessions.join_next(), if !sessions.is_empty() => {
                    self.note_panic(ended);
                }
                got = listener.accept() => match got {
                    Ok((stream, peer, local)) => {
                        self.session(&mut sessions, stream, (peer, local.ip()));
                    }
                    Err(error) => {
                        if let Some(times) = failing.again() {
                            let service = self.service.name();
                            tracing::warn!(service, times, %error, "cannot accept");
                        }
                        tokio::time::sleep(NotAccepted::WAIT).await;
                    }
                },
            }
        }
        drop(listener);
        let all = async { while sessions.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(drain, all).await;
    }

    fn note_panic(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            tracing::error!(service = self.service.name(), %error, "a session failed");
        }
    }

    fn session(&self, sessions: &mut JoinSet<()>, stream: BoxStream, ends: (SocketAddr, IpAddr)) {
        let (peer, local) = ends;
        if self.shared.settings.proxies.iter().any(|proxy| proxy.contains(peer.ip())) {
            sessions.spawn(self.clone().behind_proxy(stream, peer));
            return;
        }
        match self.admit(peer) {
            Ok(seat) => sessions.spawn(self.clone().seated(seat, stream, (peer, Some(local)))),
            Err(why) => sessions.spawn(self.clone().turn_away(stream, why)),
        };
    }

    /// A proxy says first who its client is; whoever else the proxy is to others, here the client's
    /// address counts.
    async fn behind_proxy(self, mut stream: BoxStream, proxy: SocketAddr) {
        let service = self.service;
        let most = self.shared.settings.connections_max;
        let Some(waiting) = Seat::take(&self.census, proxy.ip(), [most, most]) else {
            tracing::warn!(service = service.name(), peer = %proxy, "too many connections");
            return self.turn_away(stream, Away::Crowded).await;
        };
        let said = tokio::time::timeout(limits::PROXY_WAIT, client_of(&mut stream)).await;
        let Ok(Some(client)) = said else {
            tracing::warn!(service = service.name(), peer = %proxy, "no PROXY header; is it a proxy?");
            return;
        };
        drop(waiting);
        let peer = client.unwrap_or(proxy);
        match self.admit(peer) {
            Ok(seat) => self.seated(seat, stream, (peer, None)).await,
            Err(why) => self.turn_away(stream, why).await,
        }
    }

    /// A place for somebody who is not banned.
    fn admit(&self, peer: SocketAddr) -> Result<Seat, Away> {
        let service = self.service.name();
        let now = self.shared.world.clock.monotonic();
        if !self.service.takes_mail() && self.shared.guard.is_banned(peer.ip(), now) {
            tracing::info!(service, %peer, "banned");
            return Err(Away::Banned);
        }
        let settings = &self.shared.settings;
        let most = [settings.connections_max, settings.connections_per_address_max];
        Seat::take(&self.census, peer.ip(), most).ok_or_else(|| {
            tracing::warn!(service, %peer, "too many connections");
            Away::Crowded
        })
    }

    async fn turn_away(self, stream: BoxStream, why: Away) {
        self.shared.counts.of(self.service).turned_away.add();
        turn_away(stream, self.service, why).await;
    }

    async fn seated(self, seat: Seat, stream: BoxStream, ends: (SocketAddr, Option<IpAddr>)) {
        let peer = ends.0;
        let (service, shared) = (self.service, self.shared.clone());
        let counts = shared.counts.of(service);
        let _taken = Taken::new(counts);
        let most = shared.settings.connections_max;
        let mut trusted = shared.settings.judge.trusted.iter();
        let stranger = !trusted.any(|network| network.contains(peer.ip()));
        let hurried = || stranger && seat.is_scarce(most);
        match serve(self.shared, stream, service, ends, &self.tls, self.shutdown, &hurried).await {
            Ok(Ending::Failed) => {
                counts.panicked.add();
                tracing::error!(service = service.name(), %peer, "a session failed: a panic");
            }
            Ok(Ending::Tls(error)) => {
                counts.tls_failed.add();
                tracing::info!(service = service.name(), %peer, error, "TLS handshake failed");
            }
            Ok(ending) => tracing::debug!(service = service.name(), %peer, ?ending, "end"),
            Err(error) => {
                counts.tls_failed.add();
                tracing::info!(service = service.name(), %peer, %error, "TLS handshake failed");
            }
        }
    }
}

/// The client that a PROXY header names: `None` when there is no such header, `Some(None)` when the
/// proxy speaks for itself. Not an octet behind the header is read.
async fn client_of(stream: &mut BoxStream) -> Option<Option<SocketAddr>> {
    let mut octets = Vec::new();
    loop {
        octets.push(stream.read_u8().await.ok()?);
        match proxy::header(&octets) {
            proxy::Header::Partial => {}
            proxy::Header::Whole { client, .. } => return Some(client),
            proxy::Header::Bad => return None,
        }
    }
}

/// Resolves when the server goes down.
pub(crate) async fn is_down(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|down| *down).await;
}

/// Why somebody is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    /// There are too many connections.
    Crowded,
    /// The address is banned.
    Banned,
}

/// Says why nobody is heard, where that can be said before TLS, and closes.
async fn turn_away(mut stream: BoxStream, service: Service, why: Away) {
    let (said, text) = match why {
        Away::Crowded => (reply::TOO_MANY_CONNECTIONS, "Too many connections"),
        Away::Banned => (reply::BANNED, "No logins from your address for now; ask postmaster"),
    };
    let mut line = Vec::new();
    match service {
        Service::Smtp | Service::Submission | Service::Lmtp => said.encode(&mut line),
        Service::Imap => {
            line.extend_from_slice(format!("* BYE [UNAVAILABLE] {text}\r\n").as_bytes())
        }
        Service::Pop3 => line.extend_from_slice(format!("-ERR [SYS/TEMP] {text}\r\n").as_bytes()),
        Service::Submissions | Service::Imaps | Service::Pop3s => {}
    }
    let said = async {
        stream.write_all(&line).await?;
        stream.shutdown().await
    };
    let _ = tokio::time::timeout(limits::CLOSE_WAIT, said).await;
}

async fn serve(
    shared: Arc<Shared>,
    mut stream: BoxStream,
    service: Service,
    (peer, local): (SocketAddr, Option<IpAddr>),
    tls: &TlsServer,
    shutdown: watch::Receiver<bool>,
    hurried: &(dyn Fn() -> bool + Sync),
) -> io::Result<Ending> {
    let tls = tls.port(service.speaks());
    let mut facts = None;
    if service.implicit_tls() {
        let (secured, settled) = Box::pin(tls.accept(stream)).await?;
        (stream, facts) = (secured, Some(settled));
    }
    let spoke_first = stream.has_input();
    let accepted = Accepted { service, peer, local, tls: facts, spoke_first };
    Ok(match service {
        Service::Smtp | Service::Submission | Service::Submissions | Service::Lmtp => {
            let (mut machine, mut handler) = smtp::session(shared, accepted);
            Box::pin(drive(stream, &mut machine, &mut handler, Some(tls), shutdown, hurried)).await
        }
        Service::Pop3 | Service::Pop3s => {
            let (mut machine, mut handler) = pop3::session(shared, accepted);
            Box::pin(drive(stream, &mut machine, &mut handler, Some(tls), shutdown, hurried)).await
        }
        Service::Imap | Service::Imaps => {
            let (mut machine, mut handler) = imap::session(shared, accepted);
            Box::pin(drive(stream, &mut machine, &mut handler, Some(tls), shutdown, hurried)).await
        }
    })
}

/// A place among the connections.
struct Seat {
    census: Arc<Mutex<Census>>,
    source: Source,
}

impl Seat {
    /// A place, unless there are so many in all, or so many of that address.
    fn take(census: &Arc<Mutex<Census>>, address: IpAddr, most: [usize; 2]) -> Option<Seat> {
        let [all, of_one] = most;
        let mut counts = census.lock().unwrap_or_else(PoisonError::into_inner);
        let source = Source::from(address);
        let from_here = counts.by_source.get(&source).copied().unwrap_or(0);
        if counts.all >= all || from_here >= of_one {
            return None;
        }
        counts.all += 1;
        counts.by_source.insert(source, from_here + 1);
        drop(counts);
        Some(Seat { census: census.clone(), source })
    }

    /// So many of `all` are taken that nobody should keep one without use.
    fn is_scarce(&self, all: usize) -> bool {
        let taken = self.census.lock().unwrap_or_else(PoisonError::into_inner).all;
        let (part, whole) = limits::SCARCE;
        taken.saturating_mul(whole) > all.saturating_mul(part)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.census.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        if let Some(n) = counts.by_source.get_mut(&self.source) {
            *n -= 1;
            if *n == 0 {
                counts.by_source.remove(&self.source);
            }
        }
    }
}
