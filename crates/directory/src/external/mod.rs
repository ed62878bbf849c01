//! Another directory that knows people: LDAP, SQL or a program. Its accounts come into being here
//! when mail for them arrives or they log in, and hold no password here.
//!
//! Invariants: an address of ours goes first; a directory that is down is *unavailable*, never *no
//! such user*, and takes nobody away who is known; domains are never made from outside.

mod filter;
pub mod ldap;
pub mod program;
pub mod sql;

use crate::limits::{EXTERNAL_FOUND_MAX, EXTERNAL_HASHES_MAX, EXTERNAL_KEPT, PROVEN_MAX};
use crate::secret::Secret;
use crate::{AuthError, Authenticated, Directory, ProvenBy, Unavailable};
use ldap::Ldap;
use mail::{AccountId, Address};
use program::Program;
use sql::Sql;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{AccountRow, NewAccount, StoreError};
use sys::clock::Clock;

/// What stands in the place of a password hash.
pub const MARK: &str = "external";

/// What another directory says of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is this account's, whose own address is this.
    Account(Address),
    /// It stands for these.
    Members(Vec<Address>),
}

/// What another directory says of a name and a password.
pub(crate) enum Told {
    /// The password is right: the account's own address.
    Right(Address),
    /// The account's own address, and hashes to compare the password with.
    Hashes(Address, Vec<String>),
    /// Nobody, or the password is wrong; it took as long as if it were right.
    Nobody,
    /// Nobody, which took less time than it takes to compare a hash.
    NobodyHashed,
}

/// Which directory.
pub enum Source {
    /// LDAP.
    Ldap(Ldap),
    /// PostgreSQL or SQLite.
    Sql(Sql),
    /// A program.
    Program(Program),
}

impl Source {
    /// It can say who there is. A program proves passwords, and knows nothing else.
    fn lists_people(&self) -> bool {
        !matches!(self, Source::Program(_))
    }

    async fn find(&self, address: &Address) -> Result<Option<Found>, Unavailable> {
        match self {
            Source::Ldap(ldap) => ldap.find(address).await,
            Source::Sql(sql) => sql.find(address).await,
            Source::Program(_) => Ok(None),
        }
    }

    async fn is_there(&self, address: &Address) -> Result<bool, Unavailable> {
        match self {
            Source::Ldap(ldap) => ldap.is_there(address).await,
            Source::Sql(sql) => sql.is_there(address).await,
            Source::Program(_) => Ok(true),
        }
    }

    async fn tell(&self, address: Option<&Address>, text: &str) -> Result<Told, Unavailable> {
        match (self, address) {
            (Source::Ldap(ldap), address) => ldap.tell(address, text).await,
            (Source::Sql(sql), Some(address)) => sql.tell(address).await,
            (Source::Sql(_), None) => Ok(Told::NobodyHashed),
            (Source::Program(program), Some(address)) => program.tell(address, text).await,
            (Source::Program(_), None) => Ok(Told::Nobody),
        }
    }
}

/// Another directory. Cloning is cheap.
#[derive(Clone)]
pub struct External {
    inner: Arc<Inner>,
}

/// What was found, and until when that is taken for true.
type Kept = HashMap<String, (Option<Found>, Duration)>;

struct Inner {
    source: Source,
    clock: Arc<dyn Clock>,
    found: Mutex<Kept>,
    /// How long a login need not be proven again.
    kept: Duration,
    proven: Mutex<HashMap<String, Proven>>,
    sessions: Mutex<Sessions>,
}

/// A login that was proven lately. Of each name there is one, so another password ends the last.
struct Proven {
    /// A keyed hash of name and password.
    mac: [u8; 32],
    own: Address,
    until: Duration,
}

/// Sessions of people who are there.
#[derive(Default)]
struct Sessions {
    /// Whose, and how many.
    open: HashMap<AccountId, (Address, usize)>,
    /// Who is not there any more; until somebody proves the contrary.
    gone: HashSet<AccountId>,
}

/// A session of somebody who is there; it is counted as long as this lives.
pub(crate) struct Seat {
    external: External,
    account: AccountId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut sessions = self.external.sessions();
        let Some((_, count)) = sessions.open.get_mut(&self.account) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            sessions.open.remove(&self.account);
            sessions.gone.remove(&self.account);
        }
    }
}

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("External")
    }
}

impl External {
    /// People in a directory. A login that was proven need not be again for `kept`.
    pub fn new(source: Source, clock: Arc<dyn Clock>, kept: Duration) -> External {
        let inner = Inner {
            source,
            clock,
            found: Mutex::default(),
            kept,
            proven: Mutex::default(),
            sessions: Mutex::default(),
        };
        External { inner: Arc::new(inner) }
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.inner.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn proven(&self) -> MutexGuard<'_, HashMap<String, Proven>> {
        self.inner.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose login it is, if it was proven lately.
    fn remembers(&self, name: &str, mac: [u8; 32]) -> Option<Address> {
        let now = self.inner.clock.monotonic();
        let proven = self.proven();
        let one = proven.get(name)?;
        (one.mac == mac && now < one.until).then(|| one.own.clone())
    }

    fn remember(&self, name: String, mac: [u8; 32], own: Address) {
        if self.inner.kept.is_zero() {
            return;
        }
        let until = self.inner.clock.monotonic() + self.inner.kept;
        let mut proven = self.proven();
        if proven.len() >= PROVEN_MAX {
            proven.clear();
        }
        proven.insert(name, Proven { mac, own, until });
    }

    /// A session of this account begins.
    pub(crate) fn seat(&self, account: AccountId, address: &Address) -> Seat {
        let mut sessions = self.sessions();
        sessions.open.entry(account).or_insert_with(|| (address.clone(), 0)).1 += 1;
        drop(sessions);
        Seat { external: self.clone(), account }
    }

    pub(crate) fn is_gone(&self, account: AccountId) -> bool {
        self.sessions().gone.contains(&account)
    }

    /// What the address is there. Remembered for a while.
    async fn find(&self, address: &Address) -> Result<Option<Found>, Unavailable> {
        let Inner { source, clock, found, .. } = &*self.inner;
        let now = clock.monotonic();
        let kept =
            found.lock().unwrap_or_else(PoisonError::into_inner).get(&address.key()).cloned();
        if let Some((found, _)) = kept.filter(|(_, until)| now < *until) {
            return Ok(found);
        }
        let fresh = source.find(address).await?;
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= EXTERNAL_FOUND_MAX {
            found.clear();
        }
        found.insert(address.key(), (fresh.clone(), now + EXTERNAL_KEPT));
        Ok(fresh)
    }
}

impl Directory {
    /// There is another directory, which wants passwords as they are.
    pub fn is_external(&self) -> bool {
        self.inner.settings.external.is_some()
    }

