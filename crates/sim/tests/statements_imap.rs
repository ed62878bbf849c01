//! What real clients need of IMAP: users.md §5.1, each statement a test of its name. More of them
//! are in the transcripts of `tests/imap`, with their ids.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan};
use sim::world::SimWorld;

fn check(given: &str, text: &str) {
    sim::play::check(Service::Imap, given, text);
}

const ALICE: &str = "account alice; C1 on imap as alice";
const SELECTED: &str = "account alice; INBOX of alice has 3 messages; C1 on imap as alice in INBOX";

#[test]
fn i_02_many_commands_in_one_segment_are_answered_in_order() {
    let (mut sent, mut told) = ("C1> ".to_owned(), String::new());
    for n in 0..100 {
        let (sign, found) = if n % 2 == 0 { ("+", " 2") } else { ("-", "") };
        sent += &format!("a{n} STORE 2 {sign}FLAGS.SILENT (\\\\Seen)\\r\\nb{n} SEARCH SEEN\\r\\n");
        told += &format!("S1: a{n} OK …\nS1: * SEARCH{found}\nS1: b{n} OK …\n");
    }
    check(SELECTED, &format!("{sent}\n{told}"));
}

#[test]
fn i_06_logout_says_bye_then_ok_then_closes() {
    check(ALICE, "C1: a LOGOUT\nS1: * BYE G…\nS1: a OK L…\n-- closed C1\n");
}

#[test]
fn i_07_i_09_responses_have_a_text_and_no_blank_at_their_end() {
    let text = "C1: a ENABLE CONDSTORE\nS1: * ENABLED CONDSTORE\n\
                S1: * OK [HIGHESTMODSEQ $modseq] Highest\nS1: a OK ENABLE completed\n\
                C1: b STATUS Trash (MESSAGES)\nS1: * STATUS Trash (MESSAGES 0)\n\
                S1: b OK STATUS completed\nC1: c ID NIL\nS1: * ID (\"name\" \"Postrider\")\n\
                S1: c OK ID completed\nC1: d SEARCH 1:* DELETED\nS1: * SEARCH\n\
                S1: d OK SEARCH completed\nC1: e FETCH 1 FLAGS\n\
                S1: * 1 FETCH (FLAGS (\\Recent) MODSEQ ($m))\nS1: e OK FETCH completed\n";
    check(SELECTED, text);
}

#[test]
fn i_08_continuations_have_a_blank() {
    let text = "C1: a IDLE\nS1: + Idling\nC1: DONE\nS1: a OK …\n\
                C1: b CREATE {1}\nS1: + Go ahead\nC1: x\nS1: b OK …\n\
                C1: c APPEND INBOX {2}\nS1: + Send the message\n\
                C1> \\r\\n\\r\\n\nS1: c OK [APPENDUID …\n";
    check(ALICE, text);
    let text = "S1: * OK …\nC1: a AUTHENTICATE PLAIN\nS1: + \nC1: *\nS1: a BAD …\n";
    check("account alice; C1 on imap", text);
}

#[test]
fn fifty_mistakes_in_a_row_end_the_connection() {
    let bad = "C1: a FROB\nS1: a BAD …\n";
    let some = bad.repeat(49);
    let text = format!(
        "{some}C1: b NOOP\nS1: b OK …\n{some}C1: a FROB\nS1: a BAD …\n\
         S1: * BYE Too many errors\n-- closed C1\n"
    );
    check(ALICE, &text);
}

#[test]
fn i_13_commands_in_pieces_are_commands() {
    // `check` plays it octet by octet as well.
    check(SELECTED, "C1> a SEA\nC1> RCH 2\\r\nC1> \\n\nS1: * SEARCH 2\nS1: a OK …\n");
}

#[test]
fn i_20_id_takes_anything() {
    let pairs = "\"key\" \"value\" ".repeat(30);
    let answer = "S1: * ID (\"name\" \"Postrider\")\nS1: a OK …\n";
    for list in ["NIL", "(\"name\" NIL)", "(\"x-odd\" \"\")", &format!("({})", pairs.trim_end())] {
        check(ALICE, &format!("C1: a ID {list}\n{answer}"));
        let before = format!("S1: * OK …\nC1: a ID {list}\n{answer}");
        check("account alice; C1 on imap", &before);
    }
}

