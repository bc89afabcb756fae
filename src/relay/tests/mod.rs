//! Files through the whole of the relay below the index, against a scripted upstream.

mod broken;
mod leaving;
mod odd;
mod script;
mod sizes;
mod uses;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use sha2::Digest;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use self::script::{Reply, Script};
use super::contents::Contents;
use super::delivery::Delivery;
use super::pump::{ByteSource, Pump};
use super::resources::Resources;
use super::target::Target;
use super::{Conditions, Content, FetchError, FileAnswer, RelayError, RelaySettings, Served, Source};
use crate::blob::{Store, StoreSettings};
use crate::logged::Logged;
use crate::model::{FilePath, Sha256};
use crate::upstream::{Upstream, UpstreamError, UpstreamSettings};

/// A megabyte and a bit in which no two blocks are alike.
fn file() -> Bytes {
    (0..300_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<_>>().into()
}

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

struct Bench {
    folder: TempDir,
    tasks: TaskTracker,
    resources: Arc<Resources>,
    delivery: Delivery,
    script: Script,
    target: Target,
}

struct Setup {
    store: fn(StoreSettings) -> StoreSettings,
    relay: RelaySettings,
    size_known: bool,
    digest_known: bool,
    /// The time over which a transfer may be slow.
    rate_window: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        let relay = RelaySettings { resume_pause: Duration::from_millis(1), ..RelaySettings::default() };
        let rate_window = Duration::from_hours(1);
        Self { store: |settings| settings, relay, size_known: true, digest_known: true, rate_window }
    }
}

impl Bench {
    async fn new(replies: Vec<Reply>) -> Self {
        Self::with(Setup::default(), replies).await
    }

    async fn with(setup: Setup, replies: Vec<Reply>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (tasks, script) = (TaskTracker::new(), Script::start(replies).await);
        let mut upstream = UpstreamSettings::new("http://127.0.0.1:1/".parse().unwrap());
        (upstream.retries, upstream.rate_window) = (0, setup.rate_window);
        upstream.allowed_hosts = "127.0.0.1".parse().unwrap();
        let floorless = StoreSettings { free_floor: 0, ..StoreSettings::new(folder.path().to_owned()) };
        let store = Store::open(&(setup.store)(floorless)).unwrap();
        let upstream = Upstream::new(upstream).unwrap();
        let resources = Arc::new(Resources::new(upstream, store, setup.relay, Contents::new(None), None));
        let delivery = Delivery::new(Arc::clone(&resources), tasks.clone());
        let target = Target {
            path: FilePath::parse("ab/cd/x-1.whl").unwrap(),
            url: script.url.as_str().into(),
            digest: setup.digest_known.then(|| digest(&file()).into()),
            sha256: setup.digest_known.then(|| digest(&file())),
            size: setup.size_known.then(|| file().len() as u64),
            project: crate::model::ProjectName::parse("x").unwrap(),
        };
        Self { folder, tasks, resources, delivery, script, target }
    }

    fn expects(&mut self, sha256: Sha256, size: Option<u64>) {
        (self.target.digest, self.target.sha256, self.target.size) =
            (Some(sha256.into()), Some(sha256), size);
    }

    async fn serve(&self, want: Conditions) -> Result<Served, RelayError> {
        self.delivery.serve(self.target.clone(), &want).await
    }

    async fn get(&self) -> Result<Served, RelayError> {
        self.serve(Conditions::default()).await
    }

    async fn range(&self, range: &str) -> Result<Served, RelayError> {
        self.serve(Conditions { range: Some(range.to_owned()), ..Conditions::default() }).await
    }

    /// Clients who are all there before the fetch begins: with [`Bench::get`] each first takes its time to look into the
    /// store, and the last may come when all is over.
    fn together(&self, clients: usize) -> Vec<Pump> {
        let target = &self.target;
        let join = |_| self.delivery.join(target, target.digest.unwrap()).unwrap();
        let joined: Vec<_> = (0..clients).map(join).collect();
        assert!(joined[1..].iter().all(|(source, _)| *source == Source::Joined));
        let whole = 0..target.size.unwrap();
        let pump = |(source, flight)| {
            Pump::new(&self.resources, target, source, ByteSource::Flight(flight), whole.clone(), target.size)
        };
        joined.into_iter().map(pump).collect()
    }

