//! A resolver for one message: whatever it raises, so many questions are asked and no more
//! (security.md MI-4).

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use sys::BoxFuture;
use sys::resolver::{DnsError, Mx, Resolver};

/// Passes questions on until they are too many: then DNS "does not answer", so that nothing is
/// believed, or held against anybody, because it could not be asked.
pub struct Counted {
    resolver: Arc<dyn Resolver>,
    left: AtomicUsize,
}

impl Counted {
    /// Over this resolver, for so many questions.
    pub fn new(resolver: Arc<dyn Resolver>, most: usize) -> Counted {
        Counted { resolver, left: AtomicUsize::new(most) }
    }

    fn pass<'a, T: Send + 'a>(
        &self,
        ask: impl FnOnce() -> BoxFuture<'a, Result<T, DnsError>>,
    ) -> BoxFuture<'a, Result<T, DnsError>> {
        let less = |left: usize| left.checked_sub(1);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => ask(),
            Err(_) => Box::pin(async {
                Err(DnsError::Temporary("the message raises too many questions".to_owned()))
            }),
        }
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
