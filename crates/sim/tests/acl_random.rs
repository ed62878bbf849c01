//! Rights that are given and taken while sessions have the mailbox selected, at random: a command
//! is done exactly when the rights of that moment allow it, and does nothing else. RFC 4314 §4.
//!
//! `SEED=n` for one run again, `SECONDS=n` for as many runs as that takes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "how long it goes on is a matter of the clock")]

use mail::Rights;
use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan};
use sim::random::Random;
use sim::world::SimWorld;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const SHARED: &str = "\"Other Users/alice@example.org/Archive\"";
/// With any of these a mailbox is selected READ-WRITE. RFC 4314 §5.2.
const CHANGES: &str = "switen";
/// Flags, and the right that each takes.
const FLAGS: [(&str, char); 5] =
    [("\\Seen", 's'), ("\\Deleted", 't'), ("\\Flagged", 'w'), ("\\Draft", 'w'), ("$Label", 'w')];

type Messages = BTreeMap<u32, BTreeSet<String>>;

struct Session {
    client: Client,
    /// It has selected the mailbox, and may change it.
    selected: Option<bool>,
    /// It was told of messages below this UID.
    known: u32,
}

struct Run {
    alice: Client,
    guests: Vec<Session>,
    rights: Rights,
    /// What is in the mailbox.
    messages: Messages,
    uidnext: u32,
    log: Vec<String>,
}

fn letters(text: &str) -> Rights {
    Rights::parse(text).unwrap()
}

fn right(letter: char) -> Rights {
    letters(&letter.to_string())
}

/// Says a command: what is told before its answer, and the answer.
async fn say(client: &mut Client, log: &mut Vec<String>, command: &str) -> (Vec<String>, String) {
    log.push(format!("C: {command}"));
    client.send(format!("t {command}\r\n").as_bytes()).await;
    let mut lines = Vec::new();
    loop {
        let line = client.line().await;
        log.push(format!("S: {line}"));
        if let Some(answer) = line.strip_prefix("t ") {
            return (lines, answer.to_owned());
        }
        assert!(lines.len() < 10_000, "{log:#?}");
        lines.push(line);
    }
}

impl Run {
    async fn begin(house: &House) -> Run {
        for name in ["alice", "bob"] {
            house.add_account(name).await;
        }
        let mut clients = Vec::new();
        for (n, name) in ["alice", "bob", "bob", "bob"].into_iter().enumerate() {
            let mut client = Client::connect(house, Service::Imap, [192, 0, 2, n as u8]).await;
            client.line().await;
            let mut log = Vec::new();
            let login = format!("LOGIN {name} secret");
            assert!(say(&mut client, &mut log, &login).await.1.starts_with("OK"));
            clients.push(client);
        }
        let alice = clients.remove(0);
        let guest = |client| Session { client, selected: None, known: 0 };
        let guests = clients.into_iter().map(guest).collect();
        let (messages, log) = (Messages::new(), Vec::new());
        let mut run = Run { alice, guests, rights: Rights::NONE, messages, uidnext: 1, log };
        run.owner("SELECT Archive").await;
        for _ in 0..4 {
            run.owner_appends().await;
        }
        run
    }

    async fn owner(&mut self, command: &str) -> Vec<String> {
        let (lines, answer) = say(&mut self.alice, &mut self.log, command).await;
        assert!(answer.starts_with("OK"), "{:#?}", self.log);
        lines
    }

    async fn owner_appends(&mut self) {
        self.owner("APPEND Archive {3+}\r\nabc").await;
        self.messages.insert(self.uidnext, BTreeSet::new());
        self.uidnext += 1;
    }

    /// The owner gives other rights.
    async fn give(&mut self, random: &mut Random) {
        let some: String = "swipkxten".chars().filter(|_| random.below(2) == 0).collect();
        let reads = ["lr", "lr", "lr", "l"][random.below(4) as usize];
        let now = format!("{reads}{some}");
        let command = match random.below(8) {
            0 => {
                self.rights = Rights::NONE;
                "DELETEACL Archive bob@example.org".to_owned()
            }
            1 => {
                self.rights = self.rights.with(letters(&some));
                format!("SETACL Archive bob@example.org +{some}")
            }
            2 => {
                self.rights = self.rights.without(letters(&some));
                format!("SETACL Archive bob@example.org -{some}")
            }
            _ => {
                self.rights = letters(&now);
                format!("SETACL Archive bob@example.org {now}")
            }
        };
        self.owner(&command).await;
    }

