//! A program that proves passwords, run by a helper in this process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use sys::program::helper::help;
use sys::program::{PROGRAM_WAIT, ProgramClient, QUESTION_OCTETS_MAX};

/// Reads what is on file descriptor 3, and does what the password says.
const SCRIPT: &str = "tr '\\0' '\\n' <&3 >\"$1\"; cat >>\"$1\"
    word=$(sed -n 2p \"$1\")
    case $word in killed) kill -9 $$;; late) sleep 1000;; esac
    exit $word";

struct Helped {
    client: ProgramClient,
    seen: std::path::PathBuf,
}

fn helped(name: &str, command: Option<&str>) -> Helped {
    patient(name, command, PROGRAM_WAIT)
}

fn patient(name: &str, command: Option<&str>, wait: Duration) -> Helped {
    let seen =
        std::env::temp_dir().join(format!("postrider-program-{name}-{}", std::process::id()));
    let path = seen.display().to_string();
    let script = ["/bin/sh", "-c", SCRIPT, "sh", &path].map(str::to_owned).to_vec();
    let command = command.map_or(script, |other| vec![other.to_owned()]);
    let (ours, theirs) = UnixStream::pair().unwrap();
    tokio::spawn(help(theirs, command, wait));
    Helped { client: ProgramClient::new(ours).unwrap(), seen }
}

impl Helped {
    async fn says(&self, password: &str) -> String {
        match self.client.proves("ann@x", password).await {
            Ok(right) => right.to_string(),
            Err(trouble) => trouble.to_string(),
        }
    }
}

impl Drop for Helped {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.seen);
    }
}

#[tokio::test]
async fn exit_codes_are_answers() {
    let helped = helped("codes", None);
    assert_eq!(helped.says("0").await, "true");
    // Name, password and time stamp, each with a NUL; nothing on fd 0.
    assert_eq!(std::fs::read_to_string(&helped.seen).unwrap(), "ann@x\n0\nY0\n");
    assert_eq!(helped.says("1").await, "false");
    for (word, why) in [
        ("111", "not now"),
        ("2", "ended with 2"),
        ("126", "cannot be run"),
        ("127", "cannot be run"),
        ("killed", "was killed"),
    ] {
        assert!(helped.says(word).await.contains(why), "{word}: {}", helped.says(word).await);
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_says_neither_yes_nor_no() {
    assert!(helped("none", Some("/nonexistent")).says("0").await.contains("cannot be run"));
}

#[tokio::test]
async fn what_the_interface_cannot_carry_is_not_asked() {
    let helped = helped("odd", None);
    for (name, password) in [("ann", ""), ("", "0"), ("ann\0x", "0"), ("ann", "0\0x")] {
        assert_eq!(helped.client.proves(name, password).await, Ok(false), "{name:?} {password:?}");
    }
    let room = QUESTION_OCTETS_MAX - "ann@x\0\0Y0\0".len();
    assert_eq!(helped.says(&"0".repeat(room + 1)).await, "false");
    assert!(!helped.seen.exists(), "nobody was asked");
    assert_eq!(helped.says(&"0".repeat(room)).await, "true");
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_ended() {
    let helped = patient("late", None, Duration::from_millis(300));
    assert!(helped.says("late").await.contains("took too long"));
}

#[tokio::test]
async fn many_at_once_and_some_that_go_away() {
    let helped = helped("many", Some("/bin/true"));
    let client = helped.client.clone();
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..100 {
        let client = client.clone();
        asking.spawn(async move {
            let asked = client.proves("ann", "word");
            if n % 3 == 0 {
                let _ = tokio::time::timeout(Duration::ZERO, asked).await;
                return Ok(true);
            }
            asked.await
        });
    }
    while let Some(done) = asking.join_next().await {
        assert_eq!(done.unwrap(), Ok(true));
    }
}

#[tokio::test]
async fn a_helper_that_is_gone_is_trouble() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let client = ProgramClient::new(ours).unwrap();
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.proves("ann", "word").await }
    });
    drop(theirs);
    assert!(asked.await.unwrap().is_err());
    assert!(client.proves("ann", "word").await.is_err());
}

#[tokio::test]
async fn a_helper_takes_no_long_question_and_ends_with_the_server() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let helping = tokio::spawn(help(theirs, vec!["/bin/true".to_owned()], PROGRAM_WAIT));
    ours.write_all(&[0, 0, 0, 1, 2, 1]).unwrap();
    assert!(helping.await.unwrap().is_err(), "513 octets");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let helping = tokio::spawn(help(theirs, vec!["/bin/true".to_owned()], PROGRAM_WAIT));
    drop(ours);
    helping.await.unwrap().unwrap();
}
