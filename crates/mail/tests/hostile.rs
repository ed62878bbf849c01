//! Messages made to hurt a MIME parser: four times the octets may take about four times as long,
//! and what comes out stays within the limits. Each is fed whole; splits are tested elsewhere.

use mail::header::{decode_words, params::Parameterised};
use mail::mime::{summary_of, text};
use mail::subject::base_subject;
use mail::thread::each_message_id;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A name, what makes a message of about so many octets, and what is done with it.
type Case = (&'static str, fn(usize) -> Vec<u8>);

fn repeated(head: &str, piece: &str, octets: usize) -> Vec<u8> {
    let mut out = head.as_bytes().to_vec();
    out.extend(piece.as_bytes().iter().copied().cycle().take(octets / piece.len() * piece.len()));
    out
}

fn numbered(head: &str, piece: impl Fn(usize) -> String, octets: usize) -> Vec<u8> {
    let mut out = head.as_bytes().to_vec();
    for n in 0.. {
        if out.len() >= octets {
            break;
        }
        out.extend(piece(n).into_bytes());
    }
    out
}

const MIXED: &str = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";

const CASES: [Case; 20] = [
    ("messages within messages", |n| repeated("", "Content-Type: message/rfc822\r\n\r\n", n)),
    ("multiparts within multiparts", |n| {
        let part = |n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
        numbered("", part, n)
    }),
    ("flat parts", |n| repeated(MIXED, "--b\r\n\r\nx\r\n", n)),
    ("multiparts that are never opened", |n| {
        let part = |n| format!("--b\r\nContent-Type: multipart/mixed; boundary=i{n}\r\n\r\n");
        numbered(MIXED, part, n)
    }),
    ("continued parameters", |n| {
        numbered("Content-Type: text/plain", |n| format!(";\r\n name*{n}=x"), n)
    }),
    ("many fields", |n| numbered("", |n| format!("X-{n}: y\r\n"), n)),
    ("many To fields", |n| numbered("", |n| format!("To: a{n}@x.test\r\n"), n)),
    ("many addresses", |n| numbered("Cc: a@x", |n| format!(", a{n}@x.test"), n)),
    ("nested comments", |n| repeated("From: ", "(", n)),
    ("nested groups", |n| repeated("To: ", "g:", n)),
    ("open multiparts and dashes", |n| {
        let open = |n| format!("Content-Type: multipart/mixed; boundary=o{n}\r\n\r\n--o{n}\r\n");
        let mut out: String = (0..60).map(open).collect();
        out.push_str(&"--\r\n".repeat(n / 4));
        out.into_bytes()
    }),
    ("one long field", |n| repeated("Received: ", "x", n)),
    ("many references", |n| numbered("References:", |n| format!(" <{n}@x>\r\n"), n)),
    ("encoded words", |n| repeated("Subject: ", "=?utf-8?q?a?= ", n)),
    ("encoded words that never end", |n| repeated("Subject: ", "=?utf-8?q?a ", n)),
    ("quotes and backslashes", |n| repeated("From: \"", "\\\"", n)),
    ("angles", |n| repeated("From: ", "<", n)),
    ("long boundaries", |n| {
        let boundary = "x".repeat(60_000);
        let head = format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n");
        numbered(&head, |_| format!("--{boundary}\r\n"), n)
    }),
    ("folded blanks", |n| repeated("Subject: a", "\r\n ", n)),
    ("base64 of base64", |n| {
        let head = "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n";
        repeated(head, "QUFB====", n)
    }),
];

/// All that is ever done with a message.
fn look(message: &[u8]) -> usize {
    let summary = summary_of(message);
    let stored = summary.encode();
    let subject = summary.envelope.subject.as_deref().unwrap_or_default();
    let texts = text::texts(&summary.root, text::in_memory::<()>(message)).unwrap_or_default();
    let mut ids = 0;
    each_message_id(summary.references.as_deref().unwrap_or_default(), |_| ids += 1);
    let parameters = Parameterised::parse(message).parameters;
    base_subject(subject);
    decode_words(message);
    // A part takes some 30 octets, however small it is.
    assert!(stored.len() <= message.len() * 4 + 4096, "{} from {}", stored.len(), message.len());
    texts.len() + ids + parameters.len()
}

/// Processor time that this thread takes to look at a message; other programs do not count.
fn cost(message: &[u8]) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
    };
    let start = now();
    look(message);
    now() - start
}

/// Linear work takes four times as long for four times the octets, quadratic work sixteen times.
/// Both sizes take turns in one run, and the least of each counts.
#[test]
fn hostile_messages_cost_what_others_do() {
    const OCTETS: usize = 50_000;
    const MOST: u32 = 9;
    for (name, make) in CASES {
        let (small, large) = (make(OCTETS), make(4 * OCTETS));
        let mut least = (Duration::MAX, Duration::MAX);
        for turn in 0..20 {
            least = (least.0.min(cost(&small)), least.1.min(cost(&large)));
            if turn >= 2 && least.1 <= least.0 * MOST {
                break;
            }
        }
        let (small, large) = least;
        assert!(
            large <= small * MOST,
            "{name}: {small:?} for {OCTETS} octets, {large:?} for four times that"
        );
    }
}
