//! What accounts say of their mail by what they do with it: spam or not. users.md I-84.
//!
//! What counts is noted in the commit that does it, as a row that waits, so that no lesson is lost
//! or taught by something that did not happen; what it teaches is worked out later, in the
//! background (`delivery::learning`). The acts:
//!
//! - a move or a copy into a mailbox used as `\Junk`, or one below it: spam. A copy counts as well,
//!   since clients without MOVE copy and expunge; so does APPEND, by which clients move from one
//!   server to another;
//! - a move or a copy out of there, but into `\Trash`: not spam. Whoever empties Junk by way of the
//!   trash says nothing about it;
//! - a move or a copy into `\Archive`, and `\Answered`: not spam. These are the only acts by which
//!   people say so of mail that was never taken for spam, and without such mail there is nothing to
//!   compare with;
//! - the keywords `$Junk` and `$NotJunk` (RFC 9051 §2.3.2), and what Thunderbird calls them
//!   (`Junk`, `NonJunk`) or Apple Mail did once (`NotJunk`); both together say nothing, and
//!   when the last one goes what it said is taken back.
//!
//! What is delivered into Junk is no act of anybody. The last act counts. Between accounts nothing
//! does: what is spam to one is not to the other.

use crate::error::Result;
use crate::known::Known;
use crate::limits::{LESSON_MESSAGES_MAX, LESSONS_WAITING_MAX};
use crate::open::Store;
use crate::rows::{Holder, MailboxRow};
use crate::txn::ReadTxn;
use crate::write::Writing;
use mail::{AccountId, ContentId, Flag, FlagBits, Keyword, KeywordTable, MailboxId, SpecialUse};
use std::sync::Arc;
use tokio::sync::watch;

/// What an account says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is spam.
    Spam,
    /// It is not.
    Ham,
    /// Nothing, any more.
    Nothing,
}

/// One act, and the messages it was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// The name of its row.
    pub name: String,
    /// What was said.
    pub said: Said,
    /// Of which messages.
    pub contents: Vec<ContentId>,
}

/// What an account has taught so far, as octets that others make and read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taught {
    /// How often which words were in which mail.
    pub words: Vec<u8>,
    /// Which messages taught that.
    pub messages: Vec<u8>,
}

const WORDS: &str = "words";
const MESSAGES: &str = "messages";
/// The keywords that say spam, and those that say the opposite.
const SPAM: [&str; 2] = ["$Junk", "Junk"];
const HAM: [&str; 4] = ["$NotJunk", "NotJunk", "NonJunk", "$NonJunk"];

/// The keywords of a mailbox that say something.
pub(crate) struct Telling {
    spam: FlagBits,
    ham: FlagBits,
}

impl Telling {
    /// `None` when nothing among `changed` says anything.
    pub fn of(table: &KeywordTable, changed: FlagBits) -> Option<Telling> {
        const SILENT: FlagBits =
            FlagBits::SEEN.with(FlagBits::FLAGGED).with(FlagBits::DELETED).with(FlagBits::DRAFT);
        if changed.without(SILENT) == FlagBits::default() {
            return None;
        }
        let bit = |name: &&str| table.bit(&Flag::Keyword(Keyword::new(name)?));
        let all =
            |names: &[&str]| names.iter().filter_map(bit).fold(FlagBits::default(), FlagBits::with);
        let telling = Telling { spam: all(&SPAM), ham: all(&HAM) };
        let any = telling.spam.with(telling.ham).with(FlagBits::ANSWERED);
        (changed.0 & any.0 != 0).then_some(telling)
    }

    fn keywords(&self, flags: FlagBits) -> Said {
        match (flags.0 & self.spam.0 != 0, flags.0 & self.ham.0 != 0) {
            (true, false) => Said::Spam,
            (false, true) => Said::Ham,
            _ => Said::Nothing,
        }
    }

    /// What a change of flags says.
    pub fn said(&self, before: FlagBits, after: FlagBits) -> Option<Said> {
        let (was, is) = (self.keywords(before), self.keywords(after));
        let answered = |flags: FlagBits| flags.contains(FlagBits::ANSWERED);
        match was == is {
            false => Some(is),
            true if is == Said::Nothing && !answered(before) && answered(after) => Some(Said::Ham),
            true => None,
        }
    }
}

/// The mailbox is used for that, or is below one that is.
fn is_within(txn: &dyn ReadTxn, row: &MailboxRow, special_use: SpecialUse) -> Result<bool> {
    let is = |row: &MailboxRow| row.special_use == Some(special_use);
    let mut above = row.name.parent();
    let mut found = is(row);
    while let (false, Some(name)) = (found, above) {
        found = txn.mailbox_named(row.account, &name)?.is_some_and(|row| is(&row));
        above = name.parent();
    }
    Ok(found)
}

/// What moving or copying from one mailbox to the other says.
pub(crate) fn of_move(
    w: &mut Writing<'_>,
    source: &MailboxRow,
    target: &MailboxRow,
) -> Result<Option<Said>> {
    if !w.learn || source.account != target.account || source.id == target.id {
        return Ok(None);
    }
    // Names and uses are always written at once.
    let txn = w.unit.rows();
    let source_is = |special_use| is_within(txn, source, special_use);
    let target_is = |special_use| is_within(txn, target, special_use);
    let said = match (source_is(SpecialUse::Junk)?, target_is(SpecialUse::Junk)?) {
        (true, true) => None,
        (false, true) => Some(Said::Spam),
        (true, false) => (!target_is(SpecialUse::Trash)?).then_some(Said::Ham),
        (false, false) if target_is(SpecialUse::Archive)? => {
            let nothing = source_is(SpecialUse::Archive)? || source_is(SpecialUse::Trash)?;
            (!nothing).then_some(Said::Ham)
        }
        (false, false) => None,
    };
    Ok(said)
}

