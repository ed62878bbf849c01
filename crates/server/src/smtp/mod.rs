//! SMTP sessions: what the machine asks, answered from directory and delivery. RFC 5321.

mod accept;
mod judge;
mod rcpt;

use crate::Shared;
use crate::drive::{Handler, News, Output};
use crate::limits::HOLD_SECONDS_MAX;
use crate::listen::{Accepted, Service};
use crate::login::{Logins, Step, offered, security};
use delivery::Receiving;
use directory::{AuthError, Authenticated};
use mail::{AccountId, Address, MessageId, ReversePath};
use policy::dnsbl::Listed;
use protocol::sasl::Client;
use protocol::smtp::command::Mail;
use protocol::smtp::params::{By, Hold};
use protocol::smtp::reply::{self, Reply};
use protocol::smtp::server::{Answer, FutureRelease, Offer, Question, Session};
use std::collections::HashMap;
use std::sync::Arc;
use sys::resolver::Resolver;
use sys::tls::TlsFacts;

/// A session's handler.
pub struct Context {
    shared: Arc<Shared>,
    accepted: Accepted,
    logins: Logins,
    authenticated: Option<Authenticated>,
    /// The message of the present transaction.
    message: Option<MessageId>,
    /// Its sender.
    sender: Option<ReversePath>,
    /// Recipients of the present transaction that are accounts.
    accounts: HashMap<Address, AccountId>,
    receiving: Option<Receiving>,
    /// DNS, for so many questions as the present transaction may raise.
    resolver: Arc<dyn Resolver>,
    /// The message that comes is judged.
    judging: Option<judge::Judging>,
    /// Block lists are being asked about the client, and what they said.
    lists: Option<tokio::task::JoinHandle<Listed>>,
    listed: Listed,
}

/// Machine and handler of a new session.
pub fn session(shared: Arc<Shared>, accepted: Accepted) -> (Session, Context) {
    let settings = &shared.settings;
    let ip = accepted.peer.ip();
    let xclient = settings.xclients.iter().any(|proxy| proxy.contains(ip));
    let offer = Offer {
        hostname: settings.hostname.to_string(),
        size_max: settings.message_octets_max,
        recipients_max: settings.recipients_max,
        starttls: !accepted.service.implicit_tls(),
        tls_required: accepted.service == Service::Smtp
            && settings.tls_required.iter().any(|network| network.contains(ip)),
        login: !accepted.service.takes_mail(),
        plaintext_auth: settings.plaintext_auth,
        sasl: offered(&shared),
        lmtp: accepted.service == Service::Lmtp,
        future_release: future_release(&shared, accepted.service),
        xclient,
        strict: !xclient && judge::is_stranger(settings, accepted.service, ip),
    };
    let mut machine = Session::new(offer, security(accepted.tls.as_ref()));
    if accepted.spoke_first && machine.spoken_to_too_early() {
        tracing::info!(peer = %accepted.peer, "refused: it did not wait for the greeting");
    }
    let resolver = shared.world.resolver.clone();
    let context = Context {
        shared,
        resolver,
        accepted,
        logins: Logins::default(),
        authenticated: None,
        message: None,
        sender: None,
        accounts: HashMap::new(),
        receiving: None,
        judging: None,
        lists: None,
        listed: Listed::default(),
    };
    (machine, context)
}

/// How long messages are held for those who log in. RFC 4865 §4.2.
fn future_release(shared: &Shared, service: Service) -> Option<FutureRelease> {
    let seconds = i64::try_from(shared.settings.hold_max.as_secs()).unwrap_or(HOLD_SECONDS_MAX);
    let seconds = seconds.min(HOLD_SECONDS_MAX);
    let until = shared.world.clock.unix_seconds() + seconds;
    (seconds > 0 && !service.takes_mail()).then_some(FutureRelease { seconds, until })
}

impl Handler<Session> for Context {
    async fn answer(&mut self, question: Question, _: &mut Output<'_>) -> Answer {
        match question {
            Question::Sasl(client) => self.login(client).await,
            Question::Client(told) => self.client(told),
            Question::Sender(mail) => self.sender(mail).await,
            Question::Recipient(rcpt) => self.recipient(rcpt).await,
            Question::Verify(_) => Answer::Reply(reply::CANNOT_VERIFY),
            Question::Begin(hello, envelope) => self.begin(hello, envelope).await,
            Question::Url(url, most) => self.url(&url, most).await,
            Question::End => self.end().await,
            Question::Abort(reply) => {
                self.receiving = None;
                self.judging = None;
                if !reply.is_positive() {
                    self.tell_refusal(&reply);
                    self.shared.counts.messages.count(&reply);
                }
                Answer::Yes
            }
            Question::Refused(mail, reply) => {
                self.sender = Some(mail.sender);
                self.tell_refusal(&reply);
                Answer::Yes
            }
        }
    }

