//! The schedule of attempts: which queue rows are due, and a lane of connections per destination.
//! RFC 5321 §4.5.4.1.
//!
//! Invariant: a (message, destination) pair is in flight at most once, and until what became of it
//! is written down.

use crate::limits::{
    ATTEMPTS_MAX, CONNECTIONS_PER_DESTINATION, DUE_AT_ONCE, IDLE_CONNECTION, IN_HAND_MAX,
    IN_HAND_PER_DESTINATION, LOOK_AGAIN, LOOK_AGAIN_TIMES, LOOKS_AT_ONCE, MESSAGES_PER_TURN,
    WRITE_AGAIN,
};
use crate::remote::{Attempt, Connection, Fate, attempt};
use crate::settle::{is_too_late, settle};
use crate::slots::{Slot, share};
use crate::{Delivery, Shared, release};
use mail::{Domain, MessageId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::txn::Due;
use store::{DueGroup, Health, RecipientRow, StoreError};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Runs the attempts.
pub struct Scheduler {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// There is a new job in some lane.
    added: Notify,
    /// A job is finished, or a worker has left: there is room for more.
    room: Notify,
}

#[derive(Default)]
struct State {
    lanes: HashMap<Domain, Lane>,
    /// Messages in hand, of all lanes.
    in_hand: usize,
    workers: usize,
    /// Lanes that got no worker, since all were busy.
    unstaffed: VecDeque<Domain>,
}

/// A lane is there as long as it has jobs or workers.
#[derive(Default)]
struct Lane {
    jobs: VecDeque<Job>,
    workers: usize,
    /// Whose jobs wait or are under way.
    in_hand: HashSet<MessageId>,
}

impl State {
    /// A job for this message may not be added to that lane.
    fn is_full_for(&self, domain: &Domain, message: MessageId) -> bool {
        let free = IN_HAND_MAX.saturating_sub(self.in_hand);
        let most = share(IN_HAND_PER_DESTINATION, free, IN_HAND_MAX);
        match self.lanes.get(domain) {
            Some(lane) => lane.in_hand.contains(&message) || lane.in_hand.len() >= most,
            None => most == 0,
        }
    }

    /// Counts one more worker in, if it is due in that lane.
    fn takes_worker(&mut self, domain: &Domain) -> bool {
        let free = ATTEMPTS_MAX.saturating_sub(self.workers);
        let most = share(CONNECTIONS_PER_DESTINATION, free, ATTEMPTS_MAX);
        let Some(lane) = self.lanes.get_mut(domain) else { return false };
        let takes = lane.workers < most.min(lane.jobs.len());
        lane.workers += usize::from(takes);
        self.workers += usize::from(takes);
        takes
    }

    /// A job is done with.
    fn landed(&mut self, job: &Job) {
        let lane = self.lanes.get_mut(&job.domain);
        self.in_hand -= usize::from(lane.is_some_and(|lane| lane.in_hand.remove(&job.message)));
    }
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
            added: Notify::new(),
            room: Notify::new(),
        })
    }

    /// Runs until `shutdown`; attempts under way are then cut short, their rows stay queued.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut queue = self.shared.store.queue_watch();
        let mut again = Instant::now();
        loop {
            if self.state().in_hand >= CONNECTIONS_PER_DESTINATION {
                tokio::time::sleep_until(again).await;
            }
            let start = Instant::now();
            queue.borrow_and_update();
            let wait = match self.dispatch() {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "cannot read the queue");
                    Duration::from_secs(10)
                }
            };
            again = start + LOOK_AGAIN.max(start.elapsed() * LOOK_AGAIN_TIMES);
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|down| *down) => return,
                changed = queue.changed() => if changed.is_err() { return },
                () = self.room.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Gives due rows to their lanes; returns how long until the next one is due.
    fn dispatch(self: &Arc<Self>) -> Result<Duration, StoreError> {
        // What became of an attempt could not be written down.
        if matches!(self.shared.store.health(), Health::Failed(_)) {
            return Ok(Duration::from_secs(3600));
        }
        let now = self.shared.world.clock.unix_seconds();
        self.staff();
        let mut looks = 0;
        loop {
            let wanted = |due: &Due| !self.state().is_full_for(&due.domain, due.message);
            let due = self.shared.store.queue_due(now, DUE_AT_ONCE, wanted)?;
            let found: usize = due.iter().map(|group| group.recipients.len()).sum();
            for DueGroup { message, domain, recipients, priority } in due {
                self.enqueue(Job { message, domain, recipients, priority });
            }
            if found < DUE_AT_ONCE {
                break;
            }
            // What there is no room for may have hidden what there is room for.
            looks += 1;
            if looks == LOOKS_AT_ONCE {
                return Ok(LOOK_AGAIN);
            }
        }
        let next = self.shared.store.queue_next(now)?;
        let wait = next.map_or(3600, |next| (next - now).clamp(1, 3600));
        Ok(Duration::from_secs(wait as u64))
    }

    /// Workers for lanes that have none.
    fn staff(self: &Arc<Self>) {
        let mut state = self.state();
        while state.workers < ATTEMPTS_MAX {
            let Some(domain) = state.unstaffed.pop_front() else { return };
            if state.takes_worker(&domain) {
                tokio::spawn(self.clone().work(domain));
            }
        }
    }

    fn enqueue(self: &Arc<Self>, job: Job) {
        let mut state = self.state();
        if state.is_full_for(&job.domain, job.message) {
            return;
        }
        state.in_hand += 1;
        let domain = job.domain.clone();
        let lane = state.lanes.entry(domain.clone()).or_default();
        lane.in_hand.insert(job.message);
        lane.add(job);
        let is_new = lane.workers == 0 && lane.jobs.len() == 1;
        // An idle worker would take the job too; one more is the price of not asking.
        if state.takes_worker(&domain) {
            tokio::spawn(self.clone().work(domain));
        } else if is_new {
            state.unstaffed.push_back(domain);
        }
        drop(state);
        self.added.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection's worth of work: jobs of one lane, until there are none for a while.
    async fn work(self: Arc<Self>, domain: Domain) {
        let _leaves = Leaves { scheduler: self.clone(), domain: domain.clone() };
        let mut connection: Option<Connection> = None;
        while let Some(job) = self.next_job(&domain, connection.as_ref().map(|c| &c.slot)).await {
            let _flight = Flight { scheduler: self.clone(), job: job.clone() };
            if let Err(error) = self.perform(&job, &mut connection).await {
                tracing::error!(id = %job.message, %error, "cannot read a message of the queue");
                tokio::time::sleep(WRITE_AGAIN).await;
            }
            let had_its_turn =
                |c: &mut Connection| c.sent >= MESSAGES_PER_TURN && c.slot.is_wanted();
            if let Some(connection) = connection.take_if(had_its_turn) {
                connection.quit().await;
            }
        }
        if let Some(connection) = connection {
            connection.quit().await;
        }
    }

    /// The lane's next job, if one comes before others want the connection.
    async fn next_job(&self, domain: &Domain, slot: Option<&Slot>) -> Option<Job> {
        let deadline = Instant::now() + IDLE_CONNECTION;
        loop {
            let (added, wanted) = (self.added.notified(), self.shared.slots.wanted());
            tokio::pin!(added, wanted);
            added.as_mut().enable();
            wanted.as_mut().enable();
            let job = self.state().lanes.get_mut(domain).and_then(|lane| lane.jobs.pop_front());
            if job.is_some() {
                return job;
            }
            if slot.is_none_or(Slot::is_wanted) {
                return None;
            }
            tokio::select! {
                biased;
                () = added => {}
                () = wanted => {}
                () = tokio::time::sleep_until(deadline) => return None,
            }
        }
    }

    /// Attempts a job and writes down what became of it.
    async fn perform(
        self: &Arc<Self>,
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
            settle(&self.shared, &row, &job.domain, start, tried).await;
            return Ok(());
        }
        if release::is_ours(&self.shared, &row, &recipients)? {
            let tried = release::release(&self.shared, &row, &recipients).await;
            settle(&self.shared, &row, &job.domain, start, tried).await;
            return Ok(());
        }
        let tried = attempt(&self.shared, &job.domain, &row, &recipients, connection).await;
        let others = match tried.unreachable {
            true => self.defer_lane(&job.domain, &tried).await,
            false => Ok(()),
        };
        settle(&self.shared, &row, &job.domain, start, tried).await;
        others
    }

    /// Nobody answers there: what waits for the same destination need not find out one by one.
    async fn defer_lane(
        self: &Arc<Self>,
        domain: &Domain,
        tried: &Attempt,
    ) -> Result<(), StoreError> {
        let jobs = match self.state().lanes.get_mut(domain) {
            Some(lane) => std::mem::take(&mut lane.jobs),
            None => return Ok(()),
        };
        let flight = |job| Flight { scheduler: self.clone(), job };
        let flights: Vec<Flight> = jobs.into_iter().map(flight).collect();
        let Some((_, fate)) = tried.fates.first().cloned() else { return Ok(()) };
        for flight in flights {
            let job = &flight.job;
            let now = self.shared.world.clock.unix_millis();
            let fates = job.recipients.iter().map(|n| (*n, fate.clone())).collect();
            let same = Attempt { fates, dns: tried.dns.clone(), ..Attempt::default() };
            if let Some(row) = self.shared.store.queue_get(job.message)? {
                settle(&self.shared, &row, domain, now, same).await;
            }
        }
        Ok(())
    }
}

/// Takes a job out of flight when its worker is done with it, however that ends.
struct Flight {
    scheduler: Arc<Scheduler>,
    job: Job,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.scheduler.state().landed(&self.job);
        self.scheduler.room.notify_one();
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
        state.workers -= 1;
        let Some(lane) = state.lanes.get_mut(&self.domain) else { return };
        lane.workers -= 1;
        match (lane.workers, lane.jobs.is_empty()) {
            (0, true) => drop(state.lanes.remove(&self.domain)),
            // They came while the last worker left.
            (0, false) => state.unstaffed.push_back(self.domain.clone()),
            _ => {}
        }
        drop(state);
        self.scheduler.room.notify_one();
    }
}

fn too_late(recipients: &[&RecipientRow]) -> Vec<(u32, Fate)> {
    let (status, reply) = ("5.4.7".to_owned(), "delivery time expired".to_owned());
    let fate = Fate::Failed { status, host: None, reply };
    recipients.iter().map(|r| (r.n, fate.clone())).collect()
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
