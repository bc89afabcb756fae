//! Events, projects and coverage: what is answered, and what is never answered.

use std::time::Duration;

use cheesewire::journal::{Appended, Journal, JournalSettings, Project, QuestionStart, Since, Upkeep, Want};
use cheesewire::model::{Event, ProjectName, Serial};
use futures_util::{StreamExt as _, TryStreamExt as _};

/// A poller whose news are believed for a minute.
const POLLED: Upkeep = Upkeep::Polled { head: Duration::from_mins(1) };

fn event(serial: i64, name: &str, action: &str) -> Event {
    let version = (!matches!(action, "create" | "remove project")).then(|| "1.0".to_owned());
    Event {
        serial: Serial(serial),
        name: name.to_owned(),
        version,
        time: 1000 - serial,
        action: action.to_owned(),
    }
}

fn releases(serials: impl IntoIterator<Item = i64>) -> Vec<Event> {
    serials.into_iter().map(|serial| event(serial, "a", "new release")).collect()
}

/// A journal that a poller would keep, its projects known up to `at`.
async fn seeded(folder: &tempfile::TempDir, at: i64) -> Journal {
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    journal.set_upkeep(POLLED);
    journal.caught_up(QuestionStart::now(journal.clock())).await;
    journal.seed(vec![("a".to_owned(), Some(Serial(at)))], Serial(at)).await.unwrap();
    journal
}

async fn append(journal: &Journal, events: Vec<Event>, since: i64, to: i64) -> Appended {
    journal.append(events, Serial(since), Serial(to)).await.unwrap()
}

/// The answer's serials; `None` if it is not covered.
async fn serials(journal: &Journal, since: i64, limit: usize) -> Option<Vec<i64>> {
    match journal.since_serial(Serial(since), limit).await.unwrap() {
        Since::NotCovered(_) => None,
        Since::Events(chunks) => {
            let events: Vec<Event> = chunks.try_concat().await.unwrap();
            Some(events.iter().map(|event| event.serial.0).collect())
        }
    }
}

/// What is asked of upstream, all of it.
async fn wanted(journal: &Journal) -> Want {
    journal.next_want().await.want
}

async fn projects(journal: &Journal) -> Vec<(String, Option<i64>)> {
    let rows: Vec<Project> = journal.projects().try_concat().await.unwrap();
    rows.into_iter().map(|row| (row.spelling, row.serial.map(|serial| serial.0))).collect()
}

#[tokio::test]
async fn events_come_back_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    let journal = seeded(&folder, 10).await;
    let actions =
        ["create", "new release", "add py3 file a-1-py3-none-any.whl", "add Owner böb", "odd  text "];
    let spellings = ["a", "A.b", "ä", "a b", "A.b"];
    let rows: Vec<Event> =
        (11..).zip(actions.iter().zip(spellings)).map(|(n, (a, s))| event(n, s, a)).collect();
    append(&journal, rows.clone(), 10, 15).await;
    let Since::Events(chunks) = journal.since_serial(Serial(10), 100).await.unwrap() else { panic!() };
    assert_eq!(chunks.try_concat().await.unwrap(), rows);
}

#[tokio::test]
async fn before_the_first_contact_nothing_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    for upkeep in [POLLED, Upkeep::OnDemand { head: Duration::MAX, projects: Duration::MAX }] {
        journal.set_upkeep(upkeep);
        assert_eq!(journal.last_serial(), None);
        assert!(journal.current_last_serial().is_err() && journal.projects_known().is_err());
        assert_eq!(serials(&journal, 0, 10).await, None);
        assert_eq!(serials(&journal, i64::MAX, 10).await, None);
    }
}

#[tokio::test]
async fn an_empty_answer_is_only_given_at_the_head() {
    let folder = tempfile::tempdir().unwrap();
    let journal = seeded(&folder, 10).await;
    assert_eq!(serials(&journal, 9, 10).await, None);
    assert_eq!(wanted(&journal).await, Want::Since(Serial(9)));
    for at_head in [10, 11, i64::MAX] {
        assert_eq!(serials(&journal, at_head, 10).await, Some(vec![]));
    }
    append(&journal, releases([12, 14]), 10, 14).await;
    assert_eq!(serials(&journal, 10, 10).await, Some(vec![12, 14]));
    assert_eq!(serials(&journal, 13, 10).await, Some(vec![14]));
    assert_eq!(serials(&journal, 14, 10).await, Some(vec![]));
    assert_eq!(serials(&journal, -5, 10).await, None);
}

#[tokio::test]
async fn a_polled_head_is_only_believed_while_its_poll_is_young() {
    let folder = tempfile::tempdir().unwrap();
    let journal = seeded(&folder, 10).await;
    append(&journal, releases([12]), 10, 12).await;
    assert_eq!(serials(&journal, 12, 10).await, Some(vec![]));
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(1)).await;
    tokio::time::resume();
    assert_eq!(serials(&journal, 10, 10).await, Some(vec![12]), "what is known is still told");
    for at_head in [12, 13, i64::MAX] {
        assert_eq!(serials(&journal, at_head, 10).await, None);
        assert_eq!(wanted(&journal).await, Want::Since(Serial(12)), "{at_head}");
    }
    journal.close().await;
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    journal.set_upkeep(POLLED);
    assert_eq!(serials(&journal, 12, 10).await, None, "an earlier run's polls prove nothing");
    journal.caught_up(QuestionStart::now(journal.clock())).await;
    assert_eq!(serials(&journal, 12, 10).await, Some(vec![]));
}

