//! A whole server in a simulated world: the real store in a temporary folder, the real listeners,
//! sessions and scheduler.

use crate::pipe::End;
use crate::world::SimWorld;
use delivery::{Delivery, Scheduler};
use directory::{Directory, password::Cost};
use mail::{Address, Domain, MailboxName, MessageId};
use policy::guard::Guard;
use server::counts::Counts;
use server::imap::Arrangements;
use server::listen::{self, Service};
use server::pop3::maildrops::Maildrops;
use server::{Settings, Shared};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use store::{NewAccount, Options, Placement};
use sys::tls::{ClientTrust, TlsClient, TlsServer, Trust};
use tokio::sync::watch;

/// The house's address.
pub const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));
/// The domain that is always its own; user names without a domain are in it.
pub const DOMAIN: &str = "example.org";
/// Everybody's password.
pub const PASSWORD: &str = "secret";

/// What can be different from house to house.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Settings of the sessions.
    pub sessions: Settings,
    /// Settings of delivery.
    pub delivery: delivery::Settings,
    /// Settings of the directory.
    pub directory: directory::Settings,
    /// Which certificates of clients are believed.
    pub clients: Option<ClientTrust>,
    /// What is allowed how often.
    pub rates: policy::guard::Settings,
}

impl Default for Plan {
    fn default() -> Plan {
        let hostname = Domain::parse("mail.example.org").unwrap();
        let own = SocketAddr::new(ADDRESS, 25);
        Plan {
            sessions: Settings {
                hostname: hostname.clone(),
                default_domain: Domain::parse(DOMAIN).ok(),
                message_octets_max: 50_000_000,
                recipients_max: 1000,
                plaintext_auth: true,
                // Nor is anybody kept waiting.
                failed_login: Duration::ZERO,
                proxies: Vec::new(),
                xclients: Vec::new(),
                tls_required: Vec::new(),
                // Nobody is judged unless a test wants it: what it says is shorter then.
                judge: policy::judge::Settings {
                    trusted: ["0.0.0.0/0", "::/0"].iter().filter_map(|n| n.parse().ok()).collect(),
                    ..Default::default()
                },
                hold_max: Duration::from_secs(30 * 86_400),
                held_messages_max: 100,
                connections_max: 1000,
                connections_per_address_max: 500,
                connections_per_account_max: 200,
                imap: protocol::imap::session::Options::default(),
                pop3_exclusive: false,
                pop3_login_delay: Duration::ZERO,
            },
            delivery: delivery::Settings {
                own_addresses: vec![own],
                ..delivery::Settings::new(hostname)
            },
            directory: directory::Settings::default(),
            clients: None,
            rates: policy::guard::Settings::default(),
        }
    }
}

