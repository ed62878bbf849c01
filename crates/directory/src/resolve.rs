//! Where an address leads: to an account, to the members of an alias, elsewhere, or nowhere.
//!
//! The one place for aliases, plus-addressing (RFC 5233), catch-alls and loops among them.

use crate::limits::{ALIAS_DEPTH_MAX, ALIAS_MEMBERS_MAX};
use crate::{Directory, Unavailable};
use mail::{AccountId, Address};
use std::collections::HashSet;
use store::Lookup;

/// What an address is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It is (perhaps by its plus-tag or a catch-all) this account's.
    Account(AccountId),
    /// It is an alias with these members.
    Members(Vec<Address>),
    /// The domain is ours, but nobody has this address.
    NoSuchUser,
    /// The domain is not ours.
    NotLocal,
}

/// Where a copy of a message goes in the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The INBOX of an account.
    Account(AccountId),
    /// Another server.
    Remote(Address),
}

impl Directory {
    /// What `address` is to us: the address itself, then without its plus-tag, then the domain's
    /// catch-all.
    pub async fn resolve(&self, address: &Address) -> Result<Resolution, Unavailable> {
        let found = self.store.lookup(address)?;
        let Some(domain) = found.domain.clone() else { return Ok(Resolution::NotLocal) };
        if let Some(resolution) = direct(found) {
            return Ok(resolution);
        }
        if let Some(plain) = without_tag(address)
            && let Some(resolution) = direct(self.store.lookup(&plain)?)
        {
            return Ok(resolution);
        }
        Ok(domain.catch_all.map_or(Resolution::NoSuchUser, |to| Resolution::Members(vec![to])))
    }

    /// Every place a message to `address` goes, each once: aliases taken apart to the end. Empty
    /// when the address is ours and leads nowhere.
    pub async fn expand(&self, address: &Address) -> Result<Vec<Destination>, Unavailable> {
        let mut out = Vec::new();
        let mut seen = HashSet::new();
        let mut level = vec![address.clone()];
        for _ in 0..=ALIAS_DEPTH_MAX {
            let mut next = Vec::new();
            for address in level {
                if !seen.insert(address.key()) || out.len() >= ALIAS_MEMBERS_MAX {
                    continue;
                }
                match self.resolve(&address).await? {
                    Resolution::Account(id) => push_new(&mut out, Destination::Account(id)),
                    Resolution::NotLocal => push_new(&mut out, Destination::Remote(address)),
                    Resolution::Members(members) => next.extend(members),
                    Resolution::NoSuchUser => {}
                }
            }
            if next.is_empty() {
                break;
            }
            level = next;
        }
        Ok(out)
    }

    /// `account` may send as `address`: mail to that address would reach it.
    pub async fn may_send_as(
        &self,
        account: AccountId,
        address: &Address,
    ) -> Result<bool, Unavailable> {
        Ok(self.expand(address).await?.contains(&Destination::Account(account)))
    }
}

fn direct(found: Lookup) -> Option<Resolution> {
    if let Some(account) = found.account {
        return Some(Resolution::Account(account.id));
    }
    found.alias.map(|alias| Resolution::Members(alias.targets))
}

/// `bob+tag@x` without `+tag`.
fn without_tag(address: &Address) -> Option<Address> {
    let (plain, _) = address.local().split_once('+')?;
    Address::new(plain, address.domain().clone()).ok()
}

fn push_new(out: &mut Vec<Destination>, destination: Destination) {
    if !out.contains(&destination) {
        out.push(destination);
    }
}
