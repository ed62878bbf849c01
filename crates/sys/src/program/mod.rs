//! Questions to a program that proves passwords, as PAM's do: the checkpassword interface
//! (<https://cr.yp.to/checkpwd/interface.html>).
//!
//! It is started by a helper, a process that we make before we give up root and confine ourselves.
//! The two speak over a stream: a question is an id (4 octets), a length (2) and what the program
//! reads; an answer is that id and how the program ended (2). Numbers are big-endian.

pub mod helper;

use std::collections::HashMap;
use std::fmt;
use std::os::unix::net::UnixStream as Socket;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Octets that the program reads: the interface has no more.
pub const QUESTION_OCTETS_MAX: usize = 512;
/// Programs that run at the same time. PAM makes each wrong password wait for seconds.
pub const PROGRAMS_MAX: usize = 16;
/// How long a program may take.
pub const PROGRAM_WAIT: Duration = Duration::from_secs(15);
/// How long a password may wait for its turn.
const TURN_WAIT: Duration = Duration::from_secs(15);
/// How long we wait for the helper, which ends a program that takes too long.
const HELPER_WAIT: Duration = PROGRAM_WAIT.saturating_add(Duration::from_secs(5));

/// How a program ended, beside its exit codes (0 to 255): by a signal.
const KILLED: u16 = 256;
/// It took too long.
const LATE: u16 = 257;
/// It could not be started.
const NOT_STARTED: u16 = 258;

/// The program cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramTrouble(pub String);

impl fmt::Display for ProgramTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[program]: {}", self.0)
    }
}

fn trouble<T>(why: impl Into<String>) -> Result<T, ProgramTrouble> {
    Err(ProgramTrouble(why.into()))
}

/// A question under way: its turn, and who waits for the answer.
type Asked = HashMap<u32, (OwnedSemaphorePermit, oneshot::Sender<u16>)>;

/// A client of the helper. Cloning is cheap.
#[derive(Clone)]
pub struct ProgramClient {
    inner: Arc<Inner>,
}

struct Inner {
    turns: Arc<Semaphore>,
    next: AtomicU32,
    asked: Arc<Mutex<Asked>>,
    frames: mpsc::Sender<Vec<u8>>,
}

fn lock(asked: &Mutex<Asked>) -> MutexGuard<'_, Asked> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProgramClient {
    /// Over the stream to a helper. Needs a runtime.
    pub fn new(socket: Socket) -> std::io::Result<ProgramClient> {
        socket.set_nonblocking(true)?;
        let (reader, mut writer) = UnixStream::from_std(socket)?.into_split();
        let (frames, mut written) = mpsc::channel::<Vec<u8>>(PROGRAMS_MAX);
        tokio::spawn(async move {
            while let Some(frame) = written.recv().await {
                if writer.write_all(&frame).await.is_err() {
                    break;
                }
            }
        });
        let asked = Arc::new(Mutex::new(Asked::new()));
        tokio::spawn(hear(reader, asked.clone()));
        let turns = Arc::new(Semaphore::new(PROGRAMS_MAX));
        let inner = Inner { turns, next: AtomicU32::new(0), asked, frames };
        Ok(ProgramClient { inner: Arc::new(inner) })
    }

    /// The password is right. What no program can be asked, such as a NUL, is not.
    pub async fn proves(&self, name: &str, password: &str) -> Result<bool, ProgramTrouble> {
        let question = format!("{name}\0{password}\0Y0\0");
        let nul = name.contains('\0') || password.contains('\0');
        if nul || name.is_empty() || password.is_empty() || question.len() > QUESTION_OCTETS_MAX {
            return Ok(false);
        }
        match self.ended(question.as_bytes()).await? {
            0 => Ok(true),
            1 => Ok(false),
            111 => trouble("the program says: not now (111)"),
            126 | 127 | NOT_STARTED => trouble("the program cannot be run"),
            KILLED => trouble("the program was killed"),
            LATE => trouble("the program took too long"),
            code => trouble(format!("the program ended with {code}")),
        }
    }

    /// How the program ended.
    async fn ended(&self, question: &[u8]) -> Result<u16, ProgramTrouble> {
        let Inner { turns, next, asked, frames } = &*self.inner;
        let Ok(Ok(turn)) = timeout(TURN_WAIT, turns.clone().acquire_owned()).await else {
            return trouble("too many logins at once");
        };
        let id = next.fetch_add(1, Ordering::Relaxed);
        let (give, got) = oneshot::channel();
        // Its turn is over when the helper has answered, whether or not somebody waits still.
        lock(asked).insert(id, (turn, give));
        let mut frame = id.to_be_bytes().to_vec();
        frame.extend(u16::try_from(question.len()).unwrap_or(0).to_be_bytes());
        frame.extend(question);
        if frames.try_send(frame).is_err() {
            lock(asked).remove(&id);
            return trouble("the helper is gone; restart the server");
        }
        match timeout(HELPER_WAIT, got).await {
            Ok(Ok(ended)) => Ok(ended),
            Ok(Err(_)) => trouble("the helper is gone; restart the server"),
            Err(_) => trouble("the helper does not answer; restart the server"),
        }
    }
}

/// Hands answers to those who wait for them, until the helper is gone.
async fn hear(mut reader: OwnedReadHalf, asked: Arc<Mutex<Asked>>) {
    let mut answer = [0; 6];
    while reader.read_exact(&mut answer).await.is_ok() {
        let [a, b, c, d, ended @ ..] = answer;
        let one = lock(&asked).remove(&u32::from_be_bytes([a, b, c, d]));
        if let Some((_, waiting)) = one {
            let _ = waiting.send(u16::from_be_bytes(ended));
        }
    }
    // At the end of the server nobody is left to ask, and the helper leaves.
    if Arc::strong_count(&asked) > 1 {
        tracing::error!("the helper of [program] is gone: nobody logs in by it until a restart");
    }
    lock(&asked).clear();
}
