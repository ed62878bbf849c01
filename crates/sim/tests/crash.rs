//! Crash-point enumeration: a workload runs once over a disk and an engine that log everything;
//! then the store is opened on what a crash after each event may leave, many times over, and must
//! look as it did after the last acknowledged operation, or as after the one in flight.
//!
//! `POSTRIDER_SEED=N` runs one seed; `POSTRIDER_CRASHES=N` says how many crashes there are at
//! least.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sim::disk::{Event, Fault, Loss, SimDisk, crash};
use sim::model::Model;
use sim::random::Random;
use sim::workload::{self, Op, apply, picture, prepare};
use sim::world::{SimClock, with_threads};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use store::{Health, Store, StoreError};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn open(model: &Model, disk: &SimDisk, clock: &Arc<SimClock>) -> Result<Store, StoreError> {
    let options = workload::options(Path::new("/data"));
    Store::with_engine(model.engine(), options, with_threads(Arc::new(disk.clone()), clock.clone()))
}

/// A run of a workload without a crash.
struct Run {
    log: Vec<Event>,
    /// How the store looked after so many operations.
    pictures: Vec<String>,
    /// Which of them were deliveries that were accepted: those are promised once their bytes are
    /// synced, before their rows are.
    delivered: Vec<bool>,
}

impl Run {
    /// After so many events the operation in flight is a delivery that may have been answered.
    fn is_promised(&self, events: usize, operation: usize) -> bool {
        let since = self.log.iter().take(events).rev();
        let mut since = since.take_while(|event| !matches!(event, Event::Acknowledged(_)));
        self.delivered.get(operation) == Some(&true)
            && since.any(|event| matches!(event, Event::Sync(_)))
    }
}

async fn run(seed: u64, operations: usize) -> Run {
    let (model, disk, clock) = (Model::new(), SimDisk::default(), Arc::new(SimClock::default()));
    let noting = disk.clone();
    model.on_commit(move |state, durability| noting.note(Event::Commit(state, durability)));
    let store = open(&model, &disk, &clock).unwrap();
    let nothing = picture(&store).await.unwrap();
    prepare(&store).await.unwrap();
    disk.note(Event::Acknowledged(1));
    let mut pictures = vec![nothing, picture(&store).await.unwrap()];
    let mut random = Random::new(seed);
    let (mut accepted, mut delivered) = (0, vec![false; 2]);
    for n in 0..operations {
        let op = Op::random(&mut random);
        let is_accepted = apply(&store, n, &op).await.is_ok();
        accepted += usize::from(is_accepted);
        delivered.push(is_accepted && matches!(op, Op::Deliver { .. }));
        pictures.push(picture(&store).await.unwrap());
        disk.note(Event::Acknowledged(pictures.len() - 1));
    }
    assert!(accepted > operations / 3, "the workload does too little");
    store.close();
    Run { log: disk.log(), pictures, delivered }
}

/// Opens the store on what a crash left, and looks.
async fn survives(run: &Run, events: usize, loss: Loss, random: &mut Random) -> Result<(), String> {
    let wreck = crash(&run.log, events, loss, random);
    let (model, clock) = (Model::with_state(wreck.rows), Arc::new(SimClock::default()));
    let store = open(&model, &wreck.disk, &clock).map_err(|e| format!("does not open: {e}"))?;
    let before = run.pictures.get(wreck.acknowledged).cloned().unwrap_or_default();
    let after = run.pictures.get(wreck.acknowledged + 1);
    let found = picture(&store).await.map_err(|e| format!("cannot be read: {e}"))?;
    let promised = run.is_promised(events, wreck.acknowledged + 1);
    if (found != before || promised) && Some(&found) != after {
        return Err(format!("acknowledged:\n{before}\nfound:\n{found}"));
    }
    // It goes on: what comes next survives a second crash that loses all it may.
    if wreck.acknowledged > 0 && events.is_multiple_of(7) {
        // A refusal right after recovery takes nothing of it back.
        let again = apply(&store, 9_999, &Op::Create { mailbox: 0 }).await;
        if again.is_ok() || picture(&store).await.is_ok_and(|now| now != found) {
            return Err("a refused CREATE changed something".to_owned());
        }
        let op = Op::Deliver { to: vec![0], queue: true, octets: 100 };
        apply(&store, 10_000, &op).await.map_err(|e| format!("does not go on: {e}"))?;
        let expected = picture(&store).await.map_err(|e| e.to_string())?;
        store.close();
        let again = crash_now(&wreck.disk, &model);
        let store = open(&again.1, &again.0, &clock).map_err(|e| e.to_string())?;
        let found = picture(&store).await.map_err(|e| e.to_string())?;
        if found != expected {
            return Err(format!("second crash, expected:\n{expected}\nfound:\n{found}"));
        }
        store.close();
    }
    store.close();
    Ok(())
}