    /// All fetches are over.
    async fn quiet(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Everything in the store's folder but the lock.
    fn kept(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.folder.path().to_owned()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for item in std::fs::read_dir(folder).unwrap() {
                let path = item.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("lock") {
                    found.push(path);
                }
            }
        }
        found
    }
}

fn content(served: Served) -> Content {
    match served.answer {
        FileAnswer::Whole(content) | FileAnswer::Part(_, content) => content,
        other => panic!("no body: {other:?}"),
    }
}

/// What arrived, and whether it ended well.
async fn drain(content: Content) -> (Vec<u8>, Option<RelayError>) {
    let mut stream = content.into_stream();
    let mut bytes = Vec::new();
    while let Some(next) = stream.next().await {
        match next {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(error) => return (bytes, Some(error)),
        }
    }
    (bytes, None)
}

/// The whole right body, or a panic.
async fn right(served: Result<Served, RelayError>) -> Vec<u8> {
    let (bytes, error) = drain(content(served.unwrap())).await;
    assert!(error.is_none(), "{error:?}");
    bytes
}

#[tokio::test]
async fn a_miss_is_kept_and_a_hit_asks_nobody() {
    let bench = Bench::new(vec![Reply::good(&file())]).await;
    let first = bench.get().await.unwrap();
    assert_eq!((first.source, first.size), (Source::Miss, Some(1_200_000)));
    assert_eq!(drain(content(first)).await.0, file());
    bench.quiet().await;
    let second = bench.get().await.unwrap();
    assert_eq!(second.source, Source::Hit);
    assert_eq!(drain(content(second)).await.0, file());
    assert_eq!(bench.script.count(), 1);
}

#[tokio::test]
async fn fifty_clients_at_once_are_one_request_upstream() {
    let bench = Bench::new(vec![Reply::good(&file())]).await;
    let all = join_all((0..50).map(|_| async { right(bench.get().await).await })).await;
    assert!(all.iter().all(|bytes| *bytes == file()));
    assert_eq!(bench.script.count(), 1);
}

#[tokio::test]
async fn a_follower_streams_and_a_range_is_served_while_the_fetch_runs() {
    let (reply, gate) = Reply::paused(&file(), 600_000);
    let bench = Bench::new(vec![reply]).await;
    let mut first = content(bench.get().await.unwrap()).into_stream();
    let follower = bench.get().await.unwrap();
    assert_eq!(follower.source, Source::Joined);
    let mut follower = content(follower).into_stream();
    for stream in [first.next().await, follower.next().await] {
        assert!(file().starts_with(&stream.unwrap().unwrap()));
    }
    let part = bench.range("bytes=1000-1999").await.unwrap();
    assert!(matches!(&part.answer, FileAnswer::Part(range, _) if *range == (1000..2000)));
    assert_eq!(drain(content(part)).await.0, file()[1000..2000]);
    // A range behind the pause waits for its bytes.
    let mut behind = std::pin::pin!(bench.range("bytes=-500"));
    assert!(futures_util::FutureExt::now_or_never(behind.as_mut()).is_none());
    gate.add_permits(1);
    assert_eq!(right(behind.await).await, file()[1_199_500..]);
    assert_eq!(bench.script.count(), 1);
}

#[tokio::test]
async fn no_wrong_file_is_delivered_whole_or_kept() {
    for at in [0, 600_000, 1_199_999] {
        let bench = Bench::new(vec![Reply::wrong_byte(&file(), at)]).await;
        let both =
            bench.together(2).into_iter().map(|pump| async { drain(pump.prime().await.unwrap().1).await });
        for (bytes, error) in join_all(both).await {
            assert!(bytes.len() <= file().len() - (64 << 10), "{} bytes left", bytes.len());
            let wrong = matches!(&error, Some(RelayError::Fetch(FetchError::Digest { expected, .. }))
                if **expected == digest(&file()).into());
            assert!(wrong, "{error:?}");
        }
        bench.quiet().await;
        assert!(bench.kept().is_empty(), "{:?}", bench.kept());
        assert_eq!(bench.script.count(), 1, "refetched by those who waited");
    }
}

