//! Patterns of LIST. RFC 9051 §6.3.9: `*` is anything, `%` anything but a separator.
//!
//! All places in a pattern where a name may be are followed at once, a bit each, so that a name
//! costs its length times a 64th of the pattern's, whatever they say.

use mail::mailbox_name::SEPARATOR;

/// Octets of reference and pattern together; no mailbox name is longer.
const PATTERN_OCTETS_MAX: usize = 2048;

/// A pattern, ready to be compared with names.
pub(super) struct Pattern {
    text: String,
    places: Places,
}

impl Pattern {
    /// Reference and pattern put together, equal wildcards in a row made one; `None` for what is
    /// longer than any name.
    pub fn new(reference: &str, pattern: &str) -> Option<Pattern> {
        let mut text = String::new();
        for c in reference.chars().chain(pattern.chars()) {
            let last = text.chars().next_back();
            match (last, c) {
                (Some('*'), '*' | '%') | (Some('%'), '%') => {}
                (Some('%'), '*') => {
                    text.pop();
                    text.push('*');
                }
                _ => text.push(c),
            }
        }
        if text.len() > PATTERN_OCTETS_MAX {
            return None;
        }
        Some(Pattern { places: Places::new(text.as_bytes()), text })
    }

    /// What matches has this name or is below it; empty when it may be anything.
    pub fn stem(&self) -> &str {
        let wild = self.text.find(['*', '%']);
        let stem = self.text.get(..wild.unwrap_or(self.text.len())).unwrap_or_default();
        match wild {
            Some(_) => stem.rsplit_once(SEPARATOR).map_or("", |(stem, _)| stem),
            None => stem,
        }
    }

    /// INBOX as the first level is matched in any case: RFC 3501 §5.1, §6.3.8.
    pub fn matches(&self, name: &str) -> bool {
        let rest = name.strip_prefix(INBOX);
        let inbox = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(SEPARATOR));
        self.places.matches(name.as_bytes(), if inbox { INBOX.len() } else { 0 })
    }
}

const INBOX: &str = "INBOX";

/// The places in a pattern: in front of its first octet, wildcards left out, up to behind the last.
struct Places {
    /// What stands in front of the first wildcard.
    start: Vec<u8>,
    /// There is none.
    plain: bool,
    /// The octets of the pattern, in order, each once.
    octets: Vec<u8>,
    /// For each of those the places that it leads to.
    leads: Vec<Bits>,
    /// Places where `*` stays, and where `%` does.
    star: Bits,
    percent: Bits,
    last: usize,
}

/// A bit for each place.
type Bits = Vec<u64>;

