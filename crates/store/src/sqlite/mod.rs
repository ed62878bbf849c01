//! The embedded engine: SQLite in WAL mode. Statements and options only; no meaning.
//!
//! Options and their reasons are in `docs/decisions/0002-store.md`. One writer connection, any
//! number of readers.

mod accounts;
mod checkpoint;
mod mailboxes;
mod messages;
mod queue;
mod salvage;
mod snapshot;
mod txn;

use crate::error::{Result, StoreError};
use crate::limits::READERS_KEPT;
use crate::txn::{Durability, Engine, ReadTxn, Reader, ReaderMaker, Txn};
use checkpoint::Checkpointer;
use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, ErrorCode, Params, Row};
use std::path::{Path, PathBuf};

pub(crate) use salvage::{check, salvage};
pub(crate) use snapshot::snapshot;

/// The layout of the tables; a file with a greater one was made by a newer Postrider.
const SCHEMA_VERSION: i64 = 4;
/// Octets of a page of the file.
const PAGE_OCTETS: u64 = 4096;
/// What version 4 has and version 3 had not.
const FROM_3_TO_4: &str = "BEGIN;
  CREATE TABLE property(kind INTEGER NOT NULL, owner INTEGER NOT NULL, name TEXT NOT NULL,
    value BLOB NOT NULL, PRIMARY KEY(kind, owner, name)) WITHOUT ROWID;
  CREATE INDEX property_name ON property(kind, name);
  PRAGMA user_version = 4; COMMIT;";
/// Pages in the WAL at which they are written back, beside the writer.
const CHECKPOINT_FRAMES: u32 = 4_000;
/// Pages in the WAL at which the writer itself writes them back, and everybody waits.
const CHECKPOINT_FRAMES_MAX: u32 = 16_000;

/// The engine over one database file.
pub struct Sqlite {
    path: PathBuf,
    writer: Handle,
    durability: Durability,
    checkpointer: Checkpointer,
    /// Octets.
    reader_cache: u64,
}

/// A connection, in or out of a transaction.
pub(crate) struct Handle {
    db: Connection,
}

impl Sqlite {
    /// Opens the database, making it when there is none. Its caches hold `cache` octets
    /// together: a third is the writer's, the rest the readers'.
    pub fn open(path: &Path, cache: u64) -> Result<Sqlite> {
        let db = Connection::open(path).map_err(engine)?;
        let fresh = version(&db)? == 0;
        if fresh {
            let page = format!("PRAGMA auto_vacuum=INCREMENTAL; PRAGMA page_size={PAGE_OCTETS};");
            db.execute_batch(&page).map_err(engine)?;
        }
        db.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;
             PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;
             PRAGMA busy_timeout=5000; PRAGMA journal_size_limit=67108864;
             PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;",
        )
        .map_err(engine)?;
        tune(&db, cache / 3)?;
        db.set_prepared_statement_cache_capacity(128);
        match version(&db)? {
            0 => {
                let schema = concat!("BEGIN;", include_str!("schema.sql"), "COMMIT;");
                db.execute_batch(schema).map_err(engine)?;
            }
            3 => db.execute_batch(FROM_3_TO_4).map_err(engine)?,
            SCHEMA_VERSION => {}
            other => {
                let text = format!(
                    "the data folder has layout {other}; this program knows {SCHEMA_VERSION}"
                );
                return Err(StoreError::Engine(text));
            }
        }
        let writer = Handle { db };
        let checkpointer = Checkpointer::start(path)?;
        let durability = Durability::Synced;
        let reader_cache = cache / 3 * 2 / READERS_KEPT as u64;
        let path = path.to_owned();
        Ok(Sqlite { path, writer, durability, checkpointer, reader_cache })
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.writer.db.execute_batch(sql).map_err(engine)
    }

    /// A statement that is run again and again.
    fn again(&self, sql: &str) -> Result<()> {
        self.writer.execute(sql, []).map(drop)
    }
}

