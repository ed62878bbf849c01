//! IMAP URLs that name a message or a part of one. RFC 5092 §5; PARTIAL, RFC 5550 §5.7.1.

use super::command::fetch::{Section, section};

/// A message, or a part of it, by URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The host; `None` when the URL is relative to this server.
    pub host: Option<String>,
    /// The mailbox's name, decoded.
    pub mailbox: String,
    /// The UIDVALIDITY that the UID is of.
    pub uidvalidity: Option<u32>,
    /// The message.
    pub uid: u32,
    /// What of it, and which octets of that.
    pub section: Section,
}

/// Reads a URL; `None` when it names no message.
pub fn url(text: &str) -> Option<Url> {
    let (host, path) = match text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("imap://")) {
        Some(_) => {
            let (server, path) = text.get(7..)?.split_once('/')?;
            let host = server.rsplit_once('@').map_or(server, |(_, host)| host);
            (Some(host.to_owned()), path)
        }
        None => (None, text.strip_prefix('/').unwrap_or(text)),
    };
    // The mailbox may hold slashes: it ends where the UID begins.
    let at = find(path, "/;uid=")?;
    let (mailbox, rest) = (path.get(..at)?, path.get(at + 6..)?);
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
    Some(Url { host, mailbox: decode(mailbox)?, uidvalidity, uid, section })
}

/// `first` or `first.count`.
fn range(text: &str) -> Option<(u64, u64)> {
    match text.split_once('.') {
        Some((first, count)) => Some((first.parse().ok()?, count.parse().ok()?)),
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
        ] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }
}
