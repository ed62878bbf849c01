//! POP3 sessions over the INBOX. RFC 1939.
//!
//! Invariants: the maildrop is the INBOX as it was at login, whatever comes or goes meanwhile
//! (users.md P-04, P-06); unique ids are UIDVALIDITY and UID, so they last (P-01).

pub mod maildrops;
mod sizes;

use crate::Shared;
use crate::drive::{Handler, News, Output};
use crate::listen::Accepted;
use crate::login::{Logins, Step, offered, security};
use directory::{AuthError, Authenticated};
use mail::{Entry, Listing, MailboxId, MailboxName, Uid};
use maildrops::{Closed, Seat};
use protocol::machine::Machine;
use protocol::pop3::{Answer, Command, Language, Mode, Offer, Question, Session};
use protocol::smtp::body::DataWriter;
use sizes::Sizes;
use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::sync::Arc;
use store::{ContentRow, Reading, StoreError, Which};
use sys::tls::TlsFacts;

/// Octets of a message that are read at once.
const PIECE: u64 = 256 * 1024;
/// Octets of a buffer that is kept for the next message.
const PIECE_KEPT: usize = 32 * 1024;

/// A session's handler.
pub struct Context {
    shared: Arc<Shared>,
    accepted: Accepted,
    logins: Logins,
    drop: Option<Maildrop>,
    /// Octets on their way from the store to the client.
    piece: Vec<u8>,
}

/// The maildrop as it was at login.
struct Maildrop {
    mailbox: MailboxId,
    listing: Arc<Listing>,
    deleted: BTreeSet<Uid>,
    /// Unique ids that messages had elsewhere.
    unique: HashMap<Uid, String>,
    sizes: Sizes,
    /// What STAT said, until something is marked or unmarked.
    totals: Option<(u32, u64)>,
    _seat: Seat,
}

/// Machine and handler of a new session.
pub fn session(shared: Arc<Shared>, accepted: Accepted) -> (Session, Context) {
    let offer = Offer {
        stls: !accepted.service.implicit_tls(),
        plaintext_auth: shared.settings.plaintext_auth,
        sasl: offered(&shared),
        login_delay_secs: shared.settings.pop3_login_delay.as_secs(),
    };
    let machine = Session::new(offer, security(accepted.tls.as_ref()));
    let logins = Logins::default();
    (machine, Context { shared, accepted, logins, drop: None, piece: Vec::new() })
}

impl Handler<Session> for Context {
    async fn answer(
        &mut self,
        question: <Session as Machine>::Question,
        out: &mut Output<'_>,
    ) -> Answer {
        match question {
            Question::Authenticate(login) => {
                match self.logins.password(&self.shared, &self.accepted, &login).await {
                    Ok(who) => self.open(who).await,
                    Err(error) => refused(&error),
                }
            }
            Question::Sasl(client) => {
                match self.logins.sasl(&self.shared, &self.accepted, client).await {
                    Ok(Step::Challenge(text)) => Answer::Challenge(text),
                    Ok(Step::Done(who)) => self.open(who).await,
                    Err(error) => refused(&error),
                }
            }
            Question::Command(command, mode, language) => {
                match command {
                    Command::Stat | Command::List(None) => self.measure_all(mode).await,
                    Command::List(Some(n)) | Command::Retr(n) => self.measure(n, mode).await,
                    _ => {}
                }
                match command {
                    Command::Retr(n) => self.send(n, None, (mode, language), out).await,
                    Command::Top(n, lines) => {
                        self.send(n, Some(lines), (mode, language), out).await
                    }
                    command => self.command(command, out),
                }
            }
            Question::Update => self.update().await,
        }
    }

    async fn body(&mut self, _: Vec<u8>) {}

    async fn changed(&mut self) -> News<Answer> {
        self.logins.revoked().await;
        News::Revoked
    }

    fn tls_started(&mut self, facts: TlsFacts) {
        self.accepted.tls = Some(facts);
    }
}

