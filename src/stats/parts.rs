//! Downloads in several parts: remembered until together they cover their file.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Agent, File};
use crate::bounded::{Bounded, by_count};

/// Pieces of one file that do not touch each other. With more the smallest is forgotten: clients that load a file by several
/// connections have some dozens, and all together they are bounded.
const PIECES: usize = 128;

/// Who loads what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    client: IpAddr,
    agent: Arc<Agent>,
    file: Arc<File>,
}

/// The parts that went out.
pub(super) struct Parts {
    lifetime: Duration,
    seen: Bounded<Key, Arc<Mutex<Pieces>>>,
}

#[derive(Debug)]
struct Pieces {
    /// In order, with bytes between them.
    ranges: Vec<Range<u64>>,
    last: Instant,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parts({})", self.seen.len())
    }
}

impl Parts {
    pub(super) fn new(most: u64, lifetime: Duration) -> Self {
        Self { lifetime, seen: by_count(most) }
    }

    /// Takes note of a part that went out; whether the file of `size` bytes is covered now. Its parts are forgotten then.
    pub(super) fn add(
        &self,
        client: IpAddr,
        agent: &Arc<Agent>,
        file: &Arc<File>,
        part: Range<u64>,
        size: u64,
        now: Instant,
    ) -> bool {
        if part.start >= part.end {
            return false;
        }
        if part.start == 0 && part.end >= size {
            return true;
        }
        let key = Key { client, agent: agent.clone(), file: file.clone() };
        let begin = || {
            Ok::<_, std::convert::Infallible>(Arc::new(Mutex::new(Pieces { ranges: Vec::new(), last: now })))
        };
        let Ok(pieces) = self.seen.get_or_insert_with(&key, begin);
        let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(pieces.last) > self.lifetime {
            pieces.ranges.clear();
        }
        pieces.last = now;
        pieces.add(part);
        let covered = pieces.ranges.first().is_some_and(|first| first.start == 0 && first.end >= size);
        if covered {
            // Whoever has found it at the same moment finds nothing of it either.
            pieces.ranges.clear();
            self.seen.remove(&key);
        }
        covered
    }

    /// Downloads of which some parts are remembered.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }
}

impl Pieces {
    fn add(&mut self, part: Range<u64>) {
        // Those that it touches become one with it.
        let begin = self.ranges.partition_point(|range| range.end < part.start);
        let end = self.ranges.partition_point(|range| range.start <= part.end);
        let touched = &self.ranges[begin..end];
        let start = touched.first().map_or(part.start, |first| first.start.min(part.start));
        let stop = touched.last().map_or(part.end, |last| last.end.max(part.end));
        self.ranges.splice(begin..end, std::iter::once(start..stop));
        if self.ranges.len() > PIECES
            && let Some(smallest) =
                (0..self.ranges.len()).min_by_key(|&n| self.ranges[n].end - self.ranges[n].start)
        {
            self.ranges.remove(smallest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProjectName;

    struct Bench {
        parts: Parts,
        now: Instant,
        file: Arc<File>,
        agent: Arc<Agent>,
    }

    impl Bench {
        fn new() -> Self {
            let project = ProjectName::parse("one").unwrap();
            let file = File { project, filename: "one-1.zip".into(), version: "1".into() };
            let parts = Parts::new(10, Duration::from_hours(1));
            Self { parts, now: Instant::now(), file: Arc::new(file), agent: Arc::new(Agent::named("a/1")) }
        }

        fn by(&self, client: &str, agent: &Arc<Agent>, part: Range<u64>) -> bool {
            self.parts.add(client.parse().unwrap(), agent, &self.file, part, 100, self.now)
        }

        fn add(&self, part: Range<u64>) -> bool {
            self.by("192.0.2.1", &self.agent, part)
        }
    }

    #[test]
    fn parts_in_any_order_that_cover_the_file_are_one_download() {
        let bench = Bench::new();
        assert!(!bench.add(60..100) && !bench.add(0..30));
        assert!(!bench.add(40..60) && !bench.add(35..50));
        assert!(bench.add(30..36));
        // They are forgotten.
        assert!(!bench.add(0..99) && bench.parts.len() == 1);
        assert!(bench.add(99..100) && bench.parts.len() == 0);
        assert!(bench.add(0..100));
    }

    #[test]
    fn the_same_part_twice_is_no_more_than_once() {
        let bench = Bench::new();
        for _ in 0..5 {
            assert!(!bench.add(0..50) && !bench.add(80..100));
        }
    }

    #[test]
    fn parts_of_two_clients_and_of_two_agents_do_not_come_together() {
        let bench = Bench::new();
        let other = Arc::new(Agent::named("b/1"));
        assert!(!bench.add(0..50));
        assert!(!bench.by("192.0.2.2", &bench.agent, 50..100));
        assert!(!bench.by("192.0.2.1", &other, 50..100));
        assert!(bench.by("192.0.2.1", &Arc::new(Agent::named("a/1")), 50..100));
    }

    #[test]
    fn what_is_too_old_or_has_no_room_is_forgotten_and_not_counted() {
        let mut bench = Bench::new();
        assert!(!bench.add(0..50));
        bench.now += Duration::from_hours(1);
        assert!(!bench.add(50..60));
        bench.now += Duration::from_hours(1) + Duration::from_secs(1);
        assert!(!bench.add(60..100));
        for begin in [true, false] {
            let part = if begin { 0..1 } else { 1..100 };
            let counted =
                (0..100_u8).filter(|n| bench.by(&format!("192.0.2.{n}"), &bench.agent, part.clone()));
            assert!(counted.count() <= if begin { 0 } else { 10 });
            assert!(bench.parts.len() <= 10);
        }
    }

    #[test]
    fn a_file_in_thousands_of_crumbs_takes_bounded_memory() {
        let bench = Bench::new();
        let key = Key {
            client: "192.0.2.1".parse().unwrap(),
            agent: bench.agent.clone(),
            file: bench.file.clone(),
        };
        for n in 0..10_000 {
            let part = 2 * n..2 * n + 1;
            assert!(!bench.parts.add(key.client, &key.agent, &key.file, part, 20_000, bench.now));
        }
        assert_eq!(bench.parts.seen.get(&key).unwrap().lock().unwrap().ranges.len(), PIECES);
        // All of it again, in one piece.
        assert!(!bench.parts.add(key.client, &key.agent, &key.file, 1..20_000, 20_000, bench.now));
        assert!(bench.parts.add(key.client, &key.agent, &key.file, 0..1, 20_000, bench.now));
    }

    #[test]
    fn a_whole_file_is_one_download_and_leaves_the_parts_of_another() {
        let bench = Bench::new();
        assert!(!bench.add(0..50));
        assert!(bench.add(0..100) && bench.add(0..200));
        assert_eq!(bench.parts.len(), 1);
        assert!(bench.add(50..100));
    }

    #[test]
    fn an_empty_part_is_none() {
        let bench = Bench::new();
        #[expect(clippy::reversed_empty_ranges, reason = "what must not be counted")]
        let odd = [0..0, 100..100, 50..20];
        for part in odd {
            assert!(!bench.add(part));
        }
        assert_eq!(bench.parts.len(), 0);
    }
}
