//! Every transcript of `tests/{smtp,pop3,imap,flow}`: whole, and one octet at a time.
//!
//! `UPDATE=1 cargo test -p sim --test transcripts` writes the server's lines as they are now into
//! the files, for review. `ONLY=name` plays the files whose path has that in it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use protocol::machine::Security;
use protocol::sasl::{self, Offered};
use protocol::smtp::reply;
use server::listen::Service;
use sim::play::{Way, play};
use sim::script::Script;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Replies to failures that no conversation brings about: a panic (`server/tests/panic.rs`), a
/// directory that is down (`protocol/smtp/server/mod.rs`), a flood (`statements_abuse.rs`), a ban
/// (`abuse.rs`).
const ELSEWHERE: [&str; 4] = ["BANNED", "TOO_MANY_IDLE", "SESSION_FAILED", "AUTH_UNAVAILABLE"];

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
fn imap_whole_and_every_capability_is_in_the_index() {
    let said = play_all("imap", Service::Imap, Way::Whole);
    if std::env::var_os("ONLY").is_some() {
        return;
    }
    let index = index();
    let lists = said.iter().filter_map(|line| {
        let (_, list) = line.split_once("* CAPABILITY ").or(line.split_once("[CAPABILITY "))?;
        list.split(']').next()
    });
    // A limit is part of the word.
    let name = |word: &str| match word.split_once('=') {
        Some((name, limit)) if limit.parse::<u64>().is_ok() && name.ends_with("LIMIT") => {
            name.to_owned()
        }
        _ => word.to_owned(),
    };
    let offered = Offered { scram: true, bearer: true };
    let mechanisms = sasl::names(Security::CertifiedBoundTls, offered);
    let mut announced: BTreeSet<String> = mechanisms.map(|name| format!("AUTH={name}")).collect();
    announced.extend(lists.flat_map(|list| list.split(' ')).map(name));
    assert_eq!(announced, index, "docs/rfc/imap.tsv has others");
}

/// The capabilities of `docs/rfc/imap.tsv`. Each has a grammar and a handler, and what shows it
/// cites its RFCs.
fn index() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| {
        std::fs::read_to_string(root.join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
    };
    let mut names = BTreeSet::new();
    for row in read("docs/rfc/imap.tsv").lines().skip(1) {
        let cells: Vec<&str> = row.split('\t').collect();
        let [name, rfcs, grammar, handler, tests] = cells[..] else { panic!("{row}") };
        read(&format!("crates/protocol/src/{grammar}"));
        read(&format!("crates/server/src/{handler}"));
        let tests: String = tests.split(' ').map(read).collect();
        for rfc in rfcs.split(' ').filter(|rfc| *rfc != "-") {
            assert!(cites(&tests, rfc), "{name}: {rfc} is not cited");
        }
        assert!(names.insert(name.to_owned()), "{name} twice");
    }
    names
}

/// `rfc: 5466 §3.1; 5258 §4` of a transcript, `RFC 4422` elsewhere.
fn cites(text: &str, rfc: &str) -> bool {
    let number =
        |part: &str| part.trim_start().split([' ', ',', '.', ':', ')']).next() == Some(rfc);
    text.lines().any(|line| match line.strip_prefix("rfc:") {
        Some(rest) => rest.split(';').any(number),
        None => line.split("RFC ").skip(1).any(number),
    })
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
