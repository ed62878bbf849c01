//! Which MTA-STS policy is in force for a domain: asked of DNS and of the domain's web server, and
//! kept, so that nobody takes it away by silencing them. RFC 8461 §3.3, §5.1. What is kept is
//! fetched again before it ends, also when no mail leaves.

use crate::limits::{
    STS_ASK_AGAIN, STS_DOMAINS_MAX, STS_FETCH_AGAIN, STS_ROUND, STS_TOLD_AGAIN, STS_UNUSED,
};
use crate::{Delivery, Shared};
use mail::Domain;
use policy::limits::STS_OCTETS_MAX;
use policy::mta_sts::{Mode, Policy, record_id};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{Store, StoreError};
use sys::http::HttpClient;
use tokio::sync::watch;

/// Policies of other domains.
pub(crate) struct Policies {
    /// Who proves web servers; without, there are no policies.
    http: Option<HttpClient>,
    /// Domains that were asked lately, by A-labels. While one asks, others wait for what it hears.
    known: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Known>>>>,
}

#[derive(Default)]
struct Known {
    /// The store was looked at.
    read: bool,
    kept: Option<Kept>,
    /// When DNS was asked last.
    asked: Option<Duration>,
    /// When mail left for the domain last, in seconds since 1970; since the start of the server.
    used: Option<i64>,
    /// When it was told last that the policy cannot be renewed.
    told: Option<Duration>,
}

/// A policy as it is kept.
#[derive(Clone)]
pub struct Kept {
    row: Row,
    /// What it says.
    pub policy: Arc<Policy>,
}

/// As the store has it.
#[derive(Clone, Serialize, Deserialize)]
struct Row {
    /// By the record in DNS.
    id: String,
    /// When the policy was fetched, in seconds since 1970.
    fetched: i64,
    policy: String,
    /// When mail left for the domain last; older versions do not say.
    used: Option<i64>,
}

impl Kept {
    /// The id of its record in DNS.
    pub fn id(&self) -> &str {
        &self.row.id
    }

    /// When it was fetched, in seconds since 1970.
    pub fn fetched(&self) -> i64 {
        self.row.fetched
    }

    /// When it ends, in seconds since 1970.
    pub fn until(&self) -> i64 {
        self.row.fetched.saturating_add(i64::from(self.policy.max_age))
    }

    /// Mail goes by it now.
    pub fn is_in_force(&self, now: i64) -> bool {
        now < self.until() && self.policy.mode != Mode::None
    }

    fn used(&self) -> i64 {
        self.row.used.unwrap_or(self.row.fetched)
    }

    /// It need not be fetched again: not for a day, nor before half its time is over.
    fn is_fresh(&self, now: i64) -> bool {
        let keeps = STS_FETCH_AGAIN.min(i64::from(self.policy.max_age) / 2);
        now < self.row.fetched.saturating_add(keeps)
    }
}

/// The policies that are kept, in force or not, by domain.
pub fn kept(store: &Store) -> Result<Vec<(String, Kept)>, StoreError> {
    let rows = store.mail_policies()?;
    Ok(rows.into_iter().filter_map(|(domain, row)| Some((domain, read(&row)?))).collect())
}

/// Fetches policies again before they end, as long as mail leaves for their domains now and then,
/// until `shutdown`: who could keep us from it when a policy has ended would be rid of it. RFC 8461
/// §3.3, §10.2.
pub async fn renew(delivery: Delivery, mut shutdown: watch::Receiver<bool>) {
    while tokio::time::timeout(STS_ROUND, shutdown.wait_for(|down| *down)).await.is_err() {
        tokio::select! {
            biased;
            _ = shutdown.wait_for(|down| *down) => return,
            () = delivery.shared.policies.renew(&delivery.shared) => {}
        }
    }
}

impl Delivery {
    /// How many policies of other domains are in force.
    pub fn policies_in_force(&self) -> Result<usize, StoreError> {
        if self.shared.policies.http.is_none() {
            return Ok(0);
        }
        let now = self.shared.world.clock.unix_seconds();
        Ok(kept(&self.shared.store)?.iter().filter(|(_, kept)| kept.is_in_force(now)).count())
    }

    /// Forgets the policy of a domain, by its A-labels; whether there was one. The next mail for
    /// there asks for it again.
    pub async fn forget_policy(&self, name: &str) -> Result<bool, StoreError> {
        let entry = self.shared.policies.entry(name);
        let mut known = entry.lock().await;
        let gone = self.shared.store.forget_mail_policy(name.to_owned()).await?;
        *known = Known { read: true, ..Known::default() };
        Ok(gone)
    }
}

impl Policies {
    /// Nothing is known yet.
    pub fn new(http: Option<HttpClient>) -> Policies {
        Policies { http, known: Mutex::default() }
    }

    /// The policy of a domain, if there is one to go by.
    pub async fn of(&self, shared: &Shared, domain: &Domain) -> Option<Arc<Policy>> {
        let http = self.http.as_ref()?;
        // What IDNA makes of a name need not be one.
        let name = domain.to_ascii().filter(|name| Domain::parse(name).is_ok())?;
        let entry = self.entry(&name);
        let mut known = entry.lock().await;
        let now = shared.world.clock.unix_seconds();
        known.used = Some(now);
        known.refresh(shared, http, &name).await;
        known.kept.as_ref().filter(|kept| kept.is_in_force(now)).map(|kept| kept.policy.clone())
    }

