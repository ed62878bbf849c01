//! METADATA (RFC 5464) and QUOTA (RFC 9208).

use super::{Context, Done, ok};
use crate::drive::Output;
use ::store::{Holder, Resource, StoreError, Visible};
use mail::{AccountId, Rights};
use protocol::imap::command::{GetMetadata, Name, SetMetadata, search};
use protocol::imap::response;
use protocol::imap::session::Answer;

/// Octets of one annotation.
const VALUE_OCTETS_MAX: usize = 64 * 1024;
/// Above the filters of SEARCH. RFC 5466 §3.2.
pub(super) const FILTERS: &str = "/private/filters/values/";
/// Beside `l`, one of these is wanted to see annotations, or to set one's own. RFC 5464 §3.3.
pub(super) const ANNOTATES: Rights =
    Rights::READ.with(Rights::SEEN).with(Rights::WRITE).with(Rights::INSERT).with(Rights::POST);

impl Context {
    /// What an annotation belongs to, and what the client calls it; the empty name is the server.
    fn holder(
        &self,
        mailbox: Option<&Name>,
        needed: Rights,
    ) -> Result<(Holder, String), StoreError> {
        match mailbox {
            None => Ok((Holder::Account(self.actor()?.account), String::new())),
            Some(name) => {
                let found = self.mailbox(name, needed)?;
                if !found.rights.intersects(ANNOTATES) {
                    return Err(StoreError::NotPermitted);
                }
                Ok((Holder::Mailbox(found.row.id), found.name.as_str().to_owned()))
            }
        }
    }

    /// GETMETADATA. RFC 5464 §4.2.
    pub(super) fn get_metadata(&mut self, get: &GetMetadata, out: &mut Output<'_>) -> Done {
        let (of, name) = self.holder(get.mailbox.as_ref(), Rights::LOOKUP)?;
        let who = self.actor()?.account;
        let asked =
            |name: &String| get.entries.iter().any(|entry| is_below(name, entry, get.depth));
        let mut found = self.shared.store.annotations(of, who)?;
        found.retain(|(name, _)| asked(name));
        let size = |value: &Vec<u8>| value.len() as u64;
        let most = get.size_max.unwrap_or(u64::MAX);
        let longest = found.iter().map(|(_, value)| size(value)).filter(|n| *n > most).max();
        let asked = if get.depth == Some(0) { get.entries.as_slice() } else { &[] };
        let absent = absent(asked, &found);
        found.retain(|(_, value)| size(value) <= most);
        self.metadata(&name, &found, &absent, out.buffer());
        Ok(match longest {
            Some(n) => Answer::Ok(format!("[METADATA LONGENTRIES {n}] GETMETADATA completed")),
            None => ok("GETMETADATA completed"),
        })
    }

    /// `* METADATA name (…)`, when there is something to tell; the value of an entry that is not
    /// there is NIL.
    pub(super) fn metadata(
        &self,
        name: &str,
        found: &[(String, Vec<u8>)],
        absent: &[&String],
        out: &mut Vec<u8>,
    ) {
        if found.is_empty() && absent.is_empty() {
            return;
        }
        out.extend_from_slice(b"* METADATA ");
        response::mailbox(name, self.enabled.charset(), out);
        out.extend_from_slice(b" (");
        let there = found.iter().map(|(entry, value)| (entry, Some(value)));
        let each = there.chain(absent.iter().map(|entry| (*entry, None)));
        for (n, (entry, value)) in each.enumerate() {
            if n > 0 {
                out.push(b' ');
            }
            response::astring(entry.as_bytes(), out);
            out.push(b' ');
            match value {
                Some(value) => {
                    // A literal8: the value has a NUL.
                    out.extend_from_slice(if value.contains(&0) { b"~" } else { b"" });
                    response::string(value, out);
                }
                None => out.extend_from_slice(b"NIL"),
            }
        }
        out.extend_from_slice(b")\r\n");
    }

    /// SETMETADATA. RFC 5464 §4.3.
    pub(super) async fn set_metadata(&mut self, set: SetMetadata) -> Done {
        let shared = set.entries.iter().any(|(name, _)| name.starts_with("/shared"));
        let write = if shared { Rights::WRITE } else { Rights::NONE };
        let (of, _) = self.holder(set.mailbox.as_ref(), Rights::LOOKUP.with(write))?;
        if shared && set.mailbox.is_none() {
            return Ok(Answer::No("[NOPERM] Those are the operator's to set".to_owned()));
        }
        if set.entries.iter().any(|(_, v)| v.as_ref().is_some_and(|v| v.len() > VALUE_OCTETS_MAX)) {
            let text = format!("[METADATA MAXSIZE {VALUE_OCTETS_MAX}] That is too long");
            return Ok(Answer::No(text));
        }
        if set.mailbox.is_none() && !set.entries.iter().all(is_filter_or_other) {
            return Ok(Answer::No("[CANNOT] That is no search".to_owned()));
        }
        let who = self.actor()?.account;
        match self.shared.store.annotate(of, who, set.entries).await? {
            true => Ok(ok("SETMETADATA completed")),
            false => Ok(Answer::No("[METADATA TOOMANY] There are too many".to_owned())),
        }
    }

    /// GETQUOTAROOT: a mailbox need not exist. RFC 9208 §4.1.2.
    pub(super) fn get_quota_root(&mut self, name: &Name, out: &mut Output<'_>) -> Done {
        let actor = self.actor()?;
        let (owner, _) = self.place(name)?;
        if owner != actor.account {
            self.mailbox(name, Rights::READ)?;
        }
        let shown = name.as_ref().map(|name| name.as_str()).unwrap_or_default();
        let text = out.buffer();
        text.extend_from_slice(b"* QUOTAROOT ");
        response::mailbox(shown, self.enabled.charset(), text);
        text.push(b' ');
        let root = self.quota_root(owner)?;
        response::string(root.as_bytes(), text);
        text.extend_from_slice(b"\r\n");
        self.quota(&root, owner, out.buffer())?;
        Ok(ok("GETQUOTAROOT completed"))
    }

