//! The helper: it starts the program for each question, and ends with whom it helps.

use super::{KILLED, LATE, NOT_STARTED, PROGRAMS_MAX, QUESTION_OCTETS_MAX};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as Socket;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

/// Puts what the program reads where it reads it, on file descriptor 3.
const ON_FD_3: &str = "exec \"$@\" 3<&0 </dev/null";

/// Answers questions until the other side is gone; then the programs that still run are ended. An
/// error: what came was no question.
pub async fn help(socket: Socket, command: Vec<String>, wait: Duration) -> io::Result<()> {
    // A service manager tells every process to end; sessions that do so may log in still.
    let _deaf = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    socket.set_nonblocking(true)?;
    let (mut reader, writer) = UnixStream::from_std(socket)?.into_split();
    let (writer, command) = (Arc::new(Mutex::new(writer)), Arc::new(command));
    let turns = Arc::new(Semaphore::new(PROGRAMS_MAX));
    let mut running = JoinSet::new();
    loop {
        let turn = turns.clone().acquire_owned().await.map_err(io::Error::other)?;
        while running.try_join_next().is_some() {}
        let mut head = [0; 6];
        if reader.read_exact(&mut head).await.is_err() {
            return Ok(());
        }
        let [id @ .., high, low] = head;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > QUESTION_OCTETS_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut question = vec![0; length];
        reader.read_exact(&mut question).await?;
        let (writer, command) = (writer.clone(), command.clone());
        running.spawn(async move {
            let ended = run(&command, &question, wait).await;
            drop(turn);
            answer(&writer, id, ended).await;
        });
    }
}

async fn answer(writer: &Mutex<OwnedWriteHalf>, id: [u8; 4], ended: u16) {
    let mut octets = [0; 6];
    let (front, back) = octets.split_at_mut(4);
    front.copy_from_slice(&id);
    back.copy_from_slice(&ended.to_be_bytes());
    // Whom we help may be gone; the loop above hears of it.
    let _ = writer.lock().await.write_all(&octets).await;
}

/// How the program ended.
async fn run(command: &[String], question: &[u8], wait: Duration) -> u16 {
    let Ok(mut child) = start(command) else { return NOT_STARTED };
    let ended = tokio::time::timeout(wait, async {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends before it has read everything has decided.
            let _ = stdin.write_all(question).await;
        }
        child.wait().await
    });
    match ended.await {
        Ok(Ok(status)) => status.code().and_then(|c| u16::try_from(c).ok()).unwrap_or(KILLED),
        Ok(Err(_)) => NOT_STARTED,
        Err(_) => {
            end(&mut child).await;
            LATE
        }
    }
}

/// It is the first of a process group of its own, and dies when nobody waits for it. Its output
/// goes nowhere: who writes a program that proves passwords has it use syslog.
fn start(command: &[String]) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", ON_FD_3, "sh"])
        .args(command)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Ends a program with all that it has started.
async fn end(child: &mut Child) {
    let group = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait().await;
}

/// Starts `program` with `arguments` as our helper, over its standard input. What a terminal's user
/// interrupts is us, and not the helper, which ends after us.
pub fn start_helper(program: &Path, arguments: &[String]) -> io::Result<Socket> {
    let (ours, theirs) = Socket::pair()?;
    std::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()?;
    Ok(ours)
}

/// The stream to whom we help: our standard input. The error says that it is none.
pub fn standard_input() -> io::Result<Socket> {
    let socket = Socket::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.peer_addr()?;
    Ok(socket)
}
