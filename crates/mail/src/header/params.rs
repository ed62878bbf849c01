//! Structured MIME fields: `type/subtype; name=value`. RFC 2045 §5.1, RFC 2183.

use crate::limits::PARAMETERS_MAX;
use crate::stored::List;

/// A value followed by parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameterised {
    /// What stands first, without comments and blanks around a slash, in lower case.
    pub value: Vec<u8>,
    /// The parameters in order: names in lower case, values unquoted, continued ones put together
    /// (RFC 2231 §3, §6).
    pub parameters: List,
}

impl Parameterised {
    /// Reads the value of a Content-Type or Content-Disposition field. Total: what is no
    /// parameter is passed over.
    pub fn parse(field: &[u8]) -> Parameterised {
        let (mut rest, mut name, mut text) = (field, Vec::new(), Vec::new());
        token(&mut rest, b";", b" ", &mut text);
        let mut value = first_word(&text);
        value.make_ascii_lowercase();
        let (mut parameters, mut starred) = (List::default(), false);
        while let Some((&b';', after)) = rest.split_first() {
            rest = after;
            token(&mut rest, b"=;", b"", &mut name);
            if let Some((&b'=', after)) = rest.split_first() {
                rest = after;
                let quoted = token(&mut rest, b";", b" ", &mut text);
                // Unquoted, it should have no blank; those who write one mean it.
                let text = if quoted { &text } else { without_commas(text.trim_ascii()) };
                if !name.is_empty() && (quoted || !text.is_empty()) {
                    name.make_ascii_lowercase();
                    starred |= name.contains(&b'*');
                    parameters.pair(&name, text);
                }
            }
            if parameters.stored().len() >= PARAMETERS_MAX {
                break;
            }
        }
        let parameters = if starred { joined(&parameters) } else { parameters };
        Parameterised { value, parameters }
    }

    /// The first parameter of that (lower case) name.
    pub fn parameter(&self, name: &[u8]) -> Option<&[u8]> {
        self.parameters.stored().parameter(name)
    }
}

/// `text / plain` without the blanks; what follows a blank or a comma otherwise is not looked at:
/// RFC 2045 §5.1 knows nothing that could stand there.
fn first_word(text: &[u8]) -> Vec<u8> {
    let mut word: Vec<u8> = Vec::new();
    for piece in text.split(|b| matches!(b, b' ' | b',')).filter(|piece| !piece.is_empty()) {
        if !word.is_empty() && !word.ends_with(b"/") && !piece.starts_with(b"/") {
            break;
        }
        word.extend_from_slice(piece);
    }
    word
}

/// Without the commas that some write at the end.
fn without_commas(mut text: &[u8]) -> &[u8] {
    while let Some(less) = text.strip_suffix(b",") {
        text = less.trim_ascii_end();
    }
    text
}

/// The first word of a text, without comments. RFC 3282 §2 (Content-Language).
pub fn word(mut text: &[u8]) -> Vec<u8> {
    let mut words = Vec::new();
    token(&mut text, b"", b" ", &mut words);
    first_word(&words)
}

/// A parameter's name as RFC 2231 §3 and §4 make it: `name*2*` is number 2 of `name`, extended.
fn numbered(name: &[u8]) -> Option<(&[u8], usize, bool)> {
    let (name, extended) = match name.strip_suffix(b"*") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let star = memchr::memrchr(b'*', name)?;
    let digits = name.get(star + 1..)?;
    let plain = digits == b"0" || (digits.first() != Some(&b'0') && digits.len() <= 4);
    let number = std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()?;
    let base = name.get(..star).filter(|base| !base.is_empty())?;
    Some((base, number, extended))
}

