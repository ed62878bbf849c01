//! The nouns of mail: addresses, flags, UIDs, MODSEQs, mailbox names, messages and their MIME
//! structure, delivery status reports.
//!
//! Pure values: this crate does no I/O, knows no clock and no protocol word. Bytes go in, values
//! come out; every parser is total (it never panics and never fails to end) and has limits.

mod address;
pub mod annotation;
pub mod casemap;
pub mod date;
mod flags;
pub mod header;
mod html;
mod id;
pub mod limits;
pub mod listing;
pub mod mailbox_name;
pub mod mime;
pub mod octets;
pub mod report;
mod rights;
pub mod search;
pub mod stored;
pub mod subject;
pub mod summary;
pub mod thread;
pub mod tokens;
pub mod unitext;
pub mod varint;

pub use address::{Address, Domain, ReversePath};
pub use annotation::{Annotation, Scope};
pub use flags::{Flag, FlagBits, Keyword, KeywordTable};
pub use id::{AccountId, ContentId, MailboxId, MessageId, ModSeq, Uid, UidValidity};
pub use listing::{Entry, Listing};
pub use mailbox_name::{MailboxName, SpecialUse};
pub use rights::Rights;
