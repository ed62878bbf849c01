//! Every limit of SMTP sessions, with the RFC's minimum and our reason.

use std::time::Duration;

/// Octets of a command line. RFC 5321 §4.5.3.1.4 wants 512 and more for extensions.
pub const COMMAND_OCTETS_MAX: usize = 4096;
/// Octets of an AUTH command: its response may be as long as any. RFC 4954 §4 has clients keep to
/// the limit above and send a longer one by itself, but those that bring tokens do not.
pub const AUTH_OCTETS_MAX: usize = crate::sasl::RESPONSE_OCTETS_MAX + 64;
/// Octets of a reply line we read. RFC 5321 §4.5.3.1.5 wants 512.
pub const REPLY_OCTETS_MAX: usize = 4096;
/// Lines of one reply we read.
pub const REPLY_LINES_MAX: usize = 256;
/// Mistakes before the connection is closed.
pub const ERRORS_MAX: usize = 20;
/// Mistakes before EHLO.
pub const ERRORS_BEFORE_HELLO_MAX: usize = 3;
/// Commands in a row that lead to no message before the connection is closed: NOOP, RSET, VRFY,
/// HELP, EHLO, and recipients beyond the most (security.md SM-10).
pub const IDLE_COMMANDS_MAX: usize = 200;
/// The same, and logins and senders refused, before a first message or a login.
pub const IDLE_COMMANDS_AT_FIRST_MAX: usize = 50;
/// How long a command may take to come. RFC 5321 §4.5.3.2.7 wants five minutes.
pub const COMMAND_WAIT: Duration = Duration::from_secs(300);
/// Octets of a message after which the patience starts anew.
pub const PROGRESS_OCTETS: u64 = 8192;
/// Octets of message that are handed on at once.
pub const PIECE_OCTETS: usize = 64 * 1024;
