//! What the rest of the program calls: one method for each thing to be done.

use crate::account::{self, NewAccount};
use crate::error::{Result, StoreError};
use crate::feed::Feed;
use crate::limits::CONTENTS_OCTETS_MAX;
use crate::mailbox::{By, ChangeFlags, Copied, FlagOutcome, Which, copy, expunge, flags, names};
use crate::open::Store;
use crate::packed::{decode_uids, unseal};
use crate::queue;
use crate::quota;
use crate::rows::*;
use crate::txn::{Due, ReadTxn};
use crate::unit::{content_page, contents, each_entry, each_summary, page_number};
use crate::view::Watch;
use crate::watch::AccountWatch;
use mail::{
    AccountId, Address, ContentId, Domain, Listing, MailboxId, MailboxName, MessageId, ModSeq,
    SpecialUse, Uid, listing,
};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::watch;

/// Octets of what is kept beside messages that are read at once; one message has some hundreds.
const KEPT_OCTETS_MAX: usize = 4 << 20;
/// A mailbox of at most so many messages is read on the thread of who selects it.
const LOOKED_AT_MESSAGES: u32 = 1_000;

/// A mailbox that was selected.
pub struct Selected {
    /// What is in it.
    pub listing: Arc<Listing>,
    /// Tells of changes, and holds the mailbox in memory.
    pub watch: Watch,
}

/// Where messages are and what is kept beside their bytes, in the order asked for.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Where the bytes are; `None` for a message that is gone.
    pub rows: Vec<Option<ContentRow>>,
    /// What is kept beside them, where it was asked for.
    pub summaries: Vec<Option<Box<[u8]>>>,
}

/// Recipients of one message at one destination that are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueGroup {
    /// The message.
    pub message: MessageId,
    /// The destination.
    pub domain: Domain,
    /// Their numbers within the message.
    pub recipients: Vec<u32>,
    /// MT-PRIORITY of the message.
    pub priority: i8,
}

/// Which queued messages are listed.
#[derive(Clone, Debug, Default)]
pub struct QueueFilter {
    /// With a recipient in this domain.
    pub domain: Option<Domain>,
    /// From this sender.
    pub sender: Option<Address>,
    /// With this recipient.
    pub recipient: Option<Address>,
    /// At most so many; 0 is all.
    pub limit: usize,
}

impl QueueFilter {
    fn admits(&self, row: &QueueRow) -> bool {
        let any = |check: &dyn Fn(&RecipientRow) -> bool| row.recipients.iter().any(check);
        self.domain.as_ref().is_none_or(|domain| any(&|r| r.domain.is_same(domain)))
            && self.recipient.as_ref().is_none_or(|address| any(&|r| r.address == *address))
            && self.sender.as_ref().is_none_or(|address| row.sender.address() == Some(address))
    }
}

/// The fixed route of a domain, and by which spelling it is kept.
fn route(txn: &dyn ReadTxn, domain: &Domain) -> Result<Option<(Domain, String)>> {
    account::in_any_spelling(domain, |name| {
        Ok(txn.route(name.as_str())?.map(|target| (name.clone(), target)))
    })
}

