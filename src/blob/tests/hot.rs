//! Files in memory.

use super::{content, folder, keep, path_of, settings};
use crate::blob::{Blob, Key, Store, StoreSettings};

#[tokio::test]
async fn a_small_file_is_held_in_memory_and_a_large_one_is_not() {
    let folder = folder();
    let store = Store::open(&StoreSettings { hot_file: 100, ..settings(folder.path()) }).unwrap();
    for (size, hot) in [(100, true), (101, false)] {
        let (key, bytes) = content(1, size);
        keep(&store, &key, &bytes).await.unwrap();
        store.get(&key).await.unwrap();
        std::fs::remove_file(path_of(folder.path(), &key)).unwrap();
        assert_eq!(store.get(&key).await.is_some(), hot, "{size} bytes");
    }
}

#[tokio::test]
async fn a_way_back_leads_to_what_is_in_memory_and_to_nothing_that_had_to_go() {
    let folder = folder();
    let store = Store::open(&settings(folder.path())).unwrap();
    let (key, bytes) = content(1, 1000);
    keep(&store, &key, &bytes).await.unwrap();
    assert!(store.hot_ref(key.sha256).is_none(), "it is not in memory yet");
    store.get(&key).await.unwrap();
    let (hot_ref, now) = (store.hot_ref(key.sha256).unwrap(), store.clock().system_time());
    for _ in 0..50 {
        assert_eq!(*store.still_hot(&hot_ref, now).unwrap().bytes(), bytes);
    }
    // Somebody is just sending it.
    let held = store.still_hot(&hot_ref, now).unwrap();
    store.discard(key.sha256).await.unwrap();
    assert!(store.still_hot(&hot_ref, now).is_none());
    assert_eq!(*held.bytes(), bytes);
}

#[tokio::test]
async fn a_way_back_holds_nothing_in_memory() {
    let folder = folder();
    let store = Store::open(&StoreSettings { hot_bytes: 1000, ..settings(folder.path()) }).unwrap();
    let ((first, bytes), second) = (content(1, 1000), content(2, 1000));
    keep(&store, &first, &bytes).await.unwrap();
    keep(&store, &second.0, &second.1).await.unwrap();
    store.get(&first).await.unwrap();
    let (hot_ref, now) = (store.hot_ref(first.sha256).unwrap(), store.clock().system_time());
    // The second takes its place once it is asked for more.
    while store.still_hot(&hot_ref, now).is_some() {
        store.get(&second.0).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_in_memory_is_not_given_out_for_a_key_of_another_size() {
    let folder = folder();
    let store = Store::open(&settings(folder.path())).unwrap();
    let (key, bytes) = content(1, 1000);
    keep(&store, &key, &bytes).await.unwrap();
    assert!(matches!(store.get(&key).await, Some(Blob::Hot(_))));
    assert!(store.get(&Key { size: Some(999), ..key }).await.is_none());
}
