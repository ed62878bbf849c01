//! What other servers' TLS needs of ours (users.md S-05, S-07), seen with rustls as the client.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::path::PathBuf;
use std::sync::Arc;
use sys::net::BoxStream;
use sys::tls::{Pair, Speaks, TlsClient, TlsFacts, TlsServer, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const NAME: &str = "mail.example.org";

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new(name: &str) -> Folder {
        let path =
            std::env::temp_dir().join(format!("postrider-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// A self-signed certificate of that kind.
    fn pair(&self, kind: &'static rcgen::SignatureAlgorithm) -> Pair {
        let key = rcgen::KeyPair::generate_for(kind).unwrap();
        let params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let made = params.self_signed(&key).unwrap();
        let name = format!("{kind:?}").replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let pair = Pair {
            cert: self.0.join(format!("{name}.cert")),
            key: self.0.join(format!("{name}.key")),
        };
        std::fs::write(&pair.cert, made.pem()).unwrap();
        std::fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }
}

/// A client of one version of TLS, perhaps with few cipher suites, that remembers sessions.
fn client(pairs: &[Pair], version: &'static SupportedProtocolVersion, suite: &str) -> TlsConnector {
    TlsConnector::from(Arc::new(client_config(pairs, version, suite)))
}

fn client_config(
    pairs: &[Pair],
    version: &'static SupportedProtocolVersion,
    suite: &str,
) -> ClientConfig {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|one| format!("{:?}", one.suite()).contains(suite));
    let mut roots = RootCertStore::empty();
    for pair in pairs {
        roots.add(rustls::pki_types::CertificateDer::from_pem_file(&pair.cert).unwrap()).unwrap();
    }
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// One handshake, and an octet from the server so that the client reads tickets if there are any.
async fn shake(
    server: &TlsServer,
    speaks: Speaks,
    client: &TlsConnector,
) -> Result<(HandshakeKind, TlsFacts), String> {
    let (ours, theirs) = tokio::io::duplex(100_000);
    let serve = async {
        let stream: BoxStream = Box::new(ours);
        let (mut stream, facts) =
            server.port(speaks).accept(stream).await.map_err(|e| e.to_string())?;
        stream.write_all(b"x").await.map_err(|e| e.to_string())?;
        stream.flush().await.map_err(|e| e.to_string())?;
        Ok::<_, String>((stream, facts))
    };
    let call = async {
        let name = ServerName::try_from(NAME).unwrap();
        let mut stream = client.connect(name, theirs).await.ok()?;
        stream.read_u8().await.ok()?;
        stream.get_ref().1.handshake_kind()
    };
    let (served, called) = tokio::join!(serve, call);
    Ok((called.unwrap(), served?.1))
}

/// Each connection is a full handshake, even when the client would rather resume the last one.
#[tokio::test]
async fn s_05_no_session_is_resumed() {
    let folder = Folder::new("s05");
    let pair = folder.pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let server = TlsServer::from_files(&pair.cert, &pair.key).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = client(std::slice::from_ref(&pair), version, "");
        for speaks in [Speaks::Mail, Speaks::Mail, Speaks::Imap, Speaks::Imap] {
            let (kind, _) = shake(&server, speaks, &client).await.unwrap();
            assert_ne!(kind, HandshakeKind::Resumed, "{version:?}");
        }
    }
}

/// Who says by ALPN that it wants something else is sent away, so that nothing is carried from one
/// protocol to another; who says nothing is served.
#[tokio::test]
async fn sm_6_a_port_speaks_its_own_protocol_only() {
    let folder = Folder::new("sm6");
    let pair = folder.pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let server = TlsServer::from_files(&pair.cert, &pair.key).unwrap();
    let own: [(Speaks, &[u8]); 4] = [
        (Speaks::Mail, b"smtp"),
        (Speaks::Submission, b"smtp"),
        (Speaks::Imap, b"imap"),
        (Speaks::Pop3, b"pop3"),
    ];
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (speaks, name) in own {
            for offered in [b"smtp".as_slice(), b"imap", b"pop3", b"http/1.1", b"h2"] {
                let mut config = client_config(std::slice::from_ref(&pair), version, "");
                config.alpn_protocols = vec![offered.to_vec()];
                let client = TlsConnector::from(Arc::new(config));
                let (ours, theirs) = tokio::io::duplex(100_000);
                let called = client.connect(ServerName::try_from(NAME).unwrap(), theirs);
                let port = server.port(speaks);
                let (served, called) = tokio::join!(port.accept(Box::new(ours)), called);
                assert_eq!(served.is_ok(), offered == name, "{speaks:?} {offered:?}");
                match called {
                    Ok(_) => assert_eq!(offered, name),
                    Err(error) => assert!(error.to_string().contains("NoApplicationProtocol")),
                }
            }
        }
    }
}

/// Old peers that know RSA only find a cipher, those that know ECDSA get that, and who finds none
/// is described.
#[tokio::test]
async fn s_07_peers_of_either_kind_of_key_are_served_and_others_are_told_of() {
    let folder = Folder::new("s07");
    let ecdsa = folder.pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let rsa = folder.pair(&rcgen::PKCS_RSA_SHA256);
    let pairs = vec![ecdsa.clone(), rsa];
    let both = TlsServer::from_pairs(pairs.clone()).unwrap();
    for (suite, got) in [("ECDHE_RSA", "ECDHE_RSA"), ("ECDHE_ECDSA", "ECDHE_ECDSA"), ("", "ECDSA")]
    {
        let client = client(&pairs, &rustls::version::TLS12, suite);
        let (_, facts) = shake(&both, Speaks::Mail, &client).await.unwrap();
        assert!(facts.cipher.contains(got), "{suite}: {}", facts.cipher);
        assert_eq!(facts.version, "TLSv1.2");
    }
    // The suites that hash by SHA-256 come first.
    let new = client(&pairs, &rustls::version::TLS13, "");
    let (_, facts) = shake(&both, Speaks::Mail, &new).await.unwrap();
    assert_eq!((&*facts.cipher, &*facts.version), ("TLS_AES_128_GCM_SHA256", "TLSv1.3"));
    let only = TlsServer::from_files(&ecdsa.cert, &ecdsa.key).unwrap();
    let old = client(&pairs, &rustls::version::TLS12, "ECDHE_RSA");
    let (ours, theirs) = tokio::io::duplex(100_000);
    let name = ServerName::try_from(NAME).unwrap();
    let (served, called) =
        tokio::join!(only.port(Speaks::Mail).accept(Box::new(ours)), old.connect(name, theirs));
    let why = served.err().unwrap().to_string();
    assert!(called.is_err());
    assert!(why.contains("TLS_ECDHE_RSA_WITH_AES") && why.contains(NAME), "{why}");
}

/// A certificate of X.509 version 1 and its key, as npm's smtp-server brings one of.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBIzCBywIULDIoEDgI1qY7qm7Speukwum89IAwCgYIKoZIzj0EAwIwFDESMBAG\n\
A1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNTE0NTkzNFoYDzIxMjYxMTAxMTQ1OTM0\n\
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n\
AASsxxbi+ecDqhj+ENv/zVi5l48jJ3W+ldmly1zcOTHImJjoECo2ToHlkQATeV35\n\
JwG/PYLy0TRooVN1Q5x7roeAMAoGCCqGSM49BAMCA0cAMEQCIFvhQPyL1lQTbiwr\n\
51B5Oqb7PPBfIbnaI6tRtZUQgVE3AiAlx+QBualT7WW0xLPutQ3ZVy9/fer/2Wy4\n\
WwSaVH/uVA==\n\
-----END CERTIFICATE-----\n\
-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFP4kAZEtj9GDkf5T\n\
H3tWaKsnLq143xJ7uoEtvHh/zaahRANCAASsxxbi+ecDqhj+ENv/zVi5l48jJ3W+\n\
ldmly1zcOTHImJjoECo2ToHlkQATeV35JwG/PYLy0TRooVN1Q5x7roeA\n\
-----END PRIVATE KEY-----\n";

/// Encryption without a believed certificate is better than none, whatever the certificate is like.
#[tokio::test]
async fn a_server_with_an_odd_certificate_is_spoken_to_under_tls() {
    let cert = CertificateDer::from_pem_slice(VERSION_1.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(VERSION_1.as_bytes()).unwrap();
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let key = CertifiedKey::new(vec![cert], key);
    let anybody = TlsClient::new(&Trust::Anybody).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key.clone())));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (ours, theirs) = tokio::io::duplex(100_000);
        let called = anybody.connect(NAME, Box::new(ours));
        let (served, called) = tokio::join!(acceptor.accept(theirs), called);
        assert!(served.is_ok(), "{version:?}");
        assert!(!called.unwrap().1.verified);
    }
}
