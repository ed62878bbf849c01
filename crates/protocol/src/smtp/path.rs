//! Paths: `<local@domain>`, `<>`, with the source routes of old. RFC 5321 §4.1.2.

use mail::{Address, ReversePath};

/// A path and what follows it.
pub struct PathAndRest<'a> {
    /// What stands between the angle brackets, source route taken off.
    pub inner: &'a str,
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
        return (!inner.is_empty()).then_some(PathAndRest { inner, rest });
    };
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let inner = without_route(body.get(..at)?);
                return Some(PathAndRest { inner, rest: body.get(at + 1..)? });
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

/// A reverse path. RFC 5321 §4.1.2 `Reverse-path`.
pub fn reverse_path(inner: &str) -> Option<ReversePath> {
    if inner.is_empty() {
        return Some(ReversePath::Null);
    }
    Address::parse(inner).ok().map(ReversePath::Address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split() {
        let split = |text: &'static str| split(text).map(|p| (p.inner, p.rest));
        assert_eq!(split("<a@b> SIZE=1"), Some(("a@b", " SIZE=1")));
        assert_eq!(split(" <>"), Some(("", "")));
        assert_eq!(split("<@x,@y:a@b>"), Some(("a@b", "")));
        assert_eq!(split("<\"a>b\"@c> X"), Some(("\"a>b\"@c", " X")));
        assert_eq!(split("a@b BODY=7BIT"), Some(("a@b", " BODY=7BIT")));
        assert_eq!(split("<a@b"), None);
        assert_eq!(split(""), None);
    }
}
