//! SELECT, EXAMINE, CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, LIST, LSUB, STATUS, CLOSE.
//! RFC 3501 §6.3.1 to §6.3.10, RFC 5258, RFC 5819, RFC 6154.

use super::view::{View, flag_names, flags_line};
use super::{Context, Done, ok};
use crate::drive::Output;
use ::store::{MailboxRow, StoreError, Which};
use mail::{AccountId, FlagBits, MailboxName, Uid};
use protocol::imap::command::{Command, List, Name, StatusItem};
use protocol::imap::response;
use protocol::imap::session::{Answer, State};

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

    /// SELECT, EXAMINE. A failure leaves nothing selected. RFC 3501 §6.3.1.
    pub(super) async fn select(
        &mut self,
        mailbox: Name,
        examine: bool,
        condstore: bool,
        out: &mut Output<'_>,
    ) -> Done {
        self.view = None;
        self.condstore |= condstore;
        let selected = match self.row(&mailbox) {
            Ok(row) => self.shared.store.select(row.id).await,
            Err(error) => Err(error),
        };
        let selected = match selected {
            Ok(selected) => selected,
            Err(error) => return Ok(Answer::NoDeselected(format!("[NONEXISTENT] {error}"))),
        };
        let listing = selected.listing;
        let mut view = View {
            mailbox: selected.row.id,
            read_only: examine,
            watch: selected.watch,
            told: listing.clone(),
            recent: Vec::new(),
        };
        view.claim(&self.shared.store, &listing);
        let text = out.buffer();
        flags_line(&listing, text);
        let exists = format!("* {} EXISTS\r\n* {} RECENT\r\n", listing.len(), view.recent_count());
        text.extend_from_slice(exists.as_bytes());
        let unseen = listing.iter().position(|entry| !entry.flags.contains(FlagBits::SEEN));
        if let Some(at) = unseen {
            let line = format!("* OK [UNSEEN {}] First unseen\r\n", at + 1);
            text.extend_from_slice(line.as_bytes());
        }
        let permanent = match examine {
            true => String::new(),
            false => format!("{} \\*", flag_names(&listing)),
        };
        let lines = format!(
            "* OK [PERMANENTFLAGS ({permanent})] Flags that stay\r\n\
             * OK [UIDVALIDITY {}] UIDs valid\r\n\
             * OK [UIDNEXT {}] Next UID\r\n\
             * OK [HIGHESTMODSEQ {}] Highest\r\n",
            listing.uidvalidity,
            listing.uidnext.map_or(u32::MAX, Uid::get),
            listing.modseq
        );
        text.extend_from_slice(lines.as_bytes());
        self.view = Some(view);
        let (code, verb) =
            if examine { ("READ-ONLY", "EXAMINE") } else { ("READ-WRITE", "SELECT") };
        Ok(Answer::OkIn(State::Selected, format!("[{code}] {verb} completed")))
    }

    /// CLOSE: expunges silently unless read-only. RFC 3501 §6.4.2.
    pub(super) async fn close(&mut self) -> Done {
        if let Some(view) = self.view.take().filter(|view| !view.read_only) {
            self.shared.store.expunge(view.mailbox, Which::Deleted).await?;
        }
        Ok(Answer::OkIn(State::Authenticated, "CLOSE completed".to_owned()))
    }

    pub(super) async fn mailbox_command(&mut self, command: Command, out: &mut Output<'_>) -> Done {
        let account = self.id()?;
        let store = self.shared.store.clone();
        let valid = |name: Name| name.map_err(|_| StoreError::NotAllowed("that cannot be a name"));
        match command {
            Command::Create { mailbox, special_use } => {
                store.mailbox_create(account, valid(mailbox)?, special_use).await?;
                Ok(ok("CREATE completed"))
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
                self.status(&row, &items, out)?;
                Ok(ok("STATUS completed"))
            }
            _ => Ok(Answer::Bad("Not now".to_owned())),
        }
    }

    fn status(
        &self,
        row: &MailboxRow,
        items: &[StatusItem],
        out: &mut Output<'_>,
    ) -> Result<(), StoreError> {
        let mut words = Vec::new();
        for item in items {
            words.push(match item {
                StatusItem::Messages => format!("MESSAGES {}", row.exists),
                StatusItem::Recent => format!("RECENT {}", self.shared.store.recent(row)?),
                StatusItem::UidNext => {
                    format!("UIDNEXT {}", row.uidnext.map_or(u32::MAX, Uid::get))
                }
                StatusItem::UidValidity => format!("UIDVALIDITY {}", row.uidvalidity),
                StatusItem::Unseen => format!("UNSEEN {}", row.unseen),
                StatusItem::HighestModSeq => format!("HIGHESTMODSEQ {}", row.modseq),
            });
        }
        let text = out.buffer();
        text.extend_from_slice(b"* STATUS ");
        response::mailbox(row.name.as_str(), text);
        text.extend_from_slice(format!(" ({})\r\n", words.join(" ")).as_bytes());
        Ok(())
    }

    /// LIST, LSUB, XLIST.
    fn list(&self, account: AccountId, list: &List, out: &mut Output<'_>) -> Done {
        if list.patterns.iter().all(String::is_empty) && list.verb != "LSUB" {
            // users.md I-30: the separator and the root.
            let line = format!("* {} (\\Noselect) \"/\" \"\"\r\n", list.verb);
            out.buffer().extend_from_slice(line.as_bytes());
            return Ok(ok("LIST completed"));
        }
        let rows = self.shared.store.mailboxes(account)?;
        let subscribed = self.shared.store.subscriptions(account)?;
        let mut names: Vec<(MailboxName, Option<&MailboxRow>)> =
            rows.iter().map(|row| (row.name.clone(), Some(row))).collect();
        if list.subscribed {
            let gone = subscribed.iter().filter(|name| !rows.iter().any(|row| row.name == **name));
            names.extend(gone.map(|name| (name.clone(), None)));
        }
        names.sort_by(|a, b| (!a.0.is_inbox(), &a.0).cmp(&(!b.0.is_inbox(), &b.0)));
        for (name, row) in names {
            let is_subscribed = subscribed.contains(&name);
            let full = |pattern: &String| format!("{}{pattern}", list.reference);
            let wanted = list.patterns.iter().any(|p| matches_pattern(&full(p), name.as_str()));
            let special = row.and_then(|row| row.special_use);
            if !wanted
                || (list.subscribed && !is_subscribed)
                || (list.special_use && special.is_none())
            {
                continue;
            }
            let mut words = Vec::new();
            let children = rows.iter().any(|other| other.name.is_below(&name));
            words.push(if children { "\\HasChildren" } else { "\\HasNoChildren" });
            if row.is_none() {
                words.push(if list.verb == "LSUB" { "\\Noselect" } else { "\\NonExistent" });
            }
            if list.return_subscribed && is_subscribed {
                words.push("\\Subscribed");
            }
            if list.verb == "XLIST" && name.is_inbox() {
                words.push("\\Inbox");
            }
            words.extend(special.map(mail::SpecialUse::attribute));
            let text = out.buffer();
            let start = format!("* {} ({}) \"/\" ", list.verb, words.join(" "));
            text.extend_from_slice(start.as_bytes());
            response::mailbox(name.as_str(), text);
            text.extend_from_slice(b"\r\n");
            if let Some(row) = row.filter(|_| !list.return_status.is_empty()) {
                self.status(row, &list.return_status, out)?;
            }
        }
        Ok(ok(&format!("{} completed", list.verb)))
    }
}

