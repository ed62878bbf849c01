//! Who is speaking, users.md §5.2: SPF, DKIM, DMARC over whole sessions.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mail::Domain;
use policy::counted::Counted;
use policy::dkim::{Signer, SigningKey, new_ed25519};
use policy::limits::DNS_WAIT;
use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan, address};
use sim::world::SimWorld;
use std::net::IpAddr;
use std::sync::Arc;
use sys::resolver::{DnsError, Mx, Resolver};

const PEER: [u8; 4] = [192, 0, 2, 10];

async fn house(settings: &[(&str, &str)]) -> House {
    let mut plan = Plan::default();
    plan.set("judge", "true").unwrap();
    for (key, value) in settings {
        plan.set(key, value).unwrap();
    }
    let house = House::build(plan, SimWorld::new(3)).await;
    house.add_account("alice").await;
    house
}

/// Gives a message; the last reply, and the messages in INBOX and Junk afterwards.
async fn give(house: &House, sender: &str, text: &str) -> String {
    give_with(house, sender, "", text).await
}

async fn give_with(house: &House, sender: &str, parameters: &str, text: &str) -> String {
    let mut client = Client::connect(house, Service::Smtp, PEER).await;
    client.line().await;
    client.send(b"EHLO mail.example.net\r\n").await;
    while !client.line().await.starts_with("250 ") {}
    let envelope =
        format!("MAIL FROM:<{sender}>\r\nRCPT TO:<alice@example.org>{parameters}\r\nDATA\r\n");
    client.send(envelope.as_bytes()).await;
    for code in ["250", "250", "354"] {
        let line = client.line().await;
        assert!(line.starts_with(code), "{line}");
    }
    client.send(format!("{text}.\r\n").as_bytes()).await;
    let reply = client.line().await;
    house.quiesce().await;
    reply
}

/// The messages of one of alice's mailboxes.
async fn messages(house: &House, mailbox: &str) -> Vec<String> {
    let store = &house.shared.store;
    let account = store.lookup(&address("alice")).unwrap().account.unwrap().id;
    let mailboxes = store.mailboxes(account).unwrap();
    let row = mailboxes.into_iter().find(|row| row.name.as_str() == mailbox).unwrap();
    let listing = store.select(row.id).await.unwrap().listing;
    let whole = |id| String::from_utf8(store.content(id, 0..u64::MAX).unwrap()).unwrap();
    listing.iter().map(|entry| whole(entry.content)).collect()
}

fn text(author: &str) -> String {
    format!("From: {author}\r\nTo: alice@example.org\r\nSubject: hi\r\n\r\nA line \r\n")
}

/// The message, signed by a domain whose key is published.
fn signed(house: &House, domain: &str, text: &str) -> String {
    let domain = Domain::parse(domain).unwrap();
    let key = SigningKey::new(&domain, "s1", &new_ed25519().unwrap()).unwrap();
    house.world.dns.clear_texts(&key.name());
    house.world.dns.add_text(&key.name(), key.record().as_bytes());
    let mut signer = Signer::default();
    signer.feed(text.as_bytes());
    format!("{}{text}", signer.finish(&[key], sim::world::NEW_YEAR / 1000))
}

