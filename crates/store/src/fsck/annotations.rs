//! The annotations of messages: they are nowhere else, so none is given up whose message is there.

use super::Check;
use crate::error::Result;
use crate::mailbox::annotations::uid_of;
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
            let here: BTreeSet<Uid> = entries.iter().map(|entry| entry.uid).collect();
            let (mut damaged, mut left) = (Vec::new(), Vec::new());
            self.unit.rows().each_property(of, "", "\u{10ffff}", &mut |name, row| {
                match uid_of(name) {
                    // A name that is none stands in the way of all others.
                    None => damaged.push(name.to_owned()),
                    Some(uid) if !here.contains(&uid) => left.push(name.to_owned()),
                    Some(_) if decode_notes(row).is_err() => damaged.push(name.to_owned()),
                    Some(_) => {}
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
