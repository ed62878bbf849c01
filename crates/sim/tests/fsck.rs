//! Random damage to every kind of file: `fsck --repair` restores service, and no message is ever
//! given out with another's bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mail::{Address, Annotation, Domain, MailboxId, MailboxName, Scope, Uid};
use sim::random::Random;
use sim::workload::{NAMES, Op, account, apply, options, prepare};
use sim::world::{SimClock, with_threads};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::fsck::{Report, fsck};
use store::{Annotate, NewAccount, Note, Store, StoreError};
use sys::disk::RealDisk;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("postrider-fsck-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn open(folder: &Path) -> Store {
    let clock = Arc::new(SimClock::default());
    Store::open(options(folder), with_threads(Arc::new(RealDisk), clock)).unwrap()
}

fn check(folder: &Path, repair: bool) -> Report {
    let mut read = 0;
    let mut progress = |done, all| {
        assert!(read <= done && done < all, "{read}, then {done} of {all}");
        read = done;
    };
    fsck(folder, repair, Arc::new(RealDisk), 1_800_000_000, &mut progress).unwrap()
}

/// A store that was used for a while.
async fn used(folder: &Path, seed: u64) -> Store {
    let store = open(folder);
    prepare(&store).await.unwrap();
    let mut random = Random::new(seed);
    for n in 0..120 {
        let _ = apply(&store, n, &Op::random(&mut random)).await;
    }
    store
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to.join("segments")).unwrap();
    for name in ["meta.db", "meta.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
    for file in std::fs::read_dir(from.join("segments")).unwrap().flatten() {
        std::fs::copy(file.path(), to.join("segments").join(file.file_name())).unwrap();
    }
}

/// Messages that can be read, over all mailboxes of all accounts. A message names itself in its
/// first line and in every eight octets of its body, so another's bytes would show.
async fn readable(store: &Store) -> usize {
    let mut messages = 0;
    for account in store.accounts().unwrap() {
        for row in store.mailboxes(account.id).unwrap() {
            for entry in store.select(row.id).await.unwrap().listing.iter() {
                let size = u64::from(entry.size);
                let octets = store.content(entry.content, 0..size).unwrap();
                let text = String::from_utf8(octets).unwrap();
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                let n: u32 = head.strip_prefix("Subject: ").unwrap().parse().unwrap();
                assert_eq!(i64::from(n), entry.date, "the date belongs to another message");
                let body = body.strip_suffix("\r\n").unwrap();
                assert_eq!(body, format!("{n:08}").repeat(body.len() / 8));
                messages += 1;
            }
        }
    }
    messages
}

#[tokio::test]
async fn a_sound_store_has_no_problems() {
    let data = folder("sound");
    for seed in 1..=5 {
        let store = used(&data, seed).await;
        let before = readable(&store).await;
        store.close();
        drop(store);
        let report = check(&data, true);
        assert_eq!(report.problems, Vec::<String>::new(), "seed {seed}");
        assert_eq!(report.messages as usize, before);
        std::fs::remove_dir_all(&data).unwrap();
    }
}

#[tokio::test]
async fn service_is_restored_after_any_damage() {
    let (data, cut) = (folder("data"), folder("cut"));
    let (mut lost, mut damaged) = (0, 0);
    for seed in 1..=4 {
        let store = used(&data, seed).await;
        let whole = readable(&store).await;
        // With what is still in the WAL, and after it was written back.
        for closed in [false, true] {
            if closed {
                store.close();
            }
            for variant in 0..12 {
                copy(&data, &cut);
                let file = damage(&cut, variant, &mut Random::new(seed << 8 | variant));
                let report = check(&cut, true);
                let store = open(&cut);
                let found = readable(&store).await;
                damaged += usize::from(!report.problems.is_empty());
                lost += whole.saturating_sub(found);
                serves(&store).await;
                store.close();
                drop(store);
                let again = check(&cut, false);
                assert_eq!(again.problems, Vec::<String>::new(), "{file}, seed {seed}");
            }
        }
        std::fs::remove_dir_all(&data).unwrap();
    }
    std::fs::remove_dir_all(&cut).unwrap();
    assert!(damaged > 40, "the damage was found {damaged} times only");
    println!("damage found {damaged} times, {lost} messages lost by it");
}

/// Puts other octets in the place of some in the rows.
fn replace(folder: &Path, from: &[u8], to: &[u8]) {
    let mut octets = std::fs::read(folder.join("meta.db")).unwrap();
    let windows = octets.windows(from.len()).enumerate();
    let places: Vec<usize> = windows.filter(|(_, found)| *found == from).map(|(n, _)| n).collect();
    assert!(!places.is_empty() && from.len() == to.len(), "{}", from.escape_ascii());
    for at in places {
        octets[at..at + to.len()].copy_from_slice(to);
    }
    std::fs::write(folder.join("meta.db"), octets).unwrap();
}

