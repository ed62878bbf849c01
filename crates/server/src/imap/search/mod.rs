//! SEARCH, SORT, THREAD. RFC 3501 §6.4.4, RFC 5256; results as RFC 4731, RFC 5182, RFC 5267 §3 and
//! RFC 9394 want them.

mod annotated;
mod arranged;
mod candidate;
mod filtered;
pub(super) mod live;
mod order;
mod progress;
mod relevancy;
mod several;
mod test;

use super::limited::searched;
use super::view::View;
use super::{Context, Done, ok};
use crate::drive::Output;
use ::store::StoreError;
use live::Live;
use mail::{AccountId, Entry, Uid};
use progress::Progress;
use protocol::imap::command::search::{Criterion, Key, Sort, Thread};
use protocol::imap::command::{Returns, Search};
use protocol::imap::grammar::{Charset, Number, SequenceSet};
use protocol::imap::response;
use protocol::imap::session::Answer;
use relevancy::Scores;
use std::sync::Arc;
use test::{Test, uids_of};

pub use arranged::Arrangements;

/// Fewer messages than these are read as quickly as an index is asked.
const INDEX_MESSAGES_MIN: usize = 256;
/// Messages whose summaries are found in one look.
const BATCH: usize = 64;
/// Messages that are looked at beside the sessions in one turn, at most.
const TURN_MESSAGES: usize = 4096;

/// Messages found, with their numbers.
type Found = Vec<(u32, Entry)>;

/// Why nothing was looked for.
enum Stopped {
    Answer(Answer),
    Store(StoreError),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Stopped {
        Stopped::Store(error)
    }
}

fn done(result: Result<Answer, Stopped>) -> Done {
    match result {
        Ok(answer) | Err(Stopped::Answer(answer)) => Ok(answer),
        Err(Stopped::Store(error)) => Err(error),
    }
}

impl Context {
    pub(super) async fn search(&mut self, uid: bool, search: Search, out: &mut Output<'_>) -> Done {
        done(self.search_and_tell(uid, search, None, out).await)
    }

    pub(super) async fn sort(&mut self, uid: bool, sort: Sort, out: &mut Output<'_>) -> Done {
        done(self.search_and_tell(uid, sort.search, Some(&sort.criteria), out).await)
    }

    pub(super) async fn thread(&mut self, uid: bool, thread: Thread, out: &mut Output<'_>) -> Done {
        done(self.thread_and_tell(uid, thread, out).await)
    }

    async fn thread_and_tell(
        &mut self,
        uid: bool,
        thread: Thread,
        out: &mut Output<'_>,
    ) -> Result<Answer, Stopped> {
        if mentions_modseq(&thread.search.key) {
            self.enable_condstore(out);
        }
        let (_, found, lowest) = self.find_selected(&thread.search, out).await?;
        if lowest.is_some() {
            return Ok(self.too_many(usize::MAX).unwrap_or_else(|| ok("THREAD completed")));
        }
        let threads = match &self.view {
            Some(view) => self.threads(view.mailbox, &found, thread.algorithm).await?,
            None => Arc::default(),
        };
        let number = |n: usize| found.get(n).map_or(0, |message| shown(uid, message));
        let shown = threads.show(number);
        let blank = if shown.is_empty() { "" } else { " " };
        out.buffer().extend_from_slice(format!("* THREAD{blank}{shown}\r\n").as_bytes());
        Ok(ok("THREAD completed"))
    }

