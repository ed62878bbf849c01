//! IMAP sessions: commands carried out over store and directory. RFC 3501, RFC 9051.
//!
//! What a client has been told lives in `view.rs`; no other file writes EXISTS or EXPUNGE.

mod access;
mod annotate;
mod append;
mod batches;
mod content;
mod copy;
pub mod crowd;
mod expunge;
pub(crate) mod fetch;
mod limited;
mod list;
mod listed;
mod mailboxes;
mod no_nul;
mod notify;
mod pattern;
mod property;
mod search;
mod select;
mod store;
mod urlauth;
mod view;

use crate::Shared;
use crate::drive::{Handler, News, Output};
use crate::listen::Accepted;
use crate::login::{Logins, Step, offered, security};
use ::store::{FlagOutcome, StoreError};
use directory::{AuthError, Authenticated};
use mail::Listing;
use protocol::imap::command::Command;
use protocol::imap::command::search::{Sort, Thread};
use protocol::imap::language::Language;
use protocol::imap::session::{Answer, Enabled, Offer, Question, Session, State};
use std::pin::Pin;
use std::sync::Arc;
use sys::tls::TlsFacts;
use tokio::time::Instant;
use view::{Expunges, View, flags_line};

pub use search::Arrangements;

/// How often an idling client hears that we are still there (users.md I-05).
const IDLE_KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(120);

/// A session's handler.
pub struct Context {
    pub(crate) shared: Arc<Shared>,
    accepted: Accepted,
    logins: Logins,
    pub(crate) account: Option<Authenticated>,
    /// Its place among the account's sessions.
    place: Option<crowd::Place>,
    pub(crate) view: Option<View>,
    pub(crate) appending: Option<append::Appending>,
    /// What the client has switched on.
    pub(crate) enabled: Enabled,
    /// The language of texts.
    pub(crate) language: Language,
    /// While the client idles: when it hears next that we are still there. It waits in one place
    /// through all the news.
    idling: Option<Pin<Box<tokio::time::Sleep>>>,
    /// Once the client has given NOTIFY.
    notify: Option<notify::Notifying>,
    /// Once the client has given ENABLE METADATA.
    metadata: Option<Box<notify::metadata::Watching>>,
    /// The selected mailbox may not be read any more, and the client does not know yet.
    lost: bool,
    /// There are expunges to tell that the last command held back.
    due: bool,
    /// New in the selected mailbox, and to be fetched as NOTIFY says.
    arrived: Vec<mail::Uid>,
    /// New by the client's own command.
    pub(crate) own_new: Vec<mail::Uid>,
}

/// Machine and handler of a new session.
pub fn session(shared: Arc<Shared>, accepted: Accepted) -> (Session, Context) {
    let offer = Offer {
        starttls: !accepted.service.implicit_tls(),
        plaintext_auth: shared.settings.plaintext_auth,
        sasl: offered(&shared),
        message_octets_max: shared.settings.message_octets_max,
        hidden: Vec::new(),
        options: shared.settings.imap,
    };
    let machine = Session::new(offer, security(accepted.tls.as_ref()));
    let context = Context {
        shared,
        accepted,
        logins: Logins::default(),
        account: None,
        place: None,
        view: None,
        appending: None,
        enabled: Enabled::default(),
        language: Language::default(),
        idling: None,
        notify: None,
        metadata: None,
        lost: false,
        due: false,
        arrived: Vec::new(),
        own_new: Vec::new(),
    };
    (machine, context)
}

/// An answer, or the store's refusal of the command.
pub(crate) type Done = Result<Answer, StoreError>;

/// EMAILID. RFC 8474 §5.1: the same wherever the message was copied to.
pub(crate) fn email_id(id: mail::ContentId) -> String {
    format!("M{id}")
}

/// THREADID. RFC 8474 §5.2: of what the message says, so that it is the same everywhere and never
/// another (docs/decisions/0004-threads.md).
pub(crate) fn thread_id(
    content: mail::ContentId,
    references: Option<&[u8]>,
    in_reply_to: Option<&[u8]>,
    message_id: Option<&[u8]>,
) -> String {
    match mail::thread::identity(references, in_reply_to, message_id) {
        Some(thread) => format!("T{thread:032x}"),
        None => format!("T{content}"),
    }
}

