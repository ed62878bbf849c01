//! What real clients and servers need of SMTP and POP3: users.md §5.2 and §5.3, security.md §3.1,
//! each a test of its name. Longer ones are transcripts and the tests beside this one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::listen::Service;
use sim::play::check;

const HELLO: &str = "S1: 220 …\nC1: HELO x\nS1: 250 …\n";

/// A message of one body to alice, taken.
fn message(body: &str) -> String {
    format!(
        "C1: MAIL FROM:<fred@example.net>\nC1: RCPT TO:<alice@example.org>\nC1: DATA\n\
         S1: 250 …\nS1: 250 …\nS1: 354 …\n{body}C1: .\nS1: 250 2.0.0 Accepted, id …\n"
    )
}

#[test]
fn s_02_a_bare_lf_is_repaired_for_those_who_logged_in_only() {
    let data = "C1: RCPT TO:<alice@example.org>\nC1: DATA\n";
    let submitted = format!(
        "C1: MAIL FROM:<alice@example.org>\n{data}S1: 250 …\nS1: 250 …\nS1: 354 …\n\
         C1> Subject: x\\n\\nline\\nline\\r\\n.\\r\\nS1: 250 2.0.0 …\n"
    );
    let submitted = submitted.replace("\\r\\nS1", "\\r\\n\nS1");
    check(Service::Submission, "account alice; C1 on submission as alice", &submitted);
    let stranger = format!(
        "{HELLO}C1: MAIL FROM:<fred@example.net>\n{data}S1: 250 …\nS1: 250 …\nS1: 354 …\n\
         C1> Subject: x\\n\\nline\\r\\n.\\r\\n\nS1: 550 5.6.11 …\nS1: 421 …\n-- closed C1\n"
    );
    check(Service::Smtp, "account alice", &stranger);
    // What came by BDAT is mended, or refused, likewise.
    let chunk = "RCPT TO:<alice@example.org>\nC1> BDAT 12 LAST\\r\\nA: b\\n\\nline\\r\\n\n";
    let submitted = format!(
        "C1: MAIL FROM:<alice@example.org>\nC1: {chunk}S1: 250 …\nS1: 250 …\nS1: 250 2.0.0 …\n"
    );
    check(Service::Submission, "account alice; C1 on submission as alice", &submitted);
    let stranger = format!(
        "S1: 220 …\n{}C1: MAIL FROM:<fred@example.net>\nC1: {chunk}S1: 250 …\nS1: 250 …\n\
         S1: 550 5.6.11 …\nS1: 421 …\n-- closed C1\n",
        ehlo(&["STARTTLS"])
    );
    check(Service::Smtp, "account alice", &stranger);
}

#[test]
fn s_03_a_blank_before_the_path_is_fine() {
    let text = "C1: MAIL FROM: <fred@example.net>\nS1: 250 …\n\
                C1: RCPT TO: <alice@example.org>\nS1: 250 …\n";
    check(Service::Smtp, "account alice", &format!("{HELLO}{text}"));
}

#[test]
fn s_04_odd_names_in_hello_are_fine() {
    for name in ["my_pc", "host.example.", "[192.0.2.1]", "[IPv6:2001:db8::1]", "localhost", "x"] {
        check(Service::Smtp, "account alice", &format!("S1: 220 …\nC1: HELO {name}\nS1: 250 …\n"));
    }
}

