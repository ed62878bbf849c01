//! How much an account may hold. RFC 9208.
//!
//! Limits are properties of the account; usage is what the counters of its mailboxes add up to, so
//! that it can never be wrong by itself.

use crate::annotation::is_annotation;
use crate::error::{Result, StoreError};
use crate::mailbox::{Copied, annotations};
use crate::open::Store;
use crate::rows::{Holder, MailboxRow};
use crate::txn::ReadTxn;
use crate::write::Writing;
use mail::{AccountId, MailboxId};
use std::sync::Arc;

/// What is limited. RFC 9208 §5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Octets of all messages; RFC 9208 counts them in units of 1024.
    Storage,
    /// Messages.
    Message,
    /// Mailboxes.
    Mailbox,
    /// Octets of all annotations of messages, with their names; RFC 9208 §5.4 counts them in units
    /// of 1024. METADATA keeps to the same limit, counted by itself: the RFC means it not to be
    /// told, but nobody shall keep there without limit what is limited here.
    AnnotationStorage,
}

impl Resource {
    /// All of them.
    pub const ALL: [Resource; 4] =
        [Resource::Storage, Resource::Message, Resource::Mailbox, Resource::AnnotationStorage];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Resource::Storage => "STORAGE",
            Resource::Message => "MESSAGE",
            Resource::Mailbox => "MAILBOX",
            Resource::AnnotationStorage => "ANNOTATION-STORAGE",
        }
    }

    /// Octets in a unit that clients are told: 1 where it is no octets that are counted.
    pub fn unit(self) -> u64 {
        match self {
            Resource::Storage | Resource::AnnotationStorage => 1024,
            Resource::Message | Resource::Mailbox => 1,
        }
    }
}

/// The row of an account that may set the limits of others.
pub(crate) const MANAGER: &str = "quota-manager";

/// What messages use.
pub(crate) const MESSAGES: [Resource; 2] = [Resource::Storage, Resource::Message];

/// What messages with annotations use.
pub(crate) const ANNOTATED: [Resource; 3] =
    [Resource::Storage, Resource::Message, Resource::AnnotationStorage];

/// A limit and what is used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Of what.
    pub resource: Resource,
    /// How much there is: octets, messages or mailboxes.
    pub used: u64,
    /// How much there may be.
    pub limit: u64,
}

impl Store {
    /// The limits of an account, with what is used; none when nothing is limited.
    pub fn quota(&self, account: AccountId) -> Result<Vec<Quota>> {
        let read = || self.look(|txn| limits(txn, account).map(Arc::from));
        let limits = self.inner.known.limits(account, read)?;
        match limits.is_empty() {
            true => Ok(Vec::new()),
            false => self.look(|txn| measured(txn, &limits, &txn.mailboxes(account)?)),
        }
    }

    /// Sets or lifts a limit.
    pub async fn set_quota(
        &self,
        account: AccountId,
        resource: Resource,
        limit: Option<u64>,
    ) -> Result<()> {
        let of = Holder::Quota(account);
        self.write(move |w| {
            w.changes.names = true;
            match limit {
                Some(n) => {
                    let value = n.to_string();
                    w.unit.write()?.put_property(of, resource.name(), value.as_bytes())
                }
                None => w.unit.write()?.remove_property(of, resource.name()),
            }
        })
        .await
    }

    /// Sets these limits and lifts all others. RFC 9208 §4.1.3.
    pub async fn set_quotas(&self, account: AccountId, limits: Vec<(Resource, u64)>) -> Result<()> {
        let of = Holder::Quota(account);
        self.write(move |w| {
            w.changes.names = true;
            for resource in Resource::ALL {
                let limit = limits.iter().rev().find(|(of, _)| *of == resource);
                match limit {
                    Some((_, n)) => {
                        let value = n.to_string();
                        w.unit.write()?.put_property(of, resource.name(), value.as_bytes())?;
                    }
                    None => w.unit.write()?.remove_property(of, resource.name())?,
                }
            }
            Ok(())
        })
        .await
    }

    /// The account may set the limits of all accounts.
    pub fn is_quota_manager(&self, account: AccountId) -> Result<bool> {
        let of = Holder::Account(account);
        Ok(self.look(|txn| txn.property(of, MANAGER))?.is_some())
    }

    /// Lets an account set the limits of all accounts, or not any more.
    pub async fn set_quota_manager(&self, account: AccountId, is: bool) -> Result<()> {
        let of = Holder::Account(account);
        self.write(move |w| match is {
            true => w.unit.write()?.put_property(of, MANAGER, b"yes"),
            false => w.unit.write()?.remove_property(of, MANAGER),
        })
        .await
    }

