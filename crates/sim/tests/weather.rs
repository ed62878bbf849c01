//! A whole server in bad weather: DNS that fails, hosts that refuse, stall, hang up at any line or
//! keep their answer to themselves, a clock that is set forward and back. When the weather is good
//! again, every accepted message has reached every recipient that exists: once, or once more for
//! each time a host took it and did not say so (RFC 1047 §2); and its sender has one report about
//! each recipient that does not exist.
//!
//! `POSTRIDER_SEED=N` runs one seed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan};
use sim::pipe::End;
use sim::random::Random;
use sim::world::{SimListener, SimWorld};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const HERE: [u8; 4] = [198, 51, 100, 8];
const DOMAINS: [&str; 3] = ["a.example", "b.example", "c.example"];
const HOSTS_EACH: u8 = 2;
const MESSAGES: usize = 40;

/// What a host does to a connection, after so many lines where it is bad.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Good,
    Busy,
    HangsUp(u64),
    Stalls(u64),
    Defers(u64),
    /// It keeps the message and hangs up instead of saying so.
    KeepsSilent,
}

impl Mood {
    fn random(random: &mut Random) -> Mood {
        let line = random.below(6);
        match random.below(9) {
            0 => Mood::Busy,
            1 | 2 => Mood::HangsUp(line),
            3 => Mood::Stalls(line),
            4 | 5 => Mood::Defers(line),
            6 => Mood::KeepsSilent,
            _ => Mood::Good,
        }
    }
}

/// What came of a message for a recipient, over all hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Came {
    /// With our 250.
    told: u32,
    /// Without.
    untold: u32,
}

#[derive(Default)]
struct World {
    storm: bool,
    /// By message and recipient.
    came: BTreeMap<(String, String), Came>,
    moods: u32,
}

type Seen = Arc<Mutex<World>>;

/// A host of a domain, for as long as the test runs.
async fn host(listener: SimListener, seen: Seen, mut random: Random) {
    while let Ok((end, _)) = listener.next().await {
        let mut mood = Mood::Good;
        if seen.lock().unwrap().storm {
            mood = Mood::random(&mut random);
        }
        seen.lock().unwrap().moods += u32::from(mood != Mood::Good);
        let pipelines = random.below(2) == 0;
        tokio::spawn(conversation(end, seen.clone(), mood, pipelines));
    }
}

/// One connection. `None` at its end.
async fn conversation(end: End, seen: Seen, mood: Mood, pipelines: bool) -> Option<()> {
    let mut stream = BufReader::new(end);
    let greeting = if mood == Mood::Busy { "421 4.3.2 busy\r\n" } else { "220 host\r\n" };
    stream.write_all(greeting.as_bytes()).await.ok()?;
    let mut recipients: Vec<String> = Vec::new();
    for lines in 0.. {
        let line = read(&mut stream).await?;
        match mood {
            Mood::HangsUp(at) if at == lines => return None,
            Mood::Stalls(at) if at == lines => std::future::pending().await,
            _ => {}
        }
        let defers = matches!(mood, Mood::Defers(at) if at == lines);
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let reply = match verb.as_str() {
            "QUIT" => {
                stream.write_all(b"221 2.0.0 bye\r\n").await.ok()?;
                return None;
            }
            _ if defers => "451 4.3.0 not now",
            "EHLO" if pipelines => "250-host\r\n250 PIPELINING",
            "MAIL" => {
                recipients.clear();
                "250 2.1.0 ok"
            }
            "RCPT" if line.contains("<nobody") => "550 5.1.1 no such user",
            "RCPT" => {
                recipients.push(line.split(['<', '>']).nth(1)?.to_owned());
                "250 2.1.5 ok"
            }
            "DATA" if recipients.is_empty() => "503 5.5.1 no recipients",
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.ok()?;
                let number = message(&mut stream).await?;
                let silent = mood == Mood::KeepsSilent;
                for recipient in recipients.drain(..) {
                    let key = (number.clone(), recipient);
                    let mut seen = seen.lock().unwrap();
                    let came = seen.came.entry(key).or_default();
                    came.told += u32::from(!silent);
                    came.untold += u32::from(silent);
                }
                if silent {
                    return None;
                }
                "250 2.0.0 taken"
            }
            _ => "250 2.0.0 ok",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
    }
    None
}

/// The number of a message that comes in, once its last dot is there.
async fn message(stream: &mut BufReader<End>) -> Option<String> {
    let mut number = None;
    loop {
        let line = read(stream).await?;
        if line == "." {
            return number;
        }
        if let Some(subject) = line.strip_prefix("Subject: ") {
            number.get_or_insert(subject.to_owned());
        }
    }
}

async fn read(stream: &mut BufReader<End>) -> Option<String> {
    let mut line = String::new();
    let octets = stream.read_line(&mut line).await.ok()?;
    (octets > 0).then(|| line.trim_end().to_owned())
}

fn address_of(domain: u8, host: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::from([192, 0, 2, 10 * (domain + 1) + host]), 25)
}

