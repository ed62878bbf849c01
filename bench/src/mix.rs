//! A random mix of IMAP commands over twenty sessions, as mail programs send them.

use crate::figure::{self, Figure};
use crate::imap::Imap;
use crate::imap_rows::fill;
use crate::message::{self, Dice};
use crate::smtp::each_connection;
use crate::target::{Target, user};
use std::io;
use std::time::Instant;

/// Sessions.
const SESSIONS: usize = 20;
/// Accounts, each with several sessions.
const ACCOUNTS: usize = 5;
/// The first of them.
const FIRST: usize = 53;
/// Messages in each INBOX at the start.
const MESSAGES: usize = 500;

/// The row of the mix.
pub fn mix(target: &Target, scale: usize) -> io::Result<Vec<Figure>> {
    let commands = 300 * scale;
    for account in 0..ACCOUNTS {
        fill(target, FIRST + account, MESSAGES, 4096)?;
    }
    let measured = figure::start(target);
    let mut times = each_connection(SESSIONS, |n, gate| {
        let mut imap = Imap::login(target, &user(FIRST + n % ACCOUNTS))?;
        imap.run("SELECT INBOX")?;
        let mut dice = Dice::new(n as u64);
        gate.wait();
        let mut times = Vec::with_capacity(commands);
        for _ in 0..commands {
            let began = Instant::now();
            one(&mut imap, &mut dice)?;
            times.push(began.elapsed());
        }
        Ok(times)
    })?;
    let spent = measured();
    let count = times.len();
    let rate = count as f64 / spent.seconds;
    let row = Figure::new("random mix of IMAP commands, 20 sessions", rate, "/s");
    Ok(vec![row.with_times(&mut times).with_cpu(&spent, count)])
}

/// One command: mostly reading, some flags, a few messages that come and go.
fn one(imap: &mut Imap, dice: &mut Dice) -> io::Result<()> {
    let n = 1 + dice.below(MESSAGES as u64 * 9 / 10);
    let until = n + 20;
    match dice.below(100) {
        0..30 => imap.run(&format!("UID FETCH {n} (UID FLAGS BODY.PEEK[])"))?,
        30..45 => imap.run(&format!("UID FETCH {n}:{until} (FLAGS ENVELOPE)"))?,
        45..55 => imap.run(&format!("UID FETCH {n}:{until} (FLAGS)"))?,
        55..60 => imap.run(&format!("UID FETCH {n} (BODYSTRUCTURE)"))?,
        60..75 => imap.run(&format!("UID STORE {n} +FLAGS.SILENT (\\Seen)"))?,
        75..80 => imap.run(&format!("UID STORE {n} -FLAGS.SILENT (\\Seen)"))?,
        80..86 => imap.run("NOOP")?,
        86..90 => imap.run("STATUS INBOX (MESSAGES UNSEEN UIDNEXT)")?,
        90..94 => imap.run("UID SEARCH UNSEEN")?,
        94..97 => {
            let message = message::message(n, 4096);
            imap.append("Drafts", "\"01-Jun-2025 12:00:00 +0000\"", &message)?;
            imap.run("NOOP")?
        }
        _ => imap.run("LIST \"\" *")?,
    };
    Ok(())
}
