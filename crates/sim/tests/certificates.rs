//! EXTERNAL end to end: whose client certificates are believed, and which account they log in to
//! (RFC 4422 §A, RFC 5280 §4.2.1.6).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan, address};
use sim::world::SimWorld;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use sys::tls::ClientTrust;
use tokio_rustls::TlsConnector;

const SERVICES: [Service; 6] = [
    Service::Submissions,
    Service::Imaps,
    Service::Pop3s,
    Service::Submission,
    Service::Imap,
    Service::Pop3,
];

/// A client that shows a certificate when it is asked for one, and believes any server.
#[derive(Debug)]
struct Shows {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::SeqCst);
        self.key.clone()
    }
    fn has_certs(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Believes(Arc<CryptoProvider>);

impl ServerCertVerifier for Believes {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, schemes)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, schemes)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A certificate and its key.
type Made = Arc<CertifiedKey>;
type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn params(emails: &[&str], expired: bool) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    let san = |email: &&str| SanType::Rfc822Name((*email).try_into().unwrap());
    params.subject_alt_names = emails.iter().map(san).collect();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    if expired {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    }
    params
}

fn certified(cert: &rcgen::Certificate, key: &KeyPair) -> Made {
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let chain = vec![cert.der().clone()];
    Arc::new(CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).unwrap())
}

fn signed(by: &Authority, emails: &[&str], expired: bool) -> Made {
    let key = KeyPair::generate().unwrap();
    let cert = params(emails, expired).signed_by(&key, by).unwrap();
    certified(&cert, &key)
}

fn self_signed(emails: &[&str]) -> Made {
    let key = KeyPair::generate().unwrap();
    certified(&params(emails, false).self_signed(&key).unwrap(), &key)
}

fn fingerprint(made: &Made) -> [u8; 32] {
    use ::aws_lc_rs::digest::{SHA256, digest};
    digest(&SHA256, made.cert.first().unwrap()).as_ref().try_into().unwrap()
}

/// A house that believes the authority, and one certificate more, which is bob's.
async fn house(authority: &Authority, listed: &Made) -> House {
    let folder = std::env::temp_dir().join(format!("postrider-ca-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{:x?}.pem", fingerprint(listed)));
    std::fs::write(&file, authority.pem()).unwrap();
    let mut plan = Plan::default();
    let fingerprints = HashSet::from([fingerprint(listed)]);
    plan.clients = Some(ClientTrust { authorities: Some(file), fingerprints });
    let bob = "bob@example.org".to_owned();
    plan.directory.certificates = HashMap::from([(fingerprint(listed), bob)]);
    let house = House::build(plan, SimWorld::new(9)).await;
    let _ = std::fs::remove_dir_all(&folder);
    house.add_account("alice").await;
    house.add_account("bob").await;
    house
}

/// Connects, under TLS as the service has it; whether a certificate was asked for.
async fn connect(house: &House, service: Service, key: Option<&Made>) -> (Client, bool) {
    let shows = Arc::new(Shows { key: key.cloned(), asked: AtomicBool::new(false) });
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believes(provider)))
        .with_client_cert_resolver(shows.clone());
    let mut client = Client::dial(house, service, [10, 0, 0, 1]);
    let starttls: &[&str] = match service {
        Service::Smtp | Service::Submission => &["EHLO client.example", "STARTTLS"],
        Service::Imap => &["a STARTTLS"],
        Service::Pop3 => &["STLS"],
        _ => &[],
    };
    if !starttls.is_empty() {
        client.reply().await;
        for line in starttls {
            client.ask(line).await;
        }
    }
    let name = ServerName::try_from("mail.example.org").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let shake = |stream| async move { connector.connect(name, stream).await.unwrap() };
    let mut client = client.through(shake).await;
    if starttls.is_empty() {
        client.reply().await;
    }
    let asked = shows.asked.load(Ordering::SeqCst);
    (client, asked)
}

/// What is announced, in one text.
async fn announced(client: &mut Client, service: Service) -> String {
    let (command, end) = match service {
        Service::Imap | Service::Imaps => ("a CAPABILITY", "a OK"),
        Service::Pop3 | Service::Pop3s => ("CAPA", "."),
        _ => ("EHLO client.example", "250 "),
    };
    client.send(format!("{command}\r\n").as_bytes()).await;
    let mut all = String::new();
    loop {
        let line = client.line().await;
        assert!(!line.is_empty(), "{all}");
        all.push_str(&line);
        all.push('\n');
        if line.starts_with(end) {
            return all;
        }
    }
}

