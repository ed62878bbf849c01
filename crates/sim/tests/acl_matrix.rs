//! Every command on a mailbox by every right of RFC 4314 §4, for its owner, for somebody who has
//! that right alone beside what selecting takes, for somebody who has lost it, and for a stranger.
//!
//! Each cell is a conversation of its own, made from one table and played like a transcript.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mail::Rights;
use server::listen::Service;
use sim::play::{Way, play};
use sim::script::Script;

/// A command that needs no selected mailbox (`BOX` is its name), and the rights it takes.
const BY_NAME: [(&str, &str); 24] = [
    ("STATUS BOX (MESSAGES)", "r"),
    ("SELECT BOX", "r"),
    ("EXAMINE BOX", "r"),
    ("APPEND BOX {3+}", "i"),
    ("APPEND BOX ANNOTATION (/comment (value.shared \"x\")) {3+}", "in"),
    ("APPEND BOX ANNOTATION (/comment (value.priv \"x\")) {3+}", "ir"),
    ("CREATE BOX/New", "k"),
    ("DELETE BOX", "x"),
    ("GETACL BOX", "a"),
    ("LISTRIGHTS BOX carol@example.org", "a"),
    ("SETACL BOX carol@example.org l", "a"),
    ("DELETEACL BOX carol@example.org", "a"),
    ("GETMETADATA BOX /shared/comment", "lr"),
    ("SETMETADATA BOX (/shared/comment \"x\")", "lw"),
    ("GETQUOTAROOT BOX", "r"),
    ("RESETKEY BOX INTERNAL", "r"),
    ("LIST \"\" BOX RETURN (MYRIGHTS)", "l"),
    ("XLIST \"\" BOX", "l"),
    ("LIST \"\" BOX", "l"),
    ("LIST \"\" BOX RETURN (STATUS (MESSAGES))", "lr"),
    ("LIST \"\" BOX RETURN (METADATA (/shared/x))", "l"),
    ("NOTIFY SET STATUS (mailboxes BOX (MessageNew MessageExpunge))", "lr"),
    ("ESEARCH IN (mailboxes BOX) ALL", "r"),
    ("ESEARCH IN (subtree-one \"Other Users/alice@example.org\" mailboxes Archive) ALL", "lr"),
];

/// A command on the selected mailbox, and the rights it takes beside `lr`.
const SELECTED: [(&str, &str); 29] = [
    ("STORE 1 +FLAGS (\\Seen)", "s"),
    ("STORE 1 +FLAGS (\\Flagged)", "w"),
    ("STORE 1 +FLAGS ($Label)", "w"),
    ("UID STORE 1 -FLAGS.SILENT (\\Draft)", "w"),
    ("STORE 1 +FLAGS (\\Deleted)", "t"),
    ("STORE 1 ANNOTATION (/comment (value.shared \"x\"))", "n"),
    ("UID STORE 1 ANNOTATION (/comment (value.priv \"x\" value.shared NIL))", "n"),
    ("STORE 1 ANNOTATION (/comment (value.priv \"x\"))", ""),
    ("FETCH 1 (ANNOTATION (/comment value))", ""),
    ("SEARCH ANNOTATION * value \"x\"", ""),
    ("SORT (ANNOTATION /comment value.shared) UTF-8 ALL", ""),
    ("EXPUNGE", "e"),
    ("UID EXPUNGE 1", "e"),
    ("MOVE 1 Trash", "te"),
    ("UID MOVE 1 Trash", "te"),
    ("REPLACE 1 Trash {3+}", "te"),
    ("UID REPLACE 1 Trash {3+}", "te"),
    ("COPY 1 Trash", ""),
    ("FETCH 1 FLAGS", ""),
    ("UID FETCH 1 (BODY[] THREADID PREVIEW)", ""),
    ("SEARCH RETURN (SAVE) ALL", ""),
    ("SORT RETURN (UPDATE) (SIZE) UTF-8 ALL", ""),
    ("THREAD REFS UTF-8 ALL", ""),
    ("ESEARCH RETURN (COUNT) ALL", ""),
    ("UIDBATCHES 500", ""),
    ("CANCELUPDATE \"x\"", ""),
    ("CHECK", ""),
    ("CLOSE", ""),
    ("UNSELECT", ""),
];

