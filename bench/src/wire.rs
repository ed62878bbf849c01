//! One client connection, plain or under TLS, with lines and counted octets.
//!
//! The load generator shares the machine with the server it measures, so it copies little: a line
//! is handed out as a slice of the read buffer, and literals are skipped where they lie.

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use std::io::{self, IoSliceMut, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Octets read at once.
const CHUNK_OCTETS: usize = 256 * 1024;
/// Octets read at once on a connection that mostly waits.
const SMALL_CHUNK_OCTETS: usize = 4 * 1024;
/// The longest line that is taken.
const LINE_OCTETS_MAX: usize = 64 << 20;
/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(120);

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A connection.
pub struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

impl Wire {
    /// Connects; TLS begins at once if `tls`.
    pub fn connect(to: SocketAddr, tls: bool) -> io::Result<Wire> {
        Wire::open(to, tls, CHUNK_OCTETS)
    }

    /// Connects with small buffers.
    pub fn connect_small(to: SocketAddr, tls: bool) -> io::Result<Wire> {
        Wire::open(to, tls, SMALL_CHUNK_OCTETS)
    }

    fn open(to: SocketAddr, tls: bool, chunk: usize) -> io::Result<Wire> {
        let socket = TcpStream::connect(to)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let wire = Wire { stream: Stream::Plain(socket), buffer: vec![0; chunk], at: 0, end: 0 };
        if tls { wire.start_tls() } else { Ok(wire) }
    }

    /// Shakes hands on a connection that was plain.
    pub fn start_tls(self) -> io::Result<Wire> {
        let Stream::Plain(socket) = self.stream else { return Ok(self) };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let client = ClientConnection::new(config()?, name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(client, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Wire { stream: Stream::Tls(Box::new(stream)), ..self })
    }

    /// Sends octets.
    pub fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(octets),
            Stream::Tls(stream) => {
                stream.write_all(octets)?;
                stream.flush()
            }
        }
    }

    /// The next line, without its CRLF.
    pub fn line(&mut self) -> io::Result<&[u8]> {
        let mut searched = self.at;
        loop {
            let fresh = self.buffer.get(searched..self.end).unwrap_or_default();
            if let Some(found) = memchr::memchr(b'\n', fresh) {
                let (start, stop) = (self.at, searched + found);
                self.at = stop + 1;
                let line = self.buffer.get(start..stop).unwrap_or_default();
                return Ok(line.strip_suffix(b"\r").unwrap_or(line));
            }
            let kept = self.end - self.at;
            self.fill()?;
            searched = self.at + kept;
        }
    }

    /// Passes over a literal.
    pub fn skip(&mut self, octets: usize) -> io::Result<()> {
        let mut left = octets;
        loop {
            let here = (self.end - self.at).min(left);
            self.at += here;
            left -= here;
            if left == 0 {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// A literal's octets.
    pub fn take(&mut self, octets: usize) -> io::Result<Vec<u8>> {
        let mut taken = Vec::with_capacity(octets);
        loop {
            let here = (self.end - self.at).min(octets - taken.len());
            let part = self.buffer.get(self.at..self.at + here).unwrap_or_default();
            taken.extend_from_slice(part);
            self.at += here;
            if taken.len() == octets {
                return Ok(taken);
            }
            self.fill()?;
        }
    }

    /// Reads once what has come, without waiting: one call of the kernel. Only after
    /// [`Wire::never_wait`].
    pub fn take_in(&mut self) -> io::Result<()> {
        match self.fill() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether a whole line has been read already.
    pub fn has_line(&self) -> bool {
        let here = self.buffer.get(self.at..self.end).unwrap_or_default();
        memchr::memchr(b'\n', here).is_some()
    }

    /// From now on reading does not wait.
    pub fn never_wait(&self) -> io::Result<()> {
        self.socket().set_nonblocking(true)
    }

    /// Has the kernel note when octets come: [`Wire::came_at`].
    pub fn note_times(&self) -> io::Result<()> {
        setsockopt(self.socket(), sockopt::ReceiveTimestampns, &true).map_err(io::Error::from)
    }

    /// When the next octets came that have not been read yet. The kernel says so, however much
    /// later somebody asks; `None` when there are none.
    pub fn came_at(&self) -> io::Result<Option<SystemTime>> {
        let (mut octet, mut space) = ([0], nix::cmsg_space!(TimeSpec));
        let mut into = [IoSliceMut::new(&mut octet)];
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        let fd = self.socket().as_raw_fd();
        let got = match recvmsg::<()>(fd, &mut into, Some(&mut space), flags) {
            Err(nix::errno::Errno::EAGAIN) => return Ok(None),
            got => got.map_err(io::Error::from)?,
        };
        let time = got.cmsgs().map_err(io::Error::from)?.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
            _ => None,
        });
        Ok(time.map(|time| UNIX_EPOCH + time))
    }

    /// The socket, to poll it.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.at == self.end {
            (self.at, self.end) = (0, 0);
        } else if self.end == self.buffer.len() && self.at > 0 {
            self.buffer.copy_within(self.at..self.end, 0);
            (self.at, self.end) = (0, self.end - self.at);
        } else if self.end == self.buffer.len() {
            if self.end >= LINE_OCTETS_MAX {
                return Err(io::Error::other("a line without end"));
            }
            self.buffer.resize(self.end * 2, 0);
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let got = match &mut self.stream {
            Stream::Plain(stream) => stream.read(room)?,
            Stream::Tls(stream) => stream.read(room)?,
        };
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.end += got;
        Ok(())
    }
}

fn config() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: std::sync::OnceLock<Arc<ClientConfig>> = std::sync::OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let made = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(made)).clone())
}

/// Believes any certificate, and anybody's word for it: the servers under test make their own, and
/// what is measured is they, on the same processors.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