#[tokio::test(start_paused = true)]
async fn s_15_spf_is_written_down_and_only_dmarc_refuses() {
    let _still = sim::client::stand_still();
    let house = house(&[]).await;
    let dns = &house.world.dns;
    // Eleven look-ups, a domain that does not answer, and one that forbids: all are taken.
    let many: String = (0..11).map(|n| format!("a:h{n}.example.net ")).collect();
    for n in 0..11 {
        dns.add_address(&format!("h{n}.example.net"), "198.51.100.1".parse().unwrap());
    }
    dns.add_text("example.net", format!("v=spf1 {many}-all").as_bytes());
    dns.add_text("example.com", b"v=spf1 -all");
    dns.fail("example.edu");
    for (domain, result) in
        [("example.net", "permerror"), ("example.com", "fail"), ("example.edu", "temperror")]
    {
        let reply = give(&house, &format!("f@{domain}"), &text("f@example.test")).await;
        assert!(reply.starts_with("250 "), "{reply}");
        let whole = messages(&house, "INBOX").await.pop().unwrap();
        let of = |line: &str, property: &str| {
            let (_, rest) = whole.split_once(line).unwrap();
            rest.split(';').next().unwrap().contains(property)
        };
        assert!(of(&format!("spf={result}\r\n"), &format!("smtp.mailfrom=f@{domain}")), "{whole}");
        assert!(of("spf=none\r\n", "smtp.helo=mail.example.net"), "{whole}");
    }
    // The look-ups were too many, or DNS does not answer: then only DMARC wants to know.
    dns.add_text("_dmarc.example.net", b"v=DMARC1; p=reject");
    let reply = give(&house, "f@example.net", &text("f@example.net")).await;
    assert!(reply.starts_with("550 5.7.1 "), "{reply}");
    dns.fail_texts("example.net", true);
    let reply = give(&house, "f@example.net", &text("f@example.net")).await;
    assert!(reply.starts_with("451 4.7.0 "), "{reply}");
    // Whom DKIM proves needs no SPF.
    let proven = signed(&house, "example.net", &text("f@example.net"));
    let reply = give(&house, "f@example.net", &proven).await;
    assert!(reply.starts_with("250 "), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn s_16_dmarc_waits_for_dns_and_spares_forwarders_that_are_known() {
    let _still = sim::client::stand_still();
    let house = house(&[("forwarders", "lists.example"), ("forwarders", "198.51.100.0/24")]).await;
    let dns = &house.world.dns;
    dns.add_text("_dmarc.example.net", b"v=DMARC1; p=reject");
    let proven = signed(&house, "example.net", &text("f@example.net"));
    dns.fail_texts("s1._domainkey.example.net", true);
    let reply = give(&house, "f@example.com", &proven).await;
    assert!(reply.starts_with("451 4.7.0 "), "{reply}");
    dns.fail_texts("s1._domainkey.example.net", false);
    let reply = give(&house, "f@example.com", &proven).await;
    assert!(reply.starts_with("250 "), "{reply}");
    // A list adds a footer and signs itself.
    let with_footer = format!("{proven}-- \r\na list\r\n");
    let reply = give(&house, "f@example.com", &with_footer).await;
    assert!(reply.starts_with("550 5.7.1 "), "{reply}");
    let by_list = signed(&house, "lists.example", &with_footer);
    let reply = give(&house, "f@example.com", &by_list).await;
    assert!(reply.starts_with("250 "), "{reply}");
    let last = messages(&house, "INBOX").await.pop().unwrap();
    assert!(last.contains("dmarc=fail") && last.contains("the body was changed"), "{last}");
    assert!(messages(&house, "Junk").await.is_empty());
}

/// Signatures that nobody can check, and those of others, are no harm: one of the author's will do.
#[tokio::test(start_paused = true)]
async fn s_18_one_aligned_signature_is_enough() {
    let _still = sim::client::stand_still();
    let house = house(&[]).await;
    house.world.dns.add_text("_dmarc.example.net", b"v=DMARC1; p=reject");
    let proven = signed(&house, "example.net", &text("f@example.net"));
    let by_list = signed(&house, "lists.example", &proven);
    let fields: String = ["rsa-sha1", "dilithium-sha3", "ed25519-sha256"]
        .iter()
        .map(|algorithm| {
            format!(
                "DKIM-Signature: v=1; a={algorithm}; d=example.net; s=s9;\r\n\
                 \th=From; bh=AA==; b=AA==\r\n"
            )
        })
        .collect();
    for message in [proven.clone(), format!("{fields}{proven}"), format!("{fields}{by_list}")] {
        let reply = give(&house, "f@example.com", &message).await;
        assert!(reply.starts_with("250 "), "{reply}");
        let stored = messages(&house, "INBOX").await.pop().unwrap();
        assert!(stored.contains("dmarc=pass"), "{stored}");
    }
    let theirs = signed(&house, "lists.example", &format!("{fields}{}", text("f@example.net")));
    let reply = give(&house, "f@example.com", &theirs).await;
    assert!(reply.starts_with("550 5.7.1 "), "{reply}");
}

/// No author is chosen from several: what each of their domains wants is done, and where readers
/// see different ones none passes. RFC 9989 §5.3.1.
#[tokio::test(start_paused = true)]
async fn a_message_does_not_pass_by_one_of_its_authors() {
    let _still = sim::client::stand_still();
    let house = house(&[]).await;
    let dns = &house.world.dns;
    dns.add_text("_dmarc.bank.example", b"v=DMARC1; p=reject");
    for domain in ["example.net", "example.com"] {
        dns.add_text(domain, b"v=spf1 ip4:192.0.2.10 -all");
        dns.add_text(&format!("_dmarc.{domain}"), b"v=DMARC1; p=reject");
    }
    let (bank, proven) = ("<ceo@bank.example>", "<f@example.net>");
    for author in [
        format!("{bank} {proven}"),
        format!("{proven} {bank}"),
        format!("\"x\" {bank}\r\n\t(y) {proven}"),
        format!("{bank}, {proven}"),
        format!("{proven}\r\nFrom: {bank}"),
        format!("{bank}\r\nFrom: {proven}"),
    ] {
        let reply = give(&house, "f@example.net", &text(&author)).await;
        assert!(reply.starts_with("550 5.7.1 bank.example wants "), "{author}: {reply}");
    }
    // Whom nothing else speaks against is told of, and looked at.
    let many = "<f@example.net>,".repeat(10_000) + bank;
    for author in ["<f@nowhere.example> <f@example.net>", "<f@example.net> <g@example.net>", &many]
    {
        let reply = give(&house, "f@example.net", &text(author)).await;
        assert!(reply.starts_with("250 "), "{reply}");
        let stored = messages(&house, "Junk").await.pop().unwrap();
        assert!(stored.contains("dmarc=permerror") && !stored.contains("dmarc=pass"), "{stored}");
    }
    assert_eq!(messages(&house, "Junk").await.len(), 3);
    let reply = give(&house, "f@example.net", &text(proven)).await;
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(messages(&house, "INBOX").await.len(), 1);
}

/// RFC 5322 §3.4 wants a name with a comma in quotes, and programs forget them: there is one
/// address all the same, and its domain decides. What looks like another makes it unclear.
#[tokio::test(start_paused = true)]
async fn a_name_with_a_comma_is_no_other_author() {
    let _still = sim::client::stand_still();
    let house = house(&[]).await;
    let dns = &house.world.dns;
    for domain in ["example.net", "bank.example"] {
        dns.add_text(domain, b"v=spf1 ip4:192.0.2.10 -all");
        dns.add_text(&format!("_dmarc.{domain}"), b"v=DMARC1; p=reject");
    }
    let named =
        ["Doe, John <f@example.net>", "Doe Jr, John (x) <f@example.net>", "f@example.net, Doe"];
    for author in named {
        let reply = give(&house, "f@example.net", &text(author)).await;
        assert!(reply.starts_with("250 "), "{author}: {reply}");
        let stored = messages(&house, "INBOX").await.pop().unwrap();
        assert!(stored.contains("dmarc=pass") && stored.contains(author), "{stored}");
        let reply = give(&house, "f@example.com", &text(author)).await;
        assert!(reply.starts_with("550 5.7.1 example.net wants "), "{author}: {reply}");
    }
    assert_eq!(messages(&house, "INBOX").await.len(), named.len());
    for (n, author) in [
        "\"ceo@bank.example\", f@example.net",
        "\"ceo@bank.example Ltd\", f@example.net",
        "Doe",
        "Doe, John",
        "<Doe>",
    ]
    .into_iter()
    .enumerate()
    {
        let reply = give(&house, "f@example.net", &text(author)).await;
        assert!(reply.starts_with("250 "), "{author}: {reply}");
        assert_eq!(messages(&house, "Junk").await.len(), n + 1, "{author}");
    }
}

#[tokio::test(start_paused = true)]
async fn s_22_what_is_stored_still_verifies() {
    let house = house(&[]).await;
    let dns = &house.world.dns;
    dns.add_text("_dmarc.example.net", b"v=DMARC1; p=reject");
    let proven = signed(&house, "example.net", &text("f@example.net"));
    for long in [0, 2_000_000] {
        let more = "0123456789abcde\r\n".repeat(long / 17);
        let proven = signed(&house, "example.net", &format!("{}{more}", text("f@example.net")));
        let reply = give(&house, "f@example.net", &proven).await;
        assert!(reply.starts_with("250 "), "{reply}");
        let stored = messages(&house, "INBOX").await.pop().unwrap();
        assert!(stored.ends_with(&proven) && stored.contains("dkim=pass"), "trace goes in front");
        // As it is stored, it comes by another way.
        let reply = give(&house, "other@example.com", &stored).await;
        assert!(reply.starts_with("250 "), "{reply}");
    }
    assert!(proven.starts_with("DKIM-Signature: "));
}

#[tokio::test(start_paused = true)]
async fn s_62_nobody_hears_of_mail_that_is_forged() {
    let _still = sim::client::stand_still();
    let house = house(&[]).await;
    let dns = &house.world.dns;
    dns.add_text("_dmarc.example.net", b"v=DMARC1; p=reject");
    dns.add_text("_dmarc.example.com", b"v=DMARC1; p=quarantine");
    let route = "192.0.2.9:25".to_owned();
    for domain in ["example.net", "example.com"] {
        let domain = Domain::parse(domain).unwrap();
        house.shared.store.route_add(domain, route.clone()).await.unwrap();
    }
    let notify = " NOTIFY=SUCCESS,FAILURE,DELAY";
    let reply = give_with(&house, "f@example.net", notify, &text("f@example.net")).await;
    assert!(reply.starts_with("550 5.7.1 "), "{reply}");
    let reply = give_with(&house, "f@example.com", notify, &text("f@example.com")).await;
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(messages(&house, "Junk").await.len(), 1);
    let queued = house.shared.store.queue_list(&Default::default()).unwrap();
    assert!(queued.is_empty(), "no report waits");
}

#[tokio::test(start_paused = true)]
async fn who_logged_in_and_who_is_trusted_is_not_judged() {
    let _still = sim::client::stand_still();
    let house = House::build(Plan::default(), SimWorld::new(3)).await;
    house.add_account("alice").await;
    house.world.dns.add_text("_dmarc.example.net", b"v=DMARC1; p=reject");
    let before = house.world.dns.asked();
    let reply = give(&house, "f@example.net", &text("f@example.net")).await;
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(house.world.dns.asked(), before, "DNS is not asked");
    let stored = messages(&house, "INBOX").await.pop().unwrap();
    assert!(!stored.contains("Authentication-Results"), "{stored}");
}

#[tokio::test(start_paused = true)]
async fn observing_refuses_nothing() {
    let _still = sim::client::stand_still();
    let house = house(&[("dmarc", "observe")]).await;
    house.world.dns.add_text("_dmarc.example.net", b"v=DMARC1; p=reject");
    let reply = give(&house, "f@example.net", &text("f@example.net")).await;
    assert!(reply.starts_with("250 "), "{reply}");
    let stored = messages(&house, "INBOX").await.pop().unwrap();
    assert!(stored.contains("dmarc=fail") && stored.contains("policy.dmarc=reject"), "{stored}");
}

/// What a stranger hears at RCPT.
async fn recipient(house: &House, to: &str) -> String {
    let mut client = Client::connect(house, Service::Smtp, PEER).await;
    client.line().await;
    client.ask("HELO x").await;
    client.ask("MAIL FROM:<f@example.com>").await;
    client.ask(&format!("RCPT TO:<{to}>")).await
}

/// Block lists that are not asked now, and why.
fn disabled(house: &House) -> Vec<(String, String)> {
    let shared = &house.shared;
    shared.settings.judge.lists.disabled(shared.world.clock.monotonic())
}

#[tokio::test(start_paused = true)]
async fn s_14_a_list_that_makes_no_sense_says_nothing() {
    let _still = sim::client::stand_still();
    // What the list answers for: 127.0.0.2, 127.0.0.1, the client; and whether it counts.
    type Case<'a> = ([Option<&'a str>; 3], bool);
    let cases: [Case<'_>; 7] = [
        ([Some("127.0.0.2"), None, Some("127.0.0.4")], true),
        ([Some("127.0.0.2"), None, None], false),
        // It wants no questions from here.
        ([Some("127.255.255.254"), Some("127.255.255.254"), Some("127.255.255.254")], false),
        ([Some("127.0.0.2"), None, Some("127.255.255.255")], false),
        // Its domain was sold, and all names exist.
        ([Some("203.0.113.7"), Some("203.0.113.7"), Some("203.0.113.7")], false),
        ([Some("127.0.0.2"), Some("127.0.0.2"), Some("127.0.0.2")], false),
        // It is empty.
        ([None, None, Some("127.0.0.2")], false),
    ];
    for (answers, counts) in cases {
        let house = house(&[("block_list", "bl.test")]).await;
        let names = ["2.0.0.127.bl.test", "1.0.0.127.bl.test", "10.2.0.192.bl.test"];
        for (name, answer) in names.iter().zip(answers) {
            if let Some(answer) = answer {
                house.world.dns.add_address(name, answer.parse().unwrap());
            }
        }
        let reply = recipient(&house, "alice@example.org").await;
        match counts {
            true => assert_eq!(reply, "550 5.7.1 192.0.2.10 is listed by bl.test"),
            false => assert!(reply.starts_with("250 "), "{answers:?}: {reply}"),
        }
        let reply = recipient(&house, "postmaster@example.org").await;
        assert!(reply.starts_with("550 5.1.1 "), "{reply}");
        // `postrider status` tells which list is of no use, unless it is a fine one.
        let fine = counts || answers == [Some("127.0.0.2"), None, None];
        let told = disabled(&house);
        assert_eq!(told.is_empty(), fine, "{answers:?}: {told:?}");
        assert!(told.iter().all(|(zone, why)| zone == "bl.test" && !why.is_empty()));
    }
    // SERVFAIL, and then it works again: not at once, but after a while.
    let house = house(&[("block_list", "bl.test")]).await;
    let dns = &house.world.dns;
    dns.fail("2.0.0.127.bl.test");
    assert!(recipient(&house, "alice@example.org").await.starts_with("250 "));
    dns.add_address("2.0.0.127.bl.test", "127.0.0.2".parse().unwrap());
    dns.add_address("10.2.0.192.bl.test", "127.0.0.2".parse().unwrap());
    let before = dns.asked();
    assert!(recipient(&house, "alice@example.org").await.starts_with("250 "));
    assert_eq!(dns.asked(), before, "it is left alone");
    assert_eq!(disabled(&house).len(), 1);
    house.advance(std::time::Duration::from_secs(301)).await;
    assert!(recipient(&house, "alice@example.org").await.starts_with("550 5.7.1 "));
    assert_eq!(disabled(&house), []);
}