/// MAILBOXID. RFC 8474 §4.
pub(crate) fn mailbox_id(id: mail::MailboxId) -> String {
    format!("F{id}")
}

pub(crate) fn ok(text: &str) -> Answer {
    Answer::Ok(text.to_owned())
}

/// The refusal is not the client's doing.
fn serious(error: &StoreError) -> bool {
    use StoreError as E;
    matches!(error, E::Full | E::Failed(_) | E::Locked(_) | E::Corrupt(_) | E::Engine(_))
}

/// No EXPUNGE while it is answered: it counts by sequence numbers. RFC 3501 §7.4.1, RFC 5256 §3;
/// the same is so of numbers in a UID SEARCH: RFC 7162 §3.2.10.2.
fn by_number(command: &Command) -> bool {
    match command {
        Command::Fetch(fetch) => !fetch.uid,
        Command::Store(store) => !store.uid,
        Command::Search { uid, search }
        | Command::Sort { uid, sort: Sort { search, .. } }
        | Command::Thread { uid, thread: Thread { search, .. } } => {
            !uid || search.key.has_numbers()
        }
        _ => false,
    }
}

/// What a refusal of the store is in IMAP. RFC 5530.
pub(crate) fn refusal(error: &StoreError) -> Answer {
    let code = match error {
        StoreError::NoSuchMailbox | StoreError::NotFound(_) => "[NONEXISTENT] ",
        StoreError::AlreadyExists(_) => "[ALREADYEXISTS] ",
        StoreError::NotPermitted => "[NOPERM] ",
        StoreError::OverQuota => "[OVERQUOTA] ",
        StoreError::NotAllowed(_) => "[CANNOT] ",
        // RFC 6154 §3.
        StoreError::SpecialUse(_) => "[USEATTR] ",
        StoreError::AnnotationsFull => "[ANNOTATE TOOMANY] ",
        // A full disk is a limit we ran into; nothing is down, and deleting helps.
        StoreError::KeywordsFull | StoreError::UidsUsedUp | StoreError::Full => "[LIMIT] ",
        StoreError::Corrupt(_) => "[CORRUPTION] ",
        StoreError::Failed(_) | StoreError::Locked(_) | StoreError::Engine(_) => "[UNAVAILABLE] ",
    };
    Answer::No(format!("{code}{error}"))
}

impl Handler<Session> for Context {
    async fn answer(&mut self, question: Question, out: &mut Output<'_>) -> Answer {
        let done = match question {
            Question::Authenticate(login) => {
                let done = self.logins.password(&self.shared, &self.accepted, &login).await;
                Ok(self.logged_in(done.map(Step::Done)))
            }
            Question::Sasl(client) => {
                let done = self.logins.sasl(&self.shared, &self.accepted, client).await;
                Ok(self.logged_in(done))
            }
            Question::Command(command) => self.command(command, out).await,
            Question::Enable(enabled) => Ok(self.enable(enabled, out)),
            Question::Language(language) => self.speak(language, out),
            Question::Append(pieces, octets) => self.append(pieces, octets).await,
            Question::AppendEnd(pieces) => {
                let done = self.append_end(pieces, out).await;
                self.follow_up(out).await;
                done
            }
            Question::Idle
                if self.notify.is_some() || self.metadata.is_some() || self.has_live() =>
            {
                self.idling = Some(Box::pin(tokio::time::sleep(IDLE_KEEP_ALIVE)));
                self.tell_news(out).await;
                Ok(Answer::Go(Vec::new()))
            }
            Question::Idle => {
                self.idling = Some(Box::pin(tokio::time::sleep(IDLE_KEEP_ALIVE)));
                let mut data = Vec::new();
                self.sync(Expunges::Told, &mut data);
                Ok(Answer::Go(data))
            }
            Question::IdleEnd => {
                self.idling = None;
                self.sync(Expunges::Told, out.buffer());
                self.follow_up(out).await;
                Ok(ok("IDLE completed"))
            }
        };
        done.unwrap_or_else(|error| {
            if serious(&error) {
                tracing::warn!(peer = %self.accepted.peer, %error, "IMAP command refused");
            }
            refusal(&error)
        })
    }

