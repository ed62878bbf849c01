//! GETMETADATA and SETMETADATA (RFC 5464), GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208), and the
//! commands of ACL (RFC 4314).

use super::{Command, Name};
use crate::imap::grammar::{Bad, Cursor, Read};

/// Entries of one command.
const ENTRIES_MAX: usize = 200;

/// Resources of one SETQUOTA.
const RESOURCES_MAX: usize = 20;

/// GETMETADATA. RFC 5464 §4.2.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GetMetadata {
    /// Which mailbox; `None` is the server.
    pub mailbox: Option<Name>,
    /// Values with more octets are left out.
    pub size_max: Option<u64>,
    /// How many levels below an entry; `None` is all.
    pub depth: Option<usize>,
    /// Which entries, in lower case.
    pub entries: Vec<String>,
}

/// SETMETADATA. RFC 5464 §4.3.
#[derive(Clone, Debug, PartialEq)]
pub struct SetMetadata {
    /// Which mailbox; `None` is the server.
    pub mailbox: Option<Name>,
    /// Entries in lower case, and their values; without one the entry goes.
    pub entries: Vec<(String, Option<Vec<u8>>)>,
}

/// A command of ACL. RFC 4314 §3.
#[derive(Clone, Debug, PartialEq)]
pub enum Acl {
    /// SETACL: mailbox, identifier, rights with perhaps `+` or `-` in front.
    Set(Name, String, String),
    /// DELETEACL: mailbox, identifier.
    Delete(Name, String),
    /// GETACL
    Get(Name),
    /// LISTRIGHTS: mailbox, identifier.
    List(Name, String),
    /// MYRIGHTS
    Mine(Name),
}

/// The commands of this file, behind the verb; `None` for another verb.
pub(super) fn property(verb: &str, from: &mut Cursor<'_>) -> Option<Read<Command>> {
    Some(match verb {
        "GETMETADATA" => get_metadata(from).map(Command::GetMetadata),
        "SETMETADATA" => set_metadata(from).map(Command::SetMetadata),
        "GETQUOTA" => from.text().map(Command::GetQuota),
        "GETQUOTAROOT" => from.mailbox().map(Command::GetQuotaRoot),
        "SETQUOTA" => set_quota(from),
        "SETACL" | "DELETEACL" | "GETACL" | "LISTRIGHTS" | "MYRIGHTS" => {
            acl(verb, from).map(Command::Acl)
        }
        _ => return None,
    })
}

/// `mailbox`, of which the empty string is the server.
fn holder(from: &mut Cursor<'_>) -> Read<Option<Name>> {
    if from.eat_word("\"\"") {
        return Ok(None);
    }
    let name = from.mailbox()?;
    Ok(if name == Err(String::new()) { None } else { Some(name) })
}

fn get_metadata(from: &mut Cursor<'_>) -> Read<GetMetadata> {
    let mut get = GetMetadata { depth: Some(0), ..GetMetadata::default() };
    // The grammar has the options before the mailbox, the examples have them behind it.
    let before = from.peek() == Some(b'(');
    if before {
        options(from, &mut get)?;
        from.space()?;
    }
    get.mailbox = holder(from)?;
    from.space()?;
    if !before && from.peek() == Some(b'(') {
        let mut probe = *from;
        if options(&mut probe, &mut get).is_ok() && probe.eat(b' ') {
            *from = probe;
        }
    }
    get.entries = entries(from)?;
    Ok(get)
}

fn options(from: &mut Cursor<'_>, get: &mut GetMetadata) -> Read<()> {
    from.list(|from| {
        let name = from.keyword()?;
        from.space()?;
        match name.as_str() {
            "MAXSIZE" => get.size_max = Some(from.number()?),
            "DEPTH" => {
                get.depth = match from.keyword()?.as_str() {
                    "0" => Some(0),
                    "1" => Some(1),
                    "INFINITY" => None,
                    _ => return Err(Bad("a depth of 0, 1 or infinity")),
                };
            }
            _ => return Err(Bad("MAXSIZE or DEPTH")),
        }
        Ok(())
    })
}

/// An entry or several. RFC 5464 §5, and RFC 9590 §6.
pub(super) fn entries(from: &mut Cursor<'_>) -> Read<Vec<String>> {
    let mut entries = Vec::new();
    if from.peek() == Some(b'(') {
        from.list(|from| {
            entries.push(entry(from)?);
            if entries.len() > ENTRIES_MAX { Err(Bad("fewer entries")) } else { Ok(()) }
        })?;
    } else {
        entries.push(entry(from)?);
        while from.eat(b' ') {
            entries.push(entry(from)?);
        }
    }
    if entries.is_empty() { Err(Bad("an entry")) } else { Ok(entries) }
}

/// `/private/…` or `/shared/…`, and for a look below it either alone; case does not matter.
/// RFC 5464 §3.2.
fn entry(from: &mut Cursor<'_>) -> Read<String> {
    let name = from.text()?.to_ascii_lowercase();
    let scope = name.split('/').nth(1);
    let fine = name.len() <= 255
        && name.starts_with('/')
        && matches!(scope, Some("private" | "shared"))
        && name.bytes().all(|b| (0x20..0x7f).contains(&b) && !matches!(b, b'*' | b'%'))
        && !name.contains("//")
        && !name.ends_with('/');
    if fine { Ok(name) } else { Err(Bad("an entry under /private or /shared")) }
}

fn set_metadata(from: &mut Cursor<'_>) -> Read<SetMetadata> {
    let mailbox = holder(from)?;
    from.space()?;
    let mut entries = Vec::new();
    from.list(|from| {
        let name = entry(from)?;
        // RFC 5464 §3.2: a vendor's have four components, others two or more.
        let least = if name.split('/').nth(2) == Some("vendor") { 4 } else { 2 };
        if name.matches('/').count() < least {
            return Err(Bad("an entry of more components"));
        }
        from.space()?;
        entries.push((name, from.value()?));
        if entries.len() > ENTRIES_MAX { Err(Bad("fewer entries")) } else { Ok(()) }
    })?;
    if entries.is_empty() {
        return Err(Bad("an entry and its value"));
    }
    Ok(SetMetadata { mailbox, entries })
}

fn set_quota(from: &mut Cursor<'_>) -> Read<Command> {
    let root = from.text()?;
    from.space()?;
    let mut limits = Vec::new();
    from.list(|from| {
        let resource = from.keyword()?;
        from.space()?;
        limits.push((resource, from.number64()?));
        if limits.len() > RESOURCES_MAX { Err(Bad("fewer resources")) } else { Ok(()) }
    })?;
    Ok(Command::SetQuota(root, limits))
}

fn acl(verb: &str, from: &mut Cursor<'_>) -> Read<Acl> {
    let mailbox = from.mailbox()?;
    if verb == "GETACL" {
        return Ok(Acl::Get(mailbox));
    }
    if verb == "MYRIGHTS" {
        return Ok(Acl::Mine(mailbox));
    }
    from.space()?;
    let identifier = from.text()?;
    if verb == "DELETEACL" {
        return Ok(Acl::Delete(mailbox, identifier));
    }
    if verb == "LISTRIGHTS" {
        return Ok(Acl::List(mailbox, identifier));
    }
    from.space()?;
    Ok(Acl::Set(mailbox, identifier, from.text()?))
}
