//! Threads of messages: ORDEREDSUBJECT, REFERENCES and REFS. RFC 5256 §3 (BASE.6.4.THREAD).
//!
//! Invariants: every message is in the result once; no recursion, so depth costs nothing; the work
//! is bounded whatever the references say.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};

/// Steps up the tree that one call may take while it looks for loops. Real mail needs a few for
/// each link; beyond the limit a link that would need a long search is not made.
const ANCESTRY_STEPS_MAX: usize = 20_000_000;
/// References of one message that are followed: the last ones.
const REFERENCES_MAX: usize = 1000;

/// A Message-ID or a base subject: 64 bits of it under a key, so that nobody outside can make two
/// of them equal, and with a million messages they are equal by chance once in 30 million THREADs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark(u64);

/// The key of a THREAD.
#[derive(Clone, Debug, Default)]
pub struct Marks(RandomState);

impl Marks {
    /// The mark of a text.
    pub fn of(&self, text: &[u8]) -> Mark {
        Mark(self.0.hash_one(text))
    }
}

/// What threading goes by.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Its Message-ID, as [`each_message_id`] gives it.
    pub id: Option<Mark>,
    /// What it refers to, oldest first.
    pub references: Vec<Mark>,
    /// Its sent date.
    pub sent: i64,
    /// When it arrived.
    pub arrived: i64,
    /// Its base subject, folded, unless that is empty.
    pub subject: Option<Mark>,
    /// It is a reply or a forward by its subject.
    pub is_reply: bool,
}

/// Gives the message ids in a References, In-Reply-To or Message-ID field: without angles and
/// quoting.
pub fn each_message_id(field: &[u8], mut each: impl FnMut(&[u8])) {
    let mut quoted_id = Vec::new();
    let mut rest = field;
    while let Some(open) = memchr::memchr(b'<', rest) {
        rest = rest.get(open + 1..).unwrap_or_default();
        let odd =
            |byte: &u8| matches!(byte, b'>' | b'"' | b'\\' | b'<' | b' ' | b'\t' | b'\r' | b'\n');
        match rest.iter().position(odd).and_then(|at| rest.split_at_checked(at)) {
            Some((id, after)) if after.starts_with(b">") => {
                rest = after;
                if !id.is_empty() {
                    each(id);
                }
            }
            _ => {
                rest = unquoted(rest, &mut quoted_id);
                if !quoted_id.is_empty() {
                    each(&quoted_id);
                }
            }
        }
    }
}

/// An id with blanks or quoting in it, put into `id`, which is left empty if it does not end; gives
/// what follows.
fn unquoted<'a>(mut rest: &'a [u8], id: &mut Vec<u8>) -> &'a [u8] {
    id.clear();
    let mut quoted = false;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                if let Some((&escaped, after)) = rest.split_first() {
                    rest = after;
                    id.push(escaped);
                }
            }
            b'>' if !quoted => return rest,
            b'<' if !quoted => id.clear(),
            b' ' | b'\t' | b'\r' | b'\n' => {}
            byte => id.push(byte),
        }
    }
    id.clear();
    rest
}

/// A forest over messages, which are numbered as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Threads {
    roots: Vec<usize>,
    children: Vec<Vec<usize>>,
    /// Nodes from here on stand for messages that are not there.
    messages: usize,
}

