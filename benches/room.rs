//! What eviction keeps: 10,000 files through a cache bounded to a tenth, and to a fiftieth, of their bytes, beside plain LRU
//! and S3-FIFO on the same traces. Prints a Markdown table of the requests and the bytes that were hits; fails if the bound
//! is ever passed.
//!
//! ```sh
//! TMPDIR=/dev/shm cargo bench --bench room       # some five minutes; on a disk each miss waits for its fsync
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cheesewire::blob::{Inventory, Key, Store, StoreSettings};
use cheesewire::model::Sha256;
use sha2::Digest as _;
use tokio_util::sync::CancellationToken;

const FILES: usize = 10_000;
const REQUESTS: usize = 100_000;
/// The bound is the files' bytes over each of these.
const SHARES: [u64; 2] = [10, 50];
/// In the trace with a crawler, one request of so many more is the crawler's, which reads each file once in turn.
const CRAWL: usize = 5;
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

/// How large files are; small to be quick.
#[derive(Clone, Copy, PartialEq)]
enum Sizes {
    /// 2 to 32 KiB, each doubling as often.
    Even,
    /// A median of 4 KiB, and a few far larger ones, as on an index.
    LogNormal,
}

impl Sizes {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 64 bytes to 4 MiB")]
    fn draw(self, random: &mut Random) -> usize {
        match self {
            Self::Even => 2048 << (random.next() % 5),
            Self::LogNormal => {
                // Box and Muller's normal numbers.
                let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * random.unit()).cos();
                (4096.0 * (1.5 * normal).exp()).clamp(64.0, f64::from(4 << 20)) as usize
            }
        }
    }
}

/// The files; their digests spread them over the folder.
fn files(sizes: Sizes) -> Vec<(Key, Bytes)> {
    let mut random = Random(1);
    let file = |n: usize| {
        let size = sizes.draw(&mut random);
        let bytes = Bytes::from(n.to_le_bytes().repeat(size / size_of::<usize>()));
        let sha256 = Sha256(sha2::Sha256::digest(&bytes).into());
        (Key { sha256, size: Some(bytes.len() as u64) }, bytes)
    };
    (0..FILES).map(file).collect()
}

/// A request for a file, and whether its being a hit counts: the crawler's does not.
type Request = (usize, bool);

/// Requests by Zipf's law; with `news` another part of the files is the popular one after each tenth.
#[expect(clippy::cast_precision_loss, reason = "ranks are small")]
fn trace(exponent: f64, news: bool) -> Vec<Request> {
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
        ((rank * 7_919 + shift) % FILES, true)
    };
    (0..REQUESTS).map(request).collect()
}

/// The same with a crawler between.
fn crawled(trace: &[Request]) -> Vec<Request> {
    let crawler = (0..FILES).cycle().map(|file| (file, false));
    trace.chunks(CRAWL).zip(crawler).flat_map(|(some, its)| some.iter().copied().chain([its])).collect()
}

/// What was found, of all that counts.
#[derive(Default)]
struct Found {
    requests: u64,
    hits: u64,
    bytes: u64,
    hit_bytes: u64,
}

impl Found {
    fn add(&mut self, hit: bool, counts: bool, size: u64) {
        if counts {
            self.requests += 1;
            self.bytes += size;
            self.hits += u64::from(hit);
            self.hit_bytes += if hit { size } else { 0 };
        }
    }

    /// Requests and bytes, in percent.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn percent(&self) -> String {
        let of = |part: u64, all: u64| 100.0 * part as f64 / all as f64;
        format!("{:.1} / {:.1} %", of(self.hits, self.requests), of(self.hit_bytes, self.bytes))
    }
}

/// Plain LRU, exact, with the same bound.
fn lru(sizes: &[u64], trace: &[Request], bound: u64) -> Found {
    let (mut used, mut by_time, mut kept, mut found) = (HashMap::new(), BTreeMap::new(), 0, Found::default());
    for (now, &(file, counts)) in trace.iter().enumerate() {
        let size = sizes[file];
        let before = used.insert(file, now);
        found.add(before.is_some(), counts, size);
        match before {
            Some(before) => drop(by_time.remove(&before)),
            None => kept += size,
        }
        by_time.insert(now, file);
        while kept > bound {
            let (_, oldest) = by_time.pop_first().unwrap();
            used.remove(&oldest);
            kept -= sizes[oldest];
        }
    }
    found
}

/// Files in the order in which they came, and their bytes.
#[derive(Default)]
struct Queue {
    files: VecDeque<usize>,
    bytes: u64,
}

impl Queue {
    fn push(&mut self, file: usize, sizes: &[u64]) {
        self.files.push_back(file);
        self.bytes += sizes[file];
    }

    fn remove(&mut self, file: usize, sizes: &[u64]) {
        let at = self.files.iter().position(|&queued| queued == file).unwrap();
        self.files.remove(at);
        self.bytes -= sizes[file];
    }

    fn pop(&mut self, sizes: &[u64]) -> Option<usize> {
        let file = self.files.pop_front()?;
        self.bytes -= sizes[file];
        Some(file)
    }
}