/// Everything that was synced, and the oldest rows that a crash may leave.
fn crash_now(disk: &SimDisk, model: &Model) -> (SimDisk, Model) {
    let rows = model.crash().first().cloned().unwrap_or_default();
    (disk.without_unsynced(), Model::with_state(rows))
}

#[tokio::test]
async fn no_crash_takes_what_was_acknowledged() {
    let wanted = number("POSTRIDER_CRASHES").unwrap_or(20_000);
    let seeds: Vec<u64> = number("POSTRIDER_SEED").map_or((1..=8).collect(), |seed| vec![seed]);
    let mut crashes = 0;
    for seed in &seeds {
        let run = run(*seed, 60).await;
        let points = run.log.len() as u64;
        let variants = (wanted / seeds.len() as u64).div_ceil(points).max(3);
        for events in 0..=run.log.len() {
            for variant in 0..variants {
                let loss = match variant {
                    0 => Loss::All,
                    1 => Loss::Nothing,
                    _ => Loss::Chance,
                };
                let mut random = Random::new(seed ^ (events as u64) << 20 ^ variant << 44);
                crashes += 1;
                if let Err(why) = survives(&run, events, loss, &mut random).await {
                    panic!("seed {seed}, after {events} events, variant {variant}: {why}");
                }
            }
        }
    }
    println!("{crashes} crashes, {} seeds, 0 violations", seeds.len());
    assert!(crashes >= wanted || seeds.len() == 1);
}

/// Each call of the disk fails once, in each of three ways.
#[tokio::test]
async fn after_an_error_nothing_false_is_acknowledged() {
    let (mut faults, mut syncs) = (0, 0);
    for kind in [ErrorKind::Other, ErrorKind::StorageFull, ErrorKind::Interrupted] {
        for seed in 1..=5 {
            for after in 0.. {
                let Some(sync) = one_fault(seed, Fault { after, kind }).await else { break };
                faults += 1;
                syncs += u32::from(sync);
            }
        }
    }
    assert!(faults > 200 && syncs > 50, "{faults} faults, {syncs} of them in a sync");
}

/// Whether a sync failed; `None` when the fault did not come.
async fn one_fault(seed: u64, fault: Fault) -> Option<bool> {
    let (model, disk, clock) = (Model::new(), SimDisk::default(), Arc::new(SimClock::default()));
    let store = open(&model, &disk, &clock).unwrap();
    prepare(&store).await.unwrap();
    disk.fail(fault);
    let mut random = Random::new(seed);
    let mut expected = picture_healthy(&store, &disk).await;
    for n in 0..25 {
        let op = Op::random(&mut random);
        let failed_before = matches!(store.health(), Health::Failed(_));
        let answer = apply(&store, n, &op).await;
        // Refused without a call of the disk, once the writer has tidied up after the other.
        apply(&store, n, &Op::Create { mailbox: 0 }).await.unwrap_err();
        if failed_before {
            assert!(answer.is_err(), "acknowledged after the store failed: {op:?}");
        } else if answer.is_ok() {
            expected = picture_healthy(&store, &disk).await;
        }
    }
    let (came, sync) = (disk.heal(), disk.sync_failed());
    assert_eq!(sync, matches!(store.health(), Health::Failed(_)), "{fault:?}");
    store.close();
    drop(store);
    let (disk, model) = crash_now(&disk, &model);
    let store = open(&model, &disk, &clock).unwrap();
    assert_eq!(picture(&store).await.unwrap(), expected, "seed {seed}, {fault:?}");
    store.close();
    came.then_some(sync)
}

/// The picture, looked at without using up the fault.
async fn picture_healthy(store: &Store, disk: &SimDisk) -> String {
    let fault = disk.pause_fault();
    let seen = picture(store).await.unwrap();
    disk.resume_fault(fault);
    seen
}

/// Each call of the engine fails once: what is refused leaves no trace, what follows works.
#[tokio::test]
async fn a_failing_engine_call_leaves_no_trace() {
    for seed in 1..=3 {
        for after in 0.. {
            let (model, disk, clock) =
                (Model::new(), SimDisk::default(), Arc::new(SimClock::default()));
            let store = open(&model, &disk, &clock).unwrap();
            prepare(&store).await.unwrap();
            let mut random = Random::new(seed);
            for n in 0..10 {
                let _ = apply(&store, n, &Op::random(&mut random)).await;
            }
            let before = picture(&store).await.unwrap();
            model.fail_after(after);
            let op = Op::random(&mut random);
            let answer = apply(&store, 10, &op).await;
            let failed = model.heal().is_none();
            if failed && answer.is_err() {
                assert_eq!(picture(&store).await.unwrap(), before, "{op:?}, call {after}");
            }
            store.close();
            if !failed {
                break;
            }
        }
    }
}
