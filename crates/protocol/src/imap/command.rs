//! Commands into values. RFC 3501 §6 and the extensions named in `mod.rs`.

use super::grammar::{Bad, Cursor, Read, SequenceSet};
use super::search::{self, Search};
use mail::{Flag, MailboxName, SpecialUse};

/// A mailbox name; `Err` holds a text that cannot be one.
pub type Name = Result<MailboxName, String>;

/// A command.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "they are the RFC's names")]
pub enum Command {
    Capability,
    Noop,
    Logout,
    StartTls,
    Authenticate { mechanism: String, initial: Option<Vec<u8>> },
    Login { user: String, password: String },
    Id,
    Namespace,
    Enable(Vec<String>),
    Idle,
    Select { mailbox: Name, examine: bool, condstore: bool },
    Create { mailbox: Name, special_use: Option<SpecialUse> },
    Delete(Name),
    Rename(Name, Name),
    Subscribe(Name),
    Unsubscribe(Name),
    List(List),
    Status { mailbox: Name, items: Vec<StatusItem> },
    Check,
    Close,
    Unselect,
    Expunge(Option<SequenceSet>),
    Search { uid: bool, search: Search },
    Fetch(Fetch),
    Store(Store),
    Copy { uid: bool, set: SequenceSet, mailbox: Name, moves: bool },
}

/// LIST, LSUB, XLIST. RFC 5258.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct List {
    /// The command's name, for the response.
    pub verb: &'static str,
    /// Reference name.
    pub reference: String,
    /// Patterns.
    pub patterns: Vec<String>,
    /// Only subscribed names.
    pub subscribed: bool,
    /// Only names with a special use.
    pub special_use: bool,
    /// RETURN (SUBSCRIBED)
    pub return_subscribed: bool,
    /// RETURN (STATUS (…)). RFC 5819.
    pub return_status: Vec<StatusItem>,
}

/// STATUS items. RFC 3501 §6.3.10, RFC 7162 §3.1.7, RFC 8438.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the RFC's names")]
pub enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    HighestModSeq,
}

/// FETCH. RFC 3501 §6.4.5.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    /// UID FETCH
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// What of them.
    pub items: Vec<Item>,
    /// CHANGEDSINCE. RFC 7162 §3.1.4.1.
    pub changed_since: Option<u64>,
}

/// A FETCH item.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the RFC's names")]
pub enum Item {
    Flags,
    Uid,
    InternalDate,
    Rfc822Size,
    Envelope,
    Body,
    BodyStructure,
    ModSeq,
    Section(Section),
}

/// `BODY[…]<…>`, or an RFC822 item that stands for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// How the response names it, up to and including `]`.
    pub label: String,
    /// `\Seen` stays as it is.
    pub peek: bool,
    /// Part numbers.
    pub path: Vec<u32>,
    /// What of the part.
    pub text: SectionText,
    /// First octet and how many.
    pub partial: Option<(u64, u64)>,
}

/// What of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the RFC's names")]
pub enum SectionText {
    All,
    Header,
    /// Names, and whether it is HEADER.FIELDS.NOT.
    HeaderFields(Vec<Vec<u8>>, bool),
    Text,
    Mime,
}

/// STORE. RFC 3501 §6.4.6.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// UID STORE
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// UNCHANGEDSINCE. RFC 7162 §3.1.3.
    pub unchanged_since: Option<u64>,
    /// `+`, `-`, or neither.
    pub change: Change,
    /// `.SILENT`
    pub silent: bool,
    /// Which flags.
    pub flags: Vec<Flag>,
}

/// What STORE does with the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the RFC's names")]
pub enum Change {
    Add,
    Remove,
    Replace,
}

/// What comes before the message in APPEND. RFC 3501 §6.3.11.
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// Where to.
    pub mailbox: Name,
    /// With these flags.
    pub flags: Vec<Flag>,
    /// INTERNALDATE.
    pub date: Option<i64>,
}

