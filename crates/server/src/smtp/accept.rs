//! DATA and BDAT: from the envelope to the proof that the message is ours. RFC 5321 §6.1.

use super::Context;
use crate::urls::Redeemer;
use delivery::{Accepted, AcceptedRecipient, DeliveryError, Incoming};
use mail::MessageId;
use protocol::imap;
use protocol::smtp::command::Mail;
use protocol::smtp::params::{self, Body};
use protocol::smtp::reply::{self, Reply};
use protocol::smtp::server::{Answer, Envelope, Hello};
use store::{Actor, ByMode, DeliverBy, Hold, Notify, Ret, Terms};

impl Context {
    /// A message begins: its trace lines are written.
    pub(super) async fn begin(&mut self, hello: Hello, envelope: Envelope) -> Answer {
        let recipients: Vec<AcceptedRecipient> = envelope
            .recipients
            .iter()
            .filter_map(|rcpt| {
                let address = self.address_of(rcpt)?;
                Some(AcceptedRecipient {
                    account: self.accounts.get(&address).copied(),
                    address,
                    notify: notify(rcpt.notify),
                    orcpt: rcpt.orcpt.clone(),
                    named: None,
                })
            })
            .collect();
        let world = &self.shared.world;
        let fresh = || MessageId::new(world.clock.unix_millis() as u64, world.random.u32());
        let terms = self.terms(&envelope.mail);
        let message = self.message.take().unwrap_or_else(fresh);
        if let Some(priority) = envelope.mail.priority {
            // RFC 6710 §4.1.
            tracing::info!(id = %message, priority, "MT-PRIORITY");
        }
        self.judging = self.judging(&hello.name, &envelope.mail.sender);
        let binary = envelope.mail.body == Body::Binary;
        let incoming = Incoming {
            message,
            sender: envelope.mail.sender,
            recipients,
            helo: hello.name,
            peer: self.accepted.peer,
            protocol: self.protocol(hello.extended, envelope.mail.smtputf8),
            tls: self.accepted.tls.clone(),
            terms,
            binary,
            smtputf8: envelope.mail.smtputf8,
            ret: envelope.mail.ret.map(|ret| match ret {
                params::Ret::Full => Ret::Full,
                params::Ret::Headers => Ret::Headers,
            }),
            envid: envelope.mail.envid,
            authenticated: self.authenticated.clone(),
            trace_last: self.judging.is_some(),
        };
        self.receiving = Some(self.shared.delivery.begin(incoming).await);
        Answer::Yes
    }

    /// What else the sender asked for; seconds from now become a time.
    fn terms(&self, mail: &Mail) -> Terms {
        let now = self.shared.world.clock.unix_seconds();
        let by = mail.by.map(|by| DeliverBy {
            at: now + by.seconds,
            mode: if by.returns { ByMode::Return } else { ByMode::Notify },
            trace: by.trace,
        });
        let priority = mail.priority.unwrap_or(0);
        let hold = mail.hold.map(|hold| match hold {
            params::Hold::For(seconds) => Hold { at: now + seconds, until: false },
            params::Hold::Until(at) => Hold { at, until: true },
        });
        let body8 = mail.body != Body::SevenBit;
        let require_tls = mail.require_tls;
        Terms { body8, require_tls, priority, by, hold, ..Terms::default() }
    }

    /// The protocol's name in `Received`. RFC 3848, RFC 6531 §4.3.
    fn protocol(&self, extended: bool, utf8: bool) -> String {
        if !extended {
            return "SMTP".to_owned();
        }
        let lmtp = self.accepted.service == crate::listen::Service::Lmtp;
        let name = match (lmtp, utf8) {
            (false, false) => "ESMTP",
            (false, true) => "UTF8SMTP",
            (true, false) => "LMTP",
            (true, true) => "UTF8LMTP",
        };
        let mut name = name.to_owned();
        if self.accepted.tls.is_some() {
            name.push('S');
        }
        if self.authenticated.is_some() {
            name.push('A');
        }
        name
    }

