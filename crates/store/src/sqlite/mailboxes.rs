//! Statements on mailboxes and subscriptions.

use super::{Handle, column, parsed};
use crate::error::{Result, StoreError};
use crate::rows::MailboxRow;
use mail::{
    AccountId, Keyword, KeywordTable, MailboxId, MailboxName, ModSeq, SpecialUse, Uid, UidValidity,
};
use rusqlite::{Row, params};
use std::num::NonZeroU32;
use std::sync::Arc;

const COLUMNS: &str = "SELECT id, account, name, special, uidvalidity, uidnext, modseq, messages,
    unseen, deleted, octets, recent_from, keywords FROM mailbox";

fn mailbox_row(row: &Row<'_>) -> Result<MailboxRow> {
    let special: Option<String> = column(row, 3)?;
    let validity = NonZeroU32::new(column(row, 4)?)
        .ok_or_else(|| StoreError::Corrupt("a mailbox with UIDVALIDITY 0".to_owned()))?;
    let keywords: String = column(row, 12)?;
    let names = keywords.split(' ').filter(|name| !name.is_empty());
    Ok(MailboxRow {
        id: MailboxId(column(row, 0)?),
        account: AccountId(column(row, 1)?),
        name: parsed(row, 2, |text| MailboxName::new(text).ok())?,
        special_use: special.and_then(|text| SpecialUse::parse(&text)),
        uidvalidity: UidValidity(validity),
        uidnext: Uid::new(column(row, 5)?),
        modseq: ModSeq(column::<i64>(row, 6)? as u64),
        exists: column(row, 7)?,
        unseen: column(row, 8)?,
        deleted: column(row, 9)?,
        octets: column::<i64>(row, 10)? as u64,
        recent_from: column(row, 11)?,
        keywords: Arc::new(KeywordTable::from_names(names)),
    })
}

impl Handle {
    pub(super) fn mailbox_row(&self, id: MailboxId) -> Result<Option<MailboxRow>> {
        self.first(&format!("{COLUMNS} WHERE id = ?1"), [id.0], mailbox_row)
    }
    pub(super) fn mailbox_row_named(
        &self,
        account: AccountId,
        name: &MailboxName,
    ) -> Result<Option<MailboxRow>> {
        let sql = format!("{COLUMNS} WHERE account = ?1 AND name = ?2");
        self.first(&sql, params![account.0, name.as_str()], mailbox_row)
    }
    pub(super) fn mailbox_rows(&self, account: AccountId) -> Result<Vec<MailboxRow>> {
        self.all(&format!("{COLUMNS} WHERE account = ?1 ORDER BY name"), [account.0], mailbox_row)
    }
    /// Names below `a` begin with `a/`; '0' comes after '/' among octets.
    pub(super) fn mailbox_row_below(&self, account: AccountId, name: &MailboxName) -> Result<bool> {
        let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM mailbox
            WHERE account = ?1 AND name > ?2 || '/' AND name < ?2 || '0' LIMIT 1)";
        Ok(self.count(sql, params![account.0, name.as_str()])? > 0)
    }
    pub(super) fn mailbox_rows_below(
        &self,
        account: AccountId,
        name: &MailboxName,
    ) -> Result<Vec<MailboxRow>> {
        let sql = format!(
            "{COLUMNS} WHERE account = ?1 AND name > ?2 || '/' AND name < ?2 || '0' ORDER BY name"
        );
        self.all(&sql, params![account.0, name.as_str()], mailbox_row)
    }
    pub(super) fn every_mailbox_row(&self) -> Result<Vec<MailboxRow>> {
        self.all(&format!("{COLUMNS} ORDER BY id"), [], mailbox_row)
    }
    pub(super) fn subscription_names(&self, account: AccountId) -> Result<Vec<MailboxName>> {
        let sql = "SELECT name FROM subscription WHERE account = ?1 ORDER BY name";
        self.all(sql, [account.0], |row| parsed(row, 0, |text| MailboxName::new(text).ok()))
    }

    pub(super) fn write_mailbox(&self, row: &MailboxRow) -> Result<()> {
        let sql = "INSERT INTO mailbox(id, account, name, special, uidvalidity, uidnext, modseq,
                messages, unseen, deleted, octets, recent_from, keywords)
            VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
            ON CONFLICT(id) DO UPDATE SET name = excluded.name, special = excluded.special,
                uidvalidity = excluded.uidvalidity, uidnext = excluded.uidnext,
                modseq = excluded.modseq, messages = excluded.messages, unseen = excluded.unseen,
                deleted = excluded.deleted, octets = excluded.octets,
                recent_from = excluded.recent_from, keywords = excluded.keywords";
        let keywords: Vec<&str> = row.keywords.iter().map(Keyword::as_str).collect();
        self.execute(
            sql,
            params![
                row.id.0,
                row.account.0,
                row.name.as_str(),
                row.special_use.map(SpecialUse::attribute),
                row.uidvalidity.0.get(),
                row.uidnext.map_or(0, Uid::get),
                row.modseq.0 as i64,
                row.exists,
                row.unseen,
                row.deleted,
                row.octets as i64,
                row.recent_from,
                keywords.join(" "),
            ],
        )
        .map(drop)
    }

    pub(super) fn delete_mailbox(&self, id: MailboxId) -> Result<()> {
        let (from, to) = super::messages::range(id, Uid::FIRST, Uid::MAX);
        self.execute("DELETE FROM page WHERE id BETWEEN ?1 AND ?2", [from, to])?;
        self.execute("DELETE FROM expunged WHERE mailbox = ?1", [id.0])?;
        self.execute("DELETE FROM mailbox WHERE id = ?1", [id.0]).map(drop)
    }
}
