//! Annotations of messages. RFC 5257: each is private to an account or shared by all who may read
//! the mailbox.
//!
//! A message without any has no row, so that it costs nothing. What one scope of a message holds is
//! one row, called by UID, and account where it is private; so nobody's private values are read for
//! another. Invariant: rows are there for messages that are there, and for no others.

use super::copy::By;
use super::{bump, entries_of};
use crate::error::{Result, StoreError};
use crate::limits::{NOTES_GONE_MAX, NOTES_MAX, NOTES_OCTETS_MAX, NOTES_WRITTEN_OCTETS_MAX};
use crate::mailbox::FlagOutcome;
use crate::open::Store;
use crate::packed::{Note, decode_notes, encode_notes};
use crate::quota::{self, Resource};
use crate::rows::Holder;
use crate::txn::ReadTxn;
use crate::write::Writing;
use mail::{AccountId, Annotation, MailboxId, ModSeq, Rights, Scope, Uid};
use std::borrow::Cow;
use std::sync::Arc;

/// Behind the names of all rows of a UID: its digits and those of an account are hexadecimal.
const BEHIND: char = 'g';

/// A change of annotations.
#[derive(Clone, Debug)]
pub struct Annotate {
    /// The messages; those that are gone are passed over.
    pub uids: Vec<Uid>,
    /// Who changes them: private ones are this account's.
    pub who: AccountId,
    /// What they are to be.
    pub annotations: Vec<Annotation>,
    /// Refuse messages with a greater MODSEQ. RFC 7162 §3.1.3.
    pub unchanged_since: Option<ModSeq>,
}

fn row_name(uid: Uid, who: AccountId, scope: Scope) -> String {
    match scope {
        Scope::Shared => format!("{:08x}", uid.get()),
        Scope::Private => format!("{:08x}{:08x}", uid.get(), who.0),
    }
}

/// The UID of a row, and whose it is if it is private.
fn parse_name(name: &str) -> Option<(Uid, Option<AccountId>)> {
    let (uid, who) = name.split_at_checked(8)?;
    let uid = u32::from_str_radix(uid, 16).ok().and_then(Uid::new)?;
    match who {
        "" => Some((uid, None)),
        who => u32::from_str_radix(who, 16).ok().map(|who| (uid, Some(AccountId(who)))),
    }
}

/// The UID of a row that is called as rows are.
pub(crate) fn uid_of(name: &str) -> Option<Uid> {
    let (uid, who) = parse_name(name)?;
    let scope = if who.is_some() { Scope::Private } else { Scope::Shared };
    (row_name(uid, who.unwrap_or(AccountId(0)), scope) == name).then_some(uid)
}

/// Some message of the mailbox may have annotations.
pub(crate) fn are_in(txn: &dyn ReadTxn, mailbox: MailboxId) -> Result<bool> {
    Ok(!txn.property_names(Holder::Notes(mailbox), 1)?.is_empty())
}

/// Takes a row: its UID, whose it is if it is private, and what is in it.
type EachRow<'a> = dyn FnMut(Uid, Option<AccountId>, &[u8]) -> Result<()> + 'a;

/// Shows all rows of messages with UIDs from `from` to `to`.
fn each_row(
    txn: &dyn ReadTxn,
    mailbox: MailboxId,
    (from, to): (Uid, Uid),
    each: &mut EachRow<'_>,
) -> Result<()> {
    let first = format!("{:08x}", from.get());
    let last = format!("{:08x}{BEHIND}", to.get());
    txn.each_property(Holder::Notes(mailbox), &first, &last, &mut |name, row| {
        let odd = || StoreError::Corrupt(format!("annotations called {name}"));
        let (uid, who) = parse_name(name).ok_or_else(odd)?;
        each(uid, who, row)
    })
}

/// Takes away what is private to an account that goes.
pub(crate) fn forget_account(
    w: &mut Writing<'_>,
    mailbox: MailboxId,
    who: AccountId,
) -> Result<()> {
    let mut names = Vec::new();
    each_row(w.unit.rows(), mailbox, (Uid::FIRST, Uid::MAX), &mut |uid, whose, _| {
        names.extend((whose == Some(who)).then(|| row_name(uid, who, Scope::Private)));
        Ok(())
    })?;
    for name in names {
        w.unit.write()?.remove_property(Holder::Notes(mailbox), &name)?;
    }
    Ok(())
}

/// Octets of the annotations in a mailbox, with their names.
pub(crate) fn octets(txn: &dyn ReadTxn, mailbox: MailboxId) -> Result<u64> {
    let mut octets = 0;
    each_row(txn, mailbox, (Uid::FIRST, Uid::MAX), &mut |_, _, row| {
        octets += decode_notes(row)?.iter().map(octets_of).sum::<usize>() as u64;
        Ok(())
    })?;
    Ok(octets)
}

