//! The journey record: what happened to a message, step by step, as JSON objects.
//!
//! The first entry is committed together with the message, each attempt adds one. The demo, `queue
//! show` and the log read it.

use crate::limits::{DIALOGUE_LINE_OCTETS_MAX, DIALOGUE_LINES_MAX};
use serde::{Deserialize, Serialize};
use sys::tls::TlsFacts;

/// One step of a message's journey.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Step {
    /// We took responsibility.
    Accepted {
        /// Milliseconds since 1970.
        at: i64,
        /// What the client called itself.
        helo: String,
        /// The client's address.
        peer: String,
        /// The protocol, as in `Received`: `ESMTPSA`.
        protocol: String,
        /// Version and cipher.
        tls: Option<String>,
        /// The account that logged in.
        login: Option<String>,
        /// The envelope sender; empty for `<>`.
        sender: String,
        /// The envelope recipients.
        recipients: Vec<String>,
        /// Octets stored.
        size: u64,
        /// Mailboxes it was put into.
        mailboxes: usize,
        /// Recipients it was queued for.
        queued: usize,
        /// What was found out about who sent it, in words.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        judged: Vec<String>,
        /// Why it went into Junk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        junk: Option<String>,
    },
    /// We tried to hand it to another server.
    Attempt {
        /// Milliseconds since 1970, at the end.
        at: i64,
        /// Milliseconds it took.
        took: i64,
        /// The destination.
        domain: String,
        /// DNS questions and answers.
        dns: Vec<String>,
        /// Host and address that were spoken to.
        host: Option<String>,
        /// Version and cipher.
        tls: Option<String>,
        /// Who said what: `C` is us.
        dialogue: Vec<Said>,
        /// What became of each recipient.
        outcomes: Vec<Outcome>,
    },
    /// A report went to the sender.
    Reported {
        /// Milliseconds since 1970.
        at: i64,
        /// `failed` or `delayed`.
        what: String,
        /// To whom.
        to: String,
        /// The report's own message id.
        report: String,
    },
}

/// A line of a dialogue.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Said {
    /// `C` or `S`.
    pub who: char,
    /// The line without its line break.
    pub line: String,
}

/// What became of a recipient in an attempt.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Outcome {
    /// The recipient.
    pub recipient: String,
    /// `delivered`, `deferred` or `failed`.
    pub result: String,
    /// What the other server said, or what went wrong.
    pub reply: String,
}

impl Step {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
    /// Reads the stored form.
    pub fn decode(stored: &[u8]) -> Option<Step> {
        serde_json::from_slice(stored).ok()
    }
}

/// Collects a dialogue, within limits.
#[derive(Debug, Default)]
pub struct Dialogue {
    /// The lines so far.
    pub lines: Vec<Said>,
}

impl Dialogue {
    /// Notes the lines in `octets`.
    pub fn note(&mut self, who: char, octets: &[u8]) {
        for line in octets.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            if self.lines.len() >= DIALOGUE_LINES_MAX {
                return;
            }
            let line = line.get(..line.len().min(DIALOGUE_LINE_OCTETS_MAX)).unwrap_or_default();
            let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            self.lines.push(Said { who, line });
        }
    }
}

/// `TLSv1.3 TLS_AES_256_GCM_SHA384`.
pub fn describe_tls(facts: &TlsFacts) -> String {
    format!("{} {}", facts.version, facts.cipher)
}
