//! What one account has taught, as octets: in how many of its spams, and of its other messages,
//! each word was; and which messages these were, so that none is learned twice and each can be
//! taken back exactly.
//!
//! Words: version, spams, other messages (4 octets each, little endian), then records sorted by
//! key: key (6 octets of a hash), times in spam, times in others, when last (2 octets each). Words
//! are kept as hashes: it is nobody's business to read them out of the database, and records of one
//! size are searched where they are. Messages: version, then 8 octets each, oldest first.
//! What does not read like that, or is of another version, counts as nothing.

use crate::limits::{SPAM_LESSONS_MAX, SPAM_MESSAGES_MAX, SPAM_WORDS_MAX};
use std::collections::HashMap;

const VERSION: u8 = 1;
const HEAD: usize = 9;
const RECORD: usize = 12;
/// Lessons that count as one moment when it comes to how long ago a word was taught.
const MOMENT: u32 = 8;
/// The bit of a remembered message that says spam.
const SPAM_BIT: u64 = 1 << 63;

/// What an account thinks of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// Spam.
    Spam,
    /// Not spam.
    Ham,
    /// None any more.
    Nothing,
}

/// What an account thinks of one message.
#[derive(Clone, Debug)]
pub struct Lesson {
    message: u64,
    words: Vec<u64>,
    opinion: Opinion,
}

impl Lesson {
    /// `message` is a number that only messages of the same octets share; no two `tokens` are the
    /// same.
    pub fn new(message: u64, tokens: &[String], opinion: Opinion) -> Lesson {
        let words = tokens.iter().map(|token| key(token)).collect();
        Lesson { message: message & !SPAM_BIT, words, opinion }
    }
}

/// The key of a token: 48 bits of FNV-1a, well mixed. It never changes.
pub(super) fn key(token: &str) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in token.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (hash ^ (hash >> 33)) >> 16
}

/// The words of an account, where they are kept.
pub(super) struct Words<'a> {
    pub spam: u32,
    pub ham: u32,
    records: &'a [[u8; RECORD]],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    key: u64,
    spam: u16,
    ham: u16,
    moment: u16,
}

impl Record {
    fn read(octets: &[u8; RECORD]) -> Record {
        let [a, b, c, d, e, f, s0, s1, h0, h1, m0, m1] = *octets;
        Record {
            key: u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
            spam: u16::from_le_bytes([s0, s1]),
            ham: u16::from_le_bytes([h0, h1]),
            moment: u16::from_le_bytes([m0, m1]),
        }
    }
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.key.to_be_bytes().get(2..).unwrap_or_default());
        for part in [self.spam, self.ham, self.moment] {
            out.extend_from_slice(&part.to_le_bytes());
        }
    }
}

impl<'a> Words<'a> {
    pub fn read(octets: &'a [u8]) -> Option<Words<'a>> {
        let (head, rest) = octets.split_first_chunk::<HEAD>()?;
        let [VERSION, s0, s1, s2, s3, h0, h1, h2, h3] = *head else { return None };
        let (records, []) = rest.as_chunks::<RECORD>() else { return None };
        Some(Words {
            spam: u32::from_le_bytes([s0, s1, s2, s3]),
            ham: u32::from_le_bytes([h0, h1, h2, h3]),
            records,
        })
    }

    /// In how many spams and in how many other messages a word was.
    pub fn of(&self, key: u64) -> Option<(u16, u16)> {
        let at = self.records.binary_search_by_key(&key, |octets| Record::read(octets).key).ok()?;
        let found = Record::read(self.records.get(at)?);
        Some((found.spam, found.ham))
    }
}

/// How many spams and other messages were learned from, and how many words are known.
pub fn counts(words: &[u8]) -> (u32, u32, usize) {
    let found = Words::read(words);
    found.map_or((0, 0, 0), |words| (words.spam, words.ham, words.records.len()))
}

/// What words and messages become by some lessons, in their order.
pub fn learn(words: &[u8], messages: &[u8], lessons: &[Lesson]) -> (Vec<u8>, Vec<u8>) {
    let mut memory = Memory::read(messages);
    let old = Words::read(words).unwrap_or(Words { spam: 0, ham: 0, records: &[] });
    let mut change =
        Change { spam: i64::from(old.spam), ham: i64::from(old.ham), words: Vec::new() };
    for lesson in lessons {
        let before = memory.opinion(lesson.message);
        if before == lesson.opinion {
            continue;
        }
        change.count(lesson, before, -1);
        change.count(lesson, lesson.opinion, 1);
        memory.set(lesson.message, lesson.opinion);
    }
    (change.apply(&old), memory.write())
}

/// What lessons add to the counts.
struct Change {
    spam: i64,
    ham: i64,
    /// Key, times in spam, times in others.
    words: Vec<(u64, i64, i64)>,
}

impl Change {
    fn count(&mut self, lesson: &Lesson, opinion: Opinion, by: i64) {
        let (spam, ham) = match opinion {
            Opinion::Spam => (by, 0),
            Opinion::Ham => (0, by),
            Opinion::Nothing => return,
        };
        self.spam += spam;
        self.ham += ham;
        self.words.extend(lesson.words.iter().map(|key| (*key, spam, ham)));
    }

