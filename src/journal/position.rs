//! Where upstream stands, apart from our own numbers.
//!
//! Normally an event has the number that upstream gave it. It cannot where ours are ahead: derived events may find room
//! only above upstream's last serial (see `follow::derive`), and an upstream that was restored from an older copy gives
//! numbers out a second time. Then each row of upstream's gets our next number, so that whoever asks for what came after
//! the last number that it has sees all of them; and from the row on whose own serial is above all of ours, the numbers
//! are the same again.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{coverage, facts};
use crate::model::{Event, Serial};

/// A place in the changelog by both numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Our number: the last serial that we tell.
    pub ours: Serial,
    /// Upstream's: what came up to this serial is told by numbers up to ours. Never above ours.
    pub theirs: Serial,
}

impl Position {
    /// Where both numbers are the same.
    pub fn same(serial: Serial) -> Self {
        Self { ours: serial, theirs: serial }
    }

    /// Our numbers are ahead of upstream's.
    pub fn is_ahead(self) -> bool {
        self.ours > self.theirs
    }
}

/// Where the project table stands.
pub(super) fn get(connection: &Connection) -> rusqlite::Result<Option<Position>> {
    let Some(ours) = facts::get(connection, facts::PROJECTS_SERIAL)? else { return Ok(None) };
    let theirs = facts::get(connection, facts::UPSTREAM_SERIAL)?.unwrap_or(ours);
    Ok(Some(Position { ours: Serial(ours), theirs: Serial(theirs.min(ours)) }))
}

pub(super) fn set(connection: &Connection, position: Position) -> rusqlite::Result<()> {
    facts::set(connection, facts::PROJECTS_SERIAL, position.ours.0)?;
    if position.is_ahead() {
        facts::set(connection, facts::UPSTREAM_SERIAL, position.theirs.0)
    } else {
        facts::unset(connection, facts::UPSTREAM_SERIAL)
    }
}

/// Whether any events have numbers that are not upstream's, or ever had.
pub(super) fn has_own_numbers(connection: &Connection) -> rusqlite::Result<bool> {
    let compared = facts::get(connection, facts::COMPARISON_OWED)?.is_some();
    Ok(compared || facts::get(connection, facts::UPSTREAM_SERIAL)?.is_some())
}

/// A slice of upstream's with our numbers.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    /// In ascending order.
    pub(super) events: Vec<Event>,
    /// Upstream's numbers of those whose own are others, by ours.
    pub(super) stated: BTreeMap<Serial, Serial>,
    /// Ranges `(after, upto]` of our numbers that are complete now.
    pub(super) complete: Vec<(Serial, Serial)>,
    /// Where the project table stands after this slice, if that continues what it knows.
    pub(super) reached: Option<Position>,
}