/// What EHLO offers, mailboxes keep and an alias passes on: UTF-8 in the envelope and header, eight
/// bits, a size; and nothing else is offered in HELO.
#[test]
fn s_09_what_is_offered_holds_to_the_mailbox_and_beyond() {
    let text = "-- dns example.net 192.0.2.10\n-- remote R1 192.0.2.10:25\n\
        S1: 220 …\nC1: EHLO x\nS1: 250-mail.example.org\nS1~ 250-SIZE 50000000\n\
        S1~ 250-PIPELINING\nS1~ 250-8BITMIME\nS1~ 250-BINARYMIME\nS1~ 250-SMTPUTF8\n\
        S1~ 250-CHUNKING\nS1~ 250-ENHANCEDSTATUSCODES\nS1~ 250-DSN\n\
        S1~ 250-MT-PRIORITY\nS1~ 250-DELIVERBY\n\
        S1~ 250-LIMITS RCPTMAX=1000\nS1~ 250-STARTTLS\nS1: 250 HELP\n\
        C1: MAIL FROM:<jörg@example.com> SMTPUTF8 BODY=8BITMIME SIZE=100\n\
        C1: RCPT TO:<team@example.org>\nC1: DATA\nS1: 250 …\nS1: 250 …\nS1: 354 …\n\
        C1: From: Jörg <jörg@example.com>\nC1: Subject: Grüße\nC1:\nC1: größer\nC1: .\nS1: 250 …\n\
        R1: 220 x\nP1: EHLO mail.example.org\nR1: 250-new.example.net\nR1: 250-8BITMIME\n\
        R1: 250 SMTPUTF8\n\
        P1: MAIL FROM:<SRS0=…=example.com=jörg@example.org> BODY=8BITMIME SMTPUTF8\nR1: 250 ok\n\
        P1: RCPT TO:<bob@example.net>\nR1: 250 ok\nP1: DATA\nR1: 354 go\nP1: Received: …\n\
        P1: \t…\nP1: \t…\nP1: \t…\nP1: From: Jörg <jörg@example.com>\nP1: Subject: Grüße\nP1:\n\
        P1: größer\nP1: .\nR1: 250 ok\n\
        S2: * OK …\nC2: a LOGIN alice secret\nS2: a OK …\nC2: b ENABLE UTF8=ACCEPT\n\
        S2: * ENABLED UTF8=ACCEPT\nS2: b OK …\nC2: c STATUS INBOX (MESSAGES)\nS2: * STATUS INBOX (MESSAGES 1)\nS2: c OK …\n";
    let given = "account alice; alias team to alice bob@example.net; C2 on imap";
    check(Service::Smtp, given, text);
}

#[test]
fn s_10_an_emoji_in_the_subject_needs_no_smtputf8_further_on() {
    let text = "-- dns example.net 192.0.2.10\n-- remote R1 192.0.2.10:25\n\
        C1: MAIL FROM:<alice@example.org> SMTPUTF8 BODY=8BITMIME\nC1: RCPT TO:<bob@example.net>\n\
        C1: DATA\nS1: 250 …\nS1: 250 …\nS1: 354 …\nC1: Subject: 🚲\nC1:\nC1: .\nS1: 250 …\n\
        R1: 220 x\nP1: EHLO mail.example.org\nR1: 250 old.example.net\n\
        P1: MAIL FROM:<alice@example.org>\nR1: 250 ok\nP1: RCPT TO:<bob@example.net>\nR1: 250 ok\n\
        P1: DATA\n";
    check(Service::Submission, "account alice; C1 on submission as alice", text);
}

#[test]
fn s_11_bdat_without_mail_and_a_size_of_nothing() {
    check(Service::Smtp, "account alice", &format!("{HELLO}C1: BDAT 0 LAST\nS1: 503 5.5.1 …\n"));
    let free = "S1: 220 …\nC1: EHLO x\nS1: 250-…\nS1: 250-SIZE 0\nS1: 250-PIPELINING\n\
                S1: 250-8BITMIME\nS1: 250-BINARYMIME\nS1: 250-SMTPUTF8\nS1: 250-CHUNKING\n\
                S1: 250-ENHANCEDSTATUSCODES\nS1: 250-DSN\nS1: 250-MT-PRIORITY\nS1: 250-DELIVERBY\n\
                S1: 250-LIMITS RCPTMAX=1000\nS1: 250-STARTTLS\nS1: 250 HELP\n";
    let body = "C1: Subject: {{x*900}}\nC1:\nC1: {{y*900}}\n";
    let text = format!("{free}{}", message(body));
    check(Service::Smtp, "account alice; message_octets_max = 0", &text);
    // What is announced counts at MAIL, what comes counts at its end.
    let (ehlo, given) =
        ("S1: 220 …\nC1: HELO x\nS1: 250 …\n", "account alice; message_octets_max = 100");
    let announced = "C1: MAIL FROM:<a@b.c> SIZE=101\nS1: 552 5.3.4 …\n\
        C1: MAIL FROM:<a@b.c> SIZE=100\nC1: RCPT TO:<alice@example.org>\nC1: DATA\nS1: 250 …\n\
        S1: 250 …\nS1: 354 …\nC1: Subject: {{x*100}}\nC1: .\nS1: 552 5.3.4 …\n";
    check(Service::Smtp, given, &format!("{ehlo}{announced}"));
}

