//! The record of a delivery in a segment: everything that is needed to repeat it after a crash.
//!
//! `lead (32 octets) | header | body`. Each of the three has a CRC32C. Reading never trusts a
//! length before its checksum.

use crate::limits::RECORD_HEADER_OCTETS_MAX;
use crate::queue::{NewQueued, NewRecipient, of_origin, origin};
use crate::rows::{Notify, Ret};
use crate::terms::Terms;
use mail::{
    AccountId, Address, ContentId, Domain, Flag, Keyword, MailboxId, MessageId, ModSeq,
    ReversePath, Uid,
};

/// Octets of a record's lead.
pub const LEAD_OCTETS: usize = 32;
/// What every record begins with.
pub const MAGIC: [u8; 4] = *b"PRm3";

/// Who decides after a crash whether a record counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The record itself: it is repeated when its rows are missing.
    Replay,
    /// The rows, which are committed synced: a record without rows was never acknowledged.
    RowsDecide,
}

/// The lead of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// Who decides.
    pub kind: Kind,
    /// Octets of the header.
    pub header_len: u32,
    /// Octets of the body.
    pub body_len: u64,
    /// CRC32C of the header.
    pub header_crc: u32,
    /// CRC32C of the body.
    pub body_crc: u32,
}

impl Lead {
    /// The octets, with their own checksum at the end.
    pub fn encode(&self) -> [u8; LEAD_OCTETS] {
        let mut out = [0; LEAD_OCTETS];
        let kind = [if self.kind == Kind::Replay { 1u8 } else { 2 }, 0, 0, 0];
        let parts: [&[u8]; 6] = [
            &MAGIC,
            &kind,
            &self.header_len.to_le_bytes(),
            &self.body_len.to_le_bytes(),
            &self.header_crc.to_le_bytes(),
            &self.body_crc.to_le_bytes(),
        ];
        let mut at = 0;
        for part in parts {
            for byte in part {
                out[at] = *byte;
                at += 1;
            }
        }
        let crc = crc32c::crc32c(&out[..at]);
        out[at..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a lead; `None` when these octets are none.
    pub fn decode(octets: &[u8; LEAD_OCTETS]) -> Option<Lead> {
        let mut from = Reader(octets);
        let magic = from.take(4)?;
        let kind = match from.take(4)? {
            [1, 0, 0, 0] => Kind::Replay,
            [2, 0, 0, 0] => Kind::RowsDecide,
            _ => return None,
        };
        let header_len = from.u32()?;
        let body_len = from.u64()?;
        let (header_crc, body_crc) = (from.u32()?, from.u32()?);
        let fine = magic == MAGIC
            && from.u32()? == crc32c::crc32c(octets.get(..LEAD_OCTETS - 4)?)
            && header_len as usize <= RECORD_HEADER_OCTETS_MAX;
        fine.then_some(Lead { kind, header_len, body_len, header_crc, body_crc })
    }
}

/// The header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Our name for the message.
    pub message: MessageId,
    /// The content's number.
    pub content: ContentId,
    /// INTERNALDATE.
    pub date: i64,
    /// When it came into the mailboxes, seconds since 1970.
    pub saved: u32,
    /// The mailboxes it went to.
    pub places: Vec<Place>,
    /// Its queue entry.
    pub queue: Option<NewQueued>,
    /// The first entry of its journey.
    pub journey: Vec<u8>,
}

/// One mailbox a message went to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Whose it was.
    pub account: AccountId,
    /// UID there.
    pub uid: Uid,
    /// MODSEQ there.
    pub modseq: ModSeq,
    /// Flags, by name.
    pub flags: Vec<Flag>,
}

