//! Logins end to end, in every protocol: SCRAM as a client computes it, channel binding, app
//! passwords, and what attackers try (security.md AU-1, AU-3, AU-5).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use directory::Scope;
use directory::external::sql::{Database, Sql, SqlPlan};
use directory::external::{External, Source};
use server::listen::Service;
use sim::client::stand_still;
use sim::house::{House, Plan, address};
use sim::logins::{Scram, auth, is_challenge, is_refusal, is_success, ready};
use sim::world::SimWorld;
use std::time::Duration;
use store::NewAccount;
use sys::sqlite::SqliteClient;

const CLEAR: [Service; 3] = [Service::Submission, Service::Imap, Service::Pop3];
const TLS: [Service; 3] = [Service::Submissions, Service::Imaps, Service::Pop3s];

async fn house() -> House {
    let house = House::build(Plan::default(), SimWorld::new(7)).await;
    house.add_account("alice").await;
    house
}

fn alice<'a>(password: &'a str, header: &'a str, binding: Vec<u8>) -> Scram<'a> {
    Scram { user: "alice@example.org", password, header, binding }
}

#[tokio::test(start_paused = true)]
async fn scram_logs_in_with_and_without_binding() {
    let _still = sim::client::stand_still();
    let house = house().await;
    for service in CLEAR {
        let mut client = ready(&house, service).await;
        let (_, reply) =
            alice("wrong", "n,,", vec![]).login(&mut client, service, "SCRAM-SHA-256").await;
        assert!(!is_success(&reply) && !is_challenge(&reply), "{reply}");
        let (_, reply) =
            alice("secret", "n,,", vec![]).login(&mut client, service, "SCRAM-SHA-256").await;
        assert!(is_success(&reply), "{service:?}: {reply}");
    }
    for service in TLS {
        let mut client = ready(&house, service).await;
        let binding = client.tls.as_ref().unwrap().binding.clone().unwrap();
        let header = "p=tls-exporter,,";
        let plus = "SCRAM-SHA-256-PLUS";
        let (_, reply) =
            alice("secret", header, vec![0; 32]).login(&mut client, service, plus).await;
        assert!(!is_success(&reply), "{service:?}: another channel's binding is taken");
        // RFC 5802 §6: a client that believes we have no -PLUS was lied to.
        let (_, reply) =
            alice("secret", "y,,", vec![]).login(&mut client, service, "SCRAM-SHA-256").await;
        assert!(!is_success(&reply), "{service:?}: a downgrade goes unnoticed");
        let (_, reply) = alice("secret", header, binding).login(&mut client, service, plus).await;
        assert!(is_success(&reply), "{service:?}: {reply}");
    }
}