    /// GETQUOTA. RFC 9208 §4.1.1.
    pub(super) fn get_quota(&mut self, root: &str, out: &mut Output<'_>) -> Done {
        let Some((root, account)) = self.root_seen(root)? else { return Ok(no_root()) };
        self.quota(&root, account, out.buffer())?;
        Ok(ok("GETQUOTA completed"))
    }

    /// SETQUOTA, for those whom the operator lets set limits. RFC 9208 §4.1.3.
    pub(super) async fn set_quota(
        &mut self,
        root: &str,
        limits: &[(String, u64)],
        out: &mut Output<'_>,
    ) -> Done {
        if !self.shared.store.is_quota_manager(self.actor()?.account)? {
            return Ok(Answer::No("[NOPERM] Limits are the operator's to set".to_owned()));
        }
        let Some((root, account)) = self.root_seen(root)? else { return Ok(no_root()) };
        let mut wanted = Vec::new();
        for (name, limit) in limits {
            let resource = Resource::ALL.into_iter().find(|resource| resource.name() == name);
            let Some(resource) = resource else {
                return Ok(Answer::No("[CANNOT] There is no such resource".to_owned()));
            };
            wanted.push((resource, limit.saturating_mul(resource.unit())));
        }
        self.shared.store.set_quotas(account, wanted).await?;
        self.quota(&root, account, out.buffer())?;
        Ok(ok("SETQUOTA completed"))
    }

    /// The quota root of that name, if the session may know of it: its own, that of mailboxes it
    /// may read, or any for whom may set limits.
    fn root_seen(&self, root: &str) -> Result<Option<(String, AccountId)>, StoreError> {
        let actor = self.actor()?;
        let own = self.quota_root(actor.account)?;
        if root.is_empty() || root == own {
            return Ok(Some((own, actor.account)));
        }
        let store = &self.shared.store;
        let Some(Ok(address)) = root.strip_prefix("#user/").map(mail::Address::parse) else {
            return Ok(None);
        };
        let Some(row) = store.lookup(&address)?.account else { return Ok(None) };
        let reads =
            |found: &Visible| found.row.account == row.id && found.rights.contains(Rights::READ);
        let seen =
            store.is_quota_manager(actor.account)? || store.shared_with(&actor)?.iter().any(reads);
        Ok(seen.then(|| (format!("#user/{}", row.address), row.id)))
    }

    fn quota_root(&self, account: AccountId) -> Result<String, StoreError> {
        let accounts = self.shared.store.accounts()?;
        let row = accounts.into_iter().find(|row| row.id == account);
        Ok(row.map_or(String::new(), |row| format!("#user/{}", row.address)))
    }

    /// `* QUOTA root (STORAGE 1 2)`; nothing between the parentheses when nothing is limited.
    fn quota(&self, root: &str, account: AccountId, out: &mut Vec<u8>) -> Result<(), StoreError> {
        let words: Vec<String> = self
            .shared
            .store
            .quota(account)?
            .into_iter()
            .map(|quota| {
                let unit = quota.resource.unit();
                let (used, limit) = (quota.used.div_ceil(unit), quota.limit / unit);
                format!("{} {used} {limit}", quota.resource.name())
            })
            .collect();
        out.extend_from_slice(b"* QUOTA ");
        response::string(root.as_bytes(), out);
        out.extend_from_slice(format!(" ({})\r\n", words.join(" ")).as_bytes());
        Ok(())
    }
}

/// What is to be a filter is a search. RFC 5466 §3.2.
fn is_filter_or_other((name, value): &(String, Option<Vec<u8>>)) -> bool {
    match value {
        Some(value) if name.starts_with(FILTERS) => search::filter(value).is_some(),
        _ => true,
    }
}

fn no_root() -> Answer {
    Answer::No("[NONEXISTENT] There is no such quota root".to_owned())
}

/// Those of the entries that were asked for, each once, that are not among what was found.
pub(super) fn absent<'a>(asked: &'a [String], found: &[(String, Vec<u8>)]) -> Vec<&'a String> {
    let is_found = |entry: &String| found.iter().any(|(name, _)| name == entry);
    let mut absent: Vec<&String> = asked.iter().filter(|entry| !is_found(entry)).collect();
    absent.sort_unstable();
    absent.dedup();
    absent
}

/// The entry is `asked` or at most so many levels below it. RFC 5464 §4.2.2.
pub(super) fn is_below(entry: &str, asked: &str, depth: Option<usize>) -> bool {
    let Some(rest) = entry.strip_prefix(asked) else { return false };
    let levels = rest.matches('/').count();
    rest.is_empty() || (rest.starts_with('/') && depth.is_none_or(|depth| levels <= depth))
}

#[cfg(test)]
mod tests {
    use super::is_below;

    #[test]
    fn depth_counts_levels() {
        assert!(is_below("/private/a", "/private/a", Some(0)));
        assert!(!is_below("/private/a/b", "/private/a", Some(0)));
        assert!(is_below("/private/a/b", "/private/a", Some(1)));
        assert!(!is_below("/private/a/b/c", "/private/a", Some(1)));
        assert!(is_below("/private/a/b/c", "/private/a", None));
        assert!(!is_below("/private/ab", "/private/a", None));
    }
}
