//! The engine seam: row operations without any mail meaning, and the engine that runs them.
//!
//! Semantics are written once, above this trait; an engine holds statements only. Object-safe, so
//! that the in-memory model, the fault injector and SQLite are told apart by nobody.

use crate::error::Result;
use crate::rows::*;
use mail::{AccountId, ContentId, Domain, MailboxId, MailboxName, MessageId, ModSeq, Uid};

/// Says of due recipients which to return.
pub type IsWanted<'a> = dyn Fn(&Due) -> bool + 'a;

/// A recipient that is due, and what its attempt goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The message.
    pub message: MessageId,
    /// The recipient's number within it.
    pub n: u32,
    /// The domain that routing goes by.
    pub domain: Domain,
    /// MT-PRIORITY of the message.
    pub priority: i8,
}

/// Reading rows.
pub trait ReadTxn {
    /// A domain.
    fn domain(&self, name: &str) -> Result<Option<DomainRow>>;
    /// All domains, by name.
    fn domains(&self) -> Result<Vec<DomainRow>>;
    /// An account by the key of its address.
    fn account(&self, key: &str) -> Result<Option<AccountRow>>;
    /// All accounts, by address.
    fn accounts(&self) -> Result<Vec<AccountRow>>;
    /// An alias by the key of its address.
    fn alias(&self, key: &str) -> Result<Option<AliasRow>>;
    /// All aliases, by address.
    fn aliases(&self) -> Result<Vec<AliasRow>>;
    /// The fixed route of a domain.
    fn route(&self, domain: &str) -> Result<Option<String>>;
    /// All fixed routes, by domain.
    fn routes(&self) -> Result<Vec<(Domain, String)>>;
    /// A counter; 0 before it is first set.
    fn counter(&self, name: &str) -> Result<u64>;

    /// A mailbox.
    fn mailbox(&self, id: MailboxId) -> Result<Option<MailboxRow>>;
    /// A mailbox by name.
    fn mailbox_named(&self, account: AccountId, name: &MailboxName) -> Result<Option<MailboxRow>>;
    /// All mailboxes of an account, by name.
    fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxRow>>;
    /// How many mailboxes an account has.
    fn mailbox_count(&self, account: AccountId) -> Result<usize>;
    /// Whether an account has a mailbox somewhere below this name.
    fn has_mailbox_below(&self, account: AccountId, name: &MailboxName) -> Result<bool>;
    /// The mailboxes of an account that are somewhere below this name, by name.
    fn mailboxes_below(&self, account: AccountId, name: &MailboxName) -> Result<Vec<MailboxRow>>;
    /// All mailboxes of all accounts, by number.
    fn every_mailbox(&self) -> Result<Vec<MailboxRow>>;
    /// The mailboxes that have pages, by number.
    fn mailboxes_with_pages(&self) -> Result<Vec<MailboxId>>;
    /// The names an account is subscribed to, sorted.
    fn subscriptions(&self, account: AccountId) -> Result<Vec<MailboxName>>;
    /// How many names an account is subscribed to.
    fn subscription_count(&self, account: AccountId) -> Result<usize>;
    /// Whether an account is subscribed to this name.
    fn is_subscribed(&self, account: AccountId, name: &MailboxName) -> Result<bool>;
    /// A property.
    fn property(&self, of: Holder, name: &str) -> Result<Option<Vec<u8>>>;
    /// All properties of a holder, by name.
    fn properties(&self, of: Holder) -> Result<Vec<(String, Vec<u8>)>>;
    /// The names of the first properties of a holder, at most `limit`.
    fn property_names(&self, of: Holder, limit: usize) -> Result<Vec<String>>;
    /// Shows the properties of a holder whose names are from `from` to `to`, by name.
    fn each_property(
        &self,
        of: Holder,
        from: &str,
        to: &str,
        each: &mut dyn FnMut(&str, &[u8]) -> Result<()>,
    ) -> Result<()>;
    /// The numbers of all holders of the same kind that have properties, in order.
    fn owners(&self, of: Holder) -> Result<Vec<u32>>;
    /// The mailboxes whose list of access names somebody.
    fn accessible(&self, identifier: &str) -> Result<Vec<MailboxId>>;
    /// The first UID of the page with the greatest first UID that is not above `uid`.
    fn page_at(&self, mailbox: MailboxId, uid: Uid) -> Result<Option<Uid>>;
    /// The pages of a mailbox with first UIDs from `from` to `to`, in order.
    fn pages(
        &self,
        mailbox: MailboxId,
        from: Uid,
        to: Uid,
        each: &mut dyn FnMut(Uid, &[u8]) -> Result<()>,
    ) -> Result<()>;
    /// What was expunged after `since`, oldest first, as it was put.
    fn expunged(&self, mailbox: MailboxId, since: ModSeq) -> Result<Vec<Vec<u8>>>;
    /// What was expunged up to `until`, oldest first, and when.
    fn expunged_until(&self, mailbox: MailboxId, until: ModSeq) -> Result<Vec<(ModSeq, Vec<u8>)>>;