/// Commands whose OK means nothing: done is what brings this response.
const ANSWERED: [(&str, &str); 9] = [
    ("XLIST", "* XLIST"),
    ("LIST \"\" BOX RETURN (MYRIGHTS", "* MYRIGHTS"),
    ("GENURLAUTH", "* GENURLAUTH"),
    ("LSUB", "* LSUB (\\HasNoChildren)"),
    ("ESEARCH", "* ESEARCH"),
    ("LIST \"\" BOX RETURN (STATUS", "* STATUS"),
    ("LIST \"\" BOX RETURN (METADATA", "* LIST"),
    ("LIST", "* LIST"),
    ("NOTIFY", "* STATUS"),
];

/// Who asks, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Owner,
    Granted,
    Revoked,
    Stranger,
}

const SHARED: &str = "\"Other Users/alice@example.org/Archive\"";

/// The conversation up to where bob, or alice herself, asks: the list of access is set, and the
/// mailbox selected.
fn opening(who: Who, letters: &str, selects: bool) -> String {
    let mut script = String::from(
        "rfc: 4314 §4\n\
         given: account alice; account bob; account carol; Archive of alice has 1 message; \
         C1 on imap as alice; C2 on imap as bob\n",
    );
    if matches!(who, Who::Granted | Who::Revoked) && !letters.is_empty() {
        let line = format!("C1: s SETACL Archive bob@example.org {letters}\nS1: s OK …\n");
        script.push_str(&line);
    }
    if selects {
        let (c, name) = if who == Who::Owner { (1, "Archive") } else { (2, SHARED) };
        script.push_str(&format!("C{c}: sel SELECT {name}\n"));
        script.push_str(&format!("S{c}~ * …\n").repeat(10));
        script.push_str(&format!("S{c}: sel OK …\n"));
    }
    if who == Who::Revoked && !letters.is_empty() {
        script.push_str("C1: d DELETEACL Archive bob@example.org\nS1: d OK …\n");
    }
    script
}

/// Plays a cell: whether the command was done.
fn done(script: &str, who: Who, command: &str) -> bool {
    let c = if who == Who::Owner { 1 } else { 2 };
    let mut spoken = format!("C{c}: t {command}\n");
    if command.ends_with("{3+}") {
        spoken.push_str(&format!("C{c}: x\nC{c}:\n"));
    }
    let text = format!("{script}{spoken}S{c}: t OK …\n");
    let script = Script::parse(&text).unwrap();
    let played = play(&script, Service::Imap, Way::Whole, true).unwrap();
    // RFC 7377 §2.2, RFC 5258 §3, RFC 5465 §6: what may not be seen is passed over.
    let fits = |(begin, _): &&(&str, &str)| {
        let (head, tail) = begin.split_once("BOX").unwrap_or((begin, ""));
        command.starts_with(head) && command.contains(tail)
    };
    if let Some((_, response)) = ANSWERED.iter().find(fits) {
        let from = played.said.iter().rposition(|line| line.starts_with("s OK")).unwrap_or(0);
        return played.said.iter().skip(from).any(|line| line.starts_with(response));
    }
    let mut said = played.said.iter().filter(|line| line.starts_with("t "));
    let answer = said.next().unwrap_or_else(|| panic!("{command}: {:?}", played.said));
    assert!(!answer.starts_with("t BAD"), "{command}: {answer}");
    answer.starts_with("t OK")
}

fn rights(letters: &str) -> Rights {
    Rights::parse(letters).unwrap()
}

#[test]
fn commands_by_name() {
    for (command, needed) in BY_NAME {
        let own = command.replace("BOX", "Archive");
        let theirs = command.replace("BOX/New", "\"Other Users/alice@example.org/Archive/New\"");
        let theirs = theirs.replace("BOX", SHARED);
        assert!(done(&opening(Who::Owner, "", false), Who::Owner, &own), "owner: {own}");
        for who in [Who::Stranger, Who::Revoked] {
            assert!(!done(&opening(who, "lrswipkxtean", false), who, &theirs), "{who:?}: {theirs}");
        }
        for (letter, right) in Rights::each() {
            let fine = right.contains(rights(needed));
            let script = opening(Who::Granted, &letter.to_string(), false);
            assert_eq!(done(&script, Who::Granted, &theirs), fine, "{letter}: {theirs}");
        }
        let script = opening(Who::Granted, needed, false);
        assert!(done(&script, Who::Granted, &theirs), "{needed}: {theirs}");
    }
}

