//! Search keys made ready for one mailbox, and whether a message meets them. RFC 3501 §6.4.4.
//!
//! Numbers, flags, dates and sizes are answered from the listing; header and body are read only for
//! messages that everything else lets through, where no session waits.

use super::candidate::{Batch, Candidate};
use super::{BATCH, Found};
use crate::imap::view::View;
use crate::imap::{email_id, thread_id};
use crate::limits::TURN;
use ::store::{Answers, Neighbours, Store, StoreError};
use mail::casemap::Needle;
use mail::search::{Field, Plan};
use mail::stored::StoredEnvelope;
use mail::summary::Summary;
use mail::{ContentId, Entry, FlagBits, Uid, date};
use protocol::imap::command::search::Key;
use protocol::imap::grammar::SequenceSet;
use tokio::time::Instant;

/// A search key with all that can be known beforehand worked out.
pub(crate) enum Test {
    /// All of these; the cheap ones first.
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Never,
    Flag(FlagBits),
    Numbers(Vec<(u32, u32)>),
    Uids(Vec<(u32, u32)>),
    Internal(i64, i64),
    Saved(i64, i64),
    Sent(i64, i64),
    Larger(u64),
    Smaller(u64),
    ModSeq(u64),
    Content(ContentId),
    Thread(String),
    /// A text of the envelope: RFC 3501 §6.4.4 says so of SUBJECT, FROM, TO, CC and BCC.
    Envelope(Field, Needle, Answers),
    Header(Vec<u8>, Needle, Answers),
    Body(Needle, Answers),
    /// In the header or in the body.
    Text(Needle, Answers, Answers),
}

/// The field of an envelope that a key is about.
pub(super) fn field(name: &str) -> Option<Field> {
    Some(match name {
        "SUBJECT" => Field::Subject,
        "FROM" => Field::From,
        "TO" => Field::To,
        "CC" => Field::Cc,
        "BCC" => Field::Bcc,
        _ => return None,
    })
}

impl Test {
    /// Makes a key ready for what the client was told of a mailbox.
    pub fn new(key: Key, view: &View, now: i64) -> Test {
        let told = &view.told;
        let none = Answers::default;
        match key {
            Key::All => Test::All(Vec::new()),
            Key::And(keys) => {
                let mut tests: Vec<Test> =
                    keys.into_iter().map(|key| Test::new(key, view, now)).collect();
                tests.sort_by_key(Test::reads);
                Test::All(tests)
            }
            Key::Or(a, b) => {
                let mut tests = vec![Test::new(*a, view, now), Test::new(*b, view, now)];
                tests.sort_by_key(Test::reads);
                Test::Any(tests)
            }
            Key::Not(key) => Test::Not(Box::new(Test::new(*key, view, now))),
            Key::Flag(flag) => told.keywords.bit(&flag).map_or(Test::Never, Test::Flag),
            Key::Recent => Test::Uids(view.recent.clone()),
            Key::Sequence(SequenceSet::Saved) | Key::Uid(SequenceSet::Saved) => {
                Test::Uids(view.saved.iter().map(|uid| (uid.get(), uid.get())).collect())
            }
            Key::Sequence(set) => Test::Numbers(set.ranges(told.len())),
            Key::Uid(set) => Test::Uids(set.ranges(told.last().map_or(0, |entry| entry.uid.get()))),
            Key::Internal(from, to) => Test::Internal(from, to),
            Key::Saved(from, to) => Test::Saved(from, to),
            Key::Older(seconds) => Test::Internal(i64::MIN, ago(now, seconds).saturating_add(1)),
            Key::Younger(seconds) => Test::Internal(ago(now, seconds), i64::MAX),
            Key::Sent(from, to) => Test::Sent(from, to),
            Key::Larger(n) => Test::Larger(n),
            Key::Smaller(n) => Test::Smaller(n),
            // They were put in place before.
            Key::Filter(_) | Key::Annotation(..) => Test::Never,
            Key::ModSeq(n) => Test::ModSeq(n),
            Key::EmailId(id) => match id.strip_prefix('M').and_then(|id| id.parse().ok()) {
                Some(n) if email_id(ContentId(n)) == id => Test::Content(ContentId(n)),
                _ => Test::Never,
            },
            Key::ThreadId(id) => Test::Thread(id),
            Key::Envelope(name, text) => match field(name) {
                Some(of) => Test::Envelope(of, Needle::new(&text), none()),
                None => Test::Never,
            },
            Key::Header(name, text) => Test::Header(name.into_bytes(), Needle::new(&text), none()),
            // Nothing at all is in every text, also in that of a picture.
            Key::Body(text) | Key::Text(text) if text.is_empty() => Test::All(Vec::new()),
            Key::Body(text) => Test::Body(Needle::new(&text), none()),
            Key::Text(text) => Test::Text(Needle::new(&text), none(), none()),
        }
    }

