//! Where mail goes that is not wanted: the mailbox with the use `\Junk`. RFC 6154 §2.

use crate::error::{Result, StoreError};
use crate::mailbox::names;
use crate::open::Store;
use crate::rows::MailboxRow;
use mail::{AccountId, MailboxId, MailboxName, SpecialUse};

/// What it is called where it is made.
const NAME: &str = "Junk";

impl Store {
    /// The Junk mailbox of an account: the one with that use, else the one with that name. It is
    /// made if there is none.
    pub async fn junk(&self, account: AccountId) -> Result<MailboxId> {
        if let Some(found) = find(&self.mailboxes(account)?) {
            return Ok(found);
        }
        self.write(move |w| {
            // Somebody may have made it meanwhile.
            let now = w.unit.mailboxes(account)?;
            if let Some(found) = find(&now) {
                return Ok(found);
            }
            if now.is_empty() {
                return Err(StoreError::NotFound("the account has gone".to_owned()));
            }
            let name = MailboxName::new(NAME).unwrap_or_else(|_| MailboxName::inbox());
            Ok(names::create(w, account, &name, Some(SpecialUse::Junk))?.id)
        })
        .await
    }
}

fn find(all: &[MailboxRow]) -> Option<MailboxId> {
    let by_use = all.iter().find(|row| row.special_use == Some(SpecialUse::Junk));
    let named = || all.iter().find(|row| row.name.as_str().eq_ignore_ascii_case(NAME));
    by_use.or_else(named).map(|row| row.id)
}
