//! Listings against plain lists.

use super::chapter::{PAGE, PAGES, Page};
use super::*;
use std::num::NonZeroU32;

fn entry(uid: u32, modseq: u64) -> Entry {
    Entry {
        uid: Uid::new(uid).unwrap(),
        size: 10,
        flags: FlagBits::default(),
        modseq: ModSeq(modseq),
        date: 0,
        saved: 0,
        content: ContentId(u64::from(uid)),
    }
}

fn listing(uids: impl Iterator<Item = u32>) -> Listing {
    let entries: Vec<_> = uids.map(|uid| entry(uid, 1)).collect();
    let validity = UidValidity(NonZeroU32::MIN);
    Listing::new(&entries, Arc::default(), ModSeq(1), validity, Some(Uid::FIRST))
}

#[test]
fn finds_by_place_and_by_uid() {
    let list = listing((1..=1000).map(|n| n * 2));
    assert_eq!(list.len(), 1000);
    for index in 0..1000 {
        let uid = list.at(index).unwrap().uid;
        assert_eq!(uid.get(), (index + 1) * 2);
        assert_eq!(list.find(uid), Ok(index));
    }
    assert_eq!(list.find(Uid::new(3).unwrap()), Err(1));
    assert_eq!(list.find(Uid::MAX), Err(1000));
    assert!(list.at(1000).is_none());
    let some: Vec<u32> = list.range(127, 130).map(|e| e.uid.get()).collect();
    assert_eq!(some, [256, 258, 260]);
}

#[test]
fn differences_rebuild_the_new_listing() {
    let old = listing(1..=600);
    let gone: Vec<Uid> = (1..=600).filter(|n| n % 7 == 0).filter_map(Uid::new).collect();
    let changed: Vec<Entry> = [3, 130, 400, 601, 602].map(|uid| entry(uid, 9)).to_vec();
    let new = old.apply(&changed, &gone);
    let differences = new.changes_since(&old);
    assert_eq!(differences.len(), gone.len() + 5);
    let mut have: Vec<Entry> = old.iter().copied().collect();
    for difference in differences {
        match difference {
            Difference::Expunged(uid) => have.retain(|e| e.uid != uid),
            Difference::Added(e) => have.push(e),
            Difference::Changed(e) => {
                let slot = have.iter_mut().find(|x| x.uid == e.uid).unwrap();
                *slot = e;
            }
        }
    }
    assert_eq!(have, new.iter().copied().collect::<Vec<_>>());
    assert_eq!(new.changes_since(&new), []);
}

/// Pages that `new` has of its own, and its chapters.
fn own(new: &Listing, old: &Listing) -> (usize, usize) {
    let pages = |listing: &Listing| -> Vec<Page> {
        listing.chapters.iter().flat_map(|chapter| chapter.pages().to_vec()).collect()
    };
    let had = pages(old);
    let new_pages = pages(new);
    let fresh = new_pages.iter().filter(|page| !had.iter().any(|old| page.is(old)));
    let fresh = fresh.count();
    let is_new = |chapter: &&Arc<Chapter>| !old.chapters.iter().any(|c| Arc::ptr_eq(chapter, c));
    (fresh, new.chapters.iter().filter(is_new).count())
}

#[test]
fn a_change_of_a_large_mailbox_copies_one_page() {
    let full = (PAGE * PAGES) as u32;
    let old = listing(1..=full * 3 + 5);
    assert_eq!(own(&old.apply(&[entry(full + 7, 9)], &[]), &old), (1, 1));
    assert_eq!(own(&old.apply(&[], &[Uid::new(full * 2 - 1).unwrap()]), &old), (1, 1));
    assert_eq!(own(&old.apply(&[entry(full * 3 + 6, 9)], &[]), &old), (1, 1));
    // A full last chapter is not copied for what comes behind it.
    let old = listing(1..=full * 3);
    assert_eq!(own(&old.apply(&[entry(full * 3 + 1, 9)], &[]), &old), (1, 1));
    assert_eq!(own(&old.apply(&[], &[]), &old), (0, 0));
}

/// Numbers that look random, the same in each run (Knuth's MMIX generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as u32 % end
    }
}

/// The same as a listing, by the plainest means.
fn plain_apply(plain: &[Entry], changed: &[Entry], expunged: &[Uid]) -> Vec<Entry> {
    let mut next: Vec<Entry> =
        plain.iter().filter(|e| expunged.binary_search(&e.uid).is_err()).copied().collect();
    let last = next.last().map(|e| e.uid);
    for entry in changed {
        match next.binary_search_by_key(&entry.uid, |e| e.uid) {
            Ok(at) => next[at] = *entry,
            Err(_) if Some(entry.uid) > last => next.push(*entry),
            Err(_) => {}
        }
    }
    next
}