/// What stands between `APPEND ` and the literal; `None` when the literal is the mailbox name.
pub fn append(text: &[u8]) -> Read<Option<Append>> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut from = Cursor::new(text);
    let mailbox = from.mailbox()?;
    from.space()?;
    let mut flags = Vec::new();
    if from.peek() == Some(b'(') {
        flags = from.flag_list()?;
        from.space()?;
    }
    let mut date = None;
    if from.peek() == Some(b'"') {
        date = Some(from.date_time()?);
        from.space()?;
    }
    from.end()?;
    Ok(Some(Append { mailbox, flags, date }))
}

/// A whole command behind its tag.
pub fn command(text: &[u8]) -> Read<Command> {
    let mut from = Cursor::new(text);
    let mut verb = from.keyword().map_err(|_| Bad("a command"))?;
    let uid = verb == "UID";
    if uid {
        from.space()?;
        verb = from.keyword()?;
    }
    let command = match verb.as_str() {
        "CAPABILITY" => Command::Capability,
        "NOOP" => Command::Noop,
        "LOGOUT" => Command::Logout,
        "STARTTLS" => Command::StartTls,
        "NAMESPACE" => Command::Namespace,
        "IDLE" => Command::Idle,
        "CHECK" => Command::Check,
        "CLOSE" => Command::Close,
        "UNSELECT" => Command::Unselect,
        "EXPUNGE" if !uid => Command::Expunge(None),
        _ => {
            from.space()?;
            with_arguments(&verb, uid, &mut from)?
        }
    };
    from.end()?;
    Ok(command)
}

fn with_arguments(verb: &str, uid: bool, from: &mut Cursor<'_>) -> Read<Command> {
    Ok(match verb {
        "EXPUNGE" if uid => Command::Expunge(Some(from.sequence_set()?)),
        "SEARCH" => Command::Search { uid, search: search::search(from)? },
        "FETCH" => Command::Fetch(fetch(from, uid)?),
        "STORE" => Command::Store(store(from, uid)?),
        "COPY" | "MOVE" => {
            let set = from.sequence_set()?;
            from.space()?;
            Command::Copy { uid, set, mailbox: from.mailbox()?, moves: verb == "MOVE" }
        }
        _ if uid => return Err(Bad("a command that UID can go before")),
        "AUTHENTICATE" => {
            let mechanism = from.keyword()?;
            let mut initial = None;
            if from.eat(b' ') {
                initial = Some(from.rest().to_vec());
                *from = Cursor::new(b"");
            }
            Command::Authenticate { mechanism, initial }
        }
        "LOGIN" => {
            let user = from.text()?;
            from.space()?;
            Command::Login { user, password: from.text()? }
        }
        "ID" => id(from)?,
        "ENABLE" => {
            let mut names = vec![from.keyword()?];
            while from.eat(b' ') {
                names.push(from.keyword()?);
            }
            Command::Enable(names)
        }
        "SELECT" | "EXAMINE" => select(from, verb == "EXAMINE")?,
        "CREATE" => create(from)?,
        "DELETE" => Command::Delete(from.mailbox()?),
        "RENAME" => {
            let old = from.mailbox()?;
            from.space()?;
            Command::Rename(old, from.mailbox()?)
        }
        "SUBSCRIBE" => Command::Subscribe(from.mailbox()?),
        "UNSUBSCRIBE" => Command::Unsubscribe(from.mailbox()?),
        "LIST" => Command::List(list(from, "LIST")?),
        "LSUB" => Command::List(List { subscribed: true, ..list(from, "LSUB")? }),
        "XLIST" => Command::List(list(from, "XLIST")?),
        "STATUS" => {
            let mailbox = from.mailbox()?;
            from.space()?;
            Command::Status { mailbox, items: status_items(from)? }
        }
        _ => return Err(Bad("a command that this server knows")),
    })
}

/// ID: the list is read and forgotten. RFC 2971 §3.1.
fn id(from: &mut Cursor<'_>) -> Read<Command> {
    if from.eat(b'(') {
        while !from.eat(b')') {
            from.nstring()?;
            while from.eat(b' ') {}
        }
    } else {
        from.nstring()?;
    }
    Ok(Command::Id)
}