/// Octets that an entry counts for; none once it is taken away.
fn octets_of(note: &Note<'_>) -> usize {
    note.value.as_ref().map_or(0, |value| value.len() + note.entry.len())
}

/// Changes annotations. Messages whose annotations stay the same keep their MODSEQ; the others get
/// one new MODSEQ together, as with flags. All or none.
pub(crate) fn annotate(
    w: &mut Writing<'_>,
    mailbox: MailboxId,
    mut wanted: Annotate,
) -> Result<FlagOutcome> {
    let mut row = w.mailbox(mailbox)?;
    wanted.uids.sort_unstable();
    wanted.uids.dedup();
    let mut outcome = FlagOutcome::default();
    let (next, mut changed) = (ModSeq(row.modseq.0 + 1), Vec::new());
    let (mut entries, mut octets) = (Vec::new(), 0);
    for mut entry in entries_of(w.unit, mailbox, &wanted.uids)? {
        if wanted.unchanged_since.is_some_and(|since| entry.modseq > since) {
            outcome.refused.push(entry.uid);
            continue;
        }
        let written = put(w, mailbox, entry.uid, next, wanted.who, &wanted.annotations)?;
        if let Some(written) = written {
            octets += written;
            entry.modseq = next;
            changed.push(entry);
        }
        if octets > NOTES_WRITTEN_OCTETS_MAX {
            return Err(StoreError::NotAllowed("so many annotations at once are too many"));
        }
        entries.push(entry);
    }
    outcome.entries = Arc::new(entries);
    if !changed.is_empty() {
        outcome.modseq = Some(bump(&mut row));
        w.unit.set_entries(mailbox, &changed)?;
        w.save(&row)?.add_changed(changed);
        // Taking away is always allowed.
        if wanted.annotations.iter().any(|annotation| annotation.value.is_some()) {
            quota::check(w, row.account, &[Resource::AnnotationStorage])?;
        }
    }
    Ok(outcome)
}

/// Changes annotations of one message; the octets written, `None` when all are so already.
pub(crate) fn put(
    w: &mut Writing<'_>,
    mailbox: MailboxId,
    uid: Uid,
    at: ModSeq,
    who: AccountId,
    annotations: &[Annotation],
) -> Result<Option<usize>> {
    let mut written = None;
    for scope in Scope::BOTH {
        let mut wanted = annotations.iter().filter(|one| one.scope == scope).peekable();
        if wanted.peek().is_none() {
            continue;
        }
        let (of, name) = (Holder::Notes(mailbox), row_name(uid, who, scope));
        let before = w.unit.rows().property(of, &name)?.unwrap_or_default();
        let mut notes = if before.is_empty() { Vec::new() } else { decode_notes(&before)? };
        let mut changes = false;
        for Annotation { entry, value, .. } in wanted {
            changes |= set(&mut notes, entry, value.as_deref(), at);
        }
        if !changes {
            continue;
        }
        let here = notes.iter().filter(|note| note.value.is_some());
        let octets: usize = here.clone().map(octets_of).sum();
        if here.count() > NOTES_MAX || octets > NOTES_OCTETS_MAX {
            return Err(StoreError::AnnotationsFull);
        }
        forget_gone(&mut notes);
        let row = encode_notes(&notes);
        *written.get_or_insert(0) += row.len();
        w.unit.write()?.put_property(of, &name, &row)?;
    }
    Ok(written)
}

/// Sets one entry; whether it was another before.
fn set<'a>(notes: &mut Vec<Note<'a>>, entry: &'a str, value: Option<&'a [u8]>, at: ModSeq) -> bool {
    let known = notes.iter_mut().find(|note| note.entry == entry);
    let before = known.as_ref().and_then(|note| note.value.as_deref());
    if before == value {
        return false;
    }
    let note = Note { entry: Cow::Borrowed(entry), modseq: at, value: value.map(Cow::Borrowed) };
    match known {
        Some(known) => *known = note,
        None => notes.push(note),
    }
    true
}

/// Forgets the names of those that were taken away first.
fn forget_gone(notes: &mut Vec<Note<'_>>) {
    let gone = |note: &&Note<'_>| note.value.is_none();
    let mut when: Vec<ModSeq> = notes.iter().filter(gone).map(|note| note.modseq).collect();
    if when.len() > NOTES_GONE_MAX {
        when.sort_unstable_by(|a, b| b.cmp(a));
        let oldest = when.get(NOTES_GONE_MAX - 1).copied().unwrap_or_default();
        notes.retain(|note| note.value.is_some() || note.modseq >= oldest);
    }
}

