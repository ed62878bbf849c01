//! The SMTP client, and the rows of delivery and relay.

use crate::figure::{self, Figure};
use crate::imap::Imap;
use crate::message::{self, Size};
use crate::sink::Sink;
use crate::target::{PASSWORD, SINK_DOMAIN, Target, user};
use crate::usage;
use crate::wire::Wire;
use base64::Engine as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// A session that is ready for MAIL.
pub struct Smtp {
    wire: Wire,
}

impl Smtp {
    /// Connects, and starts TLS when `tls`.
    pub fn connect(to: SocketAddr, tls: bool) -> io::Result<Smtp> {
        let mut smtp = Smtp { wire: Wire::connect(to, false)? };
        smtp.replies(1)?;
        smtp.ask("EHLO bench.invalid\r\n")?;
        if tls {
            smtp.ask("STARTTLS\r\n")?;
            smtp.wire = smtp.wire.start_tls()?;
            smtp.ask("EHLO bench.invalid\r\n")?;
        }
        Ok(smtp)
    }

    /// AUTH PLAIN. RFC 4616.
    pub fn authenticate(&mut self, user: &str) -> io::Result<()> {
        let plain = format!("\0{user}\0{PASSWORD}");
        let plain = base64::engine::general_purpose::STANDARD.encode(plain);
        self.ask(&format!("AUTH PLAIN {plain}\r\n"))
    }

    /// One transaction with a pipelined envelope; `body` ends with `.` on a line.
    pub fn deliver(&mut self, envelope: &str, replies: usize, body: &[u8]) -> io::Result<()> {
        self.wire.send(envelope.as_bytes())?;
        self.replies(replies)?;
        self.wire.send(body)?;
        self.replies(1)
    }

    /// Sends a command and wants a positive reply.
    pub fn ask(&mut self, command: &str) -> io::Result<()> {
        self.wire.send(command.as_bytes())?;
        self.replies(1)
    }

