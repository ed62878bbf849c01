//! SASL, the server's side: mechanisms and their messages. RFC 4422.
//!
//! Here messages are only read and written; whether a proof is right is decided in `directory`.
//! Each exchange stands alone; sizes are limited; a wrong step ends the exchange and nothing else.

pub mod bearer;
pub mod plain;
pub mod scram;

use crate::machine::Security;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Octets of one response, base64 included. RFC 4954 §4 wants 12288.
pub const RESPONSE_OCTETS_MAX: usize = 12_288;

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Login {
    /// Never shows the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({:?})", self.user)
    }
}

/// A mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// PLAIN. RFC 4616.
    Plain,
    /// LOGIN, which many clients know only (users.md S-30).
    Login,
    /// SCRAM. RFC 5802, RFC 7677.
    Scram(scram::Hash, scram::Variant),
    /// EXTERNAL: who the TLS client certificate says. RFC 4422 §A.
    External,
    /// A token of an issuer that we trust. RFC 7628.
    Bearer(bearer::Form),
}

use bearer::Form;
use scram::{Hash, Variant};

/// All of them, strongest first, since some clients take the first they know; what only clients
/// that were told to can use is last.
const NAMES: [(&str, Mechanism); 9] = [
    ("SCRAM-SHA-256-PLUS", Mechanism::Scram(Hash::Sha256, Variant::Plus)),
    ("SCRAM-SHA-256", Mechanism::Scram(Hash::Sha256, Variant::Bare)),
    ("SCRAM-SHA-1-PLUS", Mechanism::Scram(Hash::Sha1, Variant::Plus)),
    ("SCRAM-SHA-1", Mechanism::Scram(Hash::Sha1, Variant::Bare)),
    ("PLAIN", Mechanism::Plain),
    ("LOGIN", Mechanism::Login),
    ("EXTERNAL", Mechanism::External),
    ("OAUTHBEARER", Mechanism::Bearer(Form::OauthBearer)),
    ("XOAUTH2", Mechanism::Bearer(Form::Xoauth2)),
];

/// What a port offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Passwords can be proven without being told. Not where another server checks them.
    pub scram: bool,
    /// There is an issuer of tokens.
    pub bearer: bool,
}

impl Default for Offered {
    /// Passwords, in every way.
    fn default() -> Offered {
        Offered { scram: true, bearer: false }
    }
}

/// The names to announce: -PLUS only where there is a channel to bind to (RFC 5802 §6), EXTERNAL
/// only to who has shown a certificate.
pub fn names(security: Security, offered: Offered) -> impl Iterator<Item = &'static str> {
    let there = move |mechanism: &Mechanism| match mechanism {
        Mechanism::Scram(_, Variant::Plus) => offered.scram && security.is_bound(),
        Mechanism::Scram(_, Variant::Bare) => offered.scram,
        Mechanism::External => security.is_certified(),
        Mechanism::Bearer(_) => offered.bearer,
        _ => true,
    };
    NAMES.iter().filter(move |(_, mechanism)| there(mechanism)).map(|(name, _)| *name)
}

impl Mechanism {
    /// The mechanism of that name, if it can be had.
    pub fn parse(name: &str, security: Security, offered: Offered) -> Option<Mechanism> {
        let found = names(security, offered).find(|known| known.eq_ignore_ascii_case(name))?;
        NAMES.iter().find(|(known, _)| *known == found).map(|(_, mechanism)| *mechanism)
    }
}

/// What the client does in an exchange.
#[derive(Clone, PartialEq, Eq)]
pub enum Client {
    /// It begins, perhaps with a response at once. RFC 4422 §5.
    Begins(Mechanism, Option<Vec<u8>>),
    /// Its response to the last challenge.
    Responds(Vec<u8>),
}

impl std::fmt::Debug for Client {
    /// Never shows a response.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Client::Begins(mechanism, _) => write!(f, "Begins({mechanism:?})"),
            Client::Responds(_) => f.write_str("Responds"),
        }
    }
}

/// Why a line is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoResponse {
    /// The client gave up with `*`.
    Aborted,
    /// Not base64.
    Broken,
    /// Longer than any mechanism wants.
    TooLong,
}

/// A response line. RFC 4954 §4.
pub fn response(line: &[u8]) -> Result<Vec<u8>, NoResponse> {
    if line == b"*" {
        return Err(NoResponse::Aborted);
    }
    if line.len() > RESPONSE_OCTETS_MAX {
        return Err(NoResponse::TooLong);
    }
    // Blanks are none of its characters, and nothing is passed over.
    STANDARD.decode(line).map_err(|_| NoResponse::Broken)
}

/// The response that came with the command; a single `=` is an empty one. RFC 4954 §4.
pub fn initial(argument: &[u8]) -> Result<Vec<u8>, NoResponse> {
    match argument {
        b"=" => Ok(Vec::new()),
        // It was not asked yet, so it cannot give up.
        b"*" => Err(NoResponse::Broken),
        other => response(other),
    }
}

/// A challenge or a response as it travels.
pub fn encoded(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanisms_depend_on_the_channel() {
        let none = Offered::default();
        let names = |security, offered| names(security, offered).collect::<Vec<_>>().join(" ");
        assert_eq!(names(Security::Tls, none), "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN");
        let bound = names(Security::BoundTls, none);
        assert!(bound.starts_with("SCRAM-SHA-256-PLUS SCRAM-SHA-256 "));
        let all = names(Security::CertifiedTls, Offered { bearer: true, scram: true });
        assert!(
            all.ends_with(" PLAIN LOGIN EXTERNAL OAUTHBEARER XOAUTH2") && !all.contains("PLUS")
        );
        assert!(names(Security::CertifiedBoundTls, none).contains("PLUS"));
        let no_scram = Offered { bearer: false, scram: false };
        assert_eq!(names(Security::BoundTls, no_scram), "PLAIN LOGIN");
        let parse = |name| Mechanism::parse(name, Security::Tls, none);
        assert_eq!(parse("login"), Some(Mechanism::Login));
        for absent in ["SCRAM-SHA-256-PLUS", "CRAM-MD5", "EXTERNAL", "OAUTHBEARER"] {
            assert_eq!(parse(absent), None);
        }
    }

    #[test]
    fn responses_are_read() {
        assert_eq!(response(b"dGlt"), Ok(b"tim".to_vec()));
        assert_eq!(response(b""), Ok(Vec::new()));
        assert_eq!(response(b"*"), Err(NoResponse::Aborted));
        assert_eq!(response(b"%%%"), Err(NoResponse::Broken));
        for bad in [&b"dGlt "[..], b"dG lt", b"=AAA", b"AAA=BBB", b"AAA"] {
            assert_eq!(response(bad), Err(NoResponse::Broken));
        }
        assert_eq!(response(&[b'A'; 12_289]), Err(NoResponse::TooLong));
        assert_eq!(initial(b"="), Ok(Vec::new()));
        assert_eq!(initial(b"*"), Err(NoResponse::Broken));
    }
}
