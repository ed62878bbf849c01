//! However a message is made, each thing that is done with it takes at most four times its octets
//! in memory, or four times those of its text, which are more in some charsets. That the work grows
//! as the octets do is counted by `bench mime --count`.

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

const OCTETS: [usize; 4] = [3_000, 30_000, 300_000, 3_000_000];
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
    for (octets, (name, make)) in OCTETS.into_iter().flat_map(|n| CASES.map(|case| (n, case))) {
        let message = make(octets);
        let root = summary_of(&message).root;
        let envelope = summary_of(&message).envelope;
        let subject = envelope.read().subject.unwrap_or_default();
        let works: [(&str, &mut dyn FnMut()); 5] = [
            ("structure", &mut || {
                let summary = summary_of(&message);
                // A part takes some 30 octets, however small it is.
                assert!(summary.encode().len() <= message.len() * 4 + 4096, "{name}");
                let references = summary.references.as_deref().unwrap_or_default();
                each_message_id(references, |_| {});
            }),
            ("subject", &mut || drop(base_subject(subject))),
            ("parameters", &mut || drop(Parameterised::parse(&message))),
            ("words", &mut || drop(decode_words(&message))),
            ("texts", &mut || {
                text::texts(&root, text::in_memory::<()>(&message)).unwrap();
            }),
        ];
        // One octet may stand for a character of three, as in Thai, or for none.
        let texts = text::texts(&root, text::in_memory::<()>(&message)).unwrap();
        let text = texts.iter().map(String::len).sum::<usize>().max(decode_words(&message).len());
        for (what, work) in works {
            let most = most(work);
            let octets = message.len().max(text);
            assert!(most <= 4 * octets + SLACK, "{name}, {what}, {}: {most} octets", message.len());
        }
    }
}
