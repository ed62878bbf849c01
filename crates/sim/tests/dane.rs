//! DANE for mail that leaves, beside MTA-STS, against servers in the simulated network: security.md
//! SM-5, RFC 7672.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sim::dns::Signed;
use sim::house::{House, Plan, certificate};
use sim::neighbour::{
    MX, Neighbour, Offers, PROVEN, UNPROVEN, answer, house, policy, publish, reply, send,
};
use std::time::Duration;
use sys::dnssec::Tlsa;

/// The record of everybody's certificate: `3 1 1`.
fn fitting() -> Tlsa {
    Tlsa::of_key(&CertificateDer::from_pem_slice(certificate().0.as_bytes()).unwrap()).unwrap()
}

/// One of another certificate.
fn other() -> Tlsa {
    Tlsa { data: vec![0; 32], ..fitting() }
}

/// Signs the domain, its server, and what else is named.
fn sign(house: &House, names: &[&str]) {
    for name in names {
        house.world.dns.sign(name, Signed::Secure);
    }
}

/// What DNS has of the server's certificate. The MX and its address are signed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Dane {
    Nothing,
    Fits,
    Other,
    /// PKIX-EE(1): RFC 7672 §3.1.3.
    Unusable,
    /// An unsigned record that would not fit.
    Insecure,
    Bogus,
    Servfail,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sts {
    Nothing,
    ModeNone,
    Testing,
    Enforce,
    Expired,
}

impl Dane {
    fn publish(self, house: &House, server: &str) {
        sign(house, &["example.net", server]);
        let (dns, name) = (&house.world.dns, format!("_25._tcp.{server}"));
        match self {
            Dane::Nothing => {}
            Dane::Fits => dns.add_tlsa(&name, fitting()),
            Dane::Other | Dane::Insecure | Dane::Bogus => dns.add_tlsa(&name, other()),
            Dane::Unusable => dns.add_tlsa(&name, Tlsa { usage: 1, ..other() }),
            Dane::Servfail => dns.fail(&name),
        }
        match self {
            Dane::Nothing | Dane::Servfail => {}
            Dane::Insecure => dns.sign(&name, Signed::Insecure),
            Dane::Bogus => dns.sign(&name, Signed::Bogus),
            _ => dns.sign(&name, Signed::Secure),
        }
    }

    /// RFC 7672 §2.2.
    fn allows(self, offers: Offers) -> bool {
        match self {
            Dane::Nothing | Dane::Insecure => true,
            Dane::Fits | Dane::Unusable => offers != Offers::NoTls,
            Dane::Other | Dane::Bogus | Dane::Servfail => false,
        }
    }
}

impl Sts {
    fn publish(self, house: &House) -> Option<String> {
        let (mode, max_age) = match self {
            Sts::Nothing => return None,
            Sts::ModeNone => ("none", 86_400),
            Sts::Testing => ("testing", 86_400),
            Sts::Enforce => ("enforce", 86_400),
            Sts::Expired => ("enforce", 0),
        };
        publish(house, "1");
        Some(answer(&policy(mode, "*.example.net", max_age)))
    }

    /// RFC 8461 §5.
    fn allows(self, offers: Offers) -> bool {
        self != Sts::Enforce || offers == Offers::Proven
    }
}

