//! MTA-STS for mail that leaves, against web servers and mail servers in the simulated network: who
//! gets a message under which policy (RFC 8461 §4, §5; users.md S-50). SM-5's whole product, with
//! DANE, is in dane.rs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sim::house::{House, Plan};
use sim::neighbour::{
    MX, Neighbour, Offers, PROVEN, UNPROVEN, answer, house, policy, publish, reply, send,
};
use sim::world::{Ground, SimWorld};
use std::path::Path;
use std::time::Duration;

/// What a domain says of its servers, as far as it can be had.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sts {
    Nothing,
    ModeNone,
    Testing,
    Enforce,
    /// It was in force until now.
    Expired,
    /// There is a record, and no web server.
    Unfetched,
    /// An operator wants none of it.
    SwitchedOff,
}

/// RFC 8461 §4, §5: the whole table. Only an enforced policy that is in force keeps mail back.
#[tokio::test(start_paused = true)]
async fn sm_5_s_50_who_gets_mail_by_which_policy() {
    let _still = sim::client::stand_still();
    use Sts::{Enforce, Expired, ModeNone, Nothing, SwitchedOff, Testing, Unfetched};
    for sts in [Nothing, ModeNone, Testing, Enforce, Expired, Unfetched, SwitchedOff] {
        for named in [true, false] {
            for offers in [Offers::Proven, Offers::SelfSigned, Offers::NoTls] {
                let case = format!("{sts:?}, named: {named}, {offers:?}");
                let (mode, max_age) = match sts {
                    ModeNone => ("none", 86_400),
                    Testing => ("testing", 86_400),
                    Expired => ("enforce", 0),
                    _ => ("enforce", 86_400),
                };
                let mx = if named { "*.example.net" } else { "other.example.net" };
                let policy = (sts != Unfetched).then(|| answer(&policy(mode, mx, max_age)));
                let mut plan = Plan::default();
                plan.delivery.mta_sts = sts != SwitchedOff;
                let house = house(plan).await;
                if sts != Nothing {
                    publish(&house, "1");
                }
                let town = Neighbour::open(&house, offers, policy);
                let left = send(&house, "", "").await;
                let waits = sts == Enforce && !(named && offers == Offers::Proven);
                assert_eq!(left.is_some(), waits, "{case}: {}", reply(left.as_ref()));
                let came: Vec<bool> = town.came().iter().map(|(secured, _)| *secured).collect();
                let expected = if waits { vec![] } else { vec![offers != Offers::NoTls] };
                assert_eq!(came, expected, "{case}");
                if waits {
                    let said = reply(left.as_ref());
                    let why = if named { "is not safe" } else { "does not name" };
                    assert!(said.contains("MTA-STS") && said.contains(why), "{case}: {said}");
                }
                // A server that the policy does not name is not even asked.
                let asked = *town.connections.lock().unwrap() > 0;
                assert_eq!(asked, sts != Enforce || named, "{case}");
            }
        }
    }
}

/// RFC 8461 §3.3: what comes with a redirection, another media type or too much is no policy.
#[tokio::test(start_paused = true)]
async fn what_is_no_policy_keeps_nothing_back() {
    let _still = sim::client::stand_still();
    let good = answer(&policy("enforce", "other.example.net", 86_400));
    let long = format!("{}{}", policy("enforce", "x.example.net", 9), "x: y\r\n".repeat(20_000));
    for wrong in [
        good.replace("200 OK", "302 Found\r\nLocation: https://mta-sts.example.net/x"),
        good.replace("200 OK", "404 Not Found"),
        good.replace("200 OK", "206 Partial Content"),
        good.replace("text/plain", "text/html"),
        good.replace("Content-Type", "X-Type"),
        good.replace("STSv1", "STSv2"),
        good.replace("HTTP/1.1", "nonsense"),
        answer(&long),
        String::new(),
    ] {
        let house = house(Plan::default()).await;
        publish(&house, "1");
        let town = Neighbour::open(&house, Offers::NoTls, Some(wrong.clone()));
        assert!(send(&house, "", "").await.is_none(), "{wrong}");
        assert_eq!((town.came().len(), *town.asked.lock().unwrap()), (1, 1), "{wrong}");
        // RFC 8461 §3.3: nobody is asked again for five minutes.
        assert!(send(&house, "", "").await.is_none());
        assert_eq!(*town.asked.lock().unwrap(), 1);
    }
}

