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
const BY_NAME: [(&str, &str); 12] = [
    ("STATUS BOX (MESSAGES)", "r"),
    ("EXAMINE BOX", "r"),
    ("APPEND BOX {3+}", "i"),
    ("CREATE BOX/New", "k"),
    ("DELETE BOX", "x"),
    ("GETACL BOX", "a"),
    ("LISTRIGHTS BOX carol@example.org", "a"),
    ("SETACL BOX carol@example.org l", "a"),
    ("GETMETADATA BOX /shared/comment", "lr"),
    ("SETMETADATA BOX (/shared/comment \"x\")", "lw"),
    ("ESEARCH IN (mailboxes BOX) ALL", "r"),
    ("ESEARCH IN (subtree-one \"Other Users/alice@example.org\" mailboxes Archive) ALL", "lr"),
];

/// A command on the selected mailbox, and the rights it takes beside `lr`.
const SELECTED: [(&str, &str); 9] = [
    ("STORE 1 +FLAGS (\\Seen)", "s"),
    ("STORE 1 +FLAGS (\\Flagged)", "w"),
    ("STORE 1 +FLAGS ($Label)", "w"),
    ("STORE 1 +FLAGS (\\Deleted)", "t"),
    ("EXPUNGE", "e"),
    ("MOVE 1 Trash", "te"),
    ("FETCH 1 FLAGS", ""),
    ("SORT RETURN (UPDATE) (SIZE) UTF-8 ALL", ""),
    ("ESEARCH RETURN (COUNT) ALL", ""),
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
        script.push_str(&format!("S{c}~ * …\n").repeat(9));
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
    if command.starts_with("ESEARCH") {
        // RFC 7377 §2.2: what may not be searched is passed over.
        return played.said.iter().any(|line| line.starts_with("* ESEARCH"));
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
            assert!(!done(&opening(who, "lrswipkxtea", false), who, &theirs), "{who:?}: {theirs}");
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
        assert!(!done(&opening(Who::Revoked, "lrswipkxtea", true), Who::Revoked, command));
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

#[test]
fn what_is_denied_looks_as_if_it_did_not_exist() {
    for command in
        ["STATUS BOX (MESSAGES)", "SELECT BOX", "MYRIGHTS BOX", "DELETE BOX", "GETACL BOX"]
    {
        let ask = |name: &str| {
            let text = format!(
                "{}C2: t {}\nS2: t NO …\n",
                opening(Who::Stranger, "", false),
                command.replace("BOX", name)
            );
            let script = Script::parse(&text).unwrap();
            play(&script, Service::Imap, Way::Whole, true).unwrap().said
        };
        let nothing = "\"Other Users/alice@example.org/Nothing\"";
        let nobody = "\"Other Users/nobody@example.org/Archive\"";
        assert_eq!(ask(SHARED), ask(nothing), "{command}");
        assert_eq!(ask(SHARED), ask(nobody), "{command}");
    }
}
