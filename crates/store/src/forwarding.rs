//! Keys that vouch for the envelope senders of mail that aliases send on, by the period that each
//! was made in.

use crate::error::Result;
use crate::open::Store;
use crate::rows::Holder;

/// The name of a period's row.
fn name(period: i64) -> String {
    period.to_string()
}

impl Store {
    /// The keys there are.
    pub fn forwarding_keys(&self) -> Result<Vec<Vec<u8>>> {
        let rows = self.look(|txn| txn.properties(Holder::ForwardingKeys))?;
        Ok(rows.into_iter().map(|(_, key)| key).collect())
    }

    /// The key of a period.
    pub fn forwarding_key(&self, period: i64) -> Result<Option<Vec<u8>>> {
        self.look(|txn| txn.property(Holder::ForwardingKeys, &name(period)))
    }

    /// Makes `fresh` the key of a period, unless it has one, and takes those away that are older
    /// than the period before; the key that is valid now.
    pub async fn make_forwarding_key(&self, period: i64, fresh: Vec<u8>) -> Result<Vec<u8>> {
        const OF: Holder = Holder::ForwardingKeys;
        self.write(move |w| {
            if let Some(key) = w.unit.rows().property(OF, &name(period))? {
                return Ok(key);
            }
            for (old, _) in w.unit.rows().properties(OF)? {
                if old != name(period - 1) {
                    w.unit.write()?.remove_property(OF, &old)?;
                }
            }
            w.unit.write()?.put_property(OF, &name(period), &fresh)?;
            Ok(fresh)
        })
        .await
    }
}
