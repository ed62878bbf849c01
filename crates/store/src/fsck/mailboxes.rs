//! The mailboxes: every message can be read, every counter is right, what was lost is put back.

use super::Check;
use crate::error::Result;
use crate::mailbox::{append, count};
use crate::packed::{decode_entries, decode_uids};
use crate::record::Place;
use crate::recover::look_through;
use crate::rows::{AccountRow, MailboxRow};
use mail::{
    AccountId, Address, ContentId, Domain, Entry, FlagBits, MailboxId, MailboxName, ModSeq, Uid,
    UidValidity,
};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

/// What a mailbox is found to hold.
#[derive(Default)]
struct Found {
    entries: Vec<Entry>,
    /// Messages whose bytes cannot be read.
    damaged: Vec<Uid>,
    /// Pages of it were lost.
    lost: bool,
}

impl Check<'_> {
    pub(super) fn check_mailboxes(&mut self) -> Result<()> {
        let places = self.places();
        let mut rows = self.unit.rows().every_mailbox()?;
        let known: BTreeSet<MailboxId> = rows.iter().map(|row| row.id).collect();
        let with_pages = self.unit.rows().mailboxes_with_pages()?;
        let in_records = places.keys().filter(|_| self.salvaged).copied();
        let missing: BTreeSet<MailboxId> =
            with_pages.into_iter().chain(in_records).filter(|id| !known.contains(id)).collect();
        for id in missing {
            let first = places.get(&id).and_then(|all| all.first());
            rows.push(
                self.make_mailbox(id, first.map_or(AccountId(1), |(place, _)| place.account))?,
            );
        }
        self.make_accounts(&rows)?;
        for row in rows {
            self.check_mailbox(row, &places)?;
        }
        Ok(())
    }

    /// Which messages the records say went to each mailbox.
    fn places(&self) -> BTreeMap<MailboxId, Vec<(Place, ContentId)>> {
        let mut places: BTreeMap<MailboxId, Vec<(Place, ContentId)>> = BTreeMap::new();
        for (id, records) in &self.scan.records {
            for place in records.last().map_or(&[][..], |record| &record.header.places) {
                places.entry(place.mailbox).or_default().push((place.clone(), *id));
            }
        }
        places
    }

    /// A mailbox whose row is lost. Its name is lost with it.
    fn make_mailbox(&mut self, id: MailboxId, account: AccountId) -> Result<MailboxRow> {
        self.problem(format!("mailbox {id}: its row is lost; it is called Recovered-{id} now"));
        let name = MailboxName::new(&format!("Recovered-{id}"));
        let name = name.unwrap_or_else(|_| MailboxName::inbox());
        let row = MailboxRow::new(id, account, name, UidValidity(NonZeroU32::MIN));
        self.unit.put_mailbox(&row)?;
        self.unit.write_outside().put_subscription(account, &row.name)?;
        Ok(row)
    }

    /// Accounts that have mailboxes but no row. Nobody can log in until a password is set.
    fn make_accounts(&mut self, rows: &[MailboxRow]) -> Result<()> {
        let known: BTreeSet<AccountId> =
            self.unit.rows().accounts()?.iter().map(|row| row.id).collect();
        let owners: BTreeSet<AccountId> = rows.iter().map(|row| row.account).collect();
        for id in owners.difference(&known) {
            let domain = self.unit.rows().domains()?.into_iter().next().map(|row| row.domain);
            let Some(domain) = domain.or_else(|| Domain::parse("recovered.invalid").ok()) else {
                continue;
            };
            let Ok(address) = Address::new(&format!("recovered-{id}"), domain) else { continue };
            self.problem(format!("account {id}: its row is lost; it is {address} now"));
            let created = self.now;
            let row =
                AccountRow { id: *id, address, secret: "!".to_owned(), disabled: true, created };
            self.unit.write_outside().put_account(&row)?;
        }
        Ok(())
    }

    fn check_mailbox(
        &mut self,
        before: MailboxRow,
        places: &BTreeMap<MailboxId, Vec<(Place, ContentId)>>,
    ) -> Result<()> {
        let mut row = before.clone();
        let mut found = self.read_pages(&row)?;
        if !found.damaged.is_empty() {
            self.report.damaged += found.damaged.len() as u64;
            self.problem(format!(
                "mailbox {}: {} messages are damaged and taken out",
                row.name,
                found.damaged.len()
            ));
            self.unit.entries(row.id, Uid::FIRST, Uid::MAX)?;
            self.unit.remove_entries(row.id, &found.damaged)?;
            row.modseq = ModSeq(row.modseq.0 + 1);
            let uids = crate::packed::encode_uids(&found.damaged);
            self.unit.write_outside().put_expunged(row.id, row.modseq, &uids)?;
        }
        if found.lost || self.salvaged {
            let all = places.get(&row.id).map(Vec::as_slice).unwrap_or_default();
            let put_back = self.put_back(&mut row, all, &mut found.entries)?;
            if found.lost || put_back > 0 || row.uidvalidity.0 == NonZeroU32::MIN {
                self.report.put_back += put_back;
                self.new_validity(&mut row, put_back)?;
            }
        }
        self.recount(&mut row, &found.entries);
        if row != before {
            if !self.salvaged && found.damaged.is_empty() && !found.lost {
                self.problem(format!("mailbox {}: its counters were wrong", row.name));
            }
            self.unit.put_mailbox(&row)?;
        }
        self.report.messages += found.entries.len() as u64;
        Ok(())
    }

    /// The messages of a mailbox, page by page.
    fn read_pages(&mut self, row: &MailboxRow) -> Result<Found> {
        let mut pages: Vec<(Uid, Option<Vec<Entry>>)> = Vec::new();
        self.unit.rows().pages(row.id, Uid::FIRST, Uid::MAX, &mut |first, page| {
            let mut entries = Vec::new();
            let read = decode_entries(page, |entry| entries.push(entry));
            pages.push((first, read.is_ok().then_some(entries)));
            Ok(())
        })?;
        let mut found = Found::default();
        for (first, entries) in pages {
            let Some(entries) = entries else {
                self.problem(format!("mailbox {}: a page at UID {first} is lost", row.name));
                self.unit.remove_page(row.id, first);
                found.lost = true;
                continue;
            };
            for entry in entries {
                if self.contents.contains_key(&entry.content) {
                    *self.holders.entry(entry.content).or_default() += 1;
                    found.entries.push(entry);
                } else {
                    found.damaged.push(entry.uid);
                }
            }
        }
        Ok(found)
    }

    /// Puts back what the records know of and the rows do not, unless it was expunged.
    fn put_back(
        &mut self,
        row: &mut MailboxRow,
        places: &[(Place, ContentId)],
        entries: &mut Vec<Entry>,
    ) -> Result<u64> {
        let mut gone = Vec::new();
        for page in self.unit.rows().expunged(row.id, ModSeq(0))? {
            gone.extend(decode_uids(&page).unwrap_or_default());
        }
        let have: BTreeSet<Uid> = entries.iter().map(|entry| entry.uid).collect();
        let mut put_back = 0;
        for (place, id) in places {
            let expunged = gone.iter().any(|(from, to)| (*from..=*to).contains(&place.uid));
            // With whole rows, a content without a row was released: its message is gone.
            let dead = !self.salvaged && !self.contents.contains_key(id);
            if expunged || dead || have.contains(&place.uid) {
                continue;
            }
            let Some(record) = self.scan.records.get(id).and_then(|all| all.last()) else {
                continue;
            };
            let (content, date, saved) = (record.row, record.header.date, record.header.saved);
            let flags = append::bits(row, &place.flags).unwrap_or_default();
            let looked = look_through(self.segments, &content);
            let flags = looked.map_or(flags, |(_, found)| flags.with(found));
            let size = u32::try_from(content.len).unwrap_or(u32::MAX);
            let Place { uid, modseq, .. } = *place;
            let entry = Entry { uid, size, flags, modseq, date, saved, content: *id };
            self.unit.put_entry(row.id, &entry)?;
            self.contents.entry(*id).or_insert(content);
            *self.holders.entry(*id).or_default() += 1;
            entries.push(entry);
            put_back += 1;
        }
        entries.sort_by_key(|entry| entry.uid);
        Ok(put_back)
    }

    /// Clients must forget what they know of this mailbox. RFC 9051 §2.3.1.1.
    fn new_validity(&mut self, row: &mut MailboxRow, put_back: u64) -> Result<()> {
        let last = self.unit.counter("uidvalidity")?;
        let now = self.now.clamp(1, i64::from(u32::MAX)) as u64;
        let next = now.max(last + 1).min(u64::from(u32::MAX));
        self.unit.put_counter("uidvalidity", next);
        row.uidvalidity = UidValidity(NonZeroU32::new(next as u32).unwrap_or(NonZeroU32::MIN));
        self.problem(format!(
            "mailbox {}: {put_back} messages are put back; its UIDVALIDITY is new",
            row.name
        ));
        Ok(())
    }

    fn recount(&mut self, row: &mut MailboxRow, entries: &[Entry]) {
        (row.exists, row.unseen, row.deleted, row.octets) = (0, 0, 0, 0);
        for entry in entries {
            count(row, entry.flags, entry.size, true);
            row.modseq = row.modseq.max(entry.modseq);
        }
        let next = entries.last().and_then(|entry| entry.uid.next());
        if let (Some(next), Some(uidnext)) = (next, row.uidnext) {
            row.uidnext = Some(uidnext.max(next));
        }
        let unknown = |entry: &Entry| entry.flags.0 >> FlagBits::KEYWORD_SHIFT != 0;
        if row.keywords.iter().next().is_none() && entries.iter().any(unknown) {
            self.report.problems.push(format!("mailbox {}: names of keywords are lost", row.name));
        }
    }
}
