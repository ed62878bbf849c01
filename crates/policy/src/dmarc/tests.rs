//! DMARC by the examples of RFC 9989 §4.10; whole messages are in the simulation's tests.

use super::*;
use std::collections::HashMap;
use std::net::IpAddr;
use sys::BoxFuture;
use sys::resolver::Mx;

/// TXT records, and nothing else; `!` for no answer.
#[derive(Default)]
struct Texts(HashMap<String, Vec<String>>, std::sync::Mutex<Vec<String>>);

impl Texts {
    fn of(records: &[(&str, &str)]) -> Texts {
        let mut texts = Texts::default();
        for (name, text) in records {
            texts.0.entry(format!("_dmarc.{name}")).or_default().push((*text).to_owned());
        }
        texts
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<Vec<T>, DnsError>>;

impl Resolver for Texts {
    fn mx<'a>(&'a self, name: &'a str) -> Answer<'a, Mx> {
        let mx = Mx { preference: 0, exchange: String::new() };
        let found = if name.starts_with("no") { Err(DnsError::NoSuchName) } else { Ok(vec![mx]) };
        Box::pin(async move { found })
    }
    fn addresses<'a>(&'a self, _: &'a str) -> Answer<'a, IpAddr> {
        Box::pin(async { Err(DnsError::NoSuchName) })
    }
    fn ipv4<'a>(&'a self, _: &'a str) -> Answer<'a, IpAddr> {
        Box::pin(async { Err(DnsError::NoSuchName) })
    }
    fn ipv6<'a>(&'a self, _: &'a str) -> Answer<'a, IpAddr> {
        Box::pin(async { Err(DnsError::NoSuchName) })
    }
    fn txt<'a>(&'a self, name: &'a str) -> Answer<'a, Vec<u8>> {
        self.1.lock().unwrap().push(name.to_owned());
        let found = match self.0.get(name) {
            Some(texts) if texts.iter().any(|t| t == "!") => Err(DnsError::Temporary("!".into())),
            Some(texts) => Ok(texts.iter().map(|t| t.clone().into_bytes()).collect()),
            Option::None => Err(DnsError::NoSuchName),
        };
        Box::pin(async move { found })
    }
    fn ptr(&self, _: IpAddr) -> Answer<'_, String> {
        Box::pin(async { Err(DnsError::NoSuchName) })
    }
}

/// Nothing here waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

#[test]
fn a_walk_asks_eight_questions_at_most() {
    let texts = Texts::default();
    now(walk(&texts, &domain("a.b.c.d.e.f.g.h.i.j.mail.example.com"))).unwrap();
    let asked = texts.1.lock().unwrap().clone();
    let wanted = [
        "_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com",
        "_dmarc.g.h.i.j.mail.example.com",
        "_dmarc.h.i.j.mail.example.com",
        "_dmarc.i.j.mail.example.com",
        "_dmarc.j.mail.example.com",
        "_dmarc.mail.example.com",
        "_dmarc.example.com",
        "_dmarc.com",
    ];
    assert_eq!(asked, wanted);
}

#[test]
fn organizational_domains_are_those_of_the_rfcs_examples() {
    let cases: [(&[(&str, &str)], &str); 6] = [
        (
            &[("mail.example.com", "v=DMARC1; p=none"), ("example.com", "v=DMARC1;p=none")],
            "example.com",
        ),
        (
            &[("mail.example.com", "v=DMARC1; p=none; psd=n"), ("example.com", "v=DMARC1; p=none")],
            "mail.example.com",
        ),
        (&[("com", "v=DMARC1; p=none; psd=y")], "example.com"),
        (&[("example.com", "v=DMARC1; p=none; psd=y")], "mail.example.com"),
        (&[], "a.mail.example.com"),
        (&[("com", "v=DMARC1; p=none"), ("com", "v=DMARC1; p=reject")], "a.mail.example.com"),
    ];
    for (records, wanted) in cases {
        let walk = now(walk(&Texts::of(records), &domain("a.mail.example.com"))).unwrap();
        assert_eq!(walk.organizational(), wanted, "{records:?}");
    }
}

type Proven<'a> = (By, &'a str, Proof);

