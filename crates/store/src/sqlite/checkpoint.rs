//! Writing the WAL's pages back into the database, on a thread and a connection of its own, so that
//! no delivery waits for it.

use super::engine;
use crate::error::{Result, StoreError};
use rusqlite::Connection;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// The thread, and a look at how many pages the WAL holds.
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The WAL's index, shared by all connections. Kept open to the end: closing it takes away the
    /// locks that SQLite holds on it against other processes.
    index: Option<File>,
    /// Pages in the WAL when the thread was last woken.
    written_back: u32,
}

impl Checkpointer {
    /// Starts the thread.
    pub fn start(path: &Path) -> Result<Checkpointer> {
        let db = Connection::open(path).map_err(engine)?;
        // NORMAL syncs the WAL before, and the database after, which is what a checkpoint needs.
        db.execute_batch(
            "PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=0; PRAGMA cache_size=-64;",
        )
        .map_err(engine)?;
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new().name("store-wal".to_owned());
        let thread = thread.spawn(move || run(&db, &woken));
        let thread = thread.map_err(|error| StoreError::Engine(error.to_string()))?;
        let mut index = path.to_owned().into_os_string();
        index.push("-shm");
        let index = File::open(index).ok();
        Ok(Checkpointer { wake: Some(wake), thread: Some(thread), index, written_back: 0 })
    }

    /// Pages in the WAL. The index begins with a header whose field `mxFrame`, a number in the
    /// machine's order, is at octet 16 (SQLite's file format, "WAL-Index Format").
    pub fn frames(&self) -> u32 {
        let mut number = [0; 4];
        let read = self.index.as_ref().map(|index| index.read_exact_at(&mut number, 16));
        if matches!(read, Some(Ok(()))) { u32::from_ne_bytes(number) } else { 0 }
    }

    /// Has the pages written back soon, when there are `step` more than the last time.
    pub fn wake_after(&mut self, frames: u32, step: u32) {
        if frames < self.written_back {
            // The WAL was begun anew.
            self.written_back = 0;
        }
        if let (true, Some(wake)) = (frames >= self.written_back + step, &self.wake) {
            self.written_back = frames;
            // A full channel means that it is told already.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(db: &Connection, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        if let Err(error) = db.execute_batch("PRAGMA wal_checkpoint(PASSIVE)") {
            tracing::warn!(%error, "the database's log cannot be written back now");
        }
    }
}