#[test]
fn s_12_the_reply_to_a_message_names_it() {
    check(Service::Smtp, "account alice", &format!("{HELLO}{}", message("C1: Subject: x\nC1:\n")));
}

#[test]
fn s_13_unknown_recipients_are_refused_at_rcpt() {
    let text = "C1: MAIL FROM:<>\nC1: RCPT TO:<nobody@example.org>\n\
                C1: RCPT TO:<anybody@example.com>\nS1: 250 …\nS1: 550 5.1.1 …\nS1: 250 …\n";
    let given = "account alice; domain example.com; catch-all example.com to alice";
    check(Service::Smtp, given, &format!("{HELLO}{text}"));
}

#[test]
fn s_20_probes_are_answered() {
    check(Service::Smtp, "account alice", "S1: 220 …\nC1: QUIT\nS1: 221 …\n-- closed C1\n");
    check(Service::Smtp, "account alice", "S1: 220 …\n-- cut C1\n");
}

#[test]
fn s_32_port_25_takes_no_login_and_says_where() {
    let text = "C1: AUTH PLAIN {{base64 \\0alice\\0secret}}\nS1: 502 5.5.1 …465…587…\n";
    check(Service::Smtp, "account alice", &format!("{HELLO}{text}"));
    // It is not offered there, under TLS neither, and on 587 not before it.
    let tls = "C1: STARTTLS\nS1: 220 …\n-- tls C1\n";
    let (clear, secure) = (ehlo(&["STARTTLS"]), ehlo(&["REQUIRETLS"]));
    check(Service::Smtp, "account alice", &format!("S1: 220 …\n{clear}{tls}{secure}"));
    let offered = ehlo(&["STARTTLS", "BURL", "FUTURERELEASE …"]);
    let text = format!("S1: 220 …\n{offered}C1: AUTH PLAIN\nS1: 538 5.7.11 …\n");
    check(Service::Submission, "account alice; plaintext_auth = false", &text);
}

/// EHLO with what is always there, and these; AUTH is not.
fn ehlo(more: &[&str]) -> String {
    let names = ["SIZE …", "PIPELINING", "8BITMIME", "BINARYMIME", "SMTPUTF8", "CHUNKING", "DSN"];
    let names = names.iter().chain(&["ENHANCEDSTATUSCODES", "MT-PRIORITY", "DELIVERBY"]);
    let names = names.chain(&["LIMITS …"]).chain(more);
    let lines: String = names.map(|name| format!("S1~ 250-{name}\n")).collect();
    format!("C1: EHLO x\nS1: 250-mail.example.org\n{lines}S1: 250 HELP\n")
}

#[test]
fn s_33_eight_bits_need_no_announcement() {
    let body = message("C1: Subject: Grüße\nC1:\nC1: größer\n");
    check(Service::Smtp, "account alice", &format!("{HELLO}{body}"));
}

#[test]
fn s_34_a_refused_sender_is_named_at_mail() {
    let text = "C1: MAIL FROM:<bob@example.org>\n\
                S1: 553 5.7.1 alice@example.org may not send as <bob@example.org>\n\
                C1: MAIL FROM:<alice+x@example.org>\nS1: 250 …\nC1: RSET\nS1: 250 …\n\
                C1: MAIL FROM:<team@example.org>\nS1: 250 …\nC1: RSET\nS1: 250 …\n\
                C1: MAIL FROM:<anything@example.com>\nS1: 250 …\n";
    let given = "account alice; account bob; alias team to alice bob; domain example.com; \
                 catch-all example.com to alice; C1 on submission as alice";
    check(Service::Submission, given, text);
}

