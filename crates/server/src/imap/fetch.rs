//! FETCH. RFC 3501 §6.4.5, §7.4.2. Streams: a large message is never whole in memory.

use super::annotate::{self, NO_SUCH_PART};
use super::content::{UNKNOWN_ENCODING, literal};
use super::view::at_places;
use super::{Context, Done, ok, thread_id};
use crate::drive::Output;
use ::store::{Change, ChangeFlags, ContentRow, Store, StoreError};
use mail::limits::HEADER_OCTETS_MAX;
use mail::mime::{Part, PartBody, header_of};
use mail::stored;
use mail::summary::{Parser, Summary};
use mail::{ContentId, Entry, Flag, FlagBits, Listing, ModSeq, Rights, Uid, header};
use protocol::imap::command::{Fetch, FieldNames, Item, Section, SectionText};
use protocol::imap::response;
use protocol::imap::session::Answer;
use std::ops::Range;
use std::sync::Arc;

/// The messages that CHANGEDSINCE (RFC 7162 §3.1.4.1) and PARTIAL (RFC 9394 §3.2) leave of those at
/// `places` of what the client was told; `None` when neither is there.
fn choose(
    fetch: &Fetch,
    told: &Listing,
    latest: &Listing,
    places: &[(u32, u32)],
) -> Option<Vec<(u32, Entry)>> {
    let is_changed =
        |entry: &Entry, since| latest.get(entry.uid).is_some_and(|now| now.modseq > ModSeq(since));
    match (fetch.changed_since, &fetch.partial) {
        (None, None) => None,
        (since, Some(partial)) => {
            // RFC 9394 §3.4: the window first, and of it what has changed.
            let all: Vec<(u32, Entry)> = at_places(told, places).collect();
            let mut window = partial.window(&all).to_vec();
            window.retain(|(_, entry)| since.is_none_or(|since| is_changed(entry, since)));
            Some(window)
        }
        (Some(since), None) => {
            let number = |entry: &Entry| Some(told.find(entry.uid).ok()? + 1);
            let wanted = |number: &u32| {
                let at = places.partition_point(|(_, end)| end < number);
                places.get(at).is_some_and(|(from, _)| from < number)
            };
            let changed = latest.changed(ModSeq(since));
            let numbered = changed.filter_map(|(_, entry)| Some((number(entry)?, *entry)));
            Some(numbered.filter(|(number, _)| wanted(number)).collect())
        }
    }
}

/// Octets of a message that are read at once.
const PIECE: u64 = 256 * 1024;
/// Octets of the items of one message that are held before they leave.
const MESSAGE_OCTETS_MAX: usize = 1 << 20;
/// Messages that are looked at ahead.
const CHUNK: usize = 256;
/// Octets in which the header of most messages ends, and of nearly every one.
const HEADER_OCTETS_LIKELY: [u64; 2] = [1024, 16 * 1024];

