//! ESEARCH: one search of several mailboxes. RFC 7377.
//!
//! A mailbox that may not be read is passed over like one that is not there.

use super::live::Live;
use super::{
    Found, Progress, Scores, Stopped, Told, done, extended, mentions_modseq, saved, shown_mailbox,
};
use crate::drive::Output;
use crate::imap::view::View;
use crate::imap::{Context, Done};
use crate::limits::SEARCHED_MAILBOXES_MAX;
use ::store::{StoreError, Visible};
use mail::{MailboxName, Rights};
use protocol::imap::command::multisearch::{MultiSearch, Source};
use protocol::imap::command::search::Key;
use protocol::imap::command::{Name, Returns, Search};
use protocol::imap::session::Answer;
use std::collections::{BTreeMap, BTreeSet};

/// The mailboxes of a search.
type Places = BTreeMap<MailboxName, Visible>;

fn bad(text: &str) -> Result<Answer, Stopped> {
    Ok(Answer::Bad(text.to_owned()))
}

impl Context {
    /// ESEARCH. RFC 7377 §2.
    pub(in crate::imap) async fn multi_search(
        &mut self,
        command: MultiSearch,
        out: &mut Output<'_>,
    ) -> Done {
        done(self.search_sources(command, out).await)
    }

    async fn search_sources(
        &mut self,
        command: MultiSearch,
        out: &mut Output<'_>,
    ) -> Result<Answer, Stopped> {
        let MultiSearch { sources, search } = command;
        let all = Returns { all: true, ..Returns::default() };
        let returns = search.returns.unwrap_or(all);
        let selected = self.view.as_ref().map(|view| view.mailbox);
        let needs_selected = returns.update || sources.contains(&Source::Selected);
        if needs_selected && selected.is_none() {
            return bad("Select a mailbox first");
        }
        if returns.save && sources.iter().any(|source| *source != Source::Selected) {
            return bad("SAVE goes with the selected mailbox only");
        }
        if returns.update && self.is_updated(&search.tag) {
            return bad("Tag reuse");
        }
        if mentions_modseq(&search.key) {
            self.enable_condstore(out);
        }
        let found = self.search_places(&sources, &search, returns, out).await;
        if returns.save
            && let Some(view) = &mut self.view
        {
            // RFC 5182 §2.1: empty after a search that fails.
            let kept = found.as_ref().ok().and_then(|(_, found)| found.as_ref());
            view.saved = kept.map(|found| saved(found, &returns)).unwrap_or_default();
        }
        let (key, found) = found?;
        if returns.update {
            // Without the selected mailbox there is nothing to keep up to date: RFC 7377 §2.2.
            let of = self.selected_place()?.map(|place| self.correlators(&place));
            let (tag, found) = (search.tag, found.unwrap_or_default());
            let of = of.unwrap_or_default();
            let (items, results) = (search.update_items, Vec::new());
            let looked = self.shared.world.clock.unix_seconds();
            let live = Live { tag, of, uid: true, key, criteria: None, items, results, looked };
            self.keep_live(&found, live, out.buffer());
        }
        Ok(Answer::Ok("ESEARCH completed".to_owned()))
    }

    /// Searches each place and tells what it finds; returns the key, and what it found in the
    /// selected mailbox if that is among them.
    async fn search_places(
        &self,
        sources: &[Source],
        search: &Search,
        returns: Returns,
        out: &mut Output<'_>,
    ) -> Result<(Key, Option<Found>), Stopped> {
        let key = self.key_of(search)?;
        let modseq = mentions_modseq(&key);
        let places = self.places(sources)?;
        if places.len() > SEARCHED_MAILBOXES_MAX {
            let text = "[LIMIT] So many mailboxes at once are too many";
            return Err(Stopped::Answer(Answer::No(text.to_owned())));
        }
        let mut selected = None;
        let mut progress = Progress::new(&search.tag, false);
        for place in places.values() {
            let here = self.view.as_ref().filter(|view| view.mailbox == place.row.id);
            let elsewhere = match here {
                Some(_) => None,
                None => self.open_elsewhere(place).await?,
            };
            let Some(view) = here.or(elsewhere.as_ref()) else { continue };
            self.check_limit(view, &key)?;
            let found = self.find(view, key.clone(), &mut progress, out).await?;
            let scores = match returns.relevancy {
                true => self.scores(&search.fuzzy, &found).await?,
                false => Scores::new(),
            };
            if here.is_some() {
                selected = Some(found.clone());
            }
            if !found.is_empty() {
                let of = Some(self.correlators(place));
                let told = Told { uid: true, tag: &search.tag, of, modseq, scores: &scores };
                extended(&told, &found, returns, out.buffer());
            }
            progress.is_through(view.told.len());
            let lost = match progress.due(0, 0) {
                Some(code) => {
                    self.untagged("OK", &code, "Still searching", out.buffer());
                    out.flush().await.is_err()
                }
                None => out.relieve().await.is_err(),
            };
            if lost {
                break;
            }
        }
        Ok((key, selected))
    }

