//! The server's side of a POP3 session, without I/O. RFC 1939 §4 to §6.
//!
//! States: AUTHORIZATION, TRANSACTION, UPDATE. Invariant: messages go only by QUIT in the
//! TRANSACTION state; a connection that ends in any other way deletes nothing.

use super::command::Command;
use super::language::Language;
use crate::line::{Input, Line, is_http_request};
use crate::machine::{Machine, Security, Step};
use crate::sasl::{self, Client, Login, Mechanism, NoResponse, RESPONSE_OCTETS_MAX};
use std::time::Duration;

/// Octets of a command line. RFC 2449 §4 wants 255.
const COMMAND_OCTETS_MAX: usize = 1024;
/// RFC 1939 §3: at least ten minutes.
const COMMAND_WAIT: Duration = Duration::from_secs(600);
/// Before login a client gets less.
const LOGIN_WAIT: Duration = Duration::from_secs(60);
/// Commands before a login: each one buys a client another minute.
const COMMANDS_BEFORE_LOGIN_MAX: usize = 50;
/// Mistakes in a row before the connection is closed.
const ERRORS_MAX: usize = 20;

/// What a port offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// STLS may be said.
    pub stls: bool,
    /// Passwords are taken without TLS.
    pub plaintext_auth: bool,
    /// What logins there are besides passwords.
    pub sasl: sasl::Offered,
    /// Seconds between two logins of an account; 0 is none. RFC 2449 §6.5.
    pub login_delay_secs: u64,
}

/// What messages are sent as. RFC 6856 §2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Headers are ASCII only.
    Ascii,
    /// As they are.
    Utf8,
}

/// What the machine asks its shell.
#[derive(Debug)]
pub enum Question {
    /// Is this password right? Yes opens the maildrop.
    Authenticate(Login),
    /// A step of a login; the end of it opens the maildrop.
    Sasl(Client),
    /// Carry this out and write the whole response to the output.
    Command(Command, Mode, Language),
    /// Delete what is marked. RFC 1939 §6.
    Update,
}

/// The shell's answer.
#[derive(Debug)]
pub enum Answer {
    /// The password is right: the text of the greeting.
    Welcome(String),
    /// Ask the client this, in a login.
    Challenge(Vec<u8>),
    /// It is done, and said.
    Done,
    /// Yes: the text behind `+OK`.
    Yes(String),
    /// No: the text behind `-ERR`.
    No(String),
    /// The answer broke off in the middle. Only the end of the connection tells a client that: what
    /// would come next it would take for more of the message, and delete that as if it had it.
    Broken,
}

#[derive(Debug)]
enum Phase {
    Command,
    /// A challenge is out.
    Sasl,
    Asking(Asked),
    Tls,
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Login,
    Command,
    Update,
}

/// A session.
pub struct Session {
    offer: Offer,
    input: Input,
    output: Vec<u8>,
    phase: Phase,
    user: Option<String>,
    /// TRANSACTION state.
    open: bool,
    security: Security,
    mode: Mode,
    language: Language,
    errors: usize,
    /// Commands that came before the login.
    before_login: usize,
    progress: u64,
    going_down: bool,
}

impl Session {
    /// A session under TLS or not yet; the greeting is in the output.
    pub fn new(offer: Offer, security: Security) -> Session {
        Session {
            offer,
            input: Input::default(),
            output: b"+OK Postrider ready\r\n".to_vec(),
            phase: Phase::Command,
            user: None,
            open: false,
            security,
            mode: Mode::Ascii,
            language: Language::default(),
            errors: 0,
            before_login: 0,
            progress: 0,
            going_down: false,
        }
    }

    fn ok(&mut self, text: &str) {
        let text = self.language.say(text);
        self.output.extend_from_slice(format!("+OK {text}\r\n").as_bytes());
        self.went_well();
    }

    fn went_well(&mut self) {
        self.progress += 1;
        self.forgive();
    }

    /// Who is logged in may make mistakes now and then; who guesses passwords may not.
    fn forgive(&mut self) {
        if self.open {
            self.errors = 0;
        }
    }

    fn err(&mut self, text: &str) {
        let text = self.language.say(text);
        self.output.extend_from_slice(format!("-ERR {text}\r\n").as_bytes());
        self.progress += 1;
        self.errors += 1;
        if self.errors >= ERRORS_MAX {
            self.phase = Phase::Closing;
        }
    }

    fn may_login(&self) -> bool {
        self.security.is_tls() || self.offer.plaintext_auth
    }

