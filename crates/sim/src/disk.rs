//! A disk that logs what is done to it, so that a crash at any moment can be made up afterwards.
//!
//! What was not synced may survive a crash or not, write by write, sector by sector, in any order;
//! a name that was made or removed and whose folder was not synced may be there or not.

use crate::model::State;
use crate::pipe::Power;
use crate::random::Random;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::txn::Durability;
use sys::disk::{Disk, DiskFile, Mode};

/// Octets that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Something that happened.
#[derive(Clone)]
pub enum Event {
    /// A file was made.
    Create(PathBuf, u64),
    /// A name was removed.
    Remove(PathBuf),
    /// A folder's names were made durable.
    SyncFolder(PathBuf),
    /// Octets were written at an offset.
    Write(u64, u64, Arc<[u8]>),
    /// A file was cut or lengthened.
    SetLen(u64, u64),
    /// A file's content was made durable.
    Sync(u64),
    /// The engine committed.
    Commit(Arc<State>, Durability),
    /// So many operations were acknowledged.
    Acknowledged(usize),
}

/// Which call fails, and how.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Calls that succeed before.
    pub after: u64,
    /// What it fails with.
    pub kind: io::ErrorKind,
}

#[derive(Default)]
struct Inner {
    names: BTreeMap<PathBuf, u64>,
    files: BTreeMap<u64, Vec<u8>>,
    next: u64,
    log: Vec<Event>,
    /// What makes the files that were there at first.
    start: Vec<Event>,
    fault: Option<Fault>,
    sync_failed: bool,
    /// Events until the power fails.
    left: Option<u64>,
    power: Power,
}

impl Inner {
    /// What happens without power has not happened.
    fn record(&mut self, event: Event) {
        if self.power.is_off() {
            return;
        }
        self.log.push(event);
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.power.fail();
            }
        }
    }
}

/// The disk. Cloning gives another handle.
#[derive(Clone, Default)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
}

/// What a crash does with something that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Lost.
    All,
    /// Kept.
    Nothing,
    /// The one or the other, by chance.
    Chance,
}

/// What is there after a crash.
pub struct Wreck {
    /// The files.
    pub disk: SimDisk,
    /// The rows.
    pub rows: Arc<State>,
    /// Operations that had been acknowledged.
    pub acknowledged: usize,
}

