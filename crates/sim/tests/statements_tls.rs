//! What TLS must give and what is said before it: users.md §5.2, security.md SM-4 to SM-6, each a
//! test of its name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan};
use sim::play::{Way, check, play};
use sim::script::Script;
use sim::world::SimWorld;
use std::net::SocketAddr;
use sys::tls::{TlsClient, Trust};

#[test]
fn s_37_both_ways_of_tls_are_there() {
    let text = "S1: 220 …\nC1: STARTTLS\nS1: 220 …\n-- tls C1\nC1: NOOP\nS1: 250 …\n\
                S2: 220 …\nC2: NOOP\nS2: 250 …\n";
    check(Service::Submission, "C1 on submission; C2 on submissions", text);
}

/// A handshake that fails is counted for its port, with STARTTLS and without (users.md S-07; what
/// the log says of it: crates/sys/tests/tls.rs).
#[tokio::test(start_paused = true)]
async fn s_07_a_handshake_that_fails_is_counted() {
    let _still = sim::client::stand_still();
    let house = House::build(Plan::default(), SimWorld::new(7)).await;
    for service in [Service::Submissions, Service::Imaps, Service::Pop3s, Service::Smtp] {
        let failed = || house.shared.counts.of(service).tls_failed.get();
        assert_eq!(failed(), 0);
        let mut client = Client::dial(&house, service, [192, 0, 2, 1]);
        if service == Service::Smtp {
            client.reply().await;
            assert!(client.ask("EHLO x").await.starts_with("250 "));
            assert!(client.ask("STARTTLS").await.starts_with("220 "));
        }
        client.send(b"GET / HTTP/1.1\r\n\r\n").await;
        while !client.line().await.is_empty() {}
        house.quiesce().await;
        assert_eq!(failed(), 1, "{service:?}");
    }
}

/// Text in clear behind COMPRESS ends the session (RFC 4978 §3), and is no failure of TLS.
#[tokio::test(start_paused = true)]
async fn text_behind_compress_is_no_failed_handshake() {
    let _still = sim::client::stand_still();
    let house = House::build(Plan::default(), SimWorld::new(7)).await;
    house.add_account("alice").await;
    for service in [Service::Imap, Service::Imaps] {
        let mut client = Client::connect(&house, service, [192, 0, 2, 1]).await;
        client.reply().await;
        assert!(client.ask("a LOGIN alice secret").await.starts_with("a OK"));
        client.send(b"b COMPRESS DEFLATE\r\nc NOOP\r\n").await;
        while !client.line().await.is_empty() {}
        house.quiesce().await;
        assert_eq!(house.shared.counts.of(service).tls_failed.get(), 0, "{service:?}");
    }
}

/// An unknown name, an address, a final dot, the recipient's domain: the one certificate for all.
#[tokio::test(start_paused = true)]
async fn s_08_any_server_name_gets_the_certificate() {
    let _still = sim::client::stand_still();
    let house = House::build(Plan::default(), SimWorld::new(8)).await;
    for name in ["mail.example.org", "mail.example.org.", "other.example", "192.0.2.1", "::1"] {
        for service in [Service::Submissions, Service::Imaps, Service::Pop3s] {
            let from = SocketAddr::from(([192, 0, 2, 1], 40_000));
            let stream = Box::new(house.connect(service, from));
            let client = TlsClient::new(&Trust::Anybody).unwrap();
            let shaken = client.connect(name, stream).await;
            assert!(shaken.is_ok(), "{name}: {:?}", shaken.err());
        }
    }
}

#[test]
fn sm_4_s_06_nothing_said_before_tls_counts_after_it() {
    for (service, start, go, no) in [
        (
            Service::Smtp,
            "S1: 220 …\nC1: STARTTLS\n",
            "S1: 220 …\n",
            "S1: 503 5.5.1 …\nS1: 421 4.7.0 …\n",
        ),
        (
            Service::Lmtp,
            "S1: 220 …\nC1: STARTTLS\n",
            "S1: 220 …\n",
            "S1: 503 5.5.1 …\nS1: 421 4.7.0 …\n",
        ),
        (Service::Pop3, "S1: +OK …\nC1: STLS\n", "S1: +OK…\n", "S1: -ERR …\n"),
        (
            Service::Imap,
            "S1: * OK …\nC1: a STARTTLS\n",
            "S1: a OK …\n",
            "S1: a BAD …\nS1: * BYE …\n",
        ),
    ] {
        let injected = format!("rfc: 3207 §5\n{start}C1: NOOP\n{no}-- closed C1\n");
        let script = Script::parse(&injected).unwrap_or_else(|why| panic!("{why}"));
        let played = play(&script, service, Way::Whole, false);
        assert!(played.is_ok(), "{service:?}: {played:?}");
        check(service, "account alice", &format!("{start}{go}-- tls C1\n"));
    }
    let text = "S1: 220 …\nC1: HELO x\nC1: MAIL FROM:<a@b.c>\nS1: 250 …\nS1: 250 …\n\
                C1: STARTTLS\nS1: 220 …\n-- tls C1\nC1: RCPT TO:<alice@example.org>\n\
                S1: 503 …\nC1: MAIL FROM:<a@b.c>\nS1: 503 5.5.1 Say EHLO first\n";
    check(Service::Smtp, "account alice", text);
}

