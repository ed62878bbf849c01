//! Handing a message to another server. RFC 5321 §3.3, §4.5.3.2, §5.1; STARTTLS by RFC 3207, taken
//! when offered (RFC 7435).
//!
//! Invariant: a recipient counts as delivered only with the server's positive reply to the end of
//! the message; whatever else happens it is deferred or failed, never lost.

mod connect;
mod dane;
mod login;
mod transaction;
mod trust;

use crate::Shared;
use crate::journey::{Dialogue, describe_tls};
use crate::limits::{
    CONNECT_WAIT, CONNECTION_TURN_WAIT, ENVELOPE_WAIT, MESSAGES_PER_CONNECTION,
    RECIPIENTS_PER_TRANSACTION, SESSIONS_MAX, SUBMISSIONS_PORT,
};
use crate::route::{self, Host, RouteProblem};
use crate::slots::Slot;
use mail::Domain;
use protocol::sasl::Login;
use protocol::smtp::client::{Extensions, RemoteReply, ReplyReader};
use std::time::Duration;
use store::{QueueRow, RecipientRow};
use sys::net::BoxStream;
use sys::tls::{TlsClient, TlsFacts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use trust::Wants;

/// What became of a recipient.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// The other server has it.
    Delivered { host: String, reply: String, dsn: bool, deliver_by: bool },
    /// It is in mailboxes here, or on its way to where an address here leads.
    Here { in_mailbox: bool },
    /// Not now.
    Deferred { status: String, host: Option<String>, reply: String },
    /// Never.
    Failed { status: String, host: Option<String>, reply: String },
}

impl Fate {
    /// While one server may take it later, no other has the last word; and what one said tells more
    /// than that another could not be reached.
    fn weight(&self) -> u8 {
        match self {
            Fate::Failed { .. } => 0,
            Fate::Deferred { status, .. } if status == UNREACHABLE => 1,
            _ => 2,
        }
    }

    /// It waits for a server that is safe. RFC 3463 §3.8.
    fn is_unsafe(&self) -> bool {
        matches!(self, Fate::Deferred { status, .. } if status.starts_with("4.7."))
    }
}

/// An attempt, as it ended.
#[derive(Default)]
pub(crate) struct Attempt {
    /// Recipient numbers and their fates.
    pub fates: Vec<(u32, Fate)>,
    pub dns: Vec<String>,
    pub host: Option<String>,
    pub tls: Option<TlsFacts>,
    pub dialogue: Dialogue,
    /// No server of the destination could be spoken to at all.
    pub unreachable: bool,
    /// Another server can do no better, or the message may be there already.
    pub stuck: bool,
    /// What is delivered here in the same commit.
    pub here: Option<store::Delivery>,
}

/// Why a conversation ended before its time.
#[derive(Debug)]
enum Broken {
    /// The connection, or the peer's behaviour.
    Connection(String),
    /// The same, when the message was said to its end: the server may have it.
    InDoubt(String),
    /// The server said no to the conversation as a whole.
    Refused(RemoteReply),
    /// The message cannot be read here.
    Unreadable(String),
    /// It is not as safe as the message or a password wants, or takes no login: enhanced status
    /// code, whose class says whether for ever, and reason. RFC 8689 §4.2.1.
    Unsafe(String, String),
}

/// No answer from host. RFC 3463 §3.5.
const UNREACHABLE: &str = "4.4.1";
const RSET: &str = "RSET\r\n";
const DATA: &str = "DATA\r\n";
/// How long a reply may take. RFC 5321 §4.5.3.2.1 to §4.5.3.2.5.
const REPLY_WAIT: Duration = Duration::from_secs(300);
/// How long the reply to the end of a message may take. RFC 5321 §4.5.3.2.6.
const FINAL_WAIT: Duration = Duration::from_secs(600);
/// How long a server that takes no more of a message may take to say why.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(5);
/// How long saying goodbye may take.
const QUIT_WAIT: Duration = Duration::from_secs(2);