impl Context {
    pub(super) async fn fetch(&mut self, fetch: Fetch, out: &mut Output<'_>) -> Done {
        if fetch.items.contains(&Item::ModSeq) {
            self.enable_condstore(out);
        }
        let Some(view) = &mut self.view else { return Ok(Answer::Bad("Not now".to_owned())) };
        let Some(mut places) = view.places_of(&fetch.set, fetch.uid) else {
            return Ok(Answer::Bad("There is no message of that number".to_owned()));
        };
        let latest = view.watch.current();
        let told = view.told.clone();
        let mut chosen = choose(&fetch, &told, &latest, &places);
        let lowest = match &mut chosen {
            // A window that is too large is refused: who asks for one counts on it.
            Some(chosen) if fetch.partial.is_some() => match self.too_many(chosen.len()) {
                Some(refusal) => return Ok(refusal),
                None => None,
            },
            Some(chosen) => self.limit_messages(chosen),
            None => self.limit_places(&told, &mut places),
        };
        if let (true, Some(since), Some(view)) = (fetch.vanished, fetch.changed_since, &self.view) {
            let known = fetch.set.ranges(u32::MAX);
            self.vanished_earlier(view, ModSeq(since), &known, 0, out)?;
        }
        let each = || -> Box<dyn Iterator<Item = (u32, Entry)> + Send> {
            match &chosen {
                Some(chosen) => Box::new(chosen.iter().copied()),
                None => Box::new(at_places(&told, &places)),
            }
        };
        let needs = Needs::of(&fetch.items);
        let latest = (!Arc::ptr_eq(&latest, &told)).then_some(&*latest);
        if needs == Needs::default() {
            let done = self.fetch_listed(&fetch, each(), latest, out).await;
            return Ok(self.tell_limit(done, lowest, out));
        }
        let seen = self.mark_seen(&fetch, each()).await?;
        let mut trouble = Trouble::default();
        let mut rest = each();
        loop {
            let chunk: Vec<(u32, Entry)> = rest.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                return Ok(self.tell_limit(trouble.answer(), lowest, out));
            }
            let mut ahead = self.look_ahead(&chunk, needs)?;
            for ((number, entry), message) in chunk.iter().zip(&mut ahead) {
                let marked = seen.binary_search_by_key(&entry.uid, |changed| changed.uid);
                let marked = marked.ok().and_then(|at| seen.get(at));
                message.newly_seen = marked.is_some();
                let Some(known) = latest.map_or(Some(entry), |latest| latest.get(entry.uid)) else {
                    trouble.gone = true;
                    continue;
                };
                let now = *marked.unwrap_or(known);
                let (start, sent) = (out.buffer().len(), out.sent());
                match self.message(&fetch, *number, &now, message, out).await {
                    Ok(true) => {}
                    Err(error) if out.sent() == sent => {
                        out.buffer().truncate(start);
                        trouble.note(&now, &error);
                    }
                    // A promised literal cannot be taken back.
                    Ok(false) | Err(_) => {
                        out.break_off().await;
                        return Ok(Answer::No("The connection is lost".to_owned()));
                    }
                }
            }
        }
    }

    /// Sections without PEEK set `\Seen`; the messages that were changed by it.
    async fn mark_seen(
        &mut self,
        fetch: &Fetch,
        found: impl Iterator<Item = (u32, Entry)>,
    ) -> Result<Arc<Vec<Entry>>, StoreError> {
        let reads = |item: &Item| matches!(item, Item::Section(s) | Item::Binary(s) if !s.peek);
        let Some(view) = &mut self.view else { return Ok(Arc::default()) };
        let may = !view.read_only && view.rights.contains(Rights::SEEN);
        if !may || !fetch.items.iter().any(reads) {
            return Ok(Arc::default());
        }
        let unseen = |(_, e): &(u32, Entry)| !e.flags.contains(FlagBits::SEEN);
        let uids: Vec<Uid> = found.filter(unseen).map(|(_, e)| e.uid).collect();
        if uids.is_empty() {
            return Ok(Arc::default());
        }
        let change = ChangeFlags {
            uids,
            change: Change::Add,
            flags: vec![Flag::Seen],
            unchanged_since: None,
            within: view.rights,
        };
        let outcome = self.shared.store.change_flags(view.mailbox, change).await?;
        view.patch(&outcome);
        Ok(outcome.entries)
    }

    /// One `* n FETCH (…)`. `false` when the client is gone.
    async fn message(
        &self,
        fetch: &Fetch,
        number: u32,
        entry: &Entry,
        message: &Message,
        out: &mut Output<'_>,
    ) -> Result<bool, StoreError> {
        let Message { row, known, newly_seen } = message;
        let begin = out.buffer().len();
        let made;
        let Known { stored, root } = match known {
            Some(known) => known,
            None => {
                made = Known::of(self.summary(entry)?);
                &made
            }
        };
        let damaged = || StoreError::Corrupt(format!("the summary of {}", entry.content));
        response::fetch(number, entry.uid.get(), self.enabled.uid_only, out.buffer());
        let mut first = true;
        for item in fetch.items.iter().chain(self.unasked(fetch, *newly_seen)) {
            if self.enabled.uid_only && *item == Item::Uid && !fetch.names_uid {
                // It is there already.
                continue;
            }
            let before = out.buffer().len();
            if !first {
                out.buffer().push(b' ');
            }
            match item {
                Item::Section(section) => {
                    if !self.section(section, entry, row.as_ref(), root, out).await? {
                        return Ok(false);
                    }
                }
                Item::Binary(section) => {
                    if !self.binary(section, entry, row.as_ref(), root, out).await? {
                        return Ok(false);
                    }
                }
                Item::BinarySize(section) => {
                    self.binary_size(section, entry, row.as_ref(), root, out).await?;
                }
                Item::Annotation(wanted) => {
                    if !self.annotation(wanted, entry, root, out.buffer())? {
                        out.buffer().truncate(before);
                        continue;
                    }
                }
                Item::Preview(_) => self.preview(entry, row.as_ref(), root, out.buffer())?,
                Item::Envelope | Item::Body | Item::BodyStructure | Item::ThreadId => {
                    self.stored_item(item, entry, stored, out.buffer()).ok_or_else(damaged)?;
                }
                item => self.simple_item(item, entry, out.buffer()),
            }
            first = false;
            // Not each time: what has left cannot be taken back when another item fails.
            if out.buffer().len() >= MESSAGE_OCTETS_MAX && out.flush().await.is_err() {
                return Ok(false);
            }
            out.step().await;
        }
        match first {
            // RFC 5257 §4.3: wildcards matched nothing, and nothing else was asked for.
            true => out.buffer().truncate(begin),
            false => out.buffer().extend_from_slice(b")\r\n"),
        }
        Ok(out.relieve().await.is_ok())
    }

    /// Items that are told though nobody asked: flags that FETCH has set. UID and MODSEQ go with
    /// them: RFC 7162 §3.2.4.
    fn unasked<'a>(
        &self,
        fetch: &'a Fetch,
        newly_seen: bool,
    ) -> impl Iterator<Item = &'a Item> + use<'a> {
        let condstore = self.enabled.condstore;
        let has = |item: &Item| fetch.items.contains(item);
        let beside = has(&Item::Flags) || newly_seen;
        let told = [
            (&Item::Uid, newly_seen && condstore),
            (&Item::Flags, newly_seen),
            (&Item::ModSeq, condstore && beside),
        ];
        told.map(|(item, tells)| (tells && !has(item)).then_some(item)).into_iter().flatten()
    }

    /// Items that are shown from the stored summary. `None` when it is damaged.
    fn stored_item(
        &self,
        item: &Item,
        entry: &Entry,
        stored: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let charset = self.enabled.charset();
        match item {
            Item::Envelope => {
                out.extend_from_slice(b"ENVELOPE ");
                response::envelope(&stored::envelope(stored)?, charset, out);
                Some(())
            }
            Item::ThreadId => {
                let order = stored::order(stored)?;
                let references = order.references;
                let [_, in_reply_to, message_id] = order.heads();
                let id = thread_id(entry.content, references, in_reply_to, message_id);
                out.extend_from_slice(format!("THREADID ({id})").as_bytes());
                Some(())
            }
            Item::Body => {
                out.extend_from_slice(b"BODY ");
                response::structure(&mut stored::structure(stored)?, false, charset, out)
            }
            _ => {
                out.extend_from_slice(b"BODYSTRUCTURE ");
                response::structure(&mut stored::structure(stored)?, true, charset, out)
            }
        }
    }

    /// What is needed of some messages, found in one look.
    fn look_ahead(&self, chunk: &[(u32, Entry)], needs: Needs) -> Result<Vec<Message>, StoreError> {
        let ids: Vec<ContentId> = chunk.iter().map(|(_, entry)| entry.content).collect();
        let mut kept = self.shared.store.kept(&ids, needs.octets, needs.summary > Kept::Nothing)?;
        kept.rows.resize(ids.len(), None);
        kept.summaries.resize(ids.len(), None);
        let message = |(row, stored): (_, Option<Box<[u8]>>)| {
            let known = match needs.summary {
                Kept::Tree => stored.and_then(|stored| {
                    let root = Summary::decode_structure(&stored)?.root;
                    Some(Known { stored, root })
                }),
                Kept::Stored => stored
                    .filter(|stored| stored::structure(stored).is_some())
                    .map(|stored| Known { stored, root: Part::default() }),
                Kept::Nothing => Some(Known::default()),
            };
            Message { row, known, newly_seen: false }
        };
        Ok(kept.rows.into_iter().zip(kept.summaries).map(message).collect())
    }

    /// The header of a message, with the empty line; or where it ends if it is a large one.
    fn own_header(&self, entry: &Entry, row: &ContentRow) -> Result<Header, StoreError> {
        let (store, size) = (&self.shared.store, u64::from(entry.size));
        let mut out = Vec::with_capacity(2048);
        let mut have = 0;
        for likely in HEADER_OCTETS_LIKELY {
            let more = have..likely.min(size);
            have = more.end;
            store.glance(row, more, &mut out)?;
            let header = header_of(&out).len();
            if header < have as usize || have == size {
                out.truncate(header);
                return Ok(Header::Whole(out));
            }
        }
        Ok(Header::Large(self.summary(entry)?.root.body_start))
    }

    /// Envelope and structure as kept at delivery, or made anew.
    pub(super) fn summary(&self, entry: &Entry) -> Result<Summary, StoreError> {
        summary(&self.shared.store, entry)
    }

    /// `BODY[…] {n}` and its octets. `false` when the client is gone.
    async fn section(
        &self,
        section: &Section,
        entry: &Entry,
        row: Option<&ContentRow>,
        root: &Part,
        out: &mut Output<'_>,
    ) -> Result<bool, StoreError> {
        out.buffer().extend_from_slice(section.label.as_bytes());
        if let Some((first, _)) = section.partial {
            out.buffer().extend_from_slice(format!("<{first}>").as_bytes());
        }
        let store = &self.shared.store;
        let Some(row) = row else { return Err(StoreError::NotFound(entry.uid.to_string())) };
        let range = match section.is_header() {
            true => match self.own_header(entry, row)? {
                Header::Large(end) => Some(0..end),
                Header::Whole(header) => {
                    let chosen = match &section.text {
                        SectionText::HeaderFields(names, not) => {
                            chosen_fields(&header, names, *not)
                        }
                        _ => header,
                    };
                    whole(&chosen, section.partial, out.buffer());
                    return Ok(true);
                }
            },
            false => octets_of(section, u64::from(entry.size), root),
        };
        let Some(range) = range else {
            out.buffer().extend_from_slice(b" NIL");
            return Ok(true);
        };
        if let SectionText::HeaderFields(names, not) = &section.text {
            // They are looked for in memory, so not in any length.
            let end = range.end.min(range.start.saturating_add(HEADER_OCTETS_MAX as u64));
            let mut looked_at = Vec::new();
            let mut reading = store.reading(row, range.start..end).await?;
            reading.next(store, HEADER_OCTETS_MAX as u64, &mut looked_at)?;
            whole(&chosen_fields(&looked_at, names, *not), section.partial, out.buffer());
            out.rest().await;
            return Ok(true);
        }
        literal(store, row, cut(&range, section.partial), out).await
    }
}