/// The whole table: a message leaves when neither forbids it, and under TLS where there is any.
#[tokio::test(start_paused = true)]
async fn sm_5_who_gets_mail_by_dane_and_mta_sts() {
    let _still = sim::client::stand_still();
    use Dane::{Bogus, Fits, Insecure, Other, Servfail, Unusable};
    for dane in [Dane::Nothing, Fits, Other, Unusable, Insecure, Bogus, Servfail] {
        for sts in [Sts::Nothing, Sts::ModeNone, Sts::Testing, Sts::Enforce, Sts::Expired] {
            for offers in [Offers::Proven, Offers::SelfSigned, Offers::NoTls] {
                let case = format!("{dane:?}, {sts:?}, {offers:?}");
                let house = house(Plan::default()).await;
                let web = sts.publish(&house);
                let server = if offers == Offers::SelfSigned { UNPROVEN } else { PROVEN };
                let town = Neighbour::open(&house, offers, web);
                dane.publish(&house, server);
                let left = send(&house, "", "").await;
                let goes = dane.allows(offers) && sts.allows(offers);
                let said = reply(left.as_ref());
                assert_eq!(left.is_none(), goes, "{case}: {said}");
                let came: Vec<bool> = town.came().iter().map(|(secured, _)| *secured).collect();
                let expected = if goes { vec![offers != Offers::NoTls] } else { vec![] };
                assert_eq!(came, expected, "{case}");
                if !dane.allows(offers) {
                    assert!(said.contains("DANE") || sts == Sts::Enforce, "{case}: {said}");
                }
                // RFC 7672 §2.1.2: a server whose records nobody can tell is not even asked.
                let asked = *town.connections.lock().unwrap() > 0;
                assert_eq!(asked, !matches!(dane, Bogus | Servfail), "{case}");
            }
        }
    }
}

/// RFC 7672 §2.2.1: hosts of an unsigned domain may be proven; §2.2.2: those with unsigned
/// addresses are not asked for records, since their name servers may not even answer.
#[tokio::test(start_paused = true)]
async fn what_is_not_signed_is_as_before() {
    let _still = sim::client::stand_still();
    let goes = async |domain, server, records| {
        let house = house(Plan::default()).await;
        let town = Neighbour::open(&house, Offers::Proven, None);
        house.world.dns.sign("example.net", domain);
        house.world.dns.sign(PROVEN, server);
        let name = "_25._tcp.mx.example.net";
        match records {
            Some(tlsa) => house.world.dns.add_tlsa(name, tlsa),
            None => house.world.dns.fail(name),
        }
        house.world.dns.sign(name, Signed::Secure);
        let left = send(&house, "", "").await;
        assert_eq!(left.is_none(), !town.came().is_empty());
        left.is_none()
    };
    let (secure, insecure) = (Signed::Secure, Signed::Insecure);
    assert!(goes(insecure, secure, Some(fitting())).await);
    assert!(!goes(insecure, secure, Some(other())).await);
    assert!(!goes(insecure, secure, None).await);
    assert!(goes(secure, insecure, Some(other())).await);
    assert!(goes(secure, insecure, None).await);
    assert!(!goes(Signed::Bogus, secure, Some(fitting())).await);
    assert!(!goes(secure, Signed::Bogus, Some(fitting())).await);
}

/// RFC 7672 §2.2.2, §2.2.3, §8.1: where an alias leads is the name that counts, then the alias;
/// and the certificate is asked for by the name that has records.
#[tokio::test(start_paused = true)]
async fn an_alias_is_known_by_two_names() {
    let _still = sim::client::stand_still();
    let (alias, host) = ("alias.example.net", PROVEN);
    for (records_at, target_signed, sni) in [
        (&[host][..], Signed::Secure, host),
        (&[alias], Signed::Secure, alias),
        (&[host, alias], Signed::Secure, host),
        (&[alias], Signed::Insecure, alias),
        // There are none that count: opportunistic TLS.
        (&[host], Signed::Insecure, alias),
    ] {
        let house = house(Plan::default()).await;
        let town = Neighbour::open(&house, Offers::Proven, None);
        let dns = &house.world.dns;
        dns.add_mx("example.net", 1, alias);
        dns.alias(alias, host);
        sign(&house, &["example.net", alias]);
        dns.sign(host, target_signed);
        for base in records_at {
            let name = format!("_25._tcp.{base}");
            let decides = *base == sni;
            dns.add_tlsa(&name, if decides { fitting() } else { other() });
            dns.sign(&name, Signed::Secure);
        }
        let left = send(&house, "", "").await;
        let case = format!("{records_at:?} {target_signed:?}");
        assert!(left.is_none(), "{case}: {}", reply(left.as_ref()));
        assert_eq!(*town.names.lock().unwrap(), [sni], "{case}");
    }
}

