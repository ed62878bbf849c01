//! One thread for everything: workers have their turns when all sessions wait, slow work is done on
//! the spot. So nothing depends on what real threads do, and time, which tokio moves on when there
//! is nothing to do, never overtakes work.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use sys::hands::{Hands, Leave, Turn, Worker};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

type Workers = Arc<Mutex<Vec<(u64, Box<dyn Worker>)>>>;

/// The hands of a simulation. Cloning gives another handle.
#[derive(Clone, Default)]
pub struct SimHands {
    workers: Workers,
    hired: Arc<Mutex<u64>>,
    stuck: Arc<Notify>,
    /// How long slow work takes.
    slow: Arc<Mutex<Duration>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimHands {
    /// A runtime whose time is its own, with these hands: all must be hired and lent within it.
    pub fn runtime(&self) -> io::Result<Runtime> {
        let hands = self.clone();
        let mut builder = Builder::new_current_thread();
        builder.enable_all().start_paused(true);
        builder.on_thread_park(move || hands.all_wait()).build()
    }

    /// Slow work takes so long from now on.
    pub fn slow_down(&self, slow: Duration) {
        *lock(&self.slow) = slow;
    }

    /// Slow work takes time.
    pub fn is_slow(&self) -> bool {
        !lock(&self.slow).is_zero()
    }

    /// Nobody has anything to do: lets every worker work, and if none can, says so.
    fn all_wait(&self) {
        let mut worked = false;
        while lock(&self.workers).iter_mut().any(|(_, worker)| worker.turn(false) == Turn::Worked) {
            worked = true;
        }
        if !worked {
            self.stuck.notify_waiters();
        }
    }

    /// Waits for something; `None` when it cannot come, since everybody waits. For a runtime whose
    /// time is held ([`hold_time`]), in a task.
    pub async fn unless_stuck<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(what);
        // Timers that are due are seen to by the yield.
        for _ in 0..3 {
            tokio::select! {
                biased;
                got = &mut what => return Some(got),
                () = self.stuck.notified() => tokio::task::yield_now().await,
            }
        }
        None
    }
}

impl Hands for SimHands {
    fn hire(&self, _: &str, worker: Box<dyn Worker>) -> io::Result<Leave> {
        let mut hired = lock(&self.hired);
        *hired += 1;
        let (id, workers) = (*hired, self.workers.clone());
        lock(&workers).push((id, worker));
        Ok(Box::new(move || {
            let place = lock(&workers).iter().position(|(other, _)| *other == id);
            let worker = place.map(|at| lock(&workers).swap_remove(at));
            if let Some((_, mut worker)) = worker {
                while worker.turn(false) == Turn::Worked {}
            }
        }))
    }
    fn lend(&self, work: Box<dyn FnOnce() + Send>) {
        let slow = *lock(&self.slow);
        if slow.is_zero() {
            return work();
        }
        tokio::spawn(async move {
            tokio::time::sleep(slow).await;
            work();
        });
    }
}

/// Holds the time of a runtime, so that it moves only by `tokio::time::advance`, until the result
/// is dropped: it stands still while a blocking task runs.
pub fn hold_time(runtime: &Runtime) -> impl Sized {
    let (release, held) = std::sync::mpsc::channel::<()>();
    runtime.spawn_blocking(move || held.recv().is_ok());
    release
}
