//! Who guesses passwords waits, then is banned; nobody else notices (security.md AU-2, users.md
//! S-21, P-07).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan};
use sim::world::SimWorld;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use sys::hands::{Hands, Leave, SystemHands, Worker};

const STRANGER: [u8; 4] = [198, 51, 100, 7];
const FRIEND: [u8; 4] = [198, 51, 100, 8];

async fn pop3(house: &House, from: [u8; 4]) -> Client {
    let mut client = Client::connect(house, Service::Pop3, from).await;
    client.reply().await;
    client
}

async fn attempt(client: &mut Client, password: &str) -> String {
    let plain = STANDARD.encode(format!("\0alice@example.org\0{password}"));
    client.ask(&format!("AUTH PLAIN {plain}")).await
}

#[tokio::test(start_paused = true)]
async fn au_2_s_21_guessing_is_slowed_then_banned_and_the_ban_is_lifted() {
    let house = House::build(Plan::default(), SimWorld::new(3)).await;
    house.add_account("alice").await;
    let start = tokio::time::Instant::now();
    for n in 0..20 {
        let mut client = pop3(&house, STRANGER).await;
        let reply = attempt(&mut client, &format!("guess{n}")).await;
        assert!(reply.starts_with("-ERR [AUTH] "), "guess {n}: {reply}");
    }
    // 1 + 2 + 4 + 8 and then 16 seconds each.
    assert!(start.elapsed() >= Duration::from_secs(15 + 12 * 16), "{:?}", start.elapsed());
    let guard = &house.shared.guard;
    let now = house.shared.world.clock.monotonic();
    assert_eq!(guard.bans(now).len(), 1);
    // No login from there, not even with the right password; the account is not locked.
    let text = "No logins from your address for now; ask postmaster";
    for (service, said) in [
        (Service::Imap, format!("* BYE [UNAVAILABLE] {text}")),
        (Service::Pop3, format!("-ERR [SYS/TEMP] {text}")),
        (Service::Submission, format!("421 4.7.0 {text}")),
    ] {
        let mut client = Client::connect(&house, service, STRANGER).await;
        assert_eq!(client.reply().await.trim_end(), said);
    }
    let mut client = pop3(&house, FRIEND).await;
    assert!(attempt(&mut client, "secret").await.starts_with("+OK"));
    // S-21: mail still comes from there.
    let mut client = Client::connect(&house, Service::Smtp, STRANGER).await;
    assert!(client.reply().await.starts_with("220 "));
    client.ask("EHLO stranger.example").await;
    assert!(client.ask("MAIL FROM:<fred@example.net>").await.starts_with("250"));
    assert!(client.ask("RCPT TO:<alice@example.org>").await.starts_with("250"));
    assert!(guard.lift(STRANGER.into(), now));
    let mut client = pop3(&house, STRANGER).await;
    assert!(attempt(&mut client, "secret").await.starts_with("+OK"));
}

/// Threads, unless all of them are busy for ever.
#[derive(Default)]
struct Busy {
    is: AtomicBool,
    waits: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl Hands for Busy {
    fn hire(&self, name: &str, worker: Box<dyn Worker>) -> io::Result<Leave> {
        SystemHands.hire(name, worker)
    }
    fn lend(&self, work: Box<dyn FnOnce() + Send>) {
        match self.is.load(Ordering::SeqCst) {
            true => self.waits.lock().unwrap().push(work),
            false => SystemHands.lend(work),
        }
    }
}

/// However many log in at once: few passwords are hashed at a time, some more wait, the others are
/// told to come again, and mail goes on.
#[tokio::test(start_paused = true)]
async fn au_2_a_flood_of_logins_is_turned_away_and_mail_goes_on() {
    let _still = sim::client::stand_still();
    let hands = Arc::new(Busy::default());
    let house = SimWorld { hands: hands.clone(), ..SimWorld::new(6) };
    let house = House::build(Plan::default(), house).await;
    house.add_account("alice").await;
    hands.is.store(true, Ordering::SeqCst);
    let plain = STANDARD.encode("\0alice@example.org\0secret");
    let mut waiting = Vec::new();
    for _ in 0..directory::limits::HASH_QUEUE_MAX {
        let mut client = pop3(&house, FRIEND).await;
        client.send(format!("AUTH PLAIN {plain}\r\n").as_bytes()).await;
        waiting.push(client);
    }
    house.quiesce().await;
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(hands.waits.lock().unwrap().len() <= cores, "so many at a time");
    for _ in 0..20 {
        let mut client = pop3(&house, STRANGER).await;
        assert!(attempt(&mut client, "secret").await.starts_with("-ERR [SYS/TEMP] "));
    }
    let mut client = Client::connect(&house, Service::Smtp, STRANGER).await;
    client.reply().await;
    for line in ["EHLO x", "MAIL FROM:<fred@example.net>", "RCPT TO:<alice@example.org>"] {
        assert!(client.ask(line).await.starts_with("250"), "{line}");
    }
    client.ask("DATA").await;
    assert!(client.ask("Subject: x\r\n\r\n.").await.starts_with("250"));
    hands.is.store(false, Ordering::SeqCst);
    let held = std::mem::take(&mut *hands.waits.lock().unwrap());
    held.into_iter().for_each(|work| work());
    for client in &mut waiting {
        let reply = client.line().await;
        assert!(reply.starts_with("+OK 1 "), "{reply}");
    }
}

/// S-20: who looks whether somebody is there is nobody to be banned.
#[tokio::test(start_paused = true)]
async fn s_20_probes_are_never_banned() {
    let _still = sim::client::stand_still();
    let house = House::build(Plan::default(), SimWorld::new(5)).await;
    let start = tokio::time::Instant::now();
    for n in 0..200 {
        for service in Service::ALL.into_iter().filter(|service| !service.implicit_tls()) {
            let mut client = Client::connect(&house, service, STRANGER).await;
            let greeting = if n % 2 == 0 { client.reply().await } else { String::new() };
            assert!(n % 2 == 1 || !greeting.contains("BYE") && !greeting.starts_with("421"));
        }
    }
    assert!(house.shared.guard.bans(house.shared.world.clock.monotonic()).is_empty());
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

/// P-07: a fetcher that logs in hundreds of times a day is no attacker.
#[tokio::test(start_paused = true)]
async fn p_07_many_good_logins_are_neither_slowed_nor_banned() {
    let _still = sim::client::stand_still();
    let house = House::build(Plan::default(), SimWorld::new(4)).await;
    house.add_account("alice").await;
    let start = tokio::time::Instant::now();
    for n in 0..300u16 {
        // Now from one address, now from many.
        let from = [203, 0, 113, if n < 150 { 1 } else { n as u8 }];
        let mut client = pop3(&house, from).await;
        assert!(attempt(&mut client, "secret").await.starts_with("+OK"));
        assert!(client.ask("QUIT").await.starts_with("+OK"));
    }
    assert!(start.elapsed() < Duration::from_secs(300), "{:?}", start.elapsed());
}