/// Envelope and structure of a message as kept at delivery, or made anew.
pub(crate) fn summary(store: &Store, entry: &Entry) -> Result<Summary, StoreError> {
    let kept = store.summaries(&[entry.content])?.pop().flatten();
    if let Some(summary) = kept.and_then(|stored| Summary::decode(&stored)) {
        return Ok(summary);
    }
    let mut parser = Parser::new();
    let mut at = 0;
    while at < u64::from(entry.size) {
        parser.feed(&store.content(entry.content, at..at + PIECE)?);
        at += PIECE;
    }
    Ok(parser.finish())
}

/// What went wrong with some messages.
#[derive(Default)]
struct Trouble {
    gone: bool,
    damaged: bool,
    unknown: bool,
    no_part: bool,
}

impl Trouble {
    fn note(&mut self, entry: &Entry, error: &StoreError) {
        match error {
            StoreError::NotFound(_) => self.gone = true,
            error if *error == UNKNOWN_ENCODING => self.unknown = true,
            error if *error == NO_SUCH_PART => self.no_part = true,
            error => {
                tracing::error!(uid = %entry.uid, %error, "a message cannot be read");
                self.damaged = true;
            }
        }
    }

    /// RFC 5530 §3, RFC 3516 §4.3.
    fn answer(&self) -> Answer {
        match self {
            Trouble { damaged: true, .. } => {
                Answer::No("[CORRUPTION] Some messages are damaged and cannot be read".to_owned())
            }
            Trouble { gone: true, .. } => {
                Answer::No("[EXPUNGEISSUED] Some messages cannot be had any more".to_owned())
            }
            Trouble { no_part: true, .. } => {
                Answer::Bad("Not all messages have such a part".to_owned())
            }
            Trouble { unknown: true, .. } => {
                Answer::No("[UNKNOWN-CTE] Some parts cannot be decoded".to_owned())
            }
            _ => ok("FETCH completed"),
        }
    }
}

