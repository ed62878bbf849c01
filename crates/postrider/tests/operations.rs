//! What an administrator meets: ports that are taken, root given up, certificates renewed, accounts
//! imported, a log that tells a message's story, exit codes, help.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "takes ports away from the real server")]

mod world;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use world::{BINARY, Server, submit, wait};

fn serve(server: &Server) -> Output {
    Command::new(BINARY).args(["serve", "--root"]).arg(&server.root).output().unwrap()
}

fn log(server: &Server) -> String {
    fs::read_to_string(server.root.join("log")).unwrap_or_default()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_port_that_is_taken_is_named_with_its_owner() {
    let mut server = Server::new("port", "here.test", &[]);
    server.kill();
    let _taken = TcpListener::bind(("127.0.0.1", server.port(587))).unwrap();
    let output = serve(&server);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "EX_UNAVAILABLE: {text}");
    let us = format!("(pid {})", std::process::id());
    assert!(text.contains(&server.port(587).to_string()) && text.contains(&us), "{text}");
}

#[test]
fn what_would_keep_the_server_from_starting_is_told_by_check() {
    let mut server = Server::new("check", "here.test", &[]);
    let file = server.root.join("postrider.toml");
    let text = fs::read_to_string(&file).unwrap();
    let root = server.root.clone();
    let told = |args: &[&str]| {
        let output = Command::new(BINARY).args(args).arg("--root").arg(&root).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, fine) = told(&["check", "--json"]);
    assert_eq!(code, Some(0), "beside a server that runs: {fine}");
    let fine: serde_json::Value = serde_json::from_str(&fine).unwrap();
    assert!(fine["certificate_expires"].as_i64().is_some_and(|at| at > 1_800_000_000));
    server.kill();
    for (from, to, expected) in [
        ("dmarc = \"enforce\"", "dmarc = \"reject\"", "judge.dmarc: 'reject'"),
        ("key = \"tls/key.pem\"", "key = \"tls/cert.pem\"", "holds no private key in PEM form"),
        ("command = []", "command = [\"/no/program\"]", "no file '/no/program'"),
    ] {
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let (code, why) = told(&["check"]);
        assert!(code == Some(78) && why.contains(expected), "{why}");
    }
    fs::write(&file, text.replacen("folder = \"data\"", "folder = \"unmounted\"", 1)).unwrap();
    for command in ["check", "serve", "fsck"] {
        let (code, why) = told(&[command]);
        assert!(code == Some(66) && why.contains("Is its disk mounted?"), "{command}: {why}");
    }
    assert!(!root.join("unmounted").exists());
}

#[test]
fn a_second_server_on_one_folder_is_refused() {
    let server = Server::new("second", "here.test", &[]);
    let file = server.root.join("postrider.toml");
    let text = fs::read_to_string(&file).unwrap();
    // Other ports, the same data.
    let (old, new) = (server.port(0), server.port(1));
    let text = text.replace(&format!("port_base = {old}"), &format!("port_base = {new}"));
    fs::write(&file, text).unwrap();
    let output = serve(&server);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "EX_TEMPFAIL: {text}");
    let pid = server.child.as_ref().unwrap().id().to_string();
    assert!(text.contains("in use") && text.contains(&pid), "{text}");
}