    /// So many messages of so many octets together would find room now, next to what is there.
    pub fn has_room(&self, account: AccountId, messages: u64, octets: u64) -> Result<bool> {
        let fits = |quota: &Quota| match quota.resource {
            Resource::Storage => quota.used.saturating_add(octets) <= quota.limit,
            Resource::Message => quota.used.saturating_add(messages) <= quota.limit,
            Resource::Mailbox | Resource::AnnotationStorage => true,
        };
        Ok(self.quota(account)?.iter().all(fits))
    }

    /// No message can be added: storage or messages are used up.
    pub fn is_over_quota(&self, account: AccountId) -> Result<bool> {
        let full = |quota: &Quota| MESSAGES.contains(&quota.resource) && quota.used >= quota.limit;
        Ok(self.quota(account)?.iter().any(full))
    }
}

fn limits(txn: &dyn ReadTxn, account: AccountId) -> Result<Vec<(Resource, u64)>> {
    let rows = txn.properties(Holder::Quota(account))?;
    let limit = |resource: Resource| {
        let (_, value) = rows.iter().find(|(name, _)| name == resource.name())?;
        Some((resource, std::str::from_utf8(value).ok()?.parse().ok()?))
    };
    Ok(Resource::ALL.into_iter().filter_map(limit).collect())
}

fn measured(
    txn: &dyn ReadTxn,
    limits: &[(Resource, u64)],
    mailboxes: &[MailboxRow],
) -> Result<Vec<Quota>> {
    let used = |resource| {
        Ok(match resource {
            Resource::Storage => mailboxes.iter().map(|row| row.octets).sum(),
            Resource::Message => mailboxes.iter().map(|row| u64::from(row.exists)).sum(),
            Resource::Mailbox => mailboxes.len() as u64,
            Resource::AnnotationStorage => {
                let octets = mailboxes.iter().map(|row| annotations::octets(txn, row.id));
                octets.sum::<Result<u64>>()?
            }
        })
    };
    let one = |(resource, limit): &(Resource, u64)| {
        Ok(Quota { resource: *resource, used: used(*resource)?, limit: *limit })
    };
    limits.iter().map(one).collect()
}

/// Octets of the annotations that an account and its mailboxes have themselves.
fn metadata(txn: &dyn ReadTxn, account: AccountId, mailboxes: &[MailboxRow]) -> Result<u64> {
    let own = std::iter::once(Holder::Account(account));
    let mut octets = 0;
    for of in own.chain(mailboxes.iter().map(|row| Holder::Mailbox(row.id))) {
        let rows = txn.properties(of)?;
        let annotations = rows.iter().filter(|(name, _)| is_annotation(name));
        octets += annotations.map(|(name, value)| (name.len() + value.len()) as u64).sum::<u64>();
    }
    Ok(octets)
}

/// Within a write of METADATA: it keeps to the limit of annotations.
pub(crate) fn check_metadata(w: &mut Writing<'_>, account: AccountId) -> Result<()> {
    let limits = limits(w.unit.rows(), account)?;
    let Some((_, limit)) = limits.iter().find(|(of, _)| *of == Resource::AnnotationStorage) else {
        return Ok(());
    };
    let mailboxes = w.unit.mailboxes(account)?;
    match metadata(w.unit.rows(), account, &mailboxes)? <= *limit {
        true => Ok(()),
        false => Err(StoreError::OverQuota),
    }
}

/// Within a write: the account holds no more than it may of these.
pub(crate) fn check(w: &mut Writing<'_>, account: AccountId, of: &[Resource]) -> Result<()> {
    let mut limits = limits(w.unit.rows(), account)?;
    limits.retain(|(resource, _)| of.contains(resource));
    if limits.is_empty() {
        return Ok(());
    }
    let mailboxes = w.unit.mailboxes(account)?;
    let quotas = measured(w.unit.rows(), &limits, &mailboxes)?;
    match quotas.iter().all(|quota| quota.used <= quota.limit) {
        true => Ok(()),
        false => Err(StoreError::OverQuota),
    }
}

/// Within a write, after messages went into `to`: their account holds no more than it may. Moving
/// within an account changes nothing.
pub(crate) fn check_copied(w: &mut Writing<'_>, to: MailboxId, copied: &Copied) -> Result<()> {
    if copied.pairs.is_empty() {
        return Ok(());
    }
    let account = w.mailbox(to)?.account;
    check(w, account, if copied.annotated { &ANNOTATED } else { &MESSAGES })
}
