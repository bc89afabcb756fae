//! Files larger than those that are held in memory: mappings.

use std::collections::BTreeSet;

use super::*;
use crate::blob::Map;

/// Keeps a file that is too large to be held in memory: its mapping.
async fn kept_map(store: &Store, key: &Key, bytes: &Bytes) -> Map {
    keep(store, key, bytes).await.unwrap();
    match store.get(key).await {
        Some(Blob::Mapped(map)) => map,
        other => panic!("no map: {other:?}"),
    }
}

#[tokio::test]
async fn a_large_file_is_a_map_and_every_part_of_it_is_right() {
    let folder = folder();
    let store = Store::open(&StoreSettings { hot_file: 1000, ..settings(folder.path()) }).unwrap();
    let bytes: Bytes = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let key = Key { sha256: Sha256(sha2::Sha256::digest(&bytes).into()), size: Some(300_000) };
    let map = kept_map(&store, &key, &bytes).await;
    assert_eq!(map.size(), 300_000);
    for range in [0..300_000_u64, 0..1, 4095..4097, 299_999..300_000, 299_990..400_000, 7..7] {
        let loaded = map.load(range.clone()).await.unwrap();
        let place = |at: u64| usize::try_from(at.min(300_000)).unwrap();
        assert_eq!(loaded, bytes[place(range.start)..place(range.end)], "{range:?}");
        // What was just read is in memory.
        assert_eq!(map.ready(range).unwrap(), Some(loaded));
    }
}

#[tokio::test]
async fn what_was_sent_of_a_large_file_does_not_stay_in_our_memory() {
    const SIZE: usize = 16 << 20;
    for most in [8 << 20, 16 << 20] {
        let folder = folder();
        let given = StoreSettings { hot_file: 1000, mapped_bytes: most, ..settings(folder.path()) };
        let store = Store::open(&given).unwrap();
        let (key, bytes) = content(1, SIZE);
        let map = kept_map(&store, &key, &bytes).await;
        let first = map.load(0..1 << 18).await.unwrap();
        let (mut read, mut resident) = (Vec::new(), 0);
        for start in (0..SIZE as u64).step_by(1 << 18) {
            // As a socket does: touched after it is given.
            read.extend_from_slice(&map.load(start..start + (1 << 18)).await.unwrap());
            resident = resident.max(resident_of(first.as_ptr().addr()));
        }
        // In whichever order it is wanted.
        for start in [0, 10, 5, 15, 0, 7, 3, 11, 13, 1] {
            let start = start << 20;
            assert!(
                *map.load(start as u64..start as u64 + 1000).await.unwrap() == bytes[start..start + 1000]
            );
            resident = resident.max(resident_of(first.as_ptr().addr()));
        }
        assert!(bytes == read && first == read[..1 << 18], "shed bytes are the file's still");
        assert_eq!(resident, most, "bytes in memory at most");
    }
}

