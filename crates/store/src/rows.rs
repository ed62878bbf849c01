//! The rows of the store, as values. What they mean is the business of the modules beside this one.

use crate::terms::Terms;
use mail::{
    AccountId, Address, ContentId, Domain, KeywordTable, MailboxId, MailboxName, MessageId, ModSeq,
    ReversePath, SpecialUse, Uid, UidValidity,
};
use std::sync::Arc;

/// A domain that is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRow {
    /// Its name.
    pub domain: Domain,
    /// Who gets mail for addresses that nobody has.
    pub catch_all: Option<Address>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Its number, never used again.
    pub id: AccountId,
    /// Its address.
    pub address: Address,
    /// Its password hash, a PHC string.
    pub secret: String,
    /// It may not log in; mail still arrives.
    pub disabled: bool,
    /// Seconds since 1970.
    pub created: i64,
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasRow {
    /// The address.
    pub address: Address,
    /// Where its mail goes.
    pub targets: Vec<Address>,
}

/// What is known about an address itself, found in one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// Its domain, if it is ours.
    pub domain: Option<DomainRow>,
    /// The account of that address.
    pub account: Option<AccountRow>,
    /// The alias of that address.
    pub alias: Option<AliasRow>,
}

/// A mailbox with its counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxRow {
    /// Its number, never used again.
    pub id: MailboxId,
    /// Whose it is.
    pub account: AccountId,
    /// Its name.
    pub name: MailboxName,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
    /// UIDVALIDITY.
    pub uidvalidity: UidValidity,
    /// UIDNEXT; `None` when the UIDs are used up.
    pub uidnext: Option<Uid>,
    /// HIGHESTMODSEQ.
    pub modseq: ModSeq,
    /// Messages.
    pub exists: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Octets of all messages.
    pub octets: u64,
    /// Messages from this UID on have not been seen by any session: `\Recent`.
    pub recent_from: u32,
    /// Its keywords.
    pub keywords: Arc<KeywordTable>,
}

impl MailboxRow {
    /// An empty mailbox that nobody has seen yet.
    pub fn new(
        id: MailboxId,
        account: AccountId,
        name: MailboxName,
        uidvalidity: UidValidity,
    ) -> MailboxRow {
        MailboxRow {
            id,
            account,
            name,
            special_use: None,
            uidvalidity,
            uidnext: Some(Uid::FIRST),
            modseq: ModSeq(1),
            exists: 0,
            unseen: 0,
            deleted: 0,
            octets: 0,
            recent_from: 1,
            keywords: Arc::default(),
        }
    }
}

/// What a property belongs to: small named values that only a few accounts or mailboxes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// Annotations of an account. RFC 5464.
    Account(AccountId),
    /// Annotations of a mailbox. RFC 5464.
    Mailbox(MailboxId),
    /// Who may do what with a mailbox: rights by account address. RFC 4314.
    Access(MailboxId),
    /// Limits of an account by resource. RFC 9208.
    Quota(AccountId),
    /// Whom an account wrote to.
    Correspondents(AccountId),
    /// Unique ids that messages of a mailbox had elsewhere.
    UniqueIds(MailboxId),
    /// What an account said of messages and nobody has learned yet.
    Lessons(AccountId),
    /// What was learned from that.
    Taught(AccountId),
    /// Names that a client asked to be subscribed to; other subscriptions came with a mailbox.
    Asked(AccountId),
    /// Reports of other receivers about mail from our domains.
    Feedback,
    /// Messages of an account that wait for the time that their sender named, by that time.
    Held(AccountId),
    /// Keys by which our domains sign.
    SigningKeys,
    /// Annotations of the messages of a mailbox, one row for each message and each scope. RFC 5257.
    Notes(MailboxId),
    /// Keys that vouch for the senders of mail that aliases send on.
    ForwardingKeys,
    /// What other domains say of their mail servers. RFC 8461.
    MailPolicies,
}

