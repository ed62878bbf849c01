//! A server that is copied and brought back: it goes on where it was, and POP3 clients know their
//! messages (users.md P-01).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::fs;
use std::process::Command;
use world::{BINARY, Server, submit};

const ADMIN: &str = "admin@here.test";

/// P-01: clients of POP3 know messages by the ids that Dovecot gave them, and go on to.
#[test]
fn p_01_unique_ids_come_from_dovecot() {
    let mut server = Server::new("uidl", "here.test", &[]);
    let maildir = server.root.join("Maildir");
    fs::create_dir_all(maildir.join("cur")).unwrap();
    let mut list = "3 V1275660208 N25022 G00\n".to_owned();
    let mut put = |n: u32, extra: &str, folder: &str| {
        let reply = submit(&server, "admin@here.test", "admin@here.test", &n.to_string()).unwrap();
        let id = reply.rsplit(' ').next().unwrap();
        let text = format!("Subject: {n}\nMessage-ID: <{id}@mail.here.test>\n\nbody\n");
        fs::write(maildir.join(folder).join(format!("{n}.host,S=1:2,S")), text).unwrap();
        list.push_str(&format!("{n}{extra} :{n}.host,S=1\n"));
    };
    put(25_006, "", "cur");
    put(25_017, " Pkept-of-old W9", "cur");
    fs::write(maildir.join("dovecot-uidlist"), list).unwrap();
    submit(&server, "admin@here.test", "admin@here.test", "new").unwrap();
    let from = maildir.to_str().unwrap();
    let told = server.run(&["account", "unique-ids", "admin@here.test", from], "");
    assert!(told.starts_with("2 messages"), "{told}");
    for _ in 0..2 {
        let mut pop = server.talk(110).unwrap();
        pop.line().unwrap();
        for line in ["USER admin@here.test", "PASS secret"] {
            assert!(pop.ask(line).unwrap().starts_with("+OK"));
        }
        pop.ask("UIDL").unwrap();
        assert_eq!(pop.line().unwrap(), "1 000061ae4c0907b0");
        assert_eq!(pop.line().unwrap(), "2 kept-of-old");
        assert_eq!(pop.line().unwrap().len(), "3 ".len() + 16, "ours");
        drop(pop);
        server.kill();
        server.start();
    }
    let file = server.root.join("ids");
    fs::write(&file, "pop3.uidl\thdr.message-id\nnew-1\t<nobody@x>\nbad id\t<nobody@x>\n").unwrap();
    let output = Command::new(BINARY)
        .arg("--root")
        .arg(&server.root)
        .args(["account", "unique-ids", "admin@here.test"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(65), "EX_DATAERR");
}

/// S-13: nobody has asked for an address of ours since the start, and it is known.
#[test]
fn s_13_addresses_are_known_right_after_a_start() {
    let mut server = Server::new("s13", "here.test", &[]);
    server.run(&["domain", "add", "other.test"], "");
    server.run(&["alias", "add", "info@other.test", ADMIN], "");
    for _ in 0..2 {
        server.kill();
        server.start();
        for (first, code) in
            [("info@other.test", "250"), ("info+x@other.test", "250"), ("eve@other.test", "550")]
        {
            let mut smtp = server.talk(25).unwrap();
            smtp.reply().unwrap();
            for command in ["EHLO x", "MAIL FROM:<f@far.test>"] {
                assert!(smtp.smtp(command).unwrap().starts_with("250"));
            }
            let said = smtp.smtp(&format!("RCPT TO:<{first}>")).unwrap();
            assert!(said.starts_with(code), "{first}: {said}");
        }
    }
}

/// What UIDL lists.
fn unique_ids(server: &Server) -> Vec<String> {
    let mut pop = server.talk(110).unwrap();
    pop.line().unwrap();
    for line in ["USER admin@here.test", "PASS secret", "UIDL"] {
        assert!(pop.ask(line).unwrap().starts_with("+OK"));
    }
    let lines = std::iter::from_fn(|| pop.line().ok().filter(|line| line != "."));
    let id = |line: String| line.split_once(' ').unwrap().1.to_owned();
    lines.map(id).collect()
}

/// P-01: a message has one id for ever, whatever happens to others and to the server, and no other
/// message ever has it.
#[test]
fn p_01_unique_ids_outlive_the_server_and_its_store() {
    let mut server = Server::new("p01", "here.test", &[]);
    for subject in ["one", "two", "three"] {
        submit(&server, ADMIN, ADMIN, subject).unwrap();
    }
    let first = unique_ids(&server);
    assert_eq!(first.len(), 3);
    for id in &first {
        // RFC 1939 §7.
        assert!((1..=70).contains(&id.len()) && id.bytes().all(|b| (0x21..=0x7e).contains(&b)));
    }
    // IMAP at the same time: flags change nothing, what is expunged leaves the others alone.
    let mut imap = server.talk(143).unwrap();
    imap.line().unwrap();
    for command in [
        "a LOGIN admin@here.test secret",
        "b SELECT INBOX",
        "c STORE 1:* +FLAGS (\\Seen)",
        "d STORE 2 +FLAGS (\\Deleted)",
        "e EXPUNGE",
    ] {
        assert!(imap.tagged(command).unwrap()[2..].starts_with("OK"), "{command}");
    }
    let kept = [first[0].clone(), first[2].clone()];
    assert_eq!(unique_ids(&server), kept);
    server.kill();
    server.start();
    assert_eq!(unique_ids(&server), kept, "after a restart");
    let copy = server.root.with_extension("copy");
    server.run(&["backup", copy.to_str().unwrap()], "");
    // What comes after the backup is lost with the server.
    submit(&server, ADMIN, ADMIN, "lost").unwrap();
    let lost = unique_ids(&server)[2].clone();
    server.kill();
    // A damaged store is repaired, and its index made anew.
    server.run(&["fsck", "--repair"], "");
    server.start();
    assert_eq!(unique_ids(&server)[..2], kept, "after a repair");
    server.kill();
    let old = std::mem::replace(&mut server.root, copy.with_extension("restored"));
    server.run(&["restore", copy.to_str().unwrap()], "");
    server.start();
    assert_eq!(unique_ids(&server), kept, "after a restore");
    submit(&server, ADMIN, ADMIN, "new").unwrap();
    let now = unique_ids(&server);
    assert_eq!((now.len(), &now[..2]), (3, &kept[..]));
    assert!(!first.contains(&now[2]) && now[2] != lost, "an id is given out again");
    for folder in [old, copy] {
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_backup_is_restored_in_place_of_the_server() {
    let route = ["relay.retry_seconds=[3600]".to_owned()];
    let mut server = Server::new("backup", "here.test", &route);
    server.run(&["route", "add", "far.test", "127.0.0.1:1"], "");
    let admin = "admin@here.test";
    submit(&server, admin, admin, "one").unwrap();
    submit(&server, admin, "bob@far.test", "outgoing").unwrap();
    let copy = server.root.with_extension("copy");
    let copied = copy.to_str().unwrap().to_owned();
    let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    // A look waits for what the server is about to note of the last message.
    assert_eq!(server.subjects(admin), ["one"]);
    let first = json(server.run(&["backup", &copied, "--json"], ""));
    assert_eq!((&first["messages"], &first["damaged"]), (&2.into(), &serde_json::json!([])));
    submit(&server, admin, admin, "two").unwrap();
    server.kill();
    // As the dead server left it: what was answered is in the segments only, perhaps.
    let second = json(server.run(&["backup", &copied, "--json"], ""));
    assert_eq!(second["messages"], 3);
    let sound = server.run(&["fsck", "--folder", &format!("{copied}/store")], "");
    assert!(sound.contains("All is well"), "{sound}");

    let failing = |args: &[&str]| {
        let output = Command::new(BINARY).args(args).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let old = server.root.clone();
    let (code, why) = failing(&["restore", &copied, "--root", old.to_str().unwrap()]);
    assert!(code == Some(73) && why.contains("exists already"), "{why}");
    let fresh = server.root.with_extension("restored");
    let root = fresh.to_str().unwrap().to_owned();
    let (code, why) = failing(&["restore", old.to_str().unwrap(), "--root", &root]);
    assert!(code == Some(66) && why.contains("there is no backup"), "{why}");
    assert!(!fresh.exists());
    server.root = fresh;
    let told = server.run(&["restore", &copied, "--json"], "");
    assert_eq!((&json(told.clone())["held"], &json(told)["messages"]), (&1.into(), &3.into()));
    server.start();
    assert_eq!(server.subjects(admin), ["one", "two"]);
    let queue = json(server.run(&["queue", "list", "--json"], ""));
    assert_eq!(queue[0]["recipients"][0]["held"], true, "{queue}");
    let told = server.run(&["queue", "retry", queue[0]["id"].as_str().unwrap()], "");
    assert!(told.contains("stays held"), "{told}");
    let list = server.run(&["queue", "list"], "");
    assert!(list.contains(", tried until ") && list.contains("held, "), "{list}");
    submit(&server, admin, admin, "three").unwrap();
    assert_eq!(server.subjects(admin), ["one", "two", "three"]);
    for folder in [old, copy] {
        fs::remove_dir_all(folder).unwrap();
    }
}