fn version(db: &Connection) -> Result<i64> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(engine)
}

impl Engine for Sqlite {
    fn begin(&mut self, durability: Durability) -> Result<()> {
        if durability != self.durability {
            self.run(match durability {
                Durability::Replayable => "PRAGMA synchronous=NORMAL",
                Durability::Synced => "PRAGMA synchronous=FULL",
            })?;
            self.durability = durability;
        }
        self.again("BEGIN IMMEDIATE")
    }
    fn txn(&mut self) -> &mut dyn Txn {
        &mut self.writer
    }
    fn savepoint(&mut self) -> Result<()> {
        self.again("SAVEPOINT one")
    }
    fn undo_to_savepoint(&mut self) -> Result<()> {
        self.run("ROLLBACK TO one; RELEASE one")
    }
    fn release_savepoint(&mut self) -> Result<()> {
        self.again("RELEASE one")
    }
    fn commit(&mut self) -> Result<()> {
        self.again("COMMIT")
    }
    fn rollback(&mut self) {
        // Fails only when SQLite has rolled back by itself already.
        let _ = self.run("ROLLBACK");
    }

    fn readers(&self) -> Result<ReaderMaker> {
        let (path, cache) = (self.path.clone(), self.reader_cache);
        Ok(Box::new(move || Ok(Box::new(reader(&path, cache)?))))
    }

    fn tidy(&mut self, last: bool) -> Result<()> {
        if last {
            return self.run("PRAGMA synchronous=FULL; PRAGMA wal_checkpoint(TRUNCATE)");
        }
        match self.checkpointer.frames() {
            frames if frames > CHECKPOINT_FRAMES_MAX => self.run("PRAGMA wal_checkpoint(PASSIVE)"),
            frames => {
                self.checkpointer.wake_after(frames, CHECKPOINT_FRAMES);
                Ok(())
            }
        }
    }
}

/// Sets how many octets of pages a connection keeps, and that its plans are kept too: a statement
/// with `LIMIT ?` is planned anew each time otherwise.
fn tune(db: &Connection, octets: u64) -> Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(engine)?;
    let kib = (octets / 1024).max(64);
    db.execute_batch(&format!("PRAGMA cache_size=-{kib}")).map_err(engine)
}

/// A connection that only reads.
pub(crate) fn reader(path: &Path, cache: u64) -> Result<Handle> {
    let db = Connection::open(path).map_err(engine)?;
    db.execute_batch(
        "PRAGMA query_only=1; PRAGMA temp_store=MEMORY;
         PRAGMA mmap_size=0; PRAGMA busy_timeout=5000; PRAGMA trusted_schema=OFF;",
    )
    .map_err(engine)?;
    tune(&db, cache)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(Handle { db })
}

impl Reader for Handle {
    fn read(&mut self, look: &mut dyn FnMut(&dyn ReadTxn) -> Result<()>) -> Result<()> {
        self.execute("BEGIN", [])?;
        let looked = look(self);
        let ended = self.execute("COMMIT", []).map(drop);
        looked.and(ended)
    }
}

impl Handle {
    /// Octets of free pages, and of all.
    fn spare_octets(&self) -> Result<(u64, u64)> {
        let pragma = |sql: &str| self.first(sql, [], |row| column::<u32>(row, 0));
        let octets = |pages: Option<u32>| u64::from(pages.unwrap_or(0)) * PAGE_OCTETS;
        Ok((octets(pragma("PRAGMA freelist_count")?), octets(pragma("PRAGMA page_count")?)))
    }

    /// Moves pages from the end of the file into free ones, and cuts it off.
    fn vacuum(&self, octets: u64) -> Result<()> {
        let pages = octets / PAGE_OCTETS;
        self.db.execute_batch(&format!("PRAGMA incremental_vacuum({pages})")).map_err(engine)
    }