/// DNS of a domain as it is, or failing.
fn dns(house: &House, n: u8, works: bool) {
    let domain = DOMAINS[usize::from(n)];
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

/// Submits a message; its recipients, once it was accepted.
async fn submit(house: &House, number: usize, random: &mut Random) -> Vec<String> {
    let mut recipients = Vec::new();
    for domain in DOMAINS {
        for name in ["bob", "eve", "nobody"] {
            if random.below(3) == 0 {
                recipients.push(format!("{name}@{domain}"));
            }
        }
    }
    if recipients.is_empty() {
        recipients.push(format!("bob@{}", random.pick(&DOMAINS)));
    }
    let mut client = Client::connect(house, Service::Submissions, HERE).await;
    client.reply().await;
    client.ask("EHLO here").await;
    let login = client.ask("AUTH PLAIN AGFsaWNlAHNlY3JldA==").await;
    assert!(login.starts_with("235"), "{login}");
    client.ask("MAIL FROM:<alice@example.org>").await;
    for recipient in &recipients {
        let reply = client.ask(&format!("RCPT TO:<{recipient}>")).await;
        assert!(reply.starts_with("250"), "{reply}");
    }
    client.ask("DATA").await;
    let reply = client.ask(&format!("Subject: {number}\r\n\r\nbody\r\n.")).await;
    assert!(reply.starts_with("250"), "{reply}");
    client.ask("QUIT").await;
    recipients
}

/// Failures that the sender was told of, by message and recipient, and how often.
async fn reported(house: &House) -> BTreeMap<(String, String), u32> {
    let mut client = Client::connect(house, Service::Imaps, HERE).await;
    client.line().await;
    for line in ["a LOGIN alice secret", "b SELECT INBOX"] {
        client.send(format!("{line}\r\n").as_bytes()).await;
        while !client.line().await.starts_with(&line[..2]) {}
    }
    client.send(b"c UID FETCH 1:* BODY.PEEK[]\r\n").await;
    let (mut reports, mut failed, mut who) = (BTreeMap::new(), Vec::new(), None);
    loop {
        let line = client.line().await;
        if line.starts_with("c OK") {
            return reports;
        } else if let Some(recipient) = line.strip_prefix("Final-Recipient: rfc822;") {
            who = Some(recipient.trim().to_owned());
        } else if line == "Action: failed" {
            failed.extend(who.take());
        } else if let Some(number) = line.strip_prefix("Subject: ")
            && number.parse::<usize>().is_ok()
        {
            // The original's header is the last part of its report.
            for recipient in failed.drain(..) {
                *reports.entry((number.to_owned(), recipient)).or_default() += 1;
            }
        }
    }
}

/// Hours of bad weather, with a message now and then.
async fn storm(house: &House, seen: &Seen, random: &mut Random) -> Vec<(String, Vec<String>)> {
    seen.lock().unwrap().storm = true;
    let mut accepted = Vec::new();
    for number in 0..MESSAGES {
        let recipients = submit(house, number, random).await;
        accepted.push((number.to_string(), recipients));
        let domain = random.below(DOMAINS.len() as u64) as u8;
        dns(house, domain, random.below(3) > 0);
        match random.below(6) {
            0 => house.world.clock.set(-(random.below(3600) as i64)),
            1 => house.world.clock.set(random.below(3600) as i64),
            _ => {}
        }
        house.advance(Duration::from_secs(random.below(1200))).await;
    }
    accepted
}

async fn run(seed: u64) {
    let house = House::build(Plan::default(), SimWorld::new(seed)).await;
    house.add_account("alice").await;
    let (seen, mut random) = (Seen::default(), Random::new(seed));
    for n in 0..DOMAINS.len() as u8 {
        dns(&house, n, true);
        for host_number in 0..HOSTS_EACH {
            let listener = house.world.net.open(address_of(n, host_number));
            let chance = Random::new(random.number());
            tokio::spawn(host(listener, seen.clone(), chance));
        }
    }
    let accepted = storm(&house, &seen, &mut random).await;
    seen.lock().unwrap().storm = false;
    (0..DOMAINS.len() as u8).for_each(|n| dns(&house, n, true));
    house.advance(Duration::from_secs(24 * 3600)).await;
    let reported = reported(&house).await;
    let seen = seen.lock().unwrap();
    assert!(seen.moods > 30, "seed {seed}: the weather was good");
    for (number, recipients) in &accepted {
        for recipient in recipients {
            let key = (number.clone(), recipient.clone());
            let came = seen.came.get(&key).copied().unwrap_or_default();
            let reports = reported.get(&key).copied().unwrap_or_default();
            let right = match recipient.starts_with("nobody") {
                true => came == Came::default() && reports == 1,
                false => (came.told == 1 || came.untold > 0) && came.told <= 1 && reports == 0,
            };
            assert!(right, "seed {seed}, message {number} to {recipient}: {came:?}, {reports}");
        }
    }
    let untold: u32 = seen.came.values().map(|came| came.untold).sum();
    println!(
        "seed {seed}: {} moods, {} came, {untold} untold, {} reports",
        seen.moods,
        seen.came.len(),
        reported.len()
    );
    let pairs: usize = accepted.iter().map(|(_, recipients)| recipients.len()).sum();
    assert!(seen.came.len() + reported.len() == pairs, "seed {seed}: something else came");
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_arrives_when_the_weather_is_good_again() {
    let seed = std::env::var("POSTRIDER_SEED").ok().and_then(|text| text.parse().ok());
    for seed in seed.map_or(1..=8, |seed| seed..=seed) {
        run(seed).await;
    }
}
