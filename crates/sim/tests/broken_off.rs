//! Messages that can be read in part only: what was sent of one never looks like the whole.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::client::{Client, stand_still};
use sim::house::{House, Plan};
use sim::world::SimWorld;

const HERE: [u8; 4] = [198, 51, 100, 8];

/// A house where alice has a message of a megabyte whose end cannot be read.
async fn house() -> House {
    let house = House::build(Plan::default(), SimWorld::new(9)).await;
    house.add_account("alice").await;
    let mut smtp = Client::connect(&house, Service::Smtp, HERE).await;
    smtp.reply().await;
    smtp.ask("EHLO x").await;
    smtp.ask("MAIL FROM:<>").await;
    smtp.ask("RCPT TO:<alice@example.org>").await;
    smtp.ask("DATA").await;
    let text = "Subject: long\r\n\r\n".to_owned() + &"0123456789abcdef\r\n".repeat(60_000) + ".";
    assert!(smtp.ask(&text).await.starts_with("250"));
    house.world.disk.lose_behind(800_000);
    house
}

/// Reads to the end of the connection.
async fn rest(client: &mut Client) -> String {
    String::from_utf8(client.octets(usize::MAX).await).unwrap()
}

/// RFC 1939 §6: nothing is deleted without QUIT, and this one never comes to it.
#[tokio::test(start_paused = true)]
async fn pop3_hangs_up_in_the_middle_of_a_message() {
    let _still = stand_still();
    let house = house().await;
    let mut client = Client::connect(&house, Service::Pop3, HERE).await;
    client.reply().await;
    client.ask("USER alice").await;
    client.ask("PASS secret").await;
    client.send(b"RETR 1\r\nDELE 1\r\nQUIT\r\n").await;
    let all = rest(&mut client).await;
    assert!(all.starts_with("+OK ") && all.len() > 200_000, "{}", all.len());
    assert!(!all.contains("\r\n.\r\n") && !all[3..].contains("+OK"), "{}", &all[all.len() - 99..]);
    house.world.disk.lose_behind(0);
    let mut client = Client::connect(&house, Service::Pop3, HERE).await;
    client.reply().await;
    client.ask("USER alice").await;
    assert!(client.ask("PASS secret").await.starts_with("+OK 1 "), "it is there still");
    house.world.disk.lose_behind(1);
    let reply = client.ask("RETR 1").await;
    assert!(reply.starts_with("-ERR [SYS/PERM]"), "{reply}");
}

/// RFC 9051 §4.3: a literal has as many octets as were announced, or the connection ends.
#[tokio::test(start_paused = true)]
async fn imap_hangs_up_in_the_middle_of_a_literal() {
    let _still = stand_still();
    let house = house().await;
    let mut client = Client::connect(&house, Service::Imap, HERE).await;
    client.line().await;
    client.send(b"a LOGIN alice secret\r\nb SELECT INBOX\r\n").await;
    while !client.line().await.starts_with("b OK") {}
    client.send(b"c FETCH 1 BODY.PEEK[]\r\nd NOOP\r\n").await;
    let all = rest(&mut client).await;
    assert!(!all.contains("\nd OK"), "{}", &all[all.len() - 99..]);
}
