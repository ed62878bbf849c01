//! Statements on pages of messages and of contents, summaries and segments.

use super::{Handle, column, engine};
use crate::error::{Result, StoreError};
use mail::{ContentId, MailboxId, ModSeq, Uid};
use rusqlite::{Row, params};

/// The key of a page.
fn key(mailbox: MailboxId, uid: Uid) -> i64 {
    i64::from(mailbox.0) << 32 | i64::from(uid.get())
}

/// The keys of a range of pages.
pub(super) fn range(mailbox: MailboxId, from: Uid, to: Uid) -> (i64, i64) {
    (key(mailbox, from), key(mailbox, to))
}

fn uid_of(key: i64) -> Result<Uid> {
    Uid::new(key as u32).ok_or_else(|| StoreError::Corrupt("a page of UID 0".to_owned()))
}

impl Handle {
    pub(super) fn page_first(&self, mailbox: MailboxId, uid: Uid) -> Result<Option<Uid>> {
        let (from, to) = range(mailbox, Uid::FIRST, uid);
        let sql = "SELECT id FROM page WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1";
        self.first(sql, [from, to], |row| uid_of(column(row, 0)?))
    }
    pub(super) fn each_page(
        &self,
        mailbox: MailboxId,
        from: Uid,
        to: Uid,
        each: &mut dyn FnMut(Uid, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let (from, to) = range(mailbox, from, to);
        let sql = "SELECT id, data FROM page WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
        self.each_blob(sql, (from, to), |id, data| each(uid_of(id)?, data))
    }
    /// Rows of a number and a blob, the blob not copied.
    fn each_blob(
        &self,
        sql: &str,
        (from, to): (i64, i64),
        mut each: impl FnMut(i64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query([from, to]).map_err(engine)?;
        while let Some(row) = rows.next().map_err(engine)? {
            let data = row.get_ref(1).map_err(engine)?.as_blob();
            let data = data.map_err(|error| StoreError::Corrupt(error.to_string()))?;
            each(column(row, 0)?, data)?;
        }
        Ok(())
    }
    pub(super) fn expunged_rows(&self, mailbox: MailboxId, since: ModSeq) -> Result<Vec<Vec<u8>>> {
        let sql = "SELECT uids FROM expunged WHERE mailbox = ?1 AND modseq > ?2 ORDER BY modseq";
        self.all(sql, params![mailbox.0, since.0 as i64], |row| column(row, 0))
    }
    pub(super) fn old_expunged_rows(
        &self,
        mailbox: MailboxId,
        until: ModSeq,
    ) -> Result<Vec<(ModSeq, Vec<u8>)>> {
        let sql = "SELECT modseq, uids FROM expunged WHERE mailbox = ?1 AND modseq <= ?2
                   ORDER BY modseq";
        self.all(sql, params![mailbox.0, until.0 as i64], |row| {
            Ok((ModSeq(column::<i64>(row, 0)? as u64), column(row, 1)?))
        })
    }
    pub(super) fn content_page_data(&self, number: u64) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT data FROM content WHERE id = ?1";
        self.first(sql, [number as i64], |row| column(row, 0))
    }
    pub(super) fn content_pages_data(
        &self,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>> {
        let sql = "SELECT id, data FROM content WHERE id >= ?1 ORDER BY id LIMIT ?2";
        self.all(sql, params![from as i64, limit as i64], |row| {
            Ok((column::<i64>(row, 0)? as u64, column(row, 1)?))
        })
    }
    pub(super) fn summary_data(&self, id: ContentId) -> Result<Option<Vec<u8>>> {
        self.first("SELECT data FROM summary WHERE id = ?1", [id.0 as i64], |row| column(row, 0))
    }
    pub(super) fn each_summary(
        &self,
        from: ContentId,
        to: ContentId,
        each: &mut dyn FnMut(ContentId, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let sql = "SELECT id, data FROM summary WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
        let keys = (from.0 as i64, to.0 as i64);
        self.each_blob(sql, keys, |id, data| each(ContentId(id as u64), data))
    }
    pub(super) fn dead_runs(&self, limit: usize) -> Result<Vec<(ContentId, ContentId)>> {
        let sql = "SELECT first, last FROM dead ORDER BY first LIMIT ?1";
        self.all(sql, [limit as i64], |row| {
            let (first, last) = (column::<i64>(row, 0)?, column::<i64>(row, 1)?);
            Ok((ContentId(first as u64), ContentId(last as u64)))
        })
    }
    pub(super) fn segment_octets(&self, segment: u32) -> Result<(u64, u64)> {
        let sql = "SELECT live, total FROM segment WHERE id = ?1";
        let octets = |row: &Row<'_>, n| Ok(column::<i64>(row, n)?.max(0) as u64);
        let found = self.first(sql, [segment], |row| Ok((octets(row, 0)?, octets(row, 1)?)))?;
        Ok(found.unwrap_or((0, 0)))
    }

    pub(super) fn write_page(&self, mailbox: MailboxId, first: Uid, page: &[u8]) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO page(id, data) VALUES(?1, ?2)";
        self.execute(sql, params![key(mailbox, first), page]).map(drop)
    }
    pub(super) fn delete_page(&self, mailbox: MailboxId, first: Uid) -> Result<()> {
        self.execute("DELETE FROM page WHERE id = ?1", [key(mailbox, first)]).map(drop)
    }
    pub(super) fn insert_expunged(
        &self,
        mailbox: MailboxId,
        modseq: ModSeq,
        uids: &[u8],
    ) -> Result<()> {
        let sql = "INSERT INTO expunged(mailbox, modseq, uids) VALUES(?1, ?2, ?3)";
        self.execute(sql, params![mailbox.0, modseq.0 as i64, uids]).map(drop)
    }
    pub(super) fn delete_expunged(&self, mailbox: MailboxId, until: ModSeq) -> Result<()> {
        let sql = "DELETE FROM expunged WHERE mailbox = ?1 AND modseq <= ?2";
        self.execute(sql, params![mailbox.0, until.0 as i64]).map(drop)
    }
    pub(super) fn write_content_page(&self, number: u64, page: &[u8]) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO content(id, data) VALUES(?1, ?2)";
        self.execute(sql, params![number as i64, page]).map(drop)
    }
    pub(super) fn write_summary(&self, id: ContentId, summary: &[u8]) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO summary(id, data) VALUES(?1, ?2)";
        self.execute(sql, params![id.0 as i64, summary]).map(drop)
    }
    pub(super) fn delete_summaries(
        &self,
        from: ContentId,
        to: ContentId,
        limit: usize,
    ) -> Result<usize> {
        let sql = "DELETE FROM summary WHERE id IN
            (SELECT id FROM summary WHERE id BETWEEN ?1 AND ?2 LIMIT ?3)";
        self.execute(sql, params![from.0 as i64, to.0 as i64, limit as i64])
    }
    pub(super) fn write_dead(&self, first: ContentId, last: ContentId) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO dead(first, last) VALUES(?1, ?2)";
        self.execute(sql, params![first.0 as i64, last.0 as i64]).map(drop)
    }
    pub(super) fn add_octets(&self, segment: u32, live: i64, all: i64) -> Result<()> {
        let sql = "INSERT INTO segment(id, live, total) VALUES(?1, ?2, ?3)
                   ON CONFLICT(id) DO UPDATE SET
                       live = live + excluded.live, total = total + excluded.total";
        self.execute(sql, params![segment, live, all]).map(drop)
    }
}