#[tokio::test(start_paused = true)]
async fn a_list_can_file_into_junk() {
    let _still = sim::client::stand_still();
    let house = house(&[("block_list", "bl.test junk")]).await;
    let dns = &house.world.dns;
    for name in ["2.0.0.127.bl.test", "10.2.0.192.bl.test"] {
        dns.add_address(name, "127.0.0.2".parse().unwrap());
    }
    let reply = give(&house, "f@example.com", &text("f@example.com")).await;
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(messages(&house, "Junk").await.len(), 1);
}

/// security.md MI-4: a zone full of traps makes us ask so much and no more, and what could not be
/// asked is neither believed nor refused for good.
#[tokio::test(start_paused = true)]
async fn mi_4_a_hostile_zone_raises_a_bounded_number_of_questions() {
    let _still = sim::client::stand_still();
    let house = house(&[]).await;
    let dns = &house.world.dns;
    // SPF of HELO and of MAIL FROM: ten terms of ten hosts each, none of which is the client.
    for domain in ["mail.example.net", "example.net"] {
        let terms: String = (0..10).map(|n| format!("mx:m{n}.{domain} ")).collect();
        dns.add_text(domain, format!("v=spf1 {terms}-all").as_bytes());
        for n in 0..10 {
            for host in 0..10 {
                let name = format!("h{host}.m{n}.{domain}");
                dns.add_mx(&format!("m{n}.{domain}"), host, &name);
                dns.add_address(&name, "198.51.100.1".parse().unwrap());
            }
        }
    }
    // Ten signatures with keys of their own, and four authors deep down in the tree.
    let deep = |n: usize| format!("f@a.b.c.d.e.f.g.h.i.n{n}.example.com");
    let authors: Vec<String> = (0..4).map(deep).collect();
    dns.add_text("_dmarc.example.com", b"v=DMARC1; p=reject; np=none; psd=u");
    let mut text = text(&authors.join(", "));
    for n in 0..10 {
        text = signed(&house, &format!("x.y.z.s{n}.example.com"), &text);
    }
    let before = dns.asked();
    let reply = give(&house, "f@example.net", &text).await;
    let asked = dns.asked() - before;
    assert!(reply.starts_with("451 4.7.0 "), "{reply}");
    assert_eq!(asked, policy::limits::QUERIES_MAX as u64);
    // The next message has its own number, if its sender's HELO does not use it up.
    dns.clear_texts("mail.example.net");
    dns.add_text("example.edu", b"v=spf1 +all");
    dns.add_text("_dmarc.example.edu", b"v=DMARC1; p=reject");
    let reply = give(&house, "f@example.edu", &self::text("f@example.edu")).await;
    assert!(reply.starts_with("250 "), "{reply}");
}

