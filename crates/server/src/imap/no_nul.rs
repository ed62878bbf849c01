//! Messages that have NUL in them: strings of IMAP cannot carry it, so what is stored has none.
//! RFC 3501 §9 `CHAR8`, RFC 3516 §4.4, §6.

use ::store::{Spool, Store, StoreError};
use mail::mime::encode::{Carries, Plan, Rewrite};
use mail::summary::{Parser, Summary};

/// A message whose parts with NUL are encoded, and its summary; `None` when one of them cannot be:
/// it is signed, or encoded already, or the NUL is in no part.
pub(super) fn encoded(
    store: &Store,
    spool: &Spool,
    summary: &Summary,
) -> Result<Option<(Spool, Summary)>, StoreError> {
    let Ok(plan) = Plan::make(&summary.root, Carries::NoNul, |range| spool.read(range))? else {
        return Ok(None);
    };
    let mut rewrite = Rewrite::new(plan);
    let (mut made, mut parser, mut out) = (store.spool(), Parser::new(), Vec::new());
    while let Some(range) = rewrite.wants() {
        rewrite.give(&spool.read(range)?, &mut out);
        if out.contains(&0) {
            return Ok(None);
        }
        parser.feed(&out);
        made.write(&out)?;
        out.clear();
    }
    Ok(Some((made, parser.finish())))
}
