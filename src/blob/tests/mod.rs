//! The store by its facade, on a folder of the test's own.

mod clock;
mod count;
mod evict;
mod hot;
mod maps;

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sha2::Digest;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Blob, Inventory, KeepError, Key, OpenError, ShardInventory, Store, StoreSettings};
use crate::model::{Clock, Sha256};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn settings(folder: &Path) -> StoreSettings {
    StoreSettings { free_floor: 0, ..StoreSettings::new(folder.to_owned()) }
}

fn content(seed: u8, size: usize) -> (Key, Bytes) {
    let bytes = Bytes::from(vec![seed; size]);
    let sha256 = Sha256(sha2::Sha256::digest(&bytes).into());
    (Key { sha256, size: Some(size as u64) }, bytes)
}

fn path_of(folder: &Path, key: &Key) -> std::path::PathBuf {
    let digits = key.sha256.to_string();
    folder.join("sha256").join(&digits[..2]).join(digits)
}

async fn keep(store: &Store, key: &Key, bytes: &Bytes) -> Result<(), KeepError> {
    let writer = store.writer(key.size).await?;
    let writer = writer.append(vec![bytes.clone()]).await.map_err(|spilled| spilled.cause)?;
    assert_eq!((writer.sha256(), writer.written()), (key.sha256, bytes.len() as u64));
    writer.finish(key).await
}

/// Finds an entry and gives it out.
async fn use_once(store: &Store, key: &Key) {
    store.get(key).await.unwrap();
    store.used(key.sha256, 1.0);
}

async fn read(blob: Blob) -> Vec<u8> {
    let size = usize::try_from(blob.size()).unwrap();
    match blob {
        Blob::Hot(hot) => hot.bytes().to_vec(),
        Blob::Mapped(map) => map.load(0..map.size()).await.unwrap().to_vec(),
        Blob::File(reader, _) => reader.read_at(0, vec![0; size]).await.unwrap(),
    }
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn what_is_kept_is_found_again_also_by_the_next_process() {
    let folder = folder();
    let small = content(1, 1000);
    let large = content(2, 3 << 20);
    let store = Store::open(&settings(folder.path())).unwrap();
    assert!(store.get(&small.0).await.is_none());
    for (key, bytes) in [&small, &large] {
        keep(&store, key, bytes).await.unwrap();
    }
    drop(store);
    let store = Store::open(&settings(folder.path())).unwrap();
    for (key, bytes) in [small, large] {
        assert_eq!(read(store.get(&key).await.unwrap()).await, bytes);
        assert_eq!(read(store.get(&key).await.unwrap()).await, bytes);
    }
}

#[tokio::test]
async fn a_dropped_writer_leaves_nothing() {
    let folder = folder();
    let store = Store::open(&settings(folder.path())).unwrap();
    let (_, bytes) = content(1, 1000);
    let writer = store.writer(Some(1000)).await.unwrap().append(vec![bytes]).await.unwrap();
    drop(writer);
    assert_eq!(files_below(folder.path()), [folder.path().join("lock")]);
}

#[tokio::test]
async fn leftovers_of_a_killed_process_are_gone_at_the_start() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("tmp")).unwrap();
    std::fs::write(folder.path().join("tmp/.tmpAbc"), "half").unwrap();
    let _store = Store::open(&settings(folder.path())).unwrap();
    assert_eq!(files_below(folder.path()), [folder.path().join("lock")]);
}

#[tokio::test]
async fn a_second_process_on_the_folder_is_refused() {
    let folder = folder();
    let first = Store::open(&settings(folder.path())).unwrap();
    let refused = Store::open(&settings(folder.path())).unwrap_err();
    assert!(matches!(refused, OpenError::InUse(_)), "{refused}");
    assert!(refused.to_string().contains("in use by another process"));
    drop(first);
    Store::open(&settings(folder.path())).unwrap();
}

#[tokio::test]
async fn an_entry_of_a_wrong_length_is_thrown_away() {
    let folder = folder();
    let store = Store::open(&settings(folder.path())).unwrap();
    let (key, bytes) = content(1, 1000);
    keep(&store, &key, &bytes).await.unwrap();
    let path = path_of(folder.path(), &key);
    std::fs::write(&path, "cut").unwrap();
    assert!(store.get(&key).await.is_none());
    assert!(!path.exists());
}

fn age(folder: &Path, key: &Key, seconds: u64) {
    let file = File::options().write(true).open(path_of(folder, key)).unwrap();
    file.set_modified(Clock::system().system_time() - Duration::from_secs(seconds)).unwrap();
}

fn kept_bytes(folder: &Path) -> u64 {
    files_below(&folder.join("sha256")).iter().map(|path| path.metadata().unwrap().len()).sum()
}

