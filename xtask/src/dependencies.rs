//! The crates' manifests against the table of ARCHITECTURE.md: who may use whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The crates' manifests against the table of ARCHITECTURE.md.
pub fn dependencies(root: &Path) -> Vec<String> {
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

#[cfg(test)]
mod tests {
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
