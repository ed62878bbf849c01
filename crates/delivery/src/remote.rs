//! Handing a message to another server. RFC 5321 §3.3, §4.5.3.2, §5.1; STARTTLS by RFC 3207, taken
//! when offered (RFC 7435).
//!
//! Invariant: a recipient counts as delivered only with the server's positive reply to the end of
//! the message; whatever else happens it is deferred or failed, never lost.

use crate::Shared;
use crate::convert::{self, Fitted};
use crate::journey::{Dialogue, describe_tls};
use crate::limits::{
    CONNECT_WAIT, MESSAGES_PER_CONNECTION, PIECE_OCTETS, RECIPIENTS_PER_TRANSACTION,
};
use crate::route::{self, Host, RouteProblem};
use mail::Domain;
use mail::mime::encode::Rewrite;
use protocol::smtp::body::DataWriter;
use protocol::smtp::client::{Extensions, MailLine, RemoteReply, ReplyReader, rcpt_line};
use protocol::smtp::params;
use std::time::Duration;
use store::{ByMode, Notify, QueueRow, RecipientRow, Ret};
use sys::net::BoxStream;
use sys::tls::TlsFacts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
    /// What is delivered here in the same commit.
    pub here: Option<store::Delivery>,
}

/// Why a conversation ended before its time.
#[derive(Debug)]
enum Broken {
    /// The connection, or the peer's behaviour.
    Connection(String),
    /// The server said no to the conversation as a whole.
    Refused(RemoteReply),
    /// It is not as safe as the message wants: enhanced status code and reason. RFC 8689 §4.2.1.
    Unsafe(&'static str, String),
}

/// Whether a connection is under TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cover {
    /// When it is offered.
    IfOffered,
    /// It did not work, so without.
    No,
    /// Or not at all, with the server's certificate proven and REQUIRETLS announced.
    Required,
}

const RSET: &str = "RSET\r\n";
const DATA: &str = "DATA\r\n";
/// How long a reply may take. RFC 5321 §4.5.3.2.1 to §4.5.3.2.5.
const REPLY_WAIT: Duration = Duration::from_secs(300);
/// How long the reply to the end of a message may take. RFC 5321 §4.5.3.2.6.
const FINAL_WAIT: Duration = Duration::from_secs(600);
/// How long saying goodbye may take.
const QUIT_WAIT: Duration = Duration::from_secs(2);

