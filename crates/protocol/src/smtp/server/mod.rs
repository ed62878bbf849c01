//! The server's side of an SMTP or LMTP session, without I/O. RFC 5321 §3, §4.1.4, RFC 2033.
//!
//! Invariants: a machine that asks consumes no input; a recipient is in the envelope only once it
//! was accepted; after STARTTLS nothing of before is remembered; a message with a bare CR, LF or
//! NUL from a stranger is read to its true end, refused, and the connection closed.

mod auth;
mod greet;
mod message;

use crate::line::{Input, Line};
use crate::machine::{Machine, Security, Step};
use crate::sasl::{self, Client};
use crate::smtp::body::{Bare, BareCheck, DataReader};
use crate::smtp::command::{Command, Mail, Rcpt};
use crate::smtp::limits::*;
use crate::smtp::reply::{self, Reply};
use std::time::Duration;

/// What a port offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Our name.
    pub hostname: String,
    /// Octets of the largest message; 0 is any number.
    pub size_max: u64,
    /// Recipients of one message. RFC 5321 §4.5.3.1.8 wants 100.
    pub recipients_max: usize,
    /// STARTTLS may be said.
    pub starttls: bool,
    /// Nothing else is done before it was.
    pub tls_required: bool,
    /// Senders log in here, and must.
    pub login: bool,
    /// Passwords are taken without TLS.
    pub plaintext_auth: bool,
    /// What logins there are besides passwords.
    pub sasl: sasl::Offered,
    /// LMTP is spoken: LHLO, and a reply for each recipient. RFC 2033.
    pub lmtp: bool,
    /// Messages are held until a time. RFC 4865.
    pub future_release: Option<FutureRelease>,
    /// The client may say who its own client is.
    pub xclient: bool,
    /// The client has to wait for the greeting and for the reply to its EHLO: what comes sooner, as
    /// from programs that look at no reply, ends the session. RFC 5321 §3.1, RFC 2920 §3.1.
    pub strict: bool,
}

/// How long messages are held at most. RFC 4865 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FutureRelease {
    /// Seconds.
    pub seconds: i64,
    /// Seconds since 1970.
    pub until: i64,
}

/// The envelope of a message. RFC 5321 §2.3.1.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// MAIL
    pub mail: Mail,
    /// The RCPTs that were accepted.
    pub recipients: Vec<Rcpt>,
}

/// The client's greeting.
#[derive(Clone, Debug)]
pub struct Hello {
    /// What it calls itself.
    pub name: String,
    /// EHLO, not HELO.
    pub extended: bool,
}

/// What the machine asks its shell.
#[derive(Debug)]
pub enum Question {
    /// A step of a login.
    Sasl(Client),
    /// The client is this one: attributes of XCLIENT and their values.
    Client(Vec<(String, String)>),
    /// May this sender send?
    Sender(Mail),
    /// Will you take mail for this recipient?
    Recipient(Rcpt),
    /// Does this exist?
    Verify(String),
    /// A message begins; the answer is not told the client unless it is negative.
    Begin(Hello, Envelope),
    /// The octets of this URL belong to the message, if they are not more.
    Url(String, u64),
    /// The message is complete; the answer is the reply to it.
    End,
    /// What came of the message is void, and this is said. The answer is not looked at.
    Abort(Reply),
    /// This sender's message is refused so. The answer is not looked at.
    Refused(Mail, Reply),
}

/// The shell's answer.
#[derive(Debug)]
pub enum Answer {
    /// Yes.
    Yes,
    /// So many octets of a URL have come.
    Octets(u64),
    /// Ask the client this, in a login.
    Challenge(Vec<u8>),
    /// The reply to give; negative means no.
    Reply(Reply),
}

