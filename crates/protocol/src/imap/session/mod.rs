//! The server's side of an IMAP session, without I/O: states, tags, what is enabled. RFC 3501
//! §2.2, §3. Lines and literals are found in `framing.rs`, messages in `append.rs`, commands are
//! let in or not in `admit.rs`.
//!
//! Invariants: commands are answered in order, one at a time; the message of APPEND is never held
//! here; a literal that is too large is refused before it is asked for, or passed over.

mod admit;
mod append;
mod framing;

pub use admit::hideable;

use super::command::Command;
use super::command::append::{Piece, Reader};
use super::grammar::Charset;
use super::language::Language;
use crate::machine::{Machine, Security, Step};
use crate::sasl::{self, Client, Login, RESPONSE_OCTETS_MAX};
use std::time::Duration;

/// RFC 3501 §5.4: at least 30 minutes.
const AFTER_LOGIN_WAIT: Duration = Duration::from_secs(31 * 60);
/// Before login a client gets less.
const LOGIN_WAIT: Duration = Duration::from_secs(60);
/// Commands before a login: each one buys a client another minute.
const COMMANDS_BEFORE_LOGIN_MAX: usize = 50;
/// Mistakes with nothing right between them before the connection is closed.
const ERRORS_MAX: usize = 50;
/// Octets of the line that ends IDLE; `DONE` is wanted.
const IDLE_LINE_OCTETS_MAX: usize = 64;

/// What a port offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// STARTTLS may be said.
    pub starttls: bool,
    /// Passwords are taken without TLS.
    pub plaintext_auth: bool,
    /// What logins there are besides passwords.
    pub sasl: sasl::Offered,
    /// Octets of the largest message; 0 is no limit.
    pub message_octets_max: u64,
    /// Capabilities that are not announced, in upper case (users.md I-62).
    pub hidden: Vec<String>,
    /// What is off unless the operator wants it.
    pub options: Options,
}

/// What is off unless the operator wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// UIDONLY may be enabled. RFC 9586 §3.
    pub uid_only: bool,
    /// Messages that one command works on, announced as MESSAGELIMIT; 0 is no limit. RFC 9738.
    pub message_limit: u32,
    /// Messages that one COPY or APPEND stores, announced as SAVELIMIT; 0 is no limit. RFC 9738.
    pub save_limit: u32,
}

impl Offer {
    /// Octets of the largest message that is taken: without a limit, what RFC822.SIZE can tell
    /// (RFC 3501 §9 `number`).
    pub fn message_octets(&self) -> u64 {
        if self.message_octets_max == 0 { u64::from(u32::MAX) } else { self.message_octets_max }
    }
}

/// What the client has switched on. RFC 5161.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enabled {
    /// MODSEQ goes into FETCH responses. RFC 7162 §3.1.
    pub condstore: bool,
    /// VANISHED instead of EXPUNGE. RFC 7162 §3.2.3.
    pub qresync: bool,
    /// IMAP4rev2. RFC 9051 §6.3.1.
    pub rev2: bool,
    /// UTF8=ACCEPT. RFC 9755 §3.
    pub utf8: bool,
    /// What others change of annotations is told. RFC 5464 §4.1.
    pub metadata: bool,
    /// Nothing is counted by message numbers. RFC 9586 §3.
    pub uid_only: bool,
}

impl Enabled {
    /// How names and headers travel.
    pub fn charset(&self) -> Charset {
        if self.utf8 || self.rev2 { Charset::Utf8 } else { Charset::Ascii }
    }
}

/// What the machine asks its shell.
#[derive(Debug)]
pub enum Question {
    /// Is this password right?
    Authenticate(Login),
    /// A step of a login.
    Sasl(Client),
    /// Carry this out; untagged responses go to the output.
    Command(Command),
    /// The client switched something on: this is on now.
    Enable(Enabled),
    /// More of APPEND or REPLACE, ending with a literal of so many octets: will you take it?
    Append(Vec<Piece>, u64),
    /// The last of APPEND or REPLACE.
    AppendEnd(Vec<Piece>),
    /// The client wants to hear of changes until it says DONE.
    Idle,
    /// The client said DONE.
    IdleEnd,
    /// Texts are in that language now. RFC 5255 §3.2.
    Language(Language),
}

/// The shell's answer.
#[derive(Debug)]
pub enum Answer {
    /// Tagged OK, with this text; a response code may stand at its front.
    Ok(String),
    /// The same, and the session is in that state now.
    OkIn(State, String),
    /// Logged in; these capabilities, in upper case, are not announced to this account.
    Welcome(Vec<String>),
    /// Tagged NO.
    No(String),
    /// Tagged NO, and no mailbox is selected any more.
    NoDeselected(String),
    /// Tagged BAD.
    Bad(String),
    /// Yes: go on (Append, Idle), or untagged data while idling.
    Go(Vec<u8>),
    /// Ask the client this, in a login.
    Challenge(Vec<u8>),
}

