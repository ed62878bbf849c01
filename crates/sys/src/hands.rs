//! Who does work that blocks, and who works beside the sessions: the operating system's threads, or
//! in the simulator the one thread there is, so that a seed repeats the order of everything.

use crate::BoxFuture;
use std::io;
use tokio::sync::oneshot;

/// What a worker says after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Something was done; there may be more.
    Worked,
    /// There was nothing to do; said only to who is not patient.
    Idle,
    /// There will never be anything to do again.
    Over,
}

/// Something that works in turns beside everybody else.
pub trait Worker: Send {
    /// Does what waits. When nothing does, it waits for something if `patient`.
    fn turn(&mut self, patient: bool) -> Turn;
}

/// Waits until a worker's work is over.
pub type Leave = Box<dyn FnOnce() + Send>;

/// Threads.
pub trait Hands: Send + Sync {
    /// Lets a worker work until it says that it is over. Fails when there is no thread to be had.
    fn hire(&self, name: &str, worker: Box<dyn Worker>) -> io::Result<Leave>;
    /// Does something that blocks or computes for long, where no session waits for it. Needs a
    /// runtime.
    fn lend(&self, work: Box<dyn FnOnce() + Send>);
}

/// Lends a hand, and waits for what comes of it. `Err`: the work panicked, or nobody did it.
pub fn blocking<T: Send + 'static>(
    hands: &dyn Hands,
    work: impl FnOnce() -> T + Send + 'static,
) -> BoxFuture<'static, Result<T, String>> {
    let (give, got) = oneshot::channel();
    hands.lend(Box::new(move || drop(give.send(work()))));
    Box::pin(async move { got.await.map_err(|_| "the work was not done".to_owned()) })
}

/// Does something long on a thread of its own that gives way to all others: nice 19.
pub fn modest(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    let work = move || {
        // On Linux it is for this thread alone. Without it the work is as urgent as any other.
        let _ = rustix::process::nice(19);
        work();
    };
    thread.spawn(work).map(drop)
}

/// The operating system's threads.
pub struct SystemHands;

impl Hands for SystemHands {
    fn hire(&self, name: &str, mut worker: Box<dyn Worker>) -> io::Result<Leave> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || while worker.turn(true) != Turn::Over {})?;
        Ok(Box::new(move || drop(thread.join())))
    }
    #[allow(clippy::disallowed_methods, reason = "the door itself")]
    fn lend(&self, work: Box<dyn FnOnce() + Send>) {
        drop(tokio::task::spawn_blocking(work));
    }
}