#[test]
fn i_24_passwords_in_utf_8_are_taken_quoted_and_as_literals() {
    for login in [
        "LOGIN alice \"pässwörd\"",
        "LOGIN alice {10+}\nC1: pässwörd",
        "AUTHENTICATE PLAIN {{base64 \\0alice\\0pässwörd}}",
    ] {
        let text = format!(
            "S1: * OK …\nC1: a {login}\nS1: a NO [AUTHENTICATIONFAILED] …\n\
             -- account alice password pässwörd\nC1: b {login}\nS1: b OK [CAPABILITY …\n"
        );
        check("account alice; C1 on imap", &text);
    }
}

#[test]
fn i_27_a_bare_name_is_completed() {
    for name in ["alice", "alice@example.org", "ALICE@EXAMPLE.ORG"] {
        let text = format!("S1: * OK …\nC1: a LOGIN {name} secret\nS1: a OK [CAPABILITY …\n");
        check("account alice; C1 on imap", &text);
    }
}

#[test]
fn i_31_lists_as_clients_write_them() {
    let inbox = "S1: * LIST (…) \"/\" INBOX\nS1: * LIST (…) \"/\" INBOX/a\n";
    let ok = "S1: x OK …\n";
    let text = format!(
        "C1: x CREATE INBOX/a\n{ok}C1: x LIST \"\" \"INBOX*\"\n{inbox}{ok}\
         C1: x LIST \"\" INBOX/%\nS1: * LIST (…) \"/\" INBOX/a\n{ok}\
         C1: x LIST \"\" \"I%/%\"\nS1: * LIST (…) \"/\" INBOX/a\n{ok}\
         C1: x LSUB \"\" INBOX*\n{lsub}{ok}C1: x LSUB \"\" \"INBOX*\"\n{lsub}{ok}",
        lsub = inbox.replace("LIST", "LSUB"),
    );
    check(ALICE, &text);
    let of = |verb: &str, names: &[&str]| -> String {
        names.iter().map(|name| format!("S1~ * {verb} (…) \"/\" {name}\n")).collect()
    };
    let top = ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"];
    let (here, all) = (of("LIST", &top), of("LIST", &[&top[..], &["Archive/a"]].concat()));
    let subscribed = of("LSUB", &[&top[..], &["Archive/a"]].concat());
    let text = format!(
        "C1: x CREATE Archive/a\n{ok}C1: x LIST \"\" \"%\"\n{here}{ok}\
         C1: x LIST \"\" \"%/%\"\nS1: * LIST (…) \"/\" Archive/a\n{ok}\
         C1: x LIST \"\" \"*\"\n{all}{ok}C1: x LSUB \"\" \"*\"\n{subscribed}{ok}\
         C1: x LSUB \"\" *\n{subscribed}{ok}"
    );
    check(ALICE, &text);
}

#[test]
fn i_32_inbox_has_no_case_and_one_name() {
    let text = "C1: a STATUS iNbOx (MESSAGES)\nS1: * STATUS INBOX (MESSAGES 3)\nS1: a OK …\n\
                C1: b LIST \"\" inbox\nS1: * LIST (…) \"/\" INBOX\nS1: b OK …\n\
                C1: c CREATE Inbox\nS1: c NO [ALREADYEXISTS] …\n\
                C1: d RENAME Trash inbox\nS1: d NO [ALREADYEXISTS] …\n\
                C1: e UNSELECT\nS1: e OK …\nC1: f RENAME inBOX Old\nS1: f OK …\n\
                C1: g STATUS INBOX (MESSAGES)\nS1: * STATUS INBOX (MESSAGES 0)\nS1: g OK …\n\
                C1: h STATUS Old (MESSAGES)\nS1: * STATUS Old (MESSAGES 3)\nS1: h OK …\n\
                C1: i DELETE iNBOX\nS1: i NO [CANNOT] …\n";
    check(SELECTED, text);
}

#[test]
fn i_34_xlist_names_the_inbox() {
    let offer = capabilities_of(false, protocol::machine::Security::Tls);
    assert!(offer.split(' ').any(|word| word == "XLIST"), "{offer}");
    let names = ["Inbox", "Drafts", "Sent", "Junk", "Trash", "Archive"].map(|of| match of {
        "Inbox" => "S1~ * XLIST (…\\Inbox…) \"/\" INBOX\n".to_owned(),
        of => format!("S1~ * XLIST (…\\{of}…) \"/\" {of}\n"),
    });
    check(ALICE, &format!("C1: a XLIST \"\" \"*\"\n{}S1: a OK …\n", names.concat()));
}

