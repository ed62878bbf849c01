//! Who may connect: few to one network at a time, fewer while little is free, so that servers that
//! take their time never hold the connections that mail for others needs.
//!
//! Invariant: who waits for the same network gets its turn in the order of asking.

use crate::limits::{CONNECTIONS_MAX, CONNECTIONS_PER_NETWORK};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

/// The connections there may be. Cloning gives another handle.
#[derive(Clone, Default)]
pub(crate) struct Slots(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    /// Somebody began to wait.
    wanted: Notify,
}

#[derive(Default)]
struct State {
    used: HashMap<Network, usize>,
    total: usize,
    waiting: VecDeque<(Network, oneshot::Sender<Slot>)>,
}

/// Who has one address has its neighbours: a /24 of IPv4, a /48 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(u128);

impl Network {
    fn of(address: IpAddr) -> Network {
        Network(match address.to_canonical() {
            IpAddr::V4(v4) => u128::from(v4.to_bits() >> 8),
            IpAddr::V6(v6) => v6.to_bits() >> 80 << 80,
        })
    }
}

/// The right to one connection, given back when it is dropped.
pub(crate) struct Slot {
    slots: Slots,
    network: Network,
}

/// How many of `all` somebody may have, `most` at best, when so many are free: the fewer, the
/// fewer, and of the second half only one. So however many take all they get, it takes half of
/// `all` to leave nothing for the next.
pub(crate) fn share(most: usize, free: usize, all: usize) -> usize {
    let half = all / 2;
    let share = (most * free.saturating_sub(half)).div_ceil(half);
    share.max(usize::from(free > 0))
}

impl Slots {
    /// Waits for a connection to that address; `None` when there was none until then.
    pub async fn take(&self, address: IpAddr, until: Instant) -> Option<Slot> {
        let network = Network::of(address);
        let (tell, told) = oneshot::channel();
        self.state().waiting.push_back((network, tell));
        self.grant();
        self.0.wanted.notify_waiters();
        timeout_at(until, told).await.ok()?.ok()
    }

    /// Somebody else began to wait for a connection.
    pub fn wanted(&self) -> Notified<'_> {
        self.0.wanted.notified()
    }

    /// Those that may have a connection get it.
    fn grant(&self) {
        let mut gone = Vec::new();
        let mut state = self.state();
        let mut at = 0;
        while let Some((network, tell)) = state.waiting.get(at) {
            let network = *network;
            if !tell.is_closed() && !state.admits(network) {
                at += 1;
                continue;
            }
            let Some((_, tell)) = state.waiting.remove(at) else { break };
            if !tell.is_closed() {
                *state.used.entry(network).or_default() += 1;
                state.total += 1;
                gone.extend(tell.send(Slot { slots: self.clone(), network }).err());
            }
        }
        // What nobody took is given back, for which the state must be free.
        drop(state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn admits(&self, network: Network) -> bool {
        let free = CONNECTIONS_MAX.saturating_sub(self.total);
        let used = self.used.get(&network).copied().unwrap_or_default();
        used < share(CONNECTIONS_PER_NETWORK, free, CONNECTIONS_MAX)
    }
}

impl Slot {
    /// Somebody waits for what this holds.
    pub fn is_wanted(&self) -> bool {
        let state = self.slots.state();
        let scarce = state.total * 2 > CONNECTIONS_MAX;
        state.waiting.iter().any(|(network, _)| scarce || *network == self.network)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        state.total = state.total.saturating_sub(1);
        if let Some(used) = state.used.get_mut(&self.network) {
            *used -= 1;
            if *used == 0 {
                state.used.remove(&self.network);
            }
        }
        drop(state);
        self.slots.grant();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    async fn now(slots: &Slots, address: &str) -> Option<Slot> {
        slots.take(address.parse().unwrap(), Instant::now()).await
    }

    #[tokio::test]
    async fn a_network_has_so_many_and_whoever_waits_first_is_next() {
        let slots = Slots::default();
        let mut held = Vec::new();
        for n in 0..20 {
            held.push(now(&slots, &format!("192.0.2.{n}")).await.unwrap());
        }
        assert!(now(&slots, "192.0.2.200").await.is_none());
        assert!(now(&slots, "::ffff:192.0.2.200").await.is_none());
        assert!(now(&slots, "198.51.100.1").await.is_some() && !held[0].is_wanted());
        let wait = |address: &'static str| {
            let slots = slots.clone();
            tokio::spawn(async move {
                let far = Instant::now() + std::time::Duration::from_millis(100);
                let slot = slots.take(address.parse().unwrap(), far).await;
                (slot, Instant::now())
            })
        };
        let (first, second) = (wait("192.0.2.1"), wait("192.0.2.2"));
        tokio::task::yield_now().await;
        assert!(held[0].is_wanted());
        held.pop();
        let (slot, _) = first.await.unwrap();
        assert!(slot.is_some() && !second.is_finished());
        // Who gave up is passed over, and nothing is lost by it.
        assert!(second.await.unwrap().0.is_none());
        held.pop();
        assert!(now(&slots, "192.0.2.2").await.is_some());
    }

    #[tokio::test]
    async fn however_many_networks_take_all_they_get_the_next_gets_one() {
        let slots = Slots::default();
        let mut held = Vec::new();
        for n in 0..CONNECTIONS_MAX / 2 {
            let before = held.len();
            while let Some(slot) = now(&slots, &format!("2001:db8:{n:x}:{:x}::1", held.len())).await
            {
                held.push(slot);
            }
            assert!(held.len() > before, "{n} gets none of {before}");
        }
        let all = slots.state().total;
        held.clear();
        let state = slots.state();
        assert!(all > CONNECTIONS_MAX / 2 && state.total == 0 && state.used.is_empty());
    }
}
