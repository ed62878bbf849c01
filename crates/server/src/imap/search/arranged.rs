//! Orders and threads that were made lately: a webmail asks for the same one with each page that it
//! shows, on a new connection each time.
//!
//! Invariant: what SORT and THREAD go by never changes in a message, and a UID of a mailbox names
//! one message for ever, so an arrangement of the same UIDs is the same, and messages that are
//! together in two orders by the same criteria stand in the same order in both.

use mail::thread::Threads;
use mail::{MailboxId, Uid};
use protocol::imap::command::search::{Algorithm, Criterion};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The part of the memory for caches that the store leaves to others.
const SHARE: u64 = 32;

/// Messages that an order may lack to be of use; more are read as fast as all.
const LACKING_MAX: usize = 16;

/// What an arrangement was made by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// SORT: the criteria, and whether each is reversed.
    Criteria(Vec<(Criterion, bool)>),
    /// THREAD.
    Algorithm(Algorithm),
}

/// Messages, by their places among those that were arranged.
#[derive(Clone, Debug)]
pub(super) enum Made {
    Order(Arc<[u32]>),
    Threads(Arc<Threads>),
}

/// An order of some messages, and those that are still to be put into it; by their places.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Begun {
    pub order: Vec<u32>,
    pub lacking: Vec<u32>,
}

struct Arrangement {
    mailbox: MailboxId,
    by: By,
    uids: Vec<Uid>,
    made: Made,
}

impl Arrangement {
    /// Octets that it takes, about.
    fn octets(&self) -> u64 {
        let each = match self.made {
            Made::Order(_) => 8,
            Made::Threads(_) => 48,
        };
        256 + self.uids.len() as u64 * each
    }

    /// The order of those of it that are among these, unless it lacks too many.
    fn among(&self, uids: impl Iterator<Item = Uid>) -> Option<Begun> {
        let Made::Order(order) = &self.made else { return None };
        let mut places = vec![None; self.uids.len()];
        let (mut lacking, mut rest) = (Vec::new(), self.uids.iter().zip(&mut places).peekable());
        for (place, uid) in (0..).zip(uids) {
            while rest.next_if(|(one, _)| **one < uid).is_some() {}
            match rest.next_if(|(one, _)| **one == uid) {
                Some((_, slot)) => *slot = Some(place),
                None if lacking.len() == LACKING_MAX => return None,
                None => lacking.push(place),
            }
        }
        let place = |n: &u32| places.get(*n as usize).copied().flatten();
        Some(Begun { order: order.iter().filter_map(place).collect(), lacking })
    }
}

/// The memory of arrangements, the latest used last.
pub struct Arrangements {
    octets_max: u64,
    kept: Mutex<VecDeque<Arrangement>>,
}

impl Arrangements {
    /// Keeps what fits into a 32nd of `memory_limit` octets.
    pub fn new(memory_limit: u64) -> Arrangements {
        Arrangements { octets_max: memory_limit / SHARE, kept: Mutex::default() }
    }

    /// What was made of these messages before.
    pub(super) fn find(
        &self,
        mailbox: MailboxId,
        by: &By,
        uids: impl Iterator<Item = Uid> + Clone,
    ) -> Option<Made> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|one| {
            one.mailbox == mailbox && one.by == *by && one.uids.iter().copied().eq(uids.clone())
        })?;
        let found = kept.remove(at)?;
        let made = found.made.clone();
        kept.push_back(found);
        Some(made)
    }

    /// An order of nearly these messages: some have come or gone since it was made, or it was one
    /// of more messages.
    pub(super) fn begun(
        &self,
        mailbox: MailboxId,
        by: &By,
        uids: impl Iterator<Item = Uid> + Clone,
    ) -> Option<Begun> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut alike = kept.iter().rev().filter(|one| one.mailbox == mailbox && one.by == *by);
        alike.find_map(|one| one.among(uids.clone()))
    }

    /// Remembers what was made; what was not asked for longest makes room.
    pub(super) fn keep(
        &self,
        mailbox: MailboxId,
        by: By,
        uids: impl Iterator<Item = Uid>,
        made: Made,
    ) {
        let one = Arrangement { mailbox, by, uids: uids.collect(), made };
        if one.octets() > self.octets_max {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(one);
        let mut all: u64 = kept.iter().map(Arrangement::octets).sum();
        while all > self.octets_max {
            all -= kept.pop_front().map_or(all, |one| one.octets());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(from: u32, to: u32) -> impl Iterator<Item = Uid> + Clone {
        (from..=to).filter_map(Uid::new)
    }

    #[test]
    fn an_order_is_of_use_when_messages_come_and_go() {
        let kept = Arrangements::new(1 << 20);
        let (inbox, by) = (MailboxId(1), By::Criteria(vec![(Criterion::Subject, false)]));
        kept.keep(inbox, by.clone(), uids(1, 4), Made::Order(vec![3, 0, 2, 1].into()));
        let begun = |uids: &[u32]| {
            let uids: Vec<Uid> = uids.iter().filter_map(|n| Uid::new(*n)).collect();
            kept.begun(inbox, &by, uids.into_iter()).map(|one| (one.order, one.lacking))
        };
        assert_eq!(begun(&[1, 3, 4]), Some((vec![2, 0, 1], vec![])));
        assert_eq!(begun(&[2, 3, 5, 7]), Some((vec![1, 0], vec![2, 3])));
        assert_eq!(begun(&[]), Some((vec![], vec![])));
        let many: Vec<u32> = (4..=4 + LACKING_MAX as u32).collect();
        assert_eq!(begun(&many).map(|(_, lacking)| lacking.len()), Some(LACKING_MAX));
        let many: Vec<u32> = (4..=5 + LACKING_MAX as u32).collect();
        assert_eq!(begun(&many), None);
    }

    #[test]
    fn the_same_messages_are_found_and_the_oldest_make_room() {
        let kept = Arrangements::new(SHARE * 600);
        let (inbox, by) = (MailboxId(1), By::Algorithm(Algorithm::References));
        let made = || Made::Order(vec![0, 1, 2, 3].into());
        kept.keep(inbox, by.clone(), uids(1, 4), made());
        kept.keep(inbox, by.clone(), uids(5, 8), made());
        assert!(kept.find(inbox, &by, uids(1, 4)).is_some());
        assert!(kept.find(inbox, &by, uids(1, 5)).is_none());
        assert!(kept.find(MailboxId(2), &by, uids(1, 4)).is_none());
        assert!(kept.find(inbox, &By::Algorithm(Algorithm::OrderedSubject), uids(1, 4)).is_none());
        kept.keep(inbox, by.clone(), uids(11, 14), made());
        assert!(kept.find(inbox, &by, uids(5, 8)).is_none());
        assert!(kept.find(inbox, &by, uids(1, 4)).is_some());
        kept.keep(inbox, by.clone(), uids(20, 70), made());
        assert!(kept.find(inbox, &by, uids(20, 70)).is_none());
        assert!(kept.find(inbox, &by, uids(1, 4)).is_some());
    }
}
