//! A client for tests that a transcript cannot tell: it computes what it says.

use crate::house::House;
use server::listen::Service;
use std::net::SocketAddr;
use sys::net::BoxStream;
use sys::tls::{TlsClient, TlsFacts, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// While it is there, time stands still but for [`House::advance`].
pub type Still = std::sync::mpsc::Sender<()>;

/// Lets time stand still: paused time runs when tokio has nothing to do, and it does not see the
/// store's own thread, so that sessions time out while that works. A test that takes longer than a
/// minute goes on without it.
#[allow(clippy::disallowed_methods, reason = "it is tokio's own threads that hold its time")]
pub fn stand_still() -> Still {
    let (still, held) = std::sync::mpsc::channel();
    tokio::task::spawn_blocking(move || held.recv_timeout(std::time::Duration::from_secs(60)));
    still
}

/// A connection to a house.
pub struct Client {
    stream: BoxStream,
    buffer: Vec<u8>,
    /// TLS, once it is up.
    pub tls: Option<TlsFacts>,
}

impl Client {
    /// Connects from `from`, under TLS where the service wants it.
    pub async fn connect(house: &House, service: Service, from: [u8; 4]) -> Client {
        let mut client = Client::dial(house, service, from);
        if service.implicit_tls() {
            client = client.start_tls().await;
        }
        client
    }

    /// Goes on over what a test has made of the connection.
    pub async fn through<T, F>(self, change: impl FnOnce(BoxStream) -> F) -> Client
    where
        T: sys::net::Stream + 'static,
        F: Future<Output = T>,
    {
        let stream = Box::new(change(self.stream).await);
        Client { stream, buffer: Vec::new(), tls: None }
    }

    /// Connects from `from`, and says nothing.
    pub fn dial(house: &House, service: Service, from: [u8; 4]) -> Client {
        let stream = Box::new(house.connect(service, SocketAddr::from((from, 40_000))));
        Client { stream, buffer: Vec::new(), tls: None }
    }

    /// Shakes hands.
    pub async fn start_tls(self) -> Client {
        let tls = TlsClient::new(&Trust::Anybody).unwrap();
        let (stream, facts) = tls.connect("mail.example.org", self.stream).await.unwrap();
        Client { stream, buffer: Vec::new(), tls: Some(facts) }
    }

    /// The next line; empty when the server has hung up.
    pub async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return String::from_utf8_lossy(&line).trim_end_matches("\r\n").to_owned();
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece).await {
                Ok(0) | Err(_) => return String::new(),
                Ok(n) => self.buffer.extend_from_slice(&piece[..n]),
            }
        }
    }

    /// The next so many octets; fewer when the server has hung up.
    pub async fn octets(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(n) => self.buffer.extend_from_slice(&piece[..n]),
            }
        }
        self.buffer.drain(..count.min(self.buffer.len())).collect()
    }

    /// Sends octets; a server that has hung up is noticed when its answer is read.
    pub async fn send(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets).await;
        let _ = self.stream.flush().await;
    }

    /// Sends a line, and reads a reply: of SMTP to its last line, else one line.
    pub async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }

    /// A reply: of SMTP its last line, else one line.
    pub async fn reply(&mut self) -> String {
        loop {
            let line = self.line().await;
            let code = line.get(..3).is_some_and(|c| c.bytes().all(|b| b.is_ascii_digit()));
            if !(code && line.get(3..4) == Some("-")) {
                return line;
            }
        }
    }

    /// The messages in an account's INBOX, with lines as the server sends them, by POP3.
    pub async fn maildrop(house: &House, name: &str, from: [u8; 4]) -> Vec<String> {
        let mut client = Client::connect(house, Service::Pop3, from).await;
        client.reply().await;
        client.ask(&format!("USER {name}")).await;
        let there = client.ask("PASS secret").await;
        let count: usize = there.split(' ').nth(1).unwrap().parse().unwrap();
        let mut messages = Vec::new();
        for n in 1..=count {
            assert!(client.ask(&format!("RETR {n}")).await.starts_with("+OK"));
            let mut message = String::new();
            loop {
                let line = client.line().await;
                if line == "." {
                    break;
                }
                message.extend([line.strip_prefix('.').unwrap_or(&line), "\r\n"]);
            }
            messages.push(message);
        }
        messages
    }
}
