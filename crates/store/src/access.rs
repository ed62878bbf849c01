//! Who may do what with which mailbox. RFC 4314.
//!
//! One function decides: [`Store::rights`]. An owner may do everything; others what the mailbox's
//! list gives to their address and to `anyone`, less what it takes from them. What somebody may not
//! see is to them as if it did not exist: [`Store::visible`] and [`Store::permit`] answer the same
//! for both.
//!
//! Mailboxes of others are called `Other Users/ADDRESS/NAME`; those of one account, if that was
//! said, `Public Folders/NAME`.

use crate::error::{Result, StoreError};
use crate::open::Store;
use crate::rows::{AccountRow, Holder, MailboxRow};
use mail::mailbox_name::{OTHER_USERS, PUBLIC, SEPARATOR};
use mail::{AccountId, Address, MailboxId, MailboxName, Rights};

/// Identifiers in the list of one mailbox.
const IDENTIFIERS_MAX: usize = 1000;
/// With any of these somebody may know that a mailbox exists. RFC 4314 §4 (MYRIGHTS).
const VISIBLE: Rights = Rights::LOOKUP
    .with(Rights::READ)
    .with(Rights::INSERT)
    .with(Rights::CREATE)
    .with(Rights::DELETE)
    .with(Rights::ADMIN);
/// Everybody who can log in. RFC 4314 §2.
const ANYONE: &str = "anyone";
/// The counter that holds the number of the account whose mailboxes are public.
const PUBLIC_ACCOUNT: &str = "public";

/// A mailbox as somebody sees it.
#[derive(Clone, Debug)]
pub struct Visible {
    /// The mailbox.
    pub row: MailboxRow,
    /// What it is called for who looks.
    pub name: MailboxName,
    /// What they may do.
    pub rights: Rights,
}

/// Somebody who acts: an account and its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The account.
    pub account: AccountId,
    /// Its address.
    pub address: Address,
}

/// An identifier of a list: `anyone`, or an address in its one spelling, perhaps with `-` in front
/// for rights that are taken.
pub fn identifier(text: &str) -> Option<String> {
    let (sign, name) = match text.strip_prefix('-') {
        Some(name) => ("-", name),
        None => ("", text),
    };
    if name.eq_ignore_ascii_case(ANYONE) {
        return Some(format!("{sign}{ANYONE}"));
    }
    Address::parse(name).ok().map(|address| format!("{sign}{}", address.key()))
}

impl Store {
    /// The same for whoever is meant: an account in the spelling that its address is kept in.
    pub fn known_identifier(&self, text: &str) -> Result<Option<String>> {
        let Some(plain) = identifier(text) else { return Ok(None) };
        let (sign, name) = match plain.strip_prefix('-') {
            Some(name) => ("-", name),
            None => ("", plain.as_str()),
        };
        let Ok(address) = Address::parse(name) else { return Ok(Some(plain)) };
        let account = self.lookup(&address)?.account.map(|row| row.address);
        Ok(Some(format!("{sign}{}", account.unwrap_or_else(|| address.prepared()).key())))
    }

    /// What `actor` may do with a mailbox. The one place where this is decided.
    pub fn rights(&self, actor: &Actor, row: &MailboxRow) -> Result<Rights> {
        if row.account == actor.account {
            return Ok(Rights::ALL);
        }
        let list = self.look(|txn| txn.properties(Holder::Access(row.id)))?;
        Ok(granted(&list, &actor.address.key()))
    }

    /// A mailbox by the name that `actor` has for it; `None` when there is none or it is not theirs
    /// to see.
    pub fn visible(&self, actor: &Actor, name: &MailboxName) -> Result<Option<Visible>> {
        let Some((owner, own)) = self.place_of(actor, name)? else { return Ok(None) };
        let Some(row) = self.mailbox(owner, &own)? else { return Ok(None) };
        let rights = self.rights(actor, &row)?;
        let sees = rights.intersects(VISIBLE);
        Ok(sees.then(|| Visible { row, name: name.clone(), rights }))
    }