/// What putting a message with these flags into a mailbox says, and to which account.
pub(crate) fn of_append(
    txn: &dyn ReadTxn,
    mailbox: MailboxId,
    flags: &[Flag],
) -> Result<Option<(AccountId, Said)>> {
    // It may be gone again.
    let Some(row) = txn.mailbox(mailbox)? else { return Ok(None) };
    let mut table = KeywordTable::default();
    let bits = flags.iter().filter_map(|flag| table.bit_or_insert(flag));
    let bits = bits.fold(FlagBits::default(), FlagBits::with).without(FlagBits::ANSWERED);
    let said = match Telling::of(&table, bits).and_then(|t| t.said(FlagBits::default(), bits)) {
        None if is_within(txn, &row, SpecialUse::Junk)? => Some(Said::Spam),
        said => said,
    };
    Ok(said.map(|said| (row.account, said)))
}

/// Notes what was said of some messages. Of very many only the last ones teach.
pub(crate) fn note(
    w: &mut Writing<'_>,
    account: AccountId,
    said: Said,
    contents: &[ContentId],
) -> Result<()> {
    let of = Holder::Lessons(account);
    if !w.learn || contents.is_empty() {
        return Ok(());
    }
    if w.unit.rows().property_names(of, LESSONS_WAITING_MAX)?.len() >= LESSONS_WAITING_MAX {
        return Ok(());
    }
    let from = contents.len().saturating_sub(LESSON_MESSAGES_MAX);
    let mut row = vec![said.code()];
    for content in contents.get(from..).unwrap_or_default() {
        row.extend_from_slice(&content.0.to_le_bytes());
    }
    let name = format!("{:016x}", w.next("lesson")?);
    w.changes.lessons = true;
    w.unit.write()?.put_property(of, &name, &row)
}

impl Said {
    fn code(self) -> u8 {
        match self {
            Said::Spam => 1,
            Said::Ham => 2,
            Said::Nothing => 3,
        }
    }
    fn of_code(code: u8) -> Option<Said> {
        [Said::Spam, Said::Ham, Said::Nothing].into_iter().find(|said| said.code() == code)
    }
}

impl Lesson {
    /// One that is damaged is about no message.
    fn decode(name: String, row: &[u8]) -> Lesson {
        let read = row.split_first().and_then(|(code, rest)| {
            let contents = rest.as_chunks::<8>().0.iter();
            let contents = contents.map(|id| ContentId(u64::from_le_bytes(*id)));
            Some((Said::of_code(*code)?, contents.collect()))
        });
        let (said, contents) = read.unwrap_or((Said::Nothing, Vec::new()));
        Lesson { name, said, contents }
    }
}

/// Learning from what accounts say of their mail.
impl Store {
    /// Bumps after each commit with a new lesson.
    pub fn lessons_watch(&self) -> watch::Receiver<u64> {
        self.inner.lessons.clone()
    }

    /// The accounts of which lessons wait.
    pub fn accounts_with_lessons(&self) -> Result<Vec<AccountId>> {
        let found = self.look(|txn| txn.owners(Holder::Lessons(AccountId(0))))?;
        Ok(found.into_iter().map(AccountId).collect())
    }

    /// The lessons of an account that wait, oldest first.
    pub fn lessons(&self, account: AccountId) -> Result<Vec<Lesson>> {
        let rows = self.look(|txn| txn.properties(Holder::Lessons(account)))?;
        Ok(rows.into_iter().map(|(name, row)| Lesson::decode(name, &row)).collect())
    }

    /// What an account has taught; nothing when it has taught nothing.
    pub fn taught(&self, account: AccountId) -> Result<Taught> {
        let of = Holder::Taught(account);
        self.look(|txn| {
            let read = |name| Ok(txn.property(of, name)?.unwrap_or_default());
            Ok(Taught { words: read(WORDS)?, messages: read(MESSAGES)? })
        })
    }

    /// The words of [`Store::taught`], which are remembered; `None` when nothing was taught.
    pub fn taught_words(&self, account: AccountId) -> Result<Option<Arc<[u8]>>> {
        let read = || self.look(|txn| txn.property(Holder::Taught(account), WORDS));
        self.inner.known.taught(account, || Ok(read()?.map(Arc::from)))
    }

    /// Keeps what some lessons, named in `learned`, made of what an account had taught. `false`,
    /// and nothing is kept, when one of them is not there any more: all was forgotten meanwhile.
    pub async fn learn(
        &self,
        account: AccountId,
        learned: Vec<String>,
        taught: Taught,
    ) -> Result<bool> {
        let known: Arc<Known> = self.inner.known.clone();
        let kept = self.write(move |w| {
            let lessons = Holder::Lessons(account);
            for name in &learned {
                if w.unit.rows().property(lessons, name)?.is_none() {
                    return Ok(false);
                }
                w.unit.write()?.remove_property(lessons, name)?;
            }
            let of = Holder::Taught(account);
            w.unit.write()?.put_property(of, WORDS, &taught.words)?;
            w.unit.write()?.put_property(of, MESSAGES, &taught.messages)?;
            Ok(true)
        });
        let kept = kept.await?;
        known.forget_taught(account);
        Ok(kept)
    }

    /// Forgets all that an account taught, and what waits.
    pub async fn forget_taught(&self, account: AccountId) -> Result<()> {
        let forget = move |w: &mut Writing<'_>| {
            w.unit.write()?.remove_properties(Holder::Taught(account))?;
            w.unit.write()?.remove_properties(Holder::Lessons(account))
        };
        self.write(forget).await?;
        self.inner.known.forget_taught(account);
        Ok(())
    }
}
