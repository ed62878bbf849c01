//! Who hears what: every NOTIFY with every fate of a recipient, every RET and ENVID and ORCPT, from
//! submission to the report in the sender's INBOX. RFC 3461 §4, §5.2, §6.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::play::{Way, play};
use sim::script::Script;

/// What becomes of the recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is in a mailbox here.
    Here,
    /// A server with DSN takes it, and is responsible.
    Passed,
    /// A server without DSN takes it.
    Relayed,
    /// A server refuses it.
    Refused,
    /// No server can be reached for five hours.
    Delayed,
}

const FATES: [Fate; 5] = [Fate::Here, Fate::Passed, Fate::Relayed, Fate::Refused, Fate::Delayed];
const NOTIFY: [&str; 9] = [
    "",
    "NEVER",
    "SUCCESS",
    "FAILURE",
    "DELAY",
    "SUCCESS,FAILURE",
    "SUCCESS,DELAY",
    "FAILURE,DELAY",
    "SUCCESS,FAILURE,DELAY",
];

/// The Action that the sender hears of. RFC 3461 §4.1, §5.2.2, §6.2.
fn expected(notify: &str, fate: Fate) -> Option<&'static str> {
    // Without NOTIFY failures are told, and delays as we please: we do.
    let wants = |what: &str| notify.split(',').any(|word| word == what);
    let (action, wanted) = match fate {
        Fate::Here => ("delivered", wants("SUCCESS")),
        Fate::Passed => return None,
        Fate::Relayed => ("relayed", wants("SUCCESS")),
        Fate::Refused => ("failed", notify.is_empty() || wants("FAILURE")),
        Fate::Delayed => ("delayed", notify.is_empty() || wants("DELAY")),
    };
    wanted.then_some(action)
}

/// Submission of a message to `to`.
fn submitted(mail: &str, to: &str, rcpt: &str) -> String {
    format!(
        "-- dns example.net 192.0.2.10\nC1: MAIL FROM:<alice@example.org>{mail}\n\
         C1: RCPT TO:<{to}>{rcpt}\nC1: DATA\nC1: QUIT\nS1: 250 …\nS1: 250 …\nS1: 354 …\n"
    )
    .replace("C1: QUIT\n", "")
        + "C1: Subject: x\nC1:\nC1: secret text\nC1: .\nS1: 250 …\nC1: QUIT\nS1: 221 …\n"
}

/// What the other server says and hears.
fn remote(fate: Fate, mail: &str, rcpt: &str) -> String {
    let (ehlo, mail, rcpt) = match fate {
        Fate::Passed => ("R1: 250-x\nR1: 250 DSN\n", mail, rcpt),
        Fate::Relayed | Fate::Refused => ("R1: 250 x\n", "", ""),
        Fate::Here | Fate::Delayed => return String::new(),
    };
    let end = match fate {
        Fate::Refused => "R1: 550 5.1.1 nobody\nP1: RSET\nR1: 250 ok\n".to_owned(),
        _ => "R1: 250 ok\nP1: DATA\nR1: 354 go\nP1: Received: …\nP1: \t…\nP1: \t…\nP1: \t…\n\
              P1: Date: …\nP1: Message-ID: …\nP1: From: <alice@example.org>\n\
              P1: Subject: x\nP1:\nP1: secret text\nP1: .\n\
              R1: 250 ok\n"
            .to_owned(),
    };
    format!(
        "R1: 220 x\nP1: EHLO mail.example.org\n{ehlo}P1: MAIL FROM:<alice@example.org>{mail}\n\
         R1: 250 ok\nP1: RCPT TO:<bob@example.net>{rcpt}\n{end}"
    )
}

/// How many reports alice has.
fn counted(reports: usize) -> String {
    format!(
        "C2: a LOGIN alice secret\nC2: b STATUS INBOX (MESSAGES)\nS2: * OK …\nS2: a OK …\n\
         S2: * STATUS INBOX (MESSAGES {reports})\nS2: b OK …\n"
    )
}

/// Her report has these lines, in this order, among others that come between.
fn part(section: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("S2: {line}\n")).collect();
    format!(
        "C2: d FETCH 1 BODY.PEEK[{section}]\nS2: * 1 FETCH (BODY[{section}] {{…}}\n{lines}S2: )\nS2: d OK …\n"
    )
}

const SELECTED: &str = "C2: c EXAMINE INBOX\nS2: * FLAGS …\nS2: * 1 EXISTS\nS2: * 1 RECENT\n\
    S2: * OK [UNSEEN …\nS2: * OK [PERMANENTFLAGS …\nS2: * OK [UIDVALIDITY …\n\
    S2: * OK [UIDNEXT …\nS2: * OK [HIGHESTMODSEQ …\nS2: * OK [MAILBOXID …\n\
    S2: * OK [ANNOTATIONS …\nS2: c OK …\n";

