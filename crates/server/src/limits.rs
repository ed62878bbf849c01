//! Every limit of this crate, with our reason.

use std::time::Duration;

/// Octets read from a socket at once.
pub const INPUT_CHUNK_OCTETS: usize = 16 * 1024;
/// Octets of output that collect before they are written in the middle of an answer.
pub const OUTPUT_CHUNK_OCTETS: usize = 64 * 1024;
/// How long one answer is worked on before other sessions have their turn.
pub const TURN: Duration = Duration::from_millis(10);
/// Small pieces of an answer between two looks at the clock.
pub const STEPS: u8 = 16;
/// A peer that takes none of our output for so long is gone.
pub const WRITE_WAIT: Duration = Duration::from_secs(60);
/// How long closing politely (TLS close_notify) may take.
pub const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// Of so many places for connections that this part is taken, the rest is scarce: numerator and
/// denominator. Strangers of whom nothing has come yet are hurried then (security.md SM-10).
pub const SCARCE: (usize, usize) = (4, 5);
/// What is left of their time: one such part of it.
pub const HURRIED: u32 = 10;
/// Mailboxes that a session with NOTIFY may see, and names it has subscribed to: it keeps 200
/// octets for each, and the names.
pub const NOTIFY_MAILBOXES_MAX: usize = 2_000;
/// The longest that a message can be held: nine digits of seconds. RFC 4865 §3.
pub const HOLD_SECONDS_MAX: i64 = 999_999_999;
/// How long a proxy may take to say who its client is: it knows when it connects.
pub const PROXY_WAIT: Duration = Duration::from_secs(10);
/// Mailboxes of one ESEARCH (RFC 7377 §2.4).
pub const SEARCHED_MAILBOXES_MAX: usize = 2_000;
/// Searches of a session that are kept up to date (RFC 5267 §4.3.1): each is tried on each change.
pub const CONTEXTS_MAX: usize = 8;
/// Results in all of them but the first: four octets each.
pub const CONTEXT_RESULTS_MAX: usize = 1_000_000;