    /// The other directory has the last word on this account; `None` stands for an account that is
    /// not here.
    pub(crate) fn external_for(&self, row: Option<&AccountRow>) -> Option<&External> {
        let external = self.inner.settings.external.as_ref()?;
        row.is_none_or(|row| Secret::parse(&row.secret).password == MARK).then_some(external)
    }

    /// Ends the sessions of people who are not there any more. One question for each account that
    /// has a session; nothing ends while the other directory is down.
    pub async fn end_sessions_of_gone(&self) {
        let Some(external) = self.inner.settings.external.as_ref() else { return };
        let open: Vec<(AccountId, Address)> = external
            .sessions()
            .open
            .iter()
            .map(|(id, (address, _))| (*id, address.clone()))
            .collect();
        for (account, address) in open {
            match external.inner.source.is_there(&address).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::info!(%address, "not in the other directory any more: sessions end");
                    external.sessions().gone.insert(account);
                    external.proven().retain(|_, one| one.own.key() != address.key());
                    self.store.look_again(account);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot find out who is still there");
                    return;
                }
            }
        }
    }

    /// Counts a session of somebody who is there, whatever proved it.
    pub(crate) fn external_seat(&self, row: &AccountRow) -> Option<Seat> {
        let external = self.external_for(Some(row))?;
        Some(external.seat(row.id, &row.address))
    }

    /// Proves a password there. Whoever is not there costs the same questions.
    pub(crate) async fn prove_externally(
        &self,
        external: &External,
        address: Option<Address>,
        password: &str,
    ) -> Result<Authenticated, AuthError> {
        let name = address.as_ref().map(Address::key).unwrap_or_default();
        let mac = self.inner.proven.of([&name, password, MARK]);
        let address = match external.remembers(&name, mac) {
            Some(own) => own,
            None => {
                let told = external.inner.source.tell(address.as_ref(), password).await?;
                let own = self.compared(told, password).await?.ok_or(AuthError::Invalid)?;
                external.remember(name, mac, own.clone());
                own
            }
        };
        match self.settled(&address).await? {
            Some(row) if row.disabled => Err(AuthError::Disabled(row.address)),
            Some(row) => {
                external.sessions().gone.remove(&row.id);
                Ok(Authenticated { account: row.id, address: row.address, by: ProvenBy::Elsewhere })
            }
            None => Err(AuthError::Invalid),
        }
    }

    /// Whose password it is. Hashes are compared as those of our own accounts are: so many at a
    /// time, and one of nothing where there is none.
    async fn compared(&self, told: Told, password: &str) -> Result<Option<Address>, AuthError> {
        match told {
            Told::Right(address) => Ok(Some(address)),
            Told::Nobody => Ok(None),
            Told::NobodyHashed => {
                self.proves("", password, self.inner.decoy.clone()).await?;
                Ok(None)
            }
            Told::Hashes(address, hashes) => {
                for hash in hashes.into_iter().take(EXTERNAL_HASHES_MAX) {
                    if self.proves(&address.key(), password, hash).await? {
                        return Ok(Some(address));
                    }
                }
                Ok(None)
            }
        }
    }

    /// What the address is there; `row` is the account that it came to be here, if it did.
    pub(crate) async fn resolve_externally(
        &self,
        external: &External,
        address: &Address,
        row: Option<AccountRow>,
    ) -> Result<Option<Found>, Unavailable> {
        if !external.inner.source.lists_people() {
            return Ok(row.map(|row| Found::Account(row.address)));
        }
        match (external.find(address).await, row) {
            (Ok(found), _) => Ok(found),
            (Err(error), Some(row)) => {
                tracing::warn!(%address, %error, "known already, so mail is taken");
                Ok(Some(Found::Account(row.address)))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The account of somebody who is there, made now if need be; `None` when its domain is not
    /// ours.
    pub(crate) async fn settled(
        &self,
        address: &Address,
    ) -> Result<Option<AccountRow>, Unavailable> {
        let found = self.store.lookup(address)?;
        if found.domain.is_none() {
            tracing::warn!(%address, "is in the other directory, but its domain is not ours");
            return Ok(None);
        }
        if found.account.is_some() {
            return Ok(found.account);
        }
        let new = NewAccount { address: address.clone(), secret: MARK.to_owned() };
        match self.store.account_add(new).await {
            Ok(_) => tracing::info!(%address, "account made, as the other directory has it"),
            // An alias, or somebody was faster.
            Err(StoreError::AlreadyExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.store.lookup(address)?.account)
    }
}