/// Recipients that are nobody's here.
const NOT_OURS: [&str; 73] = [
    "<bob@example.net>",
    "<@example.org:bob@example.net>",
    "<@a,@example.org:bob@example.net>",
    "<bob%example.net@example.org>",
    "<\"bob@example.net\"@example.org>",
    "<example.net!bob@example.org>",
    "<bob@[127.0.0.1]>",
    "<bob@[192.0.2.1]>",
    "<bob@[IPv6:::1]>",
    "<bob@example.org.>",
    "<bob@example.net.>",
    "<\"\"@example.org>",
    "<bob@EXAMPLE.NET>",
    "<alice@example.org@example.net>",
    "<alice@sub.example.org>",
    "<alice@example.org%example.net>",
    "<alice@notexample.org>",
    "bob@example.net",
    "<alice@exаmple.org>",
    "<bob@example.net> ORCPT=rfc822;alice@example.org",
    "<alice@>",
    "<@example.org>",
    "<\"alice\\\"@example.net>",
    "<alice@.example.org>",
    "<alice@[203.0.113.2]>",
    "<bob%example.net@[203.0.113.1]>",
    "<example.net!bob@[203.0.113.1]>",
    "<\"bob@example.net\"@[203.0.113.1]>",
    "<alice@localhost>",
    "<alice@mail.example.org>",
    "<bob%example.net@[127.0.0.1]>",
    "<bob%example.net@localhost>",
    "<bob%example.net>",
    "<bob%example.net%example.org@example.org>",
    "<\"bob%example.net\"@example.org>",
    "<\"bob\"@example.net>",
    "<\"bob@example.net\">",
    "<\"<bob@example.net>\"@example.org>",
    "<<bob@example.net>@example.org>",
    "<example.org!example.net!bob>",
    "<@example.net:alice@example.org@example.net>",
    "<@localhost:bob@example.net>",
    "<@[127.0.0.1]:bob@example.net>",
    "<:bob@example.net>",
    "<bob@example.net,alice@example.org>",
    "<bob@example.net alice@example.org>",
    "<bob@example.net>,<alice@example.org>",
    "<bob@example.net><alice@example.org>",
    "<bob @example.net>",
    "<bob@example.net\t>",
    "<+bob@example.org>",
    "<+alice@example.org>",
    "<|/bin/sh@example.org>",
    "</dev/null@example.org>",
    "<alice@example.org.example.net>",
    "<alice@example.org..>",
    "<alice@-example.org>",
    "<alice@[example.org]>",
    "<alice@[IPv6:::ffff:127.0.0.1]>",
    "<alice@[127.0.0.1>",
    "<alice@xn--exmple-org.net>",
    "<alice@example。net>",
    "<alice@example.net#example.org>",
    "<alice@example.net?example.org>",
    "<alice@example.net:25>",
    "<alice@127.0.0.1>",
    "<alice@2130706433>",
    "<SRS0=HHH=TT=example.net=bob@example.org>",
    "<prvs=0123abc=bob@example.org>",
    "<bob=example.net@example.org>",
    "<(comment)bob@example.net>",
    "<bob@(example.org)example.net>",
    "\"bob\" <bob@example.net>",
];

/// No form of address lets a stranger relay.
#[test]
fn sm_7_strangers_relay_nowhere() {
    // From next door it is no other, nor after a login that failed: users.md S-19.
    for (from, path) in ["192.0.2.1", "127.0.0.1"].iter().flat_map(|f| NOT_OURS.map(|p| (*f, p))) {
        let text = format!("{HELLO}C1: MAIL FROM:<a@b.c> SMTPUTF8\nC1: RCPT TO:{path}\n");
        let text = format!("{text}S1: 250 …\nS1: 5…\n");
        check(Service::Smtp, &format!("account alice; C1 on smtp from {from}"), &text);
    }
    let failed = format!(
        "{HELLO}C1: AUTH PLAIN {{{{base64 \\0alice\\0wrong}}}}\nS1: 535 …\n\
         C1: MAIL FROM:<alice@example.org>\nS1: 530 5.7.0 …\nC1: RCPT TO:<bob@example.net>\nS1: 5…\n"
    );
    check(Service::Submission, "account alice", &failed);
    let off = failed.replace("wrong", "secret");
    check(Service::Submission, "account alice; disabled alice", &off);
    for path in ["<alice@example.org>", "<ALICE@example.org>", "<\"alice\"@example.org>"] {
        let text =
            format!("{HELLO}C1: MAIL FROM:<a@b.c>\nC1: RCPT TO:{path}\nS1: 250 …\nS1: 250 …\n");
        check(Service::Smtp, "account alice", &text);
    }
}

