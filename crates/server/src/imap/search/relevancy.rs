//! How relevant messages are to FUZZY keys. RFC 6203 §4, §6.
//!
//! From 1 to 100. A text scores by where it stands: 100 as the whole of its field, 80 as words of
//! it, 50 within a word; in a search of everything a subject weighs 100 %, an address 80 %, a body
//! 60 % and a little more for each time, other fields 40 %. Keys that go together are averaged, of
//! OR the better one counts; what is no text, or is not to be there, was met and scores 100.

use super::candidate::is_large;
use super::test::field;
use super::{Found, TURN_MESSAGES};
use crate::imap::Context;
use crate::imap::fetch::summary;
use crate::limits::TURN;
use ::store::{Store, StoreError};
use mail::casemap::fold;
use mail::search::{Field, texts};
use mail::{Entry, Uid};
use protocol::imap::command::Returns;
use protocol::imap::command::search::{Criterion, Key};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

/// What each message scores.
pub(super) type Scores = HashMap<Uid, u32>;

/// Percent that each further place in a body adds, and all of them together.
const AGAIN: (u32, u32) = (5, 40);

/// Somebody wants to know: RETURN (RELEVANCY), or SORT (RELEVANCY).
pub(super) fn is_wanted(returns: &Returns, criteria: Option<&[(Criterion, bool)]>) -> bool {
    let sorts = |criteria: &[(Criterion, bool)]| {
        criteria.iter().any(|(criterion, _)| *criterion == Criterion::Relevancy)
    };
    returns.relevancy || criteria.is_some_and(sorts)
}

/// The texts of a message, folded.
type Texts = Vec<(Field, String)>;

/// Bodies have to be read for it.
fn reads_bodies(key: &Key) -> bool {
    match key {
        Key::Body(_) | Key::Text(_) | Key::Header(..) => true,
        Key::And(keys) => keys.iter().any(reads_bodies),
        Key::Or(a, b) => reads_bodies(a) || reads_bodies(b),
        _ => false,
    }
}

/// How a text stands in another, in percent; both folded.
fn standing(needle: &str, text: &str) -> u32 {
    if needle.is_empty() || text.trim() == needle {
        return 100;
    }
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let one = |(at, found): (usize, &str)| {
        let (before, rest) = text.split_at_checked(at).unwrap_or_default();
        let after = rest.get(found.len()..).unwrap_or_default();
        match is_word(before.chars().next_back()) || is_word(after.chars().next()) {
            true => 50,
            false => 80,
        }
    };
    text.match_indices(needle).map(one).max().unwrap_or(0)
}

/// How a text stands in a body: how often counts too.
fn standing_in_body(needle: &str, text: &str) -> u32 {
    let times = text.matches(needle).take(AGAIN.1 as usize).count() as u32;
    let more = (times.saturating_sub(1) * AGAIN.0).min(AGAIN.1);
    standing(needle, text).min(80) * 60 / 100 + more
}

/// The best standing of a text in a message, by what a field weighs.
fn best(needle: &str, texts: &Texts, weight: impl Fn(Field) -> u32) -> u32 {
    let one = |(of, text): &(Field, String)| match of {
        Field::Body if weight(Field::Body) > 0 => standing_in_body(needle, text),
        of => standing(needle, text) * weight(*of) / 100,
    };
    texts.iter().map(one).max().unwrap_or(0)
}

impl Context {
    /// What some messages of a mailbox score for some keys together.
    pub(super) async fn scores(&self, keys: &[Key], found: &Found) -> Result<Scores, StoreError> {
        let keys: Arc<[Key]> = keys.into();
        let mut scores = Scores::new();
        let mut rest = found.as_slice();
        while !rest.is_empty() {
            let some = rest.get(..rest.len().min(TURN_MESSAGES)).unwrap_or_default().to_vec();
            let keys = keys.clone();
            let scored = self.shared.store.aside(move |store| scored(store, &keys, &some)).await?;
            rest = rest.get(scored.len()..).unwrap_or_default();
            scores.extend(scored);
        }
        Ok(scores)
    }
}

/// What the first of some messages score that there is time for.
fn scored(
    store: &Store,
    keys: &[Key],
    messages: &[(u32, Entry)],
) -> Result<Vec<(Uid, u32)>, StoreError> {
    let begun = Instant::now();
    let bodies = keys.iter().any(reads_bodies);
    let mut scored = Vec::new();
    for (_, entry) in messages {
        let texts = folded_texts(store, entry, bodies)?;
        scored.push((entry.uid, average(keys, &texts).clamp(1, 100)));
        if begun.elapsed() >= TURN {
            break;
        }
    }
    Ok(scored)
}

/// What is too large, or gone, has the texts of its envelope.
fn folded_texts(store: &Store, entry: &Entry, bodies: bool) -> Result<Texts, StoreError> {
    let summary = match summary(store, entry) {
        Err(StoreError::NotFound(_)) => return Ok(Texts::new()),
        summary => summary?,
    };
    let read = |range| store.content(entry.content, range);
    let all = match bodies && !is_large(entry) {
        true => texts(&summary, read)?,
        false => {
            let envelope = summary.envelope.read();
            let fields = Field::ALL.into_iter().take(5);
            fields.map(|of| (of, of.text(&envelope))).collect()
        }
    };
    Ok(all.into_iter().map(|(of, text)| (of, fold(&text))).collect())
}

/// What a message scores for keys that go together.
fn average(keys: &[Key], texts: &Texts) -> u32 {
    keys.iter().map(|key| score(key, texts)).sum::<u32>() / keys.len().max(1) as u32
}

fn score(key: &Key, texts: &Texts) -> u32 {
    let only = |wanted: Field| move |of: Field| if of == wanted { 100 } else { 0 };
    match key {
        Key::And(keys) => average(keys, texts),
        Key::Or(a, b) => score(a, texts).max(score(b, texts)),
        Key::Envelope(name, text) => {
            field(name).map_or(0, |wanted| best(&fold(text), texts, only(wanted)))
        }
        Key::Header(_, text) => best(&fold(text), texts, only(Field::Header)),
        Key::Body(text) => best(&fold(text), texts, only(Field::Body)),
        Key::Text(text) => best(&fold(text), texts, |of| match of {
            Field::Subject | Field::Body => 100,
            Field::Header => 40,
            _ => 80,
        }),
        _ => 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_scores_by_where_it_stands() {
        assert_eq!(standing("WORK", "WORK"), 100);
        assert_eq!(standing("WORK", "RE: WORK TODAY"), 80);
        assert_eq!(standing("WORK", "HOMEWORK"), 50);
        assert_eq!(standing("WORK", "HOMEWORK WORK"), 80);
        assert_eq!(standing("\u{c9}", "\u{c9}T\u{c9}"), 50);
        assert_eq!(standing("WORK", "PLAY"), 0);
        assert_eq!(standing_in_body("WORK", "WORK"), 48);
        assert_eq!(standing_in_body("WORK", "WORK, WORK, WORK"), 58);
        assert_eq!(standing_in_body("A", &"A ".repeat(1000)), 88);
    }
}
