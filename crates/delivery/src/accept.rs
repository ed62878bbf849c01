//! Taking responsibility for a message. RFC 5321 §6.1.
//!
//! Invariant: an [`Accepted`] is made in [`Receiving::finish`] only, after the commit; nothing else
//! entitles to a 250.

use crate::bounce;
use crate::journey::{self, Step};
use crate::limits::{HOPS_MAX, RETURNED_OCTETS_MAX};
use crate::trace::{self, Claims, HopCounter, Mender, NewFields};
use crate::{Delivery, Shared, convert};
use directory::{Authenticated, Destination};
use mail::summary::Parser;
use mail::{AccountId, Address, Domain, MessageId, ReversePath};
use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use store::{NewQueued, NewRecipient, Notify, Placement, Ret, Spool, StoreError, Terms};
use sys::tls::TlsFacts;

/// A recipient that was accepted at RCPT.
#[derive(Clone, Debug)]
pub struct AcceptedRecipient {
    /// The address.
    pub address: Address,
    /// When its sender wants reports. RFC 3461 §4.1.
    pub notify: Notify,
    /// ORCPT, `type;address` decoded. RFC 3461 §4.2.
    pub orcpt: Option<String>,
    /// The account that RCPT found it to be: nobody needs to ask again.
    pub account: Option<AccountId>,
}

/// A message that is about to come: its envelope and where it comes from.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Our name for it.
    pub message: MessageId,
    /// Envelope sender.
    pub sender: ReversePath,
    /// Envelope recipients; at least one.
    pub recipients: Vec<AcceptedRecipient>,
    /// What the client called itself.
    pub helo: String,
    /// The client's address.
    pub peer: SocketAddr,
    /// `SMTP`, `ESMTP`, `ESMTPS`, `ESMTPSA`, … RFC 3848.
    pub protocol: String,
    /// TLS, if any.
    pub tls: Option<TlsFacts>,
    /// What else the sender asked for.
    pub terms: Terms,
    /// BODY=BINARYMIME was said: it is made lines of. RFC 3030 §3.
    pub binary: bool,
    /// SMTPUTF8 was said.
    pub smtputf8: bool,
    /// RET. RFC 3461 §4.3.
    pub ret: Option<Ret>,
    /// ENVID, decoded. RFC 3461 §4.4.
    pub envid: Option<String>,
    /// Who logged in.
    pub authenticated: Option<Authenticated>,
}

/// The proof that a message is ours now: durable, in mailboxes or queue.
#[derive(Debug)]
pub struct Accepted {
    message: MessageId,
    octets: u64,
}

impl Accepted {
    /// Our name for the message.
    pub fn message(&self) -> MessageId {
        self.message
    }
    /// Octets stored.
    pub fn octets(&self) -> u64 {
        self.octets
    }
}

/// Why a message is not accepted. Nothing of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryError {
    /// The disk is (nearly) full.
    Full,
    /// It goes in circles.
    TooManyHops,
    /// Its header says that it is from somebody whom its sender may not send as: who, and as whom.
    NotTheirs(Box<(Address, Address)>),
    /// The header of a submitted message is longer than what is looked at.
    HeaderTooLong,
    /// It is said to be binary, and cannot be made lines of: why.
    NotBinaryMime(&'static str),
    /// Something of ours does not work now.
    Unavailable(String),
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeliveryError::Full => f.write_str("no room to store the message"),
            DeliveryError::TooManyHops => write!(f, "more than {HOPS_MAX} Received lines: a loop"),
            DeliveryError::NotTheirs(both) => {
                write!(f, "{} may not send as <{}>, and the message is from there", both.0, both.1)
            }
            DeliveryError::NotBinaryMime(why) => write!(f, "the message is not binary MIME: {why}"),
            DeliveryError::HeaderTooLong => f.write_str("the header is too long"),
            DeliveryError::Unavailable(why) => write!(f, "unavailable: {why}"),
        }
    }
}

