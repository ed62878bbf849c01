//! Taking responsibility for a message. RFC 5321 §6.1.
//!
//! Invariant: an [`Accepted`] is made in [`Receiving::finish`] only, after the commit; nothing else
//! entitles to a 250.

use crate::bounce;
use crate::claims::Claims;
use crate::fate::{self, Filing, decide, filings, held, placements};
use crate::hops::HopCounter;
use crate::journey::{self, Step};
use crate::limits::RETURNED_OCTETS_MAX;
use crate::reports::{self, Kept};
use crate::trace::{self, Mender, NewFields};
use crate::{Delivery, Shared, judging, signing};
use directory::Authenticated;
use mail::summary::{Parser, Summary};
use mail::{AccountId, Address, Domain, MessageId, ReversePath};
use policy::dkim::Signer;
use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use store::{NewQueued, NewRecipient, Notify, Ret, Spool, StoreError, Terms};
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
    /// The address that was given at RCPT, if an alias led from it to here while it waited.
    pub named: Option<Address>,
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
    /// Its trace lines are written when it is complete: [`Receiving::judged`] may add some.
    pub trace_last: bool,
}

/// What was found out about a message that is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Header lines for its front, each with CRLF.
    pub lines: String,
    /// What was found, in words, for its journey.
    pub reasons: Vec<String>,
    /// In mailboxes here it goes into Junk: why.
    pub junk: Option<String>,
    /// Nobody vouches that its envelope sender sent it: no report goes there. security.md SM-9.
    pub sender_unproven: bool,
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
    /// It cannot be said whom a submitted message is from: why.
    UnclearAuthor(String),
    /// The header of a submitted message is longer than what is looked at.
    HeaderTooLong,
    /// The header has a domain that nobody elsewhere knows.
    NotQualified(Domain),
    /// It is said to be binary, and cannot be made lines of: why.
    NotBinaryMime(&'static str),
    /// Something of ours does not work now.
    Unavailable(String),
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeliveryError::Full => f.write_str("no room to store the message"),
            DeliveryError::TooManyHops => {
                f.write_str("it goes in circles, as its Received lines show")
            }
            DeliveryError::NotTheirs(both) => {
                write!(f, "{} may not send as <{}>, and the message is from there", both.0, both.1)
            }
            DeliveryError::UnclearAuthor(why) => {
                write!(f, "it cannot be said whom the message is from: {why}")
            }
            DeliveryError::NotBinaryMime(why) => write!(f, "the message is not binary MIME: {why}"),
            DeliveryError::NotQualified(domain) => {
                write!(f, "the header has an address at '{domain}', which is no complete domain")
            }
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
    pub(crate) shared: Arc<Shared>,
    pub(crate) incoming: Incoming,
    pub(crate) spool: Spool,
    parser: Parser,
    hops: HopCounter,
    mender: Option<(Mender, NewFields)>,
    /// Octets of the `Return-Path` line.
    skip: u32,
    failed: Option<DeliveryError>,
    /// Octets above 127 were seen.
    eight_bit: bool,
    /// Trace lines that are not written yet.
    pub(crate) trace: Option<String>,
    pub(crate) judgement: Judgement,
    /// It is signed, since it leaves.
    pub(crate) signer: Option<Signer>,
    /// The start of the message, if somebody wants a report that it arrived.
    pub(crate) head: Option<Vec<u8>>,
}

impl Delivery {
    /// Whether others know the domain as we do, or we know where its mail goes. RFC 6409 §4.2.
    pub fn is_qualified(&self, domain: &Domain) -> Result<bool, StoreError> {
        is_qualified(&self.shared, domain)
    }

