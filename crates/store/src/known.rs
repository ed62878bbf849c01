//! Addresses and INBOXes that were looked up lately, so that a delivery reads no row to find them.
//!
//! Emptied by the commit that changes any domain, account, alias, or mailbox name, before that
//! commit is answered. What was read before such a commit is not kept after it.

use crate::rows::Lookup;
use mail::{AccountId, MailboxId};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Answers that are remembered of each kind; a full memory starts anew.
const KNOWN_MAX: usize = 10_000;

/// The memory.
#[derive(Default)]
pub(crate) struct Known {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Grows each time everything is forgotten.
    generation: u64,
    addresses: HashMap<String, Lookup>,
    inboxes: HashMap<AccountId, MailboxId>,
}

impl Known {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything.
    pub fn forget(&self) {
        let mut inner = self.inner();
        let generation = inner.generation + 1;
        *inner = Inner { generation, ..Inner::default() };
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
            if inner.addresses.len() >= KNOWN_MAX {
                inner.addresses.clear();
            }
            inner.addresses.insert(key.to_owned(), found.clone());
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
            if inner.inboxes.len() >= KNOWN_MAX {
                inner.inboxes.clear();
            }
            inner.inboxes.insert(account, found);
        }
        Ok(found)
    }
}
