//! Every reply the SMTP server gives, once. RFC 5321 §4.2, enhanced codes of RFC 3463 and RFC 5248.

use std::borrow::Cow;

/// A reply: code, enhanced status code, text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// As `5.1.1`; empty where RFC 2034 §4 wants none.
    pub enhanced: &'static str,
    /// One line of text, or several with `\n` between them.
    pub text: Cow<'static, str>,
}

const fn reply(code: u16, enhanced: &'static str, text: &'static str) -> Reply {
    Reply { code, enhanced, text: Cow::Borrowed(text) }
}

impl Reply {
    /// This reply with another text; control characters are taken out.
    pub fn saying(&self, text: impl Into<String>) -> Reply {
        let text: String = text.into();
        let text = text.chars().filter(|c| !c.is_control()).take(400).collect::<String>();
        Reply { code: self.code, enhanced: self.enhanced, text: Cow::Owned(text) }
    }

    /// The command was carried out.
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Appends the reply as octets.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let lines: Vec<&str> = self.text.split('\n').collect();
        for (n, line) in lines.iter().enumerate() {
            let mark = if n + 1 == lines.len() { ' ' } else { '-' };
            let blank = if self.enhanced.is_empty() { "" } else { " " };
            let text = format!("{}{mark}{}{blank}{line}\r\n", self.code, self.enhanced);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// RSET, NOOP. RFC 5321 §4.1.1.5, §4.1.1.9.
pub const OK: Reply = reply(250, "2.0.0", "OK");
/// MAIL. RFC 5321 §4.1.1.2.
pub const SENDER_OK: Reply = reply(250, "2.1.0", "Sender OK");
/// RCPT. RFC 5321 §4.1.1.3.
pub const RECIPIENT_OK: Reply = reply(250, "2.1.5", "Recipient OK");
/// BDAT that is not the last. RFC 3030 §2.
pub const CHUNK_OK: Reply = reply(250, "2.0.0", "Octets received");
/// The message is ours now. RFC 5321 §6.1. Only `accept` may say this.
pub const MESSAGE_ACCEPTED: Reply = reply(250, "2.0.0", "Accepted");
/// DATA. RFC 5321 §4.1.1.4.
pub const GO_AHEAD: Reply = reply(354, "", "Go ahead, end with <CRLF>.<CRLF>");
/// QUIT. RFC 5321 §4.1.1.10.
pub const BYE: Reply = reply(221, "2.0.0", "Bye");
/// STARTTLS. RFC 3207 §4.
pub const READY_FOR_TLS: Reply = reply(220, "2.0.0", "Ready to start TLS");
/// AUTH. RFC 4954 §6.
pub const LOGGED_IN: Reply = reply(235, "2.7.0", "Logged in");
/// VRFY. RFC 5321 §3.5.3.
pub const CANNOT_VERIFY: Reply =
    reply(252, "2.1.5", "Cannot verify, but will take the message and try");
/// HELP. RFC 5321 §4.1.1.8.
pub const HELP: Reply = reply(
    214,
    "2.0.0",
    "Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\n\
     RFC 5321 says how to use them",
);

/// The server goes down. RFC 5321 §3.8.
pub const SHUTTING_DOWN: Reply = reply(421, "4.3.2", "Shutting down, come back soon");
/// Nothing came for too long. RFC 5321 §4.5.3.2.
pub const TIMED_OUT: Reply = reply(421, "4.4.2", "Timed out waiting for you");
/// Our own failure.
pub const SESSION_FAILED: Reply = reply(421, "4.3.0", "Something went wrong here, come back later");
/// Too many mistakes.
pub const TOO_MANY_ERRORS: Reply = reply(421, "4.7.0", "Too many errors");
/// Too many connections.
pub const TOO_MANY_CONNECTIONS: Reply =
    reply(421, "4.7.0", "Too many connections, come back later");

/// Something of ours does not work now.
pub const TRY_LATER: Reply = reply(451, "4.3.0", "Cannot do that now, come back later");
/// The disk is full. RFC 5321 §4.2.3.
pub const DISK_FULL: Reply = reply(452, "4.3.1", "No room to store the message, come back later");
/// More recipients than one message may have. RFC 5321 §4.5.3.1.10.
pub const TOO_MANY_RECIPIENTS: Reply =
    reply(452, "4.5.3", "Too many recipients, send the rest later");
/// AUTH that cannot be decided. RFC 4954 §6.
pub const AUTH_UNAVAILABLE: Reply = reply(454, "4.7.0", "Cannot check the password now");

/// Not a command. RFC 5321 §4.2.4.
pub const UNKNOWN_COMMAND: Reply = reply(500, "5.5.1", "Unknown command");
/// The line is too long. RFC 5321 §4.5.3.1.4.
pub const LINE_TOO_LONG: Reply = reply(500, "5.5.2", "Line too long");
/// A bare CR or LF in a command. RFC 5321 §2.3.8.
pub const BARE_LINE_BREAK: Reply = reply(500, "5.5.2", "Lines end with CR LF, nothing else");
/// Wrong arguments.
pub const SYNTAX: Reply = reply(501, "5.5.4", "Syntax error in the arguments");
/// A path that is none.
pub const BAD_ADDRESS: Reply = reply(501, "5.1.3", "That is not an address: <name@domain>");
/// A sender that is none.
pub const BAD_SENDER: Reply = reply(501, "5.1.7", "That is not an address: <name@domain> or <>");
/// Too many octets of SASL response, or not base64. RFC 4954 §4.
pub const BAD_BASE64: Reply = reply(501, "5.5.2", "That is not what the mechanism wants");
/// The client gave up. RFC 4954 §4.
pub const AUTH_ABORTED: Reply = reply(501, "5.7.0", "Login given up");
/// Not now.
pub const BAD_SEQUENCE: Reply = reply(503, "5.5.1", "Not now");
/// EHLO is missing. RFC 5321 §4.1.4.
pub const HELLO_FIRST: Reply = reply(503, "5.5.1", "Say EHLO first");
/// MAIL is missing.
pub const MAIL_FIRST: Reply = reply(503, "5.5.1", "Say MAIL first");
/// No recipient was accepted.
pub const RCPT_FIRST: Reply = reply(503, "5.5.1", "Say RCPT first");
/// A mechanism we do not have. RFC 4954 §4.
pub const UNKNOWN_MECHANISM: Reply =
    reply(504, "5.5.4", "Unknown mechanism; there are PLAIN and LOGIN");
/// Login is needed. RFC 4954 §6.
pub const LOGIN_FIRST: Reply = reply(530, "5.7.0", "Log in first");
/// Wrong user or password. RFC 4954 §6.
pub const WRONG_PASSWORD: Reply = reply(535, "5.7.8", "Wrong user name or password");
/// AUTH in clear. RFC 4954 §6.
pub const TLS_FIRST: Reply = reply(538, "5.7.11", "Passwords only under TLS: use STARTTLS first");
/// No AUTH on this port.
pub const AUTH_ELSEWHERE: Reply =
    reply(502, "5.5.1", "No login on this port: use port 465, or 587 with STARTTLS");
/// STARTTLS that is not there.
pub const NO_TLS: Reply = reply(502, "5.5.1", "TLS is not to be had here");
/// A parameter we do not know. RFC 5321 §4.1.1.11.
pub const UNKNOWN_PARAMETER: Reply = reply(555, "5.5.4", "Unknown parameter");

/// Nobody has this address. RFC 3463 §3.2.
pub const NO_SUCH_USER: Reply = reply(550, "5.1.1", "Nobody here has this address");
/// Strangers may not relay. RFC 3463 §3.8.
pub const RELAY_DENIED: Reply =
    reply(550, "5.7.1", "Not a domain of ours; to send mail, log in on port 465 or 587");
/// Bare CR or LF, or NUL, in a message. RFC 5321 §2.3.8.
pub const BARE_IN_MESSAGE: Reply =
    reply(550, "5.6.11", "The message has a bare CR, bare LF or NUL in it, refused");
/// Received too often. RFC 5321 §6.3.
pub const LOOP: Reply = reply(554, "5.4.6", "The message goes in circles");
/// Too large. RFC 1870 §6.
pub const TOO_BIG: Reply = reply(552, "5.3.4", "The message is larger than this server takes");
/// Not a sender of this account. RFC 6409 §6.1.
pub const NOT_YOUR_ADDRESS: Reply = reply(553, "5.7.1", "That is not your address");
/// UTF-8 without SMTPUTF8. RFC 6531 §3.5.
pub const UTF8_NEEDED: Reply = reply(553, "5.6.7", "This address needs SMTPUTF8");
/// Not a mail client.
pub const NOT_SMTP: Reply = reply(521, "5.5.1", "This is a mail server, speak SMTP");
/// No valid recipient stands for the transaction. RFC 5321 §3.3.
pub const NO_VALID_RECIPIENTS: Reply = reply(554, "5.5.1", "No valid recipients");
