//! Client-facing sessions: listeners, TLS, and the handlers of SMTP, IMAP and POP3.

pub mod drive;
pub mod limits;
