//! DKIM by the examples of RFC 6376 and RFC 8463, what we sign ourselves, and what is wrong.

use super::canon::{self, BodyHash, Canon};
use super::*;
use aws_lc_rs::digest::{SHA256, digest};
use mail::Domain;
use mail::header;
use std::collections::HashMap;
use sys::resolver::DnsError;

const NOW: i64 = 1_528_637_910;
const EXAMPLE: &str = include_str!("rfc8463.eml");
const ED25519: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const RSA: &str = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR\
    iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC\
    DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3\
    Ip3G+2kryOTIKT+l/K4w3QIDAQAB";

type Keys = HashMap<String, Result<Vec<Vec<u8>>, DnsError>>;

fn keys(all: &[(&str, &str)]) -> Keys {
    let one =
        |(name, text): &(&str, &str)| ((*name).to_owned(), Ok(vec![text.as_bytes().to_vec()]));
    all.iter().map(one).collect()
}

fn example_keys() -> Keys {
    keys(&[
        ("brisbane._domainkey.football.example.com", ED25519),
        ("test._domainkey.football.example.com", RSA),
    ])
}

fn verify_in_pieces(message: &str, keys: &Keys, size: usize) -> Vec<Verified> {
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    let mut verifier = Verifier::new(format!("{head}\r\n").as_bytes(), NOW);
    body.as_bytes().chunks(size).for_each(|piece| verifier.feed(piece));
    verifier.finish(keys)
}

fn verify(message: &str, keys: &Keys) -> Vec<(DkimResult, String)> {
    let all = verify_in_pieces(message, keys, 1000);
    assert_eq!(all, verify_in_pieces(message, keys, 1));
    all.into_iter().map(|one| (one.result, one.why)).collect()
}

fn results(message: &str, keys: &Keys) -> Vec<DkimResult> {
    verify(message, keys).into_iter().map(|(result, _)| result).collect()
}

/// RFC 8463 Appendix A.
fn example() -> String {
    EXAMPLE.replace('\n', "\r\n")
}

use DkimResult::*;

#[test]
fn the_example_of_rfc_8463_verifies() {
    assert_eq!(results(&example(), &example_keys()), [Pass, Pass]);
    let all = verify_in_pieces(&example(), &example_keys(), 7);
    let first = all.first().unwrap();
    assert_eq!((first.algorithm, first.mark.as_str()), ("ed25519-sha256", "/gCrinpc"));
    assert_eq!(first.domain.as_ref().unwrap().as_str(), "football.example.com");
}

#[test]
fn what_was_changed_does_not_verify() {
    let keys = example_keys();
    let changed = |from: &str, to: &str| {
        let message = example();
        assert!(message.contains(from), "{from}");
        verify(&message.replace(from, to), &keys)
    };
    for (from, to) in [
        ("Are you", "Aren't you"),
        ("Is dinner", "Was dinner"),
        ("From: Joe", "From: Jim"),
        ("\r\n\r\nHi.", "\r\nSubject: another\r\n\r\nHi."),
        ("From: Joe", "From: Eve <eve@x.test>\r\nFrom: Joe"),
        ("t=1528637909", "t=1528637908"),
    ] {
        let found = changed(from, to);
        assert!(found.iter().all(|(result, _)| *result == Fail), "{from} -> {to}: {found:?}");
    }
    // White space, fields that are not signed, empty lines at the end, and order of other fields.
    for (from, to) in [
        ("Hi.\r\n", "Hi. \t\r\n"),
        ("you hungry", "you \t hungry"),
        ("Subject: Is dinner", "SUBJECT:\r\n\tIs  dinner"),
        ("Joe.\r\n", "Joe.\r\n\r\n\r\n"),
        ("To: Suzie", "X-Spam: no\r\nTo: Suzie"),
    ] {
        let found = changed(from, to);
        assert!(found.iter().all(|(result, _)| *result == Pass), "{from} -> {to}: {found:?}");
    }
}

