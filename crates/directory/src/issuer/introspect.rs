//! Token introspection. RFC 7662.

use super::{Claims, TokenError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sys::http::HttpClient;

/// Asks what a token is good for. RFC 7662 §2.1, §2.2.
pub async fn ask(
    http: &HttpClient,
    endpoint: &str,
    token: &str,
    name: &str,
    password: &str,
) -> Result<Claims, TokenError> {
    let form = format!("token={}&token_type_hint=access_token", encoded(token));
    // RFC 6749 §2.3.1: each is form-encoded before both are put together.
    let who = STANDARD.encode(format!("{}:{}", encoded(name), encoded(password)));
    let answer = http.post(endpoint, &form, &format!("Basic {who}")).await?;
    let trouble = |what: &str| TokenError::Unavailable(format!("{endpoint}: {what}"));
    if answer.status != 200 {
        return Err(trouble(&format!("status {}", answer.status)));
    }
    match serde_json::from_slice(&answer.content) {
        Ok(Value::Object(claims)) => match claims.get("active") {
            Some(Value::Bool(true)) => Ok(claims),
            Some(Value::Bool(false)) => {
                Err(TokenError::Invalid("the issuer says it is not active"))
            }
            _ => Err(trouble("the answer does not say whether the token is active")),
        },
        _ => Err(trouble("the answer is not JSON")),
    }
}

/// `application/x-www-form-urlencoded`, with everything escaped that may mean something.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn forms_are_escaped() {
        assert_eq!(super::encoded("a.b-c_d~e+/=&f ü"), "a.b-c_d~e%2B%2F%3D%26f%20%C3%BC");
    }
}
