//! Where a listing of upstream's and the project table differ.

use rusqlite::Connection;

use super::{Journal, JournalError, lead, quarantine};
use crate::model::{ProjectName, Serial};

/// Which serials of a listing make a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SerialRule {
    /// One above what the table has: upstream may give an older listing than the one before (docs/wire.md section 8).
    Higher,
    /// Any other than the table has: upstream was restored from a backup and counts from there. What the table has from
    /// after `upto`, the listing's last serial, was told since the listing was made.
    Any {
        /// The listing's last serial.
        upto: Serial,
    },
    /// None: what the index states as serials says nothing. Every listed project is one to look at.
    Ignored,
}

/// A project of which the listing says something else than the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The project.
    pub name: ProjectName,
    /// As the listing has it; as the table has it if the listing has not.
    pub spelling: String,
    /// The listing has it.
    pub listed: bool,
    /// The serial that the listing gives it, if it gives one.
    pub serial: Option<Serial>,
    /// The table knows it, or it is in quarantine.
    pub known: bool,
    /// It is in quarantine, as far as is known: see [`Journal::registered`].
    pub quarantined: bool,
}

impl Difference {
    /// A known project that the listing lacks.
    pub(super) fn absent(name: ProjectName, spelling: String) -> Self {
        Self { name, spelling, listed: false, serial: None, known: true, quarantined: false }
    }
}

/// All of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// New projects and those whose serial makes a difference, by serial; new ones without a serial first.
    pub changed: Vec<Difference>,
    /// Known projects that are listed, and of which the listing's serial says nothing, by name: the first ones, as many
    /// as were asked for.
    pub untold: Vec<Difference>,
    /// How many of those there are.
    pub untold_in_all: usize,
    /// Projects that the listing lacks, by name, with the serials that upstream last stated of them.
    pub gone: Vec<(ProjectName, Option<Serial>)>,
}

impl Journal {
    /// Compares a listing with the project table. `most_untold`: how many projects are named of which the listing's serial
    /// says nothing; the others are counted. Names that are none are left out.
    pub async fn compare(
        &self,
        listing: Vec<(String, Option<Serial>)>,
        rule: SerialRule,
        most_untold: usize,
    ) -> Result<Differences, JournalError> {
        self.read(move |connection| compare(connection, listing, rule, most_untold)).await
    }
}

impl SerialRule {
    /// Whether a serial that a listing gives to a known project says that it changed; `None`: it says nothing.
    fn changed(self, listed: Option<Serial>, known: Option<i64>) -> Option<bool> {
        match (self, listed) {
            (Self::Ignored, _) | (_, None) => None,
            (Self::Higher, Some(serial)) => Some(Some(serial.0) > known),
            (Self::Any { upto }, Some(serial)) => {
                Some(Some(serial.0) > known || (Some(serial.0) != known && known <= Some(upto.0)))
            }
        }
    }
}

