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
/// Addresses that are remembered.
pub const PEERS_MAX: usize = 100_000;
