//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE. RFC 3501 §6.3.3 to §6.3.7, RFC 6154, RFC 8474 §4.1.

use super::{Context, Done, mailbox_id, ok};
use crate::drive::Output;
use ::store::{MailboxRow, StoreError};
use mail::{AccountId, SpecialUse};
use protocol::imap::command::{Command, Name, StatusItem};
use protocol::imap::session::Answer;

impl Context {
    pub(super) fn id(&self) -> Result<AccountId, StoreError> {
        let who = self.account.as_ref();
        who.map(|who| who.account).ok_or(StoreError::NotAllowed("log in first"))
    }

    /// The mailbox of that name.
    pub(super) fn row(&self, name: &Name) -> Result<MailboxRow, StoreError> {
        let name = name.as_ref().map_err(|_| StoreError::NoSuchMailbox)?;
        self.shared.store.mailbox(self.id()?, name)?.ok_or(StoreError::NoSuchMailbox)
    }

    pub(super) async fn mailbox_command(&mut self, command: Command, out: &mut Output<'_>) -> Done {
        let account = self.id()?;
        let store = self.shared.store.clone();
        let valid = |name: Name| name.map_err(|_| StoreError::NotAllowed("that cannot be a name"));
        match command {
            Command::Create { mailbox, special_use } => {
                let Ok(special_use) = one_use(&special_use) else {
                    let text =
                        "[USEATTR] One of \\Archive, \\Drafts, \\Junk, \\Sent, \\Trash, please";
                    return Ok(Answer::No(text.to_owned()));
                };
                let made = store.mailbox_create(account, valid(mailbox)?, special_use).await?;
                let id = mailbox_id(made.id);
                Ok(Answer::Ok(format!("[MAILBOXID ({id})] CREATE completed")))
            }
            Command::Delete(mailbox) => {
                let name = mailbox.map_err(|_| StoreError::NoSuchMailbox)?;
                store.mailbox_delete(account, name).await?;
                Ok(ok("DELETE completed"))
            }
            Command::Rename(from, to) => {
                let from = from.map_err(|_| StoreError::NoSuchMailbox)?;
                store.mailbox_rename(account, from, valid(to)?).await?;
                Ok(ok("RENAME completed"))
            }
            Command::Subscribe(mailbox) => {
                store.subscribe(account, valid(mailbox)?).await?;
                Ok(ok("SUBSCRIBE completed"))
            }
            Command::Unsubscribe(mailbox) => {
                store.unsubscribe(account, valid(mailbox)?).await?;
                Ok(ok("UNSUBSCRIBE completed"))
            }
            Command::List(list) => self.list(account, &list, out),
            Command::Status { mailbox, items } => {
                let row = self.row(&mailbox)?;
                if items.contains(&StatusItem::HighestModSeq) {
                    self.enable_condstore(out);
                }
                self.status(&row, &items, out.buffer())?;
                Ok(ok("STATUS completed"))
            }
            _ => Ok(Answer::Bad("Not now".to_owned())),
        }
    }
}

/// The special use of a new mailbox: none or one that we know. RFC 6154 §3.
fn one_use(names: &[String]) -> Result<Option<SpecialUse>, ()> {
    match names {
        [] => Ok(None),
        [name] => SpecialUse::parse(name).map(Some).ok_or(()),
        _ => Err(()),
    }
}
