//! Mailbox access keys: secrets that vouch for URLs. Each account has one for each mailbox it gave
//! URLs of, its own or another's. RFC 4467 §2.2.

use crate::error::Result;
use crate::open::Store;
use crate::rows::Holder;
use crate::write::Writing;
use mail::{AccountId, MailboxId};
use std::sync::atomic::Ordering;

/// What the rows of keys begin with; no annotation has such a name.
pub(crate) const KEY: &str = "urlkey:";

fn row_name(mailbox: MailboxId) -> String {
    format!("{KEY}{mailbox}")
}

impl Store {
    /// How many keys have been changed or taken away, of anybody, since the store was opened.
    pub fn access_key_changes(&self) -> u64 {
        self.inner.known.access_keys.load(Ordering::Acquire)
    }

    /// The key of `account` for a mailbox.
    pub fn access_key(&self, account: AccountId, mailbox: MailboxId) -> Result<Option<Vec<u8>>> {
        self.look(|txn| txn.property(Holder::Account(account), &row_name(mailbox)))
    }

    /// Makes `fresh` the key of `account` for a mailbox, unless there is one and `keep` is set; the
    /// key that is valid now.
    pub async fn make_access_key(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        fresh: Vec<u8>,
        keep: bool,
    ) -> Result<Vec<u8>> {
        let of = Holder::Account(account);
        self.write(move |w| {
            let name = row_name(mailbox);
            if let (true, Some(old)) = (keep, w.unit.rows().property(of, &name)?) {
                return Ok(old);
            }
            forget_gone(w, of)?;
            w.unit.write()?.put_property(of, &name, &fresh)?;
            Ok(fresh)
        })
        .await
        .inspect(|_| self.count_key_change())
    }

    /// Takes all keys of an account away.
    pub async fn remove_access_keys(&self, account: AccountId) -> Result<()> {
        let of = Holder::Account(account);
        self.write(move |w| {
            for (name, _) in w.unit.rows().properties(of)? {
                if name.starts_with(KEY) {
                    w.unit.write()?.remove_property(of, &name)?;
                }
            }
            Ok(())
        })
        .await
        .inspect(|()| self.count_key_change())
    }

    fn count_key_change(&self) {
        self.inner.known.access_keys.fetch_add(1, Ordering::AcqRel);
    }
}

/// Takes the keys of mailboxes away that do not exist any more: their numbers are never used again.
fn forget_gone(w: &mut Writing<'_>, of: Holder) -> Result<()> {
    for (name, _) in w.unit.rows().properties(of)? {
        let Some(number) = name.strip_prefix(KEY) else { continue };
        let there = match number.parse() {
            Ok(number) => w.unit.mailbox(MailboxId(number))?.is_some(),
            Err(_) => false,
        };
        if !there {
            w.unit.write()?.remove_property(of, &name)?;
        }
    }
    Ok(())
}
