//! Unique ids that messages had at another server, for POP3 clients that know them. RFC 1939 §7.

use crate::error::{Result, StoreError};
use crate::open::Store;
use crate::rows::{Holder, MailboxRow};
use mail::{MailboxId, Uid};
use std::collections::HashMap;

/// What the one property of this kind is called.
const NAME: &str = "";

/// UIDVALIDITY, then UID, length and text of each: without the same UIDVALIDITY they mean nothing.
fn encode(uidvalidity: u32, ids: &HashMap<Uid, String>) -> Vec<u8> {
    let mut sorted: Vec<(&Uid, &String)> = ids.iter().collect();
    sorted.sort_unstable();
    let mut out = uidvalidity.to_le_bytes().to_vec();
    for (uid, id) in sorted {
        out.extend_from_slice(&uid.get().to_le_bytes());
        out.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(id.as_bytes());
    }
    out
}

fn decode(uidvalidity: u32, octets: &[u8]) -> HashMap<Uid, String> {
    let mut found = HashMap::new();
    let Some((validity, mut rest)) = octets.split_first_chunk::<4>() else { return found };
    if u32::from_le_bytes(*validity) != uidvalidity {
        return found;
    }
    while let Some((uid, after)) = rest.split_first_chunk::<4>() {
        let Some((len, after)) = after.split_first() else { break };
        let Some((id, after)) = after.split_at_checked(usize::from(*len)) else { break };
        if let (Some(uid), Ok(id)) = (Uid::new(u32::from_le_bytes(*uid)), std::str::from_utf8(id)) {
            found.insert(uid, id.to_owned());
        }
        rest = after;
    }
    found
}

impl Store {
    /// The unique ids that messages of a mailbox had elsewhere; most mailboxes have none.
    pub fn unique_ids(&self, mailbox: &MailboxRow) -> Result<HashMap<Uid, String>> {
        let holder = Holder::UniqueIds(mailbox.id);
        let octets = self.look(|txn| txn.property(holder, NAME))?.unwrap_or_default();
        Ok(decode(mailbox.uidvalidity.0.get(), &octets))
    }

    /// Sets them, in place of those that were there. Each has 255 octets at most.
    pub async fn set_unique_ids(
        &self,
        mailbox: MailboxId,
        ids: HashMap<Uid, String>,
    ) -> Result<()> {
        self.write(move |w| {
            let row = w.unit.rows().mailbox(mailbox)?.ok_or(StoreError::NoSuchMailbox)?;
            let octets = encode(row.uidvalidity.0.get(), &ids);
            w.unit.write()?.put_property(Holder::UniqueIds(mailbox), NAME, &octets)
        })
        .await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_under_their_uidvalidity() {
        let uid = |n| Uid::new(n).unwrap();
        let ids = HashMap::from([(uid(1), "a".to_owned()), (uid(70_000), "x".repeat(70))]);
        let octets = encode(7, &ids);
        assert_eq!(decode(7, &octets), ids);
        assert!(decode(8, &octets).is_empty() && decode(7, b"").is_empty());
        for len in 0..octets.len() {
            assert!(decode(7, &octets[..len]).len() < 2);
        }
    }
}
