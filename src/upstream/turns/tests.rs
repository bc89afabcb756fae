use std::pin::Pin;

use super::*;

const LEAST: LeastRate =
    LeastRate { bytes: 1000, window: Duration::from_secs(10), longest_slow: Duration::from_secs(30) };
const PATIENCE: Duration = Duration::from_secs(15);

fn turns(at_once: usize, waiting: usize) -> Turns {
    Turns::new("test", at_once, waiting, PATIENCE, LEAST)
}

fn url(host: &str) -> Url {
    format!("http://{host}.test/file").parse().unwrap()
}

fn client(last: u8) -> Arc<Requesters> {
    Arc::new(Requesters::of(Requester::Client([192, 0, 2, last].into())))
}

async fn take(turns: &Turns, host: &str, who: u8) -> Result<Turn, UpstreamError> {
    turns.take(&url(host), &client(who)).await
}

/// What is free now, without waiting.
async fn at_once(turns: &Turns, host: &str, who: u8) -> Option<Turn> {
    let mut taken = Box::pin(take(turns, host, who));
    match futures_util::poll!(taken.as_mut()) {
        std::task::Poll::Ready(turn) => Some(turn.unwrap()),
        std::task::Poll::Pending => None,
    }
}

/// All that one can have.
async fn as_many(turns: &Turns, host: &str, who: impl Fn(u8) -> u8) -> Vec<Turn> {
    let mut held = Vec::new();
    while let Some(turn) = at_once(turns, host, who(u8::try_from(held.len()).unwrap())).await {
        held.push(turn);
    }
    held
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Turn, UpstreamError>> + 'a>>;

/// One that waits.
async fn waits<'a>(turns: &'a Turns, host: &'static str, who: u8) -> Waiting<'a> {
    let mut waiting: Waiting<'a> = Box::pin(take(turns, host, who));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    waiting
}

async fn seconds(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn no_host_and_no_client_gets_all_turns() {
    // Many clients of one host, then of another, then of a third.
    let turns = self::turns(32, 100);
    let held = as_many(&turns, "a", |n| n).await;
    assert_eq!(held.len(), 24);
    let second = as_many(&turns, "b", |n| 100 + n).await;
    assert_eq!(second.len(), 6);
    assert!(at_once(&turns, "a", 203).await.is_none() && at_once(&turns, "b", 204).await.is_none());
    assert!(at_once(&turns, "c", 202).await.is_some());
    // One client of many hosts, then another.
    let turns = self::turns(32, 100);
    let mut held = Vec::new();
    while let Some(turn) = at_once(&turns, &format!("h{}", held.len()), 1).await {
        held.push(turn);
    }
    assert_eq!(held.len(), 16);
    assert_eq!(as_many(&turns, "h1", |_| 2).await.len(), 8);
    // One client of one host leaves others something of that host.
    let turns = self::turns(16, 100);
    let held = as_many(&turns, "a", |_| 1).await;
    assert_eq!(held.len(), 8);
    assert_eq!(as_many(&turns, "a", |_| 2).await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_single_turn_is_had_and_two_are_not_both_one_hosts() {
    let one = turns(1, 10);
    assert_eq!(as_many(&one, "a", |_| 1).await.len(), 1);
    let two = turns(2, 10);
    let held = as_many(&two, "a", |n| n).await;
    assert_eq!(held.len(), 1);
    assert!(at_once(&two, "b", 9).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn turns_go_round_among_clients_and_a_late_one_does_not_wait_behind_a_long_queue() {
    let turns = turns(1, 100);
    let first = take(&turns, "a", 1).await.unwrap();
    let mut greedy = Vec::new();
    for _ in 0..50 {
        greedy.push(waits(&turns, "a", 1).await);
    }
    let late = waits(&turns, "a", 2).await;
    drop(first);
    // It had its turn, and the late one had none yet.
    drop(late.await.unwrap());
    drop(greedy.remove(0).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_fetch_that_waits_behind_its_requesters_others_brings_it_forward() {
    let turns = turns(1, 100);
    let first = take(&turns, "a", 1).await.unwrap();
    let mut greedy = Vec::new();
    for _ in 0..50 {
        greedy.push(waits(&turns, "a", 1).await);
    }
    let shared = client(1);
    let (address, other) = (url("a"), Requester::Client([192, 0, 2, 2].into()));
    let mut wanted = Box::pin(turns.take(&address, &shared));
    assert!(futures_util::poll!(wanted.as_mut()).is_pending());
    let _joined = other.run(async { shared.join() }).await;
    seconds(1).await;
    assert!(futures_util::poll!(wanted.as_mut()).is_pending());
    drop(first);
    let mut served = 0;
    while futures_util::poll!(wanted.as_mut()).is_pending() {
        drop(greedy.remove(0).await.unwrap());
        served += 1;
    }
    assert!(served <= 2, "{served}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_has_an_end_and_a_full_queue_takes_one_of_who_has_most_in_it() {
    let turns = turns(1, 4);
    let held = take(&turns, "a", 1).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(waits(&turns, "a", 1).await);
    }
    assert_eq!(take(&turns, "a", 1).await.map(drop), Err(UpstreamError::Limited { retry: FULL }));
    let other = waits(&turns, "a", 2).await;
    assert_eq!(waiting.pop().unwrap().await.map(drop), Err(UpstreamError::Limited { retry: FULL }));
    let started = Instant::now();
    // Not slow: nobody is dropped for it.
    let fast = held.pace().clone();
    let brings = async {
        loop {
            fast.brought(10_000);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let late = tokio::select! { late = other => late.map(drop), () = brings => unreachable!() };
    assert_eq!(late, Err(UpstreamError::Limited { retry: LATE }));
    assert_eq!(started.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_slow_transfer_of_who_has_most_makes_way_at_once_and_a_fast_one_never() {
    let turns = turns(8, 10);
    // Four of one client, which is its share, and two of another: all that its host may have.
    let mut held = as_many(&turns, "a", |_| 1).await;
    held.extend(as_many(&turns, "a", |_| 2).await);
    assert_eq!(held.len(), 6);
    let waiting = waits(&turns, "a", 3).await;
    for second in 0..12 {
        // One of the first client's brings next to nothing.
        for (n, turn) in held.iter().enumerate() {
            turn.brought(if n == 1 { 1 } else { 1_500 });
        }
        seconds(1).await;
        assert!(second > 9 || !held[1].withdrawn.is_cancelled(), "before its window was over");
    }
    let _has = waiting.await.unwrap();
    let withdrawn: Vec<_> = held.iter().map(|turn| turn.withdrawn.is_cancelled()).collect();
    assert_eq!(withdrawn, [false, true, false, false, false, false]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_transfer_within_its_share_goes_on_until_it_has_been_slow_for_long() {
    let turns = turns(2, 10);
    let (one, _two) = (take(&turns, "a", 1).await.unwrap(), take(&turns, "b", 2).await.unwrap());
    seconds(11).await;
    let mut waiting = waits(&turns, "c", 3).await;
    seconds(14).await;
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    assert!(futures_util::poll!(Box::pin(one.withdrawn())).is_pending(), "all are alike");
    drop(waiting);
    seconds(6).await;
    take(&turns, "c", 3).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_is_dropped_where_that_helps_nobody() {
    let turns = turns(4, 10);
    let slow = as_many(&turns, "a", |n| n).await;
    assert_eq!(slow.len(), 3);
    seconds(100).await;
    let fourth = at_once(&turns, "b", 9).await.unwrap();
    fourth.brought(1);
    assert!(slow.iter().all(|turn| !turn.withdrawn.is_cancelled()), "one was free");
}

#[tokio::test(start_paused = true)]
async fn a_slow_transfer_that_nobody_waits_for_is_overdue_and_one_that_somebody_waits_for_is_not() {
    let turns = turns(2, 10);
    let turn = take(&turns, "a", 1).await.unwrap();
    turn.brought(1);
    let started = Instant::now();
    assert!(tokio::time::timeout(Duration::from_secs(100), turn.overdue(|| false)).await.is_err());
    turn.overdue(|| true).await;
    assert_eq!(started.elapsed().as_secs(), 110);
    let fast = async {
        loop {
            turn.brought(20_000);
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    let busy = async { tokio::join!(fast, turn.overdue(|| true)) };
    turn.brought(100_000);
    assert!(tokio::time::timeout(Duration::from_secs(100), busy).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_leaves_no_turn_behind() {
    let turns = turns(1, 10);
    let held = take(&turns, "a", 1).await.unwrap();
    let (left, stays) = (waits(&turns, "a", 2).await, waits(&turns, "a", 3).await);
    drop(held);
    // Granted, and not taken.
    drop(left);
    drop(stays.await.unwrap());
    let state = turns.lock();
    assert!(state.held.is_empty() && state.hosts.is_empty() && state.requesters.is_empty());
    assert!(state.waiting.is_empty());
}
