//! Thousands of connections that say nothing, or an octet now and then, while one client works:
//! what it feels, and what they cost (security.md SM-10).

use crate::figure::Figure;
use crate::imap::Imap;
use crate::message;
use crate::smtp::Smtp;
use crate::target::{Target, user};
use crate::usage;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a trickling connection sends an octet.
const TRICKLE: Duration = Duration::from_secs(10);
/// How long the working client is measured.
const MEASURED: Duration = Duration::from_secs(40);
/// Connections from one loopback address to one port: there are some 28,000 ports.
const PER_ADDRESS: usize = 4000;
/// The account that works.
const ACCOUNT: usize = 53;

/// The rows of `idle` silent and `trickling` slow connections, after the same without them.
pub fn hold(target: &Target, idle: usize, trickling: usize) -> io::Result<Vec<Figure>> {
    let alone = work(target, "alone", MEASURED / 4)?;
    let before = usage::memory(&target.pids);
    let mut silent = Vec::with_capacity(idle);
    for n in 0..idle {
        silent.push(connect(target, [25, 587, 143].get(n % 3).copied().unwrap_or(25), n)?);
    }
    let mut slow = Vec::with_capacity(trickling);
    for n in 0..trickling {
        let mut stream = connect(target, 25, n)?;
        if n % 2 == 0 {
            let hello =
                format!("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{}>\r\nDATA\r\n", user(ACCOUNT));
            stream.write_all(hello.as_bytes())?;
        }
        slow.push(stream);
    }
    let grown = usage::memory(&target.pids).saturating_sub(before);
    let over = AtomicBool::new(false);
    let (busy, lost) = std::thread::scope(|scope| {
        let trickle = scope.spawn(|| trickle(&mut slow, &over));
        let busy = work(target, "among them", MEASURED);
        over.store(true, Ordering::Relaxed);
        (busy, trickle.join().unwrap_or(usize::MAX))
    });
    let busy = busy?;
    if lost > 0 {
        return Err(io::Error::other(format!("{lost} slow connections were lost")));
    }
    let (mut open, mut octets) = (0usize, [0; 512]);
    for stream in &mut silent {
        stream.set_nonblocking(true)?;
        open += match stream.read(&mut octets) {
            Ok(0) => 0,
            Ok(_) => 1,
            Err(error) => usize::from(error.kind() == io::ErrorKind::WouldBlock),
        };
    }
    if open < silent.len() {
        return Err(io::Error::other(format!("only {open} silent connections were kept")));
    }
    let mut figures = vec![alone, busy];
    if !target.pids.is_empty() {
        let each = grown as f64 / (idle + trickling).max(1) as f64 / 1024.0;
        let name = format!("{idle} silent, {trickling} slow connections: memory of each (PSS)");
        figures.push(Figure::new(name, each, "KB"));
    }
    Ok(figures)
}

/// A connection from one of several loopback addresses; its greeting has come.
fn connect(target: &Target, port: u16, n: usize) -> io::Result<TcpStream> {
    let own = Ipv4Addr::new(127, 0, 1, u8::try_from(n / PER_ADDRESS).unwrap_or(255));
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddr::from((own, 0)))?;
    rustix::net::connect(&socket, &target.at(port))?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut greeting = [0; 512];
    match stream.read(&mut greeting)? {
        0 => Err(io::Error::other(format!("connection {n} was turned away"))),
        got if greeting.get(..got).is_some_and(|text| text.starts_with(b"421")) => {
            let hint = "raise limits.connections and limits.connections_per_address with --set";
            Err(io::Error::other(format!("connection {n} was turned away; {hint}")))
        }
        _ => Ok(stream),
    }
}

/// An octet on each of them every ten seconds; how many were lost.
fn trickle(slow: &mut [TcpStream], over: &AtomicBool) -> usize {
    let pause = TRICKLE / u32::try_from(slow.len().max(1)).unwrap_or(1);
    let mut lost = 0;
    loop {
        for stream in slow.iter_mut() {
            if over.load(Ordering::Relaxed) {
                return lost;
            }
            lost += usize::from(stream.write_all(b"x").is_err());
            std::thread::sleep(pause);
        }
    }
}

/// One client after the other connects, delivers a message, logs in and reads it; the time of each
/// whole turn.
fn work(target: &Target, what: &str, how_long: Duration) -> io::Result<Figure> {
    let mut body = message::message(1, 2048);
    body.extend_from_slice(b".\r\n");
    let envelope = format!("MAIL FROM:<s@sender.test>\r\nRCPT TO:<{}>\r\nDATA\r\n", user(ACCOUNT));
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < how_long {
        let turn = Instant::now();
        Smtp::connect(target.at(25), target.tls)?.deliver(&envelope, 3, &body)?;
        let mut imap = Imap::login(target, &user(ACCOUNT))?;
        imap.run("SELECT INBOX")?;
        imap.run("FETCH * BODY.PEEK[]")?;
        times.push(turn.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut total: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    let name = format!("connect, deliver, log in, read: {what}");
    Ok(Figure::new(name, crate::figure::median(&mut total), "ms").with_times(&mut times))
}