/// A connection to another server, ready for a message.
pub(crate) struct Connection {
    pub slot: Slot,
    stream: BoxStream,
    replies: ReplyReader,
    can: Extensions,
    host: Host,
    tls: Option<TlsFacts>,
    /// Why it is without TLS, which was offered.
    tls_failed: Option<String>,
    /// Messages that were sent over it.
    pub sent: usize,
    /// RSET goes along with the next envelope, and its reply tells whether the server is still
    /// there.
    reset_due: bool,
    /// A message asked that nobody looks how safe it is: it is not for others.
    lax: bool,
    dialogue: Dialogue,
}

/// Hands a message to a destination, over `kept` if it still works.
pub(crate) async fn attempt(
    shared: &Shared,
    domain: &Domain,
    row: &QueueRow,
    recipients: &[&RecipientRow],
    kept: &mut Option<Connection>,
) -> Attempt {
    let mut tried = Attempt::default();
    let fixed = kept.as_ref().map(|connection| connection.host.fixed);
    let mut wants = Wants::of(shared, domain, row, fixed).await;
    wants.proven_mx = kept.as_ref().is_some_and(|connection| connection.host.proven);
    if by_kept(shared, row, recipients, &wants, kept, &mut tried).await {
        return tried;
    }
    let mut route = route::route(shared, domain).await;
    tried.dns = route.dns;
    tried.dns.extend(wants.told(domain));
    wants.fixed = route.fixed;
    wants.proven_mx = route.hosts.iter().any(|host| host.proven);
    wants.login = shared.settings.smarthost_login.as_ref().filter(|_| route.smarthost);
    if wants.nobody_vouches() && route.problem.is_none() {
        let why = format!("REQUIRETLS: neither DNSSEC nor MTA-STS vouches for the MX of {domain}");
        route.problem = Some(RouteProblem::Permanent("5.7.30", why));
        route.hosts.clear();
    }
    let mut verdict = route.problem.map(fate_without_route);
    let mut left = recipients.to_vec();
    let mut sessions = 0;
    let turn_by = Instant::now() + CONNECTION_TURN_WAIT;
    let mut hosts = route.hosts.into_iter().peekable();
    while let Some(host) = hosts.next() {
        let broken = match connect::connect(shared, &host, &wants, turn_by, &mut tried).await {
            Ok(connection) => {
                tried.fates.retain(|(n, _)| !left.iter().any(|r| r.n == *n));
                converse(shared, row, &left, connection, kept, &mut tried).await;
                sessions += 1;
                left.retain(|r| tried.defers(r.n));
                // What was delivered is written down first.
                let settled = left.is_empty() || tried.stuck || tried.delivers();
                if settled || sessions == SESSIONS_MAX || hosts.peek().is_none() {
                    return tried;
                }
                if let Some(connection) = kept.take() {
                    connection.quit().await;
                }
                continue;
            }
            Err(broken) => broken,
        };
        let fate = fate_without(broken, host);
        if verdict.as_ref().is_none_or(|verdict| fate.weight() >= verdict.weight()) {
            verdict = Some(fate);
        }
    }
    if sessions == 0 {
        let fate =
            verdict.unwrap_or_else(|| deferred(UNREACHABLE, None, "no server could be reached"));
        // What is too unsafe for this message may do for others: RFC 8689 §3.
        let is_unsafe = !wants.proven && wants.login.is_none() && fate.is_unsafe();
        tried.unreachable = !wants.require_tls && !is_unsafe;
        tried.fates = recipients.iter().map(|r| (r.n, fate.clone())).collect();
    }
    tried
}

/// Over the connection that is still there, if it is safe enough; `false` when that did not do.
async fn by_kept(
    shared: &Shared,
    row: &QueueRow,
    recipients: &[&RecipientRow],
    wants: &Wants<'_>,
    kept: &mut Option<Connection>,
    tried: &mut Attempt,
) -> bool {
    let Some(mut connection) = kept.take() else { return false };
    connection.dialogue = Dialogue::default();
    let room = connection.messages_most() - connection.sent;
    let fits = recipients.len().div_ceil(connection.recipients_most()) <= room;
    if !fits || wants.nobody_vouches() || !wants.are_met_by(&connection) {
        connection.quit().await;
        return false;
    }
    connection.reset_due = true;
    (connection.can.pipelining || connection.reset().await.is_ok())
        && converse(shared, row, recipients, connection, kept, tried).await
}

