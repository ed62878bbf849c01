//! Command lines into values. RFC 5321 §4.1.

use super::params::{self, Body, By, Hold, Notify, Ret, parameters, words, xtext_decode};
use super::path;
use super::reply::{self, Reply};
use crate::line::is_http_request;
use mail::{Address, ReversePath};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// EHLO and the client's name.
    Ehlo(String),
    /// HELO and the client's name.
    Helo(String),
    /// LHLO and the client's name. RFC 2033 §4.1.
    Lhlo(String),
    /// MAIL
    Mail(Mail),
    /// RCPT
    Rcpt(Rcpt),
    /// DATA
    Data,
    /// BDAT: octets that follow, and whether they are the last.
    Bdat(u64, bool),
    /// BURL: a URL whose octets follow, and whether they are the last. RFC 4468 §3.
    Burl(String, bool),
    /// RSET
    Rset,
    /// NOOP
    Noop,
    /// QUIT
    Quit,
    /// VRFY, EXPN
    Vrfy(String),
    /// HELP
    Help,
    /// STARTTLS
    StartTls,
    /// AUTH: mechanism and initial response.
    Auth(String, Option<String>),
    /// XCLIENT: attributes in upper case and their values, decoded.
    Xclient(Vec<(String, String)>),
    /// An HTTP request.
    NotSmtp,
}

/// MAIL. RFC 5321 §4.1.1.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The sender.
    pub sender: ReversePath,
    /// SIZE. RFC 1870 §3.
    pub size: Option<u64>,
    /// BODY. RFC 6152, RFC 3030.
    pub body: Body,
    /// SMTPUTF8. RFC 6531.
    pub smtputf8: bool,
    /// RET
    pub ret: Option<Ret>,
    /// ENVID, decoded.
    pub envid: Option<String>,
    /// REQUIRETLS. RFC 8689.
    pub require_tls: bool,
    /// MT-PRIORITY. RFC 6710.
    pub priority: Option<i8>,
    /// BY. RFC 2852.
    pub by: Option<By>,
    /// HOLDFOR, HOLDUNTIL. RFC 4865.
    pub hold: Option<Hold>,
}

/// RCPT. RFC 5321 §4.1.1.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rcpt {
    /// The recipient; `None` for `<postmaster>` without a domain (RFC 5321 §4.5.1).
    pub recipient: Option<Address>,
    /// NOTIFY
    pub notify: Notify,
    /// ORCPT, decoded.
    pub orcpt: Option<String>,
}

impl Command {
    /// Reads a command line without its CRLF; the error is the reply to it.
    pub fn parse(line: &[u8]) -> Result<Command, Reply> {
        if is_http_request(line) {
            return Ok(Command::NotSmtp);
        }
        let Ok(text) = std::str::from_utf8(line) else { return Err(reply::SYNTAX) };
        if text.contains('\0') {
            return Err(reply::SYNTAX);
        }
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim_ascii();
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => name(rest).map(Command::Ehlo),
            "HELO" => name(rest).map(Command::Helo),
            "LHLO" => name(rest).map(Command::Lhlo),
            "MAIL" => mail(after(rest, "FROM:")?).map(Command::Mail),
            "RCPT" => rcpt(after(rest, "TO:")?).map(Command::Rcpt),
            "DATA" => alone(rest, Command::Data),
            "BDAT" => bdat(rest),
            "BURL" => burl(rest),
            "RSET" => alone(rest, Command::Rset),
            "NOOP" => Ok(Command::Noop),
            "QUIT" => alone(rest, Command::Quit),
            // RFC 5321 §7.3: who tells nothing gives both the same answer.
            "VRFY" | "EXPN" if !rest.is_empty() => Ok(Command::Vrfy(rest.to_owned())),
            "VRFY" | "EXPN" => Err(reply::SYNTAX),
            "HELP" => Ok(Command::Help),
            "STARTTLS" => alone(rest, Command::StartTls),
            "AUTH" => auth(rest),
            "XCLIENT" => xclient(rest),
            _ => Err(reply::UNKNOWN_COMMAND),
        }
    }
}

fn alone(rest: &str, command: Command) -> Result<Command, Reply> {
    if rest.is_empty() { Ok(command) } else { Err(reply::SYNTAX) }
}

/// Any name will do (users.md S-04), as long as it can stand in a header line.
fn name(rest: &str) -> Result<String, Reply> {
    let word = rest.split(' ').next().unwrap_or_default();
    let fine = |c: char| !c.is_control() && !"()<>\\\"".contains(c);
    if word.is_empty() || word.len() > 255 || !word.chars().all(fine) {
        return Err(reply::SYNTAX);
    }
    Ok(word.to_owned())
}

