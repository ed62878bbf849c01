//! Addresses, INBOXes and limits that were looked up lately, so that a delivery reads no row to
//! find them. Where bytes of messages are is remembered too. It stays true: bytes are never changed
//! where they are, and who does not find them there any more looks again.
//!
//! All but places are forgotten by the commit that changes any domain, account, alias, limit, or
//! mailbox name, before that commit is answered. What was read before such a commit is not kept
//! after it.

use crate::caches::Caches;
use crate::quota::Resource;
use crate::rows::{ContentRow, Lookup};
use mail::{AccountId, ContentId, MailboxId};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

fn holds(page: &[ContentRow], wanted: ContentId) -> bool {
    page.binary_search_by_key(&wanted, |row| row.id).is_ok()
}

/// The memory. A part of it that is full starts anew.
pub(crate) struct Known {
    /// Answers that are remembered of each kind.
    answers_max: usize,
    /// Pages of contents that are remembered.
    content_pages_max: usize,
    inner: Mutex<Inner>,
    /// Pages of contents, by number.
    contents: Mutex<HashMap<u64, Arc<[ContentRow]>>>,
    /// What accounts taught.
    taught: Mutex<TaughtInner>,
    /// Octets of that.
    taught_max: usize,
    /// How many access keys have been changed: `ticket.rs`.
    pub access_keys: AtomicU64,
}

#[derive(Default)]
struct Inner {
    /// Grows each time everything is forgotten.
    generation: u64,
    addresses: HashMap<String, Lookup>,
    inboxes: HashMap<AccountId, MailboxId>,
    limits: HashMap<AccountId, Limits>,
}

#[derive(Default)]
struct TaughtInner {
    /// Grows each time that something is forgotten.
    generation: u64,
    /// Octets that are held.
    octets: usize,
    words: HashMap<AccountId, Option<Arc<[u8]>>>,
}

/// What an account may hold.
pub(crate) type Limits = Arc<[(Resource, u64)]>;

impl Known {
    /// Remembers as much as the caches allow.
    pub fn new(caches: Caches) -> Known {
        Known {
            answers_max: caches.known,
            content_pages_max: caches.content_pages,
            inner: Mutex::default(),
            contents: Mutex::default(),
            taught: Mutex::default(),
            taught_max: caches.taught,
            access_keys: AtomicU64::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything.
    pub fn forget(&self) {
        let mut inner = self.inner();
        let generation = inner.generation + 1;
        *inner = Inner { generation, ..Inner::default() };
    }

    /// A page of contents; without `wanted` in it, what `read` finds.
    pub fn content_page<E>(
        &self,
        number: u64,
        wanted: ContentId,
        read: impl FnOnce() -> Result<Vec<ContentRow>, E>,
    ) -> Result<Arc<[ContentRow]>, E> {
        let contents = || self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = contents().get(&number).filter(|page| holds(page, wanted)) {
            return Ok(page.clone());
        }
        let page: Arc<[ContentRow]> = read()?.into();
        let mut contents = contents();
        if contents.len() >= self.content_pages_max {
            contents.clear();
        }
        contents.insert(number, page.clone());
        Ok(page)
    }

    /// What is known of an address, by its key; else what `read` finds.
    pub fn address<E>(
        &self,
        key: &str,
        read: impl FnOnce() -> Result<Lookup, E>,
    ) -> Result<Lookup, E> {
        let inner = self.inner();
        if let Some(found) = inner.addresses.get(key) {
            return Ok(found.clone());
        }
        let generation = inner.generation;
        drop(inner);
        let found = read()?;
        let mut inner = self.inner();
        // Strangers choose what is looked up: what is not ours is not worth remembering.
        if inner.generation == generation && found.domain.is_some() {
            if inner.addresses.len() >= self.answers_max {
                inner.addresses.clear();
            }
            inner.addresses.insert(key.to_owned(), found.clone());
        }
        Ok(found)
    }

    /// The limits of an account; else what `read` finds.
    pub fn limits<E>(
        &self,
        account: AccountId,
        read: impl FnOnce() -> Result<Limits, E>,
    ) -> Result<Limits, E> {
        let inner = self.inner();
        if let Some(found) = inner.limits.get(&account) {
            return Ok(found.clone());
        }
        let generation = inner.generation;
        drop(inner);
        let found = read()?;
        let mut inner = self.inner();
        if inner.generation == generation {
            if inner.limits.len() >= self.answers_max {
                inner.limits.clear();
            }
            inner.limits.insert(account, found.clone());
        }
        Ok(found)
    }

    fn taught_inner(&self) -> MutexGuard<'_, TaughtInner> {
        self.taught.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what an account taught.
    pub fn forget_taught(&self, account: AccountId) {
        let mut inner = self.taught_inner();
        inner.generation += 1;
        let gone = inner.words.remove(&account).flatten();
        inner.octets -= gone.map_or(0, |words| words.len());
    }

    /// What an account taught, or that it taught nothing; else what `read` finds.
    pub fn taught<E>(
        &self,
        account: AccountId,
        read: impl FnOnce() -> Result<Option<Arc<[u8]>>, E>,
    ) -> Result<Option<Arc<[u8]>>, E> {
        let inner = self.taught_inner();
        if let Some(found) = inner.words.get(&account) {
            return Ok(found.clone());
        }
        let generation = inner.generation;
        drop(inner);
        let found = read()?;
        let mut inner = self.taught_inner();
        let octets = found.as_ref().map_or(0, |words| words.len());
        if inner.generation == generation && octets <= self.taught_max {
            if inner.words.len() >= self.answers_max || inner.octets + octets > self.taught_max {
                (inner.octets, inner.words) = (0, HashMap::new());
            }
            if inner.words.insert(account, found.clone()).is_none() {
                inner.octets += octets;
            }
        }
        Ok(found)
    }

    /// The INBOX of an account; else what `read` finds.
    pub fn inbox<E>(
        &self,
        account: AccountId,
        read: impl FnOnce() -> Result<Option<MailboxId>, E>,
    ) -> Result<Option<MailboxId>, E> {
        let inner = self.inner();
        if let Some(found) = inner.inboxes.get(&account) {
            return Ok(Some(*found));
        }
        let generation = inner.generation;
        drop(inner);
        let found = read()?;
        let mut inner = self.inner();
        if let (Some(found), true) = (found, inner.generation == generation) {
            if inner.inboxes.len() >= self.answers_max {
                inner.inboxes.clear();
            }
            inner.inboxes.insert(account, found);
        }
        Ok(found)
    }
}
