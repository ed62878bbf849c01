//! Which commands go in which state, and what is announced. RFC 3501 §6, RFC 5161.

use super::{Asked, Phase, Question, Session, State};
use crate::imap::command::multisearch::MultiSearch;
use crate::imap::command::{self, Command, Fetch, Select, search};
use crate::imap::language::{self, Language};
use crate::machine::Step;
use crate::sasl::{self, Client, Login, Mechanism, NoResponse};

/// What is announced in every state.
#[rustfmt::skip]
const CAPABILITIES: &[&str] = &[
 "LITERAL+", "SASL-IR", "ID", "ENABLE", "IDLE", "NAMESPACE", "UIDPLUS", "MOVE", "UNSELECT", "CHILDREN",
 "SPECIAL-USE", "CREATE-SPECIAL-USE", "LIST-EXTENDED", "LIST-STATUS", "STATUS=SIZE", "ESEARCH", "SEARCHRES",
 "CONDSTORE", "QRESYNC", "XLIST", "UTF8=ACCEPT", "OBJECTID", "SAVEDATE", "WITHIN", "PARTIAL", "I18NLEVEL=1",
 "SORT", "SORT=DISPLAY", "ESORT", "CONTEXT=SEARCH", "CONTEXT=SORT", "MULTISEARCH", "SEARCH=FUZZY", "FILTERS",
 "THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES", "THREAD=REFS",
 "MULTIAPPEND", "CATENATE", "URLAUTH", "URLAUTH=BINARY", "URL-PARTIAL", "REPLACE", "BINARY", "PREVIEW",
 "UNAUTHENTICATE", "LANGUAGE", "COMPRESS=DEFLATE", "INPROGRESS", "NOTIFY", "UIDBATCHES",
 "ANNOTATE-EXPERIMENT-1", "METADATA", "LIST-METADATA", "QUOTA", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE",
 "QUOTA=RES-MAILBOX", "QUOTA=RES-ANNOTATION-STORAGE", "QUOTASET", "ACL", "RIGHTS=kxten", "LIST-MYRIGHTS",
];

/// What need not be announced to an account. RFC 3501 §6.1.1 wants IMAP4rev1 always.
pub fn hideable() -> impl Iterator<Item = &'static str> {
    let set = ["IMAP4rev2", "UIDONLY", "APPENDLIMIT", "MESSAGELIMIT", "SAVELIMIT"];
    set.into_iter().chain(CAPABILITIES.iter().copied())
}

impl Session {
    fn may_login(&self) -> bool {
        self.security.is_tls() || self.offer.plaintext_auth
    }

    /// RFC 3501 §6.1.1. Nothing is announced that is not whole.
    pub fn capabilities(&self) -> String {
        let names = sasl::names(self.security, self.offer.sasl);
        let mechanisms: Vec<String> = names.map(|name| format!("AUTH={name}")).collect();
        let mut words = vec!["IMAP4rev1", "IMAP4rev2"];
        if self.state == State::NotAuthenticated {
            if self.offer.starttls && !self.security.is_tls() {
                words.push("STARTTLS");
            }
            if self.may_login() {
                words.extend(mechanisms.iter().map(String::as_str));
            } else {
                words.push("LOGINDISABLED");
            }
        }
        words.extend(
            CAPABILITIES.iter().filter(|word| !self.deflate || **word != "COMPRESS=DEFLATE"),
        );
        if self.offer.options.uid_only {
            words.push("UIDONLY");
        }
        let hidden =
            |word: &str| self.offer.hidden.iter().any(|name| name.eq_ignore_ascii_case(word));
        words.retain(|word| !hidden(word));
        // RFC 7889 §3: the limit is the same for every mailbox; without one none is announced.
        let mut text = words.join(" ");
        for (name, limit) in [
            ("APPENDLIMIT", self.offer.message_octets_max),
            ("MESSAGELIMIT", self.offer.options.message_limit.into()),
            ("SAVELIMIT", self.offer.options.save_limit.into()),
        ] {
            if limit > 0 && !hidden(name) {
                text.push_str(&format!(" {name}={limit}"));
            }
        }
        text
    }

