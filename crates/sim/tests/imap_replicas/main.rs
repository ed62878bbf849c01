//! Several clients with copies of mailboxes, random commands, random disconnections, also in the
//! middle of a command: every copy equals the mailbox in the end, and nothing that the server says
//! contradicts a copy meanwhile.
//!
//! Some clients know only RFC 3501; some enable CONDSTORE or QRESYNC (RFC 7162), keep their copies
//! over a lost connection or while they look at another mailbox, and have them brought up to date.
//! `SEED=n ROUNDS=n` for one run again, `SECONDS=n` for as many runs as that takes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "how long it goes on is a matter of the clock")]

mod act;
mod client;
mod text;

use client::{BOXES, Client, KINDS, Notes};
use sim::house::{House, Plan};
use sim::random::Random;
use sim::world::SimWorld;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const CLIENTS: usize = 6;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// One run; what happened in it.
async fn run(seed: u64, rounds: u64) -> BTreeSet<&'static str> {
    let mut random = Random::new(seed);
    let house = House::build(Plan::default(), SimWorld::new(seed)).await;
    house.add_account("alice").await;
    let notes = Notes::default();
    let mut clients = vec![Client::new(&house, 0, &notes).await];
    clients[0].ask("CREATE Work").await;
    for n in 1..CLIENTS {
        clients.push(Client::new(&house, n, &notes).await);
    }
    for _ in 0..rounds {
        let n = random.below(CLIENTS as u64) as usize;
        clients[n].act(&mut random, &house).await;
    }
    // What was asked for over connections that are lost by now is done, or never will be.
    for _ in 0..5 {
        house.quiesce().await;
    }
    let mut fresh = Client::new(&house, CLIENTS * 3, &notes).await;
    let mut seen = BTreeSet::new();
    for (at, name) in BOXES.iter().enumerate() {
        fresh.select(at).await;
        if !fresh.now.list.is_empty() {
            fresh.read_notes("1:*").await;
        }
        for client in &mut clients {
            client.rest().await;
            client.ask("NOOP").await;
            client.learn().await;
            client.select(at).await;
            assert!(
                client.agrees(&fresh),
                "seed {seed}, {name}, client {}: {:#?}\nits copy: {}\nthe mailbox: {}",
                client.n,
                client.log,
                client.copy(),
                fresh.copy()
            );
            seen.extend(client.seen.iter().copied());
        }
    }
    seen
}

#[tokio::test]
async fn every_copy_equals_the_mailbox() {
    let first = setting("SEED").unwrap_or(1);
    let rounds = setting("ROUNDS").unwrap_or(300);
    let long = setting("SECONDS").map(Duration::from_secs);
    let start = Instant::now();
    let mut seen = BTreeSet::new();
    for seed in first.. {
        seen.extend(run(seed, rounds).await);
        let more = match long {
            Some(long) => start.elapsed() < long,
            None => seed < first + 3,
        };
        if !more {
            println!("seeds {first} to {seed}, {rounds} rounds each");
            break;
        }
    }
    assert_eq!(seen.len(), KINDS.len(), "only {seen:?} happened");
}
