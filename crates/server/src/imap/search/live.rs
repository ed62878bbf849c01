//! Searches whose results are kept up to date for the client: UPDATE. RFC 5267 §4.3.
//!
//! Results are UIDs in the order asked for. What leaves the mailbox leaves them in `View::sync`,
//! before EXPUNGE, so that message numbers still hold; what is new or changed is looked at after
//! its EXISTS or FETCH, here. The values a SORT goes by never change, so only membership does;
//! those of annotations do, and scores depend on the search, so such a SORT is not kept up to date.

use super::Found;
use super::annotated::sorts_anew;
use super::test::{Test, ago};
use crate::drive::Output;
use crate::imap::Context;
use crate::imap::view::View;
use crate::limits::{CONTEXT_RESULTS_MAX, CONTEXTS_MAX};
use ::store::StoreError;
use mail::{Entry, Listing, Uid};
use protocol::imap::command::Item;
use protocol::imap::command::search::{Criterion, Key};
use protocol::imap::grammar::{Number, SequenceSet};
use protocol::imap::response;
use std::sync::Arc;

/// A search that goes on.
pub(crate) struct Live {
    /// The tag of its command.
    pub tag: String,
    /// Which mailbox, as it goes behind the tag, if its command was ESEARCH. RFC 7377 §2.1.
    pub of: String,
    /// It tells UIDs, not numbers.
    pub uid: bool,
    /// What it finds; without message numbers.
    pub key: Key,
    /// What it sorts by; `None` is the order of the mailbox.
    pub criteria: Option<Vec<(Criterion, bool)>>,
    /// What is told of new messages among them. RFC 5465 §7.
    pub items: Vec<Item>,
    /// What it has found.
    pub results: Vec<Uid>,
    /// When it was looked at last, in seconds; for OLDER and YOUNGER.
    pub looked: i64,
}

/// Another one can be kept beside these: always the first.
fn has_room(lives: &[Live], found: usize) -> bool {
    let kept: usize = lives.iter().map(|live| live.results.len()).sum();
    lives.is_empty() || (lives.len() < CONTEXTS_MAX && kept + found <= CONTEXT_RESULTS_MAX)
}

/// The key with the UIDs that its message numbers have now. RFC 5267 §4.3.
fn without_numbers(key: Key, view: &View) -> Key {
    let told = &view.told;
    let each = |key: Key| without_numbers(key, view);
    match key {
        Key::Sequence(SequenceSet::Saved) | Key::Uid(SequenceSet::Saved) => {
            let one = |uid: &Uid| (Number::Value(uid.get()), Number::Value(uid.get()));
            Key::Uid(SequenceSet::Ranges(view.saved.iter().map(one).collect()))
        }
        Key::Sequence(set) => {
            let uid = |n: u32| told.at(n.checked_sub(1)?).map(|e| Number::Value(e.uid.get()));
            let ranges = set.ranges(told.len());
            let range = |(from, to): (u32, u32)| uid(from).zip(uid(to.min(told.len())));
            Key::Uid(SequenceSet::Ranges(ranges.into_iter().filter_map(range).collect()))
        }
        Key::And(keys) => Key::And(keys.into_iter().map(each).collect()),
        Key::Or(a, b) => Key::Or(Box::new(each(*a)), Box::new(each(*b))),
        Key::Not(key) => Key::Not(Box::new(each(*key))),
        key => key,
    }
}

/// `*` is among its UIDs, and means another message when messages come or go.
fn mentions_last(key: &Key) -> bool {
    match key {
        Key::Uid(set) => set.has_last(),
        Key::And(keys) => keys.iter().any(mentions_last),
        Key::Or(a, b) => mentions_last(a) || mentions_last(b),
        Key::Not(key) => mentions_last(key),
        _ => false,
    }
}

/// The ages, in seconds, that OLDER and YOUNGER name in it.
fn ages(key: &Key, found: &mut Vec<u64>) {
    match key {
        Key::Older(seconds) | Key::Younger(seconds) => found.push(*seconds),
        Key::And(keys) => keys.iter().for_each(|key| ages(key, found)),
        Key::Or(a, b) => {
            ages(a, found);
            ages(b, found);
        }
        Key::Not(key) => ages(key, found),
        _ => {}
    }
}