fn after<'a>(rest: &'a str, keyword: &str) -> Result<&'a str, Reply> {
    let start = rest.get(..keyword.len()).filter(|start| start.eq_ignore_ascii_case(keyword));
    start.and(rest.get(keyword.len()..)).ok_or(reply::SYNTAX)
}

fn mail(rest: &str) -> Result<Mail, Reply> {
    let found = path::split(rest).ok_or(reply::BAD_SENDER)?;
    let sender = path::reverse_path(&found).ok_or(reply::BAD_SENDER)?;
    let mut mail = Mail {
        sender,
        size: None,
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
        require_tls: false,
        priority: None,
        by: None,
        hold: None,
    };
    for (keyword, value) in parameters(found.rest).ok_or(reply::SYNTAX)? {
        mail_parameter(&mut mail, &keyword, value)?;
    }
    let utf8 = mail.sender.address().is_some_and(Address::needs_utf8);
    if utf8 && !mail.smtputf8 { Err(reply::UTF8_NEEDED) } else { Ok(mail) }
}

/// One parameter of MAIL.
fn mail_parameter(mail: &mut Mail, keyword: &str, value: Option<&str>) -> Result<(), Reply> {
    match (keyword, value) {
        ("SIZE", Some(value)) => {
            mail.size = Some(params::size(value).ok_or(reply::SYNTAX)?);
        }
        ("BODY", Some(value)) => mail.body = Body::parse(value).ok_or(reply::SYNTAX)?,
        ("SMTPUTF8", None) => mail.smtputf8 = true,
        ("RET", Some(value)) => {
            mail.ret = Some(Ret::parse(value).ok_or(reply::SYNTAX)?);
        }
        ("ENVID", Some(value)) if value.len() <= 100 => {
            // RFC 3461 §4.4: printable ASCII.
            let decoded = xtext_decode(value).filter(|id| id.is_ascii());
            mail.envid = Some(decoded.ok_or(reply::SYNTAX)?);
        }
        ("REQUIRETLS", None) => mail.require_tls = true,
        ("MT-PRIORITY", Some(value)) => {
            mail.priority = Some(params::priority(value).ok_or(reply::SYNTAX)?);
        }
        ("BY", Some(value)) => {
            mail.by = Some(By::parse(value).ok_or(reply::SYNTAX)?);
        }
        // RFC 4865 §4.2: one of the two.
        ("HOLDFOR", Some(value)) if mail.hold.is_none() => {
            mail.hold = Some(Hold::parse_for(value).ok_or(reply::SYNTAX)?);
        }
        ("HOLDUNTIL", Some(value)) if mail.hold.is_none() => {
            mail.hold = Some(Hold::parse_until(value).ok_or(reply::SYNTAX)?);
        }
        // RFC 4954 §5: who submitted it first; we trust nobody's word on it.
        ("AUTH", Some(value)) if xtext_decode(value).is_some_and(|who| !who.is_empty()) => {}
        (
            "SIZE" | "BODY" | "SMTPUTF8" | "RET" | "ENVID" | "REQUIRETLS" | "MT-PRIORITY" | "BY"
            | "HOLDFOR" | "HOLDUNTIL" | "AUTH",
            _,
        ) => return Err(reply::SYNTAX),
        _ => {
            return Err(reply::UNKNOWN_PARAMETER.saying(format!("Unknown parameter {keyword}")));
        }
    }
    Ok(())
}

fn rcpt(rest: &str) -> Result<Rcpt, Reply> {
    let found = path::split(rest).ok_or(reply::BAD_ADDRESS)?;
    let recipient = match found.inner {
        bare if bare.eq_ignore_ascii_case("postmaster") => None,
        inner => Some(path::mailbox(inner).ok_or(reply::BAD_ADDRESS)?),
    };
    let mut rcpt = Rcpt { recipient, notify: Notify::default(), orcpt: None };
    for (keyword, value) in parameters(found.rest).ok_or(reply::SYNTAX)? {
        match (keyword.as_str(), value) {
            ("NOTIFY", Some(value)) => {
                rcpt.notify = Notify::parse(value).ok_or(reply::SYNTAX)?;
            }
            ("ORCPT", Some(value)) if value.len() <= 500 => {
                rcpt.orcpt = Some(params::orcpt(value).ok_or(reply::SYNTAX)?);
            }
            ("NOTIFY" | "ORCPT", _) => return Err(reply::SYNTAX),
            _ => {
                return Err(reply::UNKNOWN_PARAMETER.saying(format!("Unknown parameter {keyword}")));
            }
        }
    }
    Ok(rcpt)
}

/// `BDAT size [LAST]`. RFC 3030 §2.
fn bdat(rest: &str) -> Result<Command, Reply> {
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let digits = words.next().filter(|w| w.len() <= 18 && w.bytes().all(|b| b.is_ascii_digit()));
    let size = digits.and_then(|w| w.parse().ok()).ok_or(reply::SYNTAX)?;
    match (words.next(), words.next()) {
        (None, _) => Ok(Command::Bdat(size, false)),
        (Some(last), None) if last.eq_ignore_ascii_case("LAST") => Ok(Command::Bdat(size, true)),
        _ => Err(reply::SYNTAX),
    }
}

