//! tidy: table. The rows of the model, one sorted map a table, and each operation on them.

use super::View;
use mail::{AccountId, ContentId, Domain, MailboxId, MailboxName, MessageId, ModSeq, Uid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::txn::{Due, IsWanted, ReadTxn, Txn};
use store::{
    AccountRow, AliasRow, DomainRow, Holder, MailboxRow, QueuedRow, RecipientRow, Result,
    StoreError,
};

/// All rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    domains: BTreeMap<String, DomainRow>,
    accounts: BTreeMap<String, AccountRow>,
    aliases: BTreeMap<String, AliasRow>,
    routes: BTreeMap<String, (Domain, String)>,
    counters: BTreeMap<String, u64>,
    mailboxes: BTreeMap<MailboxId, MailboxRow>,
    subscriptions: BTreeSet<(AccountId, String, MailboxName)>,
    properties: BTreeMap<(Holder, String), Vec<u8>>,
    pages: BTreeMap<(MailboxId, Uid), Vec<u8>>,
    expunged: BTreeMap<(MailboxId, ModSeq), Vec<u8>>,
    contents: BTreeMap<u64, Vec<u8>>,
    summaries: BTreeMap<ContentId, Vec<u8>>,
    dead: BTreeMap<ContentId, ContentId>,
    segments: BTreeMap<u32, (i64, i64)>,
    queued: BTreeMap<MessageId, QueuedRow>,
    recipients: BTreeMap<(MessageId, u32), RecipientRow>,
    journeys: BTreeMap<(MessageId, u32), Vec<u8>>,
    applied: Option<(u32, u64)>,
}

