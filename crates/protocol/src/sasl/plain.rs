//! PLAIN: `[authzid] NUL authcid NUL passwd`. RFC 4616 §2.

/// A PLAIN message.
pub struct Plain {
    /// Whom to act as; empty for oneself.
    pub authzid: String,
    /// Who logs in.
    pub authcid: String,
    /// The password.
    pub password: String,
}

/// Reads a message. `None` unless it is well formed.
pub fn parse(message: &[u8]) -> Option<Plain> {
    let text = std::str::from_utf8(message).ok()?;
    let mut parts = text.split('\0');
    let (authzid, authcid, password) = (parts.next()?, parts.next()?, parts.next()?);
    let fine = parts.next().is_none() && !authcid.is_empty() && !password.is_empty();
    fine.then(|| Plain {
        authzid: authzid.to_owned(),
        authcid: authcid.to_owned(),
        password: password.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn malformed_messages_are_refused() {
        assert!(parse(b"\0tim\0x").is_some() && parse(b"eve\0tim\0x").is_some());
        for bad in ["", "\0", "\0tim", "\0\0x", "\0tim\0", "\0tim\0x\0"] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad:?}");
        }
        assert!(parse(b"\0t\xff\0x").is_none());
    }
}