/// The messages that have come to an age of the key since it was looked at. RFC 5032 §2.
fn aged(live: &mut Live, told: &Listing, now: i64) -> Vec<Uid> {
    let mut found = Vec::new();
    ages(&live.key, &mut found);
    let before = std::mem::replace(&mut live.looked, now);
    if found.is_empty() || now <= before {
        return Vec::new();
    }
    let ranges: Vec<_> = found.iter().map(|age| ago(before, *age)..=ago(now, *age)).collect();
    let of_age = |entry: &&Entry| ranges.iter().any(|range| range.contains(&entry.date));
    told.iter().filter(of_age).map(|entry| entry.uid).collect()
}

/// Takes what is gone out of the results, and says so; `told` is what the client counts by.
pub(crate) fn expunged(lives: &mut [Live], gone: &[Uid], told: &Listing, out: &mut Vec<u8>) {
    for live in lives {
        let places = live.places(gone);
        let removed = live.remove(&places, told);
        live.tell(&removed, "", out);
    }
}

impl Live {
    /// Where those of some messages that are results are; ascending.
    fn places(&self, uids: &[Uid]) -> Vec<usize> {
        match self.criteria {
            None => uids.iter().filter_map(|uid| self.results.binary_search(uid).ok()).collect(),
            Some(_) => {
                let among = |(_, uid): &(usize, &Uid)| uids.binary_search(uid).is_ok();
                self.results.iter().enumerate().filter(among).map(|(at, _)| at).collect()
            }
        }
    }

    fn number(&self, uid: Uid, told: &Listing) -> Option<u32> {
        match self.uid {
            true => Some(uid.get()),
            false => told.find(uid).ok().map(|at| at + 1),
        }
    }

    /// Takes out the results at these places, which ascend: ` REMOVEFROM (…)`, or nothing.
    fn remove(&mut self, places: &[usize], told: &Listing) -> String {
        if places.is_empty() {
            return String::new();
        }
        // Each is removed after those before it are.
        let pair = |(before, at): (usize, &usize)| {
            let uid = self.results.get(*at)?;
            Some((at - before + 1, self.number(*uid, told)?))
        };
        let pairs: Vec<_> = places.iter().enumerate().filter_map(pair).collect();
        let (mut at, mut rest) = (0, places);
        self.results.retain(|_| {
            let goes = rest.first() == Some(&at);
            at += 1;
            if goes {
                rest = rest.get(1..).unwrap_or_default();
            }
            !goes
        });
        format!(" REMOVEFROM ({})", self.show(&pairs, 0))
    }

    /// ` ADDTO (…)` of what has come in, with the places where it is now, which ascend; or nothing.
    fn added(&self, places: &[usize], told: &Listing) -> String {
        if places.is_empty() {
            return String::new();
        }
        let pair = |at: &usize| Some((at + 1, self.number(*self.results.get(*at)?, told)?));
        let pairs: Vec<_> = places.iter().filter_map(pair).collect();
        format!(" ADDTO ({})", self.show(&pairs, 1))
    }

    /// Positions and numbers as few pairs of a position and a set; within one set positions grow by
    /// `step`. In the order of the mailbox the position is 0. RFC 5267 §4.3.3, §4.3.4.
    fn show(&self, pairs: &[(usize, u32)], step: usize) -> String {
        let numbers = |run: &[(usize, u32)]| {
            response::set(&run.iter().map(|(_, number)| *number).collect::<Vec<_>>())
        };
        if self.criteria.is_none() {
            return format!("0 {}", numbers(pairs));
        }
        let runs = pairs.chunk_by(|(a, _), (b, _)| a + step == *b);
        let one = |run: &[(usize, u32)]| {
            format!("{} {}", run.first().map_or(0, |(at, _)| *at), numbers(run))
        };
        runs.map(one).collect::<Vec<_>>().join(" ")
    }

    fn tell(&self, removed: &str, added: &str, out: &mut Vec<u8>) {
        if removed.is_empty() && added.is_empty() {
            return;
        }
        let uid = if self.uid { " UID" } else { "" };
        let line = format!("* ESEARCH (TAG \"{}\"{}){uid}{removed}{added}\r\n", self.tag, self.of);
        out.extend_from_slice(line.as_bytes());
    }
}