/// Gives messages that were copied the annotations of the originals: all that are shared, and the
/// private ones of who copies, as far as the rights to the target let them. RFC 5257 §4.6. Whether
/// there were any.
pub(crate) fn copy(
    w: &mut Writing<'_>,
    (from, to): (MailboxId, MailboxId),
    pairs: &[(Uid, Uid, ModSeq)],
    By { account: who, rights }: By,
) -> Result<bool> {
    let (Some(first), Some(last)) = (pairs.first(), pairs.last()) else { return Ok(false) };
    let may = |scope| match scope {
        Scope::Private => rights.contains(Rights::READ),
        Scope::Shared => rights.contains(Rights::ANNOTATE),
    };
    // The names first: rows can be large, and there can be many.
    let mut rows: Vec<(Uid, Scope)> = Vec::new();
    each_row(w.unit.rows(), from, (first.0, last.0), &mut |uid, owner, _| {
        let scope = if owner.is_some() { Scope::Private } else { Scope::Shared };
        if owner.is_none_or(|owner| owner == who) && may(scope) {
            rows.push((uid, scope));
        }
        Ok(())
    })?;
    let mut octets = 0;
    for (uid, scope) in rows {
        let Ok(at) = pairs.binary_search_by_key(&uid, |(from, ..)| *from) else { continue };
        let Some((_, copy, modseq)) = pairs.get(at) else { continue };
        let of = Holder::Notes(from);
        let Some(row) = w.unit.rows().property(of, &row_name(uid, who, scope))? else { continue };
        let mut notes = decode_notes(&row)?;
        notes.retain(|note| note.value.is_some());
        notes.iter_mut().for_each(|note| note.modseq = *modseq);
        if notes.is_empty() {
            continue;
        }
        octets += row.len();
        if octets > NOTES_WRITTEN_OCTETS_MAX {
            return Err(StoreError::NotAllowed("so many annotations at once are too many"));
        }
        let name = row_name(*copy, who, scope);
        w.unit.write()?.put_property(Holder::Notes(to), &name, &encode_notes(&notes))?;
    }
    Ok(octets > 0)
}

/// The messages are gone (sorted by UID), and so are their annotations.
pub(crate) fn forget(w: &mut Writing<'_>, mailbox: MailboxId, gone: &[Uid]) -> Result<()> {
    let (Some(first), Some(last)) = (gone.first(), gone.last()) else { return Ok(()) };
    if !are_in(w.unit.rows(), mailbox)? {
        return Ok(());
    }
    let mut names = Vec::new();
    each_row(w.unit.rows(), mailbox, (*first, *last), &mut |uid, who, _| {
        if gone.binary_search(&uid).is_ok() {
            names.push(match who {
                Some(who) => row_name(uid, who, Scope::Private),
                None => row_name(uid, AccountId(0), Scope::Shared),
            });
        }
        Ok(())
    })?;
    for name in names {
        w.unit.write()?.remove_property(Holder::Notes(mailbox), &name)?;
    }
    Ok(())
}

impl Store {
    /// Some message of the mailbox may have annotations.
    pub fn has_notes(&self, mailbox: MailboxId) -> Result<bool> {
        self.look(|txn| are_in(txn, mailbox))
    }

    /// Shows the annotations of messages with UIDs from `from` to `to` that `who` may see, by UID:
    /// those that are shared first, then the private ones.
    pub fn each_notes(
        &self,
        mailbox: MailboxId,
        who: AccountId,
        (from, to): (Uid, Uid),
        mut each: impl FnMut(Uid, Scope, Vec<Note<'_>>),
    ) -> Result<()> {
        self.look(|txn| {
            each_row(txn, mailbox, (from, to), &mut |uid, owner, row| {
                match owner {
                    None => each(uid, Scope::Shared, decode_notes(row)?),
                    Some(owner) if owner == who => each(uid, Scope::Private, decode_notes(row)?),
                    Some(_) => {}
                }
                Ok(())
            })
        })
    }

    /// The change of a message that has this MODSEQ was one of annotations, whoever sees them.
    pub fn is_noted(&self, mailbox: MailboxId, uid: Uid, at: ModSeq) -> Result<bool> {
        let mut noted = false;
        self.look(|txn| {
            each_row(txn, mailbox, (uid, uid), &mut |_, _, row| {
                noted |= decode_notes(row)?.iter().any(|note| note.modseq == at);
                Ok(())
            })
        })?;
        Ok(noted)
    }

    /// Changes annotations of messages. RFC 5257 §4.5.
    pub async fn annotate_messages(&self, id: MailboxId, wanted: Annotate) -> Result<FlagOutcome> {
        self.write(move |w| annotate(w, id, wanted)).await
    }
}
