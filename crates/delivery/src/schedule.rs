//! The schedule of attempts: which queue rows are due, one lane of connections per destination, and
//! what is written down after each attempt. RFC 5321 §4.5.4.1.
//!
//! Invariant: a (message, destination) pair is in flight at most once; its rows are settled in one
//! commit, together with any report about them.

use crate::bounce::{self, Finding};
use crate::journey::{Outcome, Step};
use crate::limits::{
    CONNECTIONS_MAX, CONNECTIONS_PER_DESTINATION, DUE_AT_ONCE, IDLE_CONNECTION, LOOK_AGAIN,
};
use crate::remote::{Attempt, Connection, Fate, attempt};
use crate::{Delivery, Shared, release};
use mail::report::dsn::Action;
use mail::{Domain, MessageId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{ByMode, DeliverBy, DueGroup, QueueRow, RecipientRow, Settlement, StoreError};
use tokio::sync::{Notify, watch};

/// Runs the attempts.
pub struct Scheduler {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// A job is finished, or there is a new one in some lane.
    moved: Notify,
}

#[derive(Default)]
struct State {
    lanes: HashMap<Domain, Lane>,
    in_flight: HashSet<(MessageId, Domain)>,
    connections: usize,
}

#[derive(Default)]
struct Lane {
    jobs: VecDeque<Job>,
    workers: usize,
}

impl Lane {
    /// RFC 6710 §5: the more urgent first, and among equals who came first.
    fn add(&mut self, job: Job) {
        let place = self.jobs.iter().rposition(|other| other.priority >= job.priority);
        self.jobs.insert(place.map_or(0, |at| at + 1), job);
    }
}

/// Recipients of one message at one destination.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub message: MessageId,
    pub domain: Domain,
    pub recipients: Vec<u32>,
    /// MT-PRIORITY
    pub priority: i8,
}

impl Scheduler {
    /// A scheduler of `delivery`'s queue.
    pub fn new(delivery: &Delivery) -> Arc<Scheduler> {
        Arc::new(Scheduler {
            shared: delivery.shared.clone(),
            state: Mutex::default(),
            moved: Notify::new(),
        })
    }

