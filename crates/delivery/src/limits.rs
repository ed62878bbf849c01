//! Every limit of this crate, with the RFC's word on it or our reason.

use std::time::Duration;

/// `Received` lines of a message that goes in circles: security.md SM-9. RFC 5321 §6.3 would
/// normally have 100; no message has more than twenty on its way, and Postfix stops at 50 too.
pub const HOPS_MAX: usize = 50;
/// Times that a message may come back to the alias that sent it on: somebody may send it there
/// anew.
pub const ROUNDS_MAX: usize = 1;
/// Octets of a submitted message's header that we hold back to mend it.
pub const SUBMITTED_HEADER_OCTETS_MAX: usize = 256 * 1024;
/// Connections to one destination at a time.
pub const CONNECTIONS_PER_DESTINATION: usize = 20;
/// Connections to all destinations at a time.
pub const CONNECTIONS_MAX: usize = 200;
/// Of these, to one network, whatever destinations it serves: 20 as long as all others are free.
pub const CONNECTIONS_PER_NETWORK: usize = 25;
/// How long an attempt waits for a connection that it may make.
pub const CONNECTION_TURN_WAIT: Duration = Duration::from_secs(60);
/// Messages over a connection that others wait for.
pub const MESSAGES_PER_TURN: usize = 10;
/// Attempts at a time, those that still wait for DNS or for their turn to connect too.
pub const ATTEMPTS_MAX: usize = 1000;
/// Messages for one destination that are in hand, under way or next; more wait in the queue only.
pub const IN_HAND_PER_DESTINATION: usize = 1000;
/// Messages for all destinations that are in hand.
pub const IN_HAND_MAX: usize = 10_000;
/// Messages over one connection before a new one is made.
pub const MESSAGES_PER_CONNECTION: usize = 1000;
/// Recipients in one transaction. RFC 5321 §4.5.3.1.8 lets us count on 100.
pub const RECIPIENTS_PER_TRANSACTION: usize = 100;
/// Hosts of one destination that are tried in one attempt. RFC 5321 §5.1 asks for two at least.
pub const HOSTS_MAX: usize = 10;
/// Hosts of these that are spoken to about the message. RFC 5321 §5.1 SHOULD: two at least.
pub const SESSIONS_MAX: usize = 2;
/// How long all replies to an envelope may take together: RFC 5321 §4.5.3.2 has minutes for each,
/// and a server that takes them for each of a hundred recipients only holds a connection.
pub const ENVELOPE_WAIT: Duration = Duration::from_secs(1800);
/// How long a connection is kept for the next message.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(2);
/// How long connecting may take. RFC 5321 §4.5.3.2 has no word on it.
pub const CONNECT_WAIT: Duration = Duration::from_secs(30);
/// Due rows that are taken at once.
pub const DUE_AT_ONCE: usize = 1000;
/// Looks for due rows before the schedule lets others have the thread.
pub const LOOKS_AT_ONCE: usize = 10;
/// How long the schedule waits before it looks for due rows again while it has enough to do: one
/// look finds several.
pub const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Or so many times as long as the last look took, since each passes over all that is in hand.
pub const LOOK_AGAIN_TIMES: u32 = 4;
/// Octets of the original that go back in a report; beyond that only its header does.
pub const RETURNED_OCTETS_MAX: u64 = 256 * 1024;
/// How long a worker of the queue waits when the store does not read or write.
pub const WRITE_AGAIN: Duration = Duration::from_secs(5);
/// The port on which TLS begins at once. RFC 8314 §3.3.
pub const SUBMISSIONS_PORT: u16 = 465;
/// Octets of one piece of a message on its way out.
pub const PIECE_OCTETS: u64 = 256 * 1024;
/// Lines of dialogue kept in a journey record's entry.
pub const DIALOGUE_LINES_MAX: usize = 64;
/// Octets kept of one such line.
pub const DIALOGUE_LINE_OCTETS_MAX: usize = 300;
/// Messages that are learned from in one go: with their words they take a few megabytes.
pub const LEARN_AT_ONCE: usize = 500;
/// How long lessons are gathered, so that a person who sorts twenty messages causes one write.
pub const LEARN_PAUSE: Duration = Duration::from_secs(5);
/// How long learning waits when it failed.
pub const LEARN_AGAIN: Duration = Duration::from_secs(60);
/// Accounts of one message that are asked what they would say of it: each may take a read of
/// 384 KiB.
pub const JUDGED_ACCOUNTS_MAX: usize = 50;
/// How probable spam must be to go into Junk: of 1,000 other messages four or so are, when little
/// was taught, and two later. At 0.95 twice as many are, for a tenth more spam. docs/spam.md.
pub const SPAM_FILED: f64 = 0.99;
/// Octets of a word in the header line that tells of spam.
pub const SPAM_LINE_WORD_MAX: usize = 60;
/// Octets of a message that is looked at for a report about mail from our domains.
pub const REPORT_MAIL_OCTETS_MAX: u64 = 12 << 20;
/// Octets of such a report as it is kept; of more the details are cut.
pub const REPORT_KEPT_OCTETS_MAX: usize = 64 << 10;
/// DNS is asked for the MTA-STS record of a domain no more often than this, nor its web server for
/// the policy. RFC 8461 §3.3 SHOULD: five minutes or longer after a failure.
pub const STS_ASK_AGAIN: Duration = Duration::from_secs(300);
/// Seconds after which a policy is fetched again, though its id is the same: RFC 8461 §3.3 suggests
/// a day.
pub const STS_FETCH_AGAIN: i64 = 86_400;
/// Between two looks at which of these are due, though no mail leaves. RFC 8461 §3.3.
pub const STS_ROUND: Duration = Duration::from_secs(3600);
/// Seconds without mail for a domain after which its policy is left to end.
pub const STS_UNUSED: i64 = 90 * 86_400;
/// That a policy in force cannot be renewed is told no more often than this.
pub const STS_TOLD_AGAIN: Duration = Duration::from_secs(86_400);
/// Domains whose MTA-STS policies are in memory, or that are known to have none.
pub const STS_DOMAINS_MAX: usize = 2000;
