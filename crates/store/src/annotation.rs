//! Annotations of mailboxes and accounts: named values that clients keep here. RFC 5464.
//!
//! A name begins with `/shared/`, seen by all who see the mailbox, or with `/private/`, seen by the
//! account that set it; the row's name of a private one has the account's number in front.

use crate::error::{Result, StoreError};
use crate::feed::Kinds;
use crate::limits::ANNOTATIONS_MAX;
use crate::mailbox::{self, names};
use crate::open::Store;
use crate::quota::{self, MANAGER};
use crate::rows::Holder;
use crate::txn::ReadTxn;
use crate::write::Writing;
use mail::{AccountId, MailboxId, SpecialUse};
use std::collections::BTreeSet;

/// The row of the capabilities that are hidden from an account; no annotation has such a name.
const HIDDEN: &str = "hidden-capabilities";

/// What the mailbox is for: no row of its own. RFC 6154 §4.
const SPECIAL_USE: &str = "/private/specialuse";

/// A row of that name is an annotation.
pub(crate) fn is_annotation(name: &str) -> bool {
    let private = |(who, entry): (&str, &str)| {
        who.bytes().all(|b| b.is_ascii_digit()) && entry.starts_with("/private/")
    };
    name.starts_with("/shared/") || name.split_once(':').is_some_and(private)
}

/// What an annotation's row is called.
fn row_name(who: AccountId, name: &str) -> String {
    match name.starts_with("/private/") {
        true => format!("{who}:{name}"),
        false => name.to_owned(),
    }
}

impl Store {
    /// What an IMAP session has to know of its account: the capabilities that are not announced to
    /// it, in upper case (users.md I-62), and whether it may set the limits of others.
    pub fn session_traits(&self, account: AccountId) -> Result<(Vec<String>, bool)> {
        let of = Holder::Account(account);
        let read = |txn: &dyn ReadTxn| Ok((txn.property(of, HIDDEN)?, txn.property(of, MANAGER)?));
        let (hidden, manager) = self.look(read)?;
        let text = String::from_utf8(hidden.unwrap_or_default()).unwrap_or_default();
        let names = text.split_ascii_whitespace().map(str::to_owned).collect();
        Ok((names, manager.is_some()))
    }

    /// Hides IMAP capabilities from an account; it tells from the next login on.
    pub async fn hide_capabilities(&self, account: AccountId, names: &[String]) -> Result<()> {
        let value = names.join(" ").to_ascii_uppercase();
        let of = Holder::Account(account);
        self.write(move |w| match value.is_empty() {
            true => w.unit.write()?.remove_property(of, HIDDEN),
            false => w.unit.write()?.put_property(of, HIDDEN, value.as_bytes()),
        })
        .await
    }

    /// The annotations that `who` sees, by name.
    pub fn annotations(&self, of: Holder, who: AccountId) -> Result<Vec<(String, Vec<u8>)>> {
        let own = format!("{who}:");
        let seen = |(name, value): (String, Vec<u8>)| match name.strip_prefix(&own) {
            Some(private) => Some((private.to_owned(), value)),
            None if name.starts_with('/') => Some((name, value)),
            None => None,
        };
        let (rows, mailbox) = self.look(|txn| {
            let mailbox = match of {
                Holder::Mailbox(id) => txn.mailbox(id)?,
                _ => None,
            };
            Ok((txn.properties(of)?, mailbox))
        })?;
        let mut found: Vec<_> = rows.into_iter().filter_map(seen).collect();
        found.retain(|(name, _)| name != SPECIAL_USE);
        let own = mailbox.filter(|row| row.account == who).and_then(|row| row.special_use);
        found.extend(own.map(|of| (SPECIAL_USE.to_owned(), of.attribute().as_bytes().to_vec())));
        found.sort_unstable();
        Ok(found)
    }

    /// Sets annotations, or takes those away that get no value; all or none. `false`, and nothing
    /// changes, when there would be too many.
    pub async fn annotate(
        &self,
        of: Holder,
        who: AccountId,
        mut changes: Vec<(String, Option<Vec<u8>>)>,
    ) -> Result<bool> {
        let own = format!("{who}:");
        self.write(move |w| {
            let account = match of {
                Holder::Mailbox(id) => w.mailbox(id)?.account,
                _ => who,
            };
            w.changes.heard.note(account, Kinds::METADATA);
            let rows = w.unit.rows().properties(of)?;
            let mut names: BTreeSet<String> = rows.into_iter().map(|(name, _)| name).collect();
            // RFC 5464 §7: what others keep here for themselves takes nobody's room.
            names.retain(|name| name.starts_with('/') || name.starts_with(&own));
            let before = names.len();
            for (name, value) in changes.iter().filter(|(name, _)| name != SPECIAL_USE) {
                let name = row_name(who, name);
                match value {
                    Some(_) => names.insert(name),
                    None => names.remove(&name),
                };
            }
            if names.len() > ANNOTATIONS_MAX.max(before) {
                return Ok(false);
            }
            if let Holder::Mailbox(id) = of {
                let uses = changes.extract_if(.., |(name, _)| name == SPECIAL_USE);
                for (_, value) in uses.collect::<Vec<_>>() {
                    change_use(w, id, who, value)?;
                }
            }
            let sets_some = changes.iter().any(|(_, value)| value.is_some());
            let mut changed = false;
            for (name, value) in changes {
                let name = row_name(who, &name);
                changed |= w.unit.rows().property(of, &name)? != value;
                match value {
                    Some(value) => w.unit.write()?.put_property(of, &name, &value)?,
                    None => w.unit.write()?.remove_property(of, &name)?,
                }
            }
            if let (Holder::Mailbox(id), true) = (of, changed) {
                // RFC 7162 §3.2.
                let mut row = w.mailbox(id)?;
                mailbox::bump(&mut row);
                w.save(&row)?;
            }
            // Taking away is always allowed.
            if sets_some {
                quota::check_metadata(w, account)?;
            }
            Ok(true)
        })
        .await
    }
}

/// Gives a mailbox another special use, as its annotation says.
fn change_use(
    w: &mut Writing<'_>,
    id: MailboxId,
    who: AccountId,
    value: Option<Vec<u8>>,
) -> Result<()> {
    let row = w.mailbox(id)?;
    if row.account != who {
        return Err(StoreError::NotPermitted);
    }
    let parse = |value: Vec<u8>| SpecialUse::parse(std::str::from_utf8(&value).ok()?);
    let use_ = match value.filter(|value| !value.is_empty()) {
        None => None,
        Some(value) => Some(parse(value).ok_or(StoreError::SpecialUse("there is no such use"))?),
    };
    names::set_special_use(w, row, use_)
}