/// What the machine is doing.
#[derive(Debug)]
enum Phase {
    /// The client did not wait for the greeting. It gets none, once what it said is taken in.
    TooEarly,
    Command,
    /// A challenge is out.
    Sasl,
    Data(DataReader),
    Chunk {
        left: u64,
        last: bool,
    },
    /// A URL that is to be asked for, and whether it is the last.
    Url(String, bool),
    /// Octets of a chunk that nobody wants, then the reply.
    Discard {
        left: u64,
        reply: Reply,
        times: usize,
    },
    Asking(Pending),
    Tls,
    Closing,
}

/// What the answer is for.
#[derive(Debug)]
enum Pending {
    Login,
    Client,
    /// And whether its priority was lowered.
    Sender(Mail, bool),
    Recipient(Rcpt),
    /// The reply to MAIL that was known before.
    Refused(Reply),
    Verify,
    BeginData,
    BeginChunk {
        size: u64,
        last: bool,
    },
    /// The message begins with a URL.
    BeginUrl(String, bool),
    /// A URL, and whether it is the last.
    Url(bool),
    End,
    /// The reply, and how often it is said.
    Abort(Reply, usize),
}

/// A session.
pub struct Session {
    offer: Offer,
    input: Input,
    output: Vec<u8>,
    phase: Phase,
    hello: Option<Hello>,
    envelope: Option<Envelope>,
    /// A message is being received in chunks.
    chunks: Option<BareCheck>,
    security: Security,
    authenticated: bool,
    octets: u64,
    errors: usize,
    /// Commands since a message or a login that led to neither.
    idle: usize,
    /// There was a message or a login.
    of_use: bool,
    progress: u64,
    /// The reply to the last command may not wait for others.
    urgent: bool,
    going_down: bool,
}

impl Session {
    /// A session under TLS or not yet; the greeting is in the output.
    pub fn new(offer: Offer, security: Security) -> Session {
        let mut session = Session {
            input: Input::default(),
            output: Vec::new(),
            phase: Phase::Command,
            hello: None,
            envelope: None,
            chunks: None,
            security,
            authenticated: false,
            octets: 0,
            errors: 0,
            idle: 0,
            of_use: false,
            progress: 0,
            urgent: false,
            going_down: false,
            offer,
        };
        session.first_line();
        session
    }

    fn say(&mut self, reply: &Reply) {
        reply.encode(&mut self.output);
        self.progress += 1;
        if reply.code >= 500 {
            self.errors += 1;
            let most = if self.hello.is_some() { ERRORS_MAX } else { ERRORS_BEFORE_HELLO_MAX };
            if self.errors >= most {
                reply::TOO_MANY_ERRORS.encode(&mut self.output);
                self.phase = Phase::Closing;
            }
        }
    }

    /// The reply, once for each recipient who waits for one; it is one mistake at most.
    fn say_times(&mut self, reply: &Reply, times: usize) {
        if times == 0 {
            self.progress += 1;
            return;
        }
        (1..times).for_each(|_| reply.encode(&mut self.output));
        self.say(reply);
    }

    fn close_with(&mut self, reply: &Reply) {
        reply.encode(&mut self.output);
        self.phase = Phase::Closing;
    }

    /// A refusal after which nothing more is heard: 421 says so. RFC 5321 §3.8.
    fn refuse_and_close(&mut self, reply: &Reply) {
        reply.encode(&mut self.output);
        self.close_with(&reply::CLOSING);
    }

    fn bare(&self) -> Bare {
        if self.authenticated { Bare::Repair } else { Bare::Refuse }
    }

    fn hello_first(&self) -> Reply {
        if self.offer.lmtp { reply::LHLO_FIRST } else { reply::HELLO_FIRST }
    }

    /// Octets of the largest message. RFC 1870 §4: a limit of 0 is none.
    fn most(&self) -> u64 {
        if self.offer.size_max == 0 { u64::MAX } else { self.offer.size_max }
    }

    /// It has to be under TLS, and is not.
    fn lacks_tls(&self) -> bool {
        self.offer.tls_required && !self.security.is_tls()
    }

    /// Passwords may be said now.
    fn may_login(&self) -> bool {
        self.offer.login && (self.security.is_tls() || self.offer.plaintext_auth)
    }

