//! Every limit of this crate, with our reason.

use std::num::NonZeroU32;
use std::time::Duration;

/// Rounds of a SCRAM verifier. RFC 7677 §4 wants 4096 at least; phones count them at each login.
pub const SCRAM_ITERATIONS: NonZeroU32 = match NonZeroU32::new(10_000) {
    Some(rounds) => rounds,
    None => NonZeroU32::MIN,
};
/// App passwords of one account.
pub const APP_PASSWORDS_MAX: usize = 50;
/// Logins that are remembered as proven.
pub const PROVEN_MAX: usize = 10_000;
/// Logins that may wait for a hash before further ones are told to come back.
pub const HASH_QUEUE_MAX: usize = 256;
/// What an imported hash may cost, a second of a processor's time or less in each kind: a wrong
/// password is to be answered no later than one for a name that nobody has (security.md AU-1).
/// Rounds of SHA-crypt, PBKDF2 and SCRAM.
pub const IMPORTED_ROUNDS_MAX: u32 = 2_000_000;
/// bcrypt, as a power of two.
pub const IMPORTED_BCRYPT_MAX: u32 = 14;
/// MiB of memory that yescrypt fills: `$y$jDT$`.
pub const IMPORTED_YESCRYPT_MIB_MAX: u64 = 256;
/// MiB of memory that Argon2 fills, in all its passes.
pub const IMPORTED_ARGON2_MIB_MAX: u64 = 1024;
/// Octets of a password.
pub const PASSWORD_OCTETS_MAX: usize = 1024;
/// Aliases within aliases.
pub const ALIAS_DEPTH_MAX: usize = 10;
/// Addresses an alias can come to in the end.
pub const ALIAS_MEMBERS_MAX: usize = 10_000;
/// Octets of a token.
pub const TOKEN_OCTETS_MAX: usize = 12_000;
/// How long what an issuer publishes is taken for fresh.
pub const ISSUER_KEPT: Duration = Duration::from_secs(3600);
/// And how long it does while the issuer does not answer: a day's outage ends no logins.
pub const ISSUER_KEPT_WHEN_DOWN: Duration = Duration::from_secs(86_400);
/// An issuer is not asked again sooner, whatever tokens come (security.md AU-4).
pub const ISSUER_ASK_AGAIN: Duration = Duration::from_secs(10);
/// Keys of an issuer.
pub const ISSUER_KEYS_MAX: usize = 64;
/// How long an introspected token need not be asked for again, if it lasts so long.
pub const INTROSPECTION_KEPT: Duration = Duration::from_secs(60);
/// App passwords whose last use waits to be written down.
pub const USES_MAX: usize = 10_000;
/// Addresses that an account wrote to, eight octets of each.
pub const CORRESPONDENTS_MAX: usize = 10_000;
/// Accounts whose correspondents are in memory.
pub const WRITERS_MAX: usize = 500;
/// Addresses whose meaning in another directory is remembered.
pub const EXTERNAL_FOUND_MAX: usize = 10_000;
/// And for how long; so long mail is taken for somebody who left.
pub const EXTERNAL_KEPT: Duration = Duration::from_secs(60);
/// Hashes of one account in another directory that are compared.
pub const EXTERNAL_HASHES_MAX: usize = 4;
/// How long reports about mail that was sent on find their way back: servers try for five days
/// (RFC 5321 §4.5.4.1), some longer. As long as other programs of the scheme.
pub const FORWARDED_DAYS: i64 = 21;
/// Octets of a rewritten sender: what everybody takes. RFC 5321 §4.5.3.1.3.
pub const FORWARDED_OCTETS_MAX: usize = 254;
/// How long a key vouches for new senders; for old ones as long again.
pub const FORWARDING_KEY_DAYS: i64 = 30;
/// Octets of such a key.
pub const FORWARDING_KEY_OCTETS: usize = 32;