/// S3-FIFO (Yang and others, SOSP 2023) by bytes: a tenth for newcomers, of which those used more than once move to the rest, and the
/// names of those that went, who come to the rest at once when they are asked for again.
#[derive(Default)]
struct S3Fifo {
    small: Queue,
    main: Queue,
    ghosts: Queue,
    /// Uses since a file came or was passed over, three at most.
    uses: HashMap<usize, u8>,
    is_ghost: HashSet<usize>,
}

impl S3Fifo {
    fn run(sizes: &[u64], trace: &[Request], bound: u64) -> Found {
        let (mut cache, mut found) = (Self::default(), Found::default());
        for &(file, counts) in trace {
            let uses = cache.uses.get_mut(&file);
            found.add(uses.is_some(), counts, sizes[file]);
            match uses {
                Some(uses) => *uses = (*uses + 1).min(3),
                None if sizes[file] <= bound => cache.take(file, sizes, bound),
                None => {}
            }
        }
        found
    }

    fn take(&mut self, file: usize, sizes: &[u64], bound: u64) {
        while self.small.bytes + self.main.bytes + sizes[file] > bound {
            self.evict(sizes, bound);
        }
        if self.is_ghost.remove(&file) {
            self.ghosts.remove(file, sizes);
            self.main.push(file, sizes);
        } else {
            self.small.push(file, sizes);
        }
        self.uses.insert(file, 0);
    }

    fn evict(&mut self, sizes: &[u64], bound: u64) {
        if self.small.bytes > bound / 10 || self.main.files.is_empty() {
            let Some(file) = self.small.pop(sizes) else { return };
            if self.uses[&file] > 1 {
                self.main.push(file, sizes);
                self.uses.insert(file, 0);
                return;
            }
            self.uses.remove(&file);
            self.is_ghost.insert(file);
            self.ghosts.push(file, sizes);
            while self.ghosts.bytes > bound / 10 * 9 {
                let forgotten = self.ghosts.pop(sizes).unwrap();
                self.is_ghost.remove(&forgotten);
            }
        } else if let Some(file) = self.main.pop(sizes) {
            let uses = self.uses.get_mut(&file).unwrap();
            if *uses > 0 {
                *uses -= 1;
                self.main.push(file, sizes);
            } else {
                self.uses.remove(&file);
            }
        }
    }
}

fn kept_bytes(inventory: &Inventory) -> u64 {
    inventory.shelves().flat_map(|shelf| shelf.unwrap().kept).map(|kept| kept.size).sum()
}

/// What the store found, the most bytes that were ever in its folder, and how long it took.
async fn store(files: &[(Key, Bytes)], trace: &[Request], bound: u64) -> (Found, u64, Duration) {
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
    let (mut found, mut most, started) = (Found::default(), 0, Instant::now());
    for (at, &(file, counts)) in trace.iter().enumerate() {
        let (key, bytes) = &files[file];
        let hit = store.get(key).await.is_some();
        found.add(hit, counts, bytes.len() as u64);
        if hit {
            store.used(key.sha256, 1.0);
        } else if bytes.len() as u64 <= bound {
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
    (found, most.max(kept_bytes(&inventory)), took)
}

/// The traces: what each is, and its files and requests.
fn traces() -> Vec<(String, Sizes, Vec<Request>)> {
    let news = format!("Zipf 0.9, {NEWS} times other favourites");
    vec![
        ("Zipf 0.8".to_owned(), Sizes::Even, trace(0.8, false)),
        ("Zipf 1.0".to_owned(), Sizes::Even, trace(1.0, false)),
        (news, Sizes::Even, trace(0.9, true)),
        (
            "Zipf 0.9 and a crawler, log-normal sizes".to_owned(),
            Sizes::LogNormal,
            crawled(&trace(0.9, false)),
        ),
    ]
}

#[tokio::main]
async fn main() {
    println!("{FILES} files, {REQUESTS} requests; hits in % of requests / of bytes\n");
    println!("| bound | trace | plain LRU | S3-FIFO | cheesewire | most kept / bound | a request |");
    println!("|---|---|---|---|---|---|---|");
    for share in SHARES {
        for (what, sizes, trace) in traces() {
            let files = files(sizes);
            let sizes: Vec<u64> = files.iter().map(|(_, bytes)| bytes.len() as u64).collect();
            let bound = sizes.iter().sum::<u64>() / share;
            let (found, most, took) = store(&files, &trace, bound).await;
            assert!(most <= bound, "{most} bytes were kept of at most {bound}");
            let peers =
                [lru(&sizes, &trace, bound), S3Fifo::run(&sizes, &trace, bound)].map(|peer| peer.percent());
            #[expect(clippy::cast_precision_loss, reason = "for people")]
            let full = most as f64 / bound as f64;
            let each = took / u32::try_from(trace.len()).unwrap();
            let (ours, [plain, s3]) = (found.percent(), peers);
            println!("| 1/{share} | {what} | {plain} | {s3} | {ours} | {full:.3} | {each:.0?} |");
        }
    }
}
