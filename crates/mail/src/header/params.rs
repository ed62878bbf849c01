//! Structured MIME fields: `type/subtype; name=value`. RFC 2045 §5.1, RFC 2183.

use crate::limits::PARAMETERS_MAX;

/// A value followed by parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameterised {
    /// What stands before the first semicolon, without blanks and comments, in lower case.
    pub value: Vec<u8>,
    /// The parameters in order: names in lower case, values unquoted.
    pub parameters: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Parameterised {
    /// Reads the value of a Content-Type or Content-Disposition field. Total: what is no
    /// parameter is passed over.
    pub fn parse(field: &[u8]) -> Parameterised {
        let mut rest = field;
        let value = token(&mut rest, b";").0.to_ascii_lowercase();
        let mut parameters = Vec::new();
        while let Some((&b';', after)) = rest.split_first() {
            rest = after;
            let (name, _) = token(&mut rest, b"=;");
            if let Some((&b'=', after)) = rest.split_first() {
                rest = after;
                let (text, quoted) = token(&mut rest, b";");
                if !name.is_empty() && (quoted || !text.is_empty()) {
                    parameters.push((name.to_ascii_lowercase(), text));
                }
            }
            if parameters.len() >= PARAMETERS_MAX {
                break;
            }
        }
        Parameterised { value, parameters }
    }

    /// The first parameter of that (lower case) name.
    pub fn parameter(&self, name: &[u8]) -> Option<&[u8]> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice())
    }
}

/// Text up to one of `ends` or the end of input, without comments and blanks outside quotes.
fn token(rest: &mut &[u8], ends: &[u8]) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    let (mut quoted, mut was_quoted, mut depth) = (false, false, 0usize);
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
                quoted = !quoted;
                was_quoted = true;
            }
            b'\r' | b'\n' => {}
            _ if quoted => text.push(byte),
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b' ' | b'\t' => {}
            _ if depth == 0 => text.push(byte),
            _ => {}
        }
    }
    (text, was_quoted)
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
        assert_eq!(read.parameters.len(), 3);
    }
}