impl Plan {
    /// Changes a setting, as the header of a script has it.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let wrong = |_| format!("given: {key} = {value}?");
        let seconds = || value.parse().map(Duration::from_secs).map_err(wrong);
        let sessions = &mut self.sessions;
        match key {
            "recipients_max" => self.sessions.recipients_max = value.parse().map_err(wrong)?,
            "message_octets_max" => sessions.message_octets_max = value.parse().map_err(wrong)?,
            "connections_per_address_max" => {
                self.sessions.connections_per_address_max = value.parse().map_err(wrong)?;
            }
            "uid_only" => sessions.imap.uid_only = value == "true",
            "message_limit" => sessions.imap.message_limit = value.parse().map_err(wrong)?,
            "save_limit" => sessions.imap.save_limit = value.parse().map_err(wrong)?,
            "connections_per_account_max" => {
                sessions.connections_per_account_max = value.parse().map_err(wrong)?;
            }
            "pop3_exclusive" => sessions.pop3_exclusive = value == "true",
            "pop3_login_delay" => sessions.pop3_login_delay = seconds()?,
            "failed_login" => sessions.failed_login = seconds()?,
            "plaintext_auth" => self.sessions.plaintext_auth = value == "true",
            "recipients_per_hour" => {
                self.rates.recipients_per_hour = value.parse().map_err(wrong)?
            }
            "strangers_per_day" => self.rates.strangers_per_day = value.parse().map_err(wrong)?,
            "proxies" => self.sessions.proxies.push(value.parse().map_err(|why: String| why)?),
            "tls_required_from" => {
                self.sessions.tls_required.push(value.parse().map_err(|why: String| why)?);
            }
            "tls_required_to" => {
                let domain = Domain::parse(value).map_err(|e| e.to_string())?;
                self.delivery.tls_required.push(domain);
            }
            "xclients" => self.sessions.xclients.push(value.parse().map_err(|why: String| why)?),
            "held_messages_max" => sessions.held_messages_max = value.parse().map_err(wrong)?,
            "reports" => {
                let deliver = !value.ends_with(" only");
                let address = address(value.trim_end_matches(" only"));
                self.delivery.reports = Some(delivery::reports::Reports { address, deliver });
            }
            "file_spam" => self.delivery.file_spam = value == "true",
            "judge" => sessions.judge.trusted.clear(),
            "dmarc" => {
                sessions.judge.dmarc = match value {
                    "observe" => policy::judge::Mode::Observe,
                    "off" => policy::judge::Mode::Off,
                    _ => policy::judge::Mode::Enforce,
                }
            }
            "block_list" => {
                let purpose = match value.strip_suffix(" junk") {
                    Some(zone) => (zone.to_owned(), policy::dnsbl::Use::Junk),
                    None => (value.to_owned(), policy::dnsbl::Use::Refuse),
                };
                sessions.judge.lists = policy::dnsbl::Lists::new(vec![purpose]).into();
            }
            "forwarders" => match value.parse() {
                Ok(network) => sessions.judge.forwarder_networks.push(network),
                Err(_) => sessions.judge.forwarder_domains.extend(Domain::parse(value)),
            },
            "smarthost" => self.delivery.smarthost = Some(value.to_owned()),
            "smarthost_login" => {
                let (user, password) = value.split_once(' ').unwrap_or((value, ""));
                let (user, password) = (user.to_owned(), password.to_owned());
                self.delivery.smarthost_login = Some(protocol::sasl::Login { user, password });
            }
            _ => return Err(format!("given: no such setting: {key}")),
        }
        Ok(())
    }
}

/// A running server.
pub struct House {
    /// The world it lives in.
    pub world: SimWorld,
    /// What its sessions work with.
    pub shared: Arc<Shared>,
    /// Its certificate.
    pub tls: Arc<TlsServer>,
    folder: PathBuf,
    down: watch::Sender<bool>,
    messages: AtomicU64,
}

fn scratch() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    base.join(format!("postrider-sim-{}-{n}", std::process::id()))
}

/// A certificate for all houses of this process, and its key, in PEM.
pub fn certificate() -> &'static (String, String) {
    static MADE: OnceLock<(String, String)> = OnceLock::new();
    // Those who prove it look at the real clock.
    let valid = 0..4_000_000_000;
    let names = ["mail.example.org", "mx.example.net", "mta-sts.example.net"].map(str::to_owned);
    MADE.get_or_init(|| sys::tls::self_signed(&names, valid).unwrap())
}

/// An address of the house, `alice` or `alice@example.net`.
pub fn address(text: &str) -> Address {
    let whole = if text.contains('@') { text.to_owned() } else { format!("{text}@{DOMAIN}") };
    Address::parse(&whole).unwrap()
}

