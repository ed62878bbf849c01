//! Connecting to a server: greeting it, and TLS as the message, the domain, the operator and DNS
//! want it. RFC 5321 §3.1, RFC 3207, RFC 7435.

use super::dane::{self, Asked, By};
use super::*;

/// Whether a connection is under TLS.
#[derive(Clone, Copy)]
enum Cover<'a> {
    /// When it is offered.
    IfOffered,
    /// It did not work, so without.
    No,
    /// Or not at all. RFC 7672 §2.2.
    Always,
    /// Or not at all, with the server's certificate proven by authorities.
    Proven,
    /// Or not at all, with the server's certificate proven by DANE.
    By(&'a By),
}

impl Cover<'_> {
    /// There is no connection without TLS.
    fn is_needed(&self) -> bool {
        !matches!(self, Cover::IfOffered | Cover::No)
    }

    /// The server shows what DNS asks for.
    fn is_dane(&self) -> bool {
        matches!(self, Cover::Always | Cover::By(_))
    }
}

/// Connects and greets; takes TLS when it is offered, and does without when it does not work and
/// nothing forbids that.
pub(super) async fn connect(
    shared: &Shared,
    host: &Host,
    wants: &Wants<'_>,
    turn_by: Instant,
    tried: &mut Attempt,
) -> Result<Connection, Broken> {
    wants.allows(&host.name)?;
    let asked = dane::asked(shared, host, wants, &mut tried.dns).await?;
    let open = async |cover| match shared.slots.take(host.address.ip(), turn_by).await {
        Some(slot) => open(shared, host, wants, cover, slot).await,
        None => {
            let why = "other messages have all connections that it may have at a time";
            Err((Broken::Connection(why.to_owned()), false))
        }
    };
    let dialogue = &mut tried.dialogue;
    let most = match &asked {
        // RFC 8461 §2: what DANE asks for is not overruled.
        Asked::Proof(by) => return open(Cover::By(by)).await.map_err(|(broken, _)| broken),
        _ if wants.is_strict() => return open(Cover::Proven).await.map_err(|(broken, _)| broken),
        Asked::Encryption => Cover::Always,
        Asked::Nothing => Cover::IfOffered,
    };
    if wants.policy.is_some() {
        // RFC 8461 §5: a policy that is only tested keeps nothing back.
        match open(Cover::Proven).await {
            Err((Broken::Unsafe(_, why) | Broken::Connection(why), true)) => {
                tracing::warn!(host = host.name, why, "MTA-STS: a policy that is only tested");
                dialogue.note('C', format!("(MTA-STS is only tested: {why})").as_bytes());
            }
            done => return done.map_err(|(broken, _)| broken),
        }
    }
    match open(most).await {
        Ok(connection) => Ok(connection),
        Err((Broken::Connection(why), true)) => {
            dialogue.note('C', format!("(TLS failed: {why}; once more without)").as_bytes());
            let mut plain = open(Cover::No).await.map_err(|(broken, _)| broken)?;
            plain.tls_failed = Some(why);
            Ok(plain)
        }
        Err((broken, _)) => Err(broken),
    }
}