    /// Runs until `shutdown`; attempts under way are then cut short, their rows stay queued.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut queue = self.shared.store.queue_watch();
        let mut again = tokio::time::Instant::now();
        loop {
            if self.state().in_flight.len() >= CONNECTIONS_PER_DESTINATION {
                tokio::time::sleep_until(again).await;
            }
            again = tokio::time::Instant::now() + LOOK_AGAIN;
            queue.borrow_and_update();
            let wait = match self.dispatch() {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "cannot read the queue");
                    Duration::from_secs(10)
                }
            };
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|down| *down) => return,
                changed = queue.changed() => if changed.is_err() { return },
                () = self.moved.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Gives due rows to their lanes; returns how long until the next one is due.
    fn dispatch(self: &Arc<Self>) -> Result<Duration, StoreError> {
        let now = self.shared.world.clock.unix_seconds();
        let flying = self.state().in_flight.len();
        if flying < DUE_AT_ONCE {
            let due = self.shared.store.queue_due(now, flying + DUE_AT_ONCE)?;
            for DueGroup { message, domain, recipients, priority } in due {
                self.enqueue(Job { message, domain, recipients, priority });
            }
        }
        let next = self.shared.store.queue_next(now)?;
        let wait = next.map_or(3600, |next| (next - now).clamp(1, 3600));
        Ok(Duration::from_secs(wait as u64))
    }

    fn enqueue(self: &Arc<Self>, job: Job) {
        let mut state = self.state();
        if !state.in_flight.insert((job.message, job.domain.clone())) {
            return;
        }
        let domain = job.domain.clone();
        let free = CONNECTIONS_MAX.saturating_sub(state.connections);
        let lane = state.lanes.entry(domain.clone()).or_default();
        lane.add(job);
        // An idle worker would take the job too; one more connection is the price of not asking.
        if lane.workers < CONNECTIONS_PER_DESTINATION.min(lane.jobs.len()) && free > 0 {
            lane.workers += 1;
            state.connections += 1;
            tokio::spawn(self.clone().work(domain));
        }
        drop(state);
        self.moved.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection's worth of work: jobs of one lane, until there are none for a while.
    async fn work(self: Arc<Self>, domain: Domain) {
        let _leaves = Leaves { scheduler: self.clone(), domain: domain.clone() };
        let mut connection = None;
        while let Some(job) = self.next_job(&domain).await {
            let _flight = Flight { scheduler: self.clone(), job: job.clone() };
            if let Err(error) = self.perform(&job, &mut connection).await {
                tracing::error!(id = %job.message, %error, "cannot settle an attempt");
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
        if let Some(connection) = connection {
            connection.quit().await;
        }
    }

    async fn next_job(&self, domain: &Domain) -> Option<Job> {
        let deadline = tokio::time::Instant::now() + IDLE_CONNECTION;
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let job = self.state().lanes.get_mut(domain).and_then(|lane| lane.jobs.pop_front());
            if job.is_some() {
                return job;
            }
            tokio::time::timeout_at(deadline, moved).await.ok()?;
        }
    }

    /// Attempts a job and writes down what became of it.
    async fn perform(
        &self,
        job: &Job,
        connection: &mut Option<Connection>,
    ) -> Result<(), StoreError> {
        let Some(row) = self.shared.store.queue_get(job.message)? else { return Ok(()) };
        let start = self.shared.world.clock.unix_millis();
        let wanted = |r: &&RecipientRow| job.recipients.contains(&r.n) && !r.held;
        let recipients: Vec<&RecipientRow> = row.recipients.iter().filter(wanted).collect();
        if recipients.is_empty() {
            return Ok(());
        }
        if is_too_late(&row, start.div_euclid(1000)) {
            let tried = Attempt { fates: too_late(&recipients), ..Attempt::default() };
            return settle(&self.shared, &row, &job.domain, start, tried).await;
        }
        if release::is_ours(&self.shared, &row, &recipients)? {
            let tried = release::release(&self.shared, &row, &recipients).await;
            return settle(&self.shared, &row, &job.domain, start, tried).await;
        }
        let tried = attempt(&self.shared, &job.domain, &row, &recipients, connection).await;
        if tried.unreachable {
            self.defer_lane(&job.domain, &tried).await?;
        }
        settle(&self.shared, &row, &job.domain, start, tried).await
    }

    /// Nobody answers there: what waits for the same destination need not find out one by one.
    async fn defer_lane(&self, domain: &Domain, tried: &Attempt) -> Result<(), StoreError> {
        let jobs = match self.state().lanes.get_mut(domain) {
            Some(lane) => std::mem::take(&mut lane.jobs),
            None => return Ok(()),
        };
        let Some((_, fate)) = tried.fates.first().cloned() else { return Ok(()) };
        for job in jobs {
            let now = self.shared.world.clock.unix_millis();
            let fates = job.recipients.iter().map(|n| (*n, fate.clone())).collect();
            let same = Attempt { fates, dns: tried.dns.clone(), ..Attempt::default() };
            let row = self.shared.store.queue_get(job.message)?;
            if let Some(row) = row {
                settle(&self.shared, &row, domain, now, same).await?;
            }
            self.landed(&job);
        }
        Ok(())
    }

    /// The job is not in flight any more.
    fn landed(&self, job: &Job) {
        self.state().in_flight.remove(&(job.message, job.domain.clone()));
    }
}

/// Takes a job out of flight when its worker is done with it, however that ends.
struct Flight {
    scheduler: Arc<Scheduler>,
    job: Job,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.scheduler.landed(&self.job);
        if self.scheduler.state().in_flight.len() < DUE_AT_ONCE / 2 {
            self.scheduler.moved.notify_one();
        }
    }
}