impl SimDisk {
    /// Notes something that is not the disk's own doing.
    pub fn note(&self, event: Event) {
        self.inner().record(event);
    }
    /// Lets so many more events happen; the last thing that does is that `power` fails.
    pub fn cut_after(&self, events: u64, power: &Power) {
        let mut inner = self.inner();
        (inner.left, inner.power) = (Some(events), power.clone());
    }
    /// Everything that happened.
    pub fn log(&self) -> Vec<Event> {
        self.inner().log.clone()
    }
    /// Makes a later call fail.
    pub fn fail(&self, fault: Fault) {
        self.inner().fault = Some(fault);
    }
    /// Nothing fails any more. Whether the fault has come.
    pub fn heal(&self) -> bool {
        self.inner().fault.take().is_none()
    }
    /// A sync has failed.
    pub fn sync_failed(&self) -> bool {
        self.inner().sync_failed
    }
    /// What a crash now leaves; `rows` were there when this disk was made.
    pub fn crash(&self, rows: Arc<State>, loss: Loss, random: &mut Random) -> Wreck {
        let inner = self.inner();
        let mut log = inner.start.clone();
        log.push(Event::Commit(rows, Durability::Synced));
        log.extend(inner.log.iter().cloned());
        drop(inner);
        crash(&log, log.len(), loss, random)
    }
    /// The fault that is to come, taken out.
    pub fn pause_fault(&self) -> Option<Fault> {
        self.inner().fault.take()
    }
    /// Puts it back.
    pub fn resume_fault(&self, fault: Option<Fault>) {
        self.inner().fault = fault;
    }
    /// What is there when everything is lost that was not synced since this disk was made.
    pub fn without_unsynced(&self) -> SimDisk {
        let inner = self.inner();
        let mut log = inner.start.clone();
        log.extend(inner.log.iter().cloned());
        drop(inner);
        crash(&log, log.len(), Loss::All, &mut Random::new(0)).disk
    }
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn step(&self) -> io::Result<()> {
        let mut inner = self.inner();
        match &mut inner.fault {
            Some(Fault { after: 0, kind }) => {
                let kind = *kind;
                inner.fault = None;
                Err(kind.into())
            }
            Some(fault) => {
                fault.after -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// What a crash after the first `events` of `log` leaves.
pub fn crash(log: &[Event], events: usize, loss: Loss, random: &mut Random) -> Wreck {
    let mut names = Replay::<BTreeMap<PathBuf, u64>, (PathBuf, Option<u64>)>::default();
    let mut files: BTreeMap<u64, Replay<Vec<u8>, Change>> = BTreeMap::new();
    let mut commits: Vec<Arc<State>> = vec![Arc::default()];
    let mut acknowledged = 0;
    for event in log.iter().take(events) {
        match event {
            Event::Create(path, inode) => {
                files.entry(*inode).or_default();
                names.pending.push((path.clone(), Some(*inode)));
            }
            Event::Remove(path) => names.pending.push((path.clone(), None)),
            Event::SyncFolder(folder) => {
                let (now, later) = std::mem::take(&mut names.pending)
                    .into_iter()
                    .partition(|(path, _)| path.parent() == Some(folder));
                names.pending = later;
                let now: Vec<_> = now;
                now.into_iter().for_each(|change| rename(&mut names.durable, change));
            }
            Event::Write(inode, offset, octets) => {
                let file = files.entry(*inode).or_default();
                file.pending.push(Change::Write(*offset, octets.clone()));
            }
            Event::SetLen(inode, len) => {
                files.entry(*inode).or_default().pending.push(Change::SetLen(*len));
            }
            Event::Sync(inode) => {
                let file = files.entry(*inode).or_default();
                for change in std::mem::take(&mut file.pending) {
                    change.apply(&mut file.durable, |_| true);
                }
            }
            Event::Commit(state, durability) => {
                if *durability == Durability::Synced {
                    commits.clear();
                }
                commits.push(state.clone());
            }
            Event::Acknowledged(count) => acknowledged = *count,
        }
    }
    let keep = |random: &mut Random| match loss {
        Loss::All => false,
        Loss::Nothing => true,
        Loss::Chance => random.below(2) == 0,
    };
    for change in std::mem::take(&mut names.pending) {
        if keep(random) {
            rename(&mut names.durable, change);
        }
    }
    for file in files.values_mut() {
        for change in std::mem::take(&mut file.pending) {
            change.apply(&mut file.durable, |_| keep(random));
        }
    }
    let rows = match loss {
        Loss::All => commits.first(),
        Loss::Nothing => commits.last(),
        Loss::Chance => commits.get(random.below(commits.len() as u64) as usize),
    };
    let files = files.into_iter().map(|(inode, file)| (inode, file.durable)).collect();
    let disk = disk_of(names.durable, files);
    Wreck { disk, rows: rows.cloned().unwrap_or_default(), acknowledged }
}

/// A disk on which all of this is durable.
fn disk_of(names: BTreeMap<PathBuf, u64>, files: BTreeMap<u64, Vec<u8>>) -> SimDisk {
    let next = files.keys().next_back().map_or(1, |last| last + 1);
    let mut start = Vec::new();
    for (path, inode) in &names {
        start.push(Event::Create(path.clone(), *inode));
        start.extend(path.parent().map(|folder| Event::SyncFolder(folder.to_owned())));
        let octets = files.get(inode).map(Vec::as_slice).unwrap_or_default();
        start.push(Event::Write(*inode, 0, octets.into()));
        start.push(Event::Sync(*inode));
    }
    let inner = Inner { names, files, next, start, ..Inner::default() };
    SimDisk { inner: Arc::new(Mutex::new(inner)) }
}

/// What is durable, and what has been done to it since.
struct Replay<T, C> {
    durable: T,
    pending: Vec<C>,
}

impl<T: Default, C> Default for Replay<T, C> {
    fn default() -> Replay<T, C> {
        Replay { durable: T::default(), pending: Vec::new() }
    }
}

fn rename(names: &mut BTreeMap<PathBuf, u64>, (path, inode): (PathBuf, Option<u64>)) {
    match inode {
        Some(inode) => names.insert(path, inode),
        None => names.remove(&path),
    };
}

enum Change {
    Write(u64, Arc<[u8]>),
    SetLen(u64),
}

impl Change {
    /// Applies it, as far as `keep` says: a cut as a whole, a write sector by sector.
    fn apply(&self, file: &mut Vec<u8>, mut keep: impl FnMut(usize) -> bool) {
        match self {
            Change::SetLen(len) => {
                if keep(0) {
                    file.resize(*len as usize, 0);
                }
            }
            Change::Write(offset, octets) => {
                let mut at = *offset as usize;
                let mut rest: &[u8] = octets;
                while !rest.is_empty() {
                    let here = (SECTOR - at % SECTOR).min(rest.len());
                    let (sector, later) = rest.split_at(here);
                    if keep(at) {
                        write(file, at, sector);
                    }
                    (at, rest) = (at + here, later);
                }
            }
        }
    }
}

fn write(file: &mut Vec<u8>, at: usize, octets: &[u8]) {
    if file.len() < at + octets.len() {
        file.resize(at + octets.len(), 0);
    }
    if let Some(place) = file.get_mut(at..at + octets.len()) {
        place.copy_from_slice(octets);
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        self.step()?;
        let mut inner = self.inner();
        let inode = match inner.names.get(path) {
            Some(inode) => *inode,
            None if mode == Mode::Read => return Err(io::ErrorKind::NotFound.into()),
            None => {
                inner.next += 1;
                let inode = inner.next;
                inner.names.insert(path.to_owned(), inode);
                inner.files.insert(inode, Vec::new());
                inner.record(Event::Create(path.to_owned(), inode));
                inode
            }
        };
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        let mut inner = self.inner();
        inner.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        inner.record(Event::Remove(path.to_owned()));
        Ok(())
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.step()?;
        let inner = self.inner();
        Ok(inner.names.keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
    }
    fn create_folders(&self, _: &Path) -> io::Result<()> {
        self.step()
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step()?;
        self.inner().record(Event::SyncFolder(folder.to_owned()));
        Ok(())
    }
    fn available(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
}

impl DiskFile for SimFile {
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        let failed = self.disk.step();
        // A write that fails may have written some of it.
        let octets = if failed.is_err() { &octets[..octets.len() / 2] } else { octets };
        let mut inner = self.disk.inner();
        if let Some(file) = inner.files.get_mut(&self.inode) {
            write(file, offset as usize, octets);
        }
        inner.record(Event::Write(self.inode, offset, octets.into()));
        failed
    }
    fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.step()?;
        let inner = self.disk.inner();
        let file = inner.files.get(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        let end = offset as usize + octets.len();
        let found = file.get(offset as usize..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        octets.copy_from_slice(found);
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        let failed = self.disk.step();
        let mut inner = self.disk.inner();
        match failed {
            Ok(()) => inner.record(Event::Sync(self.inode)),
            Err(_) => inner.sync_failed = true,
        }
        failed
    }
    fn len(&self) -> io::Result<u64> {
        self.disk.step()?;
        Ok(self.disk.inner().files.get(&self.inode).map_or(0, |file| file.len() as u64))
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.step()?;
        let mut inner = self.disk.inner();
        if let Some(file) = inner.files.get_mut(&self.inode) {
            file.resize(len as usize, 0);
        }
        inner.record(Event::SetLen(self.inode, len));
        Ok(())
    }
}