    fn statement(&self, sql: &str) -> Result<CachedStatement<'_>> {
        self.db.prepare_cached(sql).map_err(engine)
    }

    /// Runs a statement; returns how many rows it changed.
    fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.statement(sql)?.execute(params).map_err(engine)
    }

    /// The first row, read by `read`.
    fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query(params).map_err(engine)?;
        rows.next().map_err(engine)?.map(read).transpose()
    }

    /// The number that a statement gives.
    fn count(&self, sql: &str, params: impl Params) -> Result<usize> {
        Ok(self.first(sql, params, |row| column::<u32>(row, 0))?.unwrap_or(0) as usize)
    }

    /// All rows, read by `read`.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query(params).map_err(engine)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(engine)? {
            all.push(read(row)?);
        }
        Ok(all)
    }
}

/// A column of a row.
fn column<T: rusqlite::types::FromSql>(row: &Row<'_>, n: usize) -> Result<T> {
    row.get(n).map_err(engine)
}

/// A text column that holds what `parse` understands.
fn parsed<T>(row: &Row<'_>, n: usize, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
    let text: String = column(row, n)?;
    parse(&text).ok_or_else(|| StoreError::Corrupt(format!("'{text}' in the database")))
}

fn engine(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt(error.to_string())
        }
        _ => StoreError::Engine(error.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::rows::{AccountRow, DomainRow};

    #[test]
    fn a_file_of_version_3_is_brought_to_the_present_one() {
        let folder = std::env::temp_dir().join(format!("postrider-layout-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("meta.db");
        let layout = |db: &Connection| {
            let sql = "SELECT group_concat(sql, ';') FROM
                (SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name)";
            let text = db.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let fresh = Sqlite::open(&path, 1 << 20).unwrap();
        let expected = layout(&fresh.writer.db);
        fresh
            .run("DROP TABLE property; INSERT INTO domain VALUES('a.example', NULL); PRAGMA user_version = 3")
            .unwrap();
        drop(fresh);
        let brought = Sqlite::open(&path, 1 << 20).unwrap();
        assert_eq!(version(&brought.writer.db).unwrap(), SCHEMA_VERSION);
        assert_eq!(layout(&brought.writer.db), expected);
        let kept = brought.writer.first("SELECT name FROM domain", [], |row| column(row, 0));
        assert_eq!(kept.unwrap(), Some("a.example".to_owned()));
        brought.run("PRAGMA user_version = 99").unwrap();
        drop(brought);
        assert!(Sqlite::open(&path, 1 << 20).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    /// They are found as they were: by the spelling that they were given.
    #[test]
    fn accounts_from_before_names_were_prepared_are_found() {
        let folder = std::env::temp_dir().join(format!("postrider-names-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = Sqlite::open(&folder.join("meta.db"), 1 << 20).unwrap();
        let domain = |name| mail::Domain::parse(name).unwrap();
        let address = |text| mail::Address::parse(text).unwrap();
        for name in ["example.org", "ex\u{e4}mple.org"] {
            let row = DomainRow { domain: domain(name), catch_all: None };
            file.writer.write_domain(&row).unwrap();
        }
        let account = |id, text| AccountRow {
            id: mail::AccountId(id),
            address: address(text),
            secret: String::new(),
            disabled: false,
            created: 0,
        };
        let (old, new) = ("jo\u{308}rg@example.org", "a\u{e4}@ex\u{e4}mple.org");
        file.writer.write_account(&account(1, old)).unwrap();
        file.writer.write_account(&account(2, new)).unwrap();
        let found = |text| {
            let row = crate::account::lookup(&file.writer, &address(text)).unwrap().account;
            row.map(|row| row.id.0)
        };
        assert_eq!(found(old), Some(1));
        assert_eq!(found("j\u{f6}rg@example.org"), None);
        for spelling in [new, "aa\u{308}@xn--exmple-cua.org", "A\u{ff41}\u{308}@exa\u{308}mple.org"]
        {
            assert_eq!(found(spelling), Some(2), "{spelling}");
        }
        drop(file);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
