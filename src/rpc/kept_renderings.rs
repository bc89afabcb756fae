//! What is kept of answers, by recency.
//!
//! Not [`crate::bounded`]: what an entry weighs grows while it is written.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::rendering::Rendering;

/// What an entry counts for at least, in units of room: its key and its tables. It bounds their number, too.
const LEAST: u32 = 16;

/// Flights by key; the least recently used go when they are too heavy together.
pub(super) struct KeptRenderings<K> {
    inside: Mutex<Recent<K>>,
    most: u64,
}

struct Recent<K> {
    entries: HashMap<K, Entry>,
    /// Counts uses.
    clock: u64,
}

struct Entry {
    rendering: Arc<Rendering>,
    used: u64,
}

impl<K: Hash + Eq + Clone> KeptRenderings<K> {
    /// `most`: the room for all of them.
    pub(super) fn new(most: u32) -> Self {
        let inside = Recent { entries: HashMap::new(), clock: 0 };
        Self { inside: Mutex::new(inside), most: u64::from(most) }
    }

    /// The flight of this key, or the one that `start` starts now.
    pub(super) fn get_or(
        &self,
        key: &K,
        start: impl FnOnce() -> Option<Arc<Rendering>>,
    ) -> Option<Arc<Rendering>> {
        let mut inside = self.lock();
        inside.clock += 1;
        let used = inside.clock;
        // One that failed leaves by itself, unless its task died.
        if let Some(entry) = inside.entries.get_mut(key).filter(|entry| !entry.rendering.failed()) {
            entry.used = used;
            return Some(entry.rendering.clone());
        }
        let rendering = start()?;
        inside.entries.insert(key.clone(), Entry { rendering: rendering.clone(), used });
        Some(rendering)
    }

    /// A flight has ended well: makes room for what it weighs now.
    pub(super) fn settle(&self) {
        let mut inside = self.lock();
        while inside.weight() > self.most {
            let oldest = inside.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { return };
            inside.entries.remove(&oldest);
        }
    }

    /// Takes a flight off that came to nothing.
    pub(super) fn remove(&self, key: &K) {
        self.lock().entries.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Recent<K>> {
        // Entries come and go whole.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Recent<K> {
    fn weight(&self) -> u64 {
        self.entries.values().map(|entry| u64::from(entry.rendering.weight().max(LEAST))).sum()
    }
}
