//! FETCH. RFC 3501 §6.4.5, §7.4.2. Streams: a large message is never whole in memory.

use super::content::UNKNOWN_ENCODING;
use super::{Context, Done, email_id, ok};
use crate::drive::Output;
use ::store::{Change, ChangeFlags, StoreError};
use mail::mime::{Part, PartBody};
use mail::summary::{Parser, Summary};
use mail::{Entry, Flag, FlagBits, ModSeq, Uid, header};
use protocol::imap::command::{Fetch, Item, Section, SectionText};
use protocol::imap::response;
use protocol::imap::session::Answer;
use std::ops::Range;

/// Octets of a message that are read at once.
const PIECE: u64 = 256 * 1024;

impl Context {
    pub(super) async fn fetch(&mut self, fetch: Fetch, out: &mut Output<'_>) -> Done {
        if fetch.items.contains(&Item::ModSeq) {
            self.enable_condstore(out);
        }
        let Some(view) = &mut self.view else { return Ok(Answer::Bad("Not now".to_owned())) };
        let Some(mut found) = view.resolve(&fetch.set, fetch.uid) else {
            return Ok(Answer::Bad("There is no message of that number".to_owned()));
        };
        let latest = view.watch.current();
        if let Some(since) = fetch.changed_since {
            found.retain(|(_, entry)| latest.get(entry.uid).is_some_and(|e| e.modseq.0 > since));
        }
        if let Some(partial) = fetch.partial {
            found = partial.window(&found).to_vec();
        }
        if let (true, Some(since), Some(view)) = (fetch.vanished, fetch.changed_since, &self.view) {
            let known = fetch.set.ranges(u32::MAX);
            self.vanished_earlier(view, ModSeq(since), &known, 0, out)?;
        }
        let seen = self.mark_seen(&fetch, &found).await?;
        let (mut gone, mut unknown) = (false, false);
        for (number, entry) in found {
            let marked = seen.binary_search_by_key(&entry.uid, |changed| changed.uid);
            let marked = marked.ok().and_then(|at| seen.get(at)).copied();
            let now = marked.or_else(|| latest.get(entry.uid).copied()).unwrap_or(entry);
            let start = out.buffer().len();
            match self.message(&fetch, number, &now, marked.is_some(), out).await {
                Ok(true) => {}
                Ok(false) => return Ok(Answer::No("The connection is lost".to_owned())),
                Err(StoreError::NotFound(_)) => {
                    out.buffer().truncate(start);
                    gone = true;
                }
                Err(UNKNOWN_ENCODING) => {
                    out.buffer().truncate(start);
                    unknown = true;
                }
                Err(error) => {
                    tracing::error!(uid = %entry.uid, %error, "a message cannot be read");
                    out.buffer().truncate(start);
                    gone = true;
                }
            }
        }
        if gone {
            return Ok(Answer::No(
                "[EXPUNGEISSUED] Some messages cannot be had any more".to_owned(),
            ));
        }
        if unknown {
            return Ok(Answer::No("[UNKNOWN-CTE] Some parts cannot be decoded".to_owned()));
        }
        Ok(ok("FETCH completed"))
    }

    /// Sections without PEEK set `\Seen`; the messages that were changed by it.
    async fn mark_seen(
        &mut self,
        fetch: &Fetch,
        found: &[(u32, Entry)],
    ) -> Result<Vec<Entry>, StoreError> {
        let reads = |item: &Item| matches!(item, Item::Section(s) | Item::Binary(s) if !s.peek);
        let Some(view) = &mut self.view else { return Ok(Vec::new()) };
        if view.read_only || !fetch.items.iter().any(reads) {
            return Ok(Vec::new());
        }
        let unseen = |(_, e): &&(u32, Entry)| !e.flags.contains(FlagBits::SEEN);
        let uids: Vec<Uid> = found.iter().filter(unseen).map(|(_, e)| e.uid).collect();
        if uids.is_empty() {
            return Ok(Vec::new());
        }
        let change = ChangeFlags {
            uids,
            change: Change::Add,
            flags: vec![Flag::Seen],
            unchanged_since: None,
        };
        let outcome = self.shared.store.change_flags(view.mailbox, change).await?;
        view.patch(&outcome.entries);
        Ok(outcome.entries)
    }

