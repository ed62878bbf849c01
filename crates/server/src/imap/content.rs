//! Octets of messages as literals, and decoded content: BINARY (RFC 3516) and PREVIEW (RFC 8970).
//! All of it streams: no part is ever whole in memory.

use super::Context;
use super::fetch::cut;
use crate::drive::Output;
use ::store::{ContentRow, Reading, Store, StoreError};
use mail::Entry;
use mail::mime::transfer::Decoder;
use mail::mime::{Part, preview, text};
use protocol::imap::command::Section;
use protocol::imap::response;

/// Octets of a text that a preview is made of.
const PREVIEW_OCTETS: u64 = 8 * 1024;
/// Octets of a message that are read at once.
const PIECE: u64 = 256 * 1024;
/// Octets of a message that are decoded at once.
const DECODED_PIECE: u64 = 64 * 1024;

/// The transfer encoding is not one that we know: UNKNOWN-CTE. RFC 3516 §4.3.
pub(super) const UNKNOWN_ENCODING: StoreError = StoreError::NotAllowed("unknown encoding");

/// ` {n}` and the octets of a message from `at` to `to`. `false` when the client is gone, or cannot
/// be given what it was promised.
pub(super) async fn literal(
    store: &Store,
    row: &ContentRow,
    (from, to): (u64, u64),
    out: &mut Output<'_>,
) -> Result<bool, StoreError> {
    let mut reading = store.reading(row, from..to).await?;
    response::literal(to - from, out.buffer());
    let mut first = true;
    loop {
        match reading.next(store, PIECE, out.buffer()) {
            Ok(true) => first = false,
            Ok(false) => return Ok(true),
            // Nothing of it is written yet: the caller takes the announced length back.
            Err(error) if first => return Err(error),
            // A promised literal cannot be taken back: the connection has to go.
            Err(_) => return Ok(false),
        }
        if reading.left() > 0 && out.relieve().await.is_err() {
            return Ok(false);
        }
    }
}

/// Octets of a message without their transfer encoding.
pub(super) struct Decoded<'a> {
    store: &'a Store,
    reading: Reading,
    decoder: Option<Decoder>,
    raw: Vec<u8>,
}

