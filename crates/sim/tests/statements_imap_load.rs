//! Statements of users.md §5.1 that a transcript cannot tell: what is counted or measured, and many
//! clients at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mail::header;
use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan, numbered_message};
use sim::world::SimWorld;
use std::time::Duration;

const ADDRESS: [u8; 4] = [192, 0, 2, 1];

async fn house(accounts: &[&str]) -> House {
    let house = House::build(Plan::default(), SimWorld::new(85)).await;
    for name in accounts {
        house.add_account(name).await;
    }
    house
}

/// Logs in, and selects.
async fn selected(house: &House, name: &str) -> Client {
    let mut client = Client::connect(house, Service::Imap, ADDRESS).await;
    assert!(client.line().await.starts_with("* OK"));
    assert!(client.ask(&format!("l LOGIN {name} secret")).await.starts_with("l OK"));
    client.send(b"s SELECT INBOX\r\n").await;
    until(&mut client, "s OK").await;
    client
}

/// The lines up to one that begins so, without it.
async fn until(client: &mut Client, start: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let line = client.line().await;
        assert!(!line.is_empty() || !lines.contains(&line), "{start} was not said: {lines:?}");
        if line.starts_with(start) {
            return lines;
        }
        lines.push(line);
    }
}

async fn append(client: &mut Client, text: &str) {
    client.send(format!("a APPEND INBOX {{{}+}}\r\n{text}\r\n", text.len()).as_bytes()).await;
    until(client, "a OK").await;
}

#[tokio::test]
async fn i_76_no_line_that_we_add_is_long() {
    let house = house(&["alice"]).await;
    let label = "x".repeat(63);
    let domain = [label.as_str(); 3].join(".") + ".example.net";
    let sender = format!("{}@{domain}", "f".repeat(64));
    let mut client = Client::connect(&house, Service::Smtp, ADDRESS).await;
    client.line().await;
    assert!(client.ask(&format!("EHLO {domain}")).await.starts_with("250"));
    assert!(client.ask(&format!("MAIL FROM:<{sender}>")).await.starts_with("250"));
    assert!(client.ask("RCPT TO:<alice@example.org>").await.starts_with("250"));
    assert!(client.ask("DATA").await.starts_with("354"));
    client.send(b"Subject: theirs\r\n\r\nx\r\n.\r\n").await;
    assert!(client.reply().await.starts_with("250"));
    let mut reader = selected(&house, "alice").await;
    reader.send(b"f FETCH 1 BODY.PEEK[HEADER]\r\n").await;
    let told = until(&mut reader, "f OK").await;
    let text = told.get(1..).unwrap().join("\r\n");
    let fields: Vec<_> = header::fields(text.as_bytes()).collect();
    let names: Vec<_> = fields.iter().map(|f| String::from_utf8_lossy(f.name)).collect();
    assert_eq!(names, ["Return-Path", "Received", "Subject"]);
    for field in fields {
        let unfolded = field.name.len() + 2 + header::unfold(field.value).len();
        assert!(unfolded < 900, "{unfolded}: {}", String::from_utf8_lossy(field.raw));
        assert!(field.raw.split(|b| *b == b'\n').all(|line| line.len() < 998));
    }
    assert!(text.contains(&sender) && text.contains(&domain));
}

