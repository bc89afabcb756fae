//! What goes first when room is needed, beyond what was used longest ago.

use std::path::Path;

use super::*;

/// In Unix seconds.
const NOW: i64 = 1_700_000_000;
const HOUR: i64 = 3600;

/// A store of so many bytes at so many hours after [`NOW`], with a half-life of a day as nothing has come yet.
fn at(folder: &Path, hours: i64, max_bytes: u64) -> Store {
    let clock = Clock::standing_at(NOW + hours * HOUR);
    Store::open(&StoreSettings { max_bytes, hot_bytes: 0, clock, ..settings(folder) }).unwrap()
}

async fn kept_at(folder: &Path, hours: i64, (key, bytes): &(Key, Bytes)) {
    keep(&at(folder, hours, 1 << 20), key, bytes).await.unwrap();
}

/// Uses an entry, and writes that back.
async fn used_at(folder: &Path, hours: i64, key: &Key) {
    let store = at(folder, hours, 1 << 20);
    use_once(&store, key).await;
    let ended = CancellationToken::new();
    ended.cancel();
    store.tend(ended).await;
}

fn is_kept(folder: &Path, (key, _): &(Key, Bytes)) -> bool {
    path_of(folder, key).exists()
}

#[tokio::test]
async fn a_large_file_goes_before_small_ones_that_were_used_a_little_earlier() {
    let folder = folder();
    let small: Vec<_> = (0..4).map(|seed| content(seed, 1_000)).collect();
    let large = content(9, 6_000);
    for file in &small {
        kept_at(folder.path(), 0, file).await;
    }
    // 2.6 doublings are worth ten hours.
    kept_at(folder.path(), 8, &large).await;
    let newest = content(10, 1_000);
    keep(&at(folder.path(), 9, 10_000), &newest.0, &newest.1).await.unwrap();
    assert!(!is_kept(folder.path(), &large));
    assert!(small.iter().chain([&newest]).all(|file| is_kept(folder.path(), file)));
}

#[tokio::test]
async fn a_large_file_that_was_used_much_later_stays() {
    let folder = folder();
    let (small, large) = (content(0, 1_000), content(9, 6_000));
    kept_at(folder.path(), 0, &small).await;
    kept_at(folder.path(), 24, &large).await;
    let newest = content(10, 1_000);
    keep(&at(folder.path(), 25, 7_000), &newest.0, &newest.1).await.unwrap();
    assert!(!is_kept(folder.path(), &small));
    assert!(is_kept(folder.path(), &large) && is_kept(folder.path(), &newest));
}

#[tokio::test]
async fn what_was_asked_for_once_goes_before_what_was_asked_for_again_a_little_earlier() {
    let folder = folder();
    let (again, once) = (content(0, 1_000), content(1, 1_000));
    kept_at(folder.path(), 0, &again).await;
    // Five half-lives later: of its first use little is left, worth one hour.
    used_at(folder.path(), 120, &again.0).await;
    kept_at(folder.path(), 124, &once).await;
    let newest = content(10, 1_000);
    keep(&at(folder.path(), 125, 2_000), &newest.0, &newest.1).await.unwrap();
    assert!(!is_kept(folder.path(), &once));
    assert!(is_kept(folder.path(), &again) && is_kept(folder.path(), &newest));
}
