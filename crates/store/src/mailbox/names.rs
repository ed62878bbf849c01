//! Making, deleting and renaming mailboxes. RFC 9051 §6.3.4 to §6.3.6.

use super::copy;
use crate::annotation::is_annotation;
use crate::error::{Result, StoreError};
use crate::quota;
use crate::rows::{Holder, MailboxRow};
use crate::write::Writing;
use mail::mailbox_name::{OTHER_USERS, PUBLIC, SEPARATOR};
use mail::{AccountId, MailboxId, MailboxName, Rights, SpecialUse, Uid, UidValidity};
use std::num::NonZeroU32;

/// Mailboxes an account can have.
const MAILBOXES_MAX: usize = 10_000;
/// Names an account can ask to be subscribed to, beside its mailboxes.
const SUBSCRIPTIONS_MAX: usize = 20_000;

/// Makes a mailbox and those above it that do not exist, and subscribes to them. A name above it
/// that has others below it already is needed by nobody as a mailbox: it may have been deleted.
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
    free_special_use(w, account, special_use)?;
    insert_above(w, account, name)?;
    insert(w, account, name, special_use)
}

/// Makes the mailboxes above a name that do not exist. RFC 9051 §6.3.4.
fn insert_above(w: &mut Writing<'_>, account: AccountId, name: &MailboxName) -> Result<()> {
    let mut missing = Vec::new();
    for name in std::iter::successors(name.parent(), MailboxName::parent) {
        let rows = w.unit.rows();
        if rows.mailbox_named(account, &name)?.is_some()
            || rows.has_mailbox_below(account, &name)?
        {
            break;
        }
        missing.push(name);
    }
    missing.iter().rev().try_for_each(|name| insert(w, account, name, None).map(drop))
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

/// A new mailbox has the list of access of the nearest one above it. RFC 4314 §4.
fn inherit_access(w: &mut Writing<'_>, row: &MailboxRow) -> Result<()> {
    for above in std::iter::successors(row.name.parent(), MailboxName::parent) {
        let Some(above) = w.unit.mailbox_named(row.account, &above)? else { continue };
        for (name, value) in w.unit.rows().properties(Holder::Access(above.id))? {
            w.unit.write()?.put_property(Holder::Access(row.id), &name, &value)?;
        }
        break;
    }
    Ok(())
}

fn insert(
    w: &mut Writing<'_>,
    account: AccountId,
    name: &MailboxName,
    special_use: Option<SpecialUse>,
) -> Result<MailboxRow> {
    if w.unit.rows().mailbox_count(account)? >= MAILBOXES_MAX {
        return Err(StoreError::NotAllowed("the account has as many mailboxes as it can have"));
    }
    w.changes.names = true;
    w.renamed(account);
    let id = MailboxId(w.next("mailbox")? as u32);
    let new = MailboxRow::new(id, account, name.clone(), next_uidvalidity(w)?);
    let row = MailboxRow { special_use, ..new };
    w.unit.put_mailbox(&row)?;
    w.unit.write()?.put_subscription(account, name)?;
    inherit_access(w, &row)?;
    quota::check(w, account, &[quota::Resource::Mailbox])?;
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

/// Deletes a mailbox with its messages, but not those below it: as long as there are some its name
/// is seen above them. INBOX stays.
pub(crate) fn delete(w: &mut Writing<'_>, account: AccountId, name: &MailboxName) -> Result<()> {
    if name.is_inbox() {
        return Err(StoreError::NotAllowed("INBOX cannot be deleted"));
    }
    let row = w.unit.mailbox_named(account, name)?.ok_or(StoreError::NoSuchMailbox)?;
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

/// Renames a mailbox and all below it, or what is below a mere name. Renaming INBOX moves its
/// messages instead.
pub(crate) fn rename(
    w: &mut Writing<'_>,
    account: AccountId,
    from: &MailboxName,
    to: &MailboxName,
) -> Result<()> {
    let row = w.unit.mailbox_named(account, from)?;
    if let Some(row) = row.as_ref().filter(|row| row.name.is_inbox()) {
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
    let below = w.unit.mailboxes_below(account, from)?;
    if row.is_none() && below.is_empty() {
        return Err(StoreError::NoSuchMailbox);
    }
    insert_above(w, account, to)?;
    for mut row in row.into_iter().chain(below) {
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
