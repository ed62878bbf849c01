//! A panic in a handler ends that one session, and the client is told so in its protocol's words.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use protocol::machine::{Machine, Security};
use protocol::sasl::Offered;
use protocol::{imap, pop3, smtp};
use server::drive::{Ending, Handler, Output, drive};
use sys::tls::TlsFacts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

/// A handler with a bug in it.
struct Broken;

impl<M: Machine> Handler<M> for Broken {
    async fn answer(&mut self, _: M::Question, out: &mut Output<'_>) -> M::Answer {
        out.buffer().extend_from_slice(b"half of an ans");
        tokio::task::yield_now().await;
        panic!("a bug")
    }
    async fn body(&mut self, _: Vec<u8>) {
        panic!("a bug")
    }
    fn tls_started(&mut self, _: TlsFacts) {}
}

async fn said_after(mut machine: impl Machine, octets: &[u8]) -> String {
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let (_down, shutdown) = watch::channel(false);
    client.write_all(octets).await.unwrap();
    let ending =
        drive(Box::new(server), &mut machine, &mut Broken, None, shutdown, &|| false).await;
    assert_eq!(ending, Ending::Failed);
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    said
}

#[tokio::test]
async fn a_panic_ends_one_session_and_is_told() {
    let offer = smtp::server::Offer {
        hostname: "mail.example.org".to_owned(),
        size_max: 1000,
        recipients_max: 10,
        tls_required: false,
        starttls: false,
        login: false,
        plaintext_auth: false,
        sasl: Offered::default(),
        lmtp: false,
        future_release: None,
        xclient: false,
        strict: false,
    };
    let machine = smtp::server::Session::new(offer, Security::Clear);
    let said = said_after(machine, b"NOOP\r\nVRFY x\r\nNOOP\r\n").await;
    let end = "421 4.3.0 Something went wrong here, come back later\r\n";
    assert_eq!(said, format!("220 mail.example.org ESMTP Postrider\r\n250 2.0.0 OK\r\n{end}"));

    let offer = pop3::Offer {
        stls: false,
        plaintext_auth: true,
        login_delay_secs: 0,
        sasl: Offered::default(),
    };
    let said =
        said_after(pop3::Session::new(offer, Security::Clear), b"USER a\r\nPASS b\r\nNOOP\r\n")
            .await;
    assert!(said.ends_with("-ERR [SYS/TEMP] Something went wrong here\r\n"), "{said}");

    let offer = imap::session::Offer {
        starttls: false,
        plaintext_auth: true,
        sasl: Offered::default(),
        message_octets_max: 1000,
        hidden: Vec::new(),
        options: Default::default(),
    };
    let machine = imap::session::Session::new(offer, Security::Clear);
    let said = said_after(machine, b"a LOGIN x y\r\nb NOOP\r\n").await;
    assert!(said.lines().last().unwrap().starts_with("* BYE "), "{said}");
    assert!(!said.contains("half of an ans"));
}