/// However many parts a message has or however deep they are, what is told of it is no longer than
/// the message, and the session goes on.
#[tokio::test(start_paused = true)]
async fn i_77_a_hundred_thousand_parts_are_answered() {
    let _still = sim::client::stand_still();
    let house = house(&["alice"]).await;
    let mut client = selected(&house, "alice").await;
    let wide = "--b\r\n\r\nx\r\n".repeat(100_000);
    append(&mut client, &format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{wide}")).await;
    append(&mut client, &"Content-Type: message/rfc822\r\n\r\n".repeat(100_000)).await;
    let same = "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n".repeat(100_000);
    append(&mut client, &format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{same}")).await;
    for number in 1..=3 {
        client.send(format!("f FETCH {number} (RFC822.SIZE BODYSTRUCTURE)\r\n").as_bytes()).await;
        let told = until(&mut client, "f OK").await.concat();
        let size = told.split("RFC822.SIZE ").nth(1).unwrap().split(' ').next().unwrap();
        assert!(told.len() < size.parse().unwrap(), "{} of {size}", told.len());
        let parts = told.matches("\"7BIT\"").count();
        assert!((50..=mail::limits::MIME_PARTS_MAX).contains(&parts), "{number}: {parts}");
        client.send(format!("g FETCH {number} BODY.PEEK[100000]\r\n").as_bytes()).await;
        let told = until(&mut client, "g OK").await;
        assert!(told.contains(&format!("* {number} FETCH (BODY[100000] NIL)")), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn i_82_a_long_search_says_that_it_goes_on() {
    let house = house(&["alice"]).await;
    let mut client = selected(&house, "alice").await;
    // So long that looking at all of them takes more than a turn.
    let long = "Grüße an alle, die das lesen.\r\n".repeat(2_000);
    for n in 0..200 {
        append(&mut client, &(numbered_message(n) + &long)).await;
    }
    // A machine so slow that ten seconds pass whenever the search lets others have their turn.
    let slow = async {
        loop {
            tokio::time::advance(Duration::from_secs(10)).await;
            tokio::task::yield_now().await;
        }
    };
    client.send(b"x1 SEARCH BODY \"message 7.\"\r\n").await;
    let told = tokio::select! {
        told = until(&mut client, "x1 OK") => told,
        () = slow => Vec::new(),
    };
    let (words, found): (Vec<_>, Vec<_>) =
        told.iter().partition(|line| line.contains("INPROGRESS"));
    assert_eq!(found, ["* SEARCH 8"]);
    assert!(words.len() >= 2, "{told:?}");
    assert!(words.iter().all(|line| line.starts_with("* OK [INPROGRESS (\"x1\" ")), "{told:?}");
    // One that is quick says nothing of the kind.
    client.send(b"x2 SEARCH BODY \"message 7.\"\r\n").await;
    assert_eq!(until(&mut client, "x2 OK").await, ["* SEARCH 8"]);
}

#[tokio::test]
async fn i_85_twenty_devices_of_five_connections_at_one_address() {
    const PEOPLE: [&str; 4] = ["ann", "bob", "cay", "dan"];
    let house = house(&PEOPLE).await;
    let mut devices = Vec::new();
    for n in 0..20 {
        let name = PEOPLE[n % PEOPLE.len()];
        let mut connections = Vec::new();
        for _ in 0..5 {
            connections.push(selected(&house, name).await);
        }
        // One of a device idles, the others are used now and then.
        connections[0].send(b"i IDLE\r\n").await;
        assert!(connections[0].line().await.starts_with("+ "));
        devices.push((name, connections));
    }
    for name in PEOPLE {
        let (_, connections) = devices.iter_mut().find(|(who, _)| *who == name).unwrap();
        append(&mut connections[1], &numbered_message(1)).await;
    }
    for (_, connections) in &mut devices {
        // Perhaps behind `* OK Still here`.
        until(&mut connections[0], "* 1 EXISTS").await;
        for connection in connections.iter_mut().skip(1) {
            connection.send(b"n NOOP\r\nf FETCH 1 BODY.PEEK[TEXT]\r\n").await;
            let told = until(connection, "f OK").await;
            assert!(told.iter().any(|line| line == "This is message 1."), "{told:?}");
        }
        connections[0].send(b"DONE\r\n").await;
        until(&mut connections[0], "i OK").await;
    }
    // Nobody's login was counted against anybody.
    assert!(selected(&house, "ann").await.ask("z NOOP").await.starts_with("z OK"));
}
