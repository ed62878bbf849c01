//! The parameters of MAIL and RCPT. RFC 5321 §4.1.2, RFC 3461 §4.

/// RET. RFC 3461 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// RET=FULL
    Full,
    /// RET=HDRS
    Headers,
}

/// NOTIFY. RFC 3461 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Notify {
    /// NOTIFY=NEVER
    pub never: bool,
    /// NOTIFY=SUCCESS
    pub success: bool,
    /// NOTIFY=FAILURE
    pub failure: bool,
    /// NOTIFY=DELAY
    pub delay: bool,
}

impl Notify {
    /// Reads the value; `None` when it is none. NEVER stands alone.
    pub fn parse(value: &str) -> Option<Notify> {
        let mut notify = Notify::default();
        for word in value.split(',') {
            let slot = match word.to_ascii_uppercase().as_str() {
                "NEVER" => &mut notify.never,
                "SUCCESS" => &mut notify.success,
                "FAILURE" => &mut notify.failure,
                "DELAY" => &mut notify.delay,
                _ => return None,
            };
            *slot = true;
        }
        let other = notify.success || notify.failure || notify.delay;
        (!(notify.never && other)).then_some(notify)
    }

    /// The value, or `None` when NOTIFY was not given.
    pub fn value(self) -> Option<String> {
        let words = [
            (self.never, "NEVER"),
            (self.success, "SUCCESS"),
            (self.failure, "FAILURE"),
            (self.delay, "DELAY"),
        ];
        let words: Vec<&str> = words.into_iter().filter(|(on, _)| *on).map(|(_, w)| w).collect();
        (!words.is_empty()).then(|| words.join(","))
    }
}

/// The words of a parameter list: keyword in upper case, and value.
pub fn words(text: &str) -> impl Iterator<Item = (String, Option<&str>)> {
    text.split(' ').filter(|word| !word.is_empty()).map(|word| match word.split_once('=') {
        Some((keyword, value)) => (keyword.to_ascii_uppercase(), Some(value)),
        None => (word.to_ascii_uppercase(), None),
    })
}

/// Decodes xtext: `+` and two hexadecimal digits. RFC 3461 §4. Control characters are refused.
pub fn xtext_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'+' {
            out.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| (b? as char).to_digit(16);
        let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
        out.push((high * 16 + low) as u8);
    }
    let text = String::from_utf8(out).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

/// Encodes xtext.
pub fn xtext_encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_graphic() && b != b'+' && b != b'=';
    text.bytes()
        .map(|b| if plain(b) { (b as char).to_string() } else { format!("+{b:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_and_notify() {
        assert_eq!(xtext_decode("rfc822;a+2Bb"), Some("rfc822;a+b".to_owned()));
        assert_eq!(xtext_decode("a+0D"), None);
        assert_eq!(xtext_decode("a+4"), None);
        assert_eq!(xtext_encode("a+b c"), "a+2Bb+20c");
        assert!(Notify::parse("NEVER,SUCCESS").is_none() && Notify::parse("x").is_none());
        assert_eq!(Notify::parse("success,delay").unwrap().value().unwrap(), "SUCCESS,DELAY");
    }
}
