//! A message that was held until its time, or until there is room, for recipients here: it goes
//! from the queue into their mailboxes, or on to where their addresses lead now. RFC 4865 §4.2. Who
//! is not there any more has failed.
//!
//! Invariant: what is delivered here and the recipients who leave the queue are one commit.

use crate::accept::AcceptedRecipient;
use crate::fate;
use crate::limits::PIECE_OCTETS;
use crate::remote::{Attempt, Fate};
use crate::{DeliveryError, Shared, judging};
use directory::Resolution;
use mail::MessageId;
use mail::summary::Parser;
use store::{NewQueued, QueueRow, RecipientRow, StoreError, Terms};

/// The message waited for its time, or for room in mailboxes, and these recipients are ours.
pub(crate) fn is_ours(
    shared: &Shared,
    row: &QueueRow,
    recipients: &[&RecipientRow],
) -> Result<bool, StoreError> {
    let Some(first) = recipients.first() else { return Ok(false) };
    if row.terms.hold.is_none() && !row.terms.waits {
        return Ok(false);
    }
    Ok(shared.store.lookup(&first.address)?.domain.is_some())
}

/// Delivers to those who are still there.
pub(crate) async fn release(
    shared: &Shared,
    row: &QueueRow,
    recipients: &[&RecipientRow],
) -> Attempt {
    let mut tried = Attempt::default();
    let mut taken: Vec<(u32, AcceptedRecipient)> = Vec::new();
    for recipient in recipients {
        match refusal(shared, recipient).await {
            Some(fate) => tried.fates.push((recipient.n, fate)),
            None => taken.push((
                recipient.n,
                AcceptedRecipient {
                    address: recipient.address.clone(),
                    notify: recipient.notify,
                    orcpt: recipient.orcpt.clone(),
                    named: recipient.named.clone(),
                    account: None,
                },
            )),
        }
    }
    if taken.is_empty() {
        return tried;
    }
    let (numbers, accepted): (Vec<u32>, Vec<AcceptedRecipient>) = taken.into_iter().unzip();
    match delivery(shared, row, &accepted).await {
        Ok((delivery, here)) => {
            tried.here = Some(delivery);
            let fate = |at: usize| Fate::Here { in_mailbox: here.contains(&at) };
            tried.fates.extend(numbers.into_iter().enumerate().map(|(at, n)| (n, fate(at))));
        }
        Err(error) => {
            let later = deferred("4.3.0", error.to_string());
            tried.fates.extend(numbers.into_iter().map(|n| (n, later.clone())));
        }
    }
    tried
}

fn deferred(status: &str, reply: String) -> Fate {
    Fate::Deferred { status: status.to_owned(), host: None, reply }
}

/// Why a recipient does not get it now.
async fn refusal(shared: &Shared, recipient: &RecipientRow) -> Option<Fate> {
    match shared.directory.resolve(&recipient.address).await {
        Ok(Resolution::Account(account)) => match shared.store.is_over_quota(account) {
            Ok(false) => None,
            Ok(true) => Some(deferred("4.2.2", "the mailbox is full".to_owned())),
            Err(error) => Some(deferred("4.3.0", error.to_string())),
        },
        Ok(Resolution::Members(_) | Resolution::Returned(_)) => {
            match shared.directory.leads_somewhere(&recipient.address).await {
                Ok(true) => None,
                Ok(false) => Some(gone(recipient)),
                Err(error) => Some(deferred("4.3.0", error.to_string())),
            }
        }
        Ok(Resolution::NoSuchUser | Resolution::NotLocal) => Some(gone(recipient)),
        Err(error) => Some(deferred("4.3.0", error.to_string())),
    }
}

fn gone(recipient: &RecipientRow) -> Fate {
    let reply = match recipient.named {
        None => "nobody here has this address any more",
        // Which one is not its sender's business.
        Some(_) => "an address that this one leads to does not exist any more",
    };
    Fate::Failed { status: "5.1.1".to_owned(), host: None, reply: reply.to_owned() }
}

/// The delivery, and which recipients get it into a mailbox here.
async fn delivery(
    shared: &Shared,
    row: &QueueRow,
    recipients: &[AcceptedRecipient],
) -> Result<(store::Delivery, Vec<usize>), DeliveryError> {
    let fate = fate::decide(shared, recipients).await?;
    let (mut spool, mut parser) = (shared.store.spool(), Parser::new());
    let mut reading = shared.store.reading_of(row.content, 0..row.size).await?;
    let mut octets = Vec::new();
    while reading.next(&shared.store, PIECE_OCTETS, &mut octets)? {
        parser.feed(&octets);
        spool.write(&octets)?;
        octets.clear();
    }
    let now = shared.world.clock.unix_seconds();
    let junk = row.terms.junk.then_some("so it was judged when it came");
    let summary = parser.finish();
    let mut filings = fate::filings(&fate.accounts, junk);
    if row.submitted_by.is_none() {
        // Its octets stay as they came, so no header line tells.
        let verdicts = judging::judge(shared, &fate.accounts, &summary, &spool);
        for reason in judging::file(shared, &mut filings, verdicts) {
            tracing::debug!(id = %row.message, reason, "judged when there was room");
        }
    }
    let sender = fate::sender(shared, &row.sender, row.submitted_by, &fate).await?;
    let queue = (!fate.remote.is_empty()).then(|| NewQueued {
        sender,
        recipients: fate.remote,
        ret: row.ret,
        envid: row.envid.clone(),
        terms: Terms { hold: None, waits: fate.waits, ..row.terms },
        smtputf8: row.smtputf8,
        skip: row.skip,
        arrived: row.arrived,
        expires: row.expires,
        submitted_by: row.submitted_by,
    });
    let at = shared.world.clock.unix_millis();
    let delivery = store::Delivery {
        message: MessageId::new(at as u64, shared.world.random.u32()),
        content: spool.seal()?,
        summary: summary.encode(),
        date: now,
        placements: fate::placements(shared, &filings).await?,
        queue,
        journey: Vec::new(),
    };
    Ok((delivery, fate.here))
}