#[test]
fn p_02_capa_lists_what_there_is() {
    let text = "S1: +OK …\nC1: CAPA\nS1: +OK…\nS1~ TOP\nS1~ UIDL\nS1~ PIPELINING\n\
        S1~ RESP-CODES\nS1~ AUTH-RESP-CODE\nS1~ USER\n\
        S1~ SASL SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN\n\
        S1~ STLS\nS1~ UTF8 USER\nS1~ LANG\nS1~ EXPIRE NEVER\nS1~ IMPLEMENTATION Postrider\nS1: .\n";
    check(Service::Pop3, "account alice", text);
}

#[test]
fn p_03_only_quit_deletes() {
    let login = |n| format!("S{n}: +OK …\nC{n}: USER alice\nC{n}: PASS secret\nS{n}: +OK…\n");
    let text = format!(
        "{}S1: +OK 2 …\nC1: DELE 1\nS1: +OK…\n-- cut C1\n{}S2: +OK 2 …\nC2: DELE 1\nC2: QUIT\n\
         S2: +OK…\nS2: +OK…\n-- closed C2\n{}S3: +OK 1 …\n",
        login(1),
        login(2),
        login(3)
    );
    check(Service::Pop3, "account alice; INBOX of alice has 2 messages", &text);
}

#[test]
fn p_05_sizes_are_octets_of_retr() {
    // 178 octets of a numbered message, dots or not.
    let size = sim::house::numbered_message(1).len();
    let text = format!(
        "C1: STAT\nS1: +OK 1 {size}\nC1: LIST 1\nS1: +OK 1 {size}\nC1: TOP 1 0\nS1: +OK…\n\
         S1: From: …\nS1: To: …\nS1: Subject: …\nS1: Date: …\nS1: Message-ID: …\nS1:\nS1: .\n"
    );
    check(Service::Pop3, "account alice; INBOX of alice has 1 message; C1 on pop3 as alice", &text);
    // Dots that begin lines are doubled, and not counted twice; TOP counts lines of the body.
    let body = "C1: A: b\nC1:\nC1: ..\nC1: ...x\nC1: ..\n";
    let lines = "S2: A: b\nS2:\nS2: ..\n";
    let text = format!(
        "{HELLO}{}S2: +OK …\nC2: USER alice\nC2: PASS secret\nC2: LIST 1\nC2: RETR 1\n\
         S2: +OK…\nS2: +OK…\nS2: +OK 1 $size\nS2: +OK $size octets\nS2: Return-Path: …\n\
         S2: Received: …\nS2: \t…\nS2: \t…\nS2: \t…\n{lines}S2: ...x\nS2: ..\nS2: .\n\
         C2: TOP 1 1\nS2: +OK…\nS2: Return-Path: …\nS2: Received: …\nS2: \t…\nS2: \t…\nS2: \t…\n\
         {lines}S2: .\n",
        message(body)
    );
    check(Service::Smtp, "account alice; C2 on pop3", &text);
}

#[test]
fn s_01_only_crlf_dot_crlf_ends_a_message() {
    for end in ["\\n.\\n", "\\r\\n.\\n", "\\n.\\r\\n", "\\r.\\r", "\\r"] {
        let text = format!(
            "{HELLO}C1: MAIL FROM:<fred@example.net>\nC1: RCPT TO:<alice@example.org>\nC1: DATA\n\
             S1: 250 …\nS1: 250 …\nS1: 354 …\nC1> Subject: x\\r\\n\\r\\nx{end}\n\
             C1: MAIL FROM:<smuggled@example.net>\nC1: RCPT TO:<alice@example.org>\nC1: .\n\
             S1: 550 5.6.11 …\nS1: 421 …\n-- closed C1\n\
             S2: * OK …\nC2: a LOGIN alice secret\nS2: a OK …\nC2: b STATUS INBOX (MESSAGES)\nS2: * STATUS INBOX (MESSAGES 0)\nS2: b OK …\n"
        );
        check(Service::Smtp, "account alice; C2 on imap", &text);
    }
}

