//! TLS by rustls with aws-lc-rs: TLS 1.2 and 1.3, certificates that may change while we run.
//!
//! A server's certificate is read again when its files change (users.md D-07); sessions that are
//! open go on with the old one. Resumption tickets are off: Microsoft's senders were seen to fail
//! with resumed sessions (users.md S-05), and clients that read once their socket is readable take
//! the tickets of TLS 1.3 for the end of the connection (Mail::IMAPTalk does). A second certificate
//! may serve peers that cannot do with the first one's kind of key (S-07).

use crate::client_certificate::Believes;
pub use crate::client_certificate::{ClientCertificate, ClientTrust};
use crate::dane::{self, Associations};
use crate::dnssec::Tlsa;
use crate::net::BoxStream;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{Acceptor, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    ServerConfig, SignatureAlgorithm, SignatureScheme, SupportedCipherSuite,
};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio_rustls::{LazyConfigAcceptor, TlsConnector};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a handshake settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite by its IANA name.
    pub cipher: String,
    /// The server name that the client asked for.
    pub sni: Option<String>,
    /// The peer's certificate was verified.
    pub verified: bool,
    /// `tls-exporter` data that a login can be bound to: TLS 1.3 only. RFC 9266 §4.
    pub binding: Option<Vec<u8>>,
    /// The certificate that the client has shown, if it was asked for and is believed.
    pub client: Option<ClientCertificate>,
}

/// The server side: certificates of one or more kinds of key, each read from two files, and what is
/// settled with them at each kind of port.
pub struct TlsServer {
    current: Arc<Current>,
    mail: TlsPort,
    submission: TlsPort,
    imap: TlsPort,
    pop3: TlsPort,
}

/// TLS as it is at one kind of port.
pub struct TlsPort {
    config: Arc<ServerConfig>,
    binds: bool,
    believes: Option<Arc<Believes>>,
}

/// What is spoken at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// SMTP or LMTP with other servers.
    Mail,
    /// SMTP with mail programs.
    Submission,
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
}

impl Speaks {
    /// What a client may call it. One that offers other names only means somebody else, and is sent
    /// away: RFC 7301 §3.2. Most offer none.
    fn names(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Speaks::Mail | Speaks::Submission => &[b"smtp", b"esmtp"],
            Speaks::Imap => &[b"imap"],
            Speaks::Pop3 => &[b"pop3"],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }
}

/// A certificate chain and its private key, both PEM files.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The chain.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl Pair {
    /// The record by which DNS can vouch for the certificate, if it can be read. RFC 7672 §3.1.
    pub fn tlsa(&self) -> Option<Tlsa> {
        Tlsa::of_key(&CertificateDer::from_pem_file(&self.cert).ok()?)
    }

    fn stamps(&self) -> [Option<SystemTime>; 2] {
        [modified(&self.cert), modified(&self.key)]
    }
}

#[derive(Debug)]
struct Current {
    pairs: Vec<Pair>,
    loaded: RwLock<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    keys: Vec<Arc<CertifiedKey>>,
    stamps: Vec<[Option<SystemTime>; 2]>,
}

impl Loaded {
    fn read(pairs: &[Pair]) -> io::Result<Loaded> {
        let stamps = pairs.iter().map(Pair::stamps).collect();
        let keys =
            pairs.iter().map(|pair| load(&pair.cert, &pair.key)).collect::<Result<_, _>>()?;
        Ok(Loaded { keys, stamps })
    }
}

/// How long a TLS handshake may take.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(30);

/// Where clients log in.
const LOGINS: [Speaks; 3] = [Speaks::Submission, Speaks::Imap, Speaks::Pop3];

impl TlsServer {
    /// Reads a PEM certificate chain and its private key.
    pub fn from_files(cert: &Path, key: &Path) -> io::Result<TlsServer> {
        TlsServer::from_pairs(vec![Pair { cert: cert.into(), key: key.into() }])
    }

    /// Reads several, most wanted first; a client gets the first that it can check.
    pub fn from_pairs(pairs: Vec<Pair>) -> io::Result<TlsServer> {
        let loaded = RwLock::new(Loaded::read(&pairs)?);
        let current = Arc::new(Current { pairs, loaded });
        let config = TlsServer::config(&current, None)?;
        let mail = TlsPort::new(&config, Speaks::Mail);
        let [submission, imap, pop3] = LOGINS.map(|speaks| TlsPort::new(&config, speaks));
        Ok(TlsServer { current, mail, submission, imap, pop3 })
    }

