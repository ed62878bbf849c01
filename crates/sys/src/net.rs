//! TCP: dialling and listening.

use crate::BoxFuture;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::Instant;

/// A connection, in clear or under TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// Octets have come that nobody has read yet. Does not wait; where it cannot be told, no.
    fn has_input(&self) -> bool {
        false
    }
}

impl Stream for TcpStream {
    /// Asks the kernel: the runtime knows of what came only once it has waited for it.
    fn has_input(&self) -> bool {
        let mut octet = [std::mem::MaybeUninit::uninit()];
        socket2::SockRef::from(self).peek(&mut octet).is_ok_and(|octets| octets > 0)
    }
}
impl Stream for tokio::net::UnixStream {}
impl Stream for tokio_rustls::client::TlsStream<BoxStream> {}
impl Stream for tokio_rustls::server::TlsStream<BoxStream> {}
impl Stream for tokio_postgres::Socket {}
/// A pipe within the process.
impl Stream for tokio::io::DuplexStream {}

/// A boxed connection.
pub type BoxStream = Box<dyn Stream>;

/// A listening socket.
pub trait Listener: Send + Sync {
    /// Waits for the next connection: it, the peer's address and ours.
    fn accept(&self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr, SocketAddr)>>;
    /// The address it listens on.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Accepting fails again and again, mostly for want of file descriptors: whoever accepts waits
/// then, and tells of it at once, and once a minute from then on.
#[derive(Debug, Default)]
pub struct NotAccepted {
    told: Option<Instant>,
    times: u64,
}

impl NotAccepted {
    /// How long to wait until the next try: whoever does not wait spins.
    pub const WAIT: Duration = Duration::from_millis(200);
    const SILENCE: Duration = Duration::from_secs(60);

    /// It has failed once more: how often since it was told last, when it is time to tell.
    pub fn again(&mut self) -> Option<u64> {
        self.at(Instant::now())
    }

    fn at(&mut self, now: Instant) -> Option<u64> {
        self.times += 1;
        if self.told.is_some_and(|told| now - told < NotAccepted::SILENCE) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.times))
    }
}

/// The network.
pub trait Net: Send + Sync {
    /// Connects, from `source` if given, within `patience`.
    fn connect(
        &self,
        to: SocketAddr,
        source: Option<std::net::IpAddr>,
        patience: Duration,
    ) -> BoxFuture<'_, io::Result<BoxStream>>;
    /// Listens.
    fn listen(&self, on: SocketAddr) -> io::Result<Box<dyn Listener>>;
}

/// The machine's network.
pub struct TcpNet;

/// Connections that wait to be accepted; the kernel may allow fewer.
const BACKLOG: i32 = 4096;

impl Net for TcpNet {
    fn connect(
        &self,
        to: SocketAddr,
        source: Option<std::net::IpAddr>,
        patience: Duration,
    ) -> BoxFuture<'_, io::Result<BoxStream>> {
        Box::pin(async move {
            let socket = if to.is_ipv4() {
                tokio::net::TcpSocket::new_v4()?
            } else {
                tokio::net::TcpSocket::new_v6()?
            };
            if let Some(source) = source {
                socket.bind(SocketAddr::new(source, 0))?;
            }
            let stream = tokio::time::timeout(patience, socket.connect(to)).await;
            let stream = stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            prepare(&stream);
            Ok(Box::new(stream) as BoxStream)
        })
    }

    fn listen(&self, on: SocketAddr) -> io::Result<Box<dyn Listener>> {
        adopt(bind(on)?)
    }
}

/// Binds a listening socket. Needs no runtime, so that it can be done before there are threads.
pub fn bind(on: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(on), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if on.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&on.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Makes a bound socket a listener of the running runtime.
pub fn adopt(bound: std::net::TcpListener) -> io::Result<Box<dyn Listener>> {
    Ok(Box::new(TcpListener::from_std(bound)?))
}

impl Listener for TcpListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr, SocketAddr)>> {
        Box::pin(async move {
            let (stream, peer) = TcpListener::accept(self).await?;
            prepare(&stream);
            let local = stream.local_addr()?;
            Ok((Box::new(stream) as BoxStream, peer, local))
        })
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}

/// Binds a listening UNIX socket, in place of one that a server left behind. `mode` says who may
/// connect: user, group or all, by their right to write to it.
pub fn bind_unix(path: &Path, mode: u32) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket()) {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    let bound = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    bound.set_nonblocking(true)?;
    Ok(bound)
}

/// Makes a bound UNIX socket a listener of the running runtime.
pub fn adopt_unix(bound: std::os::unix::net::UnixListener) -> io::Result<Box<dyn Listener>> {
    Ok(Box::new(UnixListener::from_std(bound)?))
}

/// Who connects to a UNIX socket is on this machine, and has no address.
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

impl Listener for UnixListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr, SocketAddr)>> {
        Box::pin(async move {
            let (stream, _) = UnixListener::accept(self).await?;
            Ok((Box::new(stream) as BoxStream, LOCAL, LOCAL))
        })
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Small replies leave at once; dead peers are found by keep-alive probes (users.md I-05).
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(300))
        .with_interval(Duration::from_secs(60));
    let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&probes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn what_came_before_anybody_waited_is_known() {
        let listener = adopt(bind("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
        let to = listener.local_addr().unwrap();
        for (said, has) in [(b"x".as_slice(), true), (b"", false)] {
            let mut client = TcpNet.connect(to, None, Duration::from_secs(9)).await.unwrap();
            client.write_all(said).await.unwrap();
            let (mut stream, ..) = listener.accept().await.unwrap();
            assert_eq!(stream.has_input(), has);
            drop(client);
            let mut octets = Vec::new();
            stream.read_to_end(&mut octets).await.unwrap();
            assert_eq!((octets.as_slice(), stream.has_input()), (said, false), "none is taken");
        }
    }

    #[test]
    fn it_is_told_at_once_and_then_once_a_minute() {
        let (mut failing, start) = (NotAccepted::default(), Instant::now());
        let told: Vec<u64> =
            (0..1000).filter_map(|n| failing.at(start + NotAccepted::WAIT * n)).collect();
        assert_eq!(told, [1, 300, 300, 300]);
    }
}
