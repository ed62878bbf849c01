//! Two thousand IDLE sessions on one mailbox: memory for each, and how soon they hear of a message.

use crate::figure::{Figure, median};
use crate::imap::Imap;
use crate::message;
use crate::smtp::Smtp;
use crate::target::{Target, user};
use crate::usage;
use crate::wire::Wire;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::time::{Duration, Instant};

/// The account they all look at.
const ACCOUNT: usize = 52;
/// Deliveries that are timed.
const DELIVERIES: usize = 15;
/// How long a push may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The rows of `count` sessions.
pub fn idle(target: &Target, count: usize) -> io::Result<Vec<Figure>> {
    Imap::login(target, &user(ACCOUNT))?.run("NOOP")?;
    let before = usage::memory(&target.pids);
    let mut sessions = Vec::with_capacity(count);
    for _ in 0..count {
        let mut imap = Imap::connect_small(target)?;
        imap.log_in(&user(ACCOUNT))?;
        imap.run("SELECT INBOX")?;
        imap.send("IDLE")?;
        if !imap.wire.line()?.starts_with(b"+") {
            return Err(io::Error::other("IDLE was refused"));
        }
        imap.wire.never_wait()?;
        sessions.push(imap.wire);
    }
    let grown = usage::memory(&target.pids).saturating_sub(before);
    let (mut firsts, mut alls) = (Vec::new(), Vec::new());
    let mut smtp = Smtp::connect(target.at(25), target.tls)?;
    let mut body = message::message(1, 2048);
    body.extend_from_slice(b".\r\n");
    let envelope = format!("MAIL FROM:<s@sender.test>\r\nRCPT TO:<{}>\r\nDATA\r\n", user(ACCOUNT));
    for _ in 0..DELIVERIES {
        let began = Instant::now();
        smtp.deliver(&envelope, 3, &body)?;
        let mut heard = hear(&mut sessions, began)?;
        heard.sort_by(f64::total_cmp);
        firsts.extend(heard.first());
        alls.extend(heard.get(heard.len() * 95 / 100));
    }
    let name = |what: &str| format!("{count} IDLE sessions: {what}");
    let mut figures = vec![
        Figure::new(name("delivery to first EXISTS"), median(&mut firsts), "ms"),
        Figure::new(name("delivery to 95 % of EXISTS"), median(&mut alls), "ms"),
    ];
    if !target.pids.is_empty() {
        let each = grown as f64 / count.max(1) as f64 / 1024.0;
        figures.insert(0, Figure::new(name("memory of each (PSS)"), each, "KB"));
    }
    Ok(figures)
}

/// Waits until each session has said EXISTS; the ms since `began` of each.
fn hear(sessions: &mut [Wire], began: Instant) -> io::Result<Vec<f64>> {
    let mut waiting: Vec<&mut Wire> = sessions.iter_mut().collect();
    let mut heard = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{} sessions heard nothing", waiting.len())));
        }
        let ready = {
            let mut polled: Vec<PollFd<'_>> =
                waiting.iter().map(|w| PollFd::from_borrowed_fd(w.fd(), PollFlags::IN)).collect();
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            poll(&mut polled, Some(&second))?;
            polled.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>()
        };
        let mut still = Vec::with_capacity(waiting.len());
        for (wire, ready) in waiting.into_iter().zip(ready) {
            if ready && says_exists(wire)? {
                heard.push(began.elapsed().as_secs_f64() * 1000.0);
            } else {
                still.push(wire);
            }
        }
        waiting = still;
    }
    Ok(heard)
}

fn says_exists(wire: &mut Wire) -> io::Result<bool> {
    let mut said = false;
    while wire.has_line()? {
        said |= wire.line()?.ends_with(b" EXISTS");
    }
    Ok(said)
}
