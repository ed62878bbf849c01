//! The one writer: group commit with one sync.
//!
//! A batch is whatever waits; it forms while the last one is being synced, so there is no timer.
//! - A batch of deliveries only: records to the segment, `fdatasync` of the segment (the durability
//!   point), answers, commit of the rows without a sync. Who looks waits for the rows (`gate.rs`).
//! - A batch with any other write: its records say that the rows decide, the segment is synced,
//!   then the commit is synced, which makes all earlier rows durable too.
//!
//! So a power cut takes nothing but rows of deliveries, and those are in the segments
//! (`recover.rs`). Watchers hear of a batch only after all of it, and so do the callers of all
//! writes but deliveries.

use crate::delivery::{self, Delivered, Delivery, Moving};
use crate::error::{Result, StoreError};
use crate::known::Known;
use crate::limits::{BATCH_JOBS_MAX, BATCH_OCTETS_MAX, JOURNEY_DAYS};
use crate::record::Kind;
use crate::rows::ContentRow;
use crate::segment::{Put, Tail};
use crate::txn::Durability;
use crate::unit::Unit;
use crate::view::Views;
use crate::write::{Changes, Writing};
use mail::MessageId;
use std::any::Any;
use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use sys::clock::Clock;
use sys::hands::{Turn, Worker};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

/// What a write closure gives back, whatever its type.
pub(crate) type Given = Box<dyn Any + Send>;
pub(crate) type Work = Box<dyn FnOnce(&mut Writing<'_>) -> Result<Given> + Send>;
type Answer = Result<(Vec<Delivered>, Option<Given>)>;

/// Something to be written in one commit, all of it or nothing.
pub(crate) struct Job {
    pub deliveries: Vec<Delivery>,
    pub moves: Vec<Moving>,
    pub work: Option<Work>,
    pub reply: oneshot::Sender<Answer>,
    pub permit: Option<OwnedSemaphorePermit>,
}

impl Job {
    /// It does more than the segments could repeat.
    fn needs_rows(&self) -> bool {
        self.work.is_some()
            || !self.moves.is_empty()
            || self.deliveries.iter().any(Delivery::is_annotated)
    }
}

pub(crate) enum Message {
    Job(Box<Job>),
    Stop,
}

/// How the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Well.
    Fine,
    /// Too little room for new messages; deleting works.
    Full,
    /// Writing failed; nothing is written until the program starts again.
    Failed(String),
}

pub(crate) struct Writer {
    pub unit: Unit,
    pub tail: Tail,
    pub views: Arc<Views>,
    pub known: Arc<Known>,
    pub clock: Arc<dyn Clock>,
    pub health: Arc<Mutex<Health>>,
    pub queue: watch::Sender<u64>,
    pub lessons: watch::Sender<u64>,
    pub min_free_octets: u64,
    pub segment_octets: u64,
    pub two_sync: bool,
    pub learn: bool,
    pub deliveries: u64,
    pub room: Room,
    pub jobs: Receiver<Message>,
    pub stopping: bool,
}

/// How much room there was when it was last looked, and what was written since. Looking is dear.
#[derive(Default)]
pub(crate) struct Room {
    looked: Option<(Duration, u64)>,
    written: u64,
}

impl Room {
    /// How long a look is believed.
    const BELIEVED: Duration = Duration::from_millis(500);

    /// There is room for so many octets more, and `reserve` stays free.
    fn holds(&mut self, wanted: u64, tail: &Tail, clock: &dyn Clock, reserve: u64) -> bool {
        let now = clock.monotonic();
        self.written = self.written.saturating_add(wanted);
        if let Some((when, room)) = self.looked
            && now.saturating_sub(when) < Room::BELIEVED
            // Rows take room as well: a quarter of what there was may be written without a look.
            && self.written < room.saturating_sub(reserve) / 4
        {
            return true;
        }
        let room = tail.available().unwrap_or(u64::MAX);
        (self.looked, self.written) = (Some((now, room)), 0);
        room >= reserve.saturating_add(wanted)
    }