    /// What is settled where this is spoken.
    pub fn port(&self, speaks: Speaks) -> &TlsPort {
        match speaks {
            Speaks::Mail => &self.mail,
            Speaks::Submission => &self.submission,
            Speaks::Imap => &self.imap,
            Speaks::Pop3 => &self.pop3,
        }
    }

    fn config(
        current: &Arc<Current>,
        believes: Option<&Arc<Believes>>,
    ) -> io::Result<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match believes {
            None => builder.with_no_client_auth(),
            Some(believes) => builder.with_client_cert_verifier(believes.clone()),
        };
        let mut config = builder.with_cert_resolver(current.clone());
        config.send_tls13_tickets = 0;
        // Every suite is strong; that the server chooses is what auditors look for.
        config.ignore_client_order = true;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(config)
    }

    /// From now on clients are asked for certificates where they log in; other servers never are.
    /// Who shows none, or one that is not believed, goes on without.
    pub fn ask_clients(&mut self, trust: &ClientTrust) -> io::Result<()> {
        let believes = Arc::new(Believes::new(trust)?);
        let config = TlsServer::config(&self.current, Some(&believes))?;
        for (port, speaks) in self.logins().into_iter().zip(LOGINS) {
            let binds = port.binds;
            *port = TlsPort::new(&config, speaks);
            (port.binds, port.believes) = (binds, Some(believes.clone()));
        }
        Ok(())
    }

    /// Whether logins may be bound to the channel; they may unless this says otherwise.
    pub fn bind_logins(&mut self, binds: bool) {
        self.logins().into_iter().for_each(|port| port.binds = binds);
    }

    /// As [`LOGINS`] has them.
    fn logins(&mut self) -> [&mut TlsPort; 3] {
        [&mut self.submission, &mut self.imap, &mut self.pop3]
    }

    /// Reads the files again if they changed. `Ok(true)` when a new certificate is in use. On an
    /// error the old certificate stays in use.
    pub fn reload(&self) -> io::Result<bool> {
        let current = &self.current;
        let stamps: Vec<_> = current.pairs.iter().map(Pair::stamps).collect();
        let known = current.loaded.read().unwrap_or_else(PoisonError::into_inner).stamps.clone();
        if stamps == known {
            return Ok(false);
        }
        let loaded = Loaded::read(&current.pairs)?;
        *current.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(true)
    }

    /// From when to when the certificate holds that expires first, in seconds since 1970.
    pub fn validity(&self) -> Option<Range<i64>> {
        let loaded = self.current.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let validity = |key: &Arc<CertifiedKey>| {
            let (_, parsed) = X509Certificate::from_der(key.cert.first()?).ok()?;
            let (from, to) = (&parsed.validity.not_before, &parsed.validity.not_after);
            Some(from.timestamp()..to.timestamp())
        };
        loaded.keys.iter().filter_map(validity).min_by_key(|validity| validity.end)
    }

    /// Whether a certificate names itself as its issuer: no client believes it unasked.
    pub fn is_self_signed(&self) -> bool {
        let loaded = self.current.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let own = |key: &Arc<CertifiedKey>| {
            let (_, parsed) = X509Certificate::from_der(key.cert.first()?).ok()?;
            Some(parsed.issuer().as_raw() == parsed.subject().as_raw())
        };
        loaded.keys.iter().any(|key| own(key) == Some(true))
    }
}

impl TlsPort {
    fn new(config: &ServerConfig, speaks: Speaks) -> TlsPort {
        let mut config = config.clone();
        config.alpn_protocols = speaks.names();
        TlsPort { config: Arc::new(config), binds: true, believes: None }
    }

    /// Shakes hands as the server. The error says what the client offered, as far as it got.
    pub async fn accept(&self, stream: BoxStream) -> io::Result<(BoxStream, TlsFacts)> {
        let handshake = async {
            let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
            let offered = Offered::new(&hello.client_hello());
            let shaken = hello.into_stream(self.config.clone()).await;
            shaken.map_err(|error| io::Error::new(error.kind(), format!("{error}; {offered}")))
        };
        let handshake = tokio::time::timeout(HANDSHAKE_WAIT, handshake).await;
        let stream = handshake.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (_, connection) = stream.get_ref();
        let sni = connection.server_name().map(str::to_owned);
        let mut facts = facts(connection, sni, false);
        facts.binding = if self.binds { binding(connection) } else { None };
        let shown = connection.peer_certificates();
        facts.client = self.believes.as_ref().and_then(|believes| believes.believed(shown?));
        Ok((Box::new(stream), facts))
    }
}

