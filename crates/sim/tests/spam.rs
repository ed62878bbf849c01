//! What accounts teach about spam by what they do with their mail, and what comes of it.
//! users.md I-84.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mail::{AccountId, MailboxName};
use server::listen::Service;
use sim::client::{Client, Still, stand_still};
use sim::house::{House, Plan, address};
use sim::world::SimWorld;
use std::time::Duration;

const HERE: [u8; 4] = [198, 51, 100, 8];
/// A house with alice, who has some messages, and her client.
async fn house(messages: usize) -> (House, AccountId, Client, Still) {
    house_of(Plan::default(), messages).await
}

async fn house_of(plan: Plan, messages: usize) -> (House, AccountId, Client, Still) {
    let still = stand_still();
    let house = House::build(plan, SimWorld::new(1)).await;
    house.add_account("alice").await;
    for _ in 0..messages {
        house.add_message("alice", "INBOX").await;
    }
    let mut client = Client::connect(&house, Service::Imap, HERE).await;
    client.line().await;
    ok(&mut client, "LOGIN alice secret").await;
    ok(&mut client, "CREATE Junk/older").await;
    ok(&mut client, "SELECT INBOX").await;
    let id = house.shared.store.lookup(&address("alice")).unwrap().account.unwrap().id;
    (house, id, client, still)
}

/// Sends a command, and reads to its OK.
async fn ok(client: &mut Client, command: &str) {
    client.send(format!("a {command}\r\n").as_bytes()).await;
    loop {
        let line = client.line().await;
        if line.starts_with("a ") || line.is_empty() {
            assert!(line.starts_with("a OK"), "{command}: {line}");
            return;
        }
    }
}

/// How many spams and other messages an account has taught by, once all is learned.
async fn taught(house: &House, account: AccountId) -> (u32, u32) {
    let store = &house.shared.store;
    for _ in 0..200 {
        if store.lessons(account).unwrap().is_empty() {
            let (spam, ham, _) = policy::spam::counts(&store.taught(account).unwrap().words);
            return (spam, ham);
        }
        house.advance(Duration::from_secs(5)).await;
        // Learning reads messages on a thread of its own.
        house.shared.store.aside(|_| Ok(())).await.unwrap();
    }
    panic!("lessons still wait");
}

/// Plays commands, each with what alice has taught after it.
async fn check(commands: &[(&str, (u32, u32))]) {
    let (house, id, mut client, _still) = house(6).await;
    for (command, expected) in commands {
        for command in command.split("; ") {
            ok(&mut client, command).await;
        }
        assert_eq!(taught(&house, id).await, *expected, "{command}");
    }
}

