//! NOTIFY: what happens in mailboxes is told between commands too. RFC 5465.
//!
//! A session looks when its feed says that something changed, and tells the difference to what it
//! knew: nothing piles up for a client that is slow, and many changes become one response.

mod known;
pub(super) mod metadata;

use super::view::{Expunges, View};
use super::{Context, Done, ok};
use crate::drive::Output;
use ::store::{Feed, Holder, Kinds, StoreError, Visible};
use known::{Known, Listed, events, listed, readable};
use mail::{MailboxName, Uid};
use protocol::imap::command::notify::{Events, Notify};
use protocol::imap::command::{Command, Fetch, Item, StatusItem};
use protocol::imap::grammar::{Number, SequenceSet};
use protocol::imap::response;
use protocol::imap::session::Answer;
use std::collections::BTreeSet;

/// What a client has asked to be told.
pub(crate) struct Notifying {
    pub wish: Notify,
    pub feed: Feed,
    known: Known,
}

/// What a command of the client itself changes: it is not told of that. RFC 5465 §5.
pub(crate) enum Own {
    Nothing,
    /// These names, those above them, and with `true` those below them.
    Names(Vec<MailboxName>, bool),
    /// These entries of the server or a mailbox.
    Metadata(Option<MailboxName>, Vec<String>),
}

impl Own {
    pub fn of(command: &Command) -> Own {
        match command {
            Command::Create { mailbox: Ok(name), .. }
            | Command::Delete(Ok(name))
            | Command::Subscribe(Ok(name))
            | Command::Unsubscribe(Ok(name)) => Own::Names(vec![name.clone()], false),
            Command::Rename(Ok(from), Ok(to)) => Own::Names(vec![from.clone(), to.clone()], true),
            Command::SetMetadata(set) => {
                let names = set.entries.iter().map(|(name, _)| name.clone()).collect();
                Own::Metadata(set.mailbox.clone().and_then(Result::ok), names)
            }
            _ => Own::Nothing,
        }
    }
}

impl Notifying {
    /// Resolves when there is something to tell. Safe to drop.
    pub async fn noted(&self, view: &mut Option<View>) {
        let selected = self.wish.selected.events.messages;
        let view = async {
            match view.as_mut().filter(|_| selected) {
                Some(view) => view.watch.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.feed.changed() => {}
            () = view => {}
        }
    }
}

impl Context {
    /// NOTIFY. RFC 5465 §3.1.
    pub(super) async fn notify(&mut self, wish: Notify, out: &mut Output<'_>) -> Done {
        if wish.unknown {
            let text = format!("[BADEVENT ({})] These are the events", Events::NAMES);
            return Ok(Answer::No(text));
        }
        let actor = self.actor()?;
        let store = self.shared.store.clone();
        let mut feed = store.feed();
        let mut known = Known::default();
        if !wish.groups.is_empty() {
            known = known.look(&store, &actor, &wish, &mut feed, Kinds::ALL)?;
            if known.is_too_much() {
                return Ok(Answer::No(
                    "[NOTIFICATIONOVERFLOW] There are too many mailboxes to watch".to_owned(),
                ));
            }
        }
        if wish.set {
            // An implicit NOOP: what has gathered is told, whatever is wanted from here on.
            self.notify = None;
            self.sync(Expunges::Told, out.buffer());
            self.tell_metadata(out).await;
        }
        self.due = false;
        self.tell_state(&wish, &known, out).await?;
        self.notify = Some(Notifying { wish, feed, known });
        Ok(ok("NOTIFY completed"))
    }

