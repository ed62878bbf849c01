//! The PROXY protocol, versions 1 and 2: what a proxy says of its client before anything else.
//! https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets of a version 1 line, CRLF included: the text's own figure.
const LINE_OCTETS_MAX: usize = 107;
/// Octets that may follow the start of a version 2 header. Addresses need 36; the rest are
/// extensions that we pass over.
const REST_OCTETS_MAX: usize = 2048;
/// What a version 2 header begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Octets of a version 2 header up to its addresses.
const START_OCTETS: usize = 16;

/// What there is of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// More has to come.
    Partial,
    /// It is whole, these octets long.
    Whole {
        /// The client, or `None` when the proxy speaks for itself (a health check).
        client: Option<SocketAddr>,
        /// Octets of the header.
        octets: usize,
    },
    /// It is none.
    Bad,
}

/// Reads the header that `octets` begin with.
pub fn header(octets: &[u8]) -> Header {
    let start = octets.get(..SIGNATURE.len().min(octets.len())).unwrap_or_default();
    if SIGNATURE.starts_with(start) {
        return if octets.len() < START_OCTETS { Header::Partial } else { version_2(octets) };
    }
    version_1(octets)
}

/// `PROXY TCP4 192.0.2.1 203.0.113.1 56324 25` or `PROXY UNKNOWN …`.
fn version_1(octets: &[u8]) -> Header {
    let known = b"PROXY ";
    let start = octets.get(..known.len().min(octets.len())).unwrap_or_default();
    let Some(end) = octets.windows(2).position(|two| two == b"\r\n") else {
        let hopeless = !known.starts_with(start) || octets.len() >= LINE_OCTETS_MAX;
        return if hopeless { Header::Bad } else { Header::Partial };
    };
    let line = octets.get(..end).and_then(|line| std::str::from_utf8(line).ok());
    let Some(line) = line.filter(|_| end + 2 <= LINE_OCTETS_MAX) else { return Header::Bad };
    let words: Vec<&str> = line.split(' ').collect();
    let client = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", "TCP4", from, to, port, to_port] => {
            address::<Ipv4Addr>([from, to], [port, to_port])
        }
        ["PROXY", "TCP6", from, to, port, to_port] => {
            address::<Ipv6Addr>([from, to], [port, to_port])
        }
        _ => return Header::Bad,
    };
    if client.is_none() && words.get(1) != Some(&"UNKNOWN") {
        return Header::Bad;
    }
    Header::Whole { client, octets: end + 2 }
}

fn address<A: std::str::FromStr + Into<IpAddr>>(
    [from, to]: [&str; 2],
    [port, to_port]: [&str; 2],
) -> Option<SocketAddr> {
    let (from, _): (A, A) = (from.parse().ok()?, to.parse().ok()?);
    let (port, _): (u16, u16) = (port.parse().ok()?, to_port.parse().ok()?);
    Some(SocketAddr::new(from.into(), port))
}

/// A binary header; its first 16 octets are there.
fn version_2(octets: &[u8]) -> Header {
    let [.., command, family, high, low] = octets.get(..START_OCTETS).unwrap_or_default() else {
        return Header::Bad;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > REST_OCTETS_MAX || !matches!(command, 0x20 | 0x21) {
        return Header::Bad;
    }
    let Some(rest) = octets.get(START_OCTETS..START_OCTETS + length) else {
        return Header::Partial;
    };
    let port = |at: usize| Some(u16::from_be_bytes(rest.get(at..at + 2)?.try_into().ok()?));
    let client = match (command, family) {
        (0x20, _) | (_, 0x00) => None,
        (_, 0x11) => {
            let ip: Option<[u8; 4]> = rest.get(..4).and_then(|ip| ip.try_into().ok());
            let (Some(ip), Some(port)) = (ip, port(8)) else { return Header::Bad };
            Some(SocketAddr::new(ip.into(), port))
        }
        (_, 0x21) => {
            let ip: Option<[u8; 16]> = rest.get(..16).and_then(|ip| ip.try_into().ok());
            let (Some(ip), Some(port)) = (ip, port(32)) else { return Header::Bad };
            Some(SocketAddr::new(ip.into(), port))
        }
        // Datagrams and UNIX sockets bring us no mail.
        _ => return Header::Bad,
    };
    Header::Whole { client, octets: START_OCTETS + length }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(client: Option<&str>, octets: usize) -> Header {
        Header::Whole { client: client.map(|text| text.parse().unwrap()), octets }
    }

    #[test]
    fn headers_are_read_and_every_shorter_piece_is_partial() {
        let mut v4 = SIGNATURE.to_vec();
        v4.extend([0x21, 0x11, 0, 15, 203, 0, 113, 9, 192, 0, 2, 1, 0x30, 0x39, 0, 25, 4, 0, 0]);
        let mut v6 = SIGNATURE.to_vec();
        v6.extend([0x21, 0x21, 0, 36]);
        v6.extend("2001:db8::9".parse::<Ipv6Addr>().unwrap().octets());
        v6.extend([0; 16]);
        v6.extend([0x30, 0x39, 0, 25]);
        let mut local = SIGNATURE.to_vec();
        local.extend([0x20, 0, 0, 0]);
        let cases: [(&[u8], Option<&str>); 6] = [
            (b"PROXY TCP4 203.0.113.9 192.0.2.1 12345 25\r\n", Some("203.0.113.9:12345")),
            (b"PROXY TCP6 2001:db8::9 ::1 12345 25\r\n", Some("[2001:db8::9]:12345")),
            (b"PROXY UNKNOWN\r\n", None),
            (&v4, Some("203.0.113.9:12345")),
            (&v6, Some("[2001:db8::9]:12345")),
            (&local, None),
        ];
        for (octets, client) in cases {
            for len in 0..octets.len() {
                assert_eq!(header(&octets[..len]), Header::Partial, "{len} of {octets:?}");
            }
            assert_eq!(header(octets), whole(client, octets.len()));
            assert_eq!(header(&[octets, b"EHLO x\r\n"].concat()), whole(client, octets.len()));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let mut unix = SIGNATURE.to_vec();
        unix.extend([0x21, 0x31, 0, 0]);
        let mut short = SIGNATURE.to_vec();
        short.extend([0x21, 0x11, 0, 4, 1, 2, 3, 4]);
        let mut long = SIGNATURE.to_vec();
        long.extend([0x21, 0x11, 0xff, 0xff]);
        let mut version = SIGNATURE.to_vec();
        version.extend([0x31, 0x11, 0, 12]);
        let endless = [b"PROXY ".as_slice(), &[b'x'; 101]].concat();
        let texts: [&[u8]; 9] = [
            b"EHLO x\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 12345\r\n",
            b"PROXY TCP4 ::1 192.0.2.1 1 2\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 70000 25\r\n",
            b"PROXY TCP5 a b 1 2\r\n",
            b"PROXY TCP4  203.0.113.9 192.0.2.1 1 2\r\n",
            b"proxy",
            &endless,
            b"\r\n\r\nQUIT",
        ];
        for bad in texts.into_iter().chain([&unix, &short, &long, &version].map(Vec::as_slice)) {
            assert_eq!(header(bad), Header::Bad, "{}", bad.escape_ascii());
        }
    }
}