fn check(name: &str, text: &str) {
    let text = format!(
        "rfc: 3461 §4.1\ngiven: account alice; account carol; C1 on submission as alice; C2 on imap\n{text}"
    );
    let script = Script::parse(&text).unwrap();
    if let Err(why) = play(&script, Service::Submission, Way::Whole, false) {
        panic!("{name}: {why}\n{text}");
    }
}

fn story(fate: Fate, mail: &str, rcpt: &str) -> String {
    let to = if fate == Fate::Here { "carol@example.org" } else { "bob@example.net" };
    let opens = if matches!(fate, Fate::Here | Fate::Delayed) {
        ""
    } else {
        "-- remote R1 192.0.2.10:25\n"
    };
    let waits = if fate == Fate::Delayed { "-- clock +5h\n" } else { "-- clock +1s\n" };
    format!("{opens}{}{}{waits}", submitted(mail, to, rcpt), remote(fate, mail, rcpt))
}

#[test]
fn every_notify_with_every_fate() {
    for fate in FATES {
        for notify in NOTIFY {
            let rcpt = match notify {
                "" => String::new(),
                words => format!(" NOTIFY={words}"),
            };
            let action = expected(notify, fate);
            let mut text = story(fate, "", &rcpt) + &counted(usize::from(action.is_some()));
            if let Some(action) = action {
                let address =
                    if fate == Fate::Here { "carol@example.org" } else { "bob@example.net" };
                let status = match fate {
                    Fate::Here => "2.1.5",
                    Fate::Refused => "5.1.1",
                    Fate::Delayed => "4.4.1",
                    _ => "2.0.0",
                };
                let mut lines = vec![
                    "Reporting-MTA: dns; mail.example.org".to_owned(),
                    "Arrival-Date: Thu, 1 Jan 2026 00:00:00 +0000".to_owned(),
                    String::new(),
                    format!("Final-Recipient: rfc822; {address}"),
                    format!("Action: {action}"),
                    format!("Status: {status}"),
                ];
                lines.extend(
                    match fate {
                        Fate::Here => vec![],
                        // Nobody replied: that is what we found.
                        Fate::Delayed => {
                            vec!["Remote-MTA: dns; example.net", "Diagnostic-Code: x-postrider; …"]
                        }
                        _ => vec!["Remote-MTA: dns; example.net", "Diagnostic-Code: smtp; …"],
                    }
                    .into_iter()
                    .map(str::to_owned),
                );
                lines.push("Last-Attempt-Date: …".to_owned());
                if fate == Fate::Delayed {
                    lines.push("Will-Retry-Until: Tue, 6 Jan 2026 00:00:00 +0000".to_owned());
                }
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                text += &(SELECTED.to_owned() + &part("2", &lines));
            }
            check(&format!("{fate:?} {notify:?}"), &text);
        }
    }
}

/// RET is for failures; ENVID and ORCPT come back as they were, decoded. RFC 3461 §4.2 to §4.4.
#[test]
fn every_ret_with_envid_and_orcpt() {
    for ret in ["", " RET=FULL", " RET=HDRS"] {
        for fate in [Fate::Here, Fate::Passed, Fate::Relayed, Fate::Refused] {
            let mail = format!("{ret} ENVID=q+2B1");
            let rcpt = " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;B+2Bb@example.com";
            let reports = usize::from(fate != Fate::Passed);
            let mut text = story(fate, &mail, rcpt) + &counted(reports);
            if reports == 1 {
                let whole = ret == " RET=FULL" && fate == Fate::Refused;
                let kind = if whole { "message/rfc822" } else { "text/rfc822-headers" };
                let kind = format!("Content-Type: {kind}");
                let about = ["Content-Transfer-Encoding: 7bit", ""];
                text += SELECTED;
                text += &part("3.MIME", &[&kind, about[0], about[1]]);
                text += &format!(
                    "C2: e SEARCH BODY {{11}}\nC2: secret text\nS2: + …\nS2: * SEARCH{}\nS2: e OK …\n",
                    if whole { " 1" } else { "" }
                );
                let action = expected("SUCCESS,FAILURE", fate).unwrap();
                let action = format!("Action: {action}");
                let address =
                    if fate == Fate::Here { "carol@example.org" } else { "bob@example.net" };
                let address = format!("Final-Recipient: rfc822; {address}");
                let mut lines = vec![
                    "Reporting-MTA: dns; mail.example.org",
                    "Original-Envelope-Id: q+1",
                    "Arrival-Date: …",
                    "",
                    "Original-Recipient: rfc822;B+b@example.com",
                    &address,
                    &action,
                    "Status: …",
                ];
                if fate != Fate::Here {
                    lines.extend(["Remote-MTA: …", "Diagnostic-Code: …"]);
                }
                lines.push("Last-Attempt-Date: …");
                text += &part("2", &lines);
            }
            check(&format!("{fate:?}{ret}"), &text);
        }
    }
}
