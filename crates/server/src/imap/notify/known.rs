//! What a session that gave NOTIFY knows of the mailboxes it may see, and what is different now.

use crate::imap::list::above;
use crate::limits::NOTIFY_MAILBOXES_MAX;
use ::store::Actor;
use ::store::{Feed, Holder, Kinds, MailboxRow, Store, StoreError, Visible};
use mail::{AccountId, MailboxId, MailboxName, ModSeq, Rights, Uid};
use protocol::imap::command::Name;
use protocol::imap::command::notify::{Events, Filter, Notify};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Entries of an annotation's holder, each with a hash of its value.
type Entries = BTreeMap<String, u64>;

/// The mailboxes at some time.
#[derive(Default)]
pub(super) struct Known {
    pub all: BTreeMap<MailboxName, Visible>,
    pub subscribed: BTreeSet<MailboxName>,
    /// Only of what metadata events are wanted.
    pub annotations: BTreeMap<Holder, Entries>,
}

/// The events that are wanted of a name; the selected mailbox is another matter.
pub(super) fn events(wish: &Notify, name: &MailboxName, subscribed: bool) -> Events {
    let any =
        |names: &[Name], fits: &dyn Fn(&MailboxName) -> bool| names.iter().flatten().any(fits);
    let covered = wish.groups.iter().filter(|group| match &group.filter {
        // Filters may deliver anywhere: RFC 5465 §6.3.
        Filter::Inboxes | Filter::Personal => name.is_personal(),
        Filter::Subscribed => subscribed,
        Filter::Subtree(names) => any(names, &|above| above == name || name.is_below(above)),
        Filter::Mailboxes(names) => any(names, &|one| one == name),
    });
    covered.fold(Events::default(), |all, group| all.with(group.events))
}

pub(super) fn readable(found: &Visible) -> bool {
    found.rights.contains(Rights::READ)
}

impl Known {
    /// Looks again at what `kinds` of changes can concern.
    pub fn look(
        &self,
        store: &Store,
        actor: &Actor,
        wish: &Notify,
        feed: &mut Feed,
        kinds: Kinds,
    ) -> Result<Known, StoreError> {
        let mut kinds = kinds;
        loop {
            let mut now = Known::default();
            for row in store.mailboxes(actor.account)? {
                let (name, rights) = (row.name.clone(), Rights::ALL);
                now.all.insert(name.clone(), Visible { row, name, rights });
            }
            for found in self.others(store, actor, kinds)? {
                now.all.insert(found.name.clone(), found);
            }
            now.subscribed = store.subscriptions(actor.account)?.into_iter().collect();
            let mut owners: BTreeSet<AccountId> =
                now.all.values().map(|found| found.row.account).collect();
            owners.insert(actor.account);
            // Whatever changes in an account that is new here must not be missed.
            if feed.watch(owners) {
                kinds = Kinds::ALL;
                continue;
            }
            now.annotations = match kinds.any(Kinds::NAMES.with(Kinds::METADATA)) {
                true => now.read_annotations(store, actor.account, wish)?,
                false => self.annotations.clone(),
            };
            return Ok(now);
        }
    }

    /// What these mailboxes were, and what they are now, when nothing but their messages changed.
    pub fn counted(&self, store: &Store, feed: &Feed) -> Result<(Known, Known), StoreError> {
        let changed = feed.take_mailboxes();
        let (mut old, mut now) = (Known::default(), Known::default());
        for (name, found) in self.all.iter().filter(|(_, found)| changed.contains(&found.row.id)) {
            let id = found.row.id;
            let Some(row) = feed.mailbox(id, || store.mailbox_row(id))? else { continue };
            let row = MailboxRow::clone(&row);
            let fresh = Visible { row, name: found.name.clone(), rights: found.rights };
            old.all.insert(name.clone(), found.clone());
            now.all.insert(name.clone(), fresh);
            if self.subscribed.contains(name) {
                now.subscribed.insert(name.clone());
            }
        }
        Ok((old, now))
    }

    /// The mailboxes of others: found anew only when names or rights have changed.
    fn others(
        &self,
        store: &Store,
        actor: &Actor,
        kinds: Kinds,
    ) -> Result<Vec<Visible>, StoreError> {
        if kinds.any(Kinds::NAMES) {
            return store.shared_with(actor);
        }
        let mut others = Vec::new();
        for found in self.all.values().filter(|found| found.row.account != actor.account) {
            if let Some(row) = store.mailbox_row(found.row.id)? {
                others.push(Visible { row, ..found.clone() });
            }
        }
        Ok(others)
    }

    fn read_annotations(
        &self,
        store: &Store,
        who: AccountId,
        wish: &Notify,
    ) -> Result<BTreeMap<Holder, Entries>, StoreError> {
        let mut holders = Vec::new();
        if wish.groups.iter().any(|group| group.events.server_metadata) {
            holders.push(Holder::Account(who));
        }
        if wish.groups.iter().any(|group| group.events.metadata) {
            let wanted = |found: &&Visible| {
                let subscribed = self.subscribed.contains(&found.name);
                readable(found) && events(wish, &found.name, subscribed).metadata
            };
            let found = self.all.values().filter(wanted);
            holders.extend(found.map(|found| Holder::Mailbox(found.row.id)));
        }
        let mut all = BTreeMap::new();
        for of in holders {
            let hashed = |(name, value): (String, Vec<u8>)| {
                let mut hasher = DefaultHasher::new();
                value.hash(&mut hasher);
                (name, hasher.finish())
            };
            all.insert(of, store.annotations(of, who)?.into_iter().map(hashed).collect());
        }
        Ok(all)
    }

