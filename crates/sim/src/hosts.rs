//! Hosts of other people, in all moods, and a record of what came to them.

use crate::pipe::End;
use crate::random::Random;
use crate::world::{SimClock, SimListener};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use sys::clock::Clock;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// What a host does to a connection, after so many lines where it is bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
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
pub struct Came {
    /// With our 250.
    pub told: u32,
    /// Without.
    pub untold: u32,
    /// Told when it last came with our 250, since the world began.
    pub told_at: Duration,
    /// Told just when the power failed: it may come again.
    pub excused: u32,
}

/// What happened, in order, and what came.
pub struct Record {
    /// Moods are bad.
    pub storm: bool,
    /// By message and recipient.
    pub came: BTreeMap<(String, String), Came>,
    /// Connections that met a bad mood.
    pub moods: u32,
    /// Everything that was said to a host, and when: two runs of a seed have the same.
    pub trace: Vec<String>,
    clock: Arc<SimClock>,
}

impl Record {
    /// Notes something for the trace.
    pub fn note(&mut self, what: &str) {
        self.trace.push(format!("{} {what}", self.clock.monotonic().as_millis()));
    }

    /// The power failed within the last two seconds: what was told since may not be remembered.
    pub fn excuse(&mut self) {
        let since = self.clock.monotonic().saturating_sub(Duration::from_secs(2));
        for came in self.came.values_mut().filter(|came| came.told > 0 && came.told_at >= since) {
            came.excused += 1;
        }
    }
}

/// A record that all hosts write into. Cloning gives another handle.
#[derive(Clone)]
pub struct Seen(Arc<Mutex<Record>>);

impl Seen {
    /// An empty one, by this clock.
    pub fn new(clock: Arc<SimClock>) -> Seen {
        let (came, trace) = (BTreeMap::new(), Vec::new());
        Seen(Arc::new(Mutex::new(Record { storm: false, came, moods: 0, trace, clock })))
    }
    /// What it has.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A host of a domain, for as long as the test runs.
pub async fn host(listener: SimListener, seen: Seen, mut random: Random) {
    while let Ok((end, _)) = listener.next().await {
        let mut mood = Mood::Good;
        if seen.record().storm {
            mood = Mood::random(&mut random);
        }
        let mut record = seen.record();
        record.moods += u32::from(mood != Mood::Good);
        record.note(&format!("connection, {mood:?}"));
        drop(record);
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
        seen.record().note(&line);
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
                let number = message(&mut stream, &seen).await?;
                let silent = mood == Mood::KeepsSilent;
                for recipient in recipients.drain(..) {
                    let key = (number.clone(), recipient);
                    let mut record = seen.record();
                    let now = record.clock.monotonic();
                    let came = record.came.entry(key).or_default();
                    came.told += u32::from(!silent);
                    came.untold += u32::from(silent);
                    came.told_at = if silent { came.told_at } else { now };
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
async fn message(stream: &mut BufReader<End>, seen: &Seen) -> Option<String> {
    let mut number = None;
    loop {
        let line = read(stream).await?;
        seen.record().note(&line);
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
