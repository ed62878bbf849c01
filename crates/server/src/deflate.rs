//! A connection whose octets are compressed in both directions. RFC 4978.
//!
//! Invariant: after a flush the peer can decompress all that was written: the compressor is made to
//! give out its partial block (users.md I-14), so nothing ever waits in it.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use sys::net::{BoxStream, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Compressed octets read at once.
const INPUT_OCTETS: usize = 8 * 1024;
/// Compressed octets that wait to be written; beyond that writing waits.
const OUTPUT_OCTETS_MAX: usize = 64 * 1024;

/// The stream.
pub struct Deflate {
    inner: BoxStream,
    inflate: Decompress,
    input: Vec<u8>,
    /// How much of the input is used.
    used: usize,
    deflate: Compress,
    output: Vec<u8>,
    /// How much of the output is written.
    written: usize,
    /// The compressor may hold octets back.
    dirty: bool,
    /// Compression is to end, or has ended.
    ends: Arc<AtomicBool>,
    /// It has ended on the way to the peer, and on the way from it.
    ended: bool,
    begun_plain: bool,
}

/// Ends the compression of a stream. RFC 8437 §4.1.
pub struct End(Arc<AtomicBool>);

impl End {
    /// What is written before the next flush is the last that is compressed, and what was read last
    /// is the last that was.
    pub fn end(self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Stream for Deflate {}

impl Deflate {
    /// Compresses what goes over `inner`: raw deflate, as RFC 4978 §3 wants.
    pub fn new(inner: BoxStream) -> Deflate {
        Deflate {
            ends: Arc::default(),
            ended: false,
            begun_plain: false,
            inner,
            inflate: Decompress::new(false),
            input: Vec::new(),
            used: 0,
            deflate: Compress::new(Compression::fast(), false),
            output: Vec::new(),
            written: 0,
            dirty: false,
        }
    }

    /// The means to end it.
    pub fn end(&self) -> End {
        End(self.ends.clone())
    }

    fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    /// Writes out what is compressed.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            let rest = self.output.get(self.written..).unwrap_or_default();
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        self.output.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Makes the compressor give out everything.
    fn give_out(&mut self) -> io::Result<()> {
        let flush = if self.ends() { FlushCompress::Finish } else { FlushCompress::Sync };
        self.dirty |= self.ends() && !self.ended;
        while self.dirty {
            self.output.reserve(4096);
            let room = self.output.capacity() - self.output.len();
            let before = self.deflate.total_out();
            let status = self.deflate.compress_vec(&[], &mut self.output, flush);
            status.map_err(io::Error::other)?;
            // Room left over means that there was nothing more.
            let given = self.deflate.total_out() - before;
            self.dirty = given >= room as u64;
        }
        self.ended = self.ends();
        Ok(())
    }

    /// Reads from the peer into the input, all of which is used; `false` at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.input.resize(INPUT_OCTETS, 0);
        let mut fresh = ReadBuf::new(&mut self.input);
        let polled = Pin::new(&mut self.inner).poll_read(cx, &mut fresh);
        let filled = fresh.filled().len();
        self.input.truncate(filled);
        self.used = 0;
        ready!(polled)?;
        Poll::Ready(Ok(filled > 0))
    }

    /// Reads behind the compressed octets. What ends them may still be on its way: no command
    /// begins with octets that small.
    fn poll_plain(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let rest = self.input.get(self.used..).unwrap_or_default();
            match rest.first() {
                Some(first) if *first < b'\t' && !self.begun_plain => {
                    let before = self.inflate.total_in();
                    let status = self.inflate.decompress(rest, &mut [0], FlushDecompress::None);
                    let status = status.map_err(io::Error::other)?;
                    self.used += (self.inflate.total_in() - before) as usize;
                    self.begun_plain = status == Status::StreamEnd;
                    if self.inflate.total_in() == before && !self.begun_plain {
                        return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                    }
                }
                Some(_) => {
                    let take = rest.len().min(buf.remaining());
                    buf.put_slice(rest.get(..take).unwrap_or_default());
                    self.used += take;
                    self.begun_plain = true;
                    return Poll::Ready(Ok(()));
                }
                None if self.begun_plain => return Pin::new(&mut self.inner).poll_read(cx, buf),
                None => {
                    if !ready!(self.poll_fill(cx))? {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl AsyncRead for Deflate {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ends() {
            return this.poll_plain(cx, buf);
        }
        loop {
            let rest = this.input.get(this.used..).unwrap_or_default();
            let (before_in, before_out) = (this.inflate.total_in(), this.inflate.total_out());
            let into = buf.initialize_unfilled();
            let status = this.inflate.decompress(rest, into, FlushDecompress::None);
            let status = status.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            this.used += (this.inflate.total_in() - before_in) as usize;
            let given = (this.inflate.total_out() - before_out) as usize;
            // What follows the end of the compressed octets is plain.
            this.begun_plain = status == Status::StreamEnd;
            if given > 0 {
                buf.advance(given);
                return Poll::Ready(Ok(()));
            }
            if status == Status::StreamEnd {
                return Poll::Ready(Ok(()));
            }
            if this.used >= this.input.len() {
                if !ready!(this.poll_fill(cx))? {
                    return Poll::Ready(Ok(()));
                }
            } else if rest.is_empty() || this.inflate.total_in() == before_in {
                // Neither input used nor output given: the data makes no sense.
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
    }
}

impl AsyncWrite for Deflate {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.ended {
            ready!(this.poll_drain(cx))?;
            return Pin::new(&mut this.inner).poll_write(cx, octets);
        }
        if this.output.len() >= OUTPUT_OCTETS_MAX {
            ready!(this.poll_drain(cx))?;
        }
        this.output.reserve(octets.len().min(OUTPUT_OCTETS_MAX) / 2 + 1024);
        let before = this.deflate.total_in();
        let status = this.deflate.compress_vec(octets, &mut this.output, FlushCompress::None);
        status.map_err(io::Error::other)?;
        this.dirty = true;
        Poll::Ready(Ok((this.deflate.total_in() - before) as usize))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.give_out()?;
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.give_out()?;
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn i_14_each_flush_arrives_whole() {
        let (a, b) = tokio::io::duplex(1000);
        let (mut a, mut b) = (Deflate::new(Box::new(a)), Deflate::new(Box::new(b)));
        for round in 0..200usize {
            let sent: Vec<u8> = (0..round * 97).map(|n| (n * n / 7 % 251) as u8).collect();
            let write = async {
                a.write_all(&sent).await.unwrap();
                a.flush().await.unwrap();
            };
            let mut got = vec![0; sent.len()];
            let read = b.read_exact(&mut got);
            let ((), read) = tokio::join!(write, read);
            read.unwrap();
            assert_eq!(got, sent, "round {round}");
        }
    }

    #[tokio::test]
    async fn it_ends_on_both_sides_where_they_agree() {
        for finishes in [true, false] {
            let (a, b) = tokio::io::duplex(1000);
            let (mut a, mut b) = (a, Deflate::new(Box::new(b)));
            let end = b.end();
            // The client's last compressed octets, with or without their end, and plain ones.
            let mut compress = Compress::new(Compression::fast(), false);
            let mut sent = Vec::with_capacity(1000);
            let last = if finishes { FlushCompress::Finish } else { FlushCompress::Sync };
            compress.compress_vec(b"x UNAUTHENTICATE\r\n", &mut sent, last).unwrap();
            sent.extend_from_slice(if finishes { b"" } else { b"\x03\0" });
            sent.extend_from_slice(b"y NOOP\r\n");
            a.write_all(&sent).await.unwrap();
            let mut got = vec![0; 18];
            b.read_exact(&mut got).await.unwrap();
            assert_eq!(got, b"x UNAUTHENTICATE\r\n");
            b.write_all(b"x OK\r\n").await.unwrap();
            end.end();
            b.flush().await.unwrap();
            b.write_all(b"* plain\r\n").await.unwrap();
            let mut got = vec![0; 8];
            b.read_exact(&mut got).await.unwrap();
            assert_eq!(got, b"y NOOP\r\n");
            drop(b);
            let mut answered = Vec::new();
            a.read_to_end(&mut answered).await.unwrap();
            let plain = answered.strip_suffix(b"* plain\r\n").unwrap();
            let (mut inflate, mut text) = (Decompress::new(false), Vec::with_capacity(100));
            let status = inflate.decompress_vec(plain, &mut text, FlushDecompress::Finish).unwrap();
            assert_eq!((text.as_slice(), status), (b"x OK\r\n".as_slice(), Status::StreamEnd));
        }
    }

    #[tokio::test]
    async fn nonsense_is_an_error() {
        let (mut a, b) = tokio::io::duplex(1000);
        let mut b = Deflate::new(Box::new(b));
        a.write_all(&[0xff; 100]).await.unwrap();
        assert!(b.read(&mut [0; 10]).await.is_err());
    }
}
