//! What other domains say of their mail servers (RFC 8461), as octets that others make and read,
//! each until some time. Strangers choose them, so they are bounded.

use crate::error::Result;
use crate::limits::MAIL_POLICIES_MAX;
use crate::open::Store;
use crate::rows::Holder;

const OF: Holder = Holder::MailPolicies;

/// Until when it is in force, in seconds since 1970; then the octets.
fn parts(value: &[u8]) -> Option<(i64, &[u8])> {
    let (until, octets) = value.split_first_chunk()?;
    Some((i64::from_be_bytes(*until), octets))
}

impl Store {
    /// The policy of a domain, whether or not it is in force.
    pub fn mail_policy(&self, domain: &str) -> Result<Option<Vec<u8>>> {
        let value = self.look(|txn| txn.property(OF, domain))?;
        Ok(value.and_then(|value| Some(parts(&value)?.1.to_vec())))
    }

    /// All that are kept, by domain.
    pub fn mail_policies(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let rows = self.look(|txn| txn.properties(OF))?;
        Ok(rows.into_iter().filter_map(|(name, v)| Some((name, parts(&v)?.1.to_vec()))).collect())
    }

    /// Forgets the policy of a domain; whether there was one.
    pub async fn forget_mail_policy(&self, domain: String) -> Result<bool> {
        self.write(move |w| {
            let there = w.unit.rows().property(OF, &domain)?.is_some();
            if there {
                w.unit.write()?.remove_property(OF, &domain)?;
            }
            Ok(there)
        })
        .await
    }

    /// Keeps the policy of a domain. When there are too many, those go that are not in force any
    /// more, and the one that ends first.
    pub async fn keep_mail_policy(
        &self,
        domain: String,
        until: i64,
        octets: Vec<u8>,
    ) -> Result<()> {
        self.write(move |w| {
            let names = w.unit.rows().property_names(OF, MAIL_POLICIES_MAX)?;
            if names.len() == MAIL_POLICIES_MAX && !names.contains(&domain) {
                let mut ends = Vec::new();
                w.unit.rows().each_property(OF, "", "~", &mut |name, value| {
                    ends.push((parts(value).map_or(0, |(until, _)| until), name.to_owned()));
                    Ok(())
                })?;
                ends.sort();
                let over = ends.partition_point(|(until, _)| *until <= w.now).max(1);
                for (_, name) in ends.iter().take(over) {
                    w.unit.write()?.remove_property(OF, name)?;
                }
            }
            let value = [until.to_be_bytes().as_slice(), &octets].concat();
            w.unit.write()?.put_property(OF, &domain, &value)
        })
        .await
    }
}
