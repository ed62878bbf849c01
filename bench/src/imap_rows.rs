//! The rows of IMAP on one large mailbox, and those of APPEND and of logging in.

use crate::figure::{self, Figure, median};
use crate::imap::Imap;
use crate::message::{self, Dice, RARE_SUBJECT, RARE_WORD, Size};
use crate::smtp::each_connection;
use crate::target::{Target, user};
use std::io;
use std::time::{Duration, Instant};

/// The account with the large mailbox.
pub const LARGE: usize = 50;
/// How often a command of milliseconds is repeated; the median counts.
const REPEATS: usize = 7;

/// Fills an INBOX up to `count` messages of about `octets`, over ten connections.
pub fn fill(target: &Target, account: usize, count: usize, octets: usize) -> io::Result<()> {
    const CONNECTIONS: usize = 10;
    const AHEAD: usize = 16;
    let have = Imap::login(target, &user(account))?.messages("INBOX")?;
    each_connection(CONNECTIONS, |c, _| {
        let mut imap = Imap::login(target, &user(account))?;
        let mut open = std::collections::VecDeque::new();
        for n in (have..count).filter(|n| n % CONNECTIONS == c) {
            let message = message::message(n as u64, octets);
            open.push_back(imap.send_append("INBOX", &date(n), &message)?);
            if open.len() >= AHEAD
                && let Some(tag) = open.pop_front()
            {
                imap.hear(&tag, "APPEND", |_| {})?;
            }
        }
        for tag in open {
            imap.hear(&tag, "APPEND", |_| {})?;
        }
        Ok(Vec::new())
    })?;
    match Imap::login(target, &user(account))?.messages("INBOX")? {
        there if there >= count => Ok(()),
        there => Err(io::Error::other(format!("{count} appended, {there} stored"))),
    }
}

/// The internal date of the `n`th message: one an hour through 2025.
fn date(n: usize) -> String {
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov"];
    let month = months.get(n / 24 / 28 % 11).copied().unwrap_or("Dec");
    format!("\"{:02}-{month}-2025 {:02}:15:00 +0000\"", 1 + n / 24 % 28, n % 24)
}

/// Runs commands and keeps a figure for each.
struct Bench<'a> {
    target: &'a Target,
    imap: Imap,
    count: usize,
    figures: Vec<Figure>,
}

impl Bench<'_> {
    /// The median time of a command that may be repeated.
    fn time(&mut self, name: &str, command: &str, wanted: Option<usize>) -> io::Result<()> {
        let mut times = Vec::new();
        let repeats = if self.count > 20_000 { 3 } else { REPEATS };
        let measured = figure::start(self.target);
        for _ in 0..repeats {
            let began = Instant::now();
            let heard = self.imap.run(command)?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
            if wanted.is_some_and(|wanted| heard.responses < wanted) {
                let text = format!("{command}: {} responses", heard.responses);
                return Err(io::Error::other(text));
            }
        }
        let spent = measured();
        let figure = Figure::new(self.row(name), median(&mut times), "ms");
        self.figures.push(figure.with_cpu(&spent, repeats));
        Ok(())
    }

    /// The time of a command that changes something.
    fn once(&mut self, name: &str, command: &str) -> io::Result<()> {
        let measured = figure::start(self.target);
        self.imap.run(command)?;
        let spent = measured();
        let figure = Figure::new(self.row(name), spent.seconds * 1000.0, "ms");
        self.figures.push(figure.with_cpu(&spent, 1));
        Ok(())
    }

    /// A search whose number of hits is known.
    fn search(&mut self, name: &str, command: &str, hits: Option<usize>) -> io::Result<()> {
        let mut found = 0;
        self.imap.run_with(command, |line| {
            let text = String::from_utf8_lossy(line);
            if let Some(numbers) = text.strip_prefix("* SEARCH") {
                found = numbers.split_whitespace().count();
            }
        })?;
        if hits.is_some_and(|hits| hits != found) {
            return Err(io::Error::other(format!("{command}: {found} hits, not {hits:?}")));
        }
        self.time(name, command, None)
    }

    fn row(&self, name: &str) -> String {
        format!("{} messages: {name}", self.count)
    }
}

