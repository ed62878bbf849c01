//! How much the store holds, for those who watch over the server.

use crate::error::{Result, StoreError};
use crate::open::Store;

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Messages in the queue.
    pub queued: u64,
    /// When the oldest of them came, seconds since 1970.
    pub oldest_queued: Option<i64>,
    /// Octets of messages that something refers to.
    pub living_octets: u64,
    /// Octets of all messages in segments, until housekeeping takes the others away.
    pub message_octets: u64,
    /// Octets of the rows' file.
    pub row_octets: u64,
    /// Octets that are free on the disk.
    pub free_octets: u64,
}

impl Store {
    /// How much there is now.
    pub async fn figures(&self) -> Result<Figures> {
        self.aside(Store::count).await
    }

    fn count(&self) -> Result<Figures> {
        let failed = |error: std::io::Error| StoreError::Engine(format!("segments: {error}"));
        let segments = self.inner.segments.numbers().map_err(failed)?;
        let free_octets = self.inner.disk.available(&self.inner.folder).map_err(failed)?;
        self.look(|txn| {
            let oldest_queued = txn.queue(None, 1)?.first().map(|row| row.arrived);
            let (queued, row_octets) = (txn.queue_length()?, txn.spare()?.1);
            let mut figures =
                Figures { queued, oldest_queued, row_octets, free_octets, ..Figures::default() };
            for number in segments {
                let (living, all) = txn.segment(number)?;
                figures.living_octets += living;
                figures.message_octets += all;
            }
            Ok(figures)
        })
    }
}