    /// BURL: what a URL stands for, if somebody vouches for it. Only `urlauth=` URLs are taken: who
    /// may send need not be who may read (RFC 4468 §3.3).
    pub(super) async fn url(&mut self, url: &str, most: u64) -> Answer {
        let (Some(who), Some(receiving)) = (&self.authenticated, &mut self.receiving) else {
            return Answer::Reply(reply::URL_FAILED);
        };
        let vouched = imap::url::url(url).is_some_and(|url| url.ticket.is_some());
        let actor = Actor { account: who.account, address: who.address.clone() };
        let opened = match vouched {
            true => self.shared.open_url(url, Redeemer::Submission(&actor)).await,
            false => Ok(None),
        };
        let octets = match &opened {
            Ok(Some(opened)) => opened.octets,
            _ => 0,
        };
        let mut opened = match opened {
            Ok(Some(_)) if octets > most => return Answer::Reply(reply::TOO_BIG),
            Ok(Some(opened)) => opened,
            Ok(None) => return Answer::Reply(reply::URL_FAILED),
            Err(error) => {
                tracing::error!(%error, "BURL");
                return Answer::Reply(reply::TRY_LATER);
            }
        };
        let (mut at, mut piece) = (0, Vec::new());
        while at < octets {
            piece.clear();
            match opened.next(&self.shared, &mut piece) {
                Ok(()) if !piece.is_empty() => {}
                failed => {
                    tracing::error!(?failed, "BURL");
                    return Answer::Reply(reply::TRY_LATER);
                }
            }
            at += piece.len() as u64;
            receiving.write(&piece).await;
        }
        Answer::Octets(octets)
    }

    /// The message is complete.
    pub(super) async fn end(&mut self) -> Answer {
        let reply = self.conclude().await;
        self.shared.counts.messages.count(&reply);
        Answer::Reply(reply)
    }

    async fn conclude(&mut self) -> Reply {
        let judged = self.judge().await;
        let Some(receiving) = self.receiving.take() else { return reply::TRY_LATER };
        if let Err(refusal) = judged {
            return refusal;
        }
        let peer = self.accepted.peer;
        match receiving.finish().await {
            Ok(accepted) => {
                tracing::info!(id = %accepted.message(), %peer, octets = accepted.octets(), "accepted");
                reply_for(&accepted)
            }
            Err(error) => {
                let (sender, reply) = (self.from(), refusal(&error));
                tracing::warn!(%peer, sender, reply = reply.code, %error, "message refused");
                reply
            }
        }
    }
}

/// The one place where 250 is said to a message: it takes the proof.
fn reply_for(accepted: &Accepted) -> Reply {
    reply::MESSAGE_ACCEPTED.saying(format!("Accepted, id {}", accepted.message()))
}

fn refusal(error: &DeliveryError) -> Reply {
    match error {
        DeliveryError::Full => reply::DISK_FULL,
        DeliveryError::TooManyHops => reply::LOOP,
        DeliveryError::NotTheirs(_) => reply::NOT_YOUR_ADDRESS.saying(error.to_string()),
        DeliveryError::UnclearAuthor(_) => reply::UNCLEAR_AUTHOR.saying(error.to_string()),
        DeliveryError::NotBinaryMime(_) => reply::NOT_BINARY_MIME.saying(error.to_string()),
        DeliveryError::NotQualified(_) => reply::NOT_QUALIFIED_IN_HEADER.saying(error.to_string()),
        DeliveryError::HeaderTooLong => reply::HEADER_TOO_LONG,
        DeliveryError::Unavailable(_) => reply::TRY_LATER,
    }
}

fn notify(notify: params::Notify) -> Notify {
    let bits = [
        (notify.never, Notify::NEVER),
        (notify.success, Notify::SUCCESS),
        (notify.failure, Notify::FAILURE),
        (notify.delay, Notify::DELAY),
    ];
    bits.into_iter().filter(|(on, _)| *on).fold(Notify::default(), |all, (_, bit)| all.with(bit))
}
