//! What the issuer publishes: its configuration and its keys, fetched when they are needed, kept,
//! and fetched again when a token names a key that is not there (keys are rotated).

use super::token::{Key, Token};
use super::{IssuerSettings, TokenError};
use crate::limits::{ISSUER_ASK_AGAIN, ISSUER_KEPT, ISSUER_KEPT_WHEN_DOWN, ISSUER_KEYS_MAX};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use sys::http::HttpClient;
use tokio::sync::Mutex;

/// What the issuer has published.
#[derive(Default)]
pub struct Keys {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    published: Option<Arc<Published>>,
    /// When it was fetched.
    at: Duration,
    /// When the issuer was asked last, and what went wrong then.
    asked: Option<Duration>,
    trouble: String,
}

struct Published {
    keys: Vec<Arc<Key>>,
    introspection: String,
}

/// OpenID Connect Discovery §4.
pub fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

impl Keys {
    /// The keys that may have signed the token: the one it names, or all when it names none.
    pub async fn find(
        &self,
        token: &Token<'_>,
        settings: &IssuerSettings,
        http: &HttpClient,
        now: Duration,
    ) -> Result<Vec<Arc<Key>>, TokenError> {
        let named = |published: &Published| -> Vec<Arc<Key>> {
            let fits = |key: &&Arc<Key>| token.key_id.is_none() || key.id == token.key_id;
            published.keys.iter().filter(fits).cloned().collect()
        };
        // While one asks, others wait for what it hears.
        let mut known = self.known.lock().await;
        let found = named(&*known.published(settings, http, now).await?);
        if !found.is_empty() || !known.may_ask(now) {
            return Ok(found);
        }
        Ok(named(&*known.renewed(settings, http, now).await?))
    }

    /// Where tokens are introspected.
    pub async fn introspection(
        &self,
        settings: &IssuerSettings,
        http: &HttpClient,
        now: Duration,
    ) -> Result<String, TokenError> {
        let published = self.known.lock().await.published(settings, http, now).await?;
        match published.introspection.as_str() {
            "" => Err(TokenError::Unavailable("the issuer has no introspection_endpoint".into())),
            endpoint => Ok(endpoint.to_owned()),
        }
    }
}

impl Known {
    fn may_ask(&self, now: Duration) -> bool {
        self.asked.is_none_or(|asked| now >= asked + ISSUER_ASK_AGAIN)
    }

    /// What is known, if it is not too old.
    async fn published(
        &mut self,
        settings: &IssuerSettings,
        http: &HttpClient,
        now: Duration,
    ) -> Result<Arc<Published>, TokenError> {
        match &self.published {
            Some(published) if now < self.at + ISSUER_KEPT => Ok(published.clone()),
            _ if self.may_ask(now) => self.renewed(settings, http, now).await,
            _ => self.old(now),
        }
    }

    /// What was known when the issuer still answered.
    fn old(&self, now: Duration) -> Result<Arc<Published>, TokenError> {
        match &self.published {
            Some(published) if now < self.at + ISSUER_KEPT_WHEN_DOWN => Ok(published.clone()),
            _ => Err(TokenError::Unavailable(self.trouble.clone())),
        }
    }

    async fn renewed(
        &mut self,
        settings: &IssuerSettings,
        http: &HttpClient,
        now: Duration,
    ) -> Result<Arc<Published>, TokenError> {
        self.asked = Some(now);
        match fetch(settings, http).await {
            Ok(published) => {
                let published = Arc::new(published);
                (self.published, self.at) = (Some(published.clone()), now);
                Ok(published)
            }
            Err(why) => {
                tracing::warn!(issuer = settings.issuer, %why, "the issuer does not answer");
                self.trouble = why;
                self.old(now)
            }
        }
    }
}

async fn fetch(settings: &IssuerSettings, http: &HttpClient) -> Result<Published, String> {
    let configuration = get(http, &discovery_url(&settings.issuer)).await?;
    let text = |name: &str| configuration.get(name).and_then(Value::as_str).unwrap_or_default();
    // OpenID Connect Discovery §4.3: it must be the very issuer that was asked.
    if text("issuer") != settings.issuer {
        let (said, wanted) = (text("issuer"), &settings.issuer);
        return Err(format!("it calls itself '{said}', and oauth.issuer is '{wanted}'"));
    }
    let introspection = text("introspection_endpoint").to_owned();
    if settings.introspection.is_some() {
        return Ok(Published { keys: Vec::new(), introspection });
    }
    let set = get(http, text("jwks_uri")).await?;
    let keys = set.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let keys: Vec<Arc<Key>> =
        keys.iter().filter_map(Key::parse).take(ISSUER_KEYS_MAX).map(Arc::new).collect();
    match keys.is_empty() {
        true => Err("it has no key for signatures that we know".to_owned()),
        false => Ok(Published { keys, introspection }),
    }
}

async fn get(http: &HttpClient, url: &str) -> Result<Value, String> {
    let answer = http.get(url).await.map_err(|error| format!("{url}: {error}"))?;
    if answer.status != 200 {
        return Err(format!("{url}: status {}", answer.status));
    }
    serde_json::from_slice(&answer.content).map_err(|error| format!("{url}: {error}"))
}
