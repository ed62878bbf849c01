//! What commands say to scripts: errors as JSON, and what `check` warns of.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use sys::clock::{Clock as _, SystemClock};

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
        assert!(code == 78 && text.contains("postrider setup"), "{args:?}: {text}");
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
    let _ = std::fs::remove_dir_all(&root);
}
