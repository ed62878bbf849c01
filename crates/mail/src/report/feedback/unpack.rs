//! Unpacking gzip (RFC 1952) and zip archives, bounded. Of zip only what reports use: one file,
//! stored or deflated, neither encrypted nor in the 64-bit form.

use super::NoReport;
use flate2::read::{DeflateDecoder, GzDecoder};
use std::borrow::Cow;
use std::io::Read;

/// Octets of a report as it comes.
pub const PACKED_OCTETS_MAX: u64 = 8 << 20;
/// Octets of a report, unpacked. Large receivers send some hundred kilobytes.
pub const UNPACKED_OCTETS_MAX: u64 = 16 << 20;

/// What is in it; what is not packed is that itself.
pub fn unpack(octets: &[u8]) -> Result<Cow<'_, [u8]>, NoReport> {
    if octets.starts_with(&[0x1f, 0x8b]) {
        return bounded(GzDecoder::new(octets)).map(Cow::Owned);
    }
    if octets.starts_with(b"PK\x03\x04") {
        return zipped(octets).ok_or(NoReport::Damaged)?;
    }
    match octets.len() as u64 > UNPACKED_OCTETS_MAX {
        true => Err(NoReport::TooLarge),
        false => Ok(Cow::Borrowed(octets)),
    }
}

fn bounded(unpacked: impl Read) -> Result<Vec<u8>, NoReport> {
    let mut out = Vec::new();
    let read = unpacked.take(UNPACKED_OCTETS_MAX + 1).read_to_end(&mut out);
    match read {
        Ok(_) if out.len() as u64 > UNPACKED_OCTETS_MAX => Err(NoReport::TooLarge),
        Ok(_) => Ok(out),
        Err(_) => Err(NoReport::Damaged),
    }
}

fn number<const N: usize>(octets: &[u8], at: usize) -> Option<usize> {
    let field = octets.get(at..)?.first_chunk::<N>()?;
    Some(field.iter().rev().fold(0, |n, octet| n << 8 | usize::from(*octet)))
}

/// The first file of an archive. Its local header may leave the length to the directory at the end
/// (bit 3 of its flags), so that is read.
fn zipped(octets: &[u8]) -> Option<Result<Cow<'_, [u8]>, NoReport>> {
    // The end of the directory: 22 octets, and a comment of at most 65,535.
    let from = octets.len().saturating_sub(22 + 65_535);
    let end = octets.get(from..)?.windows(4).rposition(|four| four == b"PK\x05\x06")? + from;
    let entry = octets.get(number::<4>(octets, end + 16)?..)?;
    if !entry.starts_with(b"PK\x01\x02") || number::<2>(entry, 8)? & 1 != 0 {
        return None;
    }
    let (method, packed) = (number::<2>(entry, 10)?, number::<4>(entry, 20)?);
    let local = octets.get(number::<4>(entry, 42)?..)?;
    if !local.starts_with(b"PK\x03\x04") {
        return None;
    }
    let start = 30 + number::<2>(local, 26)? + number::<2>(local, 28)?;
    let data = local.get(start..)?.get(..packed)?;
    match method {
        0 => Some(Ok(Cow::Borrowed(data))),
        8 => Some(bounded(DeflateDecoder::new(data)).map(Cow::Owned)),
        _ => None,
    }
}