    fn command(&mut self) -> Option<Step<Question>> {
        if self.input.is_tls_handshake() {
            // Whatever its octets look like, none of them is a line.
            self.urgent = true;
            self.close_with(&reply::NOT_SMTP);
            return None;
        }
        let line = self.input.line(self.command_octets_max());
        self.urgent = line != Line::Partial;
        match line {
            Line::Partial => return Some(Step::Read),
            Line::TooLong => self.say(&reply::LINE_TOO_LONG),
            Line::Bare => self.refuse_and_close(&reply::BARE_LINE_BREAK),
            Line::Whole(line) => match Command::parse(&line) {
                parsed if self.lacks_tls() && !may_precede_tls(&parsed) => match parsed {
                    Ok(Command::Bdat(size, last)) => self.discard(size, last, reply::TLS_NEEDED),
                    _ => self.say(&reply::TLS_NEEDED),
                },
                Ok(command) => {
                    self.urgent = !may_wait(&command);
                    return self.obey(command);
                }
                Err(refusal) => self.say(&refusal),
            },
        }
        None
    }

    fn obey(&mut self, command: Command) -> Option<Step<Question>> {
        self.idle += usize::from(leads_nowhere(&command));
        let most = if self.of_use { IDLE_COMMANDS_MAX } else { IDLE_COMMANDS_AT_FIRST_MAX };
        if self.idle > most {
            self.close_with(&reply::TOO_MANY_IDLE);
            return None;
        }
        match command {
            Command::NotSmtp => self.close_with(&reply::NOT_SMTP),
            _ if self.talks_ahead() => self.refuse_and_close(&reply::TALKS_AHEAD),
            Command::Ehlo(_) | Command::Helo(_) if self.offer.lmtp => self.say(&reply::SPEAK_LMTP),
            Command::Lhlo(_) if !self.offer.lmtp => self.say(&reply::SPEAK_SMTP),
            Command::Ehlo(name) | Command::Lhlo(name) => return self.greet(name, true),
            Command::Helo(name) => return self.greet(name, false),
            Command::Mail(mail) => return self.mail(mail),
            Command::Rcpt(rcpt) => return self.rcpt(rcpt),
            Command::Data => return self.data(),
            Command::Bdat(size, last) => return self.bdat(size, last),
            Command::Burl(url, last) => return self.burl(url, last),
            Command::Rset => return self.reset(reply::OK),
            Command::Noop => self.say(&reply::OK),
            Command::Help => self.say(&reply::HELP),
            Command::Quit => self.close_with(&reply::BYE),
            Command::Vrfy(text) => return Some(self.ask(Pending::Verify, Question::Verify(text))),
            Command::StartTls => self.starttls(),
            Command::Auth(mechanism, initial) => return self.auth(&mechanism, initial),
            Command::Xclient(told) => return self.xclient(told),
        }
        None
    }

    fn ask(&mut self, pending: Pending, question: Question) -> Step<Question> {
        self.phase = Phase::Asking(pending);
        Step::Ask(question)
    }

    fn starttls(&mut self) {
        if !self.offer.starttls || self.security.is_tls() {
            return self.say(&reply::NO_TLS);
        }
        if self.has_unread_input() {
            return self.refuse_and_close(&reply::CLEAR_BEFORE_TLS);
        }
        self.say(&reply::READY_FOR_TLS);
        self.phase = Phase::Tls;
    }