#[tokio::test]
async fn a_wrong_small_file_has_an_error_status_and_the_next_client_a_new_fetch() {
    let small = Bytes::from(vec![7; 1000]);
    let mut bench = Bench::new(vec![Reply::wrong_byte(&small, 500), Reply::good(&small)]).await;
    bench.expects(digest(&small), Some(1000));
    assert!(matches!(bench.get().await, Err(RelayError::Fetch(FetchError::Digest { .. }))));
    assert_eq!(right(bench.get().await).await, small);
}

#[tokio::test]
async fn the_last_bytes_wait_for_the_digest() {
    let size = file().len();
    let (reply, gate) = Reply::paused(&file(), size - 1);
    let bench = Bench::new(vec![reply]).await;
    let mut stream = content(bench.get().await.unwrap()).into_stream();
    let mut got = 0;
    while got < size - (64 << 10) {
        got += stream.next().await.unwrap().unwrap().len();
    }
    assert_eq!(got, size - (64 << 10));
    // All but the last byte is here, and still nothing more comes.
    while bench.kept()[0].metadata().unwrap().len() < size as u64 - 1 {
        tokio::task::yield_now().await;
    }
    let more = tokio::time::timeout(Duration::from_millis(100), stream.next()).await;
    assert!(more.is_err(), "bytes that nobody has checked");
    gate.add_permits(1);
    while let Some(chunk) = stream.next().await {
        got += chunk.unwrap().len();
    }
    assert_eq!(got, size);
}

#[tokio::test]
async fn the_log_has_both_digests_of_a_wrong_file() {
    let log = Logged::here();
    let wrong = Reply::wrong_byte(&file(), 1);
    let (expected, actual) = (digest(&file()), digest(&wrong.body));
    let bench = Bench::new(vec![wrong]).await;
    drain(content(bench.get().await.unwrap())).await;
    let text = log.text();
    let line = text.lines().find(|line| line.contains("ERROR")).unwrap();
    for part in [expected.to_string(), actual.to_string(), "ab/cd/x-1.whl".to_owned()] {
        assert!(line.contains(&part), "{line}");
    }
}

#[tokio::test]
async fn a_broken_transfer_is_resumed_unseen() {
    for etag in [Some("\"v1\""), Some("W/\"v1\""), None] {
        let cut = Reply { etag, ..Reply::cut(&file(), 500_000) };
        let good = Reply { etag, ..Reply::good(&file()) };
        let bench = Bench::new(vec![cut, good]).await;
        assert_eq!(right(bench.get().await).await, file());
        let ranges = bench.script.requests.lock().unwrap().clone();
        assert_eq!(ranges.len(), 2);
        let resumed = ranges[1].as_deref().is_some_and(|range| range.starts_with("bytes="));
        // Without a strong validator the digest tells whether it is the same file's rest.
        assert!(resumed, "{ranges:?}");
    }
}

#[tokio::test]
async fn a_transfer_that_breaks_at_every_tenth_is_whole_or_cut() {
    let size = file().len();
    for tenth in 0..10 {
        let bench = Bench::new(vec![Reply::cut(&file(), size / 10 * tenth)]).await;
        match bench.get().await {
            Ok(served) => {
                let (bytes, error) = drain(content(served)).await;
                // Each resumption breaks where the file did: at the same byte.
                assert!(error.is_some() && bytes.len() < size, "a clean end after {} bytes", bytes.len());
            }
            Err(error) => assert!(tenth == 0, "{error}"),
        }
        assert_eq!(bench.script.count(), 6, "one transfer and five resumptions");
        bench.quiet().await;
        assert!(bench.kept().is_empty());
    }
}

