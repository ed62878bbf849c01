//! Several messages at once, and a message in the place of another. RFC 3502, RFC 8508.

use super::expunge::{self, Which};
use crate::delivery::{Delivered, Delivery};
use crate::error::{Result, StoreError};
use crate::lessons::{self, Said};
use crate::open::Store;
use crate::quota;
use mail::{AccountId, ContentId, Flag, MailboxId, Uid};

/// Where a message was appended, with which flags.
type Appended = (MailboxId, Vec<Flag>, ContentId);

impl Store {
    /// Stores messages in one commit, all or none, and takes out the one they replace. It is
    /// durable when this returns.
    pub async fn append(
        &self,
        deliveries: Vec<Delivery>,
        replaces: Option<(MailboxId, Uid)>,
    ) -> Result<Vec<Delivered>> {
        let places = || deliveries.iter().flat_map(|delivery| delivery.placements.first());
        let mut targets: Vec<MailboxId> = places().map(|place| place.mailbox).collect();
        targets.dedup();
        let flags: Vec<Vec<Flag>> = places().map(|place| place.flags.clone()).collect();
        let delivered = self.put(deliveries, replaces, &targets).await?;
        let stored = delivered.iter().filter_map(|one| Some((one.places.first()?, one.content)));
        let appended = stored.zip(flags).map(|((place, id), flags)| (place.mailbox, flags, id));
        // The messages are there whatever becomes of this: no client must append them again.
        if let Err(error) = self.teach(appended.collect()).await {
            tracing::warn!(%error, "what appending says of spam is not noted");
        }
        Ok(delivered)
    }

    async fn put(
        &self,
        mut deliveries: Vec<Delivery>,
        replaces: Option<(MailboxId, Uid)>,
        targets: &[MailboxId],
    ) -> Result<Vec<Delivered>> {
        let mut accounts = Vec::new();
        for target in targets {
            let row = self.look(|txn| txn.mailbox(*target))?.ok_or(StoreError::NoSuchMailbox)?;
            if !self.quota(row.account)?.is_empty() {
                accounts.push(row.account);
            }
        }
        if replaces.is_none() && deliveries.len() == 1 && accounts.is_empty() {
            let Some(only) = deliveries.pop() else { return Ok(Vec::new()) };
            return Ok(vec![self.deliver(only).await?]);
        }
        let annotated = deliveries.iter().any(Delivery::is_annotated);
        let take_out = move |w: &mut crate::Writing<'_>| {
            if let Some((mailbox, uid)) = replaces
                && expunge::expunge(w, mailbox, &Which::Exactly(vec![uid]))?.is_empty()
            {
                return Err(StoreError::NotFound(format!("the message with UID {uid}")));
            }
            // RFC 8508 §3.4: what counts is what is left once the old message is gone. An error
            // undoes all of it.
            let used: &[_] = if annotated { &quota::ANNOTATED } else { &quota::MESSAGES };
            accounts.into_iter().try_for_each(|account| quota::check(w, account, used))
        };
        Ok(self.deliver_and(deliveries, take_out).await?.0)
    }

    /// Notes what was said by appending. It is a commit of its own: a message that is on its way
    /// has no number yet, and before it has one nobody is told that it was appended.
    async fn teach(&self, appended: Vec<Appended>) -> Result<()> {
        if !self.learns() {
            return Ok(());
        }
        let said = self.look(|txn| {
            let one = |(mailbox, flags, content): Appended| {
                let said = lessons::of_append(txn, mailbox, &flags)?;
                Ok(said.map(|(account, said)| (account, said, content)))
            };
            appended.into_iter().filter_map(|appended| one(appended).transpose()).collect()
        });
        let said: Vec<(AccountId, Said, ContentId)> = said?;
        if said.is_empty() {
            return Ok(());
        }
        let note = |w: &mut crate::Writing<'_>| {
            let mut each = said.into_iter();
            each.try_for_each(|(account, said, id)| lessons::note(w, account, said, &[id]))
        };
        self.write(note).await
    }
}
