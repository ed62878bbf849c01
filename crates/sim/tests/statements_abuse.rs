//! What attackers try on SMTP and its neighbours (security.md SM-9 to SM-11, AU-4), each statement
//! a test of its name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan};
use sim::world::SimWorld;
use std::time::Duration;
use tokio::time::Instant;

const STRANGER: [u8; 4] = [198, 51, 100, 7];
const FRIEND: [u8; 4] = [198, 51, 100, 8];

async fn house(seed: u64) -> House {
    let house = House::build(Plan::default(), SimWorld::new(seed)).await;
    house.add_account("alice").await;
    house
}

async fn greeted(house: &House, service: Service, from: [u8; 4]) -> Client {
    let mut client = Client::connect(house, service, from).await;
    client.reply().await;
    client
}

async fn smtp(house: &House, from: [u8; 4]) -> Client {
    let mut client = greeted(house, Service::Smtp, from).await;
    assert!(client.ask("EHLO client.example").await.starts_with("250 "));
    client
}

/// A message to alice; the reply to its end.
async fn send(client: &mut Client, sender: &str, text: &str) -> String {
    assert!(client.ask(&format!("MAIL FROM:<{sender}>")).await.starts_with("250"));
    assert!(client.ask("RCPT TO:<alice@example.org>").await.starts_with("250"));
    assert!(client.ask("DATA").await.starts_with("354"));
    client.ask(&format!("{text}\r\n.")).await
}

/// How many messages alice has, by POP3.
async fn count(house: &House) -> String {
    let mut client = greeted(house, Service::Pop3, FRIEND).await;
    client.ask("USER alice").await;
    let said = client.ask("PASS secret").await;
    said.split(' ').nth(1).unwrap().to_owned()
}

/// What cannot be delivered is refused in the session, a message that goes in circles too; nothing
/// is taken that would have to be reported to a sender who may be forged.
#[tokio::test(start_paused = true)]
async fn sm_9_strangers_cause_no_reports() {
    let _still = sim::client::stand_still();
    let house = house(9).await;
    let mut client = smtp(&house, STRANGER).await;
    assert!(client.ask("MAIL FROM:<forged@victim.example>").await.starts_with("250"));
    for (recipient, code) in [
        ("nobody@example.org", "550 5.1.1"),
        ("bob@example.net", "550 5.7.1"),
        ("SRS0=HHH=TT=victim.example=forged@example.org", "550 5.1.1"),
        ("SRS1=HHH=x.example==HHH=TT=victim.example=forged@example.org", "550 5.1.1"),
    ] {
        let said = client.ask(&format!("RCPT TO:<{recipient}> NOTIFY=SUCCESS,FAILURE")).await;
        assert!(said.starts_with(code), "{recipient}: {said}");
    }
    assert!(client.ask("RSET").await.starts_with("250"));
    let circles = "Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n".repeat(51);
    let said = send(&mut client, "forged@victim.example", &format!("{circles}\r\nx")).await;
    assert!(said.starts_with("554 5.4.6"), "{said}");
    house.advance(Duration::from_secs(3600)).await;
    let queued = house.shared.store.queue_list(&Default::default()).unwrap();
    assert!(queued.is_empty() && count(&house).await == "0", "{queued:?}");
}