    async fn search_and_tell(
        &mut self,
        uid: bool,
        search: Search,
        criteria: Option<&[(Criterion, bool)]>,
        out: &mut Output<'_>,
    ) -> Result<Answer, Stopped> {
        if mentions_modseq(&search.key) {
            self.enable_condstore(out);
        }
        let asked = search.returns.unwrap_or_default();
        if asked.update && self.is_updated(&search.tag) {
            // RFC 5267 §4.3: it has no effect.
            return Ok(Answer::Bad("Tag reuse".to_owned()));
        }
        let found = self.find_selected(&search, out).await;
        if let (true, Err(_), Some(view)) = (asked.save, &found, &mut self.view) {
            // RFC 5182 §2.1: empty after a search that fails.
            view.saved = Vec::new();
        }
        let (key, mut found, lowest) = found?;
        let verb = if criteria.is_some() { "SORT" } else { "SEARCH" };
        if let (Some(_), Some(_), Some(refusal)) = (lowest, criteria, self.too_many(usize::MAX)) {
            // RFC 9738: half of an order is none.
            if let (true, Some(view)) = (asked.save, &mut self.view) {
                view.saved = Vec::new();
            }
            return Ok(refusal);
        }
        let scores = match relevancy::is_wanted(&asked, criteria) {
            true => self.scores(&search.fuzzy, &found).await?,
            false => Scores::new(),
        };
        if let (Some(criteria), Some(view)) = (criteria, &self.view) {
            found = self.sort_messages(view.mailbox, found, criteria, &scores).await?;
        }
        let returns = match search.returns {
            // RFC 9051 §6.4.4: with IMAP4rev2 there is no SEARCH response.
            None if self.enabled.rev2 && criteria.is_none() => {
                Some(Returns { all: true, ..Returns::default() })
            }
            returns => returns,
        };
        let modseq = mentions_modseq(&search.key);
        match returns {
            None => plain(verb, uid, &found, modseq, out.buffer()),
            Some(returns) => {
                let told = Told { uid, tag: &search.tag, of: None, modseq, scores: &scores };
                extended(&told, &found, returns, out.buffer());
            }
        }
        if asked.update {
            let (tag, criteria) = (search.tag.clone(), criteria.map(<[_]>::to_vec));
            let of = String::new();
            let (items, results) = (search.update_items.clone(), Vec::new());
            let looked = self.shared.world.clock.unix_seconds();
            let live = Live { tag, of, uid, key, criteria, items, results, looked };
            self.keep_live(&found, live, out.buffer());
        }
        if let (true, Some(view)) = (asked.save, &mut self.view) {
            view.saved = saved(&found, &asked);
        }
        Ok(self.tell_limit(Answer::Ok(format!("{verb} completed")), lowest, out))
    }

    /// The messages of the selected mailbox that a search finds, its key without filters, and the
    /// lowest UID it looked at if there were too many.
    async fn find_selected(
        &self,
        search: &Search,
        out: &mut Output<'_>,
    ) -> Result<(Key, Found, Option<Uid>), Stopped> {
        let mut key = self.key_of(search)?;
        let Some(view) = &self.view else {
            return Err(Stopped::Answer(Answer::Bad("Select a mailbox first".to_owned())));
        };
        let lowest = self.lowest_searched(view, &key);
        if let Some(lowest) = lowest {
            let newest = (Number::Value(lowest.get()), Number::Last);
            key = Key::And(vec![Key::Uid(SequenceSet::Ranges(vec![newest])), key]);
        }
        let mut progress = Progress::new(&search.tag, true);
        let found = self.find(view, key.clone(), &mut progress, out).await?;
        Ok((key, found, lowest))
    }

    /// Where a search begins that has to leave out the oldest messages. RFC 9738.
    fn lowest_searched(&self, view: &View, key: &Key) -> Option<Uid> {
        if view.told.len() <= self.message_limit() {
            return None;
        }
        let test = Test::new(searched(key), view, 0);
        let looked_at = |(number, entry): &(u32, &Entry)| test.known(*number, entry);
        let all = (1..).zip(view.told.iter()).filter(|one| looked_at(one) == Some(true));
        let mut uids: Vec<Uid> = all.map(|(_, entry)| entry.uid).collect();
        let over = uids.len().checked_sub(self.message_limit() as usize)?;
        (over > 0).then(|| uids.swap_remove(over))
    }

    /// What a search looks for, with filters in place.
    fn key_of(&self, search: &Search) -> Result<Key, Stopped> {
        if !search.is_charset_known() {
            let text = "[BADCHARSET (UTF-8)] That charset is not known";
            return Err(Stopped::Answer(Answer::No(text.to_owned())));
        }
        if !search.fits_filters() {
            let text = "[BADCHARSET (UTF-8)] Filters are in UTF-8";
            return Err(Stopped::Answer(Answer::Bad(text.to_owned())));
        }
        self.with_filters(search)
    }

