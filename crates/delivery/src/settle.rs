//! What became of an attempt, written down: the rows of its recipients, the journey, and a report
//! if one is due, in one commit.
//!
//! Invariant: whoever has a message does not get it again because that could not be written down.

use crate::bounce::{self, Finding};
use crate::journey::{Outcome, Step};
use crate::limits::WRITE_AGAIN;
use crate::remote::{Attempt, Fate};
use crate::{DeliveryError, Shared};
use mail::Domain;
use mail::report::dsn::Action;
use store::{ByMode, DeliverBy, QueueRow, RecipientRow, Settlement, StoreError};

/// Writes down what became of an attempt, however often that takes.
pub(crate) async fn settle(
    shared: &Shared,
    row: &QueueRow,
    domain: &Domain,
    start: i64,
    mut tried: Attempt,
) {
    let here = tried.here.take();
    let now = shared.world.clock.unix_seconds();
    let mut verdicts = Vec::with_capacity(tried.fates.len());
    for (n, fate) in &tried.fates {
        let recipient = row.recipients.iter().find(|r| r.n == *n);
        verdicts.extend(recipient.map(|recipient| judge(shared, row, recipient, fate, now)));
    }
    let findings: Vec<Finding<'_>> = verdicts
        .iter_mut()
        .filter_map(|verdict| verdict.finding.take())
        .map(|finding| Finding { tls: spoken_under(&tried, finding.host.as_deref()), ..finding })
        .collect();
    let facts = Facts { shared, row, domain, start, tried: &tried };
    let Err(mut error) = facts.write_with(&verdicts, &findings, here).await else { return };
    // No room for a report, most likely, or nobody knows now where it has to go.
    verdicts.iter_mut().for_each(|verdict| verdict.postpone(shared, now));
    while !matches!(error, StoreError::Failed(_)) {
        tracing::warn!(id = %row.message, %error, "what became of an attempt has to wait");
        match facts.write(&verdicts, Vec::new(), None).await {
            Ok(()) => return,
            Err(again) => error = again,
        }
        tokio::time::sleep(WRITE_AGAIN).await;
    }
    tracing::error!(id = %row.message, %error, "cannot write down what became of an attempt");
}

/// TLS that a server was spoken to under, empty for none; nothing for one that was not reached.
fn spoken_under(tried: &Attempt, host: Option<&str>) -> Option<String> {
    tried.host.as_ref().filter(|to| host.is_some_and(|host| to.starts_with(host)))?;
    Some(tried.tls.as_ref().map(crate::journey::describe_tls).unwrap_or_default())
}

/// An attempt whose end is to be written down.
struct Facts<'a> {
    shared: &'a Shared,
    row: &'a QueueRow,
    domain: &'a Domain,
    /// When it began, in milliseconds since 1970.
    start: i64,
    tried: &'a Attempt,
}

impl Facts<'_> {
    /// The rows, the journey, what is delivered here, and a report if one is due, in one commit.
    async fn write_with(
        &self,
        verdicts: &[Verdict<'_>],
        findings: &[Finding<'_>],
        here: Option<store::Delivery>,
    ) -> Result<(), StoreError> {
        let made = bounce::report(self.shared, self.row, findings).await;
        let made = made.map_err(|error| match error {
            DeliveryError::Full => StoreError::Full,
            other => StoreError::Engine(format!("cannot write a report: {other}")),
        })?;
        let mut deliveries: Vec<store::Delivery> = here.into_iter().collect();
        let step = made.map(|made| {
            let (id, report) = (self.row.message, made.delivery.message);
            tracing::info!(%id, %report, "report");
            deliveries.push(made.delivery);
            made.step
        });
        self.write(verdicts, deliveries, step).await
    }

    async fn write(
        &self,
        verdicts: &[Verdict<'_>],
        deliveries: Vec<store::Delivery>,
        reported: Option<Step>,
    ) -> Result<(), StoreError> {
        let end = self.shared.world.clock.unix_millis();
        let outcomes: Vec<Outcome> = verdicts.iter().map(Verdict::outcome).collect();
        let steps = [
            Some(Step::Attempt {
                at: end,
                took: end - self.start,
                domain: self.domain.to_string(),
                dns: self.tried.dns.clone(),
                host: self.tried.host.clone(),
                tls: self.tried.tls.as_ref().map(crate::journey::describe_tls),
                dialogue: self.tried.dialogue.lines.clone(),
                outcomes: outcomes.clone(),
            }),
            reported,
        ];
        let steps: Vec<Vec<u8>> = steps.iter().flatten().map(Step::encode).collect();
        let settlements: Vec<(u32, Settlement)> = verdicts
            .iter()
            .map(|verdict| (verdict.recipient.n, verdict.settlement.clone()))
            .collect();
        let message = self.row.message;
        let write = move |w: &mut store::Writing<'_>| {
            for (n, settlement) in &settlements {
                store::settle(w, message, *n, settlement)?;
            }
            steps.iter().try_for_each(|step| w.add_journey(message, step))
        };
        self.shared.store.deliver_and(deliveries, write).await?;
        for Outcome { recipient, result, reply } in &outcomes {
            self.shared.attempted.count(result);
            tracing::info!(id = %message, %recipient, %result, %reply, "relay");
        }
        Ok(())
    }
}

/// It is to come back when it is late, and it is. RFC 2852 §4.1.3.
pub(crate) fn is_too_late(row: &QueueRow, now: i64) -> bool {
    row.terms.by.is_some_and(|by| by.mode == ByMode::Return && now >= by.at)
}

/// What an outcome means for a recipient, and what its sender hears of it.
struct Verdict<'a> {
    recipient: &'a RecipientRow,
    fate: &'a Fate,
    settlement: Settlement,
    finding: Option<Finding<'a>>,
}

