//! Mailboxes that somebody looks at, each held once in memory for all its sessions, and the feed of
//! what changes in them.
//!
//! The writer publishes after its commit and in commit order. A view that is being loaded keeps
//! what is published meanwhile and applies what the rows it read did not know yet.

use crate::error::{Result, StoreError};
use crate::feed::Feeds;
use crate::gate::Gate;
use crate::rows::MailboxRow;
use crate::watch::AccountWatches;
use crate::write::{Changes, MailboxChange};
use mail::{Listing, MailboxId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{OnceCell, watch};

/// The views of a store.
#[derive(Default)]
pub(crate) struct Views {
    /// Passed by whoever looks.
    pub gate: Arc<Gate>,
    /// Who watches accounts.
    pub accounts: Arc<AccountWatches>,
    /// Who hears of changes in accounts.
    pub feeds: Arc<Feeds>,
    map: Mutex<HashMap<MailboxId, Weak<View>>>,
}

/// One mailbox in memory.
pub(crate) struct View {
    id: MailboxId,
    loaded: OnceCell<()>,
    gate: Arc<Gate>,
    state: Mutex<State>,
    sender: watch::Sender<Option<Arc<Listing>>>,
    recent_from: AtomicU32,
}

#[derive(Default)]
struct State {
    /// Published while the view was being loaded.
    early: Vec<MailboxChange>,
    deleted: bool,
}

/// A session's look at a mailbox. While it lives, the mailbox is held in memory.
#[derive(Clone)]
pub struct Watch {
    view: Arc<View>,
    receiver: watch::Receiver<Option<Arc<Listing>>>,
}

impl Views {
    pub fn view(&self, id: MailboxId) -> Arc<View> {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = map.get(&id).and_then(Weak::upgrade) {
            return view;
        }
        map.retain(|_, view| view.strong_count() > 0);
        let view = Arc::new(View {
            id,
            gate: self.gate.clone(),
            loaded: OnceCell::new(),
            state: Mutex::default(),
            sender: watch::Sender::new(None),
            recent_from: AtomicU32::new(1),
        });
        map.insert(id, Arc::downgrade(&view));
        view
    }

    /// The first UID of a mailbox that no session has claimed as `\Recent`, when it is in memory.
    pub fn unclaimed(&self, id: MailboxId) -> Option<u32> {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let view = map.get(&id).and_then(Weak::upgrade)?;
        Some(view.recent_from.load(Ordering::Relaxed))
    }

    /// Tells the watchers what a commit changed.
    pub fn publish(&self, changes: Changes) {
        changes.accounts.into_iter().for_each(|id| self.accounts.ring(id));
        for (id, mut change) in changes.mailboxes {
            let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
            let view = map.get(&id).and_then(Weak::upgrade);
            drop(map);
            if let Some(view) = view {
                change.settle();
                view.apply(change);
            }
        }
        self.feeds.publish(&changes.heard);
    }
}

impl View {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads the mailbox once; `read` gives its row and what is in it from one view of the rows.
    pub async fn load(
        self: &Arc<Self>,
        read: impl Future<Output = Result<(MailboxRow, Listing)>>,
    ) -> Result<Watch> {
        let fill = async {
            let (row, mut listing) = read.await?;
            self.recent_from.fetch_max(row.recent_from, Ordering::Relaxed);
            let mut state = self.state();
            for change in std::mem::take(&mut state.early) {
                if change.modseq > listing.modseq {
                    listing = changed(&listing, &change);
                }
            }
            self.sender.send_replace(Some(Arc::new(listing)));
            Ok::<(), StoreError>(())
        };
        self.loaded.get_or_try_init(|| fill).await?;
        Ok(Watch { view: self.clone(), receiver: self.sender.subscribe() })
    }

    fn apply(&self, change: MailboxChange) {
        let mut state = self.state();
        state.deleted |= change.deleted;
        let current = self.sender.borrow().clone();
        match current {
            None => state.early.push(change),
            Some(listing) => {
                self.sender.send_replace(Some(Arc::new(changed(&listing, &change))));
            }
        }
    }
}

fn changed(listing: &Listing, change: &MailboxChange) -> Listing {
    let mut next = listing.apply(&change.changed, &change.expunged);
    next.keywords = change.keywords.clone();
    next.modseq = change.modseq;
    next.uidnext = change.uidnext;
    next
}

impl Watch {
    /// The mailbox.
    pub fn mailbox(&self) -> MailboxId {
        self.view.id
    }

    /// What is in the mailbox now. [`Watch::changed`] waits for something newer.
    pub fn current(&mut self) -> Arc<Listing> {
        self.view.gate.pass();
        let current = self.receiver.borrow_and_update().clone();
        current.unwrap_or_else(|| Arc::new(Listing::empty()))
    }

    /// Resolves when the mailbox differs from the last [`Watch::current`]. Safe to drop.
    pub async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The mailbox was deleted.
    pub fn deleted(&self) -> bool {
        self.view.state().deleted
    }

    /// Takes the messages below `uidnext` that no session has claimed as `\Recent`: those from the
    /// returned UID on are this session's. RFC 3501 §2.3.2.
    pub(crate) fn claim_recent(&self, uidnext: u32) -> u32 {
        self.view.recent_from.fetch_max(uidnext, Ordering::Relaxed)
    }

    /// The first UID that no session has claimed.
    pub fn unclaimed(&self) -> u32 {
        self.view.recent_from.load(Ordering::Relaxed)
    }
}
