//! The statements that users and attackers of other servers taught us have ids; each is a test
//! whose name begins with it: `fn s_06_…`, `fn sm_4_s_06_…`; those of IMAP may be comments of the
//! transcripts of tests/imap instead: `-- I-54: …`. What has no test yet says here why.

use std::collections::BTreeSet;

/// A letter, and the numbers there are.
const IDS: [(&str, u32, u32, usize); 11] = [
    ("s", 1, 23, 2),
    ("s", 30, 37, 2),
    ("p", 1, 7, 2),
    ("sm", 1, 11, 1),
    ("au", 1, 5, 1),
    ("i", 1, 14, 2),
    ("i", 20, 27, 2),
    ("i", 30, 41, 2),
    ("i", 50, 64, 2),
    ("i", 70, 77, 2),
    ("i", 80, 85, 2),
];

/// Ids beside those.
const MORE: [&str; 1] = ["s_62"];

/// Of things that are not there yet, or that no test can show without a clock; an entry goes when
/// its test comes.
const LATER: [(&str, &str); 0] = [];

/// Ids without a test, and excuses that are none.
pub fn untested(files: &[(String, String)]) -> Vec<String> {
    let named: BTreeSet<String> = files
        .iter()
        .flat_map(|(name, text)| if name.ends_with(".txt") { comments(text) } else { tests(text) })
        .collect();
    let wanted = IDS.iter().flat_map(|(letter, from, to, width)| {
        (*from..=*to).map(move |n| format!("{letter}_{n:0width$}"))
    });
    let wanted = wanted.chain(MORE.map(str::to_owned));
    let mut found = Vec::new();
    for id in wanted {
        let excused = LATER.iter().any(|(later, _)| *later == id);
        match (named.contains(&id), excused) {
            (false, false) => found.push(format!("statement {id}: no test is named fn {id}_…")),
            (true, true) => found.push(format!("statement {id} has a test; strike it from LATER")),
            _ => {}
        }
    }
    found
}

/// The ids of IMAP's statements in the comments of a transcript.
fn comments(text: &str) -> Vec<String> {
    let comments = text.lines().filter(|line| line.starts_with("--"));
    let words = comments.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '-'));
    words
        .filter_map(|word| word.strip_prefix("I-"))
        .filter(|number| number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit()))
        .map(|number| format!("i_{number}"))
        .collect()
}

/// The ids at the start of the names of functions.
fn tests(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        let Some(name) = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ") else {
            continue;
        };
        let mut words = name.split('_');
        while let (Some(letters), Some(number)) = (words.next(), words.next()) {
            let known = IDS.iter().any(|(known, ..)| *known == letters);
            if !known || !number.bytes().all(|b| b.is_ascii_digit()) {
                break;
            }
            found.push(format!("{letters}_{number}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_of_transcripts_name_ids() {
        let text = "rfc: 1; users.md I-62\n-- I-55, I-54: sets\nC1: I-33\n-- (I-83)";
        assert_eq!(comments(text), ["i_55", "i_54", "i_83"]);
    }

    #[test]
    fn names_begin_with_ids() {
        let text = "    async fn sm_4_s_06_x() {}\nfn p_01_y() {}\n// fn s_07_\nfn s_x() {}";
        assert_eq!(tests(text), ["sm_4", "s_06", "p_01"]);
        let files = [("x.rs".to_owned(), text.to_owned())];
        let missing = untested(&files);
        assert!(missing.iter().any(|line| line.contains("s_07")));
        assert!(!missing.iter().any(|line| line.contains("s_06")));
    }
}
