//! Who the session is, what it may do, and the commands of ACL. RFC 4314; the decision itself is
//! the store's (`Store::rights`).

use super::view::flags_line;
use super::{Context, Done, ok, refusal};
use crate::drive::Output;
use ::store::{Actor, StoreError, Visible, identifier};
use mail::{AccountId, MailboxName, Rights};
use protocol::imap::command::{Acl, Name};
use protocol::imap::response;
use protocol::imap::session::Answer;

impl Context {
    /// Who has logged in.
    pub(super) fn actor(&self) -> Result<Actor, StoreError> {
        let who = self.account.as_ref().ok_or(StoreError::NotAllowed("log in first"))?;
        Ok(Actor { account: who.account, address: who.address.clone() })
    }

    /// The mailbox of that name, if the session has `needed` rights to it.
    pub(super) fn mailbox(&self, name: &Name, needed: Rights) -> Result<Visible, StoreError> {
        let name = name.as_ref().map_err(|_| StoreError::NoSuchMailbox)?;
        let actor = self.actor()?;
        let mut found = self.shared.store.visible(&actor, name)?;
        if let (None, Some(composed)) = (&found, name.composed()) {
            // RFC 9051 §5.1: new mailboxes have composed names, however they are asked for.
            found = self.shared.store.visible(&actor, &composed)?;
        }
        let found = found.ok_or(StoreError::NoSuchMailbox)?;
        match found.rights.contains(needed) {
            true => Ok(found),
            false => Err(StoreError::NotPermitted),
        }
    }

    /// There is no such mailbox to put messages into; TRYCREATE if the session could make it.
    /// RFC 9051 §6.3.12, §6.4.7.
    pub(super) fn nowhere(&self, name: &Name) -> Answer {
        let allowed = self
            .place(name)
            .and_then(|(owner, own)| self.shared.store.may_create(&self.actor()?, owner, &own));
        match allowed {
            Ok(()) => Answer::No("[TRYCREATE] There is no such mailbox".to_owned()),
            Err(_) => refusal(&StoreError::NoSuchMailbox),
        }
    }

    /// The mailbox that messages are put into. A name of one's own that is left above other ones
    /// becomes a mailbox again: clients file mail there and lose it otherwise (users.md I-36).
    pub(super) async fn target(&self, name: &Name) -> Result<Result<Visible, Answer>, StoreError> {
        match self.mailbox(name, Rights::INSERT) {
            Err(StoreError::NoSuchMailbox) => {}
            found => return found.map(Ok),
        }
        let (store, own) = (&self.shared.store, self.actor()?.account);
        let Some((_, place)) = self.place(name).ok().filter(|(owner, _)| *owner == own) else {
            return Ok(Err(self.nowhere(name)));
        };
        if !store.mailboxes_within(own, &place)?.iter().any(|row| row.name.is_below(&place)) {
            return Ok(Err(self.nowhere(name)));
        }
        match store.mailbox_create(own, place, None).await {
            // Another session may have made it meanwhile.
            Ok(_) | Err(StoreError::AlreadyExists(_)) => self.mailbox(name, Rights::INSERT).map(Ok),
            Err(error) => Err(error),
        }
    }

    /// Whose mailbox a name is or could be, and what they call it; in Net-Unicode. RFC 9051 §6.3.4.
    pub(super) fn place(&self, name: &Name) -> Result<(AccountId, MailboxName), StoreError> {
        let name = name.as_ref().map_err(|_| StoreError::NotAllowed("that cannot be a name"))?;
        let composed = name.composed();
        let name = composed.as_ref().unwrap_or(name);
        self.shared.store.place_of(&self.actor()?, name)?.ok_or(StoreError::NoSuchMailbox)
    }

