//! What was counted becomes rows, in one transaction.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::agent::OTHER;
use super::counts::Count;
use super::sums::Sums;
use super::{Agent, Day, days, intern};
use crate::model::ProjectName;

/// Registered spellings of projects, as far as they are known.
pub(super) type Spellings = HashMap<ProjectName, Arc<str>>;

/// Writes counts. It remembers which agents each open day has.
#[derive(Debug)]
pub(super) struct Committer {
    agents_a_day: usize,
    agents: HashMap<Day, HashSet<i64>>,
}

impl Committer {
    pub(super) fn new(agents_a_day: usize) -> Self {
        Self { agents_a_day, agents: HashMap::new() }
    }

    /// Writes all of them; after a failure nothing is written, and [`Committer::forget`] has to be called. Returns how many
    /// downloads were counted as those of other agents because their day has too many.
    pub(super) fn commit(
        &mut self,
        connection: &Connection,
        counts: impl Iterator<Item = Count>,
        spellings: &Spellings,
    ) -> rusqlite::Result<u64> {
        let add = "INSERT INTO counters (day, file, agent, count) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT DO UPDATE SET count = count + excluded.count";
        let mut add = connection.prepare_cached(add)?;
        let (mut sums, mut open, mut others) = (Sums::default(), HashMap::new(), 0);
        for Count { day, file, agent, count } in counts {
            let day = match open.get(&day) {
                Some(day) => *day,
                None => *open.entry(day).or_insert(days::open_from(connection, day)?),
            };
            let spelling = spellings.get(&file.project).map(|spelling| &**spelling);
            let project = intern::project(connection, file.project.as_str(), spelling)?;
            let id = intern::file(connection, project, &file.filename, &file.version)?;
            let (agent, is_other) = self.agent(connection, day, &agent)?;
            if is_other {
                others += count;
            }
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            add.execute(params![day.number(), id, agent, count])?;
            sums.add(project, id, day, count);
        }
        sums.write(connection)?;
        // Days that are over do not come back.
        if let Some(first) = open.values().min() {
            self.agents.retain(|day, _| day >= first);
        }
        Ok(others)
    }

    /// What is remembered may not have been written.
    pub(super) fn forget(&mut self) {
        self.agents.clear();
    }

    /// The agent under which something is counted, and whether that is not its own.
    fn agent(&mut self, connection: &Connection, day: Day, agent: &Agent) -> rusqlite::Result<(i64, bool)> {
        let known = match self.agents.entry(day) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let sql = "SELECT DISTINCT agent FROM counters WHERE day = ?1";
                let mut of_day = connection.prepare_cached(sql)?;
                let of_day = of_day.query_map([day.number()], |row| row.get(0))?;
                unknown.insert(of_day.collect::<rusqlite::Result<_>>()?)
            }
        };
        if known.len() >= self.agents_a_day {
            return match intern::known_agent(connection, agent)? {
                Some(id) if known.contains(&id) => Ok((id, false)),
                // It is one more, and the last.
                _ => Ok((intern::agent(connection, &Agent::named(OTHER))?, true)),
            };
        }
        let id = intern::agent(connection, agent)?;
        known.insert(id);
        Ok((id, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::File;
    use crate::stats::schema::SCHEMA;

    fn database() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let connection = SCHEMA.open(&folder.path().join("db")).unwrap();
        (folder, connection)
    }

    fn count(day: i64, agent: &str, count: u64) -> Count {
        let project = ProjectName::parse("one").unwrap();
        let file = File { project, filename: "one-1.zip".into(), version: "1".into() };
        Count { day: Day::of(day), file: Arc::new(file), agent: Arc::new(Agent::named(agent)), count }
    }

    #[test]
    fn downloads_that_are_counted_as_those_of_others_are_told() {
        let ((_folder, connection), mut committer) = (database(), Committer::new(1));
        let mut commit = |counts: Vec<Count>| {
            committer.commit(&connection, counts.into_iter(), &Spellings::new()).unwrap()
        };
        assert_eq!(commit(vec![count(1, "a", 2)]), 0);
        assert_eq!(commit(vec![count(1, "a", 2), count(1, "b", 3), count(1, "c", 4)]), 7);
    }

    #[test]
    fn the_agents_of_a_day_that_is_over_are_forgotten() {
        let ((_folder, connection), mut committer) = (database(), Committer::new(10));
        for day in 0..50 {
            // The last ones of a day are written with the first of the next.
            let counts = [count(day, "a", 1), count(day + 1, "a", 1)];
            committer.commit(&connection, counts.into_iter(), &Spellings::new()).unwrap();
            assert_eq!(committer.agents.len(), 2);
        }
    }
}