    /// Begins to receive a message: writes its trace lines.
    pub async fn begin(&self, incoming: Incoming) -> Receiving {
        let now = self.shared.world.clock.unix_seconds();
        let return_path = trace::return_path(&incoming);
        let received = trace::received(&incoming, &self.shared.settings.hostname, now);
        let mender = incoming.authenticated.as_ref().map(|who| {
            let hostname = &self.shared.settings.hostname;
            let message_id = format!("<{}@{hostname}>", incoming.message);
            let date = mail::date::format_rfc5322(now);
            let from = incoming.sender.address().unwrap_or(&who.address).to_string();
            (Mender::default(), NewFields { date, message_id, from })
        });
        let hops = HopCounter::new(&incoming, &self.shared.settings.hostname);
        let mut receiving = Receiving {
            spool: self.shared.store.spool(),
            shared: self.shared.clone(),
            incoming,
            parser: Parser::new(),
            hops,
            mender,
            skip: return_path.len() as u32,
            failed: None,
            eight_bit: false,
            trace: None,
            judgement: Judgement::default(),
            signer: None,
            head: None,
        };
        let told = |r: &AcceptedRecipient| r.notify.contains(Notify::SUCCESS);
        receiving.head = receiving.incoming.recipients.iter().any(told).then(Vec::new);
        receiving.signer = signing::signer(&receiving.incoming);
        let signed = receiving.signer.is_some();
        if signed
            || receiving.incoming.trace_last
            || judging::may_tell(&self.shared, &receiving.incoming)
        {
            receiving.trace = Some(received);
        } else {
            receiving.store(format!("{return_path}{received}").as_bytes()).await;
        }
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

    /// What was found out about the message, which is complete.
    pub fn judged(&mut self, judgement: Judgement) {
        self.judgement = judgement;
    }

    async fn store(&mut self, octets: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.parser.feed(octets);
        if let (Some(signer), false) = (&mut self.signer, self.incoming.binary) {
            signer.feed(octets);
        }
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
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.hops.finish() {
            return Err(DeliveryError::TooManyHops);
        }
        let shared = self.shared.clone();
        let now = shared.world.clock.unix_seconds();
        let mut fate = match self.incoming.terms.hold {
            Some(hold) if hold.at > now => held(&self.incoming.recipients),
            _ => decide(&shared, &self.incoming.recipients).await?,
        };
        if self.judgement.junk.is_some() || self.judgement.sender_unproven {
            self.tell_nobody(&mut fate.remote);
        }
        let mut filings = filings(&fate.accounts, self.judgement.junk.as_deref());
        let mut summary = std::mem::take(&mut self.parser).finish();
        self.judge(&mut filings, &summary, !fate.remote.is_empty());
        let kept = self.report(&summary).await;
        if let Some(kept) = &kept
            && shared.settings.reports.as_ref().is_some_and(|reports| !reports.deliver)
            && self.incoming.recipients.len() == 1
        {
            return self.keep_only(kept).await;
        }
        let placements = placements(&shared, &filings).await?;
        let content = self.put_together(&mut summary)?;
        let octets = content.len();
        let queued = fate.remote.len();
        let mut step = accepted_step(&shared, &self.incoming, octets, placements.len(), queued);
        if let Step::Accepted { judged, junk, .. } = &mut step {
            *judged = std::mem::take(&mut self.judgement.reasons);
            *junk = filings.iter().find_map(|filing| filing.junk.clone());
        }
        let by = self.incoming.authenticated.as_ref().map(|who| who.account);
        let sender = fate::sender(&shared, &self.incoming.sender, by, &fate).await?;
        let queue = (queued > 0).then(|| self.queue_entry(now, sender, fate.remote, fate.waits));
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
        commit(&shared, delivery, report, kept).await?;
        Ok(Accepted { message: self.incoming.message, octets })
    }

    /// The report about mail from our domains that it is; what is forged is none.
    async fn report(&self, summary: &Summary) -> Option<Kept> {
        match self.judgement.junk {
            Some(_) => None,
            None => reports::read(&self.shared, &self.incoming, summary, &self.spool).await,
        }
    }

    /// Keeps a report, and nothing of the message that it came in.
    async fn keep_only(self, kept: &Kept) -> Result<Accepted, DeliveryError> {
        let (message, octets) = (self.incoming.message, self.spool.len());
        let step = accepted_step(&self.shared, &self.incoming, octets, 0, 0).encode();
        let kept = kept.clone();
        let keep = move |w: &mut store::Writing<'_>| {
            w.add_journey(message, &step)?;
            kept.keep(w)
        };
        self.shared.store.write(keep).await?;
        Ok(Accepted { message, octets })
    }

    /// Files what accounts here would call spam, and says so.
    fn judge(&mut self, filings: &mut [Filing], summary: &Summary, relayed: bool) {
        // Whoever logged in is no stranger.
        if self.incoming.authenticated.is_some() {
            return;
        }
        let accounts: Vec<AccountId> = filings.iter().map(|filing| filing.account).collect();
        let verdicts = judging::judge(&self.shared, &accounts, summary, &self.spool);
        if let [verdict] = verdicts.as_slice()
            && filings.len() == 1
            && !relayed
        {
            self.judgement.lines.push_str(&verdict.line());
        }
        self.judgement.reasons.extend(judging::file(&self.shared, filings, verdicts));
    }

    /// Its entry in the queue, for recipients elsewhere.
    fn queue_entry(
        &self,
        now: i64,
        sender: ReversePath,
        recipients: Vec<NewRecipient>,
        waits: bool,
    ) -> NewQueued {
        let expire_after = self.shared.settings.expire_after.as_secs() as i64;
        NewQueued {
            sender,
            recipients,
            ret: self.incoming.ret,
            envid: self.incoming.envid.clone(),
            // Whatever was said: other servers hear what there is.
            terms: Terms {
                body8: self.incoming.terms.body8 || self.eight_bit,
                waits,
                junk: self.judgement.junk.is_some(),
                ..self.incoming.terms
            },
            smtputf8: self.incoming.smtputf8,
            skip: self.skip,
            arrived: now,
            expires: self.incoming.terms.release(now) + expire_after,
            submitted_by: self.incoming.authenticated.as_ref().map(|who| who.account),
        }
    }
}

fn is_qualified(shared: &Shared, domain: &Domain) -> Result<bool, StoreError> {
    if !domain.is_single() {
        return Ok(true);
    }
    Ok(shared.store.route(domain)?.is_some() || shared.store.domain(domain)?.is_some())
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
    if let Some(why) = claims.unclear {
        return Err(DeliveryError::UnclearAuthor(why));
    }
    // RFC 6409 §4.2: who changes a header sees to the domains in it.
    for domain in claims.short {
        if !is_qualified(shared, &domain)? {
            return Err(DeliveryError::NotQualified(domain));
        }
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

/// The message, the report that it arrived, and what is kept of the report that it is, in one
/// commit.
async fn commit(
    shared: &Shared,
    delivery: store::Delivery,
    report: Option<bounce::Made>,
    kept: Option<Kept>,
) -> Result<(), StoreError> {
    if report.is_none() && kept.is_none() {
        return shared.store.deliver(delivery).await.map(drop);
    }
    let message = delivery.message;
    let (mut deliveries, mut steps) = (vec![delivery], Vec::new());
    if let Some(bounce::Made { delivery: report, step }) = report {
        tracing::info!(id = %message, report = %report.message, "report");
        deliveries.push(report);
        steps.push(step.encode());
    }
    let note = move |w: &mut store::Writing<'_>| {
        steps.iter().try_for_each(|step| w.add_journey(message, step))?;
        kept.map_or(Ok(()), |kept| kept.keep(w))
    };
    shared.store.deliver_and(deliveries, note).await.map(drop)
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
        judged: Vec::new(),
        junk: None,
    }
}
