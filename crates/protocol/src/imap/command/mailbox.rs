//! SELECT, EXAMINE, CREATE, LIST, LSUB, XLIST, STATUS. RFC 3501 §6.3, RFC 5258, RFC 5819, RFC 6154,
//! RFC 7162 §3.2.5, RFC 8438, RFC 8474, RFC 7889.

use super::property::entries;
use super::{Command, Name};
use crate::imap::grammar::{Bad, Cursor, Read, SequenceSet};

/// Patterns of one LIST.
const PATTERNS_MAX: usize = 100;

/// SELECT or EXAMINE.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// Which mailbox.
    pub mailbox: Name,
    /// How the client spelled its name.
    pub spelled: String,
    /// EXAMINE.
    pub examine: bool,
    /// CONDSTORE. RFC 7162 §3.1.8.
    pub condstore: bool,
    /// ANNOTATE: changes of annotations are told. RFC 5257 §4.2.
    pub annotate: bool,
    /// QRESYNC.
    pub resync: Option<Resync>,
}

/// What a client knows of a mailbox. RFC 7162 §3.2.5.
#[derive(Clone, Debug, PartialEq)]
pub struct Resync {
    /// The UIDVALIDITY it knows.
    pub uidvalidity: u32,
    /// The HIGHESTMODSEQ it knows.
    pub modseq: u64,
    /// The UIDs it knows; all when it does not say.
    pub known: Option<SequenceSet>,
    /// Some sequence numbers and the UIDs they had.
    pub matches: Option<(SequenceSet, SequenceSet)>,
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
    /// RECURSIVEMATCH: also names with such names below them. RFC 5258 §3.5.
    pub recursive: bool,
    /// It has options or several patterns. RFC 5258 §3.
    pub extended: bool,
    /// RETURN (SUBSCRIBED)
    pub return_subscribed: bool,
    /// RETURN (MYRIGHTS). RFC 8440.
    pub return_rights: bool,
    /// RETURN (METADATA (…)). RFC 9590.
    pub return_metadata: Vec<String>,
    /// RETURN (STATUS (…)). RFC 5819.
    pub return_status: Vec<StatusItem>,
}

/// STATUS items. RFC 3501 §6.3.10, RFC 7162 §3.1.7, RFC 8438, RFC 9051 §6.3.11,
/// RFC 8474 §4.3, RFC 7889 §5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the RFC's names")]
pub enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    HighestModSeq,
    Size,
    Deleted,
    DeletedStorage,
    MailboxId,
    AppendLimit,
}

/// SELECT and EXAMINE, behind the verb.
pub(super) fn select(from: &mut Cursor<'_>, examine: bool) -> Read<Select> {
    let (mailbox, spelled) = from.spelled_mailbox()?;
    let mut select =
        Select { mailbox, spelled, examine, condstore: false, annotate: false, resync: None };
    if from.more() {
        from.list(|from| {
            match from.keyword()?.as_str() {
                "CONDSTORE" => select.condstore = true,
                "ANNOTATE" => select.annotate = true,
                "QRESYNC" => {
                    from.space()?;
                    select.resync = Some(resync(from)?);
                }
                _ => return Err(Bad("CONDSTORE, QRESYNC or ANNOTATE")),
            }
            Ok(())
        })?;
    }
    Ok(select)
}

/// `(uidvalidity modseq known-uids (numbers uids))`. RFC 7162 §3.2.5.
fn resync(from: &mut Cursor<'_>) -> Read<Resync> {
    from.expect(b'(', "UIDVALIDITY and MODSEQ")?;
    let uidvalidity = from.uid()?.get();
    from.space()?;
    // 0 is against the grammar, but webmails say it when they know nothing yet.
    let modseq = from.mod_sequence()?;
    let mut resync = Resync { uidvalidity, modseq, known: None, matches: None };
    let mut more = from.more();
    if more && from.peek() != Some(b'(') {
        resync.known = Some(known_set(from)?);
        more = from.more();
    }
    if more {
        from.expect(b'(', "numbers and their UIDs")?;
        let numbers = known_set(from)?;
        from.space()?;
        resync.matches = Some((numbers, known_set(from)?));
        from.expect(b')', "a closing parenthesis")?;
    }
    from.expect(b')', "a closing parenthesis")?;
    Ok(resync)
}

