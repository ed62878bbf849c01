//! A client that keeps copies of mailboxes, and believes what it is told.

use server::listen::Service;
use sim::house::House;
use sim::pipe::End;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// The mailboxes there are.
pub const BOXES: [&str; 3] = ["INBOX", "Work", "Trash"];
/// What has to happen in a run.
pub const KINDS: [&str; 17] = [
    "EXISTS",
    "EXPUNGE",
    "VANISHED (EARLIER)",
    "VANISHED 1",
    "COPYUID",
    "MODIFIED",
    "APPENDUID",
    "REPLACE completed",
    "RENAME completed",
    "CREATE completed",
    "[LIMIT]",
    "CATENATE",
    "SEARCH",
    "THREAD",
    "BODY",
    "ANNOTATION",
    "ANNOTATION copied",
];

/// What the shared comments of messages are, by mailbox, UIDVALIDITY and UID: as far as a command
/// that set or copied them was answered.
pub type Notes = Arc<Mutex<BTreeMap<(usize, u32, u32), Option<String>>>>;
pub const FLAGS: [&str; 5] = ["\\Seen", "\\Deleted", "\\Flagged", "$Label", "NonJunk"];

/// What a client knows of IMAP, and so how it is brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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
    pub uid: Option<u32>,
    pub flags: Option<BTreeSet<String>>,
    /// EMAILID: the content, which never changes.
    email: Option<String>,
    /// The flags follow from a STORE that was silent: what is gone meanwhile never got them.
    pub assumed: bool,
    /// Its subject, from which follows what it says.
    pub subject: Option<String>,
}

/// A copy of a mailbox.
#[derive(Clone, Debug, Default)]
pub struct Replica {
    pub list: Vec<Copy>,
    pub uidvalidity: u32,
    pub modseq: u64,
}

pub struct Client {
    pub n: usize,
    pub kind: Kind,
    pub conn: BufReader<End>,
    tag: u32,
    /// Which mailbox is selected.
    pub at: usize,
    /// The copy of that.
    pub now: Replica,
    /// Copies of the others.
    others: BTreeMap<usize, Replica>,
    /// What HIGHESTMODSEQ said since the last tagged response, and the highest MODSEQ of a message.
    code: Option<u64>,
    items: u64,
    /// The last literal that came.
    pub literal: Vec<u8>,
    /// The tag of IDLE.
    pub idling: Option<String>,
    /// How often it connected; for its address.
    times: u16,
    /// All that was said, for when something is wrong.
    pub log: Vec<String>,
    /// Things that happened.
    pub seen: BTreeSet<&'static str>,
    /// Of all clients together.
    pub notes: Notes,
    /// Where the last COPY or MOVE went.
    copied_to: usize,
}

