//! Other servers as they are: what Gmail, Microsoft 365, Amazon SES, Postfix, Exim, sendmail, qmail
//! and others answer as documented, and what they do that no RFC has. users.md S-57, S-63.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sim::house::Plan;
use sim::pipe::End;
use sim::town::in_town;
use sim::world::SimListener;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const MINUTE: Duration = Duration::from_secs(60);

/// What it does otherwise than a good server: at a verb (`""` is the greeting, `.` the end of a
/// message, `+` its first line), so many times, it says that. Without a text it hangs up; what ends
/// with `!` is said before it hangs up, and what begins with `@` after two minutes.
type Quirk = (&'static str, usize, &'static str);
const ALWAYS: usize = usize::MAX;

/// What becomes of a message.
enum Fate {
    /// It arrives within so many minutes, and nothing comes back.
    Comes(u32),
    /// It comes back with this status and this text.
    Returns(&'static str, &'static str),
    /// It waits, after an hour still.
    Waits(&'static str),
}
use Fate::{Comes, Returns, Waits};

struct Server {
    hello: &'static str,
    quirks: Vec<Quirk>,
    done: Mutex<HashMap<usize, usize>>,
    came: Mutex<Vec<String>>,
}

impl Server {
    /// What it says to a verb: its quirk, or what is usual.
    fn says(&self, verb: &str, usual: &str) -> String {
        let mut done = self.done.lock().unwrap();
        for (n, (at, times, text)) in self.quirks.iter().enumerate() {
            let count = done.entry(n).or_default();
            if *at == verb && *count < *times {
                *count += 1;
                return (*text).to_owned();
            }
        }
        usual.to_owned()
    }

    async fn listen(self: Arc<Self>, listener: SimListener) {
        while let Ok((end, _)) = listener.next().await {
            tokio::spawn(self.clone().converse(end));
        }
    }

    /// Says something to a verb; `None` when it hangs up then.
    async fn say(&self, stream: &mut BufReader<End>, verb: &str, usual: &str) -> Option<String> {
        let text = self.says(verb, usual);
        let (wait, text) = match text.strip_prefix('@') {
            Some(text) => (2 * MINUTE, text),
            None => (Duration::ZERO, text.as_str()),
        };
        tokio::time::sleep(wait).await;
        let (text, hangs_up) = match text.strip_suffix('!') {
            Some(text) => (text, true),
            None => (text, text.is_empty()),
        };
        if !text.is_empty() {
            let text = format!("{}\r\n", text.replace('\n', "\r\n"));
            stream.write_all(text.as_bytes()).await.ok()?;
        }
        (!hangs_up).then(|| text.to_owned())
    }

