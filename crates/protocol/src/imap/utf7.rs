//! Modified UTF-7 for mailbox names. RFC 3501 §5.1.3. Total in both directions.

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Encodes a name.
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut wide = Vec::new();
    for c in name.chars() {
        if (' '..='~').contains(&c) {
            flush(&mut wide, &mut out);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            let mut units = [0; 2];
            wide.extend(c.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    flush(&mut wide, &mut out);
    out
}

fn flush(wide: &mut Vec<u8>, out: &mut String) {
    if !wide.is_empty() {
        out.push('&');
        out.push_str(&BASE64.encode(&*wide));
        out.push('-');
        wide.clear();
    }
}

/// Decodes a name; `None` when it is not modified UTF-7, or when [`encode`] spells it otherwise:
/// printable ASCII in base64, superfluous shifts. Plain UTF-8 passes as it is.
pub fn decode(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('&') {
        out.push_str(plain);
        let (code, after) = after.split_once('-')?;
        rest = after;
        if code.is_empty() {
            out.push('&');
            continue;
        }
        let octets = BASE64.decode(code).ok()?;
        let pairs = octets.chunks(2).map(|two| two.try_into().ok().map(u16::from_be_bytes));
        let units: Vec<u16> = pairs.collect::<Option<_>>()?;
        out.push_str(&String::from_utf16(&units).ok()?);
    }
    out.push_str(rest);
    (!text.is_ascii() || encode(&out) == text).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        // RFC 3501 §5.1.3.
        assert_eq!(decode("~peter/mail/&U,BTFw-/&ZeVnLIqe-").unwrap(), "~peter/mail/台北/日本語");
        for name in ["a&b", "Entwürfe", "😀", "", "a/b c", "&"] {
            assert_eq!(decode(&encode(name)).as_deref(), Some(name));
        }
        assert_eq!(encode("a&b"), "a&-b");
        for bad in ["&", "&AAA", "&AA-", "&!-", "&AGE-", "&ACY-", "&U,BTFw-&ZeVnLIqe-", "&U,C-"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
