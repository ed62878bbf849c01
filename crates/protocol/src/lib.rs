//! The grammars and turn-taking rules of SMTP, IMAP, POP3 and SASL, without I/O.
//!
//! Forbidden here: sockets, files, clocks, async, storage and policy. Bytes in, values out; every
//! machine may be fed in any split of its input and takes the same steps.

pub mod imap;
pub mod line;
pub mod machine;
pub mod pop3;
pub mod proxy;
pub mod sasl;
pub mod smtp;
