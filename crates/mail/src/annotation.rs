//! Annotations of messages: named values that users keep beside a message or a part of it.
//! RFC 5257 §3.
//!
//! An entry's name is a path, `/comment` or `/1.2/vendor/x`; its value is private, for the account
//! that set it alone, or shared by all who may read the mailbox.

use crate::limits::{ANNOTATION_NAME_OCTETS_MAX, ANNOTATION_PART_LEVELS_MAX};

/// Who sees a value. RFC 5257 §3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The account that set it.
    Private,
    /// Everybody who may read the mailbox.
    Shared,
}

impl Scope {
    /// Both, in the order in which they are told.
    pub const BOTH: [Scope; 2] = [Scope::Private, Scope::Shared];

    /// What an attribute's name ends with.
    pub fn suffix(self) -> &'static str {
        match self {
            Scope::Private => ".priv",
            Scope::Shared => ".shared",
        }
    }
}

/// A value that an entry is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The entry's name.
    pub entry: String,
    /// Who sees the value.
    pub scope: Scope,
    /// The value; without one the entry goes.
    pub value: Option<Vec<u8>>,
}

/// A text can be the name of an entry, whether anything has it or not. RFC 5257 §3.2, §3.2.1.
pub fn is_entry(name: &str) -> bool {
    is_pattern(name) && name.starts_with('/') && !name.contains(['*', '%']) && part(name).is_ok()
}

/// A text can be the name of an entry with wildcards in it.
pub fn is_pattern(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= ANNOTATION_NAME_OCTETS_MAX
        && name.bytes().all(|b| (1..0x80).contains(&b))
        && !name.contains("//")
        && !name.ends_with('/')
}

/// The part of a message that an entry belongs to; `None` for the whole message. The error stands
/// for what begins like a part and is none.
#[allow(clippy::result_unit_err, reason = "there is one way to be wrong")]
pub fn part(name: &str) -> Result<Option<Vec<u32>>, ()> {
    let first = first_level(name);
    if !first.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(None);
    }
    let number = |text: &str| match text.parse::<u32>() {
        Ok(n) if n > 0 && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0') => {
            Ok(n)
        }
        _ => Err(()),
    };
    let path = first.split('.').map(number).collect::<Result<Vec<u32>, ()>>()?;
    if path.len() > ANNOTATION_PART_LEVELS_MAX { Err(()) } else { Ok(Some(path)) }
}

/// An entry of that name may be made: a standard names it, or it is under a vendor's name.
/// RFC 5257 §3.2.1, §6.2.
pub fn is_known(name: &str) -> bool {
    let of_part = !matches!(part(name), Ok(None));
    let rest = match of_part {
        true => name.get(1 + first_level(name).len()..).unwrap_or_default(),
        false => name,
    };
    match rest {
        "/comment" => true,
        "/altsubject" => !of_part,
        _ if is_flag(name) => true,
        _ => rest.strip_prefix("/vendor/").is_some_and(|token| !token.is_empty()),
    }
}

/// It is a flag of a part, which is `1` or `0`. RFC 5257 §3.2.1.
pub fn is_flag(name: &str) -> bool {
    const FLAGS: [&str; 4] =
        ["/flags/seen", "/flags/answered", "/flags/flagged", "/flags/forwarded"];
    let rest = name.get(1 + first_level(name).len()..).unwrap_or_default();
    matches!(part(name), Ok(Some(_))) && FLAGS.contains(&rest)
}

fn first_level(name: &str) -> &str {
    name.strip_prefix('/').and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

/// `*` stands for one or more octets, `%` for one or more that are no `/`. RFC 5257 §4.3. The work
/// is at most the length of the one times that of the other.
pub fn matches(pattern: &str, name: &str) -> bool {
    let name = name.as_bytes();
    // After each octet of the pattern: whether it fits the first n octets of the name.
    let mut fits: Vec<bool> = std::iter::once(true).chain(name.iter().map(|_| false)).collect();
    for wanted in pattern.bytes() {
        let mut next = vec![false; fits.len()];
        for (at, octet) in name.iter().enumerate() {
            let before = fits.get(at).copied().unwrap_or(false);
            let longer = next.get(at).copied().unwrap_or(false);
            let here = match wanted {
                b'*' => before || longer,
                b'%' => (before || longer) && *octet != b'/',
                _ => before && wanted == *octet,
            };
            if let Some(slot) = next.get_mut(at + 1) {
                *slot = here;
            }
        }
        fits = next;
    }
    fits.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths() {
        for name in
            ["/comment", "/vendor/foobar/label.priv", "/1/comment", "/1.2.3/flags/seen", "/a b"]
        {
            assert!(is_entry(name), "{name}");
        }
        let long = format!("/{}", "x".repeat(ANNOTATION_NAME_OCTETS_MAX));
        let deep = format!("/1{}/comment", ".1".repeat(ANNOTATION_PART_LEVELS_MAX));
        for name in [
            "",
            "/",
            "comment",
            "//comment",
            "/comment/",
            "/a//b",
            "/a*",
            "/%",
            "/caf\u{e9}",
            "/a\0",
            "/0/comment",
            "/1./comment",
            "/1.x/comment",
            "/1x",
            "/01/comment",
            "/4294967296/x",
            &long,
            &deep,
        ] {
            assert!(!is_entry(name), "{name}");
        }
        assert_eq!(part("/1.2/comment"), Ok(Some(vec![1, 2])));
        assert_eq!(part("/comment"), Ok(None));
    }

    #[test]
    fn what_no_standard_names_is_not_known() {
        for name in [
            "/comment",
            "/altsubject",
            "/vendor/x",
            "/vendor/x/y",
            "/2/comment",
            "/1.1/flags/forwarded",
            "/3/vendor/x",
        ] {
            assert!(is_known(name), "{name}");
        }
        for name in [
            "/flags",
            "/flags/seen",
            "/Comment",
            "/vendor",
            "/1",
            "/1/altsubject",
            "/1/flags",
            "/1/flags/draft",
            "/x",
        ] {
            assert!(!is_known(name), "{name}");
        }
    }

    #[test]
    fn wildcards_stand_for_something() {
        for (pattern, name, fits) in [
            ("/*", "/comment", true),
            ("/*", "/1/comment", true),
            ("*", "/comment", true),
            ("/%", "/comment", true),
            ("/%", "/1/comment", false),
            ("/%/comment", "/1/comment", true),
            ("/comment*", "/comment", false),
            ("/comment", "/comment", true),
            ("/comment", "/comments", false),
            ("/c%t", "/comment", true),
            ("/vendor/*/b", "/vendor/a/x/b", true),
            ("/**", "/a", false),
            ("/**", "/ab", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
        assert!(!matches(&format!("{}b", "*%".repeat(120)), &"/a".repeat(125)));
    }
}
