//! Annotations that others change, for a client that gave ENABLE METADATA. RFC 5464 §4.1, §4.4.2.
//!
//! Told with the answers to commands and while idling. A client that uses NOTIFY says there what it
//! wants, and is told by that alone.

use super::known::Known;
use crate::drive::Output;
use crate::imap::Context;
use ::store::{Feed, Kinds, StoreError};
use mail::MailboxName;
use mail::mailbox_name::{OTHER_USERS, PUBLIC};
use protocol::imap::command::notify::{Events, Filter, Group, Notify};

/// What such a client knows.
pub(crate) struct Watching {
    feed: Feed,
    pub(super) known: Known,
}

/// Everything that has annotations, as NOTIFY would say it.
pub(super) fn everything() -> Notify {
    let events = Events { metadata: true, server_metadata: true, ..Events::default() };
    let others = [OTHER_USERS, PUBLIC]
        .map(|above| MailboxName::new(above).map_err(|_| above.to_owned()))
        .to_vec();
    let groups = vec![
        Group { filter: Filter::Personal, events },
        Group { filter: Filter::Subtree(others), events },
    ];
    Notify { set: true, groups, ..Notify::default() }
}

impl Watching {
    /// Resolves when something may have changed. Safe to drop.
    pub async fn noted(&self) {
        self.feed.changed().await;
    }
}

impl Context {
    /// ENABLE METADATA.
    pub(in crate::imap) fn watch_metadata(&mut self) {
        let mut feed = self.shared.store.feed();
        let known = self.actor().and_then(|actor| {
            let store = &self.shared.store;
            Known::default().look(store, &actor, &everything(), &mut feed, Kinds::ALL)
        });
        match known {
            Ok(known) => self.metadata = Some(Box::new(Watching { feed, known })),
            Err(error) => tracing::warn!(%error, "annotations cannot be watched"),
        }
    }

    /// Tells what others have changed.
    pub(in crate::imap) async fn tell_metadata(&mut self, out: &mut Output<'_>) {
        let Some(mut watching) = self.metadata.take() else { return };
        let kinds = watching.feed.take();
        if kinds.any(Kinds::METADATA.with(Kinds::NAMES)) && self.notify.is_none() {
            let Watching { feed, known } = &mut *watching;
            let now = self.actor().and_then(|actor| {
                known.look(&self.shared.store, &actor, &everything(), feed, kinds)
            });
            match now {
                Ok(now) => {
                    self.notify_metadata(known, &now, out.buffer());
                    *known = now;
                }
                Err(error) => tracing::warn!(%error, "annotations cannot be watched"),
            }
        }
        self.metadata = Some(watching);
    }

    /// The client's own SETMETADATA is no news to it.
    pub(super) fn own_metadata(
        &mut self,
        mailbox: Option<&MailboxName>,
        entries: &[String],
    ) -> Result<(), StoreError> {
        let Some(mut watching) = self.metadata.take() else { return Ok(()) };
        let Watching { feed, known } = &mut *watching;
        let now = self.actor().and_then(|actor| {
            known.look(&self.shared.store, &actor, &everything(), feed, Kinds::ALL)
        });
        let done = now.map(|now| known.absorb_annotations(&now, mailbox, entries));
        self.metadata = Some(watching);
        done
    }
}
