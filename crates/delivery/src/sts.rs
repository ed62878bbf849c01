//! Which MTA-STS policy is in force for a domain: asked of DNS and of the domain's web server, and
//! kept, so that nobody takes it away by silencing them. RFC 8461 §3.3, §5.1.

use crate::Shared;
use crate::limits::{STS_ASK_AGAIN, STS_DOMAINS_MAX, STS_FETCH_AGAIN};
use mail::Domain;
use policy::limits::STS_OCTETS_MAX;
use policy::mta_sts::{Mode, Policy, record_id};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use sys::http::HttpClient;

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
}

#[derive(Clone)]
struct Kept {
    row: Row,
    policy: Arc<Policy>,
}

/// As the store has it.
#[derive(Clone, Serialize, Deserialize)]
struct Row {
    /// By the record in DNS.
    id: String,
    /// When the policy was fetched, in seconds since 1970.
    fetched: i64,
    policy: String,
}

impl Kept {
    fn until(&self) -> i64 {
        self.row.fetched.saturating_add(i64::from(self.policy.max_age))
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
        known.refresh(shared, http, &name).await;
        let now = shared.world.clock.unix_seconds();
        let kept = known.kept.as_ref().filter(|kept| now < kept.until())?;
        (kept.policy.mode != Mode::None).then(|| kept.policy.clone())
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
        let Some(id) = texts.ok().and_then(|texts| record_id(&texts)) else { return };
        let unix = shared.world.clock.unix_seconds();
        let is_fresh = |kept: &Kept| {
            kept.row.id == id && unix < kept.row.fetched.saturating_add(STS_FETCH_AGAIN)
        };
        if self.kept.as_ref().is_some_and(is_fresh) {
            return;
        }
        match fetch(http, name).await {
            Ok(policy) => self.keep(shared, name, id, policy).await,
            Err(why) => tracing::warn!(domain = name, why, "the MTA-STS policy is not to be had"),
        }
    }

    async fn keep(&mut self, shared: &Shared, name: &str, id: String, policy: Policy) {
        let fetched = shared.world.clock.unix_seconds();
        let row = Row { id, fetched, policy: policy.to_string() };
        let octets = serde_json::to_vec(&row).unwrap_or_default();
        let kept = Kept { row, policy: Arc::new(policy) };
        let stored = shared.store.keep_mail_policy(name.to_owned(), kept.until(), octets).await;
        if let Err(error) = stored {
            tracing::error!(domain = name, %error, "the MTA-STS policy is not kept");
        }
        self.kept = Some(kept);
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
