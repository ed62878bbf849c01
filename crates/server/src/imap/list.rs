//! LIST, LSUB, XLIST, STATUS. RFC 3501 §6.3.8 to §6.3.10, RFC 5258, RFC 5819, RFC 8438, RFC 8474.

use super::access::told;
use super::pattern::Pattern;
use super::property::{ANNOTATES, absent};
use super::{Context, Done, mailbox_id, ok};
use crate::drive::Output;
use ::store::{Actor, Holder, StoreError, Visible};
use mail::mailbox_name::SEPARATOR;
use mail::{FlagBits, MailboxName, Rights, Uid};
use protocol::imap::command::{List, StatusItem};
use protocol::imap::response;
use std::collections::{BTreeMap, HashSet};

/// All names that a LIST may return, with what it needs to know of each. Names above others are not
/// copied: a few long names would have thousands.
struct Names<'a> {
    /// Mailboxes, subscriptions and the names above them.
    all: BTreeMap<&'a str, Option<&'a Visible>>,
    subscribed: HashSet<&'a str>,
    /// Names with a mailbox below them.
    parents: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    fn new(mailboxes: &'a [Visible], subscribed: &'a [MailboxName], list: &List) -> Names<'a> {
        let mut parents = HashSet::new();
        for found in mailboxes {
            // What is above a name that is there already is there, too.
            above(&found.name).take_while(|parent| parents.insert(*parent)).for_each(drop);
        }
        let mut all: Vec<_> = parents.iter().map(|parent| (*parent, None)).collect();
        if list.subscribed {
            for name in subscribed {
                if tells_above(list) {
                    all.extend(above(name).map(|parent| (parent, None)));
                }
                all.push((name.as_str(), None));
            }
        }
        // The last one of a name counts.
        all.extend(mailboxes.iter().map(|found| (found.name.as_str(), Some(found))));
        let subscribed = subscribed.iter().map(MailboxName::as_str).collect();
        Names { all: all.into_iter().collect(), subscribed, parents }
    }

    /// The name is one that the options select.
    fn selected(&self, list: &List, name: &str, found: Option<&Visible>) -> bool {
        let special = found.is_some_and(|found| found.row.special_use.is_some());
        (!list.subscribed || self.subscribed.contains(name)) && (!list.special_use || special)
    }
}

/// The names above a name.
pub(super) fn above(name: &MailboxName) -> impl Iterator<Item = &str> {
    levels_above(name.as_str())
}

fn levels_above(name: &str) -> impl Iterator<Item = &str> {
    let up = |name| str::rsplit_once(name, SEPARATOR).map(|(parent, _)| parent);
    std::iter::successors(up(name), move |name| up(name))
}

impl Context {
    /// LIST, LSUB, XLIST.
    pub(super) async fn list(&mut self, list: &List, out: &mut Output<'_>) -> Done {
        if list.return_status.contains(&StatusItem::HighestModSeq) {
            self.enable_condstore(out);
        }
        if list.patterns.iter().all(String::is_empty) && !list.extended && list.verb != "LSUB" {
            // users.md I-30: the separator and the root.
            let line = format!("* {} (\\Noselect) \"/\" \"\"\r\n", list.verb);
            out.buffer().extend_from_slice(line.as_bytes());
            return Ok(ok(&format!("{} completed", list.verb)));
        }
        let actor = self.actor()?;
        let store = &self.shared.store;
        // RFC 5258 §3: an empty pattern matches nothing in an extended LIST.
        let patterns =
            list.patterns.iter().filter(|pattern| !(list.extended && pattern.is_empty()));
        let patterns: Vec<Pattern> =
            patterns.filter_map(|pattern| Pattern::new(&list.reference, pattern)).collect();
        let stem = match patterns.as_slice() {
            [pattern] => MailboxName::new(pattern.stem()).ok(),
            _ => None,
        };
        let mut subscribed = match list.subscribed || list.return_subscribed {
            true => store.subscriptions(actor.account)?,
            false => Vec::new(),
        };
        if let Some(stem) = &stem {
            subscribed.retain(|name| name == stem || name.is_below(stem));
        }
        let names = self.mailboxes_seen(&actor, stem.as_ref())?;
        let names = Names::new(&names, &subscribed, list);
        let octets: usize = list.patterns.iter().map(String::len).sum();
        let (mut matching, mut work) = (Vec::new(), 0);
        // Names above a selected one, and those of them above one that is not itself returned.
        let (mut above_selected, mut hidden_below) = (HashSet::new(), HashSet::new());
        for (name, row) in &names.all {
            let matches = patterns.iter().any(|pattern| pattern.matches(name));
            if matches {
                matching.push((name, row));
            }
            if tells_above(list) && names.selected(list, name, *row) {
                above_selected.extend(levels_above(name));
                if !matches {
                    hidden_below.extend(levels_above(name));
                }
            }
            // Long patterns and long names take long; others have their turn.
            work += name.len() * octets;
            if work >= WORK_AT_ONCE {
                tokio::task::yield_now().await;
                work = 0;
            }
        }
        matching.sort_by_key(|(name, _)| **name != "INBOX");
        for (name, row) in matching {
            let selected = names.selected(list, name, *row);
            if selected || hidden_below.contains(name) {
                let below = above_selected.contains(name);
                let found = Found { name, row: *row, selected, below };
                self.list_line(list, &names, &found, out.buffer());
                // RFC 5819 §2, RFC 8440 §4, RFC 9590 §4: not of a name that is only above others.
                if let (true, Some(found)) = (selected, row) {
                    self.list_extras(list, found, out.buffer()).await?;
                }
                if out.relieve().await.is_err() {
                    break;
                }
            }
        }
        Ok(ok(&format!("{} completed", list.verb)))
    }