    fn apply(mut self, old: &Words<'_>) -> Vec<u8> {
        self.words.sort_unstable_by_key(|word| word.0);
        let counted = |n: i64| n.clamp(0, i64::from(u32::MAX)) as u32;
        let (mut spam, mut ham) = (counted(self.spam), counted(self.ham));
        let moment = (spam.saturating_add(ham) / MOMENT).min(u32::from(u16::MAX)) as u16;
        let mut records = merge(old.records, &self.words, moment);
        age(&mut records);
        // Old lessons count less and less, and no count runs over.
        while spam.max(ham) > SPAM_LESSONS_MAX {
            (spam, ham) = (spam / 2, ham / 2);
            for record in &mut records {
                record.spam = record.spam.div_ceil(2);
                record.ham = record.ham.div_ceil(2);
                record.moment /= 2;
            }
        }
        let mut out = Vec::with_capacity(HEAD + records.len() * RECORD);
        out.push(VERSION);
        out.extend_from_slice(&spam.to_le_bytes());
        out.extend_from_slice(&ham.to_le_bytes());
        records.into_iter().for_each(|record| record.write(&mut out));
        out
    }
}

/// Adds sorted changes to sorted records. What is in no message any more goes.
fn merge(old: &[[u8; RECORD]], changes: &[(u64, i64, i64)], moment: u16) -> Vec<Record> {
    let mut out = Vec::with_capacity(old.len() + changes.len());
    let mut old = old.iter().map(Record::read).peekable();
    for same in changes.chunk_by(|a, b| a.0 == b.0) {
        let Some((key, ..)) = same.first().copied() else { continue };
        while let Some(before) = old.next_if(|record| record.key < key) {
            out.push(before);
        }
        let fresh = Record { key, spam: 0, ham: 0, moment };
        let known = old.next_if(|record| record.key == key).unwrap_or(fresh);
        let sum = |n: u16, by: i64| (i64::from(n) + by).clamp(0, i64::from(u16::MAX)) as u16;
        let spam = sum(known.spam, same.iter().map(|change| change.1).sum());
        let ham = sum(known.ham, same.iter().map(|change| change.2).sum());
        if spam > 0 || ham > 0 {
            out.push(Record { key, spam, ham, moment });
        }
    }
    out.extend(old);
    out
}

/// With too many words those go that were not taught for the longest, and of those the rarest.
fn age(records: &mut Vec<Record>) {
    if records.len() <= SPAM_WORDS_MAX {
        return;
    }
    // A quarter is left free, so that this is not done each time.
    let gone = records.len() - SPAM_WORDS_MAX / 4 * 3;
    let worth = |record: &Record| {
        (record.moment, u32::from(record.spam) + u32::from(record.ham), record.key)
    };
    records.select_nth_unstable_by_key(gone, worth);
    records.drain(..gone);
    records.sort_unstable_by_key(|record| record.key);
}

/// The messages that were learned from, oldest first.
struct Memory {
    order: Vec<u64>,
    opinions: HashMap<u64, Opinion>,
}

impl Memory {
    fn read(octets: &[u8]) -> Memory {
        let mut memory = Memory { order: Vec::new(), opinions: HashMap::new() };
        let Some((VERSION, rest)) = octets.split_first().map(|(version, rest)| (*version, rest))
        else {
            return memory;
        };
        for entry in rest.as_chunks::<8>().0 {
            let entry = u64::from_le_bytes(*entry);
            let opinion = if entry & SPAM_BIT == 0 { Opinion::Ham } else { Opinion::Spam };
            memory.set(entry & !SPAM_BIT, opinion);
        }
        memory
    }

    fn opinion(&self, message: u64) -> Opinion {
        self.opinions.get(&message).copied().unwrap_or(Opinion::Nothing)
    }

    fn set(&mut self, message: u64, opinion: Opinion) {
        // One that is taken back and taught again is in the list twice; the last place counts.
        if opinion == Opinion::Nothing {
            self.opinions.remove(&message);
        } else if self.opinions.insert(message, opinion).is_none() {
            self.order.push(message);
        }
    }

