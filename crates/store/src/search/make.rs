//! Making parts of a search index, a little at a time.
//!
//! What no part covers goes into new ones. Parts that are small are joined when there are several,
//! and those with many dead messages are made anew, by reading their messages again: so each
//! message is read a few times, however many come after it.

use super::Search;
use super::part::Builder;
use crate::error::Result;
use crate::open::Store;
use crate::packed::decode_entries;
use mail::mime::text::text_octets;
use mail::search::texts;
use mail::summary::{Parser, Summary};
use mail::{AccountId, ContentId, Uid};
use std::io;
use std::ops::Range;
use sys::disk::Mode;

/// Messages of a full part.
const PART_MESSAGES: usize = 8192;
/// Words of a full part, all fields together: about 30 MB while it is made.
const PART_WORDS: usize = 300_000;
/// Fewer messages than these are not worth a part.
const PART_MESSAGES_MIN: usize = 64;
/// Smaller parts, in octets, are joined when there are [`SMALL_PARTS_MAX`].
const SMALL_OCTETS: u64 = 1 << 20;
const SMALL_PARTS_MAX: usize = 4;
/// Texts of more octets, as they are stored or as they are meant, are in no index: each search
/// reads them.
const STORED_TEXT_OCTETS_MAX: u64 = 4 << 20;
const TEXT_OCTETS_MAX: usize = 2 << 20;
/// Octets of a message that are read at once.
const SMALL_MESSAGE_OCTETS: u64 = 256 << 10;

/// A part that is being made.
pub(super) struct Making {
    account: AccountId,
    /// What is to be in it, ascending, and the octets of each.
    todo: Vec<(ContentId, u32)>,
    /// So many are done.
    done: usize,
    builder: Builder,
    /// Parts that are not needed any more once everything up to a content is done.
    replaced: Vec<(u32, Option<ContentId>)>,
}

impl Making {
    pub fn is_of(&self, account: AccountId) -> bool {
        self.account == account
    }

    fn is_full(&self) -> bool {
        self.done >= self.todo.len()
            || self.builder.len() >= PART_MESSAGES
            || self.builder.words() >= PART_WORDS
    }
}

impl Store {
    /// Goes on with the indexes that are wanted: reads about `octets` of messages. Whether there is
    /// more to do.
    pub fn make_search_index(&self, octets: u64) -> Result<bool> {
        self.index_some(octets)?;
        Ok(!self.inner.search.state().wanted.is_empty())
    }

    fn index_some(&self, octets: u64) -> Result<()> {
        let search = &self.inner.search;
        let (making, next) = {
            let mut state = search.state();
            (state.making.take(), state.wanted.first().copied())
        };
        let mut making = match (making, next) {
            (Some(making), _) => making,
            (None, None) => return Ok(()),
            (None, Some(account)) => match self.plan(account)? {
                Some(making) => making,
                None => {
                    search.done(account);
                    return Ok(());
                }
            },
        };
        let mut read = 0;
        while read < octets && !making.is_full() {
            let Some((id, size)) = making.todo.get(making.done).copied() else { break };
            read += u64::from(size);
            making.builder.add(id, self.texts(id, size).as_deref());
            making.done += 1;
        }
        if making.is_full() {
            let account = making.account;
            if !search.state().wanted.contains(&account) {
                // It was removed meanwhile.
                return Ok(());
            }
            let last = making.todo.last().map(|(id, _)| *id);
            if let Err(error) = search.put(making) {
                tracing::warn!(%account, %error, "a search index cannot be written");
                search.done(account);
                // It is tried again when there is more to be put into it.
                last.into_iter().for_each(|last| search.note_covered(account, last));
            }
        } else {
            search.state().making = Some(making);
        }
        Ok(())
    }

    /// The texts of a message; `None` when it is too large, or cannot be read.
    fn texts(&self, id: ContentId, size: u32) -> Option<Vec<(mail::search::Field, String)>> {
        let size = u64::from(size);
        // One read for what is small, only the texts of what is large.
        let whole =
            if size <= SMALL_MESSAGE_OCTETS { self.content(id, 0..size).ok() } else { None };
        let read = |range: Range<u64>| match &whole {
            Some(whole) => {
                let range = range.start as usize..range.end as usize;
                Ok(whole.get(range).unwrap_or_default().to_vec())
            }
            None => self.content(id, range),
        };
        let kept = self.summaries(&[id]).ok()?.pop().flatten();
        let summary = match kept.and_then(|kept| Summary::decode(&kept)) {
            Some(summary) => summary,
            None => {
                let mut parser = Parser::new();
                for at in (0..size).step_by(SMALL_MESSAGE_OCTETS as usize) {
                    parser.feed(&read(at..size.min(at + SMALL_MESSAGE_OCTETS)).ok()?);
                }
                parser.finish()
            }
        };
        if text_octets(&summary.root) > STORED_TEXT_OCTETS_MAX {
            return None;
        }
        let found = texts(&summary, read).ok()?;
        let octets: usize = found.iter().map(|(_, text)| text.len()).sum();
        (octets <= TEXT_OCTETS_MAX).then_some(found)
    }