    fn mail(&mut self, mut mail: Mail) -> Option<Step<Question>> {
        let refusal = match () {
            () if self.hello.is_none() => Some(self.hello_first()),
            () if self.offer.login && !self.authenticated => Some(reply::LOGIN_FIRST),
            () if self.envelope.is_some() || self.chunks.is_some() => Some(reply::BAD_SEQUENCE),
            () if mail.require_tls && !self.security.is_tls() => Some(reply::ENCRYPTION_NEEDED),
            () if mail.size.is_some_and(|size| size > self.most()) => {
                // People ask why, and the log should know.
                let pending = Pending::Refused(reply::TOO_BIG);
                return Some(self.ask(pending, Question::Refused(mail, reply::TOO_BIG)));
            }
            () => mail.hold.and_then(|hold| self.hold_refusal(hold)),
        };
        if let Some(refusal) = refusal {
            self.say(&refusal);
            return None;
        }
        // RFC 6710 §4.1: strangers may lower their priority only.
        let lowered = !self.authenticated && mail.priority.is_some_and(|priority| priority > 0);
        if lowered {
            mail.priority = Some(0);
        }
        Some(self.ask(Pending::Sender(mail.clone(), lowered), Question::Sender(mail)))
    }

    fn rcpt(&mut self, rcpt: Rcpt) -> Option<Step<Question>> {
        let refusal = match &self.envelope {
            None => Some(reply::MAIL_FIRST),
            Some(_) if self.chunks.is_some() => Some(reply::BAD_SEQUENCE),
            Some(envelope) if envelope.recipients.len() >= self.offer.recipients_max => {
                Some(reply::TOO_MANY_RECIPIENTS)
            }
            Some(envelope) => {
                let utf8 = rcpt.recipient.as_ref().is_some_and(mail::Address::needs_utf8);
                (utf8 && !envelope.mail.smtputf8).then_some(reply::UTF8_NEEDED)
            }
        };
        if let Some(refusal) = refusal {
            self.idle += 1;
            self.say(&refusal);
            return None;
        }
        Some(self.ask(Pending::Recipient(rcpt.clone()), Question::Recipient(rcpt)))
    }
}

/// Its reply may travel with those of the commands behind it. RFC 2920 §3.2 (2), (5), (6).
fn may_wait(command: &Command) -> bool {
    matches!(
        command,
        Command::Mail(_)
            | Command::Rcpt(_)
            | Command::Rset
            | Command::Bdat(..)
            | Command::Burl(..)
            | Command::Auth(..)
            | Command::StartTls
    )
}

/// What is answered as ever where TLS is required. RFC 3207 §4; HELO does no more than EHLO.
fn may_precede_tls(parsed: &Result<Command, Reply>) -> bool {
    let Ok(command) = parsed else { return false };
    matches!(
        command,
        Command::Noop
            | Command::Ehlo(_)
            | Command::Helo(_)
            | Command::StartTls
            | Command::Quit
            | Command::NotSmtp
    )
}

/// What a client may say only so often without sending a message.
fn leads_nowhere(command: &Command) -> bool {
    matches!(
        command,
        Command::Ehlo(_)
            | Command::Lhlo(_)
            | Command::Helo(_)
            | Command::Noop
            | Command::Rset
            | Command::Vrfy(_)
            | Command::Help
            | Command::Auth(..)
            | Command::Xclient(_)
    )
}

impl Machine for Session {
    type Question = Question;
    type Answer = Answer;

    fn receive(&mut self, bytes: &[u8]) {
        self.input.receive(bytes);
    }

