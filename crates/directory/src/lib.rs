//! Who exists and who may: recipients are resolved, passwords compared and senders allowed here.
//!
//! Invariant: secrets are seen and compared in this crate only. An unknown user costs the same work
//! as a wrong password, and a directory that is down is *unavailable*, never *no such user*.

mod app;
mod authenticate;
mod correspondents;
mod exchange;
pub mod external;
mod forwarding;
pub mod imported;
pub mod issuer;
mod lease;
pub mod limits;
mod md5_crypt;
pub mod password;
mod proven;
mod resolve;
mod scram;
pub mod secret;
pub mod ticket;

use mail::{Address, Domain};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use store::{Store, StoreError};
use sys::clock::Clock;
use sys::hands::{self, Hands};
use sys::random::Random;
use tokio::sync::Semaphore;

pub use app::AppError;
pub use authenticate::{AuthError, Authenticated, Credentials};
pub use exchange::{Channel, Exchange, Progress};
pub use lease::Lease;
pub use resolve::{Destination, Expansion, Resolution};
pub use secret::{LastUse, ProvenBy, Scope, Use};

/// The directory cannot answer now; it may later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the directory is unavailable: {}", self.0)
    }
}

impl From<store::StoreError> for Unavailable {
    fn from(error: store::StoreError) -> Unavailable {
        Unavailable(error.to_string())
    }
}

/// Settings of the directory.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Completes user names without a domain (users.md I-27).
    pub default_domain: Option<Domain>,
    /// Our name, as reports have it.
    pub hostname: Option<Domain>,
    /// The cost of new password hashes.
    pub hash_cost: password::Cost,
    /// Whose tokens log in.
    pub issuer: Option<issuer::Issuer>,
    /// Another directory, which knows people that are not here.
    pub external: Option<external::External>,
    /// SCRAM is offered though there is another directory, whose people cannot use it.
    pub scram_with_external: bool,
    /// Client certificates by their SHA-256, and whose they are.
    pub certificates: HashMap<[u8; 32], String>,
}

/// The directory. Cloning is cheap.
#[derive(Clone)]
pub struct Directory {
    store: Store,
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    proven: proven::Proven,
    /// At most as many hashes at a time as there are cores, so that a flood of logins leaves room.
    hashing: Semaphore,
    /// Logins that wait for or do a hash.
    waiting: AtomicUsize,
    /// A hash of nothing in particular, compared when there is no such user.
    decoy: String,
    /// Salts the SCRAM verifiers of users who are not there.
    decoy_key: [u8; 32],
    /// Whom accounts wrote to.
    correspondents: Mutex<correspondents::Correspondents>,
    /// Uses of app passwords that are not written down yet.
    uses: Mutex<HashMap<(String, String), LastUse>>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    hands: Arc<dyn Hands>,
}

impl Directory {
    /// A directory over the accounts in `store`.
    pub fn new(
        store: Store,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
        hands: Arc<dyn Hands>,
        settings: Settings,
    ) -> Directory {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let decoy = password::decoy(settings.hash_cost);
        let mut decoy_key = [0; 32];
        random.fill(&mut decoy_key);
        let inner = Inner {
            settings,
            proven: proven::Proven::new(&*random),
            hashing: Semaphore::new(cores),
            waiting: AtomicUsize::new(0),
            decoy,
            decoy_key,
            correspondents: Mutex::default(),
            uses: Mutex::default(),
            random,
            clock,
            hands,
        };
        Directory { store, inner: Arc::new(inner) }
    }

    /// SCRAM is offered. A server cannot know who will log in when it says which mechanisms there
    /// are (RFC 4422 §3.2), and programs that choose SCRAM try no other one: so it is not when
    /// the passwords of some are in another directory, unless the administrator says so. Somebody
    /// from there who uses it hears that the password is wrong.
    pub fn offers_scram(&self) -> bool {
        !self.is_external() || self.inner.settings.scram_with_external
    }

    /// There is an issuer, whose tokens log in.
    pub fn takes_tokens(&self) -> bool {
        self.inner.settings.issuer.is_some()
    }

    /// An account has another password: what [`Directory::hash`] made, or a hash from elsewhere.
    /// Its app passwords stay, and so do the sessions that they opened (security.md AU-5).
    pub async fn set_password(&self, address: &Address, made: &str) -> Result<(), StoreError> {
        let mut new = secret::Secret::parse(made);
        let change = move |stored: &mut String| {
            new.apps = secret::Secret::parse(stored).apps;
            *stored = new.to_string();
        };
        self.store.account_change_secret(address.clone(), change).await
    }

    /// What to store for a password: its hash, at the cost of the settings, and SCRAM verifiers.
    pub async fn hash(&self, password: String) -> Result<String, Unavailable> {
        self.hash_beside(password, &secret::Secret::default()).await
    }

    /// The same for another password of an account that may be there: app passwords go on to work
    /// with SCRAM.
    pub async fn hash_for(
        &self,
        address: &Address,
        password: String,
    ) -> Result<String, Unavailable> {
        let account = self.store.lookup(address)?.account;
        let known = account.map(|account| secret::Secret::parse(&account.secret));
        self.hash_beside(password, &known.unwrap_or_default()).await
    }

    /// Verifiers get the salt that those of `known` have.
    pub(crate) async fn hash_beside(
        &self,
        password: String,
        known: &secret::Secret,
    ) -> Result<String, Unavailable> {
        let mut salt = [0; 16];
        self.inner.random.fill(&mut salt);
        let shared = known.scram_salt().unwrap_or(&salt).to_vec();
        let cost = self.inner.settings.hash_cost;
        let done = hands::blocking(&*self.inner.hands, move || {
            let hash = password::hash(&password, &salt, cost)?;
            let mut secret = secret::Secret::default();
            secret.set_password(hash, &password, &shared);
            Ok::<_, String>(secret.to_string())
        });
        done.await.map_err(Unavailable)?.map_err(Unavailable)
    }
}