impl Header {
    /// The octets.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(128 + self.journey.len()));
        out.u64(self.message.as_u64());
        out.u64(self.content.0);
        out.u64(self.date as u64);
        out.u32(self.saved);
        out.u32(self.places.len() as u32);
        for place in &self.places {
            out.u32(place.mailbox.0);
            out.u32(place.account.0);
            out.u32(place.uid.get());
            out.u64(place.modseq.0);
            let names: Vec<&str> = place.flags.iter().map(Flag::name).collect();
            out.text(&names.join(" "));
        }
        out.u32(u32::from(self.queue.is_some()));
        if let Some(queue) = &self.queue {
            out.queue(queue);
        }
        out.bytes(&self.journey);
        out.0
    }

    /// Reads a header; `None` when it is damaged.
    pub fn decode(octets: &[u8]) -> Option<Header> {
        let mut from = Reader(octets);
        let message = MessageId::from_u64(from.u64()?);
        let content = ContentId(from.u64()?);
        let date = from.u64()? as i64;
        let saved = from.u32()?;
        let count = from.u32()?;
        let places = (0..count).map(|_| from.place()).collect::<Option<Vec<Place>>>()?;
        let queue = if from.u32()? == 1 { Some(from.queue()?) } else { None };
        let journey = from.bytes()?.to_vec();
        Some(Header { message, content, date, saved, places, queue, journey })
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn u32(&mut self, n: u32) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }
    fn u64(&mut self, n: u64) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }
    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
    fn maybe(&mut self, text: Option<&str>) {
        self.u32(u32::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }
    fn queue(&mut self, queue: &NewQueued) {
        self.text(&queue.sender.to_string());
        self.u32(match queue.ret {
            None => 0,
            Some(Ret::Full) => 1,
            Some(Ret::Headers) => 2,
        });
        self.maybe(queue.envid.as_deref());
        let terms = queue.terms.pack();
        let plain = terms == i64::from(queue.terms.body8);
        let hold = queue.terms.pack_hold();
        let bits = [queue.terms.body8, queue.smtputf8, !plain, hold != 0];
        self.u32((0..).zip(bits).map(|(n, on)| u32::from(on) << n).sum());
        if !plain {
            self.u64(terms as u64);
        }
        if hold != 0 {
            self.u64(hold as u64);
        }
        self.u32(queue.skip);
        self.u64(queue.arrived as u64);
        self.u64(queue.expires as u64);
        self.u64(queue.submitted_by.map_or(u64::MAX, |id| u64::from(id.0)));
        self.u32(queue.recipients.len() as u32);
        for recipient in &queue.recipients {
            self.text(&recipient.address.to_string());
            self.text(recipient.domain.as_str());
            self.u32(u32::from(recipient.notify.0));
            let origin = origin(recipient.orcpt.as_deref(), recipient.named.as_ref());
            self.maybe(origin.as_deref());
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        self.take(len)
    }
    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
    fn maybe(&mut self) -> Option<Option<String>> {
        let some = self.u32()? == 1;
        let text = self.text()?;
        Some(some.then(|| text.to_owned()))
    }
    fn place(&mut self) -> Option<Place> {
        let mailbox = MailboxId(self.u32()?);
        let account = AccountId(self.u32()?);
        let uid = Uid::new(self.u32()?)?;
        let modseq = ModSeq(self.u64()?);
        let flag =
            |name: &str| Flag::system(name).or_else(|| Keyword::new(name).map(Flag::Keyword));
        let flags = self.text()?.split(' ').filter_map(flag).collect();
        Some(Place { mailbox, account, uid, modseq, flags })
    }
    fn recipient(&mut self) -> Option<NewRecipient> {
        let address = Address::parse(self.text()?).ok()?;
        let domain = Domain::parse(self.text()?).ok()?;
        let notify = Notify(self.u32()? as u8);
        let (orcpt, named) = of_origin(self.maybe()?);
        Some(NewRecipient { address, domain, notify, orcpt, named })
    }
    fn queue(&mut self) -> Option<NewQueued> {
        let sender = self.text()?;
        let sender = match sender {
            "" => ReversePath::Null,
            text => ReversePath::Address(Address::parse(text).ok()?),
        };
        let ret = match self.u32()? {
            0 => None,
            1 => Some(Ret::Full),
            _ => Some(Ret::Headers),
        };
        let envid = self.maybe()?;
        let bits = self.u32()?;
        // Bits 2 and 3: more terms follow. Records of before have none.
        let packed = if bits & 4 != 0 { self.u64()? as i64 } else { i64::from(bits & 1) };
        let hold = if bits & 8 != 0 { self.u64()? as i64 } else { 0 };
        let skip = self.u32()?;
        let (arrived, expires) = (self.u64()? as i64, self.u64()? as i64);
        let submitted_by = u32::try_from(self.u64()?).ok().map(AccountId);
        let count = self.u32()?;
        let recipients = (0..count).map(|_| self.recipient()).collect::<Option<Vec<_>>>()?;
        Some(NewQueued {
            sender,
            recipients,
            ret,
            envid,
            terms: Terms::unpack(packed).with_hold(hold),
            smtputf8: bits & 2 != 0,
            skip,
            arrived,
            expires,
            submitted_by,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::Hold;

    fn header() -> Header {
        let keyword = Flag::Keyword(Keyword::new("$Junk").unwrap());
        Header {
            message: MessageId::new(1_700_000_000_000, 5),
            content: ContentId(7),
            date: -3,
            saved: 3,
            places: vec![Place {
                mailbox: MailboxId(3),
                account: AccountId(4),
                uid: Uid::new(9).unwrap(),
                modseq: ModSeq(11),
                flags: vec![Flag::Seen, keyword],
            }],
            queue: Some(NewQueued {
                sender: ReversePath::Null,
                recipients: vec![NewRecipient {
                    address: Address::parse("\"a b\"@x.test").unwrap(),
                    domain: Domain::parse("x.test").unwrap(),
                    notify: Notify::FAILURE.with(Notify::DELAY),
                    orcpt: Some("rfc822;a".to_owned()),
                    named: Address::parse("\"b c\"@x.test").ok(),
                }],
                ret: Some(Ret::Headers),
                envid: None,
                terms: Terms {
                    body8: true,
                    priority: -3,
                    hold: Some(Hold { at: 1_900_000_000, until: false }),
                    ..Terms::default()
                },
                smtputf8: false,
                skip: 18,
                arrived: 1,
                expires: 2,
                submitted_by: Some(AccountId(0)),
            }),
            journey: b"{}".to_vec(),
        }
    }

    #[test]
    fn headers_round_trip_and_damage_is_seen() {
        let made = header();
        let octets = made.encode();
        assert_eq!(Header::decode(&octets), Some(made));
        for len in 0..octets.len() {
            assert_eq!(Header::decode(&octets[..len]), None);
        }
    }

    #[test]
    fn leads_round_trip_and_every_flipped_bit_is_seen() {
        let lead = Lead {
            kind: Kind::RowsDecide,
            header_len: 100,
            body_len: 1 << 40,
            header_crc: 1,
            body_crc: 2,
        };
        let octets = lead.encode();
        assert_eq!(Lead::decode(&octets), Some(lead));
        for bit in 0..LEAD_OCTETS * 8 {
            let mut damaged = octets;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Lead::decode(&damaged), None);
        }
    }
}