impl Attempt {
    /// Somebody has it.
    fn delivers(&self) -> bool {
        self.fates.iter().any(|(_, fate)| matches!(fate, Fate::Delivered { .. }))
    }

    /// That recipient is to be tried again.
    fn defers(&self, n: u32) -> bool {
        self.fates.iter().any(|(m, fate)| *m == n && matches!(fate, Fate::Deferred { .. }))
    }
}

/// What it means when a server was not spoken to about a message at all.
fn fate_without(broken: Broken, host: Host) -> Fate {
    match broken {
        Broken::Refused(reply) => fate_of(&reply, &host.name),
        Broken::Connection(why) | Broken::InDoubt(why) | Broken::Unreadable(why) => {
            let text = format!("{} [{}]: {why}", host.name, host.address);
            deferred(UNREACHABLE, Some(host.name), &text)
        }
        Broken::Unsafe(status, reply) => unsafe_fate(status, host.name, reply),
    }
}

fn fate_without_route(problem: RouteProblem) -> Fate {
    match problem {
        RouteProblem::Permanent(status, reply) => {
            Fate::Failed { status: status.to_owned(), host: None, reply }
        }
        RouteProblem::Temporary(status, reply) => deferred(status, None, &reply),
    }
}

fn unsafe_fate(status: String, host: String, reply: String) -> Fate {
    if status.starts_with('5') {
        return Fate::Failed { status, host: Some(host), reply };
    }
    tracing::warn!(host, reply, "mail waits for a server that is safe, and takes our login");
    Fate::Deferred { status, host: Some(host), reply }
}

fn deferred(status: &str, host: Option<String>, reply: &str) -> Fate {
    Fate::Deferred { status: status.to_owned(), host, reply: reply.to_owned() }
}

fn fate_of(reply: &RemoteReply, host: &str) -> Fate {
    let (status, host, text) = (reply.status(), Some(host.to_owned()), reply.text());
    if reply.is_permanent() {
        Fate::Failed { status, host, reply: text }
    } else {
        Fate::Deferred { status, host, reply: text }
    }
}

/// Sends the message over a connection, and keeps the connection if it is still good. False when
/// the server had given it up before.
async fn converse(
    shared: &Shared,
    row: &QueueRow,
    recipients: &[&RecipientRow],
    mut connection: Connection,
    kept: &mut Option<Connection>,
    tried: &mut Attempt,
) -> bool {
    let host = connection.host.name.clone();
    tried.host = Some(format!("{host} [{}]", connection.host.address));
    tried.tls = connection.tls.clone();
    let mut good = true;
    for group in recipients.chunks(connection.recipients_most()) {
        let mut fates: Vec<(u32, Option<Fate>)> = group.iter().map(|r| (r.n, None)).collect();
        let done = match good {
            // RFC 9422 §4.1: one MAIL more than it takes.
            true if connection.is_used_up() => {
                let why = format!("{host} takes {} messages over a connection", connection.sent);
                fates.iter_mut().for_each(|(_, fate)| {
                    *fate = Some(deferred("4.5.0", Some(host.clone()), &why));
                });
                Ok(())
            }
            true => connection.transaction(shared, row, group, &mut fates).await,
            false => Err(Broken::Connection("the connection was lost before".to_owned())),
        };
        if done.is_err() && connection.reset_due {
            return false;
        }
        let rest = match done {
            Ok(()) => deferred("4.3.0", Some(host.clone()), "the server gave no verdict"),
            Err(Broken::Refused(reply)) => {
                good = false;
                fate_of(&reply, &host)
            }
            Err(Broken::Connection(why)) => {
                good = false;
                deferred("4.4.2", Some(host.clone()), &format!("{host}: {why}"))
            }
            Err(Broken::InDoubt(why)) => {
                (good, tried.stuck) = (false, true);
                deferred("4.4.2", Some(host.clone()), &format!("{host}: {why}"))
            }
            Err(Broken::Unreadable(why)) => {
                (good, tried.stuck) = (false, true);
                tracing::error!(id = %row.message, error = why, "a queued message cannot be read");
                deferred("4.3.0", None, &why)
            }
            Err(Broken::Unsafe(status, reply)) => {
                good = false;
                unsafe_fate(status, host.clone(), reply)
            }
        };
        let settled = fates.into_iter().map(|(n, fate)| (n, fate.unwrap_or(rest.clone())));
        tried.fates.extend(settled);
        connection.sent += usize::from(!connection.is_used_up());
    }
    tried.dialogue.lines.append(&mut connection.dialogue.lines);
    if good && !connection.is_used_up() && !connection.lax {
        *kept = Some(connection);
    } else if good {
        connection.quit().await;
    }
    true
}

