//! The real binary, driven over real sockets: the demo, the two protocols in and out, refusal of
//! smuggling, and two servers that are killed while they exchange mail.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use world::{BINARY, Server, Talk, submit, wait};

#[test]
fn the_demo_tells_the_whole_journey() {
    let output = Command::new(BINARY).args(["demo", "--once"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    for told in
        ["MX two.example: 10 mx.two.example", "C: STARTTLS", "S: * 1 EXISTS", "+OK Bye", "TLSv1.3"]
    {
        assert!(text.contains(told), "{told} is missing in:\n{text}");
    }
}

#[test]
fn strangers_are_refused_what_is_not_theirs() {
    let server = Server::new("refuse", "here.test", &[]);
    server.run(&["account", "add", "bob@here.test", "--password-stdin"], "secret\n");
    let mut smtp = server.talk(25).unwrap();
    smtp.reply().unwrap();
    for (command, code) in [
        ("MAIL FROM:<x@y.test>", "503 5.5.1"),
        ("EHLO stranger", "250 "),
        ("AUTH PLAIN AAAA", "502 5.5.1"),
        ("MAIL FROM:<x@y.test>", "250 2.1.0"),
        ("RCPT TO:<someone@else.test>", "550 5.7.1"),
        ("RCPT TO:<nobody@here.test>", "550 5.1.1"),
        ("DATA", "503 5.5.1"),
        ("RCPT TO:<bob+tag@here.test>", "250 2.1.5"),
        ("RCPT TO:<postmaster>", "250 2.1.5"),
    ] {
        let reply = smtp.smtp(command).unwrap();
        assert!(reply.starts_with(code), "{command}: {reply}");
    }
    let mut submission = server.talk(587).unwrap();
    submission.reply().unwrap();
    for (command, code) in [
        ("EHLO client", "250 "),
        ("MAIL FROM:<bob@here.test>", "530 5.7.0"),
        ("AUTH PLAIN AGJvYkBoZXJlLnRlc3QAd3Jvbmc=", "535 5.7.8"),
        ("AUTH PLAIN AGJvYkBoZXJlLnRlc3QAc2VjcmV0", "235 2.7.0"),
        ("MAIL FROM:<admin@here.test>", "553 5.7.1"),
        ("MAIL FROM:<bob@here.test>", "250 2.1.0"),
    ] {
        let reply = submission.smtp(command).unwrap();
        assert!(reply.starts_with(code), "{command}: {reply}");
    }
}

#[test]
fn smuggled_messages_make_no_second_message() {
    let server = Server::new("smuggle", "here.test", &[]);
    for bad in ["\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r\n.\r"] {
        let mut smtp = server.talk(25).unwrap();
        smtp.reply().unwrap();
        for command in ["EHLO x", "MAIL FROM:<a@b.test>", "RCPT TO:<admin@here.test>", "DATA"] {
            assert!(smtp.smtp(command).unwrap().starts_with(['2', '3']));
        }
        let smuggled = format!(
            "Subject: one\r\n\r\nx{bad}MAIL FROM:<evil@b.test>\r\nRCPT TO:<admin@here.test>\r\nDATA\r\nSubject: two\r\n\r\ny\r\n."
        );
        let reply = smtp.smtp(&smuggled).unwrap();
        assert!(reply.starts_with("550 5.6.11"), "{bad:?}: {reply}");
        let mut rest = String::new();
        let _ = smtp.reader.read_to_string(&mut rest);
        let goodbye = rest.starts_with("421 ") && rest.lines().count() == 1;
        assert!(goodbye, "the connection goes on: {rest:?}");
    }
    assert_eq!(server.subjects("admin@here.test"), Vec::<String>::new());
}

#[test]
fn what_was_accepted_survives_kill_9_on_either_side() {
    const MESSAGES: usize = 1000;
    let retry = ["relay.retry_seconds=[1]".to_owned()];
    let mut one = Server::new("kill-one", "one.test", &retry);
    let mut two = Server::new("kill-two", "two.test", &retry);
    one.run(&["route", "add", "two.test", &format!("127.0.0.1:{}", two.port(25))], "");
    two.run(&["route", "add", "one.test", &format!("127.0.0.1:{}", one.port(25))], "");
    let mut accepted = [HashSet::new(), HashSet::new()];
    for n in 0..MESSAGES {
        // Kills come at uneven places, in the middle of relaying.
        if n % 13 == 7 {
            if n % 2 == 0 { one.kill() } else { two.kill() }
        }
        let both = [(&one, "one", "two"), (&two, "two", "one")];
        for (side, (server, from, to)) in both.into_iter().enumerate() {
            let subject = format!("{from}-{n}");
            let sent = submit(
                server,
                &format!("admin@{from}.test"),
                &format!("admin@{to}.test"),
                &subject,
            );
            if sent.is_ok() {
                accepted[side].insert(subject);
            }
        }
        for server in [&mut one, &mut two] {
            if server.child.is_none() {
                server.start();
            }
        }
    }
    assert!(accepted.iter().all(|set| set.len() > MESSAGES / 2), "too few were accepted");
    let mut missing = Vec::new();
    let all_there = wait(60, || {
        let at_two: HashSet<String> = two.subjects("admin@two.test").into_iter().collect();
        let at_one: HashSet<String> = one.subjects("admin@one.test").into_iter().collect();
        missing = accepted[0]
            .difference(&at_two)
            .chain(accepted[1].difference(&at_one))
            .cloned()
            .collect();
        missing.is_empty()
    });
    assert!(all_there, "accepted and lost: {missing:?}");
}

#[test]
fn configuration_errors_name_the_line_and_the_nearest_key() {
    let root = std::env::temp_dir().join(format!("postrider-test-config-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let file: &Path = &root.join("postrider.toml");
    std::fs::write(
        file,
        "hostname = \"a.test\"\ndomain = \"a.test\"\n[limits]\nmesage_octets = 5\n",
    )
    .unwrap();
    let output = Command::new(BINARY).args(["serve", "--root"]).arg(&root).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78));
    assert!(text.contains("line 4") && text.contains("Did you mean 'message_octets'?"), "{text}");
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn too_many_connections_are_told_so() {
    let few = ["limits.connections_per_address=3".to_owned()];
    let server = Server::new("many", "here.test", &few);
    let mut kept: Vec<Talk> = (0..3).map(|_| server.talk(25).unwrap()).collect();
    for talk in &mut kept {
        assert!(talk.reply().unwrap().starts_with("220 "));
    }
    assert!(server.talk(25).unwrap().reply().unwrap().starts_with("421 4.7.0"));
    assert!(server.talk(143).unwrap().line().unwrap().starts_with("* BYE"));
    kept.clear();
    let room = wait(10, || server.talk(25).unwrap().reply().is_ok_and(|r| r.starts_with("220 ")));
    assert!(room, "a place that was left is not given out again");
}

#[test]
fn bad_input_gets_a_clear_reply_and_the_server_goes_on() {
    let server = Server::new("bad", "here.test", &[]);
    let long = "x".repeat(100_000);
    let mut smtp = server.talk(25).unwrap();
    smtp.reply().unwrap();
    assert!(smtp.smtp(&format!("EHLO {long}")).unwrap().starts_with("500 5.5.2"));
    assert!(smtp.smtp("EHLO fine").unwrap().starts_with("250"));
    let mut http = server.talk(25).unwrap();
    http.reply().unwrap();
    assert!(http.smtp("GET / HTTP/1.1").unwrap().starts_with("421"));
    let mut pop3 = server.talk(110).unwrap();
    pop3.line().unwrap();
    for command in ["RETR 1", "FROB", &long] {
        assert!(pop3.ask(command).unwrap().starts_with("-ERR"));
    }
    let mut imap = server.talk(143).unwrap();
    imap.line().unwrap();
    for (command, answer) in [
        ("a FETCH 1 FLAGS", "a BAD"),
        ("b FROB", "b BAD"),
        ("c LOGIN admin@here.test wrong", "c NO [AUTHENTICATIONFAILED]"),
        ("d LOGIN admin@here.test {100000000}", "d BAD [TOOBIG]"),
        ("e LOGIN admin@here.test secret", "e OK"),
        ("f STORE 1 FLAGS", "f BAD"),
    ] {
        let reply = imap.ask(command).unwrap();
        assert!(reply.starts_with(answer), "{command}: {reply}");
    }
    // A TLS handshake that breaks off, on a port that wants TLS at once.
    for standard in [465, 993, 995] {
        let mut talk = server.talk(standard).unwrap();
        talk.reader.get_mut().write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    }
    let reply = submit(&server, "admin@here.test", "admin@here.test", "still alive").unwrap();
    assert!(reply.starts_with("250"));
    assert_eq!(server.subjects("admin@here.test"), ["still alive"]);
}
