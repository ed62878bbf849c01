//! Backups of a store that works: each is of one moment, also when one was broken off; and what a
//! restore may not give out again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mail::{Address, MailboxName};
use sim::random::Random;
use sim::workload::{Op, account, apply, options, picture, prepare};
use sim::world::{SimClock, with_threads};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::backup::backup;
use store::fsck::fsck;
use store::restore::restore;
use store::{NewAccount, QueueFilter, Store, StoreError};
use sys::disk::RealDisk;

fn folder(name: &str) -> PathBuf {
    let name = format!("postrider-backup-{name}-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn open(folder: &Path) -> Store {
    let clock = Arc::new(SimClock::default());
    Store::open(options(folder), with_threads(Arc::new(RealDisk), clock)).unwrap()
}

fn segments(folder: &Path) -> BTreeSet<PathBuf> {
    let files = std::fs::read_dir(folder.join("segments")).unwrap().flatten();
    files.map(|file| file.path()).collect()
}

/// Checks a copy of a copy, and what a user would see in it.
async fn seen(copied: &Path) -> String {
    let aside = folder("seen");
    backup(copied, &aside, &mut |_, _| {}).unwrap();
    let report = fsck(&aside, false, Arc::new(RealDisk), 1_800_000_000, &mut |_, _| {}).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let store = open(&aside);
    assert_eq!(store.recovered(), store::Recovered::default(), "nothing of a later moment");
    let picture = picture(&store).await.unwrap();
    store.close();
    drop(store);
    std::fs::remove_dir_all(aside).unwrap();
    picture
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_store_that_works_is_of_one_moment() {
    let (data, copied) = (folder("data"), folder("copied"));
    let store = open(&data);
    prepare(&store).await.unwrap();
    let pictures = Arc::new(Mutex::new(vec![picture(&store).await.unwrap()]));
    let stop = Arc::new(AtomicBool::new(false));
    let worker = tokio::spawn({
        let (store, pictures, stop) = (store.clone(), pictures.clone(), stop.clone());
        async move {
            let (mut random, mut n) = (Random::new(7), 0);
            while !stop.load(Ordering::Relaxed) {
                let op = if n % 5 == 4 { Op::KeepHouse } else { Op::random(&mut random) };
                let _ = apply(&store, n, &op).await;
                let seen = picture(&store).await.unwrap();
                pictures.lock().unwrap().push(seen);
                n += 1;
            }
        }
    });
    let (mut missed, mut reused, mut broken, mut last) = (0, 0, 0, String::new());
    for round in 0..16 {
        while pictures.lock().unwrap().len() < (round + 1) * 40 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let before = pictures.lock().unwrap().len() - 1;
        let named = segments(&data);
        let (mut calls, broken_off) = (0, round % 4 == 3);
        // Others work on while it copies, until a segment is gone that it may want.
        let mut progress = |_, _| {
            calls += 1;
            let gone = || named.iter().any(|path| !path.exists());
            for _ in 0..if calls == 1 { 100 } else { 0 } {
                std::thread::sleep(Duration::from_millis(if gone() { 0 } else { 5 }));
            }
            missed += u32::from(calls == 1 && gone());
            assert!(!broken_off || calls < 2, "broken off");
        };
        let done = catch_unwind(AssertUnwindSafe(|| backup(&data, &copied, &mut progress)));
        let Ok(done) = done else {
            broken += 1;
            assert_eq!(seen(&copied).await, last, "what was there before is as it was");
            continue;
        };
        let done = done.unwrap();
        assert_eq!(done.damaged, Vec::<String>::new());
        reused += u32::from(done.new_octets < done.octets);
        last = seen(&copied).await;
        let pictures = pictures.lock().unwrap();
        let at = pictures.iter().rposition(|picture| *picture == last);
        assert!(at.is_some_and(|at| at >= before), "{at:?} of {before}: {last}");
    }
    assert!(missed > 2 && reused > 4 && broken > 1, "{missed} {reused} {broken}");
    stop.store(true, Ordering::Relaxed);
    worker.await.unwrap();
    store.close();
    drop(store);
    for folder in [data, copied] {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_store_gives_no_number_out_again_and_sends_nothing_by_itself() {
    let (data, copied, restored) = (folder("used"), folder("copy"), folder("restored"));
    let store = open(&data);
    prepare(&store).await.unwrap();
    let mut random = Random::new(11);
    for n in 0..200 {
        let _ = apply(&store, n, &Op::random(&mut random)).await;
    }
    for n in 200..203 {
        let op = Op::Deliver { to: vec![0], queue: true, octets: 100 };
        apply(&store, n, &op).await.unwrap();
    }
    // Who looks waits for the rows of what was delivered.
    let then = store.mailboxes(account().0).unwrap();
    backup(&data, &copied, &mut |_, _| {}).unwrap();
    let mut entries = Vec::new();
    for row in &then {
        let listing = store.select(row.id).await.unwrap().listing;
        entries.push(listing.iter().copied().collect::<Vec<_>>());
    }
    let queue = store.queue_list(&QueueFilter::default()).unwrap();
    // What is lost: clients and other servers know of it.
    let mut random = Random::new(12);
    for n in 203..400 {
        let _ = apply(&store, n, &Op::random(&mut random)).await;
    }
    let late = Op::Deliver { to: vec![0], queue: false, octets: 10 };
    apply(&store, 400, &late).await.unwrap();
    let name = MailboxName::new("Late").unwrap();
    let made = store.mailbox_create(account().0, name.clone(), None).await.unwrap().id;
    let lost = store.mailboxes(account().0).unwrap();

    let done = restore(&copied, &restored, &mut |_, _| {}).unwrap();
    assert!(done.held > 2 && done.held == queue.len() as u64);
    let again = restore(&copied, &restored, &mut |_, _| {});
    assert!(matches!(again, Err(StoreError::AlreadyExists(_))), "{again:?}");
    let report = fsck(&restored, false, Arc::new(RealDisk), 1_800_000_000, &mut |_, _| {}).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let store = open(&restored);
    let now = store.mailboxes(account().0).unwrap();
    assert_eq!(now.len(), then.len());
    for ((before, after), entries) in then.iter().zip(&now).zip(entries) {
        assert_eq!((&before.name, before.uidvalidity), (&after.name, after.uidvalidity));
        let listing = store.select(after.id).await.unwrap().listing;
        assert_eq!(listing.len() as usize, entries.len());
        for (before, after) in entries.iter().zip(listing.iter()) {
            assert_eq!(mail::Entry { modseq: before.modseq, ..*after }, *before);
        }
        let Some(lost) = lost.iter().find(|lost| lost.id == before.id) else { continue };
        assert!(after.uidnext > lost.uidnext && after.modseq > lost.modseq);
        assert!(listing.iter().all(|entry| entry.modseq > lost.modseq), "their flags may differ");
        let gone = store.expunged(after.id, lost.modseq).unwrap();
        assert_eq!(gone.first().map(|run| run.0), before.uidnext, "clients forget what came since");
        assert!(gone.last().map(|run| run.1) >= lost.uidnext);
    }
    let held = store.queue_list(&QueueFilter::default()).unwrap();
    let ids = |rows: &[store::QueueRow]| rows.iter().map(|row| row.message).collect::<Vec<_>>();
    assert_eq!(ids(&held), ids(&queue));
    assert!(held.iter().flat_map(|row| &row.recipients).all(|recipient| recipient.held));
    let other = store.mailbox_create(account().0, name, None).await.unwrap().id;
    assert!(other > made, "MAILBOXID {other} was given to another mailbox");
    store.close();
    drop(store);
    for folder in [data, copied, restored] {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_damaged_is_named_and_the_others_are_copied() {
    let (data, copied) = (folder("hurt"), folder("hurt-copy"));
    let store = open(&data);
    prepare(&store).await.unwrap();
    for n in 0..3 {
        let op = Op::Deliver { to: vec![0], queue: false, octets: 100 };
        apply(&store, n, &op).await.unwrap();
    }
    let address = Address::parse("late@x.test").unwrap();
    store.account_add(NewAccount { address, secret: String::new() }).await.unwrap();
    store.close();
    drop(store);
    let segment = segments(&data).pop_first().unwrap();
    let mut octets = std::fs::read(&segment).unwrap();
    let at = octets.windows(8).position(|window| window == b"00000001").unwrap();
    octets[at] ^= 1;
    std::fs::write(&segment, octets).unwrap();
    let done = backup(&data, &copied, &mut |_, _| {}).unwrap();
    assert_eq!((done.damaged.len(), done.messages), (1, 3), "{done:?}");
    assert!(done.damaged.iter().all(|told| told.contains("in segment 1: ")), "{done:?}");
    for folder in [data, copied] {
        std::fs::remove_dir_all(folder).unwrap();
    }
}
