//! The parameters of MAIL and RCPT. RFC 5321 §4.1.2, RFC 3461 §4.

/// RET. RFC 3461 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// RET=FULL
    Full,
    /// RET=HDRS
    Headers,
}

impl Ret {
    /// Reads a value.
    pub fn parse(text: &str) -> Option<Ret> {
        match text.to_ascii_uppercase().as_str() {
            "FULL" => Some(Ret::Full),
            "HDRS" => Some(Ret::Headers),
            _ => None,
        }
    }
}

/// BODY. RFC 6152 §3, RFC 3030 §3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// BODY=7BIT, or none.
    #[default]
    SevenBit,
    /// BODY=8BITMIME
    EightBit,
    /// BODY=BINARYMIME
    Binary,
}

impl Body {
    /// Reads the value.
    pub fn parse(value: &str) -> Option<Body> {
        match value.to_ascii_uppercase().as_str() {
            "7BIT" => Some(Body::SevenBit),
            "8BITMIME" => Some(Body::EightBit),
            "BINARYMIME" => Some(Body::Binary),
            _ => None,
        }
    }
}

/// HOLDFOR, HOLDUNTIL. RFC 4865 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Seconds from now, 1 to 999999999.
    For(i64),
    /// Seconds since 1970.
    Until(i64),
}

impl Hold {
    /// Reads the value of HOLDFOR.
    pub fn parse_for(value: &str) -> Option<Hold> {
        let fine = (1..=9).contains(&value.len())
            && value.bytes().all(|b| b.is_ascii_digit())
            && !value.starts_with('0');
        value.parse().ok().filter(|_| fine).map(Hold::For)
    }

    /// Reads the value of HOLDUNTIL, a time of RFC 3339 in UTC.
    pub fn parse_until(value: &str) -> Option<Hold> {
        let utc = value.ends_with(['Z', 'z']);
        // Not before: what is behind the point counts as a whole second.
        let more = i64::from(value.contains('.'));
        mail::date::parse_rfc3339(value).filter(|_| utc).map(|at| Hold::Until(at + more))
    }
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
    /// Reads the value; `None` when it is none. NEVER stands alone, not even beside itself.
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
        (!notify.never || !value.contains(',')).then_some(notify)
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

/// BY. RFC 2852 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct By {
    /// Seconds from now; negative when the time has gone by.
    pub seconds: i64,
    /// `R`: it comes back when it is late. Otherwise `N`: the sender is told.
    pub returns: bool,
    /// `T`: the sender hears of every relay.
    pub trace: bool,
}

impl By {
    /// Reads `by-value`. What must come back cannot be late already.
    pub fn parse(value: &str) -> Option<By> {
        let (time, mode) = value.split_once(';')?;
        let digits = time.strip_prefix(['+', '-']).unwrap_or(time);
        let fine = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let seconds: i64 = time.parse().ok().filter(|_| fine)?;
        let (returns, trace) = match mode.to_ascii_uppercase().as_str() {
            "N" => (false, false),
            "NT" => (false, true),
            "R" => (true, false),
            "RT" => (true, true),
            _ => return None,
        };
        (!returns || seconds > 0).then_some(By { seconds, returns, trace })
    }
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.seconds.clamp(-999_999_999, 999_999_999);
        let (mode, trace) =
            (if self.returns { "R" } else { "N" }, if self.trace { "T" } else { "" });
        write!(f, "{seconds};{mode}{trace}")
    }
}

/// `size-value`: 1 to 20 digits; what is too large for a number is the largest. RFC 1870 §4.
pub fn size(value: &str) -> Option<u64> {
    let fine = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    fine.then(|| value.parse().unwrap_or(u64::MAX))
}

/// `priority-value`: -9 to 9, and no -0. RFC 6710 §7.
pub fn priority(value: &str) -> Option<i8> {
    let digit = value.strip_prefix('-').unwrap_or(value);
    let fine = matches!(digit.as_bytes(), [b'0'..=b'9']) && value != "-0";
    value.parse().ok().filter(|_| fine)
}

/// `esmtp-param`s behind a path: keyword in upper case, and value. `None` unless a blank comes
/// first and each is well formed and named once (RFC 5321 §4.1.2; RFC 1870 §6, RFC 3461 §4.5 and
/// RFC 6710 §4.1 say the latter of theirs, and of two that differ nobody could tell which counts).
pub fn parameters(text: &str) -> Option<Vec<(String, Option<&str>)>> {
    if !text.is_empty() && !text.starts_with(' ') {
        return None;
    }
    let mut found: Vec<(String, Option<&str>)> = Vec::new();
    for (keyword, value) in words(text) {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let fine = !keyword.is_empty() && !keyword.starts_with('-') && keyword.bytes().all(inner);
        let again = found.iter().any(|(known, _)| *known == keyword);
        if !fine || again || value == Some("") {
            return None;
        }
        found.push((keyword, value));
    }
    Some(found)
}

/// The words of a parameter list: keyword in upper case, and value.
pub fn words(text: &str) -> impl Iterator<Item = (String, Option<&str>)> {
    text.split(' ').filter(|word| !word.is_empty()).map(|word| match word.split_once('=') {
        Some((keyword, value)) => (keyword.to_ascii_uppercase(), Some(value)),
        None => (word.to_ascii_uppercase(), None),
    })
}

