//! Reports about messages.

pub mod dsn;
