//! OAUTHBEARER (RFC 7628) and XOAUTH2, its forerunner, which Google and Microsoft document.

use super::scram::saslname;

/// How the token travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// OAUTHBEARER. RFC 7628 §3.1.
    OauthBearer,
    /// XOAUTH2: `user=… ^A auth=Bearer … ^A ^A`
    Xoauth2,
}

/// A bearer token, and who its holder says to be.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer {
    /// Whom to act as, if the client says so.
    pub user: Option<String>,
    /// The token. RFC 6750 §2.1; empty when the client only asks what there is (RFC 7628 §3.2.2).
    pub token: String,
}

impl std::fmt::Debug for Bearer {
    /// Never shows the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bearer({:?})", self.user)
    }
}

/// Reads the client's message. `None` when it is malformed.
pub fn parse(form: Form, message: &[u8]) -> Option<Bearer> {
    let text = std::str::from_utf8(message).ok()?;
    let text = text.strip_suffix("\x01\x01")?;
    let (head, pairs) = match form {
        Form::OauthBearer => text.split_once('\x01')?,
        Form::Xoauth2 => ("", text),
    };
    let mut user = match form {
        Form::OauthBearer => authzid(head)?,
        Form::Xoauth2 => None,
    };
    let mut token = None;
    for pair in pairs.split('\x01') {
        let (key, value) = pair.split_once('=')?;
        match key {
            "auth" if token.is_none() => token = Some(credentials(value)?),
            "user" if form == Form::Xoauth2 && user.is_none() => user = Some(value.to_owned()),
            "auth" | "user" => return None,
            // `host`, `port`, and what may come: RFC 7628 §3.1 wants it to be let be.
            key if !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphabetic()) => {}
            _ => return None,
        }
    }
    let user = user.filter(|name| !name.is_empty());
    let named = form == Form::OauthBearer || user.is_some();
    named.then_some(Bearer { user, token: token? })
}

/// The `gs2-header`: channel binding is not to be had with tokens. RFC 5801 §4.
fn authzid(header: &str) -> Option<Option<String>> {
    let mut parts = header.split(',');
    let (flag, authzid, end) = (parts.next()?, parts.next()?, parts.next()?);
    if !matches!(flag, "n" | "y") || !end.is_empty() || parts.next().is_some() {
        return None;
    }
    match authzid.strip_prefix("a=") {
        Some(name) => saslname(name).map(Some),
        None => authzid.is_empty().then_some(None),
    }
}

/// `Bearer b64token`. RFC 6750 §2.1.
fn credentials(value: &str) -> Option<String> {
    if value.is_empty() {
        return Some(String::new());
    }
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_matches(' ');
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    let well = scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty();
    (well && token.bytes().all(fine)).then(|| token.to_owned())
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The message cannot be read. RFC 6750 §3.1.
    InvalidRequest,
    /// It is not valid, or not this user's.
    InvalidToken,
    /// It is valid, but not for mail.
    InsufficientScope,
}

/// The challenge that tells of a refusal: JSON, which the client answers with nothing of interest,
/// and then the exchange fails. RFC 7628 §3.2.2, §3.2.3.
pub fn failure(refusal: Refusal, scope: &str, discovery: &str) -> String {
    let status = match refusal {
        Refusal::InvalidRequest => "invalid_request",
        Refusal::InvalidToken => "invalid_token",
        Refusal::InsufficientScope => "insufficient_scope",
    };
    let mut out = format!("{{\"status\":\"{status}\",\"schemes\":\"bearer\"");
    for (key, value) in [("scope", scope), ("openid-configuration", discovery)] {
        if !value.is_empty() {
            out.push_str(&format!(",\"{key}\":\"{}\"", escaped(value)));
        }
    }
    out.push('}');
    out
}

/// A string of JSON, without its quotes. RFC 8259 §7.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_7628_are_read() {
        let message = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
                        auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        let read = parse(Form::OauthBearer, message).unwrap();
        assert_eq!(read.user.as_deref(), Some("user@example.com"));
        assert_eq!(read.token, "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        let message = b"user=a@example.com\x01auth=bearer x.y-z\x01\x01";
        let read = parse(Form::Xoauth2, message).unwrap();
        assert_eq!((read.user.as_deref(), read.token.as_str()), (Some("a@example.com"), "x.y-z"));
        assert_eq!(parse(Form::OauthBearer, b"n,,\x01auth=\x01\x01").unwrap().token, "");
        assert_eq!(parse(Form::OauthBearer, b"y,,\x01auth=Bearer x\x01\x01").unwrap().user, None);
    }

    #[test]
    fn malformed_messages_are_refused() {
        for bad in [
            "",
            "\x01",
            "\x01\x01",
            "n,,\x01\x01",
            "n,,\x01host=x\x01\x01",
            "n,,\x01auth=Bearer x\x01",
            "n,\x01auth=Bearer x\x01\x01",
            "p=tls-exporter,,\x01auth=Bearer x\x01\x01",
            "n,a=b=c,\x01auth=Bearer x\x01\x01",
            "n,,\x01auth=Basic x\x01\x01",
            "n,,\x01auth=Bearer x y\x01\x01",
            "n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
            "n,,\x01user=eve\x01auth=Bearer x\x01\x01",
            "n,,\x01=x\x01auth=Bearer x\x01\x01",
        ] {
            assert_eq!(parse(Form::OauthBearer, bad.as_bytes()), None, "{bad:?}");
        }
        for bad in ["auth=Bearer x\x01\x01", "user=\x01auth=Bearer x\x01\x01", "user=a\x01\x01"] {
            assert_eq!(parse(Form::Xoauth2, bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse(Form::Xoauth2, b"user=\xff\x01auth=Bearer x\x01\x01"), None);
    }

    #[test]
    fn a_refusal_is_json() {
        assert_eq!(
            failure(Refusal::InvalidToken, "mail \"x\"", "https://id.example/"),
            "{\"status\":\"invalid_token\",\"schemes\":\"bearer\",\"scope\":\"mail \\\"x\\\"\",\
             \"openid-configuration\":\"https://id.example/\"}"
        );
        let told = failure(Refusal::InvalidRequest, "", "");
        assert_eq!(told, "{\"status\":\"invalid_request\",\"schemes\":\"bearer\"}");
        let told = failure(Refusal::InsufficientScope, "", "");
        assert_eq!(told, "{\"status\":\"insufficient_scope\",\"schemes\":\"bearer\"}");
    }
}
