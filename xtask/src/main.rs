//! `cargo xtask tidy`: what must hold in the tree and no compiler checks. `cargo xtask rfc`: what
//! is cited where. `cargo xtask sim --seed N`: replays a run of the simulations.

mod dependencies;
mod rfc;
mod sizes;
mod statements;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tidy"] => {
            let found = tidy(&root());
            for line in &found {
                eprintln!("{line}");
            }
            if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        ["sim", "--seed", seed] => sim(seed, "20000"),
        ["sim", "--seed", seed, "--crashes", crashes] => sim(seed, crashes),
        ["rfc", "coverage"] => {
            print!("{}", rfc::coverage(&root(), &texts(&root(), &["rs", "txt"])));
            ExitCode::SUCCESS
        }
        ["rfc", "sections", ..] => match rfc::add(&root(), args.get(2..).unwrap_or_default()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!(
                "usage: cargo xtask tidy | rfc coverage | rfc sections RFC-TEXT... \
                 | sim --seed N [--crashes N]"
            );
            ExitCode::from(64)
        }
    }
}

/// Replays one seed of the crash enumeration, and of bad weather.
fn sim(seed: &str, crashes: &str) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = std::process::Command::new(cargo)
        .args([
            "test",
            "--package",
            "sim",
            "--test",
            "crash",
            "--test",
            "weather",
            "--",
            "--nocapture",
        ])
        .envs([("POSTRIDER_SEED", seed), ("POSTRIDER_CRASHES", crashes)])
        .current_dir(root())
        .status();
    match run {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cargo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where the tree is now, which may not be where it was built.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).parent().map(Path::to_owned).unwrap_or_default()
}

/// Everything that is wrong.
fn tidy(root: &Path) -> Vec<String> {
    let mut found = dependencies::dependencies(root);
    let sources = texts(root, &["rs"]);
    for (name, text) in &sources {
        if !text.starts_with("//!") {
            found.push(format!("{name}: does not open with //!"));
        }
    }
    found.extend(sizes::sizes(&sources));
    found.extend(statements::untested(&texts(root, &["rs", "txt"])));
    found.extend(rfc::wrong(root, &texts(root, &["rs", "txt", "md"])));
    found
}

/// The files with these endings, by name and text.
fn texts(root: &Path, endings: &[&str]) -> Vec<(String, String)> {
    let folders = ["crates", "xtask", "bench", "tests", "docs"];
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                open.push(path);
            } else if endings.iter().any(|end| path.extension().is_some_and(|e| e == *end)) {
                let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                files.push((name, fs::read_to_string(&path).unwrap_or_default()));
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_is_tidy() {
        let found = super::tidy(&super::root());
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
