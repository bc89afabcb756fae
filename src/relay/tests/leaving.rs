//! Clients that leave, and the fetches that they leave behind.

use super::*;

#[tokio::test]
async fn a_client_that_leaves_stops_nothing() {
    let (reply, gate) = Reply::paused(&file(), 600_000);
    let bench = Bench::new(vec![reply]).await;
    drop(bench.get().await.unwrap());
    gate.add_permits(1);
    bench.quiet().await;
    assert_eq!(bench.kept().len(), 1);
    assert_eq!(right(bench.get().await).await, file());
    assert_eq!(bench.script.count(), 1);
}

#[tokio::test]
async fn a_large_file_that_all_left_early_is_given_up_and_one_that_is_half_here_is_not() {
    for (pause, finished) in [(200_000, false), (700_000, true)] {
        let relay = RelaySettings { finish_below: 1_000_000, ..Setup::default().relay };
        let (reply, gate) = Reply::paused(&file(), pause);
        let bench = Bench::with(Setup { relay, ..Setup::default() }, vec![reply, Reply::good(&file())]).await;
        let mut stream = content(bench.get().await.unwrap()).into_stream();
        let mut got = 0;
        while got < pause {
            got += stream.next().await.unwrap().unwrap().len();
        }
        drop(stream);
        gate.add_permits(1);
        bench.quiet().await;
        assert_eq!(bench.kept().len(), usize::from(finished), "{pause}");
        // Who comes later gets it, from here or anew.
        assert_eq!(right(bench.get().await).await, file());
        assert_eq!(bench.script.count(), if finished { 1 } else { 2 }, "{pause}");
    }
}

#[tokio::test]
async fn a_follower_that_stays_keeps_a_large_file_coming() {
    let relay = RelaySettings { finish_below: 1_000_000, ..Setup::default().relay };
    let (reply, gate) = Reply::paused(&file(), 200_000);
    let bench = Bench::with(Setup { relay, ..Setup::default() }, vec![reply]).await;
    let first = bench.get().await.unwrap();
    let follower = bench.get().await;
    drop(first);
    gate.add_permits(1);
    assert_eq!(right(follower).await, file());
    assert_eq!(bench.script.count(), 1);
}

#[tokio::test]
async fn a_file_of_unknown_size_that_all_left_is_given_up_once_much_of_it_came_and_not_before() {
    for (finish_below, finished) in [(300_000, false), (2_000_000, true)] {
        let relay = RelaySettings { finish_below, ..Setup::default().relay };
        let (reply, gate) = Reply::paused(&file(), 400_000);
        let replies = vec![Reply { length: None, ..reply }, Reply::good(&file())];
        let bench = Bench::with(Setup { relay, size_known: false, ..Setup::default() }, replies).await;
        drop(bench.get().await.unwrap());
        gate.add_permits(1);
        bench.quiet().await;
        assert_eq!(bench.kept().len(), usize::from(finished), "{finish_below}");
        assert_eq!(right(bench.get().await).await, file());
        assert_eq!(bench.script.count(), if finished { 1 } else { 2 }, "{finish_below}");
    }
}

#[tokio::test]
async fn a_fetch_that_is_slow_and_that_all_left_ends_whatever_its_size_and_one_that_somebody_waits_for_goes_on()
 {
    let (reply, gate) = Reply::paused(&file(), 600_000);
    let setup = Setup { rate_window: Duration::from_millis(50), ..Setup::default() };
    let bench = Bench::with(setup, vec![reply, Reply::good(&file())]).await;
    // It would always be finished if it came.
    let mut stream = content(bench.get().await.unwrap()).into_stream();
    let waits = async { while stream.next().await.is_some() {} };
    let slow = tokio::time::timeout(Duration::from_millis(300), waits).await;
    assert!(slow.is_err(), "it ended under its reader");
    assert_eq!(bench.script.count(), 1);
    drop(stream);
    // Without a permit for the rest.
    bench.quiet().await;
    assert_eq!(bench.kept().len(), 0);
    drop(gate);
    assert_eq!(right(bench.get().await).await, file());
    assert_eq!(bench.script.count(), 2);
}