/// The value of ORCPT, decoded: a type, `;`, and an address, in UTF-8 where the type says so.
/// RFC 3461 §4.2, RFC 6533 §3.
pub fn orcpt(value: &str) -> Option<String> {
    let (kind, address) = value.split_once(';')?;
    let atom = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\".[]".contains(&b);
    let utf8 = is_utf8(kind);
    let mut address = xtext_decode(address)?;
    if utf8 {
        address = mail::unitext::decode(&address);
    }
    let fine = !kind.is_empty() && kind.bytes().all(atom) && !address.is_empty();
    let readable = (utf8 || address.is_ascii()) && !address.chars().any(char::is_control);
    (fine && readable).then(|| format!("{kind};{address}"))
}

/// The value of ORCPT for what [`orcpt`] gave, to a server that knows SMTPUTF8 or does not.
pub fn orcpt_encode(decoded: &str, smtputf8: bool) -> Option<String> {
    let (kind, address) = decoded.split_once(';')?;
    let address = match is_utf8(kind) {
        true => mail::unitext::encode(address, !smtputf8),
        false => xtext_encode(address),
    };
    Some(format!("{kind};{address}"))
}

fn is_utf8(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("utf-8")
}

/// Decodes xtext: graphic ASCII, `+` and two hexadecimal digits. RFC 3461 §4. Characters beyond
/// ASCII stand for themselves (RFC 6533 §3); control characters are refused.
pub fn xtext_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'+' {
            if byte == b'=' || byte <= b' ' {
                return None;
            }
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
    fn times_and_priorities() {
        let by = |text| By::parse(text).map(|by| by.to_string());
        assert_eq!(by("120;r").as_deref(), Some("120;R"));
        assert_eq!(by("-120;NT").as_deref(), Some("-120;NT"));
        assert_eq!(by("+5;rt").as_deref(), Some("5;RT"));
        for bad in ["0;R", "-1;R", "5", "5;", "5;X", "5;TR", ";R", "+-5;N", "1000000000;N", "5;N;"]
        {
            assert_eq!(by(bad), None, "{bad}");
        }
        assert_eq!((size("007"), size("99999999999999999999")), (Some(7), Some(u64::MAX)));
        assert!(["", "+5", "1k", "000000000000000000001"].iter().all(|bad| size(bad).is_none()));
        assert_eq!((priority("-9"), priority("9"), priority("0")), (Some(-9), Some(9), Some(0)));
        for bad in ["", "-", "-0", "10", "+1", "1 ", "--1", "x"] {
            assert_eq!(priority(bad), None, "{bad}");
        }
    }

    #[test]
    fn parameters_are_apart_well_formed_and_named_once() {
        let read = parameters(" SIZE=1  body=7BIT SMTPUTF8 ").unwrap();
        let read: Vec<_> = read.iter().map(|(keyword, value)| (keyword.as_str(), *value)).collect();
        assert_eq!(read, [("SIZE", Some("1")), ("BODY", Some("7BIT")), ("SMTPUTF8", None)]);
        assert_eq!(parameters("").unwrap(), []);
        for bad in
            ["SIZE=1", ">", " BODY=7BIT body=8BITMIME", " A A", " A=", " =1", " -A=1", " A_B"]
        {
            assert_eq!(parameters(bad), None, "{bad}");
        }
    }

    #[test]
    fn hold_parameters() {
        assert_eq!(Hold::parse_for("86400"), Some(Hold::For(86_400)));
        for bad in ["", "0", "01", "1000000000", "-1", "+1", "1s"] {
            assert_eq!(Hold::parse_for(bad), None, "{bad}");
        }
        assert_eq!(Hold::parse_until("1970-01-02T00:00:00Z"), Some(Hold::Until(86_400)));
        assert_eq!(Hold::parse_until("1970-01-02T00:00:00+01:00"), None);
    }

    #[test]
    fn original_recipients_are_read_and_written() {
        for (value, decoded, old, new) in [
            ("rfc822;a+2Bb@x", "rfc822;a+b@x", "rfc822;a+2Bb@x", "rfc822;a+2Bb@x"),
            ("utf-8;j\\x{F6}rg@x", "utf-8;jörg@x", "utf-8;j\\x{F6}rg@x", "utf-8;jörg@x"),
            ("UTF-8;jörg@x", "UTF-8;jörg@x", "UTF-8;j\\x{F6}rg@x", "UTF-8;jörg@x"),
        ] {
            assert_eq!(orcpt(value).as_deref(), Some(decoded));
            assert_eq!(orcpt_encode(decoded, false).as_deref(), Some(old));
            assert_eq!(orcpt_encode(decoded, true).as_deref(), Some(new));
        }
        for bad in ["a@b", ";a@b", "rfc822;", "rf c;a", "rfc822;jörg@x", "utf-8;a\\x{0A}b", "x;a=b"]
        {
            assert_eq!(orcpt(bad), None, "{bad}");
        }
    }

    #[test]
    fn xtext_and_notify() {
        assert_eq!(xtext_decode("rfc822;a+2Bb"), Some("rfc822;a+b".to_owned()));
        assert_eq!(xtext_decode("a+0D"), None);
        for bad in ["a+4", "a=b", "a b", "+", "+xx"] {
            assert_eq!(xtext_decode(bad), None, "{bad}");
        }
        assert_eq!(xtext_encode("a+b c"), "a+2Bb+20c");
        for bad in ["NEVER,SUCCESS", "NEVER,NEVER", "DELAY,NEVER", "DELAY,", "", "x"] {
            assert_eq!(Notify::parse(bad), None, "{bad}");
        }
        assert_eq!(Notify::parse("success,delay").unwrap().value().unwrap(), "SUCCESS,DELAY");
    }
}
