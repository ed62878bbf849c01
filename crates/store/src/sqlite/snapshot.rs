//! A copy of the database as it is at one moment, made beside whoever writes to it.

use super::engine;
use crate::error::Result;
use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Copies the database at `from` to the file `to`, all of it within one read. The copy needs no
/// other files beside it until it is opened for writing.
pub(crate) fn snapshot(from: &Path, to: &Path) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let from = Connection::open_with_flags(from, flags).map_err(engine)?;
    let mut to = Connection::open(to).map_err(engine)?;
    let copying = Backup::new(&from, &mut to).map_err(engine)?;
    copying.run_to_completion(i32::MAX, Duration::from_millis(50), None).map_err(engine)?;
    drop(copying);
    to.execute_batch("PRAGMA journal_mode=DELETE").map_err(engine)
}