impl ResolvesServerCert for Current {
    /// Any name gets a certificate: refusing unknown names loses mail (users.md S-08).
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let fits = |key: &&Arc<CertifiedKey>| usable(key, &hello);
        loaded.keys.iter().find(fits).or(loaded.keys.first()).cloned()
    }
}

/// The client can check this key's signatures; in TLS 1.2 it must know a cipher suite for it too.
/// RFC 5246 §7.4.1.4.1, §7.4.2.
fn usable(key: &CertifiedKey, hello: &ClientHello<'_>) -> bool {
    let suits = |suite: &CipherSuite| {
        let name = suite.as_str().unwrap_or_default();
        match key.key.algorithm() {
            _ if name.starts_with("TLS13_") => true,
            SignatureAlgorithm::RSA => name.starts_with("TLS_ECDHE_RSA_"),
            _ => name.starts_with("TLS_ECDHE_ECDSA_"),
        }
    };
    key.key.choose_scheme(hello.signature_schemes()).is_some()
        && hello.cipher_suites().iter().any(suits)
}

/// What a client offered, for the log (users.md S-07).
struct Offered {
    name: Option<String>,
    suites: Vec<CipherSuite>,
    schemes: Vec<SignatureScheme>,
}

impl Offered {
    fn new(hello: &ClientHello<'_>) -> Offered {
        Offered {
            name: hello.server_name().map(str::to_owned),
            suites: hello.cipher_suites().iter().take(20).copied().collect(),
            schemes: hello.signature_schemes().iter().take(10).copied().collect(),
        }
    }
}

impl fmt::Display for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("no name");
        write!(f, "asked for {name}, offered")?;
        self.suites.iter().try_for_each(|suite| write!(f, " {suite:?}"))?;
        f.write_str(" and")?;
        self.schemes.iter().try_for_each(|scheme| write!(f, " {scheme:?}"))
    }
}

/// Whom a client believes.
pub enum Trust {
    /// Anybody: opportunistic TLS, which only keeps bystanders out. RFC 7435.
    Anybody,
    /// Nobody at all.
    Nobody,
    /// Certificates signed by the authorities in this PEM file, for the name asked for.
    Authorities(PathBuf),
}

/// The client side.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
    /// Who proves a server's certificate; with an empty list nobody can.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    verifies: bool,
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("verifies", &self.verifies).finish_non_exhaustive()
    }
}

impl TlsClient {
    /// A client that trusts as said. Reads the file of authorities.
    pub fn new(trust: &Trust) -> io::Result<TlsClient> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let mut proves = None;
        let config = match trust {
            Trust::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Believe(provider())))
                .with_no_client_auth(),
            Trust::Nobody => {
                builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
            }
            Trust::Authorities(file) => {
                let roots = Arc::new(authorities(file)?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider());
                let verifier = proves.insert(verifier.build().map_err(io::Error::other)?);
                builder.with_webpki_verifier(verifier.clone()).with_no_client_auth()
            }
        };
        let verifies = !matches!(trust, Trust::Anybody);
        let connector = TlsConnector::from(Arc::new(config));
        Ok(TlsClient { connector, authorities: proves, verifies })
    }

    /// The same client for the server of that name only, whose certificate DNS has to vouch for,
    /// besides those whom this client trusts already. RFC 7672 §3.
    pub fn with_dane(&self, associations: Associations, name: &str) -> io::Result<TlsClient> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let besides = self.authorities.clone();
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let verifier = dane::Verifier { associations, besides, name, provider: provider() };
        let config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        Ok(TlsClient { connector, authorities: self.authorities.clone(), verifies: true })
    }

    /// For a library that shakes hands itself.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        self.connector.config().clone()
    }

    /// Shakes hands as the client, asking for `name`.
    pub async fn connect(
        &self,
        name: &str,
        stream: BoxStream,
    ) -> io::Result<(BoxStream, TlsFacts)> {
        let server = ServerName::try_from(name.trim_end_matches('.').to_owned());
        let server = server.map_err(io::Error::other)?;
        let handshake = self.connector.connect(server, stream);
        let stream = tokio::time::timeout(HANDSHAKE_WAIT, handshake).await;
        let stream = stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        let stream = stream.map_err(plainly)?;
        let mut facts = facts(stream.get_ref().1, Some(name.to_owned()), self.verifies);
        facts.binding = binding(stream.get_ref().1);
        Ok((Box::new(stream), facts))
    }
}

