//! Making, deleting and renaming mailboxes. RFC 9051 §6.3.4 to §6.3.6.

use super::copy;
use crate::annotation::is_annotation;
use crate::error::{Result, StoreError};
use crate::quota;
use crate::rows::{Holder, MailboxRow};
use crate::write::Writing;
use mail::mailbox_name::{OTHER_USERS, PUBLIC, SEPARATOR};
use mail::{AccountId, MailboxId, MailboxName, ModSeq, Rights, SpecialUse, Uid, UidValidity};
use std::num::NonZeroU32;
use std::sync::Arc;

/// Mailboxes an account can have.
const MAILBOXES_MAX: usize = 10_000;
/// Names an account can ask to be subscribed to, beside its mailboxes.
const SUBSCRIPTIONS_MAX: usize = 20_000;

/// Makes a mailbox and those above it that do not exist, and subscribes to them.
pub(crate) fn create(
    w: &mut Writing<'_>,
    account: AccountId,
    name: &MailboxName,
    special_use: Option<SpecialUse>,
) -> Result<MailboxRow> {
    not_reserved(name)?;
    if w.unit.mailbox_named(account, name)?.is_some() {
        return Err(StoreError::AlreadyExists(format!("the mailbox {name}")));
    }
    if w.unit.rows().mailbox_count(account)? >= MAILBOXES_MAX {
        return Err(StoreError::NotAllowed("the account has as many mailboxes as it can have"));
    }
    free_special_use(w, account, special_use)?;
    let mut parent = name.parent();
    let mut missing = Vec::new();
    while let Some(name) = parent {
        if w.unit.mailbox_named(account, &name)?.is_some() {
            break;
        }
        parent = name.parent();
        missing.push(name);
    }
    for name in missing.iter().rev() {
        insert(w, account, name, None)?;
    }
    let made = insert(w, account, name, special_use)?;
    quota::check(w, account, &[quota::Resource::Mailbox])?;
    Ok(made)
}

/// Gives a mailbox another special use, or none. RFC 6154 §4.
pub(crate) fn set_special_use(
    w: &mut Writing<'_>,
    mut row: MailboxRow,
    special_use: Option<SpecialUse>,
) -> Result<()> {
    if row.special_use == special_use {
        return Ok(());
    }
    if row.name.is_inbox() {
        return Err(StoreError::SpecialUse("INBOX has no special use"));
    }
    free_special_use(w, row.account, special_use)?;
    row.special_use = special_use;
    super::bump(&mut row);
    w.changes.names = true;
    w.renamed(row.account);
    w.save(&row).map(drop)
}

/// No mailbox of the account has this special use yet.
fn free_special_use(
    w: &mut Writing<'_>,
    account: AccountId,
    special_use: Option<SpecialUse>,
) -> Result<()> {
    let taken = |other: &MailboxRow| other.special_use == special_use;
    match special_use.is_some() && w.unit.mailboxes(account)?.iter().any(taken) {
        true => Err(StoreError::SpecialUse("another mailbox has this special use already")),
        false => Ok(()),
    }
}

/// The names of other users' and of public mailboxes are nobody's own.
fn not_reserved(name: &MailboxName) -> Result<()> {
    let first = name.as_str().split(SEPARATOR).next();
    let reserved =
        |level: &str| [OTHER_USERS, PUBLIC].iter().any(|r| level.eq_ignore_ascii_case(r));
    match first.is_some_and(reserved) {
        true => Err(StoreError::NotAllowed("that name is for the mailboxes of others")),
        false => Ok(()),
    }
}

/// A new mailbox has the list of access of the one above it. RFC 4314 §4.
fn inherit_access(w: &mut Writing<'_>, row: &MailboxRow) -> Result<()> {
    let Some(parent) = row.name.parent() else { return Ok(()) };
    let Some(parent) = w.unit.mailbox_named(row.account, &parent)? else { return Ok(()) };
    for (name, value) in w.unit.rows().properties(Holder::Access(parent.id))? {
        w.unit.write()?.put_property(Holder::Access(row.id), &name, &value)?;
    }
    Ok(())
}

fn insert(
    w: &mut Writing<'_>,
    account: AccountId,
    name: &MailboxName,
    special_use: Option<SpecialUse>,
) -> Result<MailboxRow> {
    w.changes.names = true;
    w.renamed(account);
    let id = MailboxId(w.next("mailbox")? as u32);
    let row = MailboxRow {
        id,
        account,
        name: name.clone(),
        special_use,
        uidvalidity: next_uidvalidity(w)?,
        uidnext: Some(Uid::FIRST),
        modseq: ModSeq(1),
        exists: 0,
        unseen: 0,
        deleted: 0,
        octets: 0,
        recent_from: 1,
        keywords: Arc::default(),
    };
    w.unit.put_mailbox(&row)?;
    w.unit.write()?.put_subscription(account, name)?;
    inherit_access(w, &row)?;
    Ok(row)
}

/// Subscribes, because a client asks for it: that stays when the mailbox goes. RFC 9051 §6.3.7.
pub(crate) fn subscribe(w: &mut Writing<'_>, account: AccountId, name: &MailboxName) -> Result<()> {
    let rows = w.unit.rows();
    if rows.subscription_count(account)? >= SUBSCRIPTIONS_MAX
        && !rows.is_subscribed(account, name)?
    {
        return Err(StoreError::NotAllowed("the account has as many subscriptions as it can have"));
    }
    w.renamed(account);
    w.unit.write()?.put_property(Holder::Asked(account), name.as_str(), b"")?;
    w.unit.write()?.put_subscription(account, name)
}