#[tokio::test]
async fn followers_of_a_failed_fetch_get_its_error() {
    for (status, absent) in [(404, true), (410, true), (500, false)] {
        let bench = Bench::new(vec![Reply::status(status)]).await;
        for result in join_all(bench.together(5).into_iter().map(Pump::prime)).await {
            let Err(RelayError::Fetch(FetchError::Upstream(error))) = result else { panic!("no error") };
            assert_eq!(matches!(error, UpstreamError::Absent(_)), absent, "{error}");
        }
        assert_eq!(bench.script.count(), 1);
    }
}

#[tokio::test]
async fn a_size_that_contradicts_the_index_is_refused_before_the_first_byte() {
    let longer: Bytes = [&file()[..], b"more"].concat().into();
    for body in [longer, file().slice(..1_000_000)] {
        let bench = Bench::new(vec![Reply::good(&body)]).await;
        let refused = bench.get().await.unwrap_err();
        assert!(matches!(refused, RelayError::Fetch(FetchError::Size { .. })), "{refused}");
    }
}

#[tokio::test]
async fn a_length_that_nobody_states_is_found_out() {
    let setup = Setup { size_known: false, ..Setup::default() };
    let bench = Bench::with(setup, vec![Reply { length: None, ..Reply::good(&file()) }]).await;
    let first = bench.get().await.unwrap();
    assert_eq!(first.size, None);
    assert_eq!(drain(content(first)).await.0, file());
    bench.quiet().await;
    assert_eq!(bench.get().await.unwrap().size, Some(1_200_000));
}

#[tokio::test]
async fn a_body_without_length_that_ends_early_is_no_clean_end() {
    for size_known in [true, false] {
        let setup = Setup { size_known, ..Setup::default() };
        let early = Reply { length: None, ..Reply::good(&file().slice(..700_000)) };
        let bench = Bench::with(setup, vec![early]).await;
        let (bytes, error) = drain(content(bench.get().await.unwrap())).await;
        assert!(error.is_some(), "a clean end after {} bytes", bytes.len());
        // Where nobody knows the size, what came last may be the file's last bytes, and is held back.
        assert!(bytes.len() <= if size_known { 700_000 } else { 700_000 - 1 }, "{}", bytes.len());
        assert!(bench.kept().is_empty());
    }
}

#[tokio::test]
async fn a_file_without_digest_is_relayed_and_never_kept() {
    let setup = Setup { digest_known: false, ..Setup::default() };
    let bench = Bench::with(setup, vec![Reply::good(&file())]).await;
    for requests in [1, 2] {
        let served = bench.get().await.unwrap();
        assert_eq!(served.source, Source::Relayed);
        assert_eq!(drain(content(served)).await.0, file());
        assert_eq!(bench.script.count(), requests);
    }
    let part = bench.range("bytes=5-9").await;
    assert_eq!(right(part).await, file()[5..10]);
    bench.quiet().await;
    assert!(bench.kept().is_empty());
}

#[tokio::test]
async fn a_store_without_room_serves_right_bytes_and_keeps_nothing() {
    let setup = Setup { store: |settings| StoreSettings { max_bytes: 1000, ..settings }, ..Setup::default() };
    let bench = Bench::with(setup, vec![Reply::good(&file())]).await;
    let all = join_all((0..5).map(|_| async { right(bench.get().await).await })).await;
    assert!(all.iter().all(|bytes| *bytes == file()));
    assert_eq!(right(bench.range("bytes=700000-700009").await).await, file()[700_000..700_010]);
    bench.quiet().await;
    assert!(bench.kept().is_empty());
}

#[tokio::test]
async fn a_disk_that_fills_half_way_is_not_seen_by_clients() {
    // Nobody states the size, so the bound is only met on the way.
    for max_bytes in [300_000, 1_180_000] {
        let store: fn(StoreSettings) -> StoreSettings = match max_bytes {
            300_000 => |settings| StoreSettings { max_bytes: 300_000, ..settings },
            _ => |settings| StoreSettings { max_bytes: 1_180_000, ..settings },
        };
        let setup = Setup { store, size_known: false, ..Setup::default() };
        let bench = Bench::with(setup, vec![Reply { length: None, ..Reply::good(&file()) }]).await;
        let all = join_all((0..5).map(|_| async { right(bench.get().await).await })).await;
        assert!(all.iter().all(|bytes| *bytes == file()));
        bench.quiet().await;
        assert!(bench.kept().is_empty());
    }
}

