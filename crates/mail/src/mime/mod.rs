//! MIME structure: a message's tree of parts with byte offsets. RFC 2045, RFC 2046,
//! RFC 9051 §7.5.2.

mod delimiters;
pub mod encode;
mod fields;
pub mod parse;
pub mod preview;
pub mod structure;
#[cfg(test)]
mod tests;
pub mod text;
pub mod transfer;

pub use parse::{Parser, header_of, summary_of};
pub use structure::{Part, PartBody};
