//! What eviction keeps: 10,000 files through a cache bounded to a tenth of their bytes, beside plain LRU on the same
//! trace. Prints a Markdown table; fails if the bound is ever passed.
//!
//! ```sh
//! TMPDIR=/dev/shm cargo bench --bench room       # some two minutes; on a disk each miss waits for its fsync
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cheesewire::blob::{Inventory, Key, Store, StoreSettings};
use cheesewire::model::Sha256;
use sha2::Digest as _;
use tokio_util::sync::CancellationToken;

const FILES: usize = 10_000;
const REQUESTS: usize = 100_000;
/// The bound is the files' bytes over this.
const SHARE: u64 = 10;
/// How often what is popular is exchanged for something else, in the trace that has such news.
const NEWS: usize = 10;

/// SplitMix64: the same trace on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[expect(clippy::cast_precision_loss, reason = "53 bits of it")]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Files of 2 to 32 KiB, small to be quick; their digests spread them over the folder.
fn files() -> Vec<(Key, Bytes)> {
    let mut random = Random(1);
    let file = |n: usize| {
        let size = 2048 << (random.next() % 5);
        let bytes = Bytes::from(n.to_le_bytes().repeat(size / size_of::<usize>()));
        let sha256 = Sha256(sha2::Sha256::digest(&bytes).into());
        (Key { sha256, size: Some(bytes.len() as u64) }, bytes)
    };
    (0..FILES).map(file).collect()
}

/// Requests by Zipf's law; with `news` another part of the files is the popular one after each tenth.
#[expect(clippy::cast_precision_loss, reason = "ranks are small")]
fn trace(exponent: f64, news: bool) -> Vec<usize> {
    let mut sum = 0.0;
    let weight = |rank: usize| {
        sum += (rank as f64).powf(-exponent);
        sum
    };
    let cumulative: Vec<f64> = (1..=FILES).map(weight).collect();
    let total = *cumulative.last().unwrap();
    let mut random = Random(2);
    let request = |at: usize| {
        let drawn = random.unit() * total;
        let rank = cumulative.partition_point(|&sum| sum < drawn).min(FILES - 1);
        let shift = if news { at * NEWS / REQUESTS * (FILES / NEWS) } else { 0 };
        // Ranks are not neighbours: 7,919 is prime to the number of files.
        (rank * 7_919 + shift) % FILES
    };
    (0..REQUESTS).map(request).collect()
}

/// Hits of plain LRU, exact, with the same bound.
fn lru(files: &[(Key, Bytes)], trace: &[usize], bound: u64) -> usize {
    let (mut used, mut by_time, mut kept, mut hits) = (HashMap::new(), BTreeMap::new(), 0, 0);
    for (now, &file) in trace.iter().enumerate() {
        let size = files[file].1.len() as u64;
        if let Some(before) = used.insert(file, now) {
            hits += 1;
            by_time.remove(&before);
        } else {
            kept += size;
        }
        by_time.insert(now, file);
        while kept > bound {
            let (_, oldest) = by_time.pop_first().unwrap();
            used.remove(&oldest);
            kept -= files[oldest].1.len() as u64;
        }
    }
    hits
}

fn kept_bytes(inventory: &Inventory) -> u64 {
    inventory.shelves().flat_map(|shelf| shelf.unwrap().kept).map(|kept| kept.size).sum()
}

/// Hits of the store, the most bytes ever found in its folder, and how long it took.
async fn store(files: &[(Key, Bytes)], trace: &[usize], bound: u64) -> (usize, u64, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&StoreSettings {
        max_bytes: bound,
        free_floor: 0,
        hot_bytes: 0,
        tending: Duration::from_secs(1),
        ..StoreSettings::new(folder.path().to_owned())
    });
    let store = store.unwrap();
    let ended = CancellationToken::new();
    let tending = tokio::spawn({
        let (store, ended) = (store.clone(), ended.clone());
        async move { store.tend(ended).await }
    });
    let inventory = Inventory::of(folder.path());
    let (mut hits, mut most, started) = (0, 0, Instant::now());
    for (at, &file) in trace.iter().enumerate() {
        let (key, bytes) = &files[file];
        if store.get(key).await.is_some() {
            hits += 1;
            store.used(key.sha256, 1.0);
        } else {
            let writer = store.writer(key.size).await.unwrap();
            let writer = writer.append(vec![bytes.clone()]).await.map_err(|spilled| spilled.cause).unwrap();
            writer.finish(key).await.unwrap();
        }
        if at % 1_000 == 0 {
            most = most.max(kept_bytes(&inventory));
        }
    }
    let took = started.elapsed();
    ended.cancel();
    tending.await.unwrap();
    (hits, most.max(kept_bytes(&inventory)), took)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn percent(hits: usize) -> f64 {
    100.0 * hits as f64 / REQUESTS as f64
}

#[tokio::main]
async fn main() {
    let files = files();
    let all: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let bound = all / SHARE;
    println!("{FILES} files, {} MiB, bound {} MiB, {REQUESTS} requests\n", all >> 20, bound >> 20);
    println!("| trace | plain LRU | cheesewire | most kept / bound | a request |");
    println!("|---|---|---|---|---|");
    for (exponent, news) in [(0.8, false), (1.0, false), (0.9, true)] {
        let trace = trace(exponent, news);
        let (hits, most, took) = store(&files, &trace, bound).await;
        assert!(most <= bound, "{most} bytes were kept of at most {bound}");
        let what = if news {
            format!("Zipf {exponent}, {NEWS} times other favourites")
        } else {
            format!("Zipf {exponent}")
        };
        let (ours, plain) = (percent(hits), percent(lru(&files, &trace, bound)));
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let full = most as f64 / bound as f64;
        let each = took / u32::try_from(REQUESTS).unwrap();
        println!("| {what} | {plain:.1} % | {ours:.1} % | {full:.3} | {each:.0?} |");
    }
}
