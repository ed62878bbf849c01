//! Known answers, and: any split of the input gives the same summary.

use super::*;
use crate::summary::Summary;

const NESTED: &str = "From: A <a@x.test>\r\nTo: b@y.test\r\nSubject: hi\r\nDate: Fri, 21 Nov 1997 09:55:06 -0600\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"outer\"\r\n\r\npreamble\r\n--outer\r\n\r\nfirst\r\nline two\r\n--outer\r\nContent-Type: multipart/alternative; boundary=outer-in\r\n\r\n--outer-in\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8BIT\r\n\r\n<b>\r\n--outer-in--\r\nepilogue\r\n--outer\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment; filename=\"m.eml\"\r\n\r\nSubject: inner\r\nFrom: c@z.test\r\n\r\ninner body\r\n\r\n--outer--\r\nend\r\n";

fn octets(message: &str, part: &Part) -> String {
    message.get(part.body_start as usize..part.end as usize).unwrap().to_owned()
}

#[test]
fn nested_message_is_taken_apart() {
    let summary = summary_of(NESTED.as_bytes());
    let root = &summary.root;
    assert_eq!(root.end, NESTED.len() as u64);
    assert_eq!(summary.sent, Some(880_127_706));
    let PartBody::Multipart(parts) = &root.body else { panic!("{root:?}") };
    assert_eq!(parts.len(), 3);
    let first = root.section(&[1]).unwrap();
    assert_eq!(octets(NESTED, first), "first\r\nline two");
    assert_eq!((first.content().media_type, first.lines), (b"text".as_slice(), 1));
    let html = root.section(&[2, 1]).unwrap();
    assert_eq!(octets(NESTED, html), "<b>");
    assert_eq!(html.content().encoding, b"8bit");
    let message = root.section(&[3]).unwrap();
    assert_eq!(octets(NESTED, message), "Subject: inner\r\nFrom: c@z.test\r\n\r\ninner body\r\n");
    let PartBody::Message(envelope, _) = &message.body else { panic!("{message:?}") };
    assert_eq!(envelope.read().subject, Some(b"inner".as_slice()));
    assert_eq!(octets(NESTED, root.section(&[3, 1]).unwrap()), "inner body\r\n");
    assert!(root.section(&[4]).is_none() && root.section(&[1, 1]).is_none());
}

#[test]
fn a_delimiter_at_the_end_needs_no_line_break() {
    for kind in ["mixed; boundary=b", "digest; boundary=b"] {
        for body in ["--b", "--b--", "--b\r\n\r\nx\r\n--b", "--b\r\n\r\nx\r\n--b--", "--b\r\n--b"] {
            let message = format!("Content-Type: multipart/{kind}\r\n\r\n{body}");
            let leaves = |message: &str| {
                let root = summary_of(message.as_bytes()).root;
                let all = (1..4).filter_map(|n| Some(octets(message, root.section(&[n])?)));
                all.collect::<Vec<_>>()
            };
            let (here, there) = (leaves(&message), leaves(&format!("{message}\r\n")));
            // What delimits nothing is a text, which has the line break.
            let same = here == there || there == [format!("{body}\r\n")];
            assert!(same, "{message:?}: {here:?}, {there:?}");
        }
    }
}

#[test]
fn every_split_gives_the_same() {
    let whole = summary_of(NESTED.as_bytes());
    for at in 0..NESTED.len() {
        let (a, b) = NESTED.as_bytes().split_at(at);
        let mut parser = Parser::new();
        parser.feed(a);
        parser.feed(b);
        assert_eq!(parser.finish(), whole, "split at {at}");
    }
    let mut parser = Parser::new();
    for byte in NESTED.as_bytes() {
        parser.feed(&[*byte]);
    }
    assert_eq!(parser.finish(), whole);
}

#[test]
fn stored_form_round_trips_and_never_panics() {
    let summary = summary_of(NESTED.as_bytes());
    let stored = summary.encode();
    assert_eq!(Summary::decode(&stored), Some(summary));
    for len in 0..stored.len() {
        assert_eq!(Summary::decode(&stored[..len]), None);
        let mut damaged = stored.clone();
        damaged[len] ^= 0x55;
        let _ = Summary::decode(&damaged);
    }
}

#[test]
fn plain_messages_and_odd_ones() {
    let plain = summary_of(b"Subject: x\r\n\r\none\r\ntwo\r\n");
    assert_eq!((plain.root.octets(), plain.root.lines), (10, 2));
    assert_eq!(plain.root.content().media_type, b"text");
    assert_eq!(plain.root.section(&[1]), Some(&plain.root));
    let empty = summary_of(b"");
    assert_eq!((empty.root.octets(), empty.root.content().media_type), (0, b"text".as_slice()));
    let headless = summary_of(b"\r\nbody");
    assert_eq!((headless.root.body_start, headless.root.octets()), (2, 4));
    let header_only = summary_of(b"Subject: only");
    assert_eq!(header_only.envelope.read().subject, Some(b"only".as_slice()));
    let bare = summary_of(b"Subject: lf\nX: y\n\na\nb\n");
    assert_eq!((bare.root.octets(), bare.root.lines), (4, 2));
    let hollow = summary_of(b"Content-Type: multipart/mixed; boundary=b\r\n\r\nnothing\r\n");
    assert_eq!(
        (hollow.root.content().media_type, &hollow.root.body),
        (b"text".as_slice(), &PartBody::Leaf)
    );
    let folded = summary_of(b"Subject: a\r\n b\r\nTo: x@y,\r\n\tz@w\r\n\r\n");
    assert_eq!(folded.envelope.read().subject, Some(b"a b".as_slice()));
    assert_eq!(folded.envelope.read().lists[3].len(), 2);
}

