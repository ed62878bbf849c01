//! Durable delivery over SMTP: how many messages a second a server takes. Drives any server:
//! `cargo run --release -p bench -- ADDRESS:PORT RECIPIENT CONNECTIONS MESSAGES OCTETS`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [server, recipient, connections, messages, octets] = args.as_slice() else {
        eprintln!("usage: bench ADDRESS:PORT RECIPIENT CONNECTIONS MESSAGES-EACH OCTETS");
        return ExitCode::from(64);
    };
    let numbers =
        (connections.parse::<usize>(), messages.parse::<usize>(), octets.parse::<usize>());
    let (Ok(connections), Ok(messages), Ok(octets)) = numbers else {
        eprintln!("the last three arguments are numbers");
        return ExitCode::from(64);
    };
    let start = Instant::now();
    let times = std::thread::scope(|scope| {
        let one = || deliver(server, recipient, messages, octets);
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
    });
    let took = start.elapsed().as_secs_f64();
    let mut all = Vec::new();
    for result in times {
        match result {
            Ok(Ok(times)) => all.extend(times),
            Ok(Err(error)) => {
                eprintln!("{error}");
                return ExitCode::from(69);
            }
            Err(_) => return ExitCode::from(70),
        }
    }
    all.sort_unstable();
    let at = |percent: usize| {
        let place = (all.len() * percent / 100).min(all.len().saturating_sub(1));
        all.get(place).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    println!(
        "{} messages in {took:.2} s: {:.0}/s, {:.1} MB/s, p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms",
        all.len(),
        all.len() as f64 / took,
        (all.len() * octets) as f64 / took / 1e6,
        at(50),
        at(95),
        at(99)
    );
    ExitCode::SUCCESS
}

/// Delivers over one connection; the time from MAIL to the final 250 of each message.
fn deliver(
    server: &str,
    recipient: &str,
    messages: usize,
    octets: usize,
) -> std::io::Result<Vec<Duration>> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    let mut peer = BufReader::new(stream);
    expect(&mut peer, 1)?;
    peer.get_mut().write_all(b"EHLO bench.invalid\r\n")?;
    expect(&mut peer, 1)?;
    let line = format!("{}\r\n", "x".repeat(76));
    let body = line.repeat(octets / line.len() + 1);
    let body = format!("Subject: bench\r\n\r\n{body}.\r\n");
    let envelope = format!("MAIL FROM:<bench@sender.invalid>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n");
    let mut times = Vec::with_capacity(messages);
    for _ in 0..messages {
        let start = Instant::now();
        peer.get_mut().write_all(envelope.as_bytes())?;
        expect(&mut peer, 3)?;
        peer.get_mut().write_all(body.as_bytes())?;
        expect(&mut peer, 1)?;
        times.push(start.elapsed());
    }
    peer.get_mut().write_all(b"QUIT\r\n")?;
    Ok(times)
}

/// Reads so many positive replies.
fn expect(peer: &mut BufReader<TcpStream>, replies: usize) -> std::io::Result<()> {
    for _ in 0..replies {
        loop {
            let mut line = String::new();
            peer.read_line(&mut line)?;
            if !line.starts_with(['2', '3']) {
                return Err(std::io::Error::other(format!("unexpected: {line}")));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
    }
    Ok(())
}
