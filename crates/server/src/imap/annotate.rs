//! Annotations of messages: what FETCH shows of them, what STORE and APPEND may set, and what
//! sessions hear of. RFC 5257; the rights are those of §3.4.

use super::store::stored;
use super::view::View;
use super::{Context, Done};
use crate::drive::Output;
use ::store::limits::{NOTE_OCTETS_MAX, NOTES_WRITTEN_OCTETS_MAX};
use ::store::{Annotate, Note, Store, StoreError};
use mail::annotation::{is_flag, is_known, matches, part};
use mail::mime::Part;
use mail::{AccountId, Annotation, Entry, MailboxId, ModSeq, Rights, Scope, Uid};
use protocol::imap::command;
use protocol::imap::command::annotate::{Attribute, Wanted};
use protocol::imap::response;
use protocol::imap::session::Answer;
use std::collections::{BTreeMap, BTreeSet};

/// An entry names a part that the message does not have: BAD. RFC 5257 §3.2.1.
pub(super) const NO_SUCH_PART: StoreError = StoreError::NotAllowed("no such part");

/// The level of support, for SELECT and EXAMINE. RFC 5257 §4.1.
pub(super) fn support(view: &View) -> String {
    match view.examined {
        true => "ANNOTATIONS READ-ONLY".to_owned(),
        false => format!("ANNOTATIONS {NOTE_OCTETS_MAX}"),
    }
}

/// Why these cannot be set by somebody with such rights to the mailbox.
pub(super) fn refused(annotations: &[Annotation], rights: Rights) -> Option<Answer> {
    let no = |text: &str| Some(Answer::No(text.to_owned()));
    for Annotation { entry, scope, value } in annotations {
        let needed = match scope {
            Scope::Private => Rights::READ,
            Scope::Shared => Rights::ANNOTATE,
        };
        if !rights.contains(needed) {
            return no("[NOPERM] You may not change those annotations");
        }
        if !is_known(entry) {
            return no("[CANNOT] No standard names that entry, and it is not under /vendor/");
        }
        let Some(value) = value else { continue };
        if value.len() > NOTE_OCTETS_MAX {
            return no("[ANNOTATE TOOBIG] That annotation is too long");
        }
        if is_flag(entry) && !matches!(value.as_slice(), b"0" | b"1") {
            return no("[CANNOT] The flag of a part is 1 or 0");
        }
    }
    None
}

/// All entries belong to parts that are there, or to the whole message.
pub(super) fn has_parts<'a>(root: &Part, mut entries: impl Iterator<Item = &'a str>) -> bool {
    entries.all(|entry| match part(entry) {
        Ok(Some(path)) => root.section(&path).is_some(),
        _ => true,
    })
}

/// The name of an entry: an atom where it can be.
fn entry_name(name: &str, out: &mut Vec<u8>) {
    match name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b)) {
        true => out.extend_from_slice(name.as_bytes()),
        false => response::string(name.as_bytes(), out),
    }
}

/// A value; with NULs in it a literal8.
fn value(value: &[u8], out: &mut Vec<u8>) {
    if value.contains(&0) {
        out.push(b'~');
    }
    response::string(value, out);
}

/// Those of an ANNOTATION that name parts without wildcards.
fn named(wanted: &Wanted) -> impl Iterator<Item = &str> {
    wanted.entries.iter().map(String::as_str).filter(|name| !name.contains(['*', '%']))
}

/// The parts of messages have to be known for it.
pub(super) fn needs_parts(wanted: &Wanted) -> bool {
    named(wanted).any(|name| !matches!(part(name), Ok(None)))
}

