//! Several clients with a copy of one mailbox each, random commands, random disconnections: every
//! copy equals the mailbox in the end, and nothing that a server says contradicts a copy meanwhile.
//!
//! Some clients know only RFC 3501; some enable QRESYNC (RFC 7162), keep their copy over a lost
//! connection and have it brought up to date by SELECT. `SEED=n ROUNDS=n` for more of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::house::{House, Plan};
use sim::pipe::End;
use sim::random::Random;
use sim::world::SimWorld;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

const CLIENTS: usize = 5;
const FLAGS: [&str; 5] = ["\\Seen", "\\Deleted", "\\Flagged", "$Label", "NonJunk"];

/// A message in a copy: what the client has been told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Copy {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
}

struct Client {
    n: usize,
    qresync: bool,
    conn: BufReader<End>,
    tag: u32,
    list: Vec<Copy>,
    uidvalidity: u32,
    modseq: u64,
    /// How often it connected; for its address.
    times: u16,
    /// All that was said, for when something is wrong.
    log: Vec<String>,
}

impl Client {
    async fn new(house: &House, n: usize) -> Client {
        let conn = connect(house, n, 0);
        let mut client = Client {
            n,
            qresync: n % 2 == 1,
            conn,
            tag: 0,
            list: Vec::new(),
            uidvalidity: 0,
            modseq: 0,
            times: 0,
            log: Vec::new(),
        };
        client.begin().await;
        client
    }

    /// Logs in and selects; a copy that can be brought up to date is kept.
    async fn begin(&mut self) {
        self.line().await;
        self.ask("LOGIN alice secret").await;
        if self.qresync {
            self.ask("ENABLE QRESYNC").await;
        }
        let known = self.list.iter().all(|copy| copy.uid.is_some());
        if self.qresync && self.uidvalidity > 0 && known && self.modseq > 0 {
            // What it counts by is what it knows; EXISTS tells how many there are now.
            let select = format!("SELECT INBOX (QRESYNC ({} {}))", self.uidvalidity, self.modseq);
            let before = std::mem::take(&mut self.list);
            self.resume(&select, before).await;
        } else {
            self.list.clear();
            self.ask("SELECT INBOX").await;
        }
        self.learn().await;
    }