#[test]
fn behaves_as_a_plain_list() {
    let mut numbers = Numbers(1);
    let mut list = listing(1..=20_000);
    let mut plain: Vec<Entry> = list.iter().copied().collect();
    let mut next = 20_001;
    for round in 2..62 {
        let mut some = |count: u32, end: u32| -> Vec<u32> {
            let mut uids: Vec<u32> = (0..count).map(|_| 1 + numbers.below(end)).collect();
            uids.sort_unstable();
            uids.dedup();
            uids
        };
        let mut changed: Vec<Entry> =
            some(round % 9, next).iter().map(|uid| entry(*uid, u64::from(round))).collect();
        let mut gone: Vec<u32> = some(round % 5, next);
        if round % 10 == 0 {
            // Whole stretches go, so that pages and chapters are joined.
            let from = some(1, next).first().copied().unwrap_or(1);
            gone = (from..from + 1700).filter(|uid| uid % 10 != 0 || round % 20 == 0).collect();
        }
        let arrived = if round % 25 == 0 { 9000 } else { round % 3 };
        changed.retain(|e| e.uid.get() < next);
        changed.extend((next..next + arrived).map(|uid| entry(uid, u64::from(round))));
        gone.retain(|uid| *uid < next);
        next += arrived;
        let gone: Vec<Uid> = gone.into_iter().filter_map(Uid::new).collect();

        let expected = plain_apply(&plain, &changed, &gone);
        let applied = list.apply(&changed, &gone);
        assert!(applied.iter().eq(&expected), "round {round}");
        assert_eq!(applied.len() as usize, expected.len());
        same_places(&applied, &expected, &mut numbers);
        same_differences(&applied.changes_since(&list), &plain, &expected);
        same_differences(&list.changes_since(&applied), &expected, &plain);
        (list, plain) = (applied, expected);
    }
    assert!(
        list.chapters.iter().all(|chapter| chapter.len() > 0 && chapter.pages().len() <= PAGES)
    );
}

fn same_places(list: &Listing, plain: &[Entry], numbers: &mut Numbers) {
    for _ in 0..20 {
        let n = numbers.below(plain.len() as u32 + 2);
        assert_eq!(list.at(n), plain.get(n as usize));
        let uid = Uid::new(1 + numbers.below(60_000)).unwrap();
        let place = plain.binary_search_by(|e| e.uid.cmp(&uid));
        assert_eq!(list.find(uid), place.map(|n| n as u32).map_err(|n| n as u32));
        let end = n + numbers.below(10_000);
        let expected = plain.iter().skip(n as usize).take((end - n) as usize);
        assert!(list.range(n, end).eq(expected));
    }
    assert!(list.iter().rev().eq(plain.iter().rev()));
    assert_eq!(list.last(), plain.last());
}

fn same_differences(differences: &[Difference], old: &[Entry], new: &[Entry]) {
    use std::collections::BTreeMap;
    let map = |entries: &[Entry]| -> BTreeMap<Uid, Entry> {
        entries.iter().map(|e| (e.uid, *e)).collect()
    };
    let (old, new) = (map(old), map(new));
    let mut expected = Vec::new();
    let uids: std::collections::BTreeSet<Uid> = old.keys().chain(new.keys()).copied().collect();
    for uid in uids {
        match (old.get(&uid), new.get(&uid)) {
            (Some(_), None) => expected.push(Difference::Expunged(uid)),
            (None, Some(e)) => expected.push(Difference::Added(*e)),
            (Some(x), Some(y)) if x != y => expected.push(Difference::Changed(*y)),
            _ => {}
        }
    }
    assert_eq!(differences, expected);
}

#[test]
fn what_changed_and_what_is_unseen_is_found_as_by_a_look_at_each() {
    let mut list = listing(1..=20_000);
    let mut seen: Vec<Entry> = list.iter().copied().collect();
    for entry in &mut seen {
        entry.flags = FlagBits::SEEN;
    }
    let unseen: Vec<Entry> = [777, 9000, 19_999].map(|uid| entry(uid, 7)).to_vec();
    let marked =
        |uid| Entry { flags: FlagBits(FlagBits::SEEN.0 | FlagBits::DELETED.0), ..entry(uid, 8) };
    let marked: Vec<Entry> = [5, 6, 12_000].map(marked).to_vec();
    let later: Vec<Entry> = [1, 128, 129, 8192, 8193, 20_000, 20_001].map(|u| entry(u, 9)).to_vec();
    let gone: Vec<Uid> = [5, 777, 8000].into_iter().filter_map(Uid::new).collect();
    for (changed, gone) in
        [(&seen, &[][..]), (&unseen, &[]), (&marked, &[]), (&later, &gone), (&Vec::new(), &gone)]
    {
        list = list.apply(changed, gone);
        for since in [0, 1, 6, 7, 8, 9, 10] {
            let since = ModSeq(since);
            let each = (0..).zip(list.iter()).filter(|(_, entry)| entry.modseq > since);
            assert!(list.changed(since).eq(each), "{since:?}");
        }
        let first = list.iter().position(|entry| !entry.flags.contains(FlagBits::SEEN));
        assert_eq!(list.first_unseen().map(|at| at as usize), first);
        let marked = list.iter().filter(|entry| entry.flags.contains(FlagBits::DELETED));
        assert!(list.deleted().eq(marked));
    }
}
