//! Reports of other receivers about mail from our domains, from SMTP to what is kept.
//! users.md S-23.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::report::feedback::Feedback;
use mail::{Domain, MailboxName};
use policy::dkim::{Signer, SigningKey, new_ed25519};
use server::listen::Service;
use sim::client::{Client, Still, stand_still};
use sim::house::{House, Plan, address};
use sim::world::SimWorld;
use store::AliasRow;

const HERE: [u8; 4] = [198, 51, 100, 8];
const XML: &str = "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>Receiver</org_name>\
    <report_id>1</report_id><date_range><begin>1767139200</begin><end>1767225599</end></date_range>\
    </report_metadata><policy_published><domain>example.org</domain><p>none</p></policy_published>\
    <record><row><source_ip>192.0.2.1</source_ip><count>7</count><policy_evaluated>\
    <disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>\
    <identifiers><header_from>example.org</header_from></identifiers></record></feedback>";

/// A house where reports come in for alice.
async fn house(setting: &str) -> (House, Still) {
    let still = stand_still();
    let mut plan = Plan::default();
    plan.set("reports", setting).unwrap();
    let house = House::build(plan, SimWorld::new(3)).await;
    house.add_account("alice").await;
    let (address, targets) = (address("dmarc-reports"), vec![address("alice")]);
    house.shared.store.alias_add(AliasRow { address, targets }).await.unwrap();
    (house, still)
}

async fn send(house: &House, to: &str, body: &str) {
    let mut smtp = Client::connect(house, Service::Smtp, HERE).await;
    smtp.reply().await;
    smtp.ask("EHLO receiver.example").await;
    smtp.ask("MAIL FROM:<reports@receiver.example>").await;
    assert!(smtp.ask(&format!("RCPT TO:<{to}@example.org>")).await.starts_with("250"));
    smtp.ask("DATA").await;
    let text =
        format!("From: reports@receiver.example\r\nSubject: Report domain: x\r\n{body}\r\n.");
    assert!(smtp.ask(&text).await.starts_with("250"));
}

fn kept(house: &House) -> Vec<Feedback> {
    let rows = house.shared.store.feedback().unwrap();
    rows.iter().map(|row| serde_json::from_slice(&row.octets).unwrap()).collect()
}

fn delivered(house: &House) -> u32 {
    let account = house.shared.store.lookup(&address("alice")).unwrap().account.unwrap().id;
    house.shared.store.mailbox(account, &MailboxName::inbox()).unwrap().unwrap().exists
}

#[tokio::test(start_paused = true)]
async fn s_23_reports_are_kept_and_delivered() {
    let (house, _still) = house("dmarc-reports").await;
    let packed = STANDARD.encode(XML);
    let lines: Vec<&str> =
        packed.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let part = format!("Content-Transfer-Encoding: base64\r\n\r\n{}", lines.join("\r\n"));
    send(&house, "dmarc-reports+x", &format!("Content-Type: application/gzip\r\n{part}")).await;
    let reports = kept(&house);
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].counts(), (7, 0));
    assert_eq!(reports[0].domains(), ["example.org"]);
    // The same report again takes its place; the mail is delivered each time.
    let several =
        format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{part}\r\n--b--");
    send(&house, "DMARC-Reports", &several).await;
    assert_eq!((kept(&house).len(), delivered(&house)), (1, 2));
    let json = "{\"organization-name\":\"M\",\"date-range\":{\"start-datetime\":\
        \"2026-01-01T00:00:00\",\"end-datetime\":\"2026-01-01T23:59:59\"},\"report-id\":\"t\",\
        \"policies\":[]}";
    send(&house, "dmarc-reports", &format!("Content-Type: text/plain\r\n\r\n{json}")).await;
    let reports = kept(&house);
    assert_eq!((reports.len(), reports[1].kind()), (2, "tls"));
    // What is no report is mail, and a report to somebody else is none of ours.
    send(&house, "dmarc-reports", "\r\nhello").await;
    send(&house, "alice", &several).await;
    assert_eq!((kept(&house).len(), delivered(&house)), (2, 5));
}

