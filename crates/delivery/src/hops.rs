//! Whether a message goes in circles, as the `Received` lines of its header show. RFC 5321 §6.3.

use crate::accept::Incoming;
use crate::limits::{HOPS_MAX, ROUNDS_MAX};
use mail::Domain;

const NAME: &[u8] = b"received:";
/// Octets of such a field that are looked at: ours are shorter.
const FIELD_OCTETS: usize = 1000;

/// Counts the `Received` lines of a header that comes in pieces.
#[derive(Debug)]
pub struct HopCounter {
    /// What our own line says when the message is for the same alias.
    own: Option<[String; 2]>,
    /// The present field, as far as it matters.
    field: Vec<u8>,
    /// So many octets of it matter.
    room: usize,
    /// Nothing of the present line but CR was there yet.
    blank: bool,
    done: bool,
    hops: usize,
    rounds: usize,
}

impl HopCounter {
    /// For a message that comes to `hostname`. One for an alias comes back if its members lead here
    /// again: the line that [`crate::trace::received`] writes tells.
    pub fn new(incoming: &Incoming, hostname: &Domain) -> HopCounter {
        let own = match incoming.recipients.as_slice() {
            [one] if one.account.is_none() && incoming.authenticated.is_none() => {
                Some([format!("by {hostname} with "), format!("for <{}>", one.address)])
            }
            _ => None,
        };
        HopCounter::counting(own)
    }

    fn counting(own: Option<[String; 2]>) -> HopCounter {
        let (field, room) = (Vec::new(), NAME.len());
        HopCounter { own, field, room, blank: true, done: false, hops: 0, rounds: 0 }
    }

    /// The next octets of the message.
    pub fn feed(&mut self, octets: &[u8]) {
        for octet in octets {
            if self.done {
                return;
            }
            match octet {
                b'\n' if self.blank => {
                    self.end_field();
                    self.done = true;
                }
                b'\n' => self.blank = true,
                b'\r' => {}
                octet => {
                    // A line that begins with a blank goes on with the field before.
                    if std::mem::take(&mut self.blank) && !b" \t".contains(octet) {
                        self.end_field();
                    }
                    if self.field.len() < self.room {
                        self.field.push(*octet);
                        if self.field.len() == NAME.len() && self.is_received() {
                            self.room = FIELD_OCTETS;
                        }
                    }
                }
            }
        }
    }

    /// The message is complete: it goes in circles.
    pub fn finish(&mut self) -> bool {
        self.end_field();
        self.hops > HOPS_MAX || self.rounds > ROUNDS_MAX
    }

    fn is_received(&self) -> bool {
        self.field.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME))
    }

    fn end_field(&mut self) {
        if self.is_received() {
            self.hops += 1;
            let says = |text: &String| memchr::memmem::find(&self.field, text.as_bytes()).is_some();
            self.rounds += usize::from(self.own.as_ref().is_some_and(|own| own.iter().all(says)));
        }
        self.field.clear();
        self.room = NAME.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hops and rounds of a message, in pieces of any size.
    fn counted(message: &str) -> (usize, usize) {
        let own = ["by h with ".to_owned(), "for <a@b>".to_owned()];
        let count = |size| {
            let mut counter = HopCounter::counting(Some(own.clone()));
            message.as_bytes().chunks(size).for_each(|piece| counter.feed(piece));
            counter.finish();
            (counter.hops, counter.rounds)
        };
        let whole = count(1000);
        assert_eq!([count(1), count(7)], [whole; 2]);
        whole
    }

    #[test]
    fn hops_are_counted_in_the_header_only() {
        let head = "Received: a\r\n\tReceived: no\r\nRECEIVED: b\r\nX-Received: c\r\n";
        assert_eq!(counted(&format!("{head}\r\nReceived: d\r\n")), (2, 0));
        assert_eq!(counted(head), (2, 0));
    }

    #[test]
    fn rounds_are_our_own_lines_for_the_same_address() {
        let ours =
            "Received: from x ([192.0.2.1])\r\n\tby h with SMTP id 1\r\n\tfor <a@b>;\r\n\tdate\r\n";
        let of =
            |line: String| counted(&format!("{line}Subject: by h with for <a@b>\r\n\r\n{ours}"));
        assert_eq!(of(ours.to_owned()), (1, 1));
        assert_eq!(of(ours.repeat(2)), (2, 2));
        assert_eq!(of(ours.replace("by h", "by i")), (1, 0));
        assert_eq!(of(ours.replace("<a@b>", "<c@b>")), (1, 0));
        assert_eq!(of(ours.replace("Received", "X-Received")), (0, 0));
    }
}