#[tokio::test(start_paused = true)]
async fn i_84_moves_into_junk_are_spam_and_out_of_it_are_not() {
    check(&[
        ("UID MOVE 1 Junk", (1, 0)),
        ("UID MOVE 2 Junk/older", (2, 0)),
        // Clients without MOVE.
        ("UID COPY 3 Junk; UID STORE 3 +FLAGS (\\Deleted); EXPUNGE", (3, 0)),
        ("UID COPY 4 Trash", (3, 0)),
        // Within Junk nothing is said; into Trash nothing either.
        ("SELECT Junk; UID MOVE 1 Junk/older", (3, 0)),
        ("UID COPY 2 Trash", (3, 0)),
        // Out of it: what was learned is taken back, and the opposite learned.
        ("UID MOVE 2 INBOX", (2, 1)),
        ("SELECT Junk/older; UID MOVE 1 Archive", (1, 2)),
        // Into it again, and out of it through the trash: the last word was spam.
        ("SELECT Archive; UID MOVE 1 Junk", (2, 1)),
        ("SELECT Junk; UID MOVE 3 Trash; SELECT Trash; UID MOVE 3 INBOX", (2, 1)),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn i_84_keywords_say_it_as_well() {
    check(&[
        ("UID STORE 1 +FLAGS ($Junk)", (1, 0)),
        ("UID STORE 1 +FLAGS ($Junk)", (1, 0)),
        // RFC 9051 §2.3.2: both together are as none.
        ("UID STORE 1 +FLAGS ($NotJunk)", (0, 0)),
        ("UID STORE 1 -FLAGS ($Junk)", (0, 1)),
        ("UID STORE 1 FLAGS ()", (0, 0)),
        // Thunderbird's names; a message has one opinion however often it is told.
        ("UID STORE 2:3 +FLAGS (Junk); UID MOVE 2 Junk", (2, 0)),
        ("UID STORE 3 FLAGS (NonJunk)", (1, 1)),
        ("UID STORE 4 +FLAGS (\\Seen \\Flagged)", (1, 1)),
        ("UID STORE 4 +FLAGS (\\Answered)", (1, 2)),
        ("UID STORE 4 -FLAGS (\\Answered)", (1, 2)),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn i_84_mail_that_is_kept_is_not_spam() {
    check(&[
        ("UID MOVE 1 Archive", (0, 1)),
        ("UID COPY 2 Drafts", (0, 1)),
        ("UID MOVE 3 Trash; SELECT Trash; UID MOVE 1 Archive", (0, 1)),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn i_84_appending_to_junk_is_spam_and_the_same_message_counts_once() {
    let (house, id, mut client, _still) = house(1).await;
    let text = sim::house::numbered_message(1);
    for (mailbox, flags, expected) in [
        ("INBOX", "", (0, 0)),
        ("Junk", "", (1, 0)),
        ("Junk/older", "", (1, 0)),
        ("INBOX", " ($NotJunk)", (0, 1)),
    ] {
        let command = format!("APPEND {mailbox}{flags} {{{}+}}\r\n{text}", text.len());
        ok(&mut client, &command).await;
        assert_eq!(taught(&house, id).await, expected, "{mailbox}{flags}");
    }
    // What a client fetched and appended is the message that was there.
    ok(&mut client, "UID MOVE 1 Junk").await;
    assert_eq!(taught(&house, id).await, (1, 0));
    // What is delivered there is nobody's word.
    house.add_message("alice", "Junk").await;
    assert_eq!(taught(&house, id).await, (1, 0));
}

#[tokio::test(start_paused = true)]
async fn i_84_what_is_gone_teaches_nothing_and_accounts_learn_apart() {
    let (house, id, mut client, _still) = house(2).await;
    house.add_account("bob").await;
    let bob = house.shared.store.lookup(&address("bob")).unwrap().account.unwrap().id;
    ok(&mut client, "UID MOVE 1 Junk").await;
    ok(&mut client, "SELECT Junk").await;
    ok(&mut client, "UID STORE 1 +FLAGS (\\Deleted)").await;
    ok(&mut client, "EXPUNGE").await;
    let (alices, bobs) = (taught(&house, id).await, taught(&house, bob).await);
    assert!(alices.0 <= 1 && alices.1 == 0 && bobs == (0, 0), "{alices:?} {bobs:?}");
    // Forgetting takes what waits with it.
    ok(&mut client, "SELECT INBOX").await;
    ok(&mut client, "UID MOVE 2 Junk").await;
    house.shared.store.forget_taught(id).await.unwrap();
    assert_eq!(taught(&house, id).await, (0, 0));
    let junk = MailboxName::new("Junk").unwrap();
    assert_eq!(house.shared.store.mailbox(id, &junk).unwrap().unwrap().exists, 1);
}

/// Teaches alice by `n` spams about pills and as many letters about a garden.
async fn teach(house: &House, id: AccountId, client: &mut Client, n: u32) {
    for (mailbox, subject, word) in
        [("Junk", "Cheap pills", "viagra"), ("INBOX", "Garden", "roses")]
    {
        let flags = if mailbox == "INBOX" { " ($NotJunk)" } else { "" };
        for i in 0..n {
            let text =
                format!("From: {word}{i}@x.test\r\nSubject: {subject}\r\n\r\n{word} for you\r\n");
            let command = format!("APPEND {mailbox}{flags} {{{}+}}\r\n{text}", text.len());
            ok(client, &command).await;
        }
    }
    assert_eq!(taught(house, id).await, (n, n));
}

/// Delivers a message from elsewhere to `recipients`.
async fn deliver(house: &House, recipients: &[&str], text: &str) -> String {
    let mut smtp = Client::connect(house, Service::Smtp, HERE).await;
    smtp.reply().await;
    smtp.ask("EHLO client.example.net").await;
    smtp.ask("MAIL FROM:<eve@example.net>").await;
    for name in recipients {
        assert!(smtp.ask(&format!("RCPT TO:<{name}@example.org>")).await.starts_with("250"));
    }
    smtp.ask("DATA").await;
    let reply = smtp.ask(&format!("{text}.")).await;
    assert!(reply.starts_with("250"), "{reply}");
    reply.rsplit(' ').next().unwrap().to_owned()
}

/// The last message of a mailbox.
async fn last(house: &House, name: &str, mailbox: &str) -> Option<String> {
    let store = &house.shared.store;
    let account = store.lookup(&address(name)).unwrap().account.unwrap().id;
    let row = store.mailbox(account, &MailboxName::new(mailbox).unwrap()).unwrap().unwrap();
    let listing = store.select(row.id).await.unwrap().listing;
    let content = listing.iter().last()?.content;
    Some(String::from_utf8(store.content(content, 0..u64::MAX).unwrap()).unwrap())
}

const SPAM: &str = "From: eve@example.net\r\nSubject: cheap PILLS\r\nX-Spam-Status: No\r\n\r\n\
                    <viagra>\r\n";
const LETTER: &str = "From: joe@example.net\r\nSubject: garden\r\n\r\nroses roses\r\n";

#[tokio::test(start_paused = true)]
async fn i_84_what_looks_like_spam_goes_into_junk_and_says_why() {
    let (house, id, mut client, _still) = house(0).await;
    teach(&house, id, &mut client, 99).await;
    deliver(&house, &["alice"], SPAM).await;
    let inbox = last(&house, "alice", "INBOX").await.unwrap();
    assert!(inbox.ends_with(SPAM), "too little was taught: {inbox}");
    assert_eq!(inbox.matches("X-Spam-Status").count(), 1, "{inbox}");
    house.shared.store.forget_taught(id).await.unwrap();
    teach(&house, id, &mut client, 100).await;
    let message = deliver(&house, &["alice"], SPAM).await;
    let junk = last(&house, "alice", "Junk").await.unwrap();
    let line =
        "X-Spam-Status: Yes, score=9.99 required=9.90 tests=LEARNED\r\n\t(probability 1.0000";
    let (front, rest) = junk.split_once(line).unwrap_or_else(|| panic!("{junk}"));
    assert_eq!(front, "Return-Path: <eve@example.net>\r\n");
    assert!(rest.contains(",\r\n\tviagra 1.00") && rest.contains(",\r\n\tsubject:pills 1.00"));
    assert!(rest.contains(")\r\nReceived: from client.example.net") && rest.ends_with(SPAM));
    let journey = house.shared.store.journey(mail::MessageId::parse(&message).unwrap()).unwrap();
    let first = String::from_utf8(journey.first().unwrap().clone()).unwrap();
    let reason = "spam by what the account taught: probability 1.0000";
    assert!(first.contains(&format!("\"junk\":\"{reason}")), "{first}");
    // Filing it was nobody's word.
    assert_eq!(taught(&house, id).await, (100, 100));
    deliver(&house, &["alice"], LETTER).await;
    let inbox = last(&house, "alice", "INBOX").await.unwrap();
    assert!(inbox.contains("\r\nX-Spam-Status: No, score=0.0") && inbox.ends_with(LETTER));
}

#[tokio::test(start_paused = true)]
async fn i_84_everybody_has_his_own_idea_of_spam_and_tells_nobody() {
    let (house, id, mut client, _still) = house(0).await;
    house.add_account("bob").await;
    teach(&house, id, &mut client, 120).await;
    deliver(&house, &["bob", "alice"], SPAM).await;
    let (junk, inbox) = (last(&house, "alice", "Junk").await, last(&house, "bob", "INBOX").await);
    assert_eq!(junk, inbox);
    assert!(inbox.unwrap().ends_with(SPAM));
    assert_eq!(last(&house, "bob", "Junk").await, None);
    // Of more than is kept in memory the start is judged.
    let large = format!("{SPAM}{}", "nothing more\r\n".repeat(120_000));
    deliver(&house, &["alice"], &large).await;
    let junk = last(&house, "alice", "Junk").await.unwrap();
    assert!(junk.len() > 1_500_000 && junk.contains("X-Spam-Status: Yes"));
}

#[tokio::test(start_paused = true)]
async fn i_84_filing_can_be_switched_off() {
    let mut plan = Plan::default();
    plan.set("file_spam", "false").unwrap();
    let (house, id, mut client, _still) = house_of(plan, 0).await;
    teach(&house, id, &mut client, 120).await;
    deliver(&house, &["alice"], SPAM).await;
    assert!(last(&house, "alice", "INBOX").await.unwrap().contains("X-Spam-Status: Yes"));
}

/// What waited in the queue for room is judged by what is known when there is some.
#[tokio::test(start_paused = true)]
async fn i_84_what_waited_for_room_goes_into_junk_too() {
    let (house, id, mut client, still) = house(1).await;
    teach(&house, id, &mut client, 100).await;
    let store = &house.shared.store;
    let all = store.accounts().unwrap();
    let row = store::AliasRow { address: address("list"), targets: vec![all[0].address.clone()] };
    store.alias_add(row).await.unwrap();
    house.limit("MESSAGE", "alice", "1").await.unwrap();
    deliver(&house, &["list"], SPAM).await;
    assert_eq!(store.queue_list(&Default::default()).unwrap().len(), 1);
    house.limit("MESSAGE", "alice", "1000").await.unwrap();
    drop(still);
    house.world.clock.advance(Duration::from_secs(3600)).await;
    house.quiesce().await;
    assert!(store.queue_list(&Default::default()).unwrap().is_empty());
    assert!(last(&house, "alice", "Junk").await.unwrap().ends_with(SPAM));
}