/// A connection to another server, ready for a message.
pub(crate) struct Connection {
    stream: BoxStream,
    replies: ReplyReader,
    can: Extensions,
    host: Host,
    tls: Option<TlsFacts>,
    /// Why it is without TLS, which was offered.
    tls_failed: Option<String>,
    sent: usize,
    /// RSET goes along with the next envelope, and its reply tells whether the server is still
    /// there.
    reset_due: bool,
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
    // RFC 8689 §4.2.1; a report goes on its way all the same (§5).
    let strict = row.terms.require_tls && row.sender.address().is_some();
    if let Some(mut connection) = kept.take() {
        connection.dialogue = Dialogue::default();
        if strict && !connection.is_safe() {
            connection.quit().await;
        } else {
            connection.reset_due = true;
            if (connection.can.pipelining || connection.reset().await.is_ok())
                && converse(shared, row, recipients, connection, kept, &mut tried).await
            {
                return tried;
            }
        }
    }
    let mut route = route::route(shared, domain).await;
    tried.dns = route.dns;
    if strict && !route.fixed && route.problem.is_none() {
        // RFC 8689 §2: DNS alone does not prove that these are the domain's servers.
        let why = format!("REQUIRETLS: neither DNSSEC nor MTA-STS vouches for the MX of {domain}");
        route.problem = Some(RouteProblem::Permanent("5.7.30", why));
        route.hosts.clear();
    }
    let mut last = match route.problem {
        Some(RouteProblem::Permanent(status, reply)) => {
            let status = status.to_owned();
            Fate::Failed { status, host: None, reply }
        }
        Some(RouteProblem::Temporary(status, reply)) => {
            Fate::Deferred { status: status.to_owned(), host: None, reply }
        }
        None => deferred("4.4.1", None, "no server could be reached"),
    };
    for host in route.hosts {
        match connect(shared, &host, strict, &mut tried.dialogue).await {
            Ok(connection) => {
                converse(shared, row, recipients, connection, kept, &mut tried).await;
                return tried;
            }
            Err(Broken::Refused(reply)) => {
                last = fate_of(&reply, &host.name);
            }
            Err(Broken::Connection(why)) => {
                let text = format!("{} [{}]: {why}", host.name, host.address);
                last = deferred("4.4.1", Some(host.name), &text);
            }
            Err(Broken::Unsafe(status, reply)) => {
                let (status, host) = (status.to_owned(), Some(host.name));
                last = Fate::Failed { status, host, reply };
            }
        }
    }
    // What is too unsafe for this message may do for others.
    tried.unreachable = !strict;
    tried.fates = recipients.iter().map(|r| (r.n, last.clone())).collect();
    tried
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
    let most = connection.can.recipients_max.unwrap_or(RECIPIENTS_PER_TRANSACTION);
    for group in recipients.chunks(most.min(RECIPIENTS_PER_TRANSACTION)) {
        let mut fates: Vec<(u32, Option<Fate>)> = group.iter().map(|r| (r.n, None)).collect();
        let done = if good {
            connection.transaction(shared, row, group, &mut fates).await
        } else {
            Err(Broken::Connection("the connection was lost before".to_owned()))
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
            Err(Broken::Unsafe(status, reply)) => {
                good = false;
                Fate::Failed { status: status.to_owned(), host: Some(host.clone()), reply }
            }
        };
        let settled = fates.into_iter().map(|(n, fate)| (n, fate.unwrap_or(rest.clone())));
        tried.fates.extend(settled);
        connection.sent += 1;
    }
    tried.dialogue.lines.append(&mut connection.dialogue.lines);
    let most = connection.can.messages_max.unwrap_or(MESSAGES_PER_CONNECTION);
    if good && connection.sent < most.min(MESSAGES_PER_CONNECTION) {
        *kept = Some(connection);
    } else if good {
        connection.quit().await;
    }
    true
}

/// Connects and greets; takes TLS when it is offered, and does without when it does not work.
async fn connect(
    shared: &Shared,
    host: &Host,
    strict: bool,
    dialogue: &mut Dialogue,
) -> Result<Connection, Broken> {
    if strict {
        return open(shared, host, Cover::Required).await.map_err(|(broken, _)| broken);
    }
    match open(shared, host, Cover::IfOffered).await {
        Ok(connection) => Ok(connection),
        Err((Broken::Connection(why), true)) => {
            dialogue.note('C', format!("(TLS failed: {why}; once more without)").as_bytes());
            let mut plain = open(shared, host, Cover::No).await.map_err(|(broken, _)| broken)?;
            plain.tls_failed = Some(why);
            Ok(plain)
        }
        Err((broken, _)) => Err(broken),
    }
}

