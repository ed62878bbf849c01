//! How the memory for caches is shared out. One setting sizes them all.

/// Octets of a row in memory, at most: a page of messages, a page of contents, a mailbox, what is
/// known of an address or an account.
const PAGE_OCTETS: u64 = 128 * 48;
const CONTENT_PAGE_OCTETS: u64 = 64 * 40;
const MAILBOX_OCTETS: u64 = 512;
const KNOWN_OCTETS: u64 = 256;

/// What each cache may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caches {
    /// Octets of the engine's.
    pub engine: u64,
    /// Pages of messages that the writer keeps.
    pub pages: usize,
    /// Pages of contents that the writer keeps, and as many for those who read messages.
    pub content_pages: usize,
    /// Mailboxes that the writer keeps.
    pub mailboxes: usize,
    /// Addresses, INBOXes and limits, of each kind.
    pub known: usize,
    /// Octets of what accounts taught.
    pub taught: usize,
}

impl Caches {
    /// For so many octets together. The 32nd that is left is for those who use the store.
    pub fn of(memory_limit: u64) -> Caches {
        let part = memory_limit / 32;
        let rows = |parts: u64, octets: u64| {
            usize::try_from(part.saturating_mul(parts) / octets).unwrap_or(usize::MAX).max(16)
        };
        Caches {
            engine: part.saturating_mul(23),
            pages: rows(3, PAGE_OCTETS),
            // Counted twice.
            content_pages: rows(1, CONTENT_PAGE_OCTETS),
            mailboxes: rows(1, MAILBOX_OCTETS),
            known: rows(1, KNOWN_OCTETS * 2),
            taught: rows(1, 1),
        }
    }
}
