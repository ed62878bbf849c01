//! The random things that a client does, and what must come of them.

use crate::client::{BOXES, Client, Copy, FLAGS, Kind};
use crate::text::{self, text_of};
use sim::house::House;
use sim::random::Random;
use tokio::io::AsyncWriteExt;

/// What a STORE changes.
struct Change<'a> {
    number: usize,
    set: &'a str,
    sign: &'a str,
    flag: &'a str,
}

impl Client {
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
        match random.below(30) {
            0..=2 | 20 | 21 => self.add(uid, there, flag, random).await,
            22 | 23 => self.look(random).await,
            24 | 25 => self.search(flag, random).await,
            27 | 28 => self.note(uid, random).await,
            29 => self.read_notes(&set).await,
            19 if random.below(2) == 0 => {
                // More keywords than a mailbox can have.
                let some: Vec<_> = (0..40).map(|_| format!("kw{}", random.below(90))).collect();
                self.ask(&format!("UID STORE {uid} +FLAGS ({})", some.join(" "))).await;
            }
            26 if random.below(6) == 0 => self.rename(random).await,
            n @ 3..=7 => {
                let change = Change { number, set: &set, sign, flag };
                self.change(n, &change, random).await;
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

    /// A message has another comment, or none any more.
    async fn note(&mut self, uid: u32, random: &mut Random) {
        self.learn().await;
        let note = (random.below(4) > 0).then(|| random.below(1000).to_string());
        let value = note.as_ref().map_or("NIL".to_owned(), |note| format!("\"{note}\""));
        let store = format!("UID STORE {uid} ANNOTATION (/comment (value.shared {value}))");
        let lines = self.say(&store).await;
        let here = self.now.list.iter().any(|copy| copy.uid == Some(uid));
        if here && lines.last().is_some_and(|line| line.starts_with("* OK")) {
            self.notes.lock().unwrap().insert((self.at, self.now.uidvalidity, uid), note);
        }
        for line in lines {
            self.hear(&line);
        }
        self.settle();
        self.read_notes(&uid.to_string()).await;
    }

    /// A message of a text and the text of another one.
    async fn catenate(&mut self, there: &str, flag: &str, random: &mut Random) {
        let plain = |copy: &&Copy| {
            copy.subject.as_ref().is_some_and(|subject| subject.parse::<u32>().is_ok())
        };
        let all: Vec<&Copy> = self.now.list.iter().filter(plain).collect();
        let Some(one) = all.get(random.below(all.len().max(1) as u64) as usize) else { return };
        let (Some(uid), Some(inner)) = (one.uid, &one.subject) else { return };
        let begin = text::beginning(&format!("cat {} of {inner}", random.below(1000)));
        let (at, validity) = (BOXES[self.at], self.now.uidvalidity);
        let url = format!("/{at};UIDVALIDITY={validity}/;UID={uid}/;SECTION=TEXT");
        let size = begin.len();
        let parts = format!("(TEXT {{{size}+}}\r\n{begin} URL \"{url}\")");
        self.ask(&format!("APPEND {there} ({flag}) CATENATE {parts}")).await;
        self.seen.insert("CATENATE");
    }

    /// Part of a message: it says what its subject makes it say.
    async fn look(&mut self, random: &mut Random) {
        let at = random.below(self.now.list.len().max(1) as u64) as usize;
        let Some(Copy { uid: Some(uid), subject, .. }) = self.now.list.get(at).cloned() else {
            return;
        };
        let Some(subject) = subject else {
            return self.ask(&format!("UID FETCH {uid} (ENVELOPE)")).await;
        };
        let text = text_of(&subject);
        let (from, count) = (random.below(300) as usize, 1 + random.below(300) as usize);
        let (name, whole) = match random.below(2) {
            0 => ("BODY", text.as_str()),
            _ => ("TEXT", text.split_once("\r\n\r\n").unwrap().1),
        };
        let part = name.strip_prefix("BODY").unwrap_or(name);
        let fetch = format!("UID FETCH {uid} (RFC822.SIZE BODY.PEEK[{part}]<{from}.{count}>)");
        let lines = self.say(&fetch).await;
        let size = lines.iter().find_map(|line| {
            let size = line.split_once("RFC822.SIZE ")?.1;
            size.split([' ', ')']).next()?.parse::<usize>().ok()
        });
        if let Some(size) = size {
            let expected = whole.as_bytes().get(from..).unwrap_or_default();
            let expected = expected.get(..count).unwrap_or(expected);
            assert_eq!(size, text.len(), "{subject}: {:#?}", self.log);
            assert_eq!(self.literal, expected, "{subject}: {:#?}", self.log);
            self.seen.insert("BODY");
        }
        for line in lines {
            self.hear(&line);
        }
        self.settle();
    }

    /// SEARCH, SORT and THREAD find what the copy has.
    async fn search(&mut self, flag: &str, random: &mut Random) {
        self.learn().await;
        let key = match flag.strip_prefix('\\') {
            Some(name) => name.to_uppercase(),
            None => format!("KEYWORD {flag}"),
        };
        let not = random.below(2) == 0;
        let has = |copy: &Copy| copy.flags.as_ref().is_some_and(|flags| flags.contains(flag));
        let fits = |(_, copy): &(u32, Copy)| has(copy) != not;
        let numbered = (1u32..).zip(self.now.list.iter().cloned());
        let expected: Vec<u32> = numbered.filter(fits).map(|(number, _)| number).collect();
        let key = if not { format!("NOT {key}") } else { key };
        let (command, name) = match random.below(3) {
            0 => (format!("SEARCH {key}"), "SEARCH"),
            1 => (format!("SORT (REVERSE SIZE) UTF-8 {key}"), "SORT"),
            _ => (format!("THREAD REFERENCES UTF-8 {key}"), "THREAD"),
        };
        let lines = self.say(&command).await;
        let start = format!("* {name}");
        let found = lines.iter().find_map(|line| line.strip_prefix(&start)).unwrap_or_default();
        let digits = found.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
        let mut found: Vec<u32> = digits.map(|n| n.parse().unwrap()).collect();
        if name == "SORT" {
            let size = |n: &u32| {
                let subject = self.now.list.get(*n as usize - 1)?.subject.as_ref()?;
                Some(std::cmp::Reverse(text_of(subject).len()))
            };
            let known: Vec<(_, u32)> = found.iter().filter_map(|n| Some((size(n)?, *n))).collect();
            assert!(known.is_sorted(), "client {}: {:#?}", self.n, self.log);
        }
        let is_sure = |n: &u32| !self.now.list.get(*n as usize - 1).is_some_and(|c| c.assumed);
        found.retain(is_sure);
        found.sort_unstable();
        let expected: Vec<u32> = expected.into_iter().filter(is_sure).collect();
        assert_eq!(found, expected, "client {}: {:#?}", self.n, self.log);
        self.seen.insert("SEARCH");
        for line in lines {
            self.hear(&line);
        }
        self.settle();
    }

    /// A new message, or some, or one in the place of another.
    async fn add(&mut self, uid: u32, there: &str, flag: &str, random: &mut Random) {
        let text = text_of(&random.below(1000).to_string());
        let size = text.len();
        match random.below(5) {
            0 | 1 => {
                let append = format!("APPEND {there} ({flag}) {{{size}+}}\r\n{text}");
                self.ask(&append).await;
            }
            2 => {
                let more = text_of(&random.below(1000).to_string());
                let two = more.len();
                let append =
                    format!("APPEND {there} ({flag}) {{{size}+}}\r\n{text} {{{two}+}}\r\n{more}");
                self.ask(&append).await;
            }
            3 => self.catenate(there, flag, random).await,
            _ if !self.now.list.is_empty() => {
                let replace = format!("UID REPLACE {uid} {there} ({flag}) {{{size}+}}\r\n{text}");
                self.ask(&replace).await;
            }
            _ => {}
        }
    }

    /// A mailbox gets another name and its own again, or goes and another has its name.
    async fn rename(&mut self, random: &mut Random) {
        match random.below(2) {
            0 => {
                self.ask("RENAME Work Elsewhere/Work").await;
                self.ask("RENAME Elsewhere/Work Work").await;
            }
            _ => {
                self.ask("DELETE Work").await;
                self.ask("CREATE Work").await;
            }
        }
        self.select(self.at).await;
    }

    /// STORE in one of its forms.
    async fn change(&mut self, form: u64, change: &Change<'_>, random: &mut Random) {
        let Change { number, set, sign, flag } = *change;
        match form {
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
                self.settle();
            }
            6 => self.ask(&format!("UID STORE {set} {sign}FLAGS ({flag})")).await,
            7 if self.kind != Kind::Plain => {
                let since = self.now.modseq.saturating_sub(random.below(4));
                let store =
                    format!("UID STORE {set} (UNCHANGEDSINCE {since}) {sign}FLAGS ({flag})");
                self.ask(&store).await;
            }
            _ => self.ask("NOOP").await,
        }
    }

    fn assume(&mut self, number: usize, sign: &str, flag: &str, done: bool) {
        let Some(slot) = self.now.list.get_mut(number - 1).filter(|_| done) else { return };
        slot.assumed = true;
        let Some(flags) = &mut slot.flags else { return };
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