/// The error in its own words where rustls only wraps it.
fn plainly(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why)))) => {
            io::Error::new(error.kind(), why.to_string())
        }
        _ => error,
    }
}

/// A self-signed certificate for `names` that is valid from and until seconds since 1970, so that a
/// server comes up before it has a real one: certificate and private key in PEM. Its subject is the
/// first name, since that is what mail programs show to somebody who is to trust it.
pub fn self_signed(names: &[String], valid: Range<u64>) -> io::Result<(String, String)> {
    let mut certificate =
        rcgen::CertificateParams::new(names.to_vec()).map_err(io::Error::other)?;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    certificate.not_before = epoch + Duration::from_secs(valid.start);
    certificate.not_after = epoch + Duration::from_secs(valid.end);
    // RFC 5280 A.1: ub-common-name.
    if let Some(name) = names.first().filter(|name| name.len() <= 64) {
        certificate.distinguished_name = rcgen::DistinguishedName::new();
        certificate.distinguished_name.push(rcgen::DnType::CommonName, name);
    }
    let key = rcgen::KeyPair::generate().map_err(io::Error::other)?;
    let made = certificate.self_signed(&key).map_err(io::Error::other)?;
    Ok((made.pem(), key.serialize_pem()))
}

/// AES with keys of 128 bits comes first: no attack tells it from longer keys, and its suites hash
/// by SHA-256, which processors have instructions for, where the others take SHA-384.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    let is_longer = |suite: &SupportedCipherSuite| {
        !suite.suite().as_str().is_some_and(|name| name.contains("AES_128"))
    };
    provider.cipher_suites.sort_by_key(is_longer);
    Arc::new(provider)
}

/// The authorities of a PEM file.
pub(crate) fn authorities(file: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(file).map_err(io::Error::other)? {
        let cert = cert.map_err(io::Error::other)?;
        roots.add(cert).map_err(io::Error::other)?;
    }
    Ok(roots)
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

fn load(cert: &Path, key: &Path) -> io::Result<Arc<CertifiedKey>> {
    let named = |path: &Path, error: &dyn fmt::Display| {
        io::Error::other(format!("{}: {error}", path.display()))
    };
    let pem = |path: &Path, what: &str, error: pem::Error| match error {
        pem::Error::Io(error) => named(path, &error),
        pem::Error::NoItemsFound => named(path, &format!("holds no {what} in PEM form")),
        other => named(path, &other),
    };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| pem(cert, "certificate", error))?;
    if chain.is_empty() {
        return Err(named(cert, &"holds no certificate in PEM form"));
    }
    let private = PrivateKeyDer::from_pem_file(key);
    let private = private.map_err(|error| pem(key, "private key", error))?;
    let made =
        CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                named(key, &format!("is not the key of the certificate in {}", cert.display()))
            }
            other => named(cert, &other),
        })?;
    Ok(Arc::new(made))
}

/// RFC 9266 §4; not for TLS 1.2, where it is safe with some peers only (§4.2).
fn binding<D>(connection: &rustls::ConnectionCommon<D>) -> Option<Vec<u8>> {
    let new_enough = connection.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
    let export = || {
        let label = b"EXPORTER-Channel-Binding";
        connection.export_keying_material(vec![0; 32], label, Some(b"")).ok()
    };
    new_enough.then(export).flatten()
}

fn facts(connection: &rustls::CommonState, sni: Option<String>, verified: bool) -> TlsFacts {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLS",
    };
    let cipher = connection.negotiated_cipher_suite();
    let cipher = cipher.and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
    let cipher = cipher.replacen("TLS13_", "TLS_", 1);
    TlsFacts { version: version.to_owned(), cipher, sni, verified, binding: None, client: None }
}

/// Accepts any certificate, but checks that the peer holds its key.
#[derive(Debug)]
struct Believe(Arc<CryptoProvider>);

/// A certificate that is too odd to take a key from (X.509 version 1, as old self-signed ones are)
/// proves no less than any other that nobody vouches for: encryption without it would be none.
/// RFC 7435 §3.
fn unless_odd(
    checked: Result<HandshakeSignatureValid, rustls::Error>,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    match checked {
        Err(rustls::Error::InvalidCertificate(
            CertificateError::BadEncoding | CertificateError::Other(_),
        )) => Ok(HandshakeSignatureValid::assertion()),
        checked => checked,
    }
}

impl ServerCertVerifier for Believe {
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
        unless_odd(rustls::crypto::verify_tls12_signature(message, cert, signed, schemes))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        unless_odd(rustls::crypto::verify_tls13_signature(message, cert, signed, schemes))
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
