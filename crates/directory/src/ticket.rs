//! Tokens that let others redeem a URL: made and compared here. RFC 4467 §2.4.1, §2.5, §5, §6.

use crate::Directory;
use aws_lc_rs::hmac;
use std::fmt::Write as _;
use store::{AccountRow, StoreError};

/// Octets of a mailbox access key: twice the 128 bits of RFC 4467 §2.2.
pub const KEY_OCTETS: usize = 32;
/// What a token begins with: the algorithm, HMAC-SHA-256 over the rump URL. Another algorithm gets
/// another number. RFC 4467 §2.4.1.
const ALGORITHM: &str = "01";

/// The token of a rump URL, in hexadecimal digits. RFC 4467 §5.
pub fn token(key: &[u8], rump: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), rump.as_bytes());
    let mut out = String::from(ALGORITHM);
    for octet in tag.as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(out, "{octet:02x}");
    }
    out
}

/// The token is that URL's; compared in constant time. RFC 4467 §6.
pub fn vouches(key: &[u8], rump: &str, token: &str) -> bool {
    let digits = token.strip_prefix(ALGORITHM).unwrap_or_default();
    let octet = |pair: &[u8]| {
        std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    let tag: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(octet).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::verify(&key, rump.as_bytes(), &tag.unwrap_or_default()).is_ok()
}

impl Directory {
    /// The account that somebody logs in to by this name, whether or not it is switched off.
    pub fn account_named(&self, user: &str) -> Result<Option<AccountRow>, StoreError> {
        self.named(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_vouches_for_its_own_url_only() {
        let (key, rump) = ([7; KEY_OCTETS], "imap://a@b/INBOX/;UID=1;URLAUTH=anonymous");
        let made = token(&key, rump);
        assert_eq!(made.len(), 66);
        assert!(vouches(&key, rump, &made) && vouches(&key, rump, &made.to_ascii_uppercase()));
        assert!(!vouches(&[8; KEY_OCTETS], rump, &made));
        assert!(!vouches(&key, "imap://a@b/INBOX/;UID=2;URLAUTH=anonymous", &made));
        for bad in ["", "01", &made[..64], &made[2..], &format!("{made}00"), "01zz"] {
            assert!(!vouches(&key, rump, bad), "{bad}");
        }
    }
}