/// RFC 8461 §3.3, §5.1: whoever silences DNS and the web server does not end a policy; its time
/// does, and so does a new one.
#[tokio::test(start_paused = true)]
async fn a_policy_stays_in_force_until_its_end_or_a_new_one() {
    let _still = sim::client::stand_still();
    let house = house(Plan::default()).await;
    publish(&house, "1");
    let enforce = policy("enforce", "other.example.net", 2 * 86_400);
    let town = Neighbour::open(&house, Offers::NoTls, Some(answer(&enforce)));
    assert!(send(&house, "", "").await.is_some());
    house.world.dns.fail_texts("_mta-sts.example.net", true);
    *town.answer.lock().unwrap() = String::new();
    house.advance(Duration::from_secs(3600)).await;
    assert!(send(&house, "", "").await.is_some(), "DNS does not answer");
    house.world.dns.fail_texts("_mta-sts.example.net", false);
    publish(&house, "2");
    house.advance(Duration::from_secs(3600)).await;
    assert!(send(&house, "", "").await.is_some(), "the web server does not answer");
    house.world.dns.clear_texts("_mta-sts.example.net");
    house.advance(Duration::from_secs(86_400)).await;
    assert!(send(&house, "", "").await.is_some(), "there is no record any more");
    assert_eq!(town.came().len(), 0);
    house.advance(Duration::from_secs(86_400)).await;
    assert!(send(&house, "", "").await.is_none(), "it has ended");
    // Another one in force, and one that takes its place.
    publish(&house, "3");
    *town.answer.lock().unwrap() = answer(&enforce);
    house.advance(Duration::from_secs(400)).await;
    assert!(send(&house, "", "").await.is_some());
    publish(&house, "4");
    *town.answer.lock().unwrap() = answer(&policy("none", "other.example.net", 86_400));
    town.came();
    house.advance(Duration::from_secs(400)).await;
    assert!(send(&house, "", "").await.is_none());
    assert!(!town.came().is_empty());
}

/// A restart forgets no policy, and asks for none that is known.
#[tokio::test(start_paused = true)]
async fn a_policy_outlives_a_restart() {
    let _still = sim::client::stand_still();
    let world = SimWorld { ground: Some(Ground::default()), ..SimWorld::new(6) };
    let first = House::build(Plan::default(), world.clone()).await;
    first.add_account("alice").await;
    publish(&first, "1");
    let enforce = policy("enforce", "other.example.net", 86_400);
    let town = Neighbour::open(&first, Offers::NoTls, Some(answer(&enforce)));
    assert!(send(&first, "", "").await.is_some());
    drop(first);
    let second = House::build(Plan::default(), world).await;
    assert!(send(&second, "", "").await.is_some());
    assert_eq!((*town.asked.lock().unwrap(), town.came().len()), (1, 0));
    second.world.dns.fail_texts("_mta-sts.example.net", true);
    second.advance(Duration::from_secs(400)).await;
    assert!(send(&second, "", "").await.is_some());
}

/// RFC 8689 §3: `TLS-Required: No` asks to ignore policies, unless REQUIRETLS was said.
#[tokio::test(start_paused = true)]
async fn tls_required_no_ignores_a_policy() {
    let _still = sim::client::stand_still();
    let house = house(Plan::default()).await;
    publish(&house, "1");
    let town = Neighbour::open(
        &house,
        Offers::NoTls,
        Some(answer(&policy("enforce", "other.example.net", 99))),
    );
    for header in ["TLS-Required: No\r\n", "To: b\r\ntls-required:\r\n no \r\n"] {
        assert!(send(&house, "", header).await.is_none(), "{header}");
        assert_eq!(town.came().len(), 1, "{header}");
        // The connection that it left is not good enough for others.
        assert!(send(&house, "", "").await.is_some());
    }
    for header in ["TLS-Required: Yes\r\n", "TLS-Required: No\r\nTLS-Required: No\r\n"] {
        assert!(send(&house, "", header).await.is_some(), "{header}");
    }
    assert!(send(&house, " REQUIRETLS", "TLS-Required: No\r\n").await.is_none());
    assert_eq!(town.came().len(), 0, "it came back");
}