/// However a name is spelled, and a password: an account that was made with composed, decomposed or
/// full-width letters is the same one. RFC 4616 §2, RFC 5802 §5.1, RFC 4013 §2.
#[tokio::test(start_paused = true)]
async fn names_are_prepared_wherever_they_are_said() {
    let _still = sim::client::stand_still();
    let house = House::build(Plan::default(), SimWorld::new(9)).await;
    let all = [
        ["j\u{f6}rg", "jo\u{308}rg", "\u{ff2a}\u{f6}r\u{ff47}", "j\u{ad}o\u{308}rg"],
        ["a\u{308}nne", "\u{e4}nne", "\u{e4}nn\u{ff45}", "\u{e4}n\u{200d}ne"],
        ["\u{ff42}\u{ff4f}b", "bob", "\u{ff22}ob", "bo\u{2060}b"],
    ];
    let password = "se\u{301}same \u{2168}";
    let spoken = ["s\u{e9}same IX", "se\u{301}same\u{a0}\u{2168}"];
    for spellings in all {
        let secret = house.shared.directory.hash(password.to_owned()).await.unwrap();
        let new = |name| NewAccount { address: address(name), secret: secret.clone() };
        house.shared.store.account_add(new(spellings[0])).await.unwrap();
        for other in spellings {
            assert!(house.shared.store.account_add(new(other)).await.is_err(), "{other}");
        }
    }
    let mut salts = std::collections::HashSet::new();
    for (service, name) in
        CLEAR.into_iter().flat_map(|s| all.concat().into_iter().map(move |n| (s, n)))
    {
        let whole = format!("{name}@example.org");
        let far = whole.replace('@', "\u{ff20}");
        for (user, password) in [(name, spoken[0]), (&*whole, spoken[1]), (&*far, password)] {
            let mut client = ready(&house, service).await;
            let plain = STANDARD.encode(format!("{user}\0{user}\0{password}"));
            let reply = client.ask(&format!("{} {plain}", auth(service, "PLAIN"))).await;
            assert!(is_success(&reply), "{service:?} {user}: {reply}");
            let mut client = ready(&house, service).await;
            client.ask(&auth(service, "LOGIN")).await;
            client.ask(&STANDARD.encode(user)).await;
            let reply = client.ask(&STANDARD.encode(password)).await;
            assert!(is_success(&reply), "{service:?} {user}: {reply}");
            let mut client = ready(&house, service).await;
            let scram = Scram { user, ..alice(spoken[0], "n,,", vec![]) };
            let (salt, reply) = scram.login(&mut client, service, "SCRAM-SHA-256").await;
            assert!(is_success(&reply), "{service:?} {user}: {reply}");
            salts.insert(salt);
        }
    }
    assert_eq!(salts.len(), all.len());
    // Who is not there has one salt as well, however it is spelled.
    let mut client = ready(&house, Service::Imap).await;
    for user in ["n\u{e4}mo", "na\u{308}mo@example.org"] {
        let scram = Scram { user, ..alice("x", "n,,", vec![]) };
        salts.insert(scram.login(&mut client, Service::Imap, "SCRAM-SHA-256").await.0);
    }
    assert_eq!(salts.len(), all.len() + 1);
    let mut client = ready(&house, Service::Pop3).await;
    client.ask("UTF8").await;
    client.ask("USER \u{ff2a}o\u{308}rg").await;
    assert!(is_success(&client.ask(&format!("PASS {}", spoken[0])).await));
    let (user, password) = ("jo\u{308}rg", spoken[1]);
    let login =
        format!("a LOGIN {{{}+}}\r\n{user} {{{}+}}\r\n{password}", user.len(), password.len());
    let mut client = ready(&house, Service::Imap).await;
    let reply = client.ask(&login).await;
    assert!(is_success(&reply), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn au_1_who_is_not_there_looks_like_a_wrong_password() {
    let house = house().await;
    for service in CLEAR {
        let mut salts = Vec::new();
        let mut replies = Vec::new();
        for (user, times) in [("nobody@example.org", 2), ("alice@example.org", 1)] {
            for _ in 0..times {
                let mut client = ready(&house, service).await;
                let who = Scram { user, ..alice("wrong", "n,,", vec![]) };
                let (salt, reply) = who.login(&mut client, service, "SCRAM-SHA-256").await;
                salts.push(salt);
                replies.push(reply);
                let plain = STANDARD.encode(format!("\0{user}\0wrong"));
                let line = auth(service, "PLAIN");
                replies.push(client.ask(&format!("{line} {plain}")).await);
            }
        }
        assert_eq!(salts[0], salts[1], "a salt that changes tells that nobody is there");
        assert_eq!(salts[0].len(), salts[2].len());
        assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn au_3_broken_exchanges_end_themselves_and_nothing_else() {
    let _still = sim::client::stand_still();
    let house = house().await;
    let long = "A".repeat(13_000);
    let half = STANDARD.encode("n,,n=alice");
    let first = STANDARD.encode("n,,n=alice@example.org,r=x");
    let no_proof = STANDARD.encode("c=biws,r=x");
    let user = STANDARD.encode("alice@example.org");
    let scripts: [(&str, &[&str]); 14] = [
        ("PLAIN", &["*"]),
        ("PLAIN", &["!!!"]),
        ("PLAIN", &[""]),
        ("PLAIN", &[&user]),
        ("PLAIN", &[&long]),
        ("LOGIN", &["*"]),
        ("LOGIN", &["gICA"]),
        ("LOGIN", &[&user, "*"]),
        ("LOGIN", &[&user, "gICA"]),
        ("SCRAM-SHA-256", &[&half]),
        ("SCRAM-SHA-256", &[&first, "*"]),
        ("SCRAM-SHA-256", &[&first, &no_proof]),
        ("SCRAM-SHA-256", &[&first, &first]),
        ("SCRAM-SHA-1", &[&first, ""]),
    ];
    for service in CLEAR {
        // Another client in the middle of its login, which must not notice.
        let mut other = ready(&house, service).await;
        let asked = other.ask(&auth(service, "LOGIN")).await;
        assert!(is_challenge(&asked));
        for (mechanism, responses) in scripts {
            let mut client = ready(&house, service).await;
            let mut reply = client.ask(&auth(service, mechanism)).await;
            for response in responses {
                assert!(is_challenge(&reply), "{service:?} {mechanism} {responses:?}: {reply}");
                reply = client.ask(response).await;
            }
            assert!(!is_success(&reply) && !is_challenge(&reply), "{mechanism}: {reply}");
            // The session goes on, unless the line was longer than any may be. Acting as oneself,
            // by another name, is no harm.
            if responses != [&long] || service != Service::Imap {
                let plain = STANDARD.encode("alice\0alice@example.org\0secret");
                let line = auth(service, "PLAIN");
                let reply = client.ask(&format!("{line} {plain}")).await;
                assert!(is_success(&reply), "{service:?} {mechanism} {responses:?}: {reply}");
            }
        }
        assert!(is_challenge(&other.ask(&user).await));
        assert!(is_success(&other.ask(&STANDARD.encode("secret")).await));
    }
}

#[tokio::test(start_paused = true)]
async fn au_5_nobody_acts_as_somebody_else_and_disabling_counts_at_once() {
    let house = house().await;
    house.add_account("bob").await;
    for service in CLEAR {
        let mut client = ready(&house, service).await;
        let plain = STANDARD.encode("bob@example.org\0alice@example.org\0secret");
        let line = auth(service, "PLAIN");
        let reply = client.ask(&format!("{line} {plain}")).await;
        assert!(is_refusal(&reply), "{reply}");
        let mut client = ready(&house, service).await;
        let acting = alice("secret", "n,a=bob@example.org,", vec![]);
        let (_, reply) = acting.login(&mut client, service, "SCRAM-SHA-256").await;
        assert!(is_refusal(&reply), "{reply}");
        // As long as a response may be: RFC 4954 §4, RFC 5034 §4.
        let mut client = ready(&house, service).await;
        client.ask(&line).await;
        let reply = client.ask(&STANDARD.encode("x".repeat(9216))).await;
        assert!(reply.contains("not what the mechanism wants"), "{service:?}: {reply}");
    }
    // A password that was proven before is no way in once the account is switched off.
    let store = &house.shared.store;
    store.account_set_disabled(address("alice"), true).await.unwrap();
    for service in CLEAR {
        let mut client = ready(&house, service).await;
        let plain = STANDARD.encode("\0alice@example.org\0secret");
        let line = auth(service, "PLAIN");
        assert!(!is_success(&client.ask(&format!("{line} {plain}")).await));
        let (_, reply) =
            alice("secret", "n,,", vec![]).login(&mut client, service, "SCRAM-SHA-256").await;
        assert!(!is_success(&reply), "{reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn app_passwords_have_a_scope_and_are_taken_back() {
    let _still = sim::client::stand_still();
    let house = house().await;
    let (directory, alice) = (&house.shared.directory, address("alice"));
    let mut made = Vec::new();
    for (name, scope) in [("scanner", Scope::Send), ("phone", Scope::Read), ("laptop", Scope::Both)]
    {
        made.push((scope, directory.app_password_add(&alice, name, scope).await.unwrap()));
    }
    assert!(directory.app_password_add(&alice, "phone", Scope::Both).await.is_err());
    for service in CLEAR {
        for (scope, password) in &made {
            let mut client = ready(&house, service).await;
            let plain = STANDARD.encode(format!("\0alice@example.org\0{password}"));
            let line = auth(service, "PLAIN");
            let reply = client.ask(&format!("{line} {plain}")).await;
            let sends = service == Service::Submission;
            let covered = *scope == Scope::Both || (*scope == Scope::Send) == sends;
            assert_eq!(is_success(&reply), covered, "{service:?} {scope}: {reply}");
        }
    }
    assert_eq!(directory.app_password_remove(&alice, "laptop").await, Ok(true));
    assert_eq!(directory.app_passwords(&alice).unwrap().len(), 2);
    let mut client = ready(&house, Service::Submission).await;
    let plain = STANDARD.encode(format!("\0alice@example.org\0{}", made[2].1));
    assert!(!is_success(&client.ask(&format!("AUTH PLAIN {plain}")).await));
}

/// A hash that came from Dovecot is replaced at the first login, and SCRAM works from then on.
#[tokio::test(start_paused = true)]
async fn an_imported_hash_is_our_own_after_the_first_login() {
    let _still = sim::client::stand_still();
    let house = House::build(Plan::default(), SimWorld::new(5)).await;
    house.add_account("alice").await;
    let (store, directory) = (&house.shared.store, &house.shared.directory);
    let alice = sim::house::address("alice");
    let hash = "{SSHA256}lXT7qF+fT7OVoVlwD0tMd02E1ak2dLDbk993wZxIM65zYWx0MTIzNA==";
    directory.set_password(&alice, hash).await.unwrap();
    let phone = directory.app_password_add(&alice, "phone", directory::Scope::Both).await.unwrap();
    let login = async |password: &str| {
        let wanted = directory::Use::Read;
        let user = "alice@example.org";
        directory.authenticate(directory::Credentials { user, password, wanted }).await
    };
    let secret = || store.lookup(&alice).unwrap().account.unwrap().secret;
    assert!(login("wrong").await.is_err() && secret().starts_with(hash));
    assert!(login("secret").await.is_ok());
    assert!(secret().starts_with("$argon2id$") && secret().contains("\nscram sha256 "));
    assert!(login("secret").await.is_ok() && login(&phone).await.is_ok());
    assert!(login("wrong").await.is_err());
}

/// security.md AU-5: what is taken back ends the sessions that it opened, and no others. In real
/// time: where it is paused, waiting for the store lets idle sessions run out of time.
#[tokio::test]
async fn au_5_sessions_end_with_what_opened_them() {
    let house = house().await;
    let (directory, store) = (&house.shared.directory, &house.shared.store);
    let who = address("alice");
    let phone = directory.app_password_add(&who, "phone", Scope::Both).await.unwrap();
    for service in CLEAR {
        let tablet = directory.app_password_add(&who, "tablet", Scope::Both).await.unwrap();
        let mut open = Vec::new();
        for password in [&tablet, &phone, "secret"] {
            let mut client = ready(&house, service).await;
            let plain = STANDARD.encode(format!("\0alice\0{password}"));
            assert!(is_success(&client.ask(&format!("{} {plain}", auth(service, "PLAIN"))).await));
            open.push(client);
        }
        let mut by_scram = ready(&house, service).await;
        let (_, reply) =
            alice("secret", "n,,", vec![]).login(&mut by_scram, service, "SCRAM-SHA-256").await;
        assert!(is_success(&reply));
        open.push(by_scram);
        assert_eq!(directory.app_password_remove(&who, "tablet").await, Ok(true));
        let goodbye = match service {
            Service::Imap => "* BYE [EXPIRED] ",
            Service::Pop3 => "-ERR [AUTH] ",
            _ => "421 4.7.0 ",
        };
        let mut open = open.into_iter();
        let mut gone = open.next().unwrap();
        assert!(gone.reply().await.starts_with(goodbye) && gone.line().await.is_empty());
        for mut client in open {
            let reply = client.ask("a NOOP").await;
            assert!(!reply.is_empty() && !reply.starts_with(goodbye), "{reply}");
        }
    }
    // An imported hash gives way to one of ours: that is the same password.
    let hash = "{SSHA256}lXT7qF+fT7OVoVlwD0tMd02E1ak2dLDbk993wZxIM65zYWx0MTIzNA==";
    directory.set_password(&who, hash).await.unwrap();
    let row = store.lookup(&who).unwrap().account.unwrap();
    let by = directory::secret::Secret::parse(&row.secret).proof();
    let early = directory::Authenticated { account: row.id, address: row.address, by };
    let mut lease = directory.lease(&early).unwrap().unwrap();
    let mut client = ready(&house, Service::Imap).await;
    assert!(is_success(&client.ask("a LOGIN alice secret").await));
    assert!(store.lookup(&who).unwrap().account.unwrap().secret.starts_with("$argon2id$"));
    house.quiesce().await;
    let now = tokio::time::timeout(std::time::Duration::ZERO, lease.revoked()).await;
    assert!(now.is_err(), "the login before the change has ended");
    assert!(client.ask("b NOOP").await.starts_with("b OK"));
    let new = directory.hash("other".to_owned()).await.unwrap();
    directory.set_password(&who, &new).await.unwrap();
    lease.revoked().await;
    assert!(client.line().await.starts_with("* BYE "));
}

/// A login costs no write; uses are told at once, and written down together.
#[tokio::test(start_paused = true)]
async fn app_passwords_tell_their_last_use() {
    let _still = sim::client::stand_still();
    let house = house().await;
    let (directory, store) = (&house.shared.directory, &house.shared.store);
    let who = address("alice");
    let phone = directory.app_password_add(&who, "phone", Scope::Both).await.unwrap();
    directory.app_password_add(&who, "tablet", Scope::Both).await.unwrap();
    let secret = || store.lookup(&who).unwrap().account.unwrap().secret;
    let before = secret();
    for password in [phone.as_str(), "secret", "wrong"] {
        let mut client = ready(&house, Service::Imap).await;
        client.ask(&format!("a LOGIN alice {password}")).await;
    }
    let used = || {
        let apps = directory.app_passwords(&who).unwrap();
        let used = apps.iter().map(|app| app.used.map(|used| (used.at, used.from.to_string())));
        used.collect::<Vec<_>>()
    };
    let now = house.shared.world.clock.unix_seconds();
    let expected = [Some((now, "192.0.2.1".to_owned())), None];
    assert_eq!(used(), expected);
    assert_eq!(secret(), before, "no write for a login");
    directory.write_uses().await;
    assert_eq!(used(), expected);
    assert!(secret() != before && secret().contains(" 192.0.2.1\n"));
    let written = secret();
    directory.write_uses().await;
    assert_eq!(secret(), written);
    let mut client = ready(&house, Service::Imap).await;
    assert!(is_success(&client.ask(&format!("a LOGIN alice {phone}")).await));
}

/// Any mechanism, fed with pieces of good messages and with noise, in any order: it ends by itself,
/// lets nobody in, and the session goes on (security.md AU-3).
#[tokio::test(start_paused = true)]
async fn au_3_exchanges_of_noise_let_nobody_in() {
    let _still = sim::client::stand_still();
    let house = house().await;
    let directory = &house.shared.directory;
    let random = sim::world::SimRandom::new(11);
    let draw = |n: u32| sys::random::Random::u32(&random) % n;
    let pieces = [
        "n,,",
        "y,,",
        "p=tls-exporter,,",
        "n=alice",
        "n=alice@example.org",
        ",r=x",
        "c=biws",
        ",p=",
        "AAAA",
        "\0",
        "alice",
        "secre",
        "\x01",
        "auth=Bearer ",
        "user=alice",
        "=2C",
        ",",
        "=",
        "v=",
        "\u{85}",
    ];
    let names = protocol::sasl::names(
        protocol::machine::Security::CertifiedBoundTls,
        protocol::sasl::Offered { scram: true, bearer: true },
    );
    let names: Vec<&str> = names.collect();
    for _ in 0..4000 {
        let offered = protocol::sasl::Offered { scram: true, bearer: true };
        let security = protocol::machine::Security::CertifiedBoundTls;
        let name = names[draw(names.len() as u32) as usize];
        let mechanism = protocol::sasl::Mechanism::parse(name, security, offered).unwrap();
        let message = || -> Vec<u8> {
            let parts = (0..draw(8)).map(|_| pieces[draw(pieces.len() as u32) as usize]);
            let mut octets = parts.collect::<String>().into_bytes();
            if draw(4) == 0 {
                octets.push(draw(256) as u8);
            }
            octets
        };
        let first = (draw(2) == 0).then(&message);
        let mut step = protocol::sasl::Client::Begins(mechanism, first);
        let mut exchange = None;
        for round in 0.. {
            assert!(round < 6, "{name} does not end");
            let channel = directory::Channel {
                wanted: directory::Use::Read,
                binding: Some(vec![1; 32]),
                certificate: None,
            };
            match directory.sasl(exchange.take(), step, channel).await {
                Ok(directory::Progress::Challenge(_, next)) => exchange = Some(next),
                Ok(directory::Progress::Done(who)) => panic!("{name} lets {who:?} in"),
                Err(_) => break,
            }
            step = protocol::sasl::Client::Responds(message());
        }
    }
}

/// RFC 4422 §3.2: a server says which mechanisms there are before it knows who comes. Those who
/// cannot use SCRAM, because their password is elsewhere, are told what a wrong password is told.
#[tokio::test(start_paused = true)]
async fn scram_beside_another_directory_is_for_accounts_that_are_here() {
    let _still = stand_still();
    for offered in [false, true] {
        let world = SimWorld::new(12);
        let nowhere = SqliteClient::new(std::path::Path::new("/nonexistent/people.db"));
        let plan = SqlPlan {
            login_query: "SELECT address, hash FROM people WHERE address = $1".to_owned(),
            address_query: "SELECT address FROM people WHERE address = $1".to_owned(),
        };
        let source = Source::Sql(Sql::new(Database::Sqlite(nowhere), plan).unwrap());
        let external = External::new(source, world.as_seen().clock, Duration::ZERO);
        let directory = directory::Settings {
            external: Some(external),
            scram_with_external: offered,
            ..Default::default()
        };
        let house = House::build(Plan { directory, ..Plan::default() }, world).await;
        house.add_account("alice").await;
        let (address, secret) = (address("ann"), "external".to_owned());
        house.shared.store.account_add(NewAccount { address, secret }).await.unwrap();
        let mut client = ready(&house, Service::Pop3).await;
        client.send(b"CAPA\r\n").await;
        let mut capabilities = Vec::new();
        while capabilities.last().is_none_or(|line| line != ".") {
            capabilities.push(client.line().await);
        }
        let named = capabilities.iter().any(|line| line.contains("SCRAM-SHA-256"));
        assert_eq!(named, offered, "{capabilities:?}");
        if !offered {
            continue;
        }
        let mut replies = Vec::new();
        for user in ["alice@example.org", "ann@example.org", "eve@example.org"] {
            let mut client = ready(&house, Service::Pop3).await;
            let wrong = Scram { user, password: "wrong", header: "n,,", binding: vec![] };
            let (salt, reply) = wrong.login(&mut client, Service::Pop3, "SCRAM-SHA-256").await;
            assert_eq!(salt.len(), 24, "{user}: {salt}");
            replies.push(reply);
        }
        assert!(replies[0].starts_with("-ERR [AUTH]"), "{replies:?}");
        assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
        let right = alice("secret", "n,,", vec![]);
        let (_, reply) = right.login(&mut client, Service::Pop3, "SCRAM-SHA-256").await;
        assert!(reply.starts_with("+OK"), "the other directory is not asked: {reply}");
    }
}