/// The bytes in memory of the mapping that begins at an address (proc(5), smaps).
fn resident_of(address: usize) -> usize {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let begins = format!("{address:x}-");
    let mut of_it = maps.lines().skip_while(|line| !line.trim_start_matches('0').starts_with(&begins));
    let line = of_it.find_map(|line| line.strip_prefix("Rss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn a_mapped_file_that_is_cut_short_by_hand_is_an_error_and_no_end_of_the_process() {
    let folder = folder();
    let store = Store::open(&StoreSettings { hot_file: 1000, ..settings(folder.path()) }).unwrap();
    let (key, bytes) = content(1, 300_000);
    let map = kept_map(&store, &key, &bytes).await;
    File::options().write(true).open(path_of(folder.path(), &key)).unwrap().set_len(5000).unwrap();
    assert!(map.ready(200_000..300_000).is_err() && map.load(200_000..300_000).await.is_err());
    assert!(store.get(&key).await.is_none(), "an entry of another length");
}

#[tokio::test]
async fn a_map_goes_with_its_entry_and_who_has_it_goes_on() {
    let folder = folder();
    let store = Store::open(&StoreSettings { hot_file: 1000, ..settings(folder.path()) }).unwrap();
    let (key, bytes) = content(1, 300_000);
    let map = kept_map(&store, &key, &bytes).await;
    std::fs::remove_file(path_of(folder.path(), &key)).unwrap();
    assert!(store.get(&key).await.is_none(), "the mapping outlived the entry");
    assert_eq!(map.load(0..300_000).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_mapping_that_nobody_used_since_the_last_time_is_let_go() {
    let folder = folder();
    let store = Store::open(&StoreSettings { hot_file: 1000, ..settings(folder.path()) }).unwrap();
    let (key, bytes) = content(1, 300_000);
    let address = kept_map(&store, &key, &bytes).await.load(0..10).await.unwrap().as_ptr().addr();
    let is_mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().any(|line| line.trim_start_matches('0').starts_with(&format!("{address:x}-")))
    };
    store.let_idle_maps_go();
    assert!(is_mapped(), "it was used");
    store.get(&key).await.unwrap();
    store.let_idle_maps_go();
    assert!(is_mapped(), "it was used again");
    store.let_idle_maps_go();
    assert!(!is_mapped());
    assert_eq!(read(store.get(&key).await.unwrap()).await, bytes);
}

#[tokio::test]
async fn however_many_want_a_large_file_at_once_it_is_mapped_once() {
    let folder = folder();
    let store = Store::open(&StoreSettings { hot_file: 1000, ..settings(folder.path()) }).unwrap();
    let (key, bytes) = content(1, 300_000);
    keep(&store, &key, &bytes).await.unwrap();
    let blobs = futures_util::future::join_all((0..100).map(|_| store.get(&key))).await;
    let mut places = BTreeSet::new();
    for blob in blobs {
        let Some(Blob::Mapped(map)) = blob else { panic!("no map") };
        places.insert(map.load(0..10).await.unwrap().as_ptr().addr());
    }
    assert_eq!(places.len(), 1);
}

/// Writes other bytes of the same length over a kept file, as an editor in place does.
fn overwrite(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::FileExt as _;
    File::options().write(true).open(path).unwrap().write_all_at(bytes, 0).unwrap();
}

#[tokio::test]
async fn a_mapped_file_that_is_written_to_in_place_goes_out_no_more() {
    let folder = folder();
    let store = Store::open(&StoreSettings { hot_file: 1000, ..settings(folder.path()) }).unwrap();
    let (key, bytes) = content(1, 300_000);
    let map = kept_map(&store, &key, &bytes).await;
    let path = path_of(folder.path(), &key);
    overwrite(&path, &[9; 10]);
    assert!(map.ready(0..300_000).is_err() && map.load(200_000..300_000).await.is_err(), "to who has it");
    assert!(store.get(&key).await.is_none(), "to who comes");
    assert!(!path.exists());
    keep(&store, &key, &bytes).await.unwrap();
    assert_eq!(read(store.get(&key).await.unwrap()).await, bytes);
}

#[tokio::test]
async fn a_mapped_file_whose_time_alone_was_changed_is_read_once_and_stays() {
    let folder = folder();
    let store = Store::open(&StoreSettings { hot_file: 1000, ..settings(folder.path()) }).unwrap();
    let (key, bytes) = content(1, 300_000);
    kept_map(&store, &key, &bytes).await;
    let path = path_of(folder.path(), &key);
    let touched = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_999);
    File::options().write(true).open(&path).unwrap().set_modified(touched).unwrap();
    assert_eq!(read(store.get(&key).await.unwrap()).await, bytes);
    let marked = path.metadata().unwrap().modified().unwrap();
    assert_ne!(marked, touched);
    assert_eq!(read(store.get(&key).await.unwrap()).await, bytes);
    assert_eq!(path.metadata().unwrap().modified().unwrap(), marked, "read a second time");
}

#[tokio::test]
async fn that_a_use_is_noted_in_its_time_is_no_change_of_a_mapped_file() {
    let folder = folder();
    let store = Store::open(&StoreSettings { hot_file: 1000, ..settings(folder.path()) }).unwrap();
    let (key, bytes) = content(1, 300_000);
    let map = kept_map(&store, &key, &bytes).await;
    let before = path_of(folder.path(), &key).metadata().unwrap().modified().unwrap();
    store.used(key.sha256, 1.0);
    let over = CancellationToken::new();
    over.cancel();
    store.tend(over).await;
    assert_ne!(path_of(folder.path(), &key).metadata().unwrap().modified().unwrap(), before);
    assert_eq!(map.load(0..300_000).await.unwrap(), bytes);
    let Some(Blob::Mapped(again)) = store.get(&key).await else { panic!("no map") };
    assert_eq!(again.load(0..1).await.unwrap().as_ptr(), map.load(0..1).await.unwrap().as_ptr());
}

#[tokio::test]
async fn a_use_that_is_noted_after_an_edit_does_not_hide_it() {
    let folder = folder();
    let store = Store::open(&StoreSettings { hot_file: 1000, ..settings(folder.path()) }).unwrap();
    let (key, bytes) = content(1, 300_000);
    let map = kept_map(&store, &key, &bytes).await;
    store.used(key.sha256, 1.0);
    let path = path_of(folder.path(), &key);
    overwrite(&path, &[9; 10]);
    // A time of an edit that is nobody's mark by chance.
    let edited = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_999);
    File::options().write(true).open(&path).unwrap().set_modified(edited).unwrap();
    let over = CancellationToken::new();
    over.cancel();
    store.tend(over).await;
    assert!(map.ready(0..300_000).is_err());
    assert!(store.get(&key).await.is_none());
}

#[tokio::test]
async fn entries_that_somebody_swapped_are_thrown_away() {
    for hot_file in [1000, 1 << 20] {
        let folder = folder();
        let open = || Store::open(&StoreSettings { hot_file, ..settings(folder.path()) }).unwrap();
        let (one, other) = (content(1, 300_000), content(2, 300_000));
        let store = open();
        for (key, bytes) in [&one, &other] {
            keep(&store, key, bytes).await.unwrap();
        }
        let (path, place) = (path_of(folder.path(), &one.0), folder.path().join("place"));
        std::fs::rename(&path, &place).unwrap();
        std::fs::rename(path_of(folder.path(), &other.0), &path).unwrap();
        std::fs::rename(&place, path_of(folder.path(), &other.0)).unwrap();
        let is_thrown_away = async |store: &Store, key: &Key| {
            let found = store.get(&Key { size: None, ..*key }).await;
            found.is_none() && !path_of(folder.path(), key).exists()
        };
        assert!(is_thrown_away(&store, &one.0).await, "{hot_file}");
        drop(store);
        assert!(is_thrown_away(&open(), &other.0).await, "{hot_file}, by one that has seen neither");
    }
}

#[tokio::test]
async fn an_entry_of_before_there_were_marks_is_read_once_and_has_one_then() {
    let folder = folder();
    let store =
        Store::open(&StoreSettings { hot_bytes: 0, hot_file: 1000, ..settings(folder.path()) }).unwrap();
    for (seed, right) in [(1, true), (2, false)] {
        let (key, bytes) = content(seed, 300_000);
        keep(&store, &key, &bytes).await.unwrap();
        let path = path_of(folder.path(), &key);
        if !right {
            overwrite(&path, &[9; 10]);
        }
        let without = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_000);
        File::options().write(true).open(&path).unwrap().set_modified(without).unwrap();
        assert_eq!(store.get(&key).await.is_some(), right);
        assert_eq!(path.exists(), right);
        if right {
            assert_ne!(path.metadata().unwrap().modified().unwrap(), without);
        }
    }
}
