//! The delimiters of open multiparts, and which of them a line begins with. RFC 2046 §5.1.1.
//!
//! They are kept in the order of their octets, so that those a line may begin with get fewer with
//! each octet that is looked at: a line costs little more than its octets, however many multiparts
//! are open and whatever their boundaries are.

/// Delimiters in the order of their octets, each with the place of its multipart.
#[derive(Default)]
pub struct Delimiters(Vec<(Vec<u8>, usize)>);

impl Delimiters {
    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The multipart at `at` has this boundary.
    pub fn insert(&mut self, boundary: &[u8], at: usize) {
        let new = ([b"--", boundary].concat(), at);
        let place = self.0.partition_point(|other| *other < new);
        self.0.insert(place, new);
    }

    /// That of the multipart at `at` counts no longer.
    pub fn remove(&mut self, at: usize) {
        self.0.retain(|(_, other)| *other != at);
    }

    /// The longest that the line begins with, of equal ones the innermost: the place of its
    /// multipart and its length.
    pub fn of(&self, line: &[u8]) -> Option<(usize, usize)> {
        let (mut found, mut left) = (None, self.0.as_slice());
        for at in 0..=line.len() {
            // The shortest stand first.
            while let Some(((delimiter, place), rest)) = left.split_first() {
                if delimiter.len() > at {
                    break;
                }
                found = Some((*place, at));
                left = rest;
            }
            let Some(octet) = line.get(at) else { break };
            left = narrowed(left, at, *octet);
            if let [(delimiter, place)] = left {
                return match line.starts_with(delimiter) {
                    true => Some((*place, delimiter.len())),
                    false => found,
                };
            }
            if left.is_empty() {
                break;
            }
        }
        found
    }
}

/// Those with this octet there; before it they are all alike.
fn narrowed(all: &[(Vec<u8>, usize)], at: usize, octet: u8) -> &[(Vec<u8>, usize)] {
    let there = |(delimiter, _): &(Vec<u8>, usize)| delimiter.get(at).copied();
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return &[] };
    if there(first) == there(last) {
        return if there(first) == Some(octet) { all } else { &[] };
    }
    let from = all.partition_point(|delimiter| there(delimiter) < Some(octet));
    let to = all.partition_point(|delimiter| there(delimiter) <= Some(octet));
    all.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_and_innermost_is_found() {
        let all: [&[u8]; 8] = [b"b", b"a", b"aa", b"a", b"aab", b"\xff", b"aac", b"b"];
        let mut delimiters = Delimiters::default();
        all.iter().enumerate().for_each(|(at, boundary)| delimiters.insert(boundary, at));
        let mut left: Vec<usize> = (0..all.len()).collect();
        loop {
            for a in [b"".as_slice(), b"-", b"--"] {
                for b in [b"".as_slice(), b"a", b"aa", b"aab", b"aacb", b"ab", b"b", b"c", b"\xffa"]
                {
                    let line = [a, b].concat();
                    let fits = |at: &usize| {
                        let delimiter = [b"--", all[*at]].concat();
                        line.starts_with(&delimiter).then_some((delimiter.len(), *at))
                    };
                    let expected = left.iter().filter_map(fits).max();
                    let found = delimiters.of(&line).map(|(at, octets)| (octets, at));
                    assert_eq!(found, expected, "{}", line.escape_ascii());
                }
            }
            let Some(gone) = left.pop() else { break };
            delimiters.remove(gone);
        }
    }
}
