//! The client's side: what we say to another server and what its replies mean. RFC 5321 §4.2, §4.3.
//!
//! Pure pieces for `delivery::remote`, which does the talking: a reply reader with limits, what
//! EHLO announced, and the command lines.

use super::limits::{REPLY_LINES_MAX, REPLY_OCTETS_MAX};
use super::params::{By, Notify, Ret, orcpt_encode, xtext_encode};
use crate::line::{Input, Line};
use mail::{Address, ReversePath};

/// A reply of another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteReply {
    /// Three digits; of the last line where lines differ.
    pub code: u16,
    /// The texts of its lines, without codes.
    pub lines: Vec<String>,
}

impl RemoteReply {
    /// 2yz: it is done. 3yz is not: that asks for more, and is no answer but to DATA.
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }
    /// 5yz: trying again will not help.
    pub fn is_permanent(&self) -> bool {
        (500..600).contains(&self.code)
    }
    /// All of it on one line.
    pub fn text(&self) -> String {
        // An enhanced code stands before each line (RFC 2034 §4); once is enough for people.
        let status = format!("{} ", self.status());
        let mut text = self.code.to_string();
        for (n, line) in self.lines.iter().enumerate() {
            let again = line.strip_prefix(&status).filter(|_| n > 0);
            text.push(' ');
            text.push_str(again.unwrap_or(line));
        }
        text
    }
    /// The enhanced status code it gives, or a general one. Its class is that of the code (RFC 2034
    /// §4); a reply that makes no sense here is of class 4, since the next one may. Numbers have no
    /// leading zeros (RFC 3464 §2.3.4).
    pub fn status(&self) -> String {
        let class = match self.code / 100 {
            2 => '2',
            5 => '5',
            _ => '4',
        };
        let first = self.lines.first().map(String::as_str).unwrap_or_default();
        let word = first.split(' ').next().unwrap_or_default();
        let numbers: Vec<&str> = word.split('.').collect();
        let number = |n: &&str| {
            (1..=3).contains(&n.len())
                && n.bytes().all(|b| b.is_ascii_digit())
                && (*n == "0" || !n.starts_with('0'))
        };
        let fine = numbers.len() == 3 && numbers.iter().all(number) && word.starts_with(class);
        match (fine, self.code) {
            (true, _) => word.to_owned(),
            // RFC 7504 §6.
            (false, 521) => "5.3.2".to_owned(),
            (false, 556) => "5.1.10".to_owned(),
            (false, _) => format!("{class}.0.0"),
        }
    }
}

/// A peer that does not speak SMTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSmtp(pub String);

/// Reads replies.
#[derive(Debug, Default)]
pub struct ReplyReader {
    input: Input,
    lines: Vec<String>,
}

impl ReplyReader {
    /// Bytes from the server.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.receive(bytes);
    }

    /// Something came that no reply has used.
    pub fn has_unread_input(&self) -> bool {
        !self.input.is_empty() || !self.lines.is_empty()
    }

    /// The next whole reply, if there is one.
    pub fn next_reply(&mut self) -> Result<Option<RemoteReply>, NotSmtp> {
        loop {
            let line = match self.input.line(REPLY_OCTETS_MAX) {
                Line::Whole(line) => line,
                Line::Partial => return Ok(None),
                Line::TooLong => return Err(NotSmtp("a reply line that is too long".to_owned())),
                Line::Bare => return Err(NotSmtp("a reply with a bare CR or LF".to_owned())),
            };
            let text = String::from_utf8_lossy(&line).into_owned();
            let code = text.get(..3).filter(|code| code.bytes().all(|b| b.is_ascii_digit()));
            let code: Option<u16> = code.and_then(|code| code.parse().ok());
            let more = match text.get(3..4) {
                Some("-") => true,
                Some(" ") | None => false,
                Some(_) => return Err(NotSmtp(format!("not a reply: {text:.80}"))),
            };
            let Some(code) = code.filter(|code| (200..600).contains(code)) else {
                return Err(NotSmtp(format!("not a reply: {text:.80}")));
            };
            self.lines.push(text.get(4..).unwrap_or_default().to_owned());
            if self.lines.len() > REPLY_LINES_MAX {
                return Err(NotSmtp("a reply of too many lines".to_owned()));
            }
            if !more {
                return Ok(Some(RemoteReply { code, lines: std::mem::take(&mut self.lines) }));
            }
        }
    }
}