/// What has to be read of a message for some items; by default its entry is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Needs {
    /// Where its bytes are.
    octets: bool,
    summary: Kept,
    /// Its annotations.
    annotations: bool,
}

/// What is needed of the summary that is kept beside a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    #[default]
    Nothing,
    /// As it is stored.
    Stored,
    /// The tree of the message's parts as well.
    Tree,
}

impl Needs {
    fn of(items: &[Item]) -> Needs {
        let mut needs = Needs::default();
        for item in items {
            let (octets, summary) = match item {
                Item::Envelope | Item::Body | Item::BodyStructure | Item::ThreadId => {
                    (false, Kept::Stored)
                }
                Item::Binary(section) | Item::BinarySize(section) if section.path.is_empty() => {
                    (true, Kept::Nothing)
                }
                Item::Section(section) if section.is_header() || section.is_all() => {
                    (true, Kept::Nothing)
                }
                Item::Section(_) | Item::Binary(_) | Item::BinarySize(_) => (true, Kept::Tree),
                Item::Preview(_) => (true, Kept::Tree),
                Item::Annotation(wanted) => {
                    needs.annotations = true;
                    match annotate::needs_parts(wanted) {
                        true => (false, Kept::Tree),
                        false => continue,
                    }
                }
                _ => continue,
            };
            needs.octets |= octets;
            needs.summary = needs.summary.max(summary);
        }
        needs
    }
}