    /// A page of contents.
    fn content_page(&self, number: u64) -> Result<Option<Vec<u8>>>;
    /// Pages of contents from number `from` on, in order.
    fn content_pages(&self, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>>;
    /// What is kept beside a message's bytes.
    fn summary(&self, id: ContentId) -> Result<Option<Vec<u8>>>;
    /// What is kept beside the bytes of contents numbered from `from` to `to`, in order.
    fn summaries(
        &self,
        from: ContentId,
        to: ContentId,
        each: &mut dyn FnMut(ContentId, &[u8]) -> Result<()>,
    ) -> Result<()>;
    /// Runs of contents that are gone but whose summaries are still there: first and last.
    fn dead(&self, limit: usize) -> Result<Vec<(ContentId, ContentId)>>;
    /// Octets of bodies in a segment: those that something refers to, and all.
    fn segment(&self, segment: u32) -> Result<(u64, u64)>;

    /// A queued message without its recipients.
    fn queued(&self, message: MessageId) -> Result<Option<QueuedRow>>;
    /// The recipients of a queued message, by number.
    fn recipients(&self, message: MessageId) -> Result<Vec<RecipientRow>>;
    /// Queued messages after `after`, oldest first.
    fn queue(&self, after: Option<MessageId>, limit: usize) -> Result<Vec<QueuedRow>>;
    /// How many messages are queued.
    fn queue_length(&self) -> Result<u64>;
    /// Recipients that are due at `now` and that `is_wanted`; longest due first.
    fn due(&self, now: i64, limit: usize, is_wanted: &IsWanted<'_>) -> Result<Vec<Due>>;
    /// When the next recipient is due after `now`.
    fn next_due(&self, now: i64) -> Result<Option<i64>>;
    /// The entries of a journey, in order.
    fn journey(&self, message: MessageId) -> Result<Vec<Vec<u8>>>;
    /// Up to where the segments are in these rows: segment and offset.
    fn applied(&self) -> Result<(u32, u64)>;
    /// Octets of the engine's file: those that hold nothing, and all.
    fn spare(&self) -> Result<(u64, u64)>;
}

/// Writing rows. Everything is undone when the transaction is.
pub trait Txn: ReadTxn {
    /// Puts a domain.
    fn put_domain(&mut self, row: &DomainRow) -> Result<()>;
    /// Takes a domain away; whether there was one.
    fn remove_domain(&mut self, name: &str) -> Result<bool>;
    /// Puts an account.
    fn put_account(&mut self, row: &AccountRow) -> Result<()>;
    /// Takes an account away.
    fn remove_account(&mut self, key: &str) -> Result<bool>;
    /// Puts an alias.
    fn put_alias(&mut self, row: &AliasRow) -> Result<()>;
    /// Takes an alias away.
    fn remove_alias(&mut self, key: &str) -> Result<bool>;
    /// Puts a fixed route.
    fn put_route(&mut self, domain: &Domain, target: &str) -> Result<()>;
    /// Takes a fixed route away.
    fn remove_route(&mut self, domain: &str) -> Result<bool>;
    /// Sets a counter.
    fn put_counter(&mut self, name: &str, value: u64) -> Result<()>;

    /// Puts a mailbox.
    fn put_mailbox(&mut self, row: &MailboxRow) -> Result<()>;
    /// Takes a mailbox away, with its messages' rows and its history.
    fn remove_mailbox(&mut self, id: MailboxId) -> Result<()>;
    /// Subscribes.
    fn put_subscription(&mut self, account: AccountId, name: &MailboxName) -> Result<()>;
    /// Unsubscribes.
    fn remove_subscription(&mut self, account: AccountId, name: &MailboxName) -> Result<()>;
    /// Puts a property.
    fn put_property(&mut self, of: Holder, name: &str, value: &[u8]) -> Result<()>;
    /// Takes a property away.
    fn remove_property(&mut self, of: Holder, name: &str) -> Result<()>;
    /// Takes all properties of a holder away.
    fn remove_properties(&mut self, of: Holder) -> Result<()>;
    /// Puts a page of a mailbox.
    fn put_page(&mut self, mailbox: MailboxId, first: Uid, page: &[u8]) -> Result<()>;
    /// Takes a page of a mailbox away.
    fn remove_page(&mut self, mailbox: MailboxId, first: Uid) -> Result<()>;
    /// Remembers what was expunged.
    fn put_expunged(&mut self, mailbox: MailboxId, at: ModSeq, uids: &[u8]) -> Result<()>;
    /// Forgets what was expunged up to `until`.
    fn remove_expunged(&mut self, mailbox: MailboxId, until: ModSeq) -> Result<()>;
    /// Gives about so many octets that hold nothing back to the disk.
    fn give_back(&mut self, octets: u64) -> Result<()>;

    /// Puts a page of contents.
    fn put_content_page(&mut self, number: u64, page: &[u8]) -> Result<()>;
    /// Takes a page of contents away.
    fn remove_content_page(&mut self, number: u64) -> Result<()>;
    /// Puts what is kept beside a message's bytes.
    fn put_summary(&mut self, id: ContentId, summary: &[u8]) -> Result<()>;
    /// Takes summaries away, at most `limit`; how many there were.
    fn remove_summaries(&mut self, from: ContentId, to: ContentId, limit: usize) -> Result<usize>;
    /// Remembers a run of contents whose summaries are to be taken away.
    fn put_dead(&mut self, first: ContentId, last: ContentId) -> Result<()>;
    /// Forgets a run.
    fn remove_dead(&mut self, first: ContentId) -> Result<()>;
    /// Adds to the octets of bodies in a segment: those that something refers to, and all.
    fn add_to_segment(&mut self, segment: u32, live: i64, all: i64) -> Result<()>;

    /// Puts a queued message.
    fn put_queued(&mut self, row: &QueuedRow) -> Result<()>;
    /// Takes a queued message and its recipients away.
    fn remove_queued(&mut self, message: MessageId) -> Result<()>;
    /// Puts a recipient.
    fn put_recipient(&mut self, message: MessageId, row: &RecipientRow) -> Result<()>;
    /// Takes a recipient away.
    fn remove_recipient(&mut self, message: MessageId, n: u32) -> Result<()>;
    /// Begins a journey.
    fn put_journey(&mut self, message: MessageId, entry: &[u8]) -> Result<()>;
    /// Adds an entry to a journey.
    fn add_journey(&mut self, message: MessageId, entry: &[u8]) -> Result<()>;
    /// Forgets journeys of messages before `before`, at most `limit` entries.
    fn prune_journeys(&mut self, before: MessageId, limit: usize) -> Result<()>;
    /// Sets up to where the segments are in these rows.
    fn set_applied(&mut self, segment: u32, offset: u64) -> Result<()>;
}

/// How durable a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It may be lost by a power cut: the segments hold everything to repeat it.
    Replayable,
    /// It is on the disk when the commit returns.
    Synced,
}

/// An engine: one writer, and readers that see what is committed.
pub trait Engine: Send {
    /// Begins a transaction.
    fn begin(&mut self, durability: Durability) -> Result<()>;
    /// The transaction that was begun.
    fn txn(&mut self) -> &mut dyn Txn;
    /// Marks a place within the transaction.
    fn savepoint(&mut self) -> Result<()>;
    /// Undoes what came after the mark, and forgets the mark.
    fn undo_to_savepoint(&mut self) -> Result<()>;
    /// Forgets the mark.
    fn release_savepoint(&mut self) -> Result<()>;
    /// Commits.
    fn commit(&mut self) -> Result<()>;
    /// Undoes the transaction.
    fn rollback(&mut self);
    /// A maker of readers, which may be used on any thread.
    fn readers(&self) -> Result<ReaderMaker>;
    /// Housekeeping between transactions; `last` before the end.
    fn tidy(&mut self, last: bool) -> Result<()>;
}

/// Makes readers.
pub type ReaderMaker = Box<dyn FnMut() -> Result<Box<dyn Reader>> + Send>;

/// A reader of an engine.
pub trait Reader: Send {
    /// Calls `look` with one consistent view of the rows.
    fn read(&mut self, look: &mut dyn FnMut(&dyn ReadTxn) -> Result<()>) -> Result<()>;
}
