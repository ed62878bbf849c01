//! IMAP4rev1. RFC 3501, with UIDPLUS (4315), IDLE (2177), NAMESPACE (2342), ID (2971), UNSELECT
//! (3691), ESEARCH (4731), SASL-IR (4959), ENABLE (5161), LIST-EXTENDED (5258), LIST-STATUS (5819),
//! SPECIAL-USE (6154), MOVE (6851), CONDSTORE (7162), LITERAL+ (7888), CHILDREN (3348).

pub mod command;
pub mod grammar;
pub mod language;
pub mod response;
pub mod session;
pub mod url;
pub mod utf7;

/// Octets of a command before login, literals included.
pub const COMMAND_BEFORE_LOGIN_MAX: usize = 8 * 1024;
/// Octets of a command, literals included, a message to APPEND excluded.
pub const COMMAND_MAX: usize = 128 * 1024;
/// Depth of parentheses and OR, NOT in a search.
pub const SEARCH_DEPTH_MAX: usize = 50;
