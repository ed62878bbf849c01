//! Logins end when what proved them is taken back, and app passwords remember their last use.
//!
//! Uses are written down now and then, many at a time ([`Directory::write_uses`]), so that a login
//! costs no write.

use crate::external::Seat;
use crate::limits::USES_MAX;
use crate::secret::{LastUse, Secret};
use crate::{Authenticated, Directory, ProvenBy, Unavailable};
use mail::Address;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{MutexGuard, PoisonError};
use store::AccountWatch;

/// A login that lasts until its account is switched off or removed, its password changes, or its
/// app password is taken back.
pub struct Lease {
    directory: Directory,
    who: Authenticated,
    watch: AccountWatch,
    _seat: Option<Seat>,
}

impl Lease {
    /// Resolves when the login does not hold any more. Safe to drop.
    pub async fn revoked(&mut self) {
        loop {
            self.watch.changed().await;
            match self.directory.holds(&self.who) {
                Ok(false) => return,
                Ok(true) => {}
                // A store that cannot be read ends no sessions.
                Err(error) => tracing::warn!(user = %self.who.address, %error, "login"),
            }
        }
    }
}

/// By address and name of app password.
type Uses = HashMap<(String, String), LastUse>;

impl Directory {
    /// A lease on a login. `None` when it does not hold by now.
    pub fn lease(&self, who: &Authenticated) -> Result<Option<Lease>, Unavailable> {
        let watch = self.store.watch_account(who.account);
        // Only now, so that no change goes unnoticed between the two.
        if !self.holds(who)? {
            return Ok(None);
        }
        let row = self.store.lookup(&who.address)?.account;
        let seat = row.and_then(|row| self.external_seat(&row));
        Ok(Some(Lease { directory: self.clone(), who: who.clone(), watch, _seat: seat }))
    }

    /// The login still holds.
    fn holds(&self, who: &Authenticated) -> Result<bool, Unavailable> {
        let Some(row) = self.store.lookup(&who.address)?.account else { return Ok(false) };
        let gone = self.external_for(Some(&row)).is_some_and(|there| there.is_gone(row.id));
        let same = row.id == who.account && !row.disabled && !gone;
        Ok(same && (who.by == ProvenBy::Elsewhere || Secret::parse(&row.secret).holds(&who.by)))
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.inner.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has logged in, at this time (seconds since 1970), from there.
    pub fn note_use(&self, who: &Authenticated, at: i64, from: IpAddr) {
        let ProvenBy::App(name, _) = &who.by else { return };
        let mut uses = self.uses();
        let key = (who.address.to_string(), name.clone());
        if uses.len() < USES_MAX || uses.contains_key(&key) {
            uses.insert(key, LastUse { at, from });
        }
    }

    /// The last use that is not written down yet.
    pub(crate) fn fresh_use(&self, address: &Address, name: &str) -> Option<LastUse> {
        self.uses().get(&(address.to_string(), name.to_owned())).copied()
    }

    /// Writes down when app passwords were used last: one write for each account.
    pub async fn write_uses(&self) {
        let uses = std::mem::take(&mut *self.uses());
        let mut accounts: HashMap<String, Vec<(String, LastUse)>> = HashMap::new();
        for ((address, name), used) in uses {
            accounts.entry(address).or_default().push((name, used));
        }
        for (address, uses) in accounts {
            let Ok(address) = Address::parse(&address) else { continue };
            let Ok(Some(_)) = self.store.lookup(&address).map(|found| found.account) else {
                continue;
            };
            let note = move |stored: &mut String| {
                let mut secret = Secret::parse(stored);
                for (name, used) in uses {
                    if let Some(app) = secret.apps.iter_mut().find(|app| app.name == name) {
                        app.used = Some(used);
                    }
                }
                *stored = secret.to_string();
            };
            if let Err(error) = self.store.account_change_secret(address, note).await {
                tracing::warn!(%error, "last uses of app passwords");
            }
        }
    }
}