impl Verdict<'_> {
    /// No report can be written now, and nothing delivered here. Who has the message has it; the
    /// others are tried again, and their sender hears then.
    fn postpone(&mut self, shared: &Shared, now: i64) {
        let (host, reply) = match (self.fate, &mut self.settlement) {
            (Fate::Delivered { .. }, _) => return,
            (_, Settlement::Retry { delay_told, .. }) => return *delay_told = false,
            (Fate::Here { .. }, _) => (None, "cannot be put into a mailbox now".to_owned()),
            (Fate::Failed { host, reply, .. } | Fate::Deferred { host, reply, .. }, _) => {
                (host.clone(), reply.clone())
            }
        };
        let next_attempt = now + wait_secs(shared, self.recipient);
        self.settlement = Settlement::Retry { next_attempt, reply, host, delay_told: false };
    }

    fn outcome(&self) -> Outcome {
        let here = "in a mailbox here".to_owned();
        let (result, reply) = match (self.fate, &self.settlement) {
            (Fate::Here { .. }, Settlement::Done) => ("delivered", &here),
            (Fate::Delivered { reply, .. }, _) => ("delivered", reply),
            (_, Settlement::Retry { reply, .. }) => ("deferred", reply),
            (Fate::Deferred { reply, .. } | Fate::Failed { reply, .. }, _) => ("failed", reply),
        };
        Outcome {
            recipient: self.recipient.address.to_string(),
            result: result.to_owned(),
            reply: reply.clone(),
        }
    }
}

/// How long a recipient waits until the next attempt.
fn wait_secs(shared: &Shared, recipient: &RecipientRow) -> i64 {
    let waits = &shared.settings.retry_after;
    let wait = waits.get(recipient.attempts as usize).or(waits.last());
    wait.map_or(3600, |wait| wait.as_secs() as i64).max(1)
}

/// What an outcome means for a recipient: gone, tried again, or reported.
fn judge<'a>(
    shared: &Shared,
    row: &QueueRow,
    recipient: &'a RecipientRow,
    fate: &'a Fate,
    now: i64,
) -> Verdict<'a> {
    let verdict = |settlement, finding| Verdict { recipient, fate, settlement, finding };
    let finding = |action, status: &str, host: &Option<String>, reply: &str, retry_until| Finding {
        recipient,
        action,
        status: status.to_owned(),
        host: host.clone(),
        tls: None,
        reply: reply.to_owned(),
        retry_until,
        always: false,
        given_up: false,
    };
    match fate {
        // RFC 3461 §5.2.2: a server without DSN will not report, so we do.
        Fate::Delivered { host, reply, dsn, deliver_by } => {
            let always = tells_of_relay(row, *deliver_by, now);
            let mut relayed = finding(Action::Relayed, "2.0.0", &Some(host.clone()), reply, None);
            relayed.always = always;
            verdict(Settlement::Done, (!dsn || always).then_some(relayed))
        }
        Fate::Here { in_mailbox } => {
            let delivered = || finding(Action::Delivered, "2.1.5", &None, "", None);
            verdict(Settlement::Done, in_mailbox.then(delivered))
        }
        Fate::Failed { status, host, reply } => {
            let failed = finding(Action::Failed, status, host, reply, None);
            verdict(Settlement::Done, Some(failed))
        }
        Fate::Deferred { host, reply, .. } if now >= row.expires || is_too_late(row, now) => {
            let mut late = finding(Action::Failed, "5.4.7", host, reply, None);
            late.given_up = true;
            verdict(Settlement::Done, Some(late))
        }
        Fate::Deferred { status, host, reply } => {
            let notice = row.terms.release(row.arrived)
                + shared.settings.delay_notice_after.as_secs() as i64;
            // RFC 2852 §4.1.3: who named a time hears at that time, and of that.
            let notify_by = row.terms.by.filter(|by| by.mode == ByMode::Notify).map(|by| by.at);
            let tell = !recipient.delay_told && now >= notify_by.unwrap_or(notice);
            let status = if notify_by.is_some() && tell { "4.4.7" } else { status };
            let wakes = row.terms.by.map(|by| by.at).filter(|at| *at > now);
            // The sender hears of a delay when it is time, not at the attempt after that.
            let tells = Some(notice).filter(|at| *at > now && !recipient.delay_told);
            let latest = row.expires.min(wakes.unwrap_or(i64::MAX)).min(tells.unwrap_or(i64::MAX));
            let settlement = Settlement::Retry {
                next_attempt: (now + wait_secs(shared, recipient)).min(latest.max(now + 1)),
                reply: reply.clone(),
                host: host.clone(),
                delay_told: tell,
            };
            let until = Some(row.expires);
            let delayed = tell.then(|| finding(Action::Delayed, status, host, reply, until));
            verdict(settlement, delayed)
        }
    }
}

/// The sender hears of a relay unless it wants to hear nothing. RFC 2852 §4.1.4, §4.1.4.2.
fn tells_of_relay(row: &QueueRow, deliver_by: bool, now: i64) -> bool {
    let unheard = |by: DeliverBy| by.mode == ByMode::Notify && !deliver_by && now < by.at;
    row.terms.by.is_some_and(|by| by.trace || unheard(by))
}
