//! What SORT and THREAD go by, taken from what is kept beside each message. RFC 5256 §2, RFC 5957.

use super::annotated::sorts_anew;
use super::arranged::{Begun, By, Made};
use super::relevancy::Scores;
use crate::imap::Context;
use ::store::StoreError;
use mail::casemap::fold;
use mail::header::decode_words;
use mail::stored::{self, StoredAddress, StoredEnvelope, StoredList, StoredOrder};
use mail::subject::base_subject;
use mail::{Entry, MailboxId, thread};
use protocol::imap::command::search::{Algorithm, Criterion};
use std::cmp::Ordering;
use std::sync::Arc;

/// Summaries read in one look at the store.
const BATCH: usize = 256;

/// The sort value of a message for one criterion.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i64),
    Text(String),
}

impl Context {
    /// Makes something of what is kept of each message, read where it lies.
    async fn each_order<T: Clone + Default>(
        &self,
        messages: &[(u32, Entry)],
        make: impl Fn(&Entry, StoredOrder<'_>) -> T,
    ) -> Result<Vec<T>, StoreError> {
        let mut made = Vec::with_capacity(messages.len());
        for batch in messages.chunks(BATCH) {
            let ids: Vec<_> = batch.iter().map(|(_, entry)| entry.content).collect();
            let mut some: Vec<Option<T>> = vec![None; batch.len()];
            self.shared.store.each_kept(&ids, |n, octets| {
                let place = some.get_mut(n).zip(batch.get(n)).zip(stored::order(octets));
                if let Some(((slot, (_, entry)), order)) = place {
                    *slot = Some(make(entry, order));
                }
            })?;
            for ((_, entry), some) in batch.iter().zip(some) {
                let anew = || {
                    // Gone meanwhile: it sorts as if it were empty.
                    let octets = self.summary(entry).unwrap_or_default().encode();
                    stored::order(&octets).map(|order| make(entry, order)).unwrap_or_default()
                };
                made.push(some.unwrap_or_else(anew));
            }
            tokio::task::yield_now().await;
        }
        Ok(made)
    }

    /// Puts messages of a mailbox in order; equal ones stay in the order of the mailbox. RFC 5256
    /// §3.
    pub(super) async fn sort_messages(
        &self,
        mailbox: MailboxId,
        messages: Vec<(u32, Entry)>,
        criteria: &[(Criterion, bool)],
        scores: &Scores,
    ) -> Result<Vec<(u32, Entry)>, StoreError> {
        let uids = messages.iter().map(|(_, entry)| entry.uid);
        let by = By::Criteria(criteria.to_vec());
        if sorts_anew(criteria) {
            let sorted = self.order_anew(mailbox, &messages, criteria, scores).await?;
            return Ok(sorted.iter().filter_map(|n| messages.get(*n as usize).copied()).collect());
        }
        let order = match self.shared.arrangements.find(mailbox, &by, uids.clone()) {
            Some(Made::Order(order)) => order,
            _ => {
                let order = match self.shared.arrangements.begun(mailbox, &by, uids.clone()) {
                    Some(begun) => self.completed(begun, &messages, criteria).await?,
                    None => self.order(&messages, criteria).await?,
                };
                let order: Arc<[u32]> = order.into();
                self.shared.arrangements.keep(mailbox, by, uids, Made::Order(order.clone()));
                order
            }
        };
        Ok(order.iter().filter_map(|n| messages.get(*n as usize).copied()).collect())
    }

    /// An order with those messages in it that it lacked.
    async fn completed(
        &self,
        Begun { mut order, lacking }: Begun,
        messages: &[(u32, Entry)],
        criteria: &[(Criterion, bool)],
    ) -> Result<Vec<u32>, StoreError> {
        let entry = |n: u32| messages.get(n as usize).map(|(_, entry)| *entry);
        for n in lacking {
            let Some(message) = entry(n) else { continue };
            let probe = |at: usize| order.get(at).and_then(|n| entry(*n));
            let at = self.place_in_order(&message, order.len(), probe, criteria).await?;
            order.insert(at.min(order.len()), n);
        }
        Ok(order)
    }

    /// The places of messages in their order, which annotations (RFC 5257 §4.9) or scores have a
    /// say in: the highest comes first (RFC 6203 §6).
    async fn order_anew(
        &self,
        mailbox: MailboxId,
        messages: &[(u32, Entry)],
        criteria: &[(Criterion, bool)],
        scores: &Scores,
    ) -> Result<Vec<u32>, StoreError> {
        let annotations = self.annotation_values(mailbox, messages, criteria).await?;
        let values = |entry: &Entry, order: StoredOrder<'_>| {
            let mut values = values(entry, order, criteria);
            for (at, (value, (criterion, _))) in values.iter_mut().zip(criteria).enumerate() {
                match criterion {
                    Criterion::Annotation(..) => {
                        *value = Value::Text(annotations.get(entry.uid, at).to_owned());
                    }
                    Criterion::Relevancy => {
                        let score = scores.get(&entry.uid).copied().unwrap_or(0);
                        *value = Value::Number(-i64::from(score));
                    }
                    _ => {}
                }
            }
            values
        };
        Ok(by_values(&self.each_order(messages, values).await?, criteria))
    }

