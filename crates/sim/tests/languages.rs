//! Every text for people that IMAP says has its German beside it. RFC 5255 §3.2.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use protocol::imap::language::Language;
use std::path::{Path, PathBuf};

/// What stands before such a text in the sources.
const SAID: [&str; 17] = [
    "Answer::Ok(\"",
    "Answer::No(\"",
    "Answer::Bad(\"",
    "Answer::Ok(format!(\"",
    "ok(\"",
    "no(\"",
    "bad(\"",
    "bye(\"",
    "go_on(\"",
    "tagged(\"OK\", \"",
    "tagged(\"NO\", \"",
    "tagged(\"BAD\", \"",
    "let text = \"",
    "NotAllowed(\"",
    "language.text(\"",
    "Some(\"[TOOBIG] ",
    "write_str(\"",
];

/// What administrators read, and no client; and a code.
const NOT_SAID: [&str; 4] = [
    "URLMECH INTERNAL",
    "an alias needs at least one target",
    "the domain still has accounts or aliases",
    "unknown encoding",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The string literal that `rest` is within, up to its closing quote.
fn literal(rest: &str) -> String {
    let mut text = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

#[test]
fn every_text_has_its_german() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = vec![
        crates.join("store/src/error.rs"),
        crates.join("store/src/access.rs"),
        crates.join("store/src/mailbox/names.rs"),
    ];
    sources(&crates.join("server/src/imap"), &mut files);
    sources(&crates.join("protocol/src/imap/session"), &mut files);
    let mut seen = 0;
    for file in files {
        let source = std::fs::read_to_string(&file).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        // Literals that rustfmt puts on the next line count as well.
        let joined: String =
            source.lines().map(|line| line.trim_start().to_owned() + " ").collect();
        let joined = joined.replace("( \"", "(\"");
        for before in SAID {
            for (at, _) in joined.match_indices(before) {
                let text = literal(&joined[at + before.len()..]);
                let words = text.contains(' ') && !NOT_SAID.contains(&text.as_str());
                if !words
                    || text == "[{code}] {text}"
                    || text.starts_with("{") && !text.contains("} ")
                {
                    continue;
                }
                // A code that is filled in stands in front.
                let plain =
                    text.strip_prefix("{code}").or(text.strip_prefix("{}")).unwrap_or(&text);
                let plain = plain.trim_start().replace("{verb}", "X").replace("{}", "X");
                seen += 1;
                let german = Language::German.text(&plain);
                assert_ne!(german, plain, "{}: {text}", file.display());
            }
        }
    }
    assert!(seen > 80, "{seen}");
}
