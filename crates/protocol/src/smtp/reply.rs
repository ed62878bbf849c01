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

/// Makes a constant of each reply, and the list of them all.
macro_rules! replies {
    ($($(#[$doc:meta])* $name:ident = $code:expr, $enhanced:expr, $text:expr;)*) => {
        $($(#[$doc])* pub const $name: Reply = reply($code, $enhanced, $text);)*

        /// All of them, by name.
        pub const ALL: &[(&str, Reply)] = &[$((stringify!($name), $name)),*];
    };
}

impl Reply {
    /// This reply with another text; control characters are taken out, and others that are not
    /// ASCII are `?`: RFC 6531 §3.7.4.1 has them where SMTPUTF8 was said only.
    pub fn saying(&self, text: impl Into<String>) -> Reply {
        let text: String = text.into();
        let shown = text.chars().filter(|c| !c.is_control()).take(400);
        let text = shown.map(|c| if c.is_ascii() { c } else { '?' }).collect::<String>();
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

replies! {
    /// RSET, NOOP. RFC 5321 §4.1.1.5, §4.1.1.9.
    OK = 250, "2.0.0", "OK";
    /// MAIL. RFC 5321 §4.1.1.2.
    SENDER_OK = 250, "2.1.0", "Sender OK";
    /// MAIL whose priority is lowered. RFC 6710 §4.1.
    PRIORITY_LOWERED = 250, "2.3.6", "0 is the priority: higher ones are for those who log in";
    /// RCPT. RFC 5321 §4.1.1.3.
    RECIPIENT_OK = 250, "2.1.5", "Recipient OK";
    /// BDAT that is not the last. RFC 3030 §2.
    CHUNK_OK = 250, "2.0.0", "Octets received";
    /// BURL that is not the last. RFC 4468 §6.
    URL_OK = 250, "2.5.0", "Octets fetched";
    /// The message is ours now. RFC 5321 §6.1. Only `accept` may say this.
    MESSAGE_ACCEPTED = 250, "2.0.0", "Accepted";
    /// DATA. RFC 5321 §4.1.1.4.
    GO_AHEAD = 354, "", "Go ahead, end with <CRLF>.<CRLF>";
    /// QUIT. RFC 5321 §4.1.1.10.
    BYE = 221, "2.0.0", "Bye";
    /// STARTTLS. RFC 3207 §4.
    READY_FOR_TLS = 220, "2.0.0", "Ready to start TLS";
    /// AUTH. RFC 4954 §6.
    LOGGED_IN = 235, "2.7.0", "Logged in";
    /// VRFY, EXPN. RFC 5321 §7.3: nothing in it may look like a verified address, 2.1.5 would.
    CANNOT_VERIFY = 252, "2.0.0", "Cannot verify, but will take the message and try";
    /// HELP. RFC 5321 §4.1.1.8.
    HELP = 214, "2.0.0", "Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\n\
     RFC 5321 says how to use them";

    /// The server goes down. RFC 5321 §3.8.
    SHUTTING_DOWN = 421, "4.3.2", "Shutting down, come back soon";
    /// The account was switched off, or what it was proven by was taken back. RFC 5321 §3.8.
    LOGIN_REVOKED = 421, "4.7.0", "Your login does not hold any more";
    /// Nothing came for too long. RFC 5321 §4.5.3.2.
    TIMED_OUT = 421, "4.4.2", "Timed out waiting for you";
    /// Our own failure.
    SESSION_FAILED = 421, "4.3.0", "Something went wrong here, come back later";
    /// Not a mail client. RFC 6409 §7 forbids 521 where mail is submitted.
    NOT_SMTP = 421, "4.5.1", "This is a mail server, speak SMTP";
    /// What was refused leaves nothing to go on with. RFC 5321 §3.8.
    CLOSING = 421, "4.7.0", "Closing the connection";
    /// Too many mistakes.
    TOO_MANY_ERRORS = 421, "4.7.0", "Too many errors";
    /// Too many commands that lead to nothing.
    TOO_MANY_IDLE = 421, "4.7.0", "Too many commands without a message; connect again";
    /// Too many connections.
    TOO_MANY_CONNECTIONS = 421, "4.7.0", "Too many connections, come back later";
    /// The address is banned. RFC 5321 §7.8.
    BANNED = 421, "4.7.0", "No logins from your address for now; ask postmaster";

    /// Something of ours does not work now.
    TRY_LATER = 451, "4.3.0", "Cannot do that now, come back later";
    /// DNS did not say whether a message is from its author's domain. RFC 3463 §3.8.
    CANNOT_JUDGE = 451, "4.7.0", "Cannot find out who sent that, come back later";
    /// The disk is full. RFC 5321 §4.2.3.
    DISK_FULL = 452, "4.3.1", "No room to store the message, come back later";
    /// The account sent to more recipients than it may in an hour or a day. RFC 3463 §3.8.
    OVER_RATE = 450, "4.7.1", "You sent to too many recipients; go on later";
    /// The account holds as much as it may. RFC 3463 §3.3.
    MAILBOX_FULL = 452, "4.2.2", "The mailbox is full, try again later";
    /// More recipients than one message may have. RFC 5321 §4.5.3.1.10.
    TOO_MANY_RECIPIENTS = 452, "4.5.3", "Too many recipients, send the rest later";
    /// AUTH that cannot be decided. RFC 4954 §6.
    AUTH_UNAVAILABLE = 454, "4.7.0", "Cannot check the password now";

    /// Not a command. RFC 5321 §4.2.4.
    UNKNOWN_COMMAND = 500, "5.5.1", "Unknown command";
    /// The line is too long. RFC 5321 §4.5.3.1.4.
    LINE_TOO_LONG = 500, "5.5.2", "Line too long";
    /// A bare CR or LF in a command. RFC 5321 §2.3.8.
    BARE_LINE_BREAK = 500, "5.5.2", "Lines end with CR LF, nothing else";
    /// HOLDFOR or HOLDUNTIL beyond what EHLO said. RFC 4865 §4.2.
    HELD_TOO_LONG = 501, "5.5.4", "Messages are not held so long; EHLO says how long";
    /// To be held longer than it may take. RFC 4865 §5.2.2.
    HELD_TOO_LATE = 501, "5.5.4", "It would be late (BY) before it may go";
    /// Wrong arguments.
    SYNTAX = 501, "5.5.4", "Syntax error in the arguments";
    /// A path that is none.
    BAD_ADDRESS = 501, "5.1.3", "That is not an address: <name@domain>";
    /// A sender that is none.
    BAD_SENDER = 501, "5.1.7", "That is not an address: <name@domain> or <>";
    /// No base64, or not what the mechanism wants. RFC 4954 §4.
    BAD_BASE64 = 501, "5.5.2", "That is not what the mechanism wants";
    /// RFC 4954 §4.
    RESPONSE_TOO_LONG = 500, "5.5.6", "That is more than any mechanism wants";
    /// The client gave up. RFC 4954 §4.
    AUTH_ABORTED = 501, "5.7.0", "Login given up";
    /// Not now.
    BAD_SEQUENCE = 503, "5.5.1", "Not now";
    /// EHLO is missing. RFC 5321 §4.1.4.
    HELLO_FIRST = 503, "5.5.1", "Say EHLO first";
    /// LHLO is missing. RFC 2033 §4.1.
    LHLO_FIRST = 503, "5.5.1", "Say LHLO first";
    /// EHLO or HELO where LMTP is spoken. RFC 2033 §4.1.
    SPEAK_LMTP = 500, "5.5.1", "This is LMTP: say LHLO";
    /// LHLO where SMTP is spoken.
    SPEAK_SMTP = 500, "5.5.1", "This is SMTP: say EHLO";
    /// MAIL is missing.
    MAIL_FIRST = 503, "5.5.1", "Say MAIL first";
    /// No recipient was accepted.
    RCPT_FIRST = 503, "5.5.1", "Say RCPT first";
    /// A mechanism we do not have. RFC 4954 §4.
    UNKNOWN_MECHANISM = 504, "5.5.4", "Unknown mechanism";
    /// Login is needed. RFC 4954 §6.
    LOGIN_FIRST = 530, "5.7.0", "Log in first";
    /// Only under TLS from there. RFC 3207 §4.
    TLS_NEEDED = 530, "5.7.0", "Must issue a STARTTLS command first";
    /// REQUIRETLS in clear. RFC 8689 §2.
    ENCRYPTION_NEEDED = 530, "5.7.10", "REQUIRETLS only under TLS: use STARTTLS first";
    /// Wrong user or password. RFC 4954 §6.
    WRONG_PASSWORD = 535, "5.7.8", "Wrong user name or password";
    /// AUTH in clear. RFC 4954 §6.
    TLS_FIRST = 538, "5.7.11", "Passwords only under TLS: use STARTTLS first";
    /// No AUTH on this port.
    AUTH_ELSEWHERE = 502, "5.5.1", "No login on this port: use port 465, or 587 with STARTTLS";
    /// STARTTLS that is not there.
    NO_TLS = 502, "5.5.1", "TLS is not to be had here";
    /// Commands in clear behind STARTTLS: security.md SM-4. RFC 3207 §4.2.
    CLEAR_BEFORE_TLS = 503, "5.5.1", "Nothing may follow STARTTLS before the handshake";
    /// Octets before the greeting or before the reply to EHLO: security.md SM-10. RFC 5321 §3.1,
    /// RFC 2920 §3.1.
    TALKS_AHEAD = 554, "5.5.0", "Wait for the greeting, and for the reply to EHLO";
    /// A parameter we do not know. RFC 5321 §4.1.1.11.
    UNKNOWN_PARAMETER = 555, "5.5.4", "Unknown parameter";

    /// Nobody has this address. RFC 3463 §3.2.
    NO_SUCH_USER = 550, "5.1.1", "Nobody here has this address";
    /// Strangers may not relay. RFC 3463 §3.8.
    RELAY_DENIED = 550, "5.7.1", "Not a domain of ours; to send mail, log in on port 465 or 587";
    /// Mail was sent on in the name of this address: nobody writes to it. RFC 3463 §3.8.
    REPORTS_ONLY = 550, "5.7.1", "Only reports about mail that was sent on come to this address";
    /// Its author's domain did not send it. RFC 3463 §3.8.
    FORGED = 550, "5.7.1", "The domain of its author wants such mail refused (DMARC)";
    /// The client is on a list that the operator believes. RFC 5321 §7.9.
    LISTED = 550, "5.7.1", "Your address is on a block list";
    /// Bare CR or LF, or NUL, in a message. RFC 5321 §2.3.8.
    BARE_IN_MESSAGE = 550, "5.6.11", "The message has a bare CR, bare LF or NUL in it, refused";
    /// BODY=BINARYMIME, and no MIME that could be made lines of. RFC 3463 §3.7.
    NOT_BINARY_MIME = 554, "5.6.5", "The message cannot be stored as lines";
    /// The account has as many messages that wait for their time as it may. RFC 4865 §6.
    HELD_TOO_MANY = 552, "5.7.16", "Too many of your messages wait for their time already";
    /// A URL that names nothing, or nothing that may be sent. RFC 4468 §6.
    URL_FAILED = 554, "5.6.6", "The URL gives nothing, or not to you";
    /// Received too often. RFC 5321 §6.3.
    LOOP = 554, "5.4.6", "The message goes in circles";
    /// The header of a submitted message cannot be looked at. RFC 3463 §3.7.
    HEADER_TOO_LONG = 554, "5.6.0", "The header of the message is longer than 256 KB";
    /// From cannot be read, or not in one way only: nobody could check it. RFC 6409 §6.3.
    UNCLEAR_AUTHOR = 554, "5.6.0", "It cannot be said whom the message is from";
    /// Too large. RFC 1870 §6.
    TOO_BIG = 552, "5.3.4", "The message is larger than this server takes";
    /// Not a sender of this account. RFC 6409 §6.1, §6.3; the code is the one other servers use.
    NOT_YOUR_ADDRESS = 553, "5.7.1", "That is not your address";
    /// UTF-8 without SMTPUTF8. RFC 6531 §3.5.
    UTF8_NEEDED = 553, "5.6.7", "This address needs SMTPUTF8";
    /// A domain that nobody elsewhere knows. RFC 6409 §4.2.
    NOT_QUALIFIED = 554, "5.1.2", "The domain of that address is not complete";
    /// Such a domain in a header. RFC 6409 §4.2.
    NOT_QUALIFIED_IN_HEADER = 554, "5.6.0", "The header has an address whose domain is not complete";
}

/// Those that are only ever said in other words.
pub const REWORDED: [Reply; 11] = [
    UNCLEAR_AUTHOR,
    NOT_QUALIFIED_IN_HEADER,
    LISTED,
    FORGED,
    CANNOT_JUDGE,
    NOT_BINARY_MIME,
    OVER_RATE,
    MESSAGE_ACCEPTED,
    UNKNOWN_PARAMETER,
    UNKNOWN_MECHANISM,
    NOT_YOUR_ADDRESS,
];
