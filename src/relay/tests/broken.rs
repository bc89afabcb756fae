//! Lines on which transfers break off.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Lines that break after so many bytes: those that bring progress each time.
const PROGRESS: usize = 70_000;

#[tokio::test]
async fn a_file_arrives_however_often_its_transfer_breaks_if_each_answer_brings_progress() {
    for etag in [Some("\"v1\""), None] {
        for store in [|settings| StoreSettings { max_bytes: 10, ..settings }, |settings| settings]
            as [fn(StoreSettings) -> StoreSettings; 2]
        {
            let reply = Reply { etag, ..Reply::cut_after(&file(), PROGRESS) };
            let bench = Bench::with(Setup { store, ..Setup::default() }, vec![reply]).await;
            assert_eq!(right(bench.get().await).await, file());
            assert!(bench.script.count() >= file().len() / PROGRESS, "{}", bench.script.count());
        }
    }
}

#[tokio::test]
async fn answers_that_bring_too_little_are_given_up_after_a_few() {
    let bench = Bench::new(vec![Reply::cut_after(&file(), 60_000)]).await;
    let (bytes, error) = match bench.get().await {
        Ok(served) => drain(content(served)).await,
        Err(error) => (Vec::new(), Some(error)),
    };
    assert!(error.is_some() && bytes.len() < file().len());
    assert_eq!(bench.script.count(), 6, "one transfer and five resumptions");
}

#[tokio::test]
async fn progress_between_breaks_lets_the_count_begin_again() {
    // Four answers that bring nothing, one that brings much, and so on.
    let vain = || Reply { cut_after: Some(0), ..Reply::good(&file()) };
    let good = || Reply::cut_after(&file(), 400_000);
    let mut replies = vec![good()];
    for _ in 0..2 {
        replies.extend([vain(), vain(), vain(), vain(), good()]);
    }
    let bench = Bench::with(Setup::default(), replies).await;
    assert_eq!(right(bench.get().await).await, file());
    assert_eq!(bench.script.count(), 11);
}

#[tokio::test]
async fn an_upstream_that_gives_no_more_than_a_part_at_once_is_asked_for_part_after_part() {
    let reply = Reply { longest_range: Some(300_000), ..Reply::cut(&file(), 200_000) };
    let rest = Reply { longest_range: Some(300_000), ..Reply::good(&file()) };
    let bench = Bench::new(vec![reply, rest]).await;
    assert_eq!(right(bench.get().await).await, file());
    assert_eq!(bench.script.count(), 5);
}

#[tokio::test]
async fn the_rest_of_another_file_makes_no_whole_one() {
    let mut other = file().to_vec();
    other[1_100_000] ^= 1;
    for etag in [Some("\"v1\""), None] {
        let first = Reply { etag, ..Reply::cut(&file(), 500_000) };
        let bench = Bench::new(vec![first, Reply { etag, ..Reply::good(&other.clone().into()) }]).await;
        let (bytes, error) = drain(content(bench.get().await.unwrap())).await;
        assert!(matches!(error, Some(RelayError::Fetch(FetchError::Digest { .. }))), "{error:?}");
        assert!(bytes.len() < file().len());
    }
}

#[tokio::test]
async fn without_digest_and_validator_nothing_is_joined_to_what_came_before() {
    let setup = || Setup { digest_known: false, ..Setup::default() };
    for (etag, other, whole) in
        [(Some("\"v1\""), Some("\"v1\""), true), (Some("\"v1\""), Some("\"v2\""), false), (None, None, false)]
    {
        let first = Reply { etag, ..Reply::cut(&file(), 500_000) };
        // Asked on condition of another file's validator, upstream sends all of its own.
        let rest = Reply { etag: other, ranges: etag == other, ..Reply::good(&file()) };
        let bench = Bench::with(setup(), vec![first, rest]).await;
        let (bytes, error) = drain(content(bench.get().await.unwrap())).await;
        assert_eq!(error.is_none(), whole, "{etag:?} {other:?}: {error:?}");
        assert_eq!(bytes == file(), whole);
    }
}

const MIB: u64 = 1 << 20;
const LARGE: u64 = 2_500 * MIB;

/// A piece of a file in which no two pieces are alike.
fn piece(at: u64) -> Vec<u8> {
    let number = (at / MIB).to_le_bytes();
    number.repeat(usize::try_from(MIB).unwrap() / number.len())
}

/// Sends some 20 MB of the large file from the byte asked for on, then breaks off.
async fn a_part(stream: TcpStream) -> std::io::Result<()> {
    let (mut stream, mut line, mut start) = (BufReader::new(stream), String::new(), 0);
    while stream.read_line(&mut line).await? > 2 {
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            start = range.trim().trim_end_matches('-').parse().unwrap();
        }
        line.clear();
    }
    let (left, last) = (LARGE - start, LARGE - 1);
    let head = format!(
        "HTTP/1.1 206 Partial\r\nContent-Range: bytes {start}-{last}/{LARGE}\r\nContent-Length: {left}\r\n\r\n"
    );
    let head = if start > 0 { head } else { format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n") };
    stream.write_all(head.as_bytes()).await?;
    let end = LARGE.min(start + 20 * MIB + 4321);
    let mut at = start;
    while at < end {
        let piece = &piece(at)[usize::try_from(at % MIB).unwrap()..];
        let length = usize::try_from(end - at).map_or(piece.len(), |left| left.min(piece.len()));
        stream.write_all(&piece[..length]).await?;
        at += length as u64;
    }
    stream.shutdown().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes 2.5 GB to the disk"]
async fn a_wheel_of_2500_megabytes_arrives_over_a_line_that_breaks_every_20() {
    let mut hasher = sha2::Sha256::new();
    (0..LARGE / MIB).for_each(|n| hasher.update(piece(n * MIB)));
    let expected = Sha256(hasher.finalize().into());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(a_part(stream));
        }
    });
    let mut bench = Bench::new(vec![Reply::status(404)]).await;
    bench.target.url = format!("http://{address}/x-1.whl").into();
    bench.expects(expected, None);
    let mut stream = content(bench.get().await.unwrap()).into_stream();
    let (mut hasher, mut got) = (sha2::Sha256::new(), 0);
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.unwrap();
        got += bytes.len() as u64;
        hasher.update(&bytes);
    }
    assert_eq!((got, Sha256(hasher.finalize().into())), (LARGE, expected));
    assert!(asked.load(Ordering::Relaxed) > 120, "{asked:?}");
}

#[tokio::test]
async fn a_client_sees_the_head_and_what_came_of_a_body_that_fails_at_once() {
    let mut spoilt = file().to_vec();
    spoilt[1_199_999] ^= 1;
    let (reply, gate) = Reply::paused(&spoilt.into(), 600_000);
    let bench = Bench::new(vec![reply]).await;
    let content = Arc::new(Mutex::new(Some(content(bench.get().await.unwrap()))));
    gate.add_permits(1);
    bench.quiet().await;
    // Its first bytes are there, and behind them there is an error, before anything is written.
    let answer = move || {
        let content = content.lock().unwrap().take().unwrap();
        async { axum::body::Body::from_stream(content.into_stream()) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let answer = reqwest::get(format!("http://{address}/")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err());
}
