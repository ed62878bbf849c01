//! Passwords are proven here.

use crate::limits::HASH_QUEUE_MAX;
use crate::password::prepared;
use crate::secret::{ProvenBy, Secret, Use};
use crate::{Directory, Unavailable, imported, password};
use mail::{AccountId, Address};
use std::fmt;
use store::{AccountRow, StoreError};

/// What somebody who logs in says.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The whole address, or its local part when there is a default domain.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
    /// What for.
    pub wanted: Use,
}

/// Somebody who has proven who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// The account.
    pub account: AccountId,
    /// Its address.
    pub address: Address,
    /// What proved it.
    pub by: ProvenBy,
}

/// Why a login fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// No such user, or a wrong password; no client is told which.
    Invalid,
    /// A wrong password of this account, for the log only.
    WrongPassword(Address),
    /// An app password of this account that is for something else, for the log only.
    OutOfScope(Address),
    /// The account is switched off.
    Disabled(Address),
    /// The client broke the rules of the mechanism.
    Malformed,
    /// It cannot be found out now.
    Unavailable(String),
}

impl AuthError {
    /// Who it is was looked at, and the answer is no: clients hear the same, at the same time.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, AuthError::Malformed | AuthError::Unavailable(_))
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthError::Invalid => f.write_str("wrong user name or password"),
            AuthError::WrongPassword(user) => write!(f, "wrong password of {user}"),
            AuthError::OutOfScope(user) => {
                write!(f, "an app password of {user} that is not for this (--scope)")
            }
            AuthError::Disabled(user) => write!(f, "the account {user} is switched off"),
            AuthError::Malformed => f.write_str("not what the mechanism wants"),
            AuthError::Unavailable(why) => write!(f, "cannot check the password now: {why}"),
        }
    }
}

impl From<Unavailable> for AuthError {
    fn from(error: Unavailable) -> AuthError {
        AuthError::Unavailable(error.0)
    }
}

impl Directory {
    /// Proves a password. Unknown users cost the same work as wrong passwords.
    pub async fn authenticate(
        &self,
        credentials: Credentials<'_>,
    ) -> Result<Authenticated, AuthError> {
        let Credentials { user, password, wanted } = credentials;
        let account = self.named(user).map_err(Unavailable::from)?;
        let secret = account.as_ref().map(|row| Secret::parse(&row.secret));
        if let (Some(row), Some(secret)) = (&account, &secret)
            && let Some(app) = secret.app(password)
        {
            return match row.disabled {
                true => Err(AuthError::Disabled(row.address.clone())),
                false if !app.scope.covers(wanted) => {
                    Err(AuthError::OutOfScope(row.address.clone()))
                }
                false => Ok(Authenticated {
                    account: row.id,
                    address: row.address.clone(),
                    by: app.proof(),
                }),
            };
        }
        if let Some(external) = self.external_for(account.as_ref()) {
            let done = self.prove_externally(external, self.user_address(user), password);
            // Apart: a session that only waits must not hold room for it.
            return Box::pin(done).await;
        }
        let whole = secret.clone();
        let secret = secret.map_or_else(|| self.inner.decoy.clone(), |secret| secret.password);
        let is_imported = imported::is_hash(&secret) && !is_own(&secret);
        let key = account.as_ref().map(|row| row.address.key()).unwrap_or_default();
        let right = self.proves(&key, password, secret).await?;
        match account {
            None => Err(AuthError::Invalid),
            Some(row) if !right => Err(AuthError::WrongPassword(row.address)),
            Some(row) if row.disabled => Err(AuthError::Disabled(row.address)),
            Some(row) => {
                let by = whole.as_ref().map_or(ProvenBy::Elsewhere, Secret::proof);
                if let Some(whole) = whole.filter(|_| is_imported) {
                    self.rehash(&row, whole, password).await;
                }
                Ok(Authenticated { account: row.id, address: row.address, by })
            }
        }
    }

    /// Puts a hash of our own, and SCRAM verifiers, in the place of an imported hash. When that
    /// does not work the next login tries again.
    async fn rehash(&self, row: &AccountRow, mut whole: Secret, password: &str) {
        let Ok(made) = self.hash_beside(password.to_owned(), &whole).await else { return };
        whole.adopt(Secret::parse(&made));
        let (old, new) = (row.secret.clone(), whole.to_string());
        let change = move |secret: &mut String| {
            if *secret == old {
                *secret = new;
            }
        };
        let done = self.store.account_change_secret(row.address.clone(), change).await;
        drop(done);
    }

    /// The address of a user name, which is prepared as names are that are kept. RFC 4616 §2,
    /// RFC 5802 §5.1.
    pub(crate) fn user_address(&self, user: &str) -> Option<Address> {
        self.completed(&prepared(user)).map(|address| address.prepared())
    }

    fn completed(&self, user: &str) -> Option<Address> {
        match (Address::parse(user), &self.inner.settings.default_domain) {
            (Ok(address), _) => Some(address),
            (Err(_), Some(domain)) => Address::new(user, domain.clone()).ok(),
            (Err(_), None) => None,
        }
    }

    /// The account of a user name; one that was made before names were prepared has the name that
    /// it was given.
    pub(crate) fn named(&self, user: &str) -> Result<Option<AccountRow>, StoreError> {
        let as_given = self.completed(user);
        for address in self.user_address(user).into_iter().chain(as_given) {
            if let Some(row) = self.store.lookup(&address)?.account {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The password is the one that was hashed. Bounded: so many at a time, so many waiting.
    pub(crate) async fn proves(
        &self,
        key: &str,
        secret: &str,
        hash: String,
    ) -> Result<bool, AuthError> {
        if !key.is_empty() && self.inner.proven.knows([key, secret, &hash]) {
            return Ok(true);
        }
        let waiting = HASH_QUEUE_MAX;
        if self.inner.waiting.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= waiting {
            self.inner.waiting.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            return Err(AuthError::Unavailable("too many logins at once".to_owned()));
        }
        let _done = Leaves(&self.inner.waiting);
        let permit = self.inner.hashing.acquire().await;
        let permit = permit.map_err(|e| AuthError::Unavailable(e.to_string()))?;
        let (text, stored) = (secret.to_owned(), hash.clone());
        let hands = &*self.inner.hands;
        let verified = sys::hands::blocking(hands, move || verify(&text, &stored)).await;
        let right = verified.map_err(AuthError::Unavailable)?;
        if !right && !is_own(&hash) {
            // Hashes of others may cost next to nothing: that would tell there is such a user.
            let (text, decoy) = (secret.to_owned(), self.inner.decoy.clone());
            let tried = sys::hands::blocking(hands, move || verify(&text, &decoy)).await;
            tried.map_err(AuthError::Unavailable)?;
        }
        drop(permit);
        if right && !key.is_empty() {
            self.inner.proven.learn([key, secret, &hash]);
        }
        Ok(right)
    }
}

/// The hash is of the kind that we make.
fn is_own(hash: &str) -> bool {
    hash.starts_with("$argon2id$")
}

/// Our own hashes, and those of other servers. The password counts as it is prepared (RFC 4616 §2),
/// and as it is: so it was hashed before, and elsewhere.
fn verify(text: &str, stored: &str) -> bool {
    let is = |text: &str| match is_own(stored) {
        true => password::verify(text, stored),
        false => imported::is_hash(stored) && imported::verify(text, stored),
    };
    let prepared = prepared(text);
    is(&prepared) || (prepared != text && is(text))
}

/// Counts one waiting login less when it goes.
struct Leaves<'a>(&'a std::sync::atomic::AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}
