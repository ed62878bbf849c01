//! OAUTHBEARER and XOAUTH2 end to end, against an issuer in the simulated network: which tokens log
//! in, which do not and what the client is told, keys that change, an issuer that is down
//! (RFC 7628; security.md AU-4).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use directory::issuer::{Issuer, IssuerSettings};
use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan};
use sim::world::{NEW_YEAR, SimWorld};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use sys::http::HttpClient;
use sys::net::Listener;
use sys::tls::{TlsClient, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ISSUER: &str = "http://127.0.0.1:8080/realm";
const NOW: i64 = NEW_YEAR / 1000;
const SERVICES: [Service; 3] = [Service::Submission, Service::Imap, Service::Pop3];

/// The issuer: its keys, and what it was asked.
#[derive(Clone)]
struct Idp {
    jwks: Arc<Mutex<String>>,
    active: Arc<Mutex<String>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Idp {
    /// Opens its port in the world.
    fn open(world: &SimWorld) -> Idp {
        let idp = Idp { jwks: Arc::default(), active: Arc::default(), asked: Arc::default() };
        let listener = world.net.open("127.0.0.1:8080".parse().unwrap());
        let own = idp.clone();
        tokio::spawn(async move {
            while let Ok((stream, ..)) = listener.accept().await {
                tokio::spawn(own.clone().answer(stream));
            }
        });
        idp
    }

    async fn answer(self, mut stream: sys::net::BoxStream) {
        let (mut request, mut piece) = (Vec::new(), [0; 4096]);
        let whole = |request: &[u8]| {
            let text = String::from_utf8_lossy(request).to_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            body.len() >= length.map_or(0, |length| length.parse().unwrap())
        };
        while !whole(&request) {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(n) => request.extend_from_slice(&piece[..n]),
            }
        }
        let request = String::from_utf8(request).unwrap();
        let path = request.split(' ').nth(1).unwrap();
        let body = match path {
            "/realm/.well-known/openid-configuration" => format!(
                "{{\"issuer\":\"{ISSUER}\",\"jwks_uri\":\"http://127.0.0.1:8080/keys\",\
                 \"introspection_endpoint\":\"http://127.0.0.1:8080/introspect\"}}"
            ),
            "/keys" => self.jwks.lock().unwrap().clone(),
            "/introspect" => self.active.lock().unwrap().clone(),
            _ => String::new(),
        };
        self.asked.lock().unwrap().push(request.clone());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }

    fn asked_for(&self, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|request| request.split(' ').nth(1) == Some(path)).count()
    }
}

