//! Reports that come back are read by a strict reader of RFC 3464 (users.md S-62).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan};
use sim::world::SimWorld;
use std::time::Duration;

const HERE: [u8; 4] = [198, 51, 100, 8];

/// Fields of a block, unfolded: `name: value` lines only, names in lower case. RFC 5322 §2.2.
fn fields(block: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in block.split("\r\n").filter(|line| !line.is_empty()) {
        if let Some(more) = line.strip_prefix([' ', '\t']) {
            let (_, value) = fields.last_mut().unwrap();
            value.push(' ');
            value.push_str(more.trim());
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line}"));
        assert!(name.bytes().all(|b| b.is_ascii_graphic()), "{line}");
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    fields
}

/// The only value of a field.
fn one<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    let found: Vec<_> = fields.iter().filter(|(other, _)| other == name).collect();
    assert_eq!(found.len(), 1, "{name} in {fields:?}");
    &found[0].1
}

/// What a report says: its header, its status blocks, and the type and text of its last part.
struct Report {
    header: Vec<(String, String)>,
    blocks: Vec<Vec<(String, String)>>,
    original: (String, String),
}

/// RFC 3464 §2, RFC 6522 §3: exactly three parts, and nothing that is not known.
fn read(text: &str) -> Report {
    let (header, body) = text.split_once("\r\n\r\n").unwrap();
    let header = fields(header);
    let kind = one(&header, "content-type");
    assert!(kind.starts_with("multipart/report; report-type=delivery-status; boundary=\""));
    let boundary = kind.split('"').nth(1).unwrap();
    let (body, after) = body.split_once(&format!("\r\n--{boundary}--\r\n")).unwrap();
    assert_eq!(after, "");
    let parts: Vec<&str> = body.split(&format!("\r\n--{boundary}\r\n")).skip(1).collect();
    assert_eq!(parts.len(), 3, "{text}");
    let part = |n: usize| {
        let (head, text) = parts[n].split_once("\r\n\r\n").unwrap();
        (one(&fields(head), "content-type").to_owned(), text.to_owned())
    };
    assert!(part(0).0.starts_with("text/plain"));
    let (kind, status) = part(1);
    assert_eq!(kind, "message/delivery-status");
    let blocks = status.split("\r\n\r\n").filter(|b| !b.trim().is_empty()).map(fields).collect();
    Report { header, blocks, original: part(2) }
}

/// RFC 3464 §2.2, §2.3: every field is one of those, once, and well formed.
fn check_blocks(report: &Report) {
    const MESSAGE: [&str; 4] =
        ["reporting-mta", "original-envelope-id", "arrival-date", "deliver-by-date"];
    const RECIPIENT: [&str; 8] = [
        "original-recipient",
        "final-recipient",
        "action",
        "status",
        "remote-mta",
        "diagnostic-code",
        "last-attempt-date",
        "will-retry-until",
    ];
    for (n, block) in report.blocks.iter().enumerate() {
        for (name, value) in block {
            let known: &[&str] = if n == 0 { &MESSAGE } else { &RECIPIENT };
            assert!(known.contains(&name.as_str()) && !value.is_empty(), "{name}: {value}");
            one(block, name);
        }
        if n == 0 {
            assert_eq!(one(block, "reporting-mta"), "dns; mail.example.org");
            continue;
        }
        assert!(one(block, "final-recipient").starts_with("rfc822; "));
        let action = one(block, "action");
        let class = match action {
            "failed" => '5',
            "delayed" => '4',
            "delivered" | "relayed" | "expanded" => '2',
            other => panic!("{other}"),
        };
        let numbers: Vec<&str> = one(block, "status").split('.').collect();
        assert!(numbers[0].starts_with(class) && numbers[0].len() == 1, "{numbers:?}");
        assert!(numbers.len() == 3 && numbers.iter().all(|n| n.parse::<u16>().unwrap() < 1000));
    }
}