/// A name server that answers after so many seconds.
struct Slow(u64);

impl Slow {
    fn late<T: Send>(&self) -> sys::BoxFuture<'_, Result<Vec<T>, DnsError>> {
        Box::pin(async {
            tokio::time::sleep(std::time::Duration::from_secs(self.0)).await;
            Err(DnsError::NoRecord)
        })
    }
}

impl Resolver for Slow {
    fn mx<'a>(&'a self, _: &'a str) -> sys::BoxFuture<'a, Result<Vec<Mx>, DnsError>> {
        self.late()
    }
    fn addresses<'a>(&'a self, _: &'a str) -> sys::BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        self.late()
    }
    fn ipv4<'a>(&'a self, _: &'a str) -> sys::BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        self.late()
    }
    fn ipv6<'a>(&'a self, _: &'a str) -> sys::BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        self.late()
    }
    fn txt<'a>(&'a self, _: &'a str) -> sys::BoxFuture<'a, Result<Vec<Vec<u8>>, DnsError>> {
        self.late()
    }
    fn ptr(&self, _: IpAddr) -> sys::BoxFuture<'_, Result<Vec<String>, DnsError>> {
        self.late()
    }
}

/// security.md MI-4: all answers together are waited for so long; what is asked at once costs its
/// time once, and nothing costs any in between.
#[tokio::test(start_paused = true)]
async fn mi_4_dns_holds_a_message_up_for_ten_seconds_at_most() {
    let counted = Counted::new(Arc::new(Slow(3)), 60, DNS_WAIT);
    let start = tokio::time::Instant::now();
    let none = Err(DnsError::NoRecord);
    let both = tokio::join!(counted.txt("a.example"), counted.txt("b.example"));
    assert_eq!(both, (none.clone(), none.clone()));
    assert_eq!(counted.txt("c.example").await, none);
    tokio::time::sleep(std::time::Duration::from_secs(100)).await;
    assert_eq!(counted.txt("d.example").await, none);
    // One second is left.
    assert!(matches!(counted.txt("e.example").await, Err(DnsError::Temporary(_))));
    assert!(matches!(counted.txt("f.example").await, Err(DnsError::Temporary(_))));
    assert_eq!(start.elapsed().as_secs(), 110);
}