/// Why a login failed, with the code that lets a client tell a wrong password from an outage. RFC
/// 3206 §4.
fn refused(error: &AuthError) -> Answer {
    no(match error {
        AuthError::Unavailable(_) => "[SYS/TEMP] Cannot check the password now",
        AuthError::Malformed => "That is not what the mechanism wants",
        _ => "[AUTH] Wrong user name or password",
    })
}

fn no(text: &str) -> Answer {
    Answer::No(text.to_owned())
}

fn yes(text: &str) -> Answer {
    Answer::Yes(text.to_owned())
}

fn line(out: &mut Output<'_>, text: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = out.buffer().write_fmt(text);
}

impl Context {
    /// PASS, AUTH: opens the maildrop.
    async fn open(&mut self, who: Authenticated) -> Answer {
        let now = self.shared.world.clock.monotonic();
        let answer = match self.shared.maildrops.open(who.account, now) {
            Ok(seat) => self.open_on(seat, who).await,
            // RFC 2449 §8.1.1, §8.1.2.
            Err(Closed::InUse) => no("[IN-USE] The maildrop is in use by another session"),
            Err(Closed::TooSoon(wait)) => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Answer::No(format!("[LOGIN-DELAY] Log in again in {seconds} seconds"))
            }
        };
        if self.drop.is_none() {
            self.logins.leave();
        }
        answer
    }

    async fn open_on(&mut self, seat: Seat, who: Authenticated) -> Answer {
        match self.maildrop(who).await {
            Ok((mailbox, listing, unique)) => {
                let (count, octets) = totals(listing.iter().map(|entry| u64::from(entry.size)));
                self.drop = Some(Maildrop {
                    mailbox,
                    listing,
                    deleted: BTreeSet::new(),
                    unique,
                    sizes: Sizes::default(),
                    totals: None,
                    _seat: seat,
                });
                Answer::Welcome(format!("{count} messages ({octets} octets)"))
            }
            Err(error) => {
                seat.give_up();
                tracing::error!(peer = %self.accepted.peer, %error, "maildrop");
                no("[SYS/TEMP] Cannot open the maildrop now")
            }
        }
    }

    async fn maildrop(
        &self,
        who: Authenticated,
    ) -> Result<(MailboxId, Arc<Listing>, HashMap<Uid, String>), StoreError> {
        let store = &self.shared.store;
        let row = store.mailbox(who.account, &MailboxName::inbox())?;
        let row = row.ok_or(StoreError::NoSuchMailbox)?;
        let listing = store.select(row.id).await?.listing;
        Ok((row.id, listing, store.unique_ids(&row)?))
    }

    /// Finds out the octets of all messages.
    async fn measure_all(&mut self, mode: Mode) {
        let Some(maildrop) = self.drop.as_mut().filter(|drop| drop.totals.is_none()) else {
            return;
        };
        let listing = maildrop.listing.clone();
        for entry in listing.iter().filter(|entry| Sizes::may_differ(entry, mode)) {
            if !maildrop.deleted.contains(&entry.uid) {
                maildrop.sizes.find_out(&self.shared.store, entry, mode).await;
            }
        }
    }

    async fn measure(&mut self, n: u32, mode: Mode) {
        if let Some(maildrop) = &mut self.drop
            && let Some(entry) = maildrop.entry(n)
        {
            maildrop.sizes.find_out(&self.shared.store, &entry, mode).await;
        }
    }

    fn command(&mut self, command: Command, out: &mut Output<'_>) -> Answer {
        let Some(maildrop) = &mut self.drop else { return no("Log in first") };
        match command {
            Command::Stat => {
                let (count, octets) = maildrop.totals();
                line(out, format_args!("+OK {count} {octets}\r\n"));
                Answer::Done
            }
            Command::List(which) => {
                maildrop.list(which, out, |entry| maildrop.sizes.of(entry).to_string())
            }
            Command::Uidl(which) => maildrop.list(which, out, |entry| maildrop.unique_id(entry)),
            Command::Dele(n) => match maildrop.entry(n) {
                Some(entry) => {
                    maildrop.deleted.insert(entry.uid);
                    maildrop.totals = None;
                    Answer::Yes(format!("Message {n} goes at QUIT"))
                }
                None => no("No such message"),
            },
            Command::Rset => {
                maildrop.deleted.clear();
                maildrop.totals = None;
                yes("Nothing is marked any more")
            }
            _ => no("Not now"),
        }
    }

    /// RETR and TOP, piece by piece.
    async fn send(
        &mut self,
        n: u32,
        lines: Option<u64>,
        (mode, language): (Mode, Language),
        out: &mut Output<'_>,
    ) -> Answer {
        let Some(maildrop) = &self.drop else { return no("Log in first") };
        let Some(entry) = maildrop.entry(n) else { return no("No such message") };
        let size = maildrop.sizes.of(&entry);
        let mut writer = DataWriter::default();
        let mut top = lines.map(Top::new);
        let row = match self.shared.store.kept(&[entry.content], true, false) {
            Ok(mut kept) => kept.rows.pop().flatten(),
            Err(error) => return unreadable(&error),
        };
        // It is no fault of the system: RFC 3206 §4.
        let Some(row) = row else { return no("Another session deleted the message") };
        let mut reading = match self.begin(&row, top.is_some()).await {
            Ok(reading) => reading,
            Err(error) => return unreadable(&error),
        };
        let (mut first, mut piece) = (true, std::mem::take(&mut self.piece));
        while first || reading.left() > 0 {
            piece.clear();
            match reading.next(&self.shared.store, PIECE, &mut piece) {
                Ok(_) => {}
                Err(error) if first => return unreadable(&error),
                Err(error) => {
                    tracing::error!(%error, "RETR broke off");
                    return Answer::Broken;
                }
            }
            if std::mem::take(&mut first) {
                if mode == Mode::Ascii && !make_ascii(&mut piece) {
                    return no(UTF8_ONLY);
                }
                let text = language.say(&format!("{size} octets"));
                line(out, format_args!("+OK {text}\r\n"));
            }
            let wanted = top.as_mut().map_or(piece.len(), |top| top.wanted(&piece));
            writer.write(piece.get(..wanted).unwrap_or_default(), out.buffer());
            if wanted < piece.len() || out.relieve().await.is_err() {
                break;
            }
        }
        // A small buffer serves the next message as well; a large one is not kept.
        if piece.capacity() <= PIECE_KEPT {
            self.piece = piece;
        }
        writer.finish(out.buffer());
        Answer::Done
    }

    /// What is read in part is compared with its checksum before.
    async fn begin(&self, row: &ContentRow, part: bool) -> Result<Reading, StoreError> {
        if part {
            self.shared.store.compare(row).await?;
        }
        self.shared.store.reading(row, 0..row.len).await
    }

    /// QUIT: what is marked goes. RFC 1939 §6.
    async fn update(&mut self) -> Answer {
        let Some(maildrop) = self.drop.take() else { return Answer::Done };
        if maildrop.deleted.is_empty() {
            return Answer::Done;
        }
        let gone: Vec<Uid> = maildrop.deleted.iter().copied().collect();
        match self.shared.store.expunge(maildrop.mailbox, Which::Exactly(gone)).await {
            Ok(_) => Answer::Done,
            Err(error) => {
                tracing::error!(%error, "QUIT");
                no("[SYS/TEMP] Some messages were not deleted")
            }
        }
    }
}

