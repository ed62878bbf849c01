//! Commands into values. RFC 3501 §6, RFC 9051 §6 and the extensions named in `imap/mod.rs`. One
//! file for each family of commands; what needs no arguments or few is here.

pub mod annotate;
pub mod append;
pub mod batches;
pub mod fetch;
pub mod mailbox;
pub mod multisearch;
pub mod notify;
pub mod property;
pub mod returns;
pub mod search;
pub mod store;
pub mod url;

use super::grammar::{Bad, Charset, Cursor, Read, SequenceSet};
use mail::MailboxName;

pub use fetch::{Fetch, FieldNames, Item, Section, SectionText};
pub use mailbox::{List, Resync, Select, StatusItem};
pub use notify::Notify;
pub use property::{Acl, GetMetadata, SetMetadata};
pub use returns::Returns;
pub use search::Search;
pub use store::{Change, Store};
pub use url::{UrlFetch, UrlItem};

/// Arguments of one CANCELUPDATE or LANGUAGE.
const TEXTS_MAX: usize = 100;

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
    Authenticate {
        mechanism: String,
        initial: Option<Vec<u8>>,
    },
    Login {
        user: String,
        password: String,
    },
    Id,
    Namespace,
    Enable(Vec<String>),
    Idle,
    /// Ranges of languages. RFC 5255 §3.2.
    Language(Vec<String>),
    Select(Select),
    Create {
        mailbox: Name,
        special_use: Vec<String>,
    },
    Delete(Name),
    Rename(Name, Name),
    Subscribe(Name),
    Unsubscribe(Name),
    List(List),
    Status {
        mailbox: Name,
        items: Vec<StatusItem>,
    },
    Check,
    Close,
    Unselect,
    Expunge(Option<SequenceSet>),
    Search {
        uid: bool,
        search: Search,
    },
    Sort {
        uid: bool,
        sort: search::Sort,
    },
    Thread {
        uid: bool,
        thread: search::Thread,
    },
    MultiSearch(multisearch::MultiSearch),
    UidBatches(batches::UidBatches),
    /// Tags. RFC 5267 §4.3.5.
    CancelUpdate(Vec<String>),
    Fetch(Fetch),
    Store(Store),
    Copy {
        uid: bool,
        set: SequenceSet,
        mailbox: Name,
        moves: bool,
    },
    Compress(String),
    Notify(Notify),
    Unauthenticate,
    GetMetadata(GetMetadata),
    SetMetadata(SetMetadata),
    GetQuota(String),
    GetQuotaRoot(Name),
    /// Root; resources and limits, in their units. RFC 9208 §4.1.3.
    SetQuota(String, Vec<(String, u64)>),
    Acl(Acl),
    ResetKey(Option<Name>),
    /// URLs and mechanisms.
    GenUrlAuth(Vec<(String, String)>),
    UrlFetch(Vec<UrlFetch>),
}

/// A whole command behind its tag.
pub fn command(text: &[u8], charset: Charset) -> Read<Command> {
    let mut from = Cursor::with_charset(text, charset);
    let mut verb = from.keyword().map_err(|_| Bad("a command"))?;
    let uid = verb == "UID";
    if uid {
        from.space()?;
        verb = from.keyword()?;
    }
    let command = match verb.as_str() {
        _ if uid => {
            from.space()?;
            with_set(&verb, true, &mut from)?
        }
        "CAPABILITY" => Command::Capability,
        "NOOP" => Command::Noop,
        "LOGOUT" => Command::Logout,
        "STARTTLS" => Command::StartTls,
        "NAMESPACE" => Command::Namespace,
        "IDLE" => Command::Idle,
        "CHECK" => Command::Check,
        "CLOSE" => Command::Close,
        "UNSELECT" => Command::Unselect,
        "UNAUTHENTICATE" => Command::Unauthenticate,
        "LANGUAGE" if from.at_end() => Command::Language(Vec::new()),
        "EXPUNGE" => Command::Expunge(None),
        "RESETKEY" => url::reset_key(&mut from)?,
        _ => {
            from.space()?;
            with_arguments(&verb, &mut from)?
        }
    };
    // users.md I-03: blanks at the end of a line do no harm.
    while from.eat(b' ') {}
    from.end()?;
    Ok(command)
}

