//! The story that the relay starts from, at its own scale: upstream takes 20 s for a slice, the client waits for 5.

use std::io::Write as _;
use std::time::Duration;

use cheesewire::sandbox::{Sandbox, SandboxSettings, ScaleSettings};
use cheesewire::xmlrpc::Value;
use tokio::runtime::Runtime;

use super::loops::{by_cursor, by_serial, by_time};
use super::{after, row};
use crate::support::process::Process;

const EVENTS: u64 = 200_000;
const UPSTREAM: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(5);

async fn slow_and_large(names: &tempfile::NamedTempFile) -> Sandbox {
    let mut list = names.as_file();
    writeln!(list, "name\tversion\tmonth\trank_among_15000_most_downloaded\tsummary").unwrap();
    for n in 0..20_000 {
        writeln!(list, "some-project-{n}\t1.{n}\t2020-01\t\tNumber {n}").unwrap();
    }
    let scale = Some(ScaleSettings { projects: names.path().to_owned(), events: EVENTS });
    let delays = vec![("changelog_since_serial".to_owned(), UPSTREAM)];
    Sandbox::start(SandboxSettings { scale, delays, ..SandboxSettings::default() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes some minutes: upstream answers after 20 s, for each of three clients"]
async fn the_client_of_the_story_notices_nothing() {
    let names = tempfile::NamedTempFile::new().unwrap();
    // Upstream and the relays have threads of their own, as they have in the story: unoptimised, each keeps one busy for
    // a second at a time, and whoever is to wait no longer than 5 s would wait for that.
    let upstream = Runtime::new().unwrap();
    let sandbox = upstream.spawn(async move { slow_and_large(&names).await }).await.unwrap();
    let all = after(&sandbox, 0);
    assert_eq!(all.len() as u64, EVENTS);
    let rows = |events: &[_]| -> Vec<Value> { events.iter().map(|event| row(event, true)).collect() };
    // Each client has a relay of its own, which knows nothing yet. Unoptimised, 50,000 rows take a second to write.
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let url = sandbox.url();
    let start = async |n: usize| {
        Process::start(folders[n].path(), &url, &["rpc.changelog_rows=3000", "upstream.calls_per_second=1"])
            .await
    };
    let (relay, second, third) = (start(0).await, start(1).await, start(2).await);
    let (serials, times, cursors) = tokio::join!(
        by_serial(&relay.url, PATIENCE, 1),
        by_time(&second.url, PATIENCE, 3_000, async |_| {}),
        by_cursor(&third.url, PATIENCE),
    );
    let (from_one, mut sorted) = (all.iter().filter(|event| event.serial.0 > 1), all.clone());
    assert!(serials == from_one.map(|event| row(event, true)).collect::<Vec<_>>(), "{}", serials.len());
    sorted.sort_by_key(|event| (event.time, event.serial));
    assert!(times == rows(&sorted), "{} of {}", times.len(), sorted.len());
    assert!(cursors == rows(&all), "{} of {}", cursors.len(), all.len());
    upstream.shutdown_background();
}
