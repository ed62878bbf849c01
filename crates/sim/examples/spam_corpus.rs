//! How well what an account taught tells spam from other mail, on a corpus of messages, one file
//! each. Deterministic:
//! `cargo run --release -p sim --example spam_corpus -- SPAM-FOLDERS -- OTHER-FOLDERS`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a tool for developers")]

use mail::mime::{summary_of, text::in_memory};
use mail::tokens::tokens;
use policy::spam::{Lesson, Opinion, judge, learn};
use sim::random::Random;
use std::path::Path;

/// The messages of a folder, as tokens.
fn messages(folder: &str) -> Vec<Vec<String>> {
    let mut files: Vec<_> = std::fs::read_dir(Path::new(folder))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_none_or(|e| e != "json"))
        .collect();
    files.sort();
    let read = |path| {
        let octets = std::fs::read(path).unwrap();
        tokens(&summary_of(&octets), in_memory::<()>(&octets)).unwrap()
    };
    files.into_iter().map(read).collect()
}

fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for n in (1..items.len()).rev() {
        items.swap(n, random.below(n as u64 + 1) as usize);
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (spam, ham) = args.split_at(args.iter().position(|arg| arg == "--").unwrap());
    let mut spam: Vec<_> = spam.iter().flat_map(|folder| messages(folder)).collect();
    let mut ham: Vec<_> = ham[1..].iter().flat_map(|folder| messages(folder)).collect();
    println!("{} spams, {} other messages", spam.len(), ham.len());
    println!("taught by  limit  spam found  other mail taken for spam");
    for n in [50, 100, 200, 500, 1000] {
        let limits = [0.5, 0.9, 0.95, 0.99, 0.999];
        let mut sums = [[0usize; 2]; 5];
        let (mut spams, mut hams) = (0, 0);
        for seed in 1..=5 {
            let mut random = Random::new(seed);
            shuffle(&mut spam, &mut random);
            shuffle(&mut ham, &mut random);
            let one = |(i, words): (usize, &Vec<String>), opinion| {
                Lesson::new(i as u64 * 2 + u64::from(opinion == Opinion::Spam), words, opinion)
            };
            let taught: Vec<Lesson> = (spam.iter().zip(&ham).take(n).enumerate())
                .flat_map(|(i, (spam, ham))| {
                    [one((i, spam), Opinion::Spam), one((i, ham), Opinion::Ham)]
                })
                .collect();
            let (mut words, mut memory) = (Vec::new(), Vec::new());
            for lessons in taught.chunks(20) {
                (words, memory) = learn(&words, &memory, lessons);
            }
            for (kind, rest) in [(0, &spam[n..]), (1, &ham[n..])] {
                for tokens in rest {
                    let found = judge(&words, tokens).unwrap().probability;
                    for (sum, limit) in sums.iter_mut().zip(limits) {
                        sum[kind] += usize::from(found >= limit);
                    }
                }
            }
            (spams, hams) = (spams + spam.len() - n, hams + ham.len() - n);
        }
        for (sum, limit) in sums.iter().zip(limits) {
            let percent = |part: usize, all: usize| part as f64 * 100.0 / all as f64;
            let (found, wrong) = (percent(sum[0], spams), percent(sum[1], hams));
            println!(
                "{n:>5} each  {limit:<5}  {found:6.2} %    {wrong:6.3} % ({} of {hams})",
                sum[1]
            );
        }
    }
}