/// What EHLO announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// PIPELINING
    pub pipelining: bool,
    /// STARTTLS
    pub starttls: bool,
    /// 8BITMIME
    pub eight_bit: bool,
    /// SMTPUTF8
    pub smtputf8: bool,
    /// DSN
    pub dsn: bool,
    /// AUTH with PLAIN
    pub auth_plain: bool,
    /// AUTH with LOGIN
    pub auth_login: bool,
    /// SIZE and its limit; 0 is none.
    pub size: Option<u64>,
    /// REQUIRETLS
    pub require_tls: bool,
    /// MT-PRIORITY
    pub priority: bool,
    /// DELIVERBY and the least seconds it takes.
    pub deliver_by: Option<i64>,
    /// RCPTMAX of LIMITS: recipients of one message. RFC 9422.
    pub recipients_max: Option<usize>,
    /// MAILMAX of LIMITS: messages over one connection. RFC 9422.
    pub messages_max: Option<usize>,
}

impl Extensions {
    /// From the reply to EHLO.
    pub fn parse(reply: &RemoteReply) -> Extensions {
        let mut found = Extensions::default();
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
                "PIPELINING" => found.pipelining = true,
                "STARTTLS" => found.starttls = true,
                "8BITMIME" => found.eight_bit = true,
                "SMTPUTF8" => found.smtputf8 = true,
                "DSN" => found.dsn = true,
                "REQUIRETLS" => found.require_tls = true,
                "MT-PRIORITY" => found.priority = true,
                "DELIVERBY" => {
                    let least = words.next().and_then(|word| word.split(',').next());
                    found.deliver_by = Some(least.and_then(|n| n.parse().ok()).unwrap_or(0));
                }
                "AUTH" => words.for_each(|word| found.mechanism(word)),
                // RFC 9422 §3.7: where one word is no limit, there are none.
                "LIMITS" if words.clone().all(is_limit) => {
                    words.for_each(|word| found.limit(word));
                }
                "SIZE" => found.size = words.next().unwrap_or("0").parse().ok(),
                _ => {}
            }
        }
        found
    }
}

impl Extensions {
    fn mechanism(&mut self, word: &str) {
        self.auth_plain |= word.eq_ignore_ascii_case("PLAIN");
        self.auth_login |= word.eq_ignore_ascii_case("LOGIN");
    }

    /// A limit whose value is none is passed over. RFC 9422 §3.7, §4.
    fn limit(&mut self, word: &str) {
        let Some((name, value)) = word.split_once('=') else { return };
        let fine = (1..=6).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
        let value = value.parse().ok().filter(|_| fine && !value.starts_with('0'));
        match name.to_ascii_uppercase().as_str() {
            "RCPTMAX" => self.recipients_max = value,
            "MAILMAX" => self.messages_max = value,
            _ => {}
        }
    }
}

/// `limit-name-value`. RFC 9422 §3.
fn is_limit(word: &str) -> bool {
    let (name, value) = word.split_once('=').unwrap_or((word, "-"));
    let in_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let in_value = |b: u8| b.is_ascii_graphic() && b != b';';
    let all = |text: &str, of: fn(u8) -> bool| !text.is_empty() && text.bytes().all(of);
    all(name, in_name) && all(value, in_value)
}

/// What MAIL says.
#[derive(Clone, Debug)]
pub struct MailLine<'a> {
    /// The sender.
    pub sender: &'a ReversePath,
    /// Octets of the message.
    pub size: u64,
    /// The message has 8-bit octets.
    pub body8: bool,
    /// SMTPUTF8 is needed.
    pub smtputf8: bool,
    /// RET
    pub ret: Option<Ret>,
    /// ENVID
    pub envid: Option<&'a str>,
    /// REQUIRETLS
    pub require_tls: bool,
    /// MT-PRIORITY; 0 is what a message has anyway.
    pub priority: i8,
    /// BY
    pub by: Option<By>,
}

impl MailLine<'_> {
    /// The command line, using what the server can do.
    pub fn encode(&self, can: &Extensions) -> String {
        let mut line = format!("MAIL FROM:<{}>", self.sender);
        if can.size.is_some() {
            line.push_str(&format!(" SIZE={}", self.size));
        }
        if can.eight_bit && self.body8 {
            line.push_str(" BODY=8BITMIME");
        }
        if can.smtputf8 && self.smtputf8 {
            line.push_str(" SMTPUTF8");
        }
        if can.require_tls && self.require_tls {
            line.push_str(" REQUIRETLS");
        }
        if can.priority && self.priority != 0 {
            line.push_str(&format!(" MT-PRIORITY={}", self.priority));
        }
        if let Some(by) = self.by.filter(|_| can.deliver_by.is_some()) {
            line.push_str(&format!(" BY={by}"));
        }
        if can.dsn {
            match self.ret {
                Some(Ret::Full) => line.push_str(" RET=FULL"),
                Some(Ret::Headers) => line.push_str(" RET=HDRS"),
                None => {}
            }
            if let Some(envid) = self.envid {
                line.push_str(&format!(" ENVID={}", xtext_encode(envid)));
            }
        }
        line.push_str("\r\n");
        line
    }
}

