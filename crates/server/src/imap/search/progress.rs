//! What a client hears of a search that takes long. RFC 9585.

use std::time::Duration;
use tokio::time::Instant;

/// How long a search goes on before the client hears that it does (users.md I-82), and how often it
/// hears then. RFC 9585 §4: every 10 to 15 seconds; there are clients that give up after 15.
const EVERY: Duration = Duration::from_secs(10);

/// When something is to be said next, and what.
pub(super) struct Progress {
    /// The command's tag as it is told.
    tag: String,
    next: Instant,
    /// Messages of other mailboxes that were looked at before.
    before: u32,
    /// There is one mailbox: how many messages there are to look at is known.
    alone: bool,
}

impl Progress {
    /// For a search that begins, of one mailbox or of several.
    pub fn new(tag: &str, alone: bool) -> Progress {
        // RFC 9585 §4: a tag with `]` would end the code.
        let tag = if tag.contains(']') { "NIL".to_owned() } else { format!("\"{tag}\"") };
        Progress { tag, next: Instant::now() + EVERY, before: 0, alone }
    }

    /// All messages of a mailbox were looked at.
    pub fn is_through(&mut self, messages: u32) {
        self.before = self.before.saturating_add(messages);
    }

    /// The code to be told, if it is time: `looked` of `all` messages were looked at. Nothing once
    /// that is all of them, since the answer comes next.
    pub fn due(&mut self, looked: u32, all: u32) -> Option<String> {
        if Instant::now() < self.next || self.alone && looked >= all {
            return None;
        }
        self.next = Instant::now() + EVERY;
        let goal = if self.alone { all.to_string() } else { "NIL".to_owned() };
        let done = self.before.saturating_add(looked);
        Some(format!("INPROGRESS ({} {done} {goal})", self.tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        let told = |progress: &mut Progress, looked, all| {
            assert_eq!(progress.due(looked, all), None, "too early");
            progress.next = Instant::now();
            progress.due(looked, all)
        };
        let code = |text: &str| Some(text.to_owned());
        let mut one = Progress::new("A001", true);
        assert_eq!(told(&mut one, 454, 1000), code("INPROGRESS (\"A001\" 454 1000)"));
        assert_eq!(told(&mut one, 999, 1000), code("INPROGRESS (\"A001\" 999 1000)"));
        assert_eq!(told(&mut one, 1000, 1000), None);
        // The goal of several mailboxes is not known; a tag may have `]`.
        let mut several = Progress::new("a]", false);
        several.is_through(175);
        assert_eq!(told(&mut several, 0, 0), code("INPROGRESS (NIL 175 NIL)"));
    }
}
