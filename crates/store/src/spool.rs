//! A message while it comes in: in memory while it is small, in a file when it grows.
//!
//! Typestate: only a [`Sealed`] spool can be delivered. A spool that is dropped leaves nothing.

use crate::error::{Result, StoreError};
use crate::limits::{SPOOL_FRONT_MAX, SPOOL_MEMORY_MAX};
use mail::FlagBits;
use mail::octets::Look;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use sys::disk::{Disk, DiskFile, Mode};

/// Octets that are written to a spool file at once.
const PIECE: usize = 256 * 1024;
/// Octets at the start of a spool file that are kept free for [`Spool::prepend`]; where nothing is,
/// a hole on the disk.
const FRONT: u64 = SPOOL_FRONT_MAX as u64;

/// A message that is still coming in.
pub struct Spool {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    memory: Vec<u8>,
    file: Option<SpoolFile>,
    /// What goes in front of all that.
    front: Vec<u8>,
    len: u64,
    /// CRC32C of what is in the file.
    crc: u32,
    look: Look,
}

/// A message that is complete.
pub struct Sealed {
    body: Body,
    len: u64,
    crc: u32,
    found: FlagBits,
}

/// Where the octets are.
pub(crate) enum Body {
    Memory(Vec<u8>),
    File(SpoolFile),
}

/// A file that goes when nobody needs it.
pub(crate) struct SpoolFile {
    file: Arc<dyn DiskFile>,
    /// Where the message starts in it.
    start: u64,
    path: PathBuf,
    disk: Arc<dyn Disk>,
}

impl SpoolFile {
    /// Octets of the message, from `at` on.
    pub fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_at(octets, self.start + at)
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        // What cannot be removed now is swept at the next start.
        let _ = self.disk.remove(&self.path);
    }
}

impl Spool {
    pub(crate) fn new(folder: PathBuf, disk: Arc<dyn Disk>) -> Spool {
        let (memory, front) = (Vec::new(), Vec::new());
        let look = Look::default();
        Spool { folder, disk, memory, file: None, front, len: 0, crc: 0, look }
    }

    /// Adds octets.
    pub fn write(&mut self, octets: &[u8]) -> Result<()> {
        self.len += octets.len() as u64;
        self.look.feed(octets);
        self.memory.extend_from_slice(octets);
        let most = if self.file.is_some() { PIECE } else { SPOOL_MEMORY_MAX };
        if self.memory.len() > most { self.spill().map_err(spool_error) } else { Ok(()) }
    }

    /// Puts octets in front of all that was written: trace fields that need the whole message. At
    /// most [`SPOOL_FRONT_MAX`] in all; more is an error.
    pub fn prepend(&mut self, octets: &[u8]) -> Result<()> {
        if self.front.len() + octets.len() > SPOOL_FRONT_MAX {
            return Err(StoreError::NotAllowed("too much goes in front of a message"));
        }
        self.len += octets.len() as u64;
        self.front.splice(..0, octets.iter().copied());
        Ok(())
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.len
    }
    /// There are none yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Octets of what was written, or what there is of it; not of what was put in front.
    pub fn read(&self, range: std::ops::Range<u64>) -> Result<Vec<u8>> {
        let written = self.len - self.front.len() as u64;
        let range = range.start.min(written)..range.end.min(written);
        let in_file = written - self.memory.len() as u64;
        let mut out = Vec::new();
        if let Some(file) = self.file.as_ref().filter(|_| range.start < in_file) {
            out.resize(range.end.min(in_file).saturating_sub(range.start) as usize, 0);
            file.read_at(&mut out, range.start).map_err(spool_error)?;
        }
        let at = |octet: u64| octet.saturating_sub(in_file) as usize;
        let rest = self.memory.get(at(range.start)..at(range.end)).unwrap_or_default();
        out.extend_from_slice(rest);
        Ok(out)
    }

    fn spill(&mut self) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let at = FRONT + self.len - (self.front.len() + self.memory.len()) as u64;
        let file = match &self.file {
            Some(file) => file,
            None => {
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                let path = self.folder.join(format!("{}-{number}", std::process::id()));
                let file = self.disk.open(&path, Mode::Write)?;
                self.file.insert(SpoolFile { file, start: FRONT, path, disk: self.disk.clone() })
            }
        };
        file.file.write_at(&self.memory, at)?;
        self.crc = crc32c::crc32c_append(self.crc, &self.memory);
        self.memory.clear();
        // The room of a message that might have stayed in memory is not needed for pieces.
        if self.memory.capacity() > 2 * PIECE {
            self.memory.shrink_to(PIECE);
        }
        Ok(())
    }

    /// Octets of memory that it takes.
    pub fn in_memory(&self) -> usize {
        self.memory.capacity()
    }

    /// It goes to its file and takes no memory until more is written: others come first.
    pub fn set_aside(&mut self) -> Result<()> {
        if !self.memory.is_empty() {
            self.spill().map_err(spool_error)?;
        }
        self.memory = Vec::new();
        Ok(())
    }

    /// The message is complete.
    pub fn seal(mut self) -> Result<Sealed> {
        if self.file.is_some() && !self.memory.is_empty() {
            self.spill().map_err(spool_error)?;
        }
        let mut front = Look::default();
        front.feed(&self.front);
        let found = self.look.found().with(front.found());
        let (body, crc) = match self.file {
            Some(mut file) => {
                file.start = FRONT - self.front.len() as u64;
                file.file.write_at(&self.front, file.start).map_err(spool_error)?;
                let behind = (self.len as usize) - self.front.len();
                let front = crc32c::crc32c(&self.front);
                (Body::File(file), crc32c::crc32c_combine(front, self.crc, behind))
            }
            None => {
                self.memory.splice(..0, self.front);
                let crc = crc32c::crc32c(&self.memory);
                (Body::Memory(self.memory), crc)
            }
        };
        Ok(Sealed { body, len: self.len, crc, found })
    }
}

impl Sealed {
    /// Octets.
    pub fn len(&self) -> u64 {
        self.len
    }
    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// The octets of a range, or what there is of it.
    pub fn read(&self, range: std::ops::Range<u64>) -> Result<Vec<u8>> {
        let range = range.start.min(self.len)..range.end.min(self.len);
        match &self.body {
            Body::Memory(octets) => {
                let range = range.start as usize..range.end as usize;
                Ok(octets.get(range).unwrap_or_default().to_vec())
            }
            Body::File(file) => {
                let mut out = vec![0; range.end.saturating_sub(range.start) as usize];
                file.read_at(&mut out, range.start).map_err(spool_error)?;
                Ok(out)
            }
        }
    }
    /// CRC32C of the octets.
    pub(crate) fn crc(&self) -> u32 {
        self.crc
    }
    /// What was found out about the octets.
    pub(crate) fn found(&self) -> FlagBits {
        self.found
    }
    pub(crate) fn body(&self) -> &Body {
        &self.body
    }
}

fn spool_error(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Engine(format!("spool: {error}")),
    }
}
