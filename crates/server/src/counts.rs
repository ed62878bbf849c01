//! What happened since the start, counted for those who watch over the server.

use crate::listen::Service;
use protocol::smtp::reply::Reply;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that grows.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Once more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    /// How often so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What happened at one service.
#[derive(Default)]
pub struct ServiceCounts {
    /// Connections that were taken.
    pub begun: Counter,
    /// Those of them that ended.
    pub ended: Counter,
    /// Connections that were turned away, because there are too many or their address is banned.
    pub turned_away: Counter,
    /// TLS handshakes that failed.
    pub tls_failed: Counter,
    /// Sessions that a panic ended.
    pub panicked: Counter,
    /// Logins.
    pub logins: Counter,
    /// Logins that were refused.
    pub logins_refused: Counter,
}

/// A connection that was taken: it has ended when this is dropped, however it ends.
pub(crate) struct Taken<'a>(&'a ServiceCounts);

impl Taken<'_> {
    pub fn new(counts: &ServiceCounts) -> Taken<'_> {
        counts.begun.add();
        Taken(counts)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.ended.add();
    }
}

/// What SMTP clients were told, by the first digit of the reply. RFC 5321 §4.2.1.
#[derive(Default)]
pub struct Replies {
    /// 2yz
    pub accepted: Counter,
    /// 4yz
    pub deferred: Counter,
    /// 5yz
    pub refused: Counter,
}

impl Replies {
    /// Counts a reply.
    pub fn count(&self, reply: &Reply) {
        match reply.code {
            ..400 => self.accepted.add(),
            400..500 => self.deferred.add(),
            _ => self.refused.add(),
        }
    }
}

/// What happened.
#[derive(Default)]
pub struct Counts {
    services: [ServiceCounts; Service::ALL.len()],
    /// Replies to whole messages.
    pub messages: Replies,
    /// Replies to recipients that were not taken.
    pub recipients: Replies,
}

impl Counts {
    /// Those of a service.
    pub fn of(&self, service: Service) -> &ServiceCounts {
        let [first, ..] = &self.services;
        self.services.get(service as usize).unwrap_or(first)
    }
}