impl Holder {
    /// Kind and number, as engines keep them.
    pub fn key(self) -> (u8, u32) {
        match self {
            Holder::Account(id) => (1, id.0),
            Holder::Mailbox(id) => (2, id.0),
            Holder::Access(id) => (3, id.0),
            Holder::Quota(id) => (4, id.0),
            Holder::Correspondents(id) => (5, id.0),
            Holder::UniqueIds(id) => (6, id.0),
            Holder::Lessons(id) => (7, id.0),
            Holder::Taught(id) => (8, id.0),
            Holder::Asked(id) => (9, id.0),
            Holder::Feedback => (10, 0),
            Holder::Held(id) => (11, id.0),
            Holder::SigningKeys => (12, 0),
            Holder::Notes(id) => (13, id.0),
            Holder::ForwardingKeys => (14, 0),
            Holder::MailPolicies => (15, 0),
        }
    }
}

/// Where message bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRow {
    /// The content.
    pub id: ContentId,
    /// Segment number.
    pub segment: u32,
    /// Offset of the body in the segment.
    pub offset: u64,
    /// Octets of the body.
    pub len: u64,
    /// CRC32C of the body.
    pub crc: u32,
    /// Messages and queue entries that hold it.
    pub refs: u32,
}

/// How much of the original a report returns. RFC 3461 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// RET=FULL
    Full,
    /// RET=HDRS
    Headers,
}

/// When the sender wants reports. RFC 3461 §4.1. Empty means NOTIFY was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Notify(pub u8);

impl Notify {
    /// NOTIFY=NEVER
    pub const NEVER: Notify = Notify(1);
    /// NOTIFY=SUCCESS
    pub const SUCCESS: Notify = Notify(2);
    /// NOTIFY=FAILURE
    pub const FAILURE: Notify = Notify(4);
    /// NOTIFY=DELAY
    pub const DELAY: Notify = Notify(8);

    /// NOTIFY was not given.
    pub fn is_default(self) -> bool {
        self.0 == 0
    }
    /// Asks for that.
    pub fn contains(self, other: Notify) -> bool {
        self.0 & other.0 == other.0
    }
    /// Both.
    pub fn with(self, other: Notify) -> Notify {
        Notify(self.0 | other.0)
    }
}

/// A queued message without its recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedRow {
    /// Our name for it.
    pub message: MessageId,
    /// Its bytes.
    pub content: ContentId,
    /// Octets of the content.
    pub size: u64,
    /// Octets at the start of the content that are not sent (`Return-Path`).
    pub skip: u32,
    /// Envelope sender.
    pub sender: ReversePath,
    /// RET.
    pub ret: Option<Ret>,
    /// ENVID, decoded.
    pub envid: Option<String>,
    /// What else the sender asked for.
    pub terms: Terms,
    /// SMTPUTF8 was said.
    pub smtputf8: bool,
    /// When it came, seconds since 1970.
    pub arrived: i64,
    /// When we give up, seconds since 1970.
    pub expires: i64,
    /// Who submitted it.
    pub submitted_by: Option<AccountId>,
}

/// One recipient of a queued message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientRow {
    /// Its number within the message.
    pub n: u32,
    /// The address.
    pub address: Address,
    /// The domain that routing goes by.
    pub domain: Domain,
    /// It is not tried until an operator releases it.
    pub held: bool,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is due, seconds since 1970.
    pub next_attempt: i64,
    /// What the other server said last.
    pub last_reply: Option<String>,
    /// Which server that was.
    pub last_host: Option<String>,
    /// The sender was told of the delay.
    pub delay_told: bool,
    /// NOTIFY.
    pub notify: Notify,
    /// ORCPT, decoded.
    pub orcpt: Option<String>,
    /// The address that was given at RCPT, if an alias leads from it to here.
    pub named: Option<Address>,
}

/// A queued message with its recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// The message.
    pub queued: QueuedRow,
    /// Its recipients that are not settled.
    pub recipients: Vec<RecipientRow>,
}

impl std::ops::Deref for QueueRow {
    type Target = QueuedRow;
    fn deref(&self) -> &QueuedRow {
        &self.queued
    }
}