    async fn body(&mut self, octets: Vec<u8>) {
        if let Some(appending) = &mut self.appending {
            appending.write(&octets);
        }
    }

    /// Resolves with what has changed while the client idles (RFC 2177), or when it is logged out.
    async fn changed(&mut self) -> News<Answer> {
        if self.idling.is_none() && self.notify.is_none() {
            self.logins.revoked().await;
            return News::Revoked;
        }
        let still_here = async {
            match &mut self.idling {
                Some(next) => {
                    next.as_mut().await;
                    next.as_mut().reset(Instant::now() + IDLE_KEEP_ALIVE);
                }
                None => std::future::pending().await,
            }
        };
        let news = async {
            match (&self.notify, &mut self.view) {
                (Some(_), _) if self.due => {}
                (Some(notify), view) => notify.noted(view).await,
                (None, view) => {
                    let view = async {
                        match view {
                            Some(view) => view.watch.changed().await,
                            None => std::future::pending().await,
                        }
                    };
                    let metadata = async {
                        match &self.metadata {
                            Some(watching) => watching.noted().await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        () = view => {}
                        () = metadata => {}
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = self.logins.revoked() => return News::Revoked,
            () = news => {}
            () = still_here => {
                let line = format!("* OK {}\r\n", self.language.text("Still here"));
                return News::Answer(Answer::Go(line.into_bytes()));
            }
        }
        if self.notify.is_some() || self.metadata.is_some() || self.has_live() {
            return News::Due;
        }
        let mut data = Vec::new();
        self.sync(Expunges::Told, &mut data);
        News::Answer(Answer::Go(data))
    }

    async fn tell(&mut self, out: &mut Output<'_>) {
        self.tell_news(out).await;
    }

    fn tls_started(&mut self, facts: TlsFacts) {
        self.accepted.tls = Some(facts);
        self.language = Language::default();
    }
}

impl Context {
    /// What a step of a login is in IMAP. RFC 5530 §3.
    fn logged_in(&mut self, done: Result<Step, AuthError>) -> Answer {
        match done {
            Ok(Step::Challenge(text)) => Answer::Challenge(text),
            Ok(Step::Done(who)) => {
                let most = self.shared.settings.connections_per_account_max;
                self.place = self.shared.crowd.enter(who.account, most);
                if self.place.is_none() {
                    // The password is right, and nobody shall think otherwise (users.md I-25).
                    self.logins.leave();
                    let text = "[LIMIT] Too many connections of this account";
                    return Answer::No(text.to_owned());
                }
                let store = &self.shared.store;
                // Better too many than no login.
                let (mut hidden, manages) = store.session_traits(who.account).unwrap_or_default();
                if !manages {
                    hidden.push("QUOTASET".to_owned());
                }
                self.account = Some(who);
                Answer::Welcome(hidden)
            }
            Err(AuthError::Malformed) => {
                Answer::Bad("That is not what the mechanism wants".to_owned())
            }
            Err(AuthError::Unavailable(_)) => {
                Answer::No("[UNAVAILABLE] Cannot check the password now".to_owned())
            }
            Err(_) => Answer::No("[AUTHENTICATIONFAILED] Wrong user name or password".to_owned()),
        }
    }

    /// Tells the client what has changed.
    pub(crate) fn sync(&mut self, expunges: Expunges, out: &mut Vec<u8>) {
        let (enabled, wanted) = (self.enabled, self.wanted());
        self.renew_rights();
        self.tell_rights(out);
        if let Err(error) = self.tell_mechanisms(out) {
            tracing::warn!(%error, "an access key cannot be read");
        }
        let own = std::mem::take(&mut self.own_new);
        let who = self.account.as_ref().map(|who| who.account);
        let Some(view) = self.view.as_mut().filter(|_| wanted.messages) else { return };
        let before = view.told.clone();
        // NOTIFY says what is told whatever SELECT said. RFC 5465 §5.
        let annotations = if self.notify.is_some() { wanted.annotations } else { view.annotate };
        let annotations = who.filter(|_| annotations);
        let wanted = view::Wanted { flags: wanted.flags, annotations };
        let told = view.sync(&self.shared.store, enabled, expunges, wanted, out);
        let behind = std::mem::replace(&mut view.behind, told.held);
        if enabled.qresync && (told.held || behind) {
            // RFC 7162 §3.2: what is held back has a MODSEQ below others that are told already.
            let code = format!("HIGHESTMODSEQ {}", view.told.modseq);
            self.untagged("OK", &code, "Highest", out);
        }
        let Some(view) = &self.view else { return };
        if view.told.keywords != before.keywords {
            self.tell_permanent(out);
        }
        let Some(notify) = &self.notify else { return };
        let selected = &notify.wish.selected;
        self.due |= told.held && !selected.delayed;
        if !selected.items.is_empty() {
            let added = told.differences.iter().filter_map(|difference| match difference {
                mail::listing::Difference::Added(entry) => Some(entry.uid),
                _ => None,
            });
            self.arrived.extend(added.filter(|uid| !own.contains(uid)));
        }
    }

    /// The client's own command has expunged messages.
    pub(crate) fn sync_expunged(&mut self, gone: &[mail::Uid], out: &mut Vec<u8>) {
        let (enabled, wanted) = (self.enabled, self.wanted());
        match &mut self.view {
            Some(view) if !wanted.messages => view.forget(gone, enabled, out),
            _ => self.sync(Expunges::Told, out),
        }
    }

    async fn command(&mut self, command: Command, out: &mut Output<'_>) -> Done {
        self.appending = None;
        let by_number = by_number(&command);
        self.renew_rights();
        // RFC 8437 §3: there is no NO to UNAUTHENTICATE.
        let goes_on = matches!(command, Command::Select(_) | Command::Unauthenticate);
        if std::mem::take(&mut self.lost) && !goes_on {
            return Ok(self.deselected());
        }
        let own = notify::Own::of(&command);
        let done = self.carry_out(command, out).await;
        if !matches!(own, notify::Own::Nothing) && matches!(done, Ok(Answer::Ok(_))) {
            self.own_change(own);
        }
        self.sync(if by_number { Expunges::HeldBack } else { Expunges::Told }, out.buffer());
        self.follow_up(out).await;
        done
    }

    /// What is to be said behind what was just told: what NOTIFY fetches of new messages, and what
    /// searches with UPDATE find now.
    pub(crate) async fn follow_up(&mut self, out: &mut Output<'_>) {
        self.fetch_arrived(out).await;
        self.update_live(out).await;
        self.tell_metadata(out).await;
    }

    async fn carry_out(&mut self, command: Command, out: &mut Output<'_>) -> Done {
        match command {
            Command::Noop => Ok(ok("NOOP completed")),
            Command::Check => Ok(ok("CHECK completed")),
            Command::Select(select) => self.select(select, out).await,
            Command::Close => self.close().await,
            Command::Unselect => {
                self.view = None;
                Ok(Answer::OkIn(State::Authenticated, "UNSELECT completed".to_owned()))
            }
            Command::Expunge(set) => self.expunge(set, out).await,
            Command::Search { uid, search } => self.search(uid, search, out).await,
            Command::Sort { uid, sort } => self.sort(uid, sort, out).await,
            Command::Thread { uid, thread } => self.thread(uid, thread, out).await,
            Command::MultiSearch(search) => self.multi_search(search, out).await,
            Command::UidBatches(asked) => self.uid_batches(&asked, out),
            Command::CancelUpdate(tags) => {
                self.cancel_update(&tags);
                Ok(ok("CANCELUPDATE completed"))
            }
            Command::GetMetadata(get) => self.get_metadata(&get, out),
            Command::SetMetadata(set) => self.set_metadata(set).await,
            Command::GetQuota(root) => self.get_quota(&root, out),
            Command::GetQuotaRoot(name) => self.get_quota_root(&name, out),
            Command::SetQuota(root, limits) => self.set_quota(&root, &limits, out).await,
            Command::Acl(acl) => self.acl(acl, out).await,
            Command::Notify(wish) => self.notify(wish, out).await,
            Command::ResetKey(mailbox) => self.reset_key(mailbox, out).await,
            Command::GenUrlAuth(wanted) => self.generate(wanted, out).await,
            Command::UrlFetch(wanted) => self.url_fetch(wanted, out).await,
            Command::Namespace => self.namespace(out),
            Command::Unauthenticate => {
                (self.view, self.account, self.enabled) = (None, None, Enabled::default());
                (self.notify, self.metadata, self.due) = (None, None, false);
                (self.language, self.place) = (Language::default(), None);
                (self.arrived, self.own_new) = (Vec::new(), Vec::new());
                self.logins.leave();
                Ok(Answer::OkIn(State::NotAuthenticated, "UNAUTHENTICATE completed".to_owned()))
            }
            Command::Fetch(fetch) => self.fetch(fetch, out).await,
            Command::Store(store) => self.store(store, out).await,
            Command::Copy { uid, set, mailbox, moves } => {
                self.copy(uid, &set, mailbox, moves, out).await
            }
            command => self.mailbox_command(command, out).await,
        }
    }

    /// ENABLE. RFC 5161 §3.1.
    fn enable(&mut self, enabled: Enabled, out: &mut Output<'_>) -> Answer {
        if enabled.condstore {
            self.enable_condstore(out);
        }
        self.enabled = enabled;
        if enabled.metadata && self.metadata.is_none() {
            self.watch_metadata();
        }
        if let (true, Some(view)) = (enabled.uid_only, &mut self.view) {
            view.live.iter_mut().for_each(|live| live.uid = true);
        }
        ok("ENABLE completed")
    }

    /// `* OK [code] text`, in the client's language.
    pub(crate) fn untagged(&self, verdict: &str, code: &str, text: &str, out: &mut Vec<u8>) {
        let text = self.language.text(text);
        out.extend_from_slice(format!("* {verdict} [{code}] {text}\r\n").as_bytes());
    }

    /// Takes over what the client's own STORE did, and tells the flags if there are more now; what
    /// was known before, and whether nothing else has changed.
    fn patch(&mut self, outcome: &FlagOutcome, out: &mut Vec<u8>) -> Option<(Arc<Listing>, bool)> {
        let view = self.view.as_mut()?;
        let before = view.told.clone();
        let alone = view.patch(outcome);
        if before.keywords != view.told.keywords {
            flags_line(&view.told, out);
            self.tell_permanent(out);
        }
        Some((before, alone))
    }

    /// The flags that stay, behind FLAGS: what that has and this has not would not stay.
    /// RFC 9051 §7.1.
    pub(crate) fn tell_permanent(&self, out: &mut Vec<u8>) {
        if let Some(view) = self.view.as_ref().filter(|view| !view.read_only) {
            let flags = view.permanent_flags(&view.told, view.rights);
            self.untagged("OK", &format!("PERMANENTFLAGS ({flags})"), "Flags that stay", out);
        }
    }

    /// LANGUAGE. RFC 5255 §3.2: what the namespaces are called now.
    fn speak(&mut self, language: Language, out: &mut Output<'_>) -> Done {
        self.language = language;
        if self.account.is_some() {
            self.namespace(out)?;
        }
        Ok(ok("LANGUAGE completed"))
    }

    /// The command enables CONDSTORE; the first one in a mailbox tells HIGHESTMODSEQ.
    /// RFC 7162 §3.1.
    pub(crate) fn enable_condstore(&mut self, out: &mut Output<'_>) {
        if std::mem::replace(&mut self.enabled.condstore, true) {
            return;
        }
        if let Some(view) = &self.view {
            let code = format!("HIGHESTMODSEQ {}", view.told.modseq);
            self.untagged("OK", &code, "Highest", out.buffer());
        }
    }
}
