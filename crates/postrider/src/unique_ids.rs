//! `account unique-ids`: POP3 clients keep the unique ids of messages that they have, so mail that
//! comes from another server must keep its own, or everybody loads all of it again (users.md P-01).
//!
//! Messages are found by their Message-ID. Read are what Dovecot prints (`doveadm fetch`) and what
//! it leaves in a Maildir (`dovecot-uidlist`).

use crate::admin::{Failure, Outcome, Response, Told, exit, fail};
use mail::{Address, MailboxName, Uid, stored};
use serde_json::json;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Read as _;
use std::path::Path;
use store::{Store, StoreError};

/// Octets of a file that its Message-ID is looked for in.
const HEADER_OCTETS_MAX: u64 = 256 * 1024;
/// Messages that are looked at at once.
const SUMMARIES: usize = 500;

/// Lines of unique id, tab and Message-ID, from a file of such lines or from a Maildir.
pub fn gather(from: &Path, format: &str) -> Result<String, Failure> {
    let named = |path: &Path, error: std::io::Error| {
        fail(exit::NO_INPUT, format!("{}: {error}", path.display()))
    };
    if !from.is_dir() {
        return std::fs::read_to_string(from).map_err(|error| named(from, error));
    }
    let path = from.join("dovecot-uidlist");
    let list = std::fs::read_to_string(&path).map_err(|error| named(&path, error))?;
    let wrong = |why: &str| fail(exit::DATA, format!("{}: {why}", path.display()));
    let known = uidlist(&list, format).map_err(|why| wrong(&why))?;
    let mut lines = Vec::new();
    for folder in ["cur", "new"] {
        let folder = from.join(folder);
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry.map_err(|error| named(&folder, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let base = name.split(':').next().unwrap_or_default();
            let Some((uid, id)) = known.get(base) else { continue };
            let mut head = Vec::new();
            let file = std::fs::File::open(entry.path());
            let read = file.and_then(|f| f.take(HEADER_OCTETS_MAX).read_to_end(&mut head));
            read.map_err(|error| named(&entry.path(), error))?;
            let found = mail::header::fields(&head)
                .find(|field| field.name.eq_ignore_ascii_case(b"Message-ID"))
                .map(|field| mail::header::unfold(field.value));
            if let Some(message_id) = found.and_then(|value| String::from_utf8(value).ok()) {
                lines.push((*uid, format!("{id}\t{message_id}")));
            }
        }
    }
    // Those with the same Message-ID are told apart by their order.
    lines.sort_unstable();
    Ok(lines.into_iter().map(|(_, line)| line + "\n").collect())
}

/// UID and unique id by file name, from `dovecot-uidlist` of version 1 or 3.
fn uidlist(text: &str, format: &str) -> Result<HashMap<String, (u32, String)>, String> {
    let mut lines = text.lines();
    let mut head = lines.next().unwrap_or_default().split(' ');
    let version = head.next().unwrap_or_default();
    let validity = match version {
        "1" => head.next(),
        "3" => head.find_map(|word| word.strip_prefix('V')),
        _ => None,
    };
    let validity: u32 = validity
        .and_then(|word| word.parse().ok())
        .ok_or("it is not a dovecot-uidlist of version 1 or 3")?;
    let mut found = HashMap::new();
    for line in lines {
        let Some((uid, rest)) = line.split_once(' ') else { continue };
        let Ok(uid) = uid.parse::<u32>() else { continue };
        let (extras, file) = match version {
            "1" => ("", rest),
            _ => rest
                .strip_prefix(':')
                .map(|file| ("", file))
                .or(rest.split_once(" :"))
                .unwrap_or(("", rest)),
        };
        let base = file.split(':').next().unwrap_or_default();
        let extra = |letter| extras.split(' ').find_map(|word| word.strip_prefix(letter));
        let id = match extra('P') {
            Some(own) => own.to_owned(),
            None => formatted(format, uid, validity, [base, extra('G').unwrap_or(base)])?,
        };
        found.insert(base.to_owned(), (uid, id));
    }
    Ok(found)
}

/// A unique id by Dovecot's `pop3_uidl_format`: `%u`, `%v`, `%f`, `%g`, with `0`, a width and `X`.
fn formatted(
    format: &str,
    uid: u32,
    validity: u32,
    [file, guid]: [&str; 2],
) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let (mut zero, mut width, mut hex) = (false, 0usize, false);
        let value = loop {
            match rest.next() {
                Some('0') if width == 0 => zero = true,
                Some(digit @ '0'..='9') => width = (width * 10 + digit as usize - 48).min(70),
                Some('X') => hex = true,
                Some('%') => break "%".to_owned(),
                Some('f') => break file.to_owned(),
                Some('g') => break guid.to_owned(),
                Some(letter @ ('u' | 'v')) => {
                    let n = if letter == 'u' { uid } else { validity };
                    break if hex { format!("{n:x}") } else { n.to_string() };
                }
                other => {
                    let shown = other.map_or(String::new(), String::from);
                    return Err(format!("the format '{format}' has %{shown}: not %u %v %f %g"));
                }
            }
        };
        match zero {
            true => out.push_str(&format!("{value:0>width$}")),
            false => out.push_str(&format!("{value:>width$}")),
        }
    }
    Ok(out)
}

