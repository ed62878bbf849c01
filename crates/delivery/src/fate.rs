//! Where the copies of a message go: into mailboxes here, or to other servers.

use crate::Shared;
use crate::accept::{AcceptedRecipient, DeliveryError};
use directory::{Destination, Expansion};
use mail::{AccountId, Address, Domain, ReversePath};
use std::collections::HashSet;
use store::{NewRecipient, Placement};

/// Where the copies of a message go.
#[derive(Default)]
pub(crate) struct Fate {
    pub accounts: Vec<AccountId>,
    pub remote: Vec<NewRecipient>,
    /// Recipients whose mailbox gets it.
    pub here: Vec<usize>,
    /// The domain of ours that sends it on, if one does.
    pub through: Option<Domain>,
    /// Some of the others are ours: their mailboxes are full, or nobody has them.
    pub waits: bool,
}

/// Everybody waits in the queue, ours too, as their addresses stand. RFC 4865 §4.2.
pub(crate) fn held(recipients: &[AcceptedRecipient]) -> Fate {
    let mut remote: Vec<NewRecipient> = Vec::new();
    let mut known = HashSet::new();
    for AcceptedRecipient { address, notify, orcpt, .. } in recipients {
        if known.insert(address) {
            remote.push(NewRecipient {
                domain: routing_domain(address),
                address: address.clone(),
                notify: *notify,
                orcpt: orcpt.clone(),
                named: None,
            });
        }
    }
    Fate { remote, ..Fate::default() }
}

/// Takes aliases apart; each account and each remote address gets the message once.
pub(crate) async fn decide(
    shared: &Shared,
    recipients: &[AcceptedRecipient],
) -> Result<Fate, DeliveryError> {
    let mut fate = Fate::default();
    let mut known = HashSet::new();
    for (n, recipient) in recipients.iter().enumerate() {
        let mut here = false;
        let Expansion { destinations, lost } = match recipient.account {
            Some(id) => Expansion { destinations: vec![Destination::Account(id)], lost: vec![] },
            None => shared.directory.expand(&recipient.address).await?,
        };
        if destinations.is_empty() {
            // Accepted at RCPT, gone since: the client tries again and hears 550 then.
            return Err(DeliveryError::Unavailable("a recipient has just gone".to_owned()));
        }
        for destination in destinations {
            if matches!(destination, Destination::Remote(_)) {
                fate.through.get_or_insert_with(|| recipient.address.domain().clone());
            }
            // RCPT has asked already whether there is room for whom it found itself.
            let destination = match destination {
                Destination::Account(id) if recipient.account.is_none() => {
                    with_room(shared, id, &mut fate.waits)?
                }
                destination => destination,
            };
            here |= matches!(destination, Destination::Account(_));
            if !known.insert(destination.clone()) {
                continue;
            }
            match destination {
                Destination::Account(id) => fate.accounts.push(id),
                Destination::Remote(address) => fate.remote.push(queued(recipient, address)),
            }
        }
        for address in &lost {
            tracing::warn!(alias = %recipient.address, %address, "an alias leads to nobody");
        }
        // The others get it. One of these fails in the queue, and its sender hears of the alias as
        // of any failure, once. RFC 5321 §3.9.1, §6.1.
        if let Some(address) = lost.into_iter().next()
            && known.insert(Destination::Remote(address.clone()))
        {
            fate.waits = true;
            fate.remote.push(queued(recipient, address));
        }
        if here {
            fate.here.push(n);
        }
    }
    Ok(fate)
}

/// A recipient for the queue, at the address that it led to.
fn queued(recipient: &AcceptedRecipient, address: Address) -> NewRecipient {
    NewRecipient {
        domain: routing_domain(&address),
        named: named(recipient, &address),
        address,
        notify: recipient.notify,
        orcpt: recipient.orcpt.clone(),
    }
}

/// What reports call the recipient, if that is not where it led to.
fn named(recipient: &AcceptedRecipient, to: &Address) -> Option<Address> {
    let given = recipient.named.as_ref().unwrap_or(&recipient.address);
    (given != to).then(|| given.clone())
}

/// The account, or its address to wait in the queue for room in its mailbox.
fn with_room(
    shared: &Shared,
    id: AccountId,
    waits: &mut bool,
) -> Result<Destination, DeliveryError> {
    if !shared.store.is_over_quota(id)? {
        return Ok(Destination::Account(id));
    }
    let row = shared.store.accounts()?.into_iter().find(|row| row.id == id);
    *waits |= row.is_some();
    Ok(row.map_or(Destination::Account(id), |row| Destination::Remote(row.address)))
}

/// The envelope sender that other servers hear. A message of a stranger leaves because an alias
/// here sends it on, and then it is from here.
pub(crate) async fn sender(
    shared: &Shared,
    sender: &ReversePath,
    submitted_by: Option<AccountId>,
    fate: &Fate,
) -> Result<ReversePath, DeliveryError> {
    match (sender, &fate.through) {
        (ReversePath::Address(sender), Some(here)) if submitted_by.is_none() => {
            let sender = shared.directory.forwarded_sender(sender, here).await?;
            Ok(ReversePath::Address(sender))
        }
        (sender, _) => Ok(sender.clone()),
    }
}

/// Where a message goes in an account: into INBOX, or into Junk for a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filing {
    pub account: AccountId,
    pub junk: Option<String>,
}

/// All accounts get it alike: into Junk for that reason, or into INBOX.
pub(crate) fn filings(accounts: &[AccountId], junk: Option<&str>) -> Vec<Filing> {
    let filing = |account: &AccountId| Filing { account: *account, junk: junk.map(str::to_owned) };
    accounts.iter().map(filing).collect()
}

pub(crate) async fn placements(
    shared: &Shared,
    filings: &[Filing],
) -> Result<Vec<Placement>, DeliveryError> {
    let mut placements = Vec::with_capacity(filings.len());
    for filing in filings {
        let mailbox = match filing.junk {
            Some(_) => shared.store.junk(filing.account).await?,
            None => {
                let inbox = shared.store.inbox(filing.account)?;
                inbox.ok_or_else(|| DeliveryError::Unavailable("no INBOX".to_owned()))?
            }
        };
        placements.push(Placement { mailbox, flags: Vec::new(), annotations: None });
    }
    Ok(placements)
}

/// The routing domain of an address; kept as a function so that routing has one place to grow.
pub(crate) fn routing_domain(address: &Address) -> Domain {
    address.domain().clone()
}