    /// The mailboxes of others that `actor` sees by LIST.
    pub fn shared_with(&self, actor: &Actor) -> Result<Vec<Visible>> {
        let key = actor.address.key();
        let mut ids = self.look(|txn| {
            let mut ids = txn.accessible(&key)?;
            ids.extend(txn.accessible(ANYONE)?);
            Ok(ids)
        })?;
        ids.sort_unstable();
        ids.dedup();
        let owners = if ids.is_empty() { Vec::new() } else { self.accounts()? };
        let public = self.public_account()?;
        let mut found = Vec::new();
        for id in ids {
            let Some(row) = self.look(|txn| txn.mailbox(id))? else { continue };
            let owner = owners.iter().find(|owner| owner.id == row.account);
            let is_public = public == Some(row.account);
            let name = owner.and_then(|owner| shown(owner, is_public, &row.name));
            let Some(name) = name else { continue };
            let rights = self.rights(actor, &row)?;
            if row.account != actor.account && rights.contains(Rights::LOOKUP) {
                found.push(Visible { row, name, rights });
            }
        }
        Ok(found)
    }

    /// Whose mailbox a name is, and what they call it; `None` when nothing can have that name.
    pub fn place_of(
        &self,
        actor: &Actor,
        name: &MailboxName,
    ) -> Result<Option<(AccountId, MailboxName)>> {
        if let Some(own) = name.as_str().strip_prefix(PUBLIC).filter(|own| starts_level(own))
            && let Some(public) = self.public_account()?
        {
            let own = own.strip_prefix(SEPARATOR).unwrap_or_default();
            return Ok(MailboxName::new(own).ok().map(|own| (public, own)));
        }
        let Some((address, own)) = other_user(name) else {
            return Ok(Some((actor.account, name.clone())));
        };
        let owner = self.account_at(&address)?.map(|row| row.id);
        Ok(owner.zip(own))
    }

    /// The account whose mailboxes are public folders.
    pub fn public_account(&self) -> Result<Option<AccountId>> {
        let id = self.look(|txn| txn.counter(PUBLIC_ACCOUNT))?;
        Ok(u32::try_from(id).ok().filter(|id| *id > 0).map(AccountId))
    }

    /// From now on the mailboxes of that account are public folders; who may do what with them is
    /// for their lists of access to say.
    pub async fn set_public_account(&self, account: Option<AccountId>) -> Result<()> {
        let id = account.map_or(0, |account| u64::from(account.0));
        self.write(move |w| {
            (w.changes.names, w.changes.heard.access) = (true, true);
            w.unit.put_counter(PUBLIC_ACCOUNT, id);
            Ok(())
        })
        .await
    }

    /// `actor` may make a mailbox of that name in that account: it is theirs, or the nearest one
    /// above gives them `k`. RFC 4314 §4.
    pub fn may_create(&self, actor: &Actor, owner: AccountId, own: &MailboxName) -> Result<()> {
        if owner == actor.account {
            return Ok(());
        }
        for above in std::iter::successors(own.parent(), MailboxName::parent) {
            let Some(row) = self.mailbox(owner, &above)? else { continue };
            return self.permit(actor, &row, Rights::CREATE).map(drop);
        }
        Err(StoreError::NoSuchMailbox)
    }

    /// The rights to a mailbox, an error unless `needed` are among them.
    pub fn permit(&self, actor: &Actor, row: &MailboxRow, needed: Rights) -> Result<Rights> {
        let rights = self.rights(actor, row)?;
        match rights.contains(needed) {
            true => Ok(rights),
            false if rights.intersects(VISIBLE) => Err(StoreError::NotPermitted),
            false => Err(StoreError::NoSuchMailbox),
        }
    }

    /// The same for a mailbox by its number.
    pub fn allowed(&self, actor: &Actor, id: MailboxId, needed: Rights) -> Result<Rights> {
        let row = self.look(|txn| txn.mailbox(id))?.ok_or(StoreError::NoSuchMailbox)?;
        self.permit(actor, &row, needed)
    }

