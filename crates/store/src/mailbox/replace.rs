//! Several messages at once, and a message in the place of another. RFC 3502, RFC 8508.

use super::expunge::{self, Which};
use crate::delivery::{Delivered, Delivery};
use crate::error::{Result, StoreError};
use crate::open::Store;
use crate::quota;
use mail::{MailboxId, Uid};

impl Store {
    /// Stores messages in one commit, all or none, and takes out the one they replace. It is durable
    /// when this returns.
    pub async fn append(
        &self,
        mut deliveries: Vec<Delivery>,
        replaces: Option<(MailboxId, Uid)>,
    ) -> Result<Vec<Delivered>> {
        let places = deliveries.iter().flat_map(|delivery| &delivery.placements);
        let mut targets: Vec<MailboxId> = places.map(|place| place.mailbox).collect();
        targets.dedup();
        let mut accounts = Vec::new();
        for target in targets {
            let row = self.look(|txn| txn.mailbox(target))?.ok_or(StoreError::NoSuchMailbox)?;
            if !self.quota(row.account)?.is_empty() {
                accounts.push(row.account);
            }
        }
        if replaces.is_none() && deliveries.len() == 1 && accounts.is_empty() {
            let Some(only) = deliveries.pop() else { return Ok(Vec::new()) };
            return Ok(vec![self.deliver(only).await?]);
        }
        let take_out = move |w: &mut crate::Writing<'_>| {
            // The new messages are counted already; before anything is written they may be refused.
            accounts
                .into_iter()
                .try_for_each(|account| quota::check(w, account, &quota::MESSAGES))?;
            let Some((mailbox, uid)) = replaces else { return Ok(()) };
            match expunge::expunge(w, mailbox, &Which::Exactly(vec![uid]))?.is_empty() {
                true => Err(StoreError::NotFound(format!("the message with UID {uid}"))),
                false => Ok(()),
            }
        };
        Ok(self.deliver_and(deliveries, take_out).await?.0)
    }
}