impl Threads {
    /// `(1)(2 3 (4)(5 6))`, with the numbers that `number` gives.
    pub fn show(&self, number: impl Fn(usize) -> u32) -> String {
        enum Next {
            Node(usize),
            Text(&'static str),
        }
        let mut out = String::with_capacity(self.messages * 8);
        let mut open: Vec<Next> = Vec::new();
        let enclosed = |open: &mut Vec<Next>, nodes: &[usize]| {
            for node in nodes.iter().rev() {
                open.extend([Next::Text(")"), Next::Node(*node), Next::Text("(")]);
            }
        };
        enclosed(&mut open, &self.roots);
        while let Some(next) = open.pop() {
            let node = match next {
                Next::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Next::Node(node) => node,
            };
            let children = self.children.get(node).map(Vec::as_slice).unwrap_or_default();
            let real = node < self.messages;
            if real {
                let _ = write!(out, "{}", number(node));
            }
            match children {
                [] => {}
                [only] => {
                    open.push(Next::Node(*only));
                    out.push_str(if real { " " } else { "" });
                }
                several => {
                    enclosed(&mut open, several);
                    out.push_str(if real { " " } else { "" });
                }
            }
        }
        out
    }
}

/// Threads by subject alone: the first of a subject, the others below it.
pub fn ordered_subject(messages: &[Message]) -> Threads {
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by_key(|n| messages.get(*n).map(|m| (m.subject, m.sent, *n)));
    let mut threads = Threads {
        children: vec![Vec::new(); messages.len()],
        messages: messages.len(),
        ..Threads::default()
    };
    let subject = |n: &usize| messages.get(*n).map(|m| m.subject);
    for group in order.chunk_by(|a, b| subject(a) == subject(b)) {
        let Some((first, others)) = group.split_first() else { continue };
        threads.roots.push(*first);
        if let Some(children) = threads.children.get_mut(*first) {
            *children = others.to_vec();
        }
    }
    threads.roots.sort_by_key(|n| (messages.get(*n).map(|m| m.sent), *n));
    threads
}

/// Threads by References and In-Reply-To, then by subject.
pub fn references(messages: &[Message]) -> Threads {
    let mut links = Links::new(messages);
    links.link_all(messages);
    let mut forest = Forest::new(messages, &links);
    forest.prune();
    forest.sort_roots();
    forest.gather_subjects();
    forest.finish()
}

/// Threads by References and In-Reply-To alone, those that got a message last at the end: REFS of
/// draft-ietf-morg-inthread.
pub fn refs(messages: &[Message]) -> Threads {
    let mut links = Links::new(messages);
    links.link_all(messages);
    let mut forest = Forest::new(messages, &links);
    forest.prune();
    forest.sort_children();
    forest.sort_roots_by_arrival();
    forest.done()
}

/// A number for the thread a message belongs to, of what its header says and nothing else: the
/// oldest message it refers to, or itself. Clients keep it, and it must never change for a message
/// (RFC 8474 §5.2). `None` when it neither refers to anything nor has an id.
pub fn identity(
    references: Option<&[u8]>,
    in_reply_to: Option<&[u8]>,
    message_id: Option<&[u8]>,
) -> Option<u128> {
    let first = |field: &[u8]| {
        let mut first = None;
        each_message_id(field, |id| {
            first.get_or_insert_with(|| hash(id));
        });
        first
    };
    [references, in_reply_to, message_id].into_iter().flatten().find_map(first)
}

/// FNV-1a with 128 bits. Whoever makes two ids equal could as well refer to the other message.
fn hash(text: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    text.iter().fold(BASIS, |hash, octet| (hash ^ u128::from(*octet)).wrapping_mul(PRIME))
}

/// A mark is a hash already.
type Hashed = std::hash::BuildHasherDefault<MarkHasher>;

#[derive(Default)]
struct MarkHasher(u64);

impl std::hash::Hasher for MarkHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(*octet));
        }
    }
    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }
}

/// Who is whose parent: step 1.
struct Links {
    parent: Vec<Option<usize>>,
    has_children: Vec<bool>,
    by_id: HashMap<Mark, usize, Hashed>,
    steps: usize,
}

impl Links {
    fn new(messages: &[Message]) -> Links {
        let mut by_id = HashMap::with_capacity_and_hasher(messages.len(), Hashed::default());
        for (n, message) in messages.iter().enumerate() {
            if let Some(id) = message.id {
                // The first of an id has it.
                by_id.entry(id).or_insert(n);
            }
        }
        let count = messages.len();
        Links { parent: vec![None; count], has_children: vec![false; count], by_id, steps: 0 }
    }

    fn node(&mut self, id: Mark) -> usize {
        let next = self.parent.len();
        let node = *self.by_id.entry(id).or_insert(next);
        if node == next {
            self.parent.push(None);
            self.has_children.push(false);
        }
        node
    }

    fn link_all(&mut self, messages: &[Message]) {
        for (n, message) in messages.iter().enumerate() {
            let skip = message.references.len().saturating_sub(REFERENCES_MAX);
            let mut before = None;
            for id in message.references.iter().skip(skip) {
                let node = self.node(*id);
                if let Some(parent) = before
                    && self.parent_of(node).is_none()
                {
                    self.link(parent, node);
                }
                before = Some(node);
            }
            // (B): what the message itself says of its parent counts most.
            if let Some(slot) = self.parent.get_mut(n) {
                *slot = None;
            }
            if let Some(parent) = before {
                self.link(parent, n);
            }
        }
    }

