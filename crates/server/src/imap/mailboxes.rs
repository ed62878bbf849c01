//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE. RFC 3501 §6.3.3 to §6.3.7, RFC 6154,
//! RFC 8474 §4.1.

use super::{Context, Done, mailbox_id, ok};
use crate::drive::Output;
use ::store::StoreError;
use mail::mailbox_name::{OTHER_USERS, PUBLIC};
use mail::{Rights, SpecialUse};
use protocol::imap::command::{Command, Name, StatusItem};
use protocol::imap::session::Answer;
use protocol::imap::utf7;

impl Context {
    pub(super) async fn mailbox_command(&mut self, command: Command, out: &mut Output<'_>) -> Done {
        let actor = self.actor()?;
        let store = self.shared.store.clone();
        let valid = |name: Name| name.map_err(|_| StoreError::NotAllowed("that cannot be a name"));
        match command {
            Command::Create { mailbox, special_use } => {
                let Ok(special_use) = one_use(&special_use) else {
                    let text =
                        "[USEATTR] One of \\Archive, \\Drafts, \\Junk, \\Sent, \\Trash, please";
                    return Ok(Answer::No(text.to_owned()));
                };
                let (owner, name) = self.place(&mailbox)?;
                store.may_create(&actor, owner, &name)?;
                if special_use.is_some() && owner != actor.account {
                    // RFC 6154 §3: then nothing is created.
                    let text = "[USEATTR] Only your own mailboxes can have a special use";
                    return Ok(Answer::No(text.to_owned()));
                }
                let made = store.mailbox_create(owner, name, special_use).await?;
                self.tell_composed(&mailbox, out.buffer());
                let id = mailbox_id(made.id);
                Ok(Answer::Ok(format!("[MAILBOXID ({id})] CREATE completed")))
            }
            Command::Delete(name) => {
                let found = self.mailbox(&name, Rights::DELETE)?;
                store.mailbox_delete(found.row.account, found.row.name).await?;
                self.tell_composed(&name, out.buffer());
                Ok(ok("DELETE completed"))
            }
            Command::Rename(from, to) => {
                let (keeper, old) = match self.mailbox(&from, Rights::DELETE) {
                    // The name may be one that is only above mailboxes of one's own.
                    Err(StoreError::NoSuchMailbox) if self.place(&from)?.0 == actor.account => {
                        self.place(&from)?
                    }
                    found => found.map(|found| (found.row.account, found.row.name))?,
                };
                let (owner, name) = self.place(&to)?;
                if owner != keeper {
                    return Err(StoreError::NotAllowed("a mailbox stays with its account"));
                }
                store.may_create(&actor, owner, &name)?;
                let inbox = old.is_inbox();
                store.mailbox_rename(owner, old, name).await?;
                if !inbox {
                    self.tell_rename(&from, &to, out.buffer());
                }
                Ok(ok("RENAME completed"))
            }
            Command::Subscribe(mailbox) => {
                store.subscribe(actor.account, valid(mailbox)?).await?;
                Ok(ok("SUBSCRIBE completed"))
            }
            Command::Unsubscribe(mailbox) => {
                store.unsubscribe(actor.account, valid(mailbox)?).await?;
                Ok(ok("UNSUBSCRIBE completed"))
            }
            Command::List(list) => self.list(&list, out).await,
            Command::Status { mailbox, items } => {
                let found = self.mailbox(&mailbox, Rights::READ)?;
                if items.contains(&StatusItem::HighestModSeq) {
                    self.enable_condstore(out);
                }
                self.status(&found, &items, out.buffer()).await?;
                Ok(ok("STATUS completed"))
            }
            _ => Ok(Answer::Bad("Not now".to_owned())),
        }
    }

    /// NAMESPACE: other users' mailboxes and public ones are mentioned when there are some to see.
    /// RFC 2342 §5.
    pub(super) fn namespace(&mut self, out: &mut Output<'_>) -> Done {
        let shared = self.shared.store.shared_with(&self.actor()?)?;
        let space = |above: &str, translated: Option<&str>| {
            let is_there = |found: &::store::Visible| found.name.as_str().starts_with(above);
            if !shared.iter().any(is_there) {
                return "NIL".to_owned();
            }
            // RFC 5255 §3.4: always in modified UTF-7.
            let translated = translated.map_or(String::new(), |name| {
                format!(" \"TRANSLATION\" (\"{}/\")", utf7::encode(name))
            });
            format!("((\"{above}/\" \"/\"{translated}))")
        };
        let others = space(OTHER_USERS, self.language.other_users());
        let public = space(PUBLIC, self.language.public_folders());
        let line = format!("* NAMESPACE ((\"\" \"/\")) {others} {public}\r\n");
        out.buffer().extend_from_slice(line.as_bytes());
        Ok(ok("NAMESPACE completed"))
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
