//! Paths: `<local@domain>`, `<>`, with the source routes of old. RFC 5321 §4.1.2.

use mail::{Address, Domain, ReversePath};

/// A path and what follows it.
pub struct PathAndRest<'a> {
    /// What stands between the angle brackets, source route taken off.
    pub inner: &'a str,
    /// There was a source route.
    routed: bool,
    /// What follows.
    pub rest: &'a str,
}

/// Splits `<…> rest`. A blank before the path is let through (users.md S-03), and so is a path
/// without brackets.
pub fn split(text: &str) -> Option<PathAndRest<'_>> {
    let text = text.trim_start_matches(' ');
    let Some(body) = text.strip_prefix('<') else {
        let end = text.find(' ').unwrap_or(text.len());
        let (inner, rest) = text.split_at(end);
        return (!inner.is_empty()).then_some(PathAndRest { inner, routed: false, rest });
    };
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let whole = body.get(..at)?;
                let inner = without_route(whole);
                let routed = inner.len() < whole.len();
                return Some(PathAndRest { inner, routed, rest: body.get(at + 1..)? });
            }
            _ => {}
        }
    }
    None
}

/// `@a,@b:user@c` is `user@c`: RFC 5321 Appendix C says to ignore the route.
fn without_route(inner: &str) -> &str {
    match inner.strip_prefix('@').and_then(|route| route.split_once(':')) {
        Some((_, address)) => address,
        None => inner,
    }
}

/// A reverse path. RFC 5321 §4.1.2 `Reverse-path`: a route leads to somebody.
pub fn reverse_path(path: &PathAndRest<'_>) -> Option<ReversePath> {
    if path.inner.is_empty() && !path.routed {
        return Some(ReversePath::Null);
    }
    mailbox(path.inner).map(ReversePath::Address)
}

/// `Mailbox`: what its address literal says, if it has one, must be an address. RFC 5321 §4.1.3.
pub fn mailbox(text: &str) -> Option<Address> {
    let sane = |domain: &Domain| !domain.is_literal() || domain.literal_ip().is_some();
    Address::parse(text).ok().filter(|address| sane(address.domain()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_literals_have_addresses() {
        for good in ["a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "a@[ipv6:::ffff:192.0.2.1]"] {
            assert!(mailbox(good).is_some(), "{good}");
        }
        for bad in [
            "[300.0.2.1]",
            "[1.2.3]",
            "[::1]",
            "[IPv6:192.0.2.1]",
            "[IPv6:1:2]",
            "[IPv6:1::2::3]",
            "[IPv6:12345::]",
            "[IPv6:]",
            "[tag:content]",
            "[x]",
            "[]",
        ] {
            assert_eq!(mailbox(&format!("a@{bad}")), None, "{bad}");
        }
    }

    #[test]
    fn paths_split() {
        let split = |text: &'static str| split(text).map(|p| (p.inner, p.rest));
        assert_eq!(split("<a@b> SIZE=1"), Some(("a@b", " SIZE=1")));
        assert_eq!(split(" <>"), Some(("", "")));
        assert_eq!(split("<@x,@y:a@b>"), Some(("a@b", "")));
        assert_eq!(split("<\"a>b\"@c> X"), Some(("\"a>b\"@c", " X")));
        assert_eq!(split("a@b BODY=7BIT"), Some(("a@b", " BODY=7BIT")));
        assert_eq!(split("<a@b"), None);
        let reverse = |text: &'static str| reverse_path(&super::split(text).unwrap());
        assert_eq!((reverse("<>"), reverse("<@x:>")), (Some(ReversePath::Null), None));
        assert_eq!(split(""), None);
    }
}
