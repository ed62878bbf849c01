//! Memory that messages take while they come in.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan};
use sim::world::SimWorld;

#[tokio::test]
async fn a_message_in_its_file_takes_little_memory_and_none_once_it_is_set_aside() {
    let house = House::build(Plan::default(), SimWorld::new(7)).await;
    let mut spool = house.shared.store.spool();
    let line = [[b'x'; 78].as_slice(), b"\r\n"].concat();
    for _ in 0..20_000 {
        spool.write(&line).unwrap();
    }
    assert!(spool.in_memory() <= 768 << 10, "{} octets", spool.in_memory());
    spool.set_aside().unwrap();
    assert_eq!((spool.in_memory(), spool.len()), (0, 1_600_000));
    let kept = spool.read(0..1_600_000).unwrap();
    assert!(kept.chunks(80).all(|one| one == line.as_slice()));
    let mut small = house.shared.store.spool();
    small.write(b"one").unwrap();
    small.set_aside().unwrap();
    small.write(b" two").unwrap();
    assert_eq!(small.read(0..7).unwrap(), b"one two");
}

/// RFC 3502: 500 messages in one command are not 500 MB of memory.
#[tokio::test]
async fn messages_of_one_append_are_set_aside_and_arrive_whole() {
    let house = House::build(Plan::default(), SimWorld::new(8)).await;
    house.add_account("alice").await;
    let mut client = Client::connect(&house, Service::Imap, [192, 0, 2, 1]).await;
    client.reply().await;
    assert!(client.ask("a LOGIN alice secret").await.starts_with("a OK"));
    let body = format!("Subject: x\r\n\r\n{}", format!("{}\r\n", "y".repeat(78)).repeat(12_000));
    let mut said = String::from("b APPEND INBOX");
    for _ in 0..15 {
        said.push_str(&format!(" {{{}+}}\r\n{body}", body.len()));
    }
    assert!(client.ask(&said).await.starts_with("b OK [APPENDUID "));
    assert!(client.ask("c SELECT INBOX").await.starts_with("* "));
    let size = format!("RFC822.SIZE {}", body.len());
    let mut found = 0;
    client.send(b"d FETCH 1:* (RFC822.SIZE)\r\n").await;
    while let Some(line) = Some(client.line().await).filter(|line| !line.is_empty()) {
        found += usize::from(line.contains(&size));
        if line.starts_with("d OK") {
            break;
        }
    }
    assert_eq!(found, 15);
}
