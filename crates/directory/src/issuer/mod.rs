//! Tokens of an OpenID Connect issuer: are they valid, and whose are they? RFC 7628 leaves this to
//! the server; RFC 9068 and RFC 7662 say how it is found out.
//!
//! Invariants: an issuer that cannot be asked is *unavailable*, never *an invalid token*; nothing
//! that a client sends leads to more than one question to the issuer in a while, but introspection
//! of a token that is not remembered.

mod introspect;
mod keys;
mod token;

use crate::Unavailable;
use crate::proven::Proven;
use keys::Keys;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use sys::World;
use sys::clock::Clock;
use sys::http::HttpClient;

/// Whose tokens are taken, and which of them.
#[derive(Clone, Debug, Default)]
pub struct IssuerSettings {
    /// The issuer's URL, as `iss` has it. OpenID Connect Discovery §3.
    pub issuer: String,
    /// `aud` must name one of these. Needed unless tokens are introspected.
    pub audiences: Vec<String>,
    /// If any: `azp` or `client_id` must be one of these.
    pub clients: Vec<String>,
    /// The claim that holds the account's address.
    pub claim: String,
    /// A scope that the token must have; empty for none.
    pub scope: String,
    /// Our name and password at the issuer: tokens are introspected. RFC 7662.
    pub introspection: Option<(String, String)>,
}

/// Why a token is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It is not valid: the reason, for the log only.
    Invalid(&'static str),
    /// It lacks the scope.
    Scope,
    /// The issuer cannot be asked.
    Unavailable(String),
}

impl From<Unavailable> for TokenError {
    fn from(error: Unavailable) -> TokenError {
        TokenError::Unavailable(error.0)
    }
}

/// The claims of a token, proven.
pub(crate) type Claims = serde_json::Map<String, Value>;

/// An issuer. Cloning is cheap.
#[derive(Clone)]
pub struct Issuer {
    inner: Arc<Inner>,
}

struct Inner {
    settings: IssuerSettings,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    keys: Keys,
    /// Tokens that were introspected, by a keyed hash, with whose they are and until when.
    seen: Mutex<HashMap<[u8; 32], (String, Duration)>>,
    hash: Proven,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.inner.settings.issuer)
    }
}

impl Issuer {
    /// An issuer, which is not asked anything yet. The error says what is wrong with the settings.
    pub fn new(
        settings: IssuerSettings,
        world: &World,
        http: HttpClient,
    ) -> Result<Issuer, String> {
        sys::http::check_url(&settings.issuer).map_err(|error| error.to_string())?;
        if settings.claim.is_empty() {
            return Err("name the claim that holds the address, as claim = \"email\"".to_owned());
        }
        if settings.audiences.is_empty() && settings.introspection.is_none() {
            let text = "name the audience of the tokens, as audiences = [\"postrider\"]: without it, \
                        tokens that the issuer made for others would do";
            return Err(text.to_owned());
        }
        let inner = Inner {
            settings,
            http,
            clock: world.clock.clone(),
            keys: Keys::default(),
            seen: Mutex::default(),
            hash: Proven::new(&*world.random),
        };
        Ok(Issuer { inner: Arc::new(inner) })
    }

    /// The scope that tokens must have; empty for none.
    pub fn scope(&self) -> &str {
        &self.inner.settings.scope
    }

    /// Where clients find out about the issuer. OpenID Connect Discovery §4.
    pub fn discovery(&self) -> String {
        keys::discovery_url(&self.inner.settings.issuer)
    }

    /// Whose token this is: what stands in the claim.
    pub async fn holder(&self, token: &str) -> Result<String, TokenError> {
        if token.is_empty() || token.len() > crate::limits::TOKEN_OCTETS_MAX {
            return Err(TokenError::Invalid("no token"));
        }
        let settings = &self.inner.settings;
        match &settings.introspection {
            None => {
                let claims = self.prove(token).await?;
                token::check(&claims, settings, self.inner.clock.unix_seconds(), true)?;
                token::holder(&claims, settings)
            }
            Some((name, password)) => self.introspected(token, name, password).await,
        }
    }

    /// A signed token. RFC 9068 §4.
    async fn prove(&self, token: &str) -> Result<Claims, TokenError> {
        let parsed = token::parse(token).ok_or(TokenError::Invalid("not a signed token"))?;
        let Inner { settings, http, clock, keys, .. } = &*self.inner;
        let found = keys.find(&parsed, settings, http, clock.monotonic()).await?;
        let signed = found.iter().any(|key| token::signed_by(&parsed, key));
        if !signed {
            return Err(TokenError::Invalid("the signature is not the issuer's"));
        }
        Ok(parsed.claims)
    }

    async fn introspected(
        &self,
        token: &str,
        name: &str,
        password: &str,
    ) -> Result<String, TokenError> {
        let Inner { settings, http, clock, keys, seen, hash } = &*self.inner;
        let now = clock.monotonic();
        let id = hash.of([token, "", ""]);
        let known = seen.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some((holder, _)) = known.filter(|(_, until)| now < *until) {
            return Ok(holder);
        }
        let endpoint = keys.introspection(settings, http, now).await?;
        let claims = introspect::ask(http, &endpoint, token, name, password).await?;
        let unix = clock.unix_seconds();
        token::check(&claims, settings, unix, false)?;
        let holder = token::holder(&claims, settings)?;
        let left = claims
            .get("exp")
            .and_then(Value::as_i64)
            .map_or(i64::MAX, |exp| exp.saturating_sub(unix));
        let most = crate::limits::INTROSPECTION_KEPT;
        let until = now + most.min(Duration::from_secs(left.max(0).unsigned_abs()));
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= crate::limits::PROVEN_MAX {
            seen.clear();
        }
        seen.insert(id, (holder.clone(), until));
        Ok(holder)
    }
}

impl From<std::io::Error> for TokenError {
    fn from(error: std::io::Error) -> TokenError {
        TokenError::Unavailable(error.to_string())
    }
}