    /// The rows of a batch will find room, as far as can be told.
    fn is_ample(&self, reserve: u64) -> bool {
        let left = self.looked.map_or(0, |(_, room)| room.saturating_sub(self.written));
        left >= reserve.saturating_add(AMPLE_OCTETS)
    }
}

/// So much more room than has to stay free is enough for the rows of any batch.
const AMPLE_OCTETS: u64 = 64 << 20;

/// A job that is carried out but not yet committed.
struct Done {
    reply: oneshot::Sender<Answer>,
    given: (Vec<Delivered>, Option<Given>),
    _permit: Option<OwnedSemaphorePermit>,
}

impl Worker for Writer {
    fn turn(&mut self, patient: bool) -> Turn {
        let next = match (self.stopping, patient) {
            (true, _) => Err(TryRecvError::Disconnected),
            (false, true) => self.jobs.recv().map_err(|_| TryRecvError::Disconnected),
            (false, false) => self.jobs.try_recv(),
        };
        match next {
            Ok(Message::Job(first)) => {
                let batch = self.gather(*first);
                self.batch(batch);
                Turn::Worked
            }
            Err(TryRecvError::Empty) => Turn::Idle,
            Ok(Message::Stop) | Err(TryRecvError::Disconnected) => {
                self.end();
                Turn::Over
            }
        }
    }
}

impl Writer {
    /// What waits, as much of it as a batch may have, `first` first.
    fn gather(&mut self, first: Job) -> Vec<Job> {
        let mut octets = octets_of(&first);
        let mut batch = vec![first];
        while batch.len() < BATCH_JOBS_MAX && octets < BATCH_OCTETS_MAX {
            match self.jobs.try_recv() {
                Ok(Message::Job(job)) => {
                    octets += octets_of(&job);
                    batch.push(*job);
                }
                Ok(Message::Stop) => {
                    self.stopping = true;
                    break;
                }
                Err(_) => break,
            }
        }
        batch
    }

    /// Leaves everything in order.
    fn end(&mut self) {
        if let Err(error) = self.unit.tidy(true) {
            tracing::warn!(%error, "could not tidy the database at the end");
        }
        if let Err(error) = self.tail.seal() {
            tracing::warn!(%error, "could not cut off what was made ready");
        }
    }

    fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_health(&self, health: Health) {
        let mut slot = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if *slot != health && !matches!(*slot, Health::Failed(_)) {
            match &health {
                Health::Fine => tracing::info!("the store has room again"),
                Health::Full => tracing::error!("the disk is nearly full: no new messages"),
                Health::Failed(why) => tracing::error!(why, "the store stopped writing"),
            }
            *slot = health;
        }
    }

    /// Carries out a batch: answers everything in it.
    fn batch(&mut self, batch: Vec<Job>) {
        if let Health::Failed(why) = self.health() {
            return refuse(batch, &StoreError::Failed(why));
        }
        let batch = self.refuse_when_full(batch);
        let synced = self.two_sync || batch.iter().any(Job::needs_rows);
        let durability = if synced { Durability::Synced } else { Durability::Replayable };
        let start = self.tail.end;
        if let Err(error) = self.unit.begin(durability) {
            return refuse(batch, &error);
        }
        let kind = if synced { Kind::RowsDecide } else { Kind::Replay };
        let mut changes = Changes::default();
        let mut done = Vec::with_capacity(batch.len());
        let mut trouble = None;
        for job in batch {
            if let Some(error) = &trouble {
                refuse(vec![job], error);
                continue;
            }
            match self.carry_out(job, kind, &mut changes, &mut done) {
                Ok(()) => {}
                Err(error) => trouble = Some(error),
            }
        }
        if let Some(error) = trouble {
            return self.undo(start, done, error);
        }
        if done.is_empty() {
            // Each job was refused, and is answered: there is nothing to keep.
            return self.unit.rollback();
        }
        if let Err(error) = self.make_durable() {
            return self.undo(start, done, error);
        }
        if !synced && self.room.is_ample(self.min_free_octets) {
            let views = self.views.clone();
            let shut = views.gate.shut();
            self.answer(done);
            // An error here stops the store, and the rows are made anew at the next start.
            match self.unit.commit() {
                Ok(()) => self.announce(changes),
                Err(error) => {
                    self.commit_failed(error, true);
                    self.unit.rollback();
                }
            }
            drop(shut);
            return self.tidy();
        }
        match self.unit.commit() {
            Ok(()) => {
                self.announce(changes);
                self.answer(done);
                self.tidy();
            }
            Err(error) => {
                let error = self.commit_failed(error, false);
                self.undo(start, done, error);
            }
        }
    }