fn b64(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// A key of the issuer.
enum Key {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Key {
    fn p256() -> Key {
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        Key::P256(EcdsaKeyPair::generate(algorithm).unwrap())
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Key::P256(key) => key.sign(&random, text).unwrap().as_ref().to_vec(),
            Key::Ed25519(key) => key.sign(text).as_ref().to_vec(),
            Key::Rsa(key) => {
                let mut out = vec![0; key.public_modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, &random, text, &mut out).unwrap();
                out
            }
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Key::P256(_) => "ES256",
            Key::Ed25519(_) => "EdDSA",
            Key::Rsa(_) => "RS256",
        }
    }

    fn jwk(&self, id: &str) -> String {
        let parts = match self {
            Key::P256(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (b64(&point[1..33]), b64(&point[33..]));
                format!("\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"{x}\",\"y\":\"{y}\"")
            }
            Key::Ed25519(key) => {
                let x = b64(key.public_key().as_ref());
                format!("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{x}\"")
            }
            Key::Rsa(key) => {
                // RFC 8017 §A.1.1: heads of 9 octets, 256 of n, 2 more, and 3 of e.
                let der = key.public_key().as_ref();
                let (n, e) = (b64(&der[9..265]), b64(&der[267..]));
                format!("\"kty\":\"RSA\",\"n\":\"{n}\",\"e\":\"{e}\"")
            }
        };
        format!("{{\"kid\":\"{id}\",\"use\":\"sig\",{parts}}}")
    }

    fn token(&self, id: &str, claims: &str) -> String {
        let header = format!("{{\"alg\":\"{}\",\"kid\":\"{id}\"}}", self.algorithm());
        self.token_with(&header, claims)
    }

    fn token_with(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header.as_bytes()), b64(claims.as_bytes()));
        let signature = b64(&self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

fn keys(of: &[(&Key, &str)]) -> String {
    let list: Vec<String> = of.iter().map(|(key, id)| key.jwk(id)).collect();
    format!("{{\"keys\":[{}]}}", list.join(","))
}

/// Good claims, with some of them changed (an empty value takes one away).
fn claims(changes: &[(&str, &str)]) -> String {
    let (expires, issuer) = ((NOW + 300).to_string(), format!("\"{ISSUER}\""));
    let mut all = vec![
        ("iss", issuer.as_str()),
        ("aud", "[\"other\",\"postrider\"]"),
        ("exp", expires.as_str()),
        ("email", "\"alice@example.org\""),
        ("scope", "\"openid mail\""),
    ];
    for (key, value) in changes {
        all.retain(|(known, _)| known != key);
        all.push((key, value));
    }
    let some = all.iter().filter(|(_, value)| !value.is_empty());
    let list: Vec<String> = some.map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", list.join(","))
}

fn settings() -> IssuerSettings {
    IssuerSettings {
        issuer: ISSUER.to_owned(),
        audiences: vec!["postrider".to_owned()],
        claim: "email".to_owned(),
        scope: "mail".to_owned(),
        ..IssuerSettings::default()
    }
}

async fn house(settings: IssuerSettings) -> (House, Idp) {
    let world = SimWorld::new(3);
    let idp = Idp::open(&world);
    let seen = world.as_seen();
    let http = HttpClient::new(&seen, TlsClient::new(&Trust::Nobody).unwrap());
    let mut plan = Plan::default();
    plan.directory.issuer = Some(Issuer::new(settings, &seen, http).unwrap());
    let house = House::build(plan, world).await;
    house.add_account("alice").await;
    (house, idp)
}

/// A connection that is ready for AUTH, from an address that is never banned.
async fn ready(house: &House, service: Service) -> Client {
    let mut client = Client::connect(house, service, [10, 0, 0, 1]).await;
    client.reply().await;
    if service == Service::Submission {
        client.ask("EHLO client.example").await;
    }
    client
}

fn begin(service: Service, mechanism: &str) -> String {
    match service {
        Service::Imap => format!("a AUTHENTICATE {mechanism}"),
        _ => format!("AUTH {mechanism}"),
    }
}

fn is_success(reply: &str) -> bool {
    ["235 2.7.0", "a OK", "+OK "].iter().any(|ok| reply.starts_with(ok))
}

fn message(mechanism: &str, user: &str, token: &str) -> String {
    STANDARD.encode(match mechanism {
        "XOAUTH2" => format!("user={user}\x01auth=Bearer {token}\x01\x01"),
        _ => format!("n,a={user},\x01host=mail.example.org\x01auth=Bearer {token}\x01\x01"),
    })
}

/// An exchange: the JSON of a refusal, and the last reply.
async fn login(
    client: &mut Client,
    service: Service,
    mechanism: &str,
    user: &str,
    token: &str,
) -> (String, String) {
    let asked = client.ask(&begin(service, mechanism)).await;
    assert!(asked == "334 " || asked == "+ ", "{asked}");
    let reply = client.ask(&message(mechanism, user, token)).await;
    match reply.strip_prefix("334 ").or_else(|| reply.strip_prefix("+ ")) {
        None => (String::new(), reply),
        Some(told) => {
            let told = String::from_utf8(STANDARD.decode(told).unwrap()).unwrap();
            // RFC 7628 §3.2.3; an empty response in XOAUTH2.
            let dummy = if mechanism == "XOAUTH2" { "" } else { "AQ==" };
            (told, client.ask(dummy).await)
        }
    }
}

fn failed(service: Service) -> &'static str {
    match service {
        Service::Imap => "a NO [AUTHENTICATIONFAILED] ",
        Service::Pop3 => "-ERR [AUTH] ",
        _ => "535 5.7.8 ",
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_log_in_with_every_kind_of_key() {
    let _still = sim::client::stand_still();
    let (house, idp) = house(settings()).await;
    let ed25519 = Ed25519KeyPair::generate().unwrap();
    let keys_of = [
        (Key::p256(), "a"),
        (Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()), "b"),
        (Key::Ed25519(ed25519), "c"),
    ];
    let list: Vec<(&Key, &str)> = keys_of.iter().map(|(key, id)| (key, *id)).collect();
    *idp.jwks.lock().unwrap() = keys(&list);
    for service in SERVICES {
        for (key, id) in &list {
            for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
                let token = key.token(id, &claims(&[]));
                let mut client = ready(&house, service).await;
                let who = "alice@example.org";
                let (_, reply) = login(&mut client, service, mechanism, who, &token).await;
                assert!(is_success(&reply), "{service:?} {mechanism} {id}: {reply}");
            }
        }
        // In one line, and with the user's name left out or short.
        let token = list[0].0.token("a", &claims(&[("email_verified", "true")]));
        for user in ["alice", "ALICE@Example.ORG"] {
            let mut client = ready(&house, service).await;
            let line =
                format!("{} {}", begin(service, "XOAUTH2"), message("XOAUTH2", user, &token));
            assert!(is_success(&client.ask(&line).await), "{service:?} {user}");
        }
        let bare = STANDARD.encode(format!("n,,\x01auth=Bearer {token}\x01\x01"));
        let mut client = ready(&house, service).await;
        let reply = client.ask(&format!("{} {bare}", begin(service, "OAUTHBEARER"))).await;
        assert!(is_success(&reply), "{service:?}: {reply}");
    }
    assert_eq!(idp.asked_for("/keys"), 1, "keys are remembered");
}

/// RFC 8725 §3: everything about a token that can be wrong, one at a time. `key` is the issuer's
/// key `k`, published as `jwks`.
fn bad_tokens(key: &Key, jwks: &str) -> Vec<(&'static str, String)> {
    let other = Key::p256();
    let good = claims(&[]);
    let public = hmac::Key::new(hmac::HMAC_SHA256, jwks.as_bytes());
    let hs256 = {
        let head = b64(b"{\"alg\":\"HS256\",\"kid\":\"k\"}");
        let signed = format!("{head}.{}", b64(good.as_bytes()));
        format!("{signed}.{}", b64(hmac::sign(&public, signed.as_bytes()).as_ref()))
    };
    let none = format!("{}.{}.", b64(b"{\"alg\":\"none\"}"), b64(good.as_bytes()));
    let whole = key.token("k", &good);
    let cut = whole.rsplit_once('.').unwrap().0;
    let swapped = format!("{}.{}", b64(claims(&[("x", "1")]).as_bytes()), "x");
    let past = (NOW - 61).to_string();
    let future = (NOW + 61).to_string();
    let with = |changes: &[(&str, &str)]| key.token("k", &claims(changes));
    let header = |header: &str| key.token_with(header, &good);
    vec![
        ("expired", with(&[("exp", &past)])),
        ("no end", with(&[("exp", "")])),
        ("odd end", with(&[("exp", "\"never\"")])),
        ("not yet", with(&[("nbf", &future)])),
        ("another issuer", with(&[("iss", "\"http://127.0.0.1:8080/other\"")])),
        ("no issuer", with(&[("iss", "")])),
        ("another audience", with(&[("aud", "\"other\"")])),
        ("no audience", with(&[("aud", "")])),
        ("nobody's", with(&[("email", "")])),
        ("a number's", with(&[("email", "7")])),
        ("nobody here's", with(&[("email", "\"nobody@example.org\"")])),
        ("bob's", with(&[("email", "\"bob@example.org\"")])),
        ("not verified", with(&[("email_verified", "false")])),
        ("another key's", other.token("k", &good)),
        ("an unknown key's", key.token("x", &good)),
        ("a path for a key", key.token("../../../etc/passwd", &good)),
        ("another algorithm", header("{\"alg\":\"RS256\",\"kid\":\"k\"}")),
        ("critical", header("{\"alg\":\"ES256\",\"kid\":\"k\",\"crit\":[\"x\"]}")),
        ("encrypted", header("{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"JWE\"}")),
        ("HS256 by the public key", hs256),
        ("none", none),
        ("no signature", format!("{cut}.")),
        ("cut", cut.to_owned()),
        ("other claims", format!("{}.{swapped}", whole.split('.').next().unwrap())),
        ("opaque", "abcdef".to_owned()),
    ]
}

#[tokio::test(start_paused = true)]
async fn au_4_tokens_that_are_not_right_are_refused_and_told_alike() {
    let _still = sim::client::stand_still();
    let (house, idp) = house(settings()).await;
    house.add_account("bob").await;
    let key = Key::p256();
    let jwks = keys(&[(&key, "k")]);
    *idp.jwks.lock().unwrap() = jwks.clone();
    let whole = key.token("k", &claims(&[]));
    let bad = bad_tokens(&key, &jwks);
    let no_scope = key.token("k", &claims(&[("scope", "\"openid\"")]));
    for service in SERVICES {
        let mut told_first = String::new();
        for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
            for (what, token) in &bad {
                let mut client = ready(&house, service).await;
                let who = "alice@example.org";
                let (told, reply) = login(&mut client, service, mechanism, who, token).await;
                assert!(reply.starts_with(failed(service)), "{service:?} {what}: {reply}");
                if told_first.is_empty() {
                    told_first = told.clone();
                }
                assert_eq!(told, told_first, "{what}");
                // The exchange failed, and nothing else did.
                let (_, reply) = login(&mut client, service, mechanism, who, &whole).await;
                assert!(is_success(&reply), "{service:?} after {what}: {reply}");
            }
        }
        let url = format!("{ISSUER}/.well-known/openid-configuration");
        let told = format!(
            "{{\"status\":\"invalid_token\",\"schemes\":\"bearer\",\"scope\":\"mail\",\
             \"openid-configuration\":\"{url}\"}}"
        );
        assert_eq!(told_first, told);
        let mut client = ready(&house, service).await;
        let (told, reply) = login(&mut client, service, "XOAUTH2", "alice", &no_scope).await;
        assert!(told.contains("\"insufficient_scope\"") && reply.starts_with(failed(service)));
        // RFC 7628 §3.2.3: it may also give up.
        let mut client = ready(&house, service).await;
        client.ask(&begin(service, "OAUTHBEARER")).await;
        client.ask(&message("OAUTHBEARER", "alice", "x")).await;
        assert!(!is_success(&client.ask("*").await));
        assert!(!client.ask("a NOOP").await.is_empty());
    }
    assert!(idp.asked_for("/keys") <= 2, "unknown keys are no way to make us ask and ask");
}

