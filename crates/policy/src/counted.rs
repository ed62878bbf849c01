//! A resolver for one message: whatever it raises, so many questions are asked and no more, and
//! their answers are waited for so long (security.md MI-4).

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use sys::BoxFuture;
use sys::resolver::{DnsError, Mx, Resolver};
use tokio::time::Instant;

/// Passes questions on until they are too many, or took too long: then DNS "does not answer", so
/// that nothing is believed, or held against anybody, because it could not be asked.
pub struct Counted {
    resolver: Arc<dyn Resolver>,
    left: AtomicUsize,
    waits: Mutex<Waits>,
}

/// Time in which at least one question had no answer yet.
struct Waits {
    left: Duration,
    /// Questions that have none.
    open: usize,
    /// Since when there is one.
    since: Instant,
}

impl Waits {
    /// What is left of it now.
    fn left(&self) -> Duration {
        match self.open {
            0 => self.left,
            _ => self.left.saturating_sub(self.since.elapsed()),
        }
    }
}

/// A question that has no answer yet.
struct Open<'a>(&'a Counted);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut waits = self.0.waits();
        let left = waits.left();
        waits.open -= 1;
        (waits.left, waits.since) = (left, Instant::now());
    }
}

impl Counted {
    /// Over this resolver, for so many questions and so long.
    pub fn new(resolver: Arc<dyn Resolver>, most: usize, wait: Duration) -> Counted {
        let waits = Waits { left: wait, open: 0, since: Instant::now() };
        Counted { resolver, left: AtomicUsize::new(most), waits: Mutex::new(waits) }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> (Open<'_>, Duration) {
        let mut waits = self.waits();
        let left = waits.left();
        if waits.open == 0 {
            waits.since = Instant::now();
        }
        waits.open += 1;
        (Open(self), left)
    }

    fn pass<'a, T: Send + 'a>(
        &'a self,
        ask: impl FnOnce() -> BoxFuture<'a, Result<T, DnsError>>,
    ) -> BoxFuture<'a, Result<T, DnsError>> {
        let no = |why: &str| Err(DnsError::Temporary(why.to_owned()));
        let less = |left: usize| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
            return Box::pin(async move { no("the message raises too many questions") });
        }
        let asked = ask();
        Box::pin(async move {
            let (open, left) = self.begin();
            let answer = tokio::time::timeout(left, asked).await;
            drop(open);
            answer.unwrap_or_else(|_| no("DNS took too long"))
        })
    }
}

impl Resolver for Counted {
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Mx>, DnsError>> {
        self.pass(|| self.resolver.mx(name))
    }
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        self.pass(|| self.resolver.addresses(name))
    }
    fn ipv4<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        self.pass(|| self.resolver.ipv4(name))
    }
    fn ipv6<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        self.pass(|| self.resolver.ipv6(name))
    }
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, DnsError>> {
        self.pass(|| self.resolver.txt(name))
    }
    fn ptr(&self, ip: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>> {
        self.pass(|| self.resolver.ptr(ip))
    }
}
