//! SMTP. RFC 5321, with the extensions of RFC 1870 (SIZE), 2034 (ENHANCEDSTATUSCODES), 2920
//! (PIPELINING), 3030 (CHUNKING, BINARYMIME), 3207 (STARTTLS), 3461 (DSN), 4865
//! (FUTURERELEASE), 4954 (AUTH), 6152 (8BITMIME), 6531 (SMTPUTF8).

pub mod body;
pub mod client;
pub mod command;
pub mod limits;
pub mod params;
pub mod path;
pub mod reply;
pub mod server;

pub use command::{Command, Mail, Rcpt};
pub use params::{Notify, Ret};
pub use reply::Reply;
