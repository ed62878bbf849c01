//! Certificates that DNS vouches for. RFC 7671, RFC 7672 §3.

use crate::dnssec::Tlsa;
use crate::tls::provider;
use aws_lc_rs::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use std::fmt;
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a server's certificate has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Associations {
    /// Records of usage 2 and 3, by DNSSEC; one that fits does.
    pub records: Vec<Tlsa>,
    /// A certificate of an authority (usage 2) has to be for one of these names. RFC 7672 §3.2.2.
    pub names: Vec<String>,
}

/// DANE-TA(2). RFC 7218 §2.1.
const DANE_TA: u8 = 2;
/// DANE-EE(3). RFC 7218 §2.1.
const DANE_EE: u8 = 3;

/// Why a certificate does not do.
#[derive(Debug)]
struct NoMatch;

impl fmt::Display for NoMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is none of those that DNS has in TLSA records")
    }
}

impl std::error::Error for NoMatch {}

impl Tlsa {
    /// The record that a server should have for its certificate, in DER: its key by SHA-256.
    /// RFC 7672 §3.1.
    pub fn of_key(certificate: &[u8]) -> Option<Tlsa> {
        let certificate = CertificateDer::from(certificate);
        let data = digest::digest(&digest::SHA256, key(&certificate)?).as_ref().to_vec();
        Some(Tlsa { usage: DANE_EE, selector: 1, matching: 1, data })
    }

    /// The record is of this certificate, or of its key. RFC 6698 §2.1.2, §2.1.3.
    fn is_of(&self, certificate: &CertificateDer<'_>) -> bool {
        let selected = match self.selector {
            0 => Some(&**certificate),
            1 => key(certificate),
            _ => None,
        };
        selected.is_some_and(|octets| match self.matching {
            0 => *octets == *self.data,
            1 => digest::digest(&digest::SHA256, octets).as_ref() == self.data,
            2 => digest::digest(&digest::SHA512, octets).as_ref() == self.data,
            _ => false,
        })
    }
}

/// The subject's public key of a certificate, in DER. RFC 5280 §4.1.2.7.
fn key<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.tbs_certificate.subject_pki.raw)
}

impl Associations {
    /// Whether they prove the server that shows this chain.
    fn prove(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        // RFC 7672 §3.1.1: neither names nor dates count.
        let of = |usage| self.records.iter().filter(move |record| record.usage == usage);
        if of(DANE_EE).any(|record| record.is_of(own)) {
            return Ok(());
        }
        let shown = others.iter().filter(|shown| of(DANE_TA).any(|record| record.is_of(shown)));
        // A whole certificate in DNS need not be shown.
        let whole = of(DANE_TA).filter(|record| (record.selector, record.matching) == (0, 0));
        let whole = whole.map(|record| CertificateDer::from(record.data.as_slice()));
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(shown.cloned().chain(whole));
        if roots.is_empty() {
            return Err(CertificateError::Other(OtherError(Arc::new(NoMatch))).into());
        }
        let algorithms = provider().signature_verification_algorithms.all;
        let parsed = ParsedCertificate::try_from(own)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, others, now, algorithms)?;
        self.name(own, &parsed)
    }

    /// The certificate is for one of the names. RFC 7672 §3.2.3.
    fn name(&self, own: &CertificateDer<'_>, parsed: &ParsedCertificate<'_>) -> Result<(), Error> {
        let mut failed = Error::from(CertificateError::NotValidForName);
        for name in &self.names {
            match verify_server_name(parsed, &ServerName::try_from(name.as_str()).map_err(odd)?) {
                Ok(()) => return Ok(()),
                Err(error) => failed = error,
            }
        }
        let common = common_name(own);
        let named = common.is_some_and(|common| self.names.iter().any(|n| fits(&common, n)));
        if named { Ok(()) } else { Err(failed) }
    }
}

fn odd(_: rustls::pki_types::InvalidDnsNameError) -> Error {
    CertificateError::NotValidForName.into()
}

/// The CN-ID of a certificate without DNS-IDs. RFC 6125 §6.4.4.
fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()?;
    let is_dns = |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(_));
    if names.is_some_and(|names| names.value.general_names.iter().any(is_dns)) {
        return None;
    }
    let common = parsed.subject().iter_common_name().last()?;
    Some(common.as_str().ok()?.to_ascii_lowercase())
}

/// `*` stands for the first label.
fn fits(pattern: &str, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    match pattern.strip_prefix("*.") {
        Some(above) => name.split_once('.').is_some_and(|(_, rest)| rest == above),
        None => pattern == name,
    }
}

/// Takes a certificate that DNS vouches for, and that others vouch for too where that is asked.
#[derive(Debug)]
pub(crate) struct Verifier {
    pub associations: Associations,
    pub besides: Option<Arc<WebPkiServerVerifier>>,
    /// The name that those others look for.
    pub name: ServerName<'static>,
    pub provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.associations.prove(own, others, now)?;
        match &self.besides {
            Some(besides) => besides.verify_server_cert(own, others, &self.name, ocsp, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, schemes)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, schemes)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
