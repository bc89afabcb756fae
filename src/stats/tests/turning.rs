//! Days that turn by the clock, while the relay runs.

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
