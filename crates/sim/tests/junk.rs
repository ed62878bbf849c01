//! What was found out about a message when it is complete: lines in front of it, and Junk instead
//! of INBOX, for messages in memory and in a file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use delivery::{AcceptedRecipient, Incoming, Judgement};
use mail::{AccountId, MessageId, ReversePath};
use sim::house::{House, Plan, address};
use sim::world::SimWorld;
use store::{Notify, Terms};

fn incoming(recipients: &[&str], notify: Notify) -> Incoming {
    let accepted = |to: &&str| AcceptedRecipient {
        address: address(to),
        notify,
        orcpt: None,
        named: None,
        account: None,
    };
    Incoming {
        message: MessageId::new(1, recipients.len() as u32),
        sender: ReversePath::Address(address("fred@example.net")),
        recipients: recipients.iter().map(accepted).collect(),
        helo: "x".to_owned(),
        peer: "192.0.2.1:40000".parse().unwrap(),
        protocol: "SMTP".to_owned(),
        tls: None,
        terms: Terms::default(),
        binary: false,
        smtputf8: false,
        ret: None,
        envid: None,
        authenticated: None,
        trace_last: true,
    }
}

async fn take(house: &House, incoming: Incoming, text: &str, judgement: Judgement) {
    let mut receiving = house.shared.delivery.begin(incoming).await;
    for piece in text.as_bytes().chunks(50_000) {
        receiving.write(piece).await;
    }
    receiving.judged(judgement);
    receiving.finish().await.unwrap();
}

fn account(house: &House, name: &str) -> AccountId {
    house.shared.store.lookup(&address(name)).unwrap().account.unwrap().id
}

/// The messages of a mailbox, and the parts of each.
async fn messages(house: &House, name: &str, mailbox: &str) -> Vec<(String, usize)> {
    let store = &house.shared.store;
    let mailboxes = store.mailboxes(account(house, name)).unwrap();
    let row = mailboxes.into_iter().find(|row| row.name.as_str() == mailbox).unwrap();
    let listing = store.select(row.id).await.unwrap().listing;
    let ids: Vec<_> = listing.iter().map(|entry| entry.content).collect();
    let mut found = Vec::new();
    for id in ids {
        let whole = store.content(id, 0..u64::MAX).unwrap();
        let kept = store.summaries(&[id]).unwrap().pop().unwrap().unwrap();
        let parsed = mail::mime::summary_of(&whole);
        assert_eq!(mail::summary::Summary::decode(&kept).unwrap(), parsed);
        let parts = match parsed.root.body {
            mail::mime::PartBody::Multipart(parts) => parts.len(),
            _ => 0,
        };
        found.push((String::from_utf8(whole).unwrap(), parts));
    }
    found
}

fn judgement(junk: Option<&str>) -> Judgement {
    Judgement {
        lines: "Authentication-Results: mail.example.org;\r\n\tspf=fail\r\n".to_owned(),
        reasons: vec!["SPF fails".to_owned()],
        junk: junk.map(str::to_owned),
        sender_unproven: false,
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_judged_unwanted_is_filed_into_junk_of_every_recipient() {
    let _still = sim::client::stand_still();
    let house = House::build(Plan::default(), SimWorld::new(5)).await;
    house.add_account("alice").await;
    house.add_account("bob").await;
    // Bob has thrown his Junk away: it is made anew.
    let name = mail::MailboxName::new("Junk").unwrap();
    house.shared.store.mailbox_delete(account(&house, "bob"), name).await.unwrap();
    for octets in [10, 3_000_000] {
        let body = "0123456789abcdef\r\n".repeat(octets / 18 + 1);
        let text = format!(
            "From: a@example.net\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\
             {body}\r\n--b\r\n\r\ntwo\r\n--b--\r\n"
        );
        let to = ["alice", "bob"];
        take(&house, incoming(&to, Notify::default()), &text, judgement(Some("it is forged")))
            .await;
        for name in to {
            assert!(messages(&house, name, "INBOX").await.is_empty());
            let (whole, parts) = messages(&house, name, "Junk").await.pop().unwrap();
            let (front, rest) = whole.split_once("\r\nReceived: ").unwrap();
            let lines = "Return-Path: <fred@example.net>\r\n\
                         Authentication-Results: mail.example.org;\r\n\tspf=fail";
            assert_eq!((front, parts), (lines, 2));
            assert!(rest.ends_with(&text), "the message itself is as it came");
        }
    }
    assert_eq!(messages(&house, "bob", "Junk").await.len(), 2);
    let journey = house.shared.store.journey(MessageId::new(1, 2)).unwrap();
    let first = String::from_utf8(journey.first().unwrap().clone()).unwrap();
    assert!(first.contains("\"judged\":[\"SPF fails\"]"), "{first}");
    assert!(first.contains("\"junk\":\"it is forged\""), "{first}");
}

#[tokio::test(start_paused = true)]
async fn what_is_judged_good_goes_into_inbox_and_a_report_shows_the_lines() {
    let _still = sim::client::stand_still();
    let house = House::build(Plan::default(), SimWorld::new(6)).await;
    house.add_account("alice").await;
    // The report's recipient cannot be reached, so it waits.
    let route = "192.0.2.9:25".to_owned();
    house.shared.store.route_add("example.net".parse().unwrap(), route).await.unwrap();
    let text = "From: a@example.net\r\n\r\nbody\r\n";
    take(&house, incoming(&["alice"], Notify::SUCCESS), text, judgement(None)).await;
    let (whole, _) = messages(&house, "alice", "INBOX").await.pop().unwrap();
    assert!(whole.contains("spf=fail\r\nReceived: from x") && whole.ends_with(text), "{whole}");
    let queued = house.shared.store.queue_list(&Default::default()).unwrap().pop().unwrap();
    let content = queued.queued.content;
    let report = house.shared.store.content(content, 0..u64::MAX).unwrap();
    let report = String::from_utf8(report).unwrap();
    let returned = "\r\nAuthentication-Results: mail.example.org;\r\n\tspf=fail\r\nReceived: ";
    assert!(report.contains(returned), "{report}");
}
