//! Several messages at once, and a message in the place of another. RFC 3502, RFC 8508.

use super::expunge::{self, Which};
use crate::delivery::{Delivered, Delivery};
use crate::error::{Result, StoreError};
use crate::open::Store;
use mail::{MailboxId, Uid};

impl Store {
    /// Stores messages in one commit, all or none, and takes out the one they replace. It is durable
    /// when this returns.
    pub async fn append(
        &self,
        mut deliveries: Vec<Delivery>,
        replaces: Option<(MailboxId, Uid)>,
    ) -> Result<Vec<Delivered>> {
        if replaces.is_none() && deliveries.len() == 1 {
            let Some(only) = deliveries.pop() else { return Ok(Vec::new()) };
            return Ok(vec![self.deliver(only).await?]);
        }
        let take_out = move |w: &mut crate::Writing<'_>| {
            let Some((mailbox, uid)) = replaces else { return Ok(()) };
            match expunge::expunge(w, mailbox, &Which::Exactly(vec![uid]))?.is_empty() {
                true => Err(StoreError::NotFound(format!("the message with UID {uid}"))),
                false => Ok(()),
            }
        };
        Ok(self.deliver_and(deliveries, take_out).await?.0)
    }
}