    fn has(&self, needed: &str) -> bool {
        self.rights.contains(letters(needed))
    }

    /// A guest says something, and is answered as its rights want it.
    async fn ask(&mut self, n: usize, command: &str, expected: &str) -> Vec<String> {
        let guest = &mut self.guests[n];
        guest.known = self.uidnext;
        let (lines, answer) = say(&mut guest.client, &mut self.log, command).await;
        let rights = self.rights;
        assert!(
            answer.starts_with(expected),
            "guest {n} with {rights}: not {expected}: {:#?}",
            self.log
        );
        lines
    }

    /// What a command on the selected mailbox is answered where the rights are right.
    fn expected(&mut self, n: usize, fine: bool) -> &'static str {
        let reads = self.has("r");
        let guest = &mut self.guests[n];
        match (guest.selected, reads, fine) {
            (None, ..) => "BAD",
            (Some(_), false, _) => {
                guest.selected = None;
                "NO [NOPERM]"
            }
            (Some(_), true, true) => "OK",
            (Some(_), true, false) => "NO",
        }
    }

    async fn select(&mut self, n: usize, examine: bool) {
        let fine = self.has("r");
        let writable = !examine && self.rights.intersects(letters(CHANGES));
        self.guests[n].selected = fine.then_some(writable);
        let verb = if examine { "EXAMINE" } else { "SELECT" };
        let expected = match (fine, writable) {
            (false, _) => "NO",
            (true, true) => "OK [READ-WRITE]",
            (true, false) => "OK [READ-ONLY]",
        };
        self.ask(n, &format!("{verb} {SHARED}"), expected).await;
    }

    /// STORE of one flag or two: those that may be changed are.
    async fn store(&mut self, n: usize, random: &mut Random) {
        let uid = 1 + random.below(u64::from(self.uidnext)) as u32;
        let count = 1 + random.below(2) as usize;
        let some: Vec<_> = (0..count).map(|_| FLAGS[random.below(5) as usize]).collect();
        let names: Vec<&str> = some.iter().map(|(name, _)| *name).collect();
        let adds = random.below(3) > 0;
        let sign = if adds { '+' } else { '-' };
        let may: Vec<_> = some.iter().filter(|(_, r)| self.rights.contains(right(*r))).collect();
        let fine = self.guests[n].selected == Some(true) && !may.is_empty();
        let names = names.join(" ");
        let expected = self.expected(n, fine);
        let known = uid < self.guests[n].known;
        let silent = if random.below(3) == 0 { ".SILENT" } else { "" };
        self.ask(n, &format!("UID STORE {uid} {sign}FLAGS{silent} ({names})"), expected).await;
        if let (Some(flags), "OK", true) = (self.messages.get_mut(&uid), expected, known) {
            for (name, _) in may {
                match adds {
                    true => drop(flags.insert((*name).to_owned())),
                    false => drop(flags.remove(*name)),
                }
            }
        }
    }

    /// What takes messages out.
    async fn take_out(&mut self, n: usize, random: &mut Random) {
        let uid = 1 + random.below(u64::from(self.uidnext)) as u32;
        let (command, needed) = match random.below(4) {
            0 => (format!("UID EXPUNGE {uid}"), "e"),
            1 => (format!("UID MOVE {uid} INBOX"), "te"),
            2 => ("CLOSE".to_owned(), "e"),
            _ => ("EXPUNGE".to_owned(), "e"),
        };
        let writable = self.guests[n].selected == Some(true);
        let fine = writable && self.has(needed);
        let closes = command == "CLOSE";
        let expected = self.expected(n, fine || closes);
        let known = uid < self.guests[n].known;
        self.ask(n, &command, expected).await;
        if closes && expected == "OK" {
            self.guests[n].selected = None;
        }
        if fine && expected == "OK" {
            let moves = command.contains("MOVE");
            let one = !closes && command != "EXPUNGE";
            self.messages.retain(|at, flags| {
                let named = !one || *at == uid && known;
                !(named && (moves || flags.contains("\\Deleted")))
            });
        }
    }

    /// APPEND with a flag, which is left out if it may not be set.
    async fn append(&mut self, n: usize, random: &mut Random) {
        let (flag, takes) = FLAGS[random.below(5) as usize];
        let fine = self.has("i");
        let expected = if fine { "OK" } else { "NO" };
        // RFC 4314 §4: it is a matter of the name, so that being selected does not matter.
        if self.guests[n].selected.is_some() && !self.has("r") {
            self.select(n, false).await;
        }
        let known = self.guests[n].known;
        self.ask(n, &format!("APPEND {SHARED} ({flag}) {{3+}}\r\nabc"), expected).await;
        // A refusal tells no news.
        self.guests[n].known = known;
        if fine {
            let mut flags = BTreeSet::new();
            if self.rights.contains(right(takes)) {
                flags.insert(flag.to_owned());
            }
            self.messages.insert(self.uidnext, flags);
            self.uidnext += 1;
            self.guests[n].known = self.uidnext;
        }
    }

    /// A guest reads, which sets \Seen if it may.
    async fn read(&mut self, n: usize, random: &mut Random) {
        let uids: Vec<u32> = self.messages.keys().copied().collect();
        let Some(uid) = uids.get(random.below(uids.len().max(1) as u64) as usize) else { return };
        let sees = self.guests[n].selected == Some(true) && self.has("s");
        let expected = self.expected(n, true);
        let sees = sees && *uid < self.guests[n].known;
        self.ask(n, &format!("UID FETCH {uid} BODY[]"), expected).await;
        if let (Some(flags), true, "OK") = (self.messages.get_mut(uid), sees, expected) {
            flags.insert("\\Seen".to_owned());
        }
    }

    async fn act(&mut self, random: &mut Random) {
        let n = random.below(self.guests.len() as u64) as usize;
        match random.below(12) {
            0 | 1 => self.give(random).await,
            2 => self.owner_appends().await,
            3 | 4 => self.select(n, random.below(4) == 0).await,
            5 | 6 => self.store(n, random).await,
            7 => self.take_out(n, random).await,
            8 => self.append(n, random).await,
            9 => self.read(n, random).await,
            10 => {
                let expected = self.expected(n, true);
                self.ask(n, "UID SEARCH ALL", expected).await;
            }
            _ => {
                let expected = if self.has("r") { "OK" } else { "NO" };
                if self.guests[n].selected.is_none() {
                    self.ask(n, &format!("STATUS {SHARED} (MESSAGES)"), expected).await;
                }
            }
        }
    }

    /// What the owner sees is what was allowed.
    async fn check(&mut self) {
        let mut seen = Messages::new();
        self.owner("NOOP").await;
        for line in self.owner("UID FETCH 1:* (UID FLAGS)").await {
            let Some((_, rest)) = line.split_once("FETCH (UID ") else { continue };
            let (uid, rest) = rest.split_once(" FLAGS (").unwrap();
            let flags = rest.split(')').next().unwrap().split(' ');
            let flags = flags.filter(|flag| !flag.is_empty() && *flag != "\\Recent");
            seen.insert(uid.parse().unwrap(), flags.map(str::to_owned).collect());
        }
        assert_eq!(seen, self.messages, "{:#?}", self.log);
    }
}

async fn run(seed: u64) {
    let house = House::build(Plan::default(), SimWorld::new(seed)).await;
    let mut random = Random::new(seed);
    let mut run = Run::begin(&house).await;
    for _ in 0..200 {
        run.act(&mut random).await;
        run.check().await;
    }
}

#[tokio::test]
async fn rights_hold_from_the_moment_they_are_given_or_taken() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = setting("SEED").unwrap_or(1);
    let long = setting("SECONDS").map(Duration::from_secs);
    let start = Instant::now();
    for seed in first.. {
        println!("seed {seed}");
        run(seed).await;
        let more = match long {
            Some(long) => start.elapsed() < long,
            None => seed < first + 5,
        };
        if !more {
            break;
        }
    }
}
