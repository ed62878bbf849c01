//! Messages that can be read in part only: what was sent of one never looks like the whole.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::client::{Client, stand_still};
use sim::house::{House, Plan};
use sim::world::{SimListener, SimWorld};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

const HERE: [u8; 4] = [198, 51, 100, 8];

/// A house where alice has a message of a megabyte, nearly.
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
    house
}

/// A session where alice's INBOX is selected.
async fn selected(house: &House) -> Client {
    let mut client = Client::connect(house, Service::Imap, HERE).await;
    client.line().await;
    client.send(b"a LOGIN alice secret\r\nb SELECT INBOX\r\n").await;
    while !client.line().await.starts_with("b OK") {}
    client
}

/// What a command is answered with at last.
async fn end(client: &mut Client, command: &str) -> String {
    client.send(format!("c {command}\r\n").as_bytes()).await;
    loop {
        let line = client.line().await;
        if line.starts_with("c ") {
            return line;
        }
    }
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
    house.world.disk.lose_behind(800_000);
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
    house.world.disk.lose_behind(800_000);
    let mut client = selected(&house).await;
    client.send(b"c FETCH 1 BODY.PEEK[]\r\nd NOOP\r\n").await;
    let all = rest(&mut client).await;
    assert!(!all.contains("\nd OK"), "{}", &all[all.len() - 99..]);
}

/// The octet at 900,000 is in the last piece of the message.
const AT: u64 = 900_000;

#[tokio::test(start_paused = true)]
async fn imap_hangs_up_before_the_end_of_what_is_not_as_it_was_stored() {
    let _still = stand_still();
    let house = house().await;
    house.world.disk.flip(AT);
    let mut client = selected(&house).await;
    client.send(b"c FETCH 1 BODY.PEEK[]\r\nd NOOP\r\n").await;
    let all = rest(&mut client).await;
    assert!(all.len() > 500_000 && all.len() < 1_080_000, "{}", all.len());
    assert!(!all.contains("\nd OK"), "{}", &all[all.len() - 99..]);
    assert_eq!(house.shared.store.damaged().len(), 1);
    // It is known now, and refused at once.
    let mut client = selected(&house).await;
    let refused = "c NO [CORRUPTION] Some messages are damaged and cannot be read";
    assert_eq!(end(&mut client, "FETCH 1 BODY.PEEK[]").await, refused);
    assert_eq!(end(&mut client, "FETCH 1 BODY.PEEK[TEXT]<5.10>").await, refused);
    // Its header alone is given: it is in its first 256 KB, which are not compared by themselves.
    assert_eq!(end(&mut client, "FETCH 1 BODY.PEEK[HEADER]").await, "c OK FETCH completed");
    // The disk reads it right again.
    house.world.disk.flip(0);
    assert_eq!(end(&mut client, "FETCH 1 BODY.PEEK[]").await, "c OK FETCH completed");
    assert_eq!(house.shared.store.damaged(), []);
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_large_message_is_given_only_if_all_of_it_is_as_it_was_stored() {
    let _still = stand_still();
    for command in [
        "FETCH 1 BODY.PEEK[]<5.10>",
        "FETCH 1 BODY.PEEK[1]<5.10>",
        "FETCH 1 BINARY.PEEK[1]",
        "FETCH 1 BINARY.SIZE[1]",
    ] {
        let house = house().await;
        let mut client = selected(&house).await;
        house.world.disk.flip(AT);
        let done = end(&mut client, command).await;
        assert!(done.starts_with("c NO [CORRUPTION]"), "{command}: {done}");
        assert_eq!(house.shared.store.damaged().len(), 1);
        house.world.disk.flip(0);
        assert_eq!(end(&mut client, command).await, "c OK FETCH completed");
    }
}

#[tokio::test(start_paused = true)]
async fn pop3_does_not_end_what_is_not_as_it_was_stored() {
    let _still = stand_still();
    let house = house().await;
    house.world.disk.flip(AT);
    let mut client = Client::connect(&house, Service::Pop3, HERE).await;
    client.reply().await;
    client.ask("USER alice").await;
    client.ask("PASS secret").await;
    // What is shown in part was compared before.
    let reply = client.ask("TOP 1 3").await;
    assert!(reply.starts_with("-ERR [SYS/PERM]"), "{reply}");
    house.world.disk.flip(0);
    assert!(client.ask("TOP 1 0").await.starts_with("+OK"));
    while client.line().await != "." {}
    house.world.disk.flip(AT);
    client.send(b"RETR 1\r\nDELE 1\r\nQUIT\r\n").await;
    let all = rest(&mut client).await;
    assert!(all.starts_with("+OK ") && all.len() > 500_000, "{}", all.len());
    assert!(!all.contains("\r\n.\r\n") && !all[3..].contains("+OK"), "{}", &all[all.len() - 99..]);
}

/// RFC 5321 §4.1.1.4: without the dot nothing is accepted.
#[tokio::test(start_paused = true)]
async fn the_relay_does_not_end_what_is_not_as_it_was_stored() {
    let _still = stand_still();
    let house = House::build(Plan::default(), SimWorld::new(9)).await;
    house.add_account("alice").await;
    let store = &house.shared.store;
    let domain = mail::Domain::parse("example.net").unwrap();
    store.route_add(domain, "192.0.2.9:25".to_owned()).await.unwrap();
    let target = sim::house::address("bob@example.net");
    let row = store::AliasRow { address: sim::house::address("out"), targets: vec![target] };
    store.alias_add(row).await.unwrap();
    house.world.disk.flip(AT);
    let listener = house.world.net.open("192.0.2.9:25".parse().unwrap());
    let taken = tokio::spawn(takes_to_the_end(listener));
    let mut smtp = Client::connect(&house, Service::Smtp, HERE).await;
    smtp.reply().await;
    smtp.ask("EHLO x").await;
    smtp.ask("MAIL FROM:<carol@example.com>").await;
    smtp.ask("RCPT TO:<out@example.org>").await;
    smtp.ask("DATA").await;
    let text = "Subject: long\r\n\r\n".to_owned() + &"0123456789abcdef\r\n".repeat(60_000) + ".";
    assert!(smtp.ask(&text).await.starts_with("250"));
    let all = taken.await.unwrap();
    assert!(all.len() > 500_000 && !all.ends_with("\r\n.\r\n"), "{}", all.len());
    house.quiesce().await;
    let row = store.queue_list(&Default::default()).unwrap().pop().unwrap();
    assert_eq!(row.recipients.len(), 1, "it waits for the next attempt");
    assert_eq!(store.damaged().len(), 1);
}

/// A server that takes what comes until the client hangs up.
async fn takes_to_the_end(listener: SimListener) -> String {
    let (end, _) = listener.next().await.unwrap();
    let mut stream = BufReader::new(end);
    stream.write_all(b"220 x\r\n").await.unwrap();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let go: &[u8] = if line == "DATA\r\n" { b"354 go\r\n" } else { b"250 ok\r\n" };
        stream.write_all(go).await.unwrap();
        if line == "DATA\r\n" {
            let mut all = String::new();
            stream.read_to_string(&mut all).await.unwrap();
            return all;
        }
    }
}