#[tokio::test(start_paused = true)]
async fn s_23_only_what_a_report_says_may_be_kept() {
    let (house, _still) = house("dmarc-reports only").await;
    send(&house, "dmarc-reports", &format!("Content-Type: text/xml\r\n\r\n{XML}")).await;
    assert_eq!((kept(&house).len(), delivered(&house)), (1, 0));
    send(&house, "dmarc-reports", "\r\nhello").await;
    assert_eq!((kept(&house).len(), delivered(&house)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn s_23_reports_are_bounded_and_the_oldest_go() {
    let (house, _still) = house("dmarc-reports").await;
    let store = &house.shared.store;
    let now = house.world.as_seen().clock.unix_seconds();
    let most = store::limits::FEEDBACK_MAX as i64;
    for n in 0..most + 5 {
        let keep = move |w: &mut store::Writing<'_>| {
            w.keep_feedback(now - most - 5 + n, 1, n.to_string().as_bytes())
        };
        store.write(keep).await.unwrap();
    }
    let rows = store.feedback().unwrap();
    assert_eq!((rows.len() as i64, rows[0].octets.as_slice()), (most, &b"5"[..]));
    // From the future, and from long ago.
    for end in [i64::MAX, -5] {
        let keep = move |w: &mut store::Writing<'_>| w.keep_feedback(end, 2, b"odd");
        store.write(keep).await.unwrap();
    }
    let rows = store.feedback().unwrap();
    assert_eq!(rows.len() as i64, most);
    assert_eq!(rows[0].octets, b"6", "what is too old takes nobody's place");
    let tomorrow = format!("{:011}", now + 86_400);
    assert!(rows[rows.len() - 1].name.starts_with(&tomorrow));
}

/// A report that somebody forges is not read, where its domain says what is forged: by DMARC.
#[tokio::test(start_paused = true)]
async fn s_23_a_forged_report_is_none() {
    let _still = stand_still();
    let mut plan = Plan::default();
    plan.set("reports", "dmarc-reports only").unwrap();
    plan.set("judge", "true").unwrap();
    let house = House::build(plan, SimWorld::new(3)).await;
    house.add_account("alice").await;
    let (address, targets) = (address("dmarc-reports"), vec![address("alice")]);
    house.shared.store.alias_add(AliasRow { address, targets }).await.unwrap();
    let dns = &house.world.dns;
    let domain = Domain::parse("receiver.example").unwrap();
    let key = SigningKey::new(&domain, "s1", &new_ed25519().unwrap()).unwrap();
    dns.add_text(&key.name(), key.record().as_bytes());
    let text = format!("From: r@receiver.example\r\nContent-Type: text/xml\r\n\r\n{XML}\r\n");
    let mut signer = Signer::default();
    signer.feed(text.as_bytes());
    let signed = format!("{}{text}", signer.finish(&[key], sim::world::NEW_YEAR / 1000));
    for (policy, text, reply, count) in [
        ("reject", &text, "550 5.7.1", 0),
        ("quarantine", &text, "250", 0),
        ("reject", &signed, "250", 1),
    ] {
        dns.clear_texts("_dmarc.receiver.example");
        dns.add_text("_dmarc.receiver.example", format!("v=DMARC1; p={policy}").as_bytes());
        let mut smtp = Client::connect(&house, Service::Smtp, HERE).await;
        smtp.reply().await;
        smtp.ask("EHLO receiver.example").await;
        smtp.ask("MAIL FROM:<r@receiver.example>").await;
        smtp.ask("RCPT TO:<dmarc-reports@example.org>").await;
        smtp.ask("DATA").await;
        let said = smtp.ask(&format!("{text}.")).await;
        assert!(said.starts_with(reply), "{policy}: {said}");
        assert_eq!(kept(&house).len(), count, "{policy}");
    }
    assert_eq!(delivered(&house), 0);
}
