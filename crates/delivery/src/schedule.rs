//! The schedule of attempts: which queue rows are due, one lane of connections per destination, and
//! what is written down after each attempt. RFC 5321 §4.5.4.1.
//!
//! Invariant: a (message, destination) pair is in flight at most once; its rows are settled in one
//! commit, together with any report about them.

use crate::journey::{Outcome, Step};
use crate::limits::{
    CONNECTIONS_MAX, CONNECTIONS_PER_DESTINATION, DUE_AT_ONCE, IDLE_CONNECTION,
};
use crate::remote::{Attempt, Connection, Fate, attempt};
use crate::{Delivery, Shared, bounce};
use mail::report::dsn::Action;
use mail::{Domain, MessageId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{QueueRow, RecipientRow, Settlement, StoreError};
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

/// Recipients of one message at one destination.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub message: MessageId,
    pub domain: Domain,
    pub recipients: Vec<u32>,
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
        loop {
            queue.borrow_and_update();
            let wait = match self.dispatch().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "cannot read the queue");
                    Duration::from_secs(10)
                }
            };
            tokio::select! {
                _ = shutdown.wait_for(|down| *down) => return,
                changed = queue.changed() => if changed.is_err() { return },
                () = self.moved.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Gives due rows to their lanes; returns how long until the next one is due.
    async fn dispatch(self: &Arc<Self>) -> Result<Duration, StoreError> {
        let now = self.shared.world.clock.unix_seconds();
        let flying = self.state().in_flight.len();
        if flying < DUE_AT_ONCE {
            let due = self.shared.store.queue_due(now, flying + DUE_AT_ONCE).await?;
            for (message, domain, recipients) in due {
                self.enqueue(Job { message, domain, recipients });
            }
        }
        let next = self.shared.store.queue_next(now).await?;
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
        lane.jobs.push_back(job);
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
                tracing::error!(message = %job.message, %error, "cannot settle an attempt");
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
        let Some(row) = self.shared.store.queue_get(job.message).await? else { return Ok(()) };
        let start = self.shared.world.clock.unix_millis();
        let wanted = |r: &&RecipientRow| job.recipients.contains(&r.n) && r.is_waiting();
        let recipients: Vec<&RecipientRow> = row.recipients.iter().filter(wanted).collect();
        if recipients.is_empty() {
            return Ok(());
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
            let _flight = Flight { scheduler_state: &self.state, moved: &self.moved, job: &job };
            let Some(row) = self.shared.store.queue_get(job.message).await? else { continue };
            let now = self.shared.world.clock.unix_millis();
            let fates = job.recipients.iter().map(|n| (*n, fate.clone())).collect();
            let same = Attempt { fates, dns: tried.dns.clone(), ..Attempt::default() };
            settle(&self.shared, &row, domain, now, same).await?;
        }
        Ok(())
    }
}
