//! The world in a box: a clock that moves when told, numbers that repeat, DNS from a table, a
//! network in memory, a real disk that fails when told.

use crate::disk::SimDisk;
use crate::dns::SimDns;
use crate::model::Model;
use crate::pipe::{self, End, Power};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Options, Store, Surroundings};
use sys::BoxFuture;
use sys::clock::Clock;
use sys::disk::{Disk, DiskFile, Mode, RealDisk};
use sys::hands::{Hands, SystemHands};
use sys::net::{BoxStream, Listener, Net};
use sys::random::Random;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// 1 January 2026, 00:00 UTC, in milliseconds since 1970.
pub const NEW_YEAR: i64 = 1_767_225_600_000;

/// A clock that moves by [`SimClock::advance`], or with tokio's time.
pub struct SimClock {
    millis: AtomicI64,
    /// Time since the world began, whatever the clock was set to.
    steady: AtomicU64,
    /// Since when it moves with tokio's time.
    follows: Mutex<Option<Instant>>,
}

impl Default for SimClock {
    fn default() -> SimClock {
        SimClock {
            millis: AtomicI64::new(NEW_YEAR),
            steady: AtomicU64::new(0),
            follows: Mutex::new(None),
        }
    }
}

impl SimClock {
    /// Jumps ahead, and tokio's paused time with it. Needs a runtime whose time is paused.
    pub async fn advance(&self, by: Duration) {
        self.millis.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
        self.steady.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
        tokio::time::advance(by).await;
    }

    /// Moves with the time of the runtime it is called in, until [`SimClock::stop`].
    pub fn follow(&self) {
        *lock(&self.follows) = Some(Instant::now());
    }

    /// Stands still from now on.
    pub fn stop(&self) {
        let gone = self.gone();
        *lock(&self.follows) = None;
        self.millis.fetch_add(gone.as_millis() as i64, Ordering::SeqCst);
        self.steady.fetch_add(gone.as_millis() as u64, Ordering::SeqCst);
    }

