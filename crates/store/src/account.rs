//! Accounts, domains and aliases, and what must hold among them.

use crate::error::{Result, StoreError};
use crate::mailbox::{annotations, names};
use crate::rows::{AccountRow, AliasRow, DomainRow, Holder, Lookup};
use crate::signing;
use crate::txn::ReadTxn;
use crate::write::Writing;
use mail::{AccountId, Address, Domain, MailboxId, MailboxName, SpecialUse};

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its address.
    pub address: Address,
    /// Its password hash.
    pub secret: String,
}

fn not_found(what: &str, name: impl std::fmt::Display) -> StoreError {
    StoreError::NotFound(format!("the {what} {name}"))
}

/// Everything about an address itself.
pub(crate) fn lookup(txn: &dyn ReadTxn, address: &Address) -> Result<Lookup> {
    let Some(domain) = txn.domain(address.domain().as_str())? else {
        return Ok(Lookup::default());
    };
    let key = address.key();
    let account = txn.account(&key)?;
    let alias = if account.is_none() { txn.alias(&key)? } else { None };
    Ok(Lookup { domain: Some(domain), account, alias })
}

/// Makes an account with its default mailboxes, in a domain that is ours, at a free address.
pub(crate) fn add(w: &mut Writing<'_>, new: &NewAccount) -> Result<AccountId> {
    free(w, &new.address)?;
    let id = AccountId(w.next("account")? as u32);
    let created = w.now;
    w.names()?.put_account(&AccountRow {
        id,
        address: new.address.clone(),
        secret: new.secret.clone(),
        disabled: false,
        created,
    })?;
    names::create(w, id, &MailboxName::inbox(), None)?;
    for (special_use, name) in SpecialUse::DEFAULT {
        let name = MailboxName::new(name).map_err(|_| StoreError::NotAllowed("name"))?;
        names::create(w, id, &name, Some(special_use))?;
    }
    Ok(id)
}

/// The address is in a domain of ours, and nobody has it.
fn free(w: &mut Writing<'_>, address: &Address) -> Result<()> {
    let found = lookup(w.unit.rows(), address)?;
    if found.domain.is_none() {
        return Err(not_found("domain", address.domain()));
    }
    match (found.account, found.alias) {
        (Some(_), _) => Err(StoreError::AlreadyExists(format!("the account {address}"))),
        (_, Some(_)) => Err(StoreError::AlreadyExists(format!("the alias {address}"))),
        (None, None) => Ok(()),
    }
}

/// Changes what an account's row says.
pub(crate) fn update(
    w: &mut Writing<'_>,
    address: &Address,
    change: impl FnOnce(&mut AccountRow),
) -> Result<()> {
    let row = w.unit.rows().account(&address.key())?;
    let mut row = row.ok_or_else(|| not_found("account", address))?;
    change(&mut row);
    w.changes.accounts.push(row.id);
    w.names()?.put_account(&row)
}

/// Takes an account away, with all its mail.
pub(crate) fn remove(w: &mut Writing<'_>, address: &Address) -> Result<()> {
    let row = w.unit.rows().account(&address.key())?;
    let row = row.ok_or_else(|| not_found("account", address))?;
    w.changes.accounts.push(row.id);
    for mailbox in w.unit.mailboxes(row.id)? {
        names::remove(w, &mailbox)?;
    }
    for name in w.unit.rows().subscriptions(row.id)? {
        w.names()?.remove_subscription(row.id, &name)?;
    }
    let holders = [
        Holder::Account,
        Holder::Quota,
        Holder::Correspondents,
        Holder::Lessons,
        Holder::Taught,
        Holder::Held,
        Holder::Asked,
    ];
    for holder in holders.map(|of| of(row.id)) {
        w.unit.write()?.remove_properties(holder)?;
    }
    forget_elsewhere(w, &row)?;
    w.names()?.remove_account(&address.key()).map(drop)
}

/// Takes away what an account has in others' mailboxes: private annotations, and rights, which
/// whoever has the address next would get.
fn forget_elsewhere(w: &mut Writing<'_>, row: &AccountRow) -> Result<()> {
    let any = MailboxId(0);
    let own = format!("{}:", row.id);
    for of in w.unit.rows().owners(Holder::Mailbox(any))? {
        let of = Holder::Mailbox(MailboxId(of));
        for (name, _) in w.unit.rows().properties(of)? {
            if name.starts_with(&own) {
                w.unit.write()?.remove_property(of, &name)?;
            }
        }
    }
    for of in w.unit.rows().owners(Holder::Notes(any))? {
        annotations::forget_account(w, MailboxId(of), row.id)?;
    }
    let key = row.address.key();
    for identifier in [format!("-{key}"), key] {
        for mailbox in w.unit.rows().accessible(&identifier)? {
            let owner = w.mailbox(mailbox)?.account;
            w.renamed(owner);
            w.changes.heard.access = true;
            w.unit.write()?.remove_property(Holder::Access(mailbox), &identifier)?;
        }
    }
    Ok(())
}

/// Makes an alias at a free address in a domain that is ours.
pub(crate) fn add_alias(w: &mut Writing<'_>, row: &AliasRow) -> Result<()> {
    if row.targets.is_empty() {
        return Err(StoreError::NotAllowed("an alias needs at least one target"));
    }
    free(w, &row.address)?;
    w.names()?.put_alias(row)
}

/// Takes an alias away.
pub(crate) fn remove_alias(w: &mut Writing<'_>, address: &Address) -> Result<()> {
    match w.names()?.remove_alias(&address.key())? {
        true => Ok(()),
        false => Err(not_found("alias", address)),
    }
}

/// Makes a domain ours.
pub(crate) fn add_domain(w: &mut Writing<'_>, domain: &Domain) -> Result<()> {
    if w.unit.rows().domain(domain.as_str())?.is_some() {
        return Err(StoreError::AlreadyExists(format!("the domain {domain}")));
    }
    w.names()?.put_domain(&DomainRow { domain: domain.clone(), catch_all: None })
}

/// Sets who gets mail for addresses that nobody has.
pub(crate) fn set_catch_all(
    w: &mut Writing<'_>,
    domain: &Domain,
    to: Option<Address>,
) -> Result<()> {
    let row = w.unit.rows().domain(domain.as_str())?;
    let mut row = row.ok_or_else(|| not_found("domain", domain))?;
    row.catch_all = to;
    w.names()?.put_domain(&row)
}

/// Takes a domain away that no account and no alias is in.
pub(crate) fn remove_domain(w: &mut Writing<'_>, domain: &Domain) -> Result<()> {
    let in_use = w.unit.rows().accounts()?.iter().any(|row| row.address.domain() == domain)
        || w.unit.rows().aliases()?.iter().any(|row| row.address.domain() == domain);
    if in_use {
        return Err(StoreError::NotAllowed("the domain still has accounts or aliases"));
    }
    signing::forget(w, domain)?;
    match w.names()?.remove_domain(domain.as_str())? {
        true => Ok(()),
        false => Err(not_found("domain", domain)),
    }
}
