//! MIME structure: a message's tree of parts with byte offsets. RFC 2045, RFC 2046, RFC 9051 §7.5.2.

pub mod structure;

pub use structure::{Disposition, Part, PartBody};
