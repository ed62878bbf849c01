//! Where an address leads: to an account, to the members of an alias, elsewhere, or nowhere.
//!
//! The one place for aliases, plus-addressing (RFC 5233), catch-alls and loops among them.

use crate::external::Found;
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
    /// It is the envelope sender of mail that was sent on from here, made for this address: reports
    /// go there, and nothing else.
    Returned(Address),
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

/// Where all copies of a message to an address go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expansion {
    /// Every place, once. Empty when the address is ours and leads nowhere.
    pub destinations: Vec<Destination>,
    /// Addresses here that it leads to, and that nobody has.
    pub lost: Vec<Address>,
}

impl Directory {
    /// What `address` is to us: the address itself, then without its plus-tag, then the domain's
    /// catch-all.
    pub async fn resolve(&self, address: &Address) -> Result<Resolution, Unavailable> {
        let found = self.store.lookup(address)?;
        let postmaster = self.postmaster_of_host(address);
        let Some(domain) = found.domain.clone() else {
            let to = |to| Resolution::Members(vec![to]);
            return Ok(postmaster.map_or(Resolution::NotLocal, to));
        };
        if let Some(resolution) = self.direct(address, found).await? {
            return Ok(resolution);
        }
        if let Some(original) = self.forwarded_for(address)? {
            return Ok(Resolution::Returned(original));
        }
        if let Some(plain) = without_tag(address)
            && let Some(resolution) = self.direct(&plain, self.store.lookup(&plain)?).await?
        {
            return Ok(resolution);
        }
        if let Some(to) = postmaster.or(domain.catch_all) {
            return Ok(Resolution::Members(vec![to]));
        }
        self.reserved(address).await
    }

    /// A domain that says nothing of its postmaster has that of the default domain (RFC 5321
    /// §4.5.1: there must be one in each), and so whom to tell of abuse (RFC 2142 §4).
    async fn reserved(&self, address: &Address) -> Result<Resolution, Unavailable> {
        let is_reserved =
            ["postmaster", "abuse"].iter().any(|name| address.local().eq_ignore_ascii_case(name));
        let default = self.inner.settings.default_domain.as_ref();
        let default = default.filter(|default| is_reserved && !default.is_same(address.domain()));
        let to = default.and_then(|domain| Address::new(address.local(), domain.clone()).ok());
        let Some(to) = to else { return Ok(Resolution::NoSuchUser) };
        match Box::pin(self.resolve(&to)).await? {
            Resolution::NoSuchUser | Resolution::NotLocal => Ok(Resolution::NoSuchUser),
            _ => Ok(Resolution::Members(vec![to])),
        }
    }

    /// Who is behind reports, and answers what is sent back to them: `MAILER-DAEMON` and
    /// `postmaster` at our host name are the default domain's postmaster. RFC 3464 §2, RFC 3461
    /// §9.3.
    fn postmaster_of_host(&self, address: &Address) -> Option<Address> {
        let settings = &self.inner.settings;
        let is = |name| address.local().eq_ignore_ascii_case(name);
        let own = settings.hostname.as_ref().is_some_and(|name| name.is_same(address.domain()));
        let domain = settings.default_domain.clone();
        let domain = domain.filter(|_| own && (is("postmaster") || is("mailer-daemon")))?;
        let to = Address::new("postmaster", domain).ok()?;
        (to.key() != address.key()).then_some(to)
    }

    /// What the address itself is, here or in the other directory.
    async fn direct(
        &self,
        address: &Address,
        found: Lookup,
    ) -> Result<Option<Resolution>, Unavailable> {
        if let Some(alias) = found.alias {
            return Ok(Some(Resolution::Members(alias.targets)));
        }
        let Some(external) = self.external_for(found.account.as_ref()) else {
            return Ok(found.account.map(|row| Resolution::Account(row.id)));
        };
        match Box::pin(self.resolve_externally(external, address, found.account)).await? {
            Some(Found::Members(members)) => Ok(Some(Resolution::Members(members))),
            Some(Found::Account(own)) => {
                Ok(self.settled(&own).await?.map(|row| Resolution::Account(row.id)))
            }
            None => Ok(None),
        }
    }

    /// Every place a message to `address` goes: aliases taken apart to the end. Unavailable when
    /// there are too many.
    pub async fn expand(&self, address: &Address) -> Result<Expansion, Unavailable> {
        self.walk(address, usize::MAX).await
    }

    /// The same, but no further than to the first `enough` places.
    async fn walk(&self, address: &Address, enough: usize) -> Result<Expansion, Unavailable> {
        let mut out = Expansion::default();
        let (mut seen, mut found) = (HashSet::new(), HashSet::new());
        let mut level = vec![address.clone()];
        for _ in 0..=ALIAS_DEPTH_MAX {
            let mut next = Vec::new();
            for address in level {
                if !seen.insert(address.key()) {
                    continue;
                }
                let destination = match self.resolve(&address).await? {
                    Resolution::Account(id) => Destination::Account(id),
                    Resolution::NotLocal => Destination::Remote(address),
                    Resolution::Members(members) => {
                        next.extend(members);
                        continue;
                    }
                    Resolution::Returned(original) => {
                        next.push(original);
                        continue;
                    }
                    Resolution::NoSuchUser => {
                        out.lost.push(address);
                        continue;
                    }
                };
                if found.insert(destination.clone()) {
                    out.destinations.push(destination);
                }
                if out.destinations.len() >= enough {
                    return Ok(out);
                }
            }
            if out.destinations.len() + out.lost.len() > ALIAS_MEMBERS_MAX {
                break;
            }
            if next.is_empty() {
                return Ok(out);
            }
            level = next;
        }
        // Better later than not to everybody.
        let why = format!(
            "{address} leads to more than {ALIAS_MEMBERS_MAX} addresses, or through more than \
             {ALIAS_DEPTH_MAX} aliases"
        );
        tracing::error!(why, "an alias cannot be taken apart");
        Err(Unavailable(why))
    }

    /// There is a place that a message to `address` goes to: what is taken for an alias that leads
    /// to nobody any more would be lost. Unavailable when there are too many.
    pub async fn leads_somewhere(&self, address: &Address) -> Result<bool, Unavailable> {
        Ok(!self.walk(address, 1).await?.destinations.is_empty())
    }

    /// `account` may send as `address`: mail to that address would reach it.
    pub async fn may_send_as(
        &self,
        account: AccountId,
        address: &Address,
    ) -> Result<bool, Unavailable> {
        Ok(self.expand(address).await?.destinations.contains(&Destination::Account(account)))
    }
}

/// `bob+tag@x` without `+tag`.
fn without_tag(address: &Address) -> Option<Address> {
    let (plain, _) = address.local().split_once('+')?;
    Address::new(plain, address.domain().clone()).ok()
}
