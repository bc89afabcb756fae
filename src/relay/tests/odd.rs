//! Answers that do not look like the file: the digest decides (docs/promises.md, promises 2 and 12).

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::*;

/// A store that keeps nothing: files are passed through.
fn keeps_nothing(settings: StoreSettings) -> StoreSettings {
    StoreSettings { max_bytes: 10, ..settings }
}

fn gzipped(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

fn deflated(bytes: &[u8]) -> Bytes {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

fn is_digest_error<T>(result: &Result<T, RelayError>) -> bool {
    matches!(result, Err(RelayError::Fetch(FetchError::Digest { .. })))
}

#[tokio::test]
async fn nothing_at_all_is_no_file_for_the_first_client_or_a_follower() {
    for length in [Some(0), None] {
        let empty = Reply { length, ..Reply::good(&Bytes::new()) };
        let setup = Setup { size_known: false, ..Setup::default() };
        let bench = Bench::with(setup, vec![empty]).await;
        assert!(is_digest_error(&bench.get().await), "{length:?}");
        // Also for those who ask while it comes, each in its own moment.
        let many = join_all((0..50).map(|_| bench.get())).await;
        assert!(many.iter().all(is_digest_error), "{length:?}");
        bench.quiet().await;
        assert!(bench.kept().is_empty());
    }
}

#[tokio::test]
async fn an_empty_answer_does_not_end_before_the_check_has() {
    let setup = Setup { size_known: false, ..Setup::default() };
    let bench = Bench::with(setup, vec![Reply::good(&Bytes::new())]).await;
    // The moment between upstream's head, which says that there is nothing, and the check.
    let (source, flight) = bench.delivery.join(&bench.target, bench.target.digest.unwrap()).unwrap();
    let pump = Pump::new(&bench.resources, &bench.target, source, ByteSource::Flight(flight), 0..0, Some(0));
    assert!(is_digest_error(&pump.prime().await));
}

#[tokio::test]
async fn nothing_at_all_is_no_file_where_nothing_can_be_kept() {
    for digest_known in [true, false] {
        let setup = Setup { store: keeps_nothing, size_known: false, digest_known, ..Setup::default() };
        let bench = Bench::with(setup, vec![Reply::good(&Bytes::new())]).await;
        assert!(matches!(bench.get().await, Err(RelayError::Fetch(_))), "{digest_known}");
    }
}

#[tokio::test]
async fn an_empty_file_whose_digest_is_that_of_nothing_is_one() {
    for store in [keeps_nothing as fn(StoreSettings) -> StoreSettings, |settings| settings] {
        let mut bench =
            Bench::with(Setup { store, ..Setup::default() }, vec![Reply::good(&Bytes::new())]).await;
        bench.expects(digest(b""), None);
        for _ in 0..2 {
            assert_eq!(right(bench.get().await).await, b"");
            bench.quiet().await;
        }
    }
}

/// A store with room for the file, whatever the disk of this machine has.
fn keeps_a_gigabyte(settings: StoreSettings) -> StoreSettings {
    StoreSettings { max_bytes: 1_000_000_000, ..settings }
}

#[tokio::test]
async fn a_right_file_comes_whole_and_in_parts_whatever_size_is_stated() {
    for stated in [1, 1_199_999, 1_200_001, 9_000_000_000] {
        for length in [Some(1_200_000), None] {
            // For more than there is room for, nothing is kept.
            let kept = stated < 1_000_000_000;
            let reply = Reply { length, ..Reply::good(&file()) };
            let setup = Setup { store: keeps_a_gigabyte, ..Setup::default() };
            let mut bench = Bench::with(setup, vec![reply]).await;
            bench.target.size = Some(stated);
            let (whole, part) = tokio::join!(bench.get(), bench.range("bytes=-10"));
            assert_eq!(right(whole).await, file(), "{stated}");
            let part = part.unwrap();
            if kept || length.is_some() {
                assert!(
                    matches!(&part.answer, FileAnswer::Part(at, _) if *at == (1_199_990..1_200_000)),
                    "{stated}"
                );
                assert_eq!(drain(content(part)).await.0, file()[1_199_990..]);
            } else {
                // What nobody knows the size of, and what is not kept, has no last ten bytes: all of it is sent.
                assert_eq!(right(Ok(part)).await, file());
            }
            bench.quiet().await;
            let again = bench.get().await.unwrap();
            assert_eq!(
                (again.source == Source::Hit, again.size == Some(1_200_000)),
                (kept, kept || length.is_some()),
                "{stated}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_of_a_file_of_another_size_leaves_before_its_digest_was_compared() {
    let mut wrong = file().to_vec();
    wrong.extend_from_slice(b"more");
    let (reply, gate) = Reply::paused(&wrong.into(), 1_000_000);
    let bench = Bench::new(vec![reply]).await;
    let mut asked = std::pin::pin!(bench.get());
    while bench.kept().first().is_none_or(|path| path.metadata().unwrap().len() < 1_000_000) {
        assert!(futures_util::poll!(asked.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    assert!(matches!(asked.await, Err(RelayError::Fetch(FetchError::Size { .. }))));
}

#[tokio::test]
async fn a_file_is_taken_as_it_was_sent_whatever_its_type_and_coding_are_said_to_be() {
    for fields in [
        "Content-Encoding: gzip\r\n",
        "Content-Encoding: x-gzip\r\n",
        "Content-Encoding: br\r\n",
        "Content-Type: text/html\r\n",
    ] {
        for store in [keeps_nothing as fn(StoreSettings) -> StoreSettings, |settings| settings] {
            let setup = Setup { store, ..Setup::default() };
            let bench = Bench::with(setup, vec![Reply::with(&file(), fields)]).await;
            assert_eq!(right(bench.get().await).await, file(), "{fields}");
        }
    }
}

#[tokio::test]
async fn a_coding_that_upstream_added_is_undone_if_that_gives_the_digest() {
    for (coded, fields) in [
        (gzipped(&file()), "Content-Encoding: GZip\r\n"),
        (deflated(&file()), "Content-Encoding: deflate\r\n"),
    ] {
        let bench = Bench::new(vec![Reply::with(&coded, fields)]).await;
        let many = join_all((0..5).map(|_| async { right(bench.get().await).await })).await;
        assert!(many.iter().all(|bytes| *bytes == file()), "{fields}");
        bench.quiet().await;
        let kept = bench.get().await.unwrap();
        assert_eq!((kept.source, kept.size, bench.script.count()), (Source::Hit, Some(1_200_000), 1));
    }
}

#[tokio::test]
async fn what_is_neither_the_file_nor_its_coded_form_is_refused_with_the_reason() {
    let other = gzipped(b"another file");
    let bomb = gzipped(&vec![0; 20 << 20]);
    for (body, fields) in [
        (other, "Content-Encoding: gzip\r\n"),
        (bomb, "Content-Encoding: gzip\r\n"),
        (gzipped(&file()).slice(..100_000), "Content-Encoding: gzip\r\n"),
        (Bytes::from_static(b"<h1>log in</h1>"), "Content-Type: text/html\r\n"),
    ] {
        let relay = RelaySettings { max_file: 2_000_000, ..Setup::default().relay };
        let bench = Bench::with(Setup { relay, ..Setup::default() }, vec![Reply::with(&body, fields)]).await;
        let refused = bench.get().await.unwrap_err();
        let unexpected =
            matches!(&refused, RelayError::Fetch(FetchError::Upstream(UpstreamError::Unexpected(_))));
        assert!(unexpected, "{refused}");
        bench.quiet().await;
        assert!(bench.kept().is_empty());
    }
}

#[tokio::test]
async fn without_a_digest_what_does_not_look_like_the_file_is_refused() {
    for fields in ["Content-Encoding: gzip\r\n", "Content-Type: text/html\r\n"] {
        let setup = Setup { digest_known: false, ..Setup::default() };
        let bench = Bench::with(setup, vec![Reply::with(&file(), fields)]).await;
        assert!(matches!(bench.get().await, Err(RelayError::Fetch(_))), "{fields}");
    }
    let setup = Setup { digest_known: false, ..Setup::default() };
    let bench = Bench::with(setup, vec![Reply::good(&file().slice(..1_000_000))]).await;
    assert!(matches!(bench.get().await, Err(RelayError::Fetch(FetchError::Size { .. }))));
}