    /// It needs more than the listing.
    pub fn reads(&self) -> bool {
        match self {
            Test::Sent(..)
            | Test::Thread(_)
            | Test::Envelope(..)
            | Test::Header(..)
            | Test::Body(..)
            | Test::Text(..) => true,
            Test::All(tests) | Test::Any(tests) => tests.iter().any(Test::reads),
            Test::Not(test) => test.reads(),
            _ => false,
        }
    }

    /// Whether the message meets it, if that can be told without reading anything.
    pub fn known(&self, number: u32, entry: &Entry) -> Option<bool> {
        Some(match self {
            Test::All(tests) => {
                let mut all = Some(true);
                for test in tests {
                    match test.known(number, entry) {
                        Some(false) => return Some(false),
                        Some(true) => {}
                        None => all = None,
                    }
                }
                return all;
            }
            Test::Any(tests) => {
                let mut any = Some(false);
                for test in tests {
                    match test.known(number, entry) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => any = None,
                    }
                }
                return any;
            }
            Test::Not(test) => !test.known(number, entry)?,
            Test::Never => false,
            Test::Flag(bits) => entry.flags.contains(*bits),
            Test::Numbers(ranges) => within(ranges, number),
            Test::Uids(ranges) => within(ranges, entry.uid.get()),
            Test::Internal(from, to) => (*from..*to).contains(&entry.date),
            Test::Saved(from, to) => (*from..*to).contains(&i64::from(entry.saved)),
            Test::Larger(n) => u64::from(entry.size) > *n,
            Test::Smaller(n) => u64::from(entry.size) < *n,
            Test::ModSeq(n) => entry.modseq.0 >= *n,
            Test::Content(id) => entry.content == *id,
            Test::Sent(..) | Test::Thread(_) => return None,
            Test::Envelope(_, _, index) | Test::Body(_, index) => return index.get(entry.content),
            // In another field it would not count: the index knows only that it is in none.
            Test::Header(_, _, index) => {
                return index.get(entry.content).filter(|somewhere| !somewhere);
            }
            Test::Text(_, header, body) => {
                match (header.get(entry.content), body.get(entry.content)) {
                    (Some(true), _) | (_, Some(true)) => true,
                    (Some(false), Some(false)) => false,
                    _ => return None,
                }
            }
        })
    }
}

/// Asking an index.
impl Test {
    /// What an index of words is to be asked, in the order in which [`Test::learn`] takes the
    /// answers.
    pub fn questions(&self) -> Vec<(Field, Plan)> {
        match self {
            Test::All(tests) | Test::Any(tests) => tests.iter().flat_map(Test::questions).collect(),
            Test::Not(test) => test.questions(),
            Test::Envelope(of, needle, _) => vec![(*of, Plan::new(needle.folded()))],
            Test::Header(_, needle, _) => vec![(Field::Header, Plan::new(needle.folded()))],
            Test::Body(needle, _) => vec![(Field::Body, Plan::new(needle.folded()))],
            Test::Text(needle, ..) => {
                let plan = Plan::new(needle.folded());
                vec![(Field::Header, plan.clone()), (Field::Body, plan)]
            }
            _ => Vec::new(),
        }
    }

    /// Takes the answers.
    pub fn learn(&mut self, answers: &mut impl Iterator<Item = Answers>) {
        let mut next = || answers.next().unwrap_or_default();
        match self {
            Test::All(tests) | Test::Any(tests) => {
                for test in tests {
                    test.learn(answers);
                }
            }
            Test::Not(test) => test.learn(answers),
            Test::Envelope(_, _, index) | Test::Header(_, _, index) | Test::Body(_, index) => {
                *index = next();
            }
            Test::Text(_, header, body) => (*header, *body) = (next(), next()),
            _ => {}
        }
    }
}

