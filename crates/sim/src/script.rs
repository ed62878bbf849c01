//! Transcripts: the file format, and what a line may look like. `docs/testing.md` describes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::time::Duration;

/// A line of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `C1: …` or `R1: …`: somebody else says this, with CRLF.
    Says(String, String),
    /// `C1> …`: these octets exactly, escapes resolved.
    Sends(String, String),
    /// `S1: …`, `P1: …`: the product says this next; the boolean is `~`, in any order.
    Answers(String, String, bool),
    /// `-- clock +5m`: a stage direction.
    Stage(Vec<String>),
    /// A comment, an empty line, the header.
    Silent,
}

/// A transcript.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The words of the header's `given:` lines, one item each.
    pub given: Vec<String>,
    /// `way: whole`: what it shows depends on octets that travel together.
    pub whole_only: bool,
    /// All lines of the file, with what they mean.
    pub lines: Vec<(String, Line)>,
}

/// The verbs of stage directions; any other `--` line is a comment.
const VERBS: [&str; 14] = [
    "account", "clock", "closed", "cut", "deliver", "disk", "dns", "mx", "open", "quiet", "remote",
    "shutdown", "slow", "tls",
];

impl Script {
    /// Reads a transcript; the error names the line.
    pub fn parse(text: &str) -> Result<Script, String> {
        let mut script = Script::default();
        let mut rfc = false;
        for (n, line) in text.lines().enumerate() {
            let wrong = |why: &str| format!("line {}: {why}: {line}", n + 1);
            let meaning = if let Some(rest) = line.strip_prefix("given: ") {
                script.given.extend(rest.split(';').map(|item| item.trim().to_owned()));
                Line::Silent
            } else if line == "way: whole" {
                script.whole_only = true;
                Line::Silent
            } else if line.starts_with("rfc: ") {
                rfc = true;
                Line::Silent
            } else if line.is_empty() {
                Line::Silent
            } else if let Some(rest) = line.strip_prefix("--") {
                let words: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
                match words.first() {
                    Some(verb) if VERBS.contains(&verb.as_str()) => Line::Stage(words),
                    _ => Line::Silent,
                }
            } else {
                spoken(line).ok_or_else(|| wrong("not a line of a transcript"))?
            };
            script.lines.push((line.to_owned(), meaning));
        }
        if rfc { Ok(script) } else { Err("the header names no rfc".to_owned()) }
    }
}

/// `C1: text`, `C1> octets`, `S1: pattern`, `S1~ pattern`.
fn spoken(line: &str) -> Option<Line> {
    let at = line.find([':', '>', '~'])?;
    let (who, rest) = line.split_at(at);
    let (kind, number) = who.split_at_checked(1)?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (mark, rest) = rest.split_at(1);
    let text = rest.strip_prefix(' ').unwrap_or(rest).to_owned();
    let connection = match kind {
        "C" | "S" => format!("C{number}"),
        "R" | "P" => format!("R{number}"),
        _ => return None,
    };
    match (kind, mark) {
        ("C" | "R", ":") => Some(Line::Says(connection, text)),
        ("C" | "R", ">") => Some(Line::Sends(connection, text)),
        ("S" | "P", ":") => Some(Line::Answers(connection, text, false)),
        ("S" | "P", "~") => Some(Line::Answers(connection, text, true)),
        _ => None,
    }
}

/// What `$name` stands for.
pub type Captures = BTreeMap<String, String>;

/// The octets of a line that is said: `{{x*5000}}`, `{{base64 …}}` and known `$name`s resolved.
pub fn expand(text: &str, captures: &Captures) -> Vec<u8> {
    resolve(text, captures, |plain| plain.as_bytes().to_vec())
}

/// The same for octets that are sent as they stand: escapes are resolved too.
pub fn expand_raw(text: &str, captures: &Captures) -> Vec<u8> {
    resolve(text, captures, unescape)
}

fn resolve(text: &str, captures: &Captures, plain: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.extend(plain(&substitute(before, captures)));
        let (inner, after) = after.split_once("}}").unwrap_or((after, ""));
        if let Some(inner) = inner.strip_prefix("base64 ") {
            let inner = substitute(inner, captures);
            out.extend(STANDARD.encode(unescape(&inner)).into_bytes());
        } else if let Some((piece, times)) = inner.rsplit_once('*') {
            out.extend(unescape(piece).repeat(times.parse().unwrap_or(1)));
        }
        rest = after;
    }
    out.extend(plain(&substitute(rest, captures)));
    out
}

fn substitute(text: &str, captures: &Captures) -> String {
    let mut text = text.to_owned();
    for (name, value) in captures.iter().rev() {
        text = text.replace(&format!("${name}"), value);
    }
    text
}

/// `\r`, `\n`, `\t`, `\\`, `\xHH`, and `\0`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let mut chars = after.chars();
        let mut used = 1;
        match chars.next() {
            Some('r') => out.push(b'\r'),
            Some('n') => out.push(b'\n'),
            Some('t') => out.push(b'\t'),
            Some('0') => out.push(0),
            Some('x') => {
                let digits = after.get(1..3).unwrap_or("00");
                out.push(u8::from_str_radix(digits, 16).unwrap_or(0));
                used = 3;
            }
            Some(other) => {
                out.extend(other.to_string().into_bytes());
                used = other.len_utf8();
            }
            None => used = 0,
        }
        rest = after.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// The line is what the pattern says. `…` is any text; `$name` is a word that is captured, and the
