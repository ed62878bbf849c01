//! APPEND and REPLACE. RFC 3501 §6.3.11, RFC 3502, RFC 4469, RFC 8508, APPENDUID of RFC 4315 §3.
//! Messages stream into spools; all of a command are stored in one commit.

use super::view::Expunges;
use super::{Context, Done, annotate, no_nul};
use crate::drive::Output;
use crate::urls::Redeemer;
use ::store::{Delivery, Placement, Spool, StoreError, Visible};
use mail::summary::Parser;
use mail::{AccountId, Annotation, Flag, MailboxId, MessageId, Rights, Uid};
use protocol::imap::command::Name;
use protocol::imap::command::append::Piece;
use protocol::imap::grammar::SequenceSet;
use protocol::imap::response;
use protocol::imap::session::Answer;

/// Messages of one APPEND.
const MESSAGES_MAX: usize = 500;
/// Octets of memory that the messages of one APPEND take before they are set aside in files.
const IN_MEMORY_MAX: usize = 8 << 20;
/// What it takes to put another message in the place of one.
const REPLACES: Rights = Rights::DELETED.with(Rights::EXPUNGE);

/// Messages on their way in.
pub struct Appending {
    mailbox: MailboxId,
    /// Whose limits hold.
    account: AccountId,
    /// What the client calls it.
    name: Name,
    rights: Rights,
    replaces: Option<Replaced>,
    messages: Vec<Message>,
    /// Octets that URLs have given.
    by_url: u64,
    failed: Option<StoreError>,
}

/// The message that goes when another comes: mailbox, UID, octets.
type Replaced = (MailboxId, Uid, u32);

struct Message {
    spool: Spool,
    parser: Parser,
    /// There is a NUL in it.
    nul: bool,
    flags: Vec<Flag>,
    date: Option<i64>,
    annotations: Vec<Annotation>,
}

impl Appending {
    /// More octets of the last message.
    pub fn write(&mut self, octets: &[u8]) {
        if let (None, Some(message)) = (&self.failed, self.messages.last_mut()) {
            message.parser.feed(octets);
            message.nul |= octets.contains(&0);
            self.failed = message.spool.write(octets).err();
        }
    }

    /// Another message begins; those before it do not fill the memory meanwhile.
    fn add(&mut self, message: Message) -> Result<(), StoreError> {
        let in_memory: usize = self.messages.iter().map(|one| one.spool.in_memory()).sum();
        if let Some(last) = self.messages.last_mut().filter(|_| in_memory > IN_MEMORY_MAX) {
            last.spool.set_aside()?;
        }
        self.messages.push(message);
        Ok(())
    }

    /// How many messages, and how many octets of them are here.
    fn so_far(&self) -> (u64, u64) {
        let octets = self.messages.iter().map(|message| message.spool.len()).sum();
        (self.messages.len() as u64, octets)
    }
}

/// Why a piece cannot be taken: the answer.
type Refused = Result<(), Answer>;

fn no(text: &str) -> Refused {
    Err(Answer::No(text.to_owned()))
}

impl Context {
    /// More of the command; a literal of so many octets follows.
    pub(super) async fn append(&mut self, pieces: Vec<Piece>, octets: u64) -> Done {
        match self.take(pieces).await? {
            // RFC 3501 §7.5: a client that waits is told before it sends for nothing.
            Ok(()) if !self.has_room(octets)? => {
                self.appending = None;
                Err(StoreError::OverQuota)
            }
            Ok(()) => Ok(Answer::Go(Vec::new())),
            Err(answer) => {
                self.appending = None;
                Ok(answer)
            }
        }
    }

    /// What has come and so many octets more are within the limits as they are now. They are looked
    /// at again when all is here.
    fn has_room(&self, octets: u64) -> Result<bool, StoreError> {
        let Some(appending) = &self.appending else { return Ok(true) };
        let (messages, here) = appending.so_far();
        // RFC 8508 §3.4: the message that goes makes room.
        let (gone, freed) = appending.replaces.map_or((0, 0), |(_, _, size)| (1, u64::from(size)));
        let octets = here.saturating_add(octets).saturating_sub(freed);
        self.shared.store.has_room(appending.account, messages.saturating_sub(gone), octets)
    }

