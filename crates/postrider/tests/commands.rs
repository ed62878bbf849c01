//! What commands say to scripts: errors as JSON, and what `check` warns of.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "talks to the real server")]

mod world;

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use sys::clock::{Clock as _, SystemClock};
use world::Server;

fn postrider(root: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_postrider"))
        .arg("--root")
        .arg(root)
        .args(args)
        .output()
        .unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("postrider-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The error that a command told a script.
fn error(output: &Output) -> (i64, String) {
    let told: Value = serde_json::from_slice(&output.stderr).unwrap();
    let code = told["code"].as_i64().unwrap();
    assert_eq!(output.status.code().map(i64::from), Some(code));
    (code, told["error"].as_str().unwrap().to_owned())
}

#[test]
fn an_error_is_json_where_json_is_wanted() {
    let root = folder("no-such-server");
    for args in [["status"].as_slice(), &["account", "list"], &["serve"], &["fsck"]] {
        let json = [args, &["--json"]].concat();
        let (code, text) = error(&postrider(&root, &json));
        assert!(code == 78 && text.contains("setup you@example.org"), "{args:?}: {text}");
        let text = stderr(&postrider(&root, args));
        assert!(text.starts_with("postrider: "), "{args:?}: {text}");
    }
    for args in [["nonsense"].as_slice(), &["account", "add"], &["queue", "list", "--limit", "x"]] {
        let json = [args, &["--json"]].concat();
        let (code, text) = error(&postrider(&root, &json));
        assert!(code == 64 && text.contains("--help"), "{args:?}: {text}");
        assert!(stderr(&postrider(&root, args)).starts_with("error: "));
    }
    let help = postrider(&root, &["--help", "--json"]);
    assert!(help.status.success() && help.stderr.is_empty());
}

#[test]
fn the_first_certificate_holds_for_ten_years_and_check_says_that_it_is_the_first() {
    let root = folder("first-certificate");
    let made = postrider(&root, &["setup", "admin@here.test"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let told = postrider(&root, &["check", "--json"]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let now = SystemClock::new().unix_seconds();
    let days = (told["certificate_expires"].as_i64().unwrap() - now) / 86_400;
    assert!((3648..=3650).contains(&days), "{days} days");
    let warnings = told["warnings"].to_string();
    assert!(warnings.contains("nobody has signed") && warnings.contains("tls/cert.pem"));
    let text = String::from_utf8(postrider(&root, &["check"]).stdout).unwrap();
    assert!(text.contains("nobody has signed"), "{text}");
    // Nobody but this machine sees it.
    let file = root.join("postrider.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, config.replace("\"0.0.0.0\", \"::\"", "\"127.0.0.1\"")).unwrap();
    let text = String::from_utf8(postrider(&root, &["check"]).stdout).unwrap();
    assert!(text.contains("in order") && !text.contains("nobody has signed"), "{text}");
    let _ = std::fs::remove_dir_all(&root);
}

#[test]
fn what_an_administrator_mistypes_is_named() {
    let root = folder("mistyped");
    let made = postrider(&root, &["setup", "admin@here.test", "--set", "auth.hash_memory_kib=64"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let list = root.join("accounts.csv");
    std::fs::write(&list, "ann@here.test,secret\nbob@here.test,\n").unwrap();
    let text = stderr(&postrider(&root, &["account", "import", list.to_str().unwrap()]));
    assert!(text.contains("line 2: a password"), "{text}");
    let text = stderr(&postrider(&root, &["queue", "list", "--domain", "a b"]));
    assert!(text.contains("'a b' is not a domain name"), "{text}");
    for (to, lost) in [("nobody@here.test", true), ("admin@here.test", false)] {
        let told = postrider(&root, &["domain", "catch-all", "here.test", to]);
        let text = String::from_utf8(told.stdout).unwrap();
        assert_eq!(text.contains("nobody has that"), lost, "{text}");
    }
    let hide = |names: &[&str]| {
        postrider(&root, &[&["account", "hide-capabilities", "admin@here.test"], names].concat())
    };
    for (name, meant) in [
        ("QRSYNC", "\nDid you mean 'QRESYNC'?"),
        ("imap4rev1", "IMAP4rev2"),
        ("xyzzy", "capability"),
    ] {
        let told = hide(&["CONDSTORE", name]);
        let text = stderr(&told);
        assert_eq!(told.status.code(), Some(65), "{name}");
        assert!(text.contains(&format!("'{name}' is no IMAP capability")), "{text}");
        assert!(text.trim_end().contains(meant), "{text}");
        assert_eq!(text.contains("Did you mean"), name != "xyzzy", "{text}");
    }
    for names in [&["qresync", "APPENDLIMIT", "thread=refs"][..], &[]] {
        assert!(hide(names).status.success());
    }
    let dear = format!("ann@here.test,$2b$15${}\n", "a".repeat(53));
    std::fs::write(&list, dear).unwrap();
    let text = stderr(&postrider(&root, &["account", "import", list.to_str().unwrap()]));
    assert!(text.contains("line 1: a hash whose check takes too long"), "{text}");
    let _ = std::fs::remove_dir_all(&root);
}

/// A hint can be typed as it is printed: with the folder that was named.
#[test]
fn hints_name_the_folder_that_was_given() {
    let root = folder("hints");
    let typed = format!("postrider --root {} ", root.display());
    let nothing = stderr(&postrider(&root, &["account", "list"]));
    assert!(nothing.contains(&format!("{typed}setup ")), "{nothing}");
    let made = postrider(&root, &["setup", "admin@here.test", "--set", "auth.hash_memory_kib=64"]);
    assert!(made.status.success(), "{}", stderr(&made));
    for (args, hint) in [
        (vec!["account", "add", "a@else.test"], "domain add else.test"),
        (vec!["domain", "dkim", "show", "else.test"], "domain add else.test"),
        (vec!["reports", "show", "x"], "reports list"),
        (vec!["mta-sts", "remove", "else.test"], "mta-sts list"),
        (vec!["status"], "serve"),
    ] {
        let told = postrider(&root, &args);
        assert!(!told.status.success());
        let text = stderr(&told);
        assert!(text.trim_end().ends_with(&format!("{typed}{hint}")), "{args:?}: {text}");
    }
    let told = String::from_utf8(postrider(&root, &["domain", "add", "new.test"]).stdout).unwrap();
    assert!(told.contains(&format!("{typed}domain dns new.test")), "{told}");
    let _ = std::fs::remove_dir_all(&root);
}

/// The server says over its socket how far a long command is, to who wants to hear it.
#[test]
fn a_long_import_tells_how_far_it_is() {
    let set = ["auth.hash_memory_kib=65536", "auth.hash_passes=8"].map(str::to_owned);
    let server = Server::new("far", "here.test", &set);
    let csv: String = (0..3).map(|n| format!("a{n}@here.test,secret\n")).collect();
    for (progress, domain) in [(true, "here.test"), (false, "none.test")] {
        let csv = csv.replace("here.test", domain);
        let asked = json!({ "do": "account-import", "csv": csv, "progress": progress });
        let mut socket = UnixStream::connect(server.root.join("control.sock")).unwrap();
        socket.write_all(format!("{asked}\n").as_bytes()).unwrap();
        let lines: Vec<Value> = BufReader::new(socket)
            .lines()
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect();
        let (outcome, far) = lines.split_last().unwrap();
        assert_eq!(outcome.get("Ok").is_some(), progress, "{outcome}");
        assert_eq!(far.is_empty(), !progress, "{far:?}");
        for far in far {
            let [done, all] = [0, 1].map(|n| far["progress"][n].as_u64().unwrap());
            assert!(done < 3 && all == 3, "{far}");
        }
    }
}
