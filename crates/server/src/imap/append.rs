//! APPEND. RFC 3501 §6.3.11, APPENDUID of RFC 4315 §3. The message streams into the spool.

use super::{Context, Done};
use crate::drive::Output;
use ::store::{Delivery, Placement, Spool, StoreError};
use mail::summary::Parser;
use mail::{MailboxId, MessageId};
use protocol::imap::command::Append;
use protocol::imap::session::Answer;

/// A message on its way in.
pub struct Appending {
    spool: Spool,
    parser: Parser,
    mailbox: MailboxId,
    append: Append,
    failed: Option<StoreError>,
}

impl Appending {
    /// More octets of it.
    pub fn write(&mut self, octets: &[u8]) {
        if self.failed.is_none() {
            self.parser.feed(octets);
            self.failed = self.spool.write(octets).err();
        }
    }
}

impl Context {
    pub(super) async fn append_begin(&mut self, append: Append, _: u64) -> Done {
        let row = match self.row(&append.mailbox) {
            Ok(row) => row,
            Err(StoreError::NoSuchMailbox) => {
                return Ok(Answer::No("[TRYCREATE] There is no such mailbox".to_owned()));
            }
            Err(error) => return Err(error),
        };
        self.appending = Some(Appending {
            spool: self.shared.store.spool(),
            parser: Parser::new(),
            mailbox: row.id,
            append,
            failed: None,
        });
        Ok(Answer::Go(Vec::new()))
    }

    pub(super) async fn append_end(&mut self, out: &mut Output<'_>) -> Done {
        let Some(appending) = self.appending.take() else {
            return Ok(Answer::No("No message came".to_owned()));
        };
        if let Some(error) = appending.failed {
            return Err(error);
        }
        if appending.spool.is_empty() {
            return Ok(Answer::No("The message is empty".to_owned()));
        }
        let world = &self.shared.world;
        let now = world.clock.unix_seconds();
        let delivery = Delivery {
            message: MessageId::new(world.clock.unix_millis() as u64, world.random.u32()),
            content: appending.spool.seal()?,
            summary: appending.parser.finish().encode(),
            date: appending.append.date.unwrap_or(now),
            placements: vec![Placement {
                mailbox: appending.mailbox,
                flags: appending.append.flags,
            }],
            queue: None,
            journey: Vec::new(),
        };
        let delivered = self.shared.store.deliver(delivery).await?;
        self.sync(out.buffer());
        let place = delivered.places.first();
        let code =
            place.map_or(String::new(), |p| format!("[APPENDUID {} {}] ", p.uidvalidity, p.uid));
        Ok(Answer::Ok(format!("{code}APPEND completed")))
    }
}
