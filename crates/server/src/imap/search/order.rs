//! What SORT and THREAD go by, taken from what is kept beside each message. RFC 5256 §2, RFC 5957.

use crate::imap::Context;
use ::store::StoreError;
use mail::casemap::fold;
use mail::header::decode_words;
use mail::subject::base_subject;
use mail::summary::{EnvelopeAddress, Summary};
use mail::{Entry, thread};
use protocol::imap::command::search::Criterion;
use std::cmp::Ordering;

/// Summaries read at once.
const BATCH: usize = 256;

/// The sort value of a message for one criterion.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i64),
    Text(String),
}

impl Context {
    /// Calls `use_it` with the summary of each message, in their order.
    async fn each_summary(
        &self,
        messages: &[(u32, Entry)],
        mut use_it: impl FnMut(&Entry, Summary),
    ) -> Result<(), StoreError> {
        for batch in messages.chunks(BATCH) {
            let ids: Vec<_> = batch.iter().map(|(_, entry)| entry.content).collect();
            let mut kept = self.shared.store.kept(&ids, true)?.summaries;
            kept.resize(ids.len(), None);
            for ((_, entry), stored) in batch.iter().zip(kept) {
                let summary = match stored.and_then(|stored| Summary::decode_envelope(&stored)) {
                    Some(summary) => summary,
                    // Gone meanwhile: it sorts as if it were empty.
                    None => self.summary(entry).unwrap_or_default(),
                };
                use_it(entry, summary);
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Puts messages in order; equal ones stay in the order of the mailbox. RFC 5256 §3.
    pub(super) async fn sort_messages(
        &self,
        messages: Vec<(u32, Entry)>,
        criteria: &[(Criterion, bool)],
    ) -> Result<Vec<(u32, Entry)>, StoreError> {
        let mut keyed: Vec<(Vec<Value>, (u32, Entry))> = Vec::with_capacity(messages.len());
        let simple = |c: &Criterion| matches!(c, Criterion::Arrival | Criterion::Size);
        if criteria.iter().all(|(criterion, _)| simple(criterion)) {
            let none = Summary::default();
            let values = |entry: &Entry| -> Vec<Value> {
                criteria.iter().map(|(criterion, _)| value(*criterion, entry, &none)).collect()
            };
            keyed.extend(messages.iter().map(|message| (values(&message.1), *message)));
        } else {
            let mut rest = messages.iter();
            self.each_summary(&messages, |entry, summary| {
                let values =
                    criteria.iter().map(|(criterion, _)| value(*criterion, entry, &summary));
                keyed.extend(rest.next().map(|message| (values.collect(), *message)));
            })
            .await?;
        }
        keyed.sort_by(|(a, (m, _)), (b, (n, _))| {
            let pairs = a.iter().zip(b).zip(criteria);
            let mut orders = pairs.map(|((a, b), (_, reverse))| match reverse {
                true => b.cmp(a),
                false => a.cmp(b),
            });
            orders.find(|order| *order != Ordering::Equal).unwrap_or_else(|| m.cmp(n))
        });
        Ok(keyed.into_iter().map(|(_, message)| message).collect())
    }

    /// What threading goes by.
    pub(super) async fn thread_messages(
        &self,
        messages: &[(u32, Entry)],
    ) -> Result<Vec<thread::Message>, StoreError> {
        let mut found = Vec::with_capacity(messages.len());
        self.each_summary(messages, |entry, summary| {
            let envelope = &summary.envelope;
            let ids = |field: &Option<Vec<u8>>| {
                field.as_deref().map(thread::message_ids).unwrap_or_default()
            };
            let mut references = ids(&summary.references);
            if references.is_empty() {
                references = ids(&envelope.in_reply_to);
                references.truncate(1);
            }
            let base = base_subject(envelope.subject.as_deref().unwrap_or_default());
            found.push(thread::Message {
                id: ids(&envelope.message_id).into_iter().next(),
                references,
                sent: summary.sent.unwrap_or(entry.date),
                subject: fold(&base.text),
                is_reply: base.is_reply,
            });
        })
        .await?;
        Ok(found)
    }
}

fn value(criterion: Criterion, entry: &Entry, summary: &Summary) -> Value {
    let envelope = &summary.envelope;
    match criterion {
        Criterion::Arrival => Value::Number(entry.date),
        Criterion::Size => Value::Number(i64::from(entry.size)),
        // RFC 5256 §2.2: INTERNALDATE where there is no date.
        Criterion::Date => Value::Number(summary.sent.unwrap_or(entry.date)),
        Criterion::Subject => {
            let raw = envelope.subject.as_deref().unwrap_or_default();
            Value::Text(fold(&base_subject(raw).text))
        }
        Criterion::From => mailbox_of(&envelope.from),
        Criterion::To => mailbox_of(&envelope.to),
        Criterion::Cc => mailbox_of(&envelope.cc),
        Criterion::DisplayFrom => display_of(&envelope.from),
        Criterion::DisplayTo => display_of(&envelope.to),
    }
}

fn text(octets: &[u8]) -> Value {
    Value::Text(fold(&String::from_utf8_lossy(octets)))
}

/// `addr-mailbox` of the first address. RFC 5256 §3; of a group it is the group's name.
fn mailbox_of(list: &[EnvelopeAddress]) -> Value {
    match list.first() {
        Some(EnvelopeAddress::Mailbox { local, .. }) => text(local),
        Some(EnvelopeAddress::GroupStart(name)) => text(name),
        _ => text(b""),
    }
}

/// The display name of the first address, else `mailbox@host`. RFC 5957 §3.
fn display_of(list: &[EnvelopeAddress]) -> Value {
    match list.first() {
        Some(EnvelopeAddress::Mailbox { name: Some(name), .. }) if !name.is_empty() => {
            Value::Text(fold(&decode_words(name)))
        }
        Some(EnvelopeAddress::Mailbox { local, host, .. }) => {
            text(&[local.as_slice(), b"@", host].concat())
        }
        Some(EnvelopeAddress::GroupStart(name)) => Value::Text(fold(&decode_words(name))),
        _ => text(b""),
    }
}