/// The values of one message, by name of entry and scope.
type Values<'a> = BTreeMap<&'a str, [Option<&'a [u8]>; 2]>;

fn place(scope: Scope) -> usize {
    match scope {
        Scope::Private => 0,
        Scope::Shared => 1,
    }
}

/// `ANNOTATION (entry (attribute value …) …)`; nothing when no entry is to be shown. RFC 5257 §4.4.
fn show(wanted: &Wanted, values: &Values<'_>, out: &mut Vec<u8>) {
    let asked = |scope: Scope| wanted.attributes.iter().any(|(_, one)| *one == scope);
    let has = |all: &[Option<&[u8]>; 2]| {
        Scope::BOTH.into_iter().zip(all).any(|(scope, value)| asked(scope) && value.is_some())
    };
    let mut shown: BTreeSet<&str> = BTreeSet::new();
    for pattern in &wanted.entries {
        let found: Vec<&str> = match pattern.contains(['*', '%']) {
            true => {
                let here = values.iter().filter(|(_, all)| has(all)).map(|(name, _)| *name);
                here.filter(|name| matches(pattern, name)).collect()
            }
            false => vec![pattern.as_str()],
        };
        for name in found {
            if !shown.insert(name) {
                continue;
            }
            out.extend_from_slice(if shown.len() == 1 { b"ANNOTATION (" } else { b" " });
            entry_name(name, out);
            let all = values.get(name).copied().unwrap_or_default();
            let mut before = " (";
            for (attribute, scope) in &wanted.attributes {
                let text = format!("{before}{}{} ", attribute.name(), scope.suffix());
                out.extend_from_slice(text.as_bytes());
                before = " ";
                match (attribute, all.get(place(*scope)).copied().flatten()) {
                    (Attribute::Value, Some(octets)) => value(octets, out),
                    (Attribute::Value, None) => out.extend_from_slice(b"NIL"),
                    (Attribute::Size, octets) => {
                        let size = octets.map_or(0, <[u8]>::len);
                        out.extend_from_slice(format!("\"{size}\"").as_bytes());
                    }
                }
            }
            out.push(b')');
        }
    }
    if !shown.is_empty() {
        out.push(b')');
    }
}

/// The entries of a message that have changed since `since`, as far as `who` may see them.
pub(super) fn changed(
    store: &Store,
    mailbox: MailboxId,
    who: AccountId,
    uid: Uid,
    since: ModSeq,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let looked = store.each_notes(mailbox, who, (uid, uid), |_, _, notes| {
        let news = notes.into_iter().filter(|note| note.modseq > since);
        names.extend(news.map(|note| note.entry.into_owned()));
    });
    if let Err(error) = looked {
        tracing::warn!(%uid, %error, "annotations cannot be read");
    }
    names
}

/// `ANNOTATION (entry …)`: what has changed, without values. RFC 5257 §4.4.
pub(super) fn tell_changed(names: &BTreeSet<String>, out: &mut Vec<u8>) {
    for (n, name) in names.iter().enumerate() {
        out.extend_from_slice(if n == 0 { b"ANNOTATION (" } else { b" " });
        entry_name(name, out);
    }
    out.push(b')');
}

impl Context {
    /// ANNOTATION of a message; `false`, and nothing is said, when there is nothing to show.
    pub(super) fn annotation(
        &self,
        wanted: &Wanted,
        entry: &Entry,
        root: &Part,
        out: &mut Vec<u8>,
    ) -> Result<bool, StoreError> {
        let Some(view) = &self.view else { return Ok(false) };
        if !has_parts(root, named(wanted)) {
            return Err(NO_SUCH_PART);
        }
        let (who, uid) = (self.actor()?.account, entry.uid);
        let mut rows: Vec<(Scope, Vec<Note<'static>>)> = Vec::new();
        let asked = |name: &str| wanted.entries.iter().any(|pattern| matches(pattern, name));
        self.shared.store.each_notes(view.mailbox, who, (uid, uid), |_, scope, notes| {
            let notes = notes.into_iter().filter(|note| asked(&note.entry));
            rows.push((scope, notes.map(Note::into_owned).collect()));
        })?;
        let mut values = Values::new();
        for (scope, notes) in &rows {
            for note in notes {
                let all = values.entry(&*note.entry).or_default();
                if let Some(slot) = all.get_mut(place(*scope)) {
                    *slot = note.value.as_deref();
                }
            }
        }
        let before = out.len();
        show(wanted, &values, out);
        Ok(out.len() > before)
    }

    /// STORE ANNOTATION. RFC 5257 §4.5.
    pub(super) async fn store_annotations(
        &mut self,
        command: command::Store,
        out: &mut Output<'_>,
    ) -> Done {
        let Some(view) = &self.view else { return Ok(Answer::Bad("Not now".to_owned())) };
        if view.examined {
            return Ok(Answer::No("[READ-ONLY] The mailbox is open for reading only".to_owned()));
        }
        let Some(mut found) = view.resolve(&command.set, command.uid) else {
            return Ok(Answer::Bad("There is no message of that number".to_owned()));
        };
        if let Some(refusal) = refused(&command.annotations, view.rights) {
            return Ok(refusal);
        }
        let lowest = self.limit_messages(&mut found);
        let octets = command.annotations.iter().filter_map(|one| one.value.as_ref());
        let octets: usize = octets.map(|value| value.len()).sum();
        if octets.saturating_mul(found.len()) > NOTES_WRITTEN_OCTETS_MAX {
            return Ok(Answer::No("[LIMIT] So many annotations at once are too many".to_owned()));
        }
        let names: Vec<&str> = command.annotations.iter().map(|one| one.entry.as_str()).collect();
        if names.iter().any(|name| !matches!(part(name), Ok(None))) {
            for (_, entry) in &found {
                if !has_parts(&self.summary(entry)?.root, names.iter().copied()) {
                    return Ok(Answer::Bad("Not all messages have such a part".to_owned()));
                }
            }
        }
        let (mailbox, who) = (view.mailbox, self.actor()?.account);
        let uids = found.iter().map(|(_, entry)| entry.uid).collect();
        let unchanged_since = command.unchanged_since.map(ModSeq);
        let annotations = command.annotations.clone();
        let wanted = Annotate { uids, who, annotations, unchanged_since };
        let outcome = self.shared.store.annotate_messages(mailbox, wanted).await?;
        let Some((before, _)) = self.patch(&outcome, out.buffer()) else {
            return Ok(Answer::Bad("Not now".to_owned()));
        };
        self.tell_stored(&command, &mut found, &outcome, out.buffer());
        let gone = outcome.entries.len() + outcome.refused.len() < found.len();
        let answer = stored(&command, &before, &outcome.refused, gone);
        Ok(self.tell_limit(answer, lowest, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_between_quotes_is_a_literal() {
        let attributes = vec![(Attribute::Value, Scope::Private), (Attribute::Size, Scope::Shared)];
        let entries = vec!["/*".to_owned(), "/comment".to_owned()];
        let wanted = Wanted { entries, attributes };
        let values: Values<'_> = [
            ("/comment", [Some(b"a\0b".as_slice()), Some(b"xyz".as_slice())]),
            ("/vendor/a b/c\"d", [Some(b"\xff".as_slice()), None]),
        ]
        .into();
        let mut out = Vec::new();
        show(&wanted, &values, &mut out);
        let expected: &[u8] = b"ANNOTATION (/comment (value.priv ~{3}\r\na\0b size.shared \"3\") \
            \"/vendor/a b/c\\\"d\" (value.priv {1}\r\n\xff size.shared \"0\"))";
        assert_eq!(out, expected);
    }
}
