//! URLs that others may redeem: RESETKEY, GENURLAUTH, URLFETCH. RFC 4467 §7, RFC 5524; what a URL
//! gives is decided in `crate::urls`.

use super::content::{Decoded, UNKNOWN_ENCODING};
use super::{Context, Done, ok};
use crate::drive::Output;
use crate::urls::{Opened, Redeemer};
use ::store::StoreError;
use directory::ticket;
use mail::mime::Part;
use mail::stored;
use mail::summary::Summary;
use mail::{MailboxId, MailboxName, Rights};
use protocol::imap::command::{Name, SectionText, UrlFetch, UrlItem};
use protocol::imap::response;
use protocol::imap::session::Answer;
use protocol::imap::url::{self, Url};

/// Why a URL gets no token.
const NO_ACCESS: &str = "A URL that ends with ;URLAUTH= and an access identifier is wanted";
const NO_OWNER: &str = "The URL has to name you and this server: imap://you@host/…";
const NO_MAILBOX: &str = "The URL names no mailbox that you may read";

impl Context {
    /// RESETKEY: the URLs given so far, of one mailbox or of all, are void.
    pub(super) async fn reset_key(&mut self, mailbox: Option<Name>, out: &mut Output<'_>) -> Done {
        let account = self.actor()?.account;
        let Some(name) = mailbox else {
            self.shared.store.remove_access_keys(account).await?;
            self.tell_mechanisms(out.buffer())?;
            return Ok(ok("All keys removed"));
        };
        let found = self.mailbox(&name, Rights::READ)?;
        let fresh = self.fresh_key();
        self.shared.store.make_access_key(account, found.row.id, fresh, false).await?;
        // The tagged response tells it.
        self.tell_mechanisms(&mut Vec::new())?;
        Ok(ok("[URLMECH INTERNAL] A new key"))
    }

    fn fresh_key(&self) -> Vec<u8> {
        let mut key = vec![0; ticket::KEY_OCTETS];
        self.shared.world.random.fill(&mut key);
        key
    }

    /// GENURLAUTH: all URLs get a token, or none.
    pub(super) async fn generate(
        &mut self,
        wanted: Vec<(String, String)>,
        out: &mut Output<'_>,
    ) -> Done {
        let account = self.actor()?.account;
        let mut made = Vec::new();
        for (text, _) in wanted {
            let Some(url) = url::url(&text) else { return Ok(Answer::Bad(NO_ACCESS.to_owned())) };
            let mailbox = match self.signable(&url)? {
                Ok(mailbox) => mailbox,
                Err(why) => return Ok(Answer::Bad(why.to_owned())),
            };
            let fresh = self.fresh_key();
            let key = self.shared.store.make_access_key(account, mailbox, fresh, true).await?;
            let token = ticket::token(&key, &text);
            made.push(format!("{text}:internal:{token}"));
        }
        // A key that was made for the first URL is no news.
        self.tell_mechanisms(&mut Vec::new())?;
        let text = out.buffer();
        text.extend_from_slice(b"* GENURLAUTH");
        for url in made {
            text.push(b' ');
            response::string(url.as_bytes(), text);
        }
        text.extend_from_slice(b"\r\n");
        Ok(ok("GENURLAUTH completed"))
    }