/// The rows on a mailbox of `count` messages, which [`fill`] made.
pub fn large(target: &Target, count: usize) -> io::Result<Vec<Figure>> {
    let mut imap = Imap::login(target, &user(LARGE))?;
    let began = Instant::now();
    imap.run("SELECT INBOX")?;
    let cold = began.elapsed().as_secs_f64() * 1000.0;
    let mut bench = Bench { target, imap, count, figures: Vec::new() };
    let first = bench.row("SELECT, first after start");
    bench.figures.push(Figure::new(first, cold, "ms"));
    bench.time("SELECT", "SELECT INBOX", None)?;
    let all = Some(count);
    bench.time("FETCH 1:* (FLAGS UID)", "FETCH 1:* (FLAGS UID)", all)?;
    bench.time("FETCH 1:* ENVELOPE", "FETCH 1:* (ENVELOPE)", all)?;
    bench.time("FETCH 1:* BODYSTRUCTURE", "FETCH 1:* (BODYSTRUCTURE)", all)?;
    let fields = "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT FROM DATE)])";
    bench.time("FETCH 1:* header fields", fields, all)?;
    bodies(&mut bench)?;
    random(&mut bench)?;
    searches(&mut bench)?;
    let capabilities = bench.imap.capabilities()?;
    if capabilities.contains(" SORT") {
        bench.time("SORT DATE", "SORT (DATE) UTF-8 ALL", Some(1))?;
    }
    if capabilities.contains("THREAD=REFERENCES") {
        bench.time("THREAD REFERENCES", "THREAD REFERENCES UTF-8 ALL", Some(1))?;
    }
    bench.once("STORE 1:* +FLAGS.SILENT", "STORE 1:* +FLAGS.SILENT (\\Seen)")?;
    copy_and_expunge(&mut bench)?;
    Ok(bench.figures)
}

/// Searches, first as they are and, where the server makes an index then, with that.
fn searches(bench: &mut Bench<'_>) -> io::Result<()> {
    // A server that has made none by then makes none.
    let patience = Duration::from_secs(20 + bench.count as u64 / 2000);
    let hundredths = Some(bench.count / 100);
    let subject = format!("SEARCH SUBJECT {RARE_SUBJECT}");
    let body = format!("SEARCH BODY {RARE_WORD}");
    bench.search("SEARCH SUBJECT, the first ones", &subject, hundredths)?;
    bench.search("SEARCH SINCE", "SEARCH SINCE 1-Jun-2025", None)?;
    bench.search("SEARCH BODY word, the first ones", &body, hundredths)?;
    let slow = bench.figures.last().map_or(0.0, |figure| figure.value);
    let began = Instant::now();
    // It is whole when searches have been much faster and have not become faster for a while.
    let (mut least, mut no_better) = (slow / 8.0, 0);
    while no_better < 10 && began.elapsed() < patience {
        std::thread::sleep(Duration::from_millis(500));
        let asked = Instant::now();
        bench.imap.run(&body)?;
        let took = asked.elapsed().as_secs_f64() * 1000.0;
        no_better = if took < 0.95 * least || least == slow / 8.0 { 0 } else { no_better + 1 };
        least = least.min(took);
    }
    bench.search("SEARCH SUBJECT, later", &subject, hundredths)?;
    bench.search("SEARCH BODY word, later", &body, hundredths)?;
    bench.search("SEARCH BODY piece of a word, later", &body[..body.len() - 1], hundredths)
}

fn bodies(bench: &mut Bench<'_>) -> io::Result<()> {
    let mut rates = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        let heard = bench.imap.run("FETCH 1:* (BODY.PEEK[])")?;
        rates.push(heard.octets as f64 / began.elapsed().as_secs_f64() / 1e6);
    }
    let name = bench.row("FETCH 1:* BODY.PEEK[]");
    bench.figures.push(Figure::new(name, median(&mut rates), "MB/s"));
    Ok(())
}