/// The error flow on the wire: JSON, one more message of the client, then the failure, whatever
/// that message was. RFC 7628 §3.2.2, §3.2.3, §4.3, §4.4.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_then_the_exchange_fails_whatever_comes() {
    let _still = sim::client::stand_still();
    let (house, idp) = house(settings()).await;
    let key = Key::p256();
    *idp.jwks.lock().unwrap() = keys(&[(&key, "k")]);
    let good = message("OAUTHBEARER", "alice", &key.token("k", &claims(&[])));
    // The message of §4.3, which only asks what there is.
    let asks =
        "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9AQE=";
    let no_grammar = STANDARD.encode("n,,\x01auth=Basic x\x01\x01");
    let told = |status: &str| {
        STANDARD.encode(format!(
            "{{\"status\":\"{status}\",\"schemes\":\"bearer\",\"scope\":\"mail\",\
             \"openid-configuration\":\"{ISSUER}/.well-known/openid-configuration\"}}"
        ))
    };
    let refused = ["535 5.7.8 ", "a NO [AUTHENTICATIONFAILED] ", "-ERR [AUTH] "];
    let aborted = ["501 5.7.0 ", "a BAD Login given up", "-ERR Login given up"];
    let broken = ["501 5.5.2 ", "a BAD ", "-ERR "];
    let long = STANDARD.encode([b'x'; 600]);
    let flows = [
        (asks, "invalid_token", "AQ==", refused),
        (asks, "invalid_token", "*", aborted),
        (asks, "invalid_token", "", refused),
        (asks, "invalid_token", &*good, refused),
        (asks, "invalid_token", &*long, refused),
        (asks, "invalid_token", "AQ", broken),
        (asks, "invalid_token", "QUIT!", broken),
        (&*no_grammar, "invalid_request", "AQ==", broken),
        (&*no_grammar, "invalid_request", "*", aborted),
    ];
    for (n, service) in SERVICES.into_iter().enumerate() {
        let mark = if service == Service::Submission { "334" } else { "+" };
        for (first, status, then, failure) in flows {
            for at_once in [true, false] {
                let mut client = ready(&house, service).await;
                let begin = begin(service, "OAUTHBEARER");
                let reply = match at_once {
                    true => client.ask(&format!("{begin} {first}")).await,
                    false => {
                        assert_eq!(client.ask(&begin).await, format!("{mark} "));
                        client.ask(first).await
                    }
                };
                assert_eq!(reply, format!("{mark} {}", told(status)), "{service:?}");
                let reply = client.ask(then).await;
                assert!(reply.starts_with(failure[n]), "{service:?} {then}: {reply}");
                // Nobody is logged in, and the next exchange begins anew.
                let reply = client.ask(&format!("{begin} {good}")).await;
                assert!(is_success(&reply), "{service:?} after {then}: {reply}");
            }
        }
        // The answer to a refusal that nobody gave.
        for first in ["AQ==", "="] {
            let mut client = ready(&house, service).await;
            let line = format!("{} {first}", begin(service, "OAUTHBEARER"));
            let reply = client.ask(&line).await;
            assert!(reply.starts_with(broken[n]), "{service:?} {first}: {reply}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn keys_change_and_the_issuer_may_be_down_for_a_while() {
    let _still = sim::client::stand_still();
    let (house, idp) = house(settings()).await;
    let (old, new) = (Key::p256(), Key::p256());
    let late = claims(&[("exp", &(NOW + 90_000).to_string())]);
    let (old_token, new_token) = (old.token("old", &late), new.token("new", &late));
    let try_it = async |token: &str| {
        let mut client = ready(&house, Service::Imap).await;
        login(&mut client, Service::Imap, "XOAUTH2", "alice", token).await.1
    };
    *idp.jwks.lock().unwrap() = keys(&[(&old, "old")]);
    assert!(is_success(&try_it(&old_token).await));
    *idp.jwks.lock().unwrap() = keys(&[(&old, "old"), (&new, "new")]);
    house.advance(Duration::from_secs(11)).await;
    assert!(is_success(&try_it(&new_token).await), "a new key is looked for");
    *idp.jwks.lock().unwrap() = "not JSON".to_owned();
    house.advance(Duration::from_secs(7200)).await;
    assert!(is_success(&try_it(&new_token).await), "old keys do while the issuer is broken");
    house.advance(Duration::from_secs(80_000)).await;
    for (service, reply) in [
        (Service::Submission, "454 4.7.0 "),
        (Service::Imap, "a NO [UNAVAILABLE] "),
        (Service::Pop3, "-ERR [SYS/TEMP] "),
    ] {
        let mut client = ready(&house, service).await;
        let (told, said) = login(&mut client, service, "OAUTHBEARER", "alice", &new_token).await;
        assert!(told.is_empty() && said.starts_with(reply), "{said}");
    }
    *idp.jwks.lock().unwrap() = keys(&[(&new, "new")]);
    house.advance(Duration::from_secs(11)).await;
    assert!(is_success(&try_it(&new_token).await), "it is back");
    assert!(try_it(&old_token).await.starts_with("a NO [AUTHENTICATIONFAILED]"));
}

/// RFC 7662.
#[tokio::test(start_paused = true)]
async fn opaque_tokens_are_introspected() {
    let _still = sim::client::stand_still();
    let introspection = Some(("post:rider".to_owned(), "se cret".to_owned()));
    let (house, idp) = house(IssuerSettings { introspection, ..settings() }).await;
    let try_it = async |token: &str| {
        let mut client = ready(&house, Service::Imap).await;
        login(&mut client, Service::Imap, "OAUTHBEARER", "alice", token).await.1
    };
    let say = |text: &str| *idp.active.lock().unwrap() = text.to_owned();
    say("{\"active\":true,\"email\":\"alice@example.org\",\"scope\":\"mail\"}");
    assert!(is_success(&try_it("opaque+/=").await));
    let asked = idp.asked.lock().unwrap().last().unwrap().clone();
    assert!(
        asked.ends_with("\r\n\r\ntoken=opaque%2B%2F%3D&token_type_hint=access_token"),
        "{asked}"
    );
    let basic = STANDARD.encode("post%3Arider:se%20cret");
    assert!(asked.contains(&format!("authorization: Basic {basic}\r\n")), "{asked}");
    say("{\"active\":false}");
    assert!(is_success(&try_it("opaque+/=").await), "for a minute it is remembered");
    house.advance(Duration::from_secs(61)).await;
    assert!(try_it("opaque+/=").await.starts_with("a NO [AUTHENTICATIONFAILED]"), "but no longer");
    say("{\"active\":true,\"email\":\"alice@example.org\",\"scope\":\"mail\",\"aud\":\"other\"}");
    assert!(try_it("x").await.starts_with("a NO [AUTHENTICATIONFAILED]"));
    say("{\"active\":true,\"email\":\"bob@example.org\",\"scope\":\"mail\"}");
    assert!(try_it("y").await.starts_with("a NO [AUTHENTICATIONFAILED]"));
    say("{\"email\":\"alice@example.org\",\"scope\":\"mail\"}");
    assert!(try_it("z").await.starts_with("a NO [UNAVAILABLE]"));
}

#[tokio::test(start_paused = true)]
async fn tokens_are_announced_where_there_is_an_issuer() {
    let _still = sim::client::stand_still();
    let (with, _idp) = house(settings()).await;
    let without = House::build(Plan::default(), SimWorld::new(3)).await;
    for (house, there) in [(&with, true), (&without, false)] {
        let mut client = Client::connect(house, Service::Imap, [10, 0, 0, 1]).await;
        let greeting = client.reply().await;
        for name in [" AUTH=OAUTHBEARER ", " AUTH=XOAUTH2 "] {
            assert_eq!(greeting.contains(name), there, "{greeting}");
        }
        let mut client = ready(house, Service::Pop3).await;
        let unknown = client.ask("AUTH XOAUTH2").await;
        assert_eq!(unknown.starts_with("+ "), there, "{unknown}");
    }
    let wrong = |change: fn(&mut IssuerSettings)| {
        let mut settings = settings();
        change(&mut settings);
        let seen = SimWorld::new(3).as_seen();
        let http = HttpClient::new(&seen, TlsClient::new(&Trust::Nobody).unwrap());
        Issuer::new(settings, &seen, http).is_err()
    };
    assert!(wrong(|settings| settings.audiences.clear()));
    assert!(wrong(|settings| settings.issuer = "http://id.example.org".to_owned()));
    assert!(wrong(|settings| settings.claim.clear()));
}
