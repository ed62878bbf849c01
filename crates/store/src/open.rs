//! Opening and closing a store, and the two ways in: `read` and `write`.

use crate::caches::Caches;
use crate::delivery::{Delivered, Delivery, Moving};
use crate::error::{Result, StoreError};
use crate::house::Rounds;
use crate::known::Known;
use crate::limits::{MEMORY_LIMIT, READERS_KEPT, SEGMENT_OCTETS, WAITING_OCTETS_MAX};
use crate::reading::Compared;
use crate::recover::{self, Recovered};
use crate::search::Search;
use crate::segment::Segments;
use crate::spool::Spool;
use crate::sqlite::Sqlite;
use crate::txn::{Engine, ReadTxn, Reader, ReaderMaker};
use crate::unit::Unit;
use crate::view::Views;
use crate::write::Writing;
use crate::writer::{Given, Health, Job, Message, Room, Work, Writer};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use sys::clock::Clock;
use sys::disk::Disk;
use sys::hands::{self, Hands, Leave};
use tokio::sync::{Semaphore, oneshot, watch};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data folder.
    pub folder: PathBuf,
    /// Octets that stay free: with less, new messages are refused and deleting still works.
    pub min_free_octets: u64,
    /// Octets of a segment at which the next one is begun.
    pub segment_octets: u64,
    /// Octets of all caches together.
    pub memory_limit: u64,
    /// Sync segment and rows on every commit, so that nothing ever needs to be repeated.
    pub two_sync: bool,
    /// Note what accounts say of their mail: spam or not.
    pub learn: bool,
}

impl Options {
    /// The usual options.
    pub fn new(folder: &Path) -> Options {
        Options {
            folder: folder.to_owned(),
            min_free_octets: 256 << 20,
            segment_octets: SEGMENT_OCTETS,
            memory_limit: MEMORY_LIMIT,
            two_sync: false,
            learn: true,
        }
    }
}

/// What a store sees of the world.
#[derive(Clone)]
pub struct Surroundings {
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who writes, and who does slow reads.
    pub hands: Arc<dyn Hands>,
}

/// A store. Cloning is cheap.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// What waits for the writer. Whoever asks waits for the answer: no more than there are
    /// sessions and background tasks.
    jobs: Sender<Message>,
    room: Arc<Semaphore>,
    readers: Mutex<Vec<Box<dyn Reader>>>,
    make_reader: Mutex<ReaderMaker>,
    pub segments: Arc<Segments>,
    pub views: Arc<Views>,
    pub known: Arc<Known>,
    health: Arc<Mutex<Health>>,
    pub queue: watch::Receiver<u64>,
    pub lessons: watch::Receiver<u64>,
    learn: bool,
    spool: PathBuf,
    pub disk: Arc<dyn Disk>,
    pub folder: PathBuf,
    pub hands: Arc<dyn Hands>,
    writer: Mutex<Option<Leave>>,
    recovered: Recovered,
    pub rounds: Mutex<Rounds>,
    pub compared: Mutex<Compared>,
    pub search: Search,
    /// Held while the store is open.
    _lock: Option<File>,
}

impl Store {
    /// Opens the store in a data folder, making it when there is none, and repeats what a crash
    /// took from the rows.
    pub fn open(options: Options, world: Surroundings) -> Result<Store> {
        let disk = &world.disk;
        let folder = options.folder.clone();
        disk.create_folders(&folder).map_err(|e| io_error(&folder, &e))?;
        let lock = lock(&folder)?;
        let path = folder.join("meta.db");
        let engine = Sqlite::open(&path, Caches::of(options.memory_limit).engine)?;
        Store::assemble(Box::new(engine), Some(lock), options, world)
    }

    /// Whether the folder has a store, of which any part may be damaged.
    pub fn is_in(folder: &Path) -> bool {
        ["meta.db", "segments"].iter().any(|part| folder.join(part).exists())
    }

