//! Instructions that the server executes for one operation, counted by valgrind's callgrind:
//! figures that do not depend on what else the machine does. They are kept in `bench/counts.tsv`,
//! so that a change of them is seen in review.

use crate::imap::Imap;
use crate::imap_rows::{LARGE, fill};
use crate::message;
use crate::pop3::Pop3;
use crate::sink::Sink;
use crate::smtp::Smtp;
use crate::start::{Postrider, Server};
use crate::target::{Target, user};
use crate::usage;
use clap::Args;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Messages in the mailbox that commands on all of them work on.
const MESSAGES: usize = 2000;
/// A count may differ so much, in percent, before it is told: housekeeping and threads meet
/// differently each time.
const TOLERANCE: f64 = 10.0;
/// So long a server that rests must do nothing, in seconds.
const QUIET_SECONDS: u32 = 5;
/// So long that may take to come.
const REST_SECONDS_MAX: u32 = 300;

#[derive(Args)]
pub struct Count {
    /// Compare with the counts in this file; fail when one has grown by more than 10 %
    #[arg(long)]
    check: Option<PathBuf>,
    /// Write the counts to this file
    #[arg(long)]
    write: Option<PathBuf>,
    /// Postrider's binary, a release build
    #[arg(long, default_value = "target/release/postrider")]
    binary: PathBuf,
    /// Where the server keeps its files; made and removed
    #[arg(long, default_value = "/var/tmp/postrider-count")]
    folder: PathBuf,
    /// The server and the sink listen from here on
    #[arg(long, default_value_t = 20_000)]
    port_base: u16,
}

/// Counts everything, shows it, and compares it where that is asked for.
pub fn count(args: &Count) -> io::Result<()> {
    let sink_at = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), args.port_base + 2900);
    let _sink = Sink::start(sink_at)?;
    let root = args.folder.join("postrider");
    let mut server = Postrider::new(args.binary.clone(), root, args.port_base, sink_at);
    std::fs::create_dir_all(&args.folder)?;
    server.set_up()?;
    // Filled at full speed.
    server.start()?;
    fill(&server.target(), LARGE, MESSAGES, 4096)?;
    server.stop()?;
    let dumps = args.folder.join("callgrind");
    server.counted = Some(dumps.clone());
    server.start()?;
    let mut counter = Counter { server: &server, dumps, taken: 0, counts: Vec::new() };
    deliveries(&mut counter)?;
    sessions(&mut counter)?;
    large(&mut counter)?;
    let counts = counter.counts;
    server.stop()?;
    std::fs::remove_dir_all(&args.folder)?;
    let table: String = counts.iter().map(|(name, count)| format!("{name}\t{count}\n")).collect();
    print!("{table}");
    if let Some(file) = &args.write {
        std::fs::write(file, &table)?;
    }
    args.check.as_deref().map_or(Ok(()), |file| compare(file, &counts))
}

/// Counts what a server under callgrind does.
struct Counter<'a> {
    server: &'a Postrider,
    dumps: PathBuf,
    taken: usize,
    /// Instructions for one operation.
    counts: Vec<(String, u64)>,
}

impl Counter<'_> {
    fn target(&self) -> Target {
        self.server.target()
    }

    /// Does something `times` times after once uncounted; each is `operations` of what is counted.
    /// The least of five counts: housekeeping runs beside it.
    fn each(
        &mut self,
        name: &str,
        times: usize,
        operations: usize,
        mut work: impl FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        work()?;
        let mut least = u64::MAX;
        for _ in 0..5 {
            self.control("--zero")?;
            for _ in 0..times {
                work()?;
            }
            self.control("--dump")?;
            least = least.min(self.dumped()?);
        }
        self.counts.push((name.to_owned(), least / (times * operations).max(1) as u64));
        Ok(())
    }

    /// What the next dump counted.
    fn dumped(&mut self) -> io::Result<u64> {
        self.taken += 1;
        let text = std::fs::read_to_string(self.dumps.with_extension(self.taken.to_string()))?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        let total = total.and_then(|total| total.trim().parse().ok());
        total.ok_or_else(|| io::Error::other("callgrind's dump has no total"))
    }

    /// A command on all messages of the mailbox.
    fn of_all(&mut self, imap: &mut Imap, command: &str) -> io::Result<()> {
        let name = format!("IMAP: {command}, a message");
        self.each(&name, 1, MESSAGES, || imap.run(command).map(drop))
    }

    /// Waits until the server has nothing to do.
    fn rest(&self) -> io::Result<()> {
        let spent = || usage::usage(&self.target().pids).cpu_seconds;
        let (mut before, mut quiet) = (spent(), 0);
        for _ in 0..REST_SECONDS_MAX {
            std::thread::sleep(Duration::from_secs(1));
            let now = spent();
            quiet = if now - before < 0.05 { quiet + 1 } else { 0 };
            if quiet == QUIET_SECONDS {
                return Ok(());
            }
            before = now;
        }
        Err(io::Error::other("the server does not come to rest"))
    }

    fn control(&self, what: &str) -> io::Result<()> {
        let pids = self.target().pids.iter().map(u32::to_string).collect::<Vec<_>>();
        let told = Command::new("callgrind_control").arg(what).args(&pids).output()?;
        if told.status.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&told.stderr).into_owned()))
    }
}

