//! REQUIRETLS over connections that other messages have left, to servers that an operator named
//! (RFC 8689 §4.2.1; security.md SM-5): what was good enough for them need not be for it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::client::Client;
use sim::house::Plan;
use sim::neighbour::{PROVEN, UNPROVEN, line, say};
use sim::town::{Town, in_town};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use sys::net::{BoxStream, Listener};
use sys::tls::{Speaks, TlsServer};

/// A mail server, and what it was told: `open`, `tls`, MAIL with its parameters, `QUIT`.
#[derive(Clone)]
struct Server {
    tls: Arc<TlsServer>,
    offers_tls: bool,
    offers_requiretls: bool,
    told: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Opens it at the end of a fixed route.
    async fn open(town: &Town, name: &str, offers_tls: bool, offers_requiretls: bool) -> Server {
        let house = &town.house;
        house.world.dns.add_address(name, "192.0.2.10".parse().unwrap());
        let domain = mail::Domain::parse("example.net").unwrap();
        house.shared.store.route_add(domain, format!("{name}:25")).await.unwrap();
        let listener = house.world.net.open("192.0.2.10:25".parse().unwrap());
        let (tls, told) = (house.tls.clone(), Arc::default());
        let server = Server { tls, offers_tls, offers_requiretls, told };
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, ..)) = listener.accept().await {
                tokio::spawn(own.clone().take(stream));
            }
        });
        server
    }

    fn note(&self, what: &str) {
        self.told.lock().unwrap().push(what.to_owned());
    }

    async fn take(self, mut stream: BoxStream) -> Option<()> {
        self.note("open");
        let mut secured = false;
        say(&mut stream, "220 x").await?;
        loop {
            let line = line(&mut stream).await?;
            match line.split([' ', ':']).next()? {
                "EHLO" if secured && self.offers_requiretls => {
                    say(&mut stream, "250-x\r\n250 REQUIRETLS").await?;
                }
                "EHLO" if self.offers_tls && !secured => {
                    say(&mut stream, "250-x\r\n250 STARTTLS").await?;
                }
                "STARTTLS" => {
                    say(&mut stream, "220 go").await?;
                    stream = self.tls.port(Speaks::Mail).accept(stream).await.ok()?.0;
                    secured = true;
                    self.note("tls");
                }
                "DATA" => {
                    say(&mut stream, "354 go").await?;
                    while sim::neighbour::line(&mut stream).await? != "." {}
                    say(&mut stream, "250 ok").await?;
                }
                word => {
                    if matches!(word, "MAIL" | "QUIT") {
                        self.note(&line);
                    }
                    say(&mut stream, "250 ok").await?;
                }
            }
        }
    }

    /// What it was told since this was asked last.
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

/// Alice sends a message, and it is tried at once: no connection is idle for long enough to end.
async fn send(town: &Town, parameters: &str) {
    let mut client = Client::connect(&town.house, Service::Submissions, [203, 0, 113, 9]).await;
    client.reply().await;
    client.ask("EHLO client.example").await;
    assert!(client.ask("AUTH PLAIN AGFsaWNlAHNlY3JldA==").await.starts_with("235"));
    for (line, reply) in [
        (format!("MAIL FROM:<alice@example.org>{parameters}"), "250"),
        ("RCPT TO:<bob@example.net>".to_owned(), "250"),
        ("DATA".to_owned(), "354"),
        ("Subject: x\r\n\r\n.".to_owned(), "250"),
    ] {
        let said = client.ask(&line).await;
        assert!(said.starts_with(reply), "{line}: {said}");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
}

const PLAIN: &str = "MAIL FROM:<alice@example.org>";
const REQUIRED: &str = "MAIL FROM:<alice@example.org> REQUIRETLS";

#[test]
fn sm_5_requiretls_does_not_go_over_a_connection_that_was_good_for_others() {
    for (name, offers_tls, offers_requiretls) in
        [(UNPROVEN, true, true), (PROVEN, true, false), (PROVEN, false, false)]
    {
        in_town(1, Plan::default(), async |town| {
            let server = Server::open(town, name, offers_tls, offers_requiretls).await;
            send(town, "").await;
            let first = if offers_tls { vec!["open", "tls", PLAIN] } else { vec!["open", PLAIN] };
            assert_eq!(server.told(), first);
            // The connection is there.
            send(town, "").await;
            assert_eq!(server.told(), [PLAIN]);
            send(town, " REQUIRETLS").await;
            let told = server.told();
            assert_eq!(told.first().map(String::as_str), Some("QUIT"), "{name}: {told:?}");
            assert!(!told.iter().any(|line| line.starts_with("MAIL")), "{name}: {told:?}");
            // It came back, and says why.
            let mailbox = town.mailbox().await;
            let [report] = mailbox.as_slice() else { panic!("{mailbox:?}") };
            assert!(report.contains("REQUIRETLS") && report.contains("Status: 5.7."), "{report}");
            // Others go on.
            send(town, "").await;
            assert_eq!(server.told().last().map(String::as_str), Some(PLAIN));
        });
    }
}

#[test]
fn sm_5_requiretls_goes_where_the_server_is_proven_and_leaves_a_connection_for_all() {
    in_town(2, Plan::default(), async |town| {
        let server = Server::open(town, PROVEN, true, true).await;
        send(town, "").await;
        assert_eq!(server.told(), ["open", "tls", PLAIN]);
        // Whom the first connection is to was not asked.
        send(town, " REQUIRETLS").await;
        assert_eq!(server.told(), ["QUIT", "open", "tls", REQUIRED]);
        send(town, "").await;
        send(town, " REQUIRETLS").await;
        assert_eq!(server.told(), [PLAIN, REQUIRED]);
        assert!(town.mailbox().await.is_empty());
    });
}
