//! How much is kept.

use super::*;

#[tokio::test]
async fn files_are_counted_as_they_come_and_go_and_what_is_none_is_not() {
    let folder = folder();
    let store = bounded(folder.path());
    let told = |store: &Store| (store.fullness().files, store.fullness().bytes);
    store.disk.count_all().await;
    let (one, two) = (content(1, 1000), content(2, 2000));
    for (key, bytes) in [&one, &two, &one] {
        keep(&store, key, bytes).await.unwrap();
    }
    assert_eq!(told(&store), (2, 3000));
    // What was never counted is not taken off.
    let link = content(3, 1000).0;
    std::fs::create_dir_all(path_of(folder.path(), &link).parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/nowhere", path_of(folder.path(), &link)).unwrap();
    assert!(store.get(&link).await.is_none());
    assert_eq!(told(&store), (2, 3000));
    assert!(store.discard(one.0.sha256).await.unwrap());
    assert!(!store.discard(one.0.sha256).await.unwrap());
    assert_eq!(told(&store), (1, 2000));
    for seed in 10..30 {
        let (key, bytes) = content(seed, 1000);
        keep(&store, &key, &bytes).await.unwrap();
    }
    let evicted = told(&store);
    assert_eq!(evicted.1, kept_bytes(folder.path()));
    drop(store);
    let store = bounded(folder.path());
    assert_eq!(told(&store), (0, 0));
    store.disk.count_all().await;
    assert_eq!((told(&store), store.fullness().counted), (evicted, true));
}