    fn parent_of(&self, node: usize) -> Option<usize> {
        self.parent.get(node).copied().flatten()
    }

    /// Makes `parent` the parent of `child` unless that made a loop.
    fn link(&mut self, parent: usize, child: usize) {
        if parent == child {
            return;
        }
        if self.has_children.get(child) == Some(&true) {
            let mut above = Some(parent);
            while let Some(node) = above {
                self.steps += 1;
                if node == child || self.steps > ANCESTRY_STEPS_MAX {
                    return;
                }
                above = self.parent_of(node);
            }
        }
        if let Some(slot) = self.parent.get_mut(child) {
            *slot = Some(parent);
        }
        if let Some(slot) = self.has_children.get_mut(parent) {
            *slot = true;
        }
    }
}

/// The tree while it is pruned and put in order: steps 2 to 6.
struct Forest<'a> {
    messages: &'a [Message],
    roots: Vec<usize>,
    children: Vec<Vec<usize>>,
}

impl<'a> Forest<'a> {
    fn new(messages: &'a [Message], links: &Links) -> Forest<'a> {
        let mut children = vec![Vec::new(); links.parent.len()];
        let mut roots = Vec::new();
        for (node, parent) in links.parent.iter().enumerate() {
            match parent.and_then(|parent| children.get_mut(parent)) {
                Some(siblings) => siblings.push(node),
                None => roots.push(node),
            }
        }
        Forest { messages, roots, children }
    }

    fn is_dummy(&self, node: usize) -> bool {
        node >= self.messages.len()
    }
    fn children_of(&self, node: usize) -> &[usize] {
        self.children.get(node).map(Vec::as_slice).unwrap_or_default()
    }
    fn take_children(&mut self, node: usize) -> Vec<usize> {
        self.children.get_mut(node).map(std::mem::take).unwrap_or_default()
    }
    fn put_children(&mut self, node: usize, children: Vec<usize>) {
        if let Some(slot) = self.children.get_mut(node) {
            *slot = children;
        }
    }

    /// All nodes, each after its parent.
    fn downwards(&self) -> Vec<usize> {
        let mut order = self.roots.clone();
        let mut at = 0;
        while let Some(node) = order.get(at).copied() {
            order.extend_from_slice(self.children_of(node));
            at += 1;
        }
        order
    }

    /// Step 3: dummies go, their children take their place; only at the top a dummy holds several.
    fn prune(&mut self) {
        for node in self.downwards().into_iter().rev() {
            let mut kept = Vec::new();
            for child in self.take_children(node) {
                if self.is_dummy(child) {
                    let mut promoted = self.take_children(child);
                    if promoted.len() > kept.len() {
                        std::mem::swap(&mut promoted, &mut kept);
                    }
                    kept.append(&mut promoted);
                } else {
                    kept.push(child);
                }
            }
            self.put_children(node, kept);
        }
        let roots = std::mem::take(&mut self.roots);
        for root in roots {
            if self.is_dummy(root) && self.children_of(root).len() < 2 {
                let mut only = self.take_children(root);
                self.roots.append(&mut only);
            } else {
                self.roots.push(root);
            }
        }
    }

    /// Sent date, then place in the mailbox; a dummy counts as its first child.
    fn key(&self, node: usize) -> (i64, usize) {
        let own = |n: usize| self.messages.get(n).map(|message| (message.sent, n));
        let first = || self.children_of(node).iter().filter_map(|child| own(*child)).min();
        own(node).or_else(first).unwrap_or((i64::MAX, node))
    }

    fn sort(&self, nodes: &mut [usize]) {
        nodes.sort_by_cached_key(|node| self.key(*node));
    }

    /// Step 4.
    fn sort_roots(&mut self) {
        let mut roots = std::mem::take(&mut self.roots);
        self.sort(&mut roots);
        self.roots = roots;
    }

    /// The message whose subject is the thread's.
    fn head(&self, root: usize) -> Option<&'a Message> {
        match self.is_dummy(root) {
            false => self.messages.get(root),
            true => {
                let children = self.children_of(root);
                let first = children.iter().min_by_key(|child| self.key(**child))?;
                self.messages.get(*first)
            }
        }
    }