    /// The messages of a mailbox that meet the key.
    async fn find(
        &self,
        view: &View,
        key: Key,
        progress: &mut Progress,
        out: &mut Output<'_>,
    ) -> Result<Found, Stopped> {
        let now = self.shared.world.clock.unix_seconds();
        let last = view.told.last().map_or(Uid::FIRST, |entry| entry.uid);
        let key = self.with_annotations(key, view, (Uid::FIRST, last)).await?;
        let mut test = Test::new(key, view, now);
        let indexed = self.ask_index(&mut test, view)?;
        let mut found = Vec::new();
        let mut open = Vec::new();
        for (number, entry) in (1..).zip(view.told.iter()) {
            match test.known(number, entry) {
                Some(true) => found.push((number, *entry)),
                Some(false) => {}
                None => open.push((number, *entry)),
            }
            if number % BATCH as u32 == 0 {
                out.rest().await;
            }
        }
        out.rest().await;
        if open.is_empty() {
            return Ok(found);
        }
        if let Some(owner) = indexed.filter(|_| open.len() >= INDEX_MESSAGES_MIN) {
            self.shared.store.want_search_index(owner);
        }
        let test = Arc::new(test);
        let (mut rest, mut other) = halves(&open);
        while !(rest.is_empty() && other.is_empty()) {
            let looked = tokio::join!(self.look_at(&test, rest), self.look_at(&test, other));
            for (rest, looked) in [(&mut rest, looked.0?), (&mut other, looked.1?)] {
                *rest = rest.get(looked.0..).unwrap_or_default();
                found.extend(looked.1);
            }
            let all = view.told.len();
            let looked = all.saturating_sub((rest.len() + other.len()) as u32);
            if let Some(code) = progress.due(looked, all) {
                self.untagged("OK", &code, "Still searching", out.buffer());
                if out.flush().await.is_err() {
                    break;
                }
            }
        }
        found.sort_unstable_by_key(|(number, _)| *number);
        Ok(found)
    }

    /// Lets the test learn what the index of the mailbox's owner knows, and says who that is;
    /// `None` when an index would not help.
    fn ask_index(&self, test: &mut Test, view: &View) -> Result<Option<AccountId>, StoreError> {
        let store = &self.shared.store;
        let questions = test.questions();
        if view.told.len() < INDEX_MESSAGES_MIN as u32 || questions.is_empty() {
            return Ok(None);
        }
        let row = store.look(|txn| txn.mailbox(view.mailbox))?;
        let Some(owner) = row.map(|row| row.account) else { return Ok(None) };
        test.learn(&mut store.search_index(owner, &questions).into_iter());
        Ok(Some(owner))
    }

    /// Looks at the first of some messages where no session waits: how many, and which meet the
    /// test.
    async fn look_at(
        &self,
        test: &Arc<Test>,
        messages: &[(u32, Entry)],
    ) -> Result<(usize, Found), StoreError> {
        if messages.is_empty() {
            return Ok((0, Found::new()));
        }
        let some = messages.get(..messages.len().min(TURN_MESSAGES)).unwrap_or_default().to_vec();
        let test = test.clone();
        self.shared.store.aside(move |store| test.look_at(store, &some)).await
    }
}

/// What two processors look at; few messages are left to one.
fn halves<T>(messages: &[T]) -> (&[T], &[T]) {
    match messages.len() < TURN_MESSAGES {
        true => (messages, &[]),
        false => messages.split_at(messages.len() / 2),
    }
}

fn shown(uid: bool, message: &(u32, Entry)) -> u32 {
    if uid { message.1.uid.get() } else { message.0 }
}

/// The messages that a search with these options is about: all that were found, or only those that
/// MIN, MAX and PARTIAL tell. RFC 5182 §2.4, RFC 9394 §3.2; RFC 4731 §3.2 says the same of MODSEQ.
fn meant<'a>(found: &'a Found, returns: &Returns) -> impl Iterator<Item = &'a Entry> {
    let some = returns.min || returns.max || returns.partial.is_some();
    let all = returns.all || returns.count || !some;
    let min = found.first().filter(|_| returns.min && !all);
    let max = found.last().filter(|_| returns.max && !all);
    let rest = match returns.partial {
        _ if all => found.as_slice(),
        Some(partial) => partial.window(found),
        None => &[],
    };
    min.into_iter().chain(max).chain(rest).map(|(_, entry)| entry)
}