    async fn converse(self: Arc<Self>, end: End) -> Option<()> {
        let mut stream = BufReader::new(end);
        self.say(&mut stream, "", "220 peer.example ESMTP").await?;
        let (mut has_sender, mut has_recipients) = (false, false);
        loop {
            let line = read(&mut stream).await?;
            let verb = line.split([' ', ':']).next().unwrap().to_ascii_uppercase();
            let usual = match verb.as_str() {
                "EHLO" => self.hello,
                "RCPT" if !has_sender => "503 5.5.1 Error: need MAIL command",
                "DATA" if !has_recipients => "554 5.5.1 Error: no valid recipients",
                "DATA" => "354 go on",
                "STARTTLS" => "454 4.7.0 TLS not available due to local problem",
                "QUIT" => "221 bye!",
                _ => "250 ok",
            };
            let said = self.say(&mut stream, &verb, usual).await?;
            match verb.as_str() {
                "MAIL" => (has_sender, has_recipients) = (said.starts_with('2'), false),
                "RSET" => (has_sender, has_recipients) = (false, false),
                "RCPT" => has_recipients |= said.starts_with('2'),
                _ => {}
            }
            if verb != "DATA" || !said.starts_with("354") {
                continue;
            }
            let mut message = String::new();
            loop {
                let line = read(&mut stream).await?;
                if line == "." {
                    break;
                }
                if message.is_empty() && self.quirks.iter().any(|(at, ..)| *at == "+") {
                    self.say(&mut stream, "+", "250 2.0.0 so far").await?;
                }
                message.extend([line.as_str(), "\n"]);
            }
            if self.say(&mut stream, ".", "250 2.0.0 taken").await?.starts_with("250") {
                self.came.lock().unwrap().push(message);
            }
        }
    }
}

async fn read(stream: &mut BufReader<End>) -> Option<String> {
    let mut line = String::new();
    let octets = stream.read_line(&mut line).await.ok()?;
    (octets > 0).then(|| line.trim_end_matches("\r\n").to_owned())
}

fn meets(hello: &'static str, quirks: &[Quirk], end: Fate) {
    meets_with("x", hello, quirks, end);
}

fn meets_with(text: &str, hello: &'static str, quirks: &[Quirk], end: Fate) {
    in_town(1, Plan::default(), async |town| {
        town.domain("peer.example", [192, 0, 2, 2]);
        let (done, came) = Default::default();
        let server = Arc::new(Server { hello, quirks: quirks.to_vec(), done, came });
        tokio::spawn(server.clone().listen(town.open([192, 0, 2, 2])));
        town.submit_text(1, "x", text, &["bob@peer.example".to_owned()]).await;
        let minutes = if let Comes(minutes) = end { minutes } else { 61 };
        tokio::time::sleep(minutes * MINUTE + MINUTE / 2).await;
        let came = server.came.lock().unwrap().len();
        let queued = town.house.shared.store.queue_list(&Default::default()).unwrap();
        let said = queued.first().map(|row| row.recipients[0].last_reply.clone().unwrap());
        let mailbox = town.mailbox().await;
        let told = format!("{quirks:?}: {came} came, queued: {said:?}, mailbox: {mailbox:?}");
        match end {
            Comes(_) => assert!(came == 1 && said.is_none() && mailbox.is_empty(), "{told}"),
            Returns(status, text) => {
                assert!(came == 0 && said.is_none() && mailbox.len() == 1, "{told}");
                assert!(mailbox[0].contains(&format!("\nStatus: {status}\r\n")), "{told}");
                let flat = mailbox[0].replace("\r\n\t", " ");
                assert!(flat.contains(&format!("Diagnostic-Code: smtp; {text}\r\n")), "{told}");
            }
            Waits(text) => {
                let said = said.unwrap_or_else(|| panic!("{told}"));
                assert!(came == 0 && mailbox.is_empty() && said.contains(text), "{told}");
            }
        }
    });
}

const FULL: &str = "250-peer.example at your service\n250-SIZE 35882577\n250-8BITMIME\n\
                    250-ENHANCEDSTATUSCODES\n250-PIPELINING\n250-CHUNKING\n250 SMTPUTF8";
const STEPWISE: &str = "250-peer.example\n250 8BITMIME";

#[test]
fn what_is_for_later_comes_later() {
    let gmail = "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating\n\
                 421-4.7.28 from your IP address.\n421 4.7.28 gsmtp";
    for at in ["", "MAIL", "."] {
        meets(FULL, &[(at, 1, gmail)], Comes(1));
    }
    for hello in [FULL, STEPWISE] {
        // Greylisting, to be waited for once, or longer; at the end of the message.
        meets(hello, &[("RCPT", 1, "450 4.2.0 Recipient address rejected: Greylisted")], Comes(1));
        meets(hello, &[("RCPT", 2, "451 4.7.1 Greylisting in action, please come back")], Comes(6));
        meets(hello, &[(".", 1, "451 4.7.1 Try again later")], Comes(1));
        // Microsoft 365 and sendmail are busy.
        meets(hello, &[("MAIL", 1, "451 4.7.500 Server busy. Please try again later")], Comes(1));
        meets(hello, &[("DATA", 1, "421 4.3.2 System not accepting network messages!")], Comes(1));
        meets(hello, &[("DATA", 1, "452 4.3.1 Insufficient system resources")], Comes(1));
        meets(hello, &[("RCPT", 1, "452 4.2.2 The email account is over quota")], Comes(1));
    }
}

#[test]
fn what_is_refused_comes_back_with_all_that_was_said() {
    meets(
        FULL,
        &[(
            ".",
            ALWAYS,
            "550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n\
             550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.\n\
             550 5.7.26 gsmtp",
        )],
        Returns(
            "5.7.26",
            "550 5.7.26 Your email has been blocked because the sender is unauthenticated. Gmail \
             requires all senders to authenticate with either SPF or DKIM. gsmtp",
        ),
    );
    // qmail has no enhanced codes; Exim says it at RCPT, in several lines.
    meets(
        STEPWISE,
        &[("RCPT", ALWAYS, "550 sorry, no mailbox here by that name. (#5.1.1)")],
        Returns("5.0.0", "550 sorry, no mailbox here by that name. (#5.1.1)"),
    );
    meets(
        FULL,
        &[("RCPT", ALWAYS, "550-Callback setup failed while verifying\n550 Sender verify failed")],
        Returns("5.0.0", "550 Callback setup failed while verifying Sender verify failed"),
    );
    // It is too large, by what it knows from MAIL, and in the middle of the message.
    meets(
        FULL,
        &[("MAIL", ALWAYS, "552 5.3.4 Message size exceeds fixed limit")],
        Returns("5.3.4", "552 5.3.4 Message size exceeds fixed limit"),
    );
    for text in ["x", &"and so on\r\n".repeat(100_000)] {
        meets_with(
            text,
            FULL,
            &[("+", ALWAYS, "552 5.3.4 Message size exceeds fixed maximum message size!")],
            Returns("5.3.4", "552 5.3.4 Message size exceeds fixed maximum message size"),
        );
    }
    meets(
        FULL,
        &[("", ALWAYS, "554 5.7.1 Service unavailable; client host blocked using a list")],
        Returns("5.7.1", "554 5.7.1 Service unavailable; client host blocked using a list"),
    );
}

#[test]
fn odd_servers_get_their_mail() {
    for quirks in [
        // No EHLO; one that knows no enhanced greeting hangs up on nothing else.
        &[("EHLO", ALWAYS, "500 5.5.1 Command unrecognized")][..],
        &[("EHLO", ALWAYS, "502 unimplemented (#5.5.1)")],
        // A greeting of several lines; a tarpit; each reply takes two minutes.
        &[(
            "",
            ALWAYS,
            "220-peer.example ESMTP Exim\n220-We do not authorize the use of this\n220 ",
        )],
        &[("", ALWAYS, "@220 peer.example"), ("MAIL", ALWAYS, "@250 ok"), (".", 1, "@250 ok")],
        // Codes without text, other good codes.
        &[("MAIL", ALWAYS, "250"), ("RCPT", ALWAYS, "251 User not local; will forward")],
        &[("RCPT", ALWAYS, "252 Cannot VRFY user, but will accept message"), (".", ALWAYS, "250")],
        // It hangs up instead of saying goodbye, or says nothing.
        &[("QUIT", ALWAYS, "")],
        &[("QUIT", ALWAYS, "@221 bye!")],
        // STARTTLS is announced, and does not work.
        &[("STARTTLS", ALWAYS, "454 4.7.0 TLS not available due to temporary reason")],
        &[("STARTTLS", ALWAYS, "502 5.5.1 command not implemented")],
        &[("STARTTLS", ALWAYS, "220 ready to start TLS!")],
        &[("STARTTLS", ALWAYS, "")],
        // No RSET needed, none understood.
        &[("RSET", ALWAYS, "502 5.5.1 not implemented")],
    ] {
        meets("250-peer.example\n250-STARTTLS\n250 PIPELINING", quirks, Comes(9));
        meets("250-peer.example\n250 STARTTLS", quirks, Comes(9));
    }
}

#[test]
fn a_connection_that_breaks_costs_a_minute() {
    for quirks in [
        &[("", 1, "")][..],
        &[("EHLO", 1, "")],
        &[("MAIL", 1, "")],
        &[("RCPT", 1, "")],
        &[("DATA", 1, "")],
        &[("RCPT", 1, "421 4.4.2 Connection dropped due to an error!")],
        &[("+", 1, "421 4.4.2 Timeout while waiting for data!")],
        &[("EHLO", 1, "421 4.7.0 Try again later, closing connection!")],
    ] {
        meets(FULL, quirks, Comes(1));
        meets(STEPWISE, quirks, Comes(1));
    }
    meets(
        FULL,
        &[("", ALWAYS, "421 Too many concurrent SMTP connections!")],
        Waits("421 Too many"),
    );
}
