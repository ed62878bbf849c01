//! A client that keeps copies of mailboxes, and believes what it is told.

use server::listen::Service;
use sim::house::House;
use sim::pipe::End;
use sim::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// The mailboxes there are.
pub const BOXES: [&str; 3] = ["INBOX", "Work", "Trash"];
/// What has to happen in a run.
pub const KINDS: [&str; 7] =
    ["EXISTS", "EXPUNGE", "VANISHED (EARLIER)", "VANISHED 1", "COPYUID", "MODIFIED", "APPENDUID"];
const FLAGS: [&str; 5] = ["\\Seen", "\\Deleted", "\\Flagged", "$Label", "NonJunk"];

/// What a client knows of IMAP, and so how it is brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// RFC 3501: it fetches everything anew.
    Plain,
    /// RFC 7162 without QRESYNC: it asks for UIDs, and for the flags that changed.
    Condstore,
    /// RFC 7162: SELECT tells what vanished and what changed.
    Qresync,
}

/// A message in a copy: what the client has been told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
    /// EMAILID: the content, which never changes.
    email: Option<String>,
}

/// A copy of a mailbox.
#[derive(Clone, Debug, Default)]
struct Replica {
    list: Vec<Copy>,
    uidvalidity: u32,
    modseq: u64,
}

pub struct Client {
    pub n: usize,
    kind: Kind,
    conn: BufReader<End>,
    tag: u32,
    /// Which mailbox is selected.
    at: usize,
    /// The copy of that.
    now: Replica,
    /// Copies of the others.
    others: BTreeMap<usize, Replica>,
    /// The tag of IDLE.
    idling: Option<String>,
    /// How often it connected; for its address.
    times: u16,
    /// All that was said, for when something is wrong.
    pub log: Vec<String>,
    /// Things that happened.
    pub seen: BTreeSet<&'static str>,
}

impl Client {
    pub async fn new(house: &House, n: usize) -> Client {
        let mut client = Client {
            n,
            kind: [Kind::Plain, Kind::Qresync, Kind::Condstore][n % 3],
            conn: connect(house, n, 0),
            tag: 0,
            at: 0,
            now: Replica::default(),
            others: BTreeMap::new(),
            idling: None,
            times: 0,
            log: Vec::new(),
            seen: BTreeSet::new(),
        };
        client.begin().await;
        client
    }

    /// The copies of the selected mailbox are the same, as far as both know.
    pub fn agrees(&self, other: &Client) -> bool {
        let email =
            |a: &Copy, b: &Copy| a.email == b.email || a.email.is_none() || b.email.is_none();
        let one = |(a, b): (&Copy, &Copy)| a.uid == b.uid && a.flags == b.flags && email(a, b);
        let (mine, theirs) = (&self.now.list, &other.now.list);
        mine.len() == theirs.len() && mine.iter().zip(theirs).all(one)
    }

    /// The copy of the selected mailbox, for a human.
    pub fn copy(&self) -> String {
        format!("{:?}", self.now.list)
    }

    /// Logs in and selects.
    async fn begin(&mut self) {
        self.idling = None;
        self.line().await;
        self.ask("LOGIN alice secret").await;
        match self.kind {
            Kind::Plain => {}
            Kind::Condstore => self.ask("ENABLE CONDSTORE").await,
            Kind::Qresync => self.ask("ENABLE QRESYNC").await,
        }
        self.select(self.at).await;
    }

    /// The connection is lost, and made anew.
    async fn again(&mut self, house: &House) {
        self.times += 1;
        self.log.push("-- connects again".to_owned());
        self.conn = connect(house, self.n, self.times);
        self.begin().await;
    }

    /// Selects a mailbox; a copy that can be brought up to date is kept.
    pub async fn select(&mut self, at: usize) {
        self.rest().await;
        let left = std::mem::take(&mut self.now);
        self.others.insert(self.at, left);
        self.at = at;
        let before = self.others.remove(&at).unwrap_or_default();
        let known = before.list.iter().all(|copy| copy.uid.is_some() && copy.flags.is_some());
        let name = BOXES[at];
        match self.kind {
            Kind::Qresync if known && before.modseq > 0 => {
                let (uidvalidity, modseq) = (before.uidvalidity, before.modseq);
                let select = format!("SELECT {name} (QRESYNC ({uidvalidity} {modseq}))");
                self.now.modseq = modseq;
                self.resume(&select, before.list).await;
            }
            Kind::Condstore if known && before.modseq > 0 => {
                self.ask(&format!("SELECT {name} (CONDSTORE)")).await;
                self.catch_up(before).await;
            }
            _ => self.ask(&format!("SELECT {name}")).await,
        }
        self.learn().await;
    }

    /// Which UIDs are there still, and which flags have changed since. RFC 4549 §6.1.
    async fn catch_up(&mut self, before: Replica) {
        if self.now.list.is_empty() {
            return;
        }
        self.ask("FETCH 1:* (UID)").await;
        let old: BTreeMap<Option<u32>, Copy> =
            before.list.into_iter().map(|copy| (copy.uid, copy)).collect();
        for copy in &mut self.now.list {
            if let Some(old) = old.get(&copy.uid) {
                copy.flags = copy.flags.take().or_else(|| old.flags.clone());
                copy.email.clone_from(&old.email);
            }
        }
        self.ask(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {})", before.modseq)).await;
    }

