//! IMAP URLs that name a message or a part of one. RFC 5092 §5; who may redeem them, RFC 5092 §6.1;
//! PARTIAL, RFC 5550 §5.7.1.

use super::command::fetch::{Section, section};
use mail::date;

/// Octets of a URL that is read.
pub const URL_OCTETS_MAX: usize = 4096;
/// The one mechanism. RFC 4467 §2.4.1.
pub const INTERNAL: &str = "INTERNAL";
/// Digits of an authorization token: at least 128 bits. RFC 5092 §6.1.1.3.
const TOKEN_DIGITS_MIN: usize = 32;

/// A message, or a part of it, by URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whose names the URL goes by, decoded; `None` when it names nobody.
    pub user: Option<String>,
    /// The host, without a port; `None` when the URL is relative to this server.
    pub host: Option<String>,
    /// The mailbox's name, decoded; empty when the URL is relative to a mailbox.
    pub mailbox: String,
    /// The UIDVALIDITY that the UID is of.
    pub uidvalidity: Option<u32>,
    /// The message.
    pub uid: u32,
    /// What of it, and which octets of that.
    pub section: Section,
    /// What lets others redeem the URL.
    pub ticket: Option<Ticket>,
}

/// `;EXPIRE=…;URLAUTH=…`. RFC 5092 §6.1.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Octets of the URL that the token vouches for: the rump.
    pub rump: usize,
    /// The last second it is valid, since 1970.
    pub expires: Option<i64>,
    /// Who may redeem it.
    pub access: Access,
    /// Mechanism in upper case, and token; `None` in a rump.
    pub verifier: Option<(String, String)>,
}

/// The access identifier. RFC 5092 §6.1.1.2, §6.1.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// A submission server on behalf of this user.
    Submit(String),
    /// This user.
    User(String),
    /// Everybody who has logged in.
    AuthUser,
    /// Everybody.
    Anonymous,
}

/// Reads a URL; `None` when it names no message.
pub fn url(text: &str) -> Option<Url> {
    if text.len() > URL_OCTETS_MAX {
        return None;
    }
    let (body, ticket) = ticket(text)?;
    let server = match body.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("imap://")) {
        Some(_) => body.get(7..),
        None => body.strip_prefix("//"),
    };
    let (user, host, path) = match server {
        Some(server) => {
            let (server, path) = server.split_once('/')?;
            let (user, host) = match server.rsplit_once('@') {
                Some((user, host)) => (user_of(user)?, host),
                None => (None, server),
            };
            (user, Some(host_of(host).to_owned()), path)
        }
        // RFC 5092 §7.2, §9.1: of those that do not begin with a slash only what is relative to a
        // mailbox.
        None if find(body, ";uid=") == Some(0) => (None, None, ""),
        None => (None, None, body.strip_prefix('/')?),
    };
    // The mailbox may hold slashes: it ends where the UID begins.
    let (mailbox, rest) = match find(path, "/;uid=") {
        Some(at) if at > 0 => (path.get(..at)?, path.get(at + 6..)?),
        None if path.is_empty() && server.is_none() => ("", body.get(5..)?),
        _ => return None,
    };
    let (mailbox, uidvalidity) = match find(mailbox, ";uidvalidity=") {
        Some(at) => (mailbox.get(..at)?, Some(mailbox.get(at + 13..)?.parse().ok()?)),
        None => (mailbox, None),
    };
    let mut parts = rest.split("/;");
    let uid = parts.next()?.parse().ok().filter(|uid| *uid > 0)?;
    let (mut spec, mut partial) = (String::new(), None);
    for part in parts {
        let (name, value) = part.split_once('=')?;
        match name.to_ascii_lowercase().as_str() {
            "section" => spec = decode(value)?,
            "partial" => partial = Some(range(value)?),
            _ => return None,
        }
    }
    let section = Section { partial, ..section(&spec)? };
    Some(Url { user, host, mailbox: decode(mailbox)?, uidvalidity, uid, section, ticket })
}

/// `enc-user`, perhaps with `;AUTH=…` behind it, which says nothing to us. RFC 5092 §3.2.
fn user_of(text: &str) -> Option<Option<String>> {
    let at = find(text, ";auth=").unwrap_or(text.len());
    let user = decode(text.get(..at)?)?;
    Some(Some(user).filter(|user| !user.is_empty()))
}

/// The host without a port; an address literal holds colons between brackets.
fn host_of(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => text,
    }
}

/// What stands before `;EXPIRE=…;URLAUTH=…`, and what that says. `None` when it says nothing that
/// can be understood.
fn ticket(text: &str) -> Option<(&str, Option<Ticket>)> {
    let Some(at) = find(text, ";urlauth=") else { return Some((text, None)) };
    let (before, value) = (text.get(..at)?, text.get(at + 9..)?);
    let (identifier, verifier) = match value.split_once(':') {
        None => (value, None),
        Some((identifier, verifier)) => {
            let (mechanism, token) = verifier.split_once(':')?;
            let digits = token.bytes().all(|b| b.is_ascii_hexdigit());
            if mechanism.is_empty() || !digits || token.len() < TOKEN_DIGITS_MIN {
                return None;
            }
            (identifier, Some((mechanism.to_ascii_uppercase(), token.to_owned())))
        }
    };
    let (before, expires) = match find(before, ";expire=") {
        None => (before, None),
        Some(at) => (before.get(..at)?, Some(date::parse_rfc3339(before.get(at + 8..)?)?)),
    };
    let rump = at + 9 + identifier.len();
    Some((before, Some(Ticket { rump, expires, access: access(identifier)?, verifier })))
}

