//! The end of a day, and what comes late.

use super::*;

const STEPS: [Step; 4] = [Step::Frozen, Step::Cleared, Step::Part(1), Step::Sealed];

#[tokio::test]
async fn a_report_is_sorted_by_file_agent_and_project_and_quoted() {
    let bench = Bench::new().await;
    for (filename, agent, times) in [
        ("two-1.zip", "b", 1),
        ("one-1.zip", "Mozilla (a, \"b\")", 2),
        ("one-1.zip", "", 3),
        ("one-1.zip", "Z", 4),
        ("one-1.zip", "\u{e9}", 5),
        ("one-1.10.zip", "x\ny\0z", 6),
    ] {
        bench.count(filename, agent, times).await;
    }
    let day = bench.today();
    assert_eq!((bench.report(day).await, bench.stats.sealed_days().await.unwrap()), (None, vec![]));
    assert!(bench.seal(day).is_some());
    let lines = "ONE,one-1.10.zip,x y z,6\r\n\
                 ONE,one-1.zip,-,3\r\n\
                 ONE,one-1.zip,\"Mozilla (a, \"\"b\"\")\",2\r\n\
                 ONE,one-1.zip,Z,4\r\n\
                 ONE,one-1.zip,\u{e9},5\r\n\
                 TWO,two-1.zip,b,1\r\n";
    assert_eq!(bench.report(day).await.as_deref(), Some(lines));
    assert_eq!(bench.stats.sealed_days().await.unwrap(), [day]);
    assert!(bench.seal(day).is_none(), "once");
}

/// What broke in 2011: a record came after its day was integrated, and the integration ended no more.
#[tokio::test]
async fn counts_that_come_after_their_day_was_sealed_go_to_the_next_and_nothing_is_lost_or_doubled() {
    let bench = Bench::new().await;
    let day = bench.today();
    bench.count("one-1.zip", "pip/1", 2).await;
    bench.seal(day);
    let sealed = bench.packed(day).await;
    bench.count("one-1.zip", "pip/1", 3).await;
    // The next is sealed too: to the one after it.
    assert!(bench.seal(day.next()).is_some());
    bench.count("one-1.zip", "pip/1", 5).await;
    assert!(bench.seal(day.next().next()).is_some());
    for (day, count) in [(day, 2), (day.next(), 3), (day.next().next(), 5)] {
        assert_eq!(bench.report(day).await, Some(format!("ONE,one-1.zip,pip/1,{count}\r\n")));
    }
    assert_eq!((bench.total().await, bench.packed(day).await), (10, sealed));
}

#[tokio::test]
async fn what_comes_between_two_steps_goes_to_the_next_day_and_the_next_attempt_goes_on() {
    for last in STEPS {
        let bench = Bench::new().await;
        let day = bench.today();
        bench.count("one-1.zip", "pip/1", 2).await;
        bench.seal_until(day, last);
        bench.count("one-1.zip", "pip/1", 3).await;
        assert_eq!(bench.seal(day).is_some(), last != Step::Sealed, "{last:?}");
        assert!(bench.seal(day.next()).is_some());
        for (day, count) in [(day, 2), (day.next(), 3)] {
            assert_eq!(bench.report(day).await, Some(format!("ONE,one-1.zip,pip/1,{count}\r\n")), "{last:?}");
        }
        assert_eq!(bench.total().await, 5);
    }
}

#[tokio::test]
async fn sealed_is_a_fact_of_one_day() {
    let bench = Bench::new().await;
    let day = bench.today();
    // The clock was a year ahead, and that day was sealed.
    bench.clock.set(NOON + 365 * DAY);
    bench.count("one-1.zip", "pip/1", 1).await;
    assert!(bench.seal(bench.today()).is_some());
    bench.clock.set(NOON);
    bench.count("one-1.zip", "pip/1", 2).await;
    assert!(bench.seal(day).is_some());
    assert_eq!(bench.report(day).await.as_deref(), Some("ONE,one-1.zip,pip/1,2\r\n"));
    assert!(bench.seal(day.before(1)).is_none(), "a day without counts has no report");
}

#[tokio::test]
async fn a_sealed_days_bytes_stay_after_a_restart_a_month_of_days_and_a_rebuild() {
    let mut bench = Bench::new().await;
    let day = bench.today();
    for n in 0..300 {
        bench.count_in_memory(&format!("one-{n}.zip"), &format!("agent/{}", n % 7), n);
    }
    bench.stats.flush().await.unwrap();
    bench.seal(day);
    let sealed = bench.packed(day).await;
    for n in 1..=31 {
        bench.clock.set(NOON + n * DAY);
        bench.count("one-1.zip", &format!("agent/{n}"), 1).await;
        bench.seal(bench.today());
    }
    let folder = bench.folder;
    drop(bench.stats);
    let path = folder.path().join("statistics.sqlite3");
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch("REINDEX; VACUUM; ANALYZE;").unwrap();
    drop(connection);
    bench = Bench::over(folder, StatsSettings::default()).await;
    assert_eq!(bench.packed(day).await, sealed);
    bench.count("one-1.zip", "late/1", 1).await;
    assert_eq!((bench.packed(day).await, bench.stats.sealed_days().await.unwrap().len()), (sealed, 32));
}

#[tokio::test]
async fn a_large_report_is_written_in_several_parts_and_an_attempt_before_leaves_nothing_in_it() {
    let bench = Bench::new().await;
    let day = bench.today();
    // What does not compress.
    for n in 0..20_000_u64 {
        let odd = hex::encode(n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17).to_le_bytes());
        bench.count_in_memory(&format!("one-{odd}.zip"), &odd, 1);
        if n % 1000 == 0 {
            bench.stats.flush().await.unwrap();
        }
    }
    bench.stats.flush().await.unwrap();
    bench.seal_until(day, Step::Part(1));
    let sealed = bench.seal(day).unwrap();
    assert!(sealed.steps > 4, "{sealed:?}");
    assert_eq!(bench.report(day).await.unwrap().lines().count(), 20_000);
}

#[tokio::test]
async fn a_disk_that_fills_while_a_day_is_sealed_loses_nothing_and_the_next_attempt_seals_it() {
    let bench = Bench::new().await;
    let day = bench.today();
    for n in 0..5_000_u64 {
        let odd = hex::encode(n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        bench.count_in_memory(&format!("one-{odd}.zip"), "pip/1", 1);
    }
    bench.stats.flush().await.unwrap();
    bench.pages(1);
    let full = seal(bench.stats.database(), day, |_| Ok(()));
    assert!(matches!(full, Err(StatsError::Full { .. })), "{full:?}");
    assert_eq!(bench.report(day).await, None);
    bench.count_in_memory("one-1.zip", "pip/1", 1);
    bench.pages(1 << 30);
    bench.stats.flush().await.unwrap();
    assert!(bench.seal(day).is_some() && bench.seal(day.next()).is_some());
    assert_eq!(bench.report(day).await.unwrap().lines().count(), 5_000);
    assert_eq!((bench.report(day.next()).await.unwrap().lines().count(), bench.total().await), (1, 5_001));
}
