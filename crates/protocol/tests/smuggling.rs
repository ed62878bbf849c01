//! SM-1 and SM-2: no octets whatever end a message but CRLF.CRLF, and nothing we send can be taken
//! for two messages. Exhaustive over short texts, against a reference of a few lines.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../fuzz/src/reference.rs"]
mod reference;

use protocol::machine::{Machine, Security, Step};
use protocol::smtp::body::{Bare, BareCheck, DataReader, DataWriter};
use protocol::smtp::reply;
use protocol::smtp::server::{Answer, Offer, Question, Session};
use reference::reference;

fn received(octets: &[u8], at: usize, bare: Bare) -> Option<(Vec<u8>, bool, usize)> {
    let mut reader = DataReader::new(bare);
    let mut message = Vec::new();
    let (first, second) = octets.split_at(at);
    let (used, ended) = reader.read(first, &mut message);
    if ended {
        return Some((message, reader.tainted, used));
    }
    let (more, ended) = reader.read(second, &mut message);
    ended.then_some((message, reader.tainted, used + more))
}

/// Every text of up to `length` octets of `alphabet`.
fn texts(alphabet: &[u8], length: u32) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..=length).flat_map(move |length| {
        (0..alphabet.len().pow(length)).map(move |mut n| {
            (0..length)
                .map(|_| {
                    let byte = alphabet[n % alphabet.len()];
                    n /= alphabet.len();
                    byte
                })
                .collect()
        })
    })
}

#[test]
fn sm_1_every_short_text_is_received_as_the_reference_says() {
    for text in texts(b"\r\n.a\0", 7) {
        for bare in [Bare::Refuse, Bare::Repair] {
            let expected = reference(&text, bare);
            // A split in the middle and none: all of them are tried on the ones that matter below.
            for at in [0, text.len() / 2] {
                let got = received(&text, at, bare);
                match (&got, &expected) {
                    // Of a refused message only the end and the refusal count.
                    (Some((_, true, end)), Some((_, true, expected))) => assert_eq!(end, expected),
                    _ => {
                        assert_eq!(got, expected, "{:?} {bare:?}", text.escape_ascii().to_string())
                    }
                }
            }
        }
    }
}

const BREAKS: [&[u8]; 9] =
    [b"\r", b"\n", b"\r\n", b"\r\r\n", b"\n\r", b"\0", b"\x0b", b"\x85", b"\r\n\0"];

fn session() -> Session {
    let offer = Offer {
        hostname: "mail.example.org".to_owned(),
        size_max: 10_000,
        recipients_max: 10,
        tls_required: false,
        starttls: false,
        login: false,
        plaintext_auth: false,
        sasl: protocol::sasl::Offered::default(),
        lmtp: false,
        future_release: None,
        xclient: false,
        strict: false,
    };
    Session::new(offer, Security::Clear)
}

/// Runs a session; returns the messages it took and what it said.
fn run(octets: &[u8], split: usize) -> (Vec<Vec<u8>>, String) {
    let mut session = session();
    let (mut messages, mut current) = (Vec::new(), Vec::new());
    for piece in octets.chunks(split) {
        session.receive(piece);
        loop {
            match session.next() {
                Step::Body(octets) => current.extend(octets),
                Step::Ask(question) => {
                    let answer = match question {
                        Question::End => {
                            messages.push(std::mem::take(&mut current));
                            Answer::Reply(reply::MESSAGE_ACCEPTED)
                        }
                        Question::Abort(_) => {
                            current.clear();
                            Answer::Yes
                        }
                        _ => Answer::Yes,
                    };
                    session.answer(answer);
                }
                Step::Close => {
                    let said = String::from_utf8(session.output().clone()).unwrap();
                    return (messages, said);
                }
                Step::Flush => {}
                _ => break,
            }
        }
    }
    (messages, String::from_utf8(session.output().clone()).unwrap())
}

/// A stranger's message with a second one hidden in it, over DATA and BDAT, in every split.
#[test]
fn sm_1_the_matrix_of_line_breaks_makes_one_message_or_none() {
    const HELLO: &[u8] = b"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n";
    const HIDDEN: &[u8] = b"MAIL FROM:<evil@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nevil\r\n.\r\n";
    for before in BREAKS {
        for after in BREAKS {
            // That one is the end of a message, and what follows are commands.
            if before == b"\r\n" && after.starts_with(b"\r\n") {
                continue;
            }
            let body = [b"Subject: x\r\n\r\ntext", before, b".", after, HIDDEN].concat();
            let clean = !body
                .windows(2)
                .any(|two| (two[0] == b'\r') != (two[1] == b'\n') || two.contains(&0));
            let data = [HELLO, b"DATA\r\n", &body, b"\r\n.\r\nQUIT\r\n"].concat();
            let sized = format!("BDAT {} LAST\r\n", body.len());
            let chunk = [HELLO, sized.as_bytes(), &body, b"QUIT\r\n"].concat();
            for split in [1, 2, 3, 7, 64, 100_000] {
                let context = format!("{:?} . {:?} by {split}", before, after);
                let (messages, said) = run(&data, split);
                // The hidden part ends in CRLF.CRLF, which ends the outer message; what follows
                // is the client's own line. There is never a second message.
                assert!(messages.len() <= 1, "{context}: {said}");
                assert!(!said.contains("evil") && said.matches("\r\n354 ").count() == 1, "{said}");
                match clean {
                    true => {
                        assert!(messages[0].starts_with(b"Subject: x\r\n\r\ntext"), "{context}")
                    }
                    false => assert!(said.contains("\r\n550 5.6.11 "), "{context}: {said}"),
                }
                assert_eq!(messages.len(), usize::from(clean), "{context}");
                let (messages, said) = run(&chunk, split);
                match clean {
                    true => assert_eq!(messages.concat(), body, "{context}"),
                    false => {
                        assert!(messages.is_empty(), "{context}");
                        assert!(said.contains("\r\n550 5.6.11 "), "{context}: {said}");
                    }
                }
            }
        }
    }
}