    /// The mailbox whose key is to vouch for a URL, or why none can.
    fn signable(&self, url: &Url) -> Result<Result<MailboxId, &'static str>, StoreError> {
        let actor = self.actor()?;
        if url.ticket.as_ref().is_none_or(|ticket| ticket.verifier.is_some()) {
            return Ok(Err(NO_ACCESS));
        }
        let (Some(user), Some(host)) = (&url.user, &url.host) else { return Ok(Err(NO_OWNER)) };
        let owner = self.shared.directory.account_named(user)?.map(|row| row.id);
        if owner != Some(actor.account) || !self.shared.is_host_ours(Some(host))? {
            return Ok(Err(NO_OWNER));
        }
        let name = MailboxName::new(&url.mailbox).map_err(|_| url.mailbox.clone());
        Ok(self.mailbox(&name, Rights::READ).map(|found| found.row.id).map_err(|_| NO_MAILBOX))
    }

    /// URLFETCH: NIL for whatever cannot be had, whyever that is.
    pub(super) async fn url_fetch(&mut self, wanted: Vec<UrlFetch>, out: &mut Output<'_>) -> Done {
        let actor = self.actor()?;
        out.buffer().extend_from_slice(b"* URLFETCH");
        for UrlFetch { url, items } in wanted {
            out.buffer().push(b' ');
            response::string(url.as_bytes(), out.buffer());
            let (start, sent) = (out.buffer().len(), out.sent());
            let whole = match self.shared.open_url(&url, Redeemer::Fetch(&actor)).await {
                Ok(Some(mut opened)) => self.give(&mut opened, &items, out).await,
                Ok(None) => Err(StoreError::NoSuchMailbox),
                Err(error) => Err(error),
            };
            match whole {
                Ok(true) => {}
                Err(_) if out.sent() == sent => {
                    out.buffer().truncate(start);
                    out.buffer().extend_from_slice(b" NIL");
                }
                // A promised literal cannot be taken back.
                Ok(false) | Err(_) => {
                    out.break_off().await;
                    return Ok(Answer::No("The connection is lost".to_owned()));
                }
            }
        }
        out.buffer().extend_from_slice(b"\r\n");
        Ok(ok("URLFETCH completed"))
    }

    /// What is wanted of a URL: its octets, or the items of RFC 5524 §3.2. `false` when the client
    /// is gone.
    async fn give(
        &self,
        opened: &mut Opened,
        items: &[UrlItem],
        out: &mut Output<'_>,
    ) -> Result<bool, StoreError> {
        if items.is_empty() {
            return self.octets(opened, out).await;
        }
        for item in items {
            let whole = match item {
                UrlItem::Body => {
                    out.buffer().extend_from_slice(b" (BODY");
                    self.octets(opened, out).await?
                }
                UrlItem::Binary => {
                    out.buffer().extend_from_slice(b" (BINARY");
                    self.url_binary(opened, out).await?
                }
                UrlItem::BodyPartStructure => {
                    out.buffer().extend_from_slice(b" (BODYPARTSTRUCTURE ");
                    self.part_structure(opened, out.buffer());
                    true
                }
            };
            if !whole {
                return Ok(false);
            }
            out.buffer().push(b')');
        }
        Ok(out.relieve().await.is_ok())
    }

    async fn octets(&self, opened: &mut Opened, out: &mut Output<'_>) -> Result<bool, StoreError> {
        response::literal(opened.octets, out.buffer());
        let mut at = 0;
        while at < opened.octets {
            let before = out.buffer().len();
            match opened.next(&self.shared, out.buffer()) {
                Ok(()) if out.buffer().len() == before => return Ok(false),
                Ok(()) => at += (out.buffer().len() - before) as u64,
                Err(error) if at == 0 => return Err(error),
                Err(_) => return Ok(false),
            }
            if out.relieve().await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Only a part has a transfer encoding. RFC 5524 §3.2: what cannot be decoded is NIL.
    async fn url_binary(
        &self,
        opened: &mut Opened,
        out: &mut Output<'_>,
    ) -> Result<bool, StoreError> {
        if !matches!(opened.section.text, SectionText::All) {
            return self.octets(opened, out).await;
        }
        let part = match opened.section.path.as_slice() {
            [] => None,
            path => opened.root.section(path),
        };
        match Decoded::of(&self.shared.store, &opened.row, part).await {
            Ok(decoded) => decoded.literal(opened.section.partial, out).await,
            Err(error) if error == UNKNOWN_ENCODING => {
                out.buffer().extend_from_slice(b" NIL");
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// The structure of the part that a URL names; NIL when it names a header or a text.
    fn part_structure(&self, opened: &Opened, out: &mut Vec<u8>) {
        let part: Option<&Part> = match opened.section.text {
            SectionText::All => opened.root.section(&opened.section.path),
            _ => None,
        };
        let stored = part.map(|part| Summary { root: part.clone(), ..Summary::default() }.encode());
        let start = out.len();
        let told = stored.as_deref().and_then(stored::structure).and_then(|mut reader| {
            response::structure(&mut reader, true, self.enabled.charset(), out)
        });
        if told.is_none() {
            out.truncate(start);
            out.extend_from_slice(b"NIL");
        }
    }

    /// Tells the mechanisms, when the user has another key for the selected mailbox than when that
    /// was told last, by whatever session it was changed. RFC 4467 §7.
    pub(super) fn tell_mechanisms(&mut self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        let store = &self.shared.store;
        let Some(view) = &mut self.view else { return Ok(()) };
        let changes = store.access_key_changes();
        if std::mem::replace(&mut view.key_changes, changes) == changes {
            return Ok(());
        }
        let Some(who) = &self.account else { return Ok(()) };
        let key = store.access_key(who.account, view.mailbox)?;
        if std::mem::replace(&mut view.key, key.clone()) != key {
            self.untagged("OK", "URLMECH INTERNAL", "How URLs are vouched for", out);
        }
        Ok(())
    }
}
