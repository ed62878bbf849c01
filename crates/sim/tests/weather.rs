//! A whole server in bad weather: DNS that fails, hosts that refuse, stall, hang up at any line or
//! keep their answer to themselves, a clock that is set forward and back, power that fails at any
//! write and leaves of the disk what a real one might. When the weather is good again, every
//! accepted message has reached every recipient that exists: once, or once more for each time a
//! host took it and did not say so, or was not heard because the power failed (RFC 1047 §2); and
//! its sender has one report about each recipient that does not exist.
//!
//! Clock, network, DNS, disk, rows and threads are all simulated, so that a seed repeats a run,
//! line by line: each seed runs twice. `POSTRIDER_SEED=N` runs one seed, `POSTRIDER_SEEDS=N` so
//! many.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::client::Client;
use sim::disk::{Event, Loss};
use sim::hands::SimHands;
use sim::hosts::{Came, Seen, host};
use sim::house::{House, Plan};
use sim::model::Model;
use sim::pipe::Power;
use sim::random::Random;
use sim::world::{Ground, SimClock, SimNet, SimRandom, SimWorld};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const HERE: [u8; 4] = [198, 51, 100, 8];
const DOMAINS: [&str; 3] = ["a.example", "b.example", "c.example"];
const HOSTS_EACH: u8 = 2;
const MESSAGES: usize = 40;
/// A life between two power failures has at most so many writes.
const WRITES_MAX: u64 = 100;

fn address_of(domain: u8, host: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::from([192, 0, 2, 10 * (domain + 1) + host]), 25)
}

/// A message that was submitted.
struct Sent {
    recipients: Vec<String>,
    /// There was a 250; else the power failed before an answer, and it is accepted or it is not.
    answered: bool,
}

/// What goes on over all power failures.
struct Story {
    random: Random,
    seen: Seen,
    /// Alice has her account.
    begun: bool,
    sent: Vec<Sent>,
    works: [bool; DOMAINS.len()],
}

/// How often something is in Alice's mailbox: messages to her, reports of failures, each by number
/// and recipient.
type Mailbox = BTreeMap<(String, String), u32>;

impl Story {
    fn new(seed: u64, clock: Arc<SimClock>) -> Story {
        let (random, seen) = (Random::new(seed), Seen::new(clock));
        Story { random, seen, begun: false, sent: Vec::new(), works: [true; 3] }
    }

    /// DNS of a domain as it is, or failing.
    fn dns(&mut self, house: &House, n: u8, works: bool) {
        let domain = DOMAINS[usize::from(n)];
        self.works[usize::from(n)] = works;
        let dns = &house.world.dns;
        dns.fail(domain);
        for host in 0..HOSTS_EACH {
            let name = format!("mx{host}.{domain}");
            dns.fail(&name);
            if works {
                dns.add_mx(domain, 10 * u16::from(host), &name);
                dns.add_address(&name, address_of(n, host).ip());
            }
        }
    }

    fn open_hosts(&mut self, house: &House) {
        for n in 0..DOMAINS.len() as u8 {
            self.dns(house, n, self.works[usize::from(n)]);
            for host_number in 0..HOSTS_EACH {
                let listener = house.world.net.open(address_of(n, host_number));
                let chance = Random::new(self.random.number());
                tokio::spawn(host(listener, self.seen.clone(), chance));
            }
        }
    }

    fn recipients(&mut self) -> Vec<String> {
        let mut recipients = Vec::new();
        for domain in DOMAINS {
            for name in ["bob", "eve", "nobody"] {
                if self.random.below(3) == 0 {
                    recipients.push(format!("{name}@{domain}"));
                }
            }
        }
        if recipients.is_empty() || self.random.below(4) == 0 {
            recipients.push("alice@example.org".to_owned());
        }
        recipients
    }

