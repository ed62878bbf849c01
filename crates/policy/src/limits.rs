//! Every limit of this crate, with our reason.

use std::time::Duration;

/// Failed logins from an address before anybody there has to wait.
pub const FREE_FAILURES: u32 = 3;
/// The longest that a login is made to wait: clients give up after half a minute or so.
pub const LOGIN_DELAY_MAX: Duration = Duration::from_secs(16);
/// After so long half of the failures are forgiven.
pub const FORGIVE: Duration = Duration::from_secs(600);
/// After a login an address counts as known for so long (users.md §1.9 #8).
pub const KNOWN_GOOD: Duration = Duration::from_secs(7 * 86_400);
/// Accounts that log in from one private address before it counts as hiding its clients: a gateway
/// of containers, a proxy that nobody named.
pub const HIDING_ACCOUNTS: usize = 5;
/// Private addresses whose accounts are remembered.
pub const GATEWAYS_MAX: usize = 1000;
/// The administrator hears of an account that is over its limits so often.
pub const TELL_AGAIN: Duration = Duration::from_secs(86_400);
/// Addresses that are remembered.
pub const PEERS_MAX: usize = 100_000;
/// Spams, and as many other messages, that an account must have told of before its mail is judged.
/// With 50 of each three times as much other mail is taken for spam (docs/spam.md has the figures):
/// a word that was in a single newsletter decides too much then. Other filters ask for 200.
pub const SPAM_LESSONS_MIN: u32 = 100;
/// Spams, or other messages, at which all counts are halved: what was long ago counts less.
pub const SPAM_LESSONS_MAX: u32 = 50_000;
/// Words that are known of an account's mail, 12 octets each: 384 KiB on disk, and in memory while
/// it is used.
pub const SPAM_WORDS_MAX: usize = 32 * 1024;
/// Messages that an account taught by and that are known, 8 octets each: 64 KiB. What is older
/// stays learned, but cannot be taken back.
pub const SPAM_MESSAGES_MAX: usize = 8 * 1024;
/// Words of a message that are put together, the strongest ones.
pub const SPAM_ARGUMENTS_MAX: usize = 150;

/// Questions to DNS that one message raises: lists, SPF, DKIM and DMARC together (MI-4).
/// SPF alone may be 222 by RFC 7208 §4.6.4; real senders' records and signatures need 20.
pub const QUERIES_MAX: usize = 60;
/// How long the answers to these are waited for, all together (MI-4): the time in which at least
/// one has not come. RFC 7208 §4.6.4 SHOULD let SPF alone have 20 seconds; a name server that takes
/// so long holds up a sender who did nothing wrong, and what it would have said is asked again with
/// the next attempt, which DMARC's 451 brings about where it matters.
pub const DNS_WAIT: Duration = Duration::from_secs(10);

/// Terms of SPF records that ask DNS. RFC 7208 §4.6.4.
pub const SPF_LOOKUPS_MAX: usize = 10;
/// Of these, how many may find nothing. RFC 7208 §4.6.4.
pub const SPF_VOID_MAX: usize = 2;
/// MX records of a term, and names of an address. RFC 7208 §4.6.4.
pub const SPF_NAMES_MAX: usize = 10;
/// Octets of a domain's explanation that are told: a reply line has 512 (RFC 5321 §4.5.3.1.5).
pub const SPF_EXPLANATION_OCTETS_MAX: usize = 300;
/// DKIM signatures of a message that are looked at: senders make one or two.
pub const DKIM_SIGNATURES_MAX: usize = 10;
/// Names in a signature's `h=`.
pub const DKIM_NAMES_MAX: usize = 500;
/// Bits of an RSA key: RFC 8301 §3.2 asks for 1024 to 4096.
pub const RSA_BITS_MAX: usize = 4096;
/// Octets of a header that we sign; it was mended before, so it is no longer than that.
pub const SIGNED_HEADER_OCTETS_MAX: usize = 512 * 1024;
/// Questions to find a DMARC record. RFC 9989 §4.10.
pub const DMARC_QUERIES_MAX: usize = 8;
/// Domains of one message's authors that are looked at.
pub const AUTHORS_MAX: usize = 4;
/// Octets of a header that is held back to be judged.
pub const JUDGED_HEADER_OCTETS_MAX: usize = 1 << 20;
/// A list of addresses that misbehaves is not asked for so long (users.md §1.4 #18).
pub const LIST_DISABLED: Duration = Duration::from_secs(3600);
/// A list that does not answer is not asked for so long.
pub const LIST_DISABLED_SHORTLY: Duration = Duration::from_secs(300);
/// The test entries of a list are looked at so often.
pub const LIST_CHECK_AGAIN: Duration = Duration::from_secs(3600);
/// Octets of an MTA-STS policy. RFC 8461 §3.3.
pub const STS_OCTETS_MAX: usize = 64 * 1024;
/// As many mx of such a policy, or more, are too many: large ones have ten.
pub const STS_PATTERNS_MAX: usize = 100;
/// Seconds that such a policy may be in force. RFC 8461 §3.2.
pub const STS_AGE_MAX: u32 = 31_557_600;
