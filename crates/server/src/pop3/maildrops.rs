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
    last: Option<Duration>,
}

/// A session's hold on a maildrop.
#[derive(Debug)]
pub struct Seat {
    maildrops: Maildrops,
    account: AccountId,
    /// The login before this one.
    before: Option<Duration>,
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
        let left = |one: &Use| one.last.and_then(|last| (last + delay).checked_sub(now));
        let waits = |one: &Use| left(one).filter(|left| !left.is_zero());
        uses.retain(|_, one| one.sessions > 0 || waits(one).is_some());
        let one = uses.entry(account).or_insert(Use { sessions: 0, last: None });
        if self.exclusive && one.sessions > 0 {
            return Err(Closed::InUse);
        }
        if let Some(left) = waits(one) {
            return Err(Closed::TooSoon(left));
        }
        one.sessions += 1;
        let before = one.last.replace(now);
        drop(uses);
        Ok(Seat { maildrops: self.clone(), account, before })
    }
}

impl Seat {
    /// The maildrop could not be opened: the delay begins with `+OK` only. RFC 2449 §6.5.
    pub fn give_up(self) {
        if let Some(one) = self.maildrops.uses().get_mut(&self.account) {
            one.last = self.before;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(one) = self.maildrops.uses().get_mut(&self.account) {
            one.sessions = one.sessions.saturating_sub(1);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_delay_begins_with_a_login_that_went_well() {
        let secs = Duration::from_secs;
        let maildrops = Maildrops::new(false, secs(30));
        let open = |at| maildrops.open(AccountId(1), secs(at));
        open(100).unwrap().give_up();
        drop(open(101).unwrap());
        assert_eq!(open(110).unwrap_err(), Closed::TooSoon(secs(21)));
        open(131).unwrap().give_up();
        drop(open(132).unwrap());
        assert_eq!(open(161).unwrap_err(), Closed::TooSoon(secs(1)));
    }
}