/// RFC 5032 §3: so many seconds before now.
pub(crate) fn ago(now: i64, seconds: u64) -> i64 {
    now.saturating_sub(i64::try_from(seconds).unwrap_or(i64::MAX))
}

impl Test {
    /// The first of some messages that there is time for: how many, and those of them that meet it.
    /// What is kept beside them is found in few looks.
    pub fn look_at(
        &self,
        store: &Store,
        messages: &[(u32, Entry)],
    ) -> Result<(usize, Found), StoreError> {
        let begun = Instant::now();
        let (mut looked, mut found) = (0, Found::new());
        let mut neighbours = Neighbours::default();
        for some in messages.chunks(BATCH) {
            let mut batch = Batch::new(store, some, std::mem::take(&mut neighbours))?;
            for (place, message) in some.iter().enumerate() {
                if self.meets_if_there(message.0, &mut batch.candidate(place, &message.1)) {
                    found.push(*message);
                }
                looked += 1;
                if begun.elapsed() >= TURN {
                    return Ok((looked, found));
                }
            }
            neighbours = batch.into_neighbours();
        }
        Ok((looked, found))
    }

    /// A message that cannot be read, because it is gone, meets nothing.
    fn meets_if_there<'a>(&'a self, number: u32, c: &mut Candidate<'a, '_>) -> bool {
        match self.meets(number, c) {
            Ok(meets) => meets,
            Err(StoreError::NotFound(_)) => false,
            Err(error) => {
                tracing::warn!(uid = %c.entry.uid, %error, "cannot search a message");
                false
            }
        }
    }

    fn meets<'a>(&'a self, number: u32, c: &mut Candidate<'a, '_>) -> Result<bool, StoreError> {
        if let Some(known) = self.known(number, c.entry) {
            return Ok(known);
        }
        Ok(match self {
            Test::All(tests) => {
                for test in tests {
                    if !test.meets(number, c)? {
                        return Ok(false);
                    }
                }
                true
            }
            Test::Any(tests) => {
                for test in tests {
                    if test.meets(number, c)? {
                        return Ok(true);
                    }
                }
                false
            }
            Test::Not(test) => !test.meets(number, c)?,
            Test::Sent(from, to) => {
                let sent = c.summary()?.envelope.read().date;
                let day = sent.and_then(date::parse_rfc5322_local);
                day.is_some_and(|day| (*from..*to).contains(&day))
            }
            Test::Thread(id) => {
                let content = c.entry.content;
                let Summary { references, envelope, .. } = c.summary()?;
                let StoredEnvelope { in_reply_to, message_id, .. } = envelope.read();
                let of = thread_id(content, references.as_deref(), in_reply_to, message_id);
                of == *id
            }
            Test::Envelope(of, needle, _) => needle.is_in_folded(c.field(*of)?),
            Test::Header(name, needle, _) => {
                c.header_fields(name)?.is_some_and(|text| needle.is_in_folded(text))
            }
            Test::Body(needle, _) => c.has_text(needle)?,
            // Where an index says that it is not, it need not be looked for.
            Test::Text(needle, header, body) => {
                let is_open = |index: &Answers| index.get(c.entry.content) != Some(false);
                let (in_header, in_body) = (is_open(header), is_open(body));
                in_body && c.has_text(needle)? || in_header && c.has_header(needle)?
            }
            _ => false,
        })
    }
}

fn within(ranges: &[(u32, u32)], n: u32) -> bool {
    let at = ranges.partition_point(|(_, to)| *to < n);
    ranges.get(at).is_some_and(|(from, _)| *from <= n)
}

/// The messages that `$` names, in order. RFC 5182 §2.1, RFC 9394 §3.2.
pub(crate) fn uids_of(entries: impl Iterator<Item = Entry>) -> Vec<Uid> {
    let mut uids: Vec<Uid> = entries.map(|entry| entry.uid).collect();
    uids.sort_unstable();
    uids.dedup();
    uids
}