/// The writer that everything goes out by.
#[test]
fn sm_2_whatever_is_relayed_is_one_message_of_crlf_lines() {
    for text in texts(b"\r\n.a", 8) {
        for split in [1, 3, 100] {
            let mut writer = DataWriter::default();
            let mut wire = Vec::new();
            text.chunks(split).for_each(|piece| writer.write(piece, &mut wire));
            writer.finish(&mut wire);
            let mut check = BareCheck::default();
            check.feed(&wire);
            check.finish();
            let got = received(&wire, 0, Bare::Refuse);
            let (message, tainted, used) = got.unwrap();
            assert!(!check.tainted && !tainted, "{:?}", text.escape_ascii().to_string());
            assert_eq!(used, wire.len(), "{:?}", text.escape_ascii().to_string());
            // And it is the same text, its line breaks mended.
            let flat = |octets: &[u8]| {
                let text = String::from_utf8_lossy(octets).replace("\r\n", "\n");
                text.replace('\r', "\n").trim_end_matches('\n').to_owned()
            };
            assert_eq!(flat(&message), flat(&text));
        }
    }
}

/// An octet of every value in every parameter, raw and as xtext: none reaches a header line, a log
/// or a reply.
#[test]
fn sm_3_no_octet_in_a_parameter_breaks_out_of_it() {
    let places = [
        "EHLO x~y",
        "MAIL FROM:<a@b.c> ENVID=x~y",
        "MAIL FROM:<a@b.c> RET=~",
        "MAIL FROM:<a@b.c> AUTH=x~y",
        "MAIL FROM:<a@b.c> BODY=8BIT~MIME",
        "MAIL FROM:<x~y@b.c> SMTPUTF8",
        "MAIL FROM:<\"x~\"@b.c> SMTPUTF8",
        "MAIL FROM:<x@y~b.c> SMTPUTF8",
        "RCPT TO:<x~y@b.c>",
        "RCPT TO:<\"x~\"@b.c>",
        "RCPT TO:<d@e.f> ORCPT=rfc822;x~y@b.c",
        "RCPT TO:<d@e.f> ORCPT=rfc~822;x",
        "RCPT TO:<d@e.f> ORCPT=utf-8;x\\x{~}",
        "RCPT TO:<d@e.f> NOTIFY=~",
        "VRFY ~",
    ];
    let mut heard_any = 0;
    for place in places {
        for byte in 0..=255u8 {
            for piece in [vec![byte], format!("+{byte:02X}").into_bytes()] {
                let (before, after) = place.split_once('~').unwrap();
                let line = [before.as_bytes(), &piece, after.as_bytes(), b"\r\n"].concat();
                let (heard, said) = heard_and_said(&line, place.starts_with("RCPT"));
                let safe = |text: &str| text.chars().all(|c| !c.is_control());
                assert!(heard.iter().all(|text| safe(text)), "{line:?}: {heard:?}");
                assert!(said.split("\r\n").all(safe), "{line:?}: {said:?}");
                heard_any += heard.len();
            }
        }
    }
    // Most octets are fine in most places, and go further.
    assert!(heard_any > 2000, "{heard_any}");
}

/// What the server asks about because of a line, and says.
fn heard_and_said(line: &[u8], in_transaction: bool) -> (Vec<String>, String) {
    let mut session = session();
    let mut begin = b"EHLO x\r\n".to_vec();
    if in_transaction {
        begin.extend_from_slice(b"MAIL FROM:<a@b.c> SMTPUTF8\r\n");
    }
    let mut heard = Vec::new();
    let mut hear = |octets: &[u8], session: &mut Session| {
        session.receive(octets);
        heard.clear();
        loop {
            let answer = match session.next() {
                Step::Ask(Question::Sender(mail)) => {
                    heard.push(format!("{}{}", mail.sender, mail.envid.unwrap_or_default()));
                    Answer::Yes
                }
                Step::Ask(Question::Recipient(rcpt)) => {
                    let to = rcpt.recipient.map(|to| to.to_string()).unwrap_or_default();
                    heard.push(format!("{to}{}", rcpt.orcpt.unwrap_or_default()));
                    Answer::Yes
                }
                Step::Ask(_) => Answer::Reply(reply::CANNOT_VERIFY),
                Step::Read | Step::Close => return,
                _ => continue,
            };
            session.answer(answer);
        }
    };
    hear(&begin, &mut session);
    session.output().clear();
    hear(line, &mut session);
    (heard, String::from_utf8(session.output().clone()).unwrap())
}