fn select(from: &mut Cursor<'_>, examine: bool) -> Read<Command> {
    let mailbox = from.mailbox()?;
    let mut condstore = false;
    if from.eat(b' ') {
        from.expect(b'(', "parameters")?;
        match from.keyword()?.as_str() {
            "CONDSTORE" => condstore = true,
            _ => return Err(Bad("CONDSTORE")),
        }
        from.expect(b')', "a closing parenthesis")?;
    }
    Ok(Command::Select { mailbox, examine, condstore })
}

/// CREATE, with USE of RFC 6154 §3.
fn create(from: &mut Cursor<'_>) -> Read<Command> {
    let mailbox = from.mailbox()?;
    let mut special_use = None;
    if from.eat(b' ') {
        from.expect(b'(', "parameters")?;
        if from.keyword()? != "USE" {
            return Err(Bad("USE"));
        }
        from.space()?;
        from.expect(b'(', "special uses")?;
        from.expect(b'\\', "a special use")?;
        let name = format!("\\{}", from.keyword()?);
        special_use = Some(SpecialUse::parse(&name).ok_or(Bad("a special use"))?);
        from.expect(b')', "a closing parenthesis")?;
        from.expect(b')', "a closing parenthesis")?;
    }
    Ok(Command::Create { mailbox, special_use })
}

fn list(from: &mut Cursor<'_>, verb: &'static str) -> Read<List> {
    let mut list = List { verb, ..List::default() };
    if from.eat(b'(') {
        while !from.eat(b')') {
            match from.keyword()?.as_str() {
                "SUBSCRIBED" => (list.subscribed, list.return_subscribed) = (true, true),
                "SPECIAL-USE" => list.special_use = true,
                "REMOTE" | "RECURSIVEMATCH" => {}
                _ => return Err(Bad("a selection option")),
            }
            while from.eat(b' ') {}
        }
        from.space()?;
    }
    list.reference = from.pattern()?;
    from.space()?;
    if from.eat(b'(') {
        while !from.eat(b')') {
            list.patterns.push(from.pattern()?);
            while from.eat(b' ') {}
        }
    } else {
        list.patterns.push(from.pattern()?);
    }
    if from.eat(b' ') {
        if from.keyword()? != "RETURN" {
            return Err(Bad("RETURN"));
        }
        from.space()?;
        from.expect(b'(', "return options")?;
        while !from.eat(b')') {
            match from.keyword()?.as_str() {
                "SUBSCRIBED" => list.return_subscribed = true,
                "CHILDREN" | "SPECIAL-USE" => {}
                "STATUS" => {
                    from.space()?;
                    list.return_status = status_items(from)?;
                }
                _ => return Err(Bad("a return option")),
            }
            while from.eat(b' ') {}
        }
    }
    Ok(list)
}

fn status_items(from: &mut Cursor<'_>) -> Read<Vec<StatusItem>> {
    from.expect(b'(', "status items")?;
    let mut items = Vec::new();
    while !from.eat(b')') {
        items.push(match from.keyword()?.as_str() {
            "MESSAGES" => StatusItem::Messages,
            "RECENT" => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
            _ => return Err(Bad("a status item")),
        });
        while from.eat(b' ') {}
    }
    if items.is_empty() { Err(Bad("a status item")) } else { Ok(items) }
}