/// A store bounded to ten files of 1,000 bytes.
fn bounded(folder: &Path) -> Store {
    Store::open(&StoreSettings { max_bytes: 10_000, hot_bytes: 0, ..settings(folder) }).unwrap()
}

#[tokio::test]
async fn the_bound_is_kept_by_evicting_what_was_used_longest_ago() {
    let folder = folder();
    let store = bounded(folder.path());
    let files: Vec<_> = (0..10).map(|seed| content(seed, 1000)).collect();
    for (seed, (key, bytes)) in files.iter().enumerate() {
        keep(&store, key, bytes).await.unwrap();
        age(folder.path(), key, 1000 - seed as u64);
    }
    // The oldest is used again, so the second oldest has to go.
    use_once(&store, &files[0].0).await;
    let (key, bytes) = content(10, 1000);
    keep(&store, &key, &bytes).await.unwrap();
    assert_eq!(kept_bytes(folder.path()), 10_000);
    assert!(store.get(&files[0].0).await.is_some());
    assert!(store.get(&files[1].0).await.is_none());
}

#[tokio::test]
async fn a_file_that_replaces_itself_is_counted_once() {
    let folder = folder();
    let store = bounded(folder.path());
    let files: Vec<_> = (0..8).map(|seed| content(seed, 1000)).collect();
    for (key, bytes) in &files {
        keep(&store, key, bytes).await.unwrap();
    }
    // Of several fetches of one file the last one stays.
    for _ in 0..30 {
        keep(&store, &files[7].0, &files[7].1).await.unwrap();
    }
    for (key, _) in &files {
        assert!(store.get(key).await.is_some(), "there is room for all, but one went");
    }
    assert_eq!(kept_bytes(folder.path()), 8_000);
}

#[tokio::test]
async fn hundreds_of_files_never_exceed_the_bound() {
    let folder = folder();
    let store = bounded(folder.path());
    for seed in 0..=255_u8 {
        let (key, bytes) = content(seed, 900 + usize::from(seed));
        keep(&store, &key, &bytes).await.unwrap();
        assert!(kept_bytes(folder.path()) <= 10_000);
    }
    assert!(kept_bytes(folder.path()) > 8_000, "more was evicted than necessary");
}

#[tokio::test]
async fn entries_edited_by_hand_do_not_upset_the_account() {
    let folder = folder();
    let store = bounded(folder.path());
    let (edited, other) = (content(1, 1000), content(2, 1000));
    for (key, bytes) in [&edited, &other] {
        keep(&store, key, bytes).await.unwrap();
    }
    std::fs::write(path_of(folder.path(), &edited.0), vec![0; 5000]).unwrap();
    assert!(store.get(&edited.0).await.is_none());
    let (key, bytes) = content(3, 1000);
    keep(&store, &key, &bytes).await.unwrap();
    assert!(store.get(&other.0).await.is_some(), "evicted for an account that went below zero");
}

#[tokio::test]
async fn what_an_earlier_process_kept_counts_and_a_smaller_bound_is_reached() {
    let folder = folder();
    let before = Store::open(&settings(folder.path())).unwrap();
    for seed in 0..30 {
        let (key, bytes) = content(seed, 1000);
        keep(&before, &key, &bytes).await.unwrap();
    }
    drop(before);
    let store = bounded(folder.path());
    store.disk.count_all().await;
    let (key, bytes) = content(99, 1000);
    keep(&store, &key, &bytes).await.unwrap();
    assert_eq!(kept_bytes(folder.path()), 10_000);
}

#[tokio::test]
async fn right_after_a_restart_the_bound_holds_before_anybody_has_counted() {
    let folder = folder();
    let before = bounded(folder.path());
    for seed in 0..10 {
        let (key, bytes) = content(seed, 1000);
        keep(&before, &key, &bytes).await.unwrap();
    }
    drop(before);
    let store = bounded(folder.path());
    for seed in 10..15 {
        let (key, bytes) = content(seed, 1000);
        keep(&store, &key, &bytes).await.unwrap();
        assert_eq!(kept_bytes(folder.path()), 10_000);
    }
}

#[tokio::test]
async fn the_parts_of_one_download_are_one_use_however_many_they_are() {
    let folder = folder();
    // A half-life of a day: nothing fades meanwhile.
    let store = Store::open(&settings(folder.path())).unwrap();
    let files: Vec<_> = (0..3).map(|seed| content(seed, 1000)).collect();
    for (key, bytes) in &files {
        keep(&store, key, bytes).await.unwrap();
    }
    let [(parts, _), (twice, _), (once, _)] = &files[..] else { unreachable!() };
    for _ in 0..16 {
        store.used(parts.sha256, 1.0 / 16.0);
    }
    for _ in 0..2 {
        store.used(twice.sha256, 1.0);
    }
    store.used(once.sha256, 1.0);
    let ended = CancellationToken::new();
    ended.cancel();
    store.tend(ended).await;
    let shelves: Vec<ShardInventory> = Inventory::of(folder.path()).shelves().map(Result::unwrap).collect();
    let uses = |key: &Key| {
        let kept = shelves.iter().flat_map(|shard| &shard.kept).find(|kept| kept.sha256 == key.sha256);
        kept.unwrap().uses
    };
    assert!((uses(parts) - uses(once)).abs() < 0.05, "{} and {}", uses(parts), uses(once));
    assert!(uses(twice) > uses(parts) + 0.9, "{} and {}", uses(twice), uses(parts));
}

