//! The facade: memory for small hot files, the disk behind it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::disk::{Disk, Map, Reader, Sound, Writer};
use super::{Hot, HotRef, KeepError, Key, OpenError, StoreSettings};
use crate::bounded::{Bounded, ByWeight, Weighed, by_count, by_weight};
use crate::model::{Clock, Sha256};

/// How often mappings that were not used since are let go: one holds the space of an entry that was evicted meanwhile.
const MAP_IDLE: Duration = Duration::from_mins(1);

/// A file may have come so far in the future: the folder may be another machine's, with a clock of its own.
const SKEW: Duration = Duration::from_mins(1);

/// The kept files. Clones are one store.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) disk: Arc<Disk>,
    pub(super) hot: Arc<Bounded<Sha256, Weighed<Hot>, ByWeight>>,
    hot_file: u64,
    /// Larger files, mapped between requests too: their page tables stay filled.
    maps: Arc<Bounded<Sha256, Mapping>>,
    clock: Clock,
}

/// A mapping between requests.
#[derive(Debug, Clone)]
struct Mapping {
    map: Map,
    /// Since idle ones were let go last.
    used: Arc<AtomicBool>,
}

/// A kept file, whole.
#[derive(Debug, Clone)]
pub enum Blob {
    /// In memory.
    Hot(Hot),
    /// On disk, mapped; stays readable even if it is evicted meanwhile.
    Mapped(Map),
    /// Just arrived, and read by those who followed it: so many have the file's pages only in the kernel's
    /// memory, not in their process's.
    File(Reader, u64),
}

/// Why an entry has no mapping.
#[derive(Debug)]
enum Unmapped {
    Absent,
    /// It is held in memory instead.
    Hot(Hot),
    Failed(io::Error),
}

impl From<io::Error> for Unmapped {
    fn from(cause: io::Error) -> Self {
        Self::Failed(cause)
    }
}

impl Blob {
    /// The size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Hot(hot) => hot.bytes().len() as u64,
            Self::Mapped(map) => map.size(),
            Self::File(_, size) => *size,
        }
    }
}

/// How long ago `came` was at `now`; `None` if that is not known, because the clock was ahead then.
fn age(came: SystemTime, now: SystemTime) -> Option<Duration> {
    match now.duration_since(came) {
        Ok(age) => Some(age),
        Err(ahead) => (ahead.duration() < SKEW).then_some(Duration::ZERO),
    }
}

impl Store {
    /// Opens the folder: takes its lock, removes leftovers of unfinished writes. Does not walk the
    /// entries, so it takes milliseconds whatever is kept. Blocking: for start-up.
    ///
    /// A folder that cannot be written is opened for reading only, with a warning.
    pub fn open(settings: &StoreSettings) -> Result<Self, OpenError> {
        let hot = Arc::new(by_weight(settings.hot_bytes, settings.hot_file));
        let maps = Arc::new(by_count(settings.maps));
        let (disk, clock) = (Arc::new(Disk::open(settings)?), settings.clock.clone());
        Ok(Self { disk, hot, hot_file: settings.hot_file, maps, clock })
    }

    /// The entry, if it is kept. That it was looked for is no use of it: see [`Store::used`]. An entry whose length
    /// contradicts the key is thrown away; a disk that fails to read is logged and counts as absent, because upstream
    /// still has the file.
    pub async fn get(&self, key: &Key) -> Option<Blob> {
        if let Some(hot) = self.hot_as(key) {
            return Some(Blob::Hot(hot));
        }
        if let Some(Mapping { map, used }) = self.maps.get(&key.sha256) {
            if map.is_kept() && key.size.is_none_or(|size| size == map.size()) {
                used.store(true, Ordering::Relaxed);
                return Some(Blob::Mapped(map));
            }
            self.maps.remove(&key.sha256);
        }
        match self.read_disk(key).await {
            Ok(found) => found,
            Err(cause) => {
                warn!(sha256 = %key.sha256, %cause, "a kept file cannot be read");
                None
            }
        }
    }

    async fn read_disk(&self, key: &Key) -> io::Result<Option<Blob>> {
        let (store, key) = (self.clone(), *key);
        tokio::task::spawn_blocking(move || store.open_entry(&key)).await?
    }

