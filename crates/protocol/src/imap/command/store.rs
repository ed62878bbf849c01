//! STORE. RFC 3501 §6.4.6, UNCHANGEDSINCE of RFC 7162 §3.1.3, ANNOTATION of RFC 5257 §4.5.

use super::annotate;
use crate::imap::grammar::{Bad, Cursor, Read, SequenceSet};
use mail::{Annotation, Flag};

/// STORE. RFC 3501 §6.4.6.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// UID STORE
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// UNCHANGEDSINCE. RFC 7162 §3.1.3.
    pub unchanged_since: Option<u64>,
    /// `+`, `-`, or neither.
    pub change: Change,
    /// `.SILENT`
    pub silent: bool,
    /// Which flags.
    pub flags: Vec<Flag>,
    /// Annotations, and then no flags: ANNOTATION. RFC 5257 §4.5.
    pub annotations: Vec<Annotation>,
}

/// What STORE does with the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the RFC's names")]
pub enum Change {
    Add,
    Remove,
    Replace,
}

pub(super) fn store(from: &mut Cursor<'_>, uid: bool) -> Read<Store> {
    let set = from.sequence_set()?;
    from.space()?;
    let mut unchanged_since = None;
    if from.eat(b'(') {
        if from.keyword()? != "UNCHANGEDSINCE" {
            return Err(Bad("UNCHANGEDSINCE"));
        }
        from.space()?;
        unchanged_since = Some(from.mod_sequence()?);
        from.expect(b')', "a closing parenthesis")?;
        from.space()?;
    }
    let word = from.keyword()?;
    let (word, silent) = match word.strip_suffix(".SILENT") {
        Some(word) => (word, true),
        None => (word.as_str(), false),
    };
    let (mut flags, mut annotations) = (Vec::new(), Vec::new());
    let change = match word {
        "ANNOTATION" if !silent => {
            from.space()?;
            annotations = annotate::annotations(from)?;
            let (change, silent) = (Change::Replace, true);
            return Ok(Store { uid, set, unchanged_since, change, silent, flags, annotations });
        }
        "+FLAGS" => Change::Add,
        "-FLAGS" => Change::Remove,
        "FLAGS" => Change::Replace,
        _ => return Err(Bad("FLAGS, +FLAGS, -FLAGS or ANNOTATION")),
    };
    from.space()?;
    if from.peek() == Some(b'(') {
        flags = from.flag_list()?;
    } else {
        flags.extend(from.flag()?);
        while from.eat(b' ') {
            flags.extend(from.flag()?);
        }
    }
    Ok(Store { uid, set, unchanged_since, change, silent, flags, annotations })
}
