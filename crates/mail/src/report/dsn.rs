//! Delivery status notifications: `multipart/report` with a `message/delivery-status`. RFC 3461 §6,
//! RFC 3464, RFC 6522; addresses and headers in UTF-8 by RFC 6533.
//!
//! Every text from outside passes [`one_line`], so that nothing can add a header line of its own.

use crate::address::{Address, Domain};
use crate::date::{format_rfc3339, format_rfc5322};
use crate::header;
use crate::mime::encode::base64_lines;
use crate::mime::header_of;
use crate::unitext;
use std::borrow::Cow;
use std::fmt::Write as _;

/// What became of a recipient. RFC 3464 §2.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It could not be delivered and will not be tried again.
    Failed,
    /// Not yet; we go on trying.
    Delayed,
    /// It is in a mailbox.
    Delivered,
    /// Handed to a server that gives no such reports.
    Relayed,
    /// Sent on to several addresses.
    Expanded,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
            Action::Expanded => "expanded",
        }
    }
}

/// One recipient in a report. RFC 3464 §2.3.
#[derive(Clone, Debug)]
pub struct ReportedRecipient {
    /// The address we had.
    pub address: Address,
    /// ORCPT as its sender gave it, `type;xtext` decoded.
    pub original: Option<String>,
    /// What became of it.
    pub action: Action,
    /// Enhanced status code, as `5.1.1`.
    pub status: String,
    /// The server that said so.
    pub remote_mta: Option<String>,
    /// TLS that it was spoken to under; empty for none.
    pub remote_tls: Option<String>,
    /// What it said, or what we found.
    pub diagnostic: Option<String>,
    /// That was the last of many attempts.
    pub given_up: bool,
    /// When we last tried, seconds since 1970.
    pub last_attempt: Option<i64>,
    /// Until when we go on trying, seconds since 1970.
    pub retry_until: Option<i64>,
}

/// A report to be written.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Our host name.
    pub reporting_mta: &'a Domain,
    /// Our name for the message this report is in (makes Message-ID and boundary).
    pub id: String,
    /// Now, seconds since 1970.
    pub date: i64,
    /// To whom it goes.
    pub to: &'a Address,
    /// ENVID of the original.
    pub envelope_id: Option<&'a str>,
    /// When the original came, seconds since 1970.
    pub arrival: i64,
    /// The deliver-by-time of the original, seconds since 1970. RFC 2852 §5.
    pub deliver_by: Option<i64>,
    /// Until when the original was to be held.
    pub future_release: Option<FutureRelease>,
    /// Whom it is about; not empty.
    pub recipients: &'a [ReportedRecipient],
    /// The original message, or its header only.
    pub original: Original<'a>,
}

/// What the sender said of when a message may go. RFC 4865 §5.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FutureRelease {
    /// HOLDFOR: seconds.
    For(i64),
    /// HOLDUNTIL: seconds since 1970.
    Until(i64),
}

