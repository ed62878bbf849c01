//! The annotations of messages: they are nowhere else, so none is given up whose message is there.

use super::Check;
use crate::error::Result;
use crate::packed::decode_notes;
use crate::rows::Holder;
use mail::{MailboxId, Uid};
use std::collections::BTreeSet;

impl Check<'_> {
    /// Each belongs to a message that is there, and can be read. What belongs to none goes: another
    /// message must not come to it.
    pub(super) fn check_annotations(&mut self) -> Result<()> {
        for id in self.unit.rows().owners(Holder::Notes(MailboxId(0)))? {
            let (id, of) = (MailboxId(id), Holder::Notes(MailboxId(id)));
            let entries = self.unit.entries(id, Uid::FIRST, Uid::MAX)?;
            let here: BTreeSet<String> =
                entries.iter().map(|entry| format!("{:08x}", entry.uid.get())).collect();
            let (mut damaged, mut left) = (Vec::new(), Vec::new());
            self.unit.rows().each_property(of, "", "g", &mut |name, row| {
                if !name.get(..8).is_some_and(|uid| here.contains(uid)) {
                    left.push(name.to_owned());
                } else if decode_notes(row).is_err() {
                    damaged.push(name.to_owned());
                }
                Ok(())
            })?;
            for (names, what) in [(&damaged, "cannot be read"), (&left, "belong to no message")] {
                if !names.is_empty() {
                    let count = names.len();
                    self.problem(format!("mailbox {id}: {count} rows of annotations {what}"));
                }
                for name in names {
                    self.unit.write_outside().remove_property(of, name)?;
                }
            }
        }
        Ok(())
    }
}
