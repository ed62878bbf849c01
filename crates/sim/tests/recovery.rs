//! A power cut takes unsynced rows: every acknowledged delivery is repeated from the segments.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mail::{Address, Domain, FlagBits, MailboxId, MailboxName, MessageId, Uid};
use sim::world::with_threads;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{
    Change, ChangeFlags, Delivery, NewAccount, Options, Placement, Store, StoreError, Which,
};
use sys::clock::SystemClock;
use sys::disk::RealDisk;

fn folder(name: &str) -> PathBuf {
    let name = format!("postrider-recovery-{name}-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn segments(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("segments")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn space_comes_back_and_what_lives_stays() {
    let data = folder("space");
    let mut options = Options::new(&data);
    (options.min_free_octets, options.segment_octets) = (0, 10_000);
    let store =
        Store::open(options, with_threads(Arc::new(RealDisk), Arc::new(SystemClock::new())))
            .unwrap();
    let mailbox = inbox(&store).await;
    let mut uids = Vec::new();
    for n in 0..400 {
        uids.push(deliver(&store, mailbox, n).await.unwrap());
    }
    let before = segments(&data);
    let gone: Vec<Uid> = uids.iter().copied().filter(|uid| uid.get() % 10 != 0).collect();
    store.expunge(mailbox, Which::Exactly(gone)).await.unwrap();
    let mut rounds = 0;
    while store.keep_house(100_000).await.unwrap().more || rounds < 3 {
        rounds += 1;
        assert!(rounds < 1000, "housekeeping never ends");
    }
    assert!(segments(&data) * 2 < before, "{} segments of {before} are left", segments(&data));
    let listing = store.select(mailbox).await.unwrap().listing;
    assert_eq!(listing.len(), 40);
    for entry in listing.iter() {
        let octets = store.content(entry.content, 0..u64::from(entry.size)).unwrap();
        let n = entry.uid.get() - 1;
        assert_eq!(octets, text(n).into_bytes());
    }
    assert_eq!(store.damaged(), []);
    store.close();
    std::fs::remove_dir_all(data).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_are_found_before_they_are_needed_and_never_given_out() {
    let data = folder("damaged");
    let store = open(&data);
    let mailbox = inbox(&store).await;
    for n in 0..3 {
        deliver(&store, mailbox, n).await.unwrap();
    }
    let segment = data.join("segments/00000001.seg");
    let mut octets = std::fs::read(&segment).unwrap();
    let at = octets.windows(6).position(|window| window == b"body 1").unwrap();
    octets[at] ^= 1;
    std::fs::write(&segment, octets).unwrap();
    store.keep_house(1_000_000).await.unwrap();
    let listing = store.select(mailbox).await.unwrap().listing;
    let contents: Vec<_> = listing.iter().map(|entry| entry.content).collect();
    assert_eq!(store.damaged(), [contents[1]]);
    assert!(matches!(store.content(contents[1], 0..100), Err(StoreError::Corrupt(_))));
    assert!(store.content(contents[2], 0..100).is_ok());
    store.close();
    std::fs::remove_dir_all(data).unwrap();
}

fn try_open(folder: &Path, min_free_octets: u64) -> Result<Store, StoreError> {
    let mut options = Options::new(folder);
    options.min_free_octets = min_free_octets;
    Store::open(options, with_threads(Arc::new(RealDisk), Arc::new(SystemClock::new())))
}

fn open(folder: &Path) -> Store {
    try_open(folder, 0).unwrap()
}

async fn inbox(store: &Store) -> MailboxId {
    store.domain_add(Domain::parse("x.test").unwrap()).await.unwrap();
    let address = Address::parse("a@x.test").unwrap();
    let secret = "secret".to_owned();
    let account = store.account_add(NewAccount { address, secret }).await.unwrap();
    store.mailbox(account, &MailboxName::inbox()).unwrap().unwrap().id
}

/// Of some the store keeps beside the flags what their octets are like.
fn text(n: u32) -> String {
    match n % 3 {
        0 => format!("Subject: {n}\r\n\r\nbody {n}\r\n"),
        1 => format!("Subject: \u{fc}{n}\r\n\r\nbody {n}\r\n"),
        _ => format!("Subject: {n}\n\nbody {n}"),
    }
}

async fn deliver(store: &Store, mailbox: MailboxId, n: u32) -> Result<Uid, StoreError> {
    let mut spool = store.spool();
    spool.write(text(n).as_bytes())?;
    let delivery = Delivery {
        message: MessageId::new(1_700_000_000_000, n),
        content: spool.seal()?,
        summary: Vec::new(),
        date: i64::from(n),
        placements: vec![Placement { mailbox, flags: Vec::new(), annotations: None }],
        queue: None,
        journey: Vec::new(),
    };
    Ok(store.deliver(delivery).await?.places[0].uid)
}

/// The rows as they were, the segments as they are: all that a power cut can do to deliveries.
fn lose_rows_since(snapshot: &Path, data: &Path) {
    for name in ["meta.db", "meta.db-wal"] {
        let _ = std::fs::remove_file(data.join(name));
        if snapshot.join(name).exists() {
            std::fs::copy(snapshot.join(name), data.join(name)).unwrap();
        }
    }
    let _ = std::fs::remove_file(data.join("meta.db-shm"));
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_whose_rows_are_lost_are_repeated() {
    let (data, snapshot) = (folder("data"), folder("snapshot"));
    let store = open(&data);
    let mailbox = inbox(&store).await;
    deliver(&store, mailbox, 0).await.unwrap();
    // A synced write: from here on only deliveries are unsynced.
    let seen = ChangeFlags {
        uids: vec![Uid::FIRST],
        change: Change::Add,
        flags: vec![mail::Flag::Seen],
        unchanged_since: None,
        within: mail::Rights::ALL,
    };
    store.change_flags(mailbox, seen).await.unwrap();
    std::fs::create_dir_all(&snapshot).unwrap();
    for name in ["meta.db", "meta.db-wal"] {
        std::fs::copy(data.join(name), snapshot.join(name)).unwrap();
    }
    let mut uids = Vec::new();
    for n in 1..=50 {
        uids.push(deliver(&store, mailbox, n).await.unwrap());
    }
    let before = store.select(mailbox).await.unwrap().listing;
    let found = |bit: FlagBits| before.iter().filter(|entry| entry.flags.contains(bit)).count();
    assert_eq!((found(FlagBits::HEADER_8BIT), found(FlagBits::NOT_LINES)), (17, 17));
    store.close();
    drop(store);
    lose_rows_since(&snapshot, &data);
    // A torn record at the end, as of a batch that was never acknowledged.
    use std::io::Write as _;
    let segment = data.join("segments/00000001.seg");
    let mut file = std::fs::File::options().append(true).open(segment).unwrap();
    file.write_all(b"PRm3\x01\0\0\0garbage that is no record").unwrap();

    let store = open(&data);
    assert_eq!(store.recovered().deliveries, 50);
    assert!(store.recovered().cut > 0);
    let after = store.select(mailbox).await.unwrap().listing;
    assert_eq!(before.iter().collect::<Vec<_>>(), after.iter().collect::<Vec<_>>());
    assert_eq!((before.uidnext, before.modseq), (after.uidnext, after.modseq));
    for (n, entry) in after.iter().enumerate() {
        let octets = store.content(entry.content, 0..u64::from(entry.size)).unwrap();
        assert_eq!(octets, text(n as u32).into_bytes());
    }
    let next = deliver(&store, mailbox, 51).await.unwrap();
    assert!(next > uids[49], "a UID was used again");
    store.close();
    drop(store);
    assert_eq!(open(&data).recovered().deliveries, 0, "nothing is repeated twice");
    for folder in [data, snapshot] {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uids_and_modseqs_only_grow_and_watchers_hear_of_everything() {
    let data = folder("grow");
    let store = open(&data);
    let mailbox = inbox(&store).await;
    let mut watch = store.select(mailbox).await.unwrap().watch;
    let mut modseq = watch.current().modseq;
    let mut last = 0;
    for n in 0..30 {
        let uid = deliver(&store, mailbox, n).await.unwrap();
        assert!(uid.get() > last);
        last = uid.get();
        if n % 3 == 0 {
            let gone = store.expunge(mailbox, Which::Exactly(vec![uid])).await.unwrap();
            assert_eq!(gone, [uid]);
        }
        let now = watch.current();
        assert!(now.modseq > modseq);
        modseq = now.modseq;
    }
    let row = store.mailbox_row(mailbox).unwrap().unwrap();
    assert_eq!((row.exists, watch.current().len()), (20, 20));
    assert_eq!(row.octets, watch.current().iter().map(|e| u64::from(e.size)).sum::<u64>());
    drop(watch);
    let again = store.select(mailbox).await.unwrap().listing;
    assert_eq!(again.len(), 20);
    store.close();
    std::fs::remove_dir_all(data).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_folder_has_one_owner_and_a_full_disk_still_deletes() {
    let data = folder("full");
    let store = open(&data);
    let mailbox = inbox(&store).await;
    let uid = deliver(&store, mailbox, 1).await.unwrap();
    assert!(matches!(try_open(&data, 0).err(), Some(StoreError::Locked(_))));
    store.close();
    drop(store);
    let store = try_open(&data, u64::MAX / 2).unwrap();
    assert_eq!(deliver(&store, mailbox, 2).await, Err(StoreError::Full));
    assert_eq!(store.health(), store::Health::Full);
    assert_eq!(store.expunge(mailbox, Which::Exactly(vec![uid])).await, Ok(vec![uid]));
    store.close();
    std::fs::remove_dir_all(data).unwrap();
}
