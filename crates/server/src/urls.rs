//! IMAP URLs resolved: for URLFETCH and CATENATE, and for BURL. RFC 5092, RFC 4467 §6,
//! RFC 4468 §3.3.
//!
//! Invariant: a URL gives what its user may read now, and only to those whom its access identifier
//! names; a mailbox that is not there takes as long to refuse as a token that is wrong.

use crate::Shared;
use crate::imap::fetch::{chosen_fields, cut, octets_of, summary};
use ::store::{Actor, ContentRow, Reading, StoreError, Visible};
use directory::ticket;
use mail::mime::Part;
use mail::{MailboxName, Rights, Uid};
use protocol::imap::command::{Section, SectionText};
use protocol::imap::url::{self, Access, Ticket, Url};

/// Octets of a message that are read at once.
const PIECE: u64 = 256 * 1024;

/// Who resolves a URL.
#[derive(Clone, Copy)]
pub enum Redeemer<'a> {
    /// A session of that user puts a message together: without a token it reads what it may anyway.
    /// RFC 4469 §3. A URL that names no mailbox is about the selected one.
    Catenate(&'a Actor, Option<&'a MailboxName>),
    /// A session of that user: nothing without a token. RFC 4467 §7.
    Fetch(&'a Actor),
    /// The submission server on behalf of that user. Without a token it reads what they may.
    /// RFC 4468 §3.3.
    Submission(&'a Actor),
}

/// What a URL names: a message and some of its octets.
pub struct Opened {
    /// Where its octets are.
    pub row: ContentRow,
    /// Its parts.
    pub root: Part,
    /// What of it.
    pub section: Section,
    /// How many octets there are.
    pub octets: u64,
    left: Left,
}

/// Octets that were not read yet.
enum Left {
    /// Some of the message.
    Stored(Reading),
    /// Chosen fields of a header.
    Made(Vec<u8>),
}

impl Opened {
    /// Appends the next octets, at most 256 KB of a message's; none at the end.
    pub fn next(&mut self, shared: &Shared, out: &mut Vec<u8>) -> Result<(), StoreError> {
        match &mut self.left {
            Left::Stored(reading) => reading.next(&shared.store, PIECE, out).map(drop),
            Left::Made(octets) => {
                out.append(octets);
                Ok(())
            }
        }
    }
}

impl Shared {
    /// What a URL names, for `who`; `None` when that is nothing of ours, or not theirs to read.
    pub async fn open_url(
        &self,
        text: &str,
        who: Redeemer<'_>,
    ) -> Result<Option<Opened>, StoreError> {
        let Some(url) = url::url(text) else { return Ok(None) };
        if !self.is_host_ours(url.host.as_deref())? {
            return Ok(None);
        }
        let found = match (&url.ticket, who) {
            (Some(ticket), _) => self.redeem(text, &url, ticket, who)?,
            (None, Redeemer::Fetch(_)) => None,
            (None, Redeemer::Catenate(actor, base)) if url.mailbox.is_empty() => match base {
                Some(name) => self.readable(actor, name.as_str())?,
                None => None,
            },
            (None, Redeemer::Catenate(actor, _) | Redeemer::Submission(actor)) => {
                match self.is_user(url.user.as_deref(), actor)? {
                    true => self.readable(actor, &url.mailbox)?,
                    false => None,
                }
            }
        };
        let Some(found) = found else { return Ok(None) };
        self.open_message(&found, url).await
    }

    /// The name of this server, of a domain that it serves, or below one.
    pub fn is_host_ours(&self, host: Option<&str>) -> Result<bool, StoreError> {
        let Some(host) = host else { return Ok(true) };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if host.eq_ignore_ascii_case(self.settings.hostname.as_str()) {
            return Ok(true);
        }
        let below = |domain: &str| {
            let prefix = host.strip_suffix(domain);
            prefix.is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        };
        Ok(self.store.domains()?.iter().any(|row| below(&row.domain.as_str().to_ascii_lowercase())))
    }

    fn is_user(&self, name: Option<&str>, actor: &Actor) -> Result<bool, StoreError> {
        let Some(name) = name else { return Ok(true) };
        let row = self.directory.account_named(name)?;
        Ok(row.is_some_and(|row| row.id == actor.account))
    }

    /// The mailbox of a URL, if `actor` may read it.
    fn readable(&self, actor: &Actor, mailbox: &str) -> Result<Option<Visible>, StoreError> {
        let Ok(name) = MailboxName::new(mailbox) else { return Ok(None) };
        let found = self.store.visible(actor, &name)?;
        Ok(found.filter(|found| found.rights.contains(Rights::READ)))
    }

    /// The mailbox that a token gives `who` something of. RFC 4467 §6: it is compared in any case,
    /// so that nobody learns from the time it takes what there is.
    fn redeem(
        &self,
        text: &str,
        url: &Url,
        ticket: &Ticket,
        who: Redeemer<'_>,
    ) -> Result<Option<Visible>, StoreError> {
        let owner = match &url.user {
            Some(user) => self.directory.account_named(user)?.filter(|row| !row.disabled),
            None => None,
        };
        let owner = owner.map(|row| Actor { account: row.id, address: row.address });
        let mut found = None;
        let mut key = vec![0; ticket::KEY_OCTETS];
        self.world.random.fill(&mut key);
        if let Some(owner) = &owner {
            found = self.readable(owner, &url.mailbox)?;
            if let Some(found) = &found {
                key = self.store.access_key(owner.account, found.row.id)?.unwrap_or(key);
            }
        }
        let rump = text.get(..ticket.rump).unwrap_or_default();
        let vouched = match &ticket.verifier {
            Some((mechanism, token)) => {
                ticket::vouches(&key, rump, token) && mechanism == url::INTERNAL
            }
            None => false,
        };
        let now = self.world.clock.unix_seconds();
        let in_time = ticket.expires.is_none_or(|expires| now <= expires);
        let fine = vouched && in_time && self.may_redeem(&ticket.access, who)?;
        Ok(found.filter(|_| fine))
    }

    /// RFC 4467 §3; `submit+` RFC 4468 §3.3.
    fn may_redeem(&self, access: &Access, who: Redeemer<'_>) -> Result<bool, StoreError> {
        match (access, who) {
            (Access::AuthUser | Access::Anonymous, _) => Ok(true),
            (Access::User(name), Redeemer::Fetch(actor) | Redeemer::Catenate(actor, _))
            | (Access::Submit(name), Redeemer::Submission(actor)) => {
                self.is_user(Some(name), actor)
            }
            (Access::User(_) | Access::Submit(_), _) => Ok(false),
        }
    }

    async fn open_message(&self, found: &Visible, url: Url) -> Result<Option<Opened>, StoreError> {
        let validity = found.row.uidvalidity.0.get();
        if url.uidvalidity.is_some_and(|other| other != validity) {
            return Ok(None);
        }
        let listing = self.store.select(found.row.id).await?.listing;
        let entry = Uid::new(url.uid).and_then(|uid| listing.get(uid)).copied();
        let Some(entry) = entry else { return Ok(None) };
        let row = self.store.kept(&[entry.content], true, false)?.rows.pop().flatten();
        let Some(row) = row else { return Ok(None) };
        let root = summary(&self.store, &entry)?.root;
        let section = url.section;
        let Some(range) = octets_of(&section, u64::from(entry.size), &root) else {
            return Ok(None);
        };
        let (octets, left) = match &section.text {
            SectionText::HeaderFields(names, not) => {
                let (mut header, octets) = (Vec::new(), range.end.saturating_sub(range.start));
                self.store.reading(&row, range).await?.next(&self.store, octets, &mut header)?;
                let chosen = chosen_fields(&header, names, *not);
                let (from, to) = cut(&(0..chosen.len() as u64), section.partial);
                let chosen = chosen.get(from as usize..to as usize).unwrap_or_default().to_vec();
                (to - from, Left::Made(chosen))
            }
            _ => {
                let (from, to) = cut(&range, section.partial);
                (to - from, Left::Stored(self.store.reading(&row, from..to).await?))
            }
        };
        Ok(Some(Opened { row, root, section, octets, left }))
    }
}