/// RFC 8689 §2: a policy vouches for an MX, enforced or tested; a server that it does not name, or
/// without a proven certificate, gets nothing, and the message comes back.
#[tokio::test(start_paused = true)]
async fn requiretls_leaves_where_a_policy_vouches() {
    let _still = sim::client::stand_still();
    for (mode, mx, offers, goes) in [
        ("enforce", PROVEN, Offers::Proven, true),
        ("testing", PROVEN, Offers::Proven, true),
        ("testing", "other.example.net", Offers::Proven, false),
        ("enforce", "other.example.net", Offers::Proven, false),
        ("testing", UNPROVEN, Offers::SelfSigned, false),
        ("enforce", PROVEN, Offers::NoTls, false),
        ("none", PROVEN, Offers::Proven, false),
    ] {
        let house = house(Plan::default()).await;
        publish(&house, "1");
        let town = Neighbour::open(&house, offers, Some(answer(&policy(mode, mx, 86_400))));
        assert!(send(&house, " REQUIRETLS", "").await.is_none(), "{mode} {mx} {offers:?}");
        let expected = vec![(true, "MAIL FROM:<alice@example.org> REQUIRETLS".to_owned())];
        let expected = if goes { expected } else { vec![] };
        assert_eq!(town.came(), expected, "{mode} {mx} {offers:?}");
    }
}

/// RFC 8461 §5.1: the next server that does is taken. A fixed route has no policy.
#[tokio::test(start_paused = true)]
async fn the_next_server_is_tried_and_a_route_has_no_policy() {
    let _still = sim::client::stand_still();
    let house = house(Plan::default()).await;
    publish(&house, "1");
    let town =
        Neighbour::open(&house, Offers::Proven, Some(answer(&policy("enforce", PROVEN, 86_400))));
    house.world.dns.add_mx("example.net", 5, "evil.example.com");
    house.world.dns.add_address("evil.example.com", "192.0.2.66".parse().unwrap());
    let evil = house.world.net.open("192.0.2.66:25".parse().unwrap());
    assert!(send(&house, "", "").await.is_none());
    assert_eq!(town.came().len(), 1);
    assert!(evil.is_quiet().await);
    let domain = mail::Domain::parse("example.net").unwrap();
    let store = &house.shared.store;
    store.route_add(domain, "self.example.net:25".to_owned()).await.unwrap();
    house.world.dns.add_address("self.example.net", MX.parse().unwrap());
    house.advance(Duration::from_secs(10)).await;
    assert!(send(&house, "", "").await.is_none());
    assert_eq!(town.came().len(), 1);
}

/// Strangers choose which policies are kept, so they are bounded: the one goes that ends first.
#[tokio::test]
async fn policies_are_bounded() {
    let world = SimWorld { ground: Some(Ground::default()), ..SimWorld::new(7) };
    let store = world.open_store(store::Options::new(Path::new("/data"))).unwrap();
    let now = sim::world::NEW_YEAR / 1000;
    let most = i64::try_from(store::limits::MAIL_POLICIES_MAX).unwrap();
    for n in 0..most + 1 {
        let until = now + 1000 + (n + 7) % most;
        store.keep_mail_policy(format!("d{n}.example"), until, b"x".to_vec()).await.unwrap();
    }
    let there = |n: i64| store.mail_policy(&format!("d{n}.example")).unwrap().is_some();
    let gone: Vec<i64> = (0..=most).filter(|n| !there(*n)).collect();
    assert_eq!(gone, [most - 7]);
}
