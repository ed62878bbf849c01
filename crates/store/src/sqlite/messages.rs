//! Statements on messages and their content.

use super::{Handle, column};
use crate::error::{Result, StoreError};
use crate::rows::ContentRow;
use mail::{ContentId, Entry, FlagBits, MailboxId, ModSeq, Uid};
use rusqlite::{Row, params};

/// The key of a message.
pub(super) fn key(mailbox: MailboxId, uid: Uid) -> i64 {
    i64::from(mailbox.0) << 32 | i64::from(uid.get())
}

/// The keys of a range of messages.
pub(super) fn range(mailbox: MailboxId, from: Uid, to: Uid) -> (i64, i64) {
    (key(mailbox, from), key(mailbox, to))
}

fn entry_row(row: &Row<'_>) -> Result<Entry> {
    let id: i64 = column(row, 0)?;
    let uid = Uid::new(id as u32);
    Ok(Entry {
        uid: uid.ok_or_else(|| StoreError::Corrupt("a message with UID 0".to_owned()))?,
        modseq: ModSeq(column::<i64>(row, 1)? as u64),
        flags: FlagBits(column::<i64>(row, 2)? as u64),
        date: column(row, 3)?,
        size: column(row, 4)?,
        content: ContentId(column::<i64>(row, 5)? as u64),
    })
}

fn content_row(row: &Row<'_>) -> Result<ContentRow> {
    Ok(ContentRow {
        id: ContentId(column::<i64>(row, 0)? as u64),
        segment: column(row, 1)?,
        offset: column::<i64>(row, 2)? as u64,
        len: column::<i64>(row, 3)? as u64,
        crc: column(row, 4)?,
        refs: column(row, 5)?,
    })
}

impl Handle {
    pub(super) fn entry_rows(&self, mailbox: MailboxId, from: Uid, to: Uid) -> Result<Vec<Entry>> {
        let (from, to) = range(mailbox, from, to);
        let sql = "SELECT id, modseq, flags, date, size, content FROM msg
                   WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
        self.all(sql, [from, to], entry_row)
    }
    pub(super) fn entry_row(&self, mailbox: MailboxId, uid: Uid) -> Result<Option<Entry>> {
        let sql = "SELECT id, modseq, flags, date, size, content FROM msg WHERE id = ?1";
        self.first(sql, [key(mailbox, uid)], entry_row)
    }
    pub(super) fn expunged_uids(&self, mailbox: MailboxId, since: ModSeq) -> Result<Vec<Uid>> {
        let sql = "SELECT uids FROM expunged WHERE mailbox = ?1 AND modseq > ?2 ORDER BY modseq";
        let blobs: Vec<Vec<u8>> =
            self.all(sql, params![mailbox.0, since.0 as i64], |row| column(row, 0))?;
        let number = |four: &[u8]| four.try_into().ok().map(u32::from_le_bytes).and_then(Uid::new);
        let mut uids: Vec<Uid> =
            blobs.iter().flat_map(|blob| blob.chunks(4).filter_map(number)).collect();
        uids.sort_unstable();
        uids.dedup();
        Ok(uids)
    }
    pub(super) fn content_row(&self, id: ContentId) -> Result<Option<ContentRow>> {
        let sql = "SELECT id, segment, off, len, crc, refs FROM content WHERE id = ?1";
        self.first(sql, [id.0 as i64], content_row)
    }
    pub(super) fn summary_data(&self, id: ContentId) -> Result<Option<Vec<u8>>> {
        self.first("SELECT data FROM summary WHERE id = ?1", [id.0 as i64], |row| column(row, 0))
    }
    pub(super) fn live_octets(&self, segment: u32) -> Result<u64> {
        let sql = "SELECT live FROM segment WHERE id = ?1";
        let live = self.first(sql, [segment], |row| column::<i64>(row, 0))?;
        Ok(live.unwrap_or(0).max(0) as u64)
    }

    pub(super) fn insert_entry(&self, mailbox: MailboxId, entry: &Entry) -> Result<()> {
        let sql = "INSERT INTO msg(id, modseq, flags, date, size, content)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
        let (modseq, flags) = (entry.modseq.0 as i64, entry.flags.0 as i64);
        let id = key(mailbox, entry.uid);
        let content = entry.content.0 as i64;
        self.execute(sql, params![id, modseq, flags, entry.date, entry.size, content]).map(drop)
    }
    pub(super) fn update_flags(
        &self,
        mailbox: MailboxId,
        uid: Uid,
        flags: FlagBits,
        modseq: ModSeq,
    ) -> Result<()> {
        let sql = "UPDATE msg SET flags = ?2, modseq = ?3 WHERE id = ?1";
        self.execute(sql, params![key(mailbox, uid), flags.0 as i64, modseq.0 as i64]).map(drop)
    }
    pub(super) fn delete_entry(&self, mailbox: MailboxId, uid: Uid) -> Result<()> {
        self.execute("DELETE FROM msg WHERE id = ?1", [key(mailbox, uid)]).map(drop)
    }
    pub(super) fn insert_expunged(
        &self,
        mailbox: MailboxId,
        modseq: ModSeq,
        uids: &[Uid],
    ) -> Result<()> {
        let blob: Vec<u8> = uids.iter().flat_map(|uid| uid.get().to_le_bytes()).collect();
        let sql = "INSERT INTO expunged(mailbox, modseq, uids) VALUES(?1, ?2, ?3)";
        self.execute(sql, params![mailbox.0, modseq.0 as i64, blob]).map(drop)
    }
    pub(super) fn insert_content(&self, row: &ContentRow, summary: &[u8]) -> Result<()> {
        let sql = "INSERT INTO content(id, segment, off, len, crc, refs)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
        let (id, off, len) = (row.id.0 as i64, row.offset as i64, row.len as i64);
        self.execute(sql, params![id, row.segment, off, len, row.crc, row.refs])?;
        self.execute("INSERT INTO summary(id, data) VALUES(?1, ?2)", params![id, summary])?;
        self.add_live(row.segment, len)
    }
    fn add_live(&self, segment: u32, octets: i64) -> Result<()> {
        let sql = "INSERT INTO segment(id, live) VALUES(?1, ?2)
                   ON CONFLICT(id) DO UPDATE SET live = live + excluded.live";
        self.execute(sql, params![segment, octets]).map(drop)
    }
    pub(super) fn update_refs(&self, id: ContentId, refs: u32) -> Result<()> {
        let sql = "UPDATE content SET refs = ?2 WHERE id = ?1";
        self.execute(sql, params![id.0 as i64, refs]).map(drop)
    }
    pub(super) fn delete_content(&self, id: ContentId) -> Result<()> {
        if let Some(row) = self.content_row(id)? {
            self.add_live(row.segment, -(row.len as i64))?;
        }
        self.execute("DELETE FROM summary WHERE id = ?1", [id.0 as i64])?;
        self.execute("DELETE FROM content WHERE id = ?1", [id.0 as i64]).map(drop)
    }
}