    /// `* LIST (…) "/" name`, and whatever the client called it if that was something else, as rev2
    /// wants when a mailbox is selected or a name is made another. RFC 9051 §6.3.2, §6.3.9.7.
    pub(super) fn tell_name(
        &self,
        name: &MailboxName,
        supplied: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        out.extend_from_slice(format!("* LIST ({}) \"/\" ", self.attributes(name)?).as_bytes());
        response::mailbox(name.as_str(), self.enabled.charset(), out);
        if supplied != name.as_str() {
            out.extend_from_slice(b" (\"OLDNAME\" (");
            response::mailbox(supplied, self.enabled.charset(), out);
            out.extend_from_slice(b"))");
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Tells rev2 what became of a name that was supplied in another form: CREATE, APPEND and
    /// DELETE. RFC 9051 §6.3.4, §6.3.5, §6.3.12.
    pub(super) fn tell_composed(&self, supplied: &Name, out: &mut Vec<u8>) {
        let Ok(supplied) = supplied else { return };
        if let Some(now) = supplied.composed() {
            self.tell_new_name(&now, supplied.as_str(), out);
        }
    }

    /// Tells rev2 what a mailbox is called now, if one of the names of RENAME was supplied in
    /// another form. RFC 9051 §6.3.6.
    pub(super) fn tell_rename(&self, from: &Name, to: &Name, out: &mut Vec<u8>) {
        let (Ok(from), Ok(to)) = (from, to) else { return };
        let composed = to.composed();
        if composed.is_some() || from.composed().is_some() {
            self.tell_new_name(composed.as_ref().unwrap_or(to), from.as_str(), out);
        }
    }

    /// The command is carried out whatever becomes of this: no client must repeat it.
    fn tell_new_name(&self, name: &MailboxName, supplied: &str, out: &mut Vec<u8>) {
        if !self.enabled.rev2 {
            return;
        }
        if let Err(error) = self.tell_name(name, supplied, out) {
            tracing::warn!(%error, "a new name is not told");
        }
    }

    /// What LIST says of a name. RFC 9051 §7.3.1.
    fn attributes(&self, name: &MailboxName) -> Result<String, StoreError> {
        let (actor, store) = (self.actor()?, &self.shared.store);
        let found = store.visible(&actor, name)?;
        let mut words = Vec::new();
        if found.is_none() {
            words.push("\\NonExistent");
        }
        let above = match name.is_personal() {
            true => store.has_mailbox_below(actor.account, name)?,
            false => store.shared_with(&actor)?.iter().any(|other| other.name.is_below(name)),
        };
        words.push(if above { "\\HasChildren" } else { "\\HasNoChildren" });
        if store.is_subscribed(actor.account, name)? {
            words.push("\\Subscribed");
        }
        let own = found.filter(|found| found.row.account == actor.account);
        let special = own.and_then(|found| found.row.special_use);
        words.extend(special.map(mail::SpecialUse::attribute));
        Ok(words.join(" "))
    }

    /// Looks again what the session may do with the mailbox it has selected, which may be somebody
    /// else's. When it may not read it any more, it is not selected any more.
    pub(super) fn renew_rights(&mut self) -> bool {
        let Some(view) = self.view.as_ref().filter(|view| !view.owned) else { return true };
        let id = view.mailbox;
        let allowed =
            self.actor().and_then(|actor| self.shared.store.allowed(&actor, id, Rights::READ));
        match (allowed, &mut self.view) {
            (Ok(rights), Some(view)) => view.rights = rights,
            _ => (self.view, self.lost) = (None, true),
        }
        self.view.is_some()
    }

    /// Other rights than the client knows of let it keep other flags. RFC 4314 §5.1.1.
    pub(super) fn tell_rights(&mut self, out: &mut Vec<u8>) {
        let Some(view) = self.view.as_mut().filter(|view| !view.read_only) else { return };
        let before = std::mem::replace(&mut view.told_rights, view.rights);
        if before == view.rights {
            return;
        }
        let flags = view.permanent_flags(&view.told, view.rights);
        if flags != view.permanent_flags(&view.told, before) {
            flags_line(&view.told, out);
            self.tell_permanent(out);
        }
    }

    /// The answer to the command that found it out.
    pub(super) fn deselected(&mut self) -> Answer {
        self.lost = false;
        Answer::NoDeselected("[NOPERM] You may not read that mailbox any more".to_owned())
    }

    /// SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS.
    pub(super) async fn acl(&mut self, acl: Acl, out: &mut Output<'_>) -> Done {
        match acl {
            Acl::Set(name, who, letters) => self.set_acl(&name, &who, &letters, "SETACL").await,
            Acl::Delete(name, who) => self.set_acl(&name, &who, "", "DELETEACL").await,
            Acl::Get(name) => {
                let found = self.mailbox(&name, Rights::ADMIN)?;
                let text = out.buffer();
                text.extend_from_slice(b"* ACL ");
                response::mailbox(found.name.as_str(), self.enabled.charset(), text);
                for (who, rights) in self.shared.store.access(&found.row)? {
                    text.push(b' ');
                    response::string(who.as_bytes(), text);
                    text.extend_from_slice(format!(" {}", told(rights)).as_bytes());
                }
                text.extend_from_slice(b"\r\n");
                Ok(ok("GETACL completed"))
            }
            Acl::List(name, who) => {
                let found = self.mailbox(&name, Rights::ADMIN)?;
                let Some(known) = self.known(&who)? else { return Ok(no_such_identifier(&who)) };
                let owner = self.shared.store.access(&found.row)?.into_iter().next();
                let is_owner = owner.is_some_and(|(name, _)| {
                    identifier(&name).as_deref() == Some(known.trim_start_matches('-'))
                });
                let text = out.buffer();
                text.extend_from_slice(b"* LISTRIGHTS ");
                response::mailbox(found.name.as_str(), self.enabled.charset(), text);
                text.push(b' ');
                response::string(who.as_bytes(), text);
                // What is always there; then what can be given, each by itself.
                text.extend_from_slice(match is_owner {
                    true if known.starts_with('-') => b" \"\"\r\n".as_slice(),
                    true => b" lrswipkxtecdan\r\n",
                    false => b" \"\" l r s w i p k x t e a n c d\r\n",
                });
                Ok(ok("LISTRIGHTS completed"))
            }
            Acl::Mine(name) => {
                let found = self.mailbox(&name, Rights::NONE)?;
                let text = out.buffer();
                text.extend_from_slice(b"* MYRIGHTS ");
                response::mailbox(found.name.as_str(), self.enabled.charset(), text);
                text.extend_from_slice(format!(" {}\r\n", told(found.rights)).as_bytes());
                Ok(ok("MYRIGHTS completed"))
            }
        }
    }

    /// Whom an identifier means: a name that can log in means its account. RFC 4314 §2.
    fn known(&self, who: &str) -> Result<Option<String>, StoreError> {
        let store = &self.shared.store;
        match (store.known_identifier(who)?, &self.shared.settings.default_domain) {
            (None, Some(domain)) => store.known_identifier(&format!("{who}@{domain}")),
            (known, _) => Ok(known),
        }
    }

    async fn set_acl(&mut self, name: &Name, who: &str, letters: &str, verb: &str) -> Done {
        let (sign, letters) = match letters.split_at_checked(1) {
            Some((sign @ ("+" | "-"), rest)) => (sign, rest),
            _ => ("", letters),
        };
        let Some(rights) = Rights::parse(letters) else {
            return Ok(Answer::Bad("There is no such right".to_owned()));
        };
        let found = self.mailbox(name, Rights::ADMIN)?;
        let Some(known) = self.known(who)? else { return Ok(no_such_identifier(who)) };
        let sign = sign.to_owned();
        let change = move |old: Rights| match sign.as_str() {
            "+" => old.with(rights),
            "-" => old.without(rights),
            _ => rights,
        };
        let owner = self.shared.store.access(&found.row)?.into_iter().next();
        let plain = known.trim_start_matches('-');
        if owner.is_some_and(|(name, _)| identifier(&name).as_deref() == Some(plain)) {
            // RFC 4314 §2: some rights may be granted always.
            return Ok(match known == plain && change(Rights::ALL) == Rights::ALL {
                true => Answer::Ok(format!("{verb} completed")),
                false => Answer::No("[CANNOT] The owner has all rights always".to_owned()),
            });
        }
        self.shared.store.set_access(found.row.id, known, change).await?;
        Ok(Answer::Ok(format!("{verb} completed")))
    }
}

fn no_such_identifier(who: &str) -> Answer {
    // RFC 4314 §3.
    if who.is_empty() || who.contains(char::is_control) {
        return Answer::Bad("That cannot be an identifier".to_owned());
    }
    Answer::No("[CANNOT] Only addresses and anyone can have rights".to_owned())
}

/// The letters of rights as clients are told them: with the obsolete ones. RFC 4314 §2.1.1.
pub(super) fn told(rights: Rights) -> String {
    let create = rights.intersects(Rights::CREATE.with(Rights::DELETE));
    let delete = rights.intersects(Rights::DELETED.with(Rights::EXPUNGE));
    let text =
        format!("{rights}{}{}", if create { "c" } else { "" }, if delete { "d" } else { "" });
    if text.is_empty() { "\"\"".to_owned() } else { text }
}