fn deliveries(counter: &mut Counter<'_>) -> io::Result<()> {
    let target = counter.target();
    for (name, octets, recipients, times) in [
        ("SMTP: a message of 2 KB", 2048, 1, 100),
        ("SMTP: a message of 64 KB", 64 << 10, 1, 20),
        ("SMTP: a message of 1 MB", 1 << 20, 1, 4),
        ("SMTP: a message of 2 KB for 50, each", 2048, 50, 10),
    ] {
        let mut body = message::message(1, octets);
        body.extend_from_slice(b".\r\n");
        let to: String = (0..recipients).map(|n| format!("RCPT TO:<{}>\r\n", user(n))).collect();
        let envelope = format!("MAIL FROM:<s@sender.test>\r\n{to}DATA\r\n");
        let mut smtp = Smtp::connect(target.at(25), false)?;
        counter.each(name, times, recipients, || smtp.deliver(&envelope, recipients + 2, &body))?;
    }
    Ok(())
}

fn sessions(counter: &mut Counter<'_>) -> io::Result<()> {
    let target = counter.target();
    counter.each("IMAP: connect, LOGIN, LOGOUT", 30, 1, || {
        Imap::login(&target, &user(0))?.run("LOGOUT").map(drop)
    })?;
    counter.each("POP3: connect, PASS, QUIT", 30, 1, || {
        let mut pop3 = Pop3::connect(&target)?;
        pop3.log_in(&user(0))?;
        pop3.ask("QUIT").map(drop)
    })?;
    let mut imap = Imap::login(&target, &user(1))?;
    let message = message::message(2, 20 << 10);
    counter.each("IMAP: APPEND of 20 KB", 30, 1, || {
        imap.append("INBOX", "\"01-Jan-2026 10:00:00 +0000\"", &message)
    })?;
    counter.each("IMAP: NOOP", 100, 1, || imap.run("NOOP").map(drop))
}

/// Commands on all messages of a mailbox: instructions for each message.
fn large(counter: &mut Counter<'_>) -> io::Result<()> {
    let target = counter.target();
    let mut imap = Imap::login(&target, &user(LARGE))?;
    imap.run("SELECT INBOX")?;
    // The server makes its search index now, and that must not be counted with what follows.
    imap.run("SEARCH BODY zephyrquartz")?;
    counter.rest()?;
    counter.each("IMAP: SELECT, a message", 1, MESSAGES, || imap.run("SELECT INBOX").map(drop))?;
    for command in [
        "FETCH 1:* (FLAGS UID)",
        "FETCH 1:* (ENVELOPE)",
        "FETCH 1:* (BODYSTRUCTURE)",
        "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT FROM DATE)])",
        "FETCH 1:* (BODY.PEEK[])",
        "SEARCH SINCE 1-Jun-2025",
        "SEARCH SUBJECT Obsidian",
        "SEARCH BODY zephyrquartz",
        "SORT (DATE) UTF-8 ALL",
        "SORT (SUBJECT) UTF-8 ALL",
        "THREAD REFERENCES UTF-8 ALL",
        "STORE 1:* +FLAGS.SILENT (\\Seen)",
        "STORE 1:* -FLAGS.SILENT (\\Seen)",
    ] {
        counter.of_all(&mut imap, command)?;
    }
    imap.run("CREATE Copied")?;
    counter
        .each("IMAP: COPY 1:*, a message", 1, MESSAGES, || imap.run("COPY 1:* Copied").map(drop))?;
    counter.each("IMAP: UID FETCH of one message", 100, 1, || {
        imap.run("UID FETCH 777 (UID BODY.PEEK[])").map(drop)
    })?;
    counter.each("IMAP: STORE of one message", 50, 1, || {
        imap.run("UID STORE 777 FLAGS.SILENT (\\Answered)")?;
        imap.run("UID STORE 777 FLAGS.SILENT (\\Flagged)").map(drop)
    })?;
    let mut pop3 = Pop3::connect(&target)?;
    pop3.log_in(&user(LARGE))?;
    counter.each("POP3: STAT", 100, 1, || pop3.ask("STAT").map(drop))?;
    counter.each("POP3: RETR", 100, 1, || pop3.retrieve(777).map(drop))
}

/// Tells what has changed since a file was written.
fn compare(file: &Path, counts: &[(String, u64)]) -> io::Result<()> {
    let text = std::fs::read_to_string(file)?;
    let had: BTreeMap<&str, u64> = text
        .lines()
        .filter_map(|line| line.rsplit_once('\t'))
        .filter_map(|(name, count)| Some((name, count.parse().ok()?)))
        .collect();
    let mut grown = 0;
    for (name, count) in counts {
        let Some(before) = had.get(name.as_str()) else { continue };
        let percent = (*count as f64 / *before as f64 - 1.0) * 100.0;
        if percent.abs() > TOLERANCE {
            eprintln!("{name}: {before} -> {count} ({percent:+.1} %)");
        }
        grown += usize::from(percent > TOLERANCE);
    }
    match grown {
        0 => Ok(()),
        n => Err(io::Error::other(format!("{n} counts have grown by more than {TOLERANCE} %"))),
    }
}