#[tokio::test]
async fn an_answer_never_crosses_a_gap_and_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = seeded(&folder, 100).await;
    append(&journal, releases([11, 12]), 10, 50).await;
    append(&journal, releases([101]), 100, 101).await;
    assert_eq!(serials(&journal, 10, 10).await, Some(vec![11, 12]));
    // Serials 13 to 50 are known to be unused; 51 to 100 are not known.
    assert_eq!(serials(&journal, 12, 10).await, None);
    assert_eq!(wanted(&journal).await, Want::Since(Serial(50)));
    append(&journal, releases([60, 101]), 50, 101).await;
    assert_eq!(serials(&journal, 12, 10).await, Some(vec![60, 101]));
}

#[tokio::test]
async fn a_limit_cuts_a_prefix_and_never_to_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let journal = seeded(&folder, 0).await;
    append(&journal, releases(1..=2500), 0, 2500).await;
    let expect = |upto| Some((1..=upto).collect::<Vec<i64>>());
    for limit in [1, 999, 1000, 1001, 2500, 50_000] {
        let upto = i64::try_from(limit).unwrap().min(2500);
        assert_eq!(serials(&journal, 0, limit).await, expect(upto));
    }
    assert_eq!(serials(&journal, 0, 0).await, expect(1));
}

#[tokio::test]
async fn rows_out_of_order_repeated_changed_and_strayed_are_each_dealt_with() {
    let folder = tempfile::tempdir().unwrap();
    let journal = seeded(&folder, 10).await;
    append(&journal, releases([11, 12]), 10, 12).await;
    let mut rows = releases([14, 12, 13, 13, 99, 5]);
    rows.push(Event { time: 1, ..event(11, "a", "new release") });
    let appended = append(&journal, rows, 10, 14).await;
    assert_eq!(appended, Appended { added: 2, repeated: 2, changed: 1, outside: 2 });
    let Since::Events(chunks) = journal.since_serial(Serial(10), 100).await.unwrap() else { panic!() };
    assert_eq!(chunks.try_concat().await.unwrap(), releases([11, 12, 13, 14]));
}

#[tokio::test]
async fn projects_follow_the_changelog_and_history_does_not_bring_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let listing = [("Zope.x", Some(5)), ("b", None), ("no name!", Some(1)), ("gone", Some(3))];
    let listing = listing.map(|(name, serial)| (name.to_owned(), serial.map(Serial)));
    journal.seed(listing.into(), Serial(10)).await.unwrap();
    let rows = vec![
        event(11, "New_One", "create"),
        event(12, "zope_x", "yank release"),
        event(13, "gone", "remove project"),
        event(14, "gone", "revoke_invite Owner x"),
        event(15, "b", "add py3 file b.whl"),
    ];
    append(&journal, rows, 10, 15).await;
    // History, and a slice beyond a gap: neither is where the table stands.
    append(&journal, vec![event(2, "gone", "create")], 1, 10).await;
    append(&journal, vec![event(30, "b", "remove project")], 20, 30).await;
    let expected = [("b", Some(15)), ("New_One", Some(11)), ("zope_x", Some(12))];
    assert_eq!(projects(&journal).await, expected.map(|(name, serial)| (name.to_owned(), serial)));
    assert_eq!(journal.projects_serial(), Some(Serial(15)));
    let found = journal.project(&ProjectName::parse("new.one").unwrap()).await.unwrap();
    assert_eq!(found, Some(Project { spelling: "New_One".to_owned(), serial: Some(Serial(11)) }));
    assert_eq!(journal.project(&ProjectName::parse("gone").unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn an_older_listing_changes_nothing_and_a_newer_one_replaces_all() {
    let folder = tempfile::tempdir().unwrap();
    let journal = seeded(&folder, 10).await;
    journal.seed(vec![("old".to_owned(), None)], Serial(9)).await.unwrap();
    assert_eq!(projects(&journal).await, [("a".to_owned(), Some(10))]);
    journal.seed(vec![("new".to_owned(), None)], Serial(11)).await.unwrap();
    assert_eq!(projects(&journal).await, [("new".to_owned(), None)]);
    assert_eq!(journal.last_serial(), Some(Serial(11)));
}

#[tokio::test]
async fn quarantine_takes_a_project_out_of_the_table_until_an_event_or_a_listing_with_a_higher_serial() {
    let folder = tempfile::tempdir().unwrap();
    let journal = seeded(&folder, 10).await;
    let name = ProjectName::parse("a").unwrap();
    let registered =
        async || journal.registered(&name).await.unwrap().and_then(|row| row.serial).map(|s| s.0);
    append(&journal, vec![event(11, "A", "project quarantined")], 10, 11).await;
    assert!(projects(&journal).await.is_empty());
    // What happens to it meanwhile does not list it.
    append(&journal, vec![event(12, "a", "add py3 file a.whl"), event(13, "A", "add Owner x")], 11, 13).await;
    assert_eq!((projects(&journal).await, registered().await), (vec![], Some(13)));
    // An index may list it all the same: that is no news until its serial rises.
    journal.seed(vec![("A".to_owned(), Some(Serial(13)))], Serial(13)).await.unwrap();
    assert_eq!((projects(&journal).await, registered().await), (vec![], Some(13)));
    journal.seed(vec![("A".to_owned(), Some(Serial(14)))], Serial(14)).await.unwrap();
    assert_eq!(projects(&journal).await, [("A".to_owned(), Some(14))]);
    append(&journal, vec![event(15, "A", "project quarantined")], 14, 15).await;
    append(&journal, vec![event(16, "A", "project quarantine cleared")], 15, 16).await;
    assert_eq!(projects(&journal).await, [("A".to_owned(), Some(16))]);
    // One that was registered anew is not the one that was in quarantine.
    append(&journal, vec![event(17, "A", "project quarantined"), event(18, "A", "create")], 16, 18).await;
    assert_eq!(projects(&journal).await, [("A".to_owned(), Some(18))]);
    append(&journal, vec![event(19, "A", "project quarantined"), event(20, "A", "remove project")], 18, 20)
        .await;
    assert_eq!((projects(&journal).await, registered().await), (vec![], None));
}

#[tokio::test]
async fn projects_come_in_name_order_in_bounded_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let listing = (0..2300).rev().map(|n| (format!("P{n:04}"), None)).collect();
    journal.seed(listing, Serial(1)).await.unwrap();
    let pieces: Vec<Vec<Project>> = journal.projects().map(Result::unwrap).collect().await;
    assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 300]);
    let names = pieces.iter().flatten().map(|row| row.spelling.clone());
    assert!(names.eq((0..2300).map(|n| format!("P{n:04}"))));
}

