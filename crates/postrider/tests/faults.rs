//! A disk that fails below the real binary: system calls that strace makes fail, and a small file
//! system that fills up. Nothing acknowledged may be lost, whatever happens.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "measures how often the real server tries")]

mod world;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use world::{BINARY, Server, Talk, submit, wait};

const USER: &str = "admin@here.test";

/// strace, attached to a server, making system calls fail.
struct Faults {
    strace: Child,
    pid: u32,
}

impl Faults {
    /// Makes `calls` fail with `error` from now on. `None` where strace cannot be used.
    fn inject(server: &Server, calls: &str, error: &str) -> Option<Faults> {
        let pid = server.child.as_ref().unwrap().id();
        let strace = Command::new("strace")
            .args(["-f", "-qq", "-e", &format!("trace={calls}"), "-o"])
            .arg(server.root.join("strace"))
            .args(["-e", &format!("inject={calls}:error={error}"), "-p", &pid.to_string()])
            .stderr(Stdio::null())
            .spawn();
        let Ok(strace) = strace else {
            eprintln!("SKIPPED: strace is not installed");
            return None;
        };
        let mut faults = Faults { strace, pid };
        let attached = wait(10, || faults.traced().iter().all(|tracer| *tracer != 0));
        let lives = matches!(faults.strace.try_wait(), Ok(None));
        if !(attached && lives) {
            eprintln!("SKIPPED: strace may not attach here");
            return None;
        }
        Some(faults)
    }

    /// Who traces each thread of the server.
    fn traced(&self) -> Vec<u32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten();
        tasks
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
            .filter_map(|text| {
                text.lines().find_map(|line| line.strip_prefix("TracerPid:")?.trim().parse().ok())
            })
            .collect()
    }

    /// The disk is well again.
    fn end(mut self) {
        let pid = self.strace.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status().unwrap();
        self.strace.wait().unwrap();
        assert!(wait(10, || self.traced().iter().all(|tracer| *tracer == 0)));
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// The reply to a message: what came instead of 250 counts, too.
fn send(server: &Server, subject: &str) -> Result<String, String> {
    submit(server, USER, USER, subject).map_err(|error| error.to_string())
}

fn imap(server: &Server) -> Talk {
    let mut imap = server.talk(143).unwrap();
    imap.line().unwrap();
    imap.tagged(&format!("a LOGIN {USER} secret")).unwrap();
    imap
}

fn append(server: &Server, subject: &str) -> String {
    let message = format!("Subject: {subject}\r\n\r\nappended\r\n");
    let command = format!("b APPEND INBOX {{{}+}}\r\n{message}", message.len());
    imap(server).tagged(&command).unwrap()
}

/// Everything acknowledged is there once, everything else at most once.
fn compare(server: &Server, acknowledged: &[String]) {
    let there = server.subjects(USER);
    for subject in acknowledged {
        let times = there.iter().filter(|s| *s == subject).count();
        assert_eq!(times, 1, "{subject} was acknowledged and is there {times} times");
    }
    let mut once = there.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), there.len(), "a message is there twice: {there:?}");
}

fn log(server: &Server) -> String {
    fs::read_to_string(server.root.join("log")).unwrap_or_default()
}

fn status(server: &Server) -> (Option<i32>, String) {
    let output =
        Command::new(BINARY).arg("--root").arg(&server.root).arg("status").output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// After a failed sync nobody knows what is on the disk: the store stops, and says so everywhere.
fn nothing_is_acknowledged_after_a_failed_sync(error: &str) {
    let mut server = Server::new(&format!("sync-{error}"), "here.test", &[]);
    let mut acknowledged = Vec::new();
    for n in 0..3 {
        send(&server, &format!("before {n}")).unwrap();
        acknowledged.push(format!("before {n}"));
    }
    let Some(faults) = Faults::inject(&server, "fsync,fdatasync", error) else { return };
    for n in 0..3 {
        let reply = send(&server, &format!("during {n}")).unwrap_err();
        assert!(reply.starts_with("451 4.3."), "{reply}");
    }
    faults.end();
    // The disk is well again, but what it lost is not known.
    for n in 0..3 {
        let reply = send(&server, &format!("after {n}")).unwrap_err();
        assert!(reply.starts_with("451 4.3."), "{reply}");
        assert!(append(&server, &format!("appended {n}")).starts_with("b NO"));
    }
    let mut reading = imap(&server);
    assert!(reading.tagged("c SELECT INBOX").unwrap().starts_with("c OK"));
    assert!(reading.tagged("d STORE 1 +FLAGS (\\Seen)").unwrap().starts_with("d NO"));
    assert!(reading.tagged("e FETCH 1:* (BODY.PEEK[])").unwrap().starts_with("e OK"));
    assert!(log(&server).contains("the store stopped writing"), "{}", log(&server));
    let (code, told) = status(&server);
    assert_eq!(code, Some(74), "EX_IOERR: {told}");
    assert!(told.contains("stopped writing"), "{told}");
    let mut child = server.child.take().unwrap();
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(74), "{}", log(&server));
    server.start();
    compare(&server, &acknowledged);
    send(&server, "again").unwrap();
}

