//! Every limit of this crate, with our reason.

/// Logins that are remembered as proven.
pub const PROVEN_MAX: usize = 10_000;
/// Logins that may wait for a hash before further ones are told to come back.
pub const HASH_QUEUE_MAX: usize = 256;
/// Octets of a password.
pub const PASSWORD_OCTETS_MAX: usize = 1024;
/// Aliases within aliases.
pub const ALIAS_DEPTH_MAX: usize = 10;
/// Addresses an alias can come to in the end.
pub const ALIAS_MEMBERS_MAX: usize = 10_000;