/// As a client we hang up when something follows the reply to STARTTLS, and try again later.
#[test]
fn sm_4_a_server_that_injects_before_tls_gets_no_message_over_it() {
    let text = "-- dns example.net 192.0.2.10\n-- remote R1 192.0.2.10:25\n\
        C1: MAIL FROM:<alice@example.org>\nC1: RCPT TO:<bob@example.net>\nC1: DATA\n\
        S1: 250 …\nS1: 250 …\nS1: 354 …\nC1: Subject: x\nC1:\nC1: .\nS1: 250 …\n\
        R1: 220 x\nP1: EHLO mail.example.org\nR1: 250-x\nR1: 250 STARTTLS\nP1: STARTTLS\n\
        R1> 220 go\\r\\n250 injected\\r\\n\n-- closed R1\n";
    let script = Script::parse(&format!(
        "rfc: 3207 §5\ngiven: account alice; C1 on submission as alice\n{text}"
    ));
    let script = script.unwrap_or_else(|why| panic!("{why}"));
    let played = play(&script, Service::Submission, Way::Whole, false);
    assert!(played.is_ok(), "{played:?}");
}

/// No password is asked for in clear, no way to say one is announced there, and what comes is not
/// looked at: a wrong one hears the same.
#[test]
fn sm_5_no_password_is_asked_for_or_taken_in_clear() {
    for word in ["secret", "wrong"] {
        let plain = format!("{{{{base64 \\0alice\\0{word}}}}}");
        let smtp = "S1: 220 …\nC1: EHLO x\nS1: 250-mail.example.org\nS1~ 250-SIZE …\n\
            S1~ 250-PIPELINING\nS1~ 250-8BITMIME\nS1~ 250-BINARYMIME\nS1~ 250-SMTPUTF8\n\
            S1~ 250-CHUNKING\nS1~ 250-ENHANCEDSTATUSCODES\nS1~ 250-DSN\nS1~ 250-MT-PRIORITY\n\
            S1~ 250-DELIVERBY\nS1~ 250-LIMITS …\nS1~ 250-STARTTLS\nS1~ 250-BURL\n\
            S1~ 250-FUTURERELEASE …\nS1: 250 HELP\n";
        let pop3 = "S1: +OK …\nC1: CAPA\nS1: +OK…\nS1~ TOP\nS1~ UIDL\nS1~ PIPELINING\n\
            S1~ RESP-CODES\nS1~ AUTH-RESP-CODE\nS1~ STLS\nS1~ UTF8 USER\nS1~ LANG\n\
            S1~ EXPIRE NEVER\nS1~ IMPLEMENTATION Postrider\nS1: .\n";
        // Never PREAUTH: whoever strips STARTTLS could pretend that nobody has to log in.
        let imap = "S1: * OK [CAPABILITY IMAP4rev1 …STARTTLS LOGINDISABLED…] …\n";
        let cases = [
            (Service::Submission, format!("{smtp}C1: AUTH PLAIN {plain}\nS1: 538 5.7.11 …\n")),
            (Service::Submission, format!("{smtp}C1: AUTH PLAIN\nS1: 538 5.7.11 …\n")),
            (Service::Submission, format!("{smtp}C1: AUTH LOGIN\nS1: 538 5.7.11 …\n")),
            (Service::Submission, format!("{smtp}C1: AUTH SCRAM-SHA-256\nS1: 538 5.7.11 …\n")),
            (
                Service::Pop3,
                format!(
                    "{pop3}C1: USER alice\nS1: -ERR Passwords only under TLS: …\n\
                     C1: PASS {word}\nS1: -ERR [AUTH] …\n"
                ),
            ),
            (Service::Pop3, format!("{pop3}C1: AUTH PLAIN {plain}\nS1: -ERR [AUTH] …\n")),
            (
                Service::Imap,
                format!("{imap}C1: a LOGIN alice {word}\nS1: a NO [PRIVACYREQUIRED] …\n"),
            ),
            (
                Service::Imap,
                format!("{imap}C1: a AUTHENTICATE PLAIN {plain}\nS1: a NO [PRIVACYREQUIRED] …\n"),
            ),
        ];
        for (service, text) in cases {
            check(service, "account alice; plaintext_auth = false", &text);
        }
    }
}

