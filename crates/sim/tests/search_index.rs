//! The search index against reading every message: the same answers, whatever the text, whatever is
//! damaged, and nothing that a crash can spoil.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mail::casemap::Needle;
use mail::mime::text::in_memory;
use mail::search::{Field, Plan, texts};
use mail::summary::Parser;
use mail::{ContentId, Flag, MailboxId, MessageId, Uid};
use sim::disk::SimDisk;
use sim::model::Model;
use sim::random::Random;
use sim::workload::{self, account, prepare};
use sim::world::{SimClock, with_threads};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Delivery, Placement, Store, Which};
use sys::disk::{Disk, Mode};

/// Pieces of texts in several scripts, with every kind of character between them.
const PIECES: [&str; 28] = [
    "the",
    "The",
    "search",
    "Straße",
    "stra",
    "ß",
    "É",
    "e\u{301}",
    "日本",
    "語",
    "カナ",
    "한국",
    "москва",
    "x9",
    "0",
    " ",
    " ",
    "-",
    "@",
    ".",
    "\r\n",
    "\u{1c4}",
    "\u{3002}",
    "ﬁ",
    "_",
    "é",
    "abcdefghijklmnopqrstuvwxyz",
    "résumé",
];

fn text(random: &mut Random, pieces: u64) -> String {
    (0..random.below(pieces)).map(|_| *random.pick(&PIECES)).collect()
}

/// A message in one of several charsets and encodings.
fn message(random: &mut Random) -> Vec<u8> {
    use base64::Engine as _;
    let coded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let word = |text: String| format!("=?utf-8?B?{}?=", coded(&text.replace("\r\n", "")));
    let head = format!(
        "Subject: {}\r\nFrom: {} <{}@x.test>\r\nTo: a@x.test, b@y.test\r\nCc: Grp: {} <c@z.test>;\r\nX-Other: {}\r\n",
        word(text(random, 6)),
        word(text(random, 4)),
        random.below(40),
        word(text(random, 4)),
        text(random, 5).replace("\r\n", ""),
    );
    let body = match random.below(4) {
        0 => text(random, 400).repeat(1 + random.below(3) as usize),
        _ => text(random, 40),
    };
    let rest = match random.below(3) {
        0 => format!(
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            coded(&body)
        ),
        1 => format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{body}\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner {}\r\n\r\nthe inner\r\n--b--\r\n",
            random.below(9)
        ),
        _ => format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{body}"),
    };
    (head + &rest).into_bytes()
}

/// What a client may look for: pieces, cut anywhere.
fn query(random: &mut Random) -> String {
    let whole = text(random, 4);
    let chars: Vec<char> = whole.chars().collect();
    let from = random.below(chars.len() as u64 + 1) as usize;
    chars.iter().skip(from / 2).take(1 + random.below(40) as usize).collect()
}

async fn deliver(store: &Store, n: u64, content: &[u8], to: MailboxId) -> ContentId {
    let (mut spool, mut parser) = (store.spool(), Parser::new());
    spool.write(content).unwrap();
    parser.feed(content);
    let delivery = Delivery {
        message: MessageId::new(1_790_000_000_000 + n, 0),
        content: spool.seal().unwrap(),
        summary: parser.finish().encode(),
        date: 0,
        placements: vec![Placement { mailbox: to, flags: vec![Flag::Seen], annotations: None }],
        queue: None,
        journey: Vec::new(),
    };
    store.deliver(delivery).await.unwrap().content
}

/// Brings the index up to date.
async fn index(store: &Store) {
    store.want_search_index(account().0);
    while store.make_search_index(1 << 20).unwrap() {}
}

fn parts(disk: &SimDisk) -> Vec<PathBuf> {
    disk.list(Path::new("/data/search/1")).unwrap()
}

/// Asks many things; every answer must be what reading says. How many messages had to be read.
fn compare(
    store: &Store,
    messages: &[(ContentId, Vec<u8>)],
    random: &mut Random,
    rounds: u64,
) -> u64 {
    let mut open = 0;
    let read: Vec<_> = messages
        .iter()
        .map(|(id, content)| {
            let mut parser = Parser::new();
            parser.feed(content);
            (*id, texts(&parser.finish(), in_memory::<()>(content)).unwrap())
        })
        .collect();
    for _ in 0..rounds {
        let wanted = query(random);
        let needle = Needle::new(&wanted);
        let questions: Vec<(Field, Plan)> =
            Field::ALL.iter().map(|field| (*field, Plan::new(needle.folded()))).collect();
        let answers = store.search_index(account().0, &questions);
        for ((field, plan), answers) in questions.iter().zip(&answers) {
            for (id, texts) in &read {
                let has = |(of, text): &(Field, String)| of == field && needle.is_in(text);
                match answers.get(*id) {
                    Some(said) => {
                        let is = texts.iter().any(has);
                        assert_eq!(said, is, "{field:?} {wanted:?} in {id}, {plan:?}");
                    }
                    None => open += 1,
                }
            }
        }
    }
    open
}