#[test]
fn i_35_default_mailboxes_are_subscribed() {
    let names = ["INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive", "made"];
    let lines: String = names.map(|name| format!("S1~ * LSUB (…) \"/\" {name}\n")).concat();
    check(ALICE, &format!("C1: a CREATE made\nS1: a OK …\nC1: b LSUB \"\" *\n{lines}S1: b OK …\n"));
}

#[test]
fn i_36_what_is_left_of_a_mailbox_with_others_below_is_no_trap() {
    let text = "C1: a CREATE a/b/c\nS1: a OK …\nC1: b DELETE a/b\nS1: b OK …\n\
                C1: c XLIST \"\" a/%\n\
                S1: * XLIST (\\NonExistent \\Noselect \\HasChildren) \"/\" a/b\nS1: c OK …\n\
                C1: d APPEND a/b {5+}\nC1: a: b\nS1: d OK [APPENDUID $v 1] …\n\
                C1: e STATUS a/b (MESSAGES)\nS1: * STATUS a/b (MESSAGES 1)\nS1: e OK …\n\
                C1: f LIST \"\" a/b RETURN (SUBSCRIBED)\n\
                S1: * LIST (\\HasChildren \\Subscribed) \"/\" a/b\nS1: f OK …\n\
                C1: g DELETE a/b\nS1: g OK …\n\
                C1: h CREATE a/b\nS1: h OK …\nC1: i DELETE a/b\nS1: i OK …\n\
                C1: j APPEND a/none {5+}\nC1: a: b\nS1: j NO [TRYCREATE] …\n";
    check(ALICE, text);
    let text = "C1: a CREATE a/b/c\nS1: a OK …\nC1: b DELETE a/b\nS1: b OK …\n\
                C1: c COPY 1 a/b\nS1: c OK [COPYUID $v 1 1] …\n\
                C1: d DELETE a/b\nS1: d OK …\nC1: e MOVE 2 a/b\n\
                S1: * OK [COPYUID $w 2 1] …\nS1: * 2 EXPUNGE\nS1: e OK …\n\
                C1: f DELETE a/b\nS1: f OK …\nC1: g UID REPLACE 3 a/b {5+}\nC1: a: b\n\
                S1: * OK [APPENDUID $x 1] …\nS1: * 2 EXPUNGE\nS1: g OK …\n\
                C1: h STATUS a/b (MESSAGES)\nS1: * STATUS a/b (MESSAGES 1)\nS1: h OK …\n\
                C1: i REPLACE 1 a/none {5+}\nC1: a: b\nS1: i NO [TRYCREATE] …\n";
    check(SELECTED, text);
}

#[test]
fn i_37_odd_names_come_back_as_they_went() {
    let long = "x".repeat(200);
    let names = [
        ("a&-b", "a&-b"),
        ("{5+}\\r\\na%\"-b", "\"a%\\\"-b\""),
        ("&2D3eAA-", "&2D3eAA-"),
        (&long, &long),
        ("-", "-"),
        ("\"a b\"", "\"a b\""),
    ];
    for (sent, told) in names {
        let text = format!(
            "C1> a CREATE {sent}\\r\\n\nS1: a OK …\nC1> b STATUS {sent} (MESSAGES)\\r\\n\n\
             S1: * STATUS {told} (MESSAGES 0)\nS1: b OK …\n"
        );
        check(ALICE, &text);
    }
    // The same name in modified UTF-7, and in UTF-8 once that is wanted.
    let text = "C1: a CREATE \"gr&APw-n &2D3eAA- % \\\"x\\\"/b-c\"\nS1: a OK …\n\
                C1: b ENABLE UTF8=ACCEPT\nS1: * ENABLED UTF8=ACCEPT\nS1: b OK …\n\
                C1: c LIST \"\" \"grün 😀*\"\n\
                S1: * LIST (…) \"/\" \"grün 😀 % \\\"x\\\"\"\n\
                S1: * LIST (…) \"/\" \"grün 😀 % \\\"x\\\"/b-c\"\nS1: c OK …\n";
    check(ALICE, text);
}

#[test]
fn i_40_create_again_with_a_separator_and_with_parents() {
    let text = "C1: a CREATE x/\nS1: a OK …\nC1: b CREATE x\nS1: b NO [ALREADYEXISTS] …\n\
                C1: c CREATE p/q\nS1: c OK …\nC1: d STATUS p (MESSAGES)\n\
                S1: * STATUS p (MESSAGES 0)\nS1: d OK …\n";
    check(ALICE, text);
}

