//! Where a listing of upstream's and the project table differ.

use std::cmp::Ordering;

use rusqlite::Connection;

use super::{Journal, JournalError, lead};
use crate::model::{ProjectName, Serial};

/// A project of which the listing says something else than the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The project.
    pub name: ProjectName,
    /// As the listing has it; as the table has it if the listing has not.
    pub spelling: String,
    /// The serial that the listing gives it; `None` if it lists it no more.
    pub serial: Option<Serial>,
    /// The table knows it.
    pub known: bool,
}

/// All of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// New projects and those with a higher serial than the table's, by serial.
    pub changed: Vec<Difference>,
    /// Projects that the listing lacks, by name.
    pub gone: Vec<Difference>,
}

impl Journal {
    /// Compares a listing with the project table. A lower serial than the table's is no difference: upstream may
    /// give an older listing than the one before (WIRE.md section 8). Names that are none are left out.
    pub async fn compare(&self, listing: Vec<(String, Option<Serial>)>) -> Result<Differences, JournalError> {
        self.read(move |connection| compare(connection, listing)).await
    }
}

fn compare(connection: &Connection, listing: Vec<(String, Option<Serial>)>) -> rusqlite::Result<Differences> {
    let mut listed: Vec<_> = listing
        .into_iter()
        .filter_map(|(spelling, serial)| Some((ProjectName::parse(&spelling).ok()?, spelling, serial)))
        .collect();
    listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    listed.dedup_by(|a, b| a.0 == b.0);
    let mut found = Differences::default();
    let mut changed = |name, spelling, serial, known| {
        found.changed.push(Difference { name, spelling, serial: Some(serial), known });
    };
    let mut listed = listed.into_iter().peekable();
    let mut statement =
        connection.prepare_cached("SELECT name, spelling, serial FROM projects ORDER BY name")?;
    let leads = lead::stated(connection)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str()?;
        let known = leads.get(name).copied().map_or_else(|| row.get(2), |stated| Ok(Some(stated)))?;
        loop {
            let order = listed.peek().map_or(Ordering::Greater, |next| next.0.as_str().cmp(name));
            match (order, listed.next_if(|_| order != Ordering::Greater)) {
                (Ordering::Less, Some((name, spelling, Some(serial)))) => {
                    changed(name, spelling, serial, false);
                }
                (Ordering::Equal, Some((name, spelling, serial))) => {
                    if let Some(serial) = serial.filter(|serial| Some(serial.0) > known) {
                        changed(name, spelling, serial, true);
                    }
                    break;
                }
                (Ordering::Less, _) => {}
                (Ordering::Equal | Ordering::Greater, _) => {
                    let spelling = row.get(1)?;
                    if let Ok(name) = ProjectName::parse(name) {
                        found.gone.push(Difference { name, spelling, serial: None, known: true });
                    }
                    break;
                }
            }
        }
    }
    for (name, spelling, serial) in listed {
        if let Some(serial) = serial {
            found.changed.push(Difference { name, spelling, serial: Some(serial), known: false });
        }
    }
    found.changed.sort_by_key(|difference| difference.serial);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_changed_and_gone_projects_are_told_apart() {
        let table = Connection::open_in_memory().unwrap();
        table.execute_batch(include_str!("schema/1.sql")).unwrap();
        table.execute_batch(include_str!("schema/7.sql")).unwrap();
        let rows =
            "INSERT INTO projects VALUES ('b', 'B', 5), ('d', 'd', 5), ('e', 'E', 5), ('f', 'f', NULL)";
        table.execute_batch(rows).unwrap();
        let row = |name: &str, serial| (name.to_owned(), Some(Serial(serial)));
        let listing = vec![
            row("z", 7),
            row("E", 5),
            row("D", 9),
            row("a", 8),
            row("f", 6),
            row("c.", 3),
            ("c".into(), None),
        ];
        let found = compare(&table, listing).unwrap();
        let changed: Vec<_> =
            found.changed.iter().map(|d| (d.spelling.as_str(), d.serial.unwrap().0, d.known)).collect();
        assert_eq!(changed, [("f", 6, true), ("z", 7, false), ("a", 8, false), ("D", 9, true)]);
        let gone: Vec<_> = found.gone.iter().map(|d| d.spelling.as_str()).collect();
        assert_eq!(gone, ["B"]);
        // An older listing brings nothing back.
        assert_eq!(
            compare(&table, vec![row("b", 4), row("d", 1), row("e", 2), row("f", 1)]).unwrap().changed.len(),
            1
        );
    }
}