/// What a mailbox's annotations are: UID, scope, value; or that they cannot be read.
fn notes(store: &Store, of: MailboxId) -> Result<Vec<(u32, Scope, String)>, StoreError> {
    let mut found = Vec::new();
    store.each_notes(of, account().0, (Uid::FIRST, Uid::MAX), |uid, scope, notes| {
        let text = |note: &Note<'_>| String::from_utf8(note.value.clone().unwrap().into()).unwrap();
        found.extend(notes.iter().map(|note| (uid.get(), scope, text(note))));
    })?;
    Ok(found)
}

#[tokio::test]
async fn damaged_annotations_go_and_the_others_stay() {
    let data = folder("notes");
    let store = open(&data);
    prepare(&store).await.unwrap();
    for n in 0..3 {
        apply(&store, n, &Op::Deliver { to: vec![0], queue: false, octets: 80 }).await.unwrap();
    }
    let inbox = store.inbox(account().0).unwrap().unwrap();
    for (uid, scope, value) in [
        (1, Scope::Shared, "first shared"),
        (1, Scope::Private, "first private"),
        (2, Scope::Shared, "second shared"),
        (2, Scope::Private, "second private"),
        (3, Scope::Private, "third private"),
    ] {
        let value = Some(value.as_bytes().to_vec());
        let annotations = vec![Annotation { entry: "/comment".to_owned(), scope, value }];
        let uids = vec![Uid::new(uid).unwrap()];
        let wanted = Annotate { uids, who: account().0, annotations, unchanged_since: None };
        store.annotate_messages(inbox, wanted).await.unwrap();
    }
    let whole = notes(&store, inbox).unwrap();
    assert_eq!(whole.len(), 5);
    store.close();
    drop(store);
    replace(&data, b"first shared", b"first shaped");
    replace(&data, b"0000000200000001", b"000000020000zz01");
    replace(&data, b"0000000300000001", b"0000000900000001");
    let store = open(&data);
    assert!(notes(&store, inbox).is_err());
    store.close();
    drop(store);
    let report = check(&data, true);
    let (damaged, left) = ("2 rows of annotations cannot be read", "1 rows of annotations belong");
    for problem in [damaged, left] {
        assert!(report.problems.iter().any(|told| told.contains(problem)), "{report:?}");
    }
    let store = open(&data);
    assert_eq!(notes(&store, inbox).unwrap(), [whole[1].clone(), whole[2].clone()]);
    assert_eq!(readable(&store).await, 3);
    store.close();
    drop(store);
    assert_eq!(check(&data, false).problems, Vec::<String>::new());
    std::fs::remove_dir_all(&data).unwrap();
}

/// Flips bits in one file; says in which.
fn damage(folder: &Path, variant: u64, random: &mut Random) -> String {
    let mut segments: Vec<PathBuf> = std::fs::read_dir(folder.join("segments"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    segments.sort();
    let file = match variant % 3 {
        0 => folder.join("meta.db"),
        1 if folder.join("meta.db-wal").metadata().is_ok_and(|meta| meta.len() > 0) => {
            folder.join("meta.db-wal")
        }
        _ => random.pick(&segments).clone(),
    };
    let mut octets = std::fs::read(&file).unwrap();
    for _ in 0..=random.below(8) {
        let at = random.below(octets.len() as u64) as usize;
        if let Some(octet) = octets.get_mut(at) {
            *octet ^= 1 << random.below(8);
        }
    }
    std::fs::write(&file, octets).unwrap();
    file.display().to_string()
}

/// Mail is accepted and read.
async fn serves(store: &Store) {
    let _ = store.domain_add(Domain::parse("x.test").unwrap()).await;
    let new =
        NewAccount { address: Address::parse("new@x.test").unwrap(), secret: "secret".to_owned() };
    let id = store.account_add(new).await.unwrap();
    assert!(store.mailbox(id, &MailboxName::inbox()).unwrap().is_some());
    // The old account too, where it and its INBOX are still known.
    let inbox = store.mailbox(account().0, &MailboxName::new(NAMES[0]).unwrap()).unwrap();
    if inbox.is_some() {
        let op = Op::Deliver { to: vec![0], queue: false, octets: 80 };
        apply(store, 5000, &op).await.unwrap();
    }
    readable(store).await;
}