/// Submits a message to servers that are not there, and returns what came back after `wait`.
async fn comes_back(mail: &str, recipients: &[&str], text: &str, wait: Duration) -> Vec<String> {
    let house = House::build(Plan::default(), SimWorld::new(6)).await;
    house.add_account("alice").await;
    house.world.dns.add_mx("null.example", 0, "");
    house.world.dns.add_mx("down.example", 10, "mx.down.example");
    house.world.dns.add_address("mx.down.example", [192, 0, 2, 99].into());
    let mut client = Client::connect(&house, Service::Submission, HERE).await;
    client.reply().await;
    client.ask("EHLO client.example").await;
    let login = STANDARD.encode("\0alice\0secret");
    assert!(client.ask(&format!("AUTH PLAIN {login}")).await.starts_with("235"));
    assert!(client.ask(&format!("MAIL FROM:<alice@example.org> {mail}")).await.starts_with("250"));
    for recipient in recipients {
        assert!(client.ask(&format!("RCPT TO:{recipient}")).await.starts_with("250"));
    }
    assert!(client.ask("DATA").await.starts_with("354"));
    assert!(client.ask(&format!("{text}\r\n.")).await.starts_with("250"));
    house.quiesce().await;
    house.advance(wait).await;
    Client::maildrop(&house, "alice", HERE).await
}

#[tokio::test(start_paused = true)]
async fn s_62_reports_pass_a_strict_reader() {
    let _still = sim::client::stand_still();
    let text = "From: alice@example.org\r\nSubject: a b\r\n\r\nThe body.\r\n--=_report_x--\r\n";
    for ret in ["RET=FULL", "RET=HDRS", ""] {
        let mail = format!("ENVID=a+2Bb+3D+2E {ret}");
        let recipients = [
            "<bob@null.example> ORCPT=rfc822;Bob+2BBob@else.example",
            "<\"a b\"@nowhere.example>",
            "<quiet@null.example> NOTIFY=NEVER",
            "<delay@null.example> NOTIFY=DELAY",
        ];
        let reports = comes_back(&mail, &recipients, text, Duration::from_secs(5)).await;
        // One for each destination, and none for those who want to hear nothing of failures.
        assert_eq!(reports.len(), 2, "{reports:?}");
        let mut recipients = Vec::new();
        for report in &reports {
            assert!(report.is_ascii());
            let report = read(report);
            check_blocks(&report);
            assert_eq!(one(&report.header, "return-path"), "<>");
            assert_eq!(one(&report.header, "to"), "<alice@example.org>");
            let id = one(&report.header, "message-id");
            assert!(id.matches(['<', '>']).count() == 2 && id.ends_with("@mail.example.org>"));
            assert_eq!(one(&report.blocks[0], "original-envelope-id"), "a+b=.");
            assert_eq!(report.blocks.len(), 2);
            recipients.push(one(&report.blocks[1], "final-recipient").to_owned());
            let (kind, original) = &report.original;
            assert!(original.contains("Subject: a b\r\n"));
            assert_eq!(kind == "message/rfc822", ret == "RET=FULL");
            assert_eq!(original.contains("The body."), ret == "RET=FULL");
        }
        recipients.sort();
        assert_eq!(recipients, ["rfc822; \"a b\"@nowhere.example", "rfc822; bob@null.example"]);
    }
}

#[tokio::test(start_paused = true)]
async fn s_62_a_delay_is_told_once_and_in_the_same_form() {
    let _still = sim::client::stand_still();
    let recipients = ["<bob@down.example>", "<eve@down.example> NOTIFY=FAILURE"];
    let reports =
        comes_back("", &recipients, "Subject: x\r\n", Duration::from_secs(9 * 3600)).await;
    assert_eq!(reports.len(), 1, "{reports:?}");
    let report = read(&reports[0]);
    check_blocks(&report);
    assert_eq!(report.blocks.len(), 2);
    assert_eq!(one(&report.blocks[1], "action"), "delayed");
    assert!(!one(&report.blocks[1], "will-retry-until").is_empty());
    assert_eq!(report.original.0, "text/rfc822-headers");
}
