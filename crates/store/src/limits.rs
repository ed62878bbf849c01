//! Every limit of this crate, with our reason.

/// Octets of an incoming message that stay in memory; beyond that it goes to a file.
pub const SPOOL_MEMORY_MAX: usize = 1 << 20;
/// Octets that can go in front of an incoming message when it is complete.
pub const SPOOL_FRONT_MAX: usize = 64 << 10;
/// Annotations of one mailbox or account, of those that one account sees.
pub const ANNOTATIONS_MAX: usize = 200;
/// Octets of one annotation of a message; RFC 5257 §4.1 wants 1,024 at least.
pub const NOTE_OCTETS_MAX: usize = 64 << 10;
/// Annotations of one message that are shared, and private ones of each account; RFC 5257 §4.1
/// wants 10 at least.
pub const NOTES_MAX: usize = 50;
/// Octets of these together: ten of the longest, and their names, fit.
pub const NOTES_OCTETS_MAX: usize = 1 << 20;
/// Entries that were taken away of which a message remembers the names, to tell who asks.
pub const NOTES_GONE_MAX: usize = 20;
/// Octets of annotations that one command may write: those of many messages at once cost nothing
/// to say.
pub const NOTES_WRITTEN_OCTETS_MAX: usize = 16 << 20;
/// Octets of a segment at which the next one is begun.
pub const SEGMENT_OCTETS: u64 = 128 << 20;
/// Octets of zeros that are kept ready behind the last record.
pub const READY_OCTETS: u64 = 256 << 10;
/// Jobs in one commit.
pub const BATCH_JOBS_MAX: usize = 256;
/// Octets of messages in one commit; one larger message makes a commit of its own.
pub const BATCH_OCTETS_MAX: u64 = 16 << 20;
/// Octets of messages that may wait for the writer; beyond that deliveries wait (back-pressure).
pub const WAITING_OCTETS_MAX: u32 = 64 << 20;
/// Segment files kept open for reading.
pub const OPEN_SEGMENTS_MAX: usize = 256;
/// Octets of a record's header; more means that it is no record.
pub const RECORD_HEADER_OCTETS_MAX: usize = 64 << 20;
/// Octets of whole messages that one call returns.
pub const CONTENTS_OCTETS_MAX: u64 = 4 << 20;
/// Octets of a message that is compared with its checksum whenever a part of it is wanted, the
/// header too; a larger one for its other parts only, away from the sessions.
pub const COMPARED_AT_ONCE_OCTETS: u64 = 256 << 10;
/// Octets that are read together of messages that lie beside each other: as much as a processor
/// keeps close to it.
pub const NEIGHBOURS_OCTETS_MAX: u64 = 128 << 10;
/// Octets between two of them that are read too.
pub const NEIGHBOURS_GAP_MAX: u64 = 4 << 10;
/// Pages of the messages that are remembered to be as they were stored; about 1 MB. They hold eight
/// million messages that came one after another, and 8,192 wherever they are.
pub const MARK_PAGES_MAX: usize = 8 << 10;
/// Readers kept for the next read; more are made while many read at once.
pub const READERS_KEPT: usize = 4;
/// Octets of all caches, unless another limit is set.
pub const MEMORY_LIMIT: u64 = 32 << 20;
/// Octets of messages that housekeeping moves in one commit.
pub const MOVE_OCTETS_MAX: u64 = 4 << 20;
/// Days a journey is remembered.
pub const JOURNEY_DAYS: i64 = 30;
/// Changes of a mailbox of which each tells what it expunged; what older ones expunged is told
/// together. RFC 7162 §3.2.6.
pub const HISTORY_CHANGES: u64 = 10_000;
/// Octets of the engine's file that may hold nothing before the disk gets some back.
pub const SPARE_OCTETS_MAX: u64 = 16 << 20;
/// Octets that the disk gets back in one commit.
pub const GIVE_BACK_OCTETS: u64 = 2 << 20;
/// Messages that one act teaches something about, as a move into Junk; of more, the last ones.
pub const LESSON_MESSAGES_MAX: usize = 1_000;
/// Acts of one account that may wait to be learned from. Learning takes all of them at once, so
/// there are more only when it is far behind; then they teach nothing.
pub const LESSONS_WAITING_MAX: usize = 256;
/// Messages that one commit changes in a large operation, so that deliveries need not wait long.
pub const CHUNK_MESSAGES: usize = 10_000;
/// Reports of other receivers that are kept; a domain gets some ten a day.
pub const FEEDBACK_MAX: usize = 1_000;
/// Days that they are kept.
pub const FEEDBACK_DAYS: i64 = 400;
/// Policies of other domains on their mail servers that are kept, some 200 octets each.
pub const MAIL_POLICIES_MAX: usize = 5_000;
