//! Messages made to hurt a MIME parser: how fast each is taken apart, and that twice the octets are
//! about twice the work, counted in instructions by valgrind's callgrind.

#[path = "../../crates/mail/tests/hostile/cases.rs"]
mod cases;

use cases::CASES;
use clap::Args;
use mail::mime::{summary_of, text};
use std::hint::black_box;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

/// Octets of a message whose work is counted; another one has twice as many.
const COUNTED_OCTETS: usize = 200_000;
/// Twice the octets are at most so many times the work,
const RATIO_MAX: f64 = 2.2;
/// or the work is at most so many instructions for an octet, which is next to none.
const INSTRUCTIONS_FEW: u64 = 10;
/// Times that each message is taken apart; the fastest counts.
const TURNS: usize = 5;

#[derive(Args)]
pub struct Mime {
    /// Count instructions instead; fail when twice the octets are more than 2.2 times the work
    #[arg(long)]
    count: bool,
    /// Octets of each message
    #[arg(long, default_value_t = 5_000_000)]
    octets: usize,
    /// Make this message only, and say nothing
    #[arg(long, hide = true)]
    only: Option<usize>,
    /// Take it apart, too
    #[arg(long, hide = true)]
    parse: bool,
}

/// Measures or counts all of them.
pub fn mime(args: &Mime) -> io::Result<()> {
    if let Some(only) = args.only {
        let Some((_, make)) = CASES.get(only) else { return Ok(()) };
        let message = black_box(make(args.octets));
        if args.parse {
            take_apart(&message);
        }
        return Ok(());
    }
    let mut grown = Vec::new();
    for (n, (name, make)) in CASES.iter().enumerate() {
        if args.count {
            let (one, two) = (work(n, COUNTED_OCTETS)?, work(n, 2 * COUNTED_OCTETS)?);
            let ratio = two as f64 / one as f64;
            println!("{name}\t{one}\t{two}\t{ratio:.2}");
            if ratio > RATIO_MAX && two > INSTRUCTIONS_FEW * 2 * COUNTED_OCTETS as u64 {
                grown.push(*name);
            }
        } else {
            let message = make(args.octets);
            let each = (0..TURNS).map(|_| took(&message));
            let seconds = each.min().unwrap_or_default().as_secs_f64();
            println!("{name}\t{:.0} MB/s", message.len() as f64 / 1e6 / seconds);
        }
    }
    match grown.is_empty() {
        true => Ok(()),
        false => Err(io::Error::other(format!("more work than octets: {}", grown.join(", ")))),
    }
}

/// Structure, envelope and what is stored of them, and all texts.
fn take_apart(message: &[u8]) {
    let summary = summary_of(message);
    black_box(summary.encode());
    let _ = black_box(text::texts(&summary.root, text::in_memory::<()>(message)));
}

fn took(message: &[u8]) -> Duration {
    let start = Instant::now();
    take_apart(message);
    start.elapsed()
}

/// Instructions for taking a message apart: those of a program that makes it and takes it apart,
/// less those of one that only makes it.
fn work(case: usize, octets: usize) -> io::Result<u64> {
    Ok(instructions(case, octets, true)?.saturating_sub(instructions(case, octets, false)?).max(1))
}

fn instructions(case: usize, octets: usize, parse: bool) -> io::Result<u64> {
    let (case, octets) = (case.to_string(), octets.to_string());
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(std::env::current_exe()?);
    valgrind.args(["mime", "--only", &case, "--octets", &octets]);
    valgrind.args(parse.then_some("--parse"));
    let said = String::from_utf8_lossy(&valgrind.output()?.stderr).into_owned();
    let count =
        said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    count.ok_or_else(|| io::Error::other(format!("valgrind counts nothing: {said}")))
}