#[test]
fn i_51_numbers_are_never_used_again() {
    let text = "C1: a STORE 3 +FLAGS.SILENT (\\Deleted)\nS1: a OK …\nC1: b EXPUNGE\n\
                S1: * 3 EXPUNGE\nS1: b OK …\n-- deliver alice\nC1: c NOOP\nS1: * 3 EXISTS\n\
                S1: * 3 RECENT\nS1: c OK …\nC1: d FETCH 3 UID\nS1: * 3 FETCH (UID 4)\nS1: d OK …\n\
                C1: e UID MOVE 4 Trash\nS1: * OK [COPYUID $v 4 1] …\nS1: * 3 EXPUNGE\nS1: e OK …\n\
                C1: f SELECT Trash\nS1~ * …\nS1~ * …\nS1~ * …\nS1~ * …\nS1~ * …\nS1~ * …\n\
                S1~ * …\nS1~ * …\nS1~ * …\nS1~ * …\nS1~ * …\nS1: f OK …\n\
                C1: g UID MOVE 1 INBOX\nS1: * OK [COPYUID $w 1 5] …\nS1: * 1 EXPUNGE\nS1: g OK …\n\
                C1: h STATUS Trash (UIDNEXT)\nS1: * STATUS Trash (UIDNEXT 2)\nS1: h OK …\n";
    check(SELECTED, text);
}

#[test]
fn i_61_what_breaks_clients_is_not_announced() {
    let offer = capabilities_of(false, protocol::machine::Security::Tls);
    assert!(!offer.split(' ').any(|word| word == "UIDONLY"), "{offer}");
    assert!(offer.starts_with("IMAP4rev1 IMAP4rev2"), "{offer}");
}

#[test]
fn i_21_i_22_i_26_starttls_and_logins_are_announced_where_they_can_be() {
    use protocol::machine::Security;
    use protocol::sasl::{Mechanism, Offered};
    let clear = capabilities_of(true, Security::Clear);
    let tls = capabilities_of(true, Security::Tls);
    assert!(clear.contains(" STARTTLS ") && clear.contains(" LOGINDISABLED "), "{clear}");
    assert!(!tls.contains("STARTTLS") && tls.contains(" AUTH=PLAIN "), "{tls}");
    assert!(
        Mechanism::parse("CRAM-MD5", Security::Tls, Offered::default()).is_none(),
        "users.md I-26"
    );
    // In the greeting, with a login, and when they are asked for; then without logins.
    let all = "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE …";
    let text = format!(
        "S1: * OK [CAPABILITY …AUTH=…] …\nC1: a CAPABILITY\nS1: * CAPABILITY …AUTH=…\n\
         S1: a OK …\nC1: b LOGIN alice secret\nS1: b OK [CAPABILITY {all}] …\n\
         C1: c CAPABILITY\nS1: * CAPABILITY {all}\nS1: c OK …\n"
    );
    check("account alice; C1 on imap", &text);
    let text = format!(
        "S1: * OK …\nC1: a AUTHENTICATE PLAIN {{{{base64 \\0alice\\0secret}}}}\n\
         S1: a OK [CAPABILITY {all}] …\n"
    );
    check("account alice; C1 on imap", &text);
}

#[tokio::test(start_paused = true)]
async fn i_22_logins_are_announced_until_there_was_one() {
    let house = House::build(Plan::default(), SimWorld::new(22)).await;
    house.add_account("alice").await;
    let mut client = Client::connect(&house, Service::Imap, [192, 0, 2, 1]).await;
    let greeting = client.line().await;
    assert!(greeting.contains("[CAPABILITY ") && greeting.contains(" AUTH=PLAIN "), "{greeting}");
    let told = client.ask("a LOGIN alice@example.org secret").await;
    assert!(told.starts_with("a OK [CAPABILITY "), "{told}");
    client.send(b"b CAPABILITY\r\n").await;
    let asked = client.line().await;
    assert!(asked.starts_with("* CAPABILITY "), "{asked}");
    for words in [told, asked] {
        assert!(!words.contains(" AUTH=") && !words.contains("LOGINDISABLED"), "{words}");
    }
}

