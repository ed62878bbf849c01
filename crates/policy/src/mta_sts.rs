//! MTA-STS: what a domain says of its mail servers, and of TLS with them. RFC 8461.
//!
//! A record in DNS tells which policy there is, the policy is a text on a web server.

use crate::limits::{STS_AGE_MAX, STS_OCTETS_MAX, STS_PATTERNS_MAX};
use mail::Domain;
use std::fmt;

/// What is to be done when a server is not as the policy wants it. RFC 8461 §5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The server gets nothing.
    Enforce,
    /// It is told.
    Testing,
    /// There is no policy.
    None,
}

impl Mode {
    /// As the policy has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        }
    }

    fn parse(text: &str) -> Option<Mode> {
        [Mode::Enforce, Mode::Testing, Mode::None].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// A policy. It is shown as the text that [`Policy::parse`] reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether it is enforced.
    pub mode: Mode,
    /// For so many seconds after it was fetched it is in force.
    pub max_age: u32,
    /// Names of servers in A-labels and lower case; `*.` stands for one label.
    pub mx: Vec<String>,
}

/// The id of a domain's policy, by the texts at `_mta-sts` below it. RFC 8461 §3.1.
pub fn record_id(texts: &[Vec<u8>]) -> Option<String> {
    let mut ours = texts.iter().filter_map(|text| {
        let (version, fields) = std::str::from_utf8(text).ok()?.split_once(';')?;
        (version.trim_end_matches(is_blank) == "v=STSv1").then_some(fields)
    });
    let fields = ours.next().filter(|_| ours.next().is_none())?;
    let fields = fields.trim_matches(is_blank);
    let mut id = None;
    for field in fields.strip_suffix(';').unwrap_or(fields).split(';') {
        let (name, value) = field.trim_matches(is_blank).split_once('=')?;
        let graphic = |c: char| c.is_ascii_graphic() && c != '=';
        if !is_name(name) || value.is_empty() || !value.chars().all(graphic) {
            return None;
        }
        if name == "id" && id.is_none() {
            let word = value.bytes().all(|b| b.is_ascii_alphanumeric());
            id = Some(value).filter(|_| word && value.len() <= 32);
            id?;
        }
    }
    id.map(str::to_owned)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// A name of a field.
fn is_name(name: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    name.len() <= 32
        && name.bytes().all(fine)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

impl Policy {
    /// Reads a policy; the error says why it is none. RFC 8461 §3.2.
    pub fn parse(text: &[u8]) -> Result<Policy, &'static str> {
        if text.len() > STS_OCTETS_MAX {
            return Err("it is too long");
        }
        let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8")?;
        let (mut version, mut mode, mut max_age, mut mx) = (None, None, None, Vec::new());
        for line in text.split('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line).trim_end_matches(is_blank);
            if line.is_empty() {
                continue;
            }
            let (name, value) = line.split_once(':').ok_or("a line is no field")?;
            let value = value.trim_start_matches(is_blank);
            if !is_name(name) || value.is_empty() || value.contains(char::is_control) {
                return Err("a line is no field");
            }
            match name {
                "version" => version = version.or(Some(value)),
                "mode" => mode = mode.or(Some(value)),
                "max_age" => max_age = max_age.or(Some(value)),
                "mx" => mx.push(pattern(value).ok_or("an mx is no name of a server")?),
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err("its version is not STSv1");
        }
        let mode = mode.and_then(Mode::parse).ok_or("it has no mode that we know")?;
        let max_age = max_age.and_then(seconds).ok_or("it has no max_age")?;
        match mx.len() {
            0 if mode != Mode::None => Err("it names no mx"),
            STS_PATTERNS_MAX.. => Err("it names too many mx"),
            _ => Ok(Policy { mode, max_age, mx }),
        }
    }

    /// The name of a server is one of those that it has. RFC 8461 §4.1.
    pub fn names(&self, host: &str) -> bool {
        let Some(host) = Domain::parse(host).ok().and_then(|host| host.to_ascii()) else {
            return false;
        };
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(above) => host.split_once('.').is_some_and(|(_, rest)| rest == above),
            None => *pattern == host,
        })
    }
}

/// `name` or `*.name`. U-labels are not allowed, and can mean one thing only.
fn pattern(value: &str) -> Option<String> {
    let (star, name) = match value.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", value),
    };
    Some(format!("{star}{}", Domain::parse(name).ok()?.to_ascii()?))
}

