//! What other servers' TLS needs of ours (users.md S-05, S-07), seen with rustls as the client.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use std::path::PathBuf;
use std::sync::Arc;
use sys::net::BoxStream;
use sys::tls::{Pair, TlsFacts, TlsServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

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
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|one| format!("{:?}", one.suite()).contains(suite));
    let mut roots = RootCertStore::empty();
    for pair in pairs {
        roots.add(rustls::pki_types::CertificateDer::from_pem_file(&pair.cert).unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// One handshake, and an octet from the server so that the client reads tickets if there are any.
async fn shake(
    server: &TlsServer,
    client: &TlsConnector,
) -> Result<(HandshakeKind, TlsFacts), String> {
    let (ours, theirs) = tokio::io::duplex(100_000);
    let serve = async {
        let stream: BoxStream = Box::new(ours);
        let (mut stream, facts) = server.accept(stream).await.map_err(|e| e.to_string())?;
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
        for _ in 0..3 {
            let (kind, _) = shake(&server, &client).await.unwrap();
            assert_ne!(kind, HandshakeKind::Resumed, "{version:?}");
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
        let (_, facts) = shake(&both, &client).await.unwrap();
        assert!(facts.cipher.contains(got), "{suite}: {}", facts.cipher);
        assert_eq!(facts.version, "TLSv1.2");
    }
    let only = TlsServer::from_files(&ecdsa.cert, &ecdsa.key).unwrap();
    let old = client(&pairs, &rustls::version::TLS12, "ECDHE_RSA");
    let (ours, theirs) = tokio::io::duplex(100_000);
    let name = ServerName::try_from(NAME).unwrap();
    let (served, called) = tokio::join!(only.accept(Box::new(ours)), old.connect(name, theirs));
    let why = served.err().unwrap().to_string();
    assert!(called.is_err());
    assert!(why.contains("TLS_ECDHE_RSA_WITH_AES") && why.contains(NAME), "{why}");
}
