//! The octets that are signed. RFC 6376 §3.4, §3.7.

use aws_lc_rs::digest;
use mail::header::Field;

/// How much may change on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canon {
    /// Nothing.
    Simple,
    /// White space.
    Relaxed,
}

/// Hashes a body that comes in pieces of any size.
pub struct BodyHash {
    canon: Canon,
    hash: digest::Context,
    /// Octets that were hashed.
    octets: u64,
    /// Line breaks that are hashed only if something follows.
    breaks: u64,
    /// White space before what follows in this line.
    space: bool,
    /// The last octet was CR.
    cr: bool,
    /// Canonical octets that are not hashed yet.
    out: Vec<u8>,
}

/// Octets that are hashed at once.
const PIECE: usize = 4096;

impl BodyHash {
    /// At the start of a body.
    pub fn new(canon: Canon) -> BodyHash {
        BodyHash {
            canon,
            hash: digest::Context::new(&digest::SHA256),
            octets: 0,
            breaks: 0,
            space: false,
            cr: false,
            out: Vec::with_capacity(PIECE + 8),
        }
    }

    /// The next octets.
    pub fn feed(&mut self, octets: &[u8]) {
        for &octet in octets {
            if self.cr {
                self.cr = false;
                if octet == b'\n' {
                    self.breaks += 1;
                    self.space = false;
                    continue;
                }
                self.put(b'\r');
            }
            match octet {
                b'\r' => self.cr = true,
                b' ' | b'\t' if self.canon == Canon::Relaxed => self.space = true,
                _ => self.put(octet),
            }
        }
    }

    fn put(&mut self, octet: u8) {
        while self.breaks > 0 {
            self.breaks -= 1;
            self.out.extend_from_slice(b"\r\n");
            self.flush_above(PIECE);
        }
        if self.space {
            self.space = false;
            self.out.push(b' ');
        }
        self.out.push(octet);
        self.flush_above(PIECE);
    }

    fn flush_above(&mut self, octets: usize) {
        if self.out.len() > octets {
            self.hash.update(&self.out);
            self.octets += self.out.len() as u64;
            self.out.clear();
        }
    }

    /// The hash, and of how many octets it is.
    pub fn finish(mut self) -> (Vec<u8>, u64) {
        if self.cr {
            self.put(b'\r');
        }
        self.flush_above(0);
        if self.octets > 0 || self.canon == Canon::Simple {
            self.out.extend_from_slice(b"\r\n");
        }
        self.flush_above(0);
        (self.hash.finish().as_ref().to_vec(), self.octets)
    }
}

/// A header field as it is signed, its line break included.
pub fn field(field: &Field<'_>, canon: Canon, out: &mut Vec<u8>) {
    if canon == Canon::Simple {
        out.extend_from_slice(field.raw);
        return;
    }
    out.extend(field.name.iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let mut space = false;
    for &octet in field.value.trim_ascii() {
        match octet {
            b' ' | b'\t' => space = true,
            b'\r' | b'\n' => {}
            _ => {
                if std::mem::take(&mut space) {
                    out.push(b' ');
                }
                out.push(octet);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The signature's own field, with nothing after `b=` and without its line break.
pub fn own_field(signature: &Field<'_>, canon: Canon, out: &mut Vec<u8>) {
    let mut value = Vec::with_capacity(signature.value.len());
    for (n, tag) in signature.value.split(|b| *b == b';').enumerate() {
        if n > 0 {
            value.push(b';');
        }
        let equals = tag.iter().position(|b| *b == b'=');
        match equals.and_then(|at| tag.split_at_checked(at)) {
            Some((name, _)) if name.trim_ascii() == b"b" => {
                value.extend_from_slice(name);
                value.push(b'=');
            }
            _ => value.extend_from_slice(tag),
        }
    }
    let head = signature.raw.len() - signature.value.len();
    let raw = [signature.raw.get(..head).unwrap_or_default(), &value].concat();
    let emptied = Field { name: signature.name, raw: &raw, value: &value };
    field(&emptied, canon, out);
    while out.ends_with(b"\n") || out.ends_with(b"\r") {
        out.pop();
    }
}
