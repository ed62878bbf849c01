//! `cargo xtask tidy`: what must hold in the tree and no compiler checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => {
            let found = tidy(&root());
            for line in &found {
                eprintln!("{line}");
            }
            if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        _ => {
            eprintln!("usage: cargo xtask tidy");
            ExitCode::from(64)
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Everything that is wrong.
fn tidy(root: &Path) -> Vec<String> {
    let mut found = dependencies(root);
    for file in sources(root) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        if !text.starts_with("//!") {
            found.push(format!("{name}: does not open with //!"));
        }
        let product = name.starts_with("crates/") && !name.contains("/tests");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        if product && code.lines().count() > 700 {
            found.push(format!("{name}: more than 700 lines without tests"));
        }
    }
    found
}

/// The crates' manifests against the table of ARCHITECTURE.md.
fn dependencies(root: &Path) -> Vec<String> {
    let table = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    let rows: BTreeMap<&str, BTreeSet<&str>> = table
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split('|').map(str::trim);
            let (name, uses) = (cells.next()?, cells.next()?);
            Some((name, uses.split(' ').filter(|word| !word.is_empty()).collect()))
        })
        .collect();
    let mut found = Vec::new();
    let crates = fs::read_dir(root.join("crates")).into_iter().flatten().flatten();
    let manifests = crates.map(|entry| entry.path().join("Cargo.toml"));
    let others = ["bench", "xtask"].map(|name| root.join(name).join("Cargo.toml"));
    for manifest in manifests.chain(others) {
        let text = fs::read_to_string(&manifest).unwrap_or_default();
        let name = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        let Some(name) = name else { continue };
        let Some(allowed) = rows.get(name) else {
            found.push(format!("ARCHITECTURE.md: no row for {name}"));
            continue;
        };
        let used = text.lines().filter_map(|line| line.strip_suffix(".workspace = true"));
        for used in used.filter(|used| rows.contains_key(used) && !allowed.contains(used)) {
            found.push(format!("{name} uses {used}, which ARCHITECTURE.md does not allow"));
        }
    }
    found
}

fn sources(root: &Path) -> Vec<PathBuf> {
    let mut open = vec![root.join("crates"), root.join("xtask"), root.join("bench")];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_is_tidy() {
        let found = super::tidy(&super::root());
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn a_forbidden_dependency_is_found() {
        let root = std::env::temp_dir().join(format!("tidy-{}", std::process::id()));
        std::fs::create_dir_all(root.join("crates/mail")).unwrap();
        let table = "| mail | | |\n| store | mail | |\n| bench | | |\n| xtask | | |\n";
        std::fs::write(root.join("ARCHITECTURE.md"), table).unwrap();
        let manifest = "name = \"mail\"\n[dependencies]\nstore.workspace = true\n";
        std::fs::write(root.join("crates/mail/Cargo.toml"), manifest).unwrap();
        let found = super::dependencies(&root);
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, ["mail uses store, which ARCHITECTURE.md does not allow"]);
    }
}
