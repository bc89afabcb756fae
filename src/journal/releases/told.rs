//! The events of one project that made or took away releases, as they are kept: ascending by serial, three bytes each.
//!
//! An event is the step from the serial before, times two, plus one if it made a release.

use crate::journal::varint;

/// The most events that are kept of a project, the last ones: ten times what the largest has. All are written again with
/// each new one.
const MOST: usize = 50_000;

/// An event that made a release, or else removed, hid or showed one or all of its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Told {
    pub(super) serial: i64,
    pub(super) made: bool,
}

/// Reads what [`pack`] wrote; `None` if something else did.
pub(super) fn unpack(mut bytes: &[u8]) -> Option<Vec<Told>> {
    let (mut told, mut serial) = (Vec::with_capacity(bytes.len() / 3), 0i64);
    while !bytes.is_empty() {
        let number = varint::take(&mut bytes)?;
        serial = serial.checked_add(i64::try_from(number >> 1).ok()?)?;
        told.push(Told { serial, made: number & 1 == 1 });
    }
    Some(told)
}

/// Writes events in ascending order; serials are above 0 and below 2⁶².
pub(super) fn pack(told: &[Told]) -> Vec<u8> {
    let (mut bytes, mut before) = (Vec::with_capacity(told.len() * 3 + 2), 0);
    for event in told {
        varint::put(&mut bytes, (event.serial - before).cast_unsigned() << 1 | u64::from(event.made));
        before = event.serial;
    }
    bytes
}

/// Both in one, ascending, each serial once: what was told first stays. `more` is in any order.
pub(super) fn merge(told: &mut Vec<Told>, more: impl IntoIterator<Item = Told>) {
    told.extend(more.into_iter().filter(|event| event.serial > 0));
    // Stable: of one serial the first comes first.
    told.sort_by_key(|event| event.serial);
    told.dedup_by_key(|event| event.serial);
    told.drain(..told.len().saturating_sub(MOST));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(serial: i64, made: bool) -> Told {
        Told { serial, made }
    }

    #[test]
    fn an_event_takes_three_bytes_and_the_last_are_kept() {
        let told: Vec<Told> = (1..=1000).map(|n| event(30_000_000 + n * 500_000, n % 2 == 0)).collect();
        assert!(pack(&told).len() <= 3 * told.len() + 2);
        let mut many: Vec<Told> = (1..=60_000).map(|n| event(n, true)).collect();
        merge(&mut many, [event(60_001, false)]);
        assert_eq!((many.len(), many[0].serial, many[MOST - 1]), (MOST, 10_002, event(60_001, false)));
    }

    #[test]
    fn what_is_broken_is_told_from_what_was_written() {
        for broken in [&[0x80][..], &[0xFF; 9], &[0xFF; 12], &[0x02, 0x85]] {
            assert_eq!(unpack(broken), None, "{broken:?}");
        }
        assert_eq!(unpack(&[]), Some(vec![]));
    }

    proptest! {
        #[test]
        fn every_list_comes_back(serials in prop::collection::btree_map(1..1i64 << 61, any::<bool>(), 0..40)) {
            let told: Vec<Told> = serials.into_iter().map(|(serial, made)| event(serial, made)).collect();
            prop_assert_eq!(unpack(&pack(&told)), Some(told));
        }

        #[test]
        fn parts_in_any_order_come_to_the_same(
            serials in prop::collection::btree_map(1..1000i64, any::<bool>(), 0..40),
            cut in 0..40usize,
        ) {
            let all: Vec<Told> = serials.into_iter().map(|(serial, made)| event(serial, made)).collect();
            let cut = cut.min(all.len());
            let mut told = Vec::new();
            for part in [&all[cut..], &all[..cut], &all] {
                merge(&mut told, part.iter().rev().copied());
            }
            prop_assert_eq!(told, all);
        }
    }
}
