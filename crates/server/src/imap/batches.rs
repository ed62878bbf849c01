//! UIDBATCHES. RFC 10022.

use super::{Context, Done, ok};
use crate::drive::Output;
use mail::Listing;
use protocol::imap::command::batches::UidBatches;
use protocol::imap::session::Answer;

/// Fewer messages than these are no batch: a client would ask for too many of them.
const BATCH_MESSAGES_MIN: u32 = 500;

impl Context {
    /// `* UIDBATCHES (TAG "a") 215295:99696,99695:1`. What SEARCH saved stays as it is.
    pub(super) fn uid_batches(&self, asked: &UidBatches, out: &mut Output<'_>) -> Done {
        let Some(view) = &self.view else {
            return Ok(Answer::Bad("Select a mailbox first".to_owned()));
        };
        if asked.size < BATCH_MESSAGES_MIN {
            let text = format!("[TOOFEW] Batches have at least {BATCH_MESSAGES_MIN} messages");
            return Ok(Answer::No(text));
        }
        if asked.batches.is_some_and(|(first, last)| first > last) {
            let text = "[CLIENTBUG] The first batch comes before the last";
            return Ok(Answer::Bad(text.to_owned()));
        }
        let ranges = ranges(&view.told, asked.size, asked.batches.unwrap_or((1, u32::MAX)));
        let blank = if ranges.is_empty() { "" } else { " " };
        let line = format!("* UIDBATCHES (TAG \"{}\"){blank}{ranges}\r\n", asked.tag);
        out.buffer().extend_from_slice(line.as_bytes());
        Ok(ok("UIDBATCHES completed"))
    }
}

/// The ranges of UIDs of these batches, from the newest message on. A range goes down to where the
/// next one begins, and the last one down to 1, so that together they have every UID there was.
fn ranges(listing: &Listing, size: u32, (first, last): (u32, u32)) -> String {
    let uid = |before: u64| {
        let at = u64::from(listing.len()).checked_sub(before + 1)?;
        Some(listing.at(u32::try_from(at).ok()?)?.uid.get())
    };
    let skip = |batch: u64| batch * u64::from(size);
    let one = |batch: u64| {
        let from = uid(skip(batch))?;
        let to = uid(skip(batch + 1)).map_or(1, |next| next + 1);
        Some(format!("{from}:{to}"))
    };
    let batches = u64::from(first) - 1..u64::from(last);
    batches.map_while(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::{ContentId, Entry, FlagBits, ModSeq, Uid, UidValidity};
    use std::num::NonZeroU32;

    #[test]
    fn batches_have_so_many_messages_and_all_uids() {
        let entry = |n: u32| Entry {
            uid: Uid::new(n).unwrap(),
            flags: FlagBits::default(),
            modseq: ModSeq(1),
            content: ContentId(u64::from(n)),
            size: 1,
            date: 0,
            saved: 0,
        };
        // Every third UID: 3, 6, ... 30.
        let entries: Vec<Entry> = (1..=10).map(|n| entry(n * 3)).collect();
        let validity = UidValidity(NonZeroU32::MIN);
        let listing = Listing::new(&entries, Default::default(), ModSeq(1), validity, Uid::new(31));
        let all = (1, u32::MAX);
        assert_eq!(ranges(&listing, 4, all), "30:19,18:7,6:1");
        assert_eq!(ranges(&listing, 5, all), "30:16,15:1");
        assert_eq!(ranges(&listing, 10, all), "30:1");
        assert_eq!(ranges(&listing, 500, all), "30:1");
        assert_eq!(ranges(&listing, 4, (2, 2)), "18:7");
        assert_eq!(ranges(&listing, 4, (3, 9)), "6:1");
        assert_eq!(ranges(&listing, 4, (4, 9)), "");
        assert_eq!(ranges(&listing, u32::MAX, (u32::MAX, u32::MAX)), "");
        assert_eq!(ranges(&Listing::empty(), 4, all), "");
    }
}
