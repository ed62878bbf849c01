//! Results that are kept up to date (RFC 5267): a client that does what ADDTO and REMOVEFROM say
//! has, after random changes by itself and by others, what the same search finds anew.
//! `SEED=n ROUNDS=n` for more of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan};
use sim::random::Random;
use sim::world::SimWorld;

/// Searches, and whether their results have an order of their own.
const SEARCHES: [(&str, &str, bool); 5] = [
    ("SEARCH", "UNSEEN", false),
    ("SEARCH", "OR FLAGGED BODY needle", false),
    ("SEARCH", "UID 4:* NOT DELETED", false),
    ("SORT", "(REVERSE SUBJECT SIZE) UTF-8 UNDELETED", true),
    ("SORT", "(ARRIVAL) UTF-8 OR SEEN FLAGGED", true),
];

/// The numbers of `1:3,5`, in that order.
fn numbers(set: &str) -> Vec<u32> {
    let each = |range: &str| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        from.parse::<u32>().unwrap()..=to.parse().unwrap()
    };
    set.split(',').flat_map(each).collect()
}

/// Does what an ESEARCH response says.
fn apply(results: &mut Vec<u32>, said: &str) {
    for item in said.split(") ") {
        let (verb, pairs) = item.split_once(" (").unwrap();
        let words: Vec<&str> = pairs.trim_end_matches(')').split(' ').collect();
        for pair in words.chunks(2) {
            let (position, set) = (pair[0].parse::<usize>().unwrap(), numbers(pair[1]));
            match (verb, position) {
                ("ADDTO", 0) => {
                    results.extend(&set);
                    results.sort_unstable();
                    assert!(results.is_sorted_by(|a, b| a < b), "twice: {said}");
                }
                ("ADDTO", at) => drop(results.splice(at - 1..at - 1, set)),
                ("REMOVEFROM", 0) => {
                    let before = results.len();
                    results.retain(|uid| !set.contains(uid));
                    assert_eq!(before - results.len(), set.len(), "{said}");
                }
                ("REMOVEFROM", at) => {
                    let gone: Vec<u32> = results.drain(at - 1..at - 1 + set.len()).collect();
                    assert_eq!(gone, set, "{said}");
                }
                _ => panic!("{said}"),
            }
        }
    }
}

/// Says a command; what comes before its answer is given to `each`.
async fn run(client: &mut Client, line: &str, mut each: impl FnMut(&str)) {
    client.send(format!("x {line}\r\n").as_bytes()).await;
    loop {
        let said = client.line().await;
        assert!(!said.is_empty(), "{line}: the server hung up");
        if said.starts_with("x ") {
            assert!(said.starts_with("x OK"), "{line}: {said}");
            return;
        }
        each(&said);
    }
}

async fn session(house: &House, n: u8) -> Client {
    let mut client = Client::connect(house, Service::Imap, [192, 0, 2, n]).await;
    client.line().await;
    run(&mut client, "LOGIN alice@example.org secret", |_| {}).await;
    run(&mut client, "SELECT INBOX", |_| {}).await;
    client
}

/// What everybody does: flags, messages that come and go.
fn change(random: &mut Random, last: u64) -> String {
    let uid = 1 + random.below(last);
    let flag = ["\\Seen", "\\Deleted", "\\Flagged", "$Label"][random.below(4) as usize];
    match random.below(10) {
        0 | 1 => {
            let words = ["needle in it", "nothing", "more than nothing"][random.below(3) as usize];
            let subject = random.below(5);
            let text = format!("Subject: s{subject}\r\n\r\n{words}");
            format!("APPEND INBOX {{{}+}}\r\n{text}", text.len())
        }
        2 => format!("UID COPY {uid} INBOX"),
        3 => "EXPUNGE".to_owned(),
        4..=7 => format!("UID STORE {uid} +FLAGS.SILENT ({flag})"),
        8 => format!("UID STORE {uid}:{} -FLAGS.SILENT ({flag})", uid + 3),
        _ => "NOOP".to_owned(),
    }
}

#[tokio::test]
async fn results_are_those_of_a_new_search() {
    let number = |name: &str, else_: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(else_)
    };
    let mut random = Random::new(number("SEED", 5267));
    let house = House::build(Plan::default(), SimWorld::new(5267)).await;
    house.add_account("alice").await;
    for _ in 0..6 {
        house.add_message("alice", "INBOX").await;
    }
    let (mut watcher, mut other) = (session(&house, 1).await, session(&house, 2).await);
    let mut results: Vec<Vec<u32>> = Vec::new();
    let all_of = |said: &str| said.split_once(" ALL ").map_or(Vec::new(), |(_, set)| numbers(set));
    for (n, (verb, key, _)) in SEARCHES.iter().enumerate() {
        watcher.send(format!("t{n} UID {verb} RETURN (UPDATE ALL) {key}\r\n").as_bytes()).await;
        results.push(all_of(&watcher.line().await));
        assert!(watcher.line().await.starts_with(&format!("t{n} OK")));
    }
    let mut last = 6;
    for round in 0..number("ROUNDS", 400) {
        let line = change(&mut random, last);
        last += u64::from(line.starts_with("APPEND") || line.contains("COPY"));
        let mut updates = Vec::new();
        let mut note = |said: &str| {
            if said.starts_with("* ESEARCH") {
                updates.push(said.to_owned());
            }
        };
        match random.below(3) {
            0 => run(&mut watcher, &line, &mut note).await,
            _ => run(&mut other, &line, |_| {}).await,
        }
        // By message numbers, so that expunges are held back: results change all the same.
        let seen = if random.below(2) == 0 { "SEARCH ALL" } else { "NOOP" };
        run(&mut watcher, seen, &mut note).await;
        run(&mut watcher, "NOOP", &mut note).await;
        for said in updates {
            let (tag, rest) = said.strip_prefix("* ESEARCH (TAG \"t").unwrap().split_at(1);
            let rest = rest.strip_prefix("\") UID ").unwrap();
            apply(&mut results[tag.parse::<usize>().unwrap()], rest);
        }
        for ((verb, key, ordered), kept) in SEARCHES.iter().zip(&results) {
            let mut found = Vec::new();
            let command = format!("UID {verb} RETURN (ALL) {key}");
            run(&mut watcher, &command, |said| found = all_of(said)).await;
            assert_eq!(*kept, found, "round {round}: {line}, then {key}");
            assert!(*ordered || kept.is_sorted());
        }
    }
}