    /// SELECT with QRESYNC: what vanished goes from the copy; the rest of it is numbered anew.
    async fn resume(&mut self, select: &str, before: Vec<Copy>) {
        let mut kept: BTreeMap<u32, Copy> =
            before.into_iter().filter_map(|copy| Some((copy.uid?, copy))).collect();
        let mut told: Vec<(usize, Copy)> = Vec::new();
        for line in self.say(select).await {
            if let Some(uids) = line.strip_prefix("* VANISHED (EARLIER) ") {
                for uid in numbers(uids) {
                    kept.remove(&uid);
                }
            } else if let Some((number, copy)) = fetched(&line) {
                told.push((number, copy));
            } else {
                self.hear(&line);
            }
        }
        // Those it knew come first: UIDs ascend.
        for (slot, (_, copy)) in self.list.iter_mut().zip(kept) {
            *slot = copy;
        }
        for (number, copy) in told {
            self.told(number, copy);
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.conn.read_line(&mut line).await.unwrap();
        assert!(line.ends_with("\r\n"), "client {} was cut off: {:#?}", self.n, self.log);
        let mut text = line.trim_end().to_owned();
        // A literal: nothing here asks for one but as the last item of a line.
        while let Some(size) = text.strip_suffix('}').and_then(|t| t.rsplit_once('{')) {
            let mut octets = vec![0; size.1.parse().unwrap()];
            self.conn.read_exact(&mut octets).await.unwrap();
            let mut rest = String::new();
            self.conn.read_line(&mut rest).await.unwrap();
            text = format!("{}…{}", size.0, rest.trim_end());
        }
        self.log.push(format!("S: {text}"));
        text
    }

    /// Says a command; the untagged lines up to its tagged one, which is not BAD.
    async fn say(&mut self, command: &str) -> Vec<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.log.push(format!("C: {tag} {command}"));
        let octets = format!("{tag} {command}\r\n");
        self.conn.write_all(octets.as_bytes()).await.unwrap();
        self.conn.flush().await.unwrap();
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if let Some(rest) = line.strip_prefix(&format!("{tag} ")) {
                assert!(!rest.starts_with("BAD"), "client {}: {:#?}", self.n, self.log);
                lines.push(format!("* {rest}"));
                return lines;
            }
            lines.push(line);
        }
    }

    async fn ask(&mut self, command: &str) {
        for line in self.say(command).await {
            self.hear(&line);
        }
    }

    /// What an untagged line does to the copy.
    fn hear(&mut self, line: &str) {
        let code = |name: &str| {
            let (_, rest) = line.split_once(&format!("[{name} "))?;
            rest.split(']').next()?.parse::<u64>().ok()
        };
        if let Some(n) = code("UIDVALIDITY") {
            self.uidvalidity = n as u32;
        }
        if let Some(n) = code("HIGHESTMODSEQ") {
            self.modseq = self.modseq.max(n);
        }
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["*", n, "EXISTS"] => {
                let n: usize = n.parse().unwrap();
                assert!(n >= self.list.len(), "EXISTS takes away: {:#?}", self.log);
                self.list.resize(n, Copy::default());
            }
            ["*", n, "EXPUNGE"] => {
                assert!(!self.qresync, "EXPUNGE after ENABLE QRESYNC: {:#?}", self.log);
                let n: usize = n.parse().unwrap();
                assert!((1..=self.list.len()).contains(&n), "{line}: {:#?}", self.log);
                self.list.remove(n - 1);
            }
            ["*", "VANISHED", uids] => {
                assert!(self.qresync, "VANISHED without QRESYNC: {:#?}", self.log);
                for uid in numbers(uids) {
                    let at = self.list.iter().position(|copy| copy.uid == Some(uid));
                    self.list.remove(at.unwrap_or_else(|| panic!("{uid}? {:#?}", self.log)));
                }
            }
            _ => {
                if let Some((number, copy)) = fetched(line) {
                    self.told(number, copy);
                }
            }
        }
    }

    /// `* n FETCH (…)`: what is told must fit what is known.
    fn told(&mut self, number: usize, copy: Copy) {
        let slot = self.list.get_mut(number - 1);
        let slot = slot.unwrap_or_else(|| panic!("no message {number}: {:#?}", self.log));
        if let (Some(old), Some(new)) = (slot.uid, copy.uid) {
            assert_eq!(old, new, "message {number} of client {}: {:#?}", self.n, self.log);
        }
        slot.uid = copy.uid.or(slot.uid);
        slot.flags = copy.flags.or(slot.flags.take());
    }

    /// Asks for what it was not told yet, by number, so that nothing moves meanwhile.
    async fn learn(&mut self) {
        while let Some(at) =
            self.list.iter().position(|copy| copy.uid.is_none() || copy.flags.is_none())
        {
            self.ask(&format!("FETCH {}:* (UID FLAGS)", at + 1)).await;
        }
        let uids: Vec<u32> = self.list.iter().filter_map(|copy| copy.uid).collect();
        assert!(uids.is_sorted_by(|a, b| a < b), "client {}: {uids:?} {:#?}", self.n, self.log);
    }

    /// One random thing.
    async fn act(&mut self, random: &mut Random, house: &House) {
        let some = |random: &mut Random, list: &[Copy]| {
            let at = random.below(list.len().max(1) as u64) as usize;
            (at + 1, list.get(at).and_then(|copy| copy.uid).unwrap_or(1))
        };
        let (number, uid) = some(random, &self.list);
        let (_, other) = some(random, &self.list);
        let flag = FLAGS[random.below(FLAGS.len() as u64) as usize];
        let sign = ["+", "-", ""][random.below(3) as usize];
        let silent = if random.below(4) == 0 { ".SILENT" } else { "" };
        match random.below(12) {
            0 | 1 => {
                let text = format!("Subject: {}\r\n\r\nx\r\n", random.below(1000));
                self.ask(&format!("APPEND INBOX ({flag}) {{{}+}}\r\n{text}", text.len())).await;
            }
            2 | 3 if !self.list.is_empty() => {
                if silent.is_empty() {
                    self.ask(&format!("STORE {number} {sign}FLAGS ({flag})")).await;
                } else {
                    // The client works out by itself what the flags are now.
                    let lines =
                        self.say(&format!("STORE {number} {sign}FLAGS.SILENT ({flag})")).await;
                    let done = lines.last().is_some_and(|line| line.starts_with("* OK"));
                    self.assume(number, sign, flag, done);
                    for line in lines {
                        self.hear(&line);
                    }
                }
            }
            4 => self.ask(&format!("UID STORE {uid}:{other} {sign}FLAGS ({flag})")).await,
            5 => self.ask("EXPUNGE").await,
            6 => self.ask(&format!("UID EXPUNGE {uid}:{other}")).await,
            7 => self.ask(&format!("UID COPY {uid} INBOX")).await,
            8 if random.below(3) == 0 => self.ask(&format!("UID MOVE {uid} Trash")).await,
            9 => self.ask("SEARCH UNDELETED").await,
            10 if random.below(3) == 0 => {
                self.times += 1;
                self.conn = connect(house, self.n, self.times);
                self.begin().await;
            }
            _ => self.ask("NOOP").await,
        }
        self.learn().await;
    }

    fn assume(&mut self, number: usize, sign: &str, flag: &str, done: bool) {
        let slot = self.list.get_mut(number - 1).filter(|_| done);
        let Some(flags) = slot.and_then(|copy| copy.flags.as_mut()) else { return };
        if sign.is_empty() {
            flags.clear();
        }
        if sign == "-" {
            flags.remove(flag);
        } else {
            flags.insert(flag.to_owned());
        }
    }
}

