//! Keys by which our domains sign mail (RFC 6376), as octets that others make and read.

use crate::account::own_domain;
use crate::error::{Result, StoreError};
use crate::open::Store;
use crate::rows::Holder;
use crate::write::Writing;
use mail::Domain;

/// A key of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyRow {
    /// Its name.
    pub selector: String,
    /// It is to be published first, and signs nothing yet.
    pub next: bool,
    /// The private key, PKCS #8.
    pub secret: Vec<u8>,
}

/// `domain selector`: neither has a blank in it.
fn name(domain: &Domain, selector: &str) -> String {
    format!("{domain} {selector}")
}

fn read((name, value): (String, Vec<u8>), domain: &Domain) -> Option<SigningKeyRow> {
    let (of, selector) = name.split_once(' ')?;
    let (next, secret) = value.split_first()?;
    (of == domain.as_str()).then(|| SigningKeyRow {
        selector: selector.to_owned(),
        next: *next == 1,
        secret: secret.to_vec(),
    })
}

fn put(w: &mut Writing<'_>, domain: &Domain, key: &SigningKeyRow) -> Result<()> {
    let value = [&[u8::from(key.next)], key.secret.as_slice()].concat();
    w.unit.write()?.put_property(Holder::SigningKeys, &name(domain, &key.selector), &value)
}

/// The spelling that a domain of ours is kept in.
fn own(w: &mut Writing<'_>, domain: &Domain) -> Result<Domain> {
    let row = own_domain(w.unit.rows(), domain)?;
    row.map(|row| row.domain).ok_or_else(|| StoreError::NotFound(format!("the domain {domain}")))
}

/// The domain goes, and its keys with it.
pub(crate) fn forget(w: &mut Writing<'_>, domain: &Domain) -> Result<()> {
    for (name, _) in w.unit.rows().properties(Holder::SigningKeys)? {
        if name.split_once(' ').is_some_and(|(of, _)| of == domain.as_str()) {
            w.unit.write()?.remove_property(Holder::SigningKeys, &name)?;
        }
    }
    Ok(())
}

impl Store {
    /// The keys of a domain, by name; none if it is not ours.
    pub fn signing_keys(&self, domain: &Domain) -> Result<Vec<SigningKeyRow>> {
        self.look(|txn| {
            let Some(own) = own_domain(txn, domain)? else { return Ok(Vec::new()) };
            let all = txn.properties(Holder::SigningKeys)?;
            Ok(all.into_iter().filter_map(|row| read(row, &own.domain)).collect())
        })
    }

    /// Keeps keys of a domain of ours.
    pub async fn signing_keys_add(&self, domain: Domain, keys: Vec<SigningKeyRow>) -> Result<()> {
        self.write(move |w| {
            let domain = own(w, &domain)?;
            keys.iter().try_for_each(|key| put(w, &domain, key))
        })
        .await
    }

    /// The next keys sign from now on, and those that did go; whether there were any.
    pub async fn signing_keys_turn(&self, domain: Domain) -> Result<bool> {
        self.write(move |w| {
            let domain = own(w, &domain)?;
            let all = w.unit.rows().properties(Holder::SigningKeys)?;
            let keys: Vec<_> = all.into_iter().filter_map(|row| read(row, &domain)).collect();
            if !keys.iter().any(|key| key.next) {
                return Ok(false);
            }
            for key in keys {
                match key.next {
                    true => put(w, &domain, &SigningKeyRow { next: false, ..key })?,
                    false => {
                        let name = name(&domain, &key.selector);
                        w.unit.write()?.remove_property(Holder::SigningKeys, &name)?;
                    }
                }
            }
            Ok(true)
        })
        .await
    }
}
