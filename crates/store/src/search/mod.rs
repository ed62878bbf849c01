//! A search index for each account that searches: which messages have which words.
//!
//! Derived, and never believed beyond its checksums: files are not synced, a part that cannot be
//! read is thrown away, and what no part knows is read as if there were no index. Made a little at
//! a time, for accounts of which somebody opened a large mailbox or a search had to read many
//! messages (`docs/decisions/0003-search.md`). Invariant: a part never changes once it is listed,
//! and what it says of a content stays true, because contents never change and their numbers are
//! not used again.

mod answers;
mod make;
mod part;

use crate::error::{Result, StoreError};
use crate::open::Store;
use mail::search::{Field, Plan};
use mail::{AccountId, ContentId, Listing};
use part::Part;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use sys::disk::{Disk, Mode};
use tokio::sync::Notify;

pub use answers::Answers;

/// Accounts whose parts are remembered; a full memory starts anew.
const ACCOUNTS_KNOWN_MAX: usize = 10_000;
/// Accounts that may wait for an index.
const ACCOUNTS_WANTED_MAX: usize = 10_000;
/// A mailbox that is opened with so many messages that may be in no part makes its account's index
/// wanted.
const NEW_MESSAGES: u32 = 1024;

/// The indexes of a store.
pub(crate) struct Search {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    /// Octets that stay free on the disk.
    reserve: u64,
    state: Mutex<State>,
    /// Rung when an index is wanted.
    bell: Notify,
}

#[derive(Default)]
struct State {
    /// What is known of accounts that were looked at.
    known: HashMap<AccountId, Known>,
    /// Accounts that want an index, or a newer one.
    wanted: BTreeSet<AccountId>,
    /// A search has waited for want of one of them.
    urgent: bool,
    making: Option<make::Making>,
}

#[derive(Default)]
struct Known {
    /// The parts, by number. A part is listed here once it is written whole.
    parts: Vec<u32>,
    /// Messages up to this one are in parts, or too few for another one.
    covered: Option<ContentId>,
}

