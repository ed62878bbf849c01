//! SCRAM's messages. RFC 5802 §5.1, §7; channel binding `tls-exporter` of RFC 9266.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// RFC 5802.
    Sha1,
    /// RFC 7677.
    Sha256,
}

/// With channel binding or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// No binding.
    Bare,
    /// `-PLUS`.
    Plus,
}

/// What the client says of channel binding. RFC 5802 §7 `gs2-cbind-flag`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// `n`: it cannot.
    No,
    /// `y`: it can, and believes that we cannot.
    ServerCannot,
    /// `p=tls-exporter`
    TlsExporter,
}

/// `client-first-message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    /// The client's word on channel binding.
    pub binding: Binding,
    /// The GS2 header, as it must come back.
    pub gs2_header: String,
    /// Whom to act as; empty for oneself.
    pub authzid: String,
    /// Who logs in.
    pub user: String,
    /// The client's nonce.
    pub nonce: String,
    /// What the proof covers: `client-first-message-bare`.
    pub bare: String,
}

/// `client-final-message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Final {
    /// GS2 header and binding data.
    pub binding: Vec<u8>,
    /// Both nonces.
    pub nonce: String,
    /// The proof.
    pub proof: Vec<u8>,
    /// What the proof covers: `client-final-message-without-proof`.
    pub without_proof: String,
}

/// Reads the client's first message. `None` when it is malformed.
pub fn first(message: &[u8]) -> Option<First> {
    let text = std::str::from_utf8(message).ok()?;
    let mut parts = text.splitn(3, ',');
    let (flag, authzid, bare) = (parts.next()?, parts.next()?, parts.next()?);
    let binding = match flag {
        "n" => Binding::No,
        "y" => Binding::ServerCannot,
        "p=tls-exporter" => Binding::TlsExporter,
        _ => return None,
    };
    // `reserved-mext`, which stands before the name, is refused by that.
    let mut attributes = bare.split(',');
    let user = saslname(attributes.next()?.strip_prefix("n=")?)?;
    let nonce = attributes.next()?.strip_prefix("r=")?;
    let acts_as = match authzid.strip_prefix("a=") {
        Some(other) => saslname(other).filter(|name| !name.is_empty())?,
        None if authzid.is_empty() => String::new(),
        None => return None,
    };
    let printable = |c: char| c.is_ascii_graphic() && c != ',';
    let fine = !user.is_empty() && !nonce.is_empty() && nonce.chars().all(printable);
    (fine && attributes.all(is_extension)).then(|| First {
        binding,
        gs2_header: format!("{flag},{authzid},"),
        authzid: acts_as,
        user,
        nonce: nonce.to_owned(),
        bare: bare.to_owned(),
    })
}

/// `attr-val`, which is passed over; `m` is what must not be. RFC 5802 §5.1.
fn is_extension(attribute: &str) -> bool {
    let name = attribute.split_once('=').filter(|(_, value)| !value.is_empty());
    name.is_some_and(|(name, _)| {
        name.len() == 1 && name != "m" && name.bytes().all(|b| b.is_ascii_alphabetic())
    })
}

/// `saslname`: `=2C` is a comma, `=3D` an equals sign, and no other `=` may stand.
pub(super) fn saslname(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut pieces = text.split('=');
    out.push_str(pieces.next()?);
    for piece in pieces {
        let (c, rest) = match piece.split_at_checked(2)? {
            ("2C", rest) => (',', rest),
            ("3D", rest) => ('=', rest),
            _ => return None,
        };
        out.push(c);
        out.push_str(rest);
    }
    Some(out)
}

/// Reads the client's final message. `None` when it is malformed.
pub fn last(message: &[u8]) -> Option<Final> {
    let text = std::str::from_utf8(message).ok()?;
    let (without_proof, proof) = text.rsplit_once(",p=")?;
    let mut attributes = without_proof.split(',');
    let binding = attributes.next()?.strip_prefix("c=")?;
    let nonce = attributes.next()?.strip_prefix("r=")?;
    if !attributes.all(is_extension) {
        return None;
    }
    Some(Final {
        binding: STANDARD.decode(binding).ok()?,
        nonce: nonce.to_owned(),
        proof: STANDARD.decode(proof).ok()?,
        without_proof: without_proof.to_owned(),
    })
}

/// `server-first-message`.
pub fn server_first(nonce: &str, salt: &[u8], iterations: u32) -> String {
    format!("r={nonce},s={},i={iterations}", STANDARD.encode(salt))
}

/// `server-final-message`.
pub fn server_final(signature: &[u8]) -> String {
    format!("v={}", STANDARD.encode(signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_rfc_7677_are_read() {
        let read = first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        assert_eq!((read.binding, read.user.as_str()), (Binding::No, "user"));
        assert_eq!((read.gs2_header.as_str(), read.bare.len()), ("n,,", 29));
        let text = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                     p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let read = last(text).unwrap();
        assert_eq!((read.binding.as_slice(), read.proof.len()), (b"n,,".as_slice(), 32));
        assert!(read.without_proof.ends_with("NlF$k0"));
    }

    #[test]
    fn malformed_messages_are_refused() {
        let read = first(b"y,a=a=2Cb,n=A=2Cb,r=x,z=1,B==").unwrap();
        assert_eq!((read.authzid.as_str(), read.user.as_str()), ("a,b", "A,b"));
        assert!(last(b"c=biws,r=x,z=1,p=AAAA").is_some());
        for bad in [
            "",
            "n",
            "n,,",
            "n,,n=a",
            "n,,r=x,n=a",
            "n,,n=,r=x",
            "n,,n=a,r=",
            "n,,m=1,n=a,r=x",
            "q,,n=a,r=x",
            "p=tls-unique,,n=a,r=x",
            "n,a=,n=a,r=x",
            "n,x,n=a,r=x",
            "n,,n=a,r=x,m=1",
            "n,,n=a,r=x,",
            "n,,n=a,r=x,zz=1",
            "n,,n=a,r=x,z=",
            "n,,n=a=2,r=x",
            "n,,n=a=2c,r=x",
            "n,,n=a,r=x\ty",
        ] {
            assert_eq!(first(bad.as_bytes()), None, "{bad}");
        }
        for bad in [
            "c=biws,r=x,m=1,p=AAAA",
            "",
            "c=biws",
            "c=biws,r=x",
            "c=!,r=x,p=AAAA",
            "c=biws,r=x,p=!",
            "r=x,c=biws,p=",
        ] {
            assert_eq!(last(bad.as_bytes()), None, "{bad}");
        }
    }
}