#[test]
fn commands_on_the_selected_mailbox() {
    for (command, needed) in SELECTED {
        assert!(done(&opening(Who::Owner, "", true), Who::Owner, command), "owner: {command}");
        // Taken while it is selected: nothing goes any more, not even reading.
        assert!(!done(&opening(Who::Revoked, "lrswipkxtean", true), Who::Revoked, command));
        for (letter, right) in Rights::each() {
            let has = right.with(rights("lr"));
            let fine = has.contains(rights(needed));
            let script = opening(Who::Granted, &has.to_string(), true);
            assert_eq!(done(&script, Who::Granted, command), fine, "{letter}: {command}");
        }
        let script = opening(Who::Granted, &format!("lr{needed}"), true);
        assert!(done(&script, Who::Granted, command), "lr{needed}: {command}");
    }
}

/// Into a mailbox, out of one's own; and a name into another place.
#[test]
fn commands_with_two_mailboxes() {
    let place = "\"Other Users/alice@example.org/Sent/Moved\"";
    let target = "\"Other Users/alice@example.org/Sent\"";
    let opening = |source: &str, target: &str| {
        let mut script = opening(Who::Granted, source, false);
        script = script.replace("C1 on", "INBOX of bob has 1 message; C1 on");
        if !target.is_empty() {
            let line = format!("C1: u SETACL Sent bob@example.org {target}\nS1: u OK …\n");
            script.push_str(&line);
        }
        script
    };
    let selecting = format!("C2: sel SELECT INBOX\n{}S2: sel OK …\n", "S2~ * …\n".repeat(10));
    for (letter, _) in Rights::each() {
        let letter = letter.to_string();
        for command in ["COPY 1", "MOVE 1", "REPLACE 1"] {
            let end = if command == "REPLACE 1" { " {3+}" } else { "" };
            let script = format!("{}{selecting}", opening("", &letter));
            let command = format!("{command} {target}{end}");
            assert_eq!(done(&script, Who::Granted, &command), letter == "i", "{letter}: {command}");
        }
        // RFC 4314 §4: x where it is, k above where it goes.
        let command = format!("RENAME {SHARED} {place}");
        for (source, target) in [(letter.as_str(), "k"), ("x", letter.as_str())] {
            let fine = source == "x" && target == "k";
            let script = opening(source, target);
            assert_eq!(done(&script, Who::Granted, &command), fine, "{source} {target}: {command}");
        }
    }
}

/// Where a mailbox is named by a URL, and LSUB, which shows what one subscribed to oneself: as of a
/// mailbox, or as of nothing.
#[test]
fn urls_and_subscriptions() {
    let theirs = "Other%20Users/alice%40example.org/Archive";
    let subscribes = format!("C2: u SUBSCRIBE {SHARED}\nS2: u OK …\n");
    let commands = [
        (
            format!(
                "GENURLAUTH \"imap://bob@example.org/{theirs}/;uid=1;urlauth=authuser\" INTERNAL"
            ),
            "r",
        ),
        (format!("APPEND INBOX CATENATE (URL \"/{theirs}/;UID=1\")"), "r"),
        (format!("LSUB \"\" {SHARED}"), "l"),
    ];
    for (command, needed) in commands {
        let ask = |who, letters: &str| {
            done(&format!("{}{subscribes}", opening(who, letters, false)), who, &command)
        };
        for who in [Who::Stranger, Who::Revoked] {
            assert!(!ask(who, "lrswipkxtean"), "{who:?}: {command}");
        }
        for (letter, right) in Rights::each() {
            let fine = right.contains(rights(needed));
            assert_eq!(ask(Who::Granted, &letter.to_string()), fine, "{letter}: {command}");
        }
    }
}