/// One message by UID, a thousand times at random.
fn random(bench: &mut Bench<'_>) -> io::Result<()> {
    const TIMES: usize = 1000;
    let mut uids = Vec::new();
    bench.imap.run_with("UID FETCH 1:* (UID)", |line| {
        let text = String::from_utf8_lossy(line);
        let uid =
            text.rsplit_once("UID ").and_then(|(_, uid)| uid.trim_end_matches(')').parse().ok());
        uids.extend(uid.into_iter().collect::<Vec<u32>>());
    })?;
    let mut dice = Dice::new(5);
    let measured = figure::start(bench.target);
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let uid = uids.get(dice.below(uids.len() as u64) as usize).copied().unwrap_or(1);
        let began = Instant::now();
        bench.imap.run(&format!("UID FETCH {uid} (UID BODY.PEEK[])"))?;
        times.push(began.elapsed());
    }
    let spent = measured();
    let name = bench.row("one random message by UID");
    let each = spent.seconds * 1000.0 / TIMES as f64;
    let figure = Figure::new(name, each, "ms").with_times(&mut times).with_cpu(&spent, TIMES);
    bench.figures.push(figure);
    Ok(())
}

fn copy_and_expunge(bench: &mut Bench<'_>) -> io::Result<()> {
    let _ = bench.imap.run("DELETE Copied");
    bench.imap.run("CREATE Copied")?;
    bench.once("COPY 1:*", "COPY 1:* Copied")?;
    bench.imap.run("SELECT Copied")?;
    bench.imap.run("STORE 1:* +FLAGS.SILENT (\\Deleted)")?;
    bench.once("EXPUNGE all", "EXPUNGE")?;
    match bench.imap.messages("Copied")? {
        0 => Ok(()),
        left => Err(io::Error::other(format!("{left} messages are left after EXPUNGE"))),
    }
}

/// APPEND of 20 KB over ten connections.
pub fn append(target: &Target, scale: usize) -> io::Result<Vec<Figure>> {
    let messages = 100 * scale;
    let pool = message::pool(Size::Of(20 * 1024), 16);
    let measured = figure::start(target);
    let mut times = each_connection(10, |n, gate| {
        let mut imap = Imap::login(target, &user(20 + n))?;
        gate.wait();
        let mut times = Vec::new();
        for message in pool.iter().cycle().take(messages) {
            let began = Instant::now();
            imap.append("INBOX", &date(times.len()), message)?;
            times.push(began.elapsed());
        }
        Ok(times)
    })?;
    let spent = measured();
    let count = times.len();
    let rate = count as f64 / spent.seconds;
    let octets = (count * 20 * 1024) as f64;
    Ok(vec![
        Figure::new("APPEND 20 KB, 10 connections", rate, "/s")
            .with_times(&mut times)
            .with_cpu(&spent, count)
            .with("written_per_octet", spent.usage.written as f64 / octets),
    ])
}

/// Connect, log in, log out, over ten connections at a time.
pub fn logins(target: &Target, scale: usize) -> io::Result<Vec<Figure>> {
    let each = 50 * scale;
    Imap::login(target, &user(0))?.run("NOOP")?;
    let measured = figure::start(target);
    let mut times = each_connection(10, |n, gate| {
        // The first login of each account pays for its password hash; it does not count.
        Imap::login(target, &user(n))?.run("LOGOUT")?;
        gate.wait();
        let mut times = Vec::new();
        for _ in 0..each {
            let began = Instant::now();
            let mut imap = Imap::connect_small(target)?;
            imap.log_in(&user(n))?;
            times.push(began.elapsed());
            imap.run("LOGOUT")?;
        }
        Ok(times)
    })?;
    let spent = measured();
    let count = times.len();
    let rate = count as f64 / times.iter().map(|t| t.as_secs_f64()).sum::<f64>() * 10.0;
    let row = Figure::new("logins, IMAP", rate, "/s");
    Ok(vec![row.with_times(&mut times).with_cpu(&spent, count)])
}