    /// Time since it follows.
    fn gone(&self) -> Duration {
        lock(&self.follows).map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Somebody sets the clock forward by some seconds, or back; no time goes by.
    pub fn set(&self, seconds: i64) {
        self.millis.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn unix_millis(&self) -> i64 {
        self.millis.load(Ordering::SeqCst) + self.gone().as_millis() as i64
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.steady.load(Ordering::SeqCst)) + self.gone()
    }
}

/// Numbers from a seed (splitmix64).
pub struct SimRandom {
    state: AtomicU64,
}

impl SimRandom {
    /// The numbers that follow from `seed`.
    pub fn new(seed: u64) -> SimRandom {
        SimRandom { state: AtomicU64::new(seed) }
    }
}

impl Random for SimRandom {
    fn fill(&self, bytes: &mut [u8]) {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

type Arrivals = UnboundedSender<(End, SocketAddr)>;

/// A network in memory.
#[derive(Default)]
pub struct SimNet {
    listening: Mutex<HashMap<SocketAddr, Arrivals>>,
    /// The power of the house; the others have their own.
    power: Power,
}

/// Where connections arrive.
pub struct SimListener {
    address: SocketAddr,
    power: Power,
    arrivals: tokio::sync::Mutex<UnboundedReceiver<(End, SocketAddr)>>,
}

impl SimNet {
    /// A network in which the house needs this power.
    pub fn with_power(power: Power) -> SimNet {
        SimNet { listening: Mutex::default(), power }
    }

    /// Listens at an address; who listened there before hears no more.
    pub fn open(&self, on: SocketAddr) -> SimListener {
        let (sender, receiver) = unbounded_channel();
        lock(&self.listening).insert(on, sender);
        let power = self.power.clone();
        SimListener { address: on, power, arrivals: tokio::sync::Mutex::new(receiver) }
    }

    /// Connects; refused when nobody listens there.
    pub fn dial(&self, to: SocketAddr, from: SocketAddr) -> io::Result<End> {
        let (near, far) = pipe::pair();
        let listening = lock(&self.listening);
        let listener = listening.get(&to).ok_or(io::ErrorKind::ConnectionRefused)?;
        listener.send((far, from)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(near)
    }
}

impl SimListener {
    /// The next connection.
    pub async fn next(&self) -> io::Result<(End, SocketAddr)> {
        let arrived = self.arrivals.lock().await.recv().await;
        arrived.ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
    }
}

impl SimListener {
    /// Nobody has connected that was not taken yet.
    pub async fn is_quiet(&self) -> bool {
        self.arrivals.lock().await.is_empty()
    }
}

impl Listener for SimListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr, SocketAddr)>> {
        Box::pin(async move {
            let (mut end, peer) = self.next().await?;
            end.needs(&self.power);
            Ok((Box::new(end) as BoxStream, peer, self.address))
        })
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Net for SimNet {
    fn connect(
        &self,
        to: SocketAddr,
        source: Option<IpAddr>,
        _: Duration,
    ) -> BoxFuture<'_, io::Result<BoxStream>> {
        let from = SocketAddr::new(source.unwrap_or(IpAddr::from([203, 0, 113, 1])), 50_000);
        let dialled = self.dial(to, from).map(|mut end| {
            end.needs(&self.power);
            Box::new(end) as BoxStream
        });
        Box::pin(async move { dialled })
    }
    fn listen(&self, on: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(self.open(on)))
    }
}

/// The machine's disk, until it is told to be full or broken.
#[derive(Default)]
pub struct MoodyDisk {
    full: AtomicBool,
    broken: Arc<AtomicBool>,
    /// What is behind so many octets of any file cannot be read; 0 is nothing.
    lost: Arc<AtomicU64>,
    /// A bit of the octet there of any file is read wrong; 0 is none.
    flipped: Arc<AtomicU64>,
}

impl MoodyDisk {
    /// From now on a bit of the octet there of any file is read wrong; 0 is none.
    pub fn flip(&self, octet: u64) {
        self.flipped.store(octet, Ordering::SeqCst);
    }
    /// From now on what is behind so many octets of any file cannot be read; 0 is nothing.
    pub fn lose_behind(&self, octets: u64) {
        self.lost.store(octets, Ordering::SeqCst);
    }
    /// Nothing is left of it, or something again.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }
    /// From now on nothing can be synced.
    pub fn break_down(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }
}

struct MoodyFile {
    inner: Arc<dyn DiskFile>,
    broken: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    flipped: Arc<AtomicU64>,
}

impl Disk for MoodyDisk {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let inner = RealDisk.open(path, mode)?;
        let (broken, lost) = (self.broken.clone(), self.lost.clone());
        Ok(Arc::new(MoodyFile { inner, broken, lost, flipped: self.flipped.clone() }))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(folder)
    }
    fn create_folders(&self, folder: &Path) -> io::Result<()> {
        RealDisk.create_folders(folder)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        RealDisk.sync_folder(folder)
    }
    fn available(&self, folder: &Path) -> io::Result<u64> {
        if self.full.load(Ordering::SeqCst) { Ok(0) } else { RealDisk.available(folder) }
    }
}

impl DiskFile for MoodyFile {
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_at(octets, offset)
    }
    fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<()> {
        let lost = self.lost.load(Ordering::SeqCst);
        if lost > 0 && offset + octets.len() as u64 > lost {
            return Err(io::Error::other("the disk cannot be read there"));
        }
        self.inner.read_at(octets, offset)?;
        let at = self.flipped.load(Ordering::SeqCst);
        if let Some(octet) = at.checked_sub(offset).and_then(|n| octets.get_mut(n as usize)) {
            *octet ^= u8::from(at > 0);
        }
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        self.inner.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All of it.
#[derive(Clone)]
pub struct SimWorld {
    /// The clock.
    pub clock: Arc<SimClock>,
    /// DNS.
    pub dns: Arc<SimDns>,
    /// The network.
    pub net: Arc<SimNet>,
    /// Random numbers.
    pub random: Arc<SimRandom>,
    /// The disk.
    pub disk: Arc<MoodyDisk>,
    /// Threads.
    pub hands: Arc<dyn Hands>,
    /// What the store stands on instead of the disk and SQLite.
    pub ground: Option<Ground>,
}

/// A disk, a clock and the operating system's threads, for a store.
pub fn with_threads(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Surroundings {
    Surroundings { disk, clock, hands: Arc::new(SystemHands) }
}

/// A simulated disk, and the rows that are on it.
#[derive(Clone, Default)]
pub struct Ground {
    /// The files.
    pub disk: SimDisk,
    /// The engine.
    pub rows: Model,
}

impl SimWorld {
    /// A fresh world.
    pub fn new(seed: u64) -> SimWorld {
        SimWorld {
            clock: Arc::default(),
            dns: Arc::default(),
            net: Arc::default(),
            random: Arc::new(SimRandom::new(seed)),
            disk: Arc::default(),
            hands: Arc::new(SystemHands),
            ground: None,
        }
    }

    /// As the product sees it.
    pub fn as_seen(&self) -> sys::World {
        sys::World {
            clock: self.clock.clone(),
            random: self.random.clone(),
            resolver: self.dns.clone(),
            validating: Some(self.dns.clone()),
            net: self.net.clone(),
            disk: match &self.ground {
                Some(ground) => Arc::new(ground.disk.clone()),
                None => self.disk.clone(),
            },
            hands: self.hands.clone(),
        }
    }

    /// What a store sees of it.
    pub fn surroundings(&self) -> Surroundings {
        let seen = self.as_seen();
        Surroundings { disk: seen.disk, clock: seen.clock, hands: seen.hands }
    }

    /// Opens a store in it.
    pub fn open_store(&self, options: Options) -> store::Result<Store> {
        match &self.ground {
            None => Store::open(options, self.surroundings()),
            Some(ground) => Store::with_engine(ground.rows.engine(), options, self.surroundings()),
        }
    }
}