/// Numbers the rows, in ascending order, that upstream gave for "since `asked_since`" and that are all up to
/// `complete_to`.
///
/// What lies in a range that is complete already is left out once there are numbers of our own: what happened there is
/// told by them. As long as a comparison is owed, upstream's rows beyond the table may be among those that it has told.
pub(super) fn number(
    connection: &Connection,
    mut events: Vec<Event>,
    asked_since: Serial,
    complete_to: Serial,
) -> rusqlite::Result<Numbered> {
    let at = get(connection)?;
    let mut complete_to = complete_to;
    if has_own_numbers(connection)? {
        let owed = facts::get(connection, facts::COMPARISON_OWED)?.is_some_and(|owed| owed != 0);
        if let Some(at) = at {
            let follows = asked_since <= at.theirs;
            if owed || (at.is_ahead() && !follows) {
                complete_to = complete_to.min(at.theirs);
            }
        }
        let told = coverage::from_the_top(connection)?;
        let is_told = |serial: i64| told.iter().any(|&(after, upto)| after < serial && serial <= upto);
        let is_news = |serial: Serial| at.is_some_and(|at| serial > at.theirs);
        events.retain(|event| {
            event.serial <= complete_to && (is_news(event.serial) || !is_told(event.serial.0))
        });
    }
    let Some(at) = at.filter(|at| asked_since <= at.theirs && at.theirs < complete_to) else {
        let complete = vec![(asked_since, complete_to)];
        return Ok(Numbered { events, complete, ..Numbered::default() });
    };
    let mut numbered = Numbered { complete: vec![(asked_since, at.theirs)], ..Numbered::default() };
    let (mut last, mut before) = (at.ours, None);
    for mut event in events {
        if event.serial > at.theirs {
            let stated = event.serial;
            // A number that upstream gives twice is one event's: the first stays.
            if before.replace(stated) != Some(stated) {
                last = stated.max(Serial(last.0 + 1));
            }
            event.serial = last;
            if last != stated {
                numbered.stated.insert(last, stated);
            }
        }
        numbered.events.push(event);
    }
    let reached = Position { ours: last.max(complete_to), theirs: complete_to };
    numbered.complete.push((at.ours, reached.ours));
    numbered.reached = Some(reached);
    Ok(numbered)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Journal, JournalSettings};
    use super::*;

    fn row(serial: i64) -> Event {
        Event {
            serial: Serial(serial),
            name: "a".to_owned(),
            version: None,
            time: serial,
            action: "create".to_owned(),
        }
    }

    fn table(ours: i64, theirs: i64) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema/1.sql")).unwrap();
        set(&connection, Position { ours: Serial(ours), theirs: Serial(theirs) }).unwrap();
        coverage::insert(&connection, 50, ours).unwrap();
        connection
    }

    fn numbers(numbered: &Numbered) -> Vec<(i64, i64)> {
        let stated = |event: &Event| numbered.stated.get(&event.serial).copied().unwrap_or(event.serial).0;
        numbered.events.iter().map(|event| (event.serial.0, stated(event))).collect()
    }

    #[test]
    fn rows_get_our_next_numbers_until_their_own_are_above_all_of_ours() {
        let table = table(105, 90);
        let rows = [91, 92, 95, 108, 109, 120].map(row).to_vec();
        let numbered = number(&table, rows, Serial(90), Serial(121)).unwrap();
        let expected = [(106, 91), (107, 92), (108, 95), (109, 108), (110, 109), (120, 120)];
        assert_eq!(numbers(&numbered), expected);
        assert_eq!(numbered.reached, Some(Position::same(Serial(121))));
        assert_eq!(numbered.complete, [(Serial(90), Serial(90)), (Serial(105), Serial(121))]);
    }

    #[test]
    fn a_slice_that_does_not_follow_on_brings_no_number_of_upstreams_among_ours() {
        // What is complete there is told by numbers of our own.
        let table = table(105, 90);
        let rows = || [40, 45, 60, 95, 100, 107].map(row).to_vec();
        let beyond = number(&table, rows()[3..].to_vec(), Serial(94), Serial(107)).unwrap();
        assert_eq!((beyond.events.len(), beyond.reached), (0, None));
        let history = number(&table, rows()[..3].to_vec(), Serial(30), Serial(60)).unwrap();
        assert_eq!((numbers(&history), history.reached), (vec![(40, 40), (45, 45)], None));
        // As long as a comparison is owed upstream's next rows may be among those that it has told.
        facts::set(&table, facts::COMPARISON_OWED, 1).unwrap();
        let owed = number(&table, rows(), Serial(30), Serial(107)).unwrap();
        assert_eq!((numbers(&owed), owed.reached), (vec![(40, 40), (45, 45)], None));
    }

    #[tokio::test]
    async fn both_numbers_outlive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Journal::open(folder.path(), JournalSettings::default());
        let journal = open().await.unwrap();
        journal.seed(vec![("a".to_owned(), Some(Serial(9)))], Serial(100)).await.unwrap();
        journal.restore(Position::same(Serial(90)), false).await.unwrap();
        let stands = Position { ours: Serial(100), theirs: Serial(90) };
        assert_eq!((journal.position(), journal.upstream_serial()), (Some(stands), Some(Serial(90))));
        journal.append(vec![row(91)], Serial(90), Serial(91)).await.unwrap();
        journal.close().await;
        let journal = open().await.unwrap();
        let stands = Position { ours: Serial(101), theirs: Serial(91) };
        assert_eq!((journal.position(), journal.upstream_serial()), (Some(stands), Some(Serial(91))));
        // A listing of upstream's is as new as its own numbers say, and takes none of ours back.
        journal.seed(vec![("a".to_owned(), Some(Serial(91)))], Serial(91)).await.unwrap();
        let name = crate::model::ProjectName::parse("a").unwrap();
        assert_eq!(journal.project(&name).await.unwrap().unwrap().serial, Some(Serial(101)));
        assert_eq!(journal.position(), Some(stands));
        journal.append(vec![row(102)], Serial(91), Serial(103)).await.unwrap();
        assert_eq!(journal.position(), Some(Position::same(Serial(103))));
    }

    proptest! {
        #[test]
        fn numbers_are_unique_ascend_and_are_upstreams_where_they_can_be(
            ahead in 0..30i64,
            steps in prop::collection::vec(0..6i64, 0..40),
            cut in 0..40usize,
        ) {
            let table = table(100 + ahead, 100);
            let mut serial = 100;
            let rows: Vec<Event> = steps.iter().map(|step| { serial += step; row(serial) }).collect();
            // Two slices, as upstream cuts them.
            let cut = cut.min(rows.len());
            let mut all = Vec::new();
            let mut at = Position { ours: Serial(100 + ahead), theirs: Serial(100) };
            for part in [&rows[..cut], &rows[cut..]] {
                let Some(last) = part.last().filter(|last| last.serial > at.theirs) else { continue };
                let news = part.iter().filter(|row| row.serial > at.theirs).cloned().collect();
                let numbered = number(&table, news, at.theirs, last.serial).unwrap();
                at = numbered.reached.unwrap();
                set(&table, at).unwrap();
                coverage::insert(&table, 50, at.ours.0).unwrap();
                all.extend(numbers(&numbered));
            }
            all.dedup();
            prop_assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1), "{:?}", all);
            let mut last = 100 + ahead;
            for &(ours, theirs) in &all {
                prop_assert_eq!(ours, theirs.max(last + 1));
                last = ours;
            }
            let mut serials: Vec<i64> = rows.iter().map(|row| row.serial.0).filter(|&serial| serial > 100).collect();
            serials.dedup();
            prop_assert_eq!(all.into_iter().map(|(_, theirs)| theirs).collect::<Vec<_>>(), serials);
        }
    }
}