    /// Step 5: threads of one subject become one.
    fn gather_subjects(&mut self) {
        let heads: Vec<(usize, Option<&'a Message>)> =
            self.roots.iter().map(|root| (*root, self.head(*root))).collect();
        let named = |head: &Option<&'a Message>| head.and_then(|m| m.subject);
        let mut table: HashMap<Mark, (usize, bool), Hashed> = HashMap::default();
        for (root, head) in &heads {
            let Some(subject) = named(head) else { continue };
            let dummy = self.is_dummy(*root);
            let replies = !dummy && head.is_some_and(|head| head.is_reply);
            table
                .entry(subject)
                .and_modify(|(had, had_replies)| {
                    let better = dummy || (*had_replies && !replies);
                    if *had < self.messages.len() && better {
                        (*had, *had_replies) = (*root, replies);
                    }
                })
                .or_insert((*root, replies));
        }
        let mut roots = Vec::with_capacity(heads.len());
        for (root, head) in &heads {
            let place = named(head).and_then(|subject| table.get_mut(&subject));
            let Some((had, had_replies)) = place.filter(|(had, _)| had != root) else {
                // In the table itself, or of no subject.
                roots.push(*root);
                continue;
            };
            let replies = head.is_some_and(|head| head.is_reply);
            if self.is_dummy(*had) {
                let mut more = match self.is_dummy(*root) {
                    true => self.take_children(*root),
                    false => vec![*root],
                };
                if let Some(children) = self.children.get_mut(*had) {
                    children.append(&mut more);
                }
            } else if !self.is_dummy(*root) && replies && !*had_replies {
                if let Some(children) = self.children.get_mut(*had) {
                    children.push(*root);
                }
            } else {
                self.children.push(vec![*had, *root]);
                let dummy = self.children.len() - 1;
                (*had, *had_replies) = (dummy, false);
                roots.push(dummy);
            }
        }
        // What was put below a dummy that took its place is no root any more.
        let mut below = vec![false; self.children.len()];
        for child in self.children.iter().flatten() {
            if let Some(slot) = below.get_mut(*child) {
                *slot = true;
            }
        }
        roots.retain(|root| below.get(*root) == Some(&false));
        self.roots = roots;
    }

    fn sort_children(&mut self) {
        for node in 0..self.children.len() {
            let mut children = self.take_children(node);
            self.sort(&mut children);
            self.put_children(node, children);
        }
    }

    /// By the latest message of each thread.
    fn sort_roots_by_arrival(&mut self) {
        let own = |node: usize| self.messages.get(node).map_or(i64::MIN, |m| m.arrived);
        let mut latest: Vec<i64> = (0..self.children.len()).map(own).collect();
        for node in self.downwards().into_iter().rev() {
            let below = self.children_of(node).iter().filter_map(|child| latest.get(*child));
            let most = below.copied().max();
            if let (Some(slot), Some(most)) = (latest.get_mut(node), most) {
                *slot = most.max(*slot);
            }
        }
        self.roots.sort_by_key(|root| (latest.get(*root).copied(), *root));
    }

    /// Step 6.
    fn finish(mut self) -> Threads {
        self.sort_children();
        self.sort_roots();
        self.done()
    }

    fn done(self) -> Threads {
        Threads { roots: self.roots, children: self.children, messages: self.messages.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static MARKS: Marks = Marks::default();
    }

    fn mark(text: &[u8]) -> Mark {
        MARKS.with(|marks| marks.of(text))
    }

    fn message_ids(field: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        each_message_id(field, |id| found.push(id.to_vec()));
        found
    }

    fn message(id: &str, references: &str, sent: i64, subject: &str) -> Message {
        let marks = |field: &str| -> Vec<Mark> {
            message_ids(field.as_bytes()).iter().map(|id| mark(id)).collect()
        };
        let is_reply = subject.starts_with("Re: ");
        let subject = subject.trim_start_matches("Re: ").to_uppercase();
        let references = marks(references);
        let subject = Some(subject).filter(|s| !s.is_empty()).map(|s| mark(s.as_bytes()));
        Message { id: marks(id).pop(), references, sent, arrived: sent, subject, is_reply }
    }

    fn show(threads: &Threads) -> String {
        threads.show(|n| n as u32 + 1)
    }

    #[test]
    fn ids_lose_their_quoting() {
        // RFC 5256: both are the same Message ID.
        let quoted = message_ids(b"<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>");
        assert_eq!(quoted, message_ids(b"junk <01KF8JCEOCBS0045PS@xxx.yyy.com> x"));
        assert_eq!(message_ids(b"<a@b> <c@d>\r\n <e@f").len(), 2);
        let odd = message_ids(b"<a\r\n @b><><\"\\>\">< <x@y>");
        assert_eq!(odd, [b"a@b".as_slice(), b">", b"x@y"]);
    }

    #[test]
    fn replies_hang_below_what_they_answer() {
        let messages = [
            message("<a@x>", "", 1, "one"),
            message("<b@x>", "<a@x>", 2, "Re: one"),
            message("<c@x>", "<a@x> <b@x>", 3, "Re: one"),
            message("<d@x>", "<a@x>", 4, "Re: one"),
            message("<e@x>", "", 0, "two"),
        ];
        assert_eq!(show(&references(&messages)), "(5)(1 (2 3)(4))");
        assert_eq!(show(&ordered_subject(&messages)), "(5)(1 (2)(3)(4))");
    }

    #[test]
    fn refs_keeps_subjects_apart_and_puts_the_latest_thread_last() {
        let all = [
            message("<a>", "", 10, "Hi"),
            message("<b>", "", 20, "Re: Hi"),
            message("<c>", "<a>", 30, "Re: Hi"),
            message("<d>", "<x>", 5, "Gone"),
            message("<e>", "<x>", 25, "Gone"),
        ];
        // Threads: a with c (latest 30), b (20), d and e below one that is not there (25).
        assert_eq!(show(&refs(&all)), "(2)((4)(5))(1 3)");
        assert_eq!(show(&references(&all)), "((4)(5))(1 (2)(3))");
        // What counts is when a message arrived, not what it says.
        let mut late = all.clone();
        late[1].arrived = 40;
        assert_eq!(show(&refs(&late)), "((4)(5))(1 3)(2)");
    }

    #[test]
    fn identities_are_those_of_the_oldest_reference() {
        let of = |references: &str, reply: &str, id: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.as_bytes().to_vec());
            let (references, reply, id) = (some(references), some(reply), some(id));
            identity(references.as_deref(), reply.as_deref(), id.as_deref())
        };
        let thread = of("", "", "<a@x>");
        assert_eq!(of("<a@x>", "<a@x>", "<b@x>"), thread);
        assert_eq!(of("<a@x> <b@x>", "<b@x>", "<c@x>"), thread);
        assert_eq!(of("", "Your mail <\"a\"@x> of today", "<d@x>"), thread);
        assert_ne!(of("", "", "<b@x>"), thread);
        assert_eq!(of("nonsense", "", "<a@x>"), thread);
        assert_eq!(of("", "nonsense", ""), None);
        // It is the same in all versions: clients keep it.
        assert_eq!(of("", "", "<a>"), Some(0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964));
    }

