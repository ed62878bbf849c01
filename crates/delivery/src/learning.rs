//! Learning what is spam to whom, from what accounts do with their mail (`store::lessons`, where it
//! stands what counts), and judging new mail by it. users.md I-84.
//!
//! Learning is background work, so that no command of a client waits for it: lessons wait in rows
//! that were committed with what they are about, and go in the commit that keeps what they taught.
//! A crash in between repeats nothing and loses nothing. A message that is gone before its turn
//! comes teaches nothing.

use crate::limits::{LEARN_AGAIN, LEARN_AT_ONCE, LEARN_PAUSE};
use mail::summary::Summary;
use mail::tokens::tokens;
use mail::{AccountId, ContentId};
use policy::spam::{self, Opinion};
use std::collections::HashMap;
use std::time::Duration;
use store::{ContentRow, Lesson, Said, Store, StoreError, Taught};
use tokio::sync::watch;

/// Learns until `shutdown`.
pub async fn learn(store: Store, mut shutdown: watch::Receiver<bool>) {
    let mut lessons = store.lessons_watch();
    loop {
        lessons.borrow_and_update();
        let wait = match learn_all(&store).await {
            Ok(()) => Duration::MAX,
            Err(error) => {
                tracing::warn!(%error, "learning what is spam");
                LEARN_AGAIN
            }
        };
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            changed = lessons.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wait) => {}
        }
        // More of the same comes soon: what was learned is written once for all of it.
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            () = tokio::time::sleep(LEARN_PAUSE) => {}
        }
    }
}

/// Learns from all lessons that wait.
async fn learn_all(store: &Store) -> Result<(), StoreError> {
    for account in store.accounts_with_lessons()? {
        while learn_some(store, account).await? {}
    }
    Ok(())
}

/// Learns from some lessons of an account; whether there may be more.
async fn learn_some(store: &Store, account: AccountId) -> Result<bool, StoreError> {
    let made = store.aside(move |store| study(store, account)).await?;
    let Some((learned, taught)) = made else { return Ok(false) };
    store.learn(account, learned, taught).await?;
    Ok(true)
}

/// Works out what the oldest lessons of an account teach, and names them.
fn study(store: &Store, account: AccountId) -> Result<Option<(Vec<String>, Taught)>, StoreError> {
    let (mut names, mut last, mut order) = (Vec::new(), HashMap::new(), Vec::new());
    for Lesson { name, said, contents } in store.lessons(account)? {
        names.push(name);
        for content in contents {
            // The last word on a message counts.
            if last.insert(content, said).is_none() {
                order.push(content);
            }
        }
        if order.len() >= LEARN_AT_ONCE {
            break;
        }
    }
    if names.is_empty() {
        return Ok(None);
    }
    let mut lessons = Vec::with_capacity(order.len());
    for id in order {
        let Some(said) = last.get(&id) else { continue };
        match words_of(store, id) {
            Ok(Some((row, words))) => {
                lessons.push(spam::Lesson::new(number(&row), &words, opinion(*said)));
            }
            // It is gone, or damaged.
            Ok(None) => {}
            Err(error) => tracing::debug!(content = %id, %error, "a lesson cannot be read"),
        }
    }
    let old = store.taught(account)?;
    let (words, messages) = spam::learn(&old.words, &old.messages, &lessons);
    Ok(Some((names, Taught { words, messages })))
}

/// Where a message is, and its tokens.
fn words_of(store: &Store, id: ContentId) -> Result<Option<(ContentRow, Vec<String>)>, StoreError> {
    let mut kept = store.kept(&[id], true, true)?;
    let (row, summary) = (kept.rows.pop().flatten(), kept.summaries.pop().flatten());
    let summary = summary.as_deref().and_then(Summary::decode);
    let (Some(row), Some(summary)) = (row, summary) else { return Ok(None) };
    let read = |range| {
        let mut out = Vec::new();
        store.octets(&row, range, &mut out)?;
        Ok(out)
    };
    let words = tokens(&summary, read)?;
    Ok(Some((row, words)))
}

/// A number that only messages of the same octets share: those that a client fetched and appended
/// again are the same message.
fn number(row: &ContentRow) -> u64 {
    (u64::from(row.crc) << 31) ^ row.len
}

fn opinion(said: Said) -> Opinion {
    match said {
        Said::Spam => Opinion::Spam,
        Said::Ham => Opinion::Ham,
        Said::Nothing => Opinion::Nothing,
    }
}