    /// One `* n FETCH (…)`. `false` when the client is gone.
    async fn message(
        &self,
        fetch: &Fetch,
        number: u32,
        entry: &Entry,
        newly_seen: bool,
        out: &mut Output<'_>,
    ) -> Result<bool, StoreError> {
        let needs = |item: &Item| match item {
            Item::Envelope | Item::Body | Item::BodyStructure => true,
            Item::Binary(section) | Item::BinarySize(section) => !section.path.is_empty(),
            Item::Preview(_) => true,
            Item::Section(section) => section.text != SectionText::All || !section.path.is_empty(),
            _ => false,
        };
        let summary = match fetch.items.iter().any(needs) {
            true => self.summary(entry)?,
            false => Summary::default(),
        };
        out.buffer().extend_from_slice(format!("* {number} FETCH (").as_bytes());
        let mut first = true;
        let extra = [Item::Flags, Item::ModSeq];
        let has = |item: &Item| fetch.items.contains(item);
        let more = extra.iter().filter(|item| match item {
            Item::Flags => newly_seen && !has(item),
            _ => self.enabled.condstore && !has(item) && (has(&Item::Flags) || newly_seen),
        });
        for item in fetch.items.iter().chain(more) {
            if !first {
                out.buffer().push(b' ');
            }
            first = false;
            match item {
                Item::Section(section) => {
                    if !self.section(section, entry, &summary, out).await? {
                        return Ok(false);
                    }
                }
                Item::Binary(section) => self.binary(section, entry, &summary, out.buffer())?,
                Item::BinarySize(section) => {
                    self.binary_size(section, entry, &summary, out.buffer())?;
                }
                Item::Preview(_) => self.preview(entry, &summary, out.buffer())?,
                item => self.simple_item(item, entry, &summary, out.buffer()),
            }
        }
        out.buffer().extend_from_slice(b")\r\n");
        Ok(out.relieve().await.is_ok())
    }

    fn simple_item(&self, item: &Item, entry: &Entry, summary: &Summary, out: &mut Vec<u8>) {
        match item {
            Item::Flags => {
                out.extend_from_slice(b"FLAGS ");
                if let Some(view) = &self.view {
                    let recent = view.is_recent(entry.uid) && !self.enabled.rev2;
                    response::flags(&view.told.keywords, entry.flags, recent, out);
                }
            }
            Item::Uid => out.extend_from_slice(format!("UID {}", entry.uid).as_bytes()),
            Item::InternalDate => {
                out.extend_from_slice(b"INTERNALDATE ");
                response::date_time(entry.date, out);
            }
            Item::Rfc822Size => {
                out.extend_from_slice(format!("RFC822.SIZE {}", entry.size).as_bytes());
            }
            Item::EmailId => {
                out.extend_from_slice(format!("EMAILID ({})", email_id(entry.content)).as_bytes());
            }
            // RFC 8474 §5.2: a server without threads says so.
            Item::ThreadId => out.extend_from_slice(b"THREADID NIL"),
            Item::SaveDate => {
                out.extend_from_slice(b"SAVEDATE ");
                response::date_time(i64::from(entry.saved), out);
            }
            Item::ModSeq => out.extend_from_slice(format!("MODSEQ ({})", entry.modseq).as_bytes()),
            Item::Envelope => {
                out.extend_from_slice(b"ENVELOPE ");
                response::envelope(&summary.envelope, self.enabled.charset(), out);
            }
            Item::Body => {
                out.extend_from_slice(b"BODY ");
                response::structure(&summary.root, false, self.enabled.charset(), out);
            }
            Item::BodyStructure => {
                out.extend_from_slice(b"BODYSTRUCTURE ");
                response::structure(&summary.root, true, self.enabled.charset(), out);
            }
            _ => {}
        }
    }

