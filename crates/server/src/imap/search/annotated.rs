//! Annotations in SEARCH and SORT. RFC 5257 §4.8, §4.9.
//!
//! Few messages have any, and those that have are found in one look over the annotations of the
//! mailbox, not one message after the other: before a search begins, each key for annotations
//! becomes the UIDs of the messages that meet it.

use crate::imap::Context;
use crate::imap::view::View;
use ::store::{Note, StoreError};
use mail::annotation::matches;
use mail::casemap::{Needle, fold};
use mail::{Entry, MailboxId, Scope, Uid};
use protocol::imap::command::search::{Criterion, Key};
use protocol::imap::grammar::{Number, SequenceSet};
use std::collections::HashMap;

/// UIDs whose annotations are read in one look.
const BATCH: u32 = 4096;
/// Octets of a value that SORT compares.
const SORTED_OCTETS_MAX: usize = 1024;

/// A key for annotations, and what it has found.
struct Sought {
    pattern: String,
    scope: Option<Scope>,
    /// `None`: any value.
    needle: Option<Needle>,
    found: Vec<Uid>,
}

impl Sought {
    /// `folded` is the value.
    fn is_in(&self, scope: Scope, entry: &str, folded: &str) -> bool {
        self.scope.is_none_or(|wanted| wanted == scope)
            && matches(&self.pattern, entry)
            && self.needle.as_ref().is_none_or(|needle| needle.is_in_folded(folded))
    }
}

/// The keys for annotations, in the order in which [`replaced`] takes them.
fn sought(key: &Key, all: &mut Vec<Sought>) {
    match key {
        Key::Annotation(pattern, scope, text) => {
            let (pattern, scope, found) = (pattern.clone(), *scope, Vec::new());
            all.push(Sought { pattern, scope, needle: text.as_deref().map(Needle::new), found });
        }
        Key::And(keys) => keys.iter().for_each(|key| sought(key, all)),
        Key::Or(a, b) => {
            sought(a, all);
            sought(b, all);
        }
        Key::Not(key) => sought(key, all),
        _ => {}
    }
}

/// The key with UIDs in the place of annotations.
fn replaced(key: Key, found: &mut impl Iterator<Item = Vec<Uid>>) -> Key {
    match key {
        Key::Annotation(_, _, text) => {
            let value = |uid: Uid| Number::Value(uid.get());
            let ranges = found.next().unwrap_or_default().into_iter();
            let uids =
                Key::Uid(SequenceSet::Ranges(ranges.map(|n| (value(n), value(n))).collect()));
            if text.is_some() { uids } else { Key::Not(Box::new(uids)) }
        }
        Key::And(keys) => Key::And(keys.into_iter().map(|key| replaced(key, found)).collect()),
        Key::Or(a, b) => {
            let a = replaced(*a, found);
            Key::Or(Box::new(a), Box::new(replaced(*b, found)))
        }
        Key::Not(key) => Key::Not(Box::new(replaced(*key, found))),
        key => key,
    }
}

/// Its values change, or depend on the search, while those of other criteria stay as they are.
pub(super) fn sorts_anew(criteria: &[(Criterion, bool)]) -> bool {
    let changes = |of: &Criterion| matches!(of, Criterion::Annotation(..) | Criterion::Relevancy);
    criteria.iter().any(|(criterion, _)| changes(criterion))
}

/// What some messages are sorted by, for each criterion that is an annotation.
#[derive(Default)]
pub(super) struct SortValues(HashMap<(Uid, usize), String>);

impl SortValues {
    /// The value of a message for the criterion of that place; empty where there is none.
    pub fn get(&self, uid: Uid, criterion: usize) -> &str {
        self.0.get(&(uid, criterion)).map(String::as_str).unwrap_or_default()
    }
}

impl Context {
    /// The key with the UIDs of messages that have such annotations in the place of keys for these;
    /// of messages from `from` to `to`.
    pub(super) async fn with_annotations(
        &self,
        key: Key,
        view: &View,
        (from, to): (Uid, Uid),
    ) -> Result<Key, StoreError> {
        let mut all = Vec::new();
        sought(&key, &mut all);
        if all.is_empty() {
            return Ok(key);
        }
        let look = |all: &mut Vec<Sought>, uid: Uid, scope: Scope, notes: Vec<Note<'_>>| {
            let text = |note: &Note<'_>| Some(fold(&String::from_utf8_lossy(note.value.as_ref()?)));
            let here = notes.iter().filter_map(|note| Some((&note.entry, text(note)?)));
            for (entry, folded) in here {
                for one in all.iter_mut().filter(|one| one.found.last() != Some(&uid)) {
                    if one.is_in(scope, entry, &folded) {
                        one.found.push(uid);
                    }
                }
            }
        };
        let all = self.each_annotated(view.mailbox, (from, to), all, look).await?;
        Ok(replaced(key, &mut all.into_iter().map(|one| one.found)))
    }

    /// What messages, sorted by UID, are sorted by.
    pub(super) async fn annotation_values(
        &self,
        mailbox: MailboxId,
        messages: &[(u32, Entry)],
        criteria: &[(Criterion, bool)],
    ) -> Result<SortValues, StoreError> {
        let values = SortValues::default();
        let (Some((_, first)), Some((_, last))) = (messages.first(), messages.last()) else {
            return Ok(values);
        };
        if !sorts_anew(criteria) {
            return Ok(values);
        }
        let criteria = criteria.to_vec();
        let look = move |values: &mut SortValues, uid: Uid, scope: Scope, notes: Vec<Note<'_>>| {
            for (at, (criterion, _)) in criteria.iter().enumerate() {
                let Criterion::Annotation(name, wanted) = criterion else { continue };
                let note = notes.iter().find(|note| note.entry == *name && scope == *wanted);
                if let Some(value) = note.and_then(|note| note.value.as_deref()) {
                    let start = value.get(..SORTED_OCTETS_MAX).unwrap_or(value);
                    values.0.insert((uid, at), fold(&String::from_utf8_lossy(start)));
                }
            }
        };
        self.each_annotated(mailbox, (first.uid, last.uid), values, look).await
    }

    /// Makes something of the annotations of messages from `from` to `to` that the session may see,
    /// where no session waits.
    async fn each_annotated<T: Send + 'static>(
        &self,
        mailbox: MailboxId,
        (from, to): (Uid, Uid),
        mut made: T,
        mut look: impl FnMut(&mut T, Uid, Scope, Vec<Note<'_>>) + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, who) = (&self.shared.store, self.actor()?.account);
        if !store.has_notes(mailbox)? {
            return Ok(made);
        }
        store
            .aside(move |store| {
                let mut first = from;
                loop {
                    let last =
                        Uid::new(first.get().saturating_add(BATCH - 1)).unwrap_or(to).min(to);
                    store.each_notes(mailbox, who, (first, last), |uid, scope, notes| {
                        look(&mut made, uid, scope, notes);
                    })?;
                    match last.next() {
                        Some(next) if next <= to => first = next,
                        _ => return Ok(made),
                    }
                }
            })
            .await
    }
}
