//! Every limit of this crate, with our reason.

use std::time::Duration;

/// Failed logins from an address before anybody there has to wait.
pub const FREE_FAILURES: u32 = 3;
/// The longest that a login is made to wait: clients give up after half a minute or so.
pub const LOGIN_DELAY_MAX: Duration = Duration::from_secs(16);
/// After so long half of the failures are forgiven.
pub const FORGIVE: Duration = Duration::from_secs(600);
/// After a login an address counts as known for so long (users.md §1.9 #8).
pub const KNOWN_GOOD: Duration = Duration::from_secs(7 * 86_400);
/// Accounts that log in from one private address before it counts as hiding its clients: a gateway
/// of containers, a proxy that nobody named.
pub const HIDING_ACCOUNTS: usize = 5;
/// Private addresses whose accounts are remembered.
pub const GATEWAYS_MAX: usize = 1000;
/// The administrator hears of an account that is over its limits so often.
pub const TELL_AGAIN: Duration = Duration::from_secs(86_400);
/// Addresses that are remembered.
pub const PEERS_MAX: usize = 100_000;
