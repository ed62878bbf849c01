//! What leaves is signed in its final form, with the keys of its author's domain: users.md S-59.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mail::Domain;
use policy::dkim::{DkimResult, SigningKey, Verifier, new_ed25519, new_rsa};
use server::listen::Service;
use sim::client::Client;
use sim::house::{House, PASSWORD, Plan};
use sim::world::SimListener;
use sim::world::SimWorld;
use std::collections::HashMap;
use store::SigningKeyRow;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

const PEER: [u8; 4] = [192, 0, 2, 10];

fn plain() -> String {
    use base64::Engine as _;
    let login = format!("\0alice@example.org\0{PASSWORD}");
    base64::engine::general_purpose::STANDARD.encode(login)
}

async fn submit(house: &House, sends: &[u8], replies: &[&str]) {
    let mut client = Client::connect(house, Service::Submission, PEER).await;
    client.line().await;
    client.send(format!("EHLO x\r\nAUTH PLAIN {}\r\n", plain()).as_bytes()).await;
    while !client.line().await.starts_with("235 ") {}
    client.send(sends).await;
    for code in replies {
        let line = client.line().await;
        assert!(line.starts_with(code), "{line}");
    }
    house.quiesce().await;
}

/// The message that waits in the queue, as it goes out, and what its signatures are worth.
fn queued(house: &House, keys: &[SigningKey]) -> (String, Vec<DkimResult>) {
    let store = &house.shared.store;
    let row = store.queue_list(&Default::default()).unwrap().pop().unwrap();
    let whole = store.content(row.queued.content, u64::from(row.queued.skip)..u64::MAX).unwrap();
    let whole = String::from_utf8(whole).unwrap();
    let found = worth(&whole, keys);
    (whole, found)
}

/// What the signatures of a message are worth.
fn worth(whole: &str, keys: &[SigningKey]) -> Vec<DkimResult> {
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    let mut verifier = Verifier::new(format!("{head}\r\n").as_bytes(), sim::world::NEW_YEAR / 1000);
    verifier.feed(body.as_bytes());
    let record = |key: &SigningKey| (key.name(), Ok(vec![key.record().into_bytes()]));
    let known: HashMap<_, _> = keys.iter().map(record).collect();
    verifier.finish(&known).into_iter().map(|one| one.result).collect()
}

/// A server without 8BITMIME, which takes one message.
async fn takes_seven_bits(listener: SimListener) -> String {
    let (end, _) = listener.next().await.unwrap();
    let mut stream = BufReader::new(end);
    stream.write_all(b"220 x\r\n").await.unwrap();
    let mut message = String::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        stream
            .write_all(if line == "DATA\r\n" { b"354 go\r\n" } else { b"250 ok\r\n" })
            .await
            .unwrap();
        if line != "DATA\r\n" {
            continue;
        }
        loop {
            let mut text = String::new();
            stream.read_line(&mut text).await.unwrap();
            if text == ".\r\n" {
                stream.write_all(b"250 ok\r\n").await.unwrap();
                return message;
            }
            message.push_str(text.strip_prefix('.').unwrap_or(&text));
        }
    }
}

async fn house() -> (House, Vec<SigningKey>) {
    house_with(Plan::default()).await
}

async fn house_with(plan: Plan) -> (House, Vec<SigningKey>) {
    let house = House::build(plan, SimWorld::new(3)).await;
    house.add_account("alice").await;
    let domain = Domain::parse("example.org").unwrap();
    let store = &house.shared.store;
    let mut keys = Vec::new();
    for (selector, secret) in [("rsa1", new_rsa()), ("ed1", new_ed25519())] {
        let secret = secret.unwrap();
        keys.push(SigningKey::new(&domain, selector, &secret).unwrap());
        let row = SigningKeyRow { selector: selector.to_owned(), next: false, secret };
        store.signing_keys_add(domain.clone(), vec![row]).await.unwrap();
    }
    let route = "192.0.2.9:25".to_owned();
    store.route_add(Domain::parse("example.net").unwrap(), route).await.unwrap();
    (house, keys)
}

const ENVELOPE: &str = "MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.net>\r\n";

