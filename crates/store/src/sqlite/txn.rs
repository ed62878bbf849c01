//! tidy: table. The engine seam's operations, each on its statement in the modules beside this one.

use super::Handle;
use crate::error::Result;
use crate::rows::*;
use crate::txn::{Due, IsWanted, ReadTxn, Txn};
use mail::{AccountId, ContentId, Domain, MailboxId, MailboxName, MessageId, ModSeq, Uid};
use rusqlite::params;

impl ReadTxn for Handle {
    fn domain(&self, name: &str) -> Result<Option<DomainRow>> {
        self.domain_row(name)
    }
    fn domains(&self) -> Result<Vec<DomainRow>> {
        self.domain_rows()
    }
    fn account(&self, key: &str) -> Result<Option<AccountRow>> {
        self.account_row(key)
    }
    fn accounts(&self) -> Result<Vec<AccountRow>> {
        self.account_rows()
    }
    fn alias(&self, key: &str) -> Result<Option<AliasRow>> {
        self.alias_row(key)
    }
    fn aliases(&self) -> Result<Vec<AliasRow>> {
        self.alias_rows()
    }
    fn route(&self, domain: &str) -> Result<Option<String>> {
        self.route_target(domain)
    }
    fn routes(&self) -> Result<Vec<(Domain, String)>> {
        self.route_rows()
    }
    fn counter(&self, name: &str) -> Result<u64> {
        self.counter_value(name)
    }
    fn mailbox(&self, id: MailboxId) -> Result<Option<MailboxRow>> {
        self.mailbox_row(id)
    }
    fn mailbox_named(&self, account: AccountId, name: &MailboxName) -> Result<Option<MailboxRow>> {
        self.mailbox_row_named(account, name)
    }
    fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxRow>> {
        self.mailbox_rows(account)
    }
    fn mailbox_count(&self, account: AccountId) -> Result<usize> {
        self.count("SELECT COUNT(*) FROM mailbox WHERE account = ?1", [account.0])
    }
    fn has_mailbox_below(&self, account: AccountId, name: &MailboxName) -> Result<bool> {
        self.mailbox_row_below(account, name)
    }
    fn mailboxes_below(&self, account: AccountId, name: &MailboxName) -> Result<Vec<MailboxRow>> {
        self.mailbox_rows_below(account, name)
    }
    fn every_mailbox(&self) -> Result<Vec<MailboxRow>> {
        self.every_mailbox_row()
    }
    fn mailboxes_with_pages(&self) -> Result<Vec<MailboxId>> {
        let sql = "SELECT DISTINCT id >> 32 FROM page ORDER BY 1";
        self.all(sql, [], |row| Ok(MailboxId(super::column(row, 0)?)))
    }
    fn subscriptions(&self, account: AccountId) -> Result<Vec<MailboxName>> {
        self.subscription_names(account)
    }
    fn subscription_count(&self, account: AccountId) -> Result<usize> {
        self.count("SELECT COUNT(*) FROM subscription WHERE account = ?1", [account.0])
    }
    fn is_subscribed(&self, account: AccountId, name: &MailboxName) -> Result<bool> {
        let sql = "SELECT COUNT(*) FROM subscription WHERE account = ?1 AND name = ?2";
        Ok(self.count(sql, params![account.0, name.as_str()])? > 0)
    }
    fn property(&self, of: Holder, name: &str) -> Result<Option<Vec<u8>>> {
        self.property_value(of, name)
    }
    fn properties(&self, of: Holder) -> Result<Vec<(String, Vec<u8>)>> {
        self.property_values(of)
    }
    fn property_names(&self, of: Holder, limit: usize) -> Result<Vec<String>> {
        self.names_of_properties(of, limit)
    }
    fn each_property(
        &self,
        of: Holder,
        from: &str,
        to: &str,
        each: &mut dyn FnMut(&str, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.each_property_value(of, from, to, each)
    }
    fn owners(&self, of: Holder) -> Result<Vec<u32>> {
        self.property_owners(of)
    }
    fn accessible(&self, identifier: &str) -> Result<Vec<MailboxId>> {
        self.access_of(identifier)
    }
    fn page_at(&self, mailbox: MailboxId, uid: Uid) -> Result<Option<Uid>> {
        self.page_first(mailbox, uid)
    }
    fn pages(
        &self,
        mailbox: MailboxId,
        from: Uid,
        to: Uid,
        each: &mut dyn FnMut(Uid, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.each_page(mailbox, from, to, each)
    }
    fn expunged(&self, mailbox: MailboxId, since: ModSeq) -> Result<Vec<Vec<u8>>> {
        self.expunged_rows(mailbox, since)
    }
    fn expunged_until(&self, mailbox: MailboxId, until: ModSeq) -> Result<Vec<(ModSeq, Vec<u8>)>> {
        self.old_expunged_rows(mailbox, until)
    }
    fn content_page(&self, number: u64) -> Result<Option<Vec<u8>>> {
        self.content_page_data(number)
    }
    fn content_pages(&self, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>> {
        self.content_pages_data(from, limit)
    }
    fn summary(&self, id: ContentId) -> Result<Option<Vec<u8>>> {
        self.summary_data(id)
    }
    fn summaries(
        &self,
        from: ContentId,
        to: ContentId,
        each: &mut dyn FnMut(ContentId, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.each_summary(from, to, each)
    }
    fn dead(&self, limit: usize) -> Result<Vec<(ContentId, ContentId)>> {
        self.dead_runs(limit)
    }
    fn segment(&self, segment: u32) -> Result<(u64, u64)> {
        self.segment_octets(segment)
    }
    fn queued(&self, message: MessageId) -> Result<Option<QueuedRow>> {
        self.queued_row(message)
    }
    fn recipients(&self, message: MessageId) -> Result<Vec<RecipientRow>> {
        self.recipient_rows(message)
    }
    fn queue(&self, after: Option<MessageId>, limit: usize) -> Result<Vec<QueuedRow>> {
        self.queued_rows(after, limit)
    }
    fn queue_length(&self) -> Result<u64> {
        self.queued_count()
    }
    fn due(&self, now: i64, limit: usize, is_wanted: &IsWanted<'_>) -> Result<Vec<Due>> {
        self.due_rows(now, limit, is_wanted)
    }
    fn next_due(&self, now: i64) -> Result<Option<i64>> {
        self.next_due_after(now)
    }
    fn journey(&self, message: MessageId) -> Result<Vec<Vec<u8>>> {
        self.journey_rows(message)
    }
    fn applied(&self) -> Result<(u32, u64)> {
        self.applied_mark()
    }
    fn spare(&self) -> Result<(u64, u64)> {
        self.spare_octets()
    }
}

impl Txn for Handle {
    fn put_domain(&mut self, row: &DomainRow) -> Result<()> {
        self.write_domain(row)
    }
    fn remove_domain(&mut self, name: &str) -> Result<bool> {
        self.execute("DELETE FROM domain WHERE name = ?1", [name]).map(|n| n > 0)
    }
    fn put_account(&mut self, row: &AccountRow) -> Result<()> {
        self.write_account(row)
    }
    fn remove_account(&mut self, key: &str) -> Result<bool> {
        self.execute("DELETE FROM account WHERE key = ?1", [key]).map(|n| n > 0)
    }
    fn put_alias(&mut self, row: &AliasRow) -> Result<()> {
        self.write_alias(row)
    }
    fn remove_alias(&mut self, key: &str) -> Result<bool> {
        self.execute("DELETE FROM alias WHERE key = ?1", [key]).map(|n| n > 0)
    }
    fn put_route(&mut self, domain: &Domain, target: &str) -> Result<()> {
        self.write_route(domain, target)
    }
    fn remove_route(&mut self, domain: &str) -> Result<bool> {
        self.execute("DELETE FROM route WHERE domain = ?1", [domain]).map(|n| n > 0)
    }
    fn put_counter(&mut self, name: &str, value: u64) -> Result<()> {
        self.write_counter(name, value)
    }
    fn put_mailbox(&mut self, row: &MailboxRow) -> Result<()> {
        self.write_mailbox(row)
    }
    fn remove_mailbox(&mut self, id: MailboxId) -> Result<()> {
        self.delete_mailbox(id)
    }
    fn put_subscription(&mut self, account: AccountId, name: &MailboxName) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO subscription(account, name) VALUES(?1, ?2)",
            (account.0, name.as_str()),
        )
        .map(drop)
    }
    fn remove_subscription(&mut self, account: AccountId, name: &MailboxName) -> Result<()> {
        self.execute(
            "DELETE FROM subscription WHERE account = ?1 AND name = ?2",
            (account.0, name.as_str()),
        )
        .map(drop)
    }
    fn put_property(&mut self, of: Holder, name: &str, value: &[u8]) -> Result<()> {
        self.write_property(of, name, value)
    }
    fn remove_property(&mut self, of: Holder, name: &str) -> Result<()> {
        let sql = "DELETE FROM property WHERE kind = ?1 AND owner = ?2 AND name = ?3";
        let (kind, owner) = of.key();
        self.execute(sql, (kind, owner, name)).map(drop)
    }
    fn remove_properties(&mut self, of: Holder) -> Result<()> {
        let sql = "DELETE FROM property WHERE kind = ?1 AND owner = ?2";
        self.execute(sql, of.key()).map(drop)
    }
    fn put_page(&mut self, mailbox: MailboxId, first: Uid, page: &[u8]) -> Result<()> {
        self.write_page(mailbox, first, page)
    }
    fn remove_page(&mut self, mailbox: MailboxId, first: Uid) -> Result<()> {
        self.delete_page(mailbox, first)
    }
    fn put_expunged(&mut self, mailbox: MailboxId, at: ModSeq, uids: &[u8]) -> Result<()> {
        self.insert_expunged(mailbox, at, uids)
    }
    fn remove_expunged(&mut self, mailbox: MailboxId, until: ModSeq) -> Result<()> {
        self.delete_expunged(mailbox, until)
    }
    fn give_back(&mut self, octets: u64) -> Result<()> {
        self.vacuum(octets)
    }
    fn put_content_page(&mut self, number: u64, page: &[u8]) -> Result<()> {
        self.write_content_page(number, page)
    }
    fn remove_content_page(&mut self, number: u64) -> Result<()> {
        self.execute("DELETE FROM content WHERE id = ?1", [number as i64]).map(drop)
    }
    fn put_summary(&mut self, id: ContentId, summary: &[u8]) -> Result<()> {
        self.write_summary(id, summary)
    }
    fn remove_summaries(&mut self, from: ContentId, to: ContentId, limit: usize) -> Result<usize> {
        self.delete_summaries(from, to, limit)
    }
    fn put_dead(&mut self, first: ContentId, last: ContentId) -> Result<()> {
        self.write_dead(first, last)
    }
    fn remove_dead(&mut self, first: ContentId) -> Result<()> {
        self.execute("DELETE FROM dead WHERE first = ?1", [first.0 as i64]).map(drop)
    }
    fn add_to_segment(&mut self, segment: u32, live: i64, all: i64) -> Result<()> {
        self.add_octets(segment, live, all)
    }
    fn put_queued(&mut self, row: &QueuedRow) -> Result<()> {
        self.write_queued(row)
    }
    fn remove_queued(&mut self, message: MessageId) -> Result<()> {
        self.delete_queued(message)
    }
    fn put_recipient(&mut self, message: MessageId, row: &RecipientRow) -> Result<()> {
        self.write_recipient(message, row)
    }
    fn remove_recipient(&mut self, message: MessageId, n: u32) -> Result<()> {
        self.delete_recipient(message, n)
    }
    fn put_journey(&mut self, message: MessageId, entry: &[u8]) -> Result<()> {
        self.write_journey(message, entry)
    }
    fn add_journey(&mut self, message: MessageId, entry: &[u8]) -> Result<()> {
        self.insert_journey(message, entry)
    }
    fn prune_journeys(&mut self, before: MessageId, limit: usize) -> Result<()> {
        self.delete_journeys(before, limit)
    }
    fn set_applied(&mut self, segment: u32, offset: u64) -> Result<()> {
        self.write_applied(segment, offset)
    }
}
