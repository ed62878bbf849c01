//! Macros of SPF records and explanations. RFC 7208 §7.

use super::Request;
use std::net::IpAddr;

/// A macro-string, taken apart.
#[derive(Debug)]
pub(super) struct MacroString(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Macro(Macro),
}

#[derive(Debug)]
struct Macro {
    /// In lower case.
    letter: char,
    /// It was in upper case: the value is escaped for URLs.
    escaped: bool,
    /// Right-hand parts that are used.
    parts: usize,
    reversed: bool,
    delimiters: String,
}

/// What macros stand for.
pub(super) struct Values<'a> {
    pub request: &'a Request<'a>,
    pub sender: &'a str,
    pub domain: &'a str,
    pub validated: &'a str,
}

/// The explanation that a domain wrote: macros, text, and blanks.
pub(super) fn parse_explanation(text: &[u8]) -> Option<MacroString> {
    MacroString::parse(std::str::from_utf8(text).ok()?, true)
}

impl MacroString {
    /// Reads it; in an explanation there may be blanks, and three more letters.
    pub fn parse(text: &str, explanation: bool) -> Option<MacroString> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                if !(c.is_ascii_graphic() || (explanation && c == ' ')) {
                    return None;
                }
                plain.push(c);
                continue;
            }
            match chars.next()? {
                '%' => plain.push('%'),
                '_' => plain.push(' '),
                '-' => plain.push_str("%20"),
                '{' => {
                    let (inside, rest) = chars.as_str().split_once('}')?;
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Macro(Macro::parse(inside, explanation)?));
                    chars = rest.chars();
                }
                _ => return None,
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        // `%%`, `%_` and `%-` are macro-expand as well.
        let macro_end = ["%%", "%_", "%-"].iter().any(|end| text.ends_with(end));
        if macro_end {
            pieces.push(Piece::Text(String::new()));
        }
        Some(MacroString(pieces))
    }

    /// Its last piece is a macro.
    pub fn ends_with_macro(&self) -> bool {
        match self.0.last() {
            Some(Piece::Macro(_)) => true,
            Some(Piece::Text(text)) => text.is_empty(),
            None => false,
        }
    }

    /// The macro `p` is in it, which costs look-ups.
    pub fn wants_validated_name(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Macro(m) if m.letter == 'p'))
    }

    /// With the macros' values.
    pub fn expand(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Macro(made) => out.push_str(&made.expand(values)),
            }
        }
        out
    }
}

impl Macro {
    /// What is between the braces: `macro-letter *DIGIT [ "r" ] *delimiter`.
    fn parse(inside: &str, explanation: bool) -> Option<Macro> {
        let mut chars = inside.chars();
        let letter = chars.next()?;
        let letters = if explanation { "slodiphcrtv" } else { "slodiphv" };
        let known = letters.contains(letter.to_ascii_lowercase());
        let rest = chars.as_str();
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = rest.split_at(digits);
        let parts = match number {
            "" => usize::MAX,
            digits => digits.parse().unwrap_or(usize::MAX),
        };
        let (reversed, delimiters) = match rest.strip_prefix(['r', 'R']) {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let fine = delimiters.chars().all(|c| ".-+,/_=".contains(c));
        (known && parts > 0 && fine).then(|| Macro {
            letter: letter.to_ascii_lowercase(),
            escaped: letter.is_ascii_uppercase(),
            parts,
            reversed,
            delimiters: delimiters.to_owned(),
        })
    }

    fn expand(&self, values: &Values<'_>) -> String {
        let Values { request, sender, domain, validated } = values;
        let (local, of) = sender.rsplit_once('@').unwrap_or(("postmaster", sender));
        let value = match self.letter {
            's' => (*sender).to_owned(),
            'l' => local.to_owned(),
            'o' => of.to_owned(),
            'd' => (*domain).to_owned(),
            'i' => dotted(request.ip),
            'p' => (*validated).to_owned(),
            'v' => if request.ip.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            'h' => request.helo.to_owned(),
            'c' => request.ip.to_string(),
            'r' => request.receiver.to_owned(),
            't' => request.now.to_string(),
            _ => String::new(),
        };
        let value = self.transformed(&value);
        if self.escaped { escape(&value) } else { value }
    }

    fn transformed(&self, value: &str) -> String {
        let plain = self.parts == usize::MAX && !self.reversed && self.delimiters.is_empty();
        if plain {
            return value.to_owned();
        }
        let delimiters = if self.delimiters.is_empty() { "." } else { &self.delimiters };
        let mut parts: Vec<&str> = value.split(|c| delimiters.contains(c)).collect();
        if self.reversed {
            parts.reverse();
        }
        let from = parts.len().saturating_sub(self.parts);
        parts.get(from..).unwrap_or_default().join(".")
    }
}

/// The address as the macro `i` has it: IPv6 in nibbles.
fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let nibbles = (0..32).map(|n| (v6.to_bits() >> (124 - 4 * n)) & 0xf);
            nibbles.map(|nibble| format!("{nibble:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

/// RFC 3986 §2.3: all but the unreserved.
fn escape(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// At most 253 octets: labels go from the left. RFC 7208 §7.3.
pub(super) fn fitted(name: &str) -> &str {
    let mut name = name;
    while name.len() > 253 {
        match name.split_once('.') {
            Some((_, rest)) => name = rest,
            None => return name,
        }
    }
    name
}