fn fetch(from: &mut Cursor<'_>, uid: bool) -> Read<Fetch> {
    let set = from.sequence_set()?;
    from.space()?;
    let mut items = Vec::new();
    if from.eat(b'(') {
        while !from.eat(b')') {
            item(from, &mut items)?;
            while from.eat(b' ') {}
        }
    } else {
        item(from, &mut items)?;
    }
    let mut changed_since = None;
    if from.eat(b' ') {
        from.expect(b'(', "CHANGEDSINCE")?;
        if from.keyword()? != "CHANGEDSINCE" {
            return Err(Bad("CHANGEDSINCE"));
        }
        from.space()?;
        changed_since = Some(from.number()?);
        from.expect(b')', "a closing parenthesis")?;
        items.push(Item::ModSeq);
    }
    if uid {
        items.insert(0, Item::Uid);
    }
    let mut once: Vec<Item> = Vec::new();
    for item in items {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    Ok(Fetch { uid, set, items: once, changed_since })
}

fn item(from: &mut Cursor<'_>, items: &mut Vec<Item>) -> Read<()> {
    use Item::*;
    let word = from.keyword()?;
    let section = |label: &str, peek, text| {
        Item::Section(self::Section {
            label: label.to_owned(),
            peek,
            path: Vec::new(),
            text,
            partial: None,
        })
    };
    match word.as_str() {
        "ALL" => items.extend([Flags, InternalDate, Rfc822Size, Envelope]),
        "FAST" => items.extend([Flags, InternalDate, Rfc822Size]),
        "FULL" => items.extend([Flags, InternalDate, Rfc822Size, Envelope, Body]),
        "FLAGS" => items.push(Flags),
        "UID" => items.push(Uid),
        "INTERNALDATE" => items.push(InternalDate),
        "RFC822.SIZE" => items.push(Rfc822Size),
        "ENVELOPE" => items.push(Envelope),
        "BODYSTRUCTURE" => items.push(BodyStructure),
        "MODSEQ" => items.push(ModSeq),
        "RFC822" => items.push(section("RFC822", false, SectionText::All)),
        "RFC822.PEEK" => items.push(section("RFC822", true, SectionText::All)),
        "RFC822.HEADER" => items.push(section("RFC822.HEADER", true, SectionText::Header)),
        "RFC822.TEXT" => items.push(section("RFC822.TEXT", false, SectionText::Text)),
        "BODY" if from.peek() != Some(b'[') => items.push(Body),
        "BODY" => items.push(Item::Section(body_section(from, false)?)),
        "BODY.PEEK" => items.push(Item::Section(body_section(from, true)?)),
        _ => return Err(Bad("a FETCH item")),
    }
    Ok(())
}

/// `[section]<partial>`. RFC 3501 §6.4.5.
fn body_section(from: &mut Cursor<'_>, peek: bool) -> Read<Section> {
    from.expect(b'[', "a section")?;
    let before = from.rest();
    let mut path = Vec::new();
    let mut text = SectionText::All;
    while from.peek().is_some_and(|b| b.is_ascii_digit()) {
        let number = u32::try_from(from.number()?).map_err(|_| Bad("a part number"))?;
        path.push(number);
        if path.len() > 200 || number == 0 {
            return Err(Bad("a part number"));
        }
        if !from.eat(b'.') {
            break;
        }
    }
    if from.peek() != Some(b']') {
        text = match from.keyword()?.as_str() {
            "HEADER" => SectionText::Header,
            "TEXT" => SectionText::Text,
            "MIME" if !path.is_empty() => SectionText::Mime,
            "HEADER.FIELDS" => SectionText::HeaderFields(field_names(from)?, false),
            "HEADER.FIELDS.NOT" => SectionText::HeaderFields(field_names(from)?, true),
            _ => return Err(Bad("HEADER, HEADER.FIELDS, TEXT or MIME")),
        };
    }
    let len = before.len() - from.rest().len();
    let spec = before.get(..len).unwrap_or_default();
    let label = format!("BODY[{}]", String::from_utf8_lossy(spec).replace(['\r', '\n'], " "));
    from.expect(b']', "a closing bracket")?;
    let mut partial = None;
    if from.eat(b'<') {
        let first = from.number()?;
        from.expect(b'.', "a range")?;
        partial = Some((first, from.number()?));
        from.expect(b'>', "a range")?;
    }
    let label = label_of(&path, &text).unwrap_or(label);
    Ok(Section { label, peek, path, text, partial })
}

/// The canonical name of a section; names of fields in their simplest form.
fn label_of(path: &[u32], text: &SectionText) -> Option<String> {
    let mut words: Vec<String> = path.iter().map(u32::to_string).collect();
    match text {
        SectionText::All => {}
        SectionText::Header => words.push("HEADER".to_owned()),
        SectionText::Text => words.push("TEXT".to_owned()),
        SectionText::Mime => words.push("MIME".to_owned()),
        SectionText::HeaderFields(names, not) => {
            let plain =
                |n: &Vec<u8>| n.iter().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(b));
            if !names.iter().all(plain) {
                return None;
            }
            let names: Vec<_> = names.iter().map(|n| String::from_utf8_lossy(n)).collect();
            let verb = if *not { "HEADER.FIELDS.NOT" } else { "HEADER.FIELDS" };
            words.push(format!("{verb} ({})", names.join(" ")));
        }
    }
    Some(format!("BODY[{}]", words.join(".")))
}