    /// Blocking. However many want an entry at once, one opens it and the others wait: each mapping of a large file costs
    /// its page tables, and counts as memory of its own.
    fn open_entry(&self, key: &Key) -> io::Result<Option<Blob>> {
        let opened = self.maps.get_or_insert_with(&key.sha256, || {
            // Read by one who was before us.
            if let Some(hot) = self.hot_as(key) {
                return Err(Unmapped::Hot(hot));
            }
            let entry = self.disk.entry(key)?.ok_or(Unmapped::Absent)?;
            if entry.size <= self.hot_file {
                return Err(Unmapped::Hot(self.warm(key.sha256, &entry)?));
            }
            Ok(Mapping { map: self.disk.map(entry)?, used: Arc::new(AtomicBool::new(true)) })
        });
        match opened {
            Ok(mapping) => Ok(Some(Blob::Mapped(mapping.map))),
            Err(Unmapped::Absent) => Ok(None),
            Err(Unmapped::Hot(hot)) => Ok(Some(Blob::Hot(hot))),
            Err(Unmapped::Failed(cause)) => Err(cause),
        }
    }

    /// Reads a small entry into memory.
    fn warm(&self, sha256: Sha256, entry: &Sound) -> Result<Hot, Unmapped> {
        let hot = read(&entry.file, entry.size)?;
        let weight = u32::try_from(entry.size).unwrap_or(u32::MAX);
        self.hot.insert(sha256, Weighed::new(hot.clone(), weight));
        // Discarded between its opening and now: then after who discarded it looked here. Or written to.
        if !entry.is_kept()? {
            self.cool(sha256);
            return Err(Unmapped::Absent);
        }
        Ok(hot)
    }

    /// The copy in memory, unless its length contradicts the key.
    fn hot_as(&self, key: &Key) -> Option<Hot> {
        self.hot_of(&key.sha256).filter(|hot| key.size.is_none_or(|size| size == hot.bytes().len() as u64))
    }

    /// The copy in memory.
    fn hot_of(&self, sha256: &Sha256) -> Option<Hot> {
        self.hot.get(sha256).map(|weighed| weighed.value)
    }

    /// Lets go of the mappings that were not used since it did so last.
    pub(super) fn let_idle_maps_go(&self) {
        self.maps.retain(|_, mapping| mapping.used.swap(false, Ordering::Relaxed));
    }

    /// How long ago the fetch of an entry began; `None` if that is not known: the file system does not keep it, or the
    /// clock was ahead then.
    pub fn age(&self, blob: &Blob) -> Option<Duration> {
        match blob {
            Blob::Hot(hot) => self.age_of_hot(hot, self.clock.system_time()),
            Blob::Mapped(map) => age(map.came()?, self.clock.system_time()),
            Blob::File(..) => Some(Duration::ZERO),
        }
    }

    /// The same of one in memory, at `now`.
    pub fn age_of_hot(&self, hot: &Hot, now: SystemTime) -> Option<Duration> {
        age(hot.came()?, now)
    }

    /// A way back to an entry that is in memory just now.
    pub fn hot_ref(&self, sha256: Sha256) -> Option<HotRef> {
        Some(HotRef::on(&self.hot_of(&sha256)?, sha256))
    }

    /// The entry that it leads to, if that is in memory still. It counts as a use of all of it, `now`.
    pub fn still_hot(&self, hot_ref: &HotRef, now: SystemTime) -> Option<Hot> {
        let hot = hot_ref.hot()?;
        if hot_ref.is_told() {
            self.hot.get(&hot_ref.sha256())?;
        }
        self.disk.touch(hot_ref.sha256(), 1.0, now);
        Some(hot)
    }

    /// The clock by which it says how old an entry is.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Notes that an entry was given out, all of it (1) or so large a part. Parts of one download together are one use,
    /// however many requests ask for them.
    pub fn used(&self, sha256: Sha256, share: f64) {
        self.disk.touch(sha256, share, self.clock.system_time());
    }

    /// Room for one file, made by evicting if necessary; `size` as far as it is known. Dropping the
    /// writer without [`Writer::finish`] removes what was written.
    pub async fn writer(&self, size: Option<u64>) -> Result<Writer, KeepError> {
        Writer::begin(Arc::clone(&self.disk), size).await
    }

    /// Forgets the copy in memory.
    pub(super) fn cool(&self, sha256: Sha256) {
        if let Some((_, hot)) = self.hot.remove(&sha256) {
            hot.value.let_go();
        }
    }

    /// Counts what is kept, then writes recency back in batches, holds the floor of free space and lets idle mappings
    /// go, until cancelled. Whoever wants room before that counts what is not counted yet.
    pub async fn tend(&self, cancelled: CancellationToken) {
        let idle = cancelled.clone().run_until_cancelled_owned(async {
            loop {
                tokio::time::sleep(MAP_IDLE).await;
                self.let_idle_maps_go();
            }
        });
        tokio::join!(Arc::clone(&self.disk).tend(cancelled), idle);
    }
}

/// A small file, whole; blocking.
fn read(file: &File, size: u64) -> io::Result<Hot> {
    let size = usize::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Hot::new(bytes.into(), file.metadata()?.created().ok()))
}