/// How much of the original goes back. RFC 3461 §4.3.
#[derive(Clone, Copy, Debug)]
pub enum Original<'a> {
    /// All of it.
    Full(&'a [u8]),
    /// Its header.
    Header(&'a [u8]),
}

impl Report<'_> {
    /// The whole message, lines ending in CRLF.
    pub fn compose(&self) -> Vec<u8> {
        let explanation = self.explanation();
        let (kind, returned_coding, returned) = self.returned();
        let coding = coding(explanation.as_bytes());
        let boundary = self.boundary();
        let mut out = String::new();
        // RFC 2045 §6.4: the whole is what the most of its parts is.
        self.header(&mut out, if returned_coding == "8bit" { "8bit" } else { coding });
        let _ = write!(
            out,
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: {coding}\r\n\r\n{explanation}"
        );
        self.status(&mut out);
        let _ = write!(
            out,
            "--{boundary}\r\nContent-Type: {kind}\r\n\
             Content-Transfer-Encoding: {returned_coding}\r\n\r\n"
        );
        let mut message = out.into_bytes();
        message.extend_from_slice(&returned);
        if !returned.ends_with(b"\r\n") {
            message.extend_from_slice(b"\r\n");
        }
        message.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        message
    }

    /// What of the original goes back: its type, its coding, its octets. A header in UTF-8 has
    /// types of its own, and is encoded for servers without SMTPUTF8. RFC 6533 §4.2, §4.3, §4.5.
    fn returned(&self) -> (&'static str, &'static str, Cow<'_, [u8]>) {
        let (octets, head, plain, global) = match self.original {
            Original::Full(octets) => {
                (octets, header_of(octets), "message/rfc822", "message/global")
            }
            Original::Header(head) => (head, head, "text/rfc822-headers", "message/global-headers"),
        };
        if head.is_ascii() || std::str::from_utf8(head).is_err() {
            return (plain, coding(octets), octets.into());
        }
        let mut encoded = Vec::new();
        base64_lines(octets, &mut encoded);
        (global, "base64", encoded.into())
    }

    fn boundary(&self) -> String {
        format!("=_report_{}", self.id)
    }

    fn header(&self, out: &mut String, coding: &str) {
        let subject = match self.recipients.first().map(|r| r.action) {
            Some(Action::Delayed) => "Delayed: your message is still waiting",
            Some(Action::Delivered | Action::Relayed | Action::Expanded) => {
                "Delivered: your message"
            }
            _ => "Undelivered: your message came back",
        };
        let host = self.reporting_mta;
        let _ = write!(
            out,
            "From: Mail Delivery System <MAILER-DAEMON@{host}>\r\n\
             To: <{}>\r\n\
             Subject: {subject}\r\n\
             Date: {}\r\n\
             Message-ID: <{}@{host}>\r\n\
             Auto-Submitted: auto-replied\r\n\
             MIME-Version: 1.0\r\n\
             Content-Transfer-Encoding: {coding}\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\
             \tboundary=\"{}\"\r\n\r\n\
             This is a report in several parts (RFC 3464).\r\n\r\n",
            one_line(&self.to.to_string()),
            format_rfc5322(self.date),
            self.id,
            self.boundary(),
        );
    }

    fn explanation(&self) -> String {
        let mut out = format!("This is the mail server {}.\r\n\r\n", self.reporting_mta);
        self.name_original(&mut out);
        for recipient in self.recipients {
            let address = one_line(&recipient.address.to_string());
            let _ = match recipient.action {
                Action::Failed => write!(
                    out,
                    "Your message could not be delivered to <{address}>.\r\n\
                     {}It will not be tried again.\r\n",
                    if recipient.given_up { "It was tried for as long as we do. " } else { "" }
                ),
                Action::Delayed => write!(
                    out,
                    "Your message to <{address}> is not delivered yet.\r\n\
                     You need not do anything: we go on trying{}.\r\n",
                    recipient.retry_until.map_or(String::new(), |until| {
                        format!(
                            "\r\nuntil {}, and tell you if it comes to nothing",
                            format_rfc5322(until)
                        )
                    })
                ),
                _ => write!(out, "Your message reached the server of <{address}>.\r\n"),
            };
            if let Some(host) = &recipient.remote_mta {
                let cover = match recipient.remote_tls.as_deref() {
                    None => String::new(),
                    Some("") => ", spoken to without TLS".to_owned(),
                    Some(tls) => format!(",\r\nspoken to under {}", one_line(tls)),
                };
                let _ = write!(out, "The other server is {}{cover}.\r\n", one_line(host));
            }
            if let Some(said) = &recipient.diagnostic {
                let arrived = !matches!(recipient.action, Action::Failed | Action::Delayed);
                let what = if arrived { "It said" } else { "The reason" };
                let _ = write!(out, "{what}:\r\n");
                for line in wrapped(&one_line(said)) {
                    let _ = write!(out, "    {line}\r\n");
                }
            }
            out.push_str("\r\n");
        }
        out
    }

    /// Which message this is about, as its sender knows it.
    fn name_original(&self, out: &mut String) {
        let (Original::Full(head) | Original::Header(head)) = self.original;
        let mut named = false;
        for (name, most) in [("Subject", 200), ("To", 200), ("Date", 80), ("Message-ID", 320)] {
            let is = |field: &header::Field<'_>| field.name.eq_ignore_ascii_case(name.as_bytes());
            let Some(field) = header::fields(head).find(is) else { continue };
            let value = one_line(&header::decode_words(&header::unfold(field.value)));
            let (value, rest) = match value.char_indices().nth(most) {
                Some((end, _)) => (value.get(..end).unwrap_or_default(), " ..."),
                None => (value.as_str(), ""),
            };
            if !named {
                out.push_str("It is about this message of yours:\r\n");
            }
            named = true;
            for (n, line) in wrapped(&format!("{name}: {value}{rest}")).iter().enumerate() {
                let blanks = if n == 0 { "    " } else { "        " };
                let _ = write!(out, "{blanks}{line}\r\n");
            }
        }
        if named {
            out.push_str("\r\n");
        }
    }

    /// RFC 3464 §2: ASCII only.
    fn status(&self, out: &mut String) {
        let _ = write!(
            out,
            "--{}\r\nContent-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; {}\r\n",
            self.boundary(),
            self.reporting_mta
        );
        if let Some(id) = self.envelope_id {
            let _ = write!(out, "Original-Envelope-Id: {}\r\n", ascii_line(id));
        }
        let _ = write!(out, "Arrival-Date: {}\r\n", format_rfc5322(self.arrival));
        if let Some(at) = self.deliver_by {
            let _ = write!(out, "Deliver-By-Date: {}\r\n", format_rfc5322(at));
        }
        if let Some(hold) = self.future_release {
            let value = match hold {
                FutureRelease::For(seconds) => format!("for;{seconds}"),
                FutureRelease::Until(at) => format!("until;{}", format_rfc3339(at)),
            };
            let _ = write!(out, "Future-Release-Request: {value}\r\n");
        }
        for recipient in self.recipients {
            out.push_str("\r\n");
            if let Some(original) = &recipient.original {
                let (kind, address) = original.split_once(';').unwrap_or(("unknown", original));
                let address = in_ascii(kind, address);
                let _ = write!(out, "Original-Recipient: {};{address}\r\n", ascii_line(kind));
            }
            let kind = if recipient.address.needs_utf8() { "utf-8" } else { "rfc822" };
            let _ = write!(
                out,
                "Final-Recipient: {kind}; {}\r\nAction: {}\r\nStatus: {}\r\n",
                in_ascii(kind, &recipient.address.to_string()),
                recipient.action.word(),
                ascii_line(&recipient.status)
            );
            if let Some(host) = &recipient.remote_mta {
                let _ = write!(out, "Remote-MTA: dns; {}\r\n", ascii_line(host));
            }
            if let Some(said) = &recipient.diagnostic {
                let lines = wrapped(&ascii_line(said));
                let kind = if is_reply(said) { "smtp" } else { "x-postrider" };
                let _ = write!(out, "Diagnostic-Code: {kind}; {}\r\n", lines.join("\r\n\t"));
            }
            if let Some(at) = recipient.last_attempt {
                let _ = write!(out, "Last-Attempt-Date: {}\r\n", format_rfc5322(at));
            }
            if let Some(until) = recipient.retry_until {
                let _ = write!(out, "Will-Retry-Until: {}\r\n", format_rfc5322(until));
            }
        }
        out.push_str("\r\n");
    }
}

