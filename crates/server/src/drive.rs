//! The socket loop of every session: reads, writes, starts TLS, keeps time. It looks at no bytes.
//!
//! Three sources, always in this order: the change feed, the socket, the deadline. Invariants:
//! output is flushed before the loop waits for anything; a panic in a handler ends this one
//! session, and its client is told.

use crate::deflate::{Deflate, End};
use crate::limits;
use crate::login::security;
use protocol::machine::{Machine, Step};
use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use sys::net::BoxStream;
use sys::tls::{TlsFacts, TlsPort};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
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
    /// to drop at any await.
    fn changed(&mut self) -> impl Future<Output = News<M::Answer>> + Send {
        std::future::pending()
    }

    /// Writes what [`News::Due`] announced.
    fn tell(&mut self, _out: &mut Output<'_>) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// The connection is now under TLS.
    fn tls_started(&mut self, facts: TlsFacts);
}

/// What a session hears of while it waits for its client.
pub enum News<A> {
    /// Given to the machine as if it had asked.
    Answer(A),
    /// There is something to write, whatever the machine is at: [`Handler::tell`] does it.
    Due,
    /// The login does not hold any more.
    Revoked,
}

/// A writer for long answers: buffers, and writes to the peer when there is enough.
pub struct Output<'a> {
    stream: &'a mut BoxStream,
    buffer: &'a mut Vec<u8>,
    /// Some of the answer has left already.
    begun: bool,
    /// Octets of the answer that have left.
    sent: u64,
    /// Since when others wait for their turn.
    since: Instant,
    /// Small things that were done since the clock was looked at.
    steps: u8,
}

impl<'a> Output<'a> {
    fn new(stream: &'a mut BoxStream, buffer: &'a mut Vec<u8>) -> Output<'a> {
        Output { stream, buffer, begun: false, sent: 0, since: Instant::now(), steps: 0 }
    }

    /// Octets that have left since the command began. When this grows, what was appended before
    /// cannot be taken back.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Ends the connection in the middle of an answer that cannot be completed: what follows would
    /// be taken for the rest of it.
    pub async fn break_off(&mut self) {
        self.buffer.clear();
        let _ = tokio::time::timeout(limits::CLOSE_WAIT, self.stream.shutdown()).await;
    }

    /// The buffer; append to it, then call [`Output::relieve`] from time to time.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.buffer
    }

    /// Writes the buffer to the peer if it has grown beyond 64 KB, and rests. Errors are a lost
    /// connection.
    pub async fn relieve(&mut self) -> io::Result<()> {
        if self.buffer.len() >= limits::OUTPUT_CHUNK_OCTETS {
            self.flush().await?;
            self.rest().await;
        } else {
            self.step().await;
        }
        Ok(())
    }

    /// Rests now and then: after something small, of which an answer may have very many. Looking at
    /// the clock each time would be noticed.
    pub async fn step(&mut self) {
        self.steps = (self.steps + 1) % limits::STEPS;
        if self.steps == 0 {
            self.rest().await;
        }
    }

    /// Lets others have their turn when this answer has had its own.
    pub async fn rest(&mut self) {
        if self.since.elapsed() >= limits::TURN {
            tokio::task::yield_now().await;
            self.since = Instant::now();
        }
    }

    /// Writes everything now.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.begun = true;
        self.sent += self.buffer.len() as u64;
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
    /// The peer went on in clear behind the command that begins compression.
    Uncompressed,
    /// A handler panicked.
    Failed,
}

/// Runs one session to its end. While it is `hurried` and only begins, it has less time.
pub async fn drive<M: Machine, H: Handler<M>>(
    mut stream: BoxStream,
    machine: &mut M,
    handler: &mut H,
    tls: Option<&TlsPort>,
    mut shutdown: watch::Receiver<bool>,
    hurried: &(dyn Fn() -> bool + Sync),
) -> Ending {
    let mut progress = machine.progress();
    // Both stay where they wait, through all that comes: entering and leaving lists of thousands
    // takes longer than telling a client of a message.
    let mut deadline = std::pin::pin!(tokio::time::sleep(patience(machine, hurried)));
    let mut down = std::pin::pin!(crate::listen::is_down(&mut shutdown));
    let (mut alive, mut told, mut failed, mut deflate) = (true, false, false, None);
    loop {
        match machine.next() {
            Step::Ask(question) => {
                failed = !ask(&mut stream, machine, handler, question).await;
            }
            Step::Body(octets) => failed = survive(handler.body(octets)).await.is_none(),
            Step::StartTls => match secure(stream, machine, tls).await {
                Ok((secured, facts)) => {
                    stream = secured;
                    machine.tls_started(security(Some(&facts)));
                    handler.tls_started(facts);
                }
                Err(ending) => return ending,
            },
            Step::Deflate => match compress(stream, machine).await {
                Ok((compressed, end)) => (stream, deflate) = (compressed, Some(end)),
                Err(ending) => return ending,
            },
            Step::EndDeflate => {
                alive = end_compression(&mut stream, machine, deflate.take()).await.is_ok();
            }
            Step::Flush => alive = flush(&mut stream, machine.output()).await.is_ok(),
            Step::Close => return close(stream, machine.output(), failed).await,
            Step::Read => {
                if flush(&mut stream, machine.output()).await.is_err() {
                    return Ending::PeerGone;
                }
                if machine.progress() != progress {
                    progress = machine.progress();
                    deadline.as_mut().reset(Instant::now() + patience(machine, hurried));
                }
                tokio::select! {
                    biased;
                    () = &mut down, if !told => {
                        told = true;
                        machine.shutdown();
                    }
                    news = survive(handler.changed()) => {
                        failed = !hear(&mut stream, machine, handler, news).await;
                    }
                    got = read(&mut stream, machine) => alive = got.is_ok_and(|n| n > 0),
                    () = &mut deadline => machine.expire(),
                }
            }
        }
        if !alive {
            return Ending::PeerGone;
        }
        if failed {
            machine.fail();
        }
    }
}