/// Continued parameters put together where their first piece stands; pieces behind a gap stay as
/// they are. RFC 2231 §3, §4.1.
fn joined(parameters: &List) -> List {
    let parameters: Vec<(&[u8], &[u8])> = parameters.stored().pairs().collect();
    let mut used = vec![false; parameters.len()];
    let mut out = Vec::with_capacity(parameters.len());
    for (at, (name, value)) in parameters.iter().enumerate() {
        let Some((base, 0, _)) = numbered(name) else {
            continue;
        };
        let mut pieces = vec![(at, *value)];
        let next = |number: usize| {
            let is = |(name, _): &(&[u8], &[u8])| {
                numbered(name).is_some_and(|(other, n, _)| other == base && n == number)
            };
            parameters.iter().position(is)
        };
        while let Some(found) = next(pieces.len()) {
            pieces.extend(parameters.get(found).map(|(_, value)| (found, *value)));
        }
        let extended = |at: usize| {
            parameters.get(at).and_then(|(name, _)| numbered(name)).is_some_and(|(_, _, e)| e)
        };
        let any = pieces.iter().any(|(at, _)| extended(*at));
        let mut text = Vec::new();
        if any && !extended(at) {
            // Neither charset nor language is told.
            text.extend_from_slice(b"''");
        }
        for (at, piece) in &pieces {
            if let Some(slot) = used.get_mut(*at) {
                *slot = true;
            }
            match any && !extended(*at) {
                true => percent(piece, &mut text),
                false => text.extend_from_slice(piece),
            }
        }
        let star: &[u8] = if any { b"*" } else { b"" };
        out.push((at, ([base, star].concat(), text)));
    }
    let rest = parameters.iter().enumerate();
    let rest = rest.filter(|(at, _)| !used.get(*at).copied().unwrap_or_default());
    out.extend(rest.map(|(at, (name, value))| (at, (name.to_vec(), value.to_vec()))));
    out.sort_by_key(|(at, _)| *at);
    let mut list = List::default();
    out.iter().for_each(|(_, (name, value))| list.pair(name, value));
    list
}

/// The octets of `charset'language'%xx…`, in whatever charset. RFC 2231 §4.
pub fn extended(value: &[u8]) -> Vec<u8> {
    let mut marks = memchr::memchr_iter(b'\'', value);
    let start = marks.next().and_then(|_| marks.next()).map_or(0, |at| at + 1);
    let mut rest = value.get(start..).unwrap_or_default();
    let mut out = Vec::with_capacity(rest.len());
    while let Some((&octet, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) if octet == b'%' => {
                out.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(octet);
                rest = after;
            }
        }
    }
    out
}

/// Octets as an extended value has them. RFC 2231 §7 `ext-octet`.
fn percent(octets: &[u8], out: &mut Vec<u8>) {
    for octet in octets {
        match octet {
            b'*' | b'\'' | b'%' | b'(' | b')' | b'<' | b'>' | b'@' | b',' | b';' | b':' | b'\\'
            | b'"' | b'/' | b'[' | b']' | b'?' | b'=' => {
                out.extend_from_slice(format!("%{octet:02X}").as_bytes());
            }
            0x21..=0x7e => out.push(*octet),
            _ => out.extend_from_slice(format!("%{octet:02X}").as_bytes()),
        }
    }
}

