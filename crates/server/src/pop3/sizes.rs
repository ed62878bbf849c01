//! Octets of messages as RETR sends them. RFC 1939 §11, RFC 6856 §2.1.
//!
//! Most messages are sent as they are stored. The store knows which of them are not: those with a
//! header that is not ASCII, and those whose lines do not all end with CRLF. Only they are read,
//! and others have their turn after each piece.

use super::PIECE;
use mail::{Entry, FlagBits, Uid};
use protocol::pop3::Mode;
use std::collections::HashMap;
use store::{ContentRow, Store, StoreError};
use tokio::task::yield_now;

/// Octets that are read of a header before all that may be.
const HEADER_LOOK: u64 = 16 * 1024;
/// Octets that a session reads to tell sizes; then those of the store have to do.
const READ_MAX: u64 = 64 * 1024 * 1024;

/// Sizes that are others than those of the store.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    known: HashMap<Uid, u64>,
    read: u64,
}

impl Sizes {
    /// Is another size than that of the store to be expected?
    pub fn may_differ(entry: &Entry, mode: Mode) -> bool {
        let header = mode == Mode::Ascii && entry.flags.contains(FlagBits::HEADER_8BIT);
        header || entry.flags.contains(FlagBits::NOT_LINES)
    }

    /// Octets that RETR sends of a message, as far as is known.
    pub fn of(&self, entry: &Entry) -> u64 {
        self.known.get(&entry.uid).copied().unwrap_or(u64::from(entry.size))
    }

    /// Finds out what [`Sizes::of`] tells of a message.
    pub async fn find_out(&mut self, store: &Store, entry: &Entry, mode: Mode) {
        let known = self.known.contains_key(&entry.uid);
        if known || !Sizes::may_differ(entry, mode) || self.read >= READ_MAX {
            return;
        }
        // What cannot be read is not sent either: any size will do.
        let size = self.measured(store, entry, mode).await.unwrap_or(u64::from(entry.size));
        self.known.insert(entry.uid, size);
    }

    async fn measured(
        &mut self,
        store: &Store,
        entry: &Entry,
        mode: Mode,
    ) -> Result<u64, StoreError> {
        let row = store.kept(&[entry.content], true, false)?.rows.pop().flatten();
        let Some(row) = row else { return Ok(u64::from(entry.size)) };
        let mut piece = Vec::new();
        let mut behind = 0;
        let mut lines = Lines::default();
        if mode == Mode::Ascii && entry.flags.contains(FlagBits::HEADER_8BIT) {
            let octets = self.header(store, &row, &mut piece)?;
            yield_now().await;
            let header = piece.get(..octets).unwrap_or_default();
            let made = mail::header::surrogate(header);
            if !entry.flags.contains(FlagBits::NOT_LINES) {
                return Ok(row.len + made.len() as u64 - octets as u64);
            }
            lines.feed(&made);
            behind = octets as u64;
        }
        while behind < row.len {
            let end = row.len.min(behind + PIECE);
            piece.clear();
            store.octets(&row, behind..end, &mut piece)?;
            lines.feed(&piece);
            self.read += end - behind;
            behind = end;
            yield_now().await;
        }
        Ok(lines.octets())
    }

    /// Reads the header; its octets.
    fn header(
        &mut self,
        store: &Store,
        row: &ContentRow,
        piece: &mut Vec<u8>,
    ) -> Result<usize, StoreError> {
        for most in [HEADER_LOOK, PIECE] {
            let end = row.len.min(most);
            piece.clear();
            store.octets(row, 0..end, piece)?;
            self.read += end;
            let octets = mail::header::octets(piece);
            if octets < piece.len() || end == row.len {
                return Ok(octets);
            }
        }
        // Too long to be sent in ASCII.
        Ok(0)
    }
}

/// Counts octets as they are sent: each line ends with CRLF.
#[derive(Debug, Default)]
struct Lines {
    octets: u64,
    after_cr: bool,
    in_line: bool,
}

impl Lines {
    fn feed(&mut self, piece: &[u8]) {
        for byte in piece {
            if self.after_cr && *byte != b'\n' {
                self.end_line();
            }
            match byte {
                b'\r' => self.after_cr = true,
                b'\n' => self.end_line(),
                _ => {
                    self.octets += 1;
                    self.in_line = true;
                }
            }
        }
    }

    fn end_line(&mut self) {
        self.octets += 2;
        (self.after_cr, self.in_line) = (false, false);
    }

    fn octets(mut self) -> u64 {
        if self.after_cr || self.in_line {
            self.end_line();
        }
        self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use protocol::smtp::body::DataWriter;

    #[test]
    fn what_is_counted_is_what_is_written() {
        for message in ["", "a", "a\r\n", "a\nb\r\rc\r", "\r\n\r", "a\r\n\nb", "\r\r\n"] {
            for split in [1, 2, 100] {
                let (mut lines, mut wire) = (Lines::default(), Vec::new());
                let mut writer = DataWriter::default();
                for piece in message.as_bytes().chunks(split) {
                    lines.feed(piece);
                    writer.write(piece, &mut wire);
                }
                writer.finish(&mut wire);
                // Without the final dot.
                assert_eq!(lines.octets(), wire.len() as u64 - 3, "{message:?}");
            }
        }
    }
}
