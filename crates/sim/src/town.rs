//! A house among other people's servers, in a world where time goes by when everybody waits.

use crate::client::Client;
use crate::hands::SimHands;
use crate::hosts::Seen;
use crate::house::{House, Plan};
use crate::world::{Ground, SimClock, SimListener, SimWorld};
use server::listen::Service;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const HERE: [u8; 4] = [203, 0, 113, 9];

/// A house with an account for alice, and what came to others.
pub struct Town {
    /// The house.
    pub house: House,
    /// What its hosts have seen.
    pub seen: Seen,
}

/// Runs a test there.
pub fn in_town(seed: u64, plan: Plan, test: impl AsyncFnOnce(&Town)) {
    let (clock, hands) = (Arc::new(SimClock::default()), SimHands::default());
    let world = SimWorld {
        clock: clock.clone(),
        hands: Arc::new(hands.clone()),
        ground: Some(Ground::default()),
        ..SimWorld::new(seed)
    };
    hands.runtime().unwrap().block_on(async {
        clock.follow();
        let house = House::build(plan, world).await;
        house.add_account("alice").await;
        test(&Town { house, seen: Seen::new(clock.clone()) }).await;
    });
}

impl Town {
    /// A domain with one host.
    pub fn domain(&self, name: &str, ip: [u8; 4]) {
        self.house.world.dns.add_mx(name, 10, name);
        self.house.world.dns.add_address(name, IpAddr::from(ip));
    }

    /// What listens there.
    pub fn open(&self, ip: [u8; 4]) -> SimListener {
        self.house.world.net.open(SocketAddr::from((ip, 25)))
    }

    /// Alice submits messages with the same recipients.
    pub async fn submit(&self, count: usize, subject: &str, to: &[String]) {
        self.submit_text(count, subject, "x", to).await;
    }

    /// The same with this text.
    pub async fn submit_text(&self, count: usize, subject: &str, text: &str, to: &[String]) {
        let mut client = Client::connect(&self.house, Service::Submission, HERE).await;
        client.reply().await;
        client.ask("EHLO client.example").await;
        assert!(client.ask("AUTH PLAIN AGFsaWNlAHNlY3JldA==").await.starts_with("235"));
        for n in 0..count {
            assert!(client.ask("MAIL FROM:<alice@example.org>").await.starts_with("250"));
            for to in to {
                assert!(client.ask(&format!("RCPT TO:<{to}>")).await.starts_with("250"), "{to}");
            }
            client.ask("DATA").await;
            let said = client.ask(&format!("Subject: {subject}{n}\r\n\r\n{text}\r\n.")).await;
            assert!(said.starts_with("250"), "{said}");
        }
    }

    /// The messages in alice's mailbox, by POP3.
    pub async fn mailbox(&self) -> Vec<String> {
        Client::maildrop(&self.house, "alice", HERE).await
    }
}
