//! Tag lists: `v=1; a=rsa-sha256; …`, as DKIM signatures, DKIM keys and DMARC policies have them.
//! RFC 6376 §3.2.

/// Names and values, in order.
#[derive(Debug)]
pub struct Tags<'a>(Vec<(&'a str, &'a str)>);

/// White space, and the line breaks within it.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

impl<'a> Tags<'a> {
    /// Reads a list; none if it is no list, or a name is there twice.
    pub fn parse(text: &'a str) -> Option<Tags<'a>> {
        let mut tags: Vec<(&str, &str)> = Vec::new();
        let mut pieces = text.split(';').peekable();
        while let Some(piece) = pieces.next() {
            let piece = piece.trim_matches(is_space);
            if piece.is_empty() && pieces.peek().is_none() {
                break;
            }
            let (name, value) = piece.split_once('=')?;
            let name = name.trim_end_matches(is_space);
            let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let fine = word && name.starts_with(|c: char| c.is_ascii_alphabetic());
            if !fine || tags.iter().any(|(known, _)| *known == name) {
                return None;
            }
            tags.push((name, value.trim_start_matches(is_space)));
        }
        Some(Tags(tags))
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The name that stands first.
    pub fn first(&self) -> Option<&'a str> {
        self.0.first().map(|(name, _)| *name)
    }

    /// The words of a list with colons.
    pub fn list(&self, name: &str) -> Option<impl Iterator<Item = &'a str>> {
        Some(self.get(name)?.split(':').map(|word| word.trim_matches(is_space)))
    }
}

/// Octets from base64, in which there may be white space anywhere. RFC 6376 §2.10.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    const LAX: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let text: String = text.chars().filter(|c| !is_space(*c)).collect();
    LAX.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_apart() {
        let tags = Tags::parse("v=1 ; a = b=\r\n\tc;h=From : To;x=;").unwrap();
        assert_eq!((tags.first(), tags.get("a")), (Some("v"), Some("b=\r\n\tc")));
        assert_eq!(tags.list("h").unwrap().collect::<Vec<_>>(), ["From", "To"]);
        assert_eq!((tags.get("x"), tags.get("y")), (Some(""), None));
        for wrong in ["v=1;;a=2", "v", "v=1;v=2", "=1", "1=2", "a-b=2", ";"] {
            assert!(Tags::parse(wrong).is_none(), "{wrong}");
        }
        assert!(Tags::parse("").unwrap().first().is_none());
        assert_eq!(base64("YW\r\n Jj").unwrap(), b"abc");
        assert_eq!((base64("YWI").unwrap(), base64("Y?")), (b"ab".to_vec(), None));
    }
}
