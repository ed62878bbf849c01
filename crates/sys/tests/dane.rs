//! Which certificates TLSA records prove, in real handshakes. RFC 7672 §3.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    PublicKeyData,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use sys::dane::Associations;
use sys::dnssec::Tlsa;
use sys::tls::{TlsClient, Trust};
use tokio_rustls::TlsAcceptor;

const HOST: &str = "mx.example.com";

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

fn root() -> Issuer {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, key()).unwrap()
}

fn intermediate(root: &Issuer) -> Issuer {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "intermediate");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::signed_by(params, key(), root).unwrap()
}

fn names(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

fn tlsa(usage: u8, selector: u8, matching: u8, certificate: &[u8], key: &KeyPair) -> Tlsa {
    let octets = if selector == 0 { certificate.to_vec() } else { key.subject_public_key_info() };
    let data = match matching {
        0 => octets,
        1 => digest(&SHA256, &octets).as_ref().to_vec(),
        _ => digest(&SHA512, &octets).as_ref().to_vec(),
    };
    Tlsa { usage, selector, matching, data }
}

/// A server, and what a client makes of it.
struct Server {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Server {
    fn new(certificate: &Certificate, above: &[&Issuer], key: KeyPair) -> Server {
        let above = above.iter().map(|issuer| issuer.der());
        Server { chain: std::iter::once(certificate.der()).chain(above).cloned().collect(), key }
    }

    /// Why the client refuses it by these records, if it does.
    async fn refused(&self, records: &[Tlsa], known_as: &[&str]) -> Option<String> {
        let private = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), private)
            .unwrap();
        let (ours, theirs) = tokio::io::duplex(100_000);
        let accept = TlsAcceptor::from(Arc::new(config)).accept(theirs);
        let names = known_as.iter().map(|name| (*name).to_owned()).collect();
        let associations = Associations { records: records.to_vec(), names };
        let client =
            TlsClient::new(&Trust::Anybody).unwrap().with_dane(associations, HOST).unwrap();
        let (_, connected) = tokio::join!(accept, client.connect(HOST, Box::new(ours)));
        match connected {
            Ok((_, facts)) => {
                assert!(facts.verified && facts.sni.as_deref() == Some(HOST));
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }
}

/// RFC 7672 §3.1.1: DANE-EE(3) is about the key or the certificate; names and dates don't count.
#[tokio::test]
async fn a_server_is_known_by_its_own_certificate() {
    let key = key();
    let mut params = names(&["elsewhere.example.net"]);
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let own = params.self_signed(&key).unwrap();
    let der = own.der().to_vec();
    let mut fits = vec![];
    for selector in [0, 1] {
        for matching in [0, 1, 2] {
            fits.push(tlsa(3, selector, matching, &der, &key));
        }
    }
    assert_eq!(Tlsa::of_key(&der).as_ref(), Some(&fits[4]));
    let server = Server::new(&own, &[], key);
    let stranger = self::key();
    let other = tlsa(3, 1, 1, &der, &stranger);
    for record in &fits {
        assert_eq!(server.refused(std::slice::from_ref(record), &[HOST]).await, None);
        let both = [other.clone(), record.clone()];
        assert_eq!(server.refused(&both, &[HOST]).await, None);
        let wrong = Tlsa { selector: 1 - record.selector, ..record.clone() };
        assert!(server.refused(&[wrong], &[HOST]).await.is_some());
    }
    let why = server.refused(&[other], &[HOST]).await.unwrap();
    assert_eq!(why, "the certificate is none of those that DNS has in TLSA records");
}

/// RFC 7672 §3.1.2, §3.2.2: DANE-TA(2) is about an authority that the server shows, and the
/// certificate is for the host or the domain.
#[tokio::test]
async fn a_server_is_known_by_an_authority() {
    let (root, key) = (root(), key());
    let middle = intermediate(&root);
    let own = names(&[HOST, "*.example.org"]).signed_by(&key, &middle).unwrap();
    let all = Server::new(&own, &[&middle, &root], key);
    for (issuer, selector, matching) in
        [(&root, 0, 1), (&root, 1, 1), (&root, 0, 2), (&middle, 0, 1), (&middle, 1, 2)]
    {
        let record = tlsa(2, selector, matching, issuer.der(), issuer.key());
        let case = format!("{selector} {matching}");
        assert_eq!(all.refused(std::slice::from_ref(&record), &[HOST]).await, None, "{case}");
        // §3.2.2: the domain is known by other names too; §3.2.3: `*` is one label.
        let known = ["mail.example.net", "sub.example.org"];
        assert_eq!(all.refused(std::slice::from_ref(&record), &known).await, None, "{case}");
        for known in ["other.example.com", "example.org", "a.b.example.org"] {
            assert!(
                all.refused(std::slice::from_ref(&record), &[known]).await.is_some(),
                "{known}"
            );
        }
        let as_server = Tlsa { usage: 3, ..record };
        assert!(all.refused(&[as_server], &[HOST]).await.is_some(), "{case}");
    }
    let stranger = self::root();
    let record = tlsa(2, 0, 1, stranger.der(), stranger.key());
    assert!(all.refused(&[record], &[HOST]).await.is_some());
}

/// An authority that is not shown is known only if DNS has all of it; one that did not sign is
/// none.
#[tokio::test]
async fn an_authority_has_to_be_shown_and_to_have_signed() {
    let (root, key) = (root(), key());
    let own = names(&[HOST]).signed_by(&key, &root).unwrap();
    let digest = tlsa(2, 0, 1, root.der(), root.key());
    let whole = tlsa(2, 0, 0, root.der(), root.key());
    let alone = Server::new(&own, &[], key);
    assert!(alone.refused(std::slice::from_ref(&digest), &[HOST]).await.is_some());
    assert_eq!(alone.refused(&[whole], &[HOST]).await, None);
    // Somebody shows the authority beside a certificate of their own.
    let forged_key = self::key();
    let forged = names(&[HOST]).self_signed(&forged_key).unwrap();
    let forger = Server::new(&forged, &[&root], forged_key);
    assert!(forger.refused(&[digest], &[HOST]).await.is_some());
}

/// RFC 7672 §3.1.2: with an authority the dates count. §3.2.3: the common name does where there is
/// no other name.
#[tokio::test]
async fn what_an_authority_signed_has_dates_and_names() {
    let root = root();
    let record = [tlsa(2, 0, 1, root.der(), root.key())];
    let mut old = names(&[HOST]);
    old.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let key = self::key();
    let server = Server::new(&old.signed_by(&key, &root).unwrap(), &[&root], key);
    assert!(server.refused(&record, &[HOST]).await.unwrap().contains("expired"));
    for (common, others, fits) in [
        (HOST, &[][..], true),
        ("*.example.com", &[], true),
        ("example.com", &[], false),
        (HOST, &["other.example.com"], false),
    ] {
        let mut params = names(others);
        params.distinguished_name.push(DnType::CommonName, common);
        let key = self::key();
        let own = params.signed_by(&key, &root).unwrap();
        let refused = Server::new(&own, &[&root], key).refused(&record, &[HOST]).await;
        assert_eq!(refused.is_none(), fits, "{common} {others:?}: {refused:?}");
    }
}
