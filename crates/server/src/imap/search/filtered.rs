//! FILTER: searches that are kept under a name are put in its place. RFC 5466 §3.1.
//!
//! Invariant: what comes out has no FILTER, and no more keys than one command may have, however
//! often filters name others.

use super::Stopped;
use crate::imap::Context;
use crate::imap::property::FILTERS;
use ::store::Holder;
use protocol::imap::command::search::{self, Key, Search};
use protocol::imap::session::Answer;

/// Filters within filters; one that names itself is not there, RFC 5466 §3.1.
const PASSES_MAX: usize = 8;
/// Octets of all that is put in.
const OCTETS_MAX: usize = 256 * 1024;

/// An account's filters, and how many octets of them may still be put in.
struct Filters {
    kept: Vec<(String, Vec<u8>)>,
    octets_left: usize,
}

impl Context {
    /// What a search looks for, with filters in place.
    pub(super) fn with_filters(&self, search: &Search) -> Result<Key, Stopped> {
        let key = search.key.clone();
        if !search.key.has_filter() {
            return Ok(key);
        }
        let who = self.actor()?.account;
        let kept = self.shared.store.annotations(Holder::Account(who), who)?;
        let key = Filters { kept, octets_left: OCTETS_MAX }.put_in(key, 0)?;
        if key.fits_command() { Ok(key) } else { Err(too_large()) }
    }
}

impl Filters {
    fn put_in(&mut self, key: Key, passes: usize) -> Result<Key, Stopped> {
        Ok(match key {
            Key::Filter(name) => {
                let undefined = || {
                    let text = format!("[UNDEFINED-FILTER {name}] There is no such filter");
                    Stopped::Answer(Answer::No(text))
                };
                let entry = format!("{FILTERS}{name}");
                let value = self.kept.iter().find(|(name, _)| *name == entry);
                let (_, value) = value.filter(|_| passes < PASSES_MAX).ok_or_else(undefined)?;
                self.octets_left =
                    self.octets_left.checked_sub(value.len()).ok_or_else(too_large)?;
                let found = search::filter(value).ok_or_else(undefined)?;
                self.put_in(found, passes + 1)?
            }
            Key::And(keys) => {
                let keys = keys.into_iter().map(|key| self.put_in(key, passes));
                Key::And(keys.collect::<Result<_, _>>()?)
            }
            Key::Or(a, b) => {
                Key::Or(Box::new(self.put_in(*a, passes)?), Box::new(self.put_in(*b, passes)?))
            }
            Key::Not(key) => Key::Not(Box::new(self.put_in(*key, passes)?)),
            key => key,
        })
    }
}

/// RFC 5530 §3: LIMIT.
fn too_large() -> Stopped {
    let text = "[LIMIT] With its filters, the search is too large";
    Stopped::Answer(Answer::No(text.to_owned()))
}