#[test]
fn s_17_odd_headers_are_no_reason_to_panic() {
    for body in [
        "C1: From: a@b.c\nC1: From: d@e.f\nC1:\n",
        "C1: Subject: no From, no Date\nC1:\n",
        "C1: From: {{x*100000}}\nC1:\nC1: {{y*100000}}\n",
        "C1: no field at all\n",
        "C1: : \nC1: From\nC1:  \nC1:\n",
    ] {
        // They can be read, too.
        let read = "C2: b NOOP\nS2: * 1 EXISTS\nS2: * 1 RECENT\nS2: b OK …\n\
            C2: c FETCH 1 BODYSTRUCTURE\nS2: * 1 FETCH (…\nS2: c OK …\n\
            C2: d SORT (FROM DATE) UTF-8 ALL\nS2: * SORT 1\nS2: d OK …\n";
        let text = format!("{HELLO}{}{read}", message(body));
        let given = "account alice; C2 on imap as alice in INBOX";
        check(Service::Smtp, given, &text);
    }
    let nul = "C1: MAIL FROM:<a@b.c>\nC1: RCPT TO:<alice@example.org>\nC1: DATA\nS1: 250 …\nS1: 250 …\n\
        S1: 354 …\nC1> From: a\\0@b.c\\r\\n\\r\\n.\\r\\n\nS1: 550 5.6.11 …\nS1: 421 …\n-- closed C1\n";
    check(Service::Smtp, "account alice", &format!("{HELLO}{nul}"));
}

#[test]
fn s_19_a_private_address_has_no_rights() {
    for near in ["127.0.0.1", "172.17.0.1", "10.0.0.1"] {
        let given = format!("account alice; C1 on smtp from {near}");
        let text = format!(
            "{HELLO}C1: MAIL FROM:<alice@example.org>\nC1: RCPT TO:<bob@example.net>\n\
             S1: 250 …\nS1: 550 5.7.1 …\n"
        );
        check(Service::Smtp, &given, &text);
    }
}

#[test]
fn s_22_trace_lines_go_in_front_and_nothing_else_is_touched() {
    let body = "C1: DKIM-Signature: v=1;\nC1:  b=x\nC1: SUBJECT :  odd \nC1: bcc: kept@x.test\nC1:\n\
                C1:  two  blanks \n";
    let text = format!(
        "{HELLO}{}S2: +OK …\nC2: USER alice\nC2: PASS secret\nC2: RETR 1\nS2: +OK…\nS2: +OK…\nS2: +OK…\n\
         S2: Return-Path: <fred@example.net>\nS2: Received: …\nS2: \t…\nS2: \t…\nS2: \t…\n\
         S2: DKIM-Signature: v=1;\nS2:  b=x\nS2: SUBJECT :  odd \nS2: bcc: kept@x.test\nS2:\n\
         S2:  two  blanks \nS2: .\n",
        message(body)
    );
    check(Service::Smtp, "account alice; C2 on pop3", &text);
}

#[test]
fn s_30_login_asks_with_the_words_that_clients_know() {
    let more = ["AUTH …PLAIN LOGIN", "REQUIRETLS", "BURL", "FUTURERELEASE …"];
    let offered = format!("S1: 220 …\n{}", ehlo(&more));
    check(Service::Submissions, "account alice", &offered);
    let (user, password) = ("{{base64 alice}}", "{{base64 secret}}");
    let ends = format!("C1: {password}\nS1: 235 …\n");
    for begins in [
        format!("C1: AUTH LOGIN\nS1: 334 VXNlcm5hbWU6\nC1: {user}\nS1: 334 UGFzc3dvcmQ6\n"),
        format!("C1: AUTH LOGIN {user}\nS1: 334 UGFzc3dvcmQ6\n"),
        format!("C1: auth login  {user}\nS1: 334 UGFzc3dvcmQ6\n"),
    ] {
        let text = format!("{HELLO}{begins}{ends}");
        check(Service::Submissions, "account alice", &text);
    }
}

#[test]
fn s_31_two_blanks_before_the_response_are_fine() {
    let text = format!("{HELLO}C1: AUTH PLAIN  {{{{base64 \\0alice\\0secret}}}}\nS1: 235 …\n");
    check(Service::Submissions, "account alice", &text);
}

