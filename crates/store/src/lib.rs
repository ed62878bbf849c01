//! Everything remembered: accounts, mailboxes, messages, queue, journeys.
//!
//! SQL, file formats and migrations live here and nowhere else. Semantics are written once over a
//! trait of row operations (`txn.rs`); engines hold statements. Invariants: nothing is visible to
//! another session before it is durable; UIDs and MODSEQs only grow; after a failed sync nothing
//! more is acknowledged.

mod access;
mod account;
mod annotation;
mod api;
pub mod backup;
mod caches;
mod correspondents;
mod delivery;
mod error;
mod feed;
mod feedback;
mod figures;
mod forwarding;
pub mod fsck;
mod gate;
mod house;
mod junk;
mod known;
mod lessons;
pub mod limits;
mod mail_policies;
mod mailbox;
mod marks;
mod open;
mod packed;
mod queue;
mod quota;
mod reading;
mod record;
mod recover;
pub mod restore;
mod rows;
mod search;
mod segment;
mod signing;
mod spool;
mod sqlite;
mod terms;
mod ticket;
pub mod txn;
mod unique_ids;
mod unit;
mod view;
mod watch;
mod write;
mod writer;

pub use access::{Actor, Visible, identifier};
pub use account::NewAccount;
pub use api::{DueGroup, Kept, QueueFilter, Selected};
pub use delivery::{Delivered, Delivery, Placement};
pub use error::{Result, StoreError};
pub use feed::{Feed, Kinds};
pub use feedback::KeptFeedback;
pub use figures::Figures;
pub use house::Housekeeping;
pub use lessons::{Lesson, Said, Taught};
pub use mailbox::append::Placed;
pub use mailbox::{Annotate, By, Change, ChangeFlags, Copied, FlagOutcome, Which};
pub use open::{Options, Store, Surroundings};
pub use packed::Note;
pub use queue::{NewQueued, NewRecipient, Settlement, settle};
pub use quota::{Quota, Resource};
pub use reading::{Neighbours, Reading};
pub use recover::Recovered;
pub use rows::*;
pub use search::Answers;
pub use signing::SigningKeyRow;
pub use spool::{Sealed, Spool};
pub use terms::{ByMode, DeliverBy, Hold, Terms};
pub use view::Watch;
pub use watch::AccountWatch;
pub use write::Writing;
pub use writer::Health;