    /// Too little room: deliveries are refused, everything else goes on.
    fn refuse_when_full(&mut self, batch: Vec<Job>) -> Vec<Job> {
        if batch.iter().all(|job| job.deliveries.is_empty()) {
            return batch;
        }
        let wanted: u64 = batch.iter().map(octets_of).sum();
        if self.room.holds(wanted, &self.tail, &*self.clock, self.min_free_octets) {
            self.set_health(Health::Fine);
            return batch;
        }
        self.set_health(Health::Full);
        let (large, rest): (Vec<Job>, Vec<Job>) =
            batch.into_iter().partition(|job| !job.deliveries.is_empty());
        refuse(large, &StoreError::Full);
        rest
    }

    /// One job within the transaction. An error here is the batch's; the job's own errors are
    /// answered at once and leave no trace.
    fn carry_out(
        &mut self,
        job: Job,
        kind: Kind,
        changes: &mut Changes,
        done: &mut Vec<Done>,
    ) -> Result<()> {
        let Job { deliveries, moves, work, reply, permit } = job;
        self.unit.job_begin();
        let mark = self.tail.end;
        let mut own = Changes::default();
        let result = self.perform(&deliveries, work, kind, &mut own);
        let result = result.and_then(|given| self.move_all(&moves).map(|()| given));
        match result {
            Ok(given) => {
                self.unit.job_keep()?;
                changes.absorb(own);
                done.push(Done { reply, given, _permit: permit });
                Ok(())
            }
            Err(error) if self.tail.end == mark => {
                self.unit.job_undo()?;
                let _ = reply.send(Err(error));
                Ok(())
            }
            // Something of it is in the segment already: the batch has to be cut off.
            Err(error) => {
                let _ = reply.send(Err(error.clone()));
                Err(error)
            }
        }
    }

