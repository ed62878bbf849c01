//! Clients that vanish after any octet of what they had to say. A message is there once if its last
//! octet was read, and not at all before that; who did not hear the 250 sends it again, and then it
//! is there twice, which RFC 1047 §2 explains. QUIT deletes if it was read whole.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mail::MailboxName;
use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan, address};
use sim::world::SimWorld;

const PEER: [u8; 4] = [198, 51, 100, 9];

async fn house() -> House {
    let mut plan = Plan::default();
    plan.rates.ban_after = 0;
    let house = House::build(plan, SimWorld::new(21)).await;
    house.add_account("alice").await;
    house
}

/// How many messages alice has, once nobody is busy any more.
async fn count(house: &House) -> usize {
    house.quiesce().await;
    let store = &house.shared.store;
    let account = store.lookup(&address("alice")).unwrap().account.unwrap();
    let inbox = store.mailbox(account.id, &MailboxName::inbox()).unwrap().unwrap();
    store.select(inbox.id).await.unwrap().listing.iter().count()
}

/// Says so many octets and vanishes, at once; or, when `heard` is said, after hearing that.
async fn say(house: &House, service: Service, octets: &[u8], heard: Option<&str>) {
    let mut client = Client::connect(house, service, PEER).await;
    client.send(octets).await;
    match heard {
        Some(heard) => loop {
            let line = client.line().await;
            assert!(!line.is_empty(), "{heard} was not said");
            if line.contains(heard) {
                break;
            }
        },
        None => house.quiesce().await,
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_there_once_or_not_at_all() {
    let _still = sim::client::stand_still();
    let house = house().await;
    let start = "EHLO x\r\nMAIL FROM:<fred@example.net>\r\nRCPT TO:<alice@example.org>\r\n";
    let text = "Subject: x\r\n\r\n..\r\nbody\r\n";
    let data = format!("{start}DATA\r\n{text}.\r\n");
    let (first, second) = text.split_at(9);
    let bdat =
        format!("{start}BDAT {}\r\n{first}BDAT {} LAST\r\n{second}", first.len(), second.len());
    let mut there = 0;
    for whole in [data, bdat] {
        for cut in 0..=whole.len() {
            let octets = whole.as_bytes().get(..cut).unwrap();
            let came = cut == whole.len();
            say(&house, Service::Smtp, octets, came.then_some("Accepted")).await;
            let now = count(&house).await;
            assert_eq!(now, there + usize::from(came), "{}", octets.escape_ascii());
            there = now;
        }
    }
    assert_eq!(there, 2);
}

#[tokio::test(start_paused = true)]
async fn only_a_whole_quit_deletes() {
    let _still = sim::client::stand_still();
    let house = house().await;
    for _ in 0..2 {
        house.add_message("alice", "INBOX").await;
    }
    let whole = "USER alice\r\nPASS secret\r\nDELE 1\r\nQUIT\r\n";
    for cut in 0..=whole.len() {
        let octets = whole.as_bytes().get(..cut).unwrap();
        let came = cut == whole.len();
        say(&house, Service::Pop3, octets, came.then_some("Bye")).await;
        let left = if came { 1 } else { 2 };
        assert_eq!(count(&house).await, left, "{}", octets.escape_ascii());
    }
}
