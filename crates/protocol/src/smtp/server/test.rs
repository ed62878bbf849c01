//! What a session says to a few commands. Whole sessions are in tests/smtp.

use super::*;

fn session(login: bool) -> Session {
    let offer = Offer {
        hostname: "mail.example.org".to_owned(),
        size_max: 1000,
        recipients_max: 10,
        starttls: false,
        tls_required: false,
        login,
        plaintext_auth: true,
        sasl: sasl::Offered::default(),
        lmtp: false,
        future_release: None,
        xclient: false,
        strict: false,
    };
    Session::new(offer, Security::Clear)
}

/// The codes of the replies in the output, which is taken.
fn codes(output: &mut Vec<u8>) -> String {
    let text = String::from_utf8(std::mem::take(output)).unwrap();
    let codes: Vec<&str> = text.lines().filter_map(|line| line.get(..3)).collect();
    codes.join(" ")
}

/// What is said at once, in each flush; questions are answered Yes.
fn flushes(session: &mut Session) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let step = session.next();
        match step {
            Step::Ask(_) => session.answer(Answer::Yes),
            Step::Body(_) => {}
            _ => all.push(codes(session.output())),
        }
        if matches!(step, Step::Read | Step::Close) {
            return all;
        }
    }
}

/// RFC 2920 §3.2 (2), (5), (6): replies to RSET, MAIL and RCPT travel together, others at once.
#[test]
fn replies_that_may_not_wait_do_not() {
    let mut session = session(false);
    session.receive(b"HELO x\r\nRSET\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nNOOP\r\nFROB\r\n");
    assert_eq!(flushes(&mut session), ["220 250", "250 250 250 250", "500", ""]);
    session.receive(b"VRFY x\r\nRCPT TO:<d@e.f>\r\nDATA\r\n.\r\nRSET\r\nQUIT\r\n");
    assert_eq!(flushes(&mut session), ["252", "250 354", "451 250 221"]);
}

/// RFC 4954 §6: a directory that is down is no wrong password, and the session goes on.
#[test]
fn a_login_that_cannot_be_decided_is_for_later() {
    let mut session = session(true);
    session.receive(b"HELO x\r\n");
    while !matches!(session.next(), Step::Read) {}
    session.receive(b"AUTH PLAIN AHgAeQ==\r\nRSET\r\n");
    assert!(matches!(session.next(), Step::Ask(Question::Sasl(Client::Begins(..)))));
    session.output().clear();
    session.answer(Answer::Reply(reply::AUTH_UNAVAILABLE));
    assert!(matches!(session.next(), Step::Read));
    let said = String::from_utf8_lossy(session.output()).into_owned();
    assert_eq!(said, "454 4.7.0 Cannot check the password now\r\n250 2.0.0 OK\r\n");
}

/// RFC 4954 §4: 12288 octets of base64 are enough for anybody, with AUTH as without; users.md S-30.
#[test]
fn a_response_that_comes_with_auth_may_be_as_long_as_another() {
    for (octets, code) in [(12_288, "235"), (12_292, "500"), (20_000, "500")] {
        let mut session = session(true);
        session.receive(b"HELO x\r\n");
        flushes(&mut session);
        let line = format!("auth XOAUTH2 {}\r\n", "A".repeat(octets));
        session.offer.sasl.bearer = true;
        line.as_bytes().chunks(1000).for_each(|piece| session.receive(piece));
        assert_eq!(flushes(&mut session).concat(), code, "{octets}");
    }
    let mut session = session(false);
    session.receive(format!("AUTH PLAIN {}\r\n", "A".repeat(5000)).as_bytes());
    assert_eq!(flushes(&mut session).concat(), "220 500");
}

/// How many NOOPs are answered before the connection ends.
fn noops(session: &mut Session) -> usize {
    session.receive(&b"NOOP\r\n".repeat(300));
    flushes(session).concat().matches("250").count()
}

#[test]
fn commands_that_lead_nowhere_are_fewer_before_the_first_message() {
    let mut stranger = session(false);
    assert_eq!(noops(&mut stranger), IDLE_COMMANDS_AT_FIRST_MAX);
    let mut sends = session(false);
    sends.receive(b"HELO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n.\r\n");
    while !matches!(sends.next(), Step::Ask(Question::End)) {
        if matches!(sends.phase, Phase::Asking(_)) {
            sends.answer(Answer::Yes);
        }
    }
    sends.answer(Answer::Reply(reply::OK));
    sends.output().clear();
    assert_eq!(noops(&mut sends), IDLE_COMMANDS_MAX);
}

#[test]
fn logins_and_senders_that_are_put_off_lead_nowhere() {
    let mut session = session(true);
    session.receive(b"HELO x\r\n");
    session.receive(&b"AUTH PLAIN AHgAeQ==\r\n".repeat(100));
    let mut asked = 0;
    loop {
        match session.next() {
            Step::Ask(_) => session.answer(Answer::Reply(reply::AUTH_UNAVAILABLE)),
            Step::Close => break,
            _ => continue,
        }
        asked += 1;
    }
    assert_eq!(asked, IDLE_COMMANDS_AT_FIRST_MAX - 1);
}