impl From<StoreError> for DeliveryError {
    fn from(error: StoreError) -> DeliveryError {
        match error {
            StoreError::Full => DeliveryError::Full,
            other => DeliveryError::Unavailable(other.to_string()),
        }
    }
}

impl From<directory::Unavailable> for DeliveryError {
    fn from(error: directory::Unavailable) -> DeliveryError {
        DeliveryError::Unavailable(error.0)
    }
}

/// A message on its way in.
pub struct Receiving {
    shared: Arc<Shared>,
    incoming: Incoming,
    spool: Spool,
    parser: Parser,
    hops: HopCounter,
    mender: Option<(Mender, NewFields)>,
    /// Octets of the `Return-Path` line.
    skip: u32,
    failed: Option<DeliveryError>,
    /// Octets above 127 were seen.
    eight_bit: bool,
    /// The start of the message, if somebody wants a report that it arrived.
    head: Option<Vec<u8>>,
}

impl Delivery {
    /// Begins to receive a message: writes its trace lines.
    pub async fn begin(&self, incoming: Incoming) -> Receiving {
        let now = self.shared.world.clock.unix_seconds();
        let return_path = trace::return_path(&incoming);
        let received = trace::received(&incoming, &self.shared.settings.hostname, now);
        let mender = incoming.authenticated.is_some().then(|| {
            let hostname = &self.shared.settings.hostname;
            let message_id = format!("<{}@{hostname}>", incoming.message);
            let date = mail::date::format_rfc5322(now);
            (Mender::default(), NewFields { date, message_id })
        });
        let mut receiving = Receiving {
            spool: self.shared.store.spool(),
            shared: self.shared.clone(),
            incoming,
            parser: Parser::new(),
            hops: HopCounter::default(),
            mender,
            skip: return_path.len() as u32,
            failed: None,
            eight_bit: false,
            head: None,
        };
        let told = |r: &AcceptedRecipient| r.notify.contains(Notify::SUCCESS);
        receiving.head = receiving.incoming.recipients.iter().any(told).then(Vec::new);
        receiving.store(format!("{return_path}{received}").as_bytes()).await;
        receiving
    }
}

impl Receiving {
    /// The next octets of the message. What goes wrong is told by [`Receiving::finish`]: the
    /// client has to be heard out anyway.
    pub async fn write(&mut self, octets: &[u8]) {
        self.hops.feed(octets);
        match &mut self.mender {
            Some((mender, new)) => {
                let ready = mender.feed(octets, new);
                self.store(&ready).await;
            }
            None => self.store(octets).await,
        }
    }

    async fn store(&mut self, octets: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.parser.feed(octets);
        self.eight_bit |= !octets.is_ascii();
        if let Some(head) = &mut self.head {
            let room = (RETURNED_OCTETS_MAX as usize).saturating_sub(head.len());
            head.extend_from_slice(octets.get(..room.min(octets.len())).unwrap_or_default());
        }
        if let Err(error) = self.spool.write(octets) {
            self.failed = Some(error.into());
        }
    }

