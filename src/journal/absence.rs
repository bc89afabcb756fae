//! Projects of the table that upstream's listing lacks. Listings are old at times and can be broken, so that alone removes
//! nothing (see `follow::derive`): which projects the last one lacked is kept until their pages say what became of them.

use std::collections::HashSet;

use rusqlite::{Connection, Row, params};

use super::{Difference, Journal, JournalError};
use crate::model::ProjectName;

/// When absence from a listing is worth a look at the project's page.
#[derive(Debug, Clone, Copy)]
pub struct AbsenceRules {
    /// So many may be absent at once without doubt about the listing.
    pub few: usize,
    /// So many per cent of all projects, too.
    pub percent: usize,
    /// If there are more, a second listing has to lack them: another one, or the same if it was stated again so many
    /// seconds later.
    pub same_again: i64,
    /// The most pages that are asked for.
    pub most: usize,
}

/// Which projects are absent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Absences {
    /// Those to look at, the ones first that were not looked at for longest.
    pub to_look_at: Vec<Difference>,
    /// How many wait for a second listing.
    pub doubted: usize,
}

impl Journal {
    /// Notes which projects the listing lacks that upstream made at `taken`, in place of those that the one before lacked.
    pub async fn note_absences(
        &self,
        absent: Vec<ProjectName>,
        taken: i64,
        etag: Option<String>,
    ) -> Result<(), JournalError> {
        self.write(move |connection| note(connection, &absent, taken, etag.as_deref())).await
    }

    /// Which of those are to be looked at, as of a listing made at `taken` that may be the same as the one before.
    pub async fn absences(
        &self,
        taken: i64,
        etag: Option<String>,
        rules: AbsenceRules,
    ) -> Result<Absences, JournalError> {
        self.read(move |connection| absences(connection, taken, etag.as_deref(), rules)).await
    }

    /// Projects in quarantine, at most `most`, the ones first whose pages were not looked at for longest: that one was
    /// removed no listing tells.
    pub async fn quarantined(&self, most: usize) -> Result<Vec<Difference>, JournalError> {
        self.read(move |connection| {
            let sql = "SELECT project, ifnull(spelling, project) FROM quarantined ORDER BY looked, project LIMIT ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_map([bound(most)], |row| absent(row, true))?;
            Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        })
        .await
    }

    /// Notes that these projects' pages were looked at now.
    pub async fn note_looks(&self, projects: Vec<ProjectName>) -> Result<(), JournalError> {
        let now = self.clock().unix();
        self.write(move |connection| {
            for project in &projects {
                for sql in [
                    "UPDATE absences SET looked = ?2 WHERE project = ?1",
                    "UPDATE quarantined SET looked = ?2 WHERE project = ?1",
                ] {
                    connection.prepare_cached(sql)?.execute(params![project.as_str(), now])?;
                }
            }
            Ok(())
        })
        .await
    }
}

fn note(
    connection: &Connection,
    absent: &[ProjectName],
    taken: i64,
    etag: Option<&str>,
) -> rusqlite::Result<()> {
    let now: HashSet<&str> = absent.iter().map(ProjectName::as_str).collect();
    let mut statement = connection.prepare_cached("SELECT project FROM absences")?;
    let before: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut there = connection.prepare_cached("DELETE FROM absences WHERE project = ?1")?;
    for project in before.iter().filter(|project| !now.contains(project.as_str())) {
        there.execute([project])?;
    }
    let sql = "INSERT OR IGNORE INTO absences (project, taken, etag) VALUES (?1, ?2, ?3)";
    let mut insert = connection.prepare_cached(sql)?;
    for project in now {
        insert.execute(params![project, taken, etag])?;
    }
    Ok(())
}

fn absences(
    connection: &Connection,
    taken: i64,
    etag: Option<&str>,
    rules: AbsenceRules,
) -> rusqlite::Result<Absences> {
    let count = |table: &str| -> rusqlite::Result<usize> {
        let sql = format!("SELECT count(*) FROM {table}");
        connection
            .query_row(&sql, [], |row| row.get::<_, i64>(0))
            .map(|rows| usize::try_from(rows).unwrap_or(0))
    };
    let all = count("absences")?;
    // To count a million projects takes tens of milliseconds.
    let many = all > rules.few && all.saturating_mul(100) > count("projects")?.saturating_mul(rules.percent);
    let sql = "SELECT a.project, p.spelling FROM absences a JOIN projects p ON p.name = a.project \
               WHERE NOT ?1 OR (a.taken < ?2 AND (?3 IS NULL OR a.etag IS NULL OR a.etag <> ?3)) OR a.taken <= ?2 - ?4 \
               ORDER BY a.looked, a.project LIMIT ?5";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = params![many, taken, etag, rules.same_again, bound(rules.most)];
    let found = statement.query_map(rows, |row| absent(row, false))?.collect::<Result<Vec<_>, _>>()?;
    let to_look_at: Vec<_> = found.into_iter().flatten().collect();
    let doubted = if many && to_look_at.is_empty() { all } else { 0 };
    Ok(Absences { to_look_at, doubted })
}

