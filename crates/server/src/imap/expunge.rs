//! EXPUNGE and UID EXPUNGE. RFC 3501 §6.4.3, RFC 4315 §2.1.

use super::store::bad_number;
use super::{Context, Done};
use crate::drive::Output;
use ::store::Which;
use mail::{FlagBits, Rights};
use protocol::imap::grammar::SequenceSet;
use protocol::imap::session::Answer;

/// The refusal to who may not take messages out of the mailbox.
pub(super) fn no_expunge() -> Answer {
    Answer::No("[NOPERM] You may not take messages out of this mailbox".to_owned())
}

impl Context {
    pub(super) async fn expunge(&mut self, set: Option<SequenceSet>, out: &mut Output<'_>) -> Done {
        let Some(view) = &mut self.view else { return Ok(bad_number()) };
        if view.read_only {
            return Ok(Answer::No("[READ-ONLY] The mailbox is open for reading only".to_owned()));
        }
        if !view.rights.contains(Rights::EXPUNGE) {
            return Ok(no_expunge());
        }
        let (mailbox, mut lowest) = (view.mailbox, None);
        let which = match set {
            None => view.marked(),
            Some(set) => {
                let mut found = view.resolve(&set, true).unwrap_or_default();
                if self.shared.settings.imap.message_limit > 0 {
                    found.retain(|(_, entry)| entry.flags.contains(FlagBits::DELETED));
                    lowest = self.limit_messages(&mut found);
                }
                Which::DeletedAmong(found.iter().map(|(_, entry)| entry.uid).collect())
            }
        };
        let gone = self.shared.store.expunge(mailbox, which).await?;
        self.sync_expunged(&gone, out.buffer());
        let answer = Answer::Ok(format!("{}EXPUNGE completed", self.highest(!gone.is_empty())));
        Ok(self.tell_limit(answer, lowest, out))
    }

    /// HIGHESTMODSEQ for the tagged OK when messages went and QRESYNC is enabled. RFC 7162 §3.2.7.
    pub(super) fn highest(&self, some: bool) -> String {
        match &self.view {
            Some(view) if some && self.enabled.qresync => {
                format!("[HIGHESTMODSEQ {}] ", view.told.modseq)
            }
            _ => String::new(),
        }
    }
}
