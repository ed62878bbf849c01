//! Who guesses does not learn which names there are: not by what is said, nor by the work that it
//! takes (security.md AU-1).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use directory::Scope;
use directory::external::sql::{Database, Sql, SqlPlan};
use directory::external::{External, Source};
use server::listen::Service;
use sim::client::Client;
use sim::hands::SimHands;
use sim::house::{House, Plan, address};
use sim::world::SimWorld;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use sys::hands::{Hands, Leave, SystemHands, Worker};
use sys::sqlite::SqliteClient;
use tokio::time::Instant;

/// Threads, and how often one was lent: passwords are hashed there and nowhere else.
#[derive(Default)]
struct Counting(AtomicU64);

impl Hands for Counting {
    fn hire(&self, name: &str, worker: Box<dyn Worker>) -> io::Result<Leave> {
        SystemHands.hire(name, worker)
    }
    fn lend(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        SystemHands.lend(work);
    }
}

/// Every way to say a name and a password.
const WAYS: [(Service, &str); 6] = [
    (Service::Submission, "AUTH PLAIN"),
    (Service::Submission, "AUTH LOGIN"),
    (Service::Pop3, "AUTH PLAIN"),
    (Service::Pop3, "USER"),
    (Service::Imap, "a AUTHENTICATE PLAIN"),
    (Service::Imap, "a LOGIN"),
];

async fn login(house: &House, way: (Service, &str), user: &str, password: &str) -> String {
    login_from(house, 1, way, user, password).await
}

async fn login_from(
    house: &House,
    from: u8,
    way: (Service, &str),
    user: &str,
    password: &str,
) -> String {
    let mut client = Client::connect(house, way.0, [192, 0, 2, from]).await;
    client.reply().await;
    if way.0 == Service::Submission {
        client.ask("EHLO client.example").await;
    }
    match way.1 {
        "USER" => {
            assert!(client.ask(&format!("USER {user}")).await.starts_with("+OK"));
            client.ask(&format!("PASS {password}")).await
        }
        "a LOGIN" => client.ask(&format!("a LOGIN {user} {password}")).await,
        "AUTH LOGIN" => {
            client.ask(&format!("AUTH LOGIN {}", STANDARD.encode(user))).await;
            client.ask(&STANDARD.encode(password)).await
        }
        plain => {
            let message = STANDARD.encode(format!("\0{user}\0{password}"));
            client.ask(&format!("{plain} {message}")).await
        }
    }
}

async fn house(hands: &Arc<Counting>, directory: directory::Settings) -> House {
    let world = SimWorld { hands: hands.clone(), ..SimWorld::new(7) };
    let mut plan = Plan { directory, ..Plan::default() };
    plan.rates.ban_after = 0;
    peopled(world, plan).await
}

async fn peopled(world: SimWorld, plan: Plan) -> House {
    let house = House::build(plan, world).await;
    for name in ["alice", "off", "phone"] {
        house.add_account(name).await;
    }
    house.change_account("off", &["off"]).await.unwrap();
    house.shared.directory.app_password_add(&address("phone"), "x", Scope::Both).await.unwrap();
    house
}

/// What each way says to each name, and how many hashes that takes.
async fn tried(house: &House, hands: &Counting, names: &[(&str, &str)]) {
    for way in WAYS {
        tried_by(house, hands, way, names).await;
    }
}

/// A hash of another server, which costs nothing.
const CHEAP: &str = "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69";

/// Whoever has such a hash hears the same as nobody, for which the costly work is done besides.
async fn tried_cheap(house: &House, hands: &Counting, user: &str) {
    for way in WAYS {
        house.quiesce().await;
        let nobody = login(house, way, "nobody@example.org", "wrong").await;
        let before = hands.0.load(Ordering::SeqCst);
        assert_eq!(login(house, way, user, "wrong").await, nobody, "{way:?}");
        let work = hands.0.load(Ordering::SeqCst) - before;
        assert_eq!(work, 2, "{way:?}: the cheap hash, and one of ours");
    }
}

async fn tried_by(house: &House, hands: &Counting, way: (Service, &str), names: &[(&str, &str)]) {
    let mut first = None;
    for (user, password) in names {
        house.quiesce().await;
        let before = hands.0.load(Ordering::SeqCst);
        let reply = login(house, way, user, password).await;
        let work = hands.0.load(Ordering::SeqCst) - before;
        let told = first.get_or_insert_with(|| reply.clone());
        assert_eq!((&reply, work), (&*told, 1), "{way:?} {user}");
    }
}