/// Hundreds who say nothing, or an octet now and then, take no time from who has something to say,
/// and are sent away when their time is up: an octet does not buy more of it.
#[tokio::test(start_paused = true)]
async fn sm_10_idlers_and_tricklers_cost_others_nothing_and_are_sent_away() {
    let house = house(10).await;
    let services = [Service::Smtp, Service::Submission, Service::Imap, Service::Pop3];
    let mut idle = Vec::new();
    for n in 0..200u8 {
        idle.push(greeted(&house, services[usize::from(n % 4)], [192, 0, 2, n]).await);
    }
    let mut in_command = greeted(&house, Service::Smtp, STRANGER).await;
    let mut in_message = smtp(&house, STRANGER).await;
    for line in ["MAIL FROM:<a@example.net>", "RCPT TO:<alice@example.org>", "DATA"] {
        in_message.ask(line).await;
    }
    let start = Instant::now();
    for _ in 0..29 {
        in_command.send(b"x").await;
        in_message.send(b"x").await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let before = Instant::now();
        let mut good = smtp(&house, FRIEND).await;
        for (line, code) in
            [("MAIL FROM:<a@b.c>", "250"), ("RCPT TO:<alice@example.org>", "250"), ("QUIT", "221")]
        {
            assert!(good.ask(line).await.starts_with(code), "{line}");
        }
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
    // RFC 5321 §4.5.3.2.7: five minutes, and not one more.
    for client in [&mut in_command, &mut in_message] {
        let said = client.line().await;
        assert!(said.starts_with("421 4.4.2"), "{said}");
        assert_eq!(client.line().await, "");
    }
    assert!(start.elapsed() <= Duration::from_secs(301), "{:?}", start.elapsed());
    let mut good = smtp(&house, FRIEND).await;
    assert!(send(&mut good, "fred@example.net", "Subject: x\r\n").await.starts_with("250"));
    assert_eq!(count(&house).await, "1");
}

/// In no state does an octet now and then hold a connection: in none of the handshakes, not in the
/// middle of a login, a chunk, or a line before the login.
#[tokio::test(start_paused = true)]
async fn sm_10_no_state_is_held_by_an_octet_now_and_then() {
    let house = house(12).await;
    let mail = ["HELO x", "MAIL FROM:<a@example.net>", "RCPT TO:<alice@example.org>"];
    let lmtp = ["LHLO x", mail[1], mail[2], "DATA"];
    for (service, lines, most) in [
        (Service::Smtp, &[][..], 300),
        (Service::Smtp, &["STARTTLS"], 30),
        (Service::Smtp, &[mail[0], mail[1], mail[2]], 300),
        (Service::Submission, &["HELO x", "AUTH PLAIN"], 300),
        (Service::Submission, &["HELO x", "AUTH LOGIN"], 300),
        (Service::Lmtp, &lmtp[..1], 300),
        (Service::Lmtp, &lmtp, 300),
        (Service::Pop3, &[], 60),
        (Service::Pop3, &["USER alice"], 60),
        (Service::Pop3, &["AUTH PLAIN"], 60),
        (Service::Pop3, &["STLS"], 30),
    ] {
        let mut client = greeted(&house, service, STRANGER).await;
        for line in lines {
            client.ask(line).await;
        }
        if lines.len() == mail.len() {
            client.send(b"BDAT 1000 LAST\r\n").await;
        }
        assert_eq!(held(&mut client, lines).await, most / 10, "{service:?} after {lines:?}");
    }
    for service in [Service::Submissions, Service::Pop3s] {
        let mut client = Client::dial(&house, service, STRANGER);
        assert_eq!(held(&mut client, &["STARTTLS"]).await, 3, "{service:?}");
    }
    let mut good = smtp(&house, FRIEND).await;
    assert!(send(&mut good, "fred@example.net", "Subject: x\r\n").await.starts_with("250"));
}

/// How often ten seconds go by, with an octet each, until the server has hung up. What a handshake
/// begins with comes where one is due.
async fn held(client: &mut Client, said: &[&str]) -> u64 {
    let handshake = matches!(said.last(), Some(&("STARTTLS" | "STLS")));
    let mut octets = if handshake { b"\x16\x03\x01\x02\0\x01".iter() } else { [].iter() };
    let mut times = 0;
    loop {
        client.send(&[octets.next().copied().unwrap_or(b'A')]).await;
        let heard = tokio::time::timeout(Duration::from_secs(10), async {
            while !client.line().await.is_empty() {}
        });
        if heard.await.is_ok() {
            return times;
        }
        times += 1;
        assert!(times < 100);
    }
}

/// When four of five places are taken, strangers of whom nothing has come have a tenth of the time.
#[tokio::test(start_paused = true)]
async fn sm_10_strangers_are_hurried_when_places_are_scarce() {
    let cases = [
        (7, true, Service::Smtp, &[][..], 300),
        (8, false, Service::Smtp, &[], 300),
        (8, true, Service::Smtp, &[], 30),
        (8, true, Service::Smtp, &["HELO x"], 30),
        (8, true, Service::Smtp, &["HELO x", "MAIL FROM:<a@example.net>"], 300),
        (8, true, Service::Submission, &["HELO x", "AUTH PLAIN"], 30),
        (8, true, Service::Pop3, &[], 6),
        (8, true, Service::Pop3, &["USER alice"], 6),
        (8, true, Service::Pop3, &["USER alice", "PASS secret"], 600),
        (8, true, Service::Imap, &["a NOOP"], 6),
        (8, true, Service::Imap, &["a LOGIN alice secret"], 1860),
    ];
    for (taken, strangers, service, lines, seconds) in cases {
        let mut plan = Plan::default();
        if strangers {
            plan.set("judge", "true").unwrap();
        }
        plan.sessions.connections_max = 10;
        let house = House::build(plan, SimWorld::new(14)).await;
        house.add_account("alice").await;
        let mut others = Vec::new();
        for n in 0..taken {
            others.push(greeted(&house, Service::Smtp, [192, 0, 2, n]).await);
        }
        let mut client = greeted(&house, service, STRANGER).await;
        for line in lines {
            client.ask(line).await;
        }
        let start = Instant::now();
        while !client.line().await.is_empty() {}
        let held = start.elapsed().as_secs();
        assert_eq!(held, seconds, "{taken} {strangers} {service:?} {lines:?}");
    }
}

/// Who speaks before it is greeted is not greeted, whatever it says; nobody else is looked at so.
#[tokio::test(start_paused = true)]
async fn sm_10_octets_before_the_greeting_end_the_session() {
    let _still = sim::client::stand_still();
    let mut plan = Plan::default();
    plan.set("judge", "true").unwrap();
    let judging = House::build(plan, SimWorld::new(13)).await;
    let trusting = house(13).await;
    for text in
        ["EHLO x\r\n", "EHLO x\r\nMAIL FROM:<>\r\n", "E", "\r\n", "\n", "GET / HTTP/1.1\r\n"]
    {
        let mut client = Client::dial(&judging, Service::Smtp, STRANGER);
        client.send(text.as_bytes()).await;
        let said = (client.line().await, client.line().await, client.line().await);
        assert!(said.0.starts_with("554 5.5.0 "), "{text}: {said:?}");
        assert!(said.1.starts_with("421 4.7.0 ") && said.2.is_empty(), "{said:?}");
    }
    for (house, service) in [(&trusting, Service::Smtp), (&judging, Service::Submission)] {
        let mut client = Client::dial(house, service, STRANGER);
        client.send(b"HELO x\r\nQUIT\r\n").await;
        for code in ["220", "250", "221"] {
            assert!(client.line().await.starts_with(code));
        }
    }
}

/// Who says more before EHLO is answered does not hear the answer, whatever comes first and under
/// TLS as well; who is trusted, or waits for it once, is left alone.
#[tokio::test(start_paused = true)]
async fn sm_10_commands_before_the_reply_to_ehlo_end_the_session() {
    let _still = sim::client::stand_still();
    let mut plan = Plan::default();
    plan.set("judge", "true").unwrap();
    let judging = House::build(plan, SimWorld::new(13)).await;
    let trusting = house(13).await;
    let mail = "MAIL FROM:<a@example.net>\r\n";
    for first in ["EHLO x", "HELO x", "NOOP", "QUIT", "STARTTLS", "MAIL FROM:<a@example.net>"] {
        for behind in [mail, "QUIT\r\n", "N"] {
            let mut client = greeted(&judging, Service::Smtp, STRANGER).await;
            client.send(format!("{first}\r\n{behind}").as_bytes()).await;
            let said = (client.line().await, client.line().await, client.line().await);
            assert!(said.0.starts_with("554 5.5.0 "), "{first} {behind}: {said:?}");
            assert!(said.1.starts_with("421 4.7.0 ") && said.2.is_empty(), "{said:?}");
        }
    }
    let mut client = greeted(&judging, Service::Smtp, STRANGER).await;
    assert!(client.ask("EHLO x").await.starts_with("250"));
    assert!(client.ask("STARTTLS").await.starts_with("220"));
    let mut client = client.start_tls().await;
    client.send(format!("EHLO x\r\n{mail}").as_bytes()).await;
    assert!(client.line().await.starts_with("554 5.5.0 "));
    let mut client = smtp(&judging, STRANGER).await;
    client.send(format!("{mail}RCPT TO:<bob@example.net>\r\nQUIT\r\n").as_bytes()).await;
    for code in ["250", "550", "221"] {
        assert!(client.line().await.starts_with(code));
    }
    for (house, service) in [(&trusting, Service::Smtp), (&judging, Service::Submission)] {
        let mut client = greeted(house, service, STRANGER).await;
        client.send(b"HELO x\r\nNOOP\r\nQUIT\r\n").await;
        for code in ["250", "250", "221"] {
            assert!(client.line().await.starts_with(code));
        }
    }
}

/// A flood of commands that lead nowhere ends; one of recipients too.
#[tokio::test(start_paused = true)]
async fn sm_10_floods_end() {
    let _still = sim::client::stand_still();
    let house = house(11).await;
    for line in ["NOOP", "RSET", "HELP", "VRFY x", "EHLO x", "RCPT TO:<alice@example.org>"] {
        let mut client = smtp(&house, STRANGER).await;
        client.ask("MAIL FROM:<a@example.net>").await;
        let mut said = 0;
        while client.ask(line).await.starts_with(['2', '4', '5']) {
            said += 1;
            assert!(said <= 1300, "{line}");
        }
        // Others come in as ever.
        assert!(smtp(&house, STRANGER).await.ask("NOOP").await.starts_with("250"));
    }
    let mut guesses = smtp(&house, STRANGER).await;
    guesses.ask("MAIL FROM:<a@example.net>").await;
    let mut tried = 0;
    while guesses.ask(&format!("RCPT TO:<user{tried}@example.org>")).await.starts_with("550") {
        tried += 1;
    }
    assert!(tried <= 20, "{tried}");
}

/// Names that would mean something to a shell, SQL, LDAP, a pattern or a path are names.
#[tokio::test(start_paused = true)]
async fn sm_11_au_4_names_are_only_names() {
    let _still = sim::client::stand_still();
    let house = house(12).await;
    let mut sender = smtp(&house, FRIEND).await;
    assert!(send(&mut sender, "fred@example.net", "Subject: kept\r\n").await.starts_with("250"));
    let hostile = [
        "' OR 1=1 --",
        "'; DROP TABLE account; --",
        "alice' --",
        "*)(uid=*))(|(uid=*",
        "%",
        "_",
        "\\",
        "*",
        "alice%",
        "alic_",
        "$(touch /tmp/x)",
        "`id`",
        "|id",
        "../../../etc/passwd",
        "{{7*7}}",
        "%n%n%s",
    ];
    for name in hostile {
        let mut client = smtp(&house, FRIEND).await;
        client.ask("MAIL FROM:<>").await;
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        let said = client.ask(&format!("RCPT TO:<\"{quoted}\"@example.org>")).await;
        assert!(said.starts_with("550 5.1.1"), "{name}: {said}");
        let mut client = greeted(&house, Service::Pop3, FRIEND).await;
        client.ask(&format!("USER {name}")).await;
        let said = client.ask(&format!("PASS {name}")).await;
        assert!(said.starts_with("-ERR [AUTH]"), "{name}: {said}");
        let mut client = greeted(&house, Service::Imap, FRIEND).await;
        client.ask("a LOGIN alice secret").await;
        for command in ["SELECT", "DELETE", "STATUS"] {
            let rest = if command == "STATUS" { " (MESSAGES)" } else { "" };
            let said = client.ask(&format!("b {command} \"{quoted}\"{rest}")).await;
            assert!(said.starts_with("b NO"), "{command} {name}: {said}");
        }
        house.shared.guard.lift(FRIEND.into(), Duration::ZERO);
    }
    assert_eq!(count(&house).await, "1");
}