/// RFC 3501 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has logged in.
    NotAuthenticated,
    /// Somebody has.
    Authenticated,
    /// A mailbox is selected.
    Selected,
}

#[derive(Debug)]
enum Phase {
    Command,
    /// A challenge is out.
    Sasl,
    /// Within APPEND or REPLACE: text up to the next literal or the end of the line.
    Append(Reader),
    /// Octets of a message that are to come.
    Message {
        left: u64,
        reader: Reader,
    },
    /// Octets of a literal that nobody wants.
    Skip {
        left: u64,
    },
    /// The rest of a command that nobody wants.
    SkipLine,
    Idle,
    Asking(Asked),
    Tls,
    Deflate,
    EndDeflate,
    Closing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Login,
    Command,
    Append { size: u64, waits: bool, reader: Reader },
    Idle,
    IdleEnd,
}

/// A session.
pub struct Session {
    offer: Offer,
    input: Vec<u8>,
    output: Vec<u8>,
    phase: Phase,
    state: State,
    tag: String,
    /// Octets at the front of the input that belong to the present command and were looked at.
    scanned: usize,
    /// Up to where no line ends, so that a line that comes octet by octet is looked at once.
    looked: usize,
    /// Up to where continuations were sent.
    continued: usize,
    security: Security,
    deflate: bool,
    enabled: Enabled,
    language: Language,
    errors: usize,
    /// Commands that were answered before the login.
    before_login: usize,
    progress: u64,
    going_down: bool,
}

impl Session {
    /// A session under TLS or not yet; the greeting is in the output.
    pub fn new(offer: Offer, security: Security) -> Session {
        let mut session = Session {
            offer,
            input: Vec::new(),
            output: Vec::new(),
            phase: Phase::Command,
            state: State::NotAuthenticated,
            tag: String::new(),
            scanned: 0,
            looked: 0,
            continued: 0,
            security,
            deflate: false,
            enabled: Enabled::default(),
            language: Language::default(),
            errors: 0,
            before_login: 0,
            progress: 0,
            going_down: false,
        };
        let greeting = format!("* OK [CAPABILITY {}] Postrider ready\r\n", session.capabilities());
        session.output.extend_from_slice(greeting.as_bytes());
        session
    }

    fn tagged(&mut self, verdict: &str, text: &str) {
        let mut text = self.language.text(text);
        if !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            text = text.chars().filter(|c| !c.is_control()).collect();
        }
        let tag = if self.tag.is_empty() { "*" } else { &self.tag };
        self.output.extend_from_slice(format!("{tag} {verdict} {text}\r\n").as_bytes());
        self.progress += 1;
        match verdict {
            "BAD" => self.errors += 1,
            "OK" => self.errors = 0,
            _ => {}
        }
        self.before_login += usize::from(self.state == State::NotAuthenticated);
        if self.errors >= ERRORS_MAX {
            self.bye("Too many errors");
        } else if self.before_login >= COMMANDS_BEFORE_LOGIN_MAX {
            self.bye("Too many commands without a login");
        }
    }

    /// The shell will not do it; a message that comes all the same is passed over.
    fn refuse(&mut self, verdict: &str, text: &str, asked: &Asked) {
        self.tagged(verdict, text);
        if let (Asked::Append { size, waits: false, .. }, Phase::Command) = (asked, &self.phase) {
            self.phase = Phase::Skip { left: *size };
        }
    }

    fn bye(&mut self, text: &str) {
        let text = self.language.text(text);
        self.output.extend_from_slice(format!("* BYE {text}\r\n").as_bytes());
        self.phase = Phase::Closing;
    }

    /// `+ text`, in the client's language. RFC 5255 §3.2.
    fn go_on(&mut self, text: &str) {
        let text = self.language.text(text);
        self.output.extend_from_slice(format!("+ {text}\r\n").as_bytes());
    }

    fn consume(&mut self, octets: usize) {
        self.input.drain(..octets.min(self.input.len()));
        (self.scanned, self.looked, self.continued) = (0, 0, 0);
    }

    fn ask(&mut self, asked: Asked, question: Question) -> Step<Question> {
        self.phase = Phase::Asking(asked);
        Step::Ask(question)
    }

    fn response(&mut self) -> Option<Step<Question>> {
        // With its CRLF.
        let most = RESPONSE_OCTETS_MAX + 2;
        let Some((end, next)) = self.line_end(most) else {
            if self.input.len() > most {
                self.bye("Line too long");
                return None;
            }
            return Some(Step::Read);
        };
        let line = self.input.get(..end).unwrap_or_default().to_vec();
        self.consume(next);
        match sasl::response(&line) {
            Ok(octets) => Some(self.ask(Asked::Login, Question::Sasl(Client::Responds(octets)))),
            Err(why) => self.no_response(why),
        }
    }

    fn idle(&mut self) -> Option<Step<Question>> {
        let (end, next) = match self.line_end(IDLE_LINE_OCTETS_MAX) {
            Some(found) => found,
            None if self.input.len() > IDLE_LINE_OCTETS_MAX => {
                self.bye("Only DONE ends IDLE");
                return None;
            }
            None => return Some(Step::Read),
        };
        let done = self.input.get(..end).unwrap_or_default().eq_ignore_ascii_case(b"DONE");
        self.consume(next);
        if done {
            return Some(self.ask(Asked::IdleEnd, Question::IdleEnd));
        }
        self.phase = Phase::Command;
        self.tagged("BAD", "Only DONE ends IDLE");
        None
    }
}