/// What must not go in clear waits where STARTTLS was stripped or the certificate is nobody's, and
/// its sender hears why. (MTA-STS: mta_sts.rs. DANE is not looked at.)
#[test]
fn sm_5_who_strips_tls_gets_no_mail_that_needs_it() {
    let needs = "account alice; smarthost = relay.example.com:587; tls_required_to = example.net; \
                 C1 on submission as alice";
    let start = "-- dns relay.example.com 192.0.2.30\n-- remote R1 192.0.2.30:587\n\
        C1: MAIL FROM:<alice@example.org>\nC1: RCPT TO:<bob@example.net>\nC1: DATA\n\
        S1: 250 …\nS1: 250 …\nS1: 354 …\nC1: Subject: x\nC1:\nC1: .\nS1: 250 …\n\
        R1: 220 x\nP1: EHLO mail.example.org\n";
    let (offered, go) = ("R1: 250-x\nR1: 250 STARTTLS\nP1: STARTTLS\n", "R1: 220 go\n");
    for answer in [
        "R1: 250 x\nP1: QUIT\n".to_owned(),
        format!("{offered}R1: 454 not now\nP1: QUIT\n"),
        format!("{offered}R1: 502 no\nP1: QUIT\n"),
    ] {
        let text = format!("{start}{answer}-- remote R2 192.0.2.30:587\n-- quiet R2\n");
        check(Service::Submission, needs, &text);
    }
    let text = format!("{start}{offered}{go}-- tls R1 refused\n");
    check(Service::Submission, needs, &text);
}

/// What begins an HTTP request of each method, and of each kind of target (RFC 9112 §3.2).
const HTTP_REQUESTS: [&str; 11] = [
    "GET / HTTP/1.1",
    "get / HTTP/1.0",
    "POST /?a=b HTTP/1.1",
    "PUT /x HTTP/1.1",
    "HEAD http://mail.example.org/ HTTP/1.1",
    "DELETE / HTTP/1.1",
    "TRACE / HTTP/1.1",
    "PATCH / HTTP/1.1",
    "CONNECT 192.0.2.1:25 HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "PRI * HTTP/2.0",
];

/// What a browser says, or a client that speaks TLS from the start, is a reason to hang up, and
/// nothing that comes behind it is looked at; nor does anybody guess for long before EHLO.
#[test]
fn sm_6_other_protocols_are_sent_away_at_once() {
    let behind = "C1: Host: x\nC1:\nC1: HELO x\nC1: LHLO x\nC1: MAIL FROM:<a@b.c>\n";
    for service in [Service::Smtp, Service::Submission, Service::Lmtp] {
        for request in HTTP_REQUESTS {
            for behind in ["", behind] {
                let line = format!("C1: {request}\n{behind}");
                let text = format!("S1: 220 …\n{line}S1: 421 4.5.1 …\n-- closed C1\n");
                check(service, "account alice", &text);
            }
        }
        // A handshake: a record without a line's end in it, with one, and one of text only.
        let hello = "\\x16\\x03\\x01\\x02\\0\\x01\\0\\x01\\xfc\\x03\\x03";
        for octets in [
            hello.to_owned(),
            format!("{hello}\\r\\nNOOP\\r\\n"),
            format!("{hello}\\n"),
            "\\x16\\x03\\x01".into(),
        ] {
            let text = format!("S1: 220 …\nC1> {octets}\nS1: 421 4.5.1 …\n-- closed C1\n");
            check(service, "account alice", &text);
        }
        let text =
            "S1: 220 …\nC1: NOOP\nS1: 250 …\nC1> \\x16\\x03\nS1: 421 4.5.1 …\n-- closed C1\n";
        check(service, "account alice", text);
    }
    let junk = "S1: 220 …\nC1: A\nC1: B\nC1: C\nC1: HELO x\nS1: 500 …\nS1: 500 …\nS1: 500 …\n\
                S1: 421 …\n-- closed C1\n";
    check(Service::Smtp, "account alice", junk);
}

