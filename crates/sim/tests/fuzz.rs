//! The checks of the fuzz targets, on what the clients of all transcripts say and on mutations
//! of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../fuzz/src/lib.rs"]
mod checks;

use sim::script::{Captures, Line, Script, expand, expand_raw};
use sim::world::SimRandom;
use std::path::Path;
use sys::random::Random;

/// Mutations of each seed.
const MUTATIONS: u32 = 6;

/// What the clients say in the transcripts of a folder.
fn seeds(folder: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(folder);
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let script = Script::parse(&text).unwrap();
        let mut said = Vec::new();
        for (_, line) in script.lines {
            match line {
                Line::Says(who, text) if who.starts_with('C') => {
                    said.extend(expand(&text, &Captures::new()));
                    said.extend_from_slice(b"\r\n");
                }
                Line::Sends(_, text) => said.extend(expand_raw(&text, &Captures::new())),
                _ => {}
            }
        }
        said.truncate(8000);
        seeds.push(said);
    }
    seeds
}

/// Octets changed, taken away, doubled, and what attackers like put in.
fn mutate(seed: &[u8], random: &SimRandom) -> Vec<u8> {
    const ODD: [&[u8]; 10] =
        [b"\r", b"\n", b"\0", b"\r\n.\r\n", b"\r\n", b".", b"<", b"\xff", b"BDAT 5\r\n", b"*\r\n"];
    let mut octets = seed.to_vec();
    for _ in 0..=random.u32() % 4 {
        let at = random.u32() as usize % (octets.len() + 1);
        let to = (at + random.u32() as usize % 20).min(octets.len());
        match random.u32() % 4 {
            0 => drop(octets.drain(at..to)),
            1 => {
                let odd = ODD[random.u32() as usize % ODD.len()];
                octets.splice(at..at, odd.iter().copied());
            }
            2 => {
                let again: Vec<u8> = octets[at..to].to_vec();
                octets.splice(at..at, again);
            }
            _ => {
                if let Some(octet) = octets.get_mut(at) {
                    *octet = random.u32() as u8;
                }
            }
        }
    }
    octets
}

fn replay(seeds: &[Vec<u8>], check: impl Fn(&[u8])) {
    let random = SimRandom::new(42);
    for seed in seeds {
        check(seed);
        for _ in 0..MUTATIONS {
            check(&mutate(seed, &random));
        }
    }
}

#[test]
fn smtp_sessions() {
    for kind in [0, 1, 2, 6, 7] {
        replay(&seeds("smtp"), |octets| checks::smtp_session(&[&[kind], octets].concat()));
    }
}

#[test]
fn smtp_data_and_commands() {
    let seeds = seeds("smtp");
    replay(&seeds, checks::smtp_data);
    let lines = |octets: &[u8]| octets.split(|b| *b == b'\n').for_each(checks::smtp_command);
    replay(&seeds, lines);
}

#[test]
fn pop3_sessions() {
    replay(&seeds("pop3"), checks::pop3_session);
}

#[test]
fn sasl_messages() {
    replay(&seeds("smtp"), checks::sasl);
    let messages: [&[u8]; 4] = [
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        b"p=tls-exporter,a=user,n=user,r=x",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDp,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"\0tim\0tanstaaftanstaaf",
    ];
    let messages: Vec<Vec<u8>> = messages.map(<[u8]>::to_vec).into();
    for _ in 0..20 {
        replay(&messages, checks::sasl);
    }
}
