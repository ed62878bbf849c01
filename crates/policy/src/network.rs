//! Networks: an address and how many of its bits count. RFC 4632 §3.1, RFC 4291 §2.3.

use std::net::IpAddr;
use std::str::FromStr;

/// `192.0.2.0/24`, `2001:db8::/32`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    length: u32,
}

/// An address as 128 bits: IPv4 is mapped into IPv6 (RFC 4291 §2.5.5.2).
fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Network {
    fn mask(self) -> u128 {
        u128::MAX.checked_shl(128 - self.length).unwrap_or(0)
    }

    /// The address is in it.
    pub fn contains(self, ip: IpAddr) -> bool {
        (bits(ip) ^ self.bits) & self.mask() == 0
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong = || format!("'{text}' is no network, as 192.0.2.0/24 or 2001:db8::/32 are");
        let (ip, length) = match text.split_once('/') {
            Some((ip, length)) => (ip, Some(length)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let (most, before) = if ip.is_ipv4() { (32, 96) } else { (128, 0) };
        let length: u32 = length.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if length > most {
            return Err(wrong());
        }
        Ok(Network { bits: bits(ip), length: before + length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_they_say() {
        let has = |network: &str, ip: &str| {
            network.parse::<Network>().unwrap().contains(ip.parse().unwrap())
        };
        assert!(has("192.0.2.0/24", "192.0.2.255") && !has("192.0.2.0/24", "192.0.3.0"));
        assert!(has("192.0.2.7", "192.0.2.7") && !has("192.0.2.7", "192.0.2.8"));
        assert!(has("192.0.2.0/24", "::ffff:192.0.2.1") && has("0.0.0.0/0", "1.2.3.4"));
        assert!(has("2001:db8::/32", "2001:db8:1::1") && !has("2001:db8::/32", "2001:db9::1"));
        assert!(has("::/0", "::1") && !has("0.0.0.0/0", "2001:db8::1"));
        for bad in ["", "x", "192.0.2.0/33", "::/129", "192.0.2.0/", "192.0.2/24", "::/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
