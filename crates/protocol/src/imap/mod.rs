//! IMAP4rev1 and IMAP4rev2. RFC 3501, RFC 9051, and the extensions that `session/admit.rs`
//! announces: each file names the RFCs it is made from.

pub mod command;
pub mod grammar;
pub mod language;
pub mod response;
pub mod session;
pub mod url;
pub mod utf7;

/// Octets of a command before login, literals included: tokens (RFC 7628) are long, and other
/// protocols must take 12288 of them (RFC 4954 §4, RFC 5034 §4).
pub const COMMAND_BEFORE_LOGIN_MAX: usize = 16 * 1024;
/// Octets of a command, literals included, a message to APPEND excluded.
pub const COMMAND_MAX: usize = 128 * 1024;
/// Depth of parentheses and OR, NOT in a search.
pub const SEARCH_DEPTH_MAX: usize = 50;
