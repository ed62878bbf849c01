//! The mixed load: each worker goes on until the server is gone, and writes into the ledger before
//! it asks and after it was answered.

use super::ledger::{Expected, Ledger};
use crate::imap::Imap;
use crate::message::{self, Dice};
use crate::pop3::Pop3;
use crate::smtp::Smtp;
use crate::target::{SINK_DOMAIN, Target, user};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// The account that SMTP fills.
pub const INBOUND: usize = 0;
/// The account that IMAP changes.
pub const CHANGED: usize = 1;
/// The account that POP3 empties.
pub const TAKEN: usize = 2;
/// Messages that stay in the INBOX that IMAP changes.
const INBOX_MESSAGES: usize = 60;

/// A kind of work.
#[derive(Clone, Copy)]
pub enum Work {
    Inbound,
    Outbound,
    Imap,
    Pop3,
}

/// What runs at the same time.
pub const WORKS: [Work; 6] =
    [Work::Inbound, Work::Inbound, Work::Outbound, Work::Outbound, Work::Imap, Work::Pop3];

/// The header field that names message `id`.
pub fn message_id(id: u64) -> String {
    format!("<{id}.{}@sender.test>", octets(id))
}

fn octets(id: u64) -> usize {
    // Some are larger than what is kept in memory on the way in.
    if id.is_multiple_of(97) { 1_200_000 } else { 600 + (id % 11) as usize * 400 }
}

/// Message `id`, byte by byte.
pub fn content(id: u64) -> Vec<u8> {
    message::message(id, octets(id))
}

