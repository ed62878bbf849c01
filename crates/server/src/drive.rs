//! The socket loop of every session: reads, writes, starts TLS, keeps time. It looks at no bytes.
//!
//! Three sources, always in this order: the change feed, the socket, the deadline. Invariant: output
//! is flushed before the loop waits for anything.

use crate::limits;
use protocol::machine::{Machine, Step};
use std::io;
use std::time::Duration;
use sys::net::BoxStream;
use sys::tls::{TlsFacts, TlsServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;

/// What a protocol's handlers do for its machine.
pub trait Handler<M: Machine>: Send {
    /// Finds the answer to a question. Long answers may be written to `out` as they come.
    fn answer(
        &mut self,
        question: M::Question,
        out: &mut Output<'_>,
    ) -> impl Future<Output = M::Answer> + Send;

    /// Keeps octets of a message that is being received. Errors are the handler's to remember.
    fn body(&mut self, octets: Vec<u8>) -> impl Future<Output = ()> + Send;

    /// Resolves when the machine should hear of something (new mail while idling). Must be safe
    /// to drop at any await. The answer is given to the machine as if it had asked.
    fn changed(&mut self) -> impl Future<Output = M::Answer> + Send {
        std::future::pending()
    }

    /// The connection is now under TLS.
    fn tls_started(&mut self, facts: TlsFacts);
}

/// A writer for long answers: buffers, and writes to the peer when there is enough.
pub struct Output<'a> {
    stream: &'a mut BoxStream,
    buffer: &'a mut Vec<u8>,
}

impl Output<'_> {
    /// The buffer; append to it, then call [`Output::relieve`] from time to time.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.buffer
    }

    /// Writes the buffer to the peer if it has grown beyond 64 KB. Errors are a lost connection.
    pub async fn relieve(&mut self) -> io::Result<()> {
        if self.buffer.len() >= limits::OUTPUT_CHUNK_OCTETS {
            flush(self.stream, self.buffer).await?;
        }
        Ok(())
    }

    /// Writes everything now.
    pub async fn flush(&mut self) -> io::Result<()> {
        flush(self.stream, self.buffer).await
    }
}

/// How a session ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// As the protocol says.
    Closed,
    /// The peer went away.
    PeerGone,
    /// The peer put plain text before a TLS handshake, or the handshake failed.
    Tls(String),
}

/// Runs one session to its end.
pub async fn drive<M, H>(
    mut stream: BoxStream,
    machine: &mut M,
    handler: &mut H,
    tls: Option<&TlsServer>,
    mut shutdown: watch::Receiver<bool>,
) -> Ending
where
    M: Machine,
    H: Handler<M>,
{
    let mut input = vec![0u8; limits::INPUT_CHUNK_OCTETS];
    let mut progress = machine.progress();
    let mut deadline = Instant::now() + machine.patience();
    let mut told = false;
    loop {
        match machine.next() {
            Step::Ask(question) => {
                let mut held = std::mem::take(machine.output());
                let mut out = Output { stream: &mut stream, buffer: &mut held };
                let answer = handler.answer(question, &mut out).await;
                held.append(machine.output());
                *machine.output() = held;
                machine.answer(answer);
            }
            Step::Body(octets) => handler.body(octets).await,
            Step::StartTls => {
                if machine.has_unread_input() {
                    return Ending::Tls("plain text before the handshake".to_owned());
                }
                let Some(tls) = tls else { return Ending::Tls("TLS is not set up".to_owned()) };
                if flush(&mut stream, machine.output()).await.is_err() {
                    return Ending::PeerGone;
                }
                match tls.accept(stream).await {
                    Ok((secured, facts)) => {
                        stream = secured;
                        handler.tls_started(facts);
                        machine.tls_started();
                    }
                    Err(error) => return Ending::Tls(error.to_string()),
                }
            }
            Step::Close => {
                let flushed = flush(&mut stream, machine.output()).await;
                let closed = tokio::time::timeout(limits::CLOSE_WAIT, stream.shutdown()).await;
                return if flushed.is_ok() && closed.is_ok() {
                    Ending::Closed
                } else {
                    Ending::PeerGone
                };
            }
            Step::Read => {
                if flush(&mut stream, machine.output()).await.is_err() {
                    return Ending::PeerGone;
                }
                if machine.progress() != progress {
                    progress = machine.progress();
                    deadline = Instant::now() + machine.patience();
                }
                tokio::select! {
                    biased;
                    () = crate::listen::is_down(&mut shutdown), if !told => {
                        told = true;
                        machine.shutdown();
                    }
                    news = handler.changed() => machine.answer(news),
                    got = stream.read(&mut input) => match got {
                        Ok(0) | Err(_) => return Ending::PeerGone,
                        Ok(n) => machine.receive(input.get(..n).unwrap_or_default()),
                    },
                    () = tokio::time::sleep_until(deadline) => machine.expire(),
                }
            }
        }
    }
}

/// Writes and empties `buffer`; a peer that takes nothing for a minute is gone.
async fn flush(stream: &mut BoxStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    if buffer.is_empty() {
        return Ok(());
    }
    for chunk in buffer.chunks(limits::OUTPUT_CHUNK_OCTETS) {
        timeout(stream.write_all(chunk)).await?;
    }
    buffer.clear();
    timeout(stream.flush()).await
}

async fn timeout(io: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    const WRITE_WAIT: Duration = limits::WRITE_WAIT;
    tokio::time::timeout(WRITE_WAIT, io)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
