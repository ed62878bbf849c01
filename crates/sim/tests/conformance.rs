//! One suite for every engine: the same operations give the same answers and the same look.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mail::{Entry, Flag, FlagBits, MailboxId, MailboxName, MessageId, ModSeq, Uid};
use sim::disk::SimDisk;
use sim::model::Model;
use sim::random::Random;
use sim::workload::{self, Op, account, apply, options, picture, prepare};
use sim::world::{SimClock, with_threads};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Change, ChangeFlags, Delivery, Holder, Placement, Store, Which};
use sys::disk::RealDisk;

/// A folder of the test's own, removed when it goes.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("postrider-conformance-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        Folder(folder)
    }
    fn open(&self) -> Store {
        let clock = Arc::new(SimClock::default());
        Store::open(options(&self.0), with_threads(Arc::new(RealDisk), clock)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn model() -> Store {
    let disk = Arc::new(SimDisk::default());
    let options = workload::options(Path::new("/data"));
    Store::with_engine(
        Model::new().engine(),
        options,
        with_threads(disk, Arc::new(SimClock::default())),
    )
    .unwrap()
}

#[tokio::test]
async fn sqlite_answers_as_the_model_does() {
    for seed in 1..=6 {
        let folder = Folder::new(&format!("agree-{seed}"));
        let stores = [folder.open(), model()];
        for store in &stores {
            prepare(store).await.unwrap();
        }
        let mut random = Random::new(seed);
        for n in 0..150 {
            let op = Op::random(&mut random);
            let sqlite = apply(&stores[0], n, &op).await;
            let model = apply(&stores[1], n, &op).await;
            assert_eq!(sqlite, model, "seed {seed}, {n}: {op:?}");
            if n % 10 == 9 {
                let pictures = (picture(&stores[0]).await, picture(&stores[1]).await);
                assert_eq!(pictures.0, pictures.1, "seed {seed}, after {n}");
            }
        }
        let before = picture(&stores[1]).await.unwrap();
        stores[0].close();
        drop(stores);
        let again = folder.open();
        assert_eq!(again.recovered().deliveries, 0);
        assert_eq!(picture(&again).await.unwrap(), before, "seed {seed}, opened again");
        again.close();
    }
}

/// A mailbox of many pages against a plain map.
#[tokio::test]
async fn large_mailboxes_hold_what_a_map_holds() {
    let folder = Folder::new("large");
    for store in [folder.open(), model()] {
        prepare(&store).await.unwrap();
        let inbox = store.mailbox(account().0, &MailboxName::inbox()).unwrap().unwrap().id;
        let mut expected: BTreeMap<u32, FlagBits> = BTreeMap::new();
        let mut random = Random::new(11);
        for round in 0..40u32 {
            for n in 0..random.below(60) as u32 {
                let uid = deliver(&store, inbox, round * 100 + n).await;
                expected.insert(uid.get(), FlagBits::default());
            }
            let some: Vec<Uid> = (0..random.below(400))
                .filter_map(|_| Uid::new(1 + random.below(2000) as u32))
                .collect();
            let (flag, bit) = *random.pick(&[(0, FlagBits::SEEN), (1, FlagBits::DELETED)]);
            let flags = vec![[Flag::Seen, Flag::Deleted][flag].clone()];
            let change = *random.pick(&[Change::Add, Change::Remove]);
            for uid in &some {
                expected.entry(uid.get()).and_modify(|flags| {
                    *flags = match change {
                        Change::Add => flags.with(bit),
                        _ => flags.without(bit),
                    }
                });
            }
            let wanted = ChangeFlags {
                uids: some,
                change,
                flags,
                unchanged_since: None,
                within: mail::Rights::ALL,
            };
            store.change_flags(inbox, wanted).await.unwrap();
            if round % 3 == 2 {
                let gone = store.expunge(inbox, Which::Deleted).await.unwrap();
                assert!(gone.iter().all(|uid| expected[&uid.get()].contains(FlagBits::DELETED)));
                expected.retain(|_, flags| !flags.contains(FlagBits::DELETED));
            }
            check(&store, inbox, &expected).await;
        }
        assert!(expected.len() > 200, "{}", expected.len());
        store.close();
    }
}

/// Whether a mailbox has others below it goes by levels of the name, not by its first octets.
#[tokio::test]
async fn what_is_below_a_name_is_known_by_its_separator() {
    let folder = Folder::new("below");
    let name = |text: &str| MailboxName::new(text).unwrap();
    for store in [folder.open(), model()] {
        prepare(&store).await.unwrap();
        for made in ["box", "box!/x", "box0/x", "box-x", "box/é", "INBOX/x"] {
            store.mailbox_create(account().0, name(made), None).await.unwrap();
        }
        let below = |text: &str| store.has_mailbox_below(account().0, &name(text)).unwrap();
        for (of, is) in [("box", true), ("inbox", true), ("box/é", false), ("bo", false)] {
            assert_eq!(below(of), is, "{of}");
        }
        store.mailbox_delete(account().0, name("box")).await.unwrap();
        assert!(below("box") && store.mailbox_delete(account().0, name("box")).await.is_err());
        // It has others below it already, so nothing needs it as a mailbox.
        store.mailbox_create(account().0, name("box/new"), None).await.unwrap();
        store.mailbox_rename(account().0, name("box/new"), name("box/é/new")).await.unwrap();
        assert!(store.mailbox(account().0, &name("box")).unwrap().is_none());
        store.mailbox_delete(account().0, name("box/é")).await.unwrap();
        store.mailbox_delete(account().0, name("box/é/new")).await.unwrap();
        assert!(!below("box"));
        let asked = |text: &str| store.is_subscribed(account().0, &name(text)).unwrap();
        assert!(asked("box-x") && !asked("box"));
        store.close();
    }
}

async fn deliver(store: &Store, mailbox: MailboxId, n: u32) -> Uid {
    deliver_with(store, mailbox, n, vec![1]).await
}

async fn deliver_with(store: &Store, mailbox: MailboxId, n: u32, summary: Vec<u8>) -> Uid {
    let mut spool = store.spool();
    spool.write(format!("Subject: {n}\r\n\r\n").as_bytes()).unwrap();
    let delivery = Delivery {
        message: MessageId::new(1_790_000_000_000, n),
        content: spool.seal().unwrap(),
        summary,
        date: 0,
        placements: vec![Placement { mailbox, flags: Vec::new(), annotations: None }],
        queue: None,
        journey: Vec::new(),
    };
    store.deliver(delivery).await.unwrap().places[0].uid
}

async fn check(store: &Store, mailbox: MailboxId, expected: &BTreeMap<u32, FlagBits>) {
    let selected = store.select(mailbox).await.unwrap();
    let found: BTreeMap<u32, FlagBits> =
        selected.listing.iter().map(|entry| (entry.uid.get(), entry.flags)).collect();
    assert_eq!(&found, expected);
    let row = store.mailbox_row(mailbox).unwrap().unwrap();
    let count = |bit: FlagBits| expected.values().filter(|flags| flags.contains(bit)).count();
    assert_eq!(row.exists as usize, expected.len());
    assert_eq!(row.unseen as usize, expected.len() - count(FlagBits::SEEN));
    assert_eq!(row.deleted as usize, count(FlagBits::DELETED));
    let greatest = selected.listing.iter().map(|entry: &Entry| entry.modseq).max();
    assert!(greatest.is_none_or(|modseq| modseq <= row.modseq));
}

/// The database as a power cut may leave it: the WAL ends, or is damaged, anywhere after its last
/// synced commit.
#[tokio::test]
async fn a_wal_that_lost_its_end_is_made_good_from_the_segments() {
    let mut unsynced = 0;
    for seed in 1..=3 {
        let (folder, cut) = (Folder::new(&format!("wal-{seed}")), Folder::new("cut"));
        let store = folder.open();
        prepare(&store).await.unwrap();
        let wal = folder.0.join("meta.db-wal");
        // Two streams: what is asked for does not hang on how long the WAL happens to be.
        let (mut random, mut damages) = (Random::new(seed), Random::new(100 + seed));
        let mut synced = std::fs::metadata(&wal).unwrap().len();
        for n in 0..60 {
            let op = Op::random(&mut random);
            if apply(&store, n, &op).await.is_err() {
                continue;
            }
            let len = std::fs::metadata(&wal).unwrap().len();
            match op {
                Op::Deliver { .. } => unsynced += 1,
                _ => synced = len,
            }
            let before = picture(&store).await.unwrap();
            for variant in 0..4 {
                copy(&folder.0, &cut.0);
                damage(&cut.0.join("meta.db-wal"), synced, variant, &mut damages);
                let store = cut.open();
                assert_eq!(picture(&store).await.unwrap(), before, "seed {seed}, {n}: {op:?}");
                store.close();
            }
        }
        store.close();
    }
    assert!(unsynced > 15, "the test cuts off too little: {unsynced} times");
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to.join("segments")).unwrap();
    for name in ["meta.db", "meta.db-wal"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
    for file in std::fs::read_dir(from.join("segments")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join("segments").join(file.file_name())).unwrap();
    }
}

/// What comes after `synced` is cut off, or loses some of its sectors.
fn damage(wal: &Path, synced: u64, variant: u32, random: &mut Random) {
    let mut octets = std::fs::read(wal).unwrap();
    let (from, len) = (synced as usize, octets.len());
    match variant {
        0 => octets.truncate(from),
        1 => octets.truncate(from + random.below((len - from) as u64 + 1) as usize),
        _ => {
            for sector in octets[from..].chunks_mut(512) {
                if random.below(2) == 0 {
                    sector.fill(0);
                }
            }
        }
    }
    std::fs::write(wal, octets).unwrap();
}

/// What was expunged long ago is remembered together: whoever asks misses nothing of it.
#[tokio::test]
async fn old_history_is_merged_and_nothing_of_it_forgotten() {
    const HALF: u32 = 600;
    let folder = Folder::new("history");
    let store = folder.open();
    prepare(&store).await.unwrap();
    let inbox = store.mailbox(account().0, &MailboxName::inbox()).unwrap().unwrap().id;
    let mut uids = Vec::new();
    for n in 0..2 * HALF + 1 {
        uids.push(deliver(&store, inbox, n).await);
    }
    let (last, gone) = uids.split_last().unwrap();
    let (early, late) = gone.split_at(HALF as usize);
    let modseq = || store.look(|txn| txn.mailbox(inbox)).unwrap().unwrap().modseq;
    let mut times = Vec::new();
    for uid in early {
        times.push(modseq());
        store.expunge(inbox, Which::Exactly(vec![*uid])).await.unwrap();
    }
    for n in 0..10_000 {
        let change = if n % 2 == 0 { Change::Add } else { Change::Remove };
        let wanted = ChangeFlags {
            uids: vec![*last],
            change,
            flags: vec![Flag::Seen],
            unchanged_since: None,
            within: mail::Rights::ALL,
        };
        store.change_flags(inbox, wanted).await.unwrap();
    }
    let between = modseq();
    for uid in late {
        store.expunge(inbox, Which::Exactly(vec![*uid])).await.unwrap();
    }
    let told = |since| {
        let runs = store.expunged(inbox, since).unwrap();
        let each = runs.iter().flat_map(|(from, to)| from.get()..=to.get());
        (runs.len(), each.collect::<Vec<u32>>())
    };
    let all: Vec<u32> = gone.iter().map(|uid| uid.get()).collect();
    let (rows, since_ever) = told(ModSeq(0));
    assert_eq!(since_ever, all);
    assert!(rows < all.len(), "{rows} rows");
    assert_eq!(told(between).1, all[HALF as usize..]);
    // Some time ago: at least what went since then, and nothing that is still there.
    for (n, since) in times.iter().enumerate() {
        let told = told(*since).1;
        assert!(told.ends_with(&all[n..]) && all.ends_with(&told), "{n}");
    }
    store.close();
}

/// Once most of what is stored is gone, the file of the rows gets smaller.
#[tokio::test]
async fn the_disk_gets_the_space_of_rows_back() {
    let folder = Folder::new("vacuum");
    let store = folder.open();
    prepare(&store).await.unwrap();
    let inbox = store.mailbox(account().0, &MailboxName::inbox()).unwrap().unwrap().id;
    let mut uids = Vec::new();
    for n in 0..500 {
        uids.push(deliver_with(&store, inbox, n, vec![7; 60_000]).await);
    }
    let full = store.look(|txn| txn.spare()).unwrap().1;
    assert!(full > 30_000_000, "{full}");
    store.expunge(inbox, Which::Exactly(uids)).await.unwrap();
    while store.keep_house(1 << 20).await.unwrap().more {}
    let (spare, all) = store.look(|txn| txn.spare()).unwrap();
    assert!(spare <= 16 << 20 && all < full * 2 / 3, "{spare} of {all} are spare");
    store.close();
}

/// Too many annotations at once: nothing is changed, the use of the mailbox neither; one that goes
/// makes room for another. RFC 5464 §4.3.
#[tokio::test]
async fn annotations_are_set_all_or_none() {
    let store = model();
    prepare(&store).await.unwrap();
    let who = account().0;
    let name = MailboxName::new("Sketches").unwrap();
    let id = store.mailbox_create(who, name.clone(), None).await.unwrap().id;
    let of = Holder::Mailbox(id);
    let entry = |n: usize, value: Option<&str>| {
        (format!("/private/entry{n}"), value.map(|value| value.as_bytes().to_vec()))
    };
    let set = |changes| store.annotate(of, who, changes);
    assert!(set((0..200).map(|n| entry(n, Some("x"))).collect()).await.unwrap());
    let use_ = ("/private/specialuse".to_owned(), Some(b"\\Archive".to_vec()));
    assert!(!set(vec![use_, entry(1, Some("y")), entry(200, Some("x"))]).await.unwrap());
    let special_use = || store.mailbox(who, &name).unwrap().unwrap().special_use;
    let value = |n: usize| {
        let all = store.annotations(of, who).unwrap();
        all.into_iter().find(|(name, _)| *name == entry(n, None).0).map(|(_, value)| value)
    };
    assert_eq!((special_use(), value(1)), (None, Some(b"x".to_vec())));
    // Somebody else has room of his own.
    let other = store.annotate(of, mail::AccountId(999), vec![entry(1, Some("z"))]);
    assert!(other.await.unwrap());
    assert!(set(vec![entry(1, None), entry(200, Some("x"))]).await.unwrap());
    assert!(set(vec![entry(2, Some("y"))]).await.unwrap());
    assert_eq!((value(1), value(2), value(200)), (None, Some(b"y".to_vec()), Some(b"x".to_vec())));
}