impl Machine for Session {
    type Question = Question;
    type Answer = Answer;

    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Step<Question> {
        loop {
            let step = match &self.phase {
                Phase::Closing => return Step::Close,
                Phase::Tls => return Step::StartTls,
                Phase::Asking(_) => return Step::Read,
                Phase::Command | Phase::Idle if self.going_down => {
                    self.bye("Shutting down, come back soon");
                    None
                }
                Phase::Command => self.command(),
                Phase::Sasl => self.response(),
                Phase::Append(reader) => {
                    let reader = reader.clone();
                    self.append_text(&reader)
                }
                Phase::Message { left, reader } => {
                    let (left, reader) = (*left, reader.clone());
                    self.message(left, reader)
                }
                Phase::Skip { left } => {
                    let left = *left;
                    self.skip(left)
                }
                Phase::SkipLine => self.skip_line(),
                Phase::Deflate => {
                    self.phase = Phase::Command;
                    self.deflate = true;
                    return Step::Deflate;
                }
                Phase::EndDeflate => {
                    self.phase = Phase::Command;
                    self.deflate = false;
                    return Step::EndDeflate;
                }
                Phase::Idle => self.idle(),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        if let (Phase::Idle, Answer::Go(data)) = (&self.phase, &answer) {
            self.output.extend_from_slice(data);
            return;
        }
        let Phase::Asking(asked) = std::mem::replace(&mut self.phase, Phase::Command) else {
            return;
        };
        match answer {
            Answer::Welcome(hidden) => {
                self.state = State::Authenticated;
                self.before_login = 0;
                self.offer.hidden = hidden;
                let text = format!("[CAPABILITY {}] Logged in", self.capabilities());
                self.tagged("OK", &text);
            }
            Answer::Ok(text) => self.tagged("OK", &text),
            Answer::OkIn(state, text) => {
                self.state = state;
                if state == State::NotAuthenticated {
                    // RFC 8437 §3: as after the greeting.
                    self.enabled = Enabled::default();
                    self.language = Language::default();
                    self.offer.hidden.clear();
                    if self.deflate {
                        self.phase = Phase::EndDeflate;
                    }
                }
                self.tagged("OK", &text);
            }
            Answer::NoDeselected(text) => {
                self.state = State::Authenticated;
                self.refuse("NO", &text, &asked);
            }
            Answer::No(text) => self.refuse("NO", &text, &asked),
            Answer::Bad(text) => self.refuse("BAD", &text, &asked),
            Answer::Challenge(octets) => {
                let line = format!("+ {}\r\n", sasl::encoded(&octets));
                self.output.extend_from_slice(line.as_bytes());
                self.phase = Phase::Sasl;
            }
            Answer::Go(data) => match asked {
                Asked::Append { size, waits, reader } => {
                    if waits {
                        self.go_on("Send the message");
                    }
                    self.phase = Phase::Message { left: size, reader };
                }
                Asked::Idle => {
                    self.go_on("Idling");
                    self.output.extend_from_slice(&data);
                    self.phase = Phase::Idle;
                    self.progress += 1;
                }
                _ => self.output.extend_from_slice(&data),
            },
        }
    }

    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    fn tls_started(&mut self, security: Security) {
        self.consume(self.input.len());
        self.security = security;
        // RFC 5255 §3.1: who could have spoken before TLS is not to choose the language.
        self.language = Language::default();
        self.errors = 0;
        self.phase = Phase::Command;
        self.progress += 1;
    }

    fn has_unread_input(&self) -> bool {
        !self.input.is_empty()
    }

    fn patience(&self) -> Duration {
        if self.state == State::NotAuthenticated { LOGIN_WAIT } else { AFTER_LOGIN_WAIT }
    }

    fn is_beginning(&self) -> bool {
        self.state == State::NotAuthenticated
    }

    fn progress(&self) -> u64 {
        self.progress
    }

    fn expire(&mut self) {
        self.bye("Timed out waiting for you");
    }

    fn shutdown(&mut self) {
        self.going_down = true;
    }

    fn revoke(&mut self) {
        // RFC 5530 §3: EXPIRED, access by that password is no longer permitted.
        self.bye("[EXPIRED] Your login does not hold any more");
    }

    fn fail(&mut self) {
        self.bye("Something went wrong here");
    }
}