    pub(super) fn obey(&mut self, line: &[u8]) -> Option<Step<Question>> {
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
        let text = line.get(space + 1..).unwrap_or_default();
        match command::command(text, self.enabled.charset()) {
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
            C::Capability => self.tell_capabilities(),
            C::Logout => {
                self.bye("Goodbye");
                self.tagged("OK", "Logged out");
            }
            C::StartTls if !self.offer.starttls || self.security.is_tls() || logged_in => {
                self.tagged("BAD", "TLS is not to be had here");
            }
            C::StartTls => self.start_tls(),
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
                return self.begin_sasl(&mechanism, initial);
            }
            C::Id => {
                self.output.extend_from_slice(b"* ID (\"name\" \"Postrider\")\r\n");
                self.tagged("OK", "ID completed");
            }
            C::Language(ranges) => return self.speak(&ranges),
            C::Noop if !logged_in => self.tagged("OK", "NOOP completed"),
            _ if !logged_in => self.tagged("BAD", "Log in first"),
            C::Idle => return Some(self.ask(Asked::Idle, Question::Idle)),
            C::Compress(algorithm) if algorithm != "DEFLATE" => {
                self.tagged("BAD", "Only DEFLATE is known");
            }
            C::Compress(_) if self.deflate => {
                self.tagged("NO", "[COMPRESSIONACTIVE] It is compressed already");
            }
            C::Compress(_) => {
                self.tagged("OK", "Compressed from here on");
                self.phase = Phase::Deflate;
            }
            C::Enable(names) => return Some(self.enable(&names)),
            mut command => {
                if let Some(why) = self.unfit(&command) {
                    self.tagged("BAD", why);
                    return None;
                }
                if let C::UidBatches(batches) = &mut command {
                    batches.tag.clone_from(&self.tag);
                }
                if let C::Search { search, .. }
                | C::MultiSearch(MultiSearch { search, .. })
                | C::Thread { thread: search::Thread { search, .. }, .. }
                | C::Sort { sort: search::Sort { search, .. }, .. } = &mut command
                {
                    search.tag.clone_from(&self.tag);
                }
                return Some(self.ask(Asked::Command, Question::Command(command)));
            }
        }
        None
    }

    /// Commands in clear behind STARTTLS are an attack: security.md SM-4.
    fn start_tls(&mut self) {
        if self.input.is_empty() {
            self.tagged("OK", "Begin TLS");
            self.phase = Phase::Tls;
        } else {
            self.tagged("BAD", "Nothing may follow STARTTLS before the handshake");
            self.bye("Nothing may follow STARTTLS before the handshake");
        }
    }

    fn tell_capabilities(&mut self) {
        let text = format!("* CAPABILITY {}\r\n", self.capabilities());
        self.output.extend_from_slice(text.as_bytes());
        self.tagged("OK", "That is what there is");
    }

    /// Why a command does not go now.
    fn unfit(&self, command: &Command) -> Option<&'static str> {
        use Command as C;
        if needs_mailbox(command) && self.state != State::Selected {
            return Some("Select a mailbox first");
        }
        let resyncs = matches!(
            command,
            C::Select(Select { resync: Some(_), .. }) | C::Fetch(Fetch { vanished: true, .. })
        );
        if resyncs && !self.enabled.qresync {
            // RFC 7162 §3.2.5, §3.2.6.
            return Some("Say ENABLE QRESYNC first");
        }
        if self.enabled.utf8 && names_charset(command) {
            // RFC 9755 §3.
            return Some("Texts are in UTF-8 after ENABLE UTF8=ACCEPT: no CHARSET");
        }
        let counts = self.enabled.uid_only && counts(command);
        counts.then_some("[UIDREQUIRED] Message numbers are switched off")
    }

    /// LANGUAGE. RFC 5255 §3.2, §3.3.
    fn speak(&mut self, ranges: &[String]) -> Option<Step<Question>> {
        if ranges.is_empty() {
            let line = format!("* LANGUAGE ({})\r\n", language::ALL);
            self.output.extend_from_slice(line.as_bytes());
            self.tagged("OK", "These are the languages");
            return None;
        }
        let Some(language) = Language::find(ranges) else {
            self.tagged("NO", "That language is not known");
            return None;
        };
        self.language = language;
        let line = format!("* LANGUAGE ({})\r\n", language.tag());
        self.output.extend_from_slice(line.as_bytes());
        Some(self.ask(Asked::Command, Question::Language(language)))
    }

    /// ENABLE. RFC 5161 §3.1; QRESYNC brings CONDSTORE along (RFC 7162 §3.2.3).
    fn enable(&mut self, names: &[String]) -> Step<Question> {
        let mut told = String::from("* ENABLED");
        let on = &mut self.enabled;
        for name in names.iter().filter(|name| !self.offer.hidden.contains(name)) {
            match name.as_str() {
                "CONDSTORE" => on.condstore = true,
                "UTF8=ACCEPT" => on.utf8 = true,
                "IMAP4REV2" => on.rev2 = true,
                "UIDONLY" if self.offer.options.uid_only => on.uid_only = true,
                "METADATA" => on.metadata = true,
                "QRESYNC" => (on.qresync, on.condstore) = (true, true),
                _ => continue,
            }
            told.push_str(match name.as_str() {
                "IMAP4REV2" => " IMAP4rev2",
                _ => " ",
            });
            if name != "IMAP4REV2" {
                told.push_str(name);
            }
        }
        self.output.extend_from_slice(format!("{told}\r\n").as_bytes());
        self.ask(Asked::Command, Question::Enable(self.enabled))
    }

    fn begin_sasl(&mut self, mechanism: &str, initial: Option<Vec<u8>>) -> Option<Step<Question>> {
        let Some(mechanism) = Mechanism::parse(mechanism, self.security, self.offer.sasl) else {
            self.tagged("NO", "Unknown mechanism; CAPABILITY lists them");
            return None;
        };
        match initial.map(|argument| sasl::initial(&argument)).transpose() {
            Ok(first) => {
                let begins = Client::Begins(mechanism, first);
                Some(self.ask(Asked::Login, Question::Sasl(begins)))
            }
            Err(why) => self.no_response(why),
        }
    }

    pub(super) fn no_response(&mut self, why: NoResponse) -> Option<Step<Question>> {
        self.phase = Phase::Command;
        let text = match why {
            NoResponse::Aborted => "Login given up",
            NoResponse::Broken | NoResponse::TooLong => "That is not what the mechanism wants",
        };
        self.tagged("BAD", text);
        None
    }
}

