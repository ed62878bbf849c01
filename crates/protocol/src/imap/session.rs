//! The server's side of an IMAP session, without I/O: framing, literals, states, tags. RFC 3501 §2.2,
//! §3.
//!
//! Invariants: commands are answered in order, one at a time; the message of APPEND is never held
//! here; a literal that is too large is refused before it is asked for, or passed over.

use super::command::{self, Append, Command};
use super::{COMMAND_BEFORE_LOGIN_MAX, COMMAND_MAX};
use crate::machine::{Machine, Step};
use crate::sasl::{self, Exchange, Login, Next, RESPONSE_OCTETS_MAX};
use std::time::Duration;

/// RFC 3501 §5.4: at least 30 minutes.
const AFTER_LOGIN_WAIT: Duration = Duration::from_secs(31 * 60);
/// Before login a client gets less.
const LOGIN_WAIT: Duration = Duration::from_secs(60);
/// Mistakes before the connection is closed.
const ERRORS_MAX: usize = 50;
/// Octets of a message that are handed on at once.
const PIECE_OCTETS: usize = 64 * 1024;

/// What a port offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// STARTTLS may be said.
    pub starttls: bool,
    /// Passwords are taken without TLS.
    pub plaintext_auth: bool,
    /// Octets of the largest message.
    pub message_octets_max: u64,
}

/// What the machine asks its shell.
#[derive(Debug)]
pub enum Question {
    /// Is this password right?
    Authenticate(Login),
    /// Carry this out; untagged responses go to the output.
    Command(Command),
    /// A message of so many octets is to come: will you take it?
    AppendBegin(Append, u64),
    /// The message is complete.
    AppendEnd,
    /// The client wants to hear of changes until it says DONE.
    Idle,
    /// The client said DONE.
    IdleEnd,
}

/// The shell's answer.
#[derive(Debug)]
pub enum Answer {
    /// Tagged OK, with this text; a response code may stand at its front.
    Ok(String),
    /// The same, and the session is in that state now.
    OkIn(State, String),
    /// Tagged NO.
    No(String),
    /// Tagged NO, and no mailbox is selected any more.
    NoDeselected(String),
    /// Tagged BAD.
    Bad(String),
    /// Yes: go on (AppendBegin, Idle), or untagged data while idling.
    Go(Vec<u8>),
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
    Sasl(Exchange),
    /// Octets of a message that are to come, and whether anybody wants them.
    Message {
        left: u64,
        wanted: bool,
    },
    /// After the message: the end of the command's line.
    MessageEnd {
        wanted: bool,
    },
    /// Octets of a literal that nobody wants.
    Skip {
        left: u64,
    },
    Idle,
    Asking(Asked),
    Tls,
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Login,
    Command,
    AppendBegin { size: u64, waits: bool },
    AppendEnd,
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
    /// Up to where continuations were sent.
    continued: usize,
    tls: bool,
    errors: usize,
    progress: u64,
    going_down: bool,
}

/// The end of the line that begins at `from`: where the line ends and where the next begins.
fn line_end(input: &[u8], from: usize) -> Option<(usize, usize)> {
    let at = from + memchr::memchr(b'\n', input.get(from..)?)?;
    let end = at - usize::from(at > from && input.get(at - 1) == Some(&b'\r'));
    Some((end, at + 1))
}

/// `{n}` or `{n+}` at the end of a line: where it begins, n, and whether the client waits.
fn literal(line: &[u8]) -> Option<(usize, u64, bool)> {
    let inner = line.strip_suffix(b"}")?;
    let open = memchr::memrchr(b'{', inner)?;
    let digits = inner.get(open + 1..)?;
    let (digits, waits) = match digits.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (digits, true),
    };
    let fine = !digits.is_empty() && digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit);
    let n = std::str::from_utf8(digits).ok().filter(|_| fine)?.parse().ok()?;
    Some((open, n, waits))
}

impl Session {
    /// A session under TLS or not yet; the greeting is in the output.
    pub fn new(offer: Offer, tls: bool) -> Session {
        let mut session = Session {
            offer,
            input: Vec::new(),
            output: Vec::new(),
            phase: Phase::Command,
            state: State::NotAuthenticated,
            tag: String::new(),
            scanned: 0,
            continued: 0,
            tls,
            errors: 0,
            progress: 0,
            going_down: false,
        };
        let greeting = format!("* OK [CAPABILITY {}] Postrider ready\r\n", session.capabilities());
        session.output.extend_from_slice(greeting.as_bytes());
        session
    }

    fn may_login(&self) -> bool {
        self.tls || self.offer.plaintext_auth
    }

