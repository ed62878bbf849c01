//! Rows held in memory during a unit of work: what was read, what is to be written, what to undo.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;
use std::sync::Arc;

/// Some rows of one table.
pub(super) struct Table<K, T> {
    rows: BTreeMap<K, Slot<T>>,
    /// All rows that are not written, or known not to be there, and perhaps others: a commit looks
    /// at these only, however many are in memory.
    open: BTreeSet<K>,
    /// How rows were before the present job.
    undo: Vec<(K, Option<Slot<T>>)>,
    job: u64,
}

struct Slot<T> {
    /// `None`: there is no such row.
    value: Option<Arc<T>>,
    /// Not written yet.
    dirty: bool,
    /// The job that noted how it was before.
    noted: u64,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Slot<T> {
        Slot { value: self.value.clone(), dirty: self.dirty, noted: self.noted }
    }
}

impl<K: Ord + Clone, T: Clone> Table<K, T> {
    pub fn new() -> Table<K, T> {
        Table { rows: BTreeMap::new(), open: BTreeSet::new(), undo: Vec::new(), job: 1 }
    }
    /// Whether it is known if there is such a row.
    pub fn knows(&self, key: &K) -> bool {
        self.rows.contains_key(key)
    }
    /// A row, if it is known to be there.
    pub fn get(&self, key: &K) -> Option<&Arc<T>> {
        self.rows.get(key).and_then(|slot| slot.value.as_ref())
    }
    /// The known rows with these keys, in order.
    pub fn range(
        &self,
        keys: impl RangeBounds<K>,
    ) -> impl DoubleEndedIterator<Item = (&K, &Arc<T>)> {
        self.rows.range(keys).filter_map(|(key, slot)| Some((key, slot.value.as_ref()?)))
    }
    /// Notes what was read.
    pub fn learn(&mut self, key: K, value: Option<T>) {
        if value.is_none() {
            self.open.insert(key.clone());
        }
        let slot = Slot { value: value.map(Arc::new), dirty: false, noted: 0 };
        self.rows.entry(key).or_insert(slot);
    }
    /// Writes a row, or takes it away.
    pub fn set(&mut self, key: K, value: Option<T>) {
        self.note(&key);
        let slot = Slot { value: value.map(Arc::new), dirty: true, noted: self.job };
        self.rows.insert(key, slot);
    }
    /// Changes a row that is known; `None` when it is not there.
    pub fn change<R>(&mut self, key: &K, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.get(key)?;
        self.note(key);
        let slot = self.rows.get_mut(key)?;
        (slot.dirty, slot.noted) = (true, self.job);
        slot.value.as_mut().map(|value| change(Arc::make_mut(value)))
    }
    /// Before a change: how the row is now, and that a commit has to look at it.
    fn note(&mut self, key: &K) {
        let slot = self.rows.get(key);
        if slot.is_none_or(|slot| slot.noted != self.job) {
            self.undo.push((key.clone(), slot.cloned()));
        }
        if slot.is_none_or(|slot| !slot.dirty) {
            self.open.insert(key.clone());
        }
    }
    /// The job is done: what it changed stays.
    pub fn keep(&mut self) {
        self.undo.clear();
        self.job += 1;
    }
    /// Everything is as it was before the job.
    pub fn undo(&mut self) {
        for (key, before) in self.undo.drain(..).rev() {
            match before {
                Some(slot) => self.rows.insert(key, slot),
                None => self.rows.remove(&key),
            };
        }
        self.job += 1;
    }
    /// What is to be written.
    pub fn dirty(&self) -> impl Iterator<Item = (&K, Option<&T>)> {
        let open = self.open.iter().filter_map(|key| Some((key, self.rows.get(key)?)));
        let dirty = open.filter(|(_, slot)| slot.dirty);
        dirty.map(|(key, slot)| (key, slot.value.as_deref()))
    }
    /// Everything is written; no more than `most` rows stay in memory.
    pub fn written(&mut self, most: usize) -> usize {
        self.keep();
        let open = std::mem::take(&mut self.open);
        if self.rows.len() > most {
            self.rows.clear();
        }
        for key in open {
            match self.rows.get_mut(&key) {
                Some(slot) if slot.value.is_some() => slot.dirty = false,
                _ => drop(self.rows.remove(&key)),
            }
        }
        self.rows.len()
    }
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.open.clear();
        self.undo.clear();
    }
}
