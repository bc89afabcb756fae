//! Lines on which transfers break off.

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