/// `BURL absolute-URI [LAST]`. RFC 4468 §3.5.
fn burl(rest: &str) -> Result<Command, Reply> {
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let url = words.next().filter(|url| url.contains(':')).ok_or(reply::SYNTAX)?.to_owned();
    match (words.next(), words.next()) {
        (None, _) => Ok(Command::Burl(url, false)),
        (Some(last), None) if last.eq_ignore_ascii_case("LAST") => Ok(Command::Burl(url, true)),
        _ => Err(reply::SYNTAX),
    }
}

/// `AUTH mechanism [initial]`; several blanks are let through (users.md S-31).
fn auth(rest: &str) -> Result<Command, Reply> {
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let mechanism = words.next().ok_or(reply::SYNTAX)?.to_owned();
    let initial = words.next().map(str::to_owned);
    if words.next().is_some() { Err(reply::SYNTAX) } else { Ok(Command::Auth(mechanism, initial)) }
}

/// `XCLIENT name=value …`, values in xtext, by Postfix's XCLIENT_README.
fn xclient(rest: &str) -> Result<Command, Reply> {
    let pair = |(name, value): (String, Option<&str>)| Some((name, xtext_decode(value?)?));
    let pairs: Option<Vec<(String, String)>> = words(rest).map(pair).collect();
    pairs.filter(|pairs| !pairs.is_empty()).map(Command::Xclient).ok_or(reply::SYNTAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_parse() {
        let parse = |line: &str| Command::parse(line.as_bytes());
        assert_eq!(parse("ehlo Foo_bar."), Ok(Command::Ehlo("Foo_bar.".to_owned())));
        assert_eq!(parse("EHLO"), Err(reply::SYNTAX));
        assert_eq!(parse("EHLO a(b"), Err(reply::SYNTAX));
        assert_eq!(parse("DATA x"), Err(reply::SYNTAX));
        assert_eq!(parse("BDAT 10 last"), Ok(Command::Bdat(10, true)));
        assert_eq!(parse("burl imap://x last"), Ok(Command::Burl("imap://x".to_owned(), true)));
        for bad in ["BURL", "BURL LAST", "BURL imap://x y", "BURL imap://x LAST LAST"] {
            assert_eq!(parse(bad), Err(reply::SYNTAX), "{bad}");
        }
        assert_eq!(parse("BDAT -1"), Err(reply::SYNTAX));
        assert_eq!(parse("BDAT 99999999999999999999"), Err(reply::SYNTAX));
        assert_eq!(
            parse("AUTH PLAIN  AAA="),
            Ok(Command::Auth("PLAIN".into(), Some("AAA=".into())))
        );
        assert_eq!(parse("GET / HTTP/1.1"), Ok(Command::NotSmtp));
        let Ok(Command::Mail(mail)) =
            parse("MAIL FROM: <a@b.c> SIZE=5 BODY=8bitmime RET=HDRS ENVID=x+2By")
        else {
            panic!()
        };
        assert_eq!((mail.size, mail.body, mail.ret), (Some(5), Body::EightBit, Some(Ret::Headers)));
        assert_eq!(mail.envid.as_deref(), Some("x+y"));
        let Ok(Command::Mail(mail)) = parse("MAIL FROM:<a@b.c> BODY=BINARYMIME HOLDFOR=60") else {
            panic!()
        };
        assert_eq!((mail.body, mail.hold), (Body::Binary, Some(Hold::For(60))));
        for twice in ["HOLDFOR=1 HOLDFOR=1", "HOLDFOR=1 HOLDUNTIL=2030-01-01T00:00:00Z"] {
            assert_eq!(parse(&format!("MAIL FROM:<a@b.c> {twice}")), Err(reply::SYNTAX));
        }
        assert_eq!(parse("MAIL FROM:<jörg@b.c>"), Err(reply::UTF8_NEEDED));
        assert!(parse("MAIL FROM:<jörg@b.c> SMTPUTF8").is_ok());
        assert_eq!(parse("MAIL FROM:<a@b.c> FOO=1").unwrap_err().code, 555);
        assert_eq!(parse("RCPT TO:<>"), Err(reply::BAD_ADDRESS));
        let Ok(Command::Rcpt(rcpt)) = parse("RCPT TO:<Postmaster> NOTIFY=NEVER ORCPT=rfc822;a@b")
        else {
            panic!()
        };
        assert!(rcpt.recipient.is_none() && rcpt.notify.never);
        assert_eq!(rcpt.orcpt.as_deref(), Some("rfc822;a@b"));
    }
}