    async fn take(&mut self, pieces: Vec<Piece>) -> Result<Refused, StoreError> {
        for piece in pieces {
            let taken = match piece {
                Piece::Target { mailbox, replaces } => {
                    self.appending = None;
                    match self.target(&mailbox).await? {
                        Ok(found) => self.begin(&found, mailbox, replaces),
                        Err(answer) => Err(answer),
                    }
                }
                Piece::Message { flags, date, annotations } => {
                    let (spool, parser) = (self.shared.store.spool(), Parser::new());
                    let rights = self.appending.as_ref().map_or(Rights::NONE, |it| it.rights);
                    if let Some(answer) = annotate::refused(&annotations, rights) {
                        return Ok(Err(answer));
                    }
                    let message = Message { spool, parser, nul: false, flags, date, annotations };
                    match &mut self.appending {
                        Some(appending) if appending.messages.len() < MESSAGES_MAX => {
                            appending.add(message)?;
                            Ok(())
                        }
                        _ => no("[LIMIT] So many messages at once are too many"),
                    }
                }
                Piece::Url(text) => self.part_by_url(&text).await?,
                Piece::Text => Ok(()),
            };
            if taken.is_err() {
                return Ok(taken);
            }
        }
        Ok(Ok(()))
    }

    fn begin(
        &mut self,
        found: &Visible,
        name: Name,
        replaces: Option<(bool, SequenceSet)>,
    ) -> Refused {
        if replaces.is_some() && !self.renew_rights() {
            return Err(self.deselected());
        }
        let replaces = match (replaces, &self.view) {
            (None, _) => None,
            (Some((false, _)), _) if self.enabled.uid_only => {
                let text = "[UIDREQUIRED] Message numbers are switched off";
                return Err(Answer::Bad(text.to_owned()));
            }
            (Some(_), None) => return Err(Answer::Bad("Select a mailbox first".to_owned())),
            (Some(_), Some(view)) if view.read_only => {
                return no("[READ-ONLY] The mailbox is open for reading only");
            }
            (Some(_), Some(view)) if !view.rights.contains(REPLACES) => {
                return no("[NOPERM] You may not take messages out of this mailbox");
            }
            // RFC 8508 §3.3: exactly one message.
            (Some((uid, set)), Some(view)) => match view.resolve(&set, uid).as_deref() {
                Some([(_, entry)]) => Some((view.mailbox, entry.uid, entry.size)),
                Some(_) => return no("[NONEXISTENT] There is not exactly one such message"),
                None => return Err(Answer::Bad("There is no message of that number".to_owned())),
            },
        };
        self.appending = Some(Appending {
            mailbox: found.row.id,
            account: found.row.account,
            name,
            rights: found.rights,
            replaces,
            messages: Vec::new(),
            by_url: 0,
            failed: None,
        });
        Ok(())
    }

    /// CATENATE's URL. RFC 4469 §4.2: what cannot be had is told with BADURL.
    async fn part_by_url(&mut self, text: &str) -> Result<Refused, StoreError> {
        let bad = || {
            let shown: String =
                text.chars().filter(|c| !c.is_control() && !"\"\\]".contains(*c)).collect();
            no(&format!("[BADURL \"{shown}\"] Nothing of ours is there"))
        };
        let actor = self.actor()?;
        // RFC 4469 §3: what a URL that names no mailbox is relative to.
        let base = self.selected_place()?.map(|place| place.name);
        let who = Redeemer::Catenate(&actor, base.as_ref());
        let opened = self.shared.open_url(text, who).await?;
        let Some(mut opened) = opened else { return Ok(bad()) };
        let limit = self.message_octets();
        let mut piece = Vec::new();
        let mut at = 0;
        while at < opened.octets {
            piece.clear();
            opened.next(&self.shared, &mut piece)?;
            if piece.is_empty() {
                return Ok(bad());
            }
            at += piece.len() as u64;
            let Some(appending) = &mut self.appending else { return Ok(bad()) };
            appending.write(&piece);
            if appending.messages.last().is_some_and(|message| message.spool.len() > limit) {
                return Ok(no("[TOOBIG] The message is larger than this server takes"));
            }
            appending.by_url += piece.len() as u64;
            if appending.by_url > limit {
                return Ok(no("[LIMIT] URLs give too much at once"));
            }
            // It costs nothing to ask for much.
            tokio::task::yield_now().await;
        }
        Ok(Ok(()))
    }

    /// Octets of the largest message that is taken.
    fn message_octets(&self) -> u64 {
        // What RFC822.SIZE can tell: RFC 3501 §9 `number`.
        match self.shared.settings.message_octets_max {
            0 => u64::from(u32::MAX),
            limit => limit,
        }
    }