    /// Submits the next message. When the server goes dark before the message is there, nothing
    /// was sent.
    async fn submit(&mut self, house: &House) {
        let (number, recipients) = (self.sent.len(), self.recipients());
        let mut client = Client::dial(house, Service::Submission, HERE);
        client.reply().await;
        let mut lines = vec!["EHLO here".to_owned(), "AUTH PLAIN AGFsaWNlAHNlY3JldA==".to_owned()];
        lines.push("MAIL FROM:<alice@example.org>".to_owned());
        lines.extend(recipients.iter().map(|to| format!("RCPT TO:<{to}>")));
        lines.push("DATA".to_owned());
        for line in lines {
            let reply = client.ask(&line).await;
            if reply.is_empty() {
                return;
            }
            assert!(reply.starts_with(['2', '3']), "{line}: {reply}");
        }
        let reply = client.ask(&format!("Subject: {number}\r\n\r\nbody\r\n.")).await;
        self.seen.record().note(&format!("message {number}: {reply}"));
        assert!(reply.is_empty() || reply.starts_with("250"), "{reply}");
        self.sent.push(Sent { recipients, answered: !reply.is_empty() });
        client.ask("QUIT").await;
    }

    /// From a start of the server to its end: `None` when the power fails.
    async fn live(&mut self, world: &SimWorld, power: &Power) -> Option<Mailbox> {
        let house = House::build(Plan::default(), world.clone()).await;
        if !self.begun {
            house.add_account("alice").await;
            self.begun = true;
        }
        self.open_hosts(&house);
        self.seen.record().storm = true;
        let ground = world.ground.as_ref()?;
        ground.disk.cut_after(1 + self.random.below(WRITES_MAX), power);
        while self.sent.len() < MESSAGES {
            self.submit(&house).await;
            let domain = self.random.below(DOMAINS.len() as u64) as u8;
            let works = self.random.below(3) > 0;
            self.dns(&house, domain, works);
            match self.random.below(6) {
                0 => house.world.clock.set(-(self.random.below(3600) as i64)),
                1 => house.world.clock.set(self.random.below(3600) as i64),
                _ => {}
            }
            for _ in 0..self.random.below(1200) {
                if power.is_off() {
                    return None;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        ground.disk.cut_after(u64::MAX, power);
        self.seen.record().storm = false;
        (0..DOMAINS.len() as u8).for_each(|n| self.dns(&house, n, true));
        tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
        Some(mailbox(&house).await)
    }
}

/// What Alice has.
async fn mailbox(house: &House) -> Mailbox {
    let mut client = Client::dial(house, Service::Imap, HERE);
    client.line().await;
    for line in ["a LOGIN alice secret", "b SELECT INBOX"] {
        client.send(format!("{line}\r\n").as_bytes()).await;
        let mut reply = client.line().await;
        while reply.starts_with('*') {
            reply = client.line().await;
        }
        assert!(reply.starts_with(&line[..2]), "{line}: {reply}");
    }
    client.send(b"c UID FETCH 1:* BODY.PEEK[]\r\n").await;
    let mut found = Mailbox::new();
    let (mut is_report, mut failed, mut who) = (false, Vec::new(), None);
    loop {
        let line = client.line().await;
        assert!(!["* BYE", "c NO", "c BAD"].iter().any(|bad| line.starts_with(bad)), "{line}");
        if line.starts_with("c OK") {
            return found;
        } else if line.starts_with("* ") {
            is_report = false;
        } else if line.starts_with("Content-Type: multipart/report") {
            is_report = true;
        } else if let Some(recipient) = line.strip_prefix("Final-Recipient: rfc822;") {
            who = Some(recipient.trim().to_owned());
        } else if line == "Action: failed" {
            failed.extend(who.take());
        } else if let Some(number) = line.strip_prefix("Subject: ")
            && number.parse::<usize>().is_ok()
        {
            // The original's header is the last part of its report.
            let alice = || "alice@example.org".to_owned();
            let about = if is_report { std::mem::take(&mut failed) } else { vec![alice()] };
            for recipient in about {
                *found.entry((number.to_owned(), recipient)).or_default() += 1;
            }
        }
    }
}

/// A message has come to a recipient as it should: `(came, found)` of a message that was accepted.
fn is_right(recipient: &str, came: Came, found: u32) -> bool {
    let (once, twice) = (came.told <= 1 + came.excused, came.told + came.untold > 0);
    match recipient.split('@').next() {
        Some("nobody" | "alice") => came == Came::default() && found == 1,
        _ => once && twice && found == 0,
    }
}

/// Every message, once the weather is good again.
fn check(seed: u64, story: &Story, found: &Mailbox) {
    let record = story.seen.record();
    let mut pairs = 0;
    for (number, sent) in story.sent.iter().enumerate() {
        let keys: Vec<_> =
            sent.recipients.iter().map(|to| (number.to_string(), to.clone())).collect();
        let known =
            |key: &&(String, String)| record.came.contains_key(*key) || found.contains_key(*key);
        if !sent.answered && !keys.iter().any(|key| known(&key)) {
            continue;
        }
        pairs += keys.len();
        for key in &keys {
            let came = record.came.get(key).copied().unwrap_or_default();
            let found = found.get(key).copied().unwrap_or_default();
            let right = is_right(&key.1, came, found);
            assert!(right, "seed {seed}, message {number} to {}: {came:?}, {found}", key.1);
        }
    }
    assert!(record.moods > 30, "seed {seed}: the weather was good");
    assert!(record.came.len() + found.len() == pairs, "seed {seed}: something else came");
}

/// A run of a seed: its trace, and a line about it.
fn run(seed: u64) -> (Vec<String>, String) {
    let clock = Arc::new(SimClock::default());
    let mut story = Story::new(seed, clock.clone());
    let mut ground = Ground::default();
    for life in 0.. {
        let (power, hands, rows) = (Power::default(), SimHands::default(), ground.rows.now());
        let log = ground.disk.clone();
        ground.rows.on_commit(move |state, how| log.note(Event::Commit(state, how)));
        let world = SimWorld {
            clock: clock.clone(),
            net: Arc::new(SimNet::with_power(power.clone())),
            random: Arc::new(SimRandom::new(seed * 1000 + life)),
            hands: Arc::new(hands.clone()),
            ground: Some(ground.clone()),
            ..SimWorld::new(seed)
        };
        let runtime = hands.runtime().unwrap();
        let ended = runtime.block_on(async {
            clock.follow();
            let ended = story.live(&world, &power).await;
            clock.stop();
            ended
        });
        drop(runtime);
        if let Some(found) = ended {
            check(seed, &story, &found);
            let mut record = story.seen.record();
            let untold: u32 = record.came.values().map(|came| came.untold).sum();
            let excused: u32 = record.came.values().map(|came| came.excused).sum();
            let told = format!(
                "seed {seed}: {life} power failures, {} moods, {} came, {untold} untold, {excused} \
                 not heard, {} in the mailbox",
                record.moods,
                record.came.len(),
                found.len()
            );
            return (std::mem::take(&mut record.trace), told);
        }
        story.seen.record().note("the power fails");
        story.seen.record().excuse();
        let wreck = ground.disk.crash(rows, Loss::Chance, &mut story.random);
        ground = Ground { disk: wreck.disk, rows: Model::with_state(wreck.rows) };
    }
    unreachable!("the last life ends")
}

#[test]
fn what_was_accepted_arrives_when_the_weather_is_good_again() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = number("POSTRIDER_SEEDS").unwrap_or(8);
    for seed in number("POSTRIDER_SEED").map_or(1..=seeds, |seed| seed..=seed) {
        let (trace, told) = run(seed);
        println!("{told}, {} lines", trace.len());
        let (again, _) = run(seed);
        let mut both = trace.iter().zip(&again).enumerate();
        let differs = both.find(|(_, (one, other))| one != other);
        assert!(differs.is_none(), "seed {seed} does not repeat itself: {differs:?}");
        assert_eq!(trace.len(), again.len(), "seed {seed}");
    }
}