fn access(text: &str) -> Option<Access> {
    let lower = text.to_ascii_lowercase();
    let user = |prefix: usize| text.get(prefix..).and_then(decode).filter(|user| !user.is_empty());
    match lower.as_str() {
        "authuser" => Some(Access::AuthUser),
        "anonymous" => Some(Access::Anonymous),
        _ if lower.starts_with("submit+") => user(7).map(Access::Submit),
        _ if lower.starts_with("user+") => user(5).map(Access::User),
        _ => None,
    }
}

/// `first` or `first.count`. RFC 5092 §11: the count is not zero.
fn range(text: &str) -> Option<(u64, u64)> {
    match text.split_once('.') {
        Some((first, count)) => {
            Some((first.parse().ok()?, count.parse().ok().filter(|count| *count > 0)?))
        }
        None => Some((text.parse().ok()?, u64::MAX)),
    }
}

fn find(text: &str, what: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(what)
}

/// Resolves `%xx`.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = rest.get(2..)?;
    }
    String::from_utf8(out).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_the_rfcs_are_read() {
        // RFC 4469 §5, RFC 5092 §8.
        let read = url("/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER").unwrap();
        assert_eq!(
            (read.mailbox.as_str(), read.uidvalidity, read.uid),
            ("Drafts", Some(385_759_045), 20)
        );
        assert_eq!(read.section.label, "BODY[HEADER]");
        let read = url(
            "imap://minbari.example.org/gray-council;UIDVALIDITY=385759045/;UID=20/;PARTIAL=0.1024",
        )
        .unwrap();
        assert_eq!(read.host.as_deref(), Some("minbari.example.org"));
        assert_eq!(read.section.partial, Some((0, 1024)));
        let read = url("/a%2Fb/c%20d/;UID=1/;SECTION=1.2.MIME").unwrap();
        assert_eq!((read.mailbox.as_str(), read.section.path), ("a/b/c d", vec![1, 2]));
        for bad in [
            "",
            "/INBOX",
            "/INBOX/;UID=0",
            "/%zz/;UID=1",
            "/x/;UID=1/;SECTION=FROB",
            "/x/;UID=1/;y=z",
            "/x/;UID=1/;PARTIAL=0.0",
            "imap://joe@example.com",
            "imap://joe@example.com/INBOX",
            "imap://joe@example.com/INBOX?SUBJECT%20x",
        ] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }

    #[test]
    fn tickets_are_read() {
        // RFC 4467 §7, RFC 5092 §6.1.2.
        let token = "91354a473744909de610943775f92038";
        let rump = "imap://joe@example.com/INBOX/;uid=20/;section=1.2;urlauth=submit+fred";
        let text = format!("{rump}:internal:{token}");
        let read = url(&text).unwrap();
        assert_eq!(
            (read.user.as_deref(), read.host.as_deref()),
            (Some("joe"), Some("example.com"))
        );
        let ticket = read.ticket.unwrap();
        assert_eq!(text.get(..ticket.rump), Some(rump));
        assert_eq!(ticket.access, Access::Submit("fred".to_owned()));
        assert_eq!(ticket.verifier, Some(("INTERNAL".to_owned(), token.to_owned())));
        let ticket = url(rump).unwrap().ticket.unwrap();
        assert_eq!((ticket.rump, ticket.verifier), (rump.len(), None));
        let text = "imap://a%40b.c;AUTH=*@h.test:993/x;UIDVALIDITY=3/;UID=1/;PARTIAL=5;\
                    EXPIRE=1985-04-12T23:20:50.52Z;URLAUTH=user+c%2Bd";
        let read = url(text).unwrap();
        assert_eq!((read.user.as_deref(), read.host.as_deref()), (Some("a@b.c"), Some("h.test")));
        assert_eq!(read.section.partial, Some((5, u64::MAX)));
        let ticket = read.ticket.unwrap();
        assert_eq!(ticket.expires, Some(482_196_050));
        assert_eq!(ticket.access, Access::User("c+d".to_owned()));
        for (text, access) in [
            ("/x/;UID=1;URLAUTH=authuser", Access::AuthUser),
            ("/x/;UID=1;URLAUTH=ANONYMOUS", Access::Anonymous),
        ] {
            assert_eq!(url(text).unwrap().ticket.unwrap().access, access);
        }
        for bad in [
            "/x/;UID=1;URLAUTH=",
            "/x/;UID=1;URLAUTH=submit+",
            "/x/;UID=1;URLAUTH=root",
            "/x/;UID=1;URLAUTH=authuser:internal",
            "/x/;UID=1;URLAUTH=authuser:internal:abc",
            "/x/;UID=1;EXPIRE=tomorrow;URLAUTH=authuser",
            "/x;URLAUTH=authuser",
        ] {
            assert_eq!(url(bad), None, "{bad}");
        }
        assert_eq!(url(&format!("/{}/;UID=1", "x".repeat(URL_OCTETS_MAX))), None);
    }
}