fn capabilities_of(starttls: bool, security: protocol::machine::Security) -> String {
    use protocol::imap::session::{Offer, Session};
    let (plaintext_auth, message_octets_max, hidden) = (false, 1000, Vec::new());
    let sasl = protocol::sasl::Offered::default();
    let options = protocol::imap::session::Options::default();
    let offer = Offer { starttls, plaintext_auth, sasl, message_octets_max, hidden, options };
    Session::new(offer, security).capabilities()
}

#[test]
fn i_64_keywords_of_clients_are_kept() {
    let flags = "($Forwarded NonJunk $label1 a+b \\Recent)";
    let text = format!(
        "C1: a STORE 1 FLAGS ($Forwarded NonJunk $label1 a+b)\nS1: * FLAGS (…)\n\
         S1: * OK [PERMANENTFLAGS (…a+b \\*)] …\nS1: * 1 FETCH (FLAGS {flags})\nS1: a OK …\n\
         C1: b FETCH 1 FLAGS\nS1: * 1 FETCH (FLAGS {flags})\nS1: b OK …\n"
    );
    check(SELECTED, &text);
    // RFC 3501 §9: `[` is in an atom, `]` is not.
    let text = "C1: a STORE 1 +FLAGS.SILENT (x[y)\nS1: * FLAGS (…x[y)\n\
                S1: * OK [PERMANENTFLAGS (…x[y \\*)] …\nS1: a OK …\n\
                C1: b STORE 1 +FLAGS (x]y)\nS1: b BAD …\n\
                C1: c FETCH 1 FLAGS\nS1: * 1 FETCH (FLAGS (x[y \\Recent))\nS1: c OK …\n";
    check(SELECTED, text);
}

#[test]
fn i_38_what_cannot_be_selected_says_why() {
    let text = "C1: a SETACL INBOX bob@example.org lr\nS1: a OK …\n\
                C2: b LIST \"\" \"Other Users/%\"\n\
                S2: * LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Other Users/alice@example.org\"\n\
                S2: b OK …\nC2: c SELECT \"Other Users/alice@example.org\"\n\
                S2: c NO [NONEXISTENT] no…\nC2: d NOOP\nS2: d OK …\n";
    check("account alice; account bob; C1 on imap as alice; C2 on imap as bob", text);
}

#[test]
fn i_41_one_namespace_where_nothing_is_shared() {
    check(ALICE, "C1: a NAMESPACE\nS1: * NAMESPACE ((\"\" \"/\")) NIL NIL\nS1: a OK …\n");
}

#[test]
fn i_50_select_of_an_empty_mailbox_says_everything() {
    let text = "C1: a SELECT Drafts\n\
                S1~ * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\n\
                S1~ * 0 EXISTS\nS1~ * 0 RECENT\n\
                S1~ * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] …\n\
                S1~ * OK [UIDNEXT 1] …\nS1~ * OK [UIDVALIDITY $validity] …\n\
                S1~ * OK [HIGHESTMODSEQ $highest] …\nS1~ * OK [MAILBOXID ($id)] …\n\
                S1~ * OK [ANNOTATIONS …\n\
                S1: a OK [READ-WRITE] …\n\
                C1: b STATUS Drafts (UIDVALIDITY UIDNEXT HIGHESTMODSEQ)\n\
                S1: * OK [HIGHESTMODSEQ $highest] …\n\
                S1: * STATUS Drafts (UIDVALIDITY $validity UIDNEXT 1 HIGHESTMODSEQ $highest)\n\
                S1: b OK …\n\
                C1: c SEARCH RETURN (COUNT) MODSEQ 1\nS1: * ESEARCH (TAG \"c\") COUNT 0\n\
                S1: c OK …\n";
    check(ALICE, text);
}

#[test]
fn i_58_vanished_names_no_live_message() {
    // Everything since the first change there was: 2 is gone, 1 and 3 are not.
    let text = "C1: a ENABLE QRESYNC\nS1: * ENABLED QRESYNC\n\
                S1: * OK [HIGHESTMODSEQ $h]…\nS1: a OK …\n\
                C1: b UID STORE 2 +FLAGS.SILENT (\\Deleted)\nS1: * 2 FETCH (UID 2 MODSEQ ($m))\n\
                S1: b OK …\n\
                C1: c EXPUNGE\nS1: * VANISHED 2\nS1: c OK …\n\
                C1: d UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)\n\
                S1: * VANISHED (EARLIER) 2\n\
                S1: * 1 FETCH (UID 1 FLAGS (\\Recent) MODSEQ ($x))\n\
                S1: * 2 FETCH (UID 3 FLAGS (\\Recent) MODSEQ ($y))\nS1: d OK …\n\
                C1: e CLOSE\nS1: e OK …\n";
    check(SELECTED, text);
}

