//! Reports about messages.

pub mod dsn;
pub mod feedback;