/// The RCPT line of a recipient.
pub fn rcpt_line(to: &Address, notify: Notify, orcpt: Option<&str>, can: &Extensions) -> String {
    let mut line = format!("RCPT TO:<{to}>");
    if can.dsn {
        if let Some(value) = notify.value() {
            line.push_str(&format!(" NOTIFY={value}"));
        }
        if let Some(value) = orcpt.and_then(|orcpt| orcpt_encode(orcpt, can.smtputf8)) {
            line.push_str(&format!(" ORCPT={value}"));
        }
    }
    line.push_str("\r\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(bytes: &[u8], split: usize) -> Result<Vec<RemoteReply>, NotSmtp> {
        let mut reader = ReplyReader::default();
        let mut all = Vec::new();
        for piece in bytes.chunks(split) {
            reader.receive(piece);
            while let Some(reply) = reader.next_reply()? {
                all.push(reply);
            }
        }
        Ok(all)
    }

    #[test]
    fn replies_are_read_in_any_split() {
        for split in [1, 2, 7, 1000] {
            let all = replies(
                b"250-mx.test Hi\r\n250-SIZE 100\r\n250 STARTTLS\r\n550 5.1.1 no\r\n354\r\n",
                split,
            );
            let all = all.unwrap();
            assert_eq!(all.len(), 3);
            let can = Extensions::parse(&all[0]);
            assert!(can.starttls && can.size == Some(100) && !can.pipelining);
            assert_eq!((all[1].status().as_str(), all[1].is_permanent()), ("5.1.1", true));
            assert_eq!((all[2].status().as_str(), all[2].is_positive()), ("4.0.0", false));
            let odd = &replies(b"550 2.1.5 no\r\n", split).unwrap()[0];
            assert_eq!((odd.status().as_str(), odd.is_permanent()), ("5.0.0", true));
            let status = |line: &[u8]| replies(line, split).unwrap()[0].status();
            assert_eq!(status(b"550 5.01.1 no\r\n"), "5.0.0");
            assert_eq!(status(b"521 no mail here\r\n"), "5.3.2");
            assert_eq!(status(b"556 no mail there\r\n"), "5.1.10");
            for bad in [&b"hello\r\n"[..], b"25\r\n", b"999 x\r\n", b"250_x\r\n", b"250 a\nb\r\n"] {
                assert!(replies(bad, split).is_err());
            }
            let endless = b"250-x\r\n".repeat(300);
            assert!(replies(&endless, split).is_err());
        }
    }

    #[test]
    fn lines_are_told_on_one_and_the_enhanced_code_once() {
        let text = |octets: &[u8]| replies(octets, 3).unwrap()[0].text();
        assert_eq!(
            text(b"550-5.7.1 no\r\n550-5.7.1 not\r\n550 5.1.1 you\r\n"),
            "550 5.7.1 no not 5.1.1 you"
        );
        assert_eq!(text(b"550-no\r\n550 5.7.1 not\r\n"), "550 no 5.7.1 not");
    }

    /// RFC 9422 §3.7: a value that is none is passed over, a word that is none takes all with it.
    #[test]
    fn limits_are_read_to_the_letter() {
        for (words, recipients, messages) in [
            ("RCPTMAX=20 MAILMAX=5", Some(20), Some(5)),
            ("rcptmax=999999 NEW MAILMAX=1000000", Some(999_999), None),
            ("RCPTMAX=0 MAILMAX=05", None, None),
            ("RCPTMAX=+5 MAILMAX=5", None, Some(5)),
            ("RCPTMAX MAILMAX=5", None, Some(5)),
            ("RCPTMAX=20 MAILMAX=", None, None),
            ("RCPTMAX=20 X=a;b", None, None),
            ("RCPTMAX=20 A.B=1", None, None),
            ("RCPTMAX=20 =1", None, None),
            ("", None, None),
        ] {
            let lines = vec!["mx.test".to_owned(), format!("LIMITS {words}")];
            let can = Extensions::parse(&RemoteReply { code: 250, lines });
            assert_eq!((can.recipients_max, can.messages_max), (recipients, messages), "{words}");
        }
    }
}