fn absent(row: &Row<'_>, quarantined: bool) -> rusqlite::Result<Option<Difference>> {
    let spelling = row.get(1)?;
    let name = ProjectName::parse(row.get_ref(0)?.as_str()?);
    Ok(name.ok().map(|name| Difference { quarantined, ..Difference::absent(name, spelling) }))
}

/// A project is not absent any more: it is known what became of it.
pub(super) fn forget(connection: &Connection, project: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM absences WHERE project = ?1")?.execute([project]).map(|_| ())
}

fn bound(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: AbsenceRules = AbsenceRules { few: 2, percent: 50, same_again: 100, most: 9 };

    fn name(text: &str) -> ProjectName {
        ProjectName::parse(text).unwrap()
    }

    fn table(names: &[&str]) -> Connection {
        let table = Connection::open_in_memory().unwrap();
        for schema in
            [include_str!("schema/1.sql"), include_str!("schema/4.sql"), include_str!("schema/10.sql")]
        {
            table.execute_batch(schema).unwrap();
        }
        for name in names {
            table.execute("INSERT INTO projects VALUES (?1, ?1, 5)", [name]).unwrap();
        }
        table
    }

    /// What a listing that lacks these leads to.
    fn seen(table: &Connection, lacks: &[&str], taken: i64, etag: Option<&str>) -> (Vec<String>, usize) {
        let lacks: Vec<_> = lacks.iter().map(|lacked| name(lacked)).collect();
        note(table, &lacks, taken, etag).unwrap();
        look(table, taken, etag)
    }

    fn look(table: &Connection, taken: i64, etag: Option<&str>) -> (Vec<String>, usize) {
        let found = absences(table, taken, etag, RULES).unwrap();
        (found.to_look_at.into_iter().map(|absent| absent.spelling).collect(), found.doubted)
    }

    fn these(names: &[&str]) -> (Vec<String>, usize) {
        (names.iter().map(|name| (*name).to_owned()).collect(), 0)
    }

    #[test]
    fn few_are_looked_at_at_once_and_only_as_long_as_they_are_absent() {
        let table = table(&["a", "b", "c", "d"]);
        assert_eq!(seen(&table, &["a", "b"], 10, Some("x")), these(&["a", "b"]));
        assert_eq!(look(&table, 10, Some("x")), these(&["a", "b"]), "until a page says what became of them");
        assert_eq!(seen(&table, &["b"], 20, Some("y")), these(&["b"]));
        table.execute("DELETE FROM projects WHERE name = 'b'", []).unwrap();
        assert_eq!(look(&table, 30, Some("y")), these(&[]));
    }

    #[test]
    fn of_many_at_once_those_are_looked_at_that_a_second_later_listing_lacks_too() {
        let doubted = (vec![], 3);
        let all = ["a", "b", "c", "d"];
        let table = table(&all);
        assert_eq!(seen(&table, &["a", "b", "c"], 10, Some("x")), doubted);
        // The same listing, whether it comes again or is only confirmed; and another one that is no later.
        assert_eq!(seen(&table, &["a", "b", "c"], 60, Some("x")), doubted);
        assert_eq!(look(&table, 60, Some("x")), doubted);
        assert_eq!(seen(&table, &["a", "b", "c"], 10, Some("y")), doubted);
        // One that is later, but lacks others.
        assert_eq!(seen(&table, &["b", "c", "d"], 20, Some("y")), these(&["b", "c"]));
        assert_eq!(seen(&table, &["b", "c", "d"], 30, None), these(&["b", "c", "d"]));
        assert_eq!(seen(&table, &[], 40, None), these(&[]));
    }

    #[test]
    fn one_listing_that_upstream_states_for_a_day_is_as_good_as_two() {
        let table = table(&["a", "b", "c", "d"]);
        assert_eq!(seen(&table, &["a", "b", "c"], 10, Some("x")), (vec![], 3));
        assert_eq!(look(&table, 109, Some("x")), (vec![], 3));
        assert_eq!(look(&table, 110, Some("x")), these(&["a", "b", "c"]));
    }

    #[test]
    fn who_was_looked_at_longest_ago_comes_first() {
        let table = table(&["a", "b", "c", "d", "e"]);
        seen(&table, &["a", "b"], 10, None);
        table.execute("UPDATE absences SET looked = 7 WHERE project = 'a'", []).unwrap();
        let one = AbsenceRules { most: 1, ..RULES };
        assert_eq!(absences(&table, 10, None, one).unwrap().to_look_at[0].spelling, "b");
    }
}
