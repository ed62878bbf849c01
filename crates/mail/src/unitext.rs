//! Addresses of the type `utf-8` in reports and in what asks for them. RFC 6533 §3.
//!
//! In `unitext` a character may stand as `\x{HEX}`, and must where a plain one could not.

/// The characters that are never plain: a reader would take them for something else.
const SPECIAL: &str = " \\+=";

/// Takes `\x{HEX}` apart. What is no such thing stays as it is.
pub fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("\\x{") {
        out.push_str(before);
        match behind.split_once('}').and_then(|(hex, after)| Some((character(hex)?, after))) {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push_str("\\x{");
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(hex: &str) -> Option<char> {
    let fine = (2..=6).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit());
    u32::from_str_radix(hex, 16).ok().filter(|_| fine).and_then(char::from_u32)
}

/// Writes `\x{HEX}` where it is needed: for all that is not ASCII too, where only ASCII may stand.
pub fn encode(text: &str, ascii: bool) -> String {
    let plain = |c: char| match c.is_ascii() {
        true => c.is_ascii_graphic() && !SPECIAL.contains(c),
        false => !ascii && !c.is_control(),
    };
    let shown = |c: char| match plain(c) {
        true => c.to_string(),
        false => format!("\\x{{{:02X}}}", u32::from(c)),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for (text, ascii, utf8) in [
            ("jörg@exämple.org", "j\\x{F6}rg@ex\\x{E4}mple.org", "jörg@exämple.org"),
            (
                "a+b=c d\\@x",
                "a\\x{2B}b\\x{3D}c\\x{20}d\\x{5C}@x",
                "a\\x{2B}b\\x{3D}c\\x{20}d\\x{5C}@x",
            ),
            ("用户\u{1F600}", "\\x{7528}\\x{6237}\\x{1F600}", "用户\u{1F600}"),
        ] {
            assert_eq!((encode(text, true).as_str(), encode(text, false).as_str()), (ascii, utf8));
            assert_eq!((decode(ascii).as_str(), decode(utf8).as_str()), (text, text));
        }
        for odd in ["\\x{}", "\\x{D800}", "\\x{110000}", "\\x{zz}", "\\x{41", "\\y", "\\x{0000041}"]
        {
            assert_eq!(decode(odd), odd);
        }
    }
}