/// same word afterwards.
pub fn matches(pattern: &str, line: &str, captures: &mut Captures) -> bool {
    let expanded = if pattern.contains("{{") {
        String::from_utf8_lossy(&expand(pattern, captures)).into_owned()
    } else {
        pattern.to_owned()
    };
    let mut tried = captures.clone();
    let fits = fit(&expanded, line, &mut tried);
    if fits {
        *captures = tried;
    }
    fits
}

fn fit(pattern: &str, line: &str, captures: &mut Captures) -> bool {
    if let Some(rest) = pattern.strip_prefix('…') {
        let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
        for end in ends.rev() {
            let mut tried = captures.clone();
            if fit(rest, &line[end..], &mut tried) {
                *captures = tried;
                return true;
            }
        }
        return false;
    }
    if let Some((name, rest)) = name_at_start(pattern) {
        if let Some(known) = captures.get(name).cloned() {
            return line.strip_prefix(&known).is_some_and(|line| fit(rest, line, captures));
        }
        let stops = |c: char| c.is_whitespace() || "()[]<>\"".contains(c);
        let longest = line.find(stops).unwrap_or(line.len());
        for end in (1..=longest).rev().filter(|end| line.is_char_boundary(*end)) {
            let mut tried = captures.clone();
            tried.insert(name.to_owned(), line[..end].to_owned());
            if fit(rest, &line[end..], &mut tried) {
                *captures = tried;
                return true;
            }
        }
        return false;
    }
    let mut chars = pattern.chars();
    match chars.next() {
        None => line.is_empty(),
        Some(c) => line.strip_prefix(c).is_some_and(|line| fit(chars.as_str(), line, captures)),
    }
}

/// `$name` and what follows it. A `$` before anything but a small letter stands for itself, so
/// that keywords like `$Forwarded` can be written.
fn name_at_start(pattern: &str) -> Option<(&str, &str)> {
    let rest = pattern.strip_prefix('$')?;
    let end = rest.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_');
    let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
    name.starts_with(|c: char| c.is_ascii_lowercase()).then_some((name, rest))
}

/// `+5m`, `+30s`, `+4h`, `+5d`.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no time: +30s, +5m, +4h, +5d");
    let body = text.strip_prefix('+').ok_or_else(wrong)?;
    let (number, unit) = body.split_at(body.len().saturating_sub(1));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(number * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_and_capture() {
        let mut captures = Captures::new();
        assert!(matches("* OK [HIGHESTMODSEQ $m] …", "* OK [HIGHESTMODSEQ 12] Ok", &mut captures));
        assert_eq!(captures["m"], "12");
        assert!(matches("MODSEQ ($m)", "MODSEQ (12)", &mut captures));
        assert!(!matches("MODSEQ ($m)", "MODSEQ (13)", &mut captures));
        assert!(matches("…a…b", "xaxab", &mut captures));
        assert!(!matches("…a", "xab", &mut captures));
        assert!(matches("FLAGS ($Forwarded)", "FLAGS ($Forwarded)", &mut captures));
        assert!(matches("{{ab*2}}…", "ababc", &mut captures));
        assert!(!matches("$new", "", &mut captures) && !captures.contains_key("new"));
    }

    #[test]
    fn lines_are_read() {
        let text = "rfc: 5321 §3.1\ngiven: account alice; C1 on smtp\n\n-- clock +5m\n-- a word\n\
                    C1: EHLO x\nC1> a\\r\\n\nS1: 250 …\nS1~ x\nR2: 220 x\nP2: EHLO";
        let script = Script::parse(text).unwrap();
        assert_eq!(script.given, ["account alice", "C1 on smtp"]);
        let lines: Vec<&Line> = script.lines.iter().map(|(_, line)| line).collect();
        let s = |text: &str| text.to_owned();
        assert_eq!(lines[3], &Line::Stage(vec![s("clock"), s("+5m")]));
        assert_eq!(lines[4], &Line::Silent);
        assert_eq!(lines[5], &Line::Says(s("C1"), s("EHLO x")));
        assert_eq!(lines[7], &Line::Answers(s("C1"), s("250 …"), false));
        assert_eq!(lines[8], &Line::Answers(s("C1"), s("x"), true));
        assert_eq!(lines[10], &Line::Answers(s("R2"), s("EHLO"), false));
        assert!(Script::parse("rfc: 1\nX1: a").is_err() && Script::parse("C1: a").is_err());
    }

    #[test]
    fn said_lines_are_expanded() {
        let mut captures = Captures::new();
        captures.insert("id".to_owned(), "7".to_owned());
        captures.insert("id2".to_owned(), "8".to_owned());
        let all = expand("{{\\0a\\x41*2}} $id2 {{base64 \\0tim\\0x}}", &captures);
        assert_eq!(all, b"\0aA\0aA 8 AHRpbQB4");
    }
}
