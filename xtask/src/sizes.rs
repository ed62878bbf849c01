//! Lengths of lines, functions and files.

use std::collections::BTreeMap;

/// Columns of a line. One with text in quotes may be longer: a protocol line is better whole.
const COLUMNS_MAX: usize = 100;
/// Lines of a function.
const FUNCTION_MAX: usize = 70;
/// Lines of a file, without its tests.
const FILE_MAX: usize = 600;
/// A file that says so is a table: replies, charsets, options.
const TABLE: &str = "//! tidy: table";

/// What is too long, and how long it is.
type Found = BTreeMap<String, usize>;

/// What is too long.
pub fn sizes(files: &[(String, String)]) -> Vec<String> {
    let mut found = Found::new();
    for (name, text) in files {
        measure(name, text, &mut found);
    }
    let told = |(name, size)| format!("{name}: {size}; see xtask/src/sizes.rs");
    found.into_iter().map(told).collect()
}

fn measure(name: &str, text: &str, found: &mut Found) {
    let long = |line: &&str| line.chars().count() > COLUMNS_MAX && !line.contains('"');
    let long = text.lines().filter(long).count();
    if long > 0 {
        found.insert(format!("long lines in {name}"), long);
    }
    let table = text.lines().any(|line| line == TABLE);
    let code = text.split("\n#[cfg(test)]").next().unwrap_or_default().lines().count();
    if code > FILE_MAX && !table {
        found.insert(format!("lines of {name}"), code);
    }
    for (function, lines) in functions(text) {
        if lines > FUNCTION_MAX && !table {
            found.insert(format!("lines of {function} in {name}"), lines);
        }
    }
}

/// Each function and its lines: rustfmt puts the closing brace below the first letter.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let end = lines.iter().skip(n).position(|l| l.len() == indent + 1 && l.trim() == "}");
        let body = lines.iter().skip(n).take_while(|l| !l.ends_with(';') || l.contains('{'));
        let has_body = body.take(12).any(|l| l.ends_with('{'));
        if let (Some(end), true) = (end, has_body) {
            found.push((name, end + 1));
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for word in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let rest = rest.strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_found() {
        let body = "    x();\n".repeat(70);
        let text =
            format!("//! A file.\n\npub async fn long(a: u8) {{\n{body}}}\n\nfn short() {{\n}}\n");
        let mut found = Found::new();
        measure("a.rs", &text, &mut found);
        assert_eq!(found, Found::from([("lines of long in a.rs".to_owned(), 72)]));
        measure("b.rs", &format!("//! {}\n", "x".repeat(97)), &mut found);
        assert_eq!(found.get("long lines in b.rs"), Some(&1));
        let mut tables = Found::new();
        measure("t.rs", &format!("//! A table.\n{TABLE}\n{}", "x\n".repeat(700)), &mut tables);
        assert!(tables.is_empty());
    }
}
