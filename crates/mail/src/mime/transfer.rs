//! Transfer encodings undone, in pieces of any size. RFC 2045 §6.
//!
//! Total: base64 that is damaged gives what can be read of it, what is wrong in quoted-printable
//! stays as it is. Any split of the input gives the same octets.

use super::structure::Part;

/// Undoes the transfer encoding of a part.
#[derive(Clone, Debug)]
pub struct Decoder(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Identity,
    Base64(Base64),
    /// The octets behind an `=` whose meaning is not known yet, with it; at most two.
    QuotedPrintable(Vec<u8>),
}

#[derive(Clone, Debug, Default)]
struct Base64 {
    bits: u32,
    /// Characters of the group so far.
    have: u32,
    /// The padding was seen: nothing follows.
    ended: bool,
}

impl Decoder {
    /// For the encoding of a part; `None` when we do not know that.
    pub fn of(part: &Part) -> Option<Decoder> {
        Decoder::new(part.content().encoding)
    }

    /// For a Content-Transfer-Encoding in lower case; `None` when we do not know it.
    pub fn new(encoding: &[u8]) -> Option<Decoder> {
        Some(Decoder(match encoding {
            b"7bit" | b"8bit" | b"binary" => Kind::Identity,
            b"base64" => Kind::Base64(Base64::default()),
            b"quoted-printable" => Kind::QuotedPrintable(Vec::new()),
            _ => return None,
        }))
    }

    /// Octets stand for themselves.
    pub fn is_identity(&self) -> bool {
        matches!(self.0, Kind::Identity)
    }

    /// Appends what the next octets stand for.
    pub fn decode(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            Kind::Identity => out.extend_from_slice(octets),
            Kind::Base64(base64) => base64.decode(octets, out),
            Kind::QuotedPrintable(held) => quoted_printable(held, octets, out),
        }
    }

    /// Appends what is left at the end.
    pub fn finish(self, out: &mut Vec<u8>) {
        match self.0 {
            Kind::Identity => {}
            Kind::Base64(base64) => base64.finish(out),
            Kind::QuotedPrintable(held) => out.extend(held),
        }
    }
}

/// What each character of base64 stands for. RFC 2045 §6.8.
const SIX_BITS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [NO_CHARACTER; 256];
    let mut n = 0;
    while n < alphabet.len() {
        values[alphabet[n] as usize] = n as u8;
        n += 1;
    }
    values
};
/// No six bits have this one.
const NO_CHARACTER: u8 = 0x80;

fn six_bits(character: u8) -> u8 {
    SIX_BITS.get(usize::from(character)).copied().unwrap_or(NO_CHARACTER)
}

impl Base64 {
    fn decode(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let mut rest = octets;
        while !self.ended {
            if self.have == 0 {
                rest = whole_groups(rest, out);
            }
            let Some((octet, after)) = rest.split_first() else { return };
            rest = after;
            match six_bits(*octet) {
                _ if *octet == b'=' => self.ended = true,
                // RFC 2045 §6.8: all other characters are passed over.
                NO_CHARACTER => {}
                value => self.add(value, out),
            }
        }
    }

    fn add(&mut self, value: u8, out: &mut Vec<u8>) {
        self.bits = self.bits << 6 | u32::from(value);
        self.have += 1;
        if self.have == 4 {
            let [_, group @ ..] = self.bits.to_be_bytes();
            out.extend_from_slice(&group);
            (self.bits, self.have) = (0, 0);
        }
    }

    /// A group cut short: two characters hold an octet, three hold two.
    fn finish(&self, out: &mut Vec<u8>) {
        match self.have {
            2 => out.push((self.bits >> 4) as u8),
            3 => out.extend_from_slice(&[(self.bits >> 10) as u8, (self.bits >> 2) as u8]),
            _ => {}
        }
    }
}

/// Decodes groups that nothing else stands within; what follows them.
fn whole_groups<'a>(octets: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let mut rest = octets;
    while let Some((group, after)) = rest.split_first_chunk::<4>() {
        let [a, b, c, d] = group.map(six_bits);
        if (a | b | c | d) & NO_CHARACTER != 0 {
            break;
        }
        let bits = u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d);
        let [_, group @ ..] = bits.to_be_bytes();
        out.extend_from_slice(&group);
        rest = after;
    }
    rest
}

/// RFC 2045 §6.7. `held` is what the last piece ended with and could not be decided.
fn quoted_printable(held: &mut Vec<u8>, octets: &[u8], out: &mut Vec<u8>) {
    let mut rest = octets;
    loop {
        if held.is_empty() {
            let at = memchr::memchr(b'=', rest).unwrap_or(rest.len());
            let (plain, after) = rest.split_at(at);
            out.extend_from_slice(plain);
            let Some((equals, after)) = after.split_first() else { return };
            held.push(*equals);
            rest = after;
        }
        let Some((&next, after)) = rest.split_first() else { return };
        let digit = |octet: u8| (octet as char).to_digit(16);
        match (held.get(1).copied(), next) {
            (None, b'\n') | (Some(b'\r'), b'\n') => held.clear(),
            (None, b'\r') => held.push(next),
            (None, _) if digit(next).is_some() => held.push(next),
            (Some(high), _) if digit(high).is_some() && digit(next).is_some() => {
                let value = digit(high).unwrap_or(0) << 4 | digit(next).unwrap_or(0);
                out.push(value as u8);
                held.clear();
            }
            // Not an encoding: it stays, and `next` is looked at anew.
            _ => {
                out.append(held);
                continue;
            }
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: &[u8], octets: &[u8], split: usize) -> Vec<u8> {
        let mut decoder = Decoder::new(encoding).unwrap();
        let mut out = Vec::new();
        octets.chunks(split).for_each(|piece| decoder.decode(piece, &mut out));
        decoder.finish(&mut out);
        out
    }

    #[test]
    fn any_split_gives_the_same() {
        let cases: [(&[u8], &[u8], &[u8]); 14] = [
            (b"base64", b"aGVs\r\nbG8=", b"hello"),
            (b"base64", b"aGVs bG8", b"hello"),
            (b"base64", b"aGVsb", b"hel"),
            (b"base64", b"!!!", b""),
            (b"base64", b"QQ==QQ==", b"A"),
            (b"base64", b"+/+/", b"\xfb\xff\xbf"),
            (b"quoted-printable", b"caf=E9 lo=\r\nng", b"caf\xe9 long"),
            (b"quoted-printable", b"a=\nb=3d=3D", b"ab=="),
            (b"quoted-printable", b"a=zz=4", b"a=zz=4"),
            (b"quoted-printable", b"a==41=\r=41", b"a=A=\rA"),
            (b"quoted-printable", b"a=4=41=", b"a=4A="),
            (b"quoted-printable", b"=00=\r\n\r\n=", b"\0\r\n="),
            (b"8bit", b"=41\xff", b"=41\xff"),
            (b"binary", b"", b""),
        ];
        for (encoding, octets, expected) in cases {
            for split in 1..=octets.len().max(1) {
                let found = decoded(encoding, octets, split);
                assert_eq!(found, expected, "{} by {split}", octets.escape_ascii());
            }
        }
        assert!(Decoder::new(b"x-uuencode").is_none());
    }
}
