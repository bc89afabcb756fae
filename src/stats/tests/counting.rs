//! Counts on their way to the disk.

use super::*;

#[tokio::test]
async fn what_is_written_is_told_by_file_project_and_window() {
    let bench = Bench::new().await;
    let (one, two) = (ProjectName::parse("one").unwrap(), ProjectName::parse("two").unwrap());
    bench.count("one-1.zip", "pip/1", 3).await;
    bench.count("one-2.zip", "pip/1", 2).await;
    bench.count("two-1.zip", "pip/1", 5).await;
    bench.count("three-1.zip", "pip/1", 1).await;
    assert_eq!(bench.stats.of_files(&one).await.unwrap().unwrap()["one-1.zip"], 3);
    let top = bench.stats.top(Some(2)).await.unwrap();
    // The registered spelling; of equal numbers by name.
    assert_eq!(top, [("ONE".to_owned(), 5), ("TWO".to_owned(), 5)]);
    assert_eq!(bench.stats.top(None).await.unwrap().len(), 3);
    let windows = [
        (0, (5, 5, 5)),
        (1, (5, 5, 5)),
        (2, (0, 5, 5)),
        (7, (0, 5, 5)),
        (8, (0, 0, 5)),
        (30, (0, 0, 5)),
        (31, (0, 0, 0)),
    ];
    for (days, (last_day, last_week, last_month)) in windows {
        bench.clock.set(NOON + days * DAY);
        let recent = bench.stats.recent(&two).await.unwrap().unwrap();
        assert_eq!(recent, Recent { last_day, last_week, last_month }, "after {days} days");
    }
}

#[tokio::test]
async fn nothing_is_told_where_nothing_is_counted() {
    let off = StatsSettings { enabled: false, ..StatsSettings::default() };
    let bench = Bench::over(tempfile::tempdir().unwrap(), off).await;
    let name = ProjectName::parse("one").unwrap();
    assert_eq!(bench.stats.of_files(&name).await.unwrap(), None);
    assert_eq!(bench.stats.recent(&name).await.unwrap(), None);
    assert_eq!(bench.stats.top(None).await.unwrap(), []);
    assert_eq!(bench.stats.top_lately(9).await.unwrap(), []);
}

#[tokio::test]
async fn of_a_days_agents_those_beyond_the_limit_count_as_other_also_after_a_restart() {
    let few = || StatsSettings { agents_a_day: 2, ..StatsSettings::default() };
    let mut bench = Bench::over(tempfile::tempdir().unwrap(), few()).await;
    for n in 0..5 {
        bench.count("one-1.zip", &format!("agent/{n}"), 1).await;
    }
    bench = Bench::over(bench.folder, few()).await;
    bench.count("one-1.zip", "agent/1", 1).await;
    bench.count("one-1.zip", "agent/9", 1).await;
    let day = bench.today();
    // The next day has as many again.
    bench.clock.set(NOON + DAY);
    bench.count("one-1.zip", "agent/9", 1).await;
    for day in [day, day.next()] {
        bench.seal(day);
    }
    let lines = "ONE,one-1.zip,agent/0,1\r\nONE,one-1.zip,agent/1,2\r\nONE,one-1.zip,other,4\r\n";
    assert_eq!(bench.report(day).await.as_deref(), Some(lines));
    assert_eq!(bench.report(day.next()).await.as_deref(), Some("ONE,one-1.zip,agent/9,1\r\n"));
    assert_eq!(bench.total().await, 8);
}

#[tokio::test]
async fn counts_that_the_disk_does_not_take_are_written_once_it_does() {
    let bench = Bench::new().await;
    bench.count("one-1.zip", "pip/1", 1).await;
    bench.pages(1);
    for round in 0..3_u64 {
        for n in 0..200 {
            bench.count_in_memory(&format!("one-{n}.zip"), "pip/1", 1);
        }
        assert!(matches!(bench.stats.flush().await, Err(StatsError::Full { .. })));
        let state = bench.stats.state();
        assert_eq!(
            (state.uncommitted, state.write_error.as_deref()),
            (200 * (round + 1), Some("the disk is full"))
        );
    }
    assert_eq!(bench.total().await, 1);
    bench.pages(1 << 30);
    bench.stats.flush().await.unwrap();
    bench.stats.flush().await.unwrap();
    let state = bench.stats.state();
    assert_eq!((bench.total().await, state.uncommitted, state.write_error), (601, 0, None));
}

#[tokio::test]
async fn a_flush_whose_caller_leaves_writes_once() {
    let bench = Bench::new().await;
    for _ in 0..50 {
        bench.count_in_memory("one-1.zip", "pip/1", 1);
        let mut flush = Box::pin(bench.stats.flush());
        // It may have begun.
        for _ in 0..3 {
            if futures_util::poll!(&mut flush).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(flush);
    }
    bench.stats.flush().await.unwrap();
    assert_eq!(bench.total().await, 50);
}

#[tokio::test]
async fn a_project_without_a_registered_spelling_has_its_normal_form() {
    let bench = Bench::new().await;
    bench.count("unspelled-1.zip", "pip/1", 1).await;
    assert_eq!(bench.stats.top(None).await.unwrap(), [("unspelled".to_owned(), 1)]);
}

#[tokio::test]
async fn a_damaged_file_and_another_programs_are_refused_with_the_remedy() {
    let open = async |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("statistics.sqlite3"), bytes).unwrap();
        let spell: Spell = Arc::new(|_| Box::pin(async { None }));
        Stats::open(folder.path(), StatsSettings::default(), spell).await.unwrap_err()
    };
    let error = open(&[7; 5000]).await;
    assert!(
        matches!(error, StatsError::Broken { .. }) && error.to_string().contains("move it away"),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let error = open(&std::fs::read(&path).unwrap()).await;
    assert!(matches!(error, StatsError::Foreign { .. }), "{error}");
}