    /// Fetches again what is due.
    async fn renew(&self, shared: &Shared) {
        let Some(http) = &self.http else { return };
        let kept = kept(&shared.store).inspect_err(|error| {
            tracing::error!(%error, "MTA-STS policies are not read");
        });
        for (name, kept) in kept.unwrap_or_default() {
            let now = shared.world.clock.unix_seconds();
            if !kept.is_in_force(now) || kept.is_fresh(now) {
                continue;
            }
            let entry = self.entry(&name);
            let mut known = entry.lock().await;
            let used = known.used.unwrap_or_default().max(kept.used());
            if now < used.saturating_add(STS_UNUSED) {
                known.refresh(shared, http, &name).await;
            }
        }
    }

    fn entry(&self, name: &str) -> Arc<tokio::sync::Mutex<Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= STS_DOMAINS_MAX && !known.contains_key(name) {
            // What somebody waits for stays.
            known.retain(|_, entry| Arc::strong_count(entry) > 1);
        }
        known.entry(name.to_owned()).or_default().clone()
    }
}

impl Known {
    async fn refresh(&mut self, shared: &Shared, http: &HttpClient, name: &str) {
        if !self.read {
            match shared.store.mail_policy(name) {
                Ok(row) => (self.read, self.kept) = (true, row.and_then(|row| read(&row))),
                Err(error) => tracing::error!(domain = name, %error, "no MTA-STS policy is read"),
            }
        }
        let now = shared.world.clock.monotonic();
        if self.asked.is_some_and(|asked| now < asked + STS_ASK_AGAIN) {
            return;
        }
        self.asked = Some(now);
        // RFC 8461 §3.1: no record does not end a policy that is in force.
        let texts = shared.world.resolver.txt(&format!("_mta-sts.{name}")).await;
        let Some(id) = texts.ok().and_then(|texts| record_id(&texts)) else {
            if self.kept.is_some() {
                self.tell(shared, name, "DNS has no record of it");
            }
            return;
        };
        let unix = shared.world.clock.unix_seconds();
        if self.kept.as_ref().is_some_and(|kept| kept.row.id == id && kept.is_fresh(unix)) {
            return;
        }
        match fetch(http, name).await {
            Ok(policy) => self.keep(shared, name, id, policy).await,
            Err(why) => self.tell(shared, name, &why),
        }
    }

    /// That a policy is not to be had matters to an administrator where one is in force: it will
    /// end. RFC 8461 §3.3.
    fn tell(&mut self, shared: &Shared, name: &str, why: &str) {
        let unix = shared.world.clock.unix_seconds();
        let ends = self.kept.as_ref().filter(|kept| kept.is_in_force(unix)).map(Kept::until);
        let now = shared.world.clock.monotonic();
        match ends {
            Some(ends) if self.told.is_none_or(|told| now >= told + STS_TOLD_AGAIN) => {
                self.told = Some(now);
                let ends = mail::date::format_rfc3339(ends);
                tracing::warn!(domain = name, why, ends, "the MTA-STS policy cannot be renewed");
            }
            _ => tracing::debug!(domain = name, why, "the MTA-STS policy is not to be had"),
        }
    }

    async fn keep(&mut self, shared: &Shared, name: &str, id: String, policy: Policy) {
        let fetched = shared.world.clock.unix_seconds();
        let used = self.used.max(self.kept.as_ref().map(Kept::used));
        let row = Row { id, fetched, policy: policy.to_string(), used };
        let octets = serde_json::to_vec(&row).unwrap_or_default();
        let kept = Kept { row, policy: Arc::new(policy) };
        let stored = shared.store.keep_mail_policy(name.to_owned(), kept.until(), octets).await;
        if let Err(error) = stored {
            tracing::error!(domain = name, %error, "the MTA-STS policy is not kept");
        }
        (self.kept, self.told) = (Some(kept), None);
    }
}

fn read(octets: &[u8]) -> Option<Kept> {
    let row: Row = serde_json::from_slice(octets).ok()?;
    let policy = Arc::new(Policy::parse(row.policy.as_bytes()).ok()?);
    Some(Kept { row, policy })
}

/// RFC 8461 §3.3.
async fn fetch(http: &HttpClient, name: &str) -> Result<Policy, String> {
    let url = format!("https://mta-sts.{name}/.well-known/mta-sts.txt");
    let answer = http.get_text(&url, STS_OCTETS_MAX).await;
    let answer = answer.map_err(|error| format!("{url}: {error}"))?;
    if answer.status != 200 {
        return Err(format!("{url}: status {}", answer.status));
    }
    if answer.media_type != "text/plain" {
        return Err(format!("{url}: it is no text/plain but '{}'", answer.media_type));
    }
    Policy::parse(&answer.content).map_err(|why| format!("{url}: {why}"))
}