/// The command uses message numbers, or its answer does. RFC 9586 §3.
fn counts(command: &Command) -> bool {
    use Command as C;
    match command {
        C::Fetch(fetch) => !fetch.uid,
        C::Store(store) => !store.uid,
        C::Copy { uid, .. } => !uid,
        C::Search { uid, search }
        | C::Sort { uid, sort: search::Sort { search, .. } }
        | C::Thread { uid, thread: search::Thread { search, .. } } => {
            !uid || search.key.has_numbers()
        }
        C::MultiSearch(MultiSearch { search, .. }) => search.key.has_numbers(),
        C::Select(Select { resync: Some(resync), .. }) => resync.matches.is_some(),
        _ => false,
    }
}

/// The command names a charset where there is no need to, or another than UTF-8 where there is.
fn names_charset(command: &Command) -> bool {
    use Command as C;
    match command {
        C::Search { search, .. } | C::MultiSearch(MultiSearch { search, .. }) => {
            search.charset.is_some()
        }
        C::Sort { sort: search::Sort { search, .. }, .. }
        | C::Thread { thread: search::Thread { search, .. }, .. } => !search.is_utf8(),
        _ => false,
    }
}

/// The command works on the selected mailbox.
fn needs_mailbox(command: &Command) -> bool {
    use Command as C;
    matches!(
        command,
        C::Check
            | C::Close
            | C::Unselect
            | C::Expunge(_)
            | C::Search { .. }
            | C::Sort { .. }
            | C::Thread { .. }
            | C::CancelUpdate(_)
            | C::UidBatches(_)
            | C::Fetch(_)
            | C::Store(_)
            | C::Copy { .. }
    )
}