#[tokio::test]
async fn use_survives_a_restart() {
    let folder = folder();
    let store = bounded(folder.path());
    let files: Vec<_> = (0..10).map(|seed| content(seed, 1000)).collect();
    for (key, bytes) in &files {
        keep(&store, key, bytes).await.unwrap();
        age(folder.path(), key, 1000);
    }
    use_once(&store, &files[3].0).await;
    let ended = CancellationToken::new();
    ended.cancel();
    store.tend(ended).await;
    drop(store);
    let written = path_of(folder.path(), &files[3].0).metadata().unwrap().modified().unwrap();
    assert!(written.elapsed().unwrap() < Duration::from_secs(500));
}

#[tokio::test]
async fn a_file_larger_than_the_bound_is_refused_and_nothing_is_evicted_for_it() {
    let folder = folder();
    let store = bounded(folder.path());
    let (key, bytes) = content(1, 1000);
    keep(&store, &key, &bytes).await.unwrap();
    let refused = store.writer(Some(10_001)).await.unwrap_err();
    assert!(matches!(refused, KeepError::NoRoom), "{refused}");
    assert!(store.get(&key).await.is_some());
}

#[tokio::test]
async fn a_floor_that_eviction_cannot_reach_evicts_nothing() {
    let folder = folder();
    let store = Store::open(&settings(folder.path())).unwrap();
    let (key, bytes) = content(1, 1000);
    keep(&store, &key, &bytes).await.unwrap();
    drop(store);
    let greedy = StoreSettings { free_floor: u64::MAX / 2, ..settings(folder.path()) };
    let store = Store::open(&greedy).unwrap();
    store.disk.count_all().await;
    assert!(matches!(store.writer(Some(1)).await, Err(KeepError::NoRoom)));
    assert!(store.get(&key).await.is_some());
}

#[tokio::test]
async fn a_write_that_outgrows_the_bound_leaves_its_bytes_and_digest_to_go_on_from() {
    let folder = folder();
    let store = bounded(folder.path());
    let (key, bytes) = content(1, 9_000);
    let writer = store.writer(None).await.unwrap().append(vec![bytes.clone()]).await.unwrap();
    let spilled = writer.append(vec![bytes.clone()]).await.unwrap_err();
    assert!(matches!(spilled.cause, KeepError::NoRoom));
    assert_eq!(spilled.written, 9_000);
    assert_eq!(spilled.hasher.sha256(), key.sha256);
    assert_eq!(spilled.reader.read_at(0, vec![0; 9_000]).await.unwrap(), bytes);
    // What it had reserved is free again.
    keep(&store, &key, &bytes).await.unwrap();
}

/// All by clocks that stand still: how long a use counts follows from how fast files come.
#[tokio::test(start_paused = true)]
async fn what_is_used_often_outlasts_what_was_used_last() {
    const NOW: i64 = 1_700_000_000;
    let (folder, clock) = (folder(), Clock::standing_at(NOW));
    let bounded = || {
        let clock = clock.clone();
        let settings = StoreSettings { max_bytes: 10_000, hot_bytes: 0, clock, ..settings(folder.path()) };
        Store::open(&settings).unwrap()
    };
    // A file every ten seconds: a use counts half after about a minute.
    let ten_seconds_later = || {
        clock.set(clock.unix() + 10);
        tokio::time::advance(Duration::from_secs(10))
    };
    let store = bounded();
    let files: Vec<_> = (0..15).map(|seed| content(seed, 1000)).collect();
    for (key, bytes) in &files[..10] {
        ten_seconds_later().await;
        keep(&store, key, bytes).await.unwrap();
        if *key == files[0].0 {
            for _ in 0..20 {
                use_once(&store, key).await;
            }
        }
    }
    // Written back and read again: the weight is in the file.
    let ended = CancellationToken::new();
    ended.cancel();
    store.tend(ended).await;
    drop(store);
    let store = bounded();
    store.disk.count_all().await;
    for (key, bytes) in &files[10..] {
        ten_seconds_later().await;
        keep(&store, key, bytes).await.unwrap();
    }
    assert_eq!(kept_bytes(folder.path()), 10_000);
    assert!(store.get(&files[0].0).await.is_some(), "one that was used later took its place");
    for (key, _) in &files[1..6] {
        assert!(store.get(key).await.is_none(), "one that was used earlier was kept");
    }
}

