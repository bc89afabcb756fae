//! Counting in memory: some instructions for each download, and no lock that all share.

use std::hash::{Hash, Hasher};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::{Equivalent, HashMap};

use super::agent::OTHER;
use super::{Agent, Day};
use crate::model::ProjectName;

/// Parts of the table: more than cores, so that two connections seldom want the same one.
const SHARDS: usize = 16;
/// Rows that wait to be written, in each part. All together some 20 MB: the disk is full, or a client invents agents.
const MOST: usize = 6_000;
/// Room beside them for what counts as `other` then: as many files.
const MOST_OF_OTHERS: usize = 2_000;

/// A package file as it is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct File {
    /// Its project.
    pub project: ProjectName,
    /// Its name.
    pub filename: Box<str>,
    /// Its version, as its name says it; empty if that says none.
    pub version: Box<str>,
}

/// A number of downloads that is not written yet.
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "a count is what it has")]
pub(super) struct Count {
    pub(super) day: Day,
    pub(super) file: Arc<File>,
    pub(super) agent: Arc<Agent>,
    pub(super) count: u64,
}

/// A row: two are the same if they are of the same objects. Equal files and agents that are several objects come together
/// when they are written.
struct Row {
    day: Day,
    file: Arc<File>,
    agent: Arc<Agent>,
}

/// The same without holding anything.
struct RowRef {
    day: Day,
    file: *const File,
    agent: *const Agent,
}

impl Row {
    fn by_ref(&self) -> RowRef {
        RowRef { day: self.day, file: Arc::as_ptr(&self.file), agent: Arc::as_ptr(&self.agent) }
    }
}

impl Hash for RowRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.day.hash(state);
        self.file.addr().hash(state);
        self.agent.addr().hash(state);
    }
}

impl Hash for Row {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.by_ref().hash(state);
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.by_ref().equivalent(other)
    }
}

impl Eq for Row {}

impl Equivalent<Row> for RowRef {
    fn equivalent(&self, row: &Row) -> bool {
        self.day == row.day
            && ptr::eq(self.file, Arc::as_ptr(&row.file))
            && ptr::eq(self.agent, Arc::as_ptr(&row.agent))
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct Counts {
    shards: [Mutex<Shard>; SHARDS],
    other: Arc<Agent>,
    lost: AtomicU64,
}

#[derive(Default)]
struct Shard(HashMap<Row, u64>);

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shard({})", self.0.len())
    }
}

impl Default for Counts {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, other: Arc::new(Agent::named(OTHER)), lost: AtomicU64::new(0) }
    }
}

impl Counts {
    /// Counts. `shard`: any number; those who count at the same time should have different ones.
    pub(super) fn add(&self, shard: usize, day: Day, file: &Arc<File>, agent: &Arc<Agent>, count: u64) {
        let row = RowRef { day, file: Arc::as_ptr(file), agent: Arc::as_ptr(agent) };
        let shard = &self.shards[shard % SHARDS];
        // Nothing panics while it is held.
        let Shard(rows) = &mut *shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(so_far) = rows.get_mut(&row) {
            *so_far += count;
            return;
        }
        let (most, agent) = match rows.len() {
            0..MOST => (MOST, agent),
            _ => (MOST + MOST_OF_OTHERS, &self.other),
        };
        let row = Row { day, file: file.clone(), agent: agent.clone() };
        if rows.len() < most {
            *rows.entry(row).or_default() += count;
        } else if let Some(so_far) = rows.get_mut(&row) {
            *so_far += count;
        } else {
            self.lost.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Takes all out.
    pub(super) fn take(&self) -> Vec<Count> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            let Shard(rows) = &mut *shard.lock().unwrap_or_else(PoisonError::into_inner);
            taken.extend(rows.drain().map(|(Row { day, file, agent }, count)| Count {
                day,
                file,
                agent,
                count,
            }));
        }
        taken
    }

    /// Those that no room was left for, since this was asked last.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

/// Counts that could not be written yet: each file and agent once.
#[derive(Debug, Default)]
pub(super) struct Unwritten(HashMap<(Day, Arc<File>, Arc<Agent>), u64>);

impl Unwritten {
    /// Adds to them; returns how many downloads had no room.
    pub(super) fn add(&mut self, counts: Vec<Count>) -> u64 {
        let (most, other) = (SHARDS * MOST, Arc::new(Agent::named(OTHER)));
        let mut lost = 0;
        for Count { day, file, agent, count } in counts {
            let full = self.0.len() >= most;
            let mut key = (day, file, agent);
            if full && !self.0.contains_key(&key) {
                key.2 = other.clone();
                if self.0.len() >= most + SHARDS * MOST_OF_OTHERS && !self.0.contains_key(&key) {
                    lost += count;
                    continue;
                }
            }
            *self.0.entry(key).or_default() += count;
        }
        lost
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Count> {
        self.0.iter().map(|((day, file, agent), count)| Count {
            day: *day,
            file: file.clone(),
            agent: agent.clone(),
            count: *count,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Downloads.
    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(filename: &str) -> Arc<File> {
        let project = ProjectName::parse("one").unwrap();
        Arc::new(File { project, filename: filename.into(), version: "1".into() })
    }

    fn agent(n: usize) -> Arc<Agent> {
        Arc::new(Agent::named(&format!("agent/{n}")))
    }

    #[test]
    fn what_is_counted_by_several_is_taken_once() {
        let (counts, day) = (Counts::default(), Day::of(1));
        let (file, agent) = (file("one-1.zip"), agent(1));
        for shard in 0..100 {
            counts.add(shard, day, &file, &agent, 1);
        }
        counts.add(0, day.next(), &file, &agent, 5);
        let sum = |day| {
            move |taken: &[Count]| taken.iter().filter(|row| row.day == day).map(|row| row.count).sum::<u64>()
        };
        let taken = counts.take();
        assert_eq!((sum(day)(&taken), sum(day.next())(&taken)), (100, 5));
        assert!(counts.take().is_empty());
    }

    #[test]
    fn invented_agents_take_bounded_memory_and_their_downloads_count_as_others() {
        let (counts, day, file) = (Counts::default(), Day::of(1), file("one-1.zip"));
        let mut unwritten = Unwritten::default();
        let total = 3 * SHARDS * MOST;
        for n in 0..total {
            counts.add(n, day, &file, &agent(n), 1);
            if n % 1000 == 0 {
                assert_eq!(unwritten.add(counts.take()), 0);
            }
        }
        assert_eq!(unwritten.add(counts.take()), 0);
        assert_eq!((counts.take_lost(), unwritten.total()), (0, total as u64));
        assert!(unwritten.rows().count() <= SHARDS * MOST + 1);
        let others =
            unwritten.rows().filter(|row| &*row.agent.text == OTHER).map(|row| row.count).sum::<u64>();
        assert!(others > 0);
    }

    #[test]
    fn without_any_room_left_downloads_are_lost_and_never_counted_twice() {
        let (counts, day, agent) = (Counts::default(), Day::of(1), agent(1));
        let total = 2 * (MOST + MOST_OF_OTHERS);
        for n in 0..total {
            counts.add(0, day, &file(&n.to_string()), &agent, 1);
        }
        let kept: u64 = counts.take().iter().map(|row| row.count).sum();
        assert_eq!(kept + counts.take_lost(), total as u64);
        assert_eq!(kept, (MOST + MOST_OF_OTHERS) as u64);
    }
}