/// RFC 3206 §4: what is damaged stays so until somebody sees to it.
fn unreadable(error: &StoreError) -> Answer {
    tracing::warn!(%error, "RETR");
    no(match error {
        StoreError::Corrupt(_) => "[SYS/PERM] The message is damaged",
        _ => "[SYS/TEMP] The message cannot be read now",
    })
}

impl Maildrop {
    /// The message of that number, unless it is marked as deleted.
    fn entry(&self, n: u32) -> Option<Entry> {
        let entry = self.listing.at(n.checked_sub(1)?)?;
        (!self.deleted.contains(&entry.uid)).then_some(*entry)
    }

    fn kept(&self) -> impl Iterator<Item = &Entry> {
        self.listing.iter().filter(|entry| !self.deleted.contains(&entry.uid))
    }

    /// How many there are, and their octets.
    fn totals(&mut self) -> (u32, u64) {
        let counted = || totals(self.kept().map(|entry| self.sizes.of(entry)));
        let totals = self.totals.unwrap_or_else(counted);
        self.totals = Some(totals);
        totals
    }

    /// The one that it had elsewhere, or UIDVALIDITY and UID. RFC 1939 §7.
    fn unique_id(&self, entry: &Entry) -> String {
        match self.unique.get(&entry.uid) {
            Some(id) => id.clone(),
            None => format!("{:08x}{:08x}", self.listing.uidvalidity.0, entry.uid.get()),
        }
    }