    /// A store over another engine.
    pub fn with_engine(
        engine: Box<dyn Engine>,
        options: Options,
        world: Surroundings,
    ) -> Result<Store> {
        Store::assemble(engine, None, options, world)
    }

    fn assemble(
        engine: Box<dyn Engine>,
        lock: Option<File>,
        options: Options,
        world: Surroundings,
    ) -> Result<Store> {
        let Surroundings { disk, clock, hands } = world;
        let (folder, spool) = make_folders(&options.folder, &*disk)?;
        let caches = Caches::of(options.memory_limit);
        let segments = Segments::new(&folder, disk.clone());
        let search = Search::new(&options.folder, disk.clone(), options.min_free_octets);
        let mut unit = Unit::new(engine, caches);
        let (tail, recovered) = recover::recover(&mut unit, &segments, clock.unix_seconds())?;
        let shared = Arc::new(Mutex::new(Health::Fine));
        let views = Arc::new(Views::default());
        let known = Arc::new(Known::new(caches));
        let (queue_sender, queue) = watch::channel(0);
        let (lessons_sender, lessons) = watch::channel(0);
        let (jobs, receiver) = mpsc::channel();
        let make_reader = unit.readers()?;
        let writer = Writer {
            unit,
            tail,
            views: views.clone(),
            known: known.clone(),
            clock,
            health: shared.clone(),
            queue: queue_sender,
            lessons: lessons_sender,
            min_free_octets: options.min_free_octets,
            segment_octets: options.segment_octets,
            two_sync: options.two_sync,
            learn: options.learn,
            deliveries: 0,
            room: Room::default(),
            jobs: receiver,
            stopping: false,
        };
        let writer = hands.hire("store-writer", Box::new(writer));
        let writer = writer.map_err(|e| StoreError::Failed(e.to_string()))?;
        Ok(Store {
            inner: Arc::new(Inner {
                jobs,
                room: Arc::new(Semaphore::new(WAITING_OCTETS_MAX as usize)),
                readers: Mutex::default(),
                make_reader: Mutex::new(make_reader),
                segments,
                views,
                known,
                health: shared,
                queue,
                lessons,
                learn: options.learn,
                spool,
                disk,
                folder: options.folder,
                hands,
                writer: Mutex::new(Some(writer)),
                recovered,
                rounds: Mutex::default(),
                compared: Mutex::default(),
                search,
                _lock: lock,
            }),
        })
    }

    /// What recovery did when the store was opened.
    pub fn recovered(&self) -> Recovered {
        self.inner.recovered
    }

    /// What accounts say of their mail is noted.
    pub fn learns(&self) -> bool {
        self.inner.learn
    }

    /// How the store is.
    pub fn health(&self) -> Health {
        self.inner.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the writer to finish what waits, and closes. Later writes fail.
    pub fn close(&self) {
        let _ = self.inner.jobs.send(Message::Stop);
        let leave = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        leave.into_iter().for_each(|leave| leave());
    }

    /// A place for a message to come in.
    pub fn spool(&self) -> Spool {
        Spool::new(self.inner.spool.clone(), self.inner.disk.clone())
    }

    /// Looks at the rows, on this thread: for what takes microseconds.
    pub fn look<T>(&self, look: impl FnOnce(&dyn ReadTxn) -> Result<T>) -> Result<T> {
        self.inner.views.gate.pass();
        let kept = self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match kept {
            Some(reader) => reader,
            None => self.inner.make_reader.lock().unwrap_or_else(PoisonError::into_inner)()?,
        };
        let (mut look, mut seen) = (Some(look), None);
        let read = reader.read(&mut |txn| {
            if let Some(look) = look.take() {
                seen = Some(look(txn)?);
            }
            Ok(())
        });
        let mut readers = self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_KEPT {
            readers.push(reader);
        }
        read?;
        seen.ok_or_else(|| StoreError::Engine("the engine did not read".to_owned()))
    }

    /// Reads the rows on a thread for slow things.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn ReadTxn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.aside(move |store| store.look(read)).await
    }

