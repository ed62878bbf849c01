//! FETCH of what the listing has: flags, UIDs, sizes, dates. This is how a client learns a mailbox,
//! so nothing is allocated, looked up or awaited for a message.

use super::{Context, email_id, ok};
use crate::drive::Output;
use crate::limits::OUTPUT_CHUNK_OCTETS;
use mail::{Entry, Listing};
use protocol::imap::command::{Fetch, Item};
use protocol::imap::response;
use protocol::imap::session::Answer;

impl Context {
    /// Tells messages as they are in `latest`, where that is another listing than the client's;
    /// those that are gone there as they were.
    pub(super) async fn fetch_listed(
        &self,
        fetch: &Fetch,
        messages: Box<dyn Iterator<Item = (u32, Entry)> + Send + '_>,
        latest: Option<&Listing>,
        out: &mut Output<'_>,
    ) -> Answer {
        let has = |item: &Item| fetch.items.contains(item);
        let modseq = self.enabled.condstore && has(&Item::Flags) && !has(&Item::ModSeq);
        let mut items: Vec<&Item> = fetch.items.iter().collect();
        if self.enabled.uid_only && !fetch.names_uid {
            // It stands in front of each response already.
            items.retain(|item| **item != Item::Uid);
        }
        items.extend(modseq.then_some(&Item::ModSeq));
        for (number, entry) in messages {
            let now = latest.and_then(|latest| latest.get(entry.uid)).unwrap_or(&entry);
            let text = out.buffer();
            response::fetch(number, now.uid.get(), self.enabled.uid_only, text);
            let mut rest = items.as_slice();
            while let Some((item, after)) = rest.split_first() {
                self.simple_item(item, now, text);
                if !after.is_empty() {
                    text.push(b' ');
                }
                rest = after;
            }
            text.extend_from_slice(b")\r\n");
            if text.len() >= OUTPUT_CHUNK_OCTETS && out.relieve().await.is_err() {
                break;
            }
        }
        ok("FETCH completed")
    }

    pub(super) fn simple_item(&self, item: &Item, entry: &Entry, out: &mut Vec<u8>) {
        match item {
            Item::Flags => {
                out.extend_from_slice(b"FLAGS ");
                if let Some(view) = &self.view {
                    let recent = view.is_recent(entry.uid) && !self.enabled.rev2;
                    response::flags(&view.told.keywords, entry.flags, recent, out);
                }
            }
            Item::Uid => {
                out.extend_from_slice(b"UID ");
                response::number(u64::from(entry.uid.get()), out);
            }
            Item::InternalDate => {
                out.extend_from_slice(b"INTERNALDATE ");
                response::date_time(entry.date, out);
            }
            Item::Rfc822Size => {
                out.extend_from_slice(b"RFC822.SIZE ");
                response::number(u64::from(entry.size), out);
            }
            Item::EmailId => {
                out.extend_from_slice(format!("EMAILID ({})", email_id(entry.content)).as_bytes());
            }
            Item::SaveDate => {
                out.extend_from_slice(b"SAVEDATE ");
                response::date_time(i64::from(entry.saved), out);
            }
            Item::ModSeq => {
                out.extend_from_slice(b"MODSEQ (");
                response::number(entry.modseq.0, out);
                out.push(b')');
            }
            _ => {}
        }
    }
}
