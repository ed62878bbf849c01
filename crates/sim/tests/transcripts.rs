//! Every transcript of `tests/{smtp,pop3,imap,flow}`: whole, and one octet at a time.
//!
//! `UPDATE=1 cargo test -p sim --test transcripts` writes the server's lines as they are now into
//! the files, for review. `ONLY=name` plays the files whose path has that in it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use protocol::smtp::reply;
use server::listen::Service;
use sim::play::{Way, play};
use sim::script::Script;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Replies to failures that no conversation brings about: a panic (`server/tests/panic.rs`), a
/// directory that is down (`protocol/smtp/server/mod.rs`), a flood (`statements_abuse.rs`).
const ELSEWHERE: [&str; 3] = ["TOO_MANY_IDLE", "SESSION_FAILED", "AUTH_UNAVAILABLE"];

fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(folder);
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .filter(|path| path.display().to_string().contains(&only))
        .collect();
    files.sort();
    files
}

/// Plays all of a folder; returns what the server said.
fn play_all(folder: &str, service: Service, way: Way) -> BTreeSet<String> {
    let update = way == Way::Whole && std::env::var_os("UPDATE").is_some();
    let mut said = BTreeSet::new();
    let mut wrong = Vec::new();
    for file in files(folder) {
        let text = std::fs::read_to_string(&file).unwrap();
        let played = Script::parse(&text).and_then(|script| play(&script, service, way, update));
        let name = file.file_name().unwrap().display();
        match played {
            Ok(played) => {
                if update && played.text != text {
                    std::fs::write(&file, played.text).unwrap();
                }
                said.extend(played.said);
            }
            Err(why) => wrong.push(format!("{folder}/{name} ({way:?}): {why}")),
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    said
}

#[test]
fn smtp_whole_and_every_reply_is_seen() {
    let said = play_all("smtp", Service::Smtp, Way::Whole);
    if std::env::var_os("ONLY").is_some() {
        return;
    }
    let unseen: Vec<&str> = reply::ALL
        .iter()
        .filter(|(name, _)| !ELSEWHERE.contains(name))
        .filter(|(_, reply)| {
            let mut line = Vec::new();
            reply.encode(&mut line);
            let line = String::from_utf8(line).unwrap();
            let first = line.split("\r\n").next().unwrap();
            let status = format!("{} {}", reply.code, reply.enhanced);
            let reworded = reply::REWORDED.iter().any(|other| other == reply);
            !said.iter().any(|said| said == first || reworded && said.starts_with(&status))
        })
        .map(|(name, _)| *name)
        .collect();
    assert!(unseen.is_empty(), "no transcript shows {unseen:?}");
}

#[test]
fn smtp_bytewise() {
    play_all("smtp", Service::Smtp, Way::Bytewise);
}

#[test]
fn pop3_whole() {
    play_all("pop3", Service::Pop3, Way::Whole);
}

#[test]
fn pop3_bytewise() {
    play_all("pop3", Service::Pop3, Way::Bytewise);
}

#[test]
fn imap_whole() {
    play_all("imap", Service::Imap, Way::Whole);
}

#[test]
fn imap_bytewise() {
    play_all("imap", Service::Imap, Way::Bytewise);
}

#[test]
fn flow_whole() {
    play_all("flow", Service::Submission, Way::Whole);
}

#[test]
fn flow_bytewise() {
    play_all("flow", Service::Submission, Way::Bytewise);
}