struct World {
    model: Model,
    disk: SimDisk,
    clock: Arc<SimClock>,
    store: Store,
    inbox: MailboxId,
    messages: Vec<(ContentId, Vec<u8>)>,
}

fn open(model: &Model, disk: &SimDisk, clock: &Arc<SimClock>) -> Store {
    let options = workload::options(Path::new("/data"));
    Store::with_engine(model.engine(), options, with_threads(Arc::new(disk.clone()), clock.clone()))
        .unwrap()
}

impl World {
    async fn new(random: &mut Random, messages: u64) -> World {
        let (model, disk, clock) =
            (Model::new(), SimDisk::default(), Arc::new(SimClock::default()));
        let store = open(&model, &disk, &clock);
        prepare(&store).await.unwrap();
        let inbox = store.inbox(account().0).unwrap().unwrap();
        let mut world = World { model, disk, clock, store, inbox, messages: Vec::new() };
        world.more(random, messages).await;
        world
    }
    async fn more(&mut self, random: &mut Random, messages: u64) {
        for _ in 0..messages {
            let content = message(random);
            let id = deliver(&self.store, self.messages.len() as u64, &content, self.inbox).await;
            self.messages.push((id, content));
        }
    }
}

#[tokio::test]
async fn the_index_says_what_reading_says() {
    for seed in 1..=4 {
        let mut random = Random::new(seed);
        let mut world = World::new(&mut random, 150).await;
        assert_eq!(parts(&world.disk).len(), 0);
        let unknown = compare(&world.store, &world.messages, &mut random, 5);
        assert_eq!(unknown, 5 * 7 * 150, "without an index everything is read");
        index(&world.store).await;
        assert_eq!(parts(&world.disk).len(), 1);
        let open = compare(&world.store, &world.messages, &mut random, 120);
        // New mail is not known, the old is.
        world.more(&mut random, 30).await;
        let with_new = compare(&world.store, &world.messages, &mut random, 120);
        assert!(open < with_new && open < 120 * 7 * 150 / 2, "{open} {with_new}");
        world.store.close();
    }
}

#[tokio::test]
async fn a_large_mailbox_that_is_opened_gets_an_index() {
    let mut random = Random::new(8);
    let mut world = World::new(&mut random, 1023).await;
    let open = async |world: &World| {
        let selected = world.store.select(world.inbox).await.unwrap();
        world.store.mailbox_opened(account().0, &selected.listing);
        let wanted = world.store.search_index_wanted(false);
        let wanted = tokio::time::timeout(std::time::Duration::ZERO, wanted).await.is_ok();
        while world.store.make_search_index(1 << 20).unwrap() {}
        wanted
    };
    assert!(!open(&world).await, "too few messages");
    world.more(&mut random, 1).await;
    assert!(open(&world).await);
    assert!(!parts(&world.disk).is_empty());
    assert!(!open(&world).await, "all of them are in it");
    world.more(&mut random, 1023).await;
    assert!(!open(&world).await, "too few new ones");
    world.more(&mut random, 1).await;
    assert!(open(&world).await);
    assert!(!open(&world).await);
    world.store.close();
}

#[tokio::test]
async fn small_parts_are_joined_and_the_dead_leave() {
    let mut random = Random::new(7);
    let mut world = World::new(&mut random, 0).await;
    let mut most = 0;
    for _ in 0..7 {
        world.more(&mut random, 70).await;
        index(&world.store).await;
        most = most.max(parts(&world.disk).len());
        compare(&world.store, &world.messages, &mut random, 10);
    }
    assert!((2..=4).contains(&most), "{most} parts");
    let before: u64 = octets(&world.disk);
    let uids = (1..=400).filter_map(Uid::new).collect();
    world.store.expunge(world.inbox, Which::Exactly(uids)).await.unwrap();
    world.messages.drain(..400);
    index(&world.store).await;
    assert!(octets(&world.disk) < before / 2);
    compare(&world.store, &world.messages, &mut random, 40);
    // The account's index goes with the account.
    world.store.account_remove(account().1).await.unwrap();
    assert_eq!(parts(&world.disk).len(), 0);
    world.store.close();
}

fn octets(disk: &SimDisk) -> u64 {
    parts(disk).iter().map(|path| disk.open(path, Mode::Read).unwrap().len().unwrap()).sum()
}

/// Words as a language has them: a few are in every message, most in hardly any (Zipf).
struct Language(Vec<String>);

impl Language {
    fn new(random: &mut Random) -> Language {
        const COMMON: [&str; 24] = [
            "the", "of", "and", "to", "a", "in", "is", "that", "it", "for", "was", "on", "with",
            "as", "be", "by", "at", "not", "you", "from", "we", "will", "please", "regards",
        ];
        const SYLLABLES: [&str; 24] = [
            "con", "ver", "sta", "ment", "ing", "re", "pro", "li", "na", "ter", "mar", "ket",
            "bur", "o", "sen", "dis", "tri", "al", "pe", "ci", "fic", "tion", "er", "ho",
        ];
        let made = |random: &mut Random| {
            (0..2 + random.below(3)).map(|_| *random.pick(&SYLLABLES)).collect::<String>()
        };
        let common = COMMON.iter().map(|word| (*word).to_owned());
        Language(common.chain((0..20_000).map(|_| made(random))).collect())
    }

