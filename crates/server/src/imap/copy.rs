//! COPY and MOVE. RFC 3501 §6.4.7, RFC 4315 §3, RFC 6851.

use super::expunge::no_expunge;
use super::store::bad_number;
use super::{Context, Done};
use crate::drive::Output;
use ::store::{By, Copied};
use mail::{Rights, Uid};
use protocol::imap::command::Name;
use protocol::imap::grammar::SequenceSet;
use protocol::imap::response;
use protocol::imap::session::Answer;

impl Context {
    pub(super) async fn copy(
        &mut self,
        by_uid: bool,
        set: &SequenceSet,
        mailbox: Name,
        moves: bool,
        out: &mut Output<'_>,
    ) -> Done {
        let Some(view) = &self.view else { return Ok(bad_number()) };
        if moves && view.read_only {
            return Ok(Answer::No("[READ-ONLY] The mailbox is open for reading only".to_owned()));
        }
        let Some(mut found) = view.resolve(set, by_uid) else { return Ok(bad_number()) };
        let mut lowest = None;
        if moves {
            lowest = self.limit_messages(&mut found);
        } else if let Some(refusal) = self.too_many_to_copy(&found) {
            // RFC 9738: COPY is whole or not at all.
            return Ok(refusal);
        }
        if moves && !view.rights.contains(Rights::DELETED.with(Rights::EXPUNGE)) {
            return Ok(no_expunge());
        }
        let from = view.mailbox;
        let target = match self.target(&mailbox).await? {
            Ok(found) => found,
            Err(answer) => return Ok(answer),
        };
        let uids: Vec<Uid> = found.iter().map(|(_, entry)| entry.uid).collect();
        let by = By { account: self.actor()?.account, rights: target.rights };
        let verb = if moves { "MOVE" } else { "COPY" };
        if uids.is_empty() {
            return Ok(Answer::Ok(format!("{verb} completed")));
        }
        let copied = match moves {
            true => self.shared.store.move_(from, uids, target.row.id, by).await?,
            false => self.shared.store.copy(from, uids, target.row.id, by).await?,
        };
        if target.row.id == from {
            self.own_new = copied.pairs.iter().map(|(_, uid)| *uid).collect();
        }
        // RFC 4315 §3: who may not select the mailbox hears nothing of what is in it.
        let reads = target.rights.contains(Rights::READ);
        let code = if reads { copy_uid(&copied) } else { String::new() };
        if moves && !copied.pairs.is_empty() {
            // RFC 6851 §4.3: before the EXPUNGEs.
            if reads {
                let line = format!("* OK {code}{}\r\n", self.language.text("Moved"));
                out.buffer().extend_from_slice(line.as_bytes());
            }
            let gone: Vec<Uid> = copied.pairs.iter().map(|(uid, _)| *uid).collect();
            self.sync_expunged(&gone, out.buffer());
            let answer = Answer::Ok(format!("{}MOVE completed", self.highest(true)));
            return Ok(self.tell_limit(answer, lowest, out));
        }
        Ok(Answer::Ok(format!("{code}{verb} completed")))
    }
}

/// COPYUID. RFC 4315 §3.
fn copy_uid(copied: &Copied) -> String {
    if copied.pairs.is_empty() {
        return String::new();
    }
    let from: Vec<u32> = copied.pairs.iter().map(|(uid, _)| uid.get()).collect();
    let to: Vec<u32> = copied.pairs.iter().map(|(_, uid)| uid.get()).collect();
    format!("[COPYUID {} {} {}] ", copied.uidvalidity, response::set(&from), response::set(&to))
}
