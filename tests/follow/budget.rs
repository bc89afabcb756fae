//! One budget upstream: whatever clients, polls and history want at the same time.

use std::time::{Duration, Instant};

use cheesewire::follow::{FollowSettings, FollowStatus, History, run};
use cheesewire::journal::{Journal, JournalSettings, Since};
use cheesewire::model::Serial;
use cheesewire::sandbox::{RateLimit, Route, Sandbox, SandboxSettings};
use cheesewire::upstream::{Upstream, UpstreamSettings};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{polling, within};

#[tokio::test]
async fn an_upstream_that_allows_one_call_at_a_time_never_has_to_refuse() {
    let limit = RateLimit { per_second: 1.0, burst: 1 };
    let settings =
        SandboxSettings { rate_limit: Some(limit), changelog_rows: 3_000, ..SandboxSettings::default() };
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), Sandbox::start(settings).await.unwrap());
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    // Its default is one call a second.
    let upstream = UpstreamSettings::new(sandbox.url().parse().unwrap());
    let follow = FollowSettings { history: History::All, interval: Duration::from_hours(1), ..polling() };
    let (sender, mut status) = watch::channel(FollowStatus::default());
    let cancel = CancellationToken::new();
    let upstream = Upstream::new(upstream).unwrap();
    let task = tokio::spawn(run(journal.clone(), upstream.clone(), follow, sender, cancel.clone()));
    within(journal.watch_last_serial().wait_for(Option::is_some)).await.unwrap();
    let started = Instant::now();
    // Clients ask for history here and there, and one asks upstream by the same door.
    let ask = |serial: i64| {
        let (journal, upstream) = (journal.clone(), upstream.clone());
        async move {
            match journal.since_serial(Serial(serial), 10).await.unwrap() {
                Since::Events(_) => {}
                Since::NotCovered(wanted) => wanted.done().await.unwrap(),
            }
            upstream.changelog_last_serial().await.unwrap();
        }
    };
    within(futures_util::future::join_all((1..3).map(|n| ask(n * 1_000)))).await;
    within(status.wait_for(|status| status.history_missing == Some(0))).await.unwrap();
    let calls = sandbox.requests().route(Route::Rpc);
    assert_eq!(status.borrow().failures, 0, "{:?}", status.borrow().last_error);
    assert_eq!(status.borrow().history_error, None);
    let most = started.elapsed().as_secs_f64() + 2.0;
    assert!(f64::from(u32::try_from(calls).unwrap()) <= most && calls > 5, "{calls} calls, at most {most}");
    cancel.cancel();
    task.await.unwrap();
}