/// Counts a worker out when it ends, however that is.
struct Leaves {
    scheduler: Arc<Scheduler>,
    domain: Domain,
}

impl Drop for Leaves {
    fn drop(&mut self) {
        let mut state = self.scheduler.state();
        state.connections = state.connections.saturating_sub(1);
        let Some(lane) = state.lanes.get_mut(&self.domain) else { return };
        lane.workers = lane.workers.saturating_sub(1);
        if lane.workers == 0 {
            // Jobs that came while the last worker left are found again as due.
            let left = state.lanes.remove(&self.domain).map(|lane| lane.jobs).unwrap_or_default();
            for job in &left {
                state.in_flight.remove(&(job.message, job.domain.clone()));
            }
            drop(state);
            if !left.is_empty() {
                self.scheduler.moved.notify_one();
            }
        }
    }
}

/// Writes down what became of an attempt: the rows, the journey, and a report if one is due, in
/// one commit.
async fn settle(
    shared: &Shared,
    row: &QueueRow,
    domain: &Domain,
    start: i64,
    tried: Attempt,
) -> Result<(), StoreError> {
    let end = shared.world.clock.unix_millis();
    let now = end.div_euclid(1000);
    let mut verdicts = Vec::new();
    let mut findings = Vec::new();
    let mut outcomes = Vec::new();
    for (n, fate) in &tried.fates {
        let Some(recipient) = row.recipients.iter().find(|r| r.n == *n) else { continue };
        let verdict = judge(shared, row, recipient, fate, now);
        outcomes.push(outcome(recipient, fate, &verdict.settlement));
        verdicts.push((*n, verdict.settlement));
        findings.extend(verdict.finding);
    }
    for outcome in &outcomes {
        let Outcome { recipient, result, reply } = outcome;
        tracing::info!(id = %row.message, %recipient, %result, %reply, "relay");
    }
    let step = Step::Attempt {
        at: end,
        took: end - start,
        domain: domain.to_string(),
        dns: tried.dns,
        host: tried.host,
        tls: tried.tls.as_ref().map(crate::journey::describe_tls),
        dialogue: tried.dialogue.lines,
        outcomes,
    };
    let mut steps = vec![step.encode()];
    let made = match bounce::report(shared, row, &findings).await {
        Ok(made) => made,
        Err(error) => return Err(StoreError::Engine(format!("cannot write a report: {error}"))),
    };
    let mut deliveries: Vec<store::Delivery> = tried.here.into_iter().collect();
    if let Some(made) = made {
        tracing::info!(id = %row.message, report = %made.delivery.message, "report");
        steps.push(made.step.encode());
        deliveries.push(made.delivery);
    }
    let message = row.message;
    let write = move |w: &mut store::Writing<'_>| {
        for (n, settlement) in &verdicts {
            store::settle(w, message, *n, settlement)?;
        }
        steps.iter().try_for_each(|step| w.add_journey(message, step))
    };
    shared.store.deliver_and(deliveries, write).await.map(drop)
}

/// It is to come back when it is late, and it is. RFC 2852 §4.1.3.
fn is_too_late(row: &QueueRow, now: i64) -> bool {
    row.terms.by.is_some_and(|by| by.mode == ByMode::Return && now >= by.at)
}

fn too_late(recipients: &[&RecipientRow]) -> Vec<(u32, Fate)> {
    let (status, reply) = ("5.4.7".to_owned(), "delivery time expired".to_owned());
    let fate = Fate::Failed { status, host: None, reply };
    recipients.iter().map(|r| (r.n, fate.clone())).collect()
}

struct Verdict<'a> {
    settlement: Settlement,
    finding: Option<Finding<'a>>,
}