    /// The message is complete: commits it to the mailboxes of local recipients and to the queue
    /// for the others, in one transaction.
    pub async fn finish(mut self) -> Result<Accepted, DeliveryError> {
        if let Some((mut mender, new)) = self.mender.take() {
            let rest = mender.finish(&new);
            self.store(&rest).await;
            let who = self.incoming.authenticated.as_ref();
            check_claims(&self.shared, who, mender.claims()).await?;
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.hops.hops > HOPS_MAX {
            return Err(DeliveryError::TooManyHops);
        }
        let shared = self.shared;
        let now = shared.world.clock.unix_seconds();
        let fate = match self.incoming.terms.hold {
            Some(hold) if hold.at > now => held(&self.incoming.recipients),
            _ => decide(&shared, &self.incoming.recipients).await?,
        };
        let placements = placements(&shared, &fate.accounts)?;
        let (mut content, mut summary) = (self.spool.seal()?, self.parser.finish());
        if self.incoming.binary {
            (content, summary) = convert::as_lines(&shared, &content, &summary)?;
        }
        let octets = content.len();
        let queued = fate.remote.len();
        let step = accepted_step(&shared, &self.incoming, octets, placements.len(), queued);
        let expire_after = shared.settings.expire_after.as_secs() as i64;
        let queue = (queued > 0).then(|| NewQueued {
            sender: self.incoming.sender.clone(),
            recipients: fate.remote,
            ret: self.incoming.ret,
            envid: self.incoming.envid.clone(),
            // Whatever was said: other servers hear what there is.
            terms: Terms {
                body8: self.incoming.terms.body8 || self.eight_bit,
                waits: fate.waits,
                ..self.incoming.terms
            },
            smtputf8: self.incoming.smtputf8,
            skip: self.skip,
            arrived: now,
            expires: self.incoming.terms.release(now) + expire_after,
            submitted_by: self.incoming.authenticated.as_ref().map(|who| who.account),
        });
        let delivery = store::Delivery {
            message: self.incoming.message,
            content,
            summary: summary.encode(),
            date: now,
            placements,
            queue,
            journey: step.encode(),
        };
        let report = match self.head {
            Some(head) => {
                let head = head.get(self.skip as usize..).unwrap_or_default();
                let has_it = |n: &usize| self.incoming.recipients.get(*n);
                let told = |r: &&AcceptedRecipient| r.notify.contains(Notify::SUCCESS);
                let told: Vec<&AcceptedRecipient> =
                    fate.here.iter().filter_map(has_it).filter(told).collect();
                bounce::delivered(&shared, &self.incoming, &told, head).await?
            }
            None => None,
        };
        commit(&shared, delivery, report).await?;
        Ok(Accepted { message: self.incoming.message, octets })
    }
}

/// Who logged in is whom the message says it is from. RFC 6409 §6.1, security.md SM-8.
async fn check_claims(
    shared: &Shared,
    who: Option<&Authenticated>,
    claims: Claims,
) -> Result<(), DeliveryError> {
    let Some(who) = who else { return Ok(()) };
    if claims.too_long {
        return Err(DeliveryError::HeaderTooLong);
    }
    let mut known: HashSet<Address> = HashSet::new();
    for address in claims.addresses {
        if known.contains(&address) {
            continue;
        }
        if !shared.directory.may_send_as(who.account, &address).await? {
            let both = Box::new((who.address.clone(), address));
            return Err(DeliveryError::NotTheirs(both));
        }
        known.insert(address);
    }
    Ok(())
}

/// The message, and the report that it arrived, in one commit.
async fn commit(
    shared: &Shared,
    delivery: store::Delivery,
    report: Option<bounce::Made>,
) -> Result<(), StoreError> {
    let Some(bounce::Made { delivery: report, step }) = report else {
        return shared.store.deliver(delivery).await.map(drop);
    };
    let message = delivery.message;
    tracing::info!(id = %message, report = %report.message, "report");
    let note = move |w: &mut store::Writing<'_>| w.add_journey(message, &step.encode());
    shared.store.deliver_and(vec![delivery, report], note).await.map(drop)
}

fn accepted_step(
    shared: &Shared,
    incoming: &Incoming,
    size: u64,
    mailboxes: usize,
    queued: usize,
) -> Step {
    Step::Accepted {
        at: shared.world.clock.unix_millis(),
        helo: incoming.helo.clone(),
        peer: incoming.peer.to_string(),
        protocol: incoming.protocol.clone(),
        tls: incoming.tls.as_ref().map(journey::describe_tls),
        login: incoming.authenticated.as_ref().map(|who| who.address.to_string()),
        sender: incoming.sender.to_string(),
        // A journey record is small, whatever the message.
        recipients: incoming.recipients.iter().take(100).map(|r| r.address.to_string()).collect(),
        size,
        mailboxes,
        queued,
    }
}

/// Where the copies of a message go.
#[derive(Default)]
pub(crate) struct Fate {
    pub accounts: Vec<AccountId>,
    pub remote: Vec<NewRecipient>,
    /// Recipients whose mailbox gets it.
    pub here: Vec<usize>,
    /// Some of the others are ours, and their mailboxes are full.
    pub waits: bool,
}

/// Everybody waits in the queue, ours too, as their addresses stand. RFC 4865 §4.2.
fn held(recipients: &[AcceptedRecipient]) -> Fate {
    let mut remote: Vec<NewRecipient> = Vec::new();
    let mut known = HashSet::new();
    for AcceptedRecipient { address, notify, orcpt, .. } in recipients {
        if known.insert(address) {
            remote.push(NewRecipient {
                domain: routing_domain(address),
                address: address.clone(),
                notify: *notify,
                orcpt: orcpt.clone(),
            });
        }
    }
    Fate { remote, ..Fate::default() }
}

/// Takes aliases apart; each account and each remote address gets the message once.
pub(crate) async fn decide(
    shared: &Shared,
    recipients: &[AcceptedRecipient],
) -> Result<Fate, DeliveryError> {
    let mut fate = Fate::default();
    for (n, recipient) in recipients.iter().enumerate() {
        let mut here = false;
        let destinations = match recipient.account {
            Some(id) => vec![Destination::Account(id)],
            None => shared.directory.expand(&recipient.address).await?,
        };
        for destination in destinations {
            // RCPT has asked already whether there is room for whom it found itself.
            let destination = match destination {
                Destination::Account(id) if recipient.account.is_none() => {
                    with_room(shared, id, &mut fate.waits)?
                }
                destination => destination,
            };
            here |= matches!(destination, Destination::Account(_));
            match destination {
                Destination::Account(id) if !fate.accounts.contains(&id) => fate.accounts.push(id),
                Destination::Remote(address)
                    if !fate.remote.iter().any(|r| r.address == address) =>
                {
                    fate.remote.push(NewRecipient {
                        domain: routing_domain(&address),
                        address,
                        notify: recipient.notify,
                        orcpt: recipient.orcpt.clone(),
                    });
                }
                _ => {}
            }
        }
        if here {
            fate.here.push(n);
        }
    }
    if fate.accounts.is_empty() && fate.remote.is_empty() {
        // Accepted at RCPT, gone since: the client tries again and hears 550 then.
        return Err(DeliveryError::Unavailable("a recipient has just gone".to_owned()));
    }
    Ok(fate)
}

/// The account, or its address to wait in the queue for room in its mailbox.
fn with_room(
    shared: &Shared,
    id: AccountId,
    waits: &mut bool,
) -> Result<Destination, DeliveryError> {
    if !shared.store.is_over_quota(id)? {
        return Ok(Destination::Account(id));
    }
    let row = shared.store.accounts()?.into_iter().find(|row| row.id == id);
    *waits |= row.is_some();
    Ok(row.map_or(Destination::Account(id), |row| Destination::Remote(row.address)))
}

pub(crate) fn placements(
    shared: &Shared,
    accounts: &[AccountId],
) -> Result<Vec<Placement>, DeliveryError> {
    let mut placements = Vec::with_capacity(accounts.len());
    for account in accounts {
        let inbox = shared.store.inbox(*account)?;
        let inbox = inbox.ok_or_else(|| DeliveryError::Unavailable("no INBOX".to_owned()))?;
        placements.push(Placement { mailbox: inbox, flags: Vec::new() });
    }
    Ok(placements)
}

/// The routing domain of an address; kept as a function so that routing has one place to grow.
pub(crate) fn routing_domain(address: &Address) -> Domain {
    address.domain().clone()
}