async fn external(client: &mut Client, service: Service, authzid: &str) -> String {
    let initial = if authzid.is_empty() { "=".to_owned() } else { STANDARD.encode(authzid) };
    let command = match service {
        Service::Imap | Service::Imaps => "a AUTHENTICATE",
        _ => "AUTH",
    };
    client.ask(&format!("{command} EXTERNAL {initial}")).await
}

fn is_success(reply: &str) -> bool {
    ["235 2.7.0", "a OK", "+OK "].iter().any(|ok| reply.starts_with(ok))
}

#[tokio::test(start_paused = true)]
async fn certificates_log_in_to_the_accounts_they_name() {
    let _still = sim::client::stand_still();
    let ca = authority();
    let listed = self_signed(&["alice@example.org"]);
    let house = house(&ca, &listed).await;
    let alice = signed(&ca, &["alice@example.org"], false);
    let both = signed(&ca, &["nobody@example.org", "alice@example.org", "bob@example.org"], false);
    for service in SERVICES {
        // Who shows it, whom it acts as, and whether that goes.
        for (key, authzid, fine) in [
            (&alice, "", true),
            (&alice, "alice@example.org", true),
            (&alice, "ALICE", true),
            (&alice, "bob@example.org", false),
            (&alice, "\0", false),
            (&both, "", true),
            (&both, "bob", true),
            (&both, "nobody@example.org", false),
            // What somebody writes into their own certificate counts for nothing.
            (&listed, "", true),
            (&listed, "bob@example.org", true),
            (&listed, "alice@example.org", false),
        ] {
            let (mut client, asked) = connect(&house, service, Some(key)).await;
            let capabilities = announced(&mut client, service).await;
            assert!(asked && capabilities.contains("EXTERNAL"), "{service:?} {capabilities}");
            let reply = external(&mut client, service, authzid).await;
            assert_eq!(is_success(&reply), fine, "{service:?} {authzid:?}: {reply}");
        }
        // Without an initial response: RFC 4422 §A.1.
        let (mut client, _) = connect(&house, service, Some(&alice)).await;
        announced(&mut client, service).await;
        let imap = matches!(service, Service::Imap | Service::Imaps);
        let asked =
            client.ask(if imap { "a AUTHENTICATE EXTERNAL" } else { "AUTH EXTERNAL" }).await;
        assert!(asked == "334 " || asked == "+ ", "{asked}");
        assert!(is_success(&client.ask("").await));
    }
    house.shared.store.account_set_disabled(address("alice"), true).await.unwrap();
    let (mut client, _) = connect(&house, Service::Imaps, Some(&alice)).await;
    let reply = external(&mut client, Service::Imaps, "").await;
    assert!(reply.starts_with("a NO [AUTHENTICATIONFAILED]"), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn certificates_that_are_not_believed_are_passed_over() {
    let (ca, stranger) = (authority(), authority());
    let listed = self_signed(&[]);
    let house = house(&ca, &listed).await;
    let mail = ["alice@example.org"];
    let bad = [
        Some(signed(&stranger, &mail, false)),
        Some(signed(&ca, &mail, true)),
        Some(signed(&ca, &[], false)),
        Some(self_signed(&mail)),
        None,
    ];
    for service in SERVICES {
        for (n, key) in bad.iter().enumerate() {
            let (mut client, asked) = connect(&house, service, key.as_ref()).await;
            let capabilities = announced(&mut client, service).await;
            assert!(asked && !capabilities.contains("EXTERNAL"), "{service:?} {n} {capabilities}");
            let reply = external(&mut client, service, "").await;
            assert!(!is_success(&reply), "{service:?} {n}: {reply}");
            let plain = STANDARD.encode("\0alice\0secret");
            let imap = matches!(service, Service::Imap | Service::Imaps);
            let command = if imap { "a AUTHENTICATE" } else { "AUTH" };
            let reply = client.ask(&format!("{command} PLAIN {plain}")).await;
            assert!(is_success(&reply), "{service:?} {n}: a password still works: {reply}");
        }
    }
}

/// Other servers have certificates of their own, which are nobody's login.
#[tokio::test(start_paused = true)]
async fn other_servers_are_not_asked_for_certificates() {
    let _still = sim::client::stand_still();
    let ca = authority();
    let house = house(&ca, &self_signed(&[])).await;
    let alice = signed(&ca, &["alice@example.org"], false);
    let (mut client, asked) = connect(&house, Service::Smtp, Some(&alice)).await;
    let capabilities = announced(&mut client, Service::Smtp).await;
    assert!(!asked && !capabilities.contains("AUTH"), "{capabilities}");
    // Nor are clients, where nobody has said which certificates are believed.
    let house = House::build(Plan::default(), SimWorld::new(9)).await;
    let (_, asked) = connect(&house, Service::Imaps, Some(&alice)).await;
    assert!(!asked);
}