impl Client {
    pub async fn new(house: &House, n: usize, notes: &Notes) -> Client {
        let mut client = Client {
            n,
            kind: [Kind::Plain, Kind::Qresync, Kind::Condstore][n % 3],
            notes: notes.clone(),
            copied_to: 0,
            conn: connect(house, n, 0),
            tag: 0,
            at: 0,
            now: Replica::default(),
            others: BTreeMap::new(),
            code: None,
            items: 0,
            literal: Vec::new(),
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
    pub async fn again(&mut self, house: &House) {
        self.times += 1;
        (self.code, self.items) = (None, 0);
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
                self.resume(&select, before.list, uidvalidity).await;
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
        let old: BTreeMap<Option<u32>, Copy> = match before.uidvalidity == self.now.uidvalidity {
            true => before.list.into_iter().map(|copy| (copy.uid, copy)).collect(),
            false => return,
        };
        for copy in &mut self.now.list {
            if let Some(old) = old.get(&copy.uid) {
                copy.flags = copy.flags.take().or_else(|| old.flags.clone());
                copy.email.clone_from(&old.email);
                copy.subject.clone_from(&old.subject);
            }
        }
        self.ask(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {})", before.modseq)).await;
    }

    /// SELECT with QRESYNC: what vanished goes from the copy; the rest of it is numbered anew.
    async fn resume(&mut self, select: &str, before: Vec<Copy>, uidvalidity: u32) {
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
        if self.now.uidvalidity != uidvalidity {
            // Another mailbox of that name: RFC 7162 §3.2.5.
            kept.clear();
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
        self.settle();
    }

    /// A tagged response has come: up to where the copy is now. RFC 7162 §6.
    pub fn settle(&mut self) {
        let items = std::mem::take(&mut self.items);
        self.now.modseq = self.code.take().unwrap_or_else(|| self.now.modseq.max(items));
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
            self.literal = octets;
        }
        self.log.push(format!("S: {text}"));
        text
    }

    /// Says a command; the untagged lines up to its tagged one, which is not BAD.
    pub async fn say(&mut self, command: &str) -> Vec<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.log.push(format!("C: {tag} {command}"));
        if command.starts_with("UID COPY ") || command.starts_with("UID MOVE ") {
            self.copied_to = BOXES.iter().position(|name| command.ends_with(name)).unwrap();
        }
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
        self.settle();
    }

    /// What an untagged line does to the copy.
    pub fn hear(&mut self, line: &str) {
        let code = |name: &str| {
            let (_, rest) = line.split_once(&format!("[{name} "))?;
            rest.split(']').next()?.parse::<u64>().ok()
        };
        if let Some(n) = code("UIDVALIDITY") {
            self.now.uidvalidity = n as u32;
        }
        if let Some((_, rest)) = line.split_once("[COPYUID ") {
            self.copied(rest.split(']').next().unwrap());
        }
        if let Some(n) = code("HIGHESTMODSEQ") {
            self.code = Some(n);
        }
        let modseq = line.split_once("MODSEQ (").and_then(|(_, rest)| rest.split(')').next());
        self.items = self.items.max(modseq.and_then(|n| n.parse().ok()).unwrap_or(0));
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

    /// Annotations go with their messages. RFC 5257 §4.6.
    fn copied(&mut self, code: &str) {
        let mut words = code.split(' ');
        let to: u32 = words.next().unwrap().parse().unwrap();
        let mut uids = || numbers(words.next().unwrap());
        let (from, copies) = (uids(), uids());
        assert_eq!(from.len(), copies.len(), "{code}: {:#?}", self.log);
        let mut notes = self.notes.lock().unwrap();
        for (uid, copy) in from.into_iter().zip(copies) {
            if let Some(note) = notes.get(&(self.at, self.now.uidvalidity, uid)).cloned() {
                notes.insert((self.copied_to, to, copy), note);
                self.seen.insert("ANNOTATION copied");
            }
        }
    }

    /// The comments of some messages are what they were made. What is not known is passed over, and
    /// what is told to be gone behind it.
    pub async fn read_notes(&mut self, set: &str) {
        let fetch = format!("UID FETCH {set} (UID ANNOTATION (/comment value.shared))");
        let mut told = Vec::new();
        for line in self.say(&fetch).await {
            self.hear(&line);
            let rest = line.split_once("ANNOTATION (/comment (value.shared ");
            if let Some((_, rest)) = rest {
                let value = rest.strip_prefix('"').and_then(|text| text.split('"').next());
                let uid = fetched(&line).and_then(|(_, copy)| copy.uid);
                told.push((uid, value.map(str::to_owned)));
            }
        }
        self.settle();
        let notes = self.notes.clone();
        for (uid, value) in told {
            let here = self.now.list.iter().any(|copy| copy.uid == uid);
            let key = (self.at, self.now.uidvalidity, uid.unwrap());
            if let Some(note) = notes.lock().unwrap().get(&key).filter(|_| here) {
                assert_eq!(value, *note, "{uid:?}, client {}: {:#?}", self.n, self.log);
                self.seen.insert("ANNOTATION");
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
        slot.subject = copy.subject.or(slot.subject.take());
        slot.assumed &= copy.flags.is_none();
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
                return self.settle();
            }
            self.hear(&line);
        }
    }

    pub async fn idle(&mut self) {
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
    let subject = after("ENVELOPE (NIL \"").and_then(|text| text.split('"').next());
    let subject = subject.map(str::to_owned);
    Some((number.parse().ok()?, Copy { uid, flags, email, subject, assumed: false }))
}