/// Unsubscribes.
pub(crate) fn unsubscribe(
    w: &mut Writing<'_>,
    account: AccountId,
    name: &MailboxName,
) -> Result<()> {
    w.renamed(account);
    w.unit.write()?.remove_property(Holder::Asked(account), name.as_str())?;
    w.unit.write()?.remove_subscription(account, name)
}

/// Takes back the subscription that came with a mailbox. One that a client asked for is the
/// client's to take back, also when there is no such mailbox any more: RFC 3501 §6.3.6.
fn unsubscribe_unasked(w: &mut Writing<'_>, account: AccountId, name: &MailboxName) -> Result<()> {
    match w.unit.rows().property(Holder::Asked(account), name.as_str())? {
        Some(_) => Ok(()),
        None => w.unit.write()?.remove_subscription(account, name),
    }
}

/// UIDVALIDITY: the time, but always greater than any given before, so that a mailbox of the same
/// name never looks like the old one.
fn next_uidvalidity(w: &mut Writing<'_>) -> Result<UidValidity> {
    let last = w.unit.counter("uidvalidity")?;
    let now = w.now.clamp(1, i64::from(u32::MAX)) as u64;
    let next = now.max(last + 1).min(u64::from(u32::MAX));
    w.unit.put_counter("uidvalidity", next);
    Ok(UidValidity(NonZeroU32::new(next as u32).unwrap_or(NonZeroU32::MIN)))
}

/// Deletes a mailbox with its messages. INBOX stays, and so does what has others below it.
pub(crate) fn delete(w: &mut Writing<'_>, account: AccountId, name: &MailboxName) -> Result<()> {
    if name.is_inbox() {
        return Err(StoreError::NotAllowed("INBOX cannot be deleted"));
    }
    let row = w.unit.mailbox_named(account, name)?.ok_or(StoreError::NoSuchMailbox)?;
    if w.unit.rows().has_mailbox_below(account, name)? {
        return Err(StoreError::HasChildren);
    }
    remove(w, &row)
}

/// Takes a mailbox and its messages away.
pub(crate) fn remove(w: &mut Writing<'_>, row: &MailboxRow) -> Result<()> {
    w.changes.names = true;
    w.renamed(row.account);
    for entry in w.unit.entries(row.id, Uid::FIRST, Uid::MAX)? {
        w.release(entry.content)?;
    }
    w.unit.remove_mailbox(row.id)?;
    let holders = [Holder::Mailbox, Holder::Access, Holder::UniqueIds, Holder::Notes];
    for holder in holders.map(|of| of(row.id)) {
        if !w.unit.rows().property_names(holder, 1)?.is_empty() {
            w.unit.write()?.remove_properties(holder)?;
        }
    }
    unsubscribe_unasked(w, row.account, &row.name)?;
    w.note(row).deleted = true;
    Ok(())
}

/// Renames a mailbox and all below it. Renaming INBOX moves its messages instead.
pub(crate) fn rename(
    w: &mut Writing<'_>,
    account: AccountId,
    from: &MailboxName,
    to: &MailboxName,
) -> Result<()> {
    let row = w.unit.mailbox_named(account, from)?.ok_or(StoreError::NoSuchMailbox)?;
    if from.is_inbox() {
        let target = create(w, account, to, None)?;
        let entries = w.unit.entries(row.id, Uid::FIRST, Uid::MAX)?;
        let uids: Vec<Uid> = entries.iter().map(|entry| entry.uid).collect();
        copy_annotations(w, row.id, target.id)?;
        let by = copy::By { account, rights: Rights::ALL };
        return copy::move_(w, row.id, &uids, target.id, by).map(drop);
    }
    if to.is_below(from) {
        return Err(StoreError::NotAllowed("a mailbox cannot go below itself"));
    }
    not_reserved(to)?;
    if to.is_inbox() || w.unit.mailbox_named(account, to)?.is_some() {
        return Err(StoreError::AlreadyExists(format!("the mailbox {to}")));
    }
    if let Some(parent) = to.parent()
        && w.unit.mailbox_named(account, &parent)?.is_none()
    {
        create(w, account, &parent, None)?;
    }
    let below = w.unit.mailboxes_below(account, from)?;
    for mut row in std::iter::once(row).chain(below) {
        let Some(moved) = row.name.moved(from, to) else { continue };
        let moved = moved.map_err(|_| StoreError::NotAllowed("the new name is too long"))?;
        if w.unit.mailbox_named(account, &moved)?.is_some() {
            return Err(StoreError::AlreadyExists(format!("the mailbox {moved}")));
        }
        if w.unit.rows().is_subscribed(account, &row.name)? {
            unsubscribe_unasked(w, account, &row.name)?;
            w.unit.write()?.put_subscription(account, &moved)?;
        }
        w.changes.names = true;
        w.renamed(account);
        row.name = moved;
        w.unit.put_mailbox(&row)?;
    }
    Ok(())
}

/// INBOX keeps its annotations when it is renamed, and the other mailbox has them too. RFC 5464
/// §4.1.
fn copy_annotations(w: &mut Writing<'_>, from: MailboxId, to: MailboxId) -> Result<()> {
    for (name, value) in w.unit.rows().properties(Holder::Mailbox(from))? {
        if is_annotation(&name) {
            w.unit.write()?.put_property(Holder::Mailbox(to), &name, &value)?;
        }
    }
    Ok(())
}

/// Notes that messages up to UIDNEXT are not `\Recent` any more.
pub(crate) fn set_recent(w: &mut Writing<'_>, id: MailboxId, from: u32) -> Result<()> {
    let Some(row) = w.unit.mailbox(id)? else { return Ok(()) };
    if from > row.recent_from {
        let mut row = MailboxRow::clone(&row);
        row.recent_from = from;
        w.unit.put_mailbox(&row)?;
    }
    Ok(())
}
