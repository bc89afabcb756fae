//! The entries for who looks through them all: one shard at a time, without the lock and without changing
//! anything, so also beside a running relay.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::check::{digest, open};
use super::layout::{Layout, SHARDS};
use super::usage::Usage;
use crate::model::Sha256;

/// A store's folder, looked at from outside.
#[derive(Debug)]
pub struct Inventory {
    layout: Layout,
}

/// A kept file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept {
    /// Its digest, by its name: whether its bytes have that is another question.
    pub sha256: Sha256,
    /// Its bytes.
    pub size: u64,
    /// When it was used last, as far as that is written back.
    pub used: SystemTime,
    /// How often, the older uses counting less.
    pub uses: f64,
    /// When it came; `None` where the file system does not keep that.
    pub came: Option<SystemTime>,
}

/// What one shard has.
#[derive(Debug, Default)]
pub struct ShardInventory {
    /// The entries.
    pub kept: Vec<Kept>,
    /// What is no entry: somebody's own files, links, folders.
    pub strangers: Vec<PathBuf>,
}

impl Inventory {
    /// Looks at a store's folder. A missing one is an empty store's.
    pub fn of(folder: &Path) -> Self {
        Self { layout: Layout::at(folder) }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The shelves one after the other; each is listed when it is asked for. Blocking.
    pub fn shelves(&self) -> impl Iterator<Item = io::Result<ShardInventory>> + '_ {
        (0..SHARDS).map(|shard| self.shard(shard))
    }

    fn shard(&self, shard: usize) -> io::Result<ShardInventory> {
        let mut found = ShardInventory::default();
        let listing = match fs::read_dir(self.layout.shard(shard)) {
            Ok(listing) => listing,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(cause) => return Err(cause),
        };
        for item in listing {
            let item = item?;
            let facts = match item.metadata() {
                Ok(facts) => facts,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(cause),
            };
            let sha256 = item.file_name().to_str().and_then(|name| name.parse::<Sha256>().ok());
            match sha256.filter(|&sha256| facts.is_file() && self.layout.entry(sha256) == item.path()) {
                Some(sha256) => {
                    let usage = Usage::read(facts.modified()?, sha256);
                    found.kept.push(Kept {
                        sha256,
                        size: facts.len(),
                        used: usage.last,
                        uses: usage.weight,
                        came: facts.created().ok(),
                    });
                }
                None => found.strangers.push(item.path()),
            }
        }
        Ok(found)
    }

    /// Whether there is an entry. Blocking, for a look at the folder.
    pub fn has(&self, sha256: Sha256) -> bool {
        fs::symlink_metadata(self.layout.entry(sha256)).is_ok_and(|facts| facts.is_file())
    }

    /// An entry's bytes; `None` if it is gone. Blocking.
    pub fn open(&self, sha256: Sha256) -> io::Result<Option<fs::File>> {
        match open(&self.layout.entry(sha256)) {
            Ok(file) => Ok(Some(file)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    /// The digest that an entry's bytes have; `None` if it is gone. Blocking, and as long as reading it takes.
    pub fn digest(&self, sha256: Sha256) -> io::Result<Option<Sha256>> {
        match open(&self.layout.entry(sha256)) {
            Ok(file) => digest(&file).map(Some),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause),
        }
    }
}