/// The error's second half: it came from TLS, so trying without may help.
async fn open(
    shared: &Shared,
    host: &Host,
    wants: &Wants<'_>,
    cover: Cover<'_>,
    slot: Slot,
) -> Result<Connection, (Broken, bool)> {
    let needed = cover.is_needed();
    let plain = |broken: Broken| (broken, false);
    let no_tls = |why: &str| (wants.without_tls(&host.name, why, cover.is_dane()), true);
    let source = shared.settings.source;
    let stream = shared.world.net.connect(host.address, source, CONNECT_WAIT).await;
    let stream = stream.map_err(|error| plain(Broken::Connection(error.to_string())))?;
    let mut connection = Connection::over(stream, slot, host, Dialogue::default());
    connection.lax = wants.was_lax();
    // RFC 8314 §3.3: under TLS from the first octet.
    let implicit = host.address.port() == SUBMISSIONS_PORT;
    let failed = |why: String| match needed {
        true => no_tls(&why),
        false => (Broken::Connection(why), !implicit),
    };
    if implicit {
        connection = connection.secured(shared, cover).await.map_err(failed)?;
    }
    if let Err(broken) = connection.greeted(shared).await {
        return Err(connection.leave(plain(broken)).await);
    }
    if !implicit {
        if matches!(cover, Cover::No) || !connection.can.starttls {
            return connection.unless(needed, || no_tls("no STARTTLS")).await;
        }
        let ready = connection.say("STARTTLS\r\n").await.map_err(|broken| (broken, true))?;
        if !ready.is_positive() {
            return connection.unless(needed, || no_tls(&ready.text())).await;
        }
        if connection.replies.has_unread_input() {
            // Somebody put plain text before the handshake: security.md SM-4.
            return Err(failed("plain text after the reply to STARTTLS".to_owned()));
        }
        connection = connection.secured(shared, cover).await.map_err(failed)?;
        if let Err(broken) = connection.hello(shared).await {
            return Err(connection.leave(plain(broken)).await);
        }
    }
    match connection.satisfy(wants).await {
        Ok(()) => Ok(connection),
        Err(broken) => Err(connection.leave(plain(broken)).await),
    }
}

impl Connection {
    fn over(stream: BoxStream, slot: Slot, host: &Host, dialogue: Dialogue) -> Connection {
        Connection {
            slot,
            stream,
            replies: ReplyReader::default(),
            can: Extensions::default(),
            host: host.clone(),
            tls: None,
            tls_failed: None,
            sent: 0,
            reset_due: false,
            lax: false,
            dialogue,
        }
    }

    /// The same under TLS, or why not.
    async fn secured(self, shared: &Shared, cover: Cover<'_>) -> Result<Connection, String> {
        let Connection { slot, stream, host, dialogue, lax, .. } = self;
        let (client, name) = match (cover, &shared.settings.verifying) {
            (Cover::By(by), _) => (&by.client, &by.base),
            (Cover::Proven, Some(client)) => (client, &host.name),
            (Cover::Proven, None) => {
                return Err("no authorities to prove its certificate by".to_owned());
            }
            _ => (&shared.tls, &host.name),
        };
        let (stream, facts) = client.connect(name, stream).await.map_err(|e| e.to_string())?;
        let mut secured = Connection::over(stream, slot, &host, dialogue);
        let by = if matches!(cover, Cover::By(_)) { ", proven by DANE" } else { "" };
        secured.dialogue.note('C', format!("({}{by})", describe_tls(&facts)).as_bytes());
        (secured.tls, secured.lax) = (Some(facts), lax);
        Ok(secured)
    }

    /// Under TLS it has what is wanted, or gets it.
    async fn satisfy(&mut self, wants: &Wants<'_>) -> Result<(), Broken> {
        if wants.require_tls && !self.can.require_tls {
            let why = format!("{} does not announce REQUIRETLS", self.host.name);
            return Err(Broken::Unsafe("5.7.30".to_owned(), why));
        }
        match wants.login {
            Some(login) => self.log_in(login).await,
            None => Ok(()),
        }
    }

    /// The server is ready, and knows us. RFC 5321 §3.1, §3.2.
    async fn greeted(&mut self, shared: &Shared) -> Result<(), Broken> {
        let greeting = self.reply(REPLY_WAIT).await?;
        if !greeting.is_positive() {
            return Err(Broken::Refused(greeting));
        }
        self.hello(shared).await
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

    /// Goes on, or leaves for that reason.
    async fn unless(
        self,
        leaves: bool,
        why: impl FnOnce() -> (Broken, bool),
    ) -> Result<Connection, (Broken, bool)> {
        if leaves { Err(self.leave(why()).await) } else { Ok(self) }
    }

    /// Says goodbye, for this reason, to a server that still listens: RFC 5321 §4.1.1.10, and where
    /// TLS does not do RFC 8689 §4.2.1.
    async fn leave(self, why: (Broken, bool)) -> (Broken, bool) {
        match &why.0 {
            Broken::Refused(reply) if reply.code != 421 => self.quit().await,
            Broken::Unsafe(..) => self.quit().await,
            _ => {}
        }
        why
    }
}
