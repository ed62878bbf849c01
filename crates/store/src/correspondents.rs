//! Whom an account wrote to before, as octets that the directory makes and reads.

use crate::error::Result;
use crate::open::Store;
use crate::rows::Holder;
use mail::AccountId;

/// What the one property of this kind is called.
const NAME: &str = "";

impl Store {
    /// What was kept for the account; empty when nothing was.
    pub fn correspondents(&self, account: AccountId) -> Result<Vec<u8>> {
        let of = Holder::Correspondents(account);
        Ok(self.look(|txn| txn.property(of, NAME))?.unwrap_or_default())
    }

    /// Keeps it, unless the account has gone.
    pub async fn set_correspondents(&self, account: AccountId, octets: Vec<u8>) -> Result<()> {
        self.write(move |w| match w.unit.mailboxes(account)?.is_empty() {
            true => Ok(()),
            false => w.unit.write()?.put_property(Holder::Correspondents(account), NAME, &octets),
        })
        .await
    }
}