    /// The places of messages in their order.
    pub(super) async fn order(
        &self,
        messages: &[(u32, Entry)],
        criteria: &[(Criterion, bool)],
    ) -> Result<Vec<u32>, StoreError> {
        Ok(match criteria {
            [(Criterion::Arrival, reverse)] => {
                by_number(messages.iter().map(|(_, entry)| entry.date), *reverse)
            }
            [(Criterion::Size, reverse)] => {
                by_number(messages.iter().map(|(_, entry)| i64::from(entry.size)), *reverse)
            }
            [(Criterion::Date, reverse)] => {
                let dates = self.each_order(messages, |entry, order| sent(entry, &order)).await?;
                by_number(dates.into_iter(), *reverse)
            }
            several => {
                let values = |entry: &Entry, order: StoredOrder<'_>| values(entry, order, several);
                by_values(&self.each_order(messages, values).await?, several)
            }
        })
    }

    /// The threads of messages of a mailbox.
    pub(super) async fn threads(
        &self,
        mailbox: MailboxId,
        messages: &[(u32, Entry)],
        algorithm: Algorithm,
    ) -> Result<Arc<thread::Threads>, StoreError> {
        let uids = messages.iter().map(|(_, entry)| entry.uid);
        let by = By::Algorithm(algorithm);
        if let Some(Made::Threads(threads)) =
            self.shared.arrangements.find(mailbox, &by, uids.clone())
        {
            return Ok(threads);
        }
        let messages = self.thread_messages(messages).await?;
        let threads = Arc::new(match algorithm {
            Algorithm::OrderedSubject => thread::ordered_subject(&messages),
            Algorithm::References => thread::references(&messages),
            Algorithm::Refs => thread::refs(&messages),
        });
        self.shared.arrangements.keep(mailbox, by, uids, Made::Threads(threads.clone()));
        Ok(threads)
    }

    /// The place among so many messages in that order where another belongs; of equal ones the
    /// later UID comes later. Looks at a few of them only, which `at` gives.
    pub(super) async fn place_in_order(
        &self,
        message: &Entry,
        ordered: usize,
        at: impl Fn(usize) -> Option<Entry>,
        criteria: &[(Criterion, bool)],
    ) -> Result<usize, StoreError> {
        let values = |entry: &Entry, order: StoredOrder<'_>| values(entry, order, criteria);
        let one = self.each_order(&[(0, *message)], values).await?.pop().unwrap_or_default();
        let (mut from, mut to) = (0, ordered);
        while from < to {
            let middle = from + (to - from) / 2;
            let Some(probe) = at(middle) else { return Ok(middle) };
            let other = self.each_order(&[(0, probe)], values).await?.pop().unwrap_or_default();
            match compare(&other, &one, criteria).then(probe.uid.cmp(&message.uid)) {
                Ordering::Less => from = middle + 1,
                _ => to = middle,
            }
        }
        Ok(from)
    }