#[test]
fn nothing_is_acknowledged_after_a_sync_failed_with_eio() {
    nothing_is_acknowledged_after_a_failed_sync("EIO");
}

#[test]
fn nothing_is_acknowledged_after_a_sync_failed_with_enospc() {
    nothing_is_acknowledged_after_a_failed_sync("ENOSPC");
}

#[test]
fn writes_that_find_no_space_are_told_and_the_server_recovers_by_itself() {
    let server = Server::new("enospc", "here.test", &[]);
    send(&server, "before").unwrap();
    let mut acknowledged = vec!["before".to_owned()];
    // Sockets are written by sendto and writev: only what files use may fail.
    let calls = "pwrite64,pwritev,fallocate";
    let Some(faults) = Faults::inject(&server, calls, "ENOSPC") else { return };
    for n in 0..3 {
        let reply = send(&server, &format!("during {n}")).unwrap_err();
        assert!(reply.starts_with("452 4.3.1"), "{reply}");
        let reply = append(&server, &format!("appended {n}"));
        assert!(
            reply.starts_with("b NO [OVERQUOTA]") || reply.starts_with("b NO [LIMIT]"),
            "{reply}"
        );
    }
    faults.end();
    for n in 0..3 {
        send(&server, &format!("after {n}")).unwrap();
        acknowledged.push(format!("after {n}"));
    }
    compare(&server, &acknowledged);
    assert_eq!(status(&server).0, Some(0));
}

#[test]
fn failing_writes_lose_nothing_that_was_acknowledged() {
    for calls in ["pwrite64", "openat", "ftruncate,pwrite64", "unlink,openat"] {
        let name = calls.replace(',', "-");
        let mut server = Server::new(&format!("write-{name}"), "here.test", &[]);
        let mut acknowledged = Vec::new();
        let attempt = |server: &Server, acknowledged: &mut Vec<String>, when: &str| {
            for n in 0..4 {
                let subject = format!("{when} {n}");
                if send(server, &subject).is_ok() {
                    acknowledged.push(subject);
                }
                let subject = format!("{when} appended {n}");
                if append(server, &subject).starts_with("b OK") {
                    acknowledged.push(subject);
                }
            }
        };
        attempt(&server, &mut acknowledged, "before");
        assert_eq!(acknowledged.len(), 8);
        // The last answer may be ahead of its row, which would fail with the faults and be made
        // anew only at the next start. Whoever looks waits for it.
        compare(&server, &acknowledged);
        let Some(faults) = Faults::inject(&server, calls, "EIO") else { return };
        attempt(&server, &mut acknowledged, "during");
        faults.end();
        attempt(&server, &mut acknowledged, "after");
        compare(&server, &acknowledged);
        server.kill();
        server.start();
        compare(&server, &acknowledged);
        send(&server, "again").unwrap();
    }
}

#[test]
fn too_many_open_files_delay_clients_but_turn_nobody_away() {
    let server = Server::new("emfile", "here.test", &[]);
    let Some(faults) = Faults::inject(&server, "accept4", "EMFILE") else { return };
    let mut waiting: Vec<Talk> = (0..3).map(|_| server.talk(25).unwrap()).collect();
    let mut command = UnixStream::connect(server.root.join("control.sock")).unwrap();
    command.write_all(b"{\"do\":\"status\"}\n").unwrap();
    let told = || {
        let log = log(&server);
        ["cannot accept service=\"smtp\" times=1", "cannot accept on the control socket times=1"]
            .iter()
            .all(|line| log.contains(line))
    };
    assert!(wait(10, told), "{}", log(&server));
    // Neither spins, each tries five times a second; nor is that told each time.
    let tries = || {
        let calls = fs::read_to_string(server.root.join("strace")).unwrap_or_default();
        calls.matches("accept4(").count()
    };
    let (start, before) = (Instant::now(), tries());
    assert!(wait(20, || tries() >= before + 20));
    assert!(start.elapsed() > Duration::from_millis(1500), "{:?}", start.elapsed());
    assert_eq!(log(&server).matches("cannot accept").count(), 2, "{}", log(&server));
    faults.end();
    for talk in &mut waiting {
        assert!(talk.reply().unwrap().starts_with("220 "));
    }
    let mut answer = String::new();
    command.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("Ok"), "{answer}");
    let Some(faults) = Faults::inject(&server, "openat", "EMFILE") else { return };
    // Large enough to need a file on its way in.
    let large = format!("large\r\nX-Large: 1\r\n\r\n{}", "line\r\n".repeat(400_000));
    let reply = submit(&server, USER, USER, &large);
    let refused = reply.as_ref().is_err_and(|e| e.to_string().starts_with('4'));
    faults.end();
    assert!(refused, "{reply:?}");
    submit(&server, USER, USER, &large).unwrap();
    assert_eq!(server.subjects(USER), ["large"]);
}

