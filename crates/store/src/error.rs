//! Why the store does not do what it is asked.

use std::fmt;

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// There is no such mailbox (any more).
    NoSuchMailbox,
    /// There is no such account, domain, alias, route or message.
    NotFound(String),
    /// The name is taken.
    AlreadyExists(String),
    /// Not possible for this mailbox or name.
    NotAllowed(&'static str),
    /// The special use does not exist, or is not for this mailbox.
    SpecialUse(&'static str),
    /// The mailbox has as many keywords as it can have.
    KeywordsFull,
    /// The message has as many annotations as it can have.
    AnnotationsFull,
    /// The mailbox has given out all its UIDs.
    UidsUsedUp,
    /// Who asks may see the mailbox, but may not do that with it.
    NotPermitted,
    /// The account holds as much as it may.
    OverQuota,
    /// The disk is (nearly) full.
    Full,
    /// Writing failed; nothing more is written until the program starts again.
    Failed(String),
    /// Another process has the store open.
    Locked(String),
    /// Stored bytes are damaged.
    Corrupt(String),
    /// The engine failed for this one request.
    Engine(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::NoSuchMailbox => f.write_str("no such mailbox"),
            StoreError::NotFound(what) => write!(f, "{what} does not exist"),
            StoreError::AlreadyExists(what) => write!(f, "{what} exists already"),
            StoreError::NotAllowed(why) | StoreError::SpecialUse(why) => f.write_str(why),
            StoreError::KeywordsFull => f.write_str("the mailbox cannot have more keywords"),
            StoreError::AnnotationsFull => f.write_str("the message cannot have more annotations"),
            StoreError::UidsUsedUp => f.write_str("the mailbox has used up its UIDs"),
            StoreError::NotPermitted => f.write_str("you may not do that with this mailbox"),
            StoreError::OverQuota => f.write_str("the account holds as much as it may"),
            StoreError::Full => f.write_str("the disk is full"),
            StoreError::Failed(why) => write!(f, "the store stopped writing: {why}"),
            StoreError::Locked(who) => write!(f, "the data folder is in use by {who}"),
            StoreError::Corrupt(what) => write!(f, "stored data is damaged: {what}"),
            StoreError::Engine(why) => write!(f, "the database failed: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// What the functions of the store return.
pub type Result<T> = std::result::Result<T, StoreError>;
