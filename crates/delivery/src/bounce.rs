//! Reports to the sender: a recipient failed, is delayed, or has it. RFC 3461 §6, RFC 5321 §6.1.
//!
//! Invariant: a report has the null reverse path, and a message with the null reverse path never
//! makes one (RFC 5321 §4.5.5), so reports cannot loop.

use crate::accept::{AcceptedRecipient, Incoming};
use crate::journey::Step;
use crate::limits::RETURNED_OCTETS_MAX;
use crate::{DeliveryError, Shared, fate, signing};
use directory::{Destination, Resolution};
use mail::report::dsn::{Action, FutureRelease, Original, Report, ReportedRecipient};
use mail::{Address, MessageId, ReversePath};
use policy::dkim::Signer;
use store::{NewQueued, NewRecipient, Notify, QueueRow, RecipientRow, Ret, StoreError, Terms};

/// What a report says of one recipient.
pub(crate) struct Finding<'a> {
    pub recipient: &'a RecipientRow,
    pub action: Action,
    pub status: String,
    pub host: Option<String>,
    /// TLS that it was spoken to under; empty for none.
    pub tls: Option<String>,
    pub reply: String,
    pub retry_until: Option<i64>,
    /// It is told unless NOTIFY=NEVER. RFC 2852 §4.1.4.
    pub always: bool,
    /// That was the last of many attempts.
    pub given_up: bool,
}

/// A report that is ready to be committed, and what the journey says of it.
pub(crate) struct Made {
    pub delivery: store::Delivery,
    pub step: Step,
}

/// Makes the report about `findings`; `None` when nobody wants it.
pub(crate) async fn report(
    shared: &Shared,
    row: &QueueRow,
    findings: &[Finding<'_>],
) -> Result<Option<Made>, DeliveryError> {
    let wanted: Vec<&Finding<'_>> = findings.iter().filter(|f| wants(f)).collect();
    if wanted.is_empty() || row.sender.address().is_none() {
        return Ok(None);
    }
    let now = shared.world.clock.unix_seconds();
    let recipients: Vec<ReportedRecipient> = wanted.iter().map(|f| reported(f, now)).collect();
    let original = original(shared, row).await?;
    let returned = match row.ret {
        // RFC 3461 §4.3: RET is about failures; of what arrived only the header goes back, and so
        // of what was to go under TLS (RFC 8689 §5).
        Some(Ret::Full)
            if !row.terms.require_tls
                && wanted.iter().any(|f| f.action == Action::Failed)
                && original.len() as u64 <= RETURNED_OCTETS_MAX =>
        {
            Original::Full(&original)
        }
        _ => Original::Header(mail::mime::header_of(&original)),
    };
    let about = About {
        sender: &row.sender,
        envid: row.envid.as_deref(),
        arrived: row.arrived,
        terms: row.terms,
        original: returned,
    };
    make(shared, about, &recipients).await
}

/// Makes the report that a message is in the mailboxes of `recipients`, who wanted to hear of it.
/// RFC 3461 §5.2.2.
pub(crate) async fn delivered(
    shared: &Shared,
    incoming: &Incoming,
    recipients: &[&AcceptedRecipient],
    header: &[u8],
) -> Result<Option<Made>, DeliveryError> {
    let now = shared.world.clock.unix_seconds();
    let reported = |recipient: &&AcceptedRecipient| ReportedRecipient {
        address: recipient.address.clone(),
        original: recipient.orcpt.clone(),
        action: Action::Delivered,
        status: "2.1.5".to_owned(),
        remote_mta: None,
        remote_tls: None,
        diagnostic: None,
        given_up: false,
        last_attempt: Some(now),
        retry_until: None,
    };
    let recipients: Vec<ReportedRecipient> = recipients.iter().map(reported).collect();
    let about = About {
        sender: &incoming.sender,
        envid: incoming.envid.as_deref(),
        arrived: now,
        terms: incoming.terms,
        original: Original::Header(mail::mime::header_of(header)),
    };
    make(shared, about, &recipients).await
}

/// The message that a report is about.
struct About<'a> {
    sender: &'a ReversePath,
    envid: Option<&'a str>,
    arrived: i64,
    terms: Terms,
    original: Original<'a>,
}