#[test]
fn a_ban_that_cannot_be_written_down_holds_and_is_written_later() {
    let mut server = Server::new("rename", "here.test", &[]);
    let renames = "rename,renameat,renameat2";
    let Some(faults) = Faults::inject(&server, renames, "EIO") else { return };
    server.run(&["ban", "add", "192.0.2.9"], "");
    assert!(wait(10, || log(&server).contains("cannot write bans down")), "{}", log(&server));
    assert!(server.run(&["ban", "list"], "").contains("192.0.2.9"));
    send(&server, "meanwhile").unwrap();
    faults.end();
    let file = server.root.join("data/bans.json");
    let written = || fs::read_to_string(&file).is_ok_and(|text| text.contains("192.0.2.9"));
    assert!(wait(10, written), "{}", log(&server));
    server.kill();
    server.start();
    assert!(server.run(&["ban", "list"], "").contains("192.0.2.9"));
    compare(&server, &["meanwhile".to_owned()]);
}

/// A file system of a few megabytes in memory; unmounted when it goes.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(name: &str, megabytes: u32) -> Option<SmallDisk> {
        let path = std::env::temp_dir().join(format!("postrider-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let size = format!("size={megabytes}m,mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: only root can mount a small disk");
            return None;
        }
        Some(SmallDisk(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_full_disk_is_told_deleting_works_and_mail_flows_again() {
    let Some(disk) = SmallDisk::mount("full", 24) else { return };
    let folder = disk.path().join("data");
    let set = [format!("store.folder={folder:?}"), "store.min_free_octets=4000000".to_owned()];
    let mut server = Server::new("full", "here.test", &set);
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![1; 4 << 20]).unwrap();
    let filler = "x".repeat(70) + "\r\n";
    let large = |n: usize| format!("filler {n}\r\n\r\n{}", filler.repeat(4000));
    let (mut acknowledged, mut told) = (Vec::new(), String::new());
    for n in 0..100 {
        match submit(&server, USER, USER, &large(n)) {
            Ok(_) => acknowledged.push(format!("filler {n}")),
            Err(reply) => {
                told = reply.to_string();
                break;
            }
        }
    }
    assert!(told.starts_with("452 4.3.1"), "{told}");
    assert!(acknowledged.len() > 5, "{}", acknowledged.len());
    let message = large(1000);
    let command = format!("b APPEND INBOX {{{}+}}\r\n{message}", message.len());
    let reply = imap(&server).tagged(&command).unwrap();
    assert!(reply.starts_with("b NO [OVERQUOTA]") || reply.starts_with("b NO [LIMIT]"), "{reply}");
    assert_eq!(status(&server).0, Some(0), "it runs, and says that the disk is full");
    compare(&server, &acknowledged);
    // Reading, flags and deleting go on.
    let mut imap = imap(&server);
    for command in
        ["c SELECT INBOX", "d STORE 1 +FLAGS (\\Deleted)", "e EXPUNGE", "f FETCH 1:* (FLAGS)"]
    {
        let reply = imap.tagged(command).unwrap();
        assert!(reply[1..].starts_with(" OK"), "{command}: {reply}");
    }
    acknowledged.remove(0);
    fs::remove_file(&ballast).unwrap();
    let flows = wait(20, || submit(&server, USER, USER, "room again").is_ok());
    assert!(flows, "{}", log(&server));
    acknowledged.push("room again".to_owned());
    compare(&server, &acknowledged);
    server.kill();
    server.start();
    compare(&server, &acknowledged);
    server.kill();
}