#[tokio::test(start_paused = true)]
async fn s_59_what_leaves_is_signed_in_its_final_form() {
    let _still = sim::client::stand_still();
    let (house, keys) = house().await;
    // Date and Message-ID are added and Bcc goes before it is signed.
    let text =
        "From: Alice <alice@example.org>\r\nBcc: x@example.net\r\nSubject: hi\r\n\r\nHi \r\n";
    let sends = format!("{ENVELOPE}DATA\r\n{text}.\r\n");
    submit(&house, sends.as_bytes(), &["250", "250", "354", "250"]).await;
    let (whole, found) = queued(&house, &keys);
    assert_eq!(found, [DkimResult::Pass, DkimResult::Pass], "{whole}");
    assert!(whole.starts_with("Received: ") && !whole.contains("Bcc"), "{whole}");
    assert!(whole.contains("h=From:From:") && whole.contains(":Date:Date:"), "{whole}");
    assert!(!whole.contains(":Received"), "what relays add is not signed");
}

/// Keys and routes are found by A-labels and U-labels alike. RFC 5890 §2.3.2.4.
#[tokio::test(start_paused = true)]
async fn a_domain_signs_and_is_routed_in_whatever_spelling() {
    let _still = sim::client::stand_still();
    let (house, _) = house().await;
    let (store, parse) = (&house.shared.store, |name| Domain::parse(name).unwrap());
    house.add_domain("exämple.org").await;
    let secret = new_ed25519().unwrap();
    let key = SigningKeyRow { selector: "idn".to_owned(), next: true, secret: secret.clone() };
    store.signing_keys_add(parse("xn--exmple-cua.org"), vec![key]).await.unwrap();
    assert!(store.signing_keys_turn(parse("XN--EXMPLE-CUA.org")).await.unwrap());
    let target = "192.0.2.9:25".to_owned();
    store.route_add(parse("xn--grber-hra.example"), target.clone()).await.unwrap();
    store.route_add(parse("gräber.example"), target.clone()).await.unwrap();
    assert_eq!(store.route(&parse("Gräber.example")).unwrap(), Some(target));
    assert_eq!(store.routes().unwrap().len(), 2, "one for example.net, one for both spellings");
    let to = vec![sim::house::address("alice")];
    let address = sim::house::address("jo@exämple.org");
    store.alias_add(store::AliasRow { address, targets: to }).await.unwrap();
    let key = SigningKey::new(&parse("exämple.org"), "idn", &secret).unwrap();
    for from in ["jo@xn--exmple-cua.org", "jo@exämple.org"] {
        let envelope = "MAIL FROM:<alice@example.org> SMTPUTF8\r\nRCPT TO:<bob@example.net>\r\n";
        let sends = format!("{envelope}DATA\r\nFrom: {from}\r\n\r\nHi\r\n.\r\n");
        submit(&house, sends.as_bytes(), &["250", "250", "354", "250"]).await;
        let (whole, found) = queued(&house, std::slice::from_ref(&key));
        assert_eq!(found, [DkimResult::Pass], "{whole}");
        let row = store.queue_list(&Default::default()).unwrap().pop().unwrap();
        store.queue_drop(row.queued.message).await.unwrap();
    }
    assert!(store.route_remove(parse("gräber.example")).await.unwrap());
    assert_eq!(store.routes().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_signed_where_the_smarthost_signs() {
    let _still = sim::client::stand_still();
    let mut plan = Plan::default();
    plan.delivery.sign = false;
    let (house, _) = house_with(plan).await;
    let sends = format!("{ENVELOPE}DATA\r\nFrom: alice@example.org\r\n\r\nHi\r\n.\r\n");
    submit(&house, sends.as_bytes(), &["250", "250", "354", "250"]).await;
    let (whole, _) = queued(&house, &[]);
    assert!(whole.contains("From: alice") && !whole.contains("DKIM-Signature"), "{whole}");
}

#[tokio::test(start_paused = true)]
async fn a_binary_message_is_signed_as_the_lines_that_it_becomes() {
    let _still = sim::client::stand_still();
    let (house, keys) = house().await;
    let text = b"From: alice@example.org\r\nMIME-Version: 1.0\r\nContent-Type: image/png\r\n\
        Content-Transfer-Encoding: binary\r\n\r\na\0b\nc";
    let head = format!(
        "MAIL FROM:<alice@example.org> BODY=BINARYMIME\r\nRCPT TO:<bob@example.net>\r\n\
         BDAT {} LAST\r\n",
        text.len()
    );
    let sends = [head.as_bytes(), text].concat();
    submit(&house, &sends, &["250", "250", "250"]).await;
    let (whole, found) = queued(&house, &keys);
    assert_eq!(found, [DkimResult::Pass, DkimResult::Pass], "{whole}");
    assert!(whole.contains("base64"), "{whole}");
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_not_published_yet_sign_nothing_until_they_turn() {
    let _still = sim::client::stand_still();
    let (house, keys) = house().await;
    let domain = Domain::parse("example.org").unwrap();
    let store = &house.shared.store;
    let secret = new_ed25519().unwrap();
    let next = SigningKey::new(&domain, "ed2", &secret).unwrap();
    let row = SigningKeyRow { selector: "ed2".to_owned(), next: true, secret };
    store.signing_keys_add(domain.clone(), vec![row]).await.unwrap();
    let text = "From: alice@example.org\r\n\r\nHi\r\n";
    let sends = format!("{ENVELOPE}DATA\r\n{text}.\r\n");
    submit(&house, sends.as_bytes(), &["250", "250", "354", "250"]).await;
    assert_eq!(queued(&house, &keys).1, [DkimResult::Pass, DkimResult::Pass]);
    assert!(store.signing_keys_turn(domain.clone()).await.unwrap());
    assert!(!store.signing_keys_turn(domain.clone()).await.unwrap());
    let message = store.queue_list(&Default::default()).unwrap().pop().unwrap().queued.message;
    store.queue_drop(message).await.unwrap();
    submit(&house, sends.as_bytes(), &["250", "250", "354", "250"]).await;
    assert_eq!(queued(&house, &[next]).1, [DkimResult::Pass]);
    assert_eq!(store.signing_keys(&domain).unwrap().len(), 1);
}

/// RFC 6376 §5.3: a message that is converted for a server without 8BITMIME is signed as it
/// is sent. Signatures of others stay where they are, and so does one that only says that it is
/// ours.
#[tokio::test(start_paused = true)]
async fn s_59_a_message_that_becomes_seven_bits_is_signed_anew() {
    let _still = sim::client::stand_still();
    let (house, keys) = house().await;
    let listener = house.world.net.open("192.0.2.9:25".parse().unwrap());
    let receiving = tokio::spawn(takes_seven_bits(listener));
    let others = "DKIM-Signature: v=1; a=rsa-sha256; d=else.example; s=x; h=from; bh=eA==; b=eA==\r\n\
        DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=rsa1; h=from; bh=eA==; b=eA==\r\n";
    let text = format!(
        "{others}From: Alice <alice@example.org>\r\nSubject: größer\r\n\r\nÄ {}\r\n..\r\n",
        "x".repeat(200)
    );
    let sends = format!("{ENVELOPE}DATA\r\n{text}.\r\n");
    submit(&house, sends.as_bytes(), &["250", "250", "354", "250"]).await;
    let message = receiving.await.unwrap();
    assert!(message.is_ascii() && message.contains("quoted-printable"), "{message}");
    assert_eq!(message.matches("d=example.org").count(), 3, "{message}");
    let found = worth(&message, &keys);
    use DkimResult::{Fail, Pass, TempError};
    assert_eq!(found, [Pass, Pass, TempError, Fail], "{message}");
    assert!(message.contains(others), "{message}");
}

/// Whoever forges a signature of ours does not get a real one when we pass the message on.
#[tokio::test(start_paused = true)]
async fn a_stranger_s_message_is_not_signed_on_its_way_through() {
    let _still = sim::client::stand_still();
    let (house, keys) = house().await;
    let listener = house.world.net.open("192.0.2.9:25".parse().unwrap());
    let receiving = tokio::spawn(takes_seven_bits(listener));
    let row = store::AliasRow {
        address: sim::house::address("list@example.org"),
        targets: vec![sim::house::address("bob@example.net")],
    };
    house.shared.store.alias_add(row).await.unwrap();
    let mut client = Client::connect(&house, Service::Smtp, PEER).await;
    client.reply().await;
    client.ask("EHLO x").await;
    client.ask("MAIL FROM:<eve@example.com>").await;
    assert!(client.ask("RCPT TO:<list@example.org>").await.starts_with("250"));
    client.ask("DATA").await;
    let text = "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=rsa1; h=from; bh=eA==; b=eA==\r\n\
        From: Alice <alice@example.org>\r\n\r\nÄ\r\n.";
    assert!(client.ask(text).await.starts_with("250"));
    let message = receiving.await.unwrap();
    assert!(message.contains("=C3=84"), "{message}");
    assert_eq!(worth(&message, &keys), [DkimResult::Fail], "{message}");
}
