//! Syncs for each message, counted by strace, which slows the server: no times are taken here.

use crate::figure::Figure;
use crate::smtp::{self, Work};
use crate::target::Target;
use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The rows of local delivery again, with strace attached to the server.
pub fn flushes(target: &Target) -> io::Result<Vec<Figure>> {
    if target.pids.is_empty() || Command::new("strace").arg("-V").output().is_err() {
        return Ok(Vec::new());
    }
    smtp::works(1).iter().map(|work| one(target, work)).collect()
}

fn one(target: &Target, work: &Work) -> io::Result<Figure> {
    let file = std::env::temp_dir().join(format!("bench-strace-{}", std::process::id()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,msync", "-o"]);
    strace.arg(&file);
    for pid in crate::usage::tree(&target.pids) {
        strace.args(["-p", &pid.to_string()]);
    }
    let mut tracer = strace.stderr(Stdio::null()).spawn()?;
    // strace says nothing when it has attached.
    std::thread::sleep(Duration::from_secs(1));
    let done = smtp::deliver_one(target, work);
    Command::new("kill").args(["-INT", &tracer.id().to_string()]).status()?;
    tracer.wait()?;
    let traced = std::fs::read_to_string(&file)?;
    let _ = std::fs::remove_file(&file);
    done?;
    let calls = traced.lines().filter(|line| line.contains("sync") && line.contains('('));
    let messages = (work.connections * work.messages) as f64;
    let name = format!("syncs a message: {}", work.name);
    Ok(Figure::new(name, calls.count() as f64 / messages, ""))
}