    /// What the mailboxes are as they begin to be watched.
    async fn tell_state(
        &self,
        wish: &Notify,
        known: &Known,
        out: &mut Output<'_>,
    ) -> Result<(), StoreError> {
        let parents = match known.all.values().all(readable) {
            true => BTreeSet::new(),
            false => known.parents(),
        };
        for (name, found) in &known.all {
            let wanted = events(wish, name, known.subscribed.contains(name));
            if wanted == Events::default() {
                continue;
            }
            if !readable(found) {
                let listed = Listed { old: None, no_access: true };
                self.notify_list(name, &listed, known, &parents, out.buffer());
            } else if wish.status && wanted.messages && !self.is_selected(found) {
                use StatusItem::{HighestModSeq, Messages, UidNext, UidValidity};
                let items = [UidValidity, UidNext, Messages, HighestModSeq];
                let changes = wanted.flags || wanted.annotations;
                let count = if changes || self.enabled.condstore { 4 } else { 3 };
                self.status(found, items.get(..count).unwrap_or_default(), out.buffer()).await?;
            }
            if out.relieve().await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn is_selected(&self, found: &Visible) -> bool {
        self.view.as_ref().is_some_and(|view| view.mailbox == found.row.id)
    }

    /// The events of the selected mailbox that the client hears of.
    pub(super) fn wanted(&self) -> Events {
        let all = Events { messages: true, flags: true, annotations: true, ..Events::default() };
        self.notify.as_ref().map_or(all, |notify| notify.wish.selected.events)
    }

    /// Tells what has happened.
    pub(super) async fn tell_news(&mut self, out: &mut Output<'_>) {
        let delayed = self.notify.as_ref().is_some_and(|notify| notify.wish.selected.delayed);
        self.due = false;
        // RFC 5465 §6.1.2.
        let held = delayed && self.idling.is_none();
        self.sync(if held { Expunges::HeldBack } else { Expunges::Told }, out.buffer());
        self.follow_up(out).await;
        let Some(mut notify) = self.notify.take() else { return };
        let kinds = notify.feed.take();
        if !kinds.is_empty() {
            match self.tell_others(&mut notify, kinds, out).await {
                Ok(true) => {}
                Ok(false) => {
                    // RFC 5465 §5.8.
                    let text = "Too many mailboxes: watching none";
                    self.untagged("OK", "NOTIFICATIONOVERFLOW", text, out.buffer());
                    let feed = self.shared.store.feed();
                    notify = Notifying { wish: Notify::default(), feed, known: Known::default() };
                }
                Err(error) => tracing::warn!(%error, "NOTIFY cannot look at the mailboxes"),
            }
        }
        self.notify = Some(notify);
    }

    /// `false` when there are too many mailboxes by now.
    async fn tell_others(
        &mut self,
        notify: &mut Notifying,
        kinds: Kinds,
        out: &mut Output<'_>,
    ) -> Result<bool, StoreError> {
        let actor = self.actor()?;
        let Notifying { wish, feed, known } = notify;
        if !kinds.any(Kinds::NAMES.with(Kinds::METADATA)) {
            // Most news by far; the rest of the mailboxes need not be looked at.
            let (old, now) = known.counted(&self.shared.store, feed)?;
            self.notify_status(wish, &old, &now, out).await?;
            known.all.extend(now.all);
            return Ok(true);
        }
        feed.take_mailboxes();
        let now = known.look(&self.shared.store, &actor, wish, feed, kinds)?;
        if now.is_too_much() {
            return Ok(false);
        }
        let lines = listed(wish, known, &now);
        let parents = if lines.is_empty() { BTreeSet::new() } else { now.parents() };
        for (name, line) in &lines {
            self.notify_list(name, line, &now, &parents, out.buffer());
            if out.relieve().await.is_err() {
                return Ok(true);
            }
        }
        self.notify_status(wish, known, &now, out).await?;
        self.notify_metadata(known, &now, out.buffer());
        *known = now;
        Ok(true)
    }

    /// `* LIST (…) "/" name`. RFC 5465 §5.4.
    fn notify_list(
        &self,
        name: &MailboxName,
        line: &Listed,
        now: &Known,
        parents: &BTreeSet<&str>,
        out: &mut Vec<u8>,
    ) {
        let found = now.all.get(name);
        let mut words = Vec::new();
        match found {
            _ if line.no_access => words.push("\\NoAccess"),
            None => words.push("\\NonExistent"),
            Some(_) => {}
        }
        words.push(if parents.contains(name.as_str()) {
            "\\HasChildren"
        } else {
            "\\HasNoChildren"
        });
        if now.subscribed.contains(name) {
            words.push("\\Subscribed");
        }
        // What it is to its owner it is not to others (users.md I-33).
        let special = found.filter(|_| name.is_personal()).and_then(|f| f.row.special_use);
        words.extend(special.map(mail::SpecialUse::attribute));
        out.extend_from_slice(format!("* LIST ({}) \"/\" ", words.join(" ")).as_bytes());
        response::mailbox(name.as_str(), self.enabled.charset(), out);
        if let Some(old) = &line.old {
            out.extend_from_slice(b" (\"OLDNAME\" (");
            response::mailbox(old.as_str(), self.enabled.charset(), out);
            out.extend_from_slice(b"))");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// STATUS of the mailboxes whose messages or flags have changed. RFC 5465 §5.1 to §5.3.
    async fn notify_status(
        &self,
        wish: &Notify,
        old: &Known,
        now: &Known,
        out: &mut Output<'_>,
    ) -> Result<(), StoreError> {
        use StatusItem::{HighestModSeq, Messages, UidNext, UidValidity, Unseen};
        let by_id = old.by_id();
        for (name, found) in now.all.iter().filter(|(_, found)| readable(found)) {
            // What changed while it could not be read was not told. RFC 5465 §5.9.
            let last = by_id.get(&found.row.id);
            let restored = last.is_some_and(|last| !readable(last));
            let (row, before) = (&found.row, last.map(|found| &found.row));
            let count = before.map_or((0, Some(Uid::FIRST)), |old| (old.exists, old.uidnext));
            // Another mailbox took the name: UIDVALIDITY is another.
            let replaced = before.is_none() && old.all.contains_key(name);
            let counted = count != (row.exists, row.uidnext) || replaced || restored;
            let unseen = restored || before.is_some_and(|old| old.unseen != row.unseen);
            let flagged = before.is_some_and(|old| old.modseq != row.modseq);
            if !(counted || unseen || flagged) || self.is_selected(found) {
                continue;
            }
            let wanted = events(wish, name, now.subscribed.contains(name));
            let condstore = self.enabled.condstore;
            let mut items = Vec::new();
            if wanted.messages && counted {
                items.extend([UidNext, Messages]);
            }
            let changed = wanted.flags || wanted.annotations;
            let flags = changed && !counted && (unseen || (flagged && condstore));
            if flags || (replaced && !items.is_empty()) {
                items.push(UidValidity);
            }
            if wanted.flags && unseen {
                items.push(Unseen);
            }
            if condstore && !items.is_empty() {
                items.push(HighestModSeq);
            }
            if !items.is_empty() {
                self.status(found, &items, out.buffer()).await?;
                if out.relieve().await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// `* METADATA name entry …`. RFC 5465 §5.6, §5.7, RFC 5464 §4.4.2.
    fn notify_metadata(&self, old: &Known, now: &Known, out: &mut Vec<u8>) {
        let by_id = now.by_id();
        for (of, entries) in &now.annotations {
            let before = old.annotations.get(of);
            let was = |name: &String| before.and_then(|before| before.get(name));
            let mut changed: BTreeSet<&str> = entries
                .iter()
                .filter(|(name, hash)| was(name) != Some(*hash))
                .map(|(name, _)| name.as_str())
                .collect();
            let gone =
                before.into_iter().flatten().filter(|(name, _)| !entries.contains_key(*name));
            changed.extend(gone.map(|(name, _)| name.as_str()));
            let name = match of {
                Holder::Mailbox(id) => by_id.get(id).map(|found| found.name.as_str()),
                _ => Some(""),
            };
            let Some(name) = name.filter(|_| !changed.is_empty()) else { continue };
            out.extend_from_slice(b"* METADATA ");
            response::mailbox(name, self.enabled.charset(), out);
            for entry in changed {
                out.push(b' ');
                response::astring(entry.as_bytes(), out);
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    /// The client's own command changed something. It did whatever becomes of this.
    pub(super) fn own_change(&mut self, own: Own) {
        if let Err(error) = self.note_own(own) {
            tracing::warn!(%error, "a client may hear of its own change");
        }
    }

    fn note_own(&mut self, own: Own) -> Result<(), StoreError> {
        if let Own::Metadata(mailbox, entries) = &own {
            self.own_metadata(mailbox.as_ref(), entries)?;
        }
        let Some(mut notify) = self.notify.take_if(|notify| !notify.wish.groups.is_empty()) else {
            return Ok(());
        };
        let Notifying { wish, feed, known } = &mut notify;
        let now = self
            .actor()
            .and_then(|actor| known.look(&self.shared.store, &actor, wish, feed, Kinds::ALL));
        match (own, now) {
            (Own::Names(names, below), Ok(now)) => known.absorb(now, |name| {
                let one = |own: &MailboxName| {
                    own == name || own.is_below(name) || (below && name.is_below(own))
                };
                names.iter().any(one)
            }),
            (Own::Metadata(mailbox, entries), Ok(now)) => {
                known.absorb_annotations(&now, mailbox.as_ref(), &entries);
            }
            (_, Err(error)) => {
                self.notify = Some(notify);
                return Err(error);
            }
            (Own::Nothing, Ok(_)) => {}
        }
        self.notify = Some(notify);
        Ok(())
    }

    /// What the client wants to have of new messages. RFC 5465 §5.2.
    pub(super) async fn fetch_arrived(&mut self, out: &mut Output<'_>) {
        let arrived = std::mem::take(&mut self.arrived);
        let items = match &self.notify {
            Some(notify) if !arrived.is_empty() => notify.wish.selected.items.clone(),
            _ => return,
        };
        self.fetch_quietly(arrived, items, out).await;
    }

    /// Tells these items of messages; nobody has read what is only announced.
    pub(super) async fn fetch_quietly(
        &mut self,
        uids: Vec<Uid>,
        items: Vec<Item>,
        out: &mut Output<'_>,
    ) {
        let peek = |mut item: Item| {
            if let Item::Section(section) | Item::Binary(section) = &mut item {
                section.peek = true;
            }
            item
        };
        let each = |uid: Uid| (Number::Value(uid.get()), Number::Value(uid.get()));
        let fetch = Fetch {
            uid: true,
            set: SequenceSet::Ranges(uids.into_iter().map(each).collect()),
            names_uid: items.contains(&Item::Uid),
            items: items.into_iter().map(peek).collect(),
            changed_since: None,
            vanished: false,
            partial: None,
        };
        // A message that is gone again is no news.
        if let Err(error) = self.fetch(fetch, out).await {
            tracing::warn!(%error, "new messages cannot be fetched");
        }
    }
}
