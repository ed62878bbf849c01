//! Connections in memory. Either end can be asked whether the other waits for something to read,
//! so that a test knows, without sleeping, that everything it sent was dealt with.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// One direction.
#[derive(Default)]
struct Lane {
    octets: VecDeque<u8>,
    /// Nothing will be written any more.
    ended: bool,
    /// The reader has found nothing and waits.
    awaited: bool,
    reader: Option<Waker>,
}

#[derive(Default)]
struct Shared {
    /// What each end reads.
    lanes: Mutex<[Lane; 2]>,
    moved: Notify,
}

/// Whether a house has power. Cloning gives another handle.
#[derive(Clone, Default)]
pub struct Power(Arc<AtomicBool>);

impl Power {
    /// It fails.
    pub fn fail(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
    /// It has failed.
    pub fn is_off(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// One end of a connection. Dropping it hangs up.
pub struct End {
    shared: Arc<Shared>,
    side: usize,
    /// Without it nothing is sent.
    power: Option<Power>,
}

/// The two ends of a new connection.
pub fn pair() -> (End, End) {
    let shared = Arc::new(Shared::default());
    let near = End { shared: shared.clone(), side: 0, power: None };
    (near, End { shared, side: 1, power: None })
}

/// Watches an end without owning it.
#[derive(Clone)]
pub struct Eye {
    shared: Arc<Shared>,
    side: usize,
}

impl Eye {
    /// The other end has used everything we wrote and waits for more, or has hung up.
    pub async fn settled(&self) {
        self.until(|ours, theirs| ours.ended || (theirs.awaited && theirs.octets.is_empty())).await;
    }

    /// The other end has taken everything we wrote, or has hung up.
    pub async fn taken(&self) {
        self.until(|ours, theirs| ours.ended || theirs.octets.is_empty()).await;
    }

    /// Something came, or the other end hung up.
    pub async fn came(&self) {
        self.until(|ours, _| ours.ended || !ours.octets.is_empty()).await;
    }

    /// The other end has hung up.
    pub async fn ended(&self) {
        self.until(|ours, _| ours.ended).await;
    }

    async fn until(&self, true_of: impl Fn(&Lane, &Lane) -> bool) {
        loop {
            let moved = self.shared.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            {
                let lanes = self.shared.lanes();
                if true_of(&lanes[self.side], &lanes[1 - self.side]) {
                    return;
                }
            }
            moved.await;
        }
    }
}

impl Shared {
    fn lanes(&self) -> MutexGuard<'_, [Lane; 2]> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl End {
    /// Its machine needs this power.
    pub fn needs(&mut self, power: &Power) {
        self.power = Some(power.clone());
    }

    /// A watcher of this end.
    pub fn eye(&self) -> Eye {
        Eye { shared: self.shared.clone(), side: self.side }
    }

    fn end(&self, side: usize) {
        let mut lanes = self.shared.lanes();
        lanes[side].ended = true;
        let waker = lanes[side].reader.take();
        drop(lanes);
        waker.into_iter().for_each(Waker::wake);
        self.shared.moved.notify_waiters();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.end(0);
        self.end(1);
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut lanes = self.shared.lanes();
        let lane = &mut lanes[self.side];
        if lane.octets.is_empty() && !lane.ended {
            lane.awaited = true;
            lane.reader = Some(context.waker().clone());
            drop(lanes);
            self.shared.moved.notify_waiters();
            return Poll::Pending;
        }
        lane.awaited = false;
        let octets = buffer.remaining().min(lane.octets.len());
        let taken: Vec<u8> = lane.octets.drain(..octets).collect();
        buffer.put_slice(&taken);
        drop(lanes);
        self.shared.moved.notify_waiters();
        Poll::Ready(Ok(()))
    }
}

impl sys::net::Stream for End {
    fn has_input(&self) -> bool {
        !self.shared.lanes()[self.side].octets.is_empty()
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut lanes = self.shared.lanes();
        let lane = &mut lanes[1 - self.side];
        if lane.ended || self.power.as_ref().is_some_and(Power::is_off) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        lane.octets.extend(octets);
        lane.awaited = false;
        let waker = lane.reader.take();
        drop(lanes);
        waker.into_iter().for_each(Waker::wake);
        self.shared.moved.notify_waiters();
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end(1 - self.side);
        Poll::Ready(Ok(()))
    }
}