    /// SELECT with QRESYNC: what vanished goes from the copy; the rest of it is numbered anew.
    async fn resume(&mut self, select: &str, before: Vec<Copy>) {
        let mut kept: BTreeMap<u32, Copy> =
            before.into_iter().filter_map(|copy| Some((copy.uid?, copy))).collect();
        let mut told: Vec<(usize, Copy)> = Vec::new();
        let lines = self.say(select).await;
        // Behind what SELECT tells may come what has happened since.
        let live = |line: &&String| line.starts_with("* VANISHED ") && !line.contains("(EARLIER)");
        let vanished = lines.iter().position(|line| live(&line));
        let exists = |(_, line): &(usize, &String)| line.ends_with(" EXISTS");
        let exists = lines.iter().enumerate().filter(exists).nth(1).map(|(at, _)| at);
        let end = vanished.into_iter().chain(exists).min().unwrap_or(lines.len());
        let (resumed, since) = lines.split_at(end);
        for line in resumed {
            if let Some(uids) = line.strip_prefix("* VANISHED (EARLIER) ") {
                self.seen.insert("VANISHED (EARLIER)");
                for uid in numbers(uids) {
                    kept.remove(&uid);
                }
            } else if let Some((number, copy)) = fetched(line) {
                told.push((number, copy));
            } else {
                self.hear(line);
            }
        }
        // Those it knew come first: UIDs ascend.
        for (slot, (_, copy)) in self.now.list.iter_mut().zip(kept) {
            *slot = copy;
        }
        for (number, copy) in told {
            self.told(number, copy);
        }
        for line in since {
            self.hear(line);
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

    pub async fn ask(&mut self, command: &str) {
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
            self.now.uidvalidity = n as u32;
        }
        if let Some(n) = code("HIGHESTMODSEQ") {
            self.now.modseq = self.now.modseq.max(n);
        }
        for kind in KINDS {
            if line.contains(kind) {
                self.seen.insert(kind);
            }
        }
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["*", n, "EXISTS"] => {
                let n: usize = n.parse().unwrap();
                assert!(n >= self.now.list.len(), "EXISTS takes away: {:#?}", self.log);
                self.now.list.resize(n, Copy::default());
            }
            ["*", n, "EXPUNGE"] => {
                assert!(
                    self.kind != Kind::Qresync,
                    "EXPUNGE after ENABLE QRESYNC: {:#?}",
                    self.log
                );
                let n: usize = n.parse().unwrap();
                assert!((1..=self.now.list.len()).contains(&n), "{line}: {:#?}", self.log);
                self.now.list.remove(n - 1);
            }
            ["*", "VANISHED", uids] => {
                assert!(self.kind == Kind::Qresync, "VANISHED without QRESYNC: {:#?}", self.log);
                for uid in numbers(uids) {
                    let list = &self.now.list;
                    let known = list.iter().position(|copy| copy.uid == Some(uid));
                    // So new that only EXISTS told of it: one before those with greater UIDs.
                    let behind = list.iter().position(|copy| copy.uid > Some(uid));
                    let before = list.get(..behind.unwrap_or(list.len())).unwrap();
                    let new = || before.iter().rposition(|copy| copy.uid.is_none());
                    let at = known.or_else(new);
                    let at = at.unwrap_or_else(|| panic!("{uid}? {:#?}", self.log));
                    self.now.list.remove(at);
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
        let slot = self.now.list.get_mut(number - 1);
        let slot = slot.unwrap_or_else(|| panic!("no message {number}: {:#?}", self.log));
        if let (Some(old), Some(new)) = (slot.uid, copy.uid) {
            assert_eq!(old, new, "message {number} of client {}: {:#?}", self.n, self.log);
        }
        if let (Some(old), Some(new)) = (&slot.email, &copy.email) {
            assert_eq!(old, new, "message {number} of client {}: {:#?}", self.n, self.log);
        }
        slot.uid = copy.uid.or(slot.uid);
        slot.email = copy.email.or(slot.email.take());
        slot.flags = copy.flags.or(slot.flags.take());
    }

    /// Asks for what it was not told yet, by number, so that nothing moves meanwhile.
    pub async fn learn(&mut self) {
        while let Some(at) =
            self.now.list.iter().position(|copy| copy.uid.is_none() || copy.flags.is_none())
        {
            self.ask(&format!("FETCH {}:* (UID FLAGS EMAILID)", at + 1)).await;
        }
        let uids: Vec<u32> = self.now.list.iter().filter_map(|copy| copy.uid).collect();
        assert!(uids.is_sorted_by(|a, b| a < b), "client {}: {uids:?} {:#?}", self.n, self.log);
    }

    /// Ends IDLE, if it idles.
    pub async fn rest(&mut self) {
        let Some(tag) = self.idling.take() else { return };
        self.log.push("C: DONE".to_owned());
        self.conn.write_all(b"DONE\r\n").await.unwrap();
        self.conn.flush().await.unwrap();
        loop {
            let line = self.line().await;
            if line.starts_with(&tag) {
                return;
            }
            self.hear(&line);
        }
    }

    async fn idle(&mut self) {
        self.tag += 1;
        let tag = format!("t{} ", self.tag);
        self.log.push(format!("C: {tag}IDLE"));
        self.conn.write_all(format!("{tag}IDLE\r\n").as_bytes()).await.unwrap();
        self.conn.flush().await.unwrap();
        loop {
            let line = self.line().await;
            if line.starts_with("+ ") {
                break;
            }
            self.hear(&line);
        }
        self.idling = Some(tag);
    }

    /// A command, or the beginning of it, and the connection is lost before an answer is read.
    async fn cut_off(&mut self, set: &str, change: &str, random: &mut Random, house: &House) {
        let command = match random.below(6) {
            0 => format!("UID STORE {change}"),
            1 => format!("UID MOVE {set} Trash"),
            2 => format!("UID COPY {set} Work"),
            3 => "EXPUNGE".to_owned(),
            4 => "CLOSE".to_owned(),
            _ => "SELECT Work".to_owned(),
        };
        let octets = format!("cut {command}\r\n");
        let to = octets.len() - [0, 0, 1, 5][random.below(4) as usize].min(octets.len());
        self.conn.write_all(&octets.as_bytes()[..to]).await.unwrap();
        self.conn.flush().await.unwrap();
        if random.below(2) == 0 {
            house.quiesce().await;
        }
        self.again(house).await;
    }

    /// One random thing.
    pub async fn act(&mut self, random: &mut Random, house: &House) {
        if self.idling.is_some() && random.below(3) > 0 {
            return;
        }
        self.rest().await;
        let some = |random: &mut Random, list: &[Copy]| {
            let at = random.below(list.len().max(1) as u64) as usize;
            (at + 1, list.get(at).and_then(|copy| copy.uid).unwrap_or(1))
        };
        let (number, uid) = some(random, &self.now.list);
        let (_, other) = some(random, &self.now.list);
        let flag = FLAGS[random.below(FLAGS.len() as u64) as usize];
        let sign = ["+", "-", ""][random.below(3) as usize];
        let there = BOXES[random.below(3) as usize];
        let set = if random.below(2) == 0 { format!("{uid}:{other}") } else { uid.to_string() };
        match random.below(20) {
            0..=2 => {
                let text = format!("Subject: {}\r\n\r\nx\r\n", random.below(1000));
                let append = format!("APPEND {there} ({flag}) {{{}+}}\r\n{text}", text.len());
                self.ask(&append).await;
            }
            3 | 4 if !self.now.list.is_empty() => {
                self.ask(&format!("STORE {number} {sign}FLAGS ({flag})")).await;
            }
            5 if !self.now.list.is_empty() => {
                // The client works out by itself what the flags are now.
                let store = format!("STORE {number} {sign}FLAGS.SILENT ({flag})");
                let lines = self.say(&store).await;
                let done = lines.last().is_some_and(|line| line.starts_with("* OK"));
                self.assume(number, sign, flag, done);
                for line in lines {
                    self.hear(&line);
                }
            }
            6 => self.ask(&format!("UID STORE {set} {sign}FLAGS ({flag})")).await,
            7 if self.kind != Kind::Plain => {
                let since = self.now.modseq.saturating_sub(random.below(4));
                let store =
                    format!("UID STORE {set} (UNCHANGEDSINCE {since}) {sign}FLAGS ({flag})");
                self.ask(&store).await;
            }
            8 => self.ask("EXPUNGE").await,
            9 => self.ask(&format!("UID EXPUNGE {set}")).await,
            10 => self.ask(&format!("UID COPY {set} {there}")).await,
            11 | 12 if there != BOXES[self.at] => {
                self.ask(&format!("UID MOVE {set} {there}")).await;
            }
            13 => self.ask("SEARCH UNDELETED").await,
            14 => self.select(random.below(3) as usize).await,
            15 => self.idle().await,
            16 if random.below(2) == 0 => self.again(house).await,
            17 => {
                let change = format!("{set} {sign}FLAGS.SILENT ({flag})");
                self.cut_off(&set, &change, random, house).await;
            }
            18 if random.below(3) == 0 => {
                // What it expunges it tells nobody, so what is told of it is not believed.
                self.say("CLOSE").await;
                self.select(self.at).await;
            }
            _ => self.ask("NOOP").await,
        }
        if self.idling.is_none() {
            self.learn().await;
        }
    }

    fn assume(&mut self, number: usize, sign: &str, flag: &str, done: bool) {
        let slot = self.now.list.get_mut(number - 1).filter(|_| done);
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
    let email = after("EMAILID (").and_then(|text| text.split(')').next()).map(str::to_owned);
    Some((number.parse().ok()?, Copy { uid, flags, email }))
}