    /// The command is complete.
    pub(super) async fn append_end(&mut self, pieces: Vec<Piece>, out: &mut Output<'_>) -> Done {
        if let Err(answer) = self.take(pieces).await? {
            self.appending = None;
            return Ok(answer);
        }
        let Some(Appending { mailbox, name, replaces, messages, failed, .. }) =
            self.appending.take()
        else {
            return Ok(Answer::No("No message came".to_owned()));
        };
        if let Some(error) = failed {
            return Err(error);
        }
        // The message may have taken its time: what was allowed then has to be allowed now.
        let now = self.shared.store.allowed(&self.actor()?, mailbox, Rights::INSERT)?;
        if replaces.is_some() {
            if !self.renew_rights() {
                return Ok(self.deselected());
            }
            if !self.view.as_ref().is_some_and(|view| view.rights.contains(REPLACES)) {
                return Err(StoreError::NotPermitted);
            }
        }
        let limit = self.message_octets();
        if let Some(refusal) = self.too_many_to_save(messages.len()) {
            return Ok(refusal);
        }
        let mut deliveries = Vec::with_capacity(messages.len());
        for mut message in messages {
            // RFC 4314 §4: flags that may not be set are left out.
            message.flags.retain(|flag| now.contains(flag.right()));
            if message.spool.is_empty() {
                return Ok(Answer::No("The message is empty".to_owned()));
            }
            if message.spool.len() > limit {
                let text = "[TOOBIG] The message is larger than this server takes";
                return Ok(Answer::No(text.to_owned()));
            }
            if let Some(refusal) = annotate::refused(&message.annotations, now) {
                return Ok(refusal);
            }
            match self.delivery(mailbox, message)? {
                Ok(delivery) => deliveries.push(delivery),
                Err(refusal) => return Ok(refusal),
            }
        }
        let replaces = replaces.map(|(mailbox, uid, _)| (mailbox, uid));
        let delivered = self.shared.store.append(deliveries, replaces).await?;
        self.tell_composed(&name, out.buffer());
        let places: Vec<_> = delivered.iter().filter_map(|one| one.places.first()).collect();
        let uids: Vec<u32> = places.iter().map(|place| place.uid.get()).collect();
        if self.view.as_ref().is_some_and(|view| view.mailbox == mailbox) {
            self.own_new = places.iter().map(|place| place.uid).collect();
        }
        // RFC 4315 §3: who may not select the mailbox hears nothing of what is in it.
        let told = places.first().filter(|_| now.contains(Rights::READ));
        let code = told.map_or(String::new(), |place| {
            format!("[APPENDUID {} {}] ", place.uidvalidity, response::set(&uids))
        });
        if replaces.is_none() {
            self.sync(Expunges::Told, out.buffer());
            return Ok(Answer::Ok(format!("{code}APPEND completed")));
        }
        // RFC 8508 §3.4: APPENDUID before the EXPUNGE.
        let line = format!("* OK {code}{}\r\n", self.language.text("Stored"));
        out.buffer().extend_from_slice(line.as_bytes());
        let gone: Vec<Uid> = replaces.iter().map(|(_, uid)| *uid).collect();
        self.sync_expunged(&gone, out.buffer());
        Ok(Answer::Ok(format!("{}REPLACE completed", self.highest(true))))
    }

    /// What is stored of a message, or why it cannot be.
    fn delivery(
        &self,
        mailbox: MailboxId,
        message: Message,
    ) -> Result<Result<Delivery, Answer>, StoreError> {
        let world = &self.shared.world;
        let now = world.clock.unix_seconds();
        let (mut spool, mut summary) = (message.spool, message.parser.finish());
        if message.nul {
            let encoded = no_nul::encoded(&self.shared.store, &spool, &summary)?;
            let Some(fine) = encoded.filter(|(spool, _)| spool.len() <= u32::MAX.into()) else {
                let text = "[UNKNOWN-CTE] There are NULs in the message that cannot be encoded";
                return Ok(Err(Answer::No(text.to_owned())));
            };
            (spool, summary) = fine;
        }
        let mut annotations = None;
        if !message.annotations.is_empty() {
            let names = message.annotations.iter().map(|one| one.entry.as_str());
            if !annotate::has_parts(&summary.root, names) {
                return Ok(Err(Answer::Bad("The message has no such part".to_owned())));
            }
            annotations = Some((self.actor()?.account, message.annotations));
        }
        Ok(Ok(Delivery {
            message: MessageId::new(world.clock.unix_millis() as u64, world.random.u32()),
            content: spool.seal()?,
            summary: summary.encode(),
            date: message.date.unwrap_or(now),
            placements: vec![Placement { mailbox, flags: message.flags, annotations }],
            queue: None,
            journey: Vec::new(),
        }))
    }
}
