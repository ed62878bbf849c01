//! Reports of other receivers about mail from our domains, as octets that others make and read.
//! Anybody can send one: they are bounded, and the oldest go.

use crate::error::Result;
use crate::limits::{FEEDBACK_DAYS, FEEDBACK_MAX};
use crate::open::Store;
use crate::rows::Holder;
use crate::write::Writing;

/// A report that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFeedback {
    /// Its name: of two reports with the same one, the later takes the place of the other.
    pub name: String,
    /// What it says.
    pub octets: Vec<u8>,
}

const DAY: i64 = 86_400;

impl Writing<'_> {
    /// Keeps a report about a time that ended at `end`, in seconds since 1970. Of the same end and
    /// `number` it is the same report.
    pub fn keep_feedback(&mut self, end: i64, number: u64, octets: &[u8]) -> Result<()> {
        let of = Holder::Feedback;
        // What claims to be from the future would never be the oldest.
        let end = end.clamp(0, self.now.saturating_add(DAY));
        let name = format!("{end:011}-{number:016x}");
        let mut names = self.unit.rows().property_names(of, FEEDBACK_MAX + 1)?;
        names.retain(|other| *other != name);
        let horizon = format!("{:011}", (self.now - FEEDBACK_DAYS * DAY).max(0));
        if name < horizon {
            return Ok(());
        }
        let surplus = (names.len() + 1).saturating_sub(FEEDBACK_MAX);
        for (n, old) in names.iter().enumerate() {
            if n < surplus || *old < horizon {
                self.unit.write()?.remove_property(of, old)?;
            }
        }
        self.unit.write()?.put_property(of, &name, octets)
    }
}

impl Store {
    /// The reports that are kept, oldest first.
    pub fn feedback(&self) -> Result<Vec<KeptFeedback>> {
        let rows = self.look(|txn| txn.properties(Holder::Feedback))?;
        Ok(rows.into_iter().map(|(name, octets)| KeptFeedback { name, octets }).collect())
    }
}
