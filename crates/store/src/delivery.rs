//! A message that is to be stored: its bytes, the mailboxes it goes to, its queue entry.

use crate::error::Result;
use crate::mailbox::annotations;
use crate::mailbox::append::{self, NewEntry, Placed};
use crate::queue::{self, NewQueued};
use crate::record::Header;
use crate::rows::ContentRow;
use crate::segment::Put;
use crate::spool::Sealed;
use crate::write::Writing;
use mail::{AccountId, Annotation, ContentId, Flag, MailboxId, MessageId};

pub(crate) use crate::record::Place;

/// A message to be stored in one commit.
pub struct Delivery {
    /// Our name for it.
    pub message: MessageId,
    /// Its bytes.
    pub content: Sealed,
    /// What is kept beside its bytes (`mail::summary::Summary::encode`).
    pub summary: Vec<u8>,
    /// INTERNALDATE, seconds since 1970.
    pub date: i64,
    /// The mailboxes it goes to.
    pub placements: Vec<Placement>,
    /// Its queue entry.
    pub queue: Option<NewQueued>,
    /// The first entry of its journey; empty for none.
    pub journey: Vec<u8>,
}

/// A stored message whose bytes go to another segment.
pub(crate) struct Moving {
    /// Where they are now.
    pub from: ContentRow,
    /// Its record's header.
    pub header: Header,
    /// Its bytes.
    pub content: Sealed,
}

/// A mailbox a message goes to.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// With these flags.
    pub flags: Vec<Flag>,
    /// With these annotations, by the account that sets them.
    pub annotations: Option<(AccountId, Vec<Annotation>)>,
}

impl Delivery {
    /// It has annotations: these are in the rows only, which have to be synced then.
    pub(crate) fn is_annotated(&self) -> bool {
        self.placements.iter().any(|place| place.annotations.is_some())
    }
}

/// Where a message was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Its content.
    pub content: ContentId,
    /// Its mailboxes, in the order of the placements.
    pub places: Vec<Placed>,
}

/// Writes the mailbox and queue rows of a delivery, and says what its record holds.
pub(crate) fn enter(w: &mut Writing<'_>, delivery: &Delivery) -> Result<(Delivered, Header)> {
    let content = ContentId(w.next("content")?);
    let size = u32::try_from(delivery.content.len()).unwrap_or(u32::MAX);
    let mut delivered = Delivered { content, places: Vec::new() };
    let mut places = Vec::new();
    for Placement { mailbox, flags, annotations } in &delivery.placements {
        let mut row = w.mailbox(*mailbox)?;
        let bits = append::bits(&mut row, flags)?;
        let bits = bits.with(delivery.content.found());
        let new = NewEntry { content, size, date: delivery.date, flags: bits };
        let placed = append::add(w, &mut row, new)?;
        let (uid, modseq) = (placed.uid, placed.modseq);
        if let Some((who, annotations)) = annotations {
            annotations::put(w, *mailbox, uid, modseq, *who, annotations)?;
        }
        let (account, flags) = (row.account, flags.clone());
        places.push(Place { mailbox: *mailbox, account, uid, modseq, flags });
        delivered.places.push(placed);
    }
    if let Some(new) = &delivery.queue {
        queue::add(w, delivery.message, content, delivery.content.len(), new)?;
    }
    if !delivery.journey.is_empty() {
        w.unit.begin_journey(delivery.message, &delivery.journey);
    }
    let header = Header {
        message: delivery.message,
        content,
        date: delivery.date,
        saved: append::saved(w.now),
        places,
        queue: delivery.queue.clone(),
        journey: delivery.journey.clone(),
    };
    Ok((delivered, header))
}

/// Writes the content's row once it is known where the bytes are.
pub(crate) fn enter_content(
    w: &mut Writing<'_>,
    delivery: &Delivery,
    id: ContentId,
    put: Put,
) -> Result<()> {
    let refs = delivery.placements.len() + usize::from(delivery.queue.is_some());
    let row = ContentRow {
        id,
        segment: put.segment,
        offset: put.offset,
        len: delivery.content.len(),
        crc: delivery.content.crc(),
        refs: refs as u32,
    };
    w.unit.put_content(&row, Some(&delivery.summary))
}
