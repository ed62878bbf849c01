//! Backup: a copy of the store of one moment, made while a server writes to it.
//!
//! The rows are copied first, within one read, and then the segments that these rows name, up to
//! where the rows say that they go. What is in a segment never changes, so nobody has to wait. Only
//! a segment that housekeeping emptied and removed in the meantime is missed: then the rows are
//! copied anew, which name other segments for what was in it.
//!
//! Invariant: the copy has all that its `meta.db` names, synced, whenever the power fails: the new
//! rows take the place of the old ones at the very end. Its last segment may be longer until then.

use crate::error::{Result, StoreError};
use crate::open::{io_error, lock};
use crate::packed::decode_contents;
use crate::rows::ContentRow;
use crate::segment::Segments;
use crate::sqlite::{self, snapshot};
use crate::txn::{ReadTxn, Reader as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use sys::disk::{Disk as _, RealDisk};

/// Octets of pages that the reader of the copied rows keeps.
const READER_CACHE: u64 = 1 << 20;
/// How often the rows are copied anew because a segment is gone, before we give up.
const TRIES: usize = 100;
/// Octets of a segment that are copied at once.
const PIECE: u64 = 4 << 20;

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Messages, each counted once however many mailboxes have it.
    pub messages: u64,
    /// Octets of segments that the copy has.
    pub octets: u64,
    /// Octets of segments that it did not have before.
    pub new_octets: u64,
    /// Messages that are not as they were stored, in the copy as in the store.
    pub damaged: Vec<String>,
}

/// Octets of segments that are copied, of so many that will be.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Copies the store in the folder `from` to the folder `to`; what `to` has already is not copied
/// again. A store that no server has open must have been closed in an orderly way.
pub fn backup(from: &Path, to: &Path, progress: Progress<'_>) -> Result<Copied> {
    RealDisk.create_folders(to).map_err(|e| io_error(to, &e))?;
    let _lock = lock(to)?;
    copy(from, to, progress)
}

/// The same, for who has a lock already.
pub(crate) fn copy(from: &Path, to: &Path, progress: Progress<'_>) -> Result<Copied> {
    let mut copying = Copying::new(from, to)?;
    for _ in 0..TRIES {
        let named = copying.copy_rows()?;
        if copying.copy_segments(&named, progress)? {
            return copying.finish(&named);
        }
    }
    Err(StoreError::Engine("segments are removed faster than they can be copied".to_owned()))
}

/// Segments that rows name, and how many octets of each; `None`: all of it.
type Named = BTreeMap<u32, Option<u64>>;

struct Copying {
    rows_from: PathBuf,
    /// The rows until they are complete with their segments.
    rows_new: PathBuf,
    rows_to: PathBuf,
    from: Arc<Segments>,
    to: Arc<Segments>,
    folder_to: PathBuf,
    /// Segments that were copied, and are not compared yet.
    fresh: BTreeSet<u32>,
    copied: Copied,
}

impl Copying {
    fn new(from: &Path, to: &Path) -> Result<Copying> {
        let folder_to = to.join("segments");
        RealDisk.create_folders(&folder_to).map_err(|e| io_error(&folder_to, &e))?;
        let disk = Arc::new(RealDisk);
        Ok(Copying {
            rows_from: from.join("meta.db"),
            rows_new: to.join("meta.new"),
            rows_to: to.join("meta.db"),
            from: Segments::new(&from.join("segments"), disk.clone()),
            to: Segments::new(&folder_to, disk),
            folder_to,
            fresh: BTreeSet::new(),
            copied: Copied::default(),
        })
    }

