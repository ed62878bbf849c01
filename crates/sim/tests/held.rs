//! Messages that wait for the time that their sender named are counted as long as they are there.
//! RFC 4865 §4.2; the rest is in tests/smtp/future_release.txt.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use server::listen::Service;
use sim::client::{Client, stand_still};
use sim::house::{House, Plan};
use sim::world::SimWorld;

async fn hold(client: &mut Client) -> String {
    let reply = client.ask("MAIL FROM:<alice@example.org> HOLDFOR=3600").await;
    if reply.starts_with("250") {
        client.ask("RCPT TO:<alice@example.org>").await;
        client.ask("DATA").await;
        return client.ask("Subject: later\r\n\r\nlater\r\n.").await;
    }
    reply
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
