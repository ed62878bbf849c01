//! Questions to LDAP servers. RFC 4511.
//!
//! Lookups share one connection, on which they travel at the same time; each password that is tried
//! has a connection of its own for as long as that takes, from a few that are kept. A connection
//! that broke is made again, at the next of the servers that answers.

use crate::tls::TlsClient;
use ldap3::{LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How long a server may take to be reached.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// How long a server may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// How long nobody is asked after no server could be reached.
const DOWN_WAIT: Duration = Duration::from_secs(2);
/// Passwords that are tried at the same time.
const BINDS_MAX: usize = 8;
/// How long a password may wait for its turn.
const TURN_WAIT: Duration = Duration::from_secs(15);

/// Where the servers are, and who we are there.
#[derive(Clone)]
pub struct LdapSettings {
    /// `ldaps://host`, `ldap://host`, `ldapi://%2fpath`, in the order they are tried.
    pub urls: Vec<String>,
    /// STARTTLS on `ldap://`. RFC 4511 §4.14.
    pub starttls: bool,
    /// Who looks things up; empty for anybody.
    pub bind_dn: String,
    /// Their password.
    pub bind_password: String,
}

/// An entry, with the attributes that were asked for. Names of attributes are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LdapEntry {
    /// Its distinguished name.
    pub dn: String,
    /// Values that are text.
    pub attributes: HashMap<String, Vec<String>>,
}

/// The servers cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdapTrouble(pub String);

impl fmt::Display for LdapTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LDAP: {}", self.0)
    }
}

impl From<LdapError> for LdapTrouble {
    fn from(error: LdapError) -> LdapTrouble {
        LdapTrouble(error.to_string())
    }
}

/// A client. Cloning is cheap.
#[derive(Clone)]
pub struct LdapClient {
    inner: Arc<Inner>,
}

struct Inner {
    settings: LdapSettings,
    tls: TlsClient,
    lookups: tokio::sync::Mutex<Lookups>,
    binds: Mutex<Vec<ldap3::Ldap>>,
    turns: Semaphore,
}

/// The connection that lookups share.
#[derive(Default)]
struct Lookups {
    ldap: Option<ldap3::Ldap>,
    /// No server could be reached, and until when none is tried, so that lookups do not queue up.
    down: Option<(Instant, LdapTrouble)>,
}

impl LdapClient {
    /// A client, which connects when it is asked something.
    pub fn new(settings: LdapSettings, tls: TlsClient) -> LdapClient {
        let inner = Inner {
            settings,
            tls,
            lookups: tokio::sync::Mutex::default(),
            binds: Mutex::default(),
            turns: Semaphore::new(BINDS_MAX),
        };
        LdapClient { inner: Arc::new(inner) }
    }

    async fn connect(&self) -> Result<ldap3::Ldap, LdapTrouble> {
        let mut last = LdapTrouble("no server is named".to_owned());
        for url in &self.inner.settings.urls {
            let settings = LdapConnSettings::new()
                .set_conn_timeout(CONNECT_WAIT)
                .set_config(self.inner.tls.config())
                .set_starttls(self.inner.settings.starttls && url.starts_with("ldap:"));
            // The time limit covers TLS, too.
            let connecting = LdapConnAsync::with_settings(settings, url);
            match tokio::time::timeout(CONNECT_WAIT * 2, connecting).await {
                Ok(Ok((connection, ldap))) => {
                    tokio::spawn(async move {
                        if let Err(error) = connection.drive().await {
                            tracing::info!(%error, "LDAP connection");
                        }
                    });
                    return Ok(ldap);
                }
                Ok(Err(error)) => last = LdapTrouble(format!("{url}: {error}")),
                Err(_) => last = LdapTrouble(format!("{url}: no answer")),
            }
        }
        Err(last)
    }

