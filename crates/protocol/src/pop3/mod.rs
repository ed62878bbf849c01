//! POP3. RFC 1939, with CAPA (RFC 2449), STLS (RFC 2595), AUTH (RFC 5034), response codes (RFC
//! 2449 §8, RFC 3206), UTF8 and LANG (RFC 6856).

pub mod command;
pub mod language;
pub mod session;

pub use command::Command;
pub use language::Language;
pub use session::{Answer, Mode, Offer, Question, Session};