/// What a server replied, not what we found out ourselves. RFC 3461 §9.2.
fn is_reply(text: &str) -> bool {
    let (code, rest) = text.split_at_checked(3).unwrap_or_default();
    !code.is_empty() && code.bytes().all(|b| b.is_ascii_digit()) && rest.starts_with([' ', '-'])
}

/// The text without control characters, at most 800 characters: fit for one header line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(800).collect()
}

/// The same in ASCII.
fn ascii_line(text: &str) -> String {
    one_line(text).chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// An address of that type; one in UTF-8 is written in ASCII. RFC 6533 §3.
fn in_ascii(kind: &str, address: &str) -> String {
    match kind.eq_ignore_ascii_case("utf-8") {
        true => unitext::encode(&one_line(address), true),
        false => ascii_line(address),
    }
}

/// The label of octets that go as they are.
fn coding(octets: &[u8]) -> &'static str {
    if octets.is_ascii() { "7bit" } else { "8bit" }
}

/// The text in lines of about 70 characters, broken at blanks.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && line.chars().count() + word.chars().count() > 70 {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::{PartBody, summary_of};

    fn recipient(address: &str, original: &str, diagnostic: &str) -> ReportedRecipient {
        ReportedRecipient {
            address: Address::parse(address).unwrap(),
            original: Some(original.to_owned()),
            action: Action::Failed,
            status: "5.1.1".to_owned(),
            remote_mta: Some("mx.two.example".to_owned()),
            remote_tls: Some("TLSv1.3 CIPHER".to_owned()),
            diagnostic: Some(diagnostic.to_owned()),
            given_up: false,
            last_attempt: Some(0),
            retry_until: None,
        }
    }

    fn compose(to: &str, recipient: ReportedRecipient, original: Original<'_>) -> Vec<u8> {
        let report = Report {
            reporting_mta: &Domain::parse("mail.one.example").unwrap(),
            id: "01abc".to_owned(),
            date: 880_127_706,
            to: &Address::parse(to).unwrap(),
            envelope_id: Some("QQ314159"),
            arrival: 880_127_000,
            deliver_by: None,
            future_release: None,
            recipients: &[recipient],
            original,
        };
        report.compose()
    }

    /// The kinds of its parts.
    fn kinds(message: &[u8]) -> Vec<String> {
        let summary = summary_of(message);
        let PartBody::Multipart(parts) = &summary.root.body else { panic!() };
        parts.iter().map(|p| String::from_utf8_lossy(p.content().subtype).into_owned()).collect()
    }

    #[test]
    fn a_report_has_the_three_parts_and_no_injected_lines() {
        let said = "550 5.1.1 no\r\nX-Evil: yes";
        let failed = recipient("bob@two.example", "rfc822;bob@two.example", said);
        let message = compose("alice@one.example", failed, Original::Header(b"Subject: hi\r\n"));
        assert!(message.is_ascii());
        assert_eq!(kinds(&message), ["plain", "delivery-status", "rfc822-headers"]);
        let text = String::from_utf8(message).unwrap();
        assert!(!text.contains("\r\nX-Evil"), "{text}");
        assert!(text.contains(
            "\r\nOriginal-Recipient: rfc822;bob@two.example\r\n\
             Final-Recipient: rfc822; bob@two.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        ));
        assert!(text.lines().all(|line| line.len() < 998));
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        assert!(!text.contains("8bit"), "{text}");
    }

    /// People know which message is meant, whatever of it goes back.
    #[test]
    fn the_words_name_the_message() {
        let failed = || recipient("bob@two.example", "rfc822;bob@two.example", "550 no");
        let head = "Message-ID: <1@one.example>\r\nSUBJECT: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n at\r\n noon\r\n\
            Subject: second\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n";
        let message = compose("alice@one.example", failed(), Original::Header(head.as_bytes()));
        let text = String::from_utf8(message).unwrap();
        assert!(
            text.contains(
                "\r\nIt is about this message of yours:\r\n    Subject: Grüße at noon\r\n    \
             Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n    Message-ID: <1@one.example>\r\n\r\n\
             Your message could not be delivered to <bob@two.example>.\r\nIt will not be tried \
             again.\r\nThe other server is mx.two.example,\r\nspoken to under TLSv1.3 CIPHER.\r\n"
            ),
            "{text}"
        );
        assert!(text.contains("MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n"));
        let evil =
            format!("Subject: =?utf-8?q?a=0D=0A=0D=0A--=3D=5Freport?= {}\r\n", "x".repeat(5000));
        let whole = format!("{evil}\r\nSubject: in the body\r\n");
        let message = compose("alice@one.example", failed(), Original::Full(whole.as_bytes()));
        let text = String::from_utf8(message).unwrap();
        assert!(text.contains("    Subject: a --=_report\r\n        xxx"));
        assert!(text.lines().take_while(|line| !line.contains("rfc822")).all(|l| l.len() < 998));
        let none = compose("alice@one.example", failed(), Original::Header(b"From: a@b\r\n"));
        assert!(!String::from_utf8(none).unwrap().contains("It is about"));
    }

    /// Who hears of a delay knows how long it may last; what a server took, it took for no reason.
    #[test]
    fn the_words_are_those_of_what_happened() {
        let words = |action, retry_until| {
            let of = recipient("bob@two.example", "rfc822;bob@two.example", "250 taken");
            let of = ReportedRecipient { action, retry_until, ..of };
            let message = compose("alice@one.example", of, Original::Header(b"Subject: hi\r\n"));
            String::from_utf8(message).unwrap()
        };
        let delayed = words(Action::Delayed, Some(880_559_706));
        let until = "we go on trying\r\nuntil Wed, 26 Nov 1997 15:55:06 +0000, and tell you";
        assert!(delayed.contains(until) && delayed.contains("The reason:\r\n"), "{delayed}");
        assert!(words(Action::Delayed, None).contains("we go on trying.\r\n"));
        let relayed = words(Action::Relayed, None);
        assert!(relayed.contains("It said:\r\n    250 taken") && !relayed.contains("reason"));
    }

    /// RFC 3461 §9.2: only replies of servers are SMTP diagnostics.
    #[test]
    fn what_we_found_ourselves_is_no_reply() {
        for (said, kind) in [("550 no", "smtp"), ("55 is", "x-postrider"), ("", "x-postrider")] {
            let failed = recipient("bob@two.example", "rfc822;bob@two.example", said);
            let message =
                compose("alice@one.example", failed, Original::Header(b"Subject: hi\r\n"));
            let text = String::from_utf8(message).unwrap();
            assert!(text.contains(&format!("\r\nDiagnostic-Code: {kind}; {said}\r\n")), "{text}");
        }
    }

    /// RFC 6533 §3, §4: the machine's part is ASCII, and so is a header in UTF-8 that goes back.
    #[test]
    fn what_is_in_utf8_goes_back_in_ascii() {
        let failed = || recipient("jörg@exämple.org", "utf-8;ü+a@exämple.org", "550 für niemanden");
        let head = "Subject: Grüße\r\n";
        let message = compose("alice@one.example", failed(), Original::Header(head.as_bytes()));
        assert_eq!(kinds(&message), ["plain", "delivery-status", "global-headers"]);
        let text = String::from_utf8(message).unwrap();
        assert!(text.contains(
            "\r\nOriginal-Recipient: utf-8;\\x{FC}\\x{2B}a@ex\\x{E4}mple.org\r\n\
             Final-Recipient: utf-8; j\\x{F6}rg@ex\\x{E4}mple.org\r\n"
        ));
        assert!(text.contains("\r\nDiagnostic-Code: smtp; 550 f?r niemanden\r\n"));
        assert!(text.contains(
            "\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogR3LDvMOfZQ0K\r\n--"
        ));
        // The words for people are in UTF-8, and the whole says so.
        assert!(text.contains("MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n"));
        let whole = format!("{head}\r\nBody\r\n");
        let message = compose("alice@one.example", failed(), Original::Full(whole.as_bytes()));
        assert_eq!(kinds(&message), ["plain", "delivery-status", "global"]);
        // What is no UTF-8 has no type for it; a body of 8 bits is nothing special.
        let message =
            compose("alice@one.example", failed(), Original::Header(b"Subject: \xfc\r\n"));
        assert_eq!(kinds(&message), ["plain", "delivery-status", "rfc822-headers"]);
        let message =
            compose("alice@one.example", failed(), Original::Full("A: b\r\n\r\nü\r\n".as_bytes()));
        assert_eq!(kinds(&message), ["plain", "delivery-status", "rfc822"]);
    }
}
