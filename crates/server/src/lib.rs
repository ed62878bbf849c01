//! Client-facing sessions: listeners, TLS, and the handlers of SMTP, IMAP and POP3.

pub mod counts;
mod deflate;
pub mod drive;
pub mod imap;
pub mod limits;
pub mod listen;
mod login;
pub mod pop3;
mod smtp;
mod urls;

use delivery::Delivery;
use directory::Directory;
use imap::Arrangements;
use imap::crowd::Crowd;
use mail::Domain;
use policy::guard::Guard;
use policy::network::Network;
use pop3::maildrops::Maildrops;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use sys::World;

/// Settings of the sessions.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our name in greetings.
    pub hostname: Domain,
    /// Takes mail for `<postmaster>` without a domain.
    pub default_domain: Option<Domain>,
    /// Octets of the largest message; 0 is no limit.
    pub message_octets_max: u64,
    /// Recipients of one message.
    pub recipients_max: usize,
    /// Passwords are taken without TLS; for tests on loopback.
    pub plaintext_auth: bool,
    /// Who fails to log in hears of it at a whole number of these since the check began: no hash
    /// tells by the time that it takes that there is such a name (security.md AU-1).
    pub failed_login: Duration,
    /// Proxies, whose connections begin with a PROXY header that tells who the client is.
    pub proxies: Vec<Network>,
    /// Proxies that may tell by XCLIENT who the client is.
    pub xclients: Vec<Network>,
    /// Networks whose mail is taken under TLS only. RFC 3207 §6.
    pub tls_required: Vec<Network>,
    /// How long messages are held for their senders; nothing is not at all. RFC 4865.
    pub hold_max: Duration,
    /// Messages of an account that may wait for their time; 0 is any number. RFC 4865 §6.
    pub held_messages_max: usize,
    /// Who is judged, and how.
    pub judge: policy::judge::Settings,
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections at a time from one address.
    pub connections_per_address_max: usize,
    /// IMAP sessions at a time of one account.
    pub connections_per_account_max: usize,
    /// A maildrop is one POP3 session's at a time; otherwise each has its own view of it.
    pub pop3_exclusive: bool,
    /// What IMAP does only if the operator wants it.
    pub imap: protocol::imap::session::Options,
    /// Time between two POP3 logins of an account. RFC 2449 §6.5.
    pub pop3_login_delay: Duration,
}

/// What every session works with.
pub struct Shared {
    /// Everything remembered.
    pub store: Store,
    /// Who exists and who may.
    pub directory: Directory,
    /// An accepted message's fate.
    pub delivery: Delivery,
    /// Failed logins, bans, recipients sent to.
    pub guard: Arc<Guard>,
    /// How many IMAP sessions each account has.
    pub crowd: Arc<Crowd>,
    /// What happened since the start.
    pub counts: counts::Counts,
    /// Which maildrops POP3 sessions have open.
    pub maildrops: Maildrops,
    /// Orders and threads that IMAP sessions made lately.
    pub arrangements: Arrangements,
    /// Clock, randomness, network.
    pub world: World,
    /// Settings.
    pub settings: Settings,
}