    /// Envelope and structure as kept at delivery, or made anew.
    pub(super) fn summary(&self, entry: &Entry) -> Result<Summary, StoreError> {
        let kept = self.shared.store.summaries(&[entry.content])?.pop().flatten();
        if let Some(summary) = kept.and_then(|stored| Summary::decode(&stored)) {
            return Ok(summary);
        }
        let mut parser = Parser::new();
        let mut at = 0;
        while at < u64::from(entry.size) {
            parser.feed(&self.shared.store.content(entry.content, at..at + PIECE)?);
            at += PIECE;
        }
        Ok(parser.finish())
    }

    /// `BODY[…] {n}` and its octets. `false` when the client is gone.
    async fn section(
        &self,
        section: &Section,
        entry: &Entry,
        summary: &Summary,
        out: &mut Output<'_>,
    ) -> Result<bool, StoreError> {
        out.buffer().extend_from_slice(section.label.as_bytes());
        if let Some((first, _)) = section.partial {
            out.buffer().extend_from_slice(format!("<{first}>").as_bytes());
        }
        let Some(range) = octets_of(section, u64::from(entry.size), &summary.root) else {
            out.buffer().extend_from_slice(b" NIL");
            return Ok(true);
        };
        let store = &self.shared.store;
        if let SectionText::HeaderFields(names, not) = &section.text {
            let chosen = chosen_fields(&store.content(entry.content, range)?, names, *not);
            let (from, to) = cut(&(0..chosen.len() as u64), section.partial);
            let part = chosen.get(from as usize..to as usize).unwrap_or_default();
            out.buffer().extend_from_slice(format!(" {{{}}}\r\n", part.len()).as_bytes());
            out.buffer().extend_from_slice(part);
            return Ok(true);
        }
        let (mut at, to) = cut(&range, section.partial);
        // The first piece before its length is announced: what is gone is found out in time.
        let mut piece = store.content(entry.content, at..to.min(at + PIECE))?;
        out.buffer().extend_from_slice(format!(" {{{}}}\r\n", to - at).as_bytes());
        loop {
            at += piece.len() as u64;
            out.buffer().append(&mut piece);
            if at >= to {
                return Ok(true);
            }
            if out.relieve().await.is_err() {
                return Ok(false);
            }
            match store.content(entry.content, at..to.min(at + PIECE)) {
                Ok(next) if !next.is_empty() => piece = next,
                // A promised literal cannot be taken back: the connection has to go.
                _ => return Ok(false),
            }
        }
    }
}

/// The octets a section stands for, without its partial.
pub(super) fn octets_of(section: &Section, size: u64, root: &Part) -> Option<Range<u64>> {
    if section.path.is_empty() {
        return Some(match section.text {
            SectionText::All => 0..size,
            SectionText::Text => root.body_start..root.end,
            SectionText::Mime => return None,
            _ => 0..root.body_start,
        });
    }
    let part = root.section(&section.path)?;
    let inner = match &part.body {
        PartBody::Message(_, root) => Some(&**root),
        _ => None,
    };
    Some(match section.text {
        SectionText::All => part.body_start..part.end,
        SectionText::Mime => part.header_start..part.body_start,
        SectionText::Text => inner?.body_start..inner?.end,
        _ => inner?.header_start..inner?.body_start,
    })
}

/// Applies `<first.count>`.
pub(super) fn cut(range: &Range<u64>, partial: Option<(u64, u64)>) -> (u64, u64) {
    match partial {
        None => (range.start, range.end),
        Some((first, count)) => {
            let from = range.start.saturating_add(first).min(range.end);
            (from, from.saturating_add(count).min(range.end))
        }
    }
}

/// HEADER.FIELDS, HEADER.FIELDS.NOT: the chosen fields and the empty line.
fn chosen_fields(octets: &[u8], names: &[Vec<u8>], not: bool) -> Vec<u8> {
    let mut chosen = Vec::new();
    for field in header::fields(octets) {
        let named = names.iter().any(|name| name.eq_ignore_ascii_case(field.name));
        if named != not {
            chosen.extend_from_slice(field.raw);
        }
    }
    chosen.extend_from_slice(b"\r\n");
    chosen
}