/// users.md S-18: one that we do not understand says nothing of the others.
#[test]
fn s_18_signatures_are_looked_at_one_by_one() {
    let keys = example_keys();
    let old = example().replacen("a=ed25519-sha256", "a=rsa-sha1", 1);
    assert_eq!(results(&old, &keys), [Neutral, Pass]);
    let new = example().replacen("a=ed25519-sha256", "a=dilithium-sha3", 1);
    assert_eq!(results(&new, &keys), [Neutral, Pass]);
    let broken = example().replacen("v=1; a=ed25519", "v=1;; a=ed25519", 1);
    assert_eq!(results(&broken, &keys), [Neutral, Pass]);
    let mut later = example_keys();
    let failing = Err(DnsError::Temporary("SERVFAIL".to_owned()));
    later.insert("brisbane._domainkey.football.example.com".to_owned(), failing);
    assert_eq!(results(&example(), &later), [TempError, Pass]);
    let none = Err(DnsError::NoSuchName);
    later.insert("test._domainkey.football.example.com".to_owned(), none);
    assert_eq!(results(&example(), &later), [TempError, PermError]);
    let many = format!("DKIM-Signature: v=1\r\n{}", example()).replacen(
        "DKIM-Signature: v=1\r\n",
        &"DKIM-Signature: v=1\r\n".repeat(20),
        1,
    );
    assert_eq!(results(&many, &keys).len(), crate::limits::DKIM_SIGNATURES_MAX);
}

#[test]
fn keys_say_what_they_are_for() {
    let with = |record: &str| {
        let name = "brisbane._domainkey.football.example.com";
        verify(&example(), &keys(&[(name, record)])).remove(0)
    };
    let public = "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let other = "p=AAqYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let cases = [
        (format!("k=ed25519; {public}"), Pass),
        (format!("v=DKIM1; k=ed25519; h=sha1:sha256; s=email; t=s; n=x; {public}"), Pass),
        (format!("k=ed25519; s=*; t=y:s; {public}"), Pass),
        (format!("k=ed25519; t=y; {other}"), Neutral),
        (format!("k=ed25519; {other}"), Fail),
        (format!("k=ed25519; v=DKIM1; {public}"), PermError),
        (format!("v=DKIM2; k=ed25519; {public}"), PermError),
        (format!("k=ed25519; s=tlsrpt; {public}"), PermError),
        (format!("k=ed25519; h=sha1; {public}"), PermError),
        (format!("v=DKIM1; {public}"), PermError),
        (format!("k=new; {public}"), PermError),
        ("v=DKIM1; k=ed25519; p=".to_owned(), PermError),
        ("v=DKIM1; k=ed25519; p=AA==".to_owned(), PermError),
        ("v=DKIM1; k=ed25519".to_owned(), PermError),
        ("v=spf1 -all".to_owned(), PermError),
    ];
    for (record, result) in cases {
        let found = with(&record);
        assert_eq!(found.0, result, "{record}: {}", found.1);
    }
}

fn key(kind: KeyKind) -> SigningKey {
    let made = if kind == KeyKind::Rsa { new_rsa() } else { new_ed25519() };
    SigningKey::new(&Domain::parse("x.test").unwrap(), "s1", &made.unwrap()).unwrap()
}

fn signed(message: &str, key: SigningKey, size: usize) -> (String, Keys) {
    let known = keys(&[(&key.name(), &key.record())]);
    let mut signer = Signer::default();
    message.as_bytes().chunks(size).for_each(|piece| signer.feed(piece));
    let lines = signer.finish(&[key], NOW);
    assert!(lines.lines().all(|line| line.len() <= 78), "{lines}");
    (format!("{lines}{message}"), known)
}