/// Domains, accounts, aliases and routes.
impl Store {
    /// Makes a domain ours.
    pub async fn domain_add(&self, domain: Domain) -> Result<()> {
        self.write(move |w| account::add_domain(w, &domain)).await
    }
    /// Takes a domain away that no account and no alias is in.
    pub async fn domain_remove(&self, domain: Domain) -> Result<()> {
        self.write(move |w| account::remove_domain(w, &domain)).await
    }
    /// Sets who gets mail for addresses that nobody has.
    pub async fn domain_set_catch_all(&self, domain: Domain, to: Option<Address>) -> Result<()> {
        self.write(move |w| account::set_catch_all(w, &domain, to)).await
    }
    /// A domain of ours, in whatever spelling.
    pub fn domain(&self, domain: &Domain) -> Result<Option<DomainRow>> {
        self.look(|txn| account::own_domain(txn, domain))
    }
    /// All domains.
    pub fn domains(&self) -> Result<Vec<DomainRow>> {
        self.look(|txn| txn.domains())
    }
    /// Makes an account with its default mailboxes.
    pub async fn account_add(&self, new: NewAccount) -> Result<AccountId> {
        self.write(move |w| account::add(w, &new)).await
    }
    /// Makes accounts in one commit, all or none.
    pub async fn accounts_add(&self, new: Vec<NewAccount>) -> Result<()> {
        let add = move |w: &mut crate::Writing<'_>| {
            new.iter().try_for_each(|new| account::add(w, new).map(drop))
        };
        self.write(add).await
    }
    /// Changes what an account is proven by, as it is at that moment: nobody comes in between.
    pub async fn account_change_secret<T: Send + 'static>(
        &self,
        address: Address,
        change: impl FnOnce(&mut String) -> T + Send + 'static,
    ) -> Result<T> {
        self.write(move |w| account::update(w, &address, |row| change(&mut row.secret))).await
    }
    /// Tells of changes of an account from now on.
    pub fn watch_account(&self, id: AccountId) -> AccountWatch {
        self.inner.views.accounts.watch(id)
    }
    /// Switches logging in off or on.
    pub async fn account_set_disabled(&self, address: Address, disabled: bool) -> Result<()> {
        self.write(move |w| account::update(w, &address, |row| row.disabled = disabled)).await
    }
    /// Takes an account away, with all its mail.
    pub async fn account_remove(&self, address: Address) -> Result<()> {
        let id = self.lookup(&address)?.account.map(|row| row.id);
        self.write(move |w| account::remove(w, &address)).await?;
        id.into_iter().for_each(|id| self.inner.search.forget(id));
        Ok(())
    }
    /// All accounts.
    pub fn accounts(&self) -> Result<Vec<AccountRow>> {
        self.look(|txn| txn.accounts())
    }
    /// Makes an alias.
    pub async fn alias_add(&self, row: AliasRow) -> Result<()> {
        self.write(move |w| account::add_alias(w, &row)).await
    }
    /// Takes an alias away.
    pub async fn alias_remove(&self, address: Address) -> Result<()> {
        self.write(move |w| account::remove_alias(w, &address)).await
    }
    /// All aliases.
    pub fn aliases(&self) -> Result<Vec<AliasRow>> {
        self.look(|txn| txn.aliases())
    }
    /// Everything about an address itself.
    pub fn lookup(&self, address: &Address) -> Result<Lookup> {
        let read = || self.look(|txn| account::lookup(txn, address));
        self.inner.known.address(&address.key(), read)
    }
    /// Sets the fixed route of a domain.
    pub async fn route_add(&self, domain: Domain, target: String) -> Result<()> {
        self.write(move |w| {
            let known = route(w.unit.rows(), &domain)?.map_or(domain, |(known, _)| known);
            w.unit.write()?.put_route(&known, &target)
        })
        .await
    }
    /// Takes a fixed route away; whether there was one.
    pub async fn route_remove(&self, domain: Domain) -> Result<bool> {
        self.write(move |w| match route(w.unit.rows(), &domain)? {
            Some((known, _)) => w.unit.write()?.remove_route(known.as_str()),
            None => Ok(false),
        })
        .await
    }
    /// Lets those who watch an account look again, though nothing here has changed.
    pub fn look_again(&self, account: AccountId) {
        self.inner.views.accounts.ring(account);
    }
    /// All fixed routes.
    pub fn routes(&self) -> Result<Vec<(Domain, String)>> {
        self.look(|txn| txn.routes())
    }
    /// The fixed route of a domain.
    pub fn route(&self, domain: &Domain) -> Result<Option<String>> {
        Ok(self.look(|txn| route(txn, domain))?.map(|(_, target)| target))
    }
}

