//! Servers that hold every connection they get for as long as they may, and the mail for others,
//! which must not wait for them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sim::hosts::host;
use sim::house::Plan;
use sim::pipe::End;
use sim::random::Random;
use sim::town::{Town, in_town};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::Instant;

struct Hosts<'a> {
    town: &'a Town,
    /// Connections that slow hosts hold now.
    held: Arc<AtomicUsize>,
}

fn among_hosts(seed: u64, plan: Plan, test: impl AsyncFnOnce(&Hosts<'_>)) {
    in_town(seed, plan, async |town| test(&Hosts { town, held: Arc::default() }).await);
}

impl Hosts<'_> {
    /// A domain with a host that takes four minutes for each reply.
    fn slow(&self, name: &str, ip: [u8; 4]) {
        self.town.domain(name, ip);
        self.slow_host(ip);
    }

    fn slow_host(&self, ip: [u8; 4]) {
        let listener = self.town.open(ip);
        let held = self.held.clone();
        tokio::spawn(async move {
            while let Ok((end, _)) = listener.next().await {
                tokio::spawn(dawdle(end, held.clone()));
            }
        });
    }

    /// A domain whose host does what it should.
    fn good(&self, name: &str, ip: [u8; 4]) {
        self.town.domain(name, ip);
        self.good_host(ip);
    }

    fn good_host(&self, ip: [u8; 4]) {
        let listener = self.town.open(ip);
        tokio::spawn(host(listener, self.town.seen.clone(), Random::new(1)));
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// How many recipients have their message.
    fn came(&self) -> usize {
        self.town.seen.record().came.values().filter(|came| came.told > 0).count()
    }

    /// How long until so many have it.
    async fn until_came(&self, count: usize) -> Duration {
        let start = Instant::now();
        while self.came() < count {
            assert!(start.elapsed() < Duration::from_secs(3600), "{} came", self.came());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        start.elapsed()
    }
}

async fn dawdle(end: End, held: Arc<AtomicUsize>) {
    held.fetch_add(1, Ordering::SeqCst);
    let mut stream = BufReader::new(end);
    let _ = stream.write_all(b"220 slow\r\n").await;
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|octets| octets > 0) {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(240)) => {}
            // It went away, or says what nobody asked for.
            _ = stream.fill_buf() => break,
        }
        if stream.write_all(b"250 2.0.0 ok\r\n").await.is_err() {
            break;
        }
    }
    held.fetch_sub(1, Ordering::SeqCst);
}

fn plan() -> Plan {
    let mut plan = Plan::default();
    plan.rates.recipients_per_hour = 0;
    plan.rates.recipients_per_day = 0;
    plan.rates.strangers_per_day = 0;
    plan
}

/// However many destinations have slow servers, in however many networks.
#[test]
fn slow_servers_in_many_networks_do_not_stop_other_mail() {
    among_hosts(1, plan(), async |hosts| {
        let mut slow = Vec::new();
        for n in 0..60 {
            hosts.slow(&format!("slow{n}.example"), [192, 0, n, 2]);
            slow.push(format!("bob@slow{n}.example"));
        }
        hosts.good("good.example", [198, 51, 100, 2]);
        hosts.town.submit(30, "slow", &slow).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let held = hosts.held();
        assert!((90..200).contains(&held), "{held} are held");
        hosts.town.submit(3, "good", &["bob@good.example".to_owned()]).await;
        assert!(hosts.until_came(3).await < Duration::from_secs(10));
    });
}

/// However many destinations have their servers in one network.
#[test]
fn a_slow_network_of_many_destinations_holds_few_connections() {
    among_hosts(2, plan(), async |hosts| {
        let mut slow = Vec::new();
        for n in 0..100 {
            hosts.town.domain(&format!("slow{n}.example"), [192, 0, 2, n]);
            hosts.slow_host([192, 0, 2, n]);
            slow.push(format!("bob@slow{n}.example"));
        }
        hosts.good("good.example", [198, 51, 100, 2]);
        hosts.town.submit(20, "slow", &slow).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(hosts.held(), 20);
        hosts.town.submit(3, "good", &["bob@good.example".to_owned()]).await;
        assert!(hosts.until_came(3).await < Duration::from_secs(10));
        // Those that had no turn are not forgotten: they are tried again later.
        tokio::time::sleep(Duration::from_secs(120)).await;
        let queued = hosts.town.house.shared.store.queue_list(&Default::default()).unwrap();
        let tried = |r: &&store::RecipientRow| r.attempts > 0;
        let tried: usize = queued.iter().map(|q| q.recipients.iter().filter(tried).count()).sum();
        assert!(tried > 1500, "{tried} of 2000 were tried");
    });
}

/// However much waits for one destination.
#[test]
fn a_backlog_for_a_slow_destination_does_not_stop_other_mail() {
    among_hosts(3, plan(), async |hosts| {
        hosts.slow("slow.example", [192, 0, 2, 2]);
        hosts.good("good.example", [198, 51, 100, 2]);
        let slow: Vec<String> = (0..1000).map(|n| format!("bob{n}@slow.example")).collect();
        hosts.town.submit(3, "long", &slow).await;
        hosts.town.submit(2500, "slow", &slow[..1]).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(hosts.held(), 20);
        hosts.town.submit(3, "good", &["bob@good.example".to_owned()]).await;
        assert!(hosts.until_came(3).await < Duration::from_secs(10));
    });
}

/// Everybody's mail goes through one host, and each domain's connection does not wait for more.
#[test]
fn a_smarthost_has_few_connections_and_they_do_not_idle() {
    let mut plan = plan();
    plan.delivery.smarthost = Some("192.0.2.2".to_owned());
    among_hosts(4, plan, async |hosts| {
        hosts.good_host([192, 0, 2, 2]);
        let to: Vec<String> = (0..600).map(|n| format!("bob@domain{n}.example")).collect();
        hosts.town.submit(5, "all", &to).await;
        assert!(hosts.until_came(3000).await < Duration::from_secs(30));
        let connections = hosts
            .town
            .seen
            .record()
            .trace
            .iter()
            .filter(|line| line.contains("connection"))
            .count();
        // In the mean each carries two messages at least.
        assert!(connections <= 1500, "{connections} for 3000 messages");
    });
}

/// Many lanes have no worker at first; none is forgotten.
#[test]
fn more_destinations_than_attempts_at_a_time_all_have_their_turn() {
    among_hosts(5, plan(), async |hosts| {
        hosts.good_host([192, 0, 2, 2]);
        let good = |n| format!("good{n}.example");
        let to: Vec<String> = (0..1500).map(|n| format!("bob@{}", good(n))).collect();
        for n in 0..1500 {
            hosts.town.domain(&good(n), [192, 0, 2, 2]);
        }

        for to in to.chunks(500) {
            hosts.town.submit(1, "all", to).await;
        }
        assert!(hosts.until_came(1500).await < Duration::from_secs(30));
    });
}