    /// What threading goes by.
    async fn thread_messages(
        &self,
        messages: &[(u32, Entry)],
    ) -> Result<Vec<thread::Message>, StoreError> {
        let marks = thread::Marks::default();
        let first = |field: Option<&[u8]>| {
            let mut first = None;
            thread::each_message_id(field.unwrap_or_default(), |id| {
                first = first.or_else(|| Some(marks.of(id)));
            });
            first
        };
        self.each_order(messages, |entry, order| {
            let sent = sent(entry, &order);
            let mut references = Vec::new();
            thread::each_message_id(order.references.unwrap_or_default(), |id| {
                references.push(marks.of(id));
            });
            let [subject, in_reply_to, message_id] = order.heads();
            if references.is_empty() {
                references.extend(first(in_reply_to));
            }
            let base = base_subject(subject.unwrap_or_default());
            let subject = Some(fold(&base.text)).filter(|subject| !subject.is_empty());
            thread::Message {
                id: first(message_id),
                references,
                sent,
                arrived: entry.date,
                subject: subject.map(|subject| marks.of(subject.as_bytes())),
                is_reply: base.is_reply,
            }
        })
        .await
    }
}

/// The places of some numbers in their order.
fn by_number(numbers: impl Iterator<Item = i64>, reverse: bool) -> Vec<u32> {
    // The complement turns the order of all numbers round.
    let numbers = numbers.map(|n| if reverse { !n } else { n });
    let mut keyed: Vec<(i64, u32)> = numbers.zip(0..).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, n)| n).collect()
}

/// The places of some values in their order.
fn by_values(values: &[Vec<Value>], criteria: &[(Criterion, bool)]) -> Vec<u32> {
    let mut keyed: Vec<(&Vec<Value>, u32)> = values.iter().zip(0..).collect();
    keyed.sort_unstable_by(|(a, m), (b, n)| compare(a, b, criteria).then(m.cmp(n)));
    keyed.into_iter().map(|(_, n)| n).collect()
}

fn compare(a: &[Value], b: &[Value], criteria: &[(Criterion, bool)]) -> Ordering {
    let pairs = a.iter().zip(b).zip(criteria);
    let mut orders = pairs.map(|((a, b), (_, reverse))| match reverse {
        true => b.cmp(a),
        false => a.cmp(b),
    });
    orders.find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
}

/// RFC 5256 §2.2: INTERNALDATE where there is no date.
fn sent(entry: &Entry, order: &StoredOrder<'_>) -> i64 {
    order.sent.unwrap_or(entry.date)
}

fn values(entry: &Entry, order: StoredOrder<'_>, criteria: &[(Criterion, bool)]) -> Vec<Value> {
    let sent = sent(entry, &order);
    let envelope = order.envelope();
    criteria.iter().map(|(criterion, _)| value(criterion, entry, sent, &envelope)).collect()
}

fn value(criterion: &Criterion, entry: &Entry, sent: i64, envelope: &StoredEnvelope<'_>) -> Value {
    let [from, _, _, to, cc, _] = envelope.lists;
    match criterion {
        Criterion::Arrival => Value::Number(entry.date),
        Criterion::Size => Value::Number(i64::from(entry.size)),
        Criterion::Date => Value::Number(sent),
        Criterion::Subject => {
            Value::Text(fold(&base_subject(envelope.subject.unwrap_or_default()).text))
        }
        Criterion::From => mailbox_of(from),
        Criterion::To => mailbox_of(to),
        Criterion::Cc => mailbox_of(cc),
        Criterion::DisplayFrom => display_of(from),
        Criterion::DisplayTo => display_of(to),
        // Not kept beside the message: `order_anew`.
        Criterion::Annotation(..) => text(b""),
        Criterion::Relevancy => Value::Number(0),
    }
}

fn text(octets: &[u8]) -> Value {
    Value::Text(fold(&String::from_utf8_lossy(octets)))
}

/// `addr-mailbox` of the first address. RFC 5256 §3; of a group it is the group's name.
fn mailbox_of(list: StoredList<'_>) -> Value {
    match list.addresses().next() {
        Some(StoredAddress::Mailbox(_, _, local, _)) => text(local),
        Some(StoredAddress::GroupStart(name)) => text(name),
        _ => text(b""),
    }
}

/// The display name of the first address, else `mailbox@host`. RFC 5957 §3.
fn display_of(list: StoredList<'_>) -> Value {
    match list.addresses().next() {
        Some(StoredAddress::Mailbox(name, _, local, host)) => {
            match name.map(decode_words).filter(|name| !name.is_empty()) {
                Some(name) => Value::Text(fold(&name)),
                None => text(&[local, b"@", host].concat()),
            }
        }
        Some(StoredAddress::GroupStart(name)) => Value::Text(fold(&decode_words(name))),
        _ => text(b""),
    }
}