    #[test]
    fn a_missing_parent_holds_its_children() {
        // RFC 5256 BASE.7.2.THREAD: `((3)(5))`.
        let messages =
            [message("<b@x>", "<gone@x>", 1, "Re: p"), message("<c@x>", "<gone@x>", 2, "Re: p")];
        assert_eq!(show(&references(&messages)), "((1)(2))");
        let one = [message("<b@x>", "<gone@x>", 1, "p")];
        assert_eq!(show(&references(&one)), "(1)");
    }

    #[test]
    fn one_subject_is_one_thread() {
        let messages = [
            message("<a@x>", "", 1, "same"),
            message("<b@x>", "", 2, "Re: same"),
            message("<c@x>", "", 3, "same"),
            message("<d@x>", "", 4, ""),
            message("<e@x>", "", 5, ""),
        ];
        // The reply below the first, then a dummy over the first and the third.
        assert_eq!(show(&references(&messages)), "((1 2)(3))(4)(5)");
    }

    #[test]
    fn loops_duplicates_and_depth_do_no_harm() {
        let messages = [
            message("<a@x>", "<b@x>", 1, "x"),
            message("<b@x>", "<a@x>", 2, "y"),
            message("<a@x>", "<a@x> <a@x>", 3, "z"),
        ];
        let shown = show(&references(&messages));
        for n in ["1", "2", "3"] {
            assert_eq!(shown.matches(n).count(), 1, "{shown}");
        }
        let chain: Vec<Message> = (0..100_000)
            .map(|n| message(&format!("<{n}@x>"), &format!("<{}@x>", n - 1), n, ""))
            .collect();
        assert_eq!(show(&references(&chain)).matches(' ').count(), 99_999);
        let backwards: Vec<Message> = chain.into_iter().rev().collect();
        assert_eq!(show(&references(&backwards)).matches(' ').count(), 99_999);
    }
}
