//! People in LDAP: found by a filter, proven by binding as them or by the hash in their entry.

use super::filter::filled;
use super::{Found, Told};
use crate::Unavailable;
use mail::Address;
use sys::ldap::{LdapClient, LdapEntry, LdapTrouble};

/// How people are found.
#[derive(Clone, Debug, Default)]
pub struct LdapPlan {
    /// Where the search begins.
    pub base: String,
    /// Finds who logs in: `{address}`, `{local}`, `{domain}`.
    pub login_filter: String,
    /// Finds who gets mail for an address; empty for the same.
    pub address_filter: String,
    /// The attribute with the account's own address, as `mail` of RFC 4524.
    pub address: String,
    /// The attribute with the addresses that an entry stands for, if it is no account.
    pub members: String,
    /// The attribute with a hash of the password; empty to bind as the entry.
    pub password: String,
}

/// LDAP, and how people are found there.
pub struct Ldap {
    client: LdapClient,
    plan: LdapPlan,
}

impl From<LdapTrouble> for Unavailable {
    fn from(error: LdapTrouble) -> Unavailable {
        Unavailable(error.to_string())
    }
}

fn values<'a>(entry: &'a LdapEntry, name: &str) -> &'a [String] {
    entry.attributes.get(&name.to_lowercase()).map(Vec::as_slice).unwrap_or_default()
}

impl Ldap {
    /// The error says what is wrong with the plan.
    pub fn new(client: LdapClient, plan: LdapPlan) -> Result<Ldap, String> {
        if !["{address}", "{local}"].iter().any(|place| plan.login_filter.contains(place)) {
            return Err("login_filter has neither {address} nor {local}: it finds anybody".into());
        }
        if plan.address.is_empty() {
            return Err("name the attribute with the address, as address = \"mail\"".to_owned());
        }
        Ok(Ldap { client, plan })
    }

    async fn entry(
        &self,
        filter: &str,
        address: &Address,
    ) -> Result<Option<LdapEntry>, Unavailable> {
        let LdapPlan { base, address: own, members, password, .. } = &self.plan;
        let names = [own, members, password].into_iter().filter(|name| !name.is_empty());
        let names: Vec<String> = names.cloned().collect();
        let mut found = self.client.search(base, &filled(filter, address), &names).await?;
        if found.len() > 1 {
            return Err(Unavailable(format!(
                "LDAP: the filter finds several entries for {address}"
            )));
        }
        Ok(found.pop())
    }

    /// The account's own address.
    fn own(&self, entry: &LdapEntry) -> Option<Address> {
        Address::parse(values(entry, &self.plan.address).first()?).ok()
    }

    /// Who gets mail for an address.
    pub async fn find(&self, address: &Address) -> Result<Option<Found>, Unavailable> {
        let filter = match self.plan.address_filter.as_str() {
            "" => &self.plan.login_filter,
            filter => filter,
        };
        let Some(entry) = self.entry(filter, address).await? else { return Ok(None) };
        let members = values(&entry, &self.plan.members);
        let members: Vec<Address> =
            members.iter().filter_map(|text| Address::parse(text).ok()).collect();
        match members.is_empty() {
            false => Ok(Some(Found::Members(members))),
            true => Ok(self.own(&entry).map(Found::Account)),
        }
    }

    /// Somebody of that name may log in.
    pub(crate) async fn is_there(&self, address: &Address) -> Result<bool, Unavailable> {
        Ok(self.entry(&self.plan.login_filter, address).await?.is_some())
    }

    /// Whose name and password it is. `None` for a name that cannot be one.
    pub(crate) async fn tell(
        &self,
        address: Option<&Address>,
        text: &str,
    ) -> Result<Told, Unavailable> {
        let entry = match address {
            Some(address) => self.entry(&self.plan.login_filter, address).await?,
            None => None,
        };
        let own = entry.as_ref().and_then(|entry| self.own(entry));
        if !self.plan.password.is_empty() {
            let hashes = entry.map(|entry| values(&entry, &self.plan.password).to_vec());
            return Ok(match (own, hashes) {
                (Some(own), Some(hashes)) if !hashes.is_empty() => Told::Hashes(own, hashes),
                _ => Told::NobodyHashed,
            });
        }
        // A bind that must fail takes as long as one that may succeed.
        let dn = entry.map_or_else(|| self.plan.base.clone(), |entry| entry.dn);
        let right = self.client.proves(&dn, text).await?;
        Ok(own.filter(|_| right).map_or(Told::Nobody, Told::Right))
    }
}
