//! However a message is made, each thing that is done with it takes at most four times its octets
//! in memory. (Very small ones take more: a part takes half a kilobyte, and there are 10,000 at
//! most.) That the work grows as the octets do is counted by `bench mime --count`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;

use cases::CASES;
use mail::header::{decode_words, params::Parameterised};
use mail::mime::{summary_of, text};
use mail::subject::base_subject;
use mail::thread::each_message_id;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const OCTETS: usize = 3_000_000;
/// What is needed however small a message is.
const SLACK: usize = 64 * 1024;

/// The most memory that was taken at one time, beside what there was before.
fn most(work: impl FnOnce()) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    work();
    MEMORY.peak_usage() - before
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn hostile_messages_take_four_times_their_octets_at_most() {
    for (name, make) in CASES {
        let message = make(OCTETS);
        let root = summary_of(&message).root;
        let works: [(&str, &mut dyn FnMut()); 4] = [
            ("structure", &mut || {
                let summary = summary_of(&message);
                // A part takes some 30 octets, however small it is.
                assert!(summary.encode().len() <= message.len() * 4 + 4096, "{name}");
                base_subject(summary.envelope.subject.as_deref().unwrap_or_default());
                let references = summary.references.as_deref().unwrap_or_default();
                each_message_id(references, |_| {});
            }),
            ("parameters", &mut || drop(Parameterised::parse(&message))),
            ("words", &mut || drop(decode_words(&message))),
            ("texts", &mut || {
                text::texts(&root, text::in_memory::<()>(&message)).unwrap();
            }),
        ];
        for (what, work) in works {
            let most = most(work);
            assert!(most <= 4 * message.len() + SLACK, "{name}, {what}: {most} octets");
        }
    }
}