#[tokio::test]
async fn a_wrong_byte_is_caught_also_where_nothing_can_be_kept() {
    // In the part that a flight wrote before it ran out of room, and in the part passed straight through.
    for at in [10, 1_000_000] {
        let setup = Setup {
            store: |settings| StoreSettings { max_bytes: 300_000, ..settings },
            size_known: false,
            ..Setup::default()
        };
        let wrong = Reply { length: None, ..Reply::wrong_byte(&file(), at) };
        let bench = Bench::with(setup, vec![wrong]).await;
        let (bytes, error) = drain(content(bench.get().await.unwrap())).await;
        assert!(matches!(error, Some(RelayError::Fetch(FetchError::Digest { .. }))), "{error:?}");
        assert!(bytes.len() <= file().len() - (64 << 10));
    }
}

#[tokio::test]
async fn a_folder_that_breaks_under_us_stops_keeping_not_serving() {
    let bench = Bench::new(vec![Reply::good(&file())]).await;
    std::fs::remove_dir(bench.folder.path().join("tmp")).unwrap();
    assert_eq!(right(bench.get().await).await, file());
    std::fs::create_dir(bench.folder.path().join("tmp")).unwrap();
    assert_eq!(right(bench.get().await).await, file());
    bench.quiet().await;
    assert_eq!(bench.kept().len(), 1, "keeping did not resume");
}

#[tokio::test]
async fn more_flights_than_allowed_are_told_to_come_back() {
    let (reply, gate) = Reply::paused(&file(), 600_000);
    let relay = RelaySettings { flights: 1, ..Setup::default().relay };
    let bench = Bench::with(Setup { relay, ..Setup::default() }, vec![reply]).await;
    let first = bench.get().await;
    let other = Target { digest: Some(Sha256([0; 32]).into()), sha256: None, ..bench.target.clone() };
    let refused = bench.delivery.serve(other, &Conditions::default()).await;
    assert!(matches!(refused, Err(RelayError::Busy)), "{refused:?}");
    gate.add_permits(1);
    assert_eq!(right(first).await, file());
}

#[tokio::test]
async fn head_and_conditions_are_answered_without_a_fetch() {
    let bench = Bench::new(vec![Reply::good(&file())]).await;
    let head = bench.serve(Conditions { head: true, ..Conditions::default() }).await.unwrap();
    assert!(matches!(head.answer, FileAnswer::Head));
    assert_eq!((head.source, head.size), (Source::Miss, Some(1_200_000)));
    let etag = format!("\"{}\"", digest(&file()));
    let has = bench.serve(Conditions { if_none_match: Some(etag), ..Conditions::default() }).await.unwrap();
    assert!(matches!(has.answer, FileAnswer::NotModified));
    assert_eq!(bench.script.count(), 0);
    // The stated size may be wrong: what the file does not have only upstream can tell.
    let beyond = bench.range("bytes=1200000-").await.unwrap();
    assert!(matches!(beyond.answer, FileAnswer::Unsatisfiable));
    assert_eq!(bench.script.count(), 1);
}

#[tokio::test]
async fn an_answer_that_never_ends_is_ended() {
    let relay = RelaySettings { max_file: 500_000, ..Setup::default().relay };
    for digest_known in [true, false] {
        let setup = Setup { relay: relay.clone(), size_known: false, digest_known, ..Setup::default() };
        let bench = Bench::with(setup, vec![Reply { length: None, ..Reply::good(&file()) }]).await;
        let (bytes, error) = drain(content(bench.get().await.unwrap())).await;
        assert!(matches!(error, Some(RelayError::Fetch(FetchError::TooLarge(500_000)))), "{error:?}");
        assert!(bytes.len() <= 500_000);
    }
}
