//! After a restart: what is there, against the ledger.

use super::ledger::{Books, Ledger};
use super::load::{CHANGED, INBOUND, TAKEN, content, id_of};
use crate::imap::Imap;
use crate::target::{Target, user};
use std::collections::BTreeMap;
use std::io;

/// A message as it was fetched.
struct Found {
    id: u64,
    uid: u32,
    flagged: bool,
    /// Empty when only headers were asked for.
    body: Vec<u8>,
}

fn wrong(text: String) -> io::Error {
    io::Error::other(text)
}

/// Compares; `full` reads every body. What was open is settled as it was found.
pub fn verify(target: &Target, ledger: &mut Ledger, full: bool) -> io::Result<()> {
    let mut books = ledger.books();
    inbound(target, &mut books, full)?;
    changed(target, &mut books, full)?;
    taken(target, &mut books)
}

fn inbound(target: &Target, books: &mut Books, full: bool) -> io::Result<()> {
    let mut imap = Imap::login(target, &user(INBOUND))?;
    counters(&mut imap, books, "inbound", "INBOX")?;
    let from = match books.uids.last_key_value() {
        Some((uid, _)) if !full => uid + 1,
        _ => 1,
    };
    // With nothing new, from:* gives the last one again.
    let found = fetch(&mut imap, from, true)?;
    for Found { id, uid, body, .. } in found {
        check_body(id, &body)?;
        match books.uids.insert(uid, id) {
            Some(before) if before != id => {
                return Err(wrong(format!("UID {uid} was message {before}, is {id}")));
            }
            _ => {}
        }
    }
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    for id in books.uids.values() {
        *seen.entry(*id).or_default() += 1;
    }
    if let Some((id, times)) = seen.iter().find(|(_, times)| **times > 1) {
        return Err(wrong(format!("message {id} is there {times} times")));
    }
    let lost = books.inbound.iter().find(|(id, told)| **told && !seen.contains_key(id));
    if let Some((id, _)) = lost {
        return Err(wrong(format!("message {id} was accepted and is lost")));
    }
    if imap.messages("INBOX")? != books.uids.len() {
        return Err(wrong("messages have gone from the INBOX".to_owned()));
    }
    Ok(())
}

fn changed(target: &Target, books: &mut Books, full: bool) -> io::Result<()> {
    let mut imap = Imap::login(target, &user(CHANGED))?;
    counters(&mut imap, books, "changed archive", "Archive")?;
    let archive = fetch(&mut imap, 1, full)?;
    counters(&mut imap, books, "changed", "INBOX")?;
    let inbox = fetch(&mut imap, 1, full)?;
    for Found { id, body, .. } in archive.iter().chain(&inbox).filter(|_| full) {
        check_body(*id, body)?;
    }
    let times = |all: &[Found], id: u64| all.iter().filter(|found| found.id == id).count();
    let strange = inbox.iter().chain(&archive).find(|f| !books.changed.contains_key(&f.id));
    if let Some(Found { id, uid, .. }) = strange {
        return Err(wrong(format!("message {id} (UID {uid}) was never there")));
    }
    for (id, expected) in &mut books.changed {
        let (here, there) = (times(&inbox, *id), times(&archive, *id));
        let flagged = inbox.iter().find(|found| found.id == *id).map(|found| found.flagged);
        let flags_fit = flagged.is_none() || expected.flagged.is_none_or(|f| Some(f) == flagged);
        let fits = expected.inbox.contains(&here)
            && expected.archive.contains(&there)
            && expected.both.contains(&(here + there))
            && flags_fit;
        if !fits {
            let seen = format!("{here} in INBOX, {there} in Archive, flagged {flagged:?}");
            return Err(wrong(format!("message {id}: expected {expected:?}, found {seen}")));
        }
        let uid = inbox.iter().find(|found| found.id == *id).map(|found| found.uid);
        if let (Some(known), Some(now)) = (expected.uid, uid)
            && known != now
        {
            return Err(wrong(format!("message {id} had UID {known}, has {now}")));
        }
        expected.inbox = here..=here;
        expected.archive = there..=there;
        expected.both = here + there..=here + there;
        (expected.flagged, expected.uid) = (flagged.or(expected.flagged), uid);
    }
    Ok(())
}

fn taken(target: &Target, books: &mut Books) -> io::Result<()> {
    let mut imap = Imap::login(target, &user(TAKEN))?;
    counters(&mut imap, books, "taken", "INBOX")?;
    let found = fetch(&mut imap, 1, true)?;
    for Found { id, body, .. } in &found {
        check_body(*id, body)?;
    }
    for (id, expected) in &mut books.taken {
        let here = found.iter().filter(|found| found.id == *id).count();
        if !expected.contains(&here) {
            return Err(wrong(format!("message {id}: expected {expected:?} times, found {here}")));
        }
        *expected = here..=here;
    }
    // What is gone for good need not be looked for again.
    books.taken.retain(|_, expected| *expected.end() > 0);
    Ok(())
}

/// The stored message is trace header fields and then what was sent, byte by byte.
fn check_body(id: u64, body: &[u8]) -> io::Result<()> {
    if body.ends_with(&content(id)) { Ok(()) } else { Err(wrong(format!("message {id} differs"))) }
}

/// Selects a mailbox; its counters must not go back.
fn counters(
    imap: &mut Imap,
    books: &mut Books,
    name: &'static str,
    mailbox: &str,
) -> io::Result<()> {
    imap.run(&format!("SELECT {mailbox}"))?;
    let (mut next, mut modseq) = (0, 0);
    imap.run_with(&format!("STATUS {mailbox} (UIDNEXT HIGHESTMODSEQ)"), |line| {
        let text = String::from_utf8_lossy(line).into_owned();
        let after = |key: &str| {
            let digits = text.split(key).nth(1)?.trim_start();
            digits.split([' ', ')']).next()?.parse::<u64>().ok()
        };
        next = after("UIDNEXT").unwrap_or(next);
        modseq = after("HIGHESTMODSEQ").unwrap_or(modseq);
    })?;
    let before = books.counters.insert(name, (next, modseq)).unwrap_or((0, 0));
    if next < before.0 || modseq < before.1 {
        return Err(wrong(format!("{name}: {before:?} went back to {:?}", (next, modseq))));
    }
    Ok(())
}

fn fetch(imap: &mut Imap, from: u32, bodies: bool) -> io::Result<Vec<Found>> {
    let what = if bodies { "BODY.PEEK[]" } else { "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]" };
    let mut found = Vec::new();
    for (line, body) in imap.fetch(&format!("UID FETCH {from}:* (UID FLAGS {what})"))? {
        let uid = line.split("UID ").nth(1).and_then(|rest| rest.split([' ', ')']).next());
        let (Some(uid), Some(id)) = (uid.and_then(|uid| uid.parse().ok()), id_of(&body)) else {
            continue;
        };
        let flagged = line.contains("\\Flagged");
        found.push(Found { id, uid, flagged, body: if bodies { body } else { Vec::new() } });
    }
    Ok(found)
}