/// Text up to one of `ends` or the end of input, without comments outside quotes, and with `blank`
/// for a blank or a comment; whether it was quoted.
fn token(rest: &mut &[u8], ends: &[u8], blank: &[u8], text: &mut Vec<u8>) -> bool {
    text.clear();
    // Most is plain: up to what means something it is taken at once.
    let plain = |b: &u8| !b"\\\"\r\n() \t".contains(b) && !ends.contains(b);
    let start = rest.iter().position(|b| !plain(b)).unwrap_or(rest.len());
    let (taken, after) = rest.split_at(start);
    *rest = after;
    text.extend_from_slice(taken);
    let (mut quoted, mut was_quoted, mut closed, mut depth) = (false, false, false, 0usize);
    while let Some((&byte, after)) = rest.split_first() {
        if !quoted && depth == 0 && ends.contains(&byte) {
            break;
        }
        *rest = after;
        match byte {
            b'\\' if quoted || depth > 0 => {
                if let Some((&escaped, after)) = rest.split_first() {
                    *rest = after;
                    if quoted {
                        text.push(escaped);
                    }
                }
            }
            b'"' if depth == 0 => {
                if !was_quoted && text.trim_ascii().is_empty() {
                    text.clear();
                }
                quoted = !quoted;
                closed = !quoted;
                was_quoted = true;
            }
            // Nothing follows a quoted string.
            _ if closed && depth == 0 && byte != b'(' => {}
            b'\r' | b'\n' => {}
            _ if quoted => text.push(byte),
            b'(' => {
                depth += 1;
                if !closed {
                    text.extend_from_slice(blank);
                }
            }
            b')' => depth = depth.saturating_sub(1),
            b' ' | b'\t' if depth == 0 => text.extend_from_slice(blank),
            _ if depth == 0 => text.push(byte),
            _ => {}
        }
    }
    was_quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_read() {
        let read = Parameterised::parse(b" Text/Plain ; charset=us-ascii (Plain text);\r\n format=\"a\\\"b; c\"; empty=\"\"; junk; x=");
        assert_eq!(read.value, b"text/plain");
        assert_eq!(read.parameter(b"charset"), Some(b"us-ascii".as_slice()));
        assert_eq!(read.parameter(b"format"), Some(b"a\"b; c".as_slice()));
        assert_eq!(read.parameter(b"empty"), Some(b"".as_slice()));
        assert_eq!(read.parameters.stored().len(), 3);
        for (field, value) in [
            ("text / (c) html ; x=y", "text/html"),
            ("text/plain charset=utf-8", "text/plain"),
            ("text/plain, text/html", "text/plain"),
            ("text/x y", "text/x"),
            ("\"text/plain\" ; a=b", "text/plain"),
            ("quoted printable", "quoted"),
        ] {
            assert_eq!(Parameterised::parse(field.as_bytes()).value, value.as_bytes(), "{field}");
        }
    }

    #[test]
    fn odd_values_are_read() {
        let read = |field: &str| {
            let read = Parameterised::parse(field.as_bytes()).parameters;
            let read = read.stored().pairs();
            let values = read.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
            values.collect::<Vec<_>>().join("|")
        };
        assert_eq!(read("a; n=a b.txt ; m=x"), "a b.txt|x");
        assert_eq!(read("a; n=(c)utf-8(d) ,"), "utf-8");
        assert_eq!(read("a; n= \"a \" junk; m=\"b"), "a |b");
        assert_eq!(read("a; n=\"a;b\"(c); m=\"\""), "a;b|");
        assert_eq!(word(b" i-mingo (c)"), b"i-mingo");
        assert_eq!(word(b"(c)"), b"");
    }

    #[test]
    fn continued_parameters_are_joined() {
        let read = |field: &str| {
            let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            let read = Parameterised::parse(field.as_bytes()).parameters;
            let read = read.stored().pairs();
            let pairs = read.map(|(name, value)| format!("{}={}", text(name), text(value)));
            pairs.collect::<Vec<_>>().join(" ")
        };
        // RFC 2231 §3, §4, §4.1.
        assert_eq!(
            read("x/y; URL*0=\"ftp://\";\r\n URL*1=\"cs.utk.edu/pub/moore\""),
            "url=ftp://cs.utk.edu/pub/moore"
        );
        assert_eq!(read("x/y; title*=us-ascii'en-us'This%20is"), "title*=us-ascii'en-us'This%20is");
        assert_eq!(
            read(
                "x/y; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\""
            ),
            "title*=us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!"
        );
        assert_eq!(read("x/y; a*1=2; b=c; a*0=1; a*3=4"), "b=c a=12 a*3=4");
        assert_eq!(read("x/y; a*0=1; a*1*=%41; a*01=x"), "a*=''1%41 a*01=x");
        assert_eq!(extended(b"us-ascii'en'a%20b%"), b"a b%");
        assert_eq!(extended(b"a%2Bb"), b"a+b");
        assert_eq!(read("x/y; a*1=2; *0=z; a*x=y"), "a*1=2 *0=z a*x=y");
    }
}