impl<'a> Decoded<'a> {
    /// A part, or the whole message for `None`, which has no encoding. RFC 3516 §4.2.
    pub async fn of(
        store: &'a Store,
        row: &ContentRow,
        part: Option<&Part>,
    ) -> Result<Decoded<'a>, StoreError> {
        let decoder = part.map_or_else(|| Decoder::new(b"binary"), Decoder::of);
        let decoder = decoder.ok_or(UNKNOWN_ENCODING)?;
        let left = part.map_or(0..row.len, |part| part.body_start..part.end.max(part.body_start));
        let reading = store.reading(row, left).await?;
        Ok(Decoded { store, reading, decoder: Some(decoder), raw: Vec::new() })
    }

    /// Puts the next piece into `out`; `false` at the end.
    fn next(&mut self, out: &mut Vec<u8>) -> Result<bool, StoreError> {
        out.clear();
        let Some(decoder) = &mut self.decoder else { return Ok(false) };
        self.raw.clear();
        if self.reading.next(self.store, DECODED_PIECE, &mut self.raw)? {
            decoder.decode(&self.raw, out);
        } else if let Some(decoder) = self.decoder.take() {
            decoder.finish(out);
        }
        Ok(true)
    }

    /// How many octets there are.
    pub async fn octets(mut self) -> Result<u64, StoreError> {
        let (mut octets, mut piece) = (0, Vec::new());
        while self.next(&mut piece)? {
            octets += piece.len() as u64;
            tokio::task::yield_now().await;
        }
        Ok(octets)
    }

    /// ` ~{n}` and the octets; they are decoded twice, for the length comes first. `false` when the
    /// client is gone, or cannot be given what it was promised.
    pub async fn literal(
        mut self,
        partial: Option<(u64, u64)>,
        out: &mut Output<'_>,
    ) -> Result<bool, StoreError> {
        let measured = Decoded {
            decoder: self.decoder.clone(),
            reading: self.reading.clone(),
            raw: Vec::new(),
            ..self
        };
        let wanted = measured.measure(partial).await?;
        // A literal8 only where it has to be one. RFC 3516 §4.3.
        let mark = if wanted.nul { "~" } else { "" };
        let (mut skip, mut left) = (wanted.from, wanted.to - wanted.from);
        out.buffer().extend_from_slice(format!(" {mark}{{{left}}}\r\n").as_bytes());
        let mut piece = Vec::new();
        while left > 0 {
            // What could be read a moment ago cannot be now: the promise cannot be kept.
            let Ok(true) = self.next(&mut piece) else { return Ok(false) };
            let passed = skip.min(piece.len() as u64);
            skip -= passed;
            let rest = piece.get(passed as usize..).unwrap_or_default();
            let take = left.min(rest.len() as u64);
            out.buffer().extend_from_slice(rest.get(..take as usize).unwrap_or_default());
            left -= take;
            if take == 0 {
                tokio::task::yield_now().await;
            }
            if left > 0 && out.relieve().await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Which octets a partial leaves, and whether a NUL is among them.
    async fn measure(mut self, partial: Option<(u64, u64)>) -> Result<Wanted, StoreError> {
        let (first, last) = cut(&(0..u64::MAX), partial);
        let (mut octets, mut nul, mut piece) = (0u64, false, Vec::new());
        while self.next(&mut piece)? {
            let within = |at: usize| (first..last).contains(&(octets + at as u64));
            nul = nul || memchr::memchr_iter(0, &piece).any(within);
            octets += piece.len() as u64;
            // A long part takes long, and a command may ask for it often.
            tokio::task::yield_now().await;
        }
        let (from, to) = cut(&(0..octets), partial);
        Ok(Wanted { from, to, nul })
    }
}

struct Wanted {
    from: u64,
    to: u64,
    nul: bool,
}

impl Context {
    /// `BINARY[…] …`: the octets of a part without their transfer encoding. `false` when the client
    /// is gone.
    pub(super) async fn binary(
        &self,
        section: &Section,
        entry: &Entry,
        row: Option<&ContentRow>,
        root: &Part,
        out: &mut Output<'_>,
    ) -> Result<bool, StoreError> {
        let Some(row) = row else { return Err(StoreError::NotFound(entry.uid.to_string())) };
        let decoded = self.decoded(section, row, root).await?;
        out.buffer().extend_from_slice(section.label.as_bytes());
        if let Some((first, _)) = section.partial {
            out.buffer().extend_from_slice(format!("<{first}>").as_bytes());
        }
        match decoded {
            Some(decoded) => decoded.literal(section.partial, out).await,
            None => {
                out.buffer().extend_from_slice(b" NIL");
                Ok(true)
            }
        }
    }

    /// `BINARY.SIZE[…] n`
    pub(super) async fn binary_size(
        &self,
        section: &Section,
        entry: &Entry,
        row: Option<&ContentRow>,
        root: &Part,
        out: &mut Output<'_>,
    ) -> Result<(), StoreError> {
        let Some(row) = row else { return Err(StoreError::NotFound(entry.uid.to_string())) };
        let octets = match self.decoded(section, row, root).await? {
            Some(decoded) => decoded.octets().await?,
            None => 0,
        };
        out.buffer().extend_from_slice(format!("{} {octets}", section.label).as_bytes());
        Ok(())
    }

    async fn decoded<'a>(
        &'a self,
        section: &Section,
        row: &ContentRow,
        root: &Part,
    ) -> Result<Option<Decoded<'a>>, StoreError> {
        let store = &self.shared.store;
        if section.path.is_empty() {
            return Decoded::of(store, row, None).await.map(Some);
        }
        let Some(part) = root.section(&section.path) else { return Ok(None) };
        Decoded::of(store, row, Some(part)).await.map(Some)
    }

    /// `PREVIEW "…"`
    pub(super) fn preview(
        &self,
        entry: &Entry,
        row: Option<&ContentRow>,
        root: &Part,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let Some(row) = row else { return Err(StoreError::NotFound(entry.uid.to_string())) };
        out.extend_from_slice(b"PREVIEW ");
        let mut shown = String::new();
        if let Some(part) = preview::part(root) {
            let end = part.end.min(part.body_start + PREVIEW_OCTETS);
            let mut body = Vec::new();
            self.shared.store.glance(row, part.body_start..end, &mut body)?;
            shown =
                preview::preview(&text::text_of(part, &body), part.content().subtype == b"html");
        }
        // RFC 8970 §3.2: UTF-8, in a rev1 session too, and so as a literal.
        response::string(shown.as_bytes(), out);
        Ok(())
    }
}