/// The error's second half: it came from TLS, so trying without may help.
async fn open(shared: &Shared, host: &Host, cover: Cover) -> Result<Connection, (Broken, bool)> {
    let strict = cover == Cover::Required;
    let no_tls = |why: &str| {
        (Broken::Unsafe("5.7.10", format!("REQUIRETLS, and {}: {why}", host.name)), false)
    };
    let plain = |broken: Broken| (broken, false);
    let lost = |error: std::io::Error| (Broken::Connection(error.to_string()), false);
    let source = shared.settings.source;
    let stream = shared.world.net.connect(host.address, source, CONNECT_WAIT).await;
    let mut connection = Connection {
        stream: stream.map_err(lost)?,
        replies: ReplyReader::default(),
        can: Extensions::default(),
        host: host.clone(),
        tls: None,
        tls_failed: None,
        sent: 0,
        reset_due: false,
        dialogue: Dialogue::default(),
    };
    let greeting = connection.reply(REPLY_WAIT).await.map_err(plain)?;
    if greeting.code != 220 {
        return Err(plain(Broken::Refused(greeting)));
    }
    connection.hello(shared).await.map_err(plain)?;
    if cover == Cover::No || !connection.can.starttls {
        return if strict { Err(no_tls("no STARTTLS")) } else { Ok(connection) };
    }
    let ready = connection.say("STARTTLS\r\n").await.map_err(plain)?;
    if ready.code != 220 {
        return if strict { Err(no_tls(&ready.text())) } else { Ok(connection) };
    }
    if connection.replies.has_unread_input() {
        // Somebody put plain text before the handshake: security.md SM-4.
        let why = "plain text after the reply to STARTTLS".to_owned();
        return Err((Broken::Connection(why), true));
    }
    let Connection { stream, dialogue, .. } = connection;
    let client = match (strict, &shared.settings.verifying) {
        (false, _) => &shared.tls,
        (true, Some(client)) => client,
        (true, None) => return Err(no_tls("no authorities to prove its certificate by")),
    };
    let (stream, facts) = client.connect(&host.name, stream).await.map_err(|error| {
        let why = error.to_string();
        if strict { no_tls(&why) } else { (Broken::Connection(why), true) }
    })?;
    let mut secured = Connection {
        stream,
        replies: ReplyReader::default(),
        can: Extensions::default(),
        host: host.clone(),
        tls: None,
        tls_failed: None,
        sent: 0,
        reset_due: false,
        dialogue,
    };
    secured.dialogue.note('C', format!("({})", describe_tls(&facts)).as_bytes());
    secured.tls = Some(facts);
    secured.hello(shared).await.map_err(plain)?;
    if strict && !secured.can.require_tls {
        let why = format!("{} does not announce REQUIRETLS", host.name);
        return Err((Broken::Unsafe("5.7.30", why), false));
    }
    Ok(secured)
}

impl Connection {
    /// As safe as REQUIRETLS wants.
    fn is_safe(&self) -> bool {
        self.can.require_tls && self.tls.as_ref().is_some_and(|tls| tls.verified)
    }

    async fn hello(&mut self, shared: &Shared) -> Result<(), Broken> {
        let hostname = &shared.settings.hostname;
        let reply = self.say(&format!("EHLO {hostname}\r\n")).await?;
        if reply.is_positive() {
            self.can = Extensions::parse(&reply);
            return Ok(());
        }
        self.can = Extensions::default();
        let reply = self.say(&format!("HELO {hostname}\r\n")).await?;
        if reply.is_positive() { Ok(()) } else { Err(Broken::Refused(reply)) }
    }

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

