//! What the addresses tell that mirrors and programs of PyPI's first server know (docs/wire.md section 9).

mod classifiers;
mod doap;
mod feeds;
mod record;
mod rss;
mod xml;

use std::sync::Arc;

pub use feeds::FeedDocument;
pub use record::DoapRecord;

use super::Rpc;
use crate::index::{Index, IndexError};
use crate::journal::{Journal, Recent, RecentKind};
use crate::memo::Memo;
use crate::model::{Serial, Stamp};

/// What answers for old addresses. Clones are one.
#[derive(Clone)]
pub struct OldAddresses(Arc<Parts>);

pub(super) struct Parts {
    pub(super) journal: Journal,
    pub(super) index: Index,
    pub(super) rpc: Rpc,
    /// Kept for the minute, the newest of each kind.
    recent: Memo<RecentKey, Arc<Vec<Recent>>, IndexError>,
}

/// What was looked for, our last serial, the version of the project table, and the minute.
type RecentKey = (RecentKind, Option<Serial>, i64, i64);

/// The most that kept items may weigh: those of a feed have some 30 KB.
const RECENT_BYTES: u64 = 1 << 20;

impl OldAddresses {
    /// Puts it together over what it answers from.
    pub fn new(journal: Journal, index: Index, rpc: Rpc) -> Self {
        let weigh = |_: &RecentKey, recent: &Arc<Vec<Recent>>| {
            let texts = |one: &Recent| {
                one.name.len() + one.version.as_ref().map_or(0, String::len) + one.summary.len()
            };
            let bytes: usize = recent.iter().map(|one| size_of::<Recent>() + texts(one)).sum();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self(Arc::new(Parts { journal, index, rpc, recent: Memo::new(RECENT_BYTES, weigh) }))
    }

    /// The relay's own time.
    pub fn now(&self) -> Stamp {
        Stamp::from_unix(self.0.journal.clock().unix()).unwrap_or(Stamp::EPOCH)
    }

    /// When the last poll or comparison of listings began that succeeded: what upstream had then is here. It stands still
    /// while upstream is down, and outlives a restart. `None` before the first.
    pub fn last_modified(&self) -> Option<Stamp> {
        self.0.journal.as_of().and_then(Stamp::from_unix)
    }

    /// The last serial that is known; `None` before the first contact with upstream.
    pub fn last_serial(&self) -> Option<Serial> {
        self.0.journal.last_serial()
    }
}