/// Any of the rights that let a mailbox be seen. RFC 4314 §4.
#[test]
fn rights_are_told_to_whom_may_see_the_mailbox() {
    let command = format!("MYRIGHTS {SHARED}");
    assert!(done(&opening(Who::Owner, "", false), Who::Owner, "MYRIGHTS Archive"));
    for who in [Who::Stranger, Who::Revoked] {
        assert!(!done(&opening(who, "lrswipkxtean", false), who, &command), "{who:?}");
    }
    for (letter, right) in Rights::each() {
        let script = opening(Who::Granted, &letter.to_string(), false);
        let fine = right.intersects(rights("lrikxa"));
        assert_eq!(done(&script, Who::Granted, &command), fine, "{letter}");
    }
}

/// A URL gives what its user may read now. RFC 4467 §6.
#[test]
fn urls_that_others_redeem() {
    let theirs = "Other%20Users/alice%40example.org/Archive";
    let asks = |who: Who, letters: &str, access: &str| {
        // bob gives the URL of alice's mailbox while he may read it, and carol redeems it.
        let url = match who {
            Who::Owner => "imap://alice@example.org/Archive".to_owned(),
            _ => format!("imap://bob@example.org/{theirs}"),
        };
        let c = if who == Who::Owner { 1 } else { 2 };
        let mut script = opening(Who::Granted, "lr", false);
        script = script.replace("C1 on", "C3 on imap as carol; C1 on");
        let rump = format!("{url}/;uid=1;urlauth={access}");
        let url = format!("\"{rump}:internal:$token\"");
        script.push_str(&format!(
            "C{c}: g GENURLAUTH \"{rump}\" INTERNAL\n\
             S{c}: * GENURLAUTH {url}\nS{c}: g OK …\n\
             C1: d DELETEACL Archive bob@example.org\nS1: d OK …\n"
        ));
        if who == Who::Granted && !letters.is_empty() {
            let line = format!("C1: s SETACL Archive bob@example.org {letters}\nS1: s OK …\n");
            script.push_str(&line);
        }
        script.push_str(&format!("C3: t URLFETCH {url}\nS3: * URLFETCH {url} "));
        let plays = |rest: &str| {
            let script = Script::parse(&format!("{script}{rest}S3: t OK …\n")).unwrap();
            play(&script, Service::Imap, Way::Whole, false).is_ok()
        };
        let header = "S3: From: …\nS3: To: …\nS3: Subject: …\nS3: Date: …\nS3: Message-ID: …\n";
        let given = plays(&format!("{{164}}\n{header}S3:\nS3: This is …\nS3:\n"));
        assert_ne!(given, plays("NIL\n"));
        given
    };
    for access in ["user+carol@example.org", "authuser", "anonymous"] {
        assert!(asks(Who::Owner, "", access), "owner: {access}");
        assert!(!asks(Who::Revoked, "", access), "revoked: {access}");
        for (letter, right) in Rights::each() {
            let fine = right.contains(rights("r"));
            assert_eq!(asks(Who::Granted, &letter.to_string(), access), fine, "{letter}: {access}");
        }
    }
    // Whom the URL does not name is a stranger to it.
    assert!(!asks(Who::Owner, "", "user+bob@example.org"));
    assert!(!asks(Who::Granted, "r", "submit+carol"));
}

#[test]
fn what_is_denied_looks_as_if_it_did_not_exist() {
    let more = ["MYRIGHTS BOX", "RENAME BOX Mine", "SUBSCRIBE BOX", "GETQUOTAROOT BOX"];
    for command in BY_NAME.iter().map(|(command, _)| *command).chain(more) {
        let ask = |name: &str| {
            let text = format!(
                "{}C2: t {}\nS2: t NO …\n",
                opening(Who::Stranger, "", false),
                command.replace("BOX/New", &name.replace("e\"", "e/New\"")).replace("BOX", name)
            );
            let text = text.replace("{3+}\n", "{3+}\nC2: x\nC2:\n");
            let script = Script::parse(&text).unwrap();
            let played = play(&script, Service::Imap, Way::Whole, true).unwrap();
            // What the client said itself is in the answer of some.
            let name = name.trim_matches('"');
            played.said.iter().map(|line| line.replace(name, "BOX")).collect::<Vec<_>>()
        };
        let nothing = "\"Other Users/alice@example.org/Nothing\"";
        let nobody = "\"Other Users/nobody@example.org/Archive\"";
        assert_eq!(ask(SHARED), ask(nothing), "{command}");
        assert_eq!(ask(SHARED), ask(nobody), "{command}");
    }
}
