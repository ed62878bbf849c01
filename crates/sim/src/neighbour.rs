//! example.net: a domain of somebody else, with a mail server and a web server, and alice who
//! writes to bob there.

use crate::client::Client;
use crate::house::{House, Plan};
use crate::world::SimWorld;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use server::listen::Service;
use std::sync::{Arc, Mutex};
use store::{QueueFilter, QueueRow};
use sys::net::{BoxStream, Listener};
use sys::tls::{Speaks, TlsServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Everybody's certificate is for these, `mta-sts.example.net` and the house.
pub const PROVEN: &str = "mx.example.net";
/// Not for this.
pub const UNPROVEN: &str = "self.example.net";
pub const MX: &str = "192.0.2.10";
const WEB: &str = "192.0.2.80";

/// What a mail server offers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Offers {
    Proven,
    SelfSigned,
    NoTls,
}

/// A message that came to the mail server: under TLS or not, and what MAIL said.
pub type Came = (bool, String);

/// The mail server and the web server of example.net.
#[derive(Clone)]
pub struct Neighbour {
    tls: Arc<TlsServer>,
    offers_tls: bool,
    came: Arc<Mutex<Vec<Came>>>,
    /// Names that clients asked for a certificate of.
    pub names: Arc<Mutex<Vec<String>>>,
    /// Connections to the mail server.
    pub connections: Arc<Mutex<usize>>,
    /// What the web server answers.
    pub answer: Arc<Mutex<String>>,
    /// Questions to the web server.
    pub asked: Arc<Mutex<usize>>,
}

impl Neighbour {
    /// Opens the servers; the web server tells of `answer`, and is down without one.
    pub fn open(house: &House, offers: Offers, answer: Option<String>) -> Neighbour {
        let town = Neighbour {
            tls: house.tls.clone(),
            offers_tls: offers != Offers::NoTls,
            came: Arc::default(),
            names: Arc::default(),
            connections: Arc::default(),
            answer: Arc::new(Mutex::new(answer.clone().unwrap_or_default())),
            asked: Arc::default(),
        };
        let name = if offers == Offers::SelfSigned { UNPROVEN } else { PROVEN };
        let dns = &house.world.dns;
        dns.add_mx("example.net", 10, name);
        dns.add_address(name, MX.parse().unwrap());
        dns.add_address("mta-sts.example.net", WEB.parse().unwrap());
        let mx = house.world.net.open(format!("{MX}:25").parse().unwrap());
        let own = town.clone();
        tokio::spawn(async move {
            while let Ok((stream, ..)) = mx.accept().await {
                *own.connections.lock().unwrap() += 1;
                tokio::spawn(own.clone().take(stream));
            }
        });
        if answer.is_some() {
            let web = house.world.net.open(format!("{WEB}:443").parse().unwrap());
            let own = town.clone();
            tokio::spawn(async move {
                while let Ok((stream, ..)) = web.accept().await {
                    tokio::spawn(own.clone().tell(stream));
                }
            });
        }
        town
    }

    async fn tell(self, stream: BoxStream) {
        *self.asked.lock().unwrap() += 1;
        let Ok((mut stream, facts)) = self.tls.port(Speaks::Mail).accept(stream).await else {
            return;
        };
        assert_eq!(facts.sni.as_deref(), Some("mta-sts.example.net"));
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            request.push(char::from(stream.read_u8().await.unwrap()));
        }
        assert!(request.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"), "{request}");
        let answer = self.answer.lock().unwrap().clone();
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }

    async fn take(self, mut stream: BoxStream) -> Option<()> {
        let (mut secured, mut mail) = (false, String::new());
        say(&mut stream, "220 x").await?;
        loop {
            let line = line(&mut stream).await?;
            match line.split([' ', ':']).next()? {
                "EHLO" if secured => say(&mut stream, "250-x\r\n250 REQUIRETLS").await?,
                "EHLO" if self.offers_tls => say(&mut stream, "250-x\r\n250 STARTTLS").await?,
                "STARTTLS" => {
                    say(&mut stream, "220 go").await?;
                    let (secure, facts) = self.tls.port(Speaks::Mail).accept(stream).await.ok()?;
                    self.names.lock().unwrap().extend(facts.sni);
                    stream = secure;
                    secured = true;
                }
                "MAIL" => {
                    mail = line;
                    say(&mut stream, "250 ok").await?;
                }
                "DATA" => {
                    say(&mut stream, "354 go").await?;
                    while self::line(&mut stream).await? != "." {}
                    self.came.lock().unwrap().push((secured, mail.clone()));
                    say(&mut stream, "250 ok").await?;
                }
                _ => say(&mut stream, "250 ok").await?,
            }
        }
    }

    /// Who came since this was asked last.
    pub fn came(&self) -> Vec<Came> {
        std::mem::take(&mut self.came.lock().unwrap())
    }
}

/// Says a line to a client. `None` when it is gone, as with [`line`].
pub async fn say(stream: &mut BoxStream, text: &str) -> Option<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

/// The next line that a client says, without its end.
pub async fn line(stream: &mut BoxStream) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(line).unwrap().trim_end().to_owned())
}

/// An answer of the web server.
pub fn answer(policy: &str) -> String {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ";
    format!("{head}{}\r\n\r\n{policy}", policy.len())
}

pub fn policy(mode: &str, mx: &str, max_age: u32) -> String {
    format!("version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: {max_age}\r\n")
}

pub fn publish(house: &House, id: &str) {
    let name = "_mta-sts.example.net";
    house.world.dns.clear_texts(name);
    house.world.dns.add_text(name, format!("v=STSv1; id={id}").as_bytes());
}

pub async fn house(plan: Plan) -> House {
    let house = House::build(plan, SimWorld::new(5)).await;
    house.add_account("alice").await;
    house
}

/// Alice sends a message; what is left of it in the queue when it was tried.
pub async fn send(house: &House, parameters: &str, header: &str) -> Option<QueueRow> {
    let queued = || house.shared.store.queue_list(&QueueFilter::default()).unwrap();
    let before: Vec<_> = queued().iter().map(|row| row.message).collect();
    let mut client = Client::connect(house, Service::Submissions, [192, 0, 2, 1]).await;
    client.reply().await;
    client.ask("EHLO client.example").await;
    let login = STANDARD.encode("\0alice@example.org\0secret");
    for (line, reply) in [
        (format!("AUTH PLAIN {login}"), "235"),
        (format!("MAIL FROM:<alice@example.org>{parameters}"), "250"),
        ("RCPT TO:<bob@example.net>".to_owned(), "250"),
        ("DATA".to_owned(), "354"),
        (format!("{header}Subject: x\r\n\r\n."), "250"),
    ] {
        let said = client.ask(&line).await;
        assert!(said.starts_with(reply), "{line}: {said}");
    }
    for _ in 0..1000 {
        house.quiesce().await;
        match queued().into_iter().find(|row| !before.contains(&row.message)) {
            Some(row) if row.recipients[0].attempts == 0 => {}
            left => return left,
        }
    }
    panic!("nothing becomes of the message");
}

pub fn reply(row: Option<&QueueRow>) -> &str {
    row.and_then(|row| row.recipients[0].last_reply.as_deref()).unwrap_or_default()
}