    fn next(&mut self) -> Step<Question> {
        loop {
            // The last reply leaves as the session is closed.
            let urgent = std::mem::take(&mut self.urgent) && !matches!(self.phase, Phase::Closing);
            if urgent && !self.output.is_empty() {
                return Step::Flush;
            }
            let step = match &mut self.phase {
                Phase::Closing => return Step::Close,
                Phase::Tls => return Step::StartTls,
                Phase::Asking(_) => return Step::Read,
                Phase::TooEarly if self.input.is_empty() => Some(Step::Read),
                Phase::TooEarly => {
                    self.refuse_and_close(&reply::TALKS_AHEAD);
                    None
                }
                Phase::Command if self.going_down => {
                    self.close_with(&reply::SHUTTING_DOWN);
                    None
                }
                Phase::Command => self.command(),
                Phase::Sasl => self.response(),
                Phase::Data(_) => self.data_octets(),
                Phase::Chunk { left, last } => {
                    let (left, last) = (*left, *last);
                    self.chunk_octets(left, last)
                }
                Phase::Url(url, last) => {
                    let (url, last) = (std::mem::take(url), *last);
                    Some(self.url(url, last))
                }
                Phase::Discard { .. } => self.discard_octets(),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        let Phase::Asking(pending) = std::mem::replace(&mut self.phase, Phase::Command) else {
            return;
        };
        let refusal = match answer {
            Answer::Yes => None,
            Answer::Octets(octets) => {
                self.count(octets);
                None
            }
            Answer::Reply(reply) => Some(reply),
            Answer::Challenge(octets) => {
                let line = format!("334 {}\r\n", sasl::encoded(&octets));
                self.output.extend_from_slice(line.as_bytes());
                self.progress += 1;
                self.phase = Phase::Sasl;
                return;
            }
        };
        match (pending, refusal) {
            (Pending::Login, None) => {
                self.authenticated = true;
                (self.idle, self.of_use) = (0, true);
                self.say(&reply::LOGGED_IN);
            }
            (Pending::Sender(mail, lowered), None) => {
                self.envelope = Some(Envelope { mail, recipients: Vec::new() });
                self.octets = 0;
                let said = if lowered { reply::PRIORITY_LOWERED } else { reply::SENDER_OK };
                self.say(&said);
            }
            (Pending::Recipient(rcpt), None) => {
                if let Some(envelope) = &mut self.envelope {
                    envelope.recipients.push(rcpt);
                }
                self.say(&reply::RECIPIENT_OK);
            }
            (Pending::BeginData, None) => {
                self.say(&reply::GO_AHEAD);
                self.phase = Phase::Data(DataReader::new(self.bare()));
            }
            (Pending::BeginChunk { size, last }, None) => {
                self.chunks = Some(BareCheck::default());
                self.phase = Phase::Chunk { left: size, last };
            }
            (pending @ (Pending::BeginUrl(..) | Pending::Url(_)), refusal) => {
                self.fetched(pending, refusal);
            }
            (Pending::BeginChunk { size, last }, Some(reply)) => self.discard(size, last, reply),
            (Pending::Abort(reply, replies), _) => {
                self.say_times(&reply, replies);
                if reply == reply::BARE_IN_MESSAGE {
                    self.close_with(&reply::CLOSING);
                }
            }
            (Pending::End, reply) => self.end(&reply.unwrap_or(reply::TRY_LATER)),
            (Pending::Client, None) => self.begin_anew(),
            (Pending::Refused(reply), _) => self.say(&reply),
            (Pending::Verify, None) => self.say(&reply::CANNOT_VERIFY),
            (Pending::Sender(..), Some(reply)) => {
                self.idle += 1;
                self.say(&reply);
            }
            (_, Some(reply)) => self.say(&reply),
        }
    }

    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    fn tls_started(&mut self, security: Security) {
        self.input.clear();
        self.hello = None;
        self.envelope = None;
        // RFC 3207 §4.2: nothing that was said before counts, a login neither.
        self.chunks = None;
        self.authenticated = false;
        self.octets = 0;
        self.security = security;
        self.errors = 0;
        self.phase = Phase::Command;
        self.progress += 1;
    }

    fn has_unread_input(&self) -> bool {
        !self.input.is_empty()
    }

    fn patience(&self) -> Duration {
        COMMAND_WAIT
    }

    fn is_beginning(&self) -> bool {
        !self.of_use && self.envelope.is_none()
    }

    fn progress(&self) -> u64 {
        self.progress
    }

    fn expire(&mut self) {
        self.close_with(&reply::TIMED_OUT);
    }

    fn shutdown(&mut self) {
        self.going_down = true;
    }

    fn revoke(&mut self) {
        self.close_with(&reply::LOGIN_REVOKED);
    }

    fn fail(&mut self) {
        self.close_with(&reply::SESSION_FAILED);
    }
}

#[cfg(test)]
mod test;