/// Works until the server is gone.
pub fn until_cut(work: Work, target: &Target, ledger: &Ledger, stop: &AtomicBool, seed: u64) {
    while !stop.load(Ordering::Relaxed) {
        let cut = match work {
            Work::Inbound => inbound(target, ledger),
            Work::Outbound => outbound(target, ledger),
            Work::Imap => changes(target, ledger, seed),
            Work::Pop3 => pop3(target, ledger),
        };
        if cut.is_err() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

fn body(id: u64) -> Vec<u8> {
    let mut body = content(id);
    body.extend_from_slice(b".\r\n");
    body
}

fn inbound(target: &Target, ledger: &Ledger) -> io::Result<()> {
    let mut smtp = Smtp::connect(target.at(25), false)?;
    loop {
        let id = ledger.number();
        ledger.books().inbound.insert(id, false);
        let to = user(INBOUND);
        let envelope = format!("MAIL FROM:<s@sender.test>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
        smtp.deliver(&envelope, 3, &body(id))?;
        ledger.books().inbound.insert(id, true);
    }
}

fn outbound(target: &Target, ledger: &Ledger) -> io::Result<()> {
    let mut smtp = Smtp::connect(target.at(587), false)?;
    smtp.authenticate(&user(3))?;
    loop {
        let id = ledger.number();
        let (from, to) = (user(3), format!("r@{SINK_DOMAIN}"));
        let envelope = format!("MAIL FROM:<{from}>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
        smtp.deliver(&envelope, 3, &message::from(&body(id), &from))?;
        ledger.books().outbound.insert(id);
    }
}

fn changes(target: &Target, ledger: &Ledger, seed: u64) -> io::Result<()> {
    let mut imap = Imap::login(target, &user(CHANGED))?;
    imap.run("SELECT INBOX")?;
    let mut dice = Dice::new(seed);
    loop {
        let here: Vec<(u64, u32)> = {
            let books = ledger.books();
            let known = books.changed.iter().filter(|(_, e)| *e.inbox.start() == 1);
            known.filter_map(|(id, e)| Some((*id, e.uid?))).collect()
        };
        let picked = here.get(dice.below(here.len() as u64) as usize).copied();
        let choice = dice.below(100);
        match picked {
            Some((id, uid)) if choice < 30 => flag(&mut imap, ledger, id, uid, choice < 15)?,
            Some((id, uid)) if choice < 45 => copy(&mut imap, ledger, id, uid)?,
            Some((id, uid)) if choice < 60 => remove(&mut imap, ledger, id, uid, true)?,
            Some((id, uid)) if choice < 70 || here.len() > INBOX_MESSAGES => {
                remove(&mut imap, ledger, id, uid, false)?;
            }
            _ => append(&mut imap, ledger)?,
        }
        ledger.books().changes += 1;
    }
}

/// Changes what is expected of a message.
fn expect(ledger: &Ledger, id: u64, change: impl FnOnce(&mut Expected)) {
    if let Some(expected) = ledger.books().changed.get_mut(&id) {
        change(expected);
    }
}

fn append(imap: &mut Imap, ledger: &Ledger) -> io::Result<()> {
    let id = ledger.number();
    let open =
        Expected { inbox: 0..=1, archive: 0..=0, both: 0..=1, flagged: Some(false), uid: None };
    ledger.books().changed.insert(id, open);
    let date = "\"01-Jun-2025 12:00:00 +0000\"";
    let tag = imap.send_append("INBOX", date, &content(id))?;
    let told = imap.tagged(&tag)?;
    // RFC 4315 §3: OK [APPENDUID uidvalidity uid]
    let uid = told.split([' ', ']']).nth(3).and_then(|uid| uid.parse().ok());
    expect(ledger, id, |e| (e.inbox, e.both, e.uid) = (1..=1, 1..=1, uid));
    Ok(())
}

fn flag(imap: &mut Imap, ledger: &Ledger, id: u64, uid: u32, on: bool) -> io::Result<()> {
    expect(ledger, id, |e| e.flagged = None);
    let sign = if on { '+' } else { '-' };
    imap.run(&format!("UID STORE {uid} {sign}FLAGS.SILENT (\\Flagged)"))?;
    expect(ledger, id, |e| e.flagged = Some(on));
    Ok(())
}

fn copy(imap: &mut Imap, ledger: &Ledger, id: u64, uid: u32) -> io::Result<()> {
    let mut before = 0;
    expect(ledger, id, |e| {
        before = *e.archive.end();
        (e.archive, e.both) = (before..=before + 1, before + 1..=before + 2);
    });
    imap.run(&format!("UID COPY {uid} Archive"))?;
    let now = before + 1;
    expect(ledger, id, |e| (e.archive, e.both) = (now..=now, now + 1..=now + 1));
    Ok(())
}

/// MOVE to Archive, or delete for good.
fn remove(imap: &mut Imap, ledger: &Ledger, id: u64, uid: u32, keep: bool) -> io::Result<()> {
    let (mut before, kept) = (0, usize::from(keep));
    expect(ledger, id, |e| {
        before = *e.archive.end();
        e.inbox = 0..=1;
        (e.archive, e.both) = (before..=before + kept, before + kept..=before + 1);
    });
    if keep {
        imap.run(&format!("UID MOVE {uid} Archive"))?;
    } else {
        imap.run(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"))?;
        imap.run(&format!("UID EXPUNGE {uid}"))?;
    }
    let now = before + kept;
    expect(ledger, id, |e| (e.inbox, e.archive, e.both) = (0..=0, now..=now, now..=now));
    Ok(())
}

/// Delivers some, then takes and deletes some of what is there.
fn pop3(target: &Target, ledger: &Ledger) -> io::Result<()> {
    let mut smtp = Smtp::connect(target.at(25), false)?;
    let to = user(TAKEN);
    let envelope = format!("MAIL FROM:<s@sender.test>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
    loop {
        for _ in 0..5 {
            let id = ledger.number();
            ledger.books().taken.insert(id, 0..=1);
            smtp.deliver(&envelope, 3, &body(id))?;
            ledger.books().taken.insert(id, 1..=1);
        }
        let mut pop3 = Pop3::connect(target)?;
        pop3.log_in(&user(TAKEN))?;
        let stat = pop3.ask("STAT")?;
        let count: usize = stat.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
        let mut deleted = Vec::new();
        for n in 1..=count.min(4) {
            let id = id_of(&pop3.retrieve(n)?).unwrap_or(u64::MAX);
            pop3.ask(&format!("DELE {n}"))?;
            deleted.push(id);
        }
        for id in &deleted {
            ledger.books().taken.insert(*id, 0..=1);
        }
        pop3.ask("QUIT")?;
        let mut books = ledger.books();
        books.deleted += deleted.len();
        for id in deleted {
            books.taken.insert(id, 0..=0);
        }
    }
}

/// The number in a message's Message-ID.
pub fn id_of(message: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(message, b"Message-ID: <")? + 13;
    let digits = message.get(at..at + 20)?;
    let until = memchr::memchr(b'.', digits)?;
    std::str::from_utf8(digits.get(..until)?).ok()?.parse().ok()
}