    /// LIST and UIDL.
    fn list(
        &self,
        which: Option<u32>,
        out: &mut Output<'_>,
        show: impl Fn(&Entry) -> String,
    ) -> Answer {
        if let Some(n) = which {
            let Some(entry) = self.entry(n) else { return no("No such message") };
            line(out, format_args!("+OK {n} {}\r\n", show(&entry)));
            return Answer::Done;
        }
        line(out, format_args!("+OK\r\n"));
        for (n, entry) in (1u32..).zip(self.listing.iter()) {
            if !self.deleted.contains(&entry.uid) {
                line(out, format_args!("{n} {}\r\n", show(entry)));
            }
        }
        line(out, format_args!(".\r\n"));
        Answer::Done
    }
}

fn totals(sizes: impl Iterator<Item = u64>) -> (u32, u64) {
    sizes.fold((0, 0), |(n, octets), size| (n + 1, octets + size))
}

const UTF8_ONLY: &str = "[UTF8] The message has a header in UTF-8: say UTF8 before the login";

/// A client that did not say UTF8 gets a header in ASCII (RFC 6856 §2.1, RFC 6858 §4). `piece` is
/// the start of the message; not when its header goes on behind it.
fn make_ascii(piece: &mut Vec<u8>) -> bool {
    let header = mail::header::octets(piece);
    let (head, rest) = piece.split_at(header.min(piece.len()));
    if head.is_ascii() {
        return true;
    }
    if rest.is_empty() && piece.len() as u64 >= PIECE {
        return false;
    }
    let mut made = mail::header::surrogate(head);
    made.extend_from_slice(rest);
    *piece = made;
    true
}

/// How much of a message TOP shows: the header, the empty line and some lines.
struct Top {
    lines: u64,
    in_body: bool,
    /// Octets of the current line so far, CR not counted.
    line: usize,
}

impl Top {
    fn new(lines: u64) -> Top {
        Top { lines, in_body: false, line: 0 }
    }

    /// Octets of this piece that are shown.
    fn wanted(&mut self, piece: &[u8]) -> usize {
        for (at, byte) in piece.iter().enumerate() {
            if self.in_body && self.lines == 0 {
                return at;
            }
            match byte {
                b'\n' if self.in_body => self.lines -= 1,
                b'\n' => {
                    self.in_body = self.line == 0;
                    self.line = 0;
                }
                b'\r' => {}
                _ => self.line += 1,
            }
        }
        piece.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Top;

    #[test]
    fn top_shows_header_and_lines_in_any_split() {
        let message = b"A: b\r\nC: d\r\n\r\none\r\ntwo\r\nthree\r\n";
        for (lines, shown) in [(0, 14), (1, 19), (2, 24), (9, 31)] {
            for split in [1, 3, 100] {
                let mut top = Top::new(lines);
                let shown_in_pieces: usize = message.chunks(split).map(|p| top.wanted(p)).sum();
                assert_eq!(shown_in_pieces, shown, "TOP {lines}");
            }
        }
    }
}
