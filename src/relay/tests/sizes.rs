//! HEAD on files whose size the index does not state.

use super::*;

async fn head(bench: &Bench) -> Result<Option<u64>, RelayError> {
    let served = bench.serve(Conditions { head: true, ..Conditions::default() }).await?;
    assert!(matches!(served.answer, FileAnswer::Head));
    Ok(served.size)
}

async fn before(reply: Reply) -> Bench {
    Bench::with(Setup { size_known: false, ..Setup::default() }, vec![reply]).await
}

#[tokio::test]
async fn upstream_is_asked_for_a_size_once_however_many_want_it() {
    let bench = before(Reply::good(&file())).await;
    for size in join_all((0..20).map(|_| head(&bench))).await {
        assert_eq!(size.unwrap(), Some(1_200_000));
    }
    assert_eq!(head(&bench).await.unwrap(), Some(1_200_000));
    assert_eq!(bench.script.count(), 1);
    bench.quiet().await;
    assert!(bench.kept().is_empty(), "nothing was fetched");
}

#[tokio::test]
async fn a_size_is_asked_for_again_after_ten_minutes() {
    let bench = before(Reply::good(&file())).await;
    for (minutes, asked) in [(0, 1), (9, 1), (1, 2)] {
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_mins(minutes)).await;
        tokio::time::resume();
        assert_eq!(head(&bench).await.unwrap(), Some(1_200_000));
        assert_eq!(bench.script.count(), asked, "{minutes} minutes later");
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_head_is_asked_for_the_first_byte() {
    for status in [403, 404, 405, 501] {
        for ranges in [true, false] {
            let bench = before(Reply { head: Some(status), ranges, ..Reply::good(&file()) }).await;
            assert_eq!(head(&bench).await.unwrap(), Some(1_200_000), "{status}");
            let asked = bench.script.requests.lock().unwrap().clone();
            assert_eq!(asked, [None, Some("bytes=0-0".to_owned())]);
        }
    }
}

#[tokio::test]
async fn a_length_that_is_not_the_files_is_not_believed() {
    let nothing = |reply: Reply| Reply { ranges: false, ..reply };
    for reply in [
        nothing(Reply { length: None, ..Reply::good(&file()) }),
        nothing(Reply::with(&file(), "Content-Encoding: gzip\r\n")),
        nothing(Reply::with(&file(), "Content-Type: text/html\r\n")),
    ] {
        assert_eq!(head(&before(reply).await).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_upstream_does_not_have_or_cannot_say_is_an_error() {
    for (status, absent) in [(404, true), (410, true), (500, false)] {
        let error = head(&before(Reply::status(status)).await).await.unwrap_err();
        let is_absent = matches!(error, RelayError::Fetch(FetchError::Upstream(UpstreamError::Absent(_))));
        assert_eq!(is_absent, absent, "{error}");
    }
}
