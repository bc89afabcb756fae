//! Serials for derived events.
//!
//! Consumers loop on the last serial that they saw, so serials have to be unique and above all given before. The
//! rule: the last of a project's events has the project's own serial, as docs/wire.md section 6 wants it; the events
//! before it take the highest serials below that no event of this part and no earlier part has. An index that
//! gives each event a serial of its own, as PyPI does, has nearly always room for that. One that counts several
//! changes as one has not, and a project may turn up late: what finds no room goes above all serials of the part.
//! So nothing is lost, nothing shares a serial, a project's events stay in their order, and the others keep theirs.

use std::collections::BTreeSet;

use crate::model::Serial;

/// The serials of each project's events, given its own serial and their number: ascending, unique, above `since`.
pub(super) fn number(since: Serial, projects: &[(Serial, usize)]) -> Vec<Vec<Serial>> {
    let told = |&&(own, events): &&(Serial, usize)| events > 0 && own > since;
    let mut taken: BTreeSet<Serial> = projects.iter().filter(told).map(|&(own, _)| own).collect();
    let mut top = taken.last().copied().unwrap_or(since);
    let mut owned = BTreeSet::new();
    let mut all = Vec::with_capacity(projects.len());
    for &(own, events) in projects {
        let mut serials = Vec::with_capacity(events);
        // Of two projects with one serial the second finds no room.
        if events > 0 && own > since && owned.insert(own) {
            serials.push(own);
        }
        let mut next = own;
        while serials.len() < events && next.0 - 1 > since.0 {
            next.0 -= 1;
            if taken.insert(next) {
                serials.push(next);
            }
        }
        serials.reverse();
        while serials.len() < events {
            top.0 += 1;
            serials.push(top);
        }
        all.push(serials);
    }
    all
}

/// The first of our own numbers, less one. A folder that is made anew later has to start above all that this one gave,
/// or its clients would miss what gets numbers that they have seen. So the minutes since 1970 are added to what was
/// there: 29.8 million today, far below 2³¹, and an index whose pages are compared has less than an event a minute.
pub(in super::super) fn own_start(stated: Serial, now: i64) -> Serial {
    let start = stated.0.saturating_add(now.max(0) / 60);
    // XML-RPC has no larger numbers; that leaves room for a hundred years of events.
    Serial(if start <= i64::from(i32::MAX) - (1 << 26) { start } else { stated.0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered(since: i64, projects: &[(i64, usize)]) -> Vec<Vec<i64>> {
        let projects: Vec<_> = projects.iter().map(|&(own, events)| (Serial(own), events)).collect();
        let numbers = number(Serial(since), &projects);
        numbers.into_iter().map(|serials| serials.into_iter().map(|serial| serial.0).collect()).collect()
    }

    #[test]
    fn the_last_event_has_the_projects_serial_and_the_others_free_ones_below() {
        // 101 and 103 are one project's, 102 another's: as upstream interleaves them.
        assert_eq!(numbered(100, &[(102, 1), (103, 2)]), [vec![102], vec![101, 103]]);
        assert_eq!(
            numbered(100, &[(110, 3), (111, 0), (112, 2)]),
            [vec![108, 109, 110], vec![], vec![111, 112]]
        );
    }

    #[test]
    fn what_finds_no_room_goes_above_and_none_is_lost() {
        assert_eq!(
            numbered(100, &[(101, 3), (102, 2), (200, 2)]),
            [vec![101, 201, 202], vec![102, 203], vec![199, 200]]
        );
        // One that comes late, and two projects with one serial.
        assert_eq!(numbered(100, &[(50, 1), (105, 1), (105, 1)]), [vec![106], vec![105], vec![104]]);
    }

    #[test]
    fn own_numbers_start_above_those_of_any_folder_before_and_fit_xml_rpc() {
        let now = 1_790_000_000;
        assert_eq!(own_start(Serial(0), now), Serial(29_833_333));
        assert_eq!(own_start(Serial(1_000_000_000), now), Serial(1_029_833_333));
        assert!(own_start(Serial(5), now + 600) > own_start(Serial(5), now));
        let large = Serial(i64::from(i32::MAX) - 9);
        assert_eq!(own_start(large, now), large);
        assert_eq!(own_start(Serial(7), -5), Serial(7));
    }

    proptest! {
        #[test]
        fn serials_are_unique_above_all_before_and_ascend_within_a_project(
            mut projects in prop::collection::vec((90..160i64, 0..6usize), 0..12)
        ) {
            projects.sort_unstable();
            let numbers = numbered(100, &projects);
            let mut all: Vec<i64> = numbers.concat();
            prop_assert!(numbers.iter().all(|serials| serials.is_sorted()));
            prop_assert!(numbers.iter().zip(&projects).all(|(serials, (_, events))| serials.len() == *events));
            all.sort_unstable();
            prop_assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", all);
            prop_assert!(all.first().is_none_or(|&first| first > 100));
        }
    }
}
