//! The server that is driven: where it listens, who has accounts, which processes it is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Accounts that the benchmark uses.
pub const USERS: usize = 60;
/// The password of all of them.
pub const PASSWORD: &str = "bench-secret";
/// Their domain.
pub const DOMAIN: &str = "bench.test";
/// The domain of the sink that mail is relayed to.
pub const SINK_DOMAIN: &str = "sink.test";

/// A server.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is called in the table.
    pub name: &'static str,
    /// Where it listens.
    pub address: IpAddr,
    /// Added to the standard ports.
    pub port_base: u16,
    /// Use TLS for everything.
    pub tls: bool,
    /// Its first processes, if they are on this machine.
    pub pids: Vec<u32>,
}

impl Target {
    /// A server on this machine.
    pub fn new(name: &'static str, port_base: u16, tls: bool) -> Target {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Target { name, address, port_base, tls, pids: Vec::new() }
    }

    /// Where a standard port is.
    pub fn at(&self, standard: u16) -> SocketAddr {
        SocketAddr::new(self.address, self.port_base + standard)
    }
}

/// The address of the `n`th account.
pub fn user(n: usize) -> String {
    format!("u{:02}@{DOMAIN}", n % USERS)
}