#[test]
fn digest_parts_default_to_messages() {
    let digest = b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: one\r\n\r\nx\r\n--b\r\n\r\nSubject: two\r\n\r\ny\r\n--b--\r\n";
    let summary = summary_of(digest);
    let PartBody::Multipart(parts) = &summary.root.body else { panic!() };
    let subjects: Vec<_> = parts
        .iter()
        .map(|part| match &part.body {
            PartBody::Message(envelope, _) => envelope.read().subject.unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(subjects, [b"one", b"two"]);
}

#[test]
fn hostile_structures_stay_within_limits() {
    let mut deep = String::new();
    for n in 0..50_000 {
        deep.push_str(&format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"));
    }
    let summary = summary_of(deep.as_bytes());
    let stored = summary.encode();
    assert_eq!(Summary::decode(&stored), Some(summary));
    let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(100_000);
    let summary = summary_of(nested.as_bytes());
    assert_eq!(Summary::decode(&summary.encode()), Some(summary));
    let mut flat = String::from("Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    flat.push_str(&"--b\r\n\r\nx\r\n".repeat(200_000));
    let summary = summary_of(flat.as_bytes());
    let PartBody::Multipart(parts) = &summary.root.body else { panic!() };
    assert!(parts.len() < crate::limits::MIME_PARTS_MAX);
}

/// Parts of a message, each as its MIME header and its body.
fn parts(message: &str) -> Vec<(String, String)> {
    let summary = summary_of(message.as_bytes());
    let PartBody::Multipart(parts) = summary.root.body else { panic!("{message}") };
    let cut = |from: u64, to: u64| message.get(from as usize..to as usize).unwrap().to_owned();
    parts.iter().map(|p| (cut(p.header_start, p.body_start), cut(p.body_start, p.end))).collect()
}

#[test]
fn delimiters_end_headers_and_take_their_line_break() {
    let head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    let read = |body: &str| parts(&format!("{head}{body}"));
    let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    assert_eq!(
        read("--b\r\nContent-Type: text/html\r\n--b\r\n\r\nx\r\n--b--\r\n"),
        own(&[("Content-Type: text/html", ""), ("\r\n", "x")])
    );
    assert_eq!(read("--b\r\n\r\n--b--"), own(&[("", "")]));
    assert_eq!(read("--b\r\n--b\r\n--b--\r\n"), own(&[("", ""), ("", "")]));
    // RFC 2046 §5.1.1: what follows the boundary on its line does not matter.
    assert_eq!(
        read("--b x\r\n\r\nx\r\n--bz\r\n\r\ny\r\n--b--x"),
        own(&[("\r\n", "x"), ("\r\n", "y")])
    );
    let summary = summary_of(format!("{head}--b\r\nContent-Type: text/html\r\n--b--").as_bytes());
    assert_eq!(
        summary.root.section(&[1]).map(|part| part.content().subtype),
        Some(b"html".as_slice())
    );
}

#[test]
fn the_longest_boundary_counts() {
    let message = "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\
        Content-Type: multipart/mixed; boundary*=us-ascii''%6Fo\r\n\r\n\
        --oo\r\n\r\nx\r\n--oo--\r\n--o\r\n\r\ny\r\n--o--\r\n";
    let root = summary_of(message.as_bytes()).root;
    assert_eq!(octets(message, root.section(&[1, 1]).unwrap()), "x");
    assert_eq!(octets(message, root.section(&[2]).unwrap()), "y");
    assert!(root.section(&[1, 2]).is_none() && root.section(&[3]).is_none());
}

#[test]
fn a_message_always_has_an_envelope() {
    for body in
        ["", "\r\nU3ViamVjdDogeA==\r\n", "Content-Transfer-Encoding: base64\r\n\r\nU3Vi\r\n"]
    {
        let root = summary_of(format!("Content-Type: message/rfc822\r\n{body}").as_bytes()).root;
        assert!(matches!(root.body, PartBody::Message(..)), "{body}");
    }
    let cut =
        "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: in\r\n--b--\r\n";
    let root = summary_of(cut.as_bytes()).root;
    let part = root.section(&[1]).unwrap();
    let PartBody::Message(envelope, inner) = &part.body else { panic!("{part:?}") };
    assert_eq!(envelope.read().subject, Some(b"in".as_slice()));
    assert_eq!(octets(cut, part), "Subject: in");
    assert_eq!((inner.body_start, inner.end, inner.octets()), (part.end, part.end, 0));
    // Beyond the limits it is no message.
    let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(200);
    let root = summary_of(deep.as_bytes()).root;
    let mut part = &root;
    while let PartBody::Message(_, inner) = &part.body {
        part = inner;
    }
    assert_eq!(part.content().media_type, b"application");
}