    /// The list of a mailbox, its owner first. RFC 4314 §3.6.
    pub fn access(&self, row: &MailboxRow) -> Result<Vec<(String, Rights)>> {
        let owner = self.accounts()?.into_iter().find(|account| account.id == row.account);
        let mut list: Vec<(String, Rights)> =
            owner.map(|owner| (owner.address.to_string(), Rights::ALL)).into_iter().collect();
        let rows = self.look(|txn| txn.properties(Holder::Access(row.id)))?;
        list.extend(rows.into_iter().map(|(name, value)| (name, letters(&value))));
        Ok(list)
    }

    /// Changes the rights of an identifier (see [`identifier`]); without any left it goes.
    pub async fn set_access(
        &self,
        id: MailboxId,
        identifier: String,
        change: impl FnOnce(Rights) -> Rights + Send + 'static,
    ) -> Result<()> {
        self.write(move |w| {
            let row = w.mailbox(id)?;
            w.renamed(row.account);
            w.changes.heard.access = true;
            let of = Holder::Access(id);
            let old = w.unit.rows().property(of, &identifier)?;
            let rights = change(old.as_deref().map(letters).unwrap_or_default());
            if rights == Rights::NONE {
                return w.unit.write()?.remove_property(of, &identifier);
            }
            if old.is_none() && w.unit.rows().properties(of)?.len() >= IDENTIFIERS_MAX {
                return Err(StoreError::NotAllowed("the list is as long as it can be"));
            }
            w.unit.write()?.put_property(of, &identifier, rights.to_string().as_bytes())
        })
        .await
    }

    fn account_at(&self, address: &str) -> Result<Option<AccountRow>> {
        let Ok(address) = Address::parse(address) else { return Ok(None) };
        Ok(self.lookup(&address)?.account)
    }
}

fn letters(value: &[u8]) -> Rights {
    std::str::from_utf8(value).ok().and_then(Rights::parse).unwrap_or_default()
}

/// What a list gives to an address. RFC 4314 §2.
fn granted(list: &[(String, Vec<u8>)], key: &str) -> Rights {
    let of = |sign: &str| {
        let named = |name: &str| {
            let rest = name.strip_prefix(sign)?;
            (rest == key || rest == ANYONE).then_some(())
        };
        list.iter()
            .filter(|(name, _)| named(name).is_some())
            .fold(Rights::NONE, |rights, (_, value)| rights.with(letters(value)))
    };
    of("").without(of("-"))
}

/// Address and name when it is a mailbox of somebody else; the name is `None` when it is no name.
fn other_user(name: &MailboxName) -> Option<(String, Option<MailboxName>)> {
    let rest = name.as_str().strip_prefix(OTHER_USERS)?;
    if rest.is_empty() {
        return Some((String::new(), None));
    }
    let rest = rest.strip_prefix(SEPARATOR)?;
    let (address, own) = rest.split_once(SEPARATOR).unwrap_or((rest, ""));
    Some((address.to_owned(), MailboxName::new(own).ok()))
}

/// What follows a first level is nothing or the next one.
fn starts_level(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(SEPARATOR)
}

fn shown(owner: &AccountRow, is_public: bool, name: &MailboxName) -> Option<MailboxName> {
    if is_public {
        return MailboxName::new(&format!("{PUBLIC}{SEPARATOR}{name}")).ok();
    }
    MailboxName::new(&format!("{OTHER_USERS}{SEPARATOR}{}{SEPARATOR}{name}", owner.address)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_give_and_take() {
        let list = |pairs: &[(&str, &str)]| -> Vec<(String, Vec<u8>)> {
            pairs.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect()
        };
        let given =
            list(&[("-b@x.test", "r"), ("a@x.test", "lr"), ("anyone", "li"), ("b@x.test", "lrw")]);
        assert_eq!(granted(&given, "a@x.test").to_string(), "lri");
        assert_eq!(granted(&given, "b@x.test").to_string(), "lwi");
        assert_eq!(granted(&given, "c@x.test").to_string(), "li");
        assert_eq!(granted(&[], "c@x.test"), Rights::NONE);
        assert_eq!(identifier("-Anyone").as_deref(), Some("-anyone"));
        assert_eq!(identifier("B@X.Test").as_deref(), identifier("b@x.test").as_deref());
        assert_eq!(identifier("group:x"), None);
    }
}