/// How long the peer has for what it is doing now.
fn patience<M: Machine>(machine: &M, hurried: &(dyn Fn() -> bool + Sync)) -> Duration {
    let part = if machine.is_beginning() && hurried() { limits::HURRIED } else { 1 };
    machine.patience() / part
}

/// Lets the handler answer; `false` when it panicked.
async fn ask<M: Machine, H: Handler<M>>(
    stream: &mut BoxStream,
    machine: &mut M,
    handler: &mut H,
    question: M::Question,
) -> bool {
    let mut held = std::mem::take(machine.output());
    let settled = held.len();
    let mut out = Output::new(stream, &mut held);
    // Apart, so that a session that waits holds no room for the work of a command.
    let answer = survive(Box::pin(handler.answer(question, &mut out))).await;
    let begun = out.begun;
    if answer.is_none() {
        // Earlier replies are still due; half of this one is not.
        held.truncate(if begun { 0 } else { settled });
    }
    held.append(machine.output());
    *machine.output() = held;
    answer.map(|answer| machine.answer(answer)).is_some()
}

/// Lets the handler write what is news; `false` when it panicked.
async fn tell<M: Machine, H: Handler<M>>(
    stream: &mut BoxStream,
    machine: &mut M,
    handler: &mut H,
) -> bool {
    let mut buffer = std::mem::take(machine.output());
    let mut out = Output::new(stream, &mut buffer);
    // Apart, for the same reason as an answer.
    let told = survive(Box::pin(handler.tell(&mut out))).await;
    *machine.output() = buffer;
    told.is_some()
}

/// Tells the machine the news; `false` when the handler panicked instead.
async fn hear<M: Machine, H: Handler<M>>(
    stream: &mut BoxStream,
    machine: &mut M,
    handler: &mut H,
    news: Option<News<M::Answer>>,
) -> bool {
    match news {
        Some(News::Answer(news)) => machine.answer(news),
        Some(News::Due) => return tell(stream, machine, handler).await,
        Some(News::Revoked) => machine.revoke(),
        None => return false,
    }
    true
}

/// Reads once and gives the machine what came. The buffer is the thread's, not the session's, so
/// that a session that waits holds none.
async fn read<M: Machine>(stream: &mut BoxStream, machine: &mut M) -> io::Result<usize> {
    thread_local! {
        static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; limits::INPUT_CHUNK_OCTETS]);
    }
    std::future::poll_fn(|context| {
        INPUT.with_borrow_mut(|input| {
            let mut input = ReadBuf::new(input);
            let polled = Pin::new(&mut *stream).poll_read(context, &mut input);
            polled.map_ok(|()| {
                machine.receive(input.filled());
                input.filled().len()
            })
        })
    })
    .await
}

/// What the future comes to; `None` when it panics. The handler is not asked again after that.
async fn survive<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// The handshake, unless the peer said something before it.
async fn secure<M: Machine>(
    mut stream: BoxStream,
    machine: &mut M,
    tls: Option<&TlsPort>,
) -> Result<(BoxStream, TlsFacts), Ending> {
    if machine.has_unread_input() {
        return Err(Ending::Tls("plain text before the handshake".to_owned()));
    }
    let Some(tls) = tls else { return Err(Ending::Tls("TLS is not set up".to_owned())) };
    if flush(&mut stream, machine.output()).await.is_err() {
        return Err(Ending::PeerGone);
    }
    Box::pin(tls.accept(stream)).await.map_err(|error| Ending::Tls(error.to_string()))
}

/// Compresses from here on, unless the peer said something before it was told to.
async fn compress<M: Machine>(
    mut stream: BoxStream,
    machine: &mut M,
) -> Result<(BoxStream, End), Ending> {
    if machine.has_unread_input() {
        return Err(Ending::Uncompressed);
    }
    if flush(&mut stream, machine.output()).await.is_err() {
        return Err(Ending::PeerGone);
    }
    let compressed = Deflate::new(stream);
    let end = compressed.end();
    Ok((Box::new(compressed), end))
}

/// What is to be written now is the last that is compressed.
async fn end_compression<M: Machine>(
    stream: &mut BoxStream,
    machine: &mut M,
    end: Option<End>,
) -> io::Result<()> {
    flush(stream, machine.output()).await?;
    if let Some(end) = end {
        end.end();
    }
    timeout(stream.flush()).await
}

/// The last octets, then politely the end of the connection.
async fn close(mut stream: BoxStream, output: &mut Vec<u8>, failed: bool) -> Ending {
    let flushed = flush(&mut stream, output).await;
    let closed = tokio::time::timeout(limits::CLOSE_WAIT, stream.shutdown()).await;
    match flushed.is_ok() && closed.is_ok() {
        _ if failed => Ending::Failed,
        true => Ending::Closed,
        false => Ending::PeerGone,
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