#[test]
fn s_35_what_is_missing_is_added_and_the_client_is_not_named() {
    let text = "C1: MAIL FROM:<alice@example.org>\nC1: RCPT TO:<alice@example.org>\nC1: DATA\n\
        S1: 250 …\nS1: 250 …\nS1: 354 …\nC1: Bcc: carol@example.net\nC1: Subject: x\nC1:\nC1: .\n\
        S1: 250 2.0.0 Accepted, id $id\nS2: +OK …\nC2: USER alice\nC2: PASS secret\nC2: RETR 1\n\
        S2: +OK…\nS2: +OK…\nS2: +OK…\nS2: Return-Path: …\n\
        S2: Received: from client.example (logged in)\nS2: \tby …\nS2: \tfor …\nS2: \t…\n\
        S2: Date: …\nS2: Message-ID: <$id@mail.example.org>\nS2: From: <alice@example.org>\n\
        S2: Subject: x\nS2:\nS2: .\n";
    check(Service::Submission, "account alice; C1 on submission as alice; C2 on pop3", text);
}

#[test]
fn s_36_the_limit_is_of_recipients_and_says_when_to_go_on() {
    let given = "account alice; recipients_per_hour = 2; C1 on submission as alice";
    let text = "C1: MAIL FROM:<alice@example.org>\nC1: RCPT TO:<a@example.net>\n\
        C1: RCPT TO:<b@example.net>\nC1: RCPT TO:<c@example.net>\nS1: 250 …\nS1: 250 …\nS1: 250 …\n\
        S1: 450 4.7.1 You sent to too many recipients; go on in 60 minutes\n";
    check(Service::Submission, given, text);
}

#[test]
fn sm_8_nobody_writes_in_another_name() {
    for header in
        ["From: ceo@bank.example", "Sender: bob@example.org", "Resent-From: bob@example.org"]
    {
        let text = format!(
            "C1: MAIL FROM:<alice@example.org>\nC1: RCPT TO:<bob@example.net>\nC1: DATA\n\
             S1: 250 …\nS1: 250 …\nS1: 354 …\nC1: {header}\nC1:\nC1: .\nS1: 553 5.7.1 …\n"
        );
        let given = "account alice; account bob; C1 on submission as alice";
        check(Service::Submission, given, &text);
    }
}

#[test]
fn p_01_unique_ids_stay_while_others_come_and_go() {
    let login = |n| format!("S{n}: +OK …\nC{n}: USER alice\nC{n}: PASS secret\nS{n}: +OK…\n");
    let text = format!(
        "{}S1: +OK 2 …\nC1: UIDL 2\nS1: +OK 2 $two\nC1: DELE 1\nC1: QUIT\nS1: +OK…\nS1: +OK…\n\
         -- closed C1\n-- deliver alice\n{}S2: +OK 2 …\nC2: UIDL\nS2: +OK…\nS2: 1 $two\n\
         S2: 2 $three\nS2: .\n",
        login(1),
        login(2)
    );
    check(Service::Pop3, "account alice; INBOX of alice has 2 messages", &text);
}

#[test]
fn p_04_p_06_two_sessions_each_keep_their_own_numbers() {
    let login = |n, has| {
        format!("S{n}: +OK …\nC{n}: USER alice\nC{n}: PASS secret\nS{n}: +OK…\nS{n}: +OK {has} …\n")
    };
    let text = format!(
        "{}-- deliver alice\n{}C1: STAT\nS1: +OK 1 …\nC1: RETR 2\nS1: -ERR …\nC1: TOP 1 0\nS1: +OK…\n\
         S1: From: …\nS1: To: …\nS1: Subject: …\nS1: Date: …\nS1: Message-ID: …\nS1:\nS1: .\n\
         C1: RETR 1\nS1: +OK…\nS1: From: …\nS1: To: …\nS1: Subject: …\nS1: Date: …\n\
         S1: Message-ID: …\nS1:\nS1: This is message 1.\nS1: .\n\
         S3: * OK …\nC3: a LOGIN alice secret\nS3: a OK …\nC3: b STATUS INBOX (UNSEEN)\n\
         S3: * STATUS INBOX (UNSEEN 2)\nS3: b OK …\nC2: STAT\nS2: +OK 2 …\n\
         C2: DELE 1\nC2: QUIT\nS2: +OK…\nS2: +OK…\n-- closed C2\nC1: LIST 1\nS1: +OK 1 …\n\
         C1: STAT\nS1: +OK 1 …\n",
        login(1, 1),
        login(2, 2)
    );
    check(Service::Pop3, "account alice; INBOX of alice has 1 message; C3 on imap", &text);
}
