//! One message of 49 MB on every road: how much memory the server takes for it beyond what it had.

use crate::figure::Figure;
use crate::imap::Imap;
use crate::message;
use crate::pop3::Pop3;
use crate::sink::Sink;
use crate::smtp::{Smtp, wait_for};
use crate::target::{SINK_DOMAIN, Target, user};
use crate::usage;
use std::io;
use std::time::Duration;

/// The message's octets.
const OCTETS: usize = 49_000_000;
/// The account that has it.
const ACCOUNT: usize = 53;
/// How long a client does not read what it asked for: what the server holds for it then counts.
const PAUSE: Duration = Duration::from_millis(300);

/// The rows.
pub fn huge(target: &Target, sink: &Sink) -> io::Result<Vec<Figure>> {
    let user = user(ACCOUNT);
    let text = message::from(&message::message(1, OCTETS), &user);
    let wire = [text.as_slice(), b".\r\n"].concat();
    let mut figures = Vec::new();
    let mut smtp = Smtp::connect(target.at(25), target.tls)?;
    let envelope = format!("MAIL FROM:<s@sender.test>\r\nRCPT TO:<{user}>\r\nDATA\r\n");
    figures.push(grown(target, "SMTP in", || smtp.deliver(&envelope, 3, &wire))?);
    let mut submission = Smtp::connect(target.at(587), target.tls)?;
    submission.authenticate(&user)?;
    let envelope = format!("MAIL FROM:<{user}>\r\nRCPT TO:<r@{SINK_DOMAIN}>\r\nDATA\r\n");
    figures.push(grown(target, "submission and relay", || {
        let before = sink.taken();
        submission.deliver(&envelope, 3, &wire)?;
        match wait_for(Duration::from_secs(60), || Ok(sink.taken() > before))? {
            true => Ok(()),
            false => Err(io::Error::other("the message was not relayed")),
        }
    })?);
    let mut imap = Imap::login(target, &user)?;
    let date = "\"01-Jan-2026 10:00:00 +0000\"";
    figures.push(grown(target, "APPEND", || imap.append("INBOX", date, &text))?);
    imap.run("SELECT INBOX")?;
    figures.push(grown(target, "FETCH BODY[]", || {
        let tag = imap.send("FETCH * BODY.PEEK[]")?;
        std::thread::sleep(PAUSE);
        imap.hear(&tag, "FETCH", |_| {}).map(drop)
    })?);
    figures.push(grown(target, "SEARCH BODY", || imap.run("SEARCH BODY xyzzy").map(drop))?);
    let mut pop3 = Pop3::connect(target)?;
    pop3.log_in(&user)?;
    figures.push(grown(target, "RETR", || pop3.retrieve(1).map(drop))?);
    Ok(figures)
}

/// The row of some work: the growth of the peak.
fn grown(target: &Target, name: &str, work: impl FnOnce() -> io::Result<()>) -> io::Result<Figure> {
    usage::forget_peak(&target.pids)?;
    let before = usage::peak(&target.pids);
    work()?;
    let grown = usage::peak(&target.pids).saturating_sub(before);
    Ok(Figure::new(format!("memory for a message of 49 MB: {name}"), grown as f64 / 1e6, "MB"))
}
