//! SEARCH. RFC 3501 §6.4.4, ESEARCH of RFC 4731. Numbers, flags, dates and sizes are answered from
//! the listing; headers and bodies are read only for messages that everything else lets through.

use super::view::View;
use super::{Context, Done, ok};
use crate::drive::Output;
use ::store::StoreError;
use mail::mime::text;
use mail::{Entry, header};
use protocol::imap::response;
use protocol::imap::search::{Key, Search};
use protocol::imap::session::Answer;

/// One message while it is looked at.
struct Candidate<'a> {
    number: u32,
    entry: &'a Entry,
    view: &'a View,
    content: Option<Vec<u8>>,
}

impl Context {
    pub(super) async fn search(&mut self, uid: bool, search: Search, out: &mut Output<'_>) -> Done {
        if !search.charset_known {
            return Ok(Answer::No("[BADCHARSET (UTF-8)] Only UTF-8 is known".to_owned()));
        }
        self.condstore |= mentions_modseq(&search.key);
        let Some(view) = &self.view else { return Ok(Answer::Bad("Not now".to_owned())) };
        let mut found = Vec::new();
        for (number, entry) in (1..).zip(view.told.iter()) {
            let mut candidate = Candidate { number, entry, view, content: None };
            match self.matches(&search.key, &mut candidate) {
                Ok(true) => found.push((if uid { entry.uid.get() } else { number }, entry.modseq)),
                Ok(false) | Err(StoreError::NotFound(_)) => {}
                Err(error) => {
                    tracing::warn!(uid = %entry.uid, %error, "SEARCH cannot read a message")
                }
            }
            if candidate.content.is_some() {
                // Reading is slow: let others have their turn.
                tokio::task::yield_now().await;
            }
        }
        let numbers: Vec<u32> = found.iter().map(|(n, _)| *n).collect();
        let highest = found.iter().map(|(_, modseq)| *modseq).max();
        let modseq = highest.filter(|_| mentions_modseq(&search.key));
        let mut line = String::from("*");
        match search.returns {
            None => {
                line.push_str(" SEARCH");
                numbers.iter().for_each(|n| line.push_str(&format!(" {n}")));
                if let Some(modseq) = modseq {
                    line.push_str(&format!(" (MODSEQ {modseq})"));
                }
            }
            Some(returns) => {
                // RFC 4731 §3.1: the response names the command it answers.
                line.push_str(&format!(" ESEARCH (TAG \"{}\")", search.tag));
                if uid {
                    line.push_str(" UID");
                }
                if let (true, Some(n)) = (returns.min, numbers.first()) {
                    line.push_str(&format!(" MIN {n}"));
                }
                if let (true, Some(n)) = (returns.max, numbers.last()) {
                    line.push_str(&format!(" MAX {n}"));
                }
                if returns.all && !numbers.is_empty() {
                    line.push_str(&format!(" ALL {}", response::set(&numbers)));
                }
                if returns.count {
                    line.push_str(&format!(" COUNT {}", numbers.len()));
                }
                if let Some(modseq) = modseq {
                    line.push_str(&format!(" MODSEQ {modseq}"));
                }
            }
        }
        out.buffer().extend_from_slice(line.as_bytes());
        out.buffer().extend_from_slice(b"\r\n");
        Ok(ok("SEARCH completed"))
    }

    fn matches(&self, key: &Key, c: &mut Candidate<'_>) -> Result<bool, StoreError> {
        Ok(match key {
            Key::All => true,
            Key::And(keys) => {
                // What is cheap first.
                for slow in [false, true] {
                    for key in keys.iter().filter(|key| reads(key) == slow) {
                        if !self.matches(key, c)? {
                            return Ok(false);
                        }
                    }
                }
                true
            }
            Key::Or(a, b) => self.matches(a, c)? || self.matches(b, c)?,
            Key::Not(key) => !self.matches(key, c)?,
            Key::Flag(flag) => {
                c.view.told.keywords.bit(flag).is_some_and(|bit| c.entry.flags.contains(bit))
            }
            Key::Recent => c.view.is_recent(c.entry.uid),
            Key::Sequence(set) => within(&set.ranges(c.view.told.len()), c.number),
            Key::Uid(set) => {
                let last = c.view.told.last().map_or(0, |entry| entry.uid.get());
                within(&set.ranges(last), c.entry.uid.get())
            }
            Key::Internal(from, to) => (*from..*to).contains(&c.entry.date),
            Key::Sent(from, to) => {
                let sent = self.summary(c.entry)?.sent;
                sent.is_some_and(|sent| (*from..*to).contains(&sent))
            }
            Key::Larger(n) => u64::from(c.entry.size) > *n,
            Key::Smaller(n) => u64::from(c.entry.size) < *n,
            Key::ModSeq(n) => c.entry.modseq.0 >= *n,
            Key::Header(name, needle) => {
                let root = self.summary(c.entry)?.root;
                let octets = self.shared.store.content(c.entry.content, 0..root.body_start)?;
                header::fields(&octets).any(|field| {
                    field.name.eq_ignore_ascii_case(name.as_bytes())
                        && contains(&header::decode_words(field.value), needle)
                })
            }
            Key::Body(needle) => self.in_text(c, needle, false)?,
            Key::Text(needle) => self.in_text(c, needle, true)?,
        })
    }

    fn in_text(
        &self,
        c: &mut Candidate<'_>,
        needle: &str,
        with_header: bool,
    ) -> Result<bool, StoreError> {
        if c.content.is_none() {
            let whole = 0..u64::from(c.entry.size);
            c.content = Some(self.shared.store.content(c.entry.content, whole)?);
        }
        let content = c.content.as_deref().unwrap_or_default();
        let root = self.summary(c.entry)?.root;
        if with_header {
            let head = content.get(..root.body_start as usize).unwrap_or_default();
            if contains(&header::decode_words(head), needle) {
                return Ok(true);
            }
        }
        Ok(text::texts(content, &root).iter().any(|text| contains(text, needle)))
    }
}

fn within(ranges: &[(u32, u32)], n: u32) -> bool {
    ranges.iter().any(|(from, to)| (*from..=*to).contains(&n))
}

/// Without regard to case.
fn contains(text: &str, needle: &str) -> bool {
    text.to_lowercase().contains(&needle.to_lowercase())
}

/// The key needs more than the listing.
fn reads(key: &Key) -> bool {
    match key {
        Key::Sent(..) | Key::Header(..) | Key::Body(_) | Key::Text(_) => true,
        Key::And(keys) => keys.iter().any(reads),
        Key::Or(a, b) => reads(a) || reads(b),
        Key::Not(key) => reads(key),
        _ => false,
    }
}

fn mentions_modseq(key: &Key) -> bool {
    match key {
        Key::ModSeq(_) => true,
        Key::And(keys) => keys.iter().any(mentions_modseq),
        Key::Or(a, b) => mentions_modseq(a) || mentions_modseq(b),
        Key::Not(key) => mentions_modseq(key),
        _ => false,
    }
}