/// Commands that UID can go before.
fn with_set(verb: &str, uid: bool, from: &mut Cursor<'_>) -> Read<Command> {
    Ok(match verb {
        "EXPUNGE" if uid => Command::Expunge(Some(from.sequence_set()?)),
        "SEARCH" => Command::Search { uid, search: search::search(from)? },
        "ESEARCH" => Command::MultiSearch(multisearch::multi_search(from)?),
        "SORT" => Command::Sort { uid, sort: search::sort(from)? },
        "THREAD" => Command::Thread { uid, thread: search::thread(from)? },
        "FETCH" => Command::Fetch(fetch::fetch(from, uid)?),
        "STORE" => Command::Store(store::store(from, uid)?),
        "COPY" | "MOVE" => {
            let set = from.sequence_set()?;
            from.space()?;
            Command::Copy { uid, set, mailbox: from.mailbox()?, moves: verb == "MOVE" }
        }
        _ if uid => return Err(Bad("a command that UID can go before")),
        _ => return Err(Bad("a command that this server knows")),
    })
}

fn with_arguments(verb: &str, from: &mut Cursor<'_>) -> Read<Command> {
    Ok(match verb {
        "AUTHENTICATE" => authenticate(from)?,
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
        "NOTIFY" => notify::notify(from)?,
        "GENURLAUTH" => url::generate(from)?,
        "URLFETCH" => url::fetch(from)?,
        "UIDBATCHES" => Command::UidBatches(batches::uid_batches(from)?),
        "CANCELUPDATE" => Command::CancelUpdate(texts(from)?),
        "LANGUAGE" => Command::Language(texts(from)?),
        "COMPRESS" => Command::Compress(from.keyword()?),
        "SELECT" | "EXAMINE" => Command::Select(mailbox::select(from, verb == "EXAMINE")?),
        "CREATE" => mailbox::create(from)?,
        "DELETE" => Command::Delete(from.mailbox()?),
        "RENAME" => {
            let old = from.mailbox()?;
            from.space()?;
            Command::Rename(old, from.mailbox()?)
        }
        "SUBSCRIBE" => Command::Subscribe(from.mailbox()?),
        "UNSUBSCRIBE" => Command::Unsubscribe(from.mailbox()?),
        "LIST" => Command::List(mailbox::list(from, "LIST")?),
        "LSUB" => Command::List(List { subscribed: true, ..mailbox::list(from, "LSUB")? }),
        "XLIST" => Command::List(mailbox::list(from, "XLIST")?),
        "STATUS" => {
            let mailbox = from.mailbox()?;
            from.space()?;
            Command::Status { mailbox, items: mailbox::status_items(from)? }
        }
        _ => match property::property(verb, from) {
            Some(command) => command?,
            None => with_set(verb, false, from)?,
        },
    })
}

/// The tags of CANCELUPDATE, the ranges of LANGUAGE: quoted, or as they stand.
fn texts(from: &mut Cursor<'_>) -> Read<Vec<String>> {
    let mut texts = vec![from.text()?];
    while from.eat(b' ') && !from.at_end() {
        texts.push(from.text()?);
        if texts.len() > TEXTS_MAX {
            return Err(Bad("fewer of them"));
        }
    }
    Ok(texts)
}