impl Search {
    pub fn new(folder: &Path, disk: Arc<dyn Disk>, reserve: u64) -> Search {
        let (folder, bell) = (folder.join("search"), Notify::new());
        Search { folder, disk, reserve, state: Mutex::default(), bell }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder_of(&self, account: AccountId) -> PathBuf {
        self.folder.join(account.0.to_string())
    }

    fn path(&self, account: AccountId, number: u32) -> PathBuf {
        self.folder_of(account).join(format!("{number:08}.part"))
    }

    /// The parts of an account.
    fn numbers(&self, account: AccountId) -> Vec<u32> {
        let mut state = self.state();
        if let Some(known) = state.known.get(&account) {
            return known.parts.clone();
        }
        let number =
            |path: PathBuf| path.file_name()?.to_str()?.strip_suffix(".part")?.parse::<u32>().ok();
        // An account that was never searched has no folder.
        let files = self.disk.list(&self.folder_of(account)).unwrap_or_default();
        let mut parts: Vec<u32> = files.into_iter().filter_map(number).collect();
        parts.sort_unstable();
        if state.known.len() >= ACCOUNTS_KNOWN_MAX && state.making.is_none() {
            state.known.clear();
        }
        let known = Known { parts: parts.clone(), ..Known::default() };
        state.known.insert(account, known);
        parts
    }

    /// Notes that messages up to `last` are in parts as far as they are going to be.
    fn note_covered(&self, account: AccountId, last: ContentId) {
        if let Some(known) = self.state().known.get_mut(&account) {
            known.covered = Some(last);
        }
    }

    fn want(&self, account: AccountId, urgent: bool) {
        let mut state = self.state();
        if state.wanted.len() < ACCOUNTS_WANTED_MAX {
            let news = state.wanted.insert(account) || (urgent && !state.urgent);
            state.urgent |= urgent;
            if news {
                self.bell.notify_one();
            }
        }
    }

    /// The account's index is as it should be.
    fn done(&self, account: AccountId) {
        let mut state = self.state();
        state.wanted.remove(&account);
        state.urgent &= !state.wanted.is_empty();
    }

    /// Takes a part away.
    fn remove(&self, account: AccountId, number: u32) {
        if let Some(known) = self.state().known.get_mut(&account) {
            known.parts.retain(|other| *other != number);
        }
        // One that stays is found again at the next start, and is no less true then.
        let _ = self.disk.remove(&self.path(account, number));
    }

    /// Takes the index of an account away.
    pub fn forget(&self, account: AccountId) {
        for number in self.numbers(account) {
            self.remove(account, number);
        }
        let mut state = self.state();
        state.known.remove(&account);
        state.wanted.remove(&account);
        state.making.take_if(|making| making.is_of(account));
    }

    /// Opens a part and gives it to `look`. One that cannot be believed is taken away.
    fn with_part<T>(
        &self,
        account: AccountId,
        number: u32,
        last: ContentId,
        look: impl FnOnce(&Part<'_>, u64) -> Result<T>,
    ) -> Option<T> {
        let file = match self.disk.open(&self.path(account, number), Mode::Read) {
            Ok(file) => file,
            Err(error) => {
                if error.kind() == io::ErrorKind::NotFound {
                    self.remove(account, number);
                }
                return None;
            }
        };
        let looked = Part::open(&*file).and_then(|part| {
            if part.ids.last().is_some_and(|id| *id > last) {
                // Of a store that was newer: those numbers will be given out again.
                return Err(StoreError::Corrupt("it knows messages that are not there".to_owned()));
            }
            look(&part, file.len().unwrap_or(0))
        });
        match looked {
            Ok(seen) => Some(seen),
            Err(StoreError::Corrupt(why)) => {
                tracing::warn!(%account, number, why, "a part of a search index is thrown away");
                self.remove(account, number);
                None
            }
            Err(error) => {
                tracing::warn!(%account, number, %error, "a part of a search index is passed over");
                None
            }
        }
    }
}

/// Takes all indexes in a data folder away.
pub(crate) fn clear(folder: &Path, disk: &dyn Disk) {
    let folder = folder.join("search");
    for account in disk.list(&folder).unwrap_or_default() {
        for part in disk.list(&account).unwrap_or_default() {
            let _ = disk.remove(&part);
        }
    }
}

/// Searching.
impl Store {
    /// What the index of an account knows of each question. A message that an answer does not know
    /// is to be read: it is too new, too large, or has all the words but perhaps not the text.
    pub fn search_index(&self, account: AccountId, questions: &[(Field, Plan)]) -> Vec<Answers> {
        let search = &self.inner.search;
        let mut answers = vec![Answers::default(); questions.len()];
        let asks = questions.iter().any(|(_, plan)| !plan.fragments.is_empty());
        let numbers = if asks { search.numbers(account) } else { Vec::new() };
        if numbers.is_empty() {
            return answers;
        }
        let Ok(last) = self.look(|txn| txn.counter("content")) else { return answers };
        for number in numbers {
            search.with_part(account, number, ContentId(last), |part, _| {
                let mut asked = questions.iter().zip(&mut answers);
                asked.try_for_each(|((field, plan), answers)| part.look(*field, plan, answers))
            });
        }
        answers
    }

    /// Says that a search had to read many messages of an account: its index is brought up to date.
    pub fn want_search_index(&self, account: AccountId) {
        self.inner.search.want(account, true);
    }

    /// Somebody opened a mailbox of an account: the index is brought up to date when it may lack
    /// many of these messages.
    pub fn mailbox_opened(&self, account: AccountId, listing: &Listing) {
        let search = &self.inner.search;
        let Some(at) = listing.len().checked_sub(NEW_MESSAGES) else { return };
        let covered = search.state().known.get(&account).and_then(|known| known.covered);
        // Newer messages have larger numbers, but for those that came from other mailboxes.
        if listing.at(at).map(|entry| entry.content) > covered {
            search.want(account, false);
        }
    }

    /// Waits until an index is wanted, or until a search has had to do without. Safe to drop.
    pub async fn search_index_wanted(&self, by_a_search: bool) {
        let search = &self.inner.search;
        let is_wanted = |state: &State| match by_a_search {
            true => state.urgent,
            false => !state.wanted.is_empty(),
        };
        while !is_wanted(&search.state()) {
            search.bell.notified().await;
        }
    }
}