    async fn send(&mut self, octets: &[u8]) -> Result<(), Broken> {
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

    /// One transaction: fills in the fates that are known when it ends.
    async fn transaction(
        &mut self,
        shared: &Shared,
        row: &QueueRow,
        recipients: &[&RecipientRow],
        fates: &mut [(u32, Option<Fate>)],
    ) -> Result<(), Broken> {
        let host = self.host.name.clone();
        let now = shared.world.clock.unix_seconds();
        let fitted = match self.fit(shared, row)? {
            Ok(fitted) => fitted,
            Err(fate) => {
                settle_open(fates, &fate);
                return Ok(());
            }
        };
        let octets = fitted.as_ref().map_or(row.size - u64::from(row.skip), |fit| fit.octets);
        let (accepted, go) = self.envelope((row, octets), now, recipients, fates).await?;
        let go = match go {
            Some(go) => go,
            None if accepted == 0 => return self.reset().await,
            None => self.say(DATA).await?,
        };
        if accepted == 0 && go.code == 354 {
            // RFC 2920 §3.1: it takes a message for nobody, so it gets an empty one.
            return self.say(".\r\n").await.map(drop);
        } else if accepted == 0 {
            return self.reset().await;
        }
        if go.code != 354 {
            settle_open(fates, &fate_of(&go, &host));
            return if go.is_positive() {
                Err(Broken::Connection("the reply to DATA makes no sense".to_owned()))
            } else {
                self.reset().await
            };
        }
        self.message(shared, row, fitted).await?;
        let end = self.reply(FINAL_WAIT).await?;
        let fate = if end.is_positive() {
            let (dsn, deliver_by) = (self.can.dsn, self.can.deliver_by.is_some());
            Fate::Delivered { host, reply: end.text(), dsn, deliver_by }
        } else {
            fate_of(&end, &host)
        };
        settle_open(fates, &fate);
        Ok(())
    }

    /// The message for a server that takes 7 bits only, when it has more. RFC 6152 §3: it is
    /// encoded, or fails.
    fn fit(&self, shared: &Shared, row: &QueueRow) -> Result<Result<Option<Fitted>, Fate>, Broken> {
        if self.can.eight_bit || !row.terms.body8 {
            return Ok(Ok(None));
        }
        let fitted = convert::in_seven_bits(shared, row);
        let fitted = fitted.map_err(|error| Broken::Connection(error.to_string()))?;
        let host = &self.host.name;
        Ok(fitted.map(Some).map_err(|why| Fate::Failed {
            status: "5.6.3".to_owned(),
            host: Some(host.clone()),
            reply: format!("{host} takes 7-bit messages only (no 8BITMIME), and {}", why.0),
        }))
    }

    /// MAIL and RCPTs; how many recipients were accepted. Where the server can (RFC 2920) a RSET
    /// that is due and DATA go along with them: then the reply to DATA is returned too.
    async fn envelope(
        &mut self,
        (row, octets): (&QueueRow, u64),
        now: i64,
        recipients: &[&RecipientRow],
        fates: &mut [(u32, Option<Fate>)],
    ) -> Result<(usize, Option<RemoteReply>), Broken> {
        let host = self.host.name.clone();
        if let Some(reply) = self.too_late(row, now) {
            let status = "5.4.7".to_owned();
            settle_open(fates, &Fate::Failed { status, host: Some(host), reply });
            return Ok((0, None));
        }
        let utf8 = row.smtputf8 && recipients.iter().any(|r| r.address.needs_utf8())
            || row.sender.address().is_some_and(mail::Address::needs_utf8);
        if utf8 && !self.can.smtputf8 {
            // RFC 6531 §3.2; only addresses ask for it (users.md S-10).
            let reply = format!("{host} cannot take addresses in UTF-8 (no SMTPUTF8)");
            let status = "5.6.7".to_owned();
            settle_open(fates, &Fate::Failed { status, host: Some(host), reply });
            return Ok((0, None));
        }
        let mut lines = vec![self.mail_line(row, octets, now)];
        let reports_delay = row.terms.by.is_some_and(|by| by.mode == ByMode::Notify && now < by.at)
            && self.can.deliver_by.is_none();
        for r in recipients {
            let mut notify = notify(r.notify);
            if reports_delay && !notify.never {
                // RFC 2852 §4.1.4.2: nobody else will tell of a delay.
                notify.failure |= r.notify.is_default();
                notify.delay = true;
            }
            lines.push(rcpt_line(&r.address, notify, r.orcpt.as_deref(), &self.can));
        }
        if self.can.pipelining {
            let reset = if self.reset_due { RSET } else { "" };
            self.send([reset, &lines.concat(), DATA].concat().as_bytes()).await?;
            if self.reset_due {
                self.was_reset().await?;
            }
        } else if let Some(first) = lines.first() {
            self.send(first.as_bytes()).await?;
        }
        let mut accepted = 0;
        let sender = self.reply(REPLY_WAIT).await?;
        if !sender.is_positive() {
            let mut fate = fate_of(&sender, &host);
            if let Some(why) = self.tls_failed.as_ref().filter(|_| sender.code == 530) {
                // RFC 3207 §4: it insists on TLS, which may work the next time.
                let text = format!("{host}: TLS failed ({why}), and without: {}", sender.text());
                fate = deferred("4.7.5", Some(host.clone()), &text);
            }
            settle_open(fates, &fate);
        }
        for ((_, fate), line) in fates.iter_mut().zip(lines.iter().skip(1)) {
            if !self.can.pipelining {
                if !sender.is_positive() {
                    break;
                }
                self.send(line.as_bytes()).await?;
            }
            let reply = self.reply(REPLY_WAIT).await?;
            if !sender.is_positive() {
                continue;
            }
            if reply.is_positive() {
                accepted += 1;
            } else {
                *fate = Some(fate_of(&reply, &host));
            }
        }
        let go = match self.can.pipelining {
            true => Some(self.reply(REPLY_WAIT).await?),
            false => None,
        };
        Ok((accepted, go))
    }

    /// Why a message that comes back when it is late may not go to this server. RFC 2852 §4.1.4.1.
    fn too_late(&self, row: &QueueRow, now: i64) -> Option<String> {
        let by = row.terms.by.filter(|by| by.mode == ByMode::Return)?;
        let left = by.at - now;
        match self.can.deliver_by {
            _ if left <= 0 => Some("delivery time expired".to_owned()),
            Some(least) if least <= left => None,
            Some(least) => Some(format!("it takes {least} seconds, and {left} are left (BY)")),
            None => Some("the server cannot deliver by a time (no DELIVERBY)".to_owned()),
        }
    }

    fn mail_line(&self, row: &QueueRow, octets: u64, now: i64) -> String {
        let line = MailLine {
            sender: &row.sender,
            size: octets,
            body8: row.terms.body8,
            smtputf8: row.smtputf8,
            ret: row.ret.map(|ret| match ret {
                Ret::Full => params::Ret::Full,
                Ret::Headers => params::Ret::Headers,
            }),
            envid: row.envid.as_deref(),
            require_tls: row.terms.require_tls,
            priority: row.terms.priority,
            by: row.terms.by.map(|by| params::By {
                seconds: by.at - now,
                returns: by.mode == ByMode::Return,
                trace: by.trace,
            }),
        };
        line.encode(&self.can)
    }

    /// The message, piece by piece, dots stuffed.
    async fn message(
        &mut self,
        shared: &Shared,
        row: &QueueRow,
        fitted: Option<Fitted>,
    ) -> Result<(), Broken> {
        let skip = u64::from(row.skip);
        let octets = fitted.as_ref().map_or(row.size - skip, |fit| fit.octets);
        let mut rewrite = fitted.map(|fit| Rewrite::new(fit.plan));
        let mut writer = DataWriter::default();
        let mut at = skip;
        let mut out = Vec::new();
        loop {
            let piece = match &mut rewrite {
                Some(rewrite) => convert::next_piece(shared, row, rewrite),
                None if at >= row.size => Ok(None),
                None => {
                    let from = at;
                    at = row.size.min(at + PIECE_OCTETS);
                    shared.store.content(row.content, from..at).map(Some)
                }
            };
            let piece = piece.map_err(|error| Broken::Connection(error.to_string()))?;
            let Some(piece) = piece else { break };
            writer.write(&piece, &mut out);
            self.write(&out).await?;
            out.clear();
        }
        writer.finish(&mut out);
        self.dialogue.note('C', format!("({octets} octets of message)\n.").as_bytes());
        self.write(&out).await
    }
}

/// Gives a fate to all that have none.
fn settle_open(fates: &mut [(u32, Option<Fate>)], fate: &Fate) {
    for (_, open) in fates.iter_mut().filter(|(_, open)| open.is_none()) {
        *open = Some(fate.clone());
    }
}

fn notify(notify: Notify) -> params::Notify {
    params::Notify {
        never: notify.contains(Notify::NEVER),
        success: notify.contains(Notify::SUCCESS),
        failure: notify.contains(Notify::FAILURE),
        delay: notify.contains(Notify::DELAY),
    }
}