impl Context {
    /// There are searches to keep up to date.
    pub(in crate::imap) fn has_live(&self) -> bool {
        self.view.as_ref().is_some_and(|view| !view.live.is_empty())
    }

    /// A search of that tag is kept up to date.
    pub(super) fn is_updated(&self, tag: &str) -> bool {
        self.view.as_ref().is_some_and(|view| view.live.iter().any(|live| live.tag == tag))
    }

    /// Keeps a search up to date from now on, if there is room. RFC 5267 §4.3.1.
    pub(super) fn keep_live(&mut self, found: &[(u32, Entry)], live: Live, out: &mut Vec<u8>) {
        let moves = live.criteria.as_deref().is_some_and(sorts_anew);
        if moves || self.view.as_ref().is_some_and(|view| !has_room(&view.live, found.len())) {
            let code = format!("NOUPDATE \"{}\"", live.tag);
            return self.untagged("NO", &code, "Too many contexts", out);
        }
        let Some(view) = &mut self.view else { return };
        let key = without_numbers(live.key, view);
        let results = found.iter().map(|(_, entry)| entry.uid).collect();
        view.live.push(Live { key, results, ..live });
    }

    /// CANCELUPDATE. RFC 5267 §4.3.5: a tag that names nothing any more does no harm.
    pub(in crate::imap) fn cancel_update(&mut self, tags: &[String]) {
        if let Some(view) = &mut self.view {
            view.live.retain(|live| !tags.contains(&live.tag));
        }
    }

    /// Tells what has come into results and what has left them.
    pub(in crate::imap) async fn update_live(&mut self, out: &mut Output<'_>) {
        let Some(view) = &mut self.view else { return };
        let mut touched = std::mem::take(&mut view.touched);
        let mut fresh = std::mem::take(&mut view.fresh);
        let mut lives = std::mem::take(&mut view.live);
        let now = self.shared.world.clock.unix_seconds();
        touched.extend(lives.iter_mut().flat_map(|live| aged(live, &view.told, now)));
        if touched.is_empty() || lives.is_empty() {
            view.live = lives;
            return;
        }
        touched.sort_unstable();
        touched.dedup();
        fresh.sort_unstable();
        for live in &mut lives {
            match self.update(live, &touched, out).await {
                Ok((line, mut came)) => {
                    came.retain(|uid| fresh.binary_search(uid).is_ok());
                    if !live.items.is_empty() && !came.is_empty() {
                        self.fetch_quietly(came, live.items.clone(), out).await;
                    }
                    out.buffer().extend_from_slice(&line);
                }
                Err(error) => tracing::warn!(%error, "a search cannot be kept up to date"),
            }
            if out.relieve().await.is_err() {
                break;
            }
        }
        if let Some(view) = &mut self.view {
            view.live = lives;
        }
    }

