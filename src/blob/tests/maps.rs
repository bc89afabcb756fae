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
