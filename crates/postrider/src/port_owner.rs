//! Who has a port: from /proc/net/tcp the socket's inode, from /proc/PID/fd the process.

use std::fs;
use std::net::SocketAddr;

/// The processes that listen on the port of `address`, as `master (pid 812)`. Empty when that
/// cannot be seen, as other users' processes cannot without root.
pub fn port_owner(address: SocketAddr) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let sockets: Vec<String> = tables
        .iter()
        .flatten()
        .flat_map(|table| table.lines())
        .filter_map(|line| listening(line, address.port()))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let mut owners: Vec<String> = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| holds(*pid, &sockets))
        .map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("{} (pid {pid})", name.trim())
        })
        .collect();
    owners.truncate(3);
    (!owners.is_empty()).then(|| owners.join(", "))
}

/// The inode of a line of /proc/net/tcp whose socket listens (state 0A) on `port`. proc(5).
fn listening(line: &str, port: u16) -> Option<&str> {
    let mut fields = line.split_whitespace();
    let (local, state) = (fields.nth(1)?, fields.nth(1)?);
    let (_, hex) = local.rsplit_once(':')?;
    let here = u16::from_str_radix(hex, 16).ok()? == port && state == "0A";
    if here { fields.nth(5) } else { None }
}

fn holds(pid: u32, sockets: &[String]) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a real socket is what is looked for")]
    fn our_own_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let owner = port_owner(listener.local_addr().unwrap()).unwrap();
        assert!(owner.contains(&format!("pid {}", std::process::id())), "{owner}");
    }

    #[test]
    fn a_line_of_the_table_is_read() {
        let line = "   0: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x";
        assert_eq!(listening(line, 25), Some("4711"));
        assert_eq!(listening(line, 26), None);
        assert_eq!(listening(&line.replace(" 0A ", " 01 "), 25), None);
    }
}
