//! What is kept while the clock moves: 30 days ahead, and back.

use super::*;

const NOW: i64 = 1_700_000_000;
const AHEAD: i64 = NOW + 30 * 86_400;

/// A store bounded to ten files of 1,000 bytes, by a clock.
fn bounded(folder: &Path, clock: &Clock) -> Store {
    let clock = clock.clone();
    Store::open(&StoreSettings { max_bytes: 10_000, hot_bytes: 0, clock, ..settings(folder) }).unwrap()
}

#[tokio::test]
async fn files_used_while_the_clock_was_ahead_make_room_before_those_used_since() {
    let (folder, clock) = (folder(), Clock::standing_at(AHEAD));
    let store = bounded(folder.path(), &clock);
    let files: Vec<_> = (0..18).map(|seed| content(seed, 1000)).collect();
    for (key, bytes) in &files[..10] {
        keep(&store, key, bytes).await.unwrap();
    }
    clock.set(NOW);
    use_once(&store, &files[3].0).await;
    for (at, (key, bytes)) in files.iter().enumerate().skip(10) {
        clock.set(NOW + i64::try_from(at).unwrap());
        keep(&store, key, bytes).await.unwrap();
    }
    let mut kept = Vec::new();
    for (at, (key, _)) in files.iter().enumerate() {
        if store.get(key).await.is_some() {
            kept.push(at);
        }
    }
    // One of those from ahead is left, and the one that was used since.
    assert_eq!(kept.iter().filter(|&&at| at < 10).count(), 2, "{kept:?}");
    assert!(kept.contains(&3) && kept.ends_with(&[10, 11, 12, 13, 14, 15, 16, 17]), "{kept:?}");
}

#[tokio::test]
async fn a_use_since_the_clock_is_back_is_written_over_that_from_ahead() {
    let (folder, clock) = (folder(), Clock::standing_at(AHEAD));
    let store = bounded(folder.path(), &clock);
    let (key, bytes) = content(1, 1000);
    keep(&store, &key, &bytes).await.unwrap();
    let modified = || path_of(folder.path(), &key).metadata().unwrap().modified().unwrap();
    let written = modified();
    clock.set(NOW);
    use_once(&store, &key).await;
    let ended = CancellationToken::new();
    ended.cancel();
    store.tend(ended).await;
    // What is below a millisecond is the weight.
    let back = written.duration_since(modified()).unwrap() + Duration::from_millis(1);
    assert_eq!(back.as_secs(), 30 * 86_400);
}

#[tokio::test]
async fn a_file_is_as_old_as_the_clock_says_and_of_no_known_age_if_it_came_in_the_future() {
    let folder = folder();
    let clock = Clock::standing_at(NOW);
    let store =
        Store::open(&StoreSettings { hot_file: 100, clock: clock.clone(), ..settings(folder.path()) });
    let (store, days) = (store.unwrap(), |days: i64| days * 86_400);
    for (seed, size) in [(1, 100), (2, 1000)] {
        let (key, bytes) = content(seed, size);
        keep(&store, &key, &bytes).await.unwrap();
        let blob = store.get(&key).await.unwrap();
        // When a file came is by the kernel's clock.
        let now = Clock::system().unix();
        let age = || store.age(&blob).map(|age| age.as_secs() / 86_400);
        for (after, expected) in [(0, Some(0)), (days(30) + 3_600, Some(30)), (0, Some(0)), (-days(30), None)]
        {
            clock.set(now + after);
            assert_eq!(age(), expected, "{size} bytes, {after}");
        }
    }
}