impl ReadTxn for View {
    fn domain(&self, name: &str) -> Result<Option<DomainRow>> {
        Ok(self.state.domains.get(name).cloned())
    }
    fn domains(&self) -> Result<Vec<DomainRow>> {
        Ok(self.state.domains.values().cloned().collect())
    }
    fn account(&self, key: &str) -> Result<Option<AccountRow>> {
        Ok(self.state.accounts.get(key).cloned())
    }
    fn accounts(&self) -> Result<Vec<AccountRow>> {
        Ok(self.state.accounts.values().cloned().collect())
    }
    fn alias(&self, key: &str) -> Result<Option<AliasRow>> {
        Ok(self.state.aliases.get(key).cloned())
    }
    fn aliases(&self) -> Result<Vec<AliasRow>> {
        Ok(self.state.aliases.values().cloned().collect())
    }
    fn route(&self, domain: &str) -> Result<Option<String>> {
        Ok(self.state.routes.get(domain).map(|(_, target)| target.clone()))
    }
    fn routes(&self) -> Result<Vec<(Domain, String)>> {
        Ok(self.state.routes.values().cloned().collect())
    }
    fn counter(&self, name: &str) -> Result<u64> {
        Ok(self.state.counters.get(name).copied().unwrap_or(0))
    }
    fn mailbox(&self, id: MailboxId) -> Result<Option<MailboxRow>> {
        Ok(self.state.mailboxes.get(&id).cloned())
    }
    fn mailbox_named(&self, account: AccountId, name: &MailboxName) -> Result<Option<MailboxRow>> {
        let mut all = self.state.mailboxes.values();
        Ok(all.find(|row| row.account == account && row.name == *name).cloned())
    }
    fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxRow>> {
        let all = self.state.mailboxes.values();
        let mut rows: Vec<_> = all.filter(|row| row.account == account).cloned().collect();
        rows.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        Ok(rows)
    }
    fn mailbox_count(&self, account: AccountId) -> Result<usize> {
        Ok(self.mailboxes(account)?.len())
    }
    fn has_mailbox_below(&self, account: AccountId, name: &MailboxName) -> Result<bool> {
        Ok(!self.mailboxes_below(account, name)?.is_empty())
    }
    fn mailboxes_below(&self, account: AccountId, name: &MailboxName) -> Result<Vec<MailboxRow>> {
        let all = self.mailboxes(account)?.into_iter();
        Ok(all.filter(|row| row.name.is_below(name)).collect())
    }
    fn every_mailbox(&self) -> Result<Vec<MailboxRow>> {
        Ok(self.state.mailboxes.values().cloned().collect())
    }
    fn mailboxes_with_pages(&self) -> Result<Vec<MailboxId>> {
        let all: BTreeSet<MailboxId> = self.state.pages.keys().map(|(id, _)| *id).collect();
        Ok(all.into_iter().collect())
    }
    fn subscriptions(&self, account: AccountId) -> Result<Vec<MailboxName>> {
        let all = self.state.subscriptions.iter();
        Ok(all.filter(|row| row.0 == account).map(|row| row.2.clone()).collect())
    }
    fn subscription_count(&self, account: AccountId) -> Result<usize> {
        Ok(self.subscriptions(account)?.len())
    }
    fn is_subscribed(&self, account: AccountId, name: &MailboxName) -> Result<bool> {
        Ok(self.subscriptions(account)?.contains(name))
    }
    fn property(&self, of: Holder, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.state.properties.get(&(of, name.to_owned())).cloned())
    }
    fn properties(&self, of: Holder) -> Result<Vec<(String, Vec<u8>)>> {
        let all = self.state.properties.iter().filter(|((holder, _), _)| *holder == of);
        Ok(all.map(|((_, name), value)| (name.clone(), value.clone())).collect())
    }
    fn property_names(&self, of: Holder, limit: usize) -> Result<Vec<String>> {
        let names = self.properties(of)?.into_iter().map(|(name, _)| name);
        Ok(names.take(limit).collect())
    }
    fn each_property(
        &self,
        of: Holder,
        from: &str,
        to: &str,
        each: &mut dyn FnMut(&str, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let all = self.properties(of)?;
        let named = all.iter().filter(|(name, _)| (from..=to).contains(&name.as_str()));
        named.into_iter().try_for_each(|(name, value)| each(name, value))
    }
    fn owners(&self, of: Holder) -> Result<Vec<u32>> {
        let (kind, _) = of.key();
        let keys = self.state.properties.keys().map(|(holder, _)| holder.key());
        let all: BTreeSet<u32> = keys.filter(|key| key.0 == kind).map(|key| key.1).collect();
        Ok(all.into_iter().collect())
    }
    fn accessible(&self, identifier: &str) -> Result<Vec<MailboxId>> {
        let named = |(holder, name): &(Holder, String)| match holder {
            Holder::Access(id) if name == identifier => Some(*id),
            _ => None,
        };
        Ok(self.state.properties.keys().filter_map(named).collect())
    }
    fn page_at(&self, mailbox: MailboxId, uid: Uid) -> Result<Option<Uid>> {
        let mut below = self.state.pages.range((mailbox, Uid::FIRST)..=(mailbox, uid));
        Ok(below.next_back().map(|((_, first), _)| *first))
    }
    fn pages(
        &self,
        mailbox: MailboxId,
        from: Uid,
        to: Uid,
        each: &mut dyn FnMut(Uid, &[u8]) -> Result<()>,
    ) -> Result<()> {
        if from > to {
            return Ok(());
        }
        let mut range = self.state.pages.range((mailbox, from)..=(mailbox, to));
        range.try_for_each(|((_, first), page)| each(*first, page))
    }
    fn expunged(&self, mailbox: MailboxId, since: ModSeq) -> Result<Vec<Vec<u8>>> {
        let all = self.state.expunged.iter();
        let later = all.filter(|((id, at), _)| *id == mailbox && *at > since);
        Ok(later.map(|(_, uids)| uids.clone()).collect())
    }
    fn expunged_until(&self, mailbox: MailboxId, until: ModSeq) -> Result<Vec<(ModSeq, Vec<u8>)>> {
        let range = (mailbox, ModSeq(0))..=(mailbox, until);
        let old = self.state.expunged.range(range);
        Ok(old.map(|((_, at), uids)| (*at, uids.clone())).collect())
    }
    fn content_page(&self, number: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.state.contents.get(&number).cloned())
    }
    fn content_pages(&self, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>> {
        let later = self.state.contents.range(from..).take(limit);
        Ok(later.map(|(number, page)| (*number, page.clone())).collect())
    }
    fn summary(&self, id: ContentId) -> Result<Option<Vec<u8>>> {
        Ok(self.state.summaries.get(&id).cloned())
    }
    fn summaries(
        &self,
        from: ContentId,
        to: ContentId,
        each: &mut dyn FnMut(ContentId, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.state.summaries.range(from..=to).try_for_each(|(id, summary)| each(*id, summary))
    }
    fn dead(&self, limit: usize) -> Result<Vec<(ContentId, ContentId)>> {
        Ok(self.state.dead.iter().take(limit).map(|(first, last)| (*first, *last)).collect())
    }
    fn segment(&self, segment: u32) -> Result<(u64, u64)> {
        let (live, all) = self.state.segments.get(&segment).copied().unwrap_or_default();
        Ok((live.max(0) as u64, all.max(0) as u64))
    }
    fn queued(&self, message: MessageId) -> Result<Option<QueuedRow>> {
        Ok(self.state.queued.get(&message).cloned())
    }
    fn recipients(&self, message: MessageId) -> Result<Vec<RecipientRow>> {
        let range = self.state.recipients.range((message, 0)..=(message, u32::MAX));
        Ok(range.map(|(_, row)| row.clone()).collect())
    }
    fn queue(&self, after: Option<MessageId>, limit: usize) -> Result<Vec<QueuedRow>> {
        let all = self.state.queued.values();
        let later = all.filter(|row| after.is_none_or(|after| row.message > after));
        Ok(later.take(limit).cloned().collect())
    }
    fn queue_length(&self) -> Result<u64> {
        Ok(self.state.queued.len() as u64)
    }
    fn due(&self, now: i64, limit: usize, is_wanted: &IsWanted<'_>) -> Result<Vec<Due>> {
        let all = self.state.recipients.iter();
        let mut due: Vec<_> = all.filter(|(_, row)| !row.held && row.next_attempt <= now).collect();
        due.sort_by_key(|((message, n), row)| (row.next_attempt, *message, *n));
        let priority = |message| self.state.queued.get(message).map_or(0, |row| row.terms.priority);
        let due = due.into_iter().map(|((message, n), row)| Due {
            message: *message,
            n: *n,
            domain: row.domain.clone(),
            priority: priority(message),
        });
        Ok(due.filter(|row| is_wanted(row)).take(limit).collect())
    }
    fn next_due(&self, now: i64) -> Result<Option<i64>> {
        let all = self.state.recipients.values().filter(|row| !row.held);
        Ok(all.map(|row| row.next_attempt).filter(|due| *due > now).min())
    }
    fn journey(&self, message: MessageId) -> Result<Vec<Vec<u8>>> {
        let range = self.state.journeys.range((message, 0)..=(message, u32::MAX));
        Ok(range.map(|(_, entry)| entry.clone()).collect())
    }
    fn applied(&self) -> Result<(u32, u64)> {
        Ok(self.state.applied.unwrap_or((1, 0)))
    }
    fn spare(&self) -> Result<(u64, u64)> {
        Ok((0, 0))
    }
}

impl View {
    /// The rows, to be changed; a call that may fail.
    fn rows(&mut self) -> Result<&mut State> {
        self.model.step()?;
        Ok(Arc::make_mut(&mut self.state))
    }
}

impl Txn for View {
    fn put_domain(&mut self, row: &DomainRow) -> Result<()> {
        self.rows()?.domains.insert(row.domain.as_str().to_owned(), row.clone());
        Ok(())
    }
    fn remove_domain(&mut self, name: &str) -> Result<bool> {
        Ok(self.rows()?.domains.remove(name).is_some())
    }
    fn put_account(&mut self, row: &AccountRow) -> Result<()> {
        self.rows()?.accounts.insert(row.address.key(), row.clone());
        Ok(())
    }
    fn remove_account(&mut self, key: &str) -> Result<bool> {
        Ok(self.rows()?.accounts.remove(key).is_some())
    }
    fn put_alias(&mut self, row: &AliasRow) -> Result<()> {
        self.rows()?.aliases.insert(row.address.key(), row.clone());
        Ok(())
    }
    fn remove_alias(&mut self, key: &str) -> Result<bool> {
        Ok(self.rows()?.aliases.remove(key).is_some())
    }
    fn put_route(&mut self, domain: &Domain, target: &str) -> Result<()> {
        let row = (domain.clone(), target.to_owned());
        self.rows()?.routes.insert(domain.as_str().to_owned(), row);
        Ok(())
    }
    fn remove_route(&mut self, domain: &str) -> Result<bool> {
        Ok(self.rows()?.routes.remove(domain).is_some())
    }
    fn put_counter(&mut self, name: &str, value: u64) -> Result<()> {
        self.rows()?.counters.insert(name.to_owned(), value);
        Ok(())
    }
    fn put_mailbox(&mut self, row: &MailboxRow) -> Result<()> {
        let taken = |other: &MailboxRow| {
            other.account == row.account && other.name == row.name && other.id != row.id
        };
        let rows = self.rows()?;
        if rows.mailboxes.values().any(taken) {
            return Err(StoreError::Engine("two mailboxes of one name".to_owned()));
        }
        rows.mailboxes.insert(row.id, row.clone());
        Ok(())
    }
    fn remove_mailbox(&mut self, id: MailboxId) -> Result<()> {
        let rows = self.rows()?;
        rows.mailboxes.remove(&id);
        rows.pages.retain(|(mailbox, _), _| *mailbox != id);
        rows.expunged.retain(|(mailbox, _), _| *mailbox != id);
        Ok(())
    }
    fn put_subscription(&mut self, account: AccountId, name: &MailboxName) -> Result<()> {
        let row = (account, name.as_str().to_owned(), name.clone());
        self.rows()?.subscriptions.insert(row);
        Ok(())
    }
    fn remove_subscription(&mut self, account: AccountId, name: &MailboxName) -> Result<()> {
        let row = (account, name.as_str().to_owned(), name.clone());
        self.rows()?.subscriptions.remove(&row);
        Ok(())
    }
    fn put_property(&mut self, of: Holder, name: &str, value: &[u8]) -> Result<()> {
        self.rows()?.properties.insert((of, name.to_owned()), value.to_vec());
        Ok(())
    }
    fn remove_property(&mut self, of: Holder, name: &str) -> Result<()> {
        self.rows()?.properties.remove(&(of, name.to_owned()));
        Ok(())
    }
    fn remove_properties(&mut self, of: Holder) -> Result<()> {
        self.rows()?.properties.retain(|(holder, _), _| *holder != of);
        Ok(())
    }
    fn put_page(&mut self, mailbox: MailboxId, first: Uid, page: &[u8]) -> Result<()> {
        self.rows()?.pages.insert((mailbox, first), page.to_vec());
        Ok(())
    }
    fn remove_page(&mut self, mailbox: MailboxId, first: Uid) -> Result<()> {
        self.rows()?.pages.remove(&(mailbox, first));
        Ok(())
    }
    fn put_expunged(&mut self, mailbox: MailboxId, at: ModSeq, uids: &[u8]) -> Result<()> {
        self.rows()?.expunged.insert((mailbox, at), uids.to_vec());
        Ok(())
    }
    fn remove_expunged(&mut self, mailbox: MailboxId, until: ModSeq) -> Result<()> {
        self.rows()?.expunged.retain(|(id, at), _| *id != mailbox || *at > until);
        Ok(())
    }
    fn give_back(&mut self, _: u64) -> Result<()> {
        Ok(())
    }
    fn put_content_page(&mut self, number: u64, page: &[u8]) -> Result<()> {
        self.rows()?.contents.insert(number, page.to_vec());
        Ok(())
    }
    fn remove_content_page(&mut self, number: u64) -> Result<()> {
        self.rows()?.contents.remove(&number);
        Ok(())
    }
    fn put_summary(&mut self, id: ContentId, summary: &[u8]) -> Result<()> {
        self.rows()?.summaries.insert(id, summary.to_vec());
        Ok(())
    }
    fn remove_summaries(&mut self, from: ContentId, to: ContentId, limit: usize) -> Result<usize> {
        let rows = self.rows()?;
        let range = rows.summaries.range(from..=to).take(limit);
        let gone: Vec<ContentId> = range.map(|(id, _)| *id).collect();
        rows.summaries.retain(|id, _| gone.binary_search(id).is_err());
        Ok(gone.len())
    }
    fn put_dead(&mut self, first: ContentId, last: ContentId) -> Result<()> {
        self.rows()?.dead.insert(first, last);
        Ok(())
    }
    fn remove_dead(&mut self, first: ContentId) -> Result<()> {
        self.rows()?.dead.remove(&first);
        Ok(())
    }
    fn add_to_segment(&mut self, segment: u32, live: i64, all: i64) -> Result<()> {
        let octets = self.rows()?.segments.entry(segment).or_default();
        *octets = (octets.0 + live, octets.1 + all);
        Ok(())
    }
    fn put_queued(&mut self, row: &QueuedRow) -> Result<()> {
        self.rows()?.queued.insert(row.message, row.clone());
        Ok(())
    }
    fn remove_queued(&mut self, message: MessageId) -> Result<()> {
        let rows = self.rows()?;
        rows.queued.remove(&message);
        rows.recipients.retain(|(other, _), _| *other != message);
        Ok(())
    }
    fn put_recipient(&mut self, message: MessageId, row: &RecipientRow) -> Result<()> {
        self.rows()?.recipients.insert((message, row.n), row.clone());
        Ok(())
    }
    fn remove_recipient(&mut self, message: MessageId, n: u32) -> Result<()> {
        self.rows()?.recipients.remove(&(message, n));
        Ok(())
    }
    fn put_journey(&mut self, message: MessageId, entry: &[u8]) -> Result<()> {
        self.rows()?.journeys.insert((message, 0), entry.to_vec());
        Ok(())
    }
    fn add_journey(&mut self, message: MessageId, entry: &[u8]) -> Result<()> {
        let rows = self.rows()?;
        let last = rows.journeys.range((message, 0)..=(message, u32::MAX)).next_back();
        let n = last.map_or(1, |((_, n), _)| n + 1);
        rows.journeys.insert((message, n), entry.to_vec());
        Ok(())
    }
    fn prune_journeys(&mut self, before: MessageId, limit: usize) -> Result<()> {
        let rows = self.rows()?;
        let old = rows.journeys.range(..(before, 0)).take(limit);
        let gone: BTreeSet<(MessageId, u32)> = old.map(|(key, _)| *key).collect();
        rows.journeys.retain(|key, _| !gone.contains(key));
        Ok(())
    }
    fn set_applied(&mut self, segment: u32, offset: u64) -> Result<()> {
        self.rows()?.applied = Some((segment, offset));
        Ok(())
    }
}