#[tokio::test]
async fn agents_of_counts_that_were_not_written_take_no_place() {
    let one = StatsSettings { agents_a_day: 1, ..StatsSettings::default() };
    let bench = Bench::over(tempfile::tempdir().unwrap(), one).await;
    bench.pages(1);
    for n in 0..200 {
        bench.count_in_memory(&format!("one-{n}.zip"), "pip/1", 1);
    }
    assert!(matches!(bench.stats.flush().await, Err(StatsError::Full { .. })));
    bench.pages(1 << 30);
    bench.stats.flush().await.unwrap();
    bench.seal(bench.today());
    let report = bench.report(bench.today()).await.unwrap();
    assert_eq!(report.lines().filter(|line| line.ends_with(",pip/1,1")).count(), 200);
}

#[tokio::test]
async fn a_spelling_of_another_project_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StatsSettings { clock: Clock::standing_at(NOON), ..StatsSettings::default() };
    let spell: Spell = Arc::new(|name| {
        let spelling = if name.as_str() == "one" { "Two" } else { "no name" };
        Box::pin(async move { Some(spelling.to_owned()) })
    });
    let stats = Stats::open(folder.path(), settings, spell).await.unwrap();
    let bench = Bench { folder, clock: Clock::standing_at(NOON), stats };
    bench.count("one-1.zip", "pip/1", 2).await;
    bench.count("three-1.zip", "pip/1", 1).await;
    assert_eq!(bench.stats.top(None).await.unwrap(), [("one".to_owned(), 2), ("three".to_owned(), 1)]);
}

#[tokio::test]
async fn an_agent_is_remembered_unless_it_is_too_long_to_be() {
    let bench = Bench::new().await;
    for (length, remembered) in [(1024, true), (1025, false)] {
        let sent = vec![b'a'; length];
        let (first, second) = (bench.stats.agent(&sent), bench.stats.agent(&sent));
        assert_eq!((Arc::ptr_eq(&first, &second), first == second), (remembered, true), "{length}");
    }
}

#[tokio::test]
async fn a_file_that_somebody_has_just_begun_to_make_holds_no_statistics() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("statistics.sqlite3"), "").unwrap();
    let opened = Stats::open_to_read(folder.path(), StatsSettings::default()).await;
    assert!(matches!(opened, Err(StatsError::None { .. })), "{opened:?}");
}

#[tokio::test]
async fn a_count_below_none_is_damage_and_not_0() {
    let bench = Bench::new().await;
    let (name, day) = (ProjectName::parse("one").unwrap(), bench.today());
    bench.count("one-1.zip", "pip/1", 1).await;
    let damage =
        "UPDATE files SET count = -1; UPDATE project_days SET count = -1; UPDATE counters SET count = -1";
    bench.stats.database().write_here(|transaction| transaction.execute_batch(damage)).unwrap();
    let errors = [
        bench.stats.of_files(&name).await.map(|_| ()).unwrap_err(),
        bench.stats.recent(&name).await.map(|_| ()).unwrap_err(),
        bench.stats.by_day(day, day).map(|_| ()).unwrap_err(),
        bench.stats.report_rows(Period::Day(day), |_| Ok(())).unwrap_err(),
        bench.stats.export_rows(day, day, |_| Ok(())).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, StatsError::Broken { .. }), "{error}");
    }
    // So is a report's length.
    bench
        .stats
        .database()
        .write_here(|t| t.execute_batch("UPDATE days SET state = 2, bytes = -1, sha256 = x'00'"))
        .unwrap();
    assert!(matches!(bench.stats.sealed_report(day).await, Err(StatsError::Broken { .. })));
}

#[tokio::test]
async fn the_top_of_late_is_counted_over_eight_days_and_among_the_leaders_only() {
    let bench = Bench::new().await;
    bench.count("old-1.zip", "pip/1", 90).await;
    bench.clock.set(NOON + DAY);
    bench.count("one-1.zip", "pip/1", 2).await;
    bench.clock.set(NOON + 8 * DAY);
    bench.count("two-1.zip", "pip/1", 3).await;
    let row = |name: &str, count| (name.to_owned(), count);
    let top = async |most| bench.stats.top_lately(most).await.unwrap();
    assert_eq!(top(9).await, [row("TWO", 3), row("ONE", 2)]);
    assert_eq!(top(1).await, [row("TWO", 3)]);
    bench.count("alike-1.zip", "pip/1", 3).await;
    assert_eq!(top(9).await, [row("ALIKE", 3), row("TWO", 3), row("ONE", 2)], "of equal numbers by name");
    // A clock that was a day ahead.
    bench.clock.set(NOON + 7 * DAY);
    assert_eq!(top(9).await, [row("OLD", 90), row("ONE", 2)]);
    bench.clock.set(NOON + 8 * DAY);
    for project in 0..LEADERS {
        bench.count_in_memory(&format!("p{project}-1.zip"), "pip/1", 9);
    }
    bench.stats.flush().await.unwrap();
    // Those with most in all are looked at, and these two are none of them any more.
    assert!(top(1000).await.iter().all(|(name, _)| name.starts_with('P')));
}
