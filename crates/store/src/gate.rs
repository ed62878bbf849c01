//! Who looks waits for what is answered but not yet to be seen.
//!
//! A delivery is durable once its segment is synced, and is answered then; its rows follow within
//! a fraction of a millisecond. Whoever looks in between waits for them, so that a message is never
//! missed by a client that knows of its 250.

use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

/// Open but for a moment after some deliveries are answered.
#[derive(Default)]
pub(crate) struct Gate(RwLock<()>);

impl Gate {
    /// Shuts it until the guard is dropped.
    pub fn shut(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once it is open.
    pub fn pass(&self) {
        drop(self.0.read().unwrap_or_else(PoisonError::into_inner));
    }
}