async fn make(
    shared: &Shared,
    about: About<'_>,
    recipients: &[ReportedRecipient],
) -> Result<Option<Made>, DeliveryError> {
    let (ReversePath::Address(to), Some(first)) = (about.sender, recipients.first()) else {
        return Ok(None);
    };
    // What was sent on from here has a sender of our making, in which nobody knows themselves.
    let made_for = match shared.directory.resolve(to).await? {
        Resolution::Returned(original) => Some(original),
        _ => None,
    };
    let to = made_for.as_ref().unwrap_or(to);
    let at = shared.world.clock.unix_millis();
    let message = MessageId::new(at as u64, shared.world.random.u32());
    let report = Report {
        reporting_mta: &shared.settings.hostname,
        id: message.to_string(),
        date: shared.world.clock.unix_seconds(),
        to,
        envelope_id: about.envid,
        arrival: about.arrived,
        deliver_by: about.terms.by.map(|by| by.at),
        future_release: about.terms.hold.map(|hold| match hold.until {
            true => FutureRelease::Until(hold.at),
            false => FutureRelease::For(hold.at - about.arrived),
        }),
        recipients,
        original: about.original,
    };
    let composed = report.compose();
    let Some(delivery) = delivery(shared, message, to, about.terms, &composed).await? else {
        return Ok(None);
    };
    let what = match first.action {
        Action::Delayed => "delayed",
        Action::Failed => "failed",
        Action::Delivered | Action::Relayed | Action::Expanded => "delivered",
    };
    let (what, to, report) = (what.to_owned(), to.to_string(), message.to_string());
    Ok(Some(Made { delivery, step: Step::Reported { at, what, to, report } }))
}

/// NOTIFY decides; without one, failures and delays are reported. RFC 3461 §4.1.
fn wants(finding: &Finding<'_>) -> bool {
    let notify = finding.recipient.notify;
    if finding.always {
        return !notify.contains(Notify::NEVER);
    }
    match finding.action {
        Action::Failed => notify.is_default() || notify.contains(Notify::FAILURE),
        Action::Delayed => notify.is_default() || notify.contains(Notify::DELAY),
        _ => notify.contains(Notify::SUCCESS),
    }
}

fn reported(finding: &Finding<'_>, now: i64) -> ReportedRecipient {
    // RFC 3464 §2.3.2: as it was accepted; where an alias leads is not told.
    let named = finding.recipient.named.as_ref();
    ReportedRecipient {
        address: named.unwrap_or(&finding.recipient.address).clone(),
        original: finding.recipient.orcpt.clone(),
        action: finding.action,
        status: finding.status.clone(),
        remote_mta: finding.host.clone(),
        remote_tls: finding.tls.clone(),
        diagnostic: (!finding.reply.is_empty()).then(|| finding.reply.clone()),
        given_up: finding.given_up,
        last_attempt: Some(now),
        retry_until: finding.retry_until,
    }
}

/// The start of the original: enough for a report, never the whole of a big message. Nothing when
/// it is damaged: the report has to come all the same.
async fn original(shared: &Shared, row: &QueueRow) -> Result<Vec<u8>, DeliveryError> {
    let from = u64::from(row.skip);
    let to = row.size.min(from + RETURNED_OCTETS_MAX + 1);
    let mut octets = Vec::new();
    let read = match shared.store.reading_of(row.content, from..to).await {
        Ok(mut reading) => reading.next(&shared.store, to - from, &mut octets).map(drop),
        Err(error) => Err(error),
    };
    match read {
        Ok(()) | Err(StoreError::Corrupt(_)) => Ok(octets),
        Err(error) => Err(error.into()),
    }
}

/// The report as a message to `to`, which is one of ours or somewhere else.
pub(crate) async fn delivery(
    shared: &Shared,
    message: MessageId,
    to: &Address,
    about: Terms,
    octets: &[u8],
) -> Result<Option<store::Delivery>, DeliveryError> {
    let now = shared.world.clock.unix_seconds();
    let mut accounts = Vec::new();
    let mut remote = Vec::new();
    for destination in shared.directory.expand(to).await?.destinations {
        match destination {
            Destination::Account(id) => accounts.push(id),
            Destination::Remote(address) => remote.push(NewRecipient {
                domain: fate::routing_domain(&address),
                address,
                notify: Notify::NEVER,
                orcpt: None,
                named: None,
            }),
        }
    }
    if accounts.is_empty() && remote.is_empty() {
        return Ok(None);
    }
    let return_path = b"Return-Path: <>\r\n";
    let mut signed = String::new();
    if !remote.is_empty() {
        let mut signer = Signer::default();
        signer.feed(octets);
        signed = signing::signatures(shared, signer)?;
    }
    let mut spool = shared.store.spool();
    let mut parser = mail::summary::Parser::new();
    for piece in [return_path.as_slice(), signed.as_bytes(), octets] {
        spool.write(piece)?;
        parser.feed(piece);
    }
    let queue = (!remote.is_empty()).then(|| NewQueued {
        sender: ReversePath::Null,
        recipients: remote,
        ret: None,
        envid: None,
        // A report is as urgent (RFC 6710 §4.6) and as secret (RFC 8689 §5) as what it is about.
        terms: Terms { body8: !octets.is_ascii(), by: None, hold: None, junk: false, ..about },
        smtputf8: to.needs_utf8(),
        skip: return_path.len() as u32,
        arrived: now,
        expires: now + shared.settings.expire_after.as_secs() as i64,
        submitted_by: None,
    });
    Ok(Some(store::Delivery {
        message,
        content: spool.seal()?,
        summary: parser.finish().encode(),
        date: now,
        placements: fate::placements(shared, &fate::filings(&accounts, None)).await?,
        queue,
        journey: Vec::new(),
    }))
}
