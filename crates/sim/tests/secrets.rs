//! AU-10: whatever is logged or kept of a session, no password is in it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::log::Log;
use sim::play::{Way, play};
use sim::script::Script;

const SESSIONS: [(Service, &str); 3] = [
    (
        Service::Submission,
        "S1: 220 …\nC1: HELO x\nS1: 250 …\n\
         C1: AUTH PLAIN {{base64 \\0alice\\0hunter2canary}}\nS1: 535 …\n\
         C1: AUTH LOGIN {{base64 alice}}\nS1: 334 …\nC1: {{base64 hunter2canary}}\nS1: 535 …\n\
         C1: AUTH PLAIN {{base64 \\0alice\\0secret}}\nS1: 235 …\n\
         C1: MAIL FROM:<alice@example.org>\nC1: RCPT TO:<alice@example.org>\nC1: DATA\n\
         S1: 250 …\nS1: 250 …\nS1: 354 …\nC1: Subject: x\nC1:\nC1: .\nS1: 250 …\n",
    ),
    (
        Service::Imap,
        "S1: * OK …\nC1: a LOGIN alice hunter2canary\nS1: a NO …\n\
         C1: b AUTHENTICATE PLAIN {{base64 \\0alice\\0hunter2canary}}\nS1: b NO …\n\
         C1: c LOGIN alice secret\nS1: c OK …\n",
    ),
    (
        Service::Pop3,
        "S1: +OK …\nC1: USER alice\nS1: +OK…\nC1: PASS hunter2canary\nS1: -ERR …\n\
         C1: USER alice\nS1: +OK…\nC1: PASS secret\nS1: +OK …\n",
    ),
];

/// What is logged from that level up while sessions are played.
fn logged(level: tracing::Level, sessions: &[(Service, &str)]) -> String {
    logged_with(level, "account alice", sessions)
}

fn logged_with(level: tracing::Level, given: &str, sessions: &[(Service, &str)]) -> String {
    let kept = Log::default();
    let writer = kept.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        for (service, text) in sessions {
            let script = Script::parse(&format!("rfc: 4954 §9\ngiven: {given}\n{text}"));
            play(&script.unwrap(), *service, Way::Whole, false).unwrap();
        }
    });
    kept.take()
}

/// A block list that answers nonsense is told of when that is found out, and not by each client.
#[test]
fn s_14_a_list_that_is_disabled_is_logged() {
    let client = "S1: 220 …\nC1: HELO x\nS1: 250 …\nC1: MAIL FROM:<a@example.net>\nS1: 250 …\n\
        C1: RCPT TO:<alice@example.org>\nS1: 250 …\n";
    let both = format!("{client}{}", client.replace("C1", "C2").replace("S1", "S2"));
    let given = "account alice; judge = true; block_list = bl.example";
    for (list, alerts) in [("203.0.113.7", 1), ("127.0.0.2", 0)] {
        let dns = format!("-- dns 2.0.0.127.bl.example {list}\n{both}");
        let log = logged_with(tracing::Level::WARN, given, &[(Service::Smtp, &dns)]);
        assert_eq!(log.matches("a block list is disabled").count(), alerts, "{log}");
        assert_eq!(log.matches("bl.example is not asked for").count(), alerts, "{log}");
    }
}

/// Who connects, perhaps says QUIT, and goes, is nobody to write of but for who debugs.
#[test]
fn s_20_probes_are_not_logged() {
    let probes = [
        (Service::Smtp, "S1: 220 …\nC1: QUIT\nS1: 221 …\n-- closed C1\n"),
        (Service::Smtp, "S1: 220 …\n-- cut C1\n-- clock +1s\n"),
        (Service::Imap, "S1: * OK …\n-- cut C1\n-- clock +1s\n"),
        (Service::Pop3, "S1: +OK …\nC1: QUIT\nS1: +OK…\n-- closed C1\n"),
    ];
    for (service, probe) in probes {
        let log = logged(tracing::Level::INFO, &[(service, probe)]);
        let log: Vec<&str> = log.lines().filter(|line| line.contains("192.0.2.1")).collect();
        assert!(log.is_empty(), "{service:?}: {log:?}");
    }
    let refused = [SESSIONS[1]];
    assert!(logged(tracing::Level::INFO, &refused).contains("192.0.2.1"), "others are written of");
}

/// The log tells whose password was wrong, as the client is not told; a name that nobody has may be
/// a password in the wrong place.
#[test]
fn the_log_knows_whose_login_was_refused() {
    let client = "S1: +OK …\nC1: USER alice\nS1: +OK…\nC1: PASS x\nS1: -ERR …\n\
        C1: USER hunter2canary\nS1: +OK…\nC1: PASS x\nS1: -ERR …\n";
    let log = logged(tracing::Level::INFO, &[(Service::Pop3, client)]);
    assert!(log.contains("wrong password of alice@example.org"), "{log}");
    assert!(log.contains("wrong user name or password") && !log.contains("hunter2"), "{log}");
}

/// Who asks why a message did not come finds its sender in the log, whoever refused it.
#[test]
fn refused_messages_are_logged_with_their_sender() {
    let client = "S1: 220 …\nC1: HELO x\nS1: 250 …\n\
        C1: MAIL FROM:<large@example.net> SIZE=99999999999\nS1: 552 …\n\
        C1: MAIL FROM:<nul@example.net>\nS1: 250 …\nC1: RCPT TO:<nobody@example.org>\nS1: 550 …\n\
        C1: RCPT TO:<alice@example.org>\nS1: 250 …\nC1: DATA\nS1: 354 …\n\
        C1> a\\0b\\r\\n.\\r\\n\nS1: 550 …\nS1: 421 …\n";
    let log = logged(tracing::Level::INFO, &[(Service::Smtp, client)]);
    let said = |what: &str, sender: &str, reply: &str| {
        log.lines().any(|line| [what, sender, reply].iter().all(|part| line.contains(part)))
    };
    assert!(said("message refused", "<large@example.net>", "552"), "{log}");
    assert!(said("recipient refused", "<nul@example.net>", "550"), "{log}");
    assert!(said("message refused", "<nul@example.net>", "bare CR"), "{log}");
}

#[test]
fn au_10_logs_hold_no_secrets() {
    let log = logged(tracing::Level::TRACE, &SESSIONS);
    assert!(log.contains("login refused") && log.contains("accepted"), "{log}");
    // The password, and what it is in base64 wherever it stands.
    for secret in [
        "hunter2canary",
        "aHVudGVyMmNhbmFye",
        "h1bnRlcjJjYW5hc",
        "odW50ZXIyY2FuYXJ5",
        "=secret",
        "\"secret\"",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}