/// RFC 7672 §2.2: the next server is tried, and the message waits if there is none; the record
/// says why, and it goes when that was mended.
#[tokio::test(start_paused = true)]
async fn the_next_server_is_tried_and_the_record_says_why() {
    let _still = sim::client::stand_still();
    let house = house(Plan::default()).await;
    let town = Neighbour::open(&house, Offers::Proven, None);
    Dane::Other.publish(&house, PROVEN);
    let left = send(&house, "", "").await;
    let said = reply(left.as_ref()).to_owned();
    assert!(said.starts_with("DANE: mail for there must not go to mx.example.net"), "{said}");
    let id = left.unwrap().message;
    let record = house.shared.store.journey(id).unwrap().concat();
    let record = String::from_utf8_lossy(&record);
    for part in [
        "MX example.net: 10 mx.example.net (DNSSEC)",
        "A, AAAA mx.example.net: 192.0.2.10 (DNSSEC)",
        "TLSA _25._tcp.mx.example.net: 3 1 1 0000000000000000… (DNSSEC)",
        "none of those that DNS has in TLSA records",
    ] {
        assert!(record.contains(part), "{part}: {record}");
    }
    house.world.dns.add_mx("example.net", 20, "second.example.net");
    house.world.dns.add_address("second.example.net", MX.parse().unwrap());
    assert!(send(&house, "", "").await.is_none());
    assert_eq!(town.came().len(), 1);
    // A new key, with the old one still in DNS: RFC 7672 §4.
    house.world.dns.fail("second.example.net");
    house.world.dns.add_tlsa("_25._tcp.mx.example.net", fitting());
    house.advance(Duration::from_secs(400)).await;
    house.quiesce().await;
    assert_eq!(town.came().len(), 1, "the first message goes");
}

/// RFC 8689 §3: `TLS-Required: No` asks to ignore DANE too; others don't go over its connection.
#[tokio::test(start_paused = true)]
async fn tls_required_no_ignores_dane() {
    let _still = sim::client::stand_still();
    for dane in [Dane::Other, Dane::Bogus] {
        let house = house(Plan::default()).await;
        let town = Neighbour::open(&house, Offers::NoTls, None);
        dane.publish(&house, PROVEN);
        assert!(send(&house, "", "TLS-Required: No\r\n").await.is_none(), "{dane:?}");
        assert_eq!(town.came(), [(false, "MAIL FROM:<alice@example.org>".to_owned())]);
        assert!(send(&house, "", "").await.is_some());
        assert!(town.came().is_empty());
    }
}

/// RFC 8689 §2: DNSSEC vouches for the MX, and DANE may prove the server.
#[tokio::test(start_paused = true)]
async fn requiretls_leaves_where_dnssec_vouches() {
    let _still = sim::client::stand_still();
    for (signed, dane, offers, goes) in [
        (Signed::Secure, Dane::Nothing, Offers::Proven, true),
        (Signed::Secure, Dane::Nothing, Offers::SelfSigned, false),
        (Signed::Secure, Dane::Fits, Offers::SelfSigned, true),
        (Signed::Secure, Dane::Other, Offers::Proven, false),
        (Signed::Secure, Dane::Unusable, Offers::Proven, true),
        (Signed::Secure, Dane::Unusable, Offers::SelfSigned, false),
        (Signed::Secure, Dane::Fits, Offers::NoTls, false),
        (Signed::Insecure, Dane::Fits, Offers::Proven, false),
    ] {
        let case = format!("{signed:?} {dane:?} {offers:?}");
        let house = house(Plan::default()).await;
        let server = if offers == Offers::SelfSigned { UNPROVEN } else { PROVEN };
        let town = Neighbour::open(&house, offers, None);
        dane.publish(&house, server);
        house.world.dns.sign("example.net", signed);
        for _ in 0..2 {
            assert!(send(&house, " REQUIRETLS", "").await.is_none(), "{case}");
        }
        let expected = (true, "MAIL FROM:<alice@example.org> REQUIRETLS".to_owned());
        let expected = if goes { vec![expected; 2] } else { vec![] };
        assert_eq!(town.came(), expected, "{case}");
        // The second message takes the connection of the first.
        if goes {
            assert_eq!(*town.connections.lock().unwrap(), 1, "{case}");
        }
    }
}