#[tokio::test]
async fn an_error_in_the_middle_of_an_answer_is_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let journal = seeded(&folder, 0).await;
    append(&journal, releases(1..=1500), 0, 1500).await;
    let Since::Events(mut chunks) = journal.since_serial(Serial(0), 5000).await.unwrap() else { panic!() };
    assert_eq!(chunks.next().await.unwrap().unwrap().len(), 1000);
    journal.close().await;
    assert!(chunks.next().await.unwrap().is_err());
    assert!(chunks.next().await.is_none());
}

#[tokio::test]
async fn a_restart_knows_what_was_known() {
    let folder = tempfile::tempdir().unwrap();
    let journal = seeded(&folder, 10).await;
    append(&journal, releases([12]), 10, 12).await;
    journal.close().await;
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    journal.set_upkeep(POLLED);
    assert_eq!((journal.last_serial(), journal.projects_serial()), (Some(Serial(12)), Some(Serial(12))));
    assert_eq!(serials(&journal, 10, 10).await, Some(vec![12]));
    assert_eq!(projects(&journal).await, [("a".to_owned(), Some(12))]);
}

#[tokio::test]
async fn a_polled_head_never_runs_ahead_of_the_projects() {
    let folder = tempfile::tempdir().unwrap();
    let journal = seeded(&folder, 10).await;
    append(&journal, releases([30]), 20, 30).await;
    journal.heard_last_serial(Serial(40)).await.unwrap();
    assert_eq!(journal.last_serial(), Some(Serial(10)));
    append(&journal, releases([15, 30]), 10, 30).await;
    assert_eq!(journal.last_serial(), Some(Serial(30)));
}

#[tokio::test]
async fn on_demand_the_head_is_believed_only_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let (head, projects) = (Duration::from_mins(1), Duration::from_mins(30));
    journal.set_upkeep(Upkeep::OnDemand { head, projects });
    journal.seed(vec![], Serial(8)).await.unwrap();
    assert!(journal.projects_known().is_ok() && journal.current_last_serial().is_err());
    assert_eq!(wanted(&journal).await, Want::LastSerial);
    journal.heard_last_serial(Serial(9)).await.unwrap();
    assert_eq!(journal.current_last_serial().unwrap(), Serial(9));
    assert_eq!(serials(&journal, 9, 1).await, Some(vec![]));
    assert_eq!(serials(&journal, 8, 1).await, None);
    // Time moves by hand only here: with a paused clock the waits for SQLite's threads would move it.
    tokio::time::pause();
    tokio::time::advance(head).await;
    assert!(journal.current_last_serial().is_err());
    tokio::time::advance(projects).await;
    assert!(journal.projects_known().is_err());
    tokio::time::resume();
    assert_eq!(serials(&journal, 9, 1).await, None);
    assert_eq!(journal.last_serial(), Some(Serial(9)));
}
