//! Certificates that clients show: asked for, looked at after the handshake, and passed over when
//! they are not believed, so that a program that shows the wrong one can still use a password.

use crate::tls::{authorities, provider};
use aws_lc_rs::digest;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A client's certificate. The client has proven that it holds the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-256 of its DER form.
    pub fingerprint: [u8; 32],
    /// The addresses in it (subjectAltName rfc822Name, RFC 5280 §4.2.1.6), when an authority that
    /// we trust has signed it; none when only its fingerprint is known.
    pub emails: Vec<String>,
}

/// Which certificates of clients are believed.
#[derive(Clone, Debug, Default)]
pub struct ClientTrust {
    /// PEM file of the authorities who sign them.
    pub authorities: Option<PathBuf>,
    /// Certificates that are known by their SHA-256, whoever has signed them.
    pub fingerprints: HashSet<[u8; 32]>,
}

/// Takes any certificate in the handshake, and says afterwards whether it is believed.
#[derive(Debug)]
pub(crate) struct Believes {
    authorities: Option<Arc<dyn ClientCertVerifier>>,
    fingerprints: HashSet<[u8; 32]>,
}

impl Believes {
    pub fn new(trust: &ClientTrust) -> io::Result<Believes> {
        let verifier = |file: &PathBuf| {
            let roots = Arc::new(authorities(file)?);
            let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
            builder.build().map_err(io::Error::other)
        };
        let authorities = trust.authorities.as_ref().map(verifier).transpose()?;
        Ok(Believes { authorities, fingerprints: trust.fingerprints.clone() })
    }

    /// What the client's chain of certificates proves, if anything.
    pub fn believed(&self, shown: &[CertificateDer<'_>]) -> Option<ClientCertificate> {
        let (own, others) = shown.split_first()?;
        let digest = digest::digest(&digest::SHA256, own);
        let fingerprint: [u8; 32] = digest.as_ref().try_into().ok()?;
        let now = UnixTime::now();
        let signed = self
            .authorities
            .as_ref()
            .is_some_and(|authorities| authorities.verify_client_cert(own, others, now).is_ok());
        let emails = if signed { emails(own) } else { Vec::new() };
        let known = self.fingerprints.contains(&fingerprint) || !emails.is_empty();
        known.then_some(ClientCertificate { fingerprint, emails })
    }
}

/// The rfc822Names of a certificate.
fn emails(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    let email = |name: &GeneralName<'_>| match name {
        GeneralName::RFC822Name(email) => Some((*email).to_owned()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(email).collect()
}

impl ClientCertVerifier for Believes {
    fn client_auth_mandatory(&self) -> bool {
        false
    }
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A client with a certificate of another authority, known by its fingerprint, must not be
        // told that it is unwelcome.
        match &self.authorities {
            Some(authorities) if self.fingerprints.is_empty() => authorities.root_hint_subjects(),
            _ => &[],
        }
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, schemes)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, schemes)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