/// What an outcome means for a recipient: gone, tried again, or reported.
fn judge<'a>(
    shared: &Shared,
    row: &QueueRow,
    recipient: &'a RecipientRow,
    fate: &Fate,
    now: i64,
) -> Verdict<'a> {
    let finding = |action, status: &str, host: &Option<String>, reply: &str, retry_until| Finding {
        recipient,
        action,
        status: status.to_owned(),
        host: host.clone(),
        reply: reply.to_owned(),
        retry_until,
        always: false,
    };
    match fate {
        // RFC 3461 §5.2.2: a server without DSN will not report, so we do.
        Fate::Delivered { host, reply, dsn, deliver_by } => {
            let always = tells_of_relay(row, *deliver_by, now);
            let mut relayed = finding(Action::Relayed, "2.0.0", &Some(host.clone()), reply, None);
            relayed.always = always;
            let finding = (!dsn || always).then_some(relayed);
            Verdict { settlement: Settlement::Done, finding }
        }
        Fate::Here { in_mailbox } => Verdict {
            settlement: Settlement::Done,
            finding: in_mailbox.then(|| finding(Action::Delivered, "2.1.5", &None, "", None)),
        },
        Fate::Failed { status, host, reply } => Verdict {
            settlement: Settlement::Done,
            finding: Some(finding(Action::Failed, status, host, reply, None)),
        },
        Fate::Deferred { host, reply, .. } if now >= row.expires || is_too_late(row, now) => {
            let reply = format!("given up after all this time; last: {reply}");
            Verdict {
                settlement: Settlement::Done,
                finding: Some(finding(Action::Failed, "5.4.7", host, &reply, None)),
            }
        }
        Fate::Deferred { status, host, reply } => {
            let waits = &shared.settings.retry_after;
            let wait = waits.get(recipient.attempts as usize).or(waits.last());
            let wait = wait.map_or(3600, |wait| wait.as_secs() as i64).max(1);
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
                next_attempt: (now + wait).min(latest.max(now + 1)),
                reply: reply.clone(),
                host: host.clone(),
                delay_told: tell,
            };
            let until = Some(row.expires);
            let delayed = tell.then(|| finding(Action::Delayed, status, host, reply, until));
            Verdict { settlement, finding: delayed }
        }
    }
}

/// The sender hears of a relay unless it wants to hear nothing. RFC 2852 §4.1.4, §4.1.4.2.
fn tells_of_relay(row: &QueueRow, deliver_by: bool, now: i64) -> bool {
    let unheard = |by: DeliverBy| by.mode == ByMode::Notify && !deliver_by && now < by.at;
    row.terms.by.is_some_and(|by| by.trace || unheard(by))
}

fn outcome(recipient: &RecipientRow, fate: &Fate, settlement: &Settlement) -> Outcome {
    let here = "in a mailbox here".to_owned();
    let (result, reply) = match (fate, settlement) {
        (Fate::Here { .. }, _) => ("delivered", &here),
        (Fate::Delivered { reply, .. }, _) => ("delivered", reply),
        (Fate::Deferred { reply, .. }, Settlement::Retry { .. }) => ("deferred", reply),
        (Fate::Deferred { reply, .. } | Fate::Failed { reply, .. }, _) => ("failed", reply),
    };
    Outcome {
        recipient: recipient.address.to_string(),
        result: result.to_owned(),
        reply: reply.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_urgent_go_first_and_equals_in_the_order_they_came() {
        let mut lane = Lane::default();
        for (n, priority) in [0, -3, 6, 0, 6, -9, 9].into_iter().enumerate() {
            lane.add(Job {
                message: MessageId::from_u64(n as u64),
                domain: Domain::parse("example.net").unwrap(),
                recipients: vec![0],
                priority,
            });
        }
        let order: Vec<u64> = lane.jobs.iter().map(|job| job.message.as_u64()).collect();
        assert_eq!(order, [6, 2, 4, 0, 3, 1, 5]);
    }
}
