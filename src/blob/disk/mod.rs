//! A folder of content-addressed files: `sha256/ab/<64 digits>`, `tmp/`, `lock`.
//!
//! There is no list of entries in memory and none to load: the folder is the list. That is why a start
//! takes milliseconds, and memory does not grow with the number of entries.

mod check;
mod copy;
mod evict;
mod intake;
mod inventory;
mod layout;
mod map;
mod reader;
mod recency;
mod room;
mod tend;
mod turnover;
mod usage;
mod writer;

use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::layout::{Layout, SHARDS};
use self::recency::Recency;
use self::room::Room;
use super::{Key, OpenError, StoreSettings};
use crate::model::Sha256;

pub(super) use check::Sound;
pub use copy::Carried;
pub use intake::Intake;
pub use inventory::{Inventory, Kept, ShardInventory};
pub use map::Map;
pub use reader::Reader;
pub use writer::{Spilled, Writer};

/// How much is kept, and how much may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fullness {
    /// How many files are kept, as far as they are counted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The most bytes that may be kept.
    pub max_bytes: u64,
    /// All that is kept is counted.
    pub counted: bool,
}

/// The folder, open.
#[derive(Debug)]
pub(super) struct Disk {
    layout: Layout,
    room: Room,
    recency: Recency,
    gate: reader::Gate,
    mapped_bytes: usize,
    tending: Duration,
    /// Held for as long as the store is open; `None` if the folder is read-only, where nothing is written.
    lock: Option<File>,
}

impl Disk {
    pub(super) fn open(settings: &StoreSettings) -> Result<Self, OpenError> {
        let (layout, lock) = Layout::open(&settings.folder)?;
        let room = Room::new(settings.max_bytes, settings.free_floor);
        for shard in 0..SHARDS {
            // What has no folder has no entries: a new cache is counted from the start.
            *room.hold(shard) = !layout.shard(shard).exists();
        }
        // Where nothing can be tried, an entry without a mark is read once more than it need be.
        let marks = lock.is_none() || keeps_nanoseconds(&layout).unwrap_or(true);
        let (half_life, clock) = (settings.half_life, settings.clock.clone());
        Ok(Self {
            layout,
            room,
            recency: Recency::new(half_life, settings.max_bytes, clock, marks),
            gate: reader::Gate::new(settings.readers),
            mapped_bytes: settings.mapped_bytes,
            tending: settings.tending,
            lock,
        })
    }

    /// How much is kept, and how much may be.
    pub(super) fn fullness(&self) -> Fullness {
        let room = &self.room;
        Fullness {
            files: room.files(),
            bytes: room.kept(),
            max_bytes: room.max_bytes,
            counted: room.is_counted(),
        }
    }

    /// Nothing may be written.
    pub(super) fn read_only(&self) -> bool {
        self.lock.is_none()
    }

    pub(super) fn touch(&self, sha256: Sha256, share: f64, now: SystemTime) {
        if !self.read_only() {
            self.recency.touch(sha256, share, now);
        }
    }

    /// Opens an entry; blocking. One that contradicts its key is thrown away.
    pub(super) fn entry(&self, key: &Key) -> io::Result<Option<Sound>> {
        self.sound(key)
    }

    /// Maps an open entry; blocking.
    pub(super) fn map(&self, entry: Sound) -> io::Result<Map> {
        Map::new(entry, &self.gate, self.mapped_bytes)
    }
}

/// Whether the file system keeps modification times whole.
fn keeps_nanoseconds(layout: &Layout) -> io::Result<bool> {
    let (probe, time) =
        (tempfile::tempfile_in(layout.temporary())?, UNIX_EPOCH + Duration::new(1, 123_456_789));
    probe.set_modified(time)?;
    Ok(probe.metadata()?.modified()? == time)
}
