//! FETCH of decoded content: BINARY (RFC 3516) and PREVIEW (RFC 8970).

use super::Context;
use super::fetch::cut;
use ::store::StoreError;
use mail::Entry;
use mail::mime::{Part, preview, text};
use protocol::imap::command::Section;
use protocol::imap::response;

/// Octets of a text that a preview is made of.
const PREVIEW_OCTETS: u64 = 8 * 1024;

/// The transfer encoding is not one that we know: UNKNOWN-CTE. RFC 3516 §4.3.
pub(super) const UNKNOWN_ENCODING: StoreError = StoreError::NotAllowed("unknown encoding");

impl Context {
    /// `BINARY[…] …`: the octets of a part without their transfer encoding.
    pub(super) fn binary(
        &self,
        section: &Section,
        entry: &Entry,
        root: &Part,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let content = self.decoded(section, entry, root)?;
        out.extend_from_slice(section.label.as_bytes());
        if let Some((first, _)) = section.partial {
            out.extend_from_slice(format!("<{first}>").as_bytes());
        }
        let Some(content) = content else {
            out.extend_from_slice(b" NIL");
            return Ok(());
        };
        let (from, to) = cut(&(0..content.len() as u64), section.partial);
        let piece = content.get(from as usize..to as usize).unwrap_or_default();
        // A literal8 only where it has to be one.
        let mark = if memchr::memchr(0, piece).is_some() { "~" } else { "" };
        out.extend_from_slice(format!(" {mark}{{{}}}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        Ok(())
    }

    /// `BINARY.SIZE[…] n`
    pub(super) fn binary_size(
        &self,
        section: &Section,
        entry: &Entry,
        root: &Part,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let octets = self.decoded(section, entry, root)?.map_or(0, |c| c.len());
        out.extend_from_slice(format!("{} {octets}", section.label).as_bytes());
        Ok(())
    }

    fn decoded(
        &self,
        section: &Section,
        entry: &Entry,
        root: &Part,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let store = &self.shared.store;
        if section.path.is_empty() {
            return store.content(entry.content, 0..u64::from(entry.size)).map(Some);
        }
        let Some(part) = root.section(&section.path) else { return Ok(None) };
        let body = store.content(entry.content, part.body_start..part.end)?;
        text::decoded(part, &body).map(Some).ok_or(UNKNOWN_ENCODING)
    }

    /// `PREVIEW "…"`
    pub(super) fn preview(
        &self,
        entry: &Entry,
        root: &Part,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        out.extend_from_slice(b"PREVIEW ");
        let mut shown = String::new();
        if let Some(part) = preview::part(root) {
            let end = part.end.min(part.body_start + PREVIEW_OCTETS);
            let body = self.shared.store.content(entry.content, part.body_start..end)?;
            shown = preview::preview(&text::text_of(part, &body), part.subtype == b"html");
        }
        // RFC 8970 §3.2: UTF-8, in a rev1 session too, and so as a literal.
        response::string(shown.as_bytes(), out);
        Ok(())
    }
}
