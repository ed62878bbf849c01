//! Which maildrops are open, and when they were opened last: for [IN-USE] and LOGIN-DELAY. RFC 2449
//! §8.1.
//!
//! Invariant: what is remembered is bounded by the sessions and by the accounts that logged in
//! within the delay.

use mail::AccountId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The maildrops.
#[derive(Clone, Debug)]
pub struct Maildrops {
    exclusive: bool,
    delay: Duration,
    open: Arc<Mutex<HashMap<AccountId, Use>>>,
}

#[derive(Clone, Copy, Debug)]
struct Use {
    sessions: usize,
    /// The last login that was let in, in monotonic time.
    last: Duration,
}

/// A session's hold on a maildrop.
#[derive(Debug)]
pub struct Seat {
    maildrops: Maildrops,
    account: AccountId,
}

/// Why a maildrop stays closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Another session has it.
    InUse,
    /// The account logged in lately; not before so long.
    TooSoon(Duration),
}

impl Maildrops {
    /// One session at a time if `exclusive`; `delay` between two logins of an account.
    pub fn new(exclusive: bool, delay: Duration) -> Maildrops {
        Maildrops { exclusive, delay, open: Arc::default() }
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<AccountId, Use>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens an account's maildrop. `now` is monotonic time.
    pub fn open(&self, account: AccountId, now: Duration) -> Result<Seat, Closed> {
        let mut uses = self.uses();
        let delay = self.delay;
        uses.retain(|_, one| one.sessions > 0 || one.last + delay > now);
        if let Some(one) = uses.get(&account) {
            if self.exclusive && one.sessions > 0 {
                return Err(Closed::InUse);
            }
            if one.last + delay > now {
                return Err(Closed::TooSoon(one.last + delay - now));
            }
        }
        let one = uses.entry(account).or_insert(Use { sessions: 0, last: now });
        (one.sessions, one.last) = (one.sessions + 1, now);
        drop(uses);
        Ok(Seat { maildrops: self.clone(), account })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(one) = self.maildrops.uses().get_mut(&self.account) {
            one.sessions = one.sessions.saturating_sub(1);
        }
    }
}