    /// What LIST tells of a mailbox beside its name: each behind its own line (users.md I-39).
    async fn list_extras(
        &self,
        list: &List,
        found: &Visible,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        if list.return_rights {
            // RFC 8440 §4.
            out.extend_from_slice(b"* MYRIGHTS ");
            response::mailbox(found.name.as_str(), self.enabled.charset(), out);
            out.extend_from_slice(format!(" {}\r\n", told(found.rights)).as_bytes());
        }
        if !list.return_status.is_empty() && found.rights.contains(Rights::READ) {
            self.status(found, &list.return_status, out).await?;
        }
        // RFC 9590 §3: as GETMETADATA has them.
        if !list.return_metadata.is_empty() && found.rights.intersects(ANNOTATES) {
            let (of, who) = (Holder::Mailbox(found.row.id), self.actor()?.account);
            let mut annotations = self.shared.store.annotations(of, who)?;
            annotations.retain(|(name, _)| list.return_metadata.contains(name));
            let absent = absent(&list.return_metadata, &annotations);
            self.metadata(found.name.as_str(), &annotations, &absent, out);
        }
        Ok(())
    }

    /// The mailboxes that the session may see; of its own those of that name and below it.
    fn mailboxes_seen(
        &self,
        actor: &Actor,
        stem: Option<&MailboxName>,
    ) -> Result<Vec<Visible>, StoreError> {
        let store = &self.shared.store;
        let own = match stem {
            Some(name) => store.mailboxes_within(actor.account, name)?,
            None => store.mailboxes(actor.account)?,
        };
        let own =
            own.into_iter().map(|row| Visible { name: row.name.clone(), row, rights: Rights::ALL });
        let shared = store.shared_with(actor)?.into_iter().map(|mut found| {
            // What it is to its owner it is not to others (users.md I-33).
            found.row.special_use = None;
            found
        });
        Ok(own.chain(shared).collect())
    }

    fn list_line(&self, list: &List, names: &Names<'_>, found: &Found<'_>, out: &mut Vec<u8>) {
        let lsub = list.verb == "LSUB";
        let mut words = Vec::new();
        match found.row {
            // RFC 3501 §6.3.9: not subscribed itself, something below it is.
            _ if lsub && !found.selected => words.push("\\Noselect"),
            None if lsub => words.push("\\Noselect"),
            // It implies \Noselect (RFC 5258 §3), which only clients that know it can tell.
            None if list.extended => words.push("\\NonExistent"),
            None => words.extend(["\\NonExistent", "\\Noselect"]),
            // RFC 5819 §2, RFC 3501 §7.2.2: it cannot be selected.
            Some(found) if !lsub && !found.rights.contains(Rights::READ) => {
                words.push("\\Noselect")
            }
            Some(_) => {}
        }
        let children = names.parents.contains(found.name);
        words.push(if children { "\\HasChildren" } else { "\\HasNoChildren" });
        if list.return_subscribed && !lsub && names.subscribed.contains(found.name) {
            words.push("\\Subscribed");
        }
        if list.verb == "XLIST" && found.name == "INBOX" {
            words.push("\\Inbox");
        }
        let special = found.row.and_then(|found| found.row.special_use);
        words.extend(special.map(mail::SpecialUse::attribute));
        let start = format!("* {} ({}) \"/\" ", list.verb, words.join(" "));
        out.extend_from_slice(start.as_bytes());
        response::mailbox(found.name, self.enabled.charset(), out);
        if list.recursive && found.below {
            // RFC 5258 §3.5: whether or not what is below is returned too.
            out.extend_from_slice(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// `* STATUS name (…)`.
    pub(super) async fn status(
        &self,
        found: &Visible,
        items: &[StatusItem],
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let row = &found.row;
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
                StatusItem::Size => format!("SIZE {}", row.octets),
                StatusItem::Deleted => format!("DELETED {}", row.deleted),
                StatusItem::DeletedStorage => {
                    // RFC 9208 §4.1.4: what EXPUNGE would give back.
                    let listing = self.shared.store.select(row.id).await?.listing;
                    let gone = listing.iter().filter(|e| e.flags.contains(FlagBits::DELETED));
                    format!("DELETED-STORAGE {}", gone.map(|e| u64::from(e.size)).sum::<u64>())
                }
                StatusItem::MailboxId => format!("MAILBOXID ({})", mailbox_id(row.id)),
                // RFC 7889 §4: NIL where there is no limit.
                StatusItem::AppendLimit => match self.shared.settings.message_octets_max {
                    0 => "APPENDLIMIT NIL".to_owned(),
                    limit => format!("APPENDLIMIT {limit}"),
                },
            });
        }
        out.extend_from_slice(b"* STATUS ");
        response::mailbox(found.name.as_str(), self.enabled.charset(), out);
        out.extend_from_slice(format!(" ({})\r\n", words.join(" ")).as_bytes());
        Ok(())
    }
}

/// Names are told that are not subscribed themselves, when something below them is: LSUB does so if
/// `%` hides that. RFC 3501 §6.3.9, RFC 5258 §3.5.
fn tells_above(list: &List) -> bool {
    list.recursive
        || (list.verb == "LSUB" && list.patterns.iter().any(|pattern| pattern.ends_with('%')))
}

/// A name that LIST returns.
struct Found<'a> {
    name: &'a str,
    row: Option<&'a Visible>,
    /// It meets the selection options.
    selected: bool,
    /// Something below it does.
    below: bool,
}

/// So much is compared at once: octets of names times octets of patterns.
const WORK_AT_ONCE: usize = 64 << 10;
