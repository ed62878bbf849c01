//! Two thousand IDLE sessions on one mailbox: memory for each, and how soon they hear of a message.

use crate::figure::{Figure, median};
use crate::imap::Imap;
use crate::message;
use crate::smtp::Smtp;
use crate::target::{Target, user};
use crate::usage;
use crate::wire::Wire;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

/// The account they all look at.
const ACCOUNT: usize = 52;
/// Deliveries that are timed.
const DELIVERIES: usize = 15;
/// How long the client rests before it looks again whether all have heard: it shares the server's
/// processors. When octets came the kernel knows.
const REST: Duration = Duration::from_micros(250);
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
        imap.wire.note_times()?;
        sessions.push(imap.wire);
    }
    let grown = usage::memory(&target.pids).saturating_sub(before);
    let (mut firsts, mut alls) = (Vec::new(), Vec::new());
    let mut smtp = Smtp::connect(target.at(25), target.tls)?;
    let mut ears = Ears::new(&sessions)?;
    let mut body = message::message(1, 2048);
    body.extend_from_slice(b".\r\n");
    let envelope = format!("MAIL FROM:<s@sender.test>\r\nRCPT TO:<{}>\r\nDATA\r\n", user(ACCOUNT));
    for _ in 0..DELIVERIES {
        let began = SystemTime::now();
        smtp.deliver(&envelope, 3, &body)?;
        let mut heard = ears.hear(&mut sessions, began)?;
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

/// Tells which sessions have something to read.
struct Ears {
    epoll: OwnedFd,
    ready: Vec<epoll::Event>,
}

impl Ears {
    fn new(sessions: &[Wire]) -> io::Result<Ears> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // Told once for what comes, not again and again until it is read.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        for (n, wire) in (0..).zip(sessions) {
            epoll::add(&epoll, wire.fd(), epoll::EventData::new_u64(n), flags)?;
        }
        Ok(Ears { epoll, ready: Vec::with_capacity(sessions.len()) })
    }

    /// Waits until each session has said EXISTS; the ms from `began` until its octets were there.
    fn hear(&mut self, sessions: &mut [Wire], began: SystemTime) -> io::Result<Vec<f64>> {
        let (mut heard, mut told) = (vec![None; sessions.len()], vec![false; sessions.len()]);
        while heard.contains(&None) {
            if began.elapsed().is_ok_and(|waited| waited > PATIENCE) {
                let missing = heard.iter().filter(|heard| heard.is_none()).count();
                return Err(io::Error::other(format!("{missing} sessions heard nothing")));
            }
            std::thread::sleep(REST);
            self.wait(&mut told)?;
            if told.contains(&false) {
                continue;
            }
            for (n, wire) in sessions.iter_mut().enumerate() {
                let came = wire.came_at()?.and_then(|came| came.duration_since(began).ok());
                let ms = came.map(|came| came.as_secs_f64() * 1000.0);
                told[n] = says_exists(wire)?;
                heard[n] = ms.filter(|_| told[n]).or(heard[n]);
            }
        }
        Ok(heard.into_iter().flatten().collect())
    }

    /// Notes which sessions have something to read that had nothing.
    fn wait(&mut self, told: &mut [bool]) -> io::Result<()> {
        self.ready.clear();
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        epoll::wait(&self.epoll, spare_capacity(&mut self.ready), Some(&second))?;
        for event in &self.ready {
            if let Some(told) = told.get_mut(event.data.u64() as usize) {
                *told = true;
            }
        }
        Ok(())
    }
}

fn says_exists(wire: &mut Wire) -> io::Result<bool> {
    wire.take_in()?;
    let mut said = false;
    while wire.has_line() {
        said |= wire.line()?.ends_with(b" EXISTS");
    }
    Ok(said)
}