/// What a client knew: RFC 7162 §7 has no `*` in it, and `$` is empty by now.
fn known_set(from: &mut Cursor<'_>) -> Read<SequenceSet> {
    let set = from.sequence_set()?;
    match set.has_last() {
        true => Err(Bad("numbers, not *")),
        false => Ok(set),
    }
}

/// CREATE, with USE of RFC 6154 §3.
pub(super) fn create(from: &mut Cursor<'_>) -> Read<Command> {
    let mailbox = from.mailbox()?;
    let mut special_use = Vec::new();
    if from.more() {
        from.list(|from| {
            if from.keyword()? != "USE" {
                return Err(Bad("USE"));
            }
            from.space()?;
            from.list(|from| {
                from.expect(b'\\', "a special use")?;
                special_use.push(format!("\\{}", from.keyword()?));
                Ok(())
            })
        })?;
    }
    Ok(Command::Create { mailbox, special_use })
}

/// LIST, LSUB and XLIST, behind the verb.
pub(super) fn list(from: &mut Cursor<'_>, verb: &'static str) -> Read<List> {
    let mut list = List { verb, ..List::default() };
    if from.peek() == Some(b'(') {
        list.extended = true;
        selection(from, &mut list)?;
        from.space()?;
    }
    list.reference = from.pattern()?;
    from.space()?;
    if from.peek() == Some(b'(') {
        list.extended = true;
        from.list(|from| {
            list.patterns.push(from.pattern()?);
            if list.patterns.len() > PATTERNS_MAX { Err(Bad("fewer patterns")) } else { Ok(()) }
        })?;
    } else {
        list.patterns.push(from.pattern()?);
    }
    if from.more() {
        if !from.eat_word("RETURN") {
            return Err(Bad("RETURN"));
        }
        list.extended = true;
        from.space()?;
        from.list(|from| {
            match from.keyword()?.as_str() {
                "SUBSCRIBED" => list.return_subscribed = true,
                "CHILDREN" | "SPECIAL-USE" => {}
                "MYRIGHTS" => list.return_rights = true,
                "METADATA" => {
                    from.space()?;
                    list.return_metadata = entries(from)?;
                }
                "STATUS" => {
                    from.space()?;
                    list.return_status = status_items(from)?;
                }
                _ => return Err(Bad("a return option")),
            }
            Ok(())
        })?;
    }
    Ok(list)
}

/// Selection options. RFC 5258 §3.1.
fn selection(from: &mut Cursor<'_>, list: &mut List) -> Read<()> {
    from.list(|from| {
        match from.keyword()?.as_str() {
            "SUBSCRIBED" => (list.subscribed, list.return_subscribed) = (true, true),
            "SPECIAL-USE" => list.special_use = true,
            "RECURSIVEMATCH" => list.recursive = true,
            "REMOTE" => {}
            _ => return Err(Bad("a selection option")),
        }
        Ok(())
    })?;
    // RFC 5258 §6: it has to go with a list-select-base-opt; SPECIAL-USE is none (RFC 6154 §6).
    if list.recursive && !list.subscribed {
        return Err(Bad("SUBSCRIBED beside RECURSIVEMATCH"));
    }
    Ok(())
}

/// The items of STATUS, in parentheses.
pub(super) fn status_items(from: &mut Cursor<'_>) -> Read<Vec<StatusItem>> {
    let mut items = Vec::new();
    from.list(|from| {
        let item = match from.keyword()?.as_str() {
            "MESSAGES" => StatusItem::Messages,
            "RECENT" => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
            "SIZE" => StatusItem::Size,
            "DELETED" => StatusItem::Deleted,
            "DELETED-STORAGE" => StatusItem::DeletedStorage,
            "MAILBOXID" => StatusItem::MailboxId,
            "APPENDLIMIT" => StatusItem::AppendLimit,
            _ => return Err(Bad("a status item")),
        };
        if !items.contains(&item) {
            items.push(item);
        }
        Ok(())
    })?;
    if items.is_empty() { Err(Bad("a status item")) } else { Ok(items) }
}
