//! Messages as they occur: headers of an ordinary mail program, text of words, some with parts.
//! The same seed makes the same messages, so that every server and round gets the same work.

use std::fmt::Write as _;

/// A stream of numbers that a seed determines (splitmix64).
pub struct Dice(u64);

impl Dice {
    /// A stream for a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.roll() % n.max(1)
    }
}

const WORDS: [&str; 64] = [
    "the", "of", "and", "to", "in", "that", "meeting", "report", "budget", "invoice", "project",
    "review", "please", "attached", "thanks", "regards", "monday", "tuesday", "friday", "team",
    "question", "answer", "server", "mailbox", "network", "release", "version", "update", "travel",
    "ticket", "hotel", "flight", "family", "holiday", "photo", "recipe", "garden", "school",
    "letter", "paper", "number", "figure", "table", "chapter", "summary", "draft", "final",
    "contract", "offer", "price", "order", "delivery", "address", "phone", "office", "house",
    "street", "city", "water", "light", "music", "concert", "library", "book",
];

/// A word in the text of about one message in a hundred.
pub const RARE_WORD: &str = "zephyrquartz";
/// A word in the subject of about one message in a hundred.
pub const RARE_SUBJECT: &str = "Obsidian";

fn words(dice: &mut Dice, out: &mut String, count: u64) {
    for n in 0..count {
        let word = WORDS.get(dice.below(64) as usize).copied().unwrap_or("word");
        out.push_str(if n == 0 { "" } else { " " });
        out.push_str(word);
    }
}

/// Lines of words, about so many octets.
fn text(dice: &mut Dice, octets: usize) -> String {
    let mut out = String::with_capacity(octets + 100);
    while out.len() < octets {
        words(dice, &mut out, 11);
        out.push_str("\r\n");
    }
    out
}

/// The message with another From: a server may refuse one that is not its sender's.
pub fn from(message: &[u8], user: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    let mut fresh = true;
    for line in message.split_inclusive(|b| *b == b'\n') {
        let is_from = fresh && line.starts_with(b"From:");
        let own = format!("From: <{user}>\r\n");
        out.extend_from_slice(if is_from { own.as_bytes() } else { line });
        fresh &= !is_from;
    }
    out
}

/// A message of about `octets`, the `n`th of its series.
pub fn message(n: u64, octets: usize) -> Vec<u8> {
    let mut dice = Dice::new(n.wrapping_mul(7919) + octets as u64);
    let mut out = String::with_capacity(octets + 1024);
    let (from, day, hour) = (dice.below(200), 1 + n / 24 % 28, n % 24);
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov"];
    let month = months.get((n / 24 / 28 % 11) as usize).copied().unwrap_or("Dec");
    let _ = write!(
        out,
        "Received: from client{from}.sender.test by relay.sender.test with ESMTPS id {n:08X};\r\n\
         \t{day} {month} 2025 {hour:02}:15:00 +0000\r\n\
         From: \"Sender Number {from}\" <sender{from}@sender.test>\r\n\
         To: Bench User <user@bench.test>, Another One <other{}@bench.test>\r\n\
         Cc: list{}@lists.test\r\nSubject: ",
        dice.below(50),
        dice.below(20)
    );
    if n % 4 == 3 {
        out.push_str("Re: ");
    }
    words(&mut dice, &mut out, 5);
    if n % 100 == 17 {
        let _ = write!(out, " {RARE_SUBJECT}");
    }
    let _ = write!(
        out,
        "\r\nDate: {day} {month} 2025 {hour:02}:15:{:02} +0000\r\nMessage-ID: <{n}.{octets}@sender.test>\r\n",
        n % 60
    );
    if n % 4 == 3 {
        let _ = write!(
            out,
            "In-Reply-To: <{0}.{octets}@sender.test>\r\nReferences: <{0}.{octets}@sender.test>\r\n",
            n - 3
        );
    }
    out.push_str("User-Agent: Ordinary Mail 115.3\r\nMIME-Version: 1.0\r\n");
    let left = octets.saturating_sub(out.len() + 120).max(200);
    let rare = if n % 100 == 42 { format!("{RARE_WORD}\r\n") } else { String::new() };
    if n.is_multiple_of(3) {
        let (plain, html) = (text(&mut dice, left / 3), text(&mut dice, left / 3));
        let _ = write!(
            out,
            "Content-Type: multipart/alternative; boundary=\"=_{n}\"\r\n\r\n--=_{n}\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n{plain}{rare}\r\n--=_{n}\r\n\
             Content-Type: text/html; charset=utf-8\r\n\r\n<html><p>\r\n{html}</p></html>\r\n--=_{n}--\r\n"
        );
    } else {
        let body = text(&mut dice, left);
        let _ = write!(out, "Content-Type: text/plain; charset=utf-8\r\n\r\n{body}{rare}");
    }
    out.into_bytes()
}

/// How large messages are.
#[derive(Clone, Copy)]
pub enum Size {
    /// All of them so many octets.
    Of(usize),
    /// 2 to 64 KB, evenly on a logarithmic scale: 18 KB on average.
    Mix,
}

/// So many different messages.
pub fn pool(size: Size, count: u64) -> Vec<Vec<u8>> {
    let one = |n: u64| match size {
        Size::Of(octets) => message(n, octets),
        Size::Mix => {
            let place = (n as f64 + 0.5) / count as f64;
            message(n, (2048.0 * 32f64.powf(place)) as usize)
        }
    };
    (0..count).map(one).collect()
}
