//! Statements on the queue, journeys and the mark of what is applied.

use super::{Handle, column, engine, parsed};
use crate::error::Result;
use crate::queue::{of_origin, origin};
use crate::rows::{Notify, QueuedRow, RecipientRow, Ret};
use crate::terms::Terms;
use crate::txn::{Due, IsWanted};
use mail::{AccountId, Address, ContentId, Domain, MessageId, ReversePath};
use rusqlite::{Row, params};

const QUEUED: &str = "SELECT message, content, size, skip, sender, ret, envid, body8, smtputf8,
    arrived, expires, submitted_by FROM queued";
const RECIPIENT: &str = "SELECT n, address, domain, held, attempts, due, last_reply, last_host,
    delay_told, notify, orcpt FROM recipient";

fn message_id(row: &Row<'_>, n: usize) -> Result<MessageId> {
    Ok(MessageId::from_u64(column::<i64>(row, n)? as u64))
}

fn queued_row(row: &Row<'_>) -> Result<QueuedRow> {
    let sender: String = column(row, 4)?;
    let ret: Option<String> = column(row, 5)?;
    Ok(QueuedRow {
        message: message_id(row, 0)?,
        content: ContentId(column::<i64>(row, 1)? as u64),
        size: column::<i64>(row, 2)? as u64,
        skip: column(row, 3)?,
        sender: Address::parse(&sender).map_or(ReversePath::Null, ReversePath::Address),
        ret: ret.map(|text| if text == "FULL" { Ret::Full } else { Ret::Headers }),
        envid: column(row, 6)?,
        terms: Terms::unpack(column(row, 7)?).with_hold(column::<i64>(row, 8)? >> 1),
        smtputf8: column::<i64>(row, 8)? & 1 != 0,
        arrived: column(row, 9)?,
        expires: column(row, 10)?,
        submitted_by: column::<Option<u32>>(row, 11)?.map(AccountId),
    })
}

fn recipient_row(row: &Row<'_>) -> Result<RecipientRow> {
    let (orcpt, named) = of_origin(column(row, 10)?);
    Ok(RecipientRow {
        n: column(row, 0)?,
        address: parsed(row, 1, |text| Address::parse(text).ok())?,
        domain: parsed(row, 2, |text| Domain::parse(text).ok())?,
        held: column(row, 3)?,
        attempts: column(row, 4)?,
        next_attempt: column(row, 5)?,
        last_reply: column(row, 6)?,
        last_host: column(row, 7)?,
        delay_told: column(row, 8)?,
        notify: Notify(column(row, 9)?),
        orcpt,
        named,
    })
}

