//! SASL, the server's side: PLAIN (RFC 4616) and LOGIN. RFC 4422.
//!
//! Each exchange stands alone; sizes are limited; a wrong step ends the exchange and nothing else.

pub mod plain;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Octets of one response, base64 included.
pub const RESPONSE_OCTETS_MAX: usize = 12_288;

/// What the client wants to log in with.
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

/// What comes next in an exchange.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this challenge (base64, may be empty) and wait for a response.
    Challenge(&'static str),
    /// The client said everything: check it.
    Check(Login),
    /// The client gave up with `*`.
    Aborted,
    /// The client broke the rules: not base64, or not what the mechanism wants.
    Broken,
}

/// An exchange.
#[derive(Debug)]
pub enum Exchange {
    /// PLAIN; waits for its one response.
    Plain,
    /// LOGIN; waits for the user name.
    LoginUser,
    /// LOGIN; waits for the password.
    LoginPassword(String),
}

/// `Username:`, exactly as Outlook wants it (users.md S-30).
const USERNAME: &str = "VXNlcm5hbWU6";
/// `Password:`
const PASSWORD: &str = "UGFzc3dvcmQ6";

/// Begins an exchange; `None` for a mechanism that we do not have.
pub fn begin(mechanism: &str, initial: Option<&[u8]>) -> Option<(Exchange, Next)> {
    let (exchange, first) = if mechanism.eq_ignore_ascii_case("PLAIN") {
        (Exchange::Plain, "")
    } else if mechanism.eq_ignore_ascii_case("LOGIN") {
        (Exchange::LoginUser, USERNAME)
    } else {
        return None;
    };
    Some(match initial {
        None => (exchange, Next::Challenge(first)),
        // RFC 4954 §4: a single "=" is an empty initial response.
        Some(b"=") => exchange.respond(b""),
        Some(response) => exchange.respond(response),
    })
}

impl Exchange {
    /// The client's next response, in base64.
    pub fn respond(self, response: &[u8]) -> (Exchange, Next) {
        if response == b"*" {
            return (self, Next::Aborted);
        }
        if response.len() > RESPONSE_OCTETS_MAX {
            return (self, Next::Broken);
        }
        let Ok(octets) = STANDARD.decode(response.trim_ascii()) else {
            return (self, Next::Broken);
        };
        match self {
            Exchange::Plain => {
                let read = plain::parse(&octets);
                let next = read.map_or(Next::Broken, |plain| Next::Check(plain.login()));
                (Exchange::Plain, next)
            }
            Exchange::LoginUser => match String::from_utf8(octets) {
                Ok(user) => (Exchange::LoginPassword(user), Next::Challenge(PASSWORD)),
                Err(_) => (Exchange::LoginUser, Next::Broken),
            },
            Exchange::LoginPassword(user) => match String::from_utf8(octets) {
                Ok(password) => (Exchange::LoginUser, Next::Check(Login { user, password })),
                Err(_) => (Exchange::LoginUser, Next::Broken),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_login_exchanges() {
        let login = Login { user: "tim".to_owned(), password: "tanstaaftanstaaf".to_owned() };
        // RFC 4616 §4.
        let (_, next) = begin("PLAIN", Some(b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm")).unwrap();
        assert_eq!(next, Next::Check(login.clone()));
        let (exchange, next) = begin("login", None).unwrap();
        assert_eq!(next, Next::Challenge("VXNlcm5hbWU6"));
        let (exchange, next) = exchange.respond(b"dGlt");
        assert_eq!(next, Next::Challenge("UGFzc3dvcmQ6"));
        assert_eq!(exchange.respond(b"dGFuc3RhYWZ0YW5zdGFhZg==").1, Next::Check(login));
        assert_eq!(begin("PLAIN", None).unwrap().0.respond(b"*").1, Next::Aborted);
        assert_eq!(begin("PLAIN", Some(b"%%%")).unwrap().1, Next::Broken);
        assert_eq!(begin("PLAIN", Some(b"=")).unwrap().1, Next::Broken);
        assert!(begin("CRAM-MD5", None).is_none());
    }
}