    fn write(self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let mut opinions = self.opinions;
        let mut entries = Vec::with_capacity(opinions.len());
        for message in self.order.into_iter().rev() {
            let Some(opinion) = opinions.remove(&message) else { continue };
            entries.push(if opinion == Opinion::Spam { message | SPAM_BIT } else { message });
        }
        entries.truncate(SPAM_MESSAGES_MAX);
        entries.into_iter().rev().for_each(|entry| out.extend_from_slice(&entry.to_le_bytes()));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lesson(message: u64, text: &str, opinion: Opinion) -> Lesson {
        let tokens: Vec<String> = text.split(' ').map(str::to_owned).collect();
        Lesson::new(message, &tokens, opinion)
    }

    fn of(words: &[u8], word: &str) -> Option<(u16, u16)> {
        Words::read(words).and_then(|words| words.of(key(word)))
    }

    #[test]
    fn a_message_is_learned_once_and_taken_back_exactly() {
        let first = [lesson(1, "a b", Opinion::Spam), lesson(2, "b c", Opinion::Ham)];
        let (words, messages) = learn(&[], &[], &first);
        assert_eq!(counts(&words), (1, 1, 3));
        assert_eq!((of(&words, "a"), of(&words, "b")), (Some((1, 0)), Some((1, 1))));
        // The same again, in one go or later.
        let again = [first[0].clone(), first[0].clone()];
        assert_eq!(learn(&words, &messages, &again), (words.clone(), messages.clone()));
        // The other way round, and back, and nothing at all.
        let (other, memory) = learn(&words, &messages, &[lesson(1, "a b", Opinion::Ham)]);
        assert_eq!((counts(&other), of(&other, "a")), ((0, 2, 3), Some((0, 1))));
        let (back, memory) = learn(&other, &memory, &[lesson(1, "a b", Opinion::Spam)]);
        assert_eq!(back, words);
        let (one, memory) = learn(&back, &memory, &[lesson(1, "a b", Opinion::Nothing)]);
        assert_eq!((counts(&one), of(&one, "a")), ((0, 1, 2), None));
        let (none, memory) = learn(&one, &memory, &[lesson(2, "b c", Opinion::Nothing)]);
        assert_eq!((counts(&none), memory.len()), ((0, 0, 0), 1));
    }

    #[test]
    fn lessons_one_by_one_are_lessons_together() {
        let opinions = [Opinion::Spam, Opinion::Ham, Opinion::Nothing];
        let lessons: Vec<Lesson> = (0..300u64)
            .map(|n| {
                let message = n * 7 % 40;
                let text = format!("w{} w{} w{}", message % 5, message % 11, 100 + message);
                lesson(message, &text, opinions[(n * 5 % 3) as usize])
            })
            .collect();
        let together = learn(&[], &[], &lessons);
        let one_by_one = lessons.iter().fold((Vec::new(), Vec::new()), |(words, memory), one| {
            learn(&words, &memory, std::slice::from_ref(one))
        });
        assert_eq!(counts(&together.0), counts(&one_by_one.0));
        for n in 0..140 {
            let word = format!("w{n}");
            assert_eq!(of(&together.0, &word), of(&one_by_one.0, &word), "{word}");
        }
    }

    #[test]
    fn words_and_messages_are_bounded_and_the_oldest_go() {
        let (mut words, mut messages) = (Vec::new(), Vec::new());
        let per = 1_000;
        let rounds = SPAM_WORDS_MAX as u64 / per + 20;
        for n in 0..rounds {
            let mut text = String::from("always");
            (0..per).for_each(|i| text.push_str(&format!(" w{}", n * per + i)));
            let lessons = [lesson(n, &text, Opinion::Spam)];
            (words, messages) = learn(&words, &messages, &lessons);
            assert!(counts(&words).2 <= SPAM_WORDS_MAX);
        }
        assert_eq!(of(&words, "w0"), None);
        assert_eq!(of(&words, &format!("w{}", rounds * per - 1)), Some((1, 0)));
        assert_eq!(of(&words, "always"), Some((rounds as u16, 0)));
        let many: Vec<Lesson> =
            (0..60_000).map(|n| lesson(5_000 + n, "x", Opinion::Spam)).collect();
        (words, messages) = learn(&words, &messages, &many);
        assert_eq!(messages.len(), 1 + 8 * SPAM_MESSAGES_MAX);
        assert!(counts(&words).0 <= SPAM_LESSONS_MAX && of(&words, "x").is_some());
    }

    #[test]
    fn damaged_octets_count_as_nothing() {
        let (words, messages) = learn(&[], &[], &[lesson(1, "a", Opinion::Spam)]);
        for damaged in [&b"\x02"[..], &words[..words.len() - 1], b"\x01\x01"] {
            assert_eq!(counts(damaged), (0, 0, 0));
            let taught = learn(damaged, &messages, &[lesson(2, "a", Opinion::Ham)]);
            assert_eq!(counts(&taught.0), (0, 1, 1));
        }
        assert_eq!(learn(&[], b"\x07abc", &[lesson(1, "a", Opinion::Spam)]).1, messages);
    }
}
