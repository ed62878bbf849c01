//! Messages that wait for the time that their sender named are counted as long as they are there
//! (RFC 4865 §4.2; the rest is in tests/smtp/future_release.txt); and what becomes of those that
//! wait for room.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use server::listen::Service;
use sim::client::{Client, stand_still};
use sim::house::{House, Plan, address};
use sim::world::SimWorld;
use store::AliasRow;

async fn hold(client: &mut Client) -> String {
    let reply = client.ask("MAIL FROM:<alice@example.org> HOLDFOR=3600").await;
    if reply.starts_with("250") {
        client.ask("RCPT TO:<alice@example.org>").await;
        client.ask("DATA").await;
        return client.ask("Subject: later\r\n\r\nlater\r\n.").await;
    }
    reply
}

/// A stranger's message that waits for room, and then leads elsewhere, leaves as what an alias
/// sends on at once does: in our name. RFC 7208 §2.4.
#[tokio::test(start_paused = true)]
async fn what_waited_for_room_is_sent_on_in_our_name() {
    let _still = stand_still();
    let house = House::build(Plan::default(), SimWorld::new(22)).await;
    house.world.dns.add_address("example.net", [192, 0, 2, 10].into());
    for name in ["alice", "bob"] {
        house.add_account(name).await;
    }
    let alias = |name: &str, targets: &[&str]| AliasRow {
        address: address(name),
        targets: targets.iter().map(|target| address(target)).collect(),
    };
    let store = &house.shared.store;
    store.alias_add(alias("team", &["alice", "bob"])).await.unwrap();
    house.add_message("alice", "INBOX").await;
    house.limit("MESSAGE", "alice", "1").await.unwrap();
    let mut client = Client::connect(&house, Service::Smtp, [198, 51, 100, 7]).await;
    client.reply().await;
    for line in ["EHLO x", "MAIL FROM:<fred@example.com>", "RCPT TO:<team@example.org>"] {
        assert!(client.ask(line).await.starts_with("250"), "{line}");
    }
    client.ask("DATA").await;
    assert!(client.ask("Subject: x\r\n\r\nx\r\n.").await.starts_with("250"));
    let senders = || -> Vec<String> {
        let queued = store.queue_list(&Default::default()).unwrap();
        queued.iter().map(|queued| queued.queued.sender.to_string()).collect()
    };
    house.quiesce().await;
    assert_eq!(senders(), ["fred@example.com"], "alice has no room");
    store.account_remove(address("alice")).await.unwrap();
    store.alias_add(alias("alice", &["alice@example.net"])).await.unwrap();
    house.advance(std::time::Duration::from_secs(3600)).await;
    let senders = senders();
    assert_eq!(senders.len(), 1);
    let ours = senders[0].starts_with("SRS0=") && senders[0].ends_with("=fred@example.org");
    assert!(ours && senders[0].contains("=example.com="), "{senders:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_dropped_makes_room_for_another() {
    let _still = stand_still();
    let mut plan = Plan::default();
    plan.set("held_messages_max", "2").unwrap();
    let house = House::build(plan, SimWorld::new(21)).await;
    house.add_account("alice").await;
    let mut client = Client::connect(&house, Service::Submission, [192, 0, 2, 1]).await;
    client.reply().await;
    client.ask("EHLO client.example").await;
    let plain = STANDARD.encode("\0alice\0secret");
    assert!(client.ask(&format!("AUTH PLAIN {plain}")).await.starts_with("235"));
    assert!(hold(&mut client).await.starts_with("250"));
    assert!(hold(&mut client).await.starts_with("250"));
    assert!(hold(&mut client).await.starts_with("552 5.7.16"));
    let store = &house.shared.store;
    let queued = store.queue_list(&Default::default()).unwrap();
    assert_eq!(queued.len(), 2);
    assert!(store.queue_drop(queued[0].queued.message).await.unwrap());
    let reply = hold(&mut client).await;
    assert!(reply.starts_with("250"), "{reply}");
    assert!(hold(&mut client).await.starts_with("552 5.7.16"));
}