fn field_names(from: &mut Cursor<'_>) -> Read<Vec<Vec<u8>>> {
    from.space()?;
    from.expect(b'(', "field names")?;
    let mut names = Vec::new();
    while !from.eat(b')') {
        names.push(from.astring()?);
        while from.eat(b' ') {}
    }
    if names.is_empty() { Err(Bad("a field name")) } else { Ok(names) }
}

fn store(from: &mut Cursor<'_>, uid: bool) -> Read<Store> {
    let set = from.sequence_set()?;
    from.space()?;
    let mut unchanged_since = None;
    if from.eat(b'(') {
        if from.keyword()? != "UNCHANGEDSINCE" {
            return Err(Bad("UNCHANGEDSINCE"));
        }
        from.space()?;
        unchanged_since = Some(from.number()?);
        from.expect(b')', "a closing parenthesis")?;
        from.space()?;
    }
    let word = from.keyword()?;
    let (word, silent) = match word.strip_suffix(".SILENT") {
        Some(word) => (word, true),
        None => (word.as_str(), false),
    };
    let change = match word {
        "+FLAGS" => Change::Add,
        "-FLAGS" => Change::Remove,
        "FLAGS" => Change::Replace,
        _ => return Err(Bad("FLAGS, +FLAGS or -FLAGS")),
    };
    from.space()?;
    let flags = if from.peek() == Some(b'(') {
        from.flag_list()?
    } else {
        let mut flags = Vec::new();
        flags.extend(from.flag()?);
        while from.eat(b' ') {
            flags.extend(from.flag()?);
        }
        flags
    };
    Ok(Store { uid, set, unchanged_since, change, silent, flags })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_the_rfc_parse() {
        for text in [
            "FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])",
            "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)",
            "STORE 2:4 +FLAGS (\\Deleted)",
            "STORE 7,5,9 (UNCHANGEDSINCE 320162338) +FLAGS.SILENT \\Deleted",
            "SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
            "SEARCH CHARSET UTF-8 TEXT {6}\r\nfoobar",
            "SEARCH RETURN (MIN COUNT) OR (UNSEEN) 1:5,*",
            "LIST (SUBSCRIBED) \"\" (\"INBOX\" \"Drafts\") RETURN (CHILDREN STATUS (MESSAGES UNSEEN))",
            "LSUB \"\" *",
            "ID (\"name\" \"x\" \"y\" NIL)",
            "ID NIL",
            "CREATE x (USE (\\Drafts))",
            "FETCH 1 BODY.PEEK[1.2.MIME]<0.100>",
            "FETCH 1 RFC822.PEEK",
            "UID SEARCH 1:* NOT DELETED",
            "LOGIN a \"b\\\"c\"",
            "FETCH 1 (UID BODY[1.HEADER.FIELDS.NOT (\"X\" Y)])",
        ] {
            assert!(command(text.as_bytes()).is_ok(), "{text}: {:?}", command(text.as_bytes()));
        }
        let deep = format!("SEARCH {}ALL", "NOT ".repeat(10_000));
        for text in [
            "FETCH 0 FLAGS",
            "FETCH 1",
            "FETCH 1 BODY[MIME]",
            "STORE 1 FLAGZ x",
            "UID NOOP x",
            "SELECT",
            "SEARCH",
            "STATUS x ()",
            "FROB x",
            &deep,
            "FETCH 1 FLAGS x",
            "LOGIN a",
        ] {
            assert!(command(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn append_prefixes() {
        assert_eq!(append(b""), Ok(None));
        let read =
            append(b"saved-messages (\\Seen $X) \"17-Jul-1996 02:44:25 -0700\" ").unwrap().unwrap();
        assert_eq!((read.flags.len(), read.date), (2, Some(837_596_665)));
        assert!(append(b"x (\\Seen").is_err());
    }
}
