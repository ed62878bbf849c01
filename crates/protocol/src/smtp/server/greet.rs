//! How a session begins: greeting, EHLO with what there is, and XCLIENT, which begins it anew.

use super::{FutureRelease, Hello, Pending, Phase, Question, Session};
use crate::machine::Step;
use crate::sasl;
use crate::smtp::params::Hold;
use crate::smtp::reply::{self, Reply};
use mail::date::format_rfc3339;

impl Session {
    /// The first line. RFC 5321 §4.3.1.
    pub(super) fn first_line(&mut self) {
        let spoken = if self.offer.lmtp { "LMTP" } else { "ESMTP" };
        let text = format!("220 {} {spoken} Postrider\r\n", self.offer.hostname);
        self.output.extend_from_slice(text.as_bytes());
    }

    /// Octets have come although the greeting has not left: who has to wait gets none, and that is
    /// told.
    pub fn spoken_to_too_early(&mut self) -> bool {
        if self.offer.strict {
            self.output.clear();
            self.phase = Phase::TooEarly;
        }
        self.offer.strict
    }

    /// EHLO, HELO. RFC 5321 §4.1.1.1: also ends a transaction.
    pub(super) fn greet(&mut self, name: String, extended: bool) -> Option<Step<Question>> {
        let hostname = self.offer.hostname.clone();
        let text = if extended { self.extensions().join("\n") } else { hostname };
        self.hello = Some(Hello { name, extended });
        self.reset(Reply { code: 250, enhanced: "", text: text.into() })
    }

    /// More has come than the command that is not answered yet, and PIPELINING was never offered.
    pub(super) fn talks_ahead(&self) -> bool {
        self.offer.strict && self.hello.is_none() && !self.input.is_empty()
    }

    fn extensions(&self) -> Vec<String> {
        let mut lines = vec![self.offer.hostname.clone()];
        let fixed =
            ["PIPELINING", "8BITMIME", "BINARYMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES"];
        lines.push(format!("SIZE {}", self.offer.size_max));
        lines.extend(fixed.map(str::to_owned));
        lines.extend(["DSN", "MT-PRIORITY", "DELIVERBY"].map(str::to_owned));
        if self.offer.login {
            // RFC 4468 §3.1: without arguments, a login is needed first.
            lines.push(if self.authenticated { "BURL imap" } else { "BURL" }.to_owned());
        }
        if let Some(FutureRelease { seconds, until }) = self.offer.future_release {
            lines.push(format!("FUTURERELEASE {seconds} {}", format_rfc3339(until)));
        }
        if self.security.is_tls() {
            lines.push("REQUIRETLS".to_owned());
        }
        // RFC 9422.
        lines.push(format!("LIMITS RCPTMAX={}", self.offer.recipients_max));
        if self.offer.starttls && !self.security.is_tls() {
            lines.push("STARTTLS".to_owned());
        }
        if self.may_login() && !self.authenticated {
            let names: Vec<&str> = sasl::names(self.security, self.offer.sasl).collect();
            lines.push(format!("AUTH {}", names.join(" ")));
        }
        if self.offer.xclient {
            lines.push("XCLIENT NAME ADDR PORT PROTO HELO".to_owned());
        }
        lines.push("HELP".to_owned());
        lines
    }

    /// Why a message may not be held so long, or not at all. RFC 4865 §4.2.
    pub(super) fn hold_refusal(&self, hold: Hold) -> Option<Reply> {
        let Some(FutureRelease { seconds, until }) = self.offer.future_release else {
            return Some(reply::UNKNOWN_PARAMETER.saying("Messages are not held on this port"));
        };
        let too_long = match hold {
            Hold::For(wanted) => wanted > seconds,
            Hold::Until(wanted) => wanted > until,
        };
        too_long.then_some(reply::HELD_TOO_LONG)
    }

    /// XCLIENT: a proxy that is trusted tells who the client is. By Postfix's XCLIENT_README.
    pub(super) fn xclient(&mut self, told: Vec<(String, String)>) -> Option<Step<Question>> {
        let refusal = match () {
            () if !self.offer.xclient => Some(reply::UNKNOWN_COMMAND),
            () if self.authenticated || self.envelope.is_some() => Some(reply::BAD_SEQUENCE),
            () => None,
        };
        if let Some(refusal) = refusal {
            self.say(&refusal);
            return None;
        }
        Some(self.ask(Pending::Client, Question::Client(told)))
    }

    /// The client is somebody else now.
    pub(super) fn begin_anew(&mut self) {
        self.hello = None;
        self.errors = 0;
        self.first_line();
        self.progress += 1;
    }
}
