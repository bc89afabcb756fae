//! Serials that come, go, or are worth something after all.

use super::*;

#[tokio::test]
async fn a_listing_that_leaves_out_its_serials_now_and_then_changes_nothing() {
    let (folder, index) = (tempfile::tempdir().unwrap(), Plain::start(true).await);
    let honest = [("a", Some(5)), ("b", Some(7))];
    index.list(&honest);
    index.page("a", Some(5), &["a-1.zip"]);
    index.page("b", Some(7), &["b-1.zip"]);
    let mut following = follow(
        &index,
        folder.path(),
        FollowSettings { longest_wait: Duration::from_millis(20), ..comparing() },
    )
    .await;
    assert_eq!(head(&following).await, Serial(7));
    looked_at(&index, &["a", "b"]).await;
    for serial in [9, 13] {
        index.list(&[("a", None)]);
        let status = following.status(|status| status.failures > 0).await;
        assert!(status.last_error.unwrap().contains("lacks the serials"));
        index.page("a", Some(serial), &["a-1.zip", &format!("a-{serial}.zip")]);
        index.list(&[("a", Some(serial)), ("b", Some(7))]);
        following.reaches(Serial(serial)).await;
        assert!(!following.journal.serials_say_nothing());
    }
    let rows: Vec<Project> = following.journal.projects().try_concat().await.unwrap();
    assert_eq!(rows.len(), 2);
}

#[tokio::test]
async fn serials_that_are_gone_for_good_are_done_without_and_are_used_again_once_they_are_back() {
    let (folder, index) = (tempfile::tempdir().unwrap(), Plain::start(true).await);
    index.list(&[("a", Some(5)), ("b", Some(7))]);
    index.page("a", Some(5), &["a-1.zip"]);
    index.page("b", Some(7), &["b-1.zip"]);
    let settings = FollowSettings {
        calls_doubt: Duration::from_millis(100),
        longest_wait: Duration::from_millis(20),
        ..comparing()
    };
    let following = follow(&index, folder.path(), settings).await;
    assert_eq!(head(&following).await, Serial(7));
    looked_at(&index, &["a", "b"]).await;
    index.list(&[("a", None), ("b", None)]);
    until("the serials are waited for", async || following.journal.serials_say_nothing()).await;
    index.page("a", None, &["a-1.zip", "a-2.zip"]);
    let expected = [("a", Some("2"), "new release"), ("a", Some("2"), "add source file a-2.zip")];
    tells(&following, Serial(7), &expected).await;
    let last = following.journal.last_serial().unwrap();
    index.page("a", Some(9), &["a-1.zip", "a-2.zip"]);
    index.page("b", Some(8), &["b-1.zip", "b-2.zip"]);
    index.list(&[("a", Some(9)), ("b", Some(8))]);
    tells(&following, last, &[("b", Some("2"), "new release"), ("b", Some("2"), "add source file b-2.zip")])
        .await;
    until("the serials are not used", async || !following.journal.serials_say_nothing()).await;
    let last = following.journal.last_serial().unwrap();
    index.page("a", Some(20), &["a-1.zip"]);
    index.list(&[("a", Some(20)), ("b", Some(8))]);
    tells(&following, last, &[("a", Some("2"), "remove release")]).await;
}

#[tokio::test]
async fn an_index_that_states_serials_later_is_followed_by_them_with_numbers_above_ours() {
    let (folder, index) = (tempfile::tempdir().unwrap(), two(true, None).await);
    let mut following = follow(&index, folder.path(), comparing()).await;
    let start = head(&following).await;
    looked_at(&index, &["a", "b"]).await;
    // Their pages stay as they are.
    index.list(&[("a", Some(9)), ("b", Some(8))]);
    until("the serials are not used", async || !following.journal.serials_say_nothing()).await;
    assert!(following.since(start).await.is_empty());
    index.page("a", Some(20), &["a-1.zip", "a-2.zip"]);
    index.list(&[("a", Some(20)), ("b", Some(8))]);
    tells(&following, start, &[("a", Some("2"), "new release"), ("a", Some("2"), "add source file a-2.zip")])
        .await;
    let status = following.status(|status| status.failures == 0 && status.current).await;
    assert!(status.restored.is_none() && !following.journal.serials_say_nothing());
}

#[tokio::test]
async fn one_project_whose_serial_rises_keeps_upstreams_numbers() {
    let (folder, index) = (tempfile::tempdir().unwrap(), Plain::start(true).await);
    index.list(&[("a", Some(7))]);
    index.page("a", Some(7), &["a-1.zip"]);
    let following = follow(&index, folder.path(), comparing()).await;
    assert_eq!(head(&following).await, Serial(7));
    looked_at(&index, &["a"]).await;
    // The page is there before the listing tells.
    index.page("a", Some(9), &["a-1.zip", "a-2.zip"]);
    comparisons(&index, 3).await;
    assert!(following.since(Serial(7)).await.is_empty());
    index.list(&[("a", Some(9))]);
    tells(
        &following,
        Serial(7),
        &[("a", Some("2"), "new release"), ("a", Some("2"), "add source file a-2.zip")],
    )
    .await;
    comparisons(&index, 3).await;
    assert_eq!(following.journal.last_serial(), Some(Serial(9)));
    assert!(!following.journal.serials_say_nothing());
    index.page("b", Some(12), &["b-1.zip"]);
    index.list(&[("a", Some(9)), ("b", Some(12))]);
    following.reaches(Serial(12)).await;
}
