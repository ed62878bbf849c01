//! Every limit of this crate, with the RFC's minimum and our reason.

/// Octets in a keyword. RFC 9051 sets none; long ones only cost.
pub const KEYWORD_OCTETS_MAX: usize = 100;
/// Octets in an address: 64, 1 and 255 (RFC 5321 §4.5.3.1.1, §4.5.3.1.2), but divided as it likes:
/// envelope senders of lists and forwarders name other addresses before their `@`.
pub const ADDRESS_OCTETS_MAX: usize = 320;
/// Octets in a domain. RFC 5321 §4.5.3.1.2.
pub const DOMAIN_OCTETS_MAX: usize = 255;
/// Octets in a mailbox name, UTF-8, all levels together.
pub const MAILBOX_NAME_OCTETS_MAX: usize = 1000;
/// Levels of a mailbox name.
pub const MAILBOX_NAME_LEVELS_MAX: usize = 32;
/// Depth of nested MIME parts that is taken apart; deeper parts stay opaque. security.md MI-1.
pub const MIME_DEPTH_MAX: usize = 100;
/// MIME parts of one message that are taken apart; the rest stays opaque text.
pub const MIME_PARTS_MAX: usize = 10_000;
/// So many parts of a message are taken apart however short it is,
pub const MIME_PARTS_FREE: usize = 100;
/// and one more for so many octets of it. A part with a header and a text has more; what is only
/// delimiters would take more memory than it has octets.
pub const MIME_PART_OCTETS: u64 = 64;
/// Octets of one header field that are looked at (the stored bytes are always whole).
pub const HEADER_FIELD_OCTETS_MAX: usize = 256 * 1024;
/// Octets of all the header fields of one part that are looked at.
pub const HEADER_OCTETS_MAX: usize = 1024 * 1024;
/// Octets of the header fields of all parts together that are looked at.
pub const HEADERS_OCTETS_MAX: usize = 8 * 1024 * 1024;
/// Parameters of one MIME header field.
pub const PARAMETERS_MAX: usize = 128;
/// Addresses of one message that are put into its ENVELOPE.
pub const ADDRESSES_MAX: usize = 10_000;
/// So many addresses of all the messages in a message are read however short it is,
pub const ADDRESSES_FREE: usize = 1_000;
/// and one more for so many octets of it: `a@b.test` has as many.
pub const ADDRESS_OCTETS: u64 = 8;
/// Depth of nested comments.
pub const COMMENT_DEPTH_MAX: usize = 64;
/// Octets of a References field that are kept beside a message; the last ones count most.
pub const REFERENCES_OCTETS_MAX: usize = 16 * 1024;
/// Octets of a line of text without its line break. RFC 5322 §2.1.1.
pub const LINE_OCTETS_MAX: usize = 998;
/// Octets of a message's text parts, as they are stored, that its tokens are taken from. Spam says
/// what it wants at once.
pub const TOKEN_TEXT_OCTETS_MAX: u64 = 64 * 1024;
/// Octets of a message's header that its tokens are taken from.
pub const TOKEN_HEADER_OCTETS_MAX: u64 = 64 * 1024;
/// Tokens of a message.
pub const TOKENS_MAX: usize = 1_000;
/// Characters of a token, without what says where it is from.
pub const TOKEN_CHARS_MAX: usize = 40;
/// Octets in the name of a message's annotation, or in a pattern for such names.
pub const ANNOTATION_NAME_OCTETS_MAX: usize = 255;
/// Numbers in the part that the name of an annotation begins with.
pub const ANNOTATION_PART_LEVELS_MAX: usize = 100;