    /// What is to be done for an account; `None` when its index is as it should be.
    fn plan(&self, account: AccountId) -> Result<Option<Making>> {
        let search = &self.inner.search;
        let mut live: Vec<(ContentId, u32)> = Vec::new();
        let last = self.look(|txn| {
            for row in txn.mailboxes(account)? {
                txn.pages(row.id, Uid::FIRST, Uid::MAX, &mut |_, page| {
                    decode_entries(page, |entry| live.push((entry.content, entry.size)))
                })?;
            }
            txn.counter("content")
        })?;
        live.sort_unstable();
        live.dedup_by_key(|(id, _)| *id);
        let lives = |id: &ContentId| live.binary_search_by_key(id, |(id, _)| *id).is_ok();
        let (mut kept, mut small, mut stale) = (Vec::new(), Vec::new(), Vec::new());
        for number in search.numbers(account) {
            let seen = search.with_part(account, number, ContentId(last), |part, octets| {
                let alive: Vec<ContentId> = part.ids.iter().copied().filter(lives).collect();
                Ok((alive, part.ids.len(), octets))
            });
            let Some((alive, all, octets)) = seen else { continue };
            if alive.len() * 4 < all * 3 {
                stale.push((number, alive));
            } else if all < PART_MESSAGES / 4 && octets < SMALL_OCTETS {
                small.push((number, alive));
            } else {
                kept.extend(alive);
            }
        }
        let to_join = small.len() >= SMALL_PARTS_MAX;
        let replaced =
            if to_join { [small, stale].concat() } else { stale_of(small, stale, &mut kept) };
        kept.sort_unstable();
        // No more than one part takes: for the next one there is a new plan.
        let missing = live.into_iter().filter(|(id, _)| kept.binary_search(id).is_err());
        let todo: Vec<(ContentId, u32)> = missing.take(PART_MESSAGES).collect();
        let needed =
            |alive: Vec<ContentId>| alive.into_iter().rfind(|id| kept.binary_search(id).is_err());
        let replaced: Vec<(u32, Option<ContentId>)> =
            replaced.into_iter().map(|(number, alive)| (number, needed(alive))).collect();
        if replaced.is_empty() && todo.len() < PART_MESSAGES_MIN {
            search.note_covered(account, ContentId(last));
            return Ok(None);
        }
        Ok(Some(Making { account, todo, done: 0, builder: Builder::default(), replaced }))
    }
}

type Parts = Vec<(u32, Vec<ContentId>)>;

/// Only the stale ones are replaced; the small ones are kept.
fn stale_of(small: Parts, stale: Parts, kept: &mut Vec<ContentId>) -> Parts {
    kept.extend(small.into_iter().flat_map(|(_, alive)| alive));
    stale
}

impl Search {
    /// Writes a part that is made, and takes away those that it replaces.
    fn put(&self, making: Making) -> io::Result<()> {
        let Making { account, todo, done, builder, replaced } = making;
        if builder.len() > 0 {
            let numbers = self.numbers(account);
            let number = numbers.last().map_or(1, |last| last + 1);
            let octets = builder.finish();
            self.disk.create_folders(&self.folder_of(account))?;
            let room = self.disk.available(&self.folder)?;
            if room < self.reserve.saturating_add(octets.len() as u64) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let path = self.path(account, number);
            let file = self.disk.open(&path, Mode::Write)?;
            // What a crash left of another one may be there.
            let written = file.set_len(0).and_then(|()| file.write_at(&octets, 0));
            if let Err(error) = written {
                let _ = self.disk.remove(&path);
                return Err(error);
            }
            if let Some(known) = self.state().known.get_mut(&account) {
                known.parts.push(number);
            }
        }
        let reached = done.checked_sub(1).and_then(|n| todo.get(n)).map(|(id, _)| *id);
        for (number, needed) in replaced {
            if needed <= reached {
                self.remove(account, number);
            }
        }
        Ok(())
    }
}
