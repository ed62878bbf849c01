//! What the data receiver does, in thirty lines that are slow and plain.

use protocol::smtp::body::Bare;

/// The reference of the data receiver: the message in the octets after 354, whether it holds what
/// strangers may not send, and how many octets it took; `None` when it does not end. RFC 5321
/// §4.1.1.4, §4.5.2.
pub fn reference(octets: &[u8], bare: Bare) -> Option<(Vec<u8>, bool, usize)> {
    let framed = [b"\r\n", octets].concat();
    let end = framed.windows(5).position(|five| five == b"\r\n.\r\n")?;
    let mut rest = framed.get(2..end + 2).unwrap_or_default();
    let (mut message, mut tainted) = (Vec::new(), false);
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        let line = rest.get(..at).unwrap_or_default();
        let line = line.strip_prefix(b".").unwrap_or(line);
        tainted |= line.iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
        for byte in line {
            match (bare, byte) {
                (Bare::Repair, b'\r' | b'\n') => message.extend_from_slice(b"\r\n"),
                (_, byte) => message.push(*byte),
            }
        }
        message.extend_from_slice(b"\r\n");
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    Some((message, tainted && bare == Bare::Refuse, end + 3))
}