/// What came and went after a client was here last is none of its business: it says what it knows.
#[test]
fn i_58_vanished_names_only_what_the_client_knew() {
    let given = "account alice; INBOX of alice has 3 messages; C1 on imap as alice in INBOX; \
                 C2 on imap as alice";
    let text = "C2: a ENABLE QRESYNC\nS2: * ENABLED QRESYNC\nS2: a OK …\n\
                C2: b STATUS INBOX (UIDVALIDITY HIGHESTMODSEQ)\n\
                S2: * STATUS INBOX (UIDVALIDITY $v HIGHESTMODSEQ $m)\nS2: b OK …\n\
                -- deliver alice\n\
                C1: c UID STORE 2,4 +FLAGS.SILENT (\\Deleted)\nS1~ * 4 EXISTS\n\
                S1~ * 4 RECENT\nS1: c OK …\n\
                C1: d NOOP\nS1: d OK …\n\
                C1: e UID STORE 4 +FLAGS.SILENT (\\Deleted)\nS1: e OK …\n\
                C1: f EXPUNGE\nS1: * 2 EXPUNGE\nS1: * 3 EXPUNGE\nS1: f OK …\n\
                -- deliver alice\n\
                C2: g SELECT INBOX (QRESYNC ($v $m 1:3))\nS2~ * FLAGS (…)\nS2~ * 3 EXISTS\n\
                S2~ * … RECENT\nS2~ * OK [UNSEEN 1] …\nS2~ * OK [PERMANENTFLAGS …\n\
                S2~ * OK [UIDVALIDITY $v] …\nS2~ * OK [UIDNEXT 6] …\n\
                S2~ * OK [HIGHESTMODSEQ …\nS2~ * OK [MAILBOXID …\n\
                S2~ * OK [ANNOTATIONS …\n\
                S2: * VANISHED (EARLIER) 2\nS2: g OK …\n\
                C2: h UID FETCH 1:3 (FLAGS) (CHANGEDSINCE $m VANISHED)\n\
                S2: * VANISHED (EARLIER) 2\nS2: h OK …\n";
    check(given, text);
}

#[test]
fn i_59_qresync_brings_condstore_and_silent_stores_tell_modseq() {
    let text = "C1: a ENABLE QRESYNC\nS1: * ENABLED QRESYNC\n\
                S1: * OK [HIGHESTMODSEQ $h]…\nS1: a OK …\n\
                C1: b STORE 1 +FLAGS.SILENT (\\Seen \\Deleted)\n\
                S1: * 1 FETCH (UID 1 MODSEQ ($m))\nS1: b OK …\n\
                C1: c FETCH 1 FLAGS\n\
                S1: * 1 FETCH (FLAGS (\\Deleted \\Seen \\Recent) MODSEQ ($m))\nS1: c OK …\n\
                C1: d EXPUNGE\nS1: * VANISHED 1\nS1: d OK [HIGHESTMODSEQ $n] …\n\
                C1: e STATUS INBOX (HIGHESTMODSEQ)\nS1: * STATUS INBOX (HIGHESTMODSEQ $n)\n\
                S1: e OK …\n";
    check(SELECTED, text);
}

#[test]
fn i_60_modseq_is_fetched_and_announced() {
    let offer = capabilities_of(false, protocol::machine::Security::Tls);
    for word in ["CONDSTORE", "LIST-EXTENDED"] {
        assert!(offer.split(' ').any(|announced| announced == word), "{offer}");
    }
    let text = "C1: a FETCH 2 (MODSEQ)\nS1: * OK [HIGHESTMODSEQ $h]…\n\
                S1: * 2 FETCH (MODSEQ ($m))\nS1: a OK …\n\
                C1: b LIST \"\" INBOX RETURN (SUBSCRIBED)\n\
                S1: * LIST (…\\Subscribed…) \"/\" INBOX\nS1: b OK …\n";
    check(SELECTED, text);
}

