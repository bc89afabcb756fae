//! What is remembered in memory, up to a bound.
//!
//! What has no room any more is dropped at once, by whoever took the room: an idle relay holds no more than a busy one.

use std::hash::Hash;

use quick_cache::sync::DefaultLifecycle;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter, Weighter};

/// Values by key. When there are too many, those go that were not asked for again since they came, then those asked for
/// least lately.
pub type Bounded<K, V, W = UnitWeighter> = quick_cache::sync::Cache<K, V, W>;

/// A value with its weight when it came: what it took from the room it gives back, also if it has grown meanwhile.
#[derive(Debug, Clone)]
pub struct Weighed<V> {
    /// What is remembered.
    pub value: V,
    weight: u32,
}

/// Weighs by what was found when the value came.
#[derive(Debug, Clone, Copy)]
pub struct ByWeight;

impl<V> Weighed<V> {
    /// No value weighs nothing: there would be no end to them.
    pub fn new(value: V, weight: u32) -> Self {
        Self { value, weight: weight.max(1) }
    }
}

/// What is kept for keys that are asked for again and again. The other half is for newcomers: one that comes twice is to
/// be known the second time, however many old acquaintances there are.
const OLD_ACQUAINTANCES: f64 = 0.5;
/// The same where entries have weights: no entry that is heavier than this share finds room.
const BY_WEIGHT: f64 = 1.0;

impl<K, V> Weighter<K, Weighed<V>> for ByWeight {
    fn weight(&self, _: &K, weighed: &Weighed<V>) -> u64 {
        u64::from(weighed.weight)
    }
}

/// Room for so many entries, all alike.
pub fn by_count<K: Eq + Hash, V: Clone>(entries: u64) -> Bounded<K, V> {
    build(OptionsBuilder::new().hot_allocation(OLD_ACQUAINTANCES), entries, entries, UnitWeighter)
}

/// Room for entries that weigh `most` together, and one `largest`. A heavier one may find no room.
pub fn by_weight<K: Eq + Hash, V: Clone>(most: u64, largest: u64) -> Bounded<K, Weighed<V>, ByWeight> {
    let entries = most / largest.max(1);
    build(OptionsBuilder::new().hot_allocation(BY_WEIGHT), entries, most, ByWeight)
}

fn build<K: Eq + Hash, V: Clone, W: Weighter<K, V> + Clone>(
    options: &mut OptionsBuilder,
    entries: u64,
    most: u64,
    weighter: W,
) -> Bounded<K, V, W> {
    let entries = usize::try_from(entries).unwrap_or(usize::MAX);
    match options.estimated_items_capacity(entries).weight_capacity(most).build() {
        Ok(options) => {
            let (hasher, lifecycle) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
            Bounded::with_options(options, weighter, hasher, lifecycle)
        }
        // It asks for the two that were given.
        Err(error) => unreachable!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_newcomer_is_known_for_a_while_however_often_the_others_are_asked_for() {
        let known = by_count(100);
        for n in 0..1000_u32 {
            known.insert(n, ());
            for old in 0..10 {
                known.get(&old);
            }
            let recent = n.saturating_sub(20)..=n;
            assert!(recent.into_iter().all(|n| known.contains_key(&n)), "{n}");
            assert!(known.len() <= 100);
        }
        assert!((0..10).all(|old| known.contains_key(&old)), "who is asked for stays");
    }

    #[test]
    fn what_has_no_room_is_dropped_by_who_took_the_room() {
        let (values, largest) = (by_weight(100, 100), Arc::new(()));
        values.insert(0, Weighed::new(largest.clone(), 100));
        assert_eq!(Arc::strong_count(&largest), 2);
        values.insert(1, Weighed::new(Arc::new(()), 0));
        assert_eq!((Arc::strong_count(&largest), values.weight()), (1, 1));
        values.insert(2, Weighed::new(largest.clone(), 101));
        assert_eq!((Arc::strong_count(&largest), values.weight()), (1, 1));
    }
}