    /// Looks again at messages that are new or have changed: what is to be said of it, and which
    /// have come into the results.
    async fn update(
        &self,
        live: &mut Live,
        touched: &[Uid],
        out: &mut Output<'_>,
    ) -> Result<(Vec<u8>, Vec<Uid>), StoreError> {
        let Some(view) = &self.view else { return Ok(Default::default()) };
        let told = &view.told;
        let mut uids = touched.to_vec();
        if mentions_last(&live.key) {
            // The one that was last before, and the one that is last now.
            let first = touched.first().map_or(0, |uid| told.find(*uid).unwrap_or_else(|at| at));
            let before = first.checked_sub(1).and_then(|at| told.at(at));
            uids.extend(before.into_iter().chain(told.last()).map(|entry| entry.uid));
            uids.sort_unstable();
            uids.dedup();
        }
        let (first, last) = (uids.first().copied(), uids.last().copied());
        let among = first.zip(last).unwrap_or((Uid::FIRST, Uid::FIRST));
        let key = self.with_annotations(live.key.clone(), view, among).await?;
        let test = Arc::new(Test::new(key, view, self.shared.world.clock.unix_seconds()));
        let (mut meet, mut fail, mut open) = (Vec::new(), Vec::new(), Found::new());
        for uid in &uids {
            let Ok(at) = told.find(*uid) else { continue };
            let Some(entry) = told.at(at) else { continue };
            match test.known(at + 1, entry) {
                Some(true) => meet.push(*entry),
                Some(false) => fail.push(*uid),
                None => open.push((at + 1, *entry)),
            }
            out.rest().await;
        }
        let mut rest = open.as_slice();
        while !rest.is_empty() {
            let (looked, some) = self.look_at(&test, rest).await?;
            let (now, later) = rest.split_at_checked(looked).unwrap_or_default();
            let meets = |uid: &Uid| some.binary_search_by_key(uid, |(_, entry)| entry.uid).is_ok();
            fail.extend(now.iter().map(|(_, entry)| entry.uid).filter(|uid| !meets(uid)));
            meet.extend(some.into_iter().map(|(_, entry)| entry));
            rest = later;
        }
        meet.sort_unstable_by_key(|entry| entry.uid);
        fail.sort_unstable();
        let places = live.places(&fail);
        let removed = live.remove(&places, told);
        let known: Vec<Uid> = meet.iter().map(|entry| entry.uid).collect();
        let mut present: Vec<Uid> =
            live.places(&known).iter().filter_map(|at| live.results.get(*at)).copied().collect();
        present.sort_unstable();
        meet.retain(|entry| present.binary_search(&entry.uid).is_err());
        let places = self.insert(live, meet, told).await?;
        let mut line = Vec::new();
        live.tell(&removed, &live.added(&places, told), &mut line);
        let came = places.iter().filter_map(|at| live.results.get(*at)).copied().collect();
        Ok((line, came))
    }

    /// Puts messages among the results; the places where they are then, ascending.
    async fn insert(
        &self,
        live: &mut Live,
        entries: Vec<Entry>,
        told: &Listing,
    ) -> Result<Vec<usize>, StoreError> {
        let mut places = Vec::with_capacity(entries.len());
        let Some(criteria) = &live.criteria else {
            live.results.extend(entries.iter().map(|entry| entry.uid));
            live.results.sort_unstable();
            let at = |entry: &Entry| live.results.binary_search(&entry.uid).ok();
            places.extend(entries.iter().filter_map(at));
            return Ok(places);
        };
        let entries: Vec<_> = entries.into_iter().map(|entry| (0, entry)).collect();
        let mut from = 0;
        for n in self.order(&entries, criteria).await? {
            let Some((_, entry)) = entries.get(n as usize).copied() else { continue };
            let rest = live.results.get(from..).unwrap_or_default();
            let probe = |n: usize| rest.get(n).and_then(|uid| told.get(*uid)).copied();
            let at = from + self.place_in_order(&entry, rest.len(), probe, criteria).await?;
            live.results.insert(at.min(live.results.len()), entry.uid);
            places.push(at);
            from = at + 1;
        }
        Ok(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(sorted: bool, results: &[u32]) -> Live {
        let results = results.iter().map(|n| Uid::new(*n).unwrap()).collect();
        let criteria = sorted.then(|| vec![(Criterion::Date, false)]);
        let (tag, of, items) = ("C01".to_owned(), String::new(), Vec::new());
        Live { tag, of, uid: true, key: Key::All, criteria, items, results, looked: 0 }
    }

    #[test]
    fn positions_are_those_of_the_client() {
        let told = Listing::empty();
        // RFC 5267 §4.3.3: 2734:2735 becomes 2731:2735.
        let sorted = live(true, &[2731, 2732, 2733, 2734, 2735]);
        assert_eq!(sorted.added(&[0, 1, 2], &told), " ADDTO (1 2731:2733)");
        assert_eq!(live(true, &[9, 3, 7, 1]).added(&[0, 2, 3], &told), " ADDTO (1 9 3 7,1)");
        // Those before are gone already when the next one goes.
        let mut sorted = live(true, &[9, 3, 4, 7, 1]);
        assert_eq!(sorted.remove(&[1, 2, 4], &told), " REMOVEFROM (2 3:4 3 1)");
        assert_eq!(sorted.results, live(true, &[9, 7]).results);
        let mut plain = live(false, &[1, 3, 4, 9]);
        assert_eq!(plain.remove(&[1, 2, 3], &told), " REMOVEFROM (0 3:4,9)");
        assert_eq!(plain.added(&[0], &told), " ADDTO (0 1)");
    }
}