    /// Opens a mailbox that is not selected; `None` when it was deleted, or taken from us, since we
    /// looked.
    async fn open_elsewhere(&self, place: &Visible) -> Result<Option<View>, StoreError> {
        let opened = match self.shared.store.allowed(&self.actor()?, place.row.id, Rights::READ) {
            Ok(_) => self.open(place, true).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(view) => Ok(Some(view)),
            Err(StoreError::NoSuchMailbox | StoreError::NotPermitted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One UID could not say what was left out of several mailboxes. RFC 9738.
    fn check_limit(&self, view: &View, key: &Key) -> Result<(), Stopped> {
        match self.lowest_searched(view, key).and_then(|_| self.too_many(usize::MAX)) {
            Some(refusal) => Err(Stopped::Answer(refusal)),
            None => Ok(()),
        }
    }

    /// ` MAILBOX name UIDVALIDITY n`. RFC 7377 §2.1.
    fn correlators(&self, place: &Visible) -> String {
        let name = shown_mailbox(place.name.as_str(), self.enabled.charset());
        format!(" MAILBOX {name} UIDVALIDITY {}", place.row.uidvalidity)
    }

    /// The selected mailbox; `None` when it is deleted.
    pub(in crate::imap) fn selected_place(&self) -> Result<Option<Visible>, StoreError> {
        let Some(view) = &self.view else { return Ok(None) };
        let row = self.shared.store.mailbox_row(view.mailbox)?;
        Ok(row.map(|row| {
            let name = if view.owned { row.name.clone() } else { view.name.clone() };
            Visible { row, name, rights: view.rights }
        }))
    }

    /// The mailboxes of some sources that may be read: those that are named, and of others those
    /// that may be seen too. RFC 7377 §2.2.
    fn places(&self, sources: &[Source]) -> Result<Places, StoreError> {
        let (actor, store) = (self.actor()?, &self.shared.store);
        let named = |source: &Source| matches!(source, Source::Selected | Source::Mailboxes(_));
        let mut own = Places::new();
        let mut others = Places::new();
        if !sources.iter().all(named) {
            for row in store.mailboxes(actor.account)? {
                let (name, rights) = (row.name.clone(), Rights::ALL);
                own.insert(name.clone(), Visible { row, name, rights });
            }
            let shared = store.shared_with(&actor)?;
            let readable = shared.into_iter().filter(|found| found.rights.contains(Rights::READ));
            others.extend(readable.map(|found| (found.name.clone(), found)));
        }
        let mut places = Places::new();
        let mut take = |wanted: &dyn Fn(&MailboxName) -> bool| {
            let fitting = own.iter().chain(&others).filter(|(name, _)| wanted(name));
            places.extend(fitting.map(|(name, found)| (name.clone(), found.clone())));
        };
        let mut explicit: Vec<&Name> = Vec::new();
        let mut selected = false;
        for source in sources {
            match source {
                Source::Selected => selected = true,
                // Filters may deliver anywhere: RFC 5465 §6.3.
                Source::Inboxes | Source::Personal => take(&|name| own.contains_key(name)),
                Source::Subscribed => {
                    let subscribed: BTreeSet<MailboxName> =
                        store.subscriptions(actor.account)?.into_iter().collect();
                    take(&|name| subscribed.contains(name));
                }
                Source::Subtree(names) => {
                    explicit.extend(names);
                    take(&|name| names.iter().flatten().any(|above| name.is_below(above)));
                }
                Source::SubtreeOne(names) => {
                    explicit.extend(names);
                    let parents: Vec<&MailboxName> = names.iter().flatten().collect();
                    take(&|name| name.parent().is_some_and(|above| parents.contains(&&above)));
                }
                Source::Mailboxes(names) => explicit.extend(names),
            }
        }
        for name in explicit {
            match self.mailbox(name, Rights::READ) {
                Ok(found) => drop(places.insert(found.name.clone(), found)),
                Err(StoreError::NoSuchMailbox | StoreError::NotPermitted) => {}
                Err(error) => return Err(error),
            }
        }
        if selected && let Some(place) = self.selected_place()? {
            places.insert(place.name.clone(), place);
        }
        Ok(places)
    }
}