fn found(records: &[(&str, &str)], author: &str, proven: &[Proven]) -> (DmarcResult, Policy) {
    let texts = Texts::of(records);
    let identifiers: Vec<Identifier> = proven
        .iter()
        .map(|(by, name, proof)| Identifier { domain: domain(name), by: *by, proof: *proof })
        .collect();
    let walked = now(walk(&texts, &domain(author)));
    let finding = now(evaluate(&texts, &domain(author), walked, &identifiers));
    (finding.result, finding.policy)
}

use By::*;
use DmarcResult::*;
use Policy::{None as Nothing, Quarantine, Reject};
use Proof::{Given, Unanswered as Later};

#[test]
fn alignment_and_policies() {
    let reject = [("x.test", "v=DMARC1; p=reject; sp=quarantine; np=reject")];
    let cases: [(&str, &[Proven], (DmarcResult, Policy)); 13] = [
        ("x.test", &[], (Fail, Reject)),
        ("x.test", &[(Spf, "y.test", Given), (Dkim, "notx.test", Given)], (Fail, Reject)),
        ("x.test", &[(Spf, "x.test", Given)], (Pass, Nothing)),
        ("x.test", &[(Dkim, "mail.x.test", Given)], (Pass, Nothing)),
        ("mail.x.test", &[(Dkim, "x.test", Given)], (Pass, Nothing)),
        ("a.x.test", &[(Dkim, "y.test", Given), (Spf, "b.x.test", Given)], (Pass, Nothing)),
        ("a.x.test", &[], (Fail, Quarantine)),
        ("no.x.test", &[], (Fail, Reject)),
        ("x.test", &[(Dkim, "x.test", Later)], (TempError, Reject)),
        ("x.test", &[(Dkim, "y.test", Later)], (Fail, Reject)),
        ("x.test", &[(Spf, "x.test", Later), (Dkim, "x.test", Given)], (Pass, Nothing)),
        ("y.test", &[], (None, Nothing)),
        ("test", &[], (None, Nothing)),
    ];
    for (author, proven, wanted) in cases {
        assert_eq!(found(&reject, author, proven), wanted, "{author} {proven:?}");
    }
    let strict = [("x.test", "v=DMARC1; p=reject; adkim=s; t=y")];
    assert_eq!(found(&strict, "x.test", &[(Dkim, "a.x.test", Given)]), (Fail, Quarantine));
    assert_eq!(found(&strict, "x.test", &[(Spf, "a.x.test", Given)]), (Pass, Nothing));
    let fails = [("x.test", "!")];
    assert_eq!(found(&fails, "x.test", &[]), (TempError, Reject));
    assert_eq!(found(&fails, "x.test", &[(Spf, "x.test", Given)]), (Pass, Nothing));
}

#[test]
fn records_are_read() {
    let of = |text: &str| Record::parse(text.as_bytes()).map(|r| (r.p, r.sp, r.np));
    assert_eq!(of("v=DMARC1"), Option::None);
    assert_eq!(of("v=DMARC1; rua=mailto:a@x.test"), Some((Nothing, Nothing, Nothing)));
    assert_eq!(of("v = DMARC1 ; P=Reject ;; x=1; junk"), Some((Reject, Reject, Reject)));
    assert_eq!(of("v=DMARC1; p=reject; sp=none"), Some((Reject, Nothing, Nothing)));
    assert_eq!(of("v=DMARC1; p=no; rua=mailto:a@x"), Some((Nothing, Nothing, Nothing)));
    assert_eq!(of("v=DMARC1; p=reject; sp=x; rua=mailto:a@x"), Some((Nothing, Nothing, Nothing)));
    for none in
        ["v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC1; p=x", "v=DMARC10; p=none", "v=spf1"]
    {
        assert_eq!(of(none), Option::None, "{none}");
    }
}
