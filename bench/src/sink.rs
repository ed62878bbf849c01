//! An SMTP server that stores nothing: where relayed mail goes, and what the load generator itself
//! can do at most.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A running sink; it ends with the program.
pub struct Sink {
    taken: Arc<AtomicUsize>,
}

impl Sink {
    /// Listens at `at`.
    pub fn start(at: SocketAddr) -> io::Result<Sink> {
        let listener = TcpListener::bind(at)?;
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = taken.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = counted.clone();
                std::thread::spawn(move || session(stream, &counted));
            }
        });
        Ok(Sink { taken })
    }

    /// Messages taken so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

fn session(stream: TcpStream, taken: &AtomicUsize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    reader.get_mut().write_all(b"220 sink ESMTP\r\n")?;
    let (mut line, mut replies, mut body) = (Vec::new(), Vec::new(), false);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if body {
            if line != b".\r\n" {
                continue;
            }
            body = false;
            taken.fetch_add(1, Ordering::Relaxed);
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
