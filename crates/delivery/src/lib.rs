//! An accepted message's fate: accepting it, routing, the schedule of attempts, relaying to other
//! servers, and reports about what failed.
//!
//! Responsibility moves only here. Invariants: [`Accepted`] exists only after the commit, and a 250
//! needs one; a recipient leaves the queue only with the remote 250, a report, or by an operator.

mod accept;
mod bounce;
mod claims;
mod convert;
mod fate;
mod hops;
pub mod journey;
mod judging;
pub mod learning;
mod limits;
mod notice;
mod release;
pub mod remote;
pub mod reports;
pub mod route;
mod schedule;
mod settle;
mod signing;
mod slots;
pub mod sts;
mod trace;

use directory::Directory;
use mail::Domain;
use protocol::sasl::Login;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::Store;
use sys::World;
use sys::http::HttpClient;
use sys::tls::TlsClient;

pub use accept::{Accepted, AcceptedRecipient, DeliveryError, Incoming, Judgement, Receiving};
pub use notice::Notice;
pub use schedule::Scheduler;

/// Settings of delivery.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our name in `Received`, EHLO and reports.
    pub hostname: Domain,
    /// Where all mail for others goes, as `host:port`; `None` for the MX of each domain.
    pub smarthost: Option<String>,
    /// Who logs in there, under TLS with its certificate proven.
    pub smarthost_login: Option<Login>,
    /// Domains whose mail leaves only under TLS, with the server's certificate proven, or waits.
    /// RFC 3207 §6.
    pub tls_required: Vec<Domain>,
    /// The port of other servers; 25 but for tests.
    pub relay_port: u16,
    /// Our own addresses, by which a loop is known.
    pub own_addresses: Vec<SocketAddr>,
    /// The address that connections to other servers come from.
    pub source: Option<std::net::IpAddr>,
    /// Proves a server's certificate, for REQUIRETLS and a login at the smarthost; without it such
    /// mail does not leave, and there is no MTA-STS.
    pub verifying: Option<TlsClient>,
    /// What other domains say of their servers by MTA-STS holds. RFC 8461.
    pub mta_sts: bool,
    /// Waits between attempts; the last one repeats.
    pub retry_after: Vec<Duration>,
    /// How long a message is tried.
    pub expire_after: Duration,
    /// When the sender is told of a delay.
    pub delay_notice_after: Duration,
    /// Mail for accounts here is judged by what they taught about spam.
    pub judge_spam: bool,
    /// What is judged to be spam goes into Junk.
    pub file_spam: bool,
    /// Sign what leaves in the name of its author's domain.
    pub sign: bool,
    /// Where reports about mail from our domains come in.
    pub reports: Option<reports::Reports>,
}

impl Settings {
    /// Good settings for a server of that name.
    pub fn new(hostname: Domain) -> Settings {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Settings {
            hostname,
            smarthost: None,
            smarthost_login: None,
            tls_required: Vec::new(),
            relay_port: 25,
            own_addresses: Vec::new(),
            source: None,
            verifying: None,
            mta_sts: true,
            retry_after: [1, 5, 15, 30, 60, 120, 240].into_iter().map(minutes).collect(),
            expire_after: minutes(5 * 24 * 60),
            delay_notice_after: minutes(4 * 60),
            judge_spam: true,
            file_spam: true,
            sign: true,
            reports: None,
        }
    }
}

/// Delivery. Cloning is cheap.
#[derive(Clone)]
pub struct Delivery {
    pub(crate) shared: Arc<Shared>,
}

/// How many recipients attempts to send came out so, since the start.
#[derive(Default)]
pub struct Attempted {
    /// The other server has it, or a mailbox here.
    pub delivered: AtomicU64,
    /// It will be tried again.
    pub deferred: AtomicU64,
    /// It was given up.
    pub failed: AtomicU64,
}

impl Attempted {
    fn count(&self, result: &str) {
        let counter = match result {
            "delivered" => &self.delivered,
            "deferred" => &self.deferred,
            _ => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) struct Shared {
    pub settings: Settings,
    pub store: Store,
    pub directory: Directory,
    pub world: World,
    pub tls: TlsClient,
    pub keys: signing::ReadyKeys,
    pub slots: slots::Slots,
    pub policies: sts::Policies,
    pub attempted: Attempted,
}

impl Delivery {
    /// Delivery over a store.
    pub fn new(
        settings: Settings,
        store: Store,
        directory: Directory,
        world: World,
        tls: TlsClient,
    ) -> Delivery {
        let verifying = settings.verifying.clone().filter(|_| settings.mta_sts);
        let policies = sts::Policies::new(verifying.map(|tls| HttpClient::new(&world, tls)));
        Delivery {
            shared: Arc::new(Shared {
                settings,
                store,
                directory,
                world,
                tls,
                keys: signing::ReadyKeys::default(),
                slots: slots::Slots::default(),
                policies,
                attempted: Attempted::default(),
            }),
        }
    }

    /// Finds out whether DNSSEC proves anything here.
    pub async fn probe_dnssec(&self) {
        if let Some(resolver) = &self.shared.world.validating {
            resolver.probe().await;
        }
    }

    /// Whether DNSSEC proves anything here, once that is known: without it there is no DANE.
    pub fn dnssec(&self) -> Option<bool> {
        self.shared.world.validating.as_ref()?.works()
    }

    /// What became of attempts.
    pub fn attempted(&self) -> &Attempted {
        &self.shared.attempted
    }
}
