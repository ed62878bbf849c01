//! Delivery status notifications: `multipart/report` with a `message/delivery-status`. RFC 3461 §6,
//! RFC 3464, RFC 6522.
//!
//! Every text from outside passes [`one_line`], so that nothing can add a header line of its own.

use crate::address::{Address, Domain};
use crate::date::{format_rfc3339, format_rfc5322};
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
    /// What it said.
    pub diagnostic: Option<String>,
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
        let mut out = String::new();
        self.header(&mut out);
        self.explanation(&mut out);
        self.status(&mut out);
        let (kind, original) = match self.original {
            Original::Full(octets) => ("message/rfc822", octets),
            Original::Header(octets) => ("text/rfc822-headers", octets),
        };
        let eight_bit = !original.is_ascii();
        let encoding = if eight_bit { "8bit" } else { "7bit" };
        let boundary = self.boundary();
        let _ = write!(
            out,
            "--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        );
        let mut message = out.into_bytes();
        message.extend_from_slice(original);
        if !original.ends_with(b"\r\n") {
            message.extend_from_slice(b"\r\n");
        }
        message.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        message
    }

    fn boundary(&self) -> String {
        format!("=_report_{}", self.id)
    }

    fn header(&self, out: &mut String) {
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
             Content-Type: multipart/report; report-type=delivery-status;\r\n\
             \tboundary=\"{}\"\r\n\r\n\
             This is a report in several parts (RFC 3464).\r\n\r\n",
            one_line(&self.to.to_string()),
            format_rfc5322(self.date),
            self.id,
            self.boundary(),
        );
    }

    fn explanation(&self, out: &mut String) {
        let _ = write!(
            out,
            "--{}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n\
             This is the mail server {}.\r\n\r\n",
            self.boundary(),
            self.reporting_mta
        );
        for recipient in self.recipients {
            let address = one_line(&recipient.address.to_string());
            let _ = match recipient.action {
                Action::Failed => write!(
                    out,
                    "Your message could not be delivered to <{address}>.\r\n\
                     It will not be tried again.\r\n"
                ),
                Action::Delayed => write!(
                    out,
                    "Your message to <{address}> is not delivered yet.\r\n\
                     You need not do anything: we go on trying.\r\n"
                ),
                _ => write!(out, "Your message reached the server of <{address}>.\r\n"),
            };
            if let Some(host) = &recipient.remote_mta {
                let _ = write!(out, "The other server is {}.\r\n", one_line(host));
            }
            if let Some(said) = &recipient.diagnostic {
                let _ = write!(out, "The reason:\r\n");
                for line in wrapped(&one_line(said)) {
                    let _ = write!(out, "    {line}\r\n");
                }
            }
            out.push_str("\r\n");
        }
    }

    fn status(&self, out: &mut String) {
        let _ = write!(
            out,
            "--{}\r\nContent-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; {}\r\n",
            self.boundary(),
            self.reporting_mta
        );
        if let Some(id) = self.envelope_id {
            let _ = write!(out, "Original-Envelope-Id: {}\r\n", one_line(id));
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
                let _ = write!(out, "Original-Recipient: {}\r\n", one_line(original));
            }
            let kind = if recipient.address.needs_utf8() { "utf-8" } else { "rfc822" };
            let _ = write!(
                out,
                "Final-Recipient: {kind}; {}\r\nAction: {}\r\nStatus: {}\r\n",
                one_line(&recipient.address.to_string()),
                recipient.action.word(),
                one_line(&recipient.status)
            );
            if let Some(host) = &recipient.remote_mta {
                let _ = write!(out, "Remote-MTA: dns; {}\r\n", one_line(host));
            }
            if let Some(said) = &recipient.diagnostic {
                let lines = wrapped(&one_line(said));
                let _ = write!(out, "Diagnostic-Code: smtp; {}\r\n", lines.join("\r\n\t"));
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

/// The text without control characters, at most 800 characters: fit for one header line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(800).collect()
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

    #[test]
    fn a_report_has_the_three_parts_and_no_injected_lines() {
        let host = Domain::parse("mail.one.example").unwrap();
        let to = Address::parse("alice@one.example").unwrap();
        let recipients = [ReportedRecipient {
            address: Address::parse("bob@two.example").unwrap(),
            original: Some("rfc822;bob@two.example".to_owned()),
            action: Action::Failed,
            status: "5.1.1".to_owned(),
            remote_mta: Some("mx.two.example".to_owned()),
            diagnostic: Some("550 5.1.1 no\r\nX-Evil: yes".to_owned()),
            last_attempt: Some(0),
            retry_until: None,
        }];
        let report = Report {
            reporting_mta: &host,
            id: "01abc".to_owned(),
            date: 880_127_706,
            to: &to,
            envelope_id: Some("QQ314159"),
            arrival: 880_127_000,
            deliver_by: None,
            future_release: None,
            recipients: &recipients,
            original: Original::Header(b"Subject: hi\r\n"),
        };
        let message = report.compose();
        let text = String::from_utf8(message.clone()).unwrap();
        assert!(!text.contains("\r\nX-Evil"), "{text}");
        assert!(text.contains(
            "\r\nFinal-Recipient: rfc822; bob@two.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        ));
        assert!(text.lines().all(|line| line.len() < 998));
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        let summary = summary_of(&message);
        let PartBody::Multipart(parts) = &summary.root.body else { panic!() };
        let kinds: Vec<_> =
            parts.iter().map(|p| String::from_utf8_lossy(p.content().subtype)).collect();
        assert_eq!(kinds, ["plain", "delivery-status", "rfc822-headers"]);
    }
}
