//! Starting servers with fresh folders and the same accounts, and stopping them again.

mod peer;
mod postrider;

pub use peer::Peer;
pub use postrider::Postrider;

use crate::target::Target;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// A server that the benchmark starts itself.
pub trait Server {
    /// Makes folders, configuration and accounts.
    fn set_up(&mut self) -> io::Result<()>;
    /// Starts it; returns when it says its banners. The time until then.
    fn start(&mut self) -> io::Result<Duration>;
    /// Stops it.
    fn stop(&mut self) -> io::Result<()>;
    /// How it is reached.
    fn target(&self) -> Target;
    /// Its version, for the table.
    fn version(&self) -> String;
}

/// Waits until a server says something at `at`.
fn banner(at: SocketAddr) -> io::Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(mut stream) = TcpStream::connect(at) {
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            if stream.read(&mut [0; 1])? == 1 {
                return Ok(());
            }
        }
        if Instant::now() > end {
            return Err(io::Error::other(format!("nothing speaks at {at}")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a command that must succeed; what it printed.
fn run(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?}: {text}{error}")))
}