    fn obey(&mut self, command: Command) -> Option<Step<Question>> {
        // PASS counts only immediately after USER. RFC 1939 §7 PASS.
        let user = self.user.take();
        match command {
            Command::Capa => self.capabilities(),
            Command::Lang(range) => self.lang(range.as_deref()),
            Command::Quit if self.open => return Some(self.ask(Asked::Update, Question::Update)),
            Command::Quit => {
                self.ok("Bye");
                self.phase = Phase::Closing;
            }
            command if self.open => return self.in_transaction(command),
            Command::Utf8 => {
                self.mode = Mode::Utf8;
                self.ok("UTF-8 it is");
            }
            // RFC 6856 §2.1.
            Command::Stls if self.mode == Mode::Utf8 => self.err("Not after UTF8"),
            Command::Stls if !self.offer.stls || self.security.is_tls() => {
                self.err("TLS is not to be had here")
            }
            Command::Stls if self.has_unread_input() => {
                self.err("Nothing may follow STLS before the handshake");
                self.phase = Phase::Closing;
            }
            Command::Stls => {
                self.ok("Begin TLS");
                self.phase = Phase::Tls;
            }
            // A code would tell that there is such a user. RFC 3206 §5.
            Command::User(_) if !self.may_login() => {
                self.err("Passwords only under TLS: use STLS first, or port 995");
            }
            Command::Pass(_) | Command::Auth(Some(_)) if !self.may_login() => {
                self.err("[AUTH] Passwords only under TLS: use STLS first, or port 995");
            }
            Command::User(user) => {
                self.user = Some(user);
                self.ok("Now the password");
            }
            Command::Pass(password) => match user {
                Some(user) => return Some(self.login(Login { user, password })),
                None => self.err("Say USER first"),
            },
            Command::Auth(None) if self.may_login() => {
                self.ok("Mechanisms");
                for name in sasl::names(self.security, self.offer.sasl) {
                    self.output.extend_from_slice(format!("{name}\r\n").as_bytes());
                }
                self.output.extend_from_slice(b".\r\n");
            }
            Command::Auth(None) => {
                self.ok("Mechanisms");
                self.output.extend_from_slice(b".\r\n");
            }
            Command::Auth(Some((mechanism, initial))) => {
                return self.begin_sasl(&mechanism, initial);
            }
            _ => self.err("Log in first"),
        }
        None
    }

    /// LANG. RFC 6856 §3.2.
    fn lang(&mut self, range: Option<&str>) {
        let Some(range) = range else {
            self.ok("Languages");
            for (_, tag, name) in Language::ALL {
                self.output.extend_from_slice(format!("{tag} {name}\r\n").as_bytes());
            }
            return self.output.extend_from_slice(b".\r\n");
        };
        match Language::of_range(range) {
            Some(language) => {
                self.language = language;
                let name = match language {
                    Language::English => "English it is",
                    Language::German => "Jetzt auf Deutsch",
                };
                let line = format!("+OK {} {name}\r\n", language.tag());
                self.output.extend_from_slice(line.as_bytes());
                self.went_well();
            }
            None => self.err("No such language; LANG alone lists them"),
        }
    }

    fn in_transaction(&mut self, command: Command) -> Option<Step<Question>> {
        match command {
            Command::User(_) | Command::Pass(_) | Command::Auth(_) | Command::Stls => {
                self.err("You are logged in already");
                None
            }
            Command::Noop => {
                self.ok("");
                None
            }
            Command::Utf8 => {
                self.err("Not now");
                None
            }
            command => {
                let question = Question::Command(command, self.mode, self.language);
                Some(self.ask(Asked::Command, question))
            }
        }
    }

    fn ask(&mut self, asked: Asked, question: Question) -> Step<Question> {
        self.phase = Phase::Asking(asked);
        Step::Ask(question)
    }

    fn login(&mut self, login: Login) -> Step<Question> {
        self.ask(Asked::Login, Question::Authenticate(login))
    }

    fn begin_sasl(&mut self, mechanism: &str, initial: Option<String>) -> Option<Step<Question>> {
        let Some(mechanism) = Mechanism::parse(mechanism, self.security, self.offer.sasl) else {
            self.err("Unknown mechanism; AUTH alone lists them");
            return None;
        };
        match initial.map(|argument| sasl::initial(argument.as_bytes())).transpose() {
            Ok(first) => {
                let begins = Client::Begins(mechanism, first);
                Some(self.ask(Asked::Login, Question::Sasl(begins)))
            }
            Err(why) => self.no_response(why),
        }
    }

    fn no_response(&mut self, why: NoResponse) -> Option<Step<Question>> {
        self.phase = Phase::Command;
        self.err(match why {
            NoResponse::Aborted => "Login given up",
            NoResponse::Broken | NoResponse::TooLong => "That is not what the mechanism wants",
        });
        None
    }

    /// RFC 2449 §5, §6.
    fn capabilities(&mut self) {
        self.ok("Capabilities");
        let names: Vec<&str> = sasl::names(self.security, self.offer.sasl).collect();
        let sasl = format!("SASL {}", names.join(" "));
        let delay = format!("LOGIN-DELAY {}", self.offer.login_delay_secs);
        let mut lines = vec!["TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"];
        if self.may_login() || self.open {
            lines.extend(["USER", sasl.as_str()]);
        }
        // Only where it may be said now. RFC 2595 §4, RFC 6856 §2.1.
        let stls = self.offer.stls && !self.security.is_tls() && self.mode == Mode::Ascii;
        if stls && !self.open {
            lines.push("STLS");
        }
        if self.offer.login_delay_secs > 0 {
            lines.push(&delay);
        }
        lines.extend(["UTF8 USER", "LANG", "EXPIRE NEVER", "IMPLEMENTATION Postrider"]);
        for line in lines {
            self.output.extend_from_slice(format!("{line}\r\n").as_bytes());
        }
        self.output.extend_from_slice(b".\r\n");
    }