    /// RFC 3501 §6.1.1. Nothing is announced that is not whole.
    pub fn capabilities(&self) -> String {
        let mut words = vec!["IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "ENABLE", "IDLE"];
        if self.state == State::NotAuthenticated {
            if self.offer.starttls && !self.tls {
                words.push("STARTTLS");
            }
            if self.may_login() {
                words.extend(["AUTH=PLAIN", "AUTH=LOGIN"]);
            } else {
                words.push("LOGINDISABLED");
            }
        }
        words.extend([
            "NAMESPACE",
            "UIDPLUS",
            "MOVE",
            "UNSELECT",
            "CHILDREN",
            "SPECIAL-USE",
            "CREATE-SPECIAL-USE",
            "LIST-EXTENDED",
            "LIST-STATUS",
            "ESEARCH",
            "CONDSTORE",
            "XLIST",
        ]);
        words.join(" ")
    }

    fn tagged(&mut self, verdict: &str, text: &str) {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        let tag = if self.tag.is_empty() { "*" } else { &self.tag };
        self.output.extend_from_slice(format!("{tag} {verdict} {text}\r\n").as_bytes());
        self.progress += 1;
        if verdict == "BAD" {
            self.errors += 1;
            if self.errors >= ERRORS_MAX {
                self.bye("Too many errors");
            }
        }
    }

    fn bye(&mut self, text: &str) {
        self.output.extend_from_slice(format!("* BYE {text}\r\n").as_bytes());
        self.phase = Phase::Closing;
    }

    fn consume(&mut self, octets: usize) {
        self.input.drain(..octets.min(self.input.len()));
        (self.scanned, self.continued) = (0, 0);
    }

    fn most(&self) -> usize {
        match self.state {
            State::NotAuthenticated => COMMAND_BEFORE_LOGIN_MAX,
            _ => COMMAND_MAX,
        }
    }

    /// Looks for one whole command, literals included.
    fn command(&mut self) -> Option<Step<Question>> {
        loop {
            let Some((end, next)) = line_end(&self.input, self.scanned) else {
                if self.input.len() > self.most() {
                    self.tag.clear();
                    self.tagged("BAD", "Command line too long");
                    self.bye("Command line too long");
                    return None;
                }
                return Some(Step::Read);
            };
            let line = self.input.get(self.scanned..end).unwrap_or_default();
            let Some((open, size, waits)) = literal(line) else {
                let whole = self.input.get(..end).unwrap_or_default().to_vec();
                self.consume(next);
                return self.obey(&whole);
            };
            let open = self.scanned + open;
            self.take_tag();
            if let Some(step) = self.message_literal(open, next, size, waits) {
                return step;
            }
            if size > (self.most() - next.min(self.most())) as u64 {
                return self.refuse_literal(next, size, waits);
            }
            let after = next + size as usize;
            if self.input.len() < after {
                if waits && self.continued < next {
                    self.output.extend_from_slice(b"+ Go ahead\r\n");
                    self.progress += 1;
                }
                self.continued = next;
                return Some(Step::Read);
            }
            self.scanned = after;
        }
    }

    fn take_tag(&mut self) {
        let end = memchr::memchr(b' ', &self.input).unwrap_or(0);
        let tag = self.input.get(..end).unwrap_or_default();
        let fine = !tag.is_empty()
            && tag.iter().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\+".contains(b));
        self.tag = if fine { String::from_utf8_lossy(tag).into_owned() } else { String::new() };
    }

    fn refuse_literal(&mut self, next: usize, size: u64, waits: bool) -> Option<Step<Question>> {
        self.consume(next);
        self.tagged("BAD", "[TOOBIG] Literal too large");
        if waits {
            return None;
        }
        if size > 1 << 20 {
            self.bye("Literal too large");
        } else {
            // The rest of the line after it is dropped too.
            self.phase = Phase::Skip { left: size };
        }
        None
    }

    /// The literal is the message of an APPEND.
    fn message_literal(
        &mut self,
        open: usize,
        next: usize,
        size: u64,
        waits: bool,
    ) -> Option<Option<Step<Question>>> {
        let rest = self.input.get(self.tag.len() + 1..open)?;
        let verb = rest.get(..7)?;
        if !verb.eq_ignore_ascii_case(b"APPEND ") {
            return None;
        }
        let append = match command::append(rest.get(7..)?) {
            Ok(None) => return None,
            Ok(Some(append)) => append,
            Err(_) => return Some(self.refuse_literal(next, size, waits)),
        };
        self.consume(next);
        if self.state == State::NotAuthenticated || size > self.offer.message_octets_max {
            let text = if self.state == State::NotAuthenticated {
                "Log in first"
            } else {
                "[TOOBIG] The message is larger than this server takes"
            };
            self.tagged("NO", text);
            if !waits {
                self.phase = Phase::Message { left: size, wanted: false };
            }
            return Some(None);
        }
        self.phase = Phase::Asking(Asked::AppendBegin { size, waits });
        Some(Some(Step::Ask(Question::AppendBegin(append, size))))
    }

    fn ask(&mut self, asked: Asked, question: Question) -> Step<Question> {
        self.phase = Phase::Asking(asked);
        Step::Ask(question)
    }

    fn obey(&mut self, line: &[u8]) -> Option<Step<Question>> {
        // users.md I-03: an empty line before a command is nothing.
        if line.is_empty() {
            return None;
        }
        let space = memchr::memchr(b' ', line).unwrap_or(line.len());
        let tag = line.get(..space).unwrap_or_default();
        let fine = |b: &u8| b.is_ascii_graphic() && !b"(){%*\"\\+".contains(b);
        if tag.is_empty() || !tag.iter().all(fine) {
            self.tag.clear();
            self.tagged("BAD", "A tag is expected");
            return None;
        }
        self.tag = String::from_utf8_lossy(tag).into_owned();
        match command::command(line.get(space + 1..).unwrap_or_default()) {
            Ok(command) => self.admit(command),
            Err(bad) => {
                self.tagged("BAD", &format!("Expected {}", bad.0));
                None
            }
        }
    }

    /// Which commands go in which state. RFC 3501 §6.
    fn admit(&mut self, command: Command) -> Option<Step<Question>> {
        use Command as C;
        let logged_in = self.state != State::NotAuthenticated;
        match command {
            C::Capability => {
                let text = format!("* CAPABILITY {}\r\n", self.capabilities());
                self.output.extend_from_slice(text.as_bytes());
                self.tagged("OK", "That is what there is");
            }
            C::Logout => {
                self.output.extend_from_slice(b"* BYE Goodbye\r\n");
                self.tagged("OK", "Logged out");
                self.phase = Phase::Closing;
            }
            C::StartTls if !self.offer.starttls || self.tls || logged_in => {
                self.tagged("BAD", "TLS is not to be had here");
            }
            C::StartTls => {
                self.tagged("OK", "Begin TLS");
                self.phase = Phase::Tls;
            }
            C::Authenticate { .. } | C::Login { .. } if logged_in => {
                self.tagged("BAD", "You are logged in already");
            }
            C::Authenticate { .. } | C::Login { .. } if !self.may_login() => {
                self.tagged("NO", "[PRIVACYREQUIRED] Passwords only under TLS: use STARTTLS first");
            }
            C::Login { user, password } => {
                let login = Login { user, password };
                return Some(self.ask(Asked::Login, Question::Authenticate(login)));
            }
            C::Authenticate { mechanism, initial } => {
                match sasl::begin(&mechanism, initial.as_deref()) {
                    Some((exchange, next)) => return self.sasl(exchange, next),
                    None => self.tagged("NO", "Unknown mechanism; there are PLAIN and LOGIN"),
                }
            }
            C::Id => {
                self.output.extend_from_slice(b"* ID (\"name\" \"Postrider\")\r\n");
                self.tagged("OK", "ID completed");
            }
            C::Noop if !logged_in => self.tagged("OK", "NOOP completed"),
            _ if !logged_in => self.tagged("BAD", "Log in first"),
            C::Namespace => {
                self.output.extend_from_slice(b"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
                self.tagged("OK", "NAMESPACE completed");
            }
            C::Idle => return Some(self.ask(Asked::Idle, Question::Idle)),
            C::Check
            | C::Close
            | C::Unselect
            | C::Expunge(_)
            | C::Search { .. }
            | C::Fetch(_)
            | C::Store(_)
            | C::Copy { .. }
                if self.state != State::Selected =>
            {
                self.tagged("BAD", "Select a mailbox first");
            }
            C::Search { uid, mut search } => {
                search.tag.clone_from(&self.tag);
                let command = C::Search { uid, search };
                return Some(self.ask(Asked::Command, Question::Command(command)));
            }
            command => return Some(self.ask(Asked::Command, Question::Command(command))),
        }
        None
    }

    fn sasl(&mut self, exchange: Exchange, next: Next) -> Option<Step<Question>> {
        self.phase = Phase::Command;
        match next {
            Next::Challenge(text) => {
                self.output.extend_from_slice(format!("+ {text}\r\n").as_bytes());
                self.progress += 1;
                self.phase = Phase::Sasl(exchange);
            }
            Next::Check(login) => {
                return Some(self.ask(Asked::Login, Question::Authenticate(login)));
            }
            Next::Aborted => self.tagged("BAD", "Login given up"),
            Next::Broken => self.tagged("BAD", "That is not what the mechanism wants"),
        }
        None
    }

    fn response(&mut self) -> Option<Step<Question>> {
        let Some((end, next)) = line_end(&self.input, 0) else {
            if self.input.len() > RESPONSE_OCTETS_MAX {
                self.bye("Line too long");
                return None;
            }
            return Some(Step::Read);
        };
        let line = self.input.get(..end).unwrap_or_default().to_vec();
        self.consume(next);
        let Phase::Sasl(exchange) = std::mem::replace(&mut self.phase, Phase::Command) else {
            return None;
        };
        let (exchange, next) = exchange.respond(&line);
        self.sasl(exchange, next)
    }

    fn message(&mut self, left: u64, wanted: bool) -> Option<Step<Question>> {
        if left == 0 {
            self.phase = Phase::MessageEnd { wanted };
            return None;
        }
        if self.input.is_empty() {
            return Some(Step::Read);
        }
        let take =
            self.input.len().min(PIECE_OCTETS).min(usize::try_from(left).unwrap_or(PIECE_OCTETS));
        let piece = self.input.get(..take).unwrap_or_default().to_vec();
        self.consume(take);
        self.progress += 1;
        self.phase = Phase::Message { left: left - take as u64, wanted };
        wanted.then_some(Step::Body(piece))
    }

    fn message_end(&mut self, wanted: bool) -> Option<Step<Question>> {
        let Some((end, next)) = line_end(&self.input, 0) else {
            if self.input.len() > self.most() {
                self.bye("Line too long");
                return None;
            }
            return Some(Step::Read);
        };
        self.consume(next);
        self.phase = Phase::Command;
        if !wanted {
            return None;
        }
        if end > 0 {
            self.tagged("BAD", "Only one message, please");
            return None;
        }
        Some(self.ask(Asked::AppendEnd, Question::AppendEnd))
    }

    fn idle(&mut self) -> Option<Step<Question>> {
        let (end, next) = match line_end(&self.input, 0) {
            Some(found) => found,
            None if self.input.len() > 64 => {
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
                Phase::Sasl(_) => self.response(),
                Phase::Message { left, wanted } => {
                    let (left, wanted) = (*left, *wanted);
                    self.message(left, wanted)
                }
                Phase::MessageEnd { wanted } => {
                    let wanted = *wanted;
                    self.message_end(wanted)
                }
                Phase::Skip { left } => {
                    let take = self.input.len().min(*left as usize);
                    let left = *left - take as u64;
                    self.consume(take);
                    if left > 0 {
                        self.phase = Phase::Skip { left };
                        Some(Step::Read)
                    } else {
                        self.phase = Phase::MessageEnd { wanted: false };
                        None
                    }
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
            Answer::Ok(text) if asked == Asked::Login => {
                self.state = State::Authenticated;
                let text = format!("[CAPABILITY {}] {text}", self.capabilities());
                self.tagged("OK", &text);
            }
            Answer::Ok(text) => self.tagged("OK", &text),
            Answer::OkIn(state, text) => {
                self.state = state;
                self.tagged("OK", &text);
            }
            Answer::NoDeselected(text) => {
                self.state = State::Authenticated;
                self.tagged("NO", &text);
            }
            Answer::Bad(text) => self.tagged("BAD", &text),
            Answer::No(text) => {
                self.tagged("NO", &text);
                if let Asked::AppendBegin { size, waits: false } = asked {
                    self.phase = Phase::Message { left: size, wanted: false };
                }
            }
            Answer::Go(data) => match asked {
                Asked::AppendBegin { size, waits } => {
                    if waits {
                        self.output.extend_from_slice(b"+ Send the message\r\n");
                    }
                    self.phase = Phase::Message { left: size, wanted: true };
                }
                Asked::Idle => {
                    self.output.extend_from_slice(b"+ Idling\r\n");
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

    fn tls_started(&mut self) {
        self.input.clear();
        self.scanned = 0;
        self.tls = true;
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

    fn progress(&self) -> u64 {
        self.progress
    }

    fn expire(&mut self) {
        self.bye("Timed out waiting for you");
    }

    fn shutdown(&mut self) {
        self.going_down = true;
    }

    fn fail(&mut self) {
        self.bye("Something went wrong here");
    }
}