impl Handle {
    pub(super) fn queued_row(&self, message: MessageId) -> Result<Option<QueuedRow>> {
        let sql = format!("{QUEUED} WHERE message = ?1");
        self.first(&sql, [message.as_u64() as i64], queued_row)
    }
    pub(super) fn recipient_rows(&self, message: MessageId) -> Result<Vec<RecipientRow>> {
        let sql = format!("{RECIPIENT} WHERE message = ?1 ORDER BY n");
        self.all(&sql, [message.as_u64() as i64], recipient_row)
    }
    pub(super) fn queued_rows(
        &self,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<QueuedRow>> {
        let after = after.map_or(-1, |id| id.as_u64() as i64);
        let sql = format!("{QUEUED} WHERE message > ?1 ORDER BY message LIMIT ?2");
        self.all(&sql, params![after, limit as i64], queued_row)
    }
    pub(super) fn queued_count(&self) -> Result<u64> {
        Ok(self.count("SELECT count(*) FROM queued", [])? as u64)
    }
    pub(super) fn due_rows(
        &self,
        now: i64,
        limit: usize,
        is_wanted: &IsWanted<'_>,
    ) -> Result<Vec<Due>> {
        let sql = "SELECT r.message, r.n, r.domain, q.body8
                   FROM recipient r CROSS JOIN queued q ON q.message = r.message
                   WHERE r.held = 0 AND r.due <= ?1 ORDER BY r.due, r.message, r.n";
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query([now]).map_err(engine)?;
        let mut due = Vec::new();
        while let Some(row) = rows.next().map_err(engine)? {
            let row = Due {
                message: message_id(row, 0)?,
                n: column(row, 1)?,
                domain: parsed(row, 2, |text| Domain::parse(text).ok())?,
                priority: Terms::unpack(column(row, 3)?).priority,
            };
            if is_wanted(&row) {
                due.push(row);
            }
            if due.len() >= limit {
                break;
            }
        }
        Ok(due)
    }
    pub(super) fn next_due_after(&self, now: i64) -> Result<Option<i64>> {
        let sql = "SELECT due FROM recipient WHERE held = 0 AND due > ?1 ORDER BY due LIMIT 1";
        self.first(sql, [now], |row| column(row, 0))
    }
    pub(super) fn journey_rows(&self, message: MessageId) -> Result<Vec<Vec<u8>>> {
        let sql = "SELECT data FROM journey WHERE message = ?1 ORDER BY n";
        self.all(sql, [message.as_u64() as i64], |row| column(row, 0))
    }
    pub(super) fn applied_mark(&self) -> Result<(u32, u64)> {
        let found = self.first("SELECT segment, off FROM applied WHERE k = 1", [], |row| {
            Ok((column::<u32>(row, 0)?, column::<i64>(row, 1)? as u64))
        })?;
        Ok(found.unwrap_or((1, 0)))
    }

    pub(super) fn write_queued(&self, row: &QueuedRow) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO queued(message, content, size, skip, sender, ret, envid,
                body8, smtputf8, arrived, expires, submitted_by)
            VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        let ret = row.ret.map(|ret| if ret == Ret::Full { "FULL" } else { "HDRS" });
        self.execute(
            sql,
            params![
                row.message.as_u64() as i64,
                row.content.0 as i64,
                row.size as i64,
                row.skip,
                row.sender.to_string(),
                ret,
                row.envid,
                row.terms.pack(),
                i64::from(row.smtputf8) | row.terms.pack_hold() << 1,
                row.arrived,
                row.expires,
                row.submitted_by.map(|id| id.0),
            ],
        )
        .map(drop)
    }
    pub(super) fn delete_queued(&self, message: MessageId) -> Result<()> {
        let id = [message.as_u64() as i64];
        self.execute("DELETE FROM recipient WHERE message = ?1", id)?;
        self.execute("DELETE FROM queued WHERE message = ?1", id).map(drop)
    }
    pub(super) fn write_recipient(&self, message: MessageId, row: &RecipientRow) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO recipient(message, n, address, domain, held, attempts,
                due, last_reply, last_host, delay_told, notify, orcpt)
            VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        self.execute(
            sql,
            params![
                message.as_u64() as i64,
                row.n,
                row.address.to_string(),
                row.domain.as_str(),
                row.held,
                row.attempts,
                row.next_attempt,
                row.last_reply,
                row.last_host,
                row.delay_told,
                row.notify.0,
                origin(row.orcpt.as_deref(), row.named.as_ref()),
            ],
        )
        .map(drop)
    }
    pub(super) fn delete_recipient(&self, message: MessageId, n: u32) -> Result<()> {
        let sql = "DELETE FROM recipient WHERE message = ?1 AND n = ?2";
        self.execute(sql, params![message.as_u64() as i64, n]).map(drop)
    }
    pub(super) fn write_journey(&self, message: MessageId, entry: &[u8]) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO journey(message, n, data) VALUES(?1, 0, ?2)";
        self.execute(sql, params![message.as_u64() as i64, entry]).map(drop)
    }
    pub(super) fn insert_journey(&self, message: MessageId, entry: &[u8]) -> Result<()> {
        let sql = "INSERT INTO journey(message, n, data) VALUES(?1,
            (SELECT coalesce(max(n), 0) + 1 FROM journey WHERE message = ?1), ?2)";
        self.execute(sql, params![message.as_u64() as i64, entry]).map(drop)
    }
    pub(super) fn delete_journeys(&self, before: MessageId, limit: usize) -> Result<()> {
        let sql = "DELETE FROM journey WHERE (message, n) IN
            (SELECT message, n FROM journey WHERE message < ?1 ORDER BY message LIMIT ?2)";
        self.execute(sql, params![before.as_u64() as i64, limit as i64]).map(drop)
    }
    pub(super) fn write_applied(&self, segment: u32, offset: u64) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO applied(k, segment, off) VALUES(1, ?1, ?2)";
        self.execute(sql, params![segment, offset as i64]).map(drop)
    }
}