fn authenticate(from: &mut Cursor<'_>) -> Read<Command> {
    let mechanism = from.keyword()?;
    let mut initial = None;
    if from.more() {
        initial = Some(from.rest().to_vec());
        *from = Cursor::new(b"");
    }
    Ok(Command::Authenticate { mechanism, initial })
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

#[cfg(test)]
mod tests {
    use super::append::{Ends, Piece, Reader};
    use super::*;

    fn command(text: &[u8]) -> Read<Command> {
        super::command(text, Charset::Ascii)
    }

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
            "UID FETCH 300:500 (FLAGS) (CHANGEDSINCE 12345 VANISHED)",
            "SELECT INBOX (QRESYNC (67890007 90060115194045000 41:211,214:541))",
            "SELECT INBOX (QRESYNC (67890007 9006 1:29997 (5000,7500 15000,22500)))",
            "SELECT INBOX (CONDSTORE)",
            "FETCH $ (FLAGS)",
            "SEARCH RETURN (SAVE MIN) SINCE 1-Feb-1994 NOT $",
            "SORT RETURN (COUNT) (REVERSE ARRIVAL SUBJECT) UTF-8 ALL",
            "UID THREAD REFERENCES US-ASCII TEXT \"gewp\"",
            "STATUS x (SIZE DELETED MAILBOXID)",
            "UID FETCH 1:* (FLAGS) (PARTIAL -1:-30)",
            "FETCH 1 (BINARY.PEEK[1.2]<0.10> BINARY.SIZE[3] PREVIEW (LAZY) EMAILID)",
            "SEARCH YOUNGER 60 OR OLDER 5 FUZZY (SUBJECT x)",
            "COMPRESS DEFLATE",
            "GETMETADATA \"\" /shared/comment",
            "GETMETADATA \"INBOX\" (/shared/comment /private/comment)",
            "GETMETADATA \"INBOX\" (MAXSIZE 1024) (/shared/comment /private/comment)",
            "GETMETADATA (DEPTH infinity) INBOX /private/filters/values",
            "SETMETADATA INBOX (/private/comment NIL /shared/comment \"This one is for you!\")",
            "GETQUOTA \"\"",
            "SETQUOTA \"\" (STORAGE 512)",
            "SETACL INBOX/Drafts Fred -pw",
            "LIST \"\" % RETURN (METADATA (/shared/comment) MYRIGHTS)",
            "SEARCH RETURN (CONTEXT COUNT) UNDELETED UNKEYWORD $Junk",
            "UID SORT RETURN (UPDATE PARTIAL 1:500) (REVERSE DATE) UTF-8 UNSEEN UNDELETED",
            "SEARCH RETURN (COUNT UPDATE (UID BODY[HEADER.FIELDS (TO FROM)])) FROM \"boss\"",
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
            "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
            "UID FETCH 1 FLAGS (VANISHED)",
            "SORT () UTF-8 ALL",
            "SORT (SUBJECT) ALL",
            "SEARCH RETURN (MIN PARTIAL 0:5) ALL",
        ] {
            assert!(command(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn appended_messages_are_read_piece_by_piece() {
        let read = |reader: &Reader, text: &[u8], ends| reader.read(text, ends, Charset::Ascii);
        let start = Reader::append();
        assert_eq!(read(&start, b"", Ends::Literal), Ok(None));
        let text = b"saved-messages (\\Seen $X) \"17-Jul-1996 02:44:25 -0700\" ";
        let (pieces, reader) = read(&start, text, Ends::Literal).unwrap().unwrap();
        let Some(Piece::Message { flags, date, .. }) = pieces.get(1) else { panic!("{pieces:?}") };
        assert_eq!((flags.len(), *date), (2, Some(837_596_665)));
        assert_eq!(pieces.last(), Some(&Piece::Text));
        assert_eq!(read(&reader, b"", Ends::Line).unwrap().unwrap().0, []);
        let (pieces, _) = read(&reader, b" (\\Flagged) ~", Ends::Literal).unwrap().unwrap();
        assert_eq!(pieces.len(), 2);
        // RFC 4469 §3.
        let text = b"Drafts (\\Seen) CATENATE (URL \"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER\" TEXT ";
        let (pieces, reader) = read(&start, text, Ends::Literal).unwrap().unwrap();
        assert_eq!(pieces.len(), 4);
        assert!(read(&reader, b"", Ends::Line).is_err());
        assert_eq!(read(&reader, b" URL ", Ends::Literal), Ok(None));
        assert!(read(&reader, b")", Ends::Line).unwrap().is_some());
        assert!(read(&start, b"x (\\Seen", Ends::Literal).is_err());
        let (pieces, _) =
            read(&Reader::replace(true), b"4 Drafts ", Ends::Literal).unwrap().unwrap();
        assert!(matches!(pieces.first(), Some(Piece::Target { replaces: Some((true, _)), .. })));
    }
}