/// Pairs of unique id and Message-ID. A first line that names the columns, as `doveadm -f tab`
/// prints it, says where they are.
fn pairs(text: &str) -> Vec<(&str, &str)> {
    let mut lines = text.lines().peekable();
    let (mut id_at, mut message_at) = (0, 1);
    if let Some(first) = lines.peek() {
        let place = |name: &str| first.split('\t').position(|word| word.trim() == name);
        if let (Some(id), Some(message)) = (place("pop3.uidl"), place("hdr.message-id")) {
            (id_at, message_at) = (id, message);
            lines.next();
        }
    }
    lines
        .filter_map(|line| {
            let words: Vec<&str> = line.split('\t').map(str::trim).collect();
            Some((*words.get(id_at)?, *words.get(message_at)?))
        })
        .filter(|(_, message)| !message.is_empty())
        .collect()
}

/// RFC 1939 §7: 1 to 70 octets from 0x21 to 0x7E.
fn is_unique_id(id: &str) -> bool {
    (1..=70).contains(&id.len()) && id.bytes().all(|b| (0x21..=0x7e).contains(&b))
}

/// Gives the messages of an INBOX the unique ids that they had.
pub async fn import(store: &Store, address: &Address, lines: &str, told: &Told) -> Outcome {
    let trouble = |error: StoreError| fail(exit::SOFTWARE, error.to_string());
    let account = store.lookup(address).map_err(trouble)?.account;
    let account = account.ok_or_else(|| fail(exit::NO_USER, format!("no account {address}")))?;
    let inbox = store.mailbox(account.id, &MailboxName::inbox()).map_err(trouble)?;
    let inbox = inbox.ok_or_else(|| fail(exit::NO_USER, format!("{address} has no INBOX")))?;
    let selected = store.select(inbox.id).await.map_err(trouble)?;
    let mut by_message: HashMap<String, VecDeque<Uid>> = HashMap::new();
    let entries: Vec<(Uid, mail::ContentId)> =
        selected.listing.iter().map(|entry| (entry.uid, entry.content)).collect();
    for (n, some) in entries.chunks(SUMMARIES).enumerate() {
        told.send_replace(((n * SUMMARIES) as u64, entries.len() as u64));
        tokio::task::yield_now().await;
        let ids: Vec<mail::ContentId> = some.iter().map(|(_, content)| *content).collect();
        let summaries = store.summaries(&ids).map_err(trouble)?;
        for ((uid, _), summary) in some.iter().zip(summaries) {
            let envelope = summary.as_deref().and_then(stored::envelope);
            let Some(id) = envelope.and_then(|envelope| envelope.message_id) else { continue };
            let id = String::from_utf8_lossy(id).trim().to_owned();
            by_message.entry(id).or_default().push_back(*uid);
        }
    }
    let mut ids = store.unique_ids(&inbox).map_err(trouble)?;
    let there: HashSet<Uid> = entries.iter().map(|(uid, _)| *uid).collect();
    ids.retain(|uid, _| there.contains(uid));
    let (mut given, mut missing) = (0, 0);
    for (id, message) in pairs(lines) {
        if !is_unique_id(id) {
            return Err(fail(exit::DATA, format!("'{id}' can be no unique id (RFC 1939 §7)")));
        }
        match by_message.get_mut(message).and_then(VecDeque::pop_front) {
            Some(uid) => {
                ids.insert(uid, id.to_owned());
                given += 1;
            }
            None => missing += 1,
        }
    }
    let different: HashSet<&String> = ids.values().collect();
    if different.len() < ids.len() {
        return Err(fail(exit::DATA, "two messages would have the same unique id"));
    }
    store.set_unique_ids(inbox.id, ids).await.map_err(trouble)?;
    let text = format!(
        "{given} messages of {address} have their old unique ids, {missing} are not in the INBOX"
    );
    Ok(Response { value: json!({ "given": given, "missing": missing }), text })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn lists_of_dovecot_are_read() {
        let third = "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n\
            25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394:2,\n\
            25017 W2481 :1276533073.M242911P3632.kurkku:2,F\n\
            25021 Pold-id W1 :x\n";
        let found = uidlist(third, "%08Xu%08Xv").unwrap();
        let id = |file: &str| found.get(file).map(|(uid, id)| (*uid, id.as_str()));
        assert_eq!(
            id("1276528487.M364837P9451.kurkku,S=1355,W=1394"),
            Some((25_006, "000061ae4c0907b0"))
        );
        assert_eq!(id("1276533073.M242911P3632.kurkku").unwrap().0, 25_017);
        assert_eq!(id("x"), Some((25_021, "old-id")));
        let first = uidlist("1 7 9\n3 a:2,S\n", "%v.%u").unwrap();
        assert_eq!(first.get("a"), Some(&(3, "7.3".to_owned())));
        assert_eq!(uidlist("1 7 9\n3 a:2,S\n", "%f-%5u%%").unwrap()["a"].1, "a-    3%");
        assert!(uidlist("2 x\n", "%u").is_err() && uidlist("1 7 9\n3 a\n", "%m").is_err());
    }

    #[test]
    fn columns_are_found() {
        let printed = "uid\thdr.message-id\tpop3.uidl\n1\t<a@b>\tu1\n2\t\tu2\n";
        assert_eq!(pairs(printed), [("u1", "<a@b>")]);
        assert_eq!(pairs("u1\t<a@b>\nu2\t<c@d>\nbroken\n"), [("u1", "<a@b>"), ("u2", "<c@d>")]);
        assert!(is_unique_id("!") && !is_unique_id("") && !is_unique_id("a b"));
    }
}
