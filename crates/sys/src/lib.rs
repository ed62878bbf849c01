//! The only door to the outside: clock, randomness, DNS, TCP, TLS, disk and threads.
//!
//! Everything above sees the world through the traits here, so that the simulator can replace it
//! and a seed replays a run. Invariant: no other crate reads a clock, opens a socket, asks DNS or
//! draws a random number.

mod client_certificate;
pub mod clock;
pub mod dane;
pub mod disk;
pub mod dnssec;
pub mod hands;
pub mod http;
pub mod ldap;
pub mod net;
pub mod page;
pub mod postgres;
pub mod program;
pub mod random;
pub mod resolver;
pub mod sqlite;
pub mod tls;

use std::sync::Arc;

/// The world a server lives in.
#[derive(Clone)]
pub struct World {
    /// What time it is.
    pub clock: Arc<dyn clock::Clock>,
    /// Random numbers.
    pub random: Arc<dyn random::Random>,
    /// DNS.
    pub resolver: Arc<dyn resolver::Resolver>,
    /// DNS with DNSSEC, where it is wanted.
    pub validating: Option<Arc<dyn dnssec::ValidatingResolver>>,
    /// TCP.
    pub net: Arc<dyn net::Net>,
    /// Files.
    pub disk: Arc<dyn disk::Disk>,
    /// Threads.
    pub hands: Arc<dyn hands::Hands>,
}

/// A boxed future, for the object-safe traits of this crate.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
