//! Getting rows out of a damaged database, into a new one.
//!
//! Each table is read from its beginning and from its end, as far as it can be read: what lies on
//! damaged pages in between is lost, and rebuilt from the segments where that is possible.

use super::{Sqlite, engine};
use crate::error::Result;
use crate::limits::MEMORY_LIMIT;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use std::path::Path;

/// The tables, and what they are ordered by.
const TABLES: [(&str, &str); 18] = [
    ("domain", "name"),
    ("account", "key"),
    ("alias", "key"),
    ("route", "domain"),
    ("counter", "name"),
    ("mailbox", "id"),
    ("subscription", "account, name"),
    ("property", "kind, owner, name"),
    ("page", "id"),
    ("expunged", "mailbox, modseq"),
    ("content", "id"),
    ("summary", "id"),
    ("dead", "first"),
    ("segment", "id"),
    ("queued", "message"),
    ("recipient", "message, n"),
    ("journey", "message, n"),
    ("applied", "k"),
];

/// What is wrong with a database, by SQLite's own check; empty when nothing is.
pub(crate) fn check(path: &Path) -> Vec<String> {
    let looked = || -> rusqlite::Result<Vec<String>> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let mut statement = db.prepare("PRAGMA integrity_check(20)")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        let rows: Vec<String> = rows.collect::<rusqlite::Result<_>>()?;
        let whole = Connection::open_in_memory()?;
        whole.execute_batch(include_str!("schema.sql"))?;
        if rows == ["ok"] && tables(&db)? != tables(&whole)? {
            return Ok(vec!["the description of the tables is damaged".to_owned()]);
        }
        Ok(rows)
    };
    match looked() {
        Ok(rows) if rows == ["ok"] => Vec::new(),
        Ok(rows) => rows,
        Err(error) => vec![error.to_string()],
    }
}

/// How the tables are described.
fn tables(db: &Connection) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let mut statement = db.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Makes a database at `new` of what can be read of the one at `old`; returns how many rows.
pub(crate) fn salvage(old: &Path, new: &Path) -> Result<u64> {
    drop(Sqlite::open(new, MEMORY_LIMIT / 2)?);
    let to = Connection::open(new).map_err(engine)?;
    let Ok(from) = Connection::open_with_flags(old, OpenFlags::SQLITE_OPEN_READ_WRITE) else {
        return Ok(0);
    };
    let _ = from.execute_batch("PRAGMA cell_size_check=ON; PRAGMA ignore_check_constraints=ON;");
    to.execute_batch("BEGIN").map_err(engine)?;
    let mut rows = 0;
    for (table, order) in TABLES {
        let down: Vec<String> = order.split(", ").map(|name| format!("{name} DESC")).collect();
        let up = copy(&from, &to, table, order);
        rows += up.0;
        if !up.1 {
            rows += copy(&from, &to, table, &down.join(", ")).0;
        }
    }
    to.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").map_err(engine)?;
    Ok(rows)
}

/// Copies rows in that order as far as they can be read; how many, and whether it came to the end.
fn copy(from: &Connection, to: &Connection, table: &str, order: &str) -> (u64, bool) {
    let Ok(mut read) = from.prepare(&format!("SELECT * FROM {table} ORDER BY {order}")) else {
        return (0, false);
    };
    let places = vec!["?"; read.column_count()].join(", ");
    let Ok(mut write) = to.prepare(&format!("INSERT OR IGNORE INTO {table} VALUES({places})"))
    else {
        return (0, false);
    };
    let columns = read.column_count();
    let Ok(mut rows) = read.query([]) else { return (0, false) };
    let mut copied = 0;
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return (copied, true),
            Err(_) => return (copied, false),
        };
        let values: rusqlite::Result<Vec<Value>> = (0..columns).map(|n| row.get(n)).collect();
        let Ok(values) = values else { continue };
        copied += write.execute(params_from_iter(values)).unwrap_or(0) as u64;
    }
}