impl Connection {
    async fn reset(&mut self) -> Result<(), Broken> {
        self.send(RSET.as_bytes()).await?;
        self.was_reset().await
    }

    /// The reply to RSET.
    async fn was_reset(&mut self) -> Result<(), Broken> {
        let reply = self.reply(REPLY_WAIT).await?;
        if !reply.is_positive() {
            return Err(Broken::Refused(reply));
        }
        self.reset_due = false;
        Ok(())
    }

    /// Says goodbye, without waiting long.
    pub async fn quit(mut self) {
        let _ = tokio::time::timeout(QUIT_WAIT, self.say("QUIT\r\n")).await;
        let _ = tokio::time::timeout(QUIT_WAIT, self.stream.shutdown()).await;
    }

    async fn say(&mut self, line: &str) -> Result<RemoteReply, Broken> {
        self.send(line.as_bytes()).await?;
        self.reply(REPLY_WAIT).await
    }

    /// Nothing was said that nobody asked for: one reply too many would be taken for the reply to
    /// something later, and a message for delivered that is not.
    fn in_step(&mut self) -> Result<(), Broken> {
        match self.replies.next_reply() {
            Ok(None) if !self.replies.has_unread_input() => Ok(()),
            Ok(Some(reply)) if reply.code == 421 => Err(Broken::Refused(reply)),
            _ => Err(Broken::Connection("the server answers what nobody asked".to_owned())),
        }
    }

    async fn send(&mut self, octets: &[u8]) -> Result<(), Broken> {
        self.in_step()?;
        self.dialogue.note('C', octets);
        self.write(octets).await
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), Broken> {
        let written = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(REPLY_WAIT, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Broken::Connection(error.to_string())),
            Err(_) => Err(Broken::Connection("the server takes no data".to_owned())),
        }
    }

    /// The next reply. 421 ends the conversation wherever it comes (RFC 5321 §3.8).
    async fn reply(&mut self, patience: Duration) -> Result<RemoteReply, Broken> {
        let reply = match tokio::time::timeout(patience, self.read_reply()).await {
            Ok(reply) => reply?,
            Err(_) => return Err(Broken::Connection("the server does not answer".to_owned())),
        };
        self.dialogue.note('S', reply.text().as_bytes());
        if reply.code == 421 { Err(Broken::Refused(reply)) } else { Ok(reply) }
    }

    async fn read_reply(&mut self) -> Result<RemoteReply, Broken> {
        let mut buffer = [0; 4096];
        loop {
            match self.replies.next_reply() {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(error) => return Err(Broken::Connection(error.0)),
            }
            match self.stream.read(&mut buffer).await {
                Ok(0) => return Err(Broken::Connection("the server hung up".to_owned())),
                Ok(n) => self.replies.receive(buffer.get(..n).unwrap_or_default()),
                Err(error) => return Err(Broken::Connection(error.to_string())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_tells_more_than_silence_and_no_failure_is_the_last_word() {
        let reply = RemoteReply { code: 550, lines: vec![] };
        let silent = deferred(UNREACHABLE, None, "");
        assert!(fate_of(&reply, "").weight() < silent.weight());
        assert!(silent.weight() < deferred("4.7.8", None, "").weight());
    }
}