fn compare(
    connection: &Connection,
    listing: Vec<(String, Option<Serial>)>,
    rule: SerialRule,
    most_untold: usize,
) -> rusqlite::Result<Differences> {
    let mut listed: Vec<_> = listing
        .into_iter()
        .filter_map(|(spelling, serial)| Some((ProjectName::parse(&spelling).ok()?, spelling, serial)))
        .collect();
    listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    listed.dedup_by(|a, b| a.0 == b.0);
    let mut found = Differences::default();
    let quarantined = quarantine::serials(connection)?;
    let leads = lead::stated(connection)?;
    let mut sort = |(name, spelling, serial): (ProjectName, String, Option<Serial>),
                    known: Option<Option<i64>>| {
        let held = quarantined.get(name.as_str()).copied().filter(|_| known.is_none());
        let known = known.or(held).map(|known| leads.get(name.as_str()).copied().map_or(known, Some));
        let difference = Difference {
            name,
            spelling,
            listed: true,
            serial,
            known: known.is_some(),
            quarantined: held.is_some(),
        };
        match known.map(|known| rule.changed(serial, known)) {
            None | Some(Some(true)) => found.changed.push(difference),
            Some(Some(false)) => {}
            Some(None) => {
                found.untold_in_all += 1;
                if found.untold.len() < most_untold {
                    found.untold.push(difference);
                }
            }
        }
    };
    let mut gone = Vec::new();
    let mut listed = listed.into_iter().peekable();
    let mut statement = connection.prepare_cached("SELECT name, serial FROM projects ORDER BY name")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str()?;
        while let Some(before) = listed.next_if(|next| next.0.as_str() < name) {
            sort(before, None);
        }
        if let Some(same) = listed.next_if(|next| next.0.as_str() == name) {
            sort(same, Some(row.get(1)?));
        } else if let Ok(parsed) = ProjectName::parse(name) {
            let stated = leads.get(name).copied().map_or_else(|| row.get(1), |stated| Ok(Some(stated)))?;
            gone.push((parsed, stated.map(Serial)));
        }
    }
    for new in listed {
        sort(new, None);
    }
    found.gone = gone;
    found.changed.sort_by_key(|difference| difference.serial);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Connection {
        let table = Connection::open_in_memory().unwrap();
        table.execute_batch(include_str!("schema/1.sql")).unwrap();
        for schema in
            [include_str!("schema/4.sql"), include_str!("schema/7.sql"), include_str!("schema/10.sql")]
        {
            table.execute_batch(schema).unwrap();
        }
        let rows =
            "INSERT INTO projects VALUES ('b', 'B', 5), ('d', 'd', 5), ('e', 'E', 5), ('f', 'f', NULL)";
        table.execute_batch(rows).unwrap();
        table
    }

    fn row(name: &str, serial: i64) -> (String, Option<Serial>) {
        (name.to_owned(), Some(Serial(serial)))
    }

    fn names(differences: &[Difference]) -> Vec<&str> {
        differences.iter().map(|difference| difference.spelling.as_str()).collect()
    }

    #[test]
    fn new_changed_and_gone_projects_are_told_apart() {
        let listing = vec![
            row("z", 7),
            row("E", 5),
            row("D", 9),
            row("a", 8),
            row("f", 6),
            row("c.", 3),
            ("c".into(), None),
        ];
        let found = compare(&table(), listing, SerialRule::Higher, 9).unwrap();
        let changed: Vec<_> =
            found.changed.iter().map(|d| (d.spelling.as_str(), d.serial.map(|s| s.0), d.known)).collect();
        let expected = [
            ("c", None, false),
            ("f", Some(6), true),
            ("z", Some(7), false),
            ("a", Some(8), false),
            ("D", Some(9), true),
        ];
        assert_eq!(changed, expected);
        assert_eq!(found.gone, [(ProjectName::parse("b").unwrap(), Some(Serial(5)))]);
        assert_eq!((found.untold.len(), found.untold_in_all), (0, 0));
    }

    #[test]
    fn a_lower_serial_counts_only_where_any_other_does() {
        let listing = || vec![row("b", 4), row("d", 1), row("e", 5), row("f", 1)];
        let changed = |rule| {
            let found = compare(&table(), listing(), rule, 9).unwrap();
            names(&found.changed).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(changed(SerialRule::Higher), ["f"]);
        assert_eq!(changed(SerialRule::Any { upto: Serial(5) }), ["d", "f", "b"]);
        assert_eq!(changed(SerialRule::Any { upto: Serial(4) }), ["f"], "told since the listing was made");
        assert!(changed(SerialRule::Ignored).is_empty());
    }

    #[test]
    fn of_what_no_serial_tells_each_project_is_to_be_looked_at() {
        let listing = || vec![("b".to_owned(), None), row("d", 9), row("e", 9), row("f", 9), row("n", 9)];
        let found = compare(&table(), listing(), SerialRule::Ignored, 2).unwrap();
        assert_eq!((names(&found.untold), found.untold_in_all), (vec!["b", "d"], 4));
        assert_eq!(names(&found.changed), ["n"]);
        let found = compare(&table(), listing(), SerialRule::Higher, 2).unwrap();
        assert_eq!((names(&found.untold), found.untold_in_all), (vec!["b"], 1));
    }

    #[test]
    fn what_is_in_quarantine_and_listed_counts_by_its_serial_and_is_not_gone() {
        let table = table();
        table.execute("INSERT INTO quarantined (project, serial) VALUES ('q', 7), ('r', 7)", []).unwrap();
        let listing =
            |serial| ["b", "d", "e", "f"].into_iter().map(|name| row(name, 5)).chain([row("Q", serial)]);
        let changed = |serial, rule| {
            let found = compare(&table, listing(serial).collect(), rule, 9).unwrap();
            assert!(found.gone.is_empty(), "{:?}", found.gone);
            found.changed.into_iter().map(|d| (d.spelling, d.known, d.quarantined)).collect::<Vec<_>>()
        };
        assert_eq!(
            changed(8, SerialRule::Higher),
            [("f".to_owned(), true, false), ("Q".to_owned(), true, true)]
        );
        assert_eq!(changed(7, SerialRule::Higher), [("f".to_owned(), true, false)]);
        let found = compare(&table, listing(7).collect(), SerialRule::Ignored, 9).unwrap();
        assert_eq!(names(&found.untold), ["b", "d", "e", "f", "Q"]);
    }
}