    /// Copies the rows; which segments they name.
    fn copy_rows(&mut self) -> Result<Named> {
        for left in ["", "-journal", "-wal", "-shm"] {
            let mut path = self.rows_new.clone().into_os_string();
            path.push(left);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error(Path::new(&path), &error));
                }
                _ => {}
            }
        }
        snapshot(&self.rows_from, &self.rows_new)?;
        let (mut named, mut messages) = (Named::new(), 0);
        self.look(|txn| {
            each_content(txn, |row| {
                messages += 1;
                named.insert(row.segment, None);
            })?;
            // What lies behind is of a later moment.
            let (last, end) = txn.applied()?;
            if end > 0 {
                named.insert(last, Some(end));
            }
            Ok(())
        })?;
        self.copied.messages = messages;
        Ok(named)
    }

    /// Looks at the rows that were copied.
    fn look(&self, mut look: impl FnMut(&dyn ReadTxn) -> Result<()>) -> Result<()> {
        sqlite::reader(&self.rows_new, READER_CACHE)?.read(&mut |txn| look(txn))
    }

    /// Copies the segments that are not there yet; false when one is gone.
    fn copy_segments(&mut self, named: &Named, progress: Progress<'_>) -> Result<bool> {
        let mut missing = Vec::new();
        self.copied.octets = 0;
        for (number, octets) in named {
            let path = self.from.path(*number);
            let meta = match fs::metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                found => found.map_err(|e| io_error(&path, &e))?,
            };
            let octets = octets.unwrap_or(meta.len());
            self.copied.octets += octets;
            let there = fs::metadata(self.to.path(*number));
            if !there.is_ok_and(|there| there.len() == octets && there.mtime() == meta.mtime()) {
                missing.push((*number, octets));
            }
        }
        let (mut done, all) = (0, missing.iter().map(|(_, octets)| octets).sum());
        for (number, octets) in missing {
            let (path, to) = (self.from.path(number), self.to.path(number));
            match copy_start(&path, &to, octets, &mut |copied| progress(done + copied, all)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(io_error(&to, &error)),
            }
            done += octets;
            self.copied.new_octets += octets;
            self.fresh.insert(number);
        }
        Ok(true)
    }

    /// Compares what was copied with its checksums, and puts the new rows in place.
    fn finish(mut self, named: &Named) -> Result<Copied> {
        let (fresh, segments, mut damaged) = (&self.fresh, &self.to, Vec::new());
        self.look(|txn| {
            each_content(txn, |row| {
                if let (true, Err(error)) = (fresh.contains(&row.segment), segments.check(row)) {
                    let (id, segment) = (row.id, row.segment);
                    damaged.push(format!("content {id} in segment {segment}: {error}"));
                }
            })
        })?;
        self.copied.damaged = damaged;
        let sync = |folder: &Path| RealDisk.sync_folder(folder).map_err(|e| io_error(folder, &e));
        sync(&self.folder_to)?;
        let renamed = File::open(&self.rows_new).and_then(|rows| {
            rows.sync_all()?;
            fs::rename(&self.rows_new, &self.rows_to)
        });
        renamed.map_err(|e| io_error(&self.rows_to, &e))?;
        sync(self.rows_to.parent().unwrap_or(&self.folder_to))?;
        // Only now does nobody need the segments of the old rows.
        let failed = |e: io::Error| io_error(&self.folder_to, &e);
        for number in self.to.numbers().map_err(failed)? {
            if !named.contains_key(&number) {
                self.to.remove(number).map_err(failed)?;
            }
        }
        Ok(self.copied)
    }
}

/// Shows every content.
fn each_content(txn: &dyn ReadTxn, mut each: impl FnMut(&ContentRow)) -> Result<()> {
    let mut next = 0;
    while let Some((number, page)) = txn.content_pages(next, 1)?.pop() {
        next = number + 1;
        decode_contents(number, &page)?.iter().for_each(&mut each);
    }
    Ok(())
}

/// Copies the first octets of a file with its time, in the place of what is at `to`.
fn copy_start(from: &Path, to: &Path, octets: u64, told: &mut dyn FnMut(u64)) -> io::Result<()> {
    let source = File::open(from)?;
    let changed: SystemTime = source.metadata()?.modified()?;
    let part = to.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    let mut copied = 0;
    while copied < octets {
        let piece = io::copy(&mut (&source).take(PIECE.min(octets - copied)), &mut file)?;
        if piece == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        copied += piece;
        told(copied);
    }
    file.set_modified(changed)?;
    file.sync_all()?;
    fs::rename(&part, to)
}