/// POP3 and IMAP hang up on a browser too, before they look at the lines behind its first, which
/// a page may have chosen; a tag that is called GET is a tag.
#[test]
fn sm_6_an_http_request_is_the_end_of_pop3_and_imap() {
    let pop3 = "C1: USER alice\nC1: PASS secret\n";
    let imap = "C1: a LOGIN alice secret\n";
    for (service, first, before, behind, end) in [
        (Service::Pop3, "+OK …", "C1: LANG en\nS1: +OK …\n", pop3, "-ERR This is a mail …"),
        (Service::Imap, "* OK …", "C1: a NOOP\nS1: a OK …\n", imap, "* BYE This is a mail …"),
    ] {
        for request in HTTP_REQUESTS {
            for (before, behind) in [("", ""), ("", behind), (before, behind)] {
                let said = format!("S1: {first}\n{before}C1: {request}\n{behind}S1: {end}\n");
                check(service, "account alice", &format!("{said}-- closed C1\n"));
            }
        }
    }
    let text = "S1: * OK …\nC1: GET NOOP\nS1: GET OK …\nC1: POST UID\nS1: POST BAD …\n";
    check(Service::Imap, "account alice", text);
}

/// So does who begins a handshake where POP3 and IMAP are spoken in clear.
#[test]
fn sm_6_a_tls_handshake_in_clear_is_the_end_of_pop3_and_imap() {
    let hello = "\\x16\\x03\\x01\\x02\\0\\x01\\0\\x01\\xfc\\x03\\x03";
    let with_line = format!("{hello}\\r\\na NOOP\\r\\n");
    for (service, first, before, end) in [
        (Service::Pop3, "+OK …", "C1: LANG en\nS1: +OK …\n", "-ERR This is a mail server, …"),
        (Service::Imap, "* OK …", "C1: a NOOP\nS1: a OK …\n", "* BYE This is a mail server, …"),
    ] {
        for octets in [hello, &with_line, "\\x16\\n", "\\x16"] {
            for before in ["", before] {
                let said = format!("S1: {first}\n{before}C1> {octets}\nS1: {end}\n");
                check(service, "account alice", &format!("{said}-- closed C1\n"));
            }
        }
    }
}

/// A report tells whether its message was spoken of under TLS, and by which; users.md S-62.
#[test]
fn s_62_a_report_tells_how_the_other_server_was_spoken_to() {
    let start = "-- dns example.net 192.0.2.10\n-- remote R1 192.0.2.10:25\n\
        C1: MAIL FROM:<alice@example.org>\nC1: RCPT TO:<bob@example.net>\nC1: DATA\n\
        S1: 250 …\nS1: 250 …\nS1: 354 …\nC1: Subject: x\nC1:\nC1: .\nS1: 250 …\n\
        R1: 220 x\nP1: EHLO mail.example.org\n";
    let tls = "R1: 250-x\nR1: 250 STARTTLS\nP1: STARTTLS\nR1: 220 go\n-- tls R1\n\
        P1: EHLO mail.example.org\n";
    let refused = "R1: 250 x\nP1: MAIL FROM:<alice@example.org>\nR1: 250 ok\n\
        P1: RCPT TO:<bob@example.net>\nR1: 550 5.1.1 no bob here\nP1: RSET\n\
        C2: a IDLE\nS2: + …\nR1: 250 ok\nS2: * 1 EXISTS\nS2: * 1 RECENT\nC2: DONE\n\
        S2: a OK …\nC2: b FETCH 1 BODY.PEEK[1]\n\
        S2: * 1 FETCH (BODY[1] {…}\nS2: This is the mail server mail.example.org.\nS2:\n\
        S2: It is about this message of yours:\nS2:     Subject: x\nS2:     Date: …\n\
        S2:     Message-ID: …\nS2:\n\
        S2: Your message could not be delivered to <bob@example.net>.\n\
        S2: It will not be tried again.\n";
    let end = "S2: The reason:\nS2:     550 5.1.1 no bob here\nS2: )\nS2: b OK …\n";
    let given = "account alice; C1 on submission as alice; C2 on imap as alice in INBOX";
    for (how, told) in [
        ("", "S2: The other server is example.net, spoken to without TLS.\n"),
        (tls, "S2: The other server is example.net,\nS2: spoken to under TLSv1.3 …\n"),
    ] {
        let text = format!("{start}{how}{refused}{told}{end}");
        check(Service::Submission, given, &text);
    }
}