#[test]
fn i_63_two_sessions_append_to_one_mailbox() {
    let (mut sent, mut told) = (String::new(), String::new());
    for n in 0..500 {
        for c in [1, 2] {
            sent += &format!("C{c}> t{n} APPEND Sent {{4+}}\\r\\nA: b\\r\\n\n");
            told += &format!("S{c}: t{n} OK [APPENDUID …] …\n");
        }
    }
    let end = "C1: z STATUS Sent (MESSAGES UIDNEXT)\n\
                S1: * STATUS Sent (MESSAGES 1000 UIDNEXT 1001)\nS1: z OK …\n";
    check("account alice; C1 on imap as alice; C2 on imap as alice", &format!("{sent}{told}{end}"));
}

#[test]
fn i_70_the_size_is_that_of_the_body() {
    // An octet of no charset, a bare CR, no end of line: as it came.
    let text = "C1> a APPEND Drafts {15+}\\r\\nA: \\xff b\\r\\n\\r\\nc\\r d \\r\\n\nS1: a OK …\n\
                C1: b EXAMINE Drafts\nS1~ * FLAGS (…)\nS1~ * 1 EXISTS\nS1~ * 1 RECENT\n\
                S1~ * OK [UNSEEN 1]…\nS1~ * OK [PERMANENTFLAGS …\nS1~ * OK [UIDNEXT …\n\
                S1~ * OK [UIDVALIDITY …\nS1~ * OK [HIGHESTMODSEQ …\nS1~ * OK [MAILBOXID …\n\
                S1~ * OK [ANNOTATIONS …\n\
                S1: b OK …\nC1: c FETCH 1 RFC822.SIZE\nS1: * 1 FETCH (RFC822.SIZE 15)\nS1: c OK …\n\
                C1: d FETCH 1 BODY.PEEK[]\nS1: * 1 FETCH (BODY[] {15}\nS1: …b\nS1:\nS1: …d )\n\
                S1: d OK …\n";
    check(ALICE, text);
}