/// More than a year is a year.
fn seconds(value: &str) -> Option<u32> {
    let digits = value.len() <= 10 && value.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = value.parse().ok().filter(|_| digits)?;
    Some(u32::try_from(number).unwrap_or(STS_AGE_MAX).min(STS_AGE_MAX))
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version: STSv1\nmode: {}\n", self.mode.as_str())?;
        self.mx.iter().try_for_each(|mx| writeln!(f, "mx: {mx}"))?;
        writeln!(f, "max_age: {}", self.max_age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(texts: &[&str]) -> Option<String> {
        record_id(&texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    /// RFC 8461 §3.1, and its example.
    #[test]
    fn records_have_an_id() {
        for fine in [
            "v=STSv1; id=20160831085700Z;",
            "v=STSv1;id=20160831085700Z",
            "v=STSv1 ;\tx-y.z=/:,; id=20160831085700Z ; id=2 ; ",
        ] {
            assert_eq!(id(&[fine]).as_deref(), Some("20160831085700Z"), "{fine}");
        }
        assert_eq!(id(&["v=spf1 -all", "v=STSv1; id=1", "v=STSv2; id=2"]).as_deref(), Some("1"));
        let long = format!("v=STSv1; id={}", "x".repeat(33));
        for wrong in [
            "",
            "v=STSv1",
            "v=STSv1;",
            "v=STSv1; ;id=1",
            "v=STSv1; id=",
            "v=STSv1; id=a-b",
            "v=STSv1; id=a b",
            "v=STSv1; id=1; x",
            "v=STSv1; id=1; x==",
            "v=STSv1; ID=1",
            "v=STSv1; x=1",
            "v=stsv1; id=1",
            " v=STSv1; id=1",
            "id=1; v=STSv1",
            "v=STSv1; id=é",
            &long,
        ] {
            assert_eq!(id(&[wrong]), None, "{wrong}");
        }
        assert_eq!(id(&["v=STSv1; id=1", "v=STSv1; id=1"]), None, "there are two");
        assert_eq!(record_id(&[b"v=STSv1; id=\xff".to_vec()]), None);
    }

    /// RFC 8461 §3.2, with its examples.
    #[test]
    fn policies_are_read() {
        let text = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n\
                    mx: backupmx.example.com\r\nmax_age: 604800\r\n";
        let policy = Policy::parse(text.as_bytes()).unwrap();
        assert_eq!((policy.mode, policy.max_age), (Mode::Enforce, 604_800));
        assert_eq!(policy.mx, ["mail.example.com", "*.example.net", "backupmx.example.com"]);
        let others = [
            text.replace("\r\n", "\n"),
            text.replace("\r\n", " \t\r\n"),
            text.replace(": ", ":").trim_end().to_owned(),
            format!("new.field: é:\r\n{text}\r\nmode: none\r\nversion: 2\r\nmax_age: x\r\n"),
            policy.to_string(),
        ];
        for other in others {
            assert_eq!(Policy::parse(other.as_bytes()).as_ref(), Ok(&policy), "{other}");
        }
        let none = Policy::parse(b"version: STSv1\nmode: none\nmax_age: 9999999999").unwrap();
        assert_eq!((none.mode, none.max_age), (Mode::None, STS_AGE_MAX));
        for (from, to) in [
            ("STSv1", "STSv2"),
            ("version", "Version"),
            ("enforce", "Enforce"),
            ("mode", "node"),
            ("604800", ""),
            ("604800", "-1"),
            ("604800", "1 day"),
            ("604800", "00000604800"),
            ("*.example.net", "*"),
            ("*.example.net", "*.*.example.net"),
            ("*.example.net", "m*.example.net"),
            ("*.example.net", ".example.net"),
            ("*.example.net", "[192.0.2.1]"),
            ("*.example.net", "a.example.net, b.example.net"),
            ("max_age", "bad name: x\r\nmax_age"),
            ("max_age", "<html>\r\nmax_age"),
            ("max_age", "x: \0\r\nmax_age"),
            ("max_age", "x: a\rb\r\nmax_age"),
        ] {
            let wrong = text.replace(from, to);
            assert!(Policy::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(Policy::parse(b"version: STSv1\nmode: testing\nmax_age: 1").is_err());
        assert!(Policy::parse(b"").is_err() && Policy::parse(b"\xff").is_err());
        let many = format!("{text}{}", "mx: a.example\r\n".repeat(STS_PATTERNS_MAX));
        assert!(Policy::parse(many.as_bytes()).is_err());
        let long = format!("{text}x: {}\r\n", "y".repeat(STS_OCTETS_MAX));
        assert!(Policy::parse(long.as_bytes()).is_err());
    }

    /// RFC 8461 §4.1, with its example; users.md S-51.
    #[test]
    fn s_51_patterns_match_one_label() {
        let policy = |mx: &str| {
            let text = format!("version: STSv1\nmode: enforce\nmax_age: 1\nmx: {mx}");
            Policy::parse(text.as_bytes()).unwrap()
        };
        let wild = policy("*.Example.com");
        assert!(wild.names("mail.example.com") && wild.names("MAIL.EXAMPLE.COM."));
        for other in ["example.com", "foo.bar.example.com", "mail.example.com.evil.example", ""] {
            assert!(!wild.names(other), "{other}");
        }
        assert!(policy("mail.example.com").names("mail.example.com"));
        assert!(!policy("mail.example.com").names("a.mail.example.com"));
        for mx in ["mx.bücher.example", "*.xn--bcher-kva.example"] {
            assert!(policy(mx).names("mx.xn--bcher-kva.example"), "{mx}");
            assert!(policy(mx).names("mx.bücher.example"), "{mx}");
        }
    }
}