#[tokio::test]
async fn a_batch_of_uses_is_written_before_it_outgrows_its_memory() {
    let folder = folder();
    let store = Store::open(&StoreSettings { tending: Duration::from_hours(1), ..settings(folder.path()) });
    let store = store.unwrap();
    let (key, bytes) = content(1, 1000);
    keep(&store, &key, &bytes).await.unwrap();
    let before = path_of(folder.path(), &key).metadata().unwrap().modified().unwrap();
    let ended = CancellationToken::new();
    let tending = tokio::spawn({
        let (store, ended) = (store.clone(), ended.clone());
        async move { store.tend(ended).await }
    });
    use_once(&store, &key).await;
    for n in 0..10_000_u32 {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&n.to_le_bytes());
        store.used(Sha256(digest), 1.0);
    }
    while path_of(folder.path(), &key).metadata().unwrap().modified().unwrap() == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ended.cancel();
    tending.await.unwrap();
}

#[tokio::test]
async fn an_entry_whose_bytes_were_edited_is_thrown_away_and_one_that_was_only_touched_stays() {
    let folder = folder();
    let store = Store::open(&StoreSettings { hot_bytes: 0, ..settings(folder.path()) }).unwrap();
    let (key, bytes) = content(1, 1000);
    keep(&store, &key, &bytes).await.unwrap();
    let path = path_of(folder.path(), &key);
    let touched = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
    File::options().write(true).open(&path).unwrap().set_modified(touched).unwrap();
    assert_eq!(read(store.get(&key).await.unwrap()).await, bytes);
    std::fs::write(&path, vec![9; 1000]).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(touched).unwrap();
    assert!(store.get(&key).await.is_none(), "the same length, but other bytes");
    assert!(!path.exists());
}

#[tokio::test]
async fn what_is_no_file_is_no_entry_and_makes_way() {
    let folder = folder();
    let store = Store::open(&StoreSettings { hot_bytes: 0, ..settings(folder.path()) }).unwrap();
    let (key, bytes) = content(1, 1000);
    let path = path_of(folder.path(), &key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    std::fs::write(&elsewhere, &bytes).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(store.get(&key).await.is_none(), "a link was followed");
    assert!(std::fs::symlink_metadata(&path).is_err() && elsewhere.exists());
    std::fs::create_dir(&path).unwrap();
    assert!(store.get(&key).await.is_none());
    keep(&store, &key, &bytes).await.unwrap();
    assert_eq!(read(store.get(&key).await.unwrap()).await, bytes);
    std::fs::remove_file(&path).unwrap();
    // Somebody's folder with something in it is not ours to remove: served, not kept.
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("mine"), "").unwrap();
    assert!(store.get(&key).await.is_none());
    assert!(matches!(keep(&store, &key, &bytes).await, Err(KeepError::Disk(_))));
    assert!(path.join("mine").exists());
}

#[tokio::test]
async fn what_is_discarded_is_gone_from_memory_and_disk() {
    let folder = folder();
    let store = Store::open(&settings(folder.path())).unwrap();
    let (key, bytes) = content(1, 1000);
    keep(&store, &key, &bytes).await.unwrap();
    store.get(&key).await.unwrap();
    assert!(store.discard(key.sha256).await.unwrap());
    assert!(store.get(&key).await.is_none() && !path_of(folder.path(), &key).exists());
    assert!(!store.discard(key.sha256).await.unwrap());
}

#[tokio::test]
async fn an_inventory_tells_entries_from_strangers_beside_a_running_store() {
    let folder = folder();
    let store = Store::open(&settings(folder.path())).unwrap();
    let (key, bytes) = content(1, 1000);
    keep(&store, &key, &bytes).await.unwrap();
    let path = path_of(folder.path(), &key);
    let stranger = path.with_file_name("README");
    std::fs::write(&stranger, "mine").unwrap();
    let inventory = Inventory::of(folder.path());
    let shelves: Vec<ShardInventory> = inventory.shelves().map(Result::unwrap).collect();
    let kept: Vec<_> = shelves.iter().flat_map(|shard| &shard.kept).collect();
    assert!(matches!(kept[..], [kept] if (kept.sha256, kept.size) == (key.sha256, 1000)), "{kept:?}");
    assert_eq!(shelves.iter().flat_map(|shard| &shard.strangers).collect::<Vec<_>>(), [&stranger]);
    assert_eq!(inventory.digest(key.sha256).unwrap(), Some(key.sha256));
    std::fs::write(&path, "edited").unwrap();
    assert_ne!(inventory.digest(key.sha256).unwrap(), Some(key.sha256));
}