impl House {
    /// Builds it, opens every port and starts the scheduler. Needs a tokio runtime.
    pub async fn build(plan: Plan, world: SimWorld) -> House {
        let folder = scratch();
        std::fs::create_dir_all(&folder).unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, &certificate().0).unwrap();
        std::fs::write(&key, &certificate().1).unwrap();
        let mut tls = TlsServer::from_files(&cert, &key).unwrap();
        if let Some(trust) = &plan.clients {
            tls.ask_clients(trust).unwrap();
        }
        let tls = Arc::new(tls);
        let seen = world.as_seen();
        let ground = world.ground.is_some();
        let data = if ground { PathBuf::from("/data") } else { folder.join("data") };
        let mut options = Options::new(&data);
        options.min_free_octets = 1;
        let store = world.open_store(options).unwrap();
        let settings = directory::Settings {
            default_domain: Domain::parse(DOMAIN).ok(),
            hostname: Some(plan.sessions.hostname.clone()),
            hash_cost: Cost { memory_kib: 8, passes: 1 },
            ..plan.directory
        };
        let (random, clock, hands) = (seen.random.clone(), seen.clock.clone(), seen.hands.clone());
        let directory = Directory::new(store.clone(), random, clock, hands, settings);
        let client = TlsClient::new(&Trust::Anybody).unwrap();
        let mut settings = plan.delivery;
        settings.verifying = Some(TlsClient::new(&Trust::Authorities(cert)).unwrap());
        let delivery =
            Delivery::new(settings, store.clone(), directory.clone(), seen.clone(), client);
        let (down, shutdown) = watch::channel(false);
        tokio::spawn(delivery::learning::learn(store.clone(), shutdown.clone()));
        tokio::spawn(Scheduler::new(&delivery).run(shutdown.clone()));
        tokio::spawn(delivery::sts::renew(delivery.clone(), shutdown.clone()));
        let listeners = Service::ALL.map(|service| {
            let on = SocketAddr::new(ADDRESS, service.port());
            (service, seen.net.listen(on).unwrap())
        });
        let settings = plan.sessions;
        let maildrops = Maildrops::new(settings.pop3_exclusive, settings.pop3_login_delay);
        let shared = Arc::new(Shared {
            store,
            directory,
            delivery,
            guard: Arc::new(Guard::new(plan.rates)),
            maildrops,
            crowd: Arc::default(),
            counts: Counts::default(),
            arrangements: Arrangements::new(1 << 20),
            world: seen,
            settings,
        });
        let drain = Duration::from_secs(5);
        tokio::spawn(listen::run(shared.clone(), listeners.into(), tls.clone(), shutdown, drain));
        let house = House { world, shared, tls, folder, down, messages: AtomicU64::new(0) };
        // A house that is built again on the same ground has it.
        if house.shared.store.domains().unwrap().is_empty() {
            house.add_domain(DOMAIN).await;
        }
        house
    }

    /// Connects to a service.
    pub fn connect(&self, service: Service, from: SocketAddr) -> End {
        let to = SocketAddr::new(ADDRESS, service.port());
        self.world.net.dial(to, from).unwrap()
    }

    /// Lets time go by, and what is due meanwhile be done.
    pub async fn advance(&self, by: Duration) {
        let step = (by / 100).max(Duration::from_secs(1)).min(by);
        let mut left = by;
        while !left.is_zero() {
            let now = step.min(left);
            left -= now;
            self.world.clock.advance(now).await;
            self.quiesce().await;
        }
    }

    /// Waits until the store's writer has done what it was given, a few times over, since what is
    /// done may lead to more.
    pub async fn quiesce(&self) {
        let nobody = Domain::parse("nobody.invalid").unwrap();
        for _ in 0..4 {
            // A store that has failed has nothing left to do.
            let _ = self.shared.store.route_remove(nobody.clone()).await;
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Sessions are told to end.
    pub fn shut_down(&self) {
        let _ = self.down.send(true);
    }

    /// Makes a domain the house's own.
    pub async fn add_domain(&self, domain: &str) {
        self.shared.store.domain_add(Domain::parse(domain).unwrap()).await.unwrap();
    }

    /// Makes an account with the usual password.
    pub async fn add_account(&self, name: &str) {
        let secret = self.shared.directory.hash(PASSWORD.to_owned()).await.unwrap();
        let new = NewAccount { address: address(name), secret };
        self.shared.store.account_add(new).await.unwrap();
    }

    /// Switches an account off or on, sets its password, or takes it away.
    pub async fn change_account(&self, name: &str, change: &[&str]) -> Result<(), String> {
        let (store, address) = (&self.shared.store, address(name));
        let done = match change {
            ["off"] => store.account_set_disabled(address, true).await,
            ["on"] => store.account_set_disabled(address, false).await,
            ["password", new] => {
                let secret = self.shared.directory.hash((*new).to_owned()).await;
                let secret = secret.map_err(|error| error.to_string())?;
                self.shared.directory.set_password(&address, &secret).await
            }
            ["gone"] => store.account_remove(address).await,
            _ => return Err("off, on, password WORD, gone".to_owned()),
        };
        done.map_err(|error| error.to_string())
    }

    /// Limits what an account may hold; `None` when there is no such resource or account.
    pub async fn limit(&self, resource: &str, name: &str, most: &str) -> Option<()> {
        let store = &self.shared.store;
        let resource = store::Resource::ALL.into_iter().find(|of| of.name() == resource)?;
        let account = store.lookup(&address(name)).ok()?.account?.id;
        store.set_quota(account, resource, Some(most.parse().ok()?)).await.ok()
    }

    /// Lets an account set the limits of all accounts.
    pub async fn manage(&self, name: &str) -> Option<()> {
        let store = &self.shared.store;
        let account = store.lookup(&address(name)).ok()?.account?.id;
        store.set_quota_manager(account, true).await.ok()
    }

    /// Makes the mailboxes of an account public.
    pub async fn publish(&self, name: &str) -> Option<()> {
        let store = &self.shared.store;
        let account = store.lookup(&address(name)).ok()?.account?.id;
        store.set_public_account(Some(account)).await.ok()
    }

    /// Hides an IMAP capability from an account.
    pub async fn hide(&self, capability: &str, name: &str) -> Option<()> {
        let store = &self.shared.store;
        let account = store.lookup(&address(name)).ok()?.account?.id;
        store.hide_capabilities(account, &[capability.to_owned()]).await.ok()
    }

    /// Puts the next numbered message into a mailbox.
    pub async fn add_message(&self, name: &str, mailbox: &str) {
        let n = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
        let text = numbered_message(n);
        let store = &self.shared.store;
        let account = store.lookup(&address(name)).unwrap().account.unwrap();
        let mailbox = MailboxName::new(mailbox).unwrap();
        let mailbox = store.mailbox(account.id, &mailbox).unwrap().unwrap();
        let mut spool = store.spool();
        spool.write(text.as_bytes()).unwrap();
        let mut parser = mail::summary::Parser::new();
        parser.feed(text.as_bytes());
        let now = self.shared.world.clock.unix_millis();
        let delivery = store::Delivery {
            message: MessageId::new(now as u64, 1_000_000 + n as u32),
            content: spool.seal().unwrap(),
            summary: parser.finish().encode(),
            date: now / 1000,
            placements: vec![Placement {
                mailbox: mailbox.id,
                flags: Vec::new(),
                annotations: None,
            }],
            queue: None,
            journey: Vec::new(),
        };
        store.deliver(delivery).await.unwrap();
    }
}

/// The message of that number, 164 octets while the number has one digit.
pub fn numbered_message(n: u64) -> String {
    format!(
        "From: Fred <fred@example.net>\r\n\
         To: alice@example.org\r\n\
         Subject: Message {n}\r\n\
         Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n\
         Message-ID: <{n}@example.net>\r\n\
         \r\n\
         This is message {n}.\r\n"
    )
}

impl Drop for House {
    fn drop(&mut self) {
        self.shut_down();
        self.shared.store.close();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