    /// The connection for lookups; a new one in place of one that broke.
    async fn shared(&self, fresh: bool) -> Result<ldap3::Ldap, LdapTrouble> {
        let mut shared = self.inner.lookups.lock().await;
        if let Some((until, trouble)) = &shared.down
            && Instant::now() < *until
        {
            return Err(trouble.clone());
        }
        if let Some(ldap) = &mut shared.ldap
            && !fresh
            && !ldap.is_closed()
        {
            return Ok(ldap.clone());
        }
        *shared = Lookups::default();
        match self.introduced().await {
            Ok(ldap) => {
                shared.ldap = Some(ldap.clone());
                Ok(ldap)
            }
            Err(trouble) => {
                shared.down = Some((Instant::now() + DOWN_WAIT, trouble.clone()));
                Err(trouble)
            }
        }
    }

    /// A connection on which we have said who we are.
    async fn introduced(&self) -> Result<ldap3::Ldap, LdapTrouble> {
        let mut ldap = self.connect().await?;
        let LdapSettings { bind_dn, bind_password, .. } = &self.inner.settings;
        if !bind_dn.is_empty() {
            let bound = ldap.with_timeout(ANSWER_WAIT).simple_bind(bind_dn, bind_password);
            bound.await?.success()?;
        }
        Ok(ldap)
    }

    /// The entries below `base` that a filter (RFC 4515) finds: two at most, which is one too many.
    pub async fn search(
        &self,
        base: &str,
        filter: &str,
        attributes: &[String],
    ) -> Result<Vec<LdapEntry>, LdapTrouble> {
        let mut fresh = false;
        loop {
            let mut ldap = self.shared(fresh).await?;
            let limit = SearchOptions::new().sizelimit(2);
            let asked = ldap.with_timeout(ANSWER_WAIT).with_search_options(limit);
            match asked.search(base, Scope::Subtree, filter, attributes).await {
                Ok(found) => {
                    // 4 is sizeLimitExceeded. RFC 4511 §A.2.
                    if found.1.rc != 0 && found.1.rc != 4 {
                        return Err(LdapTrouble(format!("search below '{base}': {}", found.1)));
                    }
                    return Ok(found.0.into_iter().map(entry).collect());
                }
                // The server may have closed an idle connection: once more on a new one.
                Err(_) if !fresh => fresh = true,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The password is that of the entry. RFC 4511 §4.2.
    pub async fn proves(&self, dn: &str, password: &str) -> Result<bool, LdapTrouble> {
        // RFC 4513 §5.1.2: without a password anybody is let in, as nobody.
        if dn.is_empty() || password.is_empty() {
            return Ok(false);
        }
        let turn = tokio::time::timeout(TURN_WAIT, self.inner.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(LdapTrouble("too many logins at once".to_owned()));
        };
        let kept = self.inner.binds.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut fresh = kept.is_none();
        let mut ldap = match kept {
            Some(ldap) => ldap,
            None => self.connect().await?,
        };
        let result = loop {
            match ldap.with_timeout(ANSWER_WAIT).simple_bind(dn, password).await {
                Ok(result) => break result,
                Err(_) if !fresh => (fresh, ldap) = (true, self.connect().await?),
                Err(error) => return Err(error.into()),
            }
        };
        self.inner.binds.lock().unwrap_or_else(PoisonError::into_inner).push(ldap);
        match result.rc {
            0 => Ok(true),
            // noSuchObject, invalidDNSyntax, inappropriateAuthentication, invalidCredentials,
            // insufficientAccessRights, unwillingToPerform. RFC 4511 §A.2.
            32 | 34 | 48 | 49 | 50 | 53 => Ok(false),
            _ => Err(LdapTrouble(format!("bind: {result}"))),
        }
    }
}

fn entry(found: ldap3::ResultEntry) -> LdapEntry {
    let SearchEntry { dn, attrs, .. } = SearchEntry::construct(found);
    let attributes = attrs.into_iter().map(|(name, values)| (name.to_lowercase(), values));
    LdapEntry { dn, attributes: attributes.collect() }
}