    /// The logarithm of a word's rank is as likely to be here as there.
    fn word(&self, random: &mut Random) -> &str {
        let place = random.below(1 << 20) as f64 / f64::from(1 << 20);
        let rank = (self.0.len() as f64).powf(place) as usize - 1;
        &self.0[rank.min(self.0.len() - 1)]
    }

    fn text(&self, random: &mut Random, words: u64) -> String {
        (0..words).map(|n| format!("{}{}", self.word(random), ending(n))).collect()
    }
}

fn ending(n: u64) -> &'static str {
    match n % 12 {
        11 => ".\r\n",
        5 => ", ",
        _ => " ",
    }
}

#[tokio::test]
async fn an_index_takes_a_quarter_of_the_text_at_most() {
    let mut random = Random::new(11);
    let mut world = World::new(&mut random, 0).await;
    let language = Language::new(&mut random);
    let mut text = 0;
    for n in 0..2_000u64 {
        let (subject, words) = (language.text(&mut random, 5), 50 + random.below(600));
        let content = format!(
            "From: Person {0} <p{0}@example.net>\r\nTo: alice@example.org\r\nSubject: {1}\r\n\
             Message-ID: <{n}@example.net>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\n{2}",
            n % 200,
            subject.replace("\r\n", ""),
            language.text(&mut random, words),
        );
        text += content.len() as u64;
        deliver(&world.store, n, content.as_bytes(), world.inbox).await;
    }
    index(&world.store).await;
    let octets = octets(&world.disk);
    assert!(octets > 0 && octets * 4 <= text, "{octets} octets for {text} of text");
    world.messages.clear();
    world.store.close();
}

#[tokio::test]
async fn a_search_while_the_index_is_made_is_right() {
    let mut random = Random::new(12);
    let mut world = World::new(&mut random, 300).await;
    // The older messages are in a part, the newer ones come into another one.
    index(&world.store).await;
    world.more(&mut random, 900).await;
    world.store.want_search_index(account().0);
    let (mut turns, mut unknown) = (0, 0);
    while world.store.make_search_index(32 << 10).unwrap() {
        turns += 1;
        if turns % 4 == 1 {
            let open = compare(&world.store, &world.messages, &mut Random::new(4), 3);
            unknown = unknown.max(open);
            // Mail comes meanwhile.
            world.more(&mut random, 5).await;
        }
    }
    assert!(turns >= 12, "{turns}");
    assert_eq!(parts(&world.disk).len(), 2);
    let known = compare(&world.store, &world.messages, &mut Random::new(4), 3);
    assert!(known < unknown, "{known} {unknown}");
    world.store.close();
}

#[tokio::test]
async fn a_damaged_part_is_thrown_away_and_made_again() {
    let mut random = Random::new(3);
    let world = World::new(&mut random, 80).await;
    index(&world.store).await;
    let path = parts(&world.disk).pop().unwrap();
    let file = world.disk.open(&path, Mode::Write).unwrap();
    let mut whole = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut whole, 0).unwrap();
    let mut gone = 0;
    for _ in 0..300 {
        let (at, bit) = (random.below(whole.len() as u64), random.below(8));
        let file = world.disk.open(&path, Mode::Write).unwrap();
        match random.below(3) {
            // Cut short, or never written, or one bit is wrong.
            0 => file.set_len(at).unwrap(),
            1 => file.write_at(&vec![0; whole.len() - at as usize], at).unwrap(),
            _ => file.write_at(&[whole[at as usize] ^ 1 << bit], at).unwrap(),
        }
        let store = open(&world.model, &world.disk, &world.clock);
        compare(&store, &world.messages, &mut random, 3);
        gone += usize::from(parts(&world.disk).is_empty());
        store.close();
        let file = world.disk.open(&path, Mode::Write).unwrap();
        file.set_len(0).unwrap();
        file.write_at(&whole, 0).unwrap();
    }
    assert!(gone > 150, "damage was seen {gone} times");
    world.disk.remove(&path).unwrap();
    let store = open(&world.model, &world.disk, &world.clock);
    index(&store).await;
    assert_eq!(parts(&world.disk).len(), 1);
    assert!(compare(&store, &world.messages, &mut random, 20) < 20 * 7 * 80);
    store.close();
    world.store.close();
}

#[tokio::test]
async fn a_crash_that_loses_all_of_it_costs_nothing_but_the_index() {
    let mut random = Random::new(5);
    let world = World::new(&mut random, 80).await;
    index(&world.store).await;
    world.store.close();
    let rows = world.model.crash().first().cloned().unwrap();
    let (disk, model) = (world.disk.without_unsynced(), Model::with_state(rows));
    let store = open(&model, &disk, &world.clock);
    compare(&store, &world.messages, &mut random, 10);
    index(&store).await;
    assert!(compare(&store, &world.messages, &mut random, 20) < 20 * 7 * 80);
    store.close();
}