/// What `$` holds afterwards.
fn saved(found: &Found, returns: &Returns) -> Vec<mail::Uid> {
    uids_of(meant(found, returns).copied())
}

/// `* SEARCH 2 3 6`, `* SORT 3 2`.
fn plain(verb: &str, uid: bool, found: &Found, modseq: bool, out: &mut Vec<u8>) {
    let mut line = format!("* {verb}");
    for message in found {
        line.push(' ');
        line.push_str(&shown(uid, message).to_string());
    }
    let highest = found.iter().map(|(_, entry)| entry.modseq).max();
    if let Some(highest) = highest.filter(|_| modseq) {
        line.push_str(&format!(" (MODSEQ {highest})"));
    }
    line.push_str("\r\n");
    out.extend_from_slice(line.as_bytes());
}

/// A mailbox name as it is told.
fn shown_mailbox(name: &str, charset: Charset) -> String {
    let mut text = Vec::new();
    response::mailbox(name, charset, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// What an ESEARCH response says beside its results.
struct Told<'a> {
    /// It tells UIDs.
    uid: bool,
    /// The command's tag.
    tag: &'a str,
    /// Which mailbox, as it goes behind the tag. RFC 7377 §2.1.
    of: Option<String>,
    /// MODSEQ is told too.
    modseq: bool,
    /// What the messages score, if that is to be told.
    scores: &'a Scores,
}

/// `* ESEARCH (TAG "a") …`. RFC 4731 §3.1, RFC 5267 §3.1.
fn extended(told: &Told<'_>, found: &Found, returns: Returns, out: &mut Vec<u8>) {
    if returns == (Returns { save: true, ..Returns::default() }) {
        // RFC 5182 §2.1: nothing to tell.
        return;
    }
    let numbers: Vec<u32> = found.iter().map(|message| shown(told.uid, message)).collect();
    let of = told.of.as_deref().unwrap_or_default();
    let mut line = format!("* ESEARCH (TAG \"{}\"{of})", told.tag);
    if told.uid {
        line.push_str(" UID");
    }
    if let (true, Some(n)) = (returns.min, numbers.first()) {
        line.push_str(&format!(" MIN {n}"));
    }
    if let (true, Some(n)) = (returns.max, numbers.last()) {
        line.push_str(&format!(" MAX {n}"));
    }
    if returns.all && !numbers.is_empty() {
        line.push_str(&format!(" ALL {}", response::set(&numbers)));
    }
    if let Some(partial) = returns.partial {
        let window = response::set(partial.window(&numbers));
        let window = if window.is_empty() { "NIL" } else { &window };
        line.push_str(&format!(" PARTIAL ({partial} {window})"));
    }
    if returns.count {
        line.push_str(&format!(" COUNT {}", numbers.len()));
    }
    if returns.relevancy {
        // RFC 6203 §4: of the messages that are told, in their order.
        let uncounted = Returns { count: false, ..returns };
        let score = |entry: &Entry| told.scores.get(&entry.uid).copied().unwrap_or(1).to_string();
        let scores: Vec<String> = meant(found, &uncounted).map(score).collect();
        line.push_str(&format!(" RELEVANCY ({})", scores.join(" ")));
    }
    let highest = meant(found, &returns).map(|entry| entry.modseq).max();
    if let Some(highest) = highest.filter(|_| told.modseq) {
        line.push_str(&format!(" MODSEQ {highest}"));
    }
    line.push_str("\r\n");
    out.extend_from_slice(line.as_bytes());
}

fn mentions_modseq(key: &Key) -> bool {
    match key {
        Key::ModSeq(_) => true,
        Key::And(keys) => keys.iter().any(mentions_modseq),
        Key::Or(a, b) => mentions_modseq(a) || mentions_modseq(b),
        Key::Not(key) => mentions_modseq(key),
        _ => false,
    }
}