    /// Reads so many positive replies.
    fn replies(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            loop {
                let line = self.wire.line()?;
                if !matches!(line.first(), Some(b'2' | b'3')) {
                    let text = String::from_utf8_lossy(line).into_owned();
                    return Err(io::Error::other(format!("SMTP: {text}")));
                }
                if line.get(3) != Some(&b'-') {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The work of a row.
#[derive(Clone)]
pub struct Work {
    /// Its name in the table.
    pub name: &'static str,
    /// Connections.
    pub connections: usize,
    /// Messages over each.
    pub messages: usize,
    /// Their size.
    pub size: Size,
    /// Recipients of each.
    pub recipients: usize,
}

/// The rows of local delivery. `scale` multiplies the number of messages.
pub fn works(scale: usize) -> Vec<Work> {
    let work = |name, connections, messages, size, recipients| Work {
        name,
        connections,
        messages: messages * scale,
        size,
        recipients,
    };
    vec![
        work("deliver 2 KB, 20 connections", 20, 50, Size::Of(2048), 1),
        work("deliver 2-64 KB mix, 20 connections", 20, 30, Size::Mix, 1),
        work("deliver 1 MB, 8 connections", 8, 10, Size::Of(1 << 20), 1),
        work("deliver 2 KB to 50 recipients, 10 connections", 10, 10, Size::Of(2048), 50),
        work("deliver 2 KB, 1 connection", 1, 300, Size::Of(2048), 1),
    ]
}

/// The rows of local delivery.
pub fn deliver(target: &Target, scale: usize) -> io::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (n, work) in works(scale).iter().enumerate() {
        figures.push(deliver_one(target, work)?);
        if n == 0 {
            let peak = usage::peak(&target.pids) as f64 / 1e6;
            figures.push(Figure::new("memory, peak of all processes until then", peak, "MB"));
        }
    }
    Ok(figures)
}

/// A row of local delivery. Every message that was answered with 250 must be in its mailbox.
pub fn deliver_one(target: &Target, work: &Work) -> io::Result<Figure> {
    let reached = work.recipients.max(work.connections.min(20));
    let mut watch = Watch::new(target, reached)?;
    let before = watch.stored()?;
    let bodies = bodies(work.size);
    let octets = octets(&bodies, work);
    let measured = figure::start(target);
    let began = Instant::now();
    let mut times = each_connection(work.connections, |n, gate| {
        let mut smtp = Smtp::connect(target.at(25), target.tls)?;
        gate.wait();
        let mut envelope = "MAIL FROM:<sender@sender.test>\r\n".to_owned();
        for r in 0..work.recipients {
            envelope.push_str(&format!("RCPT TO:<{}>\r\n", user((n + r) % reached)));
        }
        envelope.push_str("DATA\r\n");
        send(&mut smtp, &envelope, work.recipients + 2, work.messages, &bodies, n)
    })?;
    let spent = measured();
    let (sent, rows) = (times.len(), times.len() * work.recipients);
    wait_for(Duration::from_secs(120), || Ok(watch.stored()? >= before + rows))?;
    let there = began.elapsed().as_secs_f64();
    let now = watch.stored()? - before;
    if now != rows {
        return Err(io::Error::other(format!("{rows} accepted, {now} stored")));
    }
    let (value, unit) = match work.size {
        Size::Of(size) if size >= 1 << 20 => (octets as f64 / spent.seconds / 1e6, "MB/s"),
        _ => (rows as f64 / spent.seconds, "/s"),
    };
    Ok(Figure::new(work.name, value, unit)
        .with_times(&mut times)
        .with_cpu(&spent, sent)
        .with("written_per_octet", spent.usage.written as f64 / octets as f64)
        .with("all_stored_after_s", there))
}

fn octets(bodies: &[Vec<u8>], work: &Work) -> usize {
    let one = |n: usize| {
        let body = |m: usize| bodies.get((n * 7 + m) % bodies.len()).map_or(0, Vec::len);
        (0..work.messages).map(body).sum::<usize>()
    };
    (0..work.connections).map(one).sum()
}

fn bodies(size: Size) -> Vec<Vec<u8>> {
    let count = if matches!(size, Size::Of(n) if n >= 1 << 20) { 4 } else { 64 };
    let mut bodies = message::pool(size, count);
    bodies.iter_mut().for_each(|body| body.extend_from_slice(b".\r\n"));
    bodies
}

/// The time from MAIL to the final 250 of each message.
fn send(
    smtp: &mut Smtp,
    envelope: &str,
    replies: usize,
    messages: usize,
    bodies: &[Vec<u8>],
    n: usize,
) -> io::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(messages);
    for m in 0..messages {
        let Some(body) = bodies.get((n * 7 + m) % bodies.len()) else { continue };
        let began = Instant::now();
        smtp.deliver(envelope, replies, body)?;
        times.push(began.elapsed());
    }
    Ok(times)
}

/// Runs `one` on a thread for each connection; gathers the times.
pub fn each_connection(
    connections: usize,
    one: impl Fn(usize, &Barrier) -> io::Result<Vec<Duration>> + Sync,
) -> io::Result<Vec<Duration>> {
    let gate = Barrier::new(connections);
    std::thread::scope(|scope| {
        let (one, gate) = (&one, &gate);
        let threads: Vec<_> = (0..connections).map(|n| scope.spawn(move || one(n, gate))).collect();
        let mut all = Vec::new();
        for thread in threads {
            let times = thread.join().map_err(|_| io::Error::other("a thread failed"))?;
            all.extend(times?);
        }
        Ok(all)
    })
}

/// Sessions of the first accounts, to count what is in their INBOXes.
struct Watch(Vec<Imap>);

impl Watch {
    fn new(target: &Target, users: usize) -> io::Result<Watch> {
        let sessions: io::Result<_> = (0..users).map(|n| Imap::login(target, &user(n))).collect();
        Ok(Watch(sessions?))
    }

    fn stored(&mut self) -> io::Result<usize> {
        self.0.iter_mut().map(|imap| imap.messages("INBOX")).sum()
    }
}

/// Waits until `done` says so; false when the patience ends before.
pub fn wait_for(
    patience: Duration,
    mut done: impl FnMut() -> io::Result<bool>,
) -> io::Result<bool> {
    let end = Instant::now() + patience;
    while Instant::now() < end {
        if done()? {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(false)
}

/// Submission, relay, and arrival at a sink, timed until the last message is there.
pub fn submit(target: &Target, sink: &Sink, scale: usize) -> io::Result<Vec<Figure>> {
    const CONNECTIONS: usize = 20;
    let messages = 50 * scale;
    let bodies = bodies(Size::Of(2048));
    let before = sink.taken();
    // Passwords are proven before: this is about mail.
    for n in 0..CONNECTIONS {
        Smtp::connect(target.at(587), target.tls)?.authenticate(&user(n))?;
    }
    let measured = figure::start(target);
    let mut times = each_connection(CONNECTIONS, |n, gate| {
        let mut smtp = Smtp::connect(target.at(587), target.tls)?;
        smtp.authenticate(&user(n))?;
        gate.wait();
        let to = format!("RCPT TO:<r{n}@{SINK_DOMAIN}>");
        let envelope = format!("MAIL FROM:<{}>\r\n{to}\r\nDATA\r\n", user(n));
        let own: Vec<Vec<u8>> = bodies.iter().map(|body| message::from(body, &user(n))).collect();
        send(&mut smtp, &envelope, 3, messages, &own, n)
    })?;
    let sent = times.len();
    let all = wait_for(Duration::from_secs(180), || Ok(sink.taken() >= before + sent))?;
    let spent = measured();
    if !all {
        let there = sink.taken() - before;
        return Err(io::Error::other(format!("{sent} accepted, {there} relayed")));
    }
    let rate = sent as f64 / spent.seconds;
    let row = Figure::new("submit, relay, arrive: 2 KB, 20 connections", rate, "/s");
    let duplicates = (sink.taken() - before - sent) as f64;
    Ok(vec![row.with_times(&mut times).with_cpu(&spent, sent).with("duplicates", duplicates)])
}