    /// Does something slow where no session waits for it.
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.clone();
        let done = hands::blocking(&*self.inner.hands, move || work(&store)).await;
        done.map_err(StoreError::Engine)?
    }

    /// Runs a write in a commit of its own or with others. It is durable when this returns.
    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (_, given) = self.deliver_and(Vec::new(), write).await?;
        Ok(given)
    }

    /// Stores messages and runs a write, all in one commit.
    pub async fn deliver_and<T: Send + 'static>(
        &self,
        deliveries: Vec<Delivery>,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T> + Send + 'static,
    ) -> Result<(Vec<Delivered>, T)> {
        let work: Work = Box::new(move |w| Ok(Box::new(write(w)?) as Given));
        let (delivered, given) = self.submit(deliveries, Vec::new(), Some(work)).await?;
        let given = given.and_then(|given| given.downcast::<T>().ok());
        let given = given.ok_or_else(|| StoreError::Engine("a write gave nothing".to_owned()))?;
        Ok((delivered, *given))
    }

    /// Stores a message. It is durable when this returns.
    pub async fn deliver(&self, delivery: Delivery) -> Result<Delivered> {
        let (mut delivered, _) = self.submit(vec![delivery], Vec::new(), None).await?;
        delivered.pop().ok_or_else(|| StoreError::Engine("nothing was delivered".to_owned()))
    }

    /// Moves message bytes to the segment that is being written.
    pub(crate) async fn relocate(&self, moves: Vec<Moving>) -> Result<()> {
        self.submit(Vec::new(), moves, None).await.map(drop)
    }

    async fn submit(
        &self,
        deliveries: Vec<Delivery>,
        moves: Vec<Moving>,
        work: Option<Work>,
    ) -> Result<(Vec<Delivered>, Option<Given>)> {
        if let Health::Failed(why) = self.health() {
            return Err(StoreError::Failed(why));
        }
        let octets: u64 = deliveries.iter().map(|d| d.content.len()).sum();
        let wanted = octets.min(u64::from(WAITING_OCTETS_MAX)) as u32;
        let permit = match wanted {
            0 => None,
            n => self.inner.room.clone().acquire_many_owned(n).await.ok(),
        };
        let (reply, answer) = oneshot::channel();
        let job = Job { deliveries, moves, work, reply, permit };
        let closed = || StoreError::Failed("the store is closed".to_owned());
        self.inner.jobs.send(Message::Job(Box::new(job))).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

/// Makes the folders of segments and of the spool, which loses what a crash left there.
fn make_folders(data: &Path, disk: &dyn Disk) -> Result<(PathBuf, PathBuf)> {
    let (segments, spool) = (data.join("segments"), data.join("spool"));
    for made in [&segments, &spool] {
        disk.create_folders(made).map_err(|e| io_error(made, &e))?;
    }
    for left in disk.list(&spool).map_err(|e| io_error(&spool, &e))? {
        disk.remove(&left).map_err(|e| io_error(&left, &e))?;
    }
    disk.sync_folder(data).map_err(|e| io_error(data, &e))?;
    Ok((segments, spool))
}

pub(crate) fn io_error(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Failed(format!("{}: {error}", path.display()))
}

/// Takes the lock of a data folder, so that no two processes write to it.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::options().create(true).truncate(false).write(true).read(true).open(&path);
    let file = file.map_err(|e| io_error(&path, &e))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(_) => {
            let pid = std::fs::read_to_string(&path).unwrap_or_default();
            return Err(StoreError::Locked(format!("process {}", pid.trim())));
        }
    }
    let text = format!("{}\n", std::process::id());
    let written = file.set_len(0).and_then(|()| {
        use std::os::unix::fs::FileExt;
        file.write_all_at(text.as_bytes(), 0)
    });
    written.map_err(|e| io_error(&path, &e))?;
    Ok(file)
}