    async fn body(&mut self, octets: Vec<u8>) {
        self.take_in(&octets).await;
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
    /// Somebody will ask why a message did not come.
    fn tell_refusal(&self, reply: &Reply) {
        let (peer, text) = (self.accepted.peer, &reply.text);
        tracing::info!(%peer, sender = self.from(), reply = reply.code, %text, "message refused");
    }

    /// Who the message in hand is from, as MAIL says it.
    fn from(&self) -> String {
        self.sender.as_ref().map_or(String::new(), |sender| format!("<{sender}>"))
    }

    /// AUTH. RFC 4954 §4.
    async fn login(&mut self, client: Client) -> Answer {
        match self.logins.sasl(&self.shared, &self.accepted, client).await {
            Ok(Step::Challenge(text)) => Answer::Challenge(text),
            Ok(Step::Done(who)) => {
                self.authenticated = Some(who);
                Answer::Yes
            }
            Err(error) => Answer::Reply(match error {
                AuthError::Malformed => reply::BAD_BASE64,
                AuthError::Unavailable(_) => reply::AUTH_UNAVAILABLE,
                _ => reply::WRONG_PASSWORD,
            }),
        }
    }

    /// XCLIENT, from a proxy that is trusted: attributes that we have no use for are passed over.
    fn client(&mut self, told: Vec<(String, String)>) -> Answer {
        let mut peer = self.accepted.peer;
        for (name, value) in told {
            let known = !value.starts_with('[');
            match name.as_str() {
                "ADDR" if known => {
                    let ipv6 = value.get(..5).is_some_and(|v| v.eq_ignore_ascii_case("ipv6:"));
                    let text = if ipv6 { value.get(5..).unwrap_or_default() } else { &value };
                    let Ok(ip) = text.parse() else { return Answer::Reply(reply::SYNTAX) };
                    peer.set_ip(ip);
                }
                "PORT" if known => match value.parse() {
                    Ok(port) => peer.set_port(port),
                    Err(_) => return Answer::Reply(reply::SYNTAX),
                },
                "NAME" | "ADDR" | "PORT" | "PROTO" | "HELO" => {}
                _ => return Answer::Reply(reply::SYNTAX),
            }
        }
        tracing::debug!(proxy = %self.accepted.peer, %peer, "XCLIENT");
        self.accepted.peer = peer;
        Answer::Yes
    }

    /// Why a message may not wait for that time. RFC 4865 §5.2.2, §6.
    fn hold_refusal(&self, hold: Hold, by: Option<By>) -> Option<Reply> {
        let now = self.shared.world.clock.unix_seconds();
        let seconds = match hold {
            Hold::For(seconds) => seconds,
            Hold::Until(at) => at - now,
        };
        if by.is_some_and(|by| by.seconds < seconds) {
            return Some(reply::HELD_TOO_LATE);
        }
        let most = self.shared.settings.held_messages_max;
        let account = self.authenticated.as_ref()?.account;
        match self.shared.store.queue_held_by(account, now, most) {
            Ok(n) if n >= most && most > 0 => Some(reply::HELD_TOO_MANY),
            Ok(_) => None,
            Err(error) => {
                tracing::error!(%error, "messages that wait for their time");
                Some(reply::TRY_LATER)
            }
        }
    }

    /// MAIL: who logged in may use only addresses that are theirs. RFC 6409 §6.1.
    async fn sender(&mut self, mail: Mail) -> Answer {
        let world = &self.shared.world;
        let message = MessageId::new(world.clock.unix_millis() as u64, world.random.u32());
        self.message = Some(message);
        self.sender = Some(mail.sender.clone());
        self.accounts.clear();
        self.ask_lists();
        if let Some(refusal) = mail.hold.and_then(|hold| self.hold_refusal(hold, mail.by)) {
            return Answer::Reply(refusal);
        }
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