/// What was found of a message ahead of its turn.
struct Message {
    row: Option<ContentRow>,
    /// As far as it is needed; `None`: it has to be made anew.
    known: Option<Known>,
    /// This FETCH set its `\Seen`.
    newly_seen: bool,
}

/// The header of a message.
enum Header {
    Whole(Vec<u8>),
    /// It ends here.
    Large(u64),
}

/// What is kept about a message beside its bytes.
#[derive(Default)]
struct Known {
    stored: Box<[u8]>,
    root: Part,
}

impl Known {
    fn of(summary: Summary) -> Known {
        Known { stored: summary.encode().into(), root: summary.root }
    }
}

/// A literal of octets that are at hand.
fn whole(octets: &[u8], partial: Option<(u64, u64)>, out: &mut Vec<u8>) {
    let (from, to) = cut(&(0..octets.len() as u64), partial);
    let part = octets.get(from as usize..to as usize).unwrap_or_default();
    response::literal(part.len() as u64, out);
    out.extend_from_slice(part);
}

/// The octets a section stands for, without its partial.
pub(crate) fn octets_of(section: &Section, size: u64, root: &Part) -> Option<Range<u64>> {
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
pub(crate) fn cut(range: &Range<u64>, partial: Option<(u64, u64)>) -> (u64, u64) {
    match partial {
        None => (range.start, range.end),
        Some((first, count)) => {
            let from = range.start.saturating_add(first).min(range.end);
            (from, from.saturating_add(count).min(range.end))
        }
    }
}

/// HEADER.FIELDS, HEADER.FIELDS.NOT: the chosen fields and the empty line.
pub(crate) fn chosen_fields(octets: &[u8], names: &FieldNames, not: bool) -> Vec<u8> {
    let mut chosen = Vec::new();
    for field in header::fields(octets) {
        if names.contains(field.name) != not {
            chosen.extend_from_slice(field.raw);
        }
    }
    chosen.extend_from_slice(b"\r\n");
    chosen
}