    /// There are too many mailboxes, or names that are subscribed, to watch.
    pub fn is_too_much(&self) -> bool {
        self.all.len().max(self.subscribed.len()) > NOTIFY_MAILBOXES_MAX
    }

    pub fn by_id(&self) -> HashMap<MailboxId, &Visible> {
        self.all.values().map(|found| (found.row.id, found)).collect()
    }

    /// Names with a mailbox below them.
    pub fn parents(&self) -> BTreeSet<&str> {
        self.all.keys().flat_map(above).collect()
    }

    /// Takes over what the client did itself to these entries of the server or a mailbox.
    pub fn absorb_annotations(
        &mut self,
        now: &Known,
        mailbox: Option<&MailboxName>,
        entries: &[String],
    ) {
        let of = match mailbox {
            None => now.annotations.keys().find(|of| matches!(of, Holder::Account(_))).copied(),
            Some(name) => now.all.get(name).map(|found| Holder::Mailbox(found.row.id)),
        };
        let fresh = of.and_then(|of| now.annotations.get(&of));
        let stale = of.and_then(|of| self.annotations.get_mut(&of));
        let (Some(fresh), Some(stale)) = (fresh, stale) else { return };
        for name in entries {
            match fresh.get(name) {
                Some(hash) => stale.insert(name.clone(), *hash),
                None => stale.remove(name),
            };
        }
    }

    /// Takes over what the client did itself to the names that `touched` is true for. Counters stay
    /// as they were known, so that what somebody else did meanwhile is still news.
    pub fn absorb(&mut self, now: Known, touched: impl Fn(&MailboxName) -> bool) {
        let by_id = self.by_id();
        let mut fresh = Vec::new();
        for (name, found) in now.all.into_iter().filter(|(name, _)| touched(name)) {
            let mut found = found;
            match by_id.get(&found.row.id) {
                Some(old) => found.row = MailboxRow { name: found.row.name, ..old.row.clone() },
                None => {
                    (found.row.exists, found.row.unseen) = (0, 0);
                    (found.row.uidnext, found.row.modseq) = (Some(Uid::FIRST), ModSeq(1));
                }
            }
            fresh.push((name, found));
        }
        self.all.retain(|name, _| !touched(name));
        self.all.extend(fresh);
        self.subscribed.retain(|name| !touched(name));
        self.subscribed.extend(now.subscribed.into_iter().filter(|name| touched(name)));
    }
}

/// What is to be told of one name by LIST.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// OLDNAME
    pub old: Option<MailboxName>,
    /// `\NoAccess`
    pub no_access: bool,
}

/// The LIST responses that lead from `old` to `new`. RFC 5465 §5.4, §5.5, §5.9.
pub(super) fn listed(wish: &Notify, old: &Known, new: &Known) -> BTreeMap<MailboxName, Listed> {
    let (old_ids, new_ids) = (old.by_id(), new.by_id());
    let wanted = |name: &MailboxName| {
        events(wish, name, old.subscribed.contains(name) || new.subscribed.contains(name))
    };
    let mut lines: BTreeMap<MailboxName, Listed> = BTreeMap::new();
    let mut renamed: Vec<(&MailboxName, &MailboxName)> = Vec::new();
    let mut affected = Vec::new();
    for (name, found) in &new.all {
        match old_ids.get(&found.row.id) {
            Some(before) if before.name == *name => {
                if readable(before) != readable(found) && wanted(name) != Events::default() {
                    let no_access = !readable(found);
                    lines.insert(name.clone(), Listed { old: None, no_access });
                }
            }
            Some(before) => renamed.push((&before.name, name)),
            None => affected.push(name),
        }
    }
    for (name, found) in &old.all {
        if !new_ids.contains_key(&found.row.id) {
            affected.push(name);
        }
    }
    for name in affected {
        // A name and the one above it. RFC 5465 §5.4.
        for name in std::iter::once(name.clone()).chain(name.parent()) {
            if wanted(&name).names {
                lines.entry(name).or_default();
            }
        }
        let gone = !new.all.contains_key(name) && !name.is_personal();
        if gone && !wanted(name).names && wanted(name) != Events::default() {
            lines.insert(name.clone(), Listed { old: None, no_access: true });
        }
    }
    // In the order of the old names, so that what is above comes before what went with it.
    renamed.sort_unstable();
    let mut before = old.subscribed.clone();
    let mut tops: Vec<(&MailboxName, &MailboxName)> = Vec::new();
    for (from, to) in renamed {
        if before.remove(from) {
            before.insert(to.clone());
        }
        // Below a renamed one: the nearest one is the last. RFC 5465 §5.4.
        let follows = tops.last().is_some_and(|(a, b)| {
            from.is_below(a) && from.moved(a, b).is_some_and(|moved| moved.as_ref() == Ok(to))
        });
        if follows {
            continue;
        }
        tops.push((from, to));
        if wanted(to).names || wanted(from).names {
            lines.insert(to.clone(), Listed { old: Some(from.clone()), no_access: false });
        }
    }
    for name in before.symmetric_difference(&new.subscribed) {
        if wanted(name).subscriptions {
            lines.entry(name.clone()).or_default();
        }
    }
    lines
}
