//! An SMTP server that stores nothing: where relayed mail goes, and what the load generator itself
//! can do at most.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A running sink; it ends with the program.
pub struct Sink {
    counts: Arc<Counts>,
}

/// What came.
#[derive(Default)]
struct Counts {
    taken: AtomicUsize,
    open: AtomicUsize,
    by_id: Mutex<HashMap<String, usize>>,
}

impl Sink {
    /// Listens at `at`.
    pub fn start(at: SocketAddr) -> io::Result<Sink> {
        let listener = TcpListener::bind(at)?;
        let counts = Arc::new(Counts::default());
        let counted = counts.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = counted.clone();
                std::thread::spawn(move || {
                    counted.open.fetch_add(1, Ordering::Relaxed);
                    let _ = session(stream, &counted);
                    counted.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Ok(Sink { counts })
    }

    /// Messages taken so far.
    pub fn taken(&self) -> usize {
        self.counts.taken.load(Ordering::Relaxed)
    }

    /// Sessions that are open.
    pub fn open(&self) -> usize {
        self.counts.open.load(Ordering::Relaxed)
    }

    /// How often a message with this `Message-ID` was taken.
    pub fn times(&self, id: &str) -> usize {
        let counts = self.counts.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(id).copied().unwrap_or(0)
    }
}

fn session(stream: TcpStream, counts: &Counts) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    reader.get_mut().write_all(b"220 sink ESMTP\r\n")?;
    let (mut line, mut replies, mut body) = (Vec::new(), Vec::new(), false);
    let mut id = String::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if body {
            if line != b".\r\n" {
                if id.is_empty() && line.starts_with(b"Message-ID: ") {
                    id = String::from_utf8_lossy(&line).trim_end().replace("Message-ID: ", "");
                }
                continue;
            }
            body = false;
            counts.taken.fetch_add(1, Ordering::Relaxed);
            let mut by_id = counts.by_id.lock().unwrap_or_else(PoisonError::into_inner);
            *by_id.entry(std::mem::take(&mut id)).or_default() += 1;
            drop(by_id);
            replies.extend_from_slice(b"250 2.0.0 taken\r\n");
        } else {
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            replies.extend_from_slice(match verb.as_slice() {
                b"EHLO" => b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
                b"DATA" => b"354 go on\r\n",
                b"QUIT" => b"221 2.0.0 bye\r\n",
                _ => b"250 2.0.0 fine\r\n",
            });
            body = verb == b"DATA";
            if verb == b"QUIT" {
                return reader.get_mut().write_all(&replies);
            }
        }
        if reader.buffer().is_empty() {
            reader.get_mut().write_all(&replies)?;
            replies.clear();
        }
    }
}