/// `*` is anything, `%` anything but a separator. Linear: no backtracking beyond the last star.
/// INBOX matches in any case.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let upper =
        pattern.get(..5).filter(|p| p.eq_ignore_ascii_case("INBOX") && name.starts_with("INBOX"));
    let pattern = match upper {
        Some(_) => format!("INBOX{}", pattern.get(5..).unwrap_or_default()),
        None => pattern.to_owned(),
    };
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    // The states that are alive: positions in the pattern.
    let mut alive = vec![false; pattern.len() + 1];
    let close = |alive: &mut Vec<bool>| {
        for at in 0..pattern.len() {
            let wild = matches!(pattern.get(at), Some(b'*' | b'%'));
            if wild
                && alive.get(at) == Some(&true)
                && let Some(next) = alive.get_mut(at + 1)
            {
                *next = true;
            }
        }
    };
    if let Some(first) = alive.first_mut() {
        *first = true;
    }
    close(&mut alive);
    for byte in name {
        let mut next = vec![false; pattern.len() + 1];
        for (at, _) in alive.iter().enumerate().filter(|(_, on)| **on) {
            let to = match pattern.get(at) {
                Some(b'*') => at,
                Some(b'%') if *byte != b'/' => at,
                Some(p) if p == byte && !matches!(p, b'%') => at + 1,
                _ => continue,
            };
            if let Some(slot) = next.get_mut(to) {
                *slot = true;
            }
        }
        alive = next;
        close(&mut alive);
    }
    alive.last() == Some(&true)
}

#[cfg(test)]
mod tests {
    use super::matches_pattern;

    #[test]
    fn patterns_match() {
        for (pattern, name, matches) in [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("%/%", "a/b", true),
            ("inbox", "INBOX", true),
            ("a*c", "a/b/c", true),
            ("a%c", "a/c", false),
            ("", "a", false),
            ("*b", "a/b", true),
            ("Sent", "Sen", false),
        ] {
            assert_eq!(matches_pattern(pattern, name), matches, "{pattern} {name}");
        }
    }
}