#[test]
fn what_we_sign_verifies() {
    let head =
        "From: A <a@x.test>\r\nTo: b@y.test\r\nSubject: a  b\r\n\tc\r\nContent-Type: text/plain";
    for body in ["", "\r\n", "Hi \r\n\r\n x\t y\r\n\r\n\r\n", "no end", " \r\n"] {
        for (kind, size) in [(KeyKind::Rsa, 1000), (KeyKind::Ed25519, 1), (KeyKind::Ed25519, 3)] {
            let message = format!("{head}\r\n\r\n{body}");
            let (message, known) = signed(&message, key(kind), size);
            assert_eq!(results(&message, &known), [Pass], "{message}");
            // Over-signed: nobody adds one.
            for more in ["From: e@x.test", "Subject: x", "Content-Type: text/html", "Cc: e@x.test"]
            {
                let replayed = message.replacen("From: A", &format!("{more}\r\nFrom: A"), 1);
                assert_eq!(results(&replayed, &known), [Fail], "{more}");
            }
            let relayed = format!("Received: from x\r\nReturn-Path: <>\r\n{message}");
            assert_eq!(results(&relayed, &known), [Pass]);
        }
    }
}

#[test]
fn lengths_identities_and_times_are_looked_at() {
    let (message, known) = signed("From: a@x.test\r\n\r\nHi\r\n", key(KeyKind::Ed25519), 100);
    // The signature does not fit then, but is not what is complained of.
    let with = |tag: &str| verify(&message.replacen("v=1; ", &format!("v=1; {tag}; "), 1), &known);
    assert_eq!(with("l=2").remove(0).0, Policy);
    assert_eq!(with("l=5").remove(0).0, PermError);
    assert_eq!(with("l=4").remove(0).0, Fail);
    assert_eq!(with("x=1528637909").remove(0), (Fail, "it has expired".to_owned()));
    assert_eq!(with("i=@y.test").remove(0).0, PermError);
    assert_eq!(with("i=@xx.test").remove(0).0, PermError);
    assert_eq!(with("q=http").remove(0).0, Neutral);
    let mut strict = known.clone();
    let (name, texts) = strict.iter_mut().next().unwrap();
    assert_eq!(name, "s1._domainkey.x.test");
    texts.as_mut().unwrap().first_mut().unwrap().extend_from_slice(b"; t=s");
    assert_eq!(results(&message, &strict), [Pass]);
    let below = message.replacen("v=1; ", "v=1; i=me@sub.x.test; ", 1);
    assert_eq!(results(&below, &strict), [PermError]);
    assert_eq!(results(&below, &known), [Fail]);
    let unsigned = message.replacen("h=From:From:", "h=", 1);
    assert_eq!(results(&unsigned, &known), [PermError]);
}

/// RFC 6376 §3.4.5.
#[test]
fn octets_are_those_of_the_rfcs_examples() {
    let head = b"A: X\r\nB : Y\t\r\n\tZ  \r\n";
    let canonical = |canon: Canon| {
        let mut out = Vec::new();
        header::fields(head).for_each(|field| canon::field(&field, canon, &mut out));
        String::from_utf8(out).unwrap()
    };
    assert_eq!(canonical(Canon::Relaxed), "a:X\r\nb:Y Z\r\n");
    assert_eq!(canonical(Canon::Simple), "A: X\r\nB : Y\t\r\n\tZ  \r\n");
    let body = b" C \r\nD \t E\r\n\r\n\r\n";
    let cases: [(Canon, &[u8], &[u8]); 8] = [
        (Canon::Relaxed, body, b" C\r\nD E\r\n"),
        (Canon::Simple, body, b" C \r\nD \t E\r\n"),
        // RFC 6376 §3.4.3, §3.4.4.
        (Canon::Simple, b"", b"\r\n"),
        (Canon::Relaxed, b"", b""),
        (Canon::Relaxed, b"\r\n \r\n", b""),
        (Canon::Relaxed, b"x", b"x\r\n"),
        (Canon::Simple, b"x\r", b"x\r\r\n"),
        (Canon::Relaxed, b"a\rb\n \r\n\r\nc ", b"a\rb\n\r\n\r\nc\r\n"),
    ];
    for (canon, body, wanted) in cases {
        for size in [1, 2, 100] {
            let mut hash = BodyHash::new(canon);
            body.chunks(size).for_each(|piece| hash.feed(piece));
            let (found, octets) = hash.finish();
            assert_eq!(
                (found.as_slice(), octets),
                (digest(&SHA256, wanted).as_ref(), wanted.len() as u64)
            );
        }
    }
}
