//! A small IMAP client: sends a command, hands out each line of the answer, counts literals.

use crate::target::{PASSWORD, Target};
use crate::wire::Wire;
use std::io;

/// A session.
pub struct Imap {
    /// The connection.
    pub wire: Wire,
    tag: u32,
}

/// What an answer held.
#[derive(Clone, Copy, Default)]
pub struct Heard {
    /// Untagged responses.
    pub responses: usize,
    /// Octets in literals.
    pub octets: usize,
}

impl Imap {
    /// Connects.
    pub fn connect(target: &Target) -> io::Result<Imap> {
        let port = if target.tls { 993 } else { 143 };
        Imap::over(Wire::connect(target.at(port), target.tls)?)
    }

    /// Connects with small buffers: for many sessions that wait.
    pub fn connect_small(target: &Target) -> io::Result<Imap> {
        let port = if target.tls { 993 } else { 143 };
        Imap::over(Wire::connect_small(target.at(port), target.tls)?)
    }

    fn over(mut wire: Wire) -> io::Result<Imap> {
        let greeting = String::from_utf8_lossy(wire.line()?).into_owned();
        if !greeting.starts_with("* OK") {
            return Err(io::Error::other(greeting));
        }
        Ok(Imap { wire, tag: 0 })
    }

    /// Connects and logs in.
    pub fn login(target: &Target, user: &str) -> io::Result<Imap> {
        let mut imap = Imap::connect(target)?;
        imap.log_in(user)?;
        Ok(imap)
    }

    /// Logs in.
    pub fn log_in(&mut self, user: &str) -> io::Result<()> {
        self.run(&format!("LOGIN {user} {PASSWORD}")).map(drop)
    }

    /// Runs a command that must succeed.
    pub fn run(&mut self, command: &str) -> io::Result<Heard> {
        self.run_with(command, |_| {})
    }

    /// Runs a command; `each` gets the first line of each untagged response.
    pub fn run_with(&mut self, command: &str, each: impl FnMut(&[u8])) -> io::Result<Heard> {
        let tag = self.send(command)?;
        self.hear(&tag, command, each)
    }

    /// Sends a command; its tag.
    pub fn send(&mut self, command: &str) -> io::Result<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.wire.send(format!("{tag} {command}\r\n").as_bytes())?;
        Ok(tag)
    }

    /// Reads to the tagged response, which must be OK.
    pub fn hear(
        &mut self,
        tag: &str,
        command: &str,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<Heard> {
        let mut heard = Heard::default();
        let mut inside = false;
        loop {
            let line = self.wire.line()?;
            let rest = line.strip_prefix(tag.as_bytes()).and_then(|l| l.strip_prefix(b" "));
            if let (Some(rest), false) = (rest, inside) {
                if rest.starts_with(b"OK") {
                    return Ok(heard);
                }
                let text = String::from_utf8_lossy(rest);
                let command: String = command.chars().take(60).collect();
                return Err(io::Error::other(format!("IMAP {command}: {text}")));
            }
            if !inside {
                heard.responses += 1;
                each(line);
            }
            let literal = literal(line);
            inside = literal.is_some();
            if let Some(octets) = literal {
                heard.octets += octets;
                self.wire.skip(octets)?;
            }
        }
    }

    /// Runs a FETCH; each answer's first line and its first literal.
    pub fn fetch(&mut self, command: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
        let tag = self.send(command)?;
        let mut found = Vec::new();
        loop {
            let line = self.wire.line()?;
            let text = String::from_utf8_lossy(line).into_owned();
            if let Some(rest) = text.strip_prefix(&tag).and_then(|rest| rest.strip_prefix(' ')) {
                let fine = rest.starts_with("OK");
                return if fine { Ok(found) } else { Err(io::Error::other(text)) };
            }
            match literal(line) {
                Some(octets) => {
                    let content = self.wire.take(octets)?;
                    let rest = String::from_utf8_lossy(self.wire.line()?).into_owned();
                    found.push((text + &rest, content));
                }
                None => found.push((text, Vec::new())),
            }
        }
    }

    /// Reads to the tagged response, which must be OK; its text.
    pub fn tagged(&mut self, tag: &str) -> io::Result<String> {
        loop {
            let text = String::from_utf8_lossy(self.wire.line()?).into_owned();
            if let Some(rest) = text.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
                let fine = rest.starts_with("OK");
                return if fine { Ok(rest.to_owned()) } else { Err(io::Error::other(text)) };
            }
        }
    }

    /// Appends a message with LITERAL+ (RFC 7888).
    pub fn append(&mut self, mailbox: &str, date: &str, message: &[u8]) -> io::Result<()> {
        let tag = self.send_append(mailbox, date, message)?;
        self.hear(&tag, "APPEND", |_| {}).map(drop)
    }

    /// Sends an APPEND; its tag.
    pub fn send_append(&mut self, mailbox: &str, date: &str, message: &[u8]) -> io::Result<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        let head = format!("{tag} APPEND {mailbox} () {date} {{{}+}}\r\n", message.len());
        let mut all = Vec::with_capacity(head.len() + message.len() + 2);
        all.extend_from_slice(head.as_bytes());
        all.extend_from_slice(message);
        all.extend_from_slice(b"\r\n");
        self.wire.send(&all)?;
        Ok(tag)
    }

    /// STATUS MESSAGES.
    pub fn messages(&mut self, mailbox: &str) -> io::Result<usize> {
        let mut count = 0;
        self.run_with(&format!("STATUS {mailbox} (MESSAGES)"), |line| {
            let text = String::from_utf8_lossy(line);
            let digits = text.rsplit_once("MESSAGES ").map(|(_, rest)| rest.trim_end_matches(')'));
            count = digits.and_then(|d| d.split(' ').next()?.parse().ok()).unwrap_or(count);
        })?;
        Ok(count)
    }

    /// The server's capabilities, in capitals.
    pub fn capabilities(&mut self) -> io::Result<String> {
        let mut all = String::new();
        self.run_with("CAPABILITY", |line| {
            all.push_str(&String::from_utf8_lossy(line).to_ascii_uppercase());
        })?;
        Ok(all)
    }
}

/// The length of the literal that a line announces.
fn literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}")?;
    let at = memchr::memrchr(b'{', line)?;
    std::str::from_utf8(line.get(at + 1..)?).ok()?.parse().ok()
}