fn set(bits: &mut Bits, at: usize) {
    if let Some(word) = bits.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

impl Places {
    fn new(pattern: &[u8]) -> Places {
        let wild = |octet: &u8| matches!(octet, b'*' | b'%');
        let literal: Vec<u8> = pattern.iter().copied().filter(|octet| !wild(octet)).collect();
        let mut octets = literal.clone();
        octets.sort_unstable();
        octets.dedup();
        let empty = || vec![0; literal.len() / 64 + 1];
        let mut leads = vec![Bits::new(); octets.len()];
        for (at, octet) in literal.iter().enumerate() {
            let row = octets.binary_search(octet).ok().and_then(|row| leads.get_mut(row));
            if let Some(row) = row {
                row.resize(literal.len() / 64 + 1, 0);
                set(row, at + 1);
            }
        }
        let (mut star, mut percent, mut at) = (empty(), empty(), 0);
        for octet in pattern {
            match octet {
                b'*' => set(&mut star, at),
                b'%' => set(&mut percent, at),
                _ => at += 1,
            }
        }
        let start = pattern.iter().position(wild).unwrap_or(pattern.len());
        let plain = start == pattern.len();
        let start = pattern.get(..start).unwrap_or_default().to_vec();
        Places { start, plain, octets, leads, star, percent, last: literal.len() }
    }

    /// The places that an octet leads to.
    fn row(&self, octet: u8) -> Option<&Bits> {
        self.octets.binary_search(&octet).ok().and_then(|row| self.leads.get(row))
    }

    /// So many octets of the name, in upper case, stand for both cases.
    fn matches(&self, name: &[u8], any_case: usize) -> bool {
        let same = |(at, (a, b)): (usize, (&u8, &u8))| {
            a == b || (at < any_case && a.eq_ignore_ascii_case(b))
        };
        let begins =
            name.len() >= self.start.len() && self.start.iter().zip(name).enumerate().all(same);
        if self.plain || !begins {
            return begins && name.len() == self.start.len();
        }
        let mut now = vec![0u64; self.star.len()];
        set(&mut now, self.start.len());
        for (at, octet) in name.iter().enumerate().skip(self.start.len()) {
            let row = self.row(*octet);
            let lower = (at < any_case).then(|| self.row(octet.to_ascii_lowercase())).flatten();
            let (mut carried, mut any) = (0, 0);
            for (at, word) in now.iter_mut().enumerate() {
                let of = |bits: &Bits| bits.get(at).copied().unwrap_or_default();
                let stays = match *octet == SEPARATOR as u8 {
                    true => of(&self.star),
                    false => of(&self.star) | of(&self.percent),
                };
                let leads = row.map_or(0, of) | lower.map_or(0, of);
                let next = (((*word << 1) | carried) & leads) | (*word & stays);
                carried = *word >> 63;
                *word = next;
                any |= next;
            }
            if any == 0 {
                return false;
            }
        }
        now.get(self.last / 64).is_some_and(|word| (word >> (self.last % 64)) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::MailboxName;

    #[test]
    fn patterns_match() {
        for (pattern, name, expected) in [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("%/%", "a/b", true),
            ("inbox", "INBOX", true),
            ("inb%", "INBOX", true),
            ("inbox/*", "INBOX/x", true),
            ("a*c", "a/b/c", true),
            ("a%c", "a/c", false),
            ("", "a", false),
            ("*b", "a/b", true),
            ("Sent", "Sen", false),
            ("%a%b/c", "xab ab/c", true),
            ("*/%b", "a/ab/b", true),
            ("*%*%*", "anything/at/all", true),
            ("%*", "a/b", true),
            ("a/%", "a", false),
            ("%/b*", "a/b/c/d", true),
            ("*a%", "ba/c", false),
            ("inb*", "INBOX/x", true),
            ("i%/%", "INBOX/x", true),
            ("*x/x", "INBOX/x", true),
            ("*x/X", "INBOX/x", false),
            ("inbox*", "INBOXES", false),
        ] {
            let name = MailboxName::new(name).unwrap();
            let pattern = Pattern::new("", pattern).unwrap();
            assert_eq!(pattern.matches(name.as_str()), expected, "{} {name}", pattern.text);
        }
        for (pattern, stem) in [("a/b", "a/b"), ("a/b%", "a"), ("ab%", ""), ("a/b/*c", "a/b")] {
            assert_eq!(Pattern::new("", pattern).unwrap().stem(), stem);
        }
        let hostile = Pattern::new("", &"*%".repeat(1000)).unwrap();
        assert_eq!(hostile.text, "*");
    }

    /// By the definition, without regard for time.
    fn defined(pattern: &[u8], name: &[u8]) -> bool {
        let Some((wild, rest)) = pattern.split_first() else { return name.is_empty() };
        let may = |octet: &u8| *wild == b'*' || *octet != SEPARATOR as u8;
        match wild {
            b'*' | b'%' => (0..=name.len())
                .take_while(|n| name[..*n].last().is_none_or(may))
                .any(|n| defined(rest, &name[n..])),
            octet => name.split_first().is_some_and(|(a, name)| a == octet && defined(rest, name)),
        }
    }

    #[test]
    fn it_is_as_the_definition_says() {
        let (mut random, mut fit) = (1u32, 0);
        let mut text = |of: &[u8], most: u32| -> Vec<u8> {
            let mut next = || {
                random = random.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                random >> 16
            };
            (0..next() % most).map(|_| of[next() as usize % of.len()]).collect()
        };
        for _ in 0..20_000 {
            let (pattern, name) = (text(b"aab/*%%", 9), text(b"aaab/", 12));
            let found = Places::new(&pattern).matches(&name, 0);
            let told = (pattern.escape_ascii(), name.escape_ascii());
            assert_eq!(found, defined(&pattern, &name), "{told:?}");
            fit += u32::from(found);
        }
        assert!(fit > 1_000, "{fit}");
        // Over the edges of words.
        let long = ["a".repeat(200), "*".to_owned(), "b".repeat(63), "%c".to_owned()].concat();
        let name = ["a".repeat(200), "/b/".to_owned(), "b".repeat(63), "xc".to_owned()].concat();
        assert!(Places::new(long.as_bytes()).matches(name.as_bytes(), 0));
        assert!(!Places::new(long.as_bytes()).matches(format!("{name}/c").as_bytes(), 0));
    }
}
