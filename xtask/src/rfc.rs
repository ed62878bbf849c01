//! Citations of RFCs: every section that code, transcripts or documents name must exist.
//!
//! `docs/rfc/sections.tsv` has the sections of the RFCs we cite, taken from their texts by
//! `cargo xtask rfc sections rfc5321.txt …`. `cargo xtask rfc coverage` lists each cited section
//! with the places that cite it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The sections' file.
const SECTIONS: &str = "docs/rfc/sections.tsv";

/// A section of an RFC; an empty section is the whole.
type Section = (u32, String);

/// Known sections with their titles.
fn known(root: &Path) -> BTreeMap<Section, String> {
    let text = fs::read_to_string(root.join(SECTIONS)).unwrap_or_default();
    let row = |line: &str| {
        let mut cells = line.split('\t');
        let number = cells.next()?.parse().ok()?;
        Some(((number, cells.next()?.to_owned()), cells.next()?.to_owned()))
    };
    text.lines().filter_map(row).collect()
}

/// The citations of a text: `RFC 5321 §4.1.1, §4.2`, and transcripts' `rfc: 2595 §4; 1939 §7`.
fn citations(text: &str) -> Vec<Section> {
    let mut found = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("rfc:") {
            Some(rest) => rest.split(';').for_each(|part| cited(part, &mut found)),
            None => line.split("RFC ").skip(1).for_each(|part| cited(part, &mut found)),
        }
    }
    found
}

fn cited(text: &str, found: &mut Vec<Section>) {
    let text = text.trim_start();
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let Ok(number) = digits.parse::<u32>() else { return };
    found.push((number, String::new()));
    let mut rest = text.get(digits.len()..).unwrap_or_default();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
        let Some(after) = rest.strip_prefix('§') else { return };
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
        let (section, left) = after.split_at(end.unwrap_or(after.len()));
        found.push((number, section.trim_end_matches('.').to_owned()));
        rest = left;
    }
}

/// Citations of sections that do not exist. RFCs whose sections are not known are let pass.
pub fn wrong(root: &Path, files: &[(String, String)]) -> Vec<String> {
    let known = known(root);
    let numbers: BTreeSet<u32> = known.keys().map(|(number, _)| *number).collect();
    let mut found = Vec::new();
    for (name, text) in files {
        for (number, section) in citations(text) {
            let missing = !section.is_empty()
                && numbers.contains(&number)
                && !known.contains_key(&(number, section.clone()));
            if missing {
                found.push(format!("{name}: RFC {number} has no section {section}"));
            }
        }
    }
    found
}

/// Each cited section and who cites it, as a table of Markdown.
pub fn coverage(root: &Path, files: &[(String, String)]) -> String {
    let known = known(root);
    let mut places: BTreeMap<Section, BTreeSet<&str>> = BTreeMap::new();
    for (name, text) in files {
        for section in citations(text) {
            places.entry(section).or_default().insert(name);
        }
    }
    let mut out = String::from("| RFC | section | title | cited in |\n|---|---|---|---|\n");
    for ((number, section), names) in places {
        let title = known.get(&(number, section.clone())).map_or("", String::as_str);
        let names: Vec<&str> = names.into_iter().collect();
        out.push_str(&format!("| {number} | {section} | {title} | {} |\n", names.join(" ")));
    }
    out
}

/// Adds the sections of RFC texts to the file.
pub fn add(root: &Path, texts: &[String]) -> Result<(), String> {
    let mut known = known(root);
    for path in texts {
        let text = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let number = stem.strip_prefix("rfc").and_then(|n| n.parse::<u32>().ok());
        let number = number.ok_or_else(|| format!("{path} is not named rfcNNNN.txt"))?;
        for (section, title) in headings(&text) {
            known.entry((number, section)).or_insert(title);
        }
    }
    let rows: String = known
        .iter()
        .map(|((number, section), title)| format!("{number}\t{section}\t{title}\n"))
        .collect();
    let file = root.join(SECTIONS);
    fs::write(&file, rows).map_err(|error| format!("{}: {error}", file.display()))
}

/// Numbered headings, from the text and from the table of contents.
fn headings(text: &str) -> Vec<(String, String)> {
    text.lines().filter_map(heading).collect()
}

/// `4.1.1.  Title`, `Appendix A.  Title`, `A.1.  Title`; dots and page number of a table of
/// contents are cut off.
fn heading(line: &str) -> Option<(String, String)> {
    // The newest texts mark headings as Markdown does: `## [4.] [Title]`.
    let plain = line.replace(['#', '[', ']'], "");
    let line = if line.starts_with('#') { plain.trim_start() } else { line };
    let line = line.strip_prefix("   ").unwrap_or(line).trim_start_matches(' ');
    let line = line.strip_prefix("Appendix ").unwrap_or(line);
    let (number, title) = line.split_once([' ', ':'])?;
    let parts: Vec<&str> = number.trim_end_matches('.').split('.').collect();
    let numbered = parts.iter().enumerate().all(|(n, part)| {
        let digits =
            !part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
        digits || n == 0 && part.len() == 1 && part.bytes().all(|b| b.is_ascii_uppercase())
    });
    let title = title.trim().trim_start_matches(['-', ' ']);
    let title = title.split(" .").next().and_then(|title| title.split("..").next())?.trim();
    let begins = title.starts_with(|c: char| c.is_ascii_alphabetic() || c == '"' || c == '\\');
    let letter = number.len() == 1 && !number.bytes().all(|b| b.is_ascii_digit());
    (numbered && begins && !letter && title.len() < 100)
        .then(|| (parts.join("."), title.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_are_found() {
        let section = |number, section: &str| (number, section.to_owned());
        assert_eq!(
            citations("/// RFC 5321 §4.1.1, §4.2. RFC 9051 §6.4.6."),
            [
                section(5321, ""),
                section(5321, "4.1.1"),
                section(5321, "4.2"),
                section(9051, ""),
                section(9051, "6.4.6")
            ]
        );
        assert_eq!(citations("rfc: 2449 §5; 2595 §4").len(), 4);
    }

    #[test]
    fn headings_are_told_from_text() {
        let found = |line| heading(line).map(|(number, _)| number);
        assert_eq!(found("4.1.1.  Command Semantics"), Some("4.1.1".to_owned()));
        assert_eq!(found("   6.4.    Client Commands ....... 47"), Some("6.4".to_owned()));
        assert_eq!(found("Appendix B.  Changes"), Some("B".to_owned()));
        assert_eq!(found("A.1.  Sample"), Some("A.1".to_owned()));
        assert_eq!(found("### [4.1.] [Uniqueness]"), Some("4.1".to_owned()));
        assert_eq!(found("A message is"), None);
        assert_eq!(found("In 1982. It"), None);
    }
}
