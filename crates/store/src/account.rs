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

/// Everything about an address itself, in whatever spelling. What was kept before addresses were
/// prepared is found by the spelling that it was given.
pub(crate) fn lookup(txn: &dyn ReadTxn, address: &Address) -> Result<Lookup> {
    let Some(domain) = own_domain(txn, address.domain())? else {
        return Ok(Lookup::default());
    };
    let prepared = kept(address, &domain);
    let mut keys = vec![prepared.key()];
    let given = address.key();
    if !keys.contains(&given) {
        keys.push(given);
    }
    let (mut account, mut alias) = (None, None);
    for key in keys {
        account = txn.account(&key)?;
        alias = if account.is_none() { txn.alias(&key)? } else { None };
        if account.is_some() || alias.is_some() {
            break;
        }
    }
    Ok(Lookup { domain: Some(domain), account, alias })
}

/// The domain, if it is ours in one of its spellings.
pub(crate) fn own_domain(txn: &dyn ReadTxn, domain: &Domain) -> Result<Option<DomainRow>> {
    in_any_spelling(domain, |name| txn.domain(name.as_str()))
}

/// What there is by the name of a domain, in one of its spellings.
pub(crate) fn in_any_spelling<T>(
    domain: &Domain,
    find: impl Fn(&Domain) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let given = find(domain)?;
    if given.is_some() {
        return Ok(given);
    }
    for other in domain.spellings() {
        let found = find(&other)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The spelling that an address in a domain of ours is kept in.
fn kept(address: &Address, domain: &DomainRow) -> Address {
    let prepared = address.prepared();
    Address::new(prepared.local(), domain.domain.clone()).unwrap_or(prepared)
}

/// Makes an account with its default mailboxes, in a domain that is ours, at a free address.
pub(crate) fn add(w: &mut Writing<'_>, new: &NewAccount) -> Result<AccountId> {
    let address = free(w, &new.address)?;
    let id = AccountId(w.next("account")? as u32);
    let created = w.now;
    w.names()?.put_account(&AccountRow {
        id,
        address,
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

/// The address is in a domain of ours, and nobody has it; the spelling that it is kept in.
fn free(w: &mut Writing<'_>, address: &Address) -> Result<Address> {
    let found = lookup(w.unit.rows(), address)?;
    let domain = found.domain.ok_or_else(|| not_found("domain", address.domain()))?;
    match (found.account, found.alias) {
        (Some(_), _) => Err(StoreError::AlreadyExists(format!("the account {address}"))),
        (_, Some(_)) => Err(StoreError::AlreadyExists(format!("the alias {address}"))),
        (None, None) => Ok(kept(address, &domain)),
    }
}

/// Changes what an account's row says.
pub(crate) fn update<T>(
    w: &mut Writing<'_>,
    address: &Address,
    change: impl FnOnce(&mut AccountRow) -> T,
) -> Result<T> {
    let row = lookup(w.unit.rows(), address)?.account;
    let mut row = row.ok_or_else(|| not_found("account", address))?;
    let done = change(&mut row);
    w.changes.accounts.push(row.id);
    w.names()?.put_account(&row)?;
    Ok(done)
}

/// Takes an account away, with all its mail.
pub(crate) fn remove(w: &mut Writing<'_>, address: &Address) -> Result<()> {
    let row = lookup(w.unit.rows(), address)?.account;
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
    w.names()?.remove_account(&row.address.key()).map(drop)
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
    let address = free(w, &row.address)?;
    w.names()?.put_alias(&AliasRow { address, ..row.clone() })
}

/// Takes an alias away.
pub(crate) fn remove_alias(w: &mut Writing<'_>, address: &Address) -> Result<()> {
    let row = lookup(w.unit.rows(), address)?.alias;
    let row = row.ok_or_else(|| not_found("alias", address))?;
    w.names()?.remove_alias(&row.address.key()).map(drop)
}

/// Makes a domain ours.
pub(crate) fn add_domain(w: &mut Writing<'_>, domain: &Domain) -> Result<()> {
    if let Some(row) = own_domain(w.unit.rows(), domain)? {
        return Err(StoreError::AlreadyExists(format!("the domain {}", row.domain)));
    }
    w.names()?.put_domain(&DomainRow { domain: domain.prepared(), catch_all: None })
}

/// Sets who gets mail for addresses that nobody has.
pub(crate) fn set_catch_all(
    w: &mut Writing<'_>,
    domain: &Domain,
    to: Option<Address>,
) -> Result<()> {
    let row = own_domain(w.unit.rows(), domain)?;
    let mut row = row.ok_or_else(|| not_found("domain", domain))?;
    row.catch_all = to;
    w.names()?.put_domain(&row)
}

/// Takes a domain away that no account and no alias is in.
pub(crate) fn remove_domain(w: &mut Writing<'_>, domain: &Domain) -> Result<()> {
    let row = own_domain(w.unit.rows(), domain)?;
    let domain = &row.ok_or_else(|| not_found("domain", domain))?.domain;
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