/// The octets of `BODY[]` of one message, and its RFC822.SIZE.
async fn body_of(client: &mut Client, uid: usize) -> (usize, Vec<u8>) {
    client.send(format!("f UID FETCH {uid} (RFC822.SIZE BODY.PEEK[])\r\n").as_bytes()).await;
    let line = client.line().await;
    let number = |after: &str| -> usize {
        let (_, rest) = line.split_once(after).unwrap_or_else(|| panic!("{line}"));
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    let (size, octets) = (number("RFC822.SIZE "), number("BODY[] {"));
    let body = client.octets(octets).await;
    assert_eq!(client.line().await, ")");
    assert!(client.line().await.starts_with("f OK"));
    (size, body)
}

/// The same wherever a message goes, whatever is in it, and when the server starts again.
#[tokio::test(start_paused = true)]
async fn i_70_bodies_are_kept_to_the_octet() {
    let odd: [&[u8]; 8] = [
        b"A: b\r\n\r\nplain\r\n",
        b"A: b\n\nbare line feeds\n",
        b"A: b\r\n\r\n\x80\xff\xfe no charset, a lone \r and no end",
        b"\r\n",
        b"no header at all",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n--x\r\nnever closed",
        b"Content-Transfer-Encoding: base64\r\n\r\n!!! not base64 !!!\r\n",
        b"Subject: =?utf-8?q?=C3=A4?=\r\nX: \xc3\xa4\r\n\r\n.\r\n..\r\n",
    ];
    let house = House::build(Plan::default(), SimWorld::new(70)).await;
    house.add_account("alice").await;
    let mut client = Client::connect(&house, Service::Imap, [192, 0, 2, 1]).await;
    client.line().await;
    assert!(client.ask("a LOGIN alice@example.org secret").await.starts_with("a OK"));
    for message in odd {
        let head = format!("b APPEND INBOX {{{}+}}\r\n", message.len());
        client.send(&[head.as_bytes(), message, b"\r\n"].concat()).await;
        assert!(client.line().await.starts_with("b OK"));
    }
    for mailbox in ["INBOX", "Archive", "Trash"] {
        client.send(format!("c SELECT {mailbox}\r\n").as_bytes()).await;
        while !client.line().await.starts_with("c OK") {}
        for (uid, message) in (1..).zip(odd) {
            let (size, body) = body_of(&mut client, uid).await;
            assert_eq!((size, body.as_slice()), (message.len(), message), "{mailbox}");
        }
        match mailbox {
            "INBOX" => assert!(client.ask("d COPY 1:* Archive").await.starts_with("d OK")),
            "Archive" => {
                client.send(b"d MOVE 1:* Trash\r\n").await;
                while !client.line().await.starts_with("d OK") {}
            }
            _ => {}
        }
    }
}

#[test]
fn i_77_two_hundred_levels_are_answered() {
    let mut message = String::new();
    for level in 0..200 {
        message +=
            &format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n");
    }
    message += "\r\nx\r\n";
    let octets = message.len();
    let message = message.replace("\r\n", "\\r\\n");
    let text = format!(
        "C1> a APPEND Drafts {{{octets}+}}\\r\\n{message}\\r\\n\nS1: a OK …\n\
         C1: b EXAMINE Drafts\nS1~ * FLAGS (…)\nS1~ * 1 EXISTS\nS1~ * 1 RECENT\n\
         S1~ * OK [UNSEEN 1]…\nS1~ * OK [PERMANENTFLAGS …\nS1~ * OK [UIDNEXT …\n\
         S1~ * OK [UIDVALIDITY …\nS1~ * OK [HIGHESTMODSEQ …\nS1~ * OK [MAILBOXID …\n\
         S1~ * OK [ANNOTATIONS …\n\
         S1: b OK …\nC1: c FETCH 1 BODYSTRUCTURE\nS1: * 1 FETCH (BODYSTRUCTURE (…))\nS1: c OK …\n\
         C1: d FETCH 1 BODY.PEEK[{}1]\nS1: * 1 FETCH (BODY[…\nS1: d OK …\n",
        "1.".repeat(99)
    );
    check(ALICE, &text);
}

#[test]
fn i_05_an_idling_client_hears_that_we_are_there() {
    let again = "-- clock +2m\nS1: * OK …\n".repeat(15);
    check(SELECTED, &format!("C1: a IDLE\nS1: + …\n{again}C1: DONE\nS1: a OK …\n"));
}

#[test]
fn i_25_too_many_connections_are_no_failed_login() {
    // They are counted before the password is asked for, so that no client takes it for wrong.
    let given = "connections_per_address_max = 1; account alice; \
                 C1 on imap from 192.0.2.1 as alice; C2 on imap from 192.0.2.1";
    check(given, "S2: * BYE [UNAVAILABLE] Too many connections\n-- closed C2\n");
    // Those of an account are counted when it is known whose they are, and the right password is
    // not called wrong; a wrong one is.
    let given = "connections_per_account_max = 2; account alice; C1 on imap as alice; \
                 C2 on imap as alice; C3 on imap";
    let text = "S3: * OK …\nC3: a LOGIN alice@example.org secret\n\
                S3: a NO [LIMIT] Too many connections of this account\n\
                C3: b AUTHENTICATE PLAIN {{base64 \\0alice@example.org\\0secret}}\n\
                S3: b NO [LIMIT] Too many connections of this account\n\
                C3: c LOGIN alice@example.org wrong\nS3: c NO [AUTHENTICATIONFAILED] …\n\
                C1: d LOGOUT\nS1: * BYE …\nS1: d OK …\n-- closed C1\n\
                C3: e LOGIN alice@example.org secret\nS3: e OK …\n\
                C2: f UNAUTHENTICATE\nS2: f OK …\n\
                C2: g LOGIN alice@example.org secret\nS2: g OK …\n";
    check(given, text);
}

/// RFC 5465 §5.8: too many mailboxes are not watched, and the client hears of it.
#[test]
fn notify_has_an_end() {
    const LEVELS: usize = 25;
    let mut text = "C1: a NOTIFY SET (mailboxes INBOX (MessageNew MessageExpunge))\nS1: a OK …\n\
                    -- deliver alice\nS1: * STATUS INBOX (UIDNEXT 2 MESSAGES 1)\n"
        .to_owned();
    for n in 0..server::limits::NOTIFY_MAILBOXES_MAX / LEVELS {
        let name = vec![format!("m{n}"); LEVELS].join("/");
        text.push_str(&format!("C2: b{n} CREATE {name}\nS2: b{n} OK …\n"));
    }
    text.push_str(
        "S1: * OK [NOTIFICATIONOVERFLOW] …\n-- deliver alice\nC1: c NOOP\nS1: c OK …\n\
         C1: d NOTIFY SET (mailboxes INBOX (MessageNew MessageExpunge))\n\
         S1: d NO [NOTIFICATIONOVERFLOW] …\n",
    );
    check("account alice; C1 on imap as alice; C2 on imap as alice", &text);
}