    fn read_line(&mut self, most: usize) -> Result<Vec<u8>, Option<Step<Question>>> {
        match self.input.line(most) {
            Line::Whole(line) => Ok(line),
            Line::Partial => Err(Some(Step::Read)),
            Line::TooLong => {
                (self.phase, self.user) = (Phase::Command, None);
                self.err("Line too long");
                Err(None)
            }
            Line::Bare => {
                self.err("Lines end with CR LF, nothing else");
                self.phase = Phase::Closing;
                Err(None)
            }
        }
    }

    fn command(&mut self) -> Option<Step<Question>> {
        if self.input.is_tls_handshake() {
            return self.not_pop3();
        }
        let line = match self.read_line(COMMAND_OCTETS_MAX) {
            Ok(line) => line,
            Err(step) => return step,
        };
        if is_http_request(&line) {
            return self.not_pop3();
        }
        self.before_login += usize::from(!self.open);
        match Command::parse(&line) {
            Ok(_) if self.before_login > COMMANDS_BEFORE_LOGIN_MAX && !self.open => {
                self.err("Too many commands without a login");
                self.phase = Phase::Closing;
                None
            }
            Ok(command) => self.obey(command),
            Err(why) => {
                self.user = None;
                self.err(why);
                None
            }
        }
    }

    fn not_pop3(&mut self) -> Option<Step<Question>> {
        self.err("This is a mail server, speak POP3");
        self.phase = Phase::Closing;
        None
    }

    fn response(&mut self) -> Option<Step<Question>> {
        let line = match self.read_line(RESPONSE_OCTETS_MAX) {
            Ok(line) => line,
            Err(step) => return step,
        };
        match sasl::response(&line) {
            Ok(octets) => Some(self.ask(Asked::Login, Question::Sasl(Client::Responds(octets)))),
            Err(why) => self.no_response(why),
        }
    }
}

impl Machine for Session {
    type Question = Question;
    type Answer = Answer;

    fn receive(&mut self, bytes: &[u8]) {
        self.input.receive(bytes);
    }

    fn next(&mut self) -> Step<Question> {
        loop {
            let step = match &self.phase {
                Phase::Closing => return Step::Close,
                Phase::Tls => return Step::StartTls,
                Phase::Asking(_) => return Step::Read,
                Phase::Command if self.going_down => {
                    self.err("[SYS/TEMP] Shutting down, come back soon");
                    self.phase = Phase::Closing;
                    None
                }
                Phase::Command => self.command(),
                Phase::Sasl => self.response(),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        let Phase::Asking(asked) = std::mem::replace(&mut self.phase, Phase::Command) else {
            return;
        };
        self.progress += 1;
        match (answer, asked) {
            (Answer::Welcome(text), _) => {
                self.open = true;
                self.ok(&text);
            }
            (Answer::No(text), _) => self.err(&text),
            (Answer::Challenge(octets), _) => {
                let line = format!("+ {}\r\n", sasl::encoded(&octets));
                self.output.extend_from_slice(line.as_bytes());
                self.phase = Phase::Sasl;
            }
            (Answer::Done, Asked::Update) => self.ok("Bye"),
            (Answer::Yes(text), _) => self.ok(&text),
            (Answer::Done, _) => self.forgive(),
            (Answer::Broken, _) => self.phase = Phase::Closing,
        }
        if asked == Asked::Update {
            self.phase = Phase::Closing;
        }
    }

    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    fn tls_started(&mut self, security: Security) {
        self.input.clear();
        self.user = None;
        (self.mode, self.language) = (Mode::Ascii, Language::default());
        self.security = security;
        self.errors = 0;
        self.phase = Phase::Command;
        self.progress += 1;
    }

    fn has_unread_input(&self) -> bool {
        !self.input.is_empty()
    }

    fn patience(&self) -> Duration {
        if self.open { COMMAND_WAIT } else { LOGIN_WAIT }
    }

    fn is_beginning(&self) -> bool {
        !self.open
    }

    fn progress(&self) -> u64 {
        self.progress
    }

    fn expire(&mut self) {
        // RFC 1939 §3: without going to UPDATE.
        self.phase = Phase::Closing;
    }

    fn shutdown(&mut self) {
        self.going_down = true;
    }

    fn revoke(&mut self) {
        // RFC 1939 §6: without QUIT nothing is deleted.
        self.err("[AUTH] Your login does not hold any more");
        self.phase = Phase::Closing;
    }

    fn fail(&mut self) {
        self.err("[SYS/TEMP] Something went wrong here");
        self.phase = Phase::Closing;
    }
}
