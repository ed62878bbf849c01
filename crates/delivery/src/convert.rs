//! Messages made to fit: binary ones when they come in, since what is stored goes out as lines by
//! every protocol, and 8-bit ones for servers that take 7 bits. RFC 3030 §3, RFC 6152 §3.

use crate::limits::PIECE_OCTETS;
use crate::{DeliveryError, Shared, signing};
use mail::limits::HEADER_OCTETS_MAX;
use mail::mime::encode::{Carries, Plan, Rewrite, Unconvertible};
use mail::summary::{Parser, Summary};
use policy::dkim::Signer;
use protocol::smtp::body::BareCheck;
use store::{QueueRow, Sealed, Spool, StoreError};

/// A message with `BODY=BINARYMIME`, whose structure is `summary`, as lines of any octets but NUL.
pub(crate) fn as_lines(
    shared: &Shared,
    binary: &Sealed,
    summary: &Summary,
    mut signer: Option<&mut Signer>,
) -> Result<(Spool, Summary), DeliveryError> {
    let plan = Plan::make(&summary.root, Carries::EightBit, |range| binary.read(range))?;
    let mut rewrite = Rewrite::new(plan.map_err(|why| DeliveryError::NotBinaryMime(why.0))?);
    let (mut spool, mut parser) = (shared.store.spool(), Parser::new());
    let mut check = BareCheck::default();
    let mut out = Vec::new();
    while let Some(range) = rewrite.wants() {
        rewrite.give(&binary.read(range)?, &mut out);
        check.feed(&out);
        parser.feed(&out);
        if let Some(signer) = &mut signer {
            signer.feed(&out);
        }
        spool.write(&out)?;
        out.clear();
    }
    check.finish();
    if check.tainted {
        let why = "there is a bare CR, bare LF or NUL outside of its parts";
        return Err(DeliveryError::NotBinaryMime(why));
    }
    Ok((spool, parser.finish()))
}

/// A queued message for a server that takes 7 bits.
#[derive(Debug)]
pub(crate) struct Fitted {
    /// What changes.
    pub plan: Plan,
    /// Octets of what is sent.
    pub octets: u64,
}

/// The octets of a range of what is sent.
fn piece(
    shared: &Shared,
    row: &QueueRow,
    range: std::ops::Range<u64>,
) -> Result<Vec<u8>, StoreError> {
    let skip = u64::from(row.skip);
    shared.store.content(row.content, range.start + skip..range.end + skip)
}

/// How the message fits. What we signed is signed anew: RFC 6376 §5.3 has the signature cover what
/// is sent. Others' signatures stay, broken as they are.
pub(crate) async fn in_seven_bits(
    shared: &Shared,
    row: &QueueRow,
) -> Result<Result<Fitted, Unconvertible>, StoreError> {
    // It is read in parts, and in no order.
    let kept = shared.store.kept(&[row.content], true, false)?.rows.pop().flatten();
    let gone = || StoreError::NotFound(format!("content {}", row.content));
    shared.store.compare(&kept.ok_or_else(gone)?).await?;
    let read = |range| piece(shared, row, range);
    let end = row.size.saturating_sub(u64::from(row.skip));
    let mut parser = Parser::new();
    each_piece(0..end, read, |octets| parser.feed(octets))?;
    let root = parser.finish().root;
    let mut plan = match Plan::make(&root, Carries::SevenBit, read)? {
        Ok(plan) => plan,
        Err(why) => return Ok(Err(why)),
    };
    let header = root.header_start..root.body_start;
    let mut signer = None;
    if plan.changes() && header.end <= HEADER_OCTETS_MAX as u64 {
        let head = read(header.clone())?;
        let own = signing::own(shared, &head, |give| {
            each_piece(header.end..end, read, |octets| give(octets))
        })?;
        if !own.is_empty() {
            plan.change_header(header.clone(), head, |head| signing::without(&head, &own));
            signer = Some(Signer::default());
        }
    }
    let mut rewrite = Rewrite::new(plan.clone());
    let (mut octets, mut out) = (0, Vec::new());
    while let Some(range) = rewrite.wants() {
        rewrite.give(&read(range)?, &mut out);
        if !out.is_ascii() {
            return Ok(Err(Unconvertible("there are 8-bit octets outside of its parts")));
        }
        if let Some(signer) = &mut signer {
            signer.feed(&out);
        }
        octets += out.len() as u64;
        out.clear();
    }
    if let Some(signer) = signer {
        let signed = signing::signatures(shared, signer)?.into_bytes();
        octets += signed.len() as u64;
        plan.change_header(header.clone(), read(header)?, |head| [signed, head].concat());
    }
    Ok(Ok(Fitted { plan, octets }))
}

fn each_piece(
    range: std::ops::Range<u64>,
    read: impl Fn(std::ops::Range<u64>) -> Result<Vec<u8>, StoreError>,
    mut give: impl FnMut(&[u8]),
) -> Result<(), StoreError> {
    let mut at = range.start;
    while at < range.end {
        let to = range.end.min(at + PIECE_OCTETS);
        give(&read(at..to)?);
        at = to;
    }
    Ok(())
}

/// Appends the next octets of the message that fits; whether there were any.
pub(crate) fn next_piece(
    shared: &Shared,
    row: &QueueRow,
    rewrite: &mut Rewrite,
    out: &mut Vec<u8>,
) -> Result<bool, StoreError> {
    let Some(range) = rewrite.wants() else { return Ok(false) };
    rewrite.give(&piece(shared, row, range)?, out);
    Ok(true)
}
