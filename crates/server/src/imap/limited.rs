//! MESSAGELIMIT and SAVELIMIT: how many messages one command works on, if the operator says so.
//! RFC 9738. What is above the limit is left out, the oldest first, or the command is refused where
//! half of it would be no use.

use super::Context;
use crate::drive::Output;
use mail::{Entry, Listing, Uid};
use protocol::imap::command::search::Key;
use protocol::imap::session::Answer;

impl Context {
    /// Messages that one command may work on.
    pub(super) fn message_limit(&self) -> u32 {
        match self.shared.settings.imap.message_limit {
            0 => u32::MAX,
            limit => limit,
        }
    }

    /// Leaves the newest messages at ascending ranges of places; if some are left out, the lowest
    /// UID that stays.
    pub(super) fn limit_places(&self, told: &Listing, places: &mut Vec<(u32, u32)>) -> Option<Uid> {
        let mut left = self.message_limit();
        if places.iter().map(|(from, to)| u64::from(to - from)).sum::<u64>() <= left.into() {
            return None;
        }
        let mut kept = Vec::new();
        for (from, to) in places.iter().rev() {
            let from = *from.max(&to.saturating_sub(left));
            left -= to - from;
            if from < *to {
                kept.push((from, *to));
            }
        }
        kept.reverse();
        *places = kept;
        told.at(places.first()?.0).map(|entry| entry.uid)
    }

    /// The same for messages.
    pub(super) fn limit_messages(&self, messages: &mut Vec<(u32, Entry)>) -> Option<Uid> {
        let over = messages.len().checked_sub(self.message_limit() as usize)?;
        if over == 0 {
            return None;
        }
        messages.drain(..over);
        messages.first().map(|(_, entry)| entry.uid)
    }

    /// So many messages are more than one command may work on as a whole.
    pub(super) fn too_many(&self, count: usize) -> Option<Answer> {
        let limit = self.message_limit();
        (count > limit as usize).then(|| refused(limit, None))
    }

    /// Messages that one command may store.
    fn save_limit(&self) -> u32 {
        match self.shared.settings.imap.save_limit {
            0 => self.message_limit(),
            limit => limit.min(self.message_limit()),
        }
    }

    /// So many messages are more than one command may store.
    pub(super) fn too_many_to_save(&self, count: usize) -> Option<Answer> {
        let limit = self.save_limit();
        (count > limit as usize).then(|| refused(limit, None))
    }

    /// The same for messages that are to be copied: told is where those begin that could be.
    pub(super) fn too_many_to_copy(&self, messages: &[(u32, Entry)]) -> Option<Answer> {
        let limit = self.save_limit();
        let over = messages.len().checked_sub(limit as usize).filter(|over| *over > 0)?;
        Some(refused(limit, messages.get(over).map(|(_, entry)| entry.uid)))
    }

    /// Says that only messages from a UID on were worked on: in the tagged OK, or before it where
    /// that says something already.
    pub(super) fn tell_limit(
        &self,
        answer: Answer,
        lowest: Option<Uid>,
        out: &mut Output<'_>,
    ) -> Answer {
        let Some(lowest) = lowest else { return answer };
        let code = format!("MESSAGELIMIT {} {lowest}", self.message_limit());
        match answer {
            Answer::Ok(text) if !text.starts_with('[') => Answer::Ok(format!("[{code}] {text}")),
            answer => {
                self.untagged("NO", &code, "Only the newest messages", out.buffer());
                match answer {
                    // RFC 9738 §3.1: it goes with OK where a limit is told.
                    Answer::No(text) if text.starts_with("[EXPUNGEISSUED]") => Answer::Ok(text),
                    answer => answer,
                }
            }
        }
    }
}

fn refused(limit: u32, lowest: Option<Uid>) -> Answer {
    let lowest = lowest.map(|uid| format!(" {uid}")).unwrap_or_default();
    Answer::No(format!("[MESSAGELIMIT {limit}{lowest}] So many messages at once are too many"))
}

/// The part of a key that says which messages are searched at all: numbers and UIDs that all of
/// them must have.
pub(super) fn searched(key: &Key) -> Key {
    match key {
        Key::And(keys) => Key::And(keys.iter().map(searched).collect()),
        Key::Sequence(_) | Key::Uid(_) => key.clone(),
        _ => Key::All,
    }
}
