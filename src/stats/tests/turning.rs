//! Days that turn by the clock, while the relay runs.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

/// Lets so much time pass by the clock that cannot jump; the other one stands.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A second before midnight.
async fn at_midnight() -> (Bench, Day, CancellationToken) {
    let bench = Bench::new().await;
    bench.clock.set(NOON + DAY / 2 - 1);
    let (stop, stats) = (CancellationToken::new(), bench.stats.clone());
    tokio::spawn({
        let stop = stop.clone();
        async move { stats.tend(stop).await }
    });
    let day = bench.today();
    (bench, day, stop)
}

#[tokio::test(start_paused = true)]
async fn a_day_is_sealed_ten_minutes_after_its_end_and_its_last_counts_are_in_it() {
    let (bench, day, _stop) = at_midnight().await;
    bench.count_in_memory("one-1.zip", "pip/1", 1);
    pass(30 * MINUTE).await;
    assert_eq!(bench.stats.sealed_days().await.unwrap(), []);
    bench.clock.set(NOON + DAY / 2);
    bench.count_in_memory("one-1.zip", "pip/1", 2);
    pass(9 * MINUTE).await;
    assert_eq!(bench.stats.sealed_days().await.unwrap(), []);
    pass(2 * MINUTE).await;
    assert_eq!(bench.stats.sealed_days().await.unwrap(), [day]);
    assert_eq!(bench.report(day).await.as_deref(), Some("ONE,one-1.zip,pip/1,1\r\n"));
    // Today's are open.
    assert_eq!((bench.total().await, bench.stats.state().oldest_unsealed), (3, Some(day.next())));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_a_year_ahead_and_back_seals_nothing() {
    let (bench, day, _stop) = at_midnight().await;
    bench.count_in_memory("one-1.zip", "pip/1", 1);
    pass(MINUTE).await;
    bench.clock.set(NOON + 365 * DAY);
    bench.count_in_memory("one-1.zip", "pip/1", 2);
    pass(9 * MINUTE).await;
    bench.clock.set(NOON);
    pass(300 * MINUTE).await;
    assert_eq!(bench.stats.sealed_days().await.unwrap(), []);
    bench.count_in_memory("one-1.zip", "pip/1", 3);
    bench.clock.set(NOON + DAY);
    pass(11 * MINUTE).await;
    assert_eq!(bench.stats.sealed_days().await.unwrap(), [day]);
    assert_eq!(bench.report(day).await.as_deref(), Some("ONE,one-1.zip,pip/1,4\r\n"));
    assert_eq!(bench.total().await, 6);
}

#[tokio::test(start_paused = true)]
async fn a_day_that_was_frozen_when_the_relay_ended_is_sealed_after_the_next_start() {
    let bench = Bench::new().await;
    let day = bench.today();
    bench.count("one-1.zip", "pip/1", 1).await;
    bench.seal_until(day, Step::Cleared);
    let bench = Bench::over(bench.folder, StatsSettings::default()).await;
    bench.clock.set(NOON + DAY);
    let (stop, stats) = (CancellationToken::new(), bench.stats.clone());
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { stats.tend(stop).await }
    });
    pass(11 * MINUTE).await;
    assert_eq!(bench.stats.sealed_days().await.unwrap(), [day]);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_day_whose_sealing_failed_is_tried_again_after_a_minute() {
    let (bench, day, _stop) = at_midnight().await;
    bench.count("one-1.zip", "pip/1", 1).await;
    let run = |sql| bench.stats.database().write_here(|transaction| transaction.execute_batch(sql)).unwrap();
    run("CREATE TRIGGER no BEFORE INSERT ON report_parts BEGIN SELECT RAISE(ABORT, 'no'); END");
    bench.clock.set(NOON + DAY / 2);
    pass(10 * MINUTE + Duration::from_secs(5)).await;
    assert!(bench.stats.state().seal_error.is_some());
    run("DROP TRIGGER no");
    pass(MINUTE / 2).await;
    // It waits, and tells of it meanwhile.
    assert_eq!(bench.stats.sealed_days().await.unwrap(), []);
    assert!(bench.stats.state().seal_error.is_some());
    pass(MINUTE).await;
    assert_eq!(bench.stats.sealed_days().await.unwrap(), [day]);
    assert_eq!(bench.stats.state().seal_error, None);
}

#[tokio::test]
async fn a_relay_that_stops_ends_the_sealing_of_a_day_at_its_next_step() {
    let at_once = StatsSettings { seal_after: Duration::ZERO, ..StatsSettings::default() };
    let bench = Bench::over(tempfile::tempdir().unwrap(), at_once).await;
    let day = bench.today();
    bench.count("one-1.zip", "pip/1", 1).await;
    bench.clock.set(NOON + DAY);
    bench.count("one-1.zip", "pip/1", 1).await;
    // As long as somebody else writes, the sealing waits in its first step.
    let (release, released) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let database = bench.stats.database().clone();
    let writer = thread::spawn(move || {
        database.write_here(|_| {
            tell.send(()).unwrap();
            released.recv().unwrap();
            Ok(())
        })
    });
    told.recv().unwrap();
    let (stop, stats) = (CancellationToken::new(), bench.stats.clone());
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { stats.tend(stop).await }
    });
    // That is known when the sealing begins.
    while bench.stats.state().oldest_unsealed != Some(day.next()) {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    // It takes note of it.
    tokio::task::yield_now().await;
    release.send(()).unwrap();
    writer.join().unwrap().unwrap();
    running.await.unwrap();
    let of_day = move |connection: &rusqlite::Connection| {
        connection.query_row("SELECT state FROM days WHERE day = ?1", [day.number()], |row| row.get(0))
    };
    let frozen: i64 = bench.stats.database().read(of_day).await.unwrap();
    assert_eq!(frozen, 1, "begun, and not ended");
}
