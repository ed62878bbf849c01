//! JSON Web Tokens, signed: RFC 7519 in the compact form of RFC 7515 §7.1, by the rules of RFC
//! 8725.
//!
//! The algorithms are a fixed list of public-key signatures: `none` and HS256 are not in it, so
//! that nobody can sign with a public key. The key's type decides with the header's algorithm,
//! never the header alone (RFC 8725 §3.1).

use super::{Claims, IssuerSettings, TokenError};
use aws_lc_rs::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Seconds that clocks may differ.
const LEEWAY: i64 = 60;

/// A token that was read, and not proven.
pub struct Token<'a> {
    /// `alg`
    pub algorithm: Algorithm,
    /// `kid`: a key of a table, nothing else (no path, no URL).
    pub key_id: Option<String>,
    /// What it says.
    pub claims: Claims,
    signed: &'a [u8],
    signature: Vec<u8>,
}

/// The algorithms that are taken. RFC 7518 §3.1, RFC 8037 §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    fn parse(name: &str) -> Option<Algorithm> {
        Some(match name {
            "RS256" => Algorithm::Rs256,
            "RS384" => Algorithm::Rs384,
            "RS512" => Algorithm::Rs512,
            "PS256" => Algorithm::Ps256,
            "PS384" => Algorithm::Ps384,
            "PS512" => Algorithm::Ps512,
            "ES256" => Algorithm::Es256,
            "ES384" => Algorithm::Es384,
            "EdDSA" => Algorithm::EdDsa,
            _ => return None,
        })
    }
}

/// A public key of the issuer. RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.
pub struct Key {
    /// `kid`
    pub id: Option<String>,
    algorithm: Option<Algorithm>,
    material: Material,
}

enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

fn octets(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

impl Key {
    /// Reads one of the issuer's keys. `None` for what is no key for signatures that we know.
    pub fn parse(value: &Value) -> Option<Key> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let algorithm = match text("alg") {
            Some(name) => Some(Algorithm::parse(name)?),
            None => None,
        };
        let part = |name: &str| text(name).and_then(octets);
        let point = |size: usize| {
            let (x, y) = (part("x")?, part("y")?);
            let fits = x.len() == size && y.len() == size;
            fits.then(|| [&[4], x.as_slice(), y.as_slice()].concat())
        };
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => Material::Rsa { n: part("n")?, e: part("e")? },
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(part("x")?),
            _ => return None,
        };
        Some(Key { id: text("kid").map(str::to_owned), algorithm, material })
    }
}

/// Reads a token. `None` unless it is a signed one with an algorithm of the list.
pub fn parse(token: &str) -> Option<Token<'_>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let object = |part: &str| match serde_json::from_slice(&octets(part)?) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    };
    let header: Claims = object(header)?;
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    // RFC 9068 §4 wants `at+jwt`; issuers older than that, as Keycloak, say `JWT` or nothing.
    // What keeps their ID tokens out is `aud`.
    let typed = text("typ").is_none_or(|typ| {
        let typ = typ.rsplit('/').next().unwrap_or(typ);
        typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt")
    });
    // RFC 7515 §4.1.11: whoever does not know a critical extension must refuse the token.
    if header.contains_key("crit") || !typed {
        return None;
    }
    Some(Token {
        algorithm: Algorithm::parse(text("alg")?)?,
        key_id: text("kid").map(str::to_owned),
        claims: object(claims)?,
        signed: signed.as_bytes(),
        signature: octets(signature)?,
    })
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
    })
}

/// The key has signed the token.
pub fn signed_by(token: &Token<'_>, key: &Key) -> bool {
    let Token { algorithm, signed, signature, .. } = token;
    if key.algorithm.is_some_and(|own| own != *algorithm) {
        return false;
    }
    let proven = |with: &'static dyn signature::VerificationAlgorithm, point: &[u8]| {
        UnparsedPublicKey::new(with, point).verify(signed, signature).is_ok()
    };
    match (&key.material, algorithm) {
        (Material::Rsa { n, e }, algorithm) => rsa(*algorithm).is_some_and(|parameters| {
            RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok()
        }),
        (Material::P256(point), Algorithm::Es256) => {
            proven(&signature::ECDSA_P256_SHA256_FIXED, point)
        }
        (Material::P384(point), Algorithm::Es384) => {
            proven(&signature::ECDSA_P384_SHA384_FIXED, point)
        }
        (Material::Ed25519(key), Algorithm::EdDsa) => proven(&signature::ED25519, key),
        _ => false,
    }
}

/// The claims are for us and for now. RFC 7519 §4.1, RFC 9068 §4; `strict` when nobody but the
/// token itself says so.
pub fn check(
    claims: &Claims,
    settings: &IssuerSettings,
    now: i64,
    strict: bool,
) -> Result<(), TokenError> {
    let invalid = |why| Err(TokenError::Invalid(why));
    match claims.get("iss").and_then(Value::as_str) {
        Some(issuer) if issuer == settings.issuer => {}
        None if !strict && !claims.contains_key("iss") => {}
        _ => return invalid("another issuer's"),
    }
    match claims.get("exp").map(seconds) {
        Some(Some(end)) if now < end.saturating_add(LEEWAY) => {}
        None if !strict => {}
        _ => return invalid("expired"),
    }
    match claims.get("nbf").map(seconds) {
        Some(Some(start)) if start <= now.saturating_add(LEEWAY) => {}
        None => {}
        _ => return invalid("not valid yet"),
    }
    let audience = words(claims.get("aud"));
    let ours = audience.iter().any(|name| settings.audiences.contains(name));
    if !ours && !settings.audiences.is_empty() && (strict || claims.contains_key("aud")) {
        return invalid("for another audience");
    }
    let client = claims.get("azp").or_else(|| claims.get("client_id")).and_then(Value::as_str);
    let known = |client: &str| settings.clients.iter().any(|known| known == client);
    if !settings.clients.is_empty() && !client.is_some_and(known) {
        return invalid("for another client");
    }
    let scopes = [words(claims.get("scope")), words(claims.get("scp"))].concat();
    if !settings.scope.is_empty() && !scopes.contains(&settings.scope) {
        return Err(TokenError::Scope);
    }
    Ok(())
}

/// A NumericDate. RFC 7519 §2.
fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().map(|number| number as i64))
}

/// A string of words, or a list of strings.
fn words(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => text.split(' ').map(str::to_owned).collect(),
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// Whose token it is.
pub fn holder(claims: &Claims, settings: &IssuerSettings) -> Result<String, TokenError> {
    // OpenID Connect Core §5.1: anybody can write any address into a profile.
    let unproven = claims.get("email_verified").is_some_and(|proven| {
        !matches!(proven, Value::Bool(true)) && proven.as_str() != Some("true")
    });
    if settings.claim == "email" && unproven {
        return Err(TokenError::Invalid("the address is not verified"));
    }
    match claims.get(&settings.claim).and_then(Value::as_str) {
        Some(holder) if !holder.is_empty() => Ok(holder.to_owned()),
        _ => Err(TokenError::Invalid("the claim that holds the address is not there")),
    }
}
