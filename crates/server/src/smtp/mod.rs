//! SMTP sessions: what the machine asks, answered from directory and delivery. RFC 5321.

mod accept;
mod rcpt;

use crate::Shared;
use crate::drive::{Handler, News, Output};
use crate::listen::{Accepted, Service};
use crate::login::{Logins, Step, offered, security};
use delivery::Receiving;
use directory::{AuthError, Authenticated};
use mail::{AccountId, Address, MessageId};
use protocol::sasl::Client;
use protocol::smtp::command::Mail;
use protocol::smtp::reply;
use protocol::smtp::server::{Answer, Offer, Question, Session};
use std::collections::HashMap;
use std::sync::Arc;
use sys::tls::TlsFacts;

/// A session's handler.
pub struct Context {
    shared: Arc<Shared>,
    accepted: Accepted,
    logins: Logins,
    authenticated: Option<Authenticated>,
    /// The message of the present transaction.
    message: Option<MessageId>,
    /// Recipients of the present transaction that are accounts.
    accounts: HashMap<Address, AccountId>,
    receiving: Option<Receiving>,
}

/// Machine and handler of a new session.
pub fn session(shared: Arc<Shared>, accepted: Accepted) -> (Session, Context) {
    let settings = &shared.settings;
    let offer = Offer {
        hostname: settings.hostname.to_string(),
        size_max: settings.message_octets_max,
        recipients_max: settings.recipients_max,
        starttls: !accepted.service.implicit_tls(),
        login: !accepted.service.takes_mail(),
        plaintext_auth: settings.plaintext_auth,
        sasl: offered(&shared),
        lmtp: accepted.service == Service::Lmtp,
    };
    let machine = Session::new(offer, security(accepted.tls.as_ref()));
    let context = Context {
        shared,
        accepted,
        logins: Logins::default(),
        authenticated: None,
        message: None,
        accounts: HashMap::new(),
        receiving: None,
    };
    (machine, context)
}

impl Handler<Session> for Context {
    async fn answer(&mut self, question: Question, _: &mut Output<'_>) -> Answer {
        match question {
            Question::Sasl(client) => self.login(client).await,
            Question::Sender(mail) => self.sender(mail).await,
            Question::Recipient(rcpt) => self.recipient(rcpt).await,
            Question::Verify(_) => Answer::Reply(reply::CANNOT_VERIFY),
            Question::Begin(hello, envelope) => self.begin(hello, envelope).await,
            Question::End => self.end().await,
            Question::Abort => {
                self.receiving = None;
                Answer::Yes
            }
        }
    }

    async fn body(&mut self, octets: Vec<u8>) {
        if let Some(receiving) = &mut self.receiving {
            receiving.write(&octets).await;
        }
    }

    async fn changed(&mut self) -> News<Answer> {
        self.logins.revoked().await;
        News::Revoked
    }

    fn tls_started(&mut self, facts: TlsFacts) {
        self.accepted.tls = Some(facts);
    }
}

impl Context {
    /// AUTH. RFC 4954 §4.
    async fn login(&mut self, client: Client) -> Answer {
        match self.logins.sasl(&self.shared, &self.accepted, client).await {
            Ok(Step::Challenge(text)) => Answer::Challenge(text),
            Ok(Step::Done(who)) => {
                self.authenticated = Some(who);
                Answer::Yes
            }
            Err(error) => Answer::Reply(match error {
                AuthError::Invalid | AuthError::Disabled => reply::WRONG_PASSWORD,
                AuthError::Malformed => reply::BAD_BASE64,
                AuthError::Unavailable(_) => reply::AUTH_UNAVAILABLE,
            }),
        }
    }

    /// MAIL: who logged in may use only addresses that are theirs. RFC 6409 §6.1.
    async fn sender(&mut self, mail: Mail) -> Answer {
        let world = &self.shared.world;
        let message = MessageId::new(world.clock.unix_millis() as u64, world.random.u32());
        self.message = Some(message);
        self.accounts.clear();
        let (Some(who), Some(address)) = (&self.authenticated, mail.sender.address()) else {
            return Answer::Yes;
        };
        match self.shared.directory.may_send_as(who.account, address).await {
            Ok(true) => Answer::Yes,
            Ok(false) => {
                let text = format!("{} may not send as <{address}>", who.address);
                tracing::info!(id = %message, sender = %address, user = %who.address, "not their address");
                Answer::Reply(reply::NOT_YOUR_ADDRESS.saying(text))
            }
            Err(error) => {
                tracing::error!(id = %message, %error, "sender");
                Answer::Reply(reply::TRY_LATER)
            }
        }
    }
}