    fn perform(
        &mut self,
        deliveries: &[Delivery],
        work: Option<Work>,
        kind: Kind,
        changes: &mut Changes,
    ) -> Result<(Vec<Delivered>, Option<Given>)> {
        let now = self.clock.unix_seconds();
        let learn = self.learn;
        let mut w = Writing { unit: &mut self.unit, changes, now, learn };
        // Rows first: whatever can be refused is refused before a byte is written.
        let mut entered = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            entered.push(delivery::enter(&mut w, delivery)?);
        }
        let given = work.map(|work| work(&mut w)).transpose()?;
        let mut delivered = Vec::with_capacity(deliveries.len());
        for (delivery, (places, header)) in deliveries.iter().zip(entered) {
            let put = self.tail.append(kind, &header, &delivery.content).map_err(full_or_failed)?;
            let mut w = Writing { unit: &mut self.unit, changes, now, learn };
            delivery::enter_content(&mut w, delivery, places.content, put)?;
            delivered.push(places);
        }
        Ok((delivered, given))
    }

    /// Writes bytes anew and lets the rows point there, for messages that are still where they
    /// were.
    fn move_all(&mut self, moves: &[Moving]) -> Result<()> {
        for Moving { from, header, content } in moves {
            let row = self.unit.content(from.id)?;
            let Some(row) =
                row.filter(|row| (row.segment, row.offset) == (from.segment, from.offset))
            else {
                continue;
            };
            let put = self.tail.append(Kind::RowsDecide, header, content);
            let Put { segment, offset } = put.map_err(full_or_failed)?;
            self.unit.put_content(&ContentRow { segment, offset, ..row }, None)?;
        }
        Ok(())
    }

    /// Writes rows and bytes and syncs the bytes: deliveries are durable after it.
    fn make_durable(&mut self) -> Result<()> {
        if self.deliveries.is_multiple_of(1024) {
            let horizon = self.clock.unix_seconds() - JOURNEY_DAYS * 86_400;
            let before = MessageId::new((horizon.max(0) as u64) * 1000, 0);
            self.unit.write_outside().prune_journeys(before, 4096)?;
        }
        self.unit.write_outside().set_applied(self.tail.number, self.tail.end)?;
        self.unit.flush()?;
        self.tail.flush().map_err(full_or_failed)?;
        if let Err(error) = self.tail.sync() {
            // After a failed sync nobody knows what is on the disk.
            let why = format!("fdatasync of segment {}: {error}", self.tail.number);
            self.set_health(Health::Failed(why.clone()));
            return Err(StoreError::Failed(why));
        }
        Ok(())
    }

    /// What a failed commit means; `answered`: its deliveries are promised already.
    fn commit_failed(&self, error: StoreError, answered: bool) -> StoreError {
        match error {
            // Refused before anything was written; there may be room later.
            StoreError::Full if !answered => error,
            // A sync may have failed inside: nobody knows what is on the disk.
            other => {
                let why = format!("commit: {other}");
                self.set_health(Health::Failed(why.clone()));
                StoreError::Failed(why)
            }
        }
    }

    fn answer(&mut self, done: Vec<Done>) {
        self.deliveries += done.iter().map(|job| job.given.0.len() as u64).sum::<u64>();
        for Done { reply, given, .. } in done {
            let _ = reply.send(Ok(given));
        }
    }

    /// Tells of a commit, in commit order.
    fn announce(&mut self, changes: Changes) {
        if changes.names {
            self.known.forget();
        }
        let (queue, lessons) = (changes.queue, changes.lessons);
        self.views.publish(changes);
        if queue {
            self.queue.send_modify(|n| *n = n.wrapping_add(1));
        }
        if lessons {
            self.lessons.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    /// What can wait until everybody has his answer.
    fn tidy(&mut self) {
        if let Err(error) = self.unit.tidy(false) {
            tracing::warn!(%error, "could not tidy the database");
        }
        if let Err(error) = self.tail.roll(self.segment_octets) {
            tracing::warn!(%error, "could not begin a new segment; going on with the old one");
        }
        if self.room.is_ample(self.min_free_octets)
            && let Err(error) = self.tail.make_ready(self.segment_octets)
        {
            tracing::warn!(%error, "could not make a segment ready");
        }
    }

    /// The batch failed: no trace of it may stay.
    fn undo(&mut self, start: u64, done: Vec<Done>, error: StoreError) {
        self.unit.rollback();
        if let Err(cut) = self.tail.cut(start) {
            self.set_health(Health::Failed(format!("cutting off a failed write: {cut}")));
        }
        if error == StoreError::Full {
            self.set_health(Health::Full);
        }
        for Done { reply, .. } in done {
            let _ = reply.send(Err(error.clone()));
        }
    }
}

fn octets_of(job: &Job) -> u64 {
    let deliveries: u64 = job.deliveries.iter().map(|one| one.content.len() + 1024).sum();
    deliveries + job.moves.iter().map(|one| one.content.len() + 1024).sum::<u64>()
}

fn refuse(batch: Vec<Job>, error: &StoreError) {
    for job in batch {
        let _ = job.reply.send(Err(error.clone()));
    }
}

fn full_or_failed(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Engine(format!("segment: {error}")),
    }
}