#[test]
fn root_is_given_up_and_files_belong_to_the_user() {
    if !is_root() {
        eprintln!("SKIPPED: only root can give up root");
        return;
    }
    let mut server = Server::new("drop", "here.test", &["user=\"nobody\"".to_owned()]);
    let status = format!("/proc/{}/status", server.child.as_ref().unwrap().id());
    let status = fs::read_to_string(status).unwrap();
    let nobody = run("id", &["-u", "nobody"]);
    let ids: Vec<&str> = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(ids, [nobody.trim(); 4], "real, effective, saved and file system user");
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
    let group = run("id", &["-g", "nobody"]);
    assert_eq!(groups.trim(), group.trim(), "no other groups are left");
    assert!(submit(&server, "admin@here.test", "admin@here.test", "as nobody").is_ok());
    // A command that root gives while the server is down leaves nothing that it could not read.
    server.kill();
    server.run(&["account", "add", "late@here.test", "--password-stdin"], "secret\n");
    server.start();
    assert_eq!(server.subjects("admin@here.test"), ["as nobody"]);
    // Folders of somebody else: told, with the command that helps.
    server.kill();
    run("chown", &["root", server.root.join("data").to_str().unwrap()]);
    let output = serve(&server);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{text}");
    let fix = format!("chown -R nobody: {}", server.root.display());
    assert!(text.contains(&fix), "{text}");
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_process_keeps_secrets_out_of_core_files_and_other_hands() {
    let server = Server::new("private", "here.test", &[]);
    let pid = server.child.as_ref().unwrap().id();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    submit(&server, "admin@here.test", "admin@here.test", "private").unwrap();
    use std::os::unix::fs::PermissionsExt;
    let mut open = vec![server.root.join("data"), server.root.join("tls")];
    while let Some(path) = open.pop() {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    let confined = log(&server).contains("writing is confined to our folders");
    assert!(confined || log(&server).contains("no Landlock"), "{}", log(&server));
}

/// The serial number of the certificate that a port shows.
fn serial(server: &Server) -> String {
    let at = format!("127.0.0.1:{}", server.port(993));
    let shown = Command::new("openssl")
        .args(["s_client", "-connect", &at, "-servername", "localhost"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let from = text.find(begin).unwrap_or_else(|| panic!("no certificate: {text}"));
    text[from..text.find(end).unwrap()].to_owned()
}

#[test]
fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: openssl is not installed");
        return;
    }
    let server = Server::new("renew", "here.test", &[]);
    let first = serial(&server);
    let hangup = || {
        run("kill", &["-HUP", &server.child.as_ref().unwrap().id().to_string()]);
    };
    let (cert, key) = (server.root.join("tls/cert.pem"), server.root.join("tls/key.pem"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::write(&cert, made.cert.pem()).unwrap();
    hangup();
    assert!(wait(10, || log(&server).contains("a new certificate is in use")), "{}", log(&server));
    let second = serial(&server);
    assert_ne!(first, second);
    fs::write(&cert, "not a certificate").unwrap();
    hangup();
    assert!(wait(10, || log(&server).contains("certificate cannot be read")), "{}", log(&server));
    assert_eq!(serial(&server), second, "the last good one stays in use");
}

#[test]
fn accounts_are_imported_with_passwords_and_hashes() {
    let server = Server::new("import", "here.test", &[]);
    let file = server.root.join("accounts.csv");
    let list = "# address,password\nann@here.test,secret\n\nben@here.test, secret \n\
                dan@here.test,{plain}secret\n";
    fs::write(&file, list).unwrap();
    let told = server.run(&["account", "import", file.to_str().unwrap(), "--json"], "");
    assert!(told.contains("3 accounts"), "{told}");
    for user in ["ann@here.test", "ben@here.test", "dan@here.test"] {
        submit(&server, user, "admin@here.test", user).unwrap();
    }
    for bad in ["no address,secret", "eve@here.test,{NTLM}00", "eve@here.test,$9$salt$hash"] {
        fs::write(&file, format!("cid@here.test,secret\n{bad}\n")).unwrap();
        let output = Command::new(BINARY)
            .arg("--root")
            .arg(&server.root)
            .args(["account", "import"])
            .arg(&file)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "EX_DATAERR: {text}");
        assert!(text.contains("line 2"), "{text}");
    }
    assert!(!server.run(&["account", "list"], "").contains("cid@"), "all or nothing");
}

#[test]
fn the_log_tells_a_message_by_its_id() {
    let mut server = Server::new("story", "here.test", &["relay.retry_seconds=[1]".into()]);
    server.kill();
    let sink = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = sink.local_addr().unwrap().port();
    server.run(&["route", "add", "far.test", &format!("127.0.0.1:{port}")], "");
    server.log_format = "json";
    fs::remove_file(server.root.join("log")).unwrap();
    server.start();
    std::thread::spawn(move || world::sink(&sink));
    let reply = submit(&server, "admin@here.test", "someone@far.test", "a story").unwrap();
    let id = reply.rsplit(' ').next().unwrap().to_owned();
    let story = || -> Vec<serde_json::Value> {
        let text = log(&server);
        let about = text.lines().filter(|line| line.contains(&id));
        about.map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    // The relay may be quicker than the line that says that the message was accepted.
    let heard = |what: &str| story().iter().any(|event| event["message"] == what);
    assert!(wait(10, || heard("accepted") && heard("relay")), "{}", log(&server));
    let story = story();
    assert!(story.iter().all(|event| event["id"] == id.as_str()), "{story:?}");
    assert!(log(&server).lines().all(|line| line.starts_with('{')), "one object a line");
    assert!(!log(&server).contains("secret"), "the password is in the log");
}

#[test]
fn every_command_has_help_with_an_example_and_speaks_json() {
    let help = |args: &[&str]| run(BINARY, &[args, &["--help"]].concat());
    for command in ["account", "ban", "domain", "alias", "route", "queue"] {
        for line in help(&[command]).lines().skip_while(|line| *line != "Commands:").skip(1) {
            let Some(verb) = line.split_whitespace().next() else { break };
            if verb == "help" {
                continue;
            }
            let text = help(&[command, verb]);
            assert!(text.contains("Example"), "{command} {verb} has no example:\n{text}");
        }
    }
    let server = Server::new("json", "here.test", &[]);
    for args in [
        &["account", "add", "x@here.test", "--json"][..],
        &["account", "list", "--json"],
        &["domain", "list", "--json"],
        &["alias", "list", "--json"],
        &["route", "list", "--json"],
        &["queue", "list", "--json"],
        &["ban", "add", "192.0.2.1", "--json"],
        &["ban", "list", "--json"],
        &["ban", "remove", "192.0.2.1", "--json"],
        &["account", "app-password", "add", "x@here.test", "phone", "--json"],
        &["account", "app-password", "list", "x@here.test", "--json"],
        &["account", "release", "x@here.test", "--json"],
        &["status", "--json"],
    ] {
        let text = server.run(args, "");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{args:?}: {text}");
    }
}

#[test]
fn mistakes_have_the_exit_codes_of_sysexits() {
    let server = Server::new("exits", "here.test", &[]);
    let secret = server.root.join("secret");
    fs::write(&secret, "secret\n").unwrap();
    for (args, code, told) in [
        (&["frobnicate"][..], 64, "unrecognized"),
        (&["account", "add", "no-address"], 65, "no-address"),
        (&["account", "password", "nobody@here.test", "--password-stdin"], 67, "nobody@here.test"),
        (&["account", "add", "x@else.test", "--password-stdin"], 67, "domain add else.test"),
        (&["account", "add", "admin@here.test", "--password-stdin"], 73, "exists"),
        (&["queue", "show", "nonsense"], 65, "nonsense"),
        (&["account", "import", "/nowhere.csv"], 66, "/nowhere.csv"),
    ] {
        let output = Command::new(BINARY)
            .arg("--root")
            .arg(&server.root)
            .args(args)
            .stdin(fs::File::open(&secret).unwrap())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(told), "{args:?}: {text}");
    }
    let nowhere = Command::new(BINARY).args(["serve", "--root", "/nowhere"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("postrider --root /nowhere setup "));
}

#[test]
fn the_status_tells_who_runs_and_how_it_is() {
    let mut server = Server::new("status", "here.test", &[]);
    let text = server.run(&["status", "--json"], "");
    let status: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status["running"], true);
    assert_eq!(status["pid"], server.child.as_ref().unwrap().id());
    assert_eq!(status["store"], "fine");
    assert!(status["certificate_expires"].is_i64());
    server.kill();
    let output = Command::new(BINARY)
        .arg("--root")
        .arg(&server.root)
        .args(["status", "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(69), "EX_UNAVAILABLE when it is down");
}

#[test]
fn what_is_told_is_for_people_and_what_leads_to_nobody_is_marked() {
    let server = Server::new("told", "here.test", &[]);
    server.run(&["account", "add", "bob@here.test", "--password-stdin"], "secret\n");
    server.run(&["alias", "add", "team@here.test", "bob@here.test", "admin@here.test"], "");
    assert!(!server.run(&["alias", "list"], "").contains("nobody"));
    let gone = server.run(&["account", "remove", "bob@here.test"], "");
    assert!(gone.contains("still led to by: team@here.test"), "{gone}");
    let list = server.run(&["alias", "list"], "");
    assert!(list.contains("admin@here.test  (nobody has bob@here.test)"), "{list}");
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&server.run(args, "")).unwrap()
    };
    let marked = json(&["alias", "list", "--json"]);
    let team = marked.as_array().unwrap().iter().find(|row| row["address"] == "team@here.test");
    assert_eq!(team.unwrap()["lost"][0], "bob@here.test", "{marked}");
    // The other one has it, and who sent it hears of bob.
    let admin = "admin@here.test";
    let reply = submit(&server, admin, "team@here.test", "lunch").unwrap();
    let report = || server.subjects(admin).iter().any(|subject| subject.contains("came back"));
    assert!(wait(20, report), "{:?}", server.subjects(admin));
    let id = reply.trim().rsplit(' ').next().unwrap();
    let told = server.run(&["queue", "show", id], "");
    for part in [
        "Not queued any more.",
        "logged in as admin@here.test",
        "to <team@here.test>",
        "<bob@here.test>  failed: an address that this one leads to does not exist any more",
        "<admin@here.test> was told that it is failed",
    ] {
        assert!(told.contains(part), "{part}:\n{told}");
    }
    assert!(!told.contains(['{', '}']), "{told}");
    assert!(json(&["queue", "show", id, "--json"])["journey"].is_array());
}

#[test]
fn bans_outlive_the_server_whatever_ends_it() {
    let mut server = Server::new("bans", "here.test", &[]);
    server.run(&["ban", "add", "192.0.2.1", "--minutes", "600"], "");
    server.run(&["ban", "add", "2001:db8::5", "--minutes", "600"], "");
    let add = ["ban", "add", "127.0.0.1", "--root"];
    let spared = Command::new(BINARY).args(add).arg(&server.root).output().unwrap();
    assert_eq!(spared.status.code(), Some(65), "this machine is never banned");
    let kept = || std::fs::read_to_string(server.root.join("data/bans.json")).unwrap_or_default();
    assert!(
        wait(10, || kept().contains("192.0.2.1") && kept().contains("2001:db8::")),
        "{}",
        kept()
    );
    server.kill();
    server.start();
    let list = server.run(&["ban", "list"], "");
    assert!(list.contains("192.0.2.1  by hand") && list.contains("2001:db8::/64"), "{list}");
    assert!(list.contains("600 minutes left") || list.contains("599 minutes left"), "{list}");
    server.run(&["ban", "rm", "192.0.2.1"], "");
    assert!(wait(10, || !std::fs::read_to_string(server.root.join("data/bans.json"))
        .unwrap_or_default()
        .contains("192.0.2.1")));
    server.kill();
    std::fs::write(server.root.join("data/bans.json"), "{broken").unwrap();
    server.start();
    assert_eq!(server.run(&["ban", "list"], "").trim(), "none");
}

#[test]
fn reports_about_our_mail_and_what_junk_taught_are_told() {
    let mut server = Server::new("reports", "here.test", &[]);
    let mut smtp = server.talk(25).unwrap();
    smtp.reply().unwrap();
    let xml = "<feedback><report_metadata><org_name>Receiver</org_name><report_id>7</report_id>\
        <date_range><begin>1767139200</begin><end>1767225599</end></date_range></report_metadata>\
        <policy_published><domain>here.test</domain><p>none</p></policy_published><record><row>\
        <source_ip>192.0.2.1</source_ip><count>3</count><policy_evaluated><disposition>none\
        </disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row><identifiers>\
        <header_from>here.test</header_from></identifiers></record></feedback>";
    // `setup` has made the address.
    for command in ["EHLO x", "MAIL FROM:<r@x.test>", "RCPT TO:<dmarc-reports+a@here.test>"] {
        assert!(smtp.smtp(command).unwrap().starts_with("250"), "{command}");
    }
    smtp.smtp("DATA").unwrap();
    let text =
        format!("From: r@x.test\r\nSubject: Report\r\nContent-Type: text/xml\r\n\r\n{xml}\r\n.");
    assert!(smtp.smtp(&text).unwrap().starts_with("250"));
    // A lesson that waits when power fails is learned after the next start.
    let mut imap = server.talk(143).unwrap();
    imap.line().unwrap();
    assert!(imap.tagged("a LOGIN admin@here.test secret").unwrap().starts_with("a OK"));
    assert!(imap.tagged("b SELECT INBOX").unwrap().starts_with("b OK"));
    assert!(imap.tagged("c UID MOVE 1 Junk").unwrap().starts_with("c OK"));
    server.kill();
    let told = |args: &[&str], server: &Server| -> serde_json::Value {
        serde_json::from_str(&server.run(args, "")).unwrap()
    };
    let show = ["account", "spam", "show", "admin@here.test", "--json"];
    assert_eq!(told(&show, &server)["waiting"], 1);
    server.start();
    assert!(wait(30, || told(&show, &server)["waiting"] == 0));
    assert_eq!(told(&show, &server)["spam"], 1);
    assert_eq!(told(&show, &server)["judges"], false);
    server.run(&["account", "spam", "forget", "admin@here.test"], "");
    assert_eq!(told(&show, &server)["spam"], 0);
    let list = told(&["reports", "list", "--json"], &server);
    assert_eq!(list["reports"][0]["failed"], 3);
    assert_eq!(list["sources"][0]["source"], "192.0.2.1");
    let name = list["reports"][0]["name"].as_str().unwrap();
    let text = server.run(&["reports", "show", name], "");
    assert!(text.contains("192.0.2.1  3 messages from here.test: DKIM fail, SPF fail"), "{text}");
}

#[test]
fn prometheus_reads_what_happens() {
    let on = "127.0.0.1:0";
    let taken = TcpListener::bind(on).unwrap().local_addr().unwrap();
    let set = [format!("listen.metrics=\"{taken}\""), "relay.retry_seconds=[3600]".to_owned()];
    let server = Server::new("metrics", "here.test", &set);
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(taken).unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let value = |metric: &str| {
        let answer = ask("GET /metrics");
        let line = answer.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {metric} in {answer}")).parse::<i64>().unwrap()
    };
    assert_eq!(value("postrider_connections_total{service=\"submission\"}"), 0);
    server.run(&["route", "add", "far.test", "127.0.0.1:1"], "");
    submit(&server, "admin@here.test", "admin@here.test", "one").unwrap();
    submit(&server, "admin@here.test", "bob@far.test", "outgoing").unwrap();
    assert_eq!(value("postrider_connections_total{service=\"submission\"}"), 2);
    assert_eq!(value("postrider_logins_total{service=\"submission\"}"), 2);
    assert_eq!(value("postrider_messages_total{outcome=\"accepted\"}"), 2);
    assert_eq!(value("postrider_queue_messages"), 1);
    assert!(value("postrider_queue_oldest_timestamp_seconds") > 1_700_000_000);
    assert!(wait(20, || value("postrider_relayed_recipients_total{outcome=\"deferred\"}") == 1));
    assert!(wait(5, || value("postrider_connections{service=\"submission\"}") == 0));
    let mut smtp = server.talk(25).unwrap();
    smtp.reply().unwrap();
    for (command, code) in [
        ("EHLO test", "250"),
        ("MAIL FROM:<a@b.example>", "250"),
        ("RCPT TO:<nobody@here.test>", "550"),
    ] {
        assert!(smtp.smtp(command).unwrap().starts_with(code), "{command}");
    }
    assert_eq!(value("postrider_recipients_refused_total{outcome=\"refused\"}"), 1);
    assert_eq!(value("postrider_connections{service=\"smtp\"}"), 1);
    let mut pop3 = server.talk(110).unwrap();
    pop3.line().unwrap();
    pop3.ask("USER admin@here.test").unwrap();
    assert!(pop3.ask("PASS wrong").unwrap().starts_with("-ERR"));
    assert_eq!(value("postrider_logins_refused_total{service=\"pop3\"}"), 1);
    assert_eq!((value("postrider_store_writable"), value("postrider_store_full")), (1, 0));
    assert!(value("postrider_store_bytes{of=\"messages\"}") > 100);
    assert!(value("process_resident_memory_bytes") > 1_000_000);
    assert!(ask("GET /").starts_with("HTTP/1.1 404 "));
    assert!(ask("POST /metrics").starts_with("HTTP/1.1 405 "));
    // Every sample is of a metric that was described just before, as the format wants it.
    let answer = ask("GET /metrics");
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    let mut described = "";
    for line in page.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(metric) => described = metric.split(' ').next().unwrap(),
            None if line.starts_with("# HELP ") => {}
            None => assert_eq!(line.split(['{', ' ']).next(), Some(described), "{line}"),
        }
    }
}