#[tokio::test(start_paused = true)]
async fn au_1_a_refused_login_says_and_costs_the_same_whoever_is_named() {
    let hands = Arc::new(Counting::default());
    let house = house(&hands, directory::Settings::default()).await;
    let names = [
        ("alice", "wrong"),
        ("nobody", "wrong"),
        ("alice@example.org", "wrong"),
        ("nobody@example.org", "wrong"),
        ("nobody@elsewhere.example", "wrong"),
        ("off", "wrong"),
        ("phone", "wrong"),
        ("alice+tag", "wrong"),
        ("postmaster", "wrong"),
    ];
    tried(&house, &hands, &names).await;
    house.add_account("moved").await;
    house.shared.directory.set_password(&address("moved"), CHEAP).await.unwrap();
    tried_cheap(&house, &hands, "moved").await;
    assert!(login(&house, WAYS[3], "moved", "secret").await.starts_with("+OK"));
    // From the first login on there is a hash of our own.
    tried_by(&house, &hands, WAYS[3], &[("moved", "wrong"), ("nobody", "wrong")]).await;
    // Nor does who is switched off hear that the password is right.
    tried_by(&house, &hands, WAYS[3], &[("alice", "wrong"), ("off", "secret")]).await;
    let before = hands.0.load(Ordering::SeqCst);
    assert!(login(&house, WAYS[3], "alice", "secret").await.starts_with("+OK"));
    assert_eq!(hands.0.load(Ordering::SeqCst) - before, 1, "whoever comes in costs it too");
    // RFC 5321 §3.5.3, §7.3: VRFY and EXPN tell nothing.
    let mut client = Client::connect(&house, Service::Smtp, [192, 0, 2, 1]).await;
    client.reply().await;
    client.ask("HELO client.example").await;
    let told = client.ask("VRFY alice@example.org").await;
    assert_eq!(client.ask("VRFY nobody@example.org").await, told);
    assert_eq!(client.ask("EXPN alice@example.org").await, told);
}

/// Likewise when other people are in a database of somebody else.
#[tokio::test(start_paused = true)]
async fn au_1_who_is_in_no_other_directory_costs_as_much() {
    let path = std::env::temp_dir().join(format!("postrider-alike-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let people = rusqlite::Connection::open(&path).unwrap();
    people.execute("CREATE TABLE people(address TEXT, hash TEXT)", []).unwrap();
    let cost = directory::password::Cost { memory_kib: 8, passes: 1 };
    let hash = directory::password::hash("annpw", &[7; 16], cost).unwrap();
    people.execute("INSERT INTO people VALUES ('ann@example.org', ?1)", [&hash]).unwrap();
    people.execute("INSERT INTO people VALUES ('old@example.org', ?1)", [CHEAP]).unwrap();
    let plan = SqlPlan {
        login_query: "SELECT address, hash FROM people WHERE address = $1".to_owned(),
        address_query: "SELECT address FROM people WHERE address = $2 || '@' || $3".to_owned(),
    };
    let hands = Arc::new(Counting::default());
    let source = Source::Sql(Sql::new(Database::Sqlite(SqliteClient::new(&path)), plan).unwrap());
    let clock = SimWorld::new(7).as_seen().clock;
    let external = Some(External::new(source, clock, Duration::ZERO));
    let house = house(&hands, directory::Settings { external, ..Default::default() }).await;
    let names = ["ann@example.org", "nobody@example.org", "alice@example.org"];
    tried(&house, &hands, &names.map(|name| (name, "wrong"))).await;
    tried_cheap(&house, &hands, "old@example.org").await;
    std::fs::remove_file(&path).unwrap();
}

/// How long a refusal takes is not heard of either, whatever the check of a hash takes: each takes
/// so long here, and for an account with one of another server there are two.
#[test]
fn au_1_a_dear_hash_is_answered_when_nobody_is() {
    let hands = SimHands::default();
    let runtime = hands.runtime().unwrap();
    let tried = runtime.spawn(async move {
        let world = SimWorld { hands: Arc::new(hands.clone()), ..SimWorld::new(7) };
        let mut plan = Plan::default();
        plan.set("failed_login", "2").unwrap();
        let house = peopled(world, plan).await;
        house.add_account("moved").await;
        house.shared.directory.set_password(&address("moved"), CHEAP).await.unwrap();
        let mut from = 0;
        for millis in [0, 30, 990] {
            hands.slow_down(Duration::from_millis(millis));
            for way in WAYS {
                for (user, password) in
                    [("nobody", "wrong"), ("moved", "wrong"), ("alice", "wrong"), ("off", "secret")]
                {
                    // Another address each time: nobody is slowed down for guessing.
                    from += 1;
                    let began = Instant::now();
                    login_from(&house, from, way, user, password).await;
                    let took = began.elapsed().as_millis();
                    assert!((2000..2005).contains(&took), "{millis} {way:?} {user}: {took}");
                }
            }
            let began = Instant::now();
            login_from(&house, 0, WAYS[3], "alice", "secret").await;
            assert!(began.elapsed() < Duration::from_secs(1), "who is right need not wait");
        }
    });
    runtime.block_on(tried).unwrap();
}