fn connect(house: &House, n: usize, times: u16) -> BufReader<End> {
    let from = SocketAddr::from(([192, 0, 2, n as u8 + 1], 40_000 + times));
    BufReader::new(house.connect(Service::Imap, from))
}

/// `1:3,5`.
fn numbers(set: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (a, b) = part.split_once(':').unwrap_or((part, part));
        a.parse::<u32>().unwrap()..=b.parse::<u32>().unwrap()
    };
    set.split(',').flat_map(range).collect()
}

/// The number, and the UID and flags as far as they are told; `\Recent` is nobody's business.
fn fetched(line: &str) -> Option<(usize, Copy)> {
    let (number, rest) = line.strip_prefix("* ")?.split_once(" FETCH (")?;
    let after = |name: &str| {
        let at = rest.find(name)?;
        rest.get(at + name.len()..)
    };
    let uid = after("UID ").and_then(|text| text.split([' ', ')']).next()?.parse().ok());
    let flags = after("FLAGS (").map(|text| {
        let names = text.split(')').next().unwrap_or_default().split(' ');
        names.filter(|f| !f.is_empty() && *f != "\\Recent").map(str::to_owned).collect()
    });
    Some((number.parse().ok()?, Copy { uid, flags }))
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test]
async fn every_copy_equals_the_mailbox() {
    let first = setting("SEED", 1);
    let mut seen = BTreeSet::new();
    for seed in first..first + 4 {
        let mut random = Random::new(seed);
        let house = House::build(Plan::default(), SimWorld::new(seed)).await;
        house.add_account("alice").await;
        let mut clients = Vec::new();
        for n in 0..CLIENTS {
            clients.push(Client::new(&house, n).await);
        }
        for _ in 0..setting("ROUNDS", 300) {
            let n = random.below(CLIENTS as u64) as usize;
            clients[n].act(&mut random, &house).await;
        }
        let mut fresh = Client::new(&house, 0).await;
        fresh.learn().await;
        for client in &mut clients {
            client.ask("NOOP").await;
            client.learn().await;
            assert_eq!(client.list, fresh.list, "seed {seed}, {}: {:#?}", client.n, client.log);
            let kinds = ["EXISTS", "EXPUNGE", "* VANISHED (EARLIER)", "* VANISHED 1", "COPYUID"];
            let said = |kind: &&str| client.log.iter().any(|line| line.contains(*kind));
            seen.extend(kinds.into_iter().filter(said));
        }
    }
    assert_eq!(seen.len(), 5, "only {seen:?} happened");
}
