//! The POP3 client and its rows.

use crate::figure::{self, Figure, median};
use crate::imap_rows::LARGE;
use crate::smtp::each_connection;
use crate::target::{PASSWORD, Target, user};
use crate::wire::Wire;
use std::io;
use std::time::Instant;

/// A session.
pub struct Pop3 {
    wire: Wire,
}

impl Pop3 {
    /// Connects.
    pub fn connect(target: &Target) -> io::Result<Pop3> {
        let port = if target.tls { 995 } else { 110 };
        let mut pop3 = Pop3 { wire: Wire::connect(target.at(port), target.tls)? };
        pop3.reply()?;
        Ok(pop3)
    }

    /// Logs in.
    pub fn log_in(&mut self, user: &str) -> io::Result<()> {
        self.ask(&format!("USER {user}"))?;
        self.ask(&format!("PASS {PASSWORD}")).map(drop)
    }

    /// Runs a command with an answer of one line.
    pub fn ask(&mut self, command: &str) -> io::Result<String> {
        self.wire.send(format!("{command}\r\n").as_bytes())?;
        self.reply()
    }

    fn reply(&mut self) -> io::Result<String> {
        let text = String::from_utf8_lossy(self.wire.line()?).into_owned();
        if text.starts_with("+OK") { Ok(text) } else { Err(io::Error::other(text)) }
    }

    /// Retrieves a message.
    pub fn retrieve(&mut self, n: usize) -> io::Result<Vec<u8>> {
        self.ask(&format!("RETR {n}"))?;
        let mut all = Vec::new();
        loop {
            let line = self.wire.line()?;
            if line == b"." {
                return Ok(all);
            }
            all.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            all.extend_from_slice(b"\r\n");
        }
    }

    /// Reads an answer of many lines; its octets.
    fn lines(&mut self) -> io::Result<usize> {
        self.reply()?;
        let mut octets = 0;
        loop {
            let line = self.wire.line()?;
            if line == b"." {
                return Ok(octets);
            }
            octets += line.len() + 2;
        }
    }
}

/// The rows on the large mailbox.
pub fn large(target: &Target) -> io::Result<Vec<Figure>> {
    let (mut opened, mut stats) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let mut pop3 = Pop3::connect(target)?;
        pop3.ask(&format!("USER {}", user(LARGE)))?;
        let began = Instant::now();
        pop3.ask(&format!("PASS {PASSWORD}"))?;
        let open = began.elapsed();
        pop3.ask("STAT")?;
        let both = began.elapsed();
        opened.push(both.as_secs_f64() * 1000.0);
        stats.push((both - open).as_secs_f64() * 1000.0);
        pop3.ask("QUIT")?;
    }
    let mut pop3 = Pop3::connect(target)?;
    pop3.log_in(&user(LARGE))?;
    let stat = pop3.ask("STAT")?;
    let count: usize = stat.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    let pipelined = retrieve(&mut pop3, count, 100)?;
    let single = retrieve(&mut pop3, count, 1)?;
    pop3.ask("QUIT")?;
    let row = |name: &str| format!("{count} messages: {name}");
    Ok(vec![
        Figure::new(row("POP3 PASS + STAT"), median(&mut opened), "ms"),
        Figure::new(row("POP3 STAT"), median(&mut stats), "ms"),
        Figure::new(row("POP3 RETR all, pipelined"), pipelined, "MB/s"),
        Figure::new(row("POP3 RETR all, one by one"), single, "MB/s"),
    ])
}

/// Retrieves all messages, so many commands at a time; MB/s.
fn retrieve(pop3: &mut Pop3, count: usize, ahead: usize) -> io::Result<f64> {
    let began = Instant::now();
    let mut octets = 0;
    let mut next = 1;
    while next <= count {
        let until = (next + ahead).min(count + 1);
        let commands: String = (next..until).map(|n| format!("RETR {n}\r\n")).collect();
        pop3.wire.send(commands.as_bytes())?;
        for _ in next..until {
            octets += pop3.lines()?;
        }
        next = until;
    }
    Ok(octets as f64 / began.elapsed().as_secs_f64() / 1e6)
}

/// Connect, log in, quit, over ten connections at a time, each to its own account.
pub fn logins(target: &Target, scale: usize) -> io::Result<Vec<Figure>> {
    let each = 50 * scale;
    let measured = figure::start(target);
    let mut times = each_connection(10, |n, gate| {
        Pop3::connect(target)?.log_in(&user(40 + n))?;
        gate.wait();
        let mut times = Vec::new();
        for _ in 0..each {
            let began = Instant::now();
            let mut pop3 = Pop3::connect(target)?;
            pop3.log_in(&user(40 + n))?;
            times.push(began.elapsed());
            pop3.ask("QUIT")?;
        }
        Ok(times)
    })?;
    let spent = measured();
    let count = times.len();
    let rate = count as f64 / times.iter().map(|t| t.as_secs_f64()).sum::<f64>() * 10.0;
    let row = Figure::new("logins, POP3", rate, "/s");
    Ok(vec![row.with_times(&mut times).with_cpu(&spent, count)])
}
