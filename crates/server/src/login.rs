//! Logins of all protocols: passwords and SASL exchanges, put to the directory, told to the log.

use crate::Shared;
use crate::listen::{Accepted, Service};
use directory::{AuthError, Authenticated, Channel, Credentials, Exchange, Progress, Use};
use policy::guard;
use protocol::machine::Security;
use protocol::sasl::{Client, Login, Offered};
use std::pin::Pin;
use sys::tls::TlsFacts;
use tokio::time::Instant;

/// A session's logins.
#[derive(Default)]
pub(crate) struct Logins {
    exchange: Option<Exchange>,
    /// Resolves when the login does not hold any more. It waits in one place all the time: who
    /// hears of thousands of messages does not begin to wait anew after each.
    lease: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

/// How far a login is.
pub(crate) enum Step {
    /// Ask the client this.
    Challenge(Vec<u8>),
    /// The client is who it says.
    Done(Authenticated),
}

/// What logins there are besides passwords.
pub(crate) fn offered(shared: &Shared) -> Offered {
    let directory = &shared.directory;
    Offered { bearer: directory.takes_tokens(), scram: directory.offers_scram() }
}

/// How a connection is protected.
pub(crate) fn security(tls: Option<&TlsFacts>) -> Security {
    match tls {
        None => Security::Clear,
        Some(facts) => match (facts.binding.is_some(), facts.client.is_some()) {
            (false, false) => Security::Tls,
            (true, false) => Security::BoundTls,
            (false, true) => Security::CertifiedTls,
            (true, true) => Security::CertifiedBoundTls,
        },
    }
}

fn wanted(service: Service) -> Use {
    match service {
        Service::Smtp | Service::Lmtp | Service::Submission | Service::Submissions => Use::Send,
        Service::Imap | Service::Imaps | Service::Pop3 | Service::Pop3s => Use::Read,
    }
}

impl Logins {
    /// A step of a SASL exchange.
    pub async fn sasl(
        &mut self,
        shared: &Shared,
        accepted: &Accepted,
        client: Client,
    ) -> Result<Step, AuthError> {
        if matches!(client, Client::Begins(..)) {
            self.exchange = None;
            patience(shared, accepted).await?;
        }
        let began = Instant::now();
        let told = self.exchange.as_ref().is_some_and(|exchange| exchange.failure().is_some());
        let binding = accepted.tls.as_ref().and_then(|tls| tls.binding.clone());
        let certificate = accepted.tls.as_ref().and_then(|tls| tls.client.clone());
        let channel = Channel { wanted: wanted(accepted.service), binding, certificate };
        match shared.directory.sasl(self.exchange.take(), client, channel).await {
            Ok(Progress::Challenge(text, exchange)) => {
                // Counted now: whoever hangs up instead of answering is no better.
                if let Some(error) = exchange.failure() {
                    tell(shared, accepted, Err(error));
                }
                self.exchange = Some(exchange);
                Ok(Step::Challenge(text))
            }
            Ok(Progress::Done(who)) => {
                let done = self.enter(shared, accepted, Ok(who));
                tell(shared, accepted, done.as_ref());
                no_sooner(shared, began, &done).await;
                done.map(Step::Done)
            }
            Err(error) => {
                if !told {
                    tell(shared, accepted, Err(&error));
                }
                let done = Err(error);
                no_sooner(shared, began, &done).await;
                done
            }
        }
    }

    /// A user name and a password.
    pub async fn password(
        &mut self,
        shared: &Shared,
        accepted: &Accepted,
        login: &Login,
    ) -> Result<Authenticated, AuthError> {
        patience(shared, accepted).await?;
        let began = Instant::now();
        let Login { user, password } = login;
        let credentials = Credentials { user, password, wanted: wanted(accepted.service) };
        let done = shared.directory.authenticate(credentials).await;
        let done = self.enter(shared, accepted, done);
        tell(shared, accepted, done.as_ref());
        no_sooner(shared, began, &done).await;
        done
    }

    /// From now on the login is watched.
    fn enter(
        &mut self,
        shared: &Shared,
        accepted: &Accepted,
        done: Result<Authenticated, AuthError>,
    ) -> Result<Authenticated, AuthError> {
        let who = done?;
        let mut lease = shared.directory.lease(&who)?.ok_or(AuthError::Invalid)?;
        self.lease = Some(Box::pin(async move { lease.revoked().await }));
        let at = shared.world.clock.unix_seconds();
        shared.directory.note_use(&who, at, accepted.peer.ip());
        Ok(who)
    }

    /// Nobody is logged in any more.
    pub fn leave(&mut self) {
        self.lease = None;
    }

    /// Resolves when the login does not hold any more. Safe to drop.
    pub async fn revoked(&mut self) {
        match &mut self.lease {
            Some(lease) => lease.await,
            None => std::future::pending().await,
        }
        self.lease = None;
    }
}

/// Who failed often waits; no thread does. RFC 4954 §9.
async fn patience(shared: &Shared, accepted: &Accepted) -> Result<(), AuthError> {
    let now = shared.world.clock.monotonic();
    match shared.guard.before_login(accepted.peer.ip(), now) {
        guard::Login::Go => Ok(()),
        guard::Login::Wait(how_long) => {
            tokio::time::sleep(how_long).await;
            Ok(())
        }
        guard::Login::Banned(_) => {
            Err(AuthError::Unavailable("too many failed logins from your address".to_owned()))
        }
    }
}

/// A refusal leaves at a time that does not tell whose password was compared: hashes of other
/// servers, and those that were made at another cost, take longer or shorter than the one for a
/// name that nobody has. It is counted already; no thread waits, and nobody else who logs in.
async fn no_sooner<T>(shared: &Shared, began: Instant, done: &Result<T, AuthError>) {
    let step = shared.settings.failed_login;
    let refused = done.as_ref().is_err_and(AuthError::is_refusal);
    if !refused || step.is_zero() {
        return;
    }
    let steps = began.elapsed().as_nanos() / step.as_nanos() + 1;
    let steps = u32::try_from(steps).unwrap_or(u32::MAX);
    tokio::time::sleep_until(began + step.saturating_mul(steps)).await;
}

/// Counts a login and writes it into the log.
fn tell(shared: &Shared, accepted: &Accepted, done: Result<&Authenticated, &AuthError>) {
    let (peer, service) = (accepted.peer, accepted.service.name());
    let counts = shared.counts.of(accepted.service);
    let now = shared.world.clock.monotonic();
    let error = match done {
        Ok(who) => {
            counts.logins.add();
            tracing::info!(%peer, service, user = %who.address, "login");
            if shared.guard.login_succeeded(peer.ip(), who.account, now) {
                let gateway = peer.ip();
                let hint = "name it in trusted.proxies if it can say PROXY, or give clients a way around it";
                tracing::warn!(%gateway, hint, "clients' addresses are hidden behind this one: no delays and no bans for it");
            }
            return;
        }
        Err(error) => error,
    };
    counts.logins_refused.add();
    tracing::info!(%peer, service, %error, "login refused");
    if !error.is_refusal() {
        return;
    }
    if let Some(ban) = shared.guard.login_failed(peer.ip(), now) {
        let (source, seconds) = (ban.source, ban.left.as_secs());
        let lift = format!("postrider ban remove {source}");
        tracing::warn!(%source, failures = ban.failures, seconds, lift, "banned, but on port 25");
    }
}