/// Mailboxes.
impl Store {
    /// All mailboxes of an account, by name.
    pub fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxRow>> {
        self.look(|txn| txn.mailboxes(account))
    }
    /// The mailbox of this name and those below it.
    pub fn mailboxes_within(
        &self,
        account: AccountId,
        name: &MailboxName,
    ) -> Result<Vec<MailboxRow>> {
        self.look(|txn| {
            let mut rows = txn.mailboxes_below(account, name)?;
            rows.extend(txn.mailbox_named(account, name)?);
            Ok(rows)
        })
    }
    /// Whether an account has a mailbox somewhere below this name.
    pub fn has_mailbox_below(&self, account: AccountId, name: &MailboxName) -> Result<bool> {
        self.look(|txn| txn.has_mailbox_below(account, name))
    }
    /// A mailbox by name.
    pub fn mailbox(&self, account: AccountId, name: &MailboxName) -> Result<Option<MailboxRow>> {
        self.look(|txn| txn.mailbox_named(account, name))
    }
    /// A mailbox by its number.
    pub fn mailbox_row(&self, id: MailboxId) -> Result<Option<MailboxRow>> {
        self.look(|txn| txn.mailbox(id))
    }
    /// Tells of changes in accounts, of none at first.
    pub fn feed(&self) -> Feed {
        self.inner.views.feeds.feed()
    }
    /// The INBOX of an account.
    pub fn inbox(&self, account: AccountId) -> Result<Option<MailboxId>> {
        let read = || Ok(self.mailbox(account, &MailboxName::inbox())?.map(|row| row.id));
        self.inner.known.inbox(account, read)
    }
    /// Messages of a mailbox that no session has been told of. RFC 3501 §6.3.10 RECENT.
    pub fn recent(&self, row: &MailboxRow) -> Result<u32> {
        let claimed = self.inner.views.unclaimed(row.id).unwrap_or(0);
        let Some(from) = Uid::new(row.recent_from.max(claimed)) else { return Ok(0) };
        if row.uidnext.is_some_and(|next| from >= next) {
            return Ok(0);
        }
        self.look(|txn| {
            let mut recent = 0;
            each_entry(txn, row.id, from, |_| recent += 1)?;
            Ok(recent)
        })
    }
    /// Makes a mailbox and those above it, and subscribes to them.
    pub async fn mailbox_create(
        &self,
        account: AccountId,
        name: MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxRow> {
        self.write(move |w| names::create(w, account, &name, special_use)).await
    }
    /// Deletes a mailbox with its messages.
    pub async fn mailbox_delete(&self, account: AccountId, name: MailboxName) -> Result<()> {
        self.write(move |w| names::delete(w, account, &name)).await
    }
    /// Renames a mailbox and all below it.
    pub async fn mailbox_rename(
        &self,
        account: AccountId,
        from: MailboxName,
        to: MailboxName,
    ) -> Result<()> {
        self.write(move |w| names::rename(w, account, &from, &to)).await
    }
    /// The names an account is subscribed to.
    pub fn subscriptions(&self, account: AccountId) -> Result<Vec<MailboxName>> {
        self.look(|txn| txn.subscriptions(account))
    }
    /// Whether an account is subscribed to this name.
    pub fn is_subscribed(&self, account: AccountId, name: &MailboxName) -> Result<bool> {
        self.look(|txn| txn.is_subscribed(account, name))
    }
    /// Subscribes; the mailbox need not exist. RFC 9051 §6.3.7.
    pub async fn subscribe(&self, account: AccountId, name: MailboxName) -> Result<()> {
        self.write(move |w| names::subscribe(w, account, &name)).await
    }
    /// Unsubscribes.
    pub async fn unsubscribe(&self, account: AccountId, name: MailboxName) -> Result<()> {
        self.write(move |w| names::unsubscribe(w, account, &name)).await
    }
    /// Loads a mailbox, if it is not loaded, and watches it.
    pub async fn select(&self, id: MailboxId) -> Result<Selected> {
        let view = self.inner.views.view(id);
        let mut watch = view.load(self.load(id)).await?;
        if watch.deleted() {
            return Err(StoreError::NoSuchMailbox);
        }
        Ok(Selected { listing: watch.current(), watch })
    }
    /// A mailbox and what is in it, from one view of the rows.
    async fn load(&self, id: MailboxId) -> Result<(MailboxRow, Listing)> {
        let row = move |txn: &dyn ReadTxn| txn.mailbox(id)?.ok_or(StoreError::NoSuchMailbox);
        // What is small is read on this thread.
        let small = self.look(|txn| {
            let row = row(txn)?;
            let small = row.exists <= LOOKED_AT_MESSAGES;
            small.then(|| listing(txn, row)).transpose()
        })?;
        match small {
            Some(loaded) => Ok(loaded),
            None => self.read(move |txn| listing(txn, row(txn)?)).await,
        }
    }
    /// Takes the messages below `uidnext` that no session was told of: those from the returned UID
    /// on are `\Recent` for this session. RFC 3501 §2.3.2.
    pub fn claim_recent(&self, watch: &Watch, uidnext: Option<Uid>) -> u32 {
        let next = uidnext.map_or(u32::MAX, Uid::get);
        let from = watch.claim_recent(next);
        if from < next {
            let (store, watch) = (self.clone(), watch.clone());
            // Nobody waits for this: losing it makes messages recent once more. The mailbox stays
            // in memory until it is written, so that the next session does not claim them again.
            tokio::spawn(async move {
                let id = watch.mailbox();
                let _ = store.write(move |w| names::set_recent(w, id, next)).await;
                drop(watch);
            });
        }
        from
    }
}

/// Messages.
impl Store {
    /// Changes flags.
    pub async fn change_flags(&self, id: MailboxId, change: ChangeFlags) -> Result<FlagOutcome> {
        self.write(move |w| flags::change_flags(w, id, change)).await
    }
    /// Copies messages.
    pub async fn copy(
        &self,
        from: MailboxId,
        uids: Vec<Uid>,
        to: MailboxId,
        by: By,
    ) -> Result<Copied> {
        self.write(move |w| {
            let copied = copy::copy(w, from, &uids, to, by)?;
            quota::check_copied(w, to, &copied)?;
            Ok(copied)
        })
        .await
    }
    /// Moves messages.
    pub async fn move_(
        &self,
        from: MailboxId,
        uids: Vec<Uid>,
        to: MailboxId,
        by: By,
    ) -> Result<Copied> {
        self.write(move |w| {
            let copied = copy::move_(w, from, &uids, to, by)?;
            // Within an account nothing grows, and somebody over quota can clear up.
            if w.mailbox(from)?.account != w.mailbox(to)?.account {
                quota::check_copied(w, to, &copied)?;
            }
            Ok(copied)
        })
        .await
    }
    /// Expunges messages; returns their UIDs.
    pub async fn expunge(&self, id: MailboxId, which: Which) -> Result<Vec<Uid>> {
        self.write(move |w| expunge::expunge(w, id, &which)).await
    }
    /// UIDs expunged after `since`, as sorted runs: first and last. RFC 7162 §3.2.10.
    pub fn expunged(&self, id: MailboxId, since: ModSeq) -> Result<Vec<(Uid, Uid)>> {
        let mut runs = Vec::new();
        for page in self.look(|txn| txn.expunged(id, since))? {
            runs.extend(decode_uids(&page)?);
        }
        runs.sort_unstable();
        Ok(runs)
    }
    /// What is kept beside the bytes of messages, in the order asked for.
    pub fn summaries(&self, ids: &[ContentId]) -> Result<Vec<Option<Vec<u8>>>> {
        let own = |sealed: Option<Vec<u8>>| sealed.as_deref().and_then(unseal).map(<[u8]>::to_vec);
        self.look(|txn| ids.iter().map(|id| txn.summary(*id).map(own)).collect())
    }
    /// With `octets` where the bytes of some messages are, and with `summaries` what is kept beside
    /// them, as far as it is not too much at once.
    pub fn kept(&self, ids: &[ContentId], octets: bool, summaries: bool) -> Result<Kept> {
        let rows = if octets { self.locate(ids)? } else { Vec::new() };
        let mut kept = Kept { rows, summaries: Vec::new() };
        if summaries {
            kept.summaries = vec![None; ids.len()];
            let mut left = KEPT_OCTETS_MAX;
            self.look(|txn| {
                each_summary(txn, ids, &mut |n, octets| {
                    left = left.saturating_sub(octets.len());
                    if let Some(slot) = kept.summaries.get_mut(n).filter(|_| left > 0) {
                        *slot = Some(octets.into());
                    }
                })
            })?;
        }
        Ok(kept)
    }
    /// Shows what is kept beside the bytes of messages, each with its place among `ids`, in no
    /// order; nothing of it is copied. Those that are gone are left out.
    pub fn each_kept(&self, ids: &[ContentId], mut each: impl FnMut(usize, &[u8])) -> Result<()> {
        self.look(|txn| each_summary(txn, ids, &mut each))
    }
    /// Where bytes are or were lately.
    fn locate(&self, ids: &[ContentId]) -> Result<Vec<Option<ContentRow>>> {
        let mut page: Arc<[ContentRow]> = Arc::new([]);
        let find = |page: &[ContentRow], id: ContentId| {
            page.binary_search_by_key(&id, |row| row.id).ok().and_then(|at| page.get(at)).copied()
        };
        let mut one = |id: &ContentId| {
            if find(&page, *id).is_none() {
                let number = page_number(*id);
                let read = || self.look(|txn| content_page(txn, number));
                page = self.inner.known.content_page(number, *id, read)?;
            }
            Ok(find(&page, *id))
        };
        ids.iter().map(&mut one).collect()
    }
    /// Appends octets of a message that [`Store::kept`] found. Only all of them at once are
    /// compared with the checksum: [`Store::reading`] is for what somebody gets.
    pub fn octets(&self, row: &ContentRow, range: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        let read = self.inner.segments.read_into(row, range.clone(), out);
        if read.is_err() {
            // It may have been moved in between.
            out.truncate(start);
            out.extend_from_slice(&self.content(row.id, range)?);
        }
        Ok(())
    }
    /// Octets of a message, compared in the same way.
    pub fn content(&self, id: ContentId, range: Range<u64>) -> Result<Vec<u8>> {
        let gone = || StoreError::NotFound(format!("content {id}"));
        let row = self.locate(&[id])?.pop().flatten().ok_or_else(gone)?;
        match self.inner.segments.read(&row, range.clone()) {
            Err(error) => match self.look(|txn| contents(txn, &[id]))?.pop().flatten() {
                None => Err(gone()),
                // It was moved in between.
                Some(now) if moved(&row, &now) => self.inner.segments.read(&now, range),
                Some(now) => {
                    self.note_damaged(&now, &error);
                    Err(error)
                }
            },
            read => read,
        }
    }
    /// Whole messages, as many of them as fit 4 MB together but at least one; an item is an error
    /// when that message cannot be read.
    pub fn contents(&self, ids: &[ContentId]) -> Result<Vec<Result<Vec<u8>>>> {
        let mut rows = Vec::new();
        let mut octets = 0;
        for (id, row) in ids.iter().zip(self.locate(ids)?) {
            octets += row.map_or(0, |row| row.len);
            if !rows.is_empty() && octets > CONTENTS_OCTETS_MAX {
                break;
            }
            rows.push((*id, row));
        }
        let read = |(id, row): (ContentId, Option<ContentRow>)| {
            let row = row.ok_or_else(|| StoreError::NotFound(format!("content {id}")))?;
            self.inner.segments.read(&row, 0..row.len).or_else(|_| self.content(id, 0..row.len))
        };
        Ok(rows.into_iter().map(read).collect())
    }
}

/// The octets are elsewhere now.
pub(crate) fn moved(before: &ContentRow, now: &ContentRow) -> bool {
    (now.segment, now.offset) != (before.segment, before.offset)
}

/// The queue and journeys.
impl Store {
    /// Bumps after each commit that made rows due.
    pub fn queue_watch(&self) -> watch::Receiver<u64> {
        self.inner.queue.clone()
    }
    /// Recipients due at `now`, by message and destination, of those that `is_wanted`.
    pub fn queue_due(
        &self,
        now: i64,
        limit: usize,
        is_wanted: impl Fn(&Due) -> bool,
    ) -> Result<Vec<DueGroup>> {
        let rows = self.look(|txn| txn.due(now, limit, &is_wanted))?;
        let mut groups: Vec<DueGroup> = Vec::new();
        let mut places = HashMap::new();
        for Due { message, n, domain, priority } in rows {
            let at = *places.entry((message, domain.clone())).or_insert(groups.len());
            match groups.get_mut(at) {
                Some(group) => group.recipients.push(n),
                None => groups.push(DueGroup { message, domain, recipients: vec![n], priority }),
            }
        }
        Ok(groups)
    }
    /// When the next recipient is due after `now`.
    pub fn queue_next(&self, now: i64) -> Result<Option<i64>> {
        self.look(|txn| txn.next_due(now))
    }
    /// A queued message.
    pub fn queue_get(&self, message: MessageId) -> Result<Option<QueueRow>> {
        self.look(|txn| queue::get(txn, message))
    }
    /// Queued messages, oldest first.
    pub fn queue_list(&self, filter: &QueueFilter) -> Result<Vec<QueueRow>> {
        self.look(|txn| {
            let mut found = Vec::new();
            let mut after = None;
            loop {
                let page = txn.queue(after, 500)?;
                let Some(last) = page.last() else { return Ok(found) };
                after = Some(last.message);
                for queued in page {
                    let recipients = txn.recipients(queued.message)?;
                    let row = QueueRow { queued, recipients };
                    if filter.admits(&row) {
                        found.push(row);
                    }
                    if filter.limit > 0 && found.len() >= filter.limit {
                        return Ok(found);
                    }
                }
            }
        })
    }
    /// Holds a message back; whether it is queued.
    pub async fn queue_hold(&self, message: MessageId) -> Result<bool> {
        self.write(move |w| queue::change_all(w, message, |row| row.held = true)).await
    }
    /// Lets a held message go.
    pub async fn queue_release(&self, message: MessageId) -> Result<bool> {
        self.write(move |w| queue::change_all(w, message, |row| row.held = false)).await
    }
    /// Makes a message due now, or when its sender lets it go.
    pub async fn queue_retry(&self, message: MessageId) -> Result<bool> {
        self.write(move |w| queue::retry(w, message)).await
    }
    /// How many messages of an account wait until they may go; `most` at most.
    pub fn queue_held_by(&self, account: AccountId, now: i64, most: usize) -> Result<usize> {
        self.look(|txn| queue::held_by(txn, account, now, most))
    }
    /// Takes a message out of the queue without a report.
    pub async fn queue_drop(&self, message: MessageId) -> Result<bool> {
        self.write(move |w| queue::forget(w, message)).await
    }
    /// The entries of a journey.
    pub fn journey(&self, message: MessageId) -> Result<Vec<Vec<u8>>> {
        self.look(|txn| txn.journey(message))
    }
}

/// A mailbox and what is in it.
fn listing(txn: &dyn ReadTxn, row: MailboxRow) -> Result<(MailboxRow, Listing)> {
    let mut builder = listing::Builder::default();
    each_entry(txn, row.id, Uid::FIRST, |entry| builder.push(entry))?;
    let keywords = row.keywords.clone();
    let listing = builder.finish(keywords, row.modseq, row.uidvalidity, row.uidnext);
    Ok((row, listing))
}
