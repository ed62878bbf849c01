//! A mailbox of a million messages: what costs by its size, and what must not.

use crate::figure::{Figure, median};
use crate::imap::Imap;
use crate::imap_rows::LARGE;
use crate::message::{self, Dice};
use crate::target::{Target, user};
use crate::usage;
use std::io;
use std::time::Instant;

/// The large mailbox, and an empty one beside it.
const BIG: &str = "Big";
const SMALL: &str = "Small";
/// Commands that are timed one by one.
const TIMES: usize = 300;

/// Copies the INBOX until the large mailbox holds `count` messages.
pub fn fill(target: &Target, count: usize) -> io::Result<Vec<Figure>> {
    let mut imap = Imap::login(target, &user(LARGE))?;
    imap.run("SELECT INBOX")?;
    let step = imap.messages("INBOX")?;
    let _ = imap.run(&format!("DELETE {BIG}"));
    imap.run(&format!("CREATE {BIG}"))?;
    let mut times = Vec::new();
    let mut have = 0;
    while have < count {
        let more = step.min(count - have);
        let began = Instant::now();
        imap.run(&format!("COPY 1:{more} {BIG}"))?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        have += more;
    }
    let stored = imap.messages(BIG)?;
    if stored != count {
        return Err(io::Error::other(format!("{count} copied, {stored} stored")));
    }
    let name = |what: &str| format!("COPY of {step} messages, the {what} of {}", times.len());
    let (first, last) = times.split_at(times.len() / 10);
    let last = last.get(last.len().saturating_sub(first.len())..).unwrap_or_default();
    Ok(vec![
        Figure::new(name("first tenth"), median(&mut first.to_vec()), "ms"),
        Figure::new(name("last tenth"), median(&mut last.to_vec()), "ms"),
    ])
}

/// The rows on the large mailbox, which [`fill`] made, of a server that was just started.
pub fn rows(target: &Target, count: usize) -> io::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut row = |name: &str, value: f64, unit| {
        figures.push(Figure::new(format!("{count} messages: {name}"), value, unit));
    };
    let mut imap = Imap::login(target, &user(LARGE))?;
    let before = usage::memory(&target.pids);
    row("SELECT, first after start", time(&mut imap, &format!("SELECT {BIG}"))?, "ms");
    let grown = usage::memory(&target.pids).saturating_sub(before);
    row("memory of the first SELECT (PSS)", grown as f64 / 1e6, "MB");
    let mut second = Imap::login(target, &user(LARGE))?;
    row("SELECT by a second session", time(&mut second, &format!("SELECT {BIG}"))?, "ms");
    row("FETCH 1:* (FLAGS UID)", time(&mut imap, "FETCH 1:* (FLAGS UID)")?, "ms");
    row("resynchronisation after 13 changes (QRESYNC)", resync(target, &mut imap, count)?, "ms");
    let mut dice = Dice::new(9);
    let uid = |dice: &mut Dice| 1 + dice.below(count as u64 / 2);
    let mut each = |name: &str, command: &dyn Fn(u64) -> String| -> io::Result<()> {
        let times = (0..TIMES).map(|_| time(&mut imap, &command(uid(&mut dice))));
        let mut times = times.collect::<io::Result<Vec<f64>>>()?;
        row(name, median(&mut times), "ms");
        Ok(())
    };
    each("one random message by UID", &|uid| format!("UID FETCH {uid} (UID BODY.PEEK[])"))?;
    each("STORE of one message", &|uid| format!("UID STORE {uid} +FLAGS.SILENT (\\Flagged)"))?;
    each("NOOP", &|_| "NOOP".to_owned())?;
    drop(second);
    imap.run(&format!("CREATE {SMALL}"))?;
    for (mailbox, name) in [
        (SMALL, "APPEND of 2 KB into an empty mailbox, another session in IDLE"),
        (BIG, "APPEND of 2 KB into this one, another session in IDLE"),
        (SMALL, "APPEND into the almost empty one again"),
    ] {
        row(name, append(target, mailbox)?, "ms");
    }
    row("memory after all that (PSS)", usage::memory(&target.pids) as f64 / 1e6, "MB");
    imap.run(&format!("DELETE {SMALL}"))?;
    Ok(figures)
}

/// The ms that a command takes.
fn time(imap: &mut Imap, command: &str) -> io::Result<f64> {
    let began = Instant::now();
    imap.run(command)?;
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

/// A client that knows the mailbox before ten changes of flags and three expunges comes back.
fn resync(target: &Target, imap: &mut Imap, count: usize) -> io::Result<f64> {
    let known = |imap: &mut Imap, item: &str| -> io::Result<String> {
        let mut value = String::new();
        imap.run_with(&format!("STATUS {BIG} ({item})"), |line| {
            let text = String::from_utf8_lossy(line).into_owned();
            let digits = text.rsplit_once(' ').map(|(_, n)| n.trim_end_matches(')').to_owned());
            value = digits.unwrap_or_default();
        })?;
        Ok(value)
    };
    let mut other = Imap::login(target, &user(LARGE))?;
    let uidvalidity = known(&mut other, "UIDVALIDITY")?;
    let modseq = known(&mut other, "HIGHESTMODSEQ")?;
    for n in 1..=10 {
        imap.run(&format!("UID STORE {} +FLAGS.SILENT (\\Answered)", n * count / 11))?;
    }
    let gone = [count - 1, count - 100, count - 1000];
    for uid in gone {
        imap.run(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"))?;
    }
    imap.run("EXPUNGE")?;
    other.run("ENABLE QRESYNC")?;
    let began = Instant::now();
    let mut told = 0;
    other.run_with(&format!("SELECT {BIG} (QRESYNC ({uidvalidity} {modseq}))"), |line| {
        let line = String::from_utf8_lossy(line);
        told += usize::from(line.contains(" FETCH ") || line.contains("VANISHED"));
    })?;
    let taken = began.elapsed().as_secs_f64() * 1000.0;
    if told < 11 { Err(io::Error::other(format!("{told} changes told"))) } else { Ok(taken) }
}

/// The median ms of an APPEND while another session waits in IDLE for it.
fn append(target: &Target, mailbox: &str) -> io::Result<f64> {
    let mut watching = Imap::login(target, &user(LARGE))?;
    watching.run(&format!("SELECT {mailbox}"))?;
    watching.send("IDLE")?;
    watching.wire.line()?;
    let mut imap = Imap::login(target, &user(LARGE))?;
    let message = message::message(1, 2048);
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let began = Instant::now();
        imap.append(mailbox, "\"01-Jan-2026 10:00:00 +0000\"", &message)?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        while !watching.wire.line()?.ends_with(b" EXISTS") {}
    }
    Ok(median(&mut times))
}
