//! Logins of all protocols: passwords and SASL exchanges, put to the directory, told to the log.

use crate::Shared;
use crate::listen::{Accepted, Service};
use directory::{AuthError, Authenticated, Channel, Credentials, Exchange, Progress, Use};
use protocol::machine::Security;
use protocol::sasl::{Client, Login};
use sys::tls::TlsFacts;

/// A session's logins.
#[derive(Default)]
pub(crate) struct Logins {
    exchange: Option<Exchange>,
}

/// How far a login is.
pub(crate) enum Step {
    /// Ask the client this.
    Challenge(Vec<u8>),
    /// The client is who it says.
    Done(Authenticated),
}

/// How a connection is protected.
pub(crate) fn security(tls: Option<&TlsFacts>) -> Security {
    match tls {
        None => Security::Clear,
        Some(facts) if facts.binding.is_some() => Security::BoundTls,
        Some(_) => Security::Tls,
    }
}

fn wanted(service: Service) -> Use {
    match service {
        Service::Smtp | Service::Submission | Service::Submissions => Use::Send,
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
        let binding = accepted.tls.as_ref().and_then(|tls| tls.binding.clone());
        let channel = Channel { wanted: wanted(accepted.service), binding };
        match shared.directory.sasl(self.exchange.take(), client, channel).await {
            Ok(Progress::Challenge(text, exchange)) => {
                self.exchange = Some(exchange);
                Ok(Step::Challenge(text))
            }
            Ok(Progress::Done(who)) => {
                tell(accepted, Ok(&who));
                Ok(Step::Done(who))
            }
            Err(error) => {
                tell(accepted, Err(&error));
                Err(error)
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
        let Login { user, password } = login;
        let credentials = Credentials { user, password, wanted: wanted(accepted.service) };
        let done = shared.directory.authenticate(credentials).await;
        tell(accepted, done.as_ref());
        done
    }
}

fn tell(accepted: &Accepted, done: Result<&Authenticated, &AuthError>) {
    let (peer, service) = (accepted.peer, accepted.service.name());
    match done {
        Ok(who) => tracing::info!(%peer, service, user = %who.address, "login"),
        Err(error) => tracing::info!(%peer, service, %error, "login refused"),
    }
}
