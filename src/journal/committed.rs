//! What a commit changed of what is also held in memory.

use std::sync::Arc;

use tokio::sync::watch;

use super::interned::EventTexts;
use super::known::Known;
use super::position::Position;
use super::search::{Change, HeldNames};
use super::silent::Silence;
use crate::model::Serial;

/// What a commit changed; nothing, unless it says so.
#[derive(Default)]
pub(super) struct Committed {
    /// Names that nobody had before, with their ids.
    pub(super) names: Vec<(i64, String)>,
    /// Rows of the project table.
    pub(super) projects: Vec<Change>,
    /// The version of a project table that changed without a serial that tells it.
    pub(super) version: i64,
    /// Tombstones came or went.
    pub(super) removed: bool,
    /// Up to where upstream was heard, by our numbers.
    pub(super) heard: Option<Serial>,
    /// Where the project table stands, if it moved; then `heard` is there too.
    pub(super) position: Option<Position>,
    /// There are large slices that are to be looked through for releases.
    pub(super) releases: bool,
}

/// What of the journal is in memory. Clones share it.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) known: Arc<Known>,
    /// The names, for search.
    pub(super) names: Arc<HeldNames>,
    pub(super) silence: Arc<Silence>,
    pub(super) texts: Arc<EventTexts>,
    /// Counts changes of tombstones.
    pub(super) removals: Arc<watch::Sender<u64>>,
    /// Tells of large slices that are to be looked through.
    pub(super) releases_due: watch::Sender<()>,
}

impl Held {
    /// Brings it up to date with a commit.
    pub(super) fn heed(&self, committed: &Committed) {
        self.texts.names.hold(&committed.names);
        self.silence.set_version(committed.version);
        // First these: who has the last serial finds what it brought, and looks for tombstones again.
        self.names.apply(&committed.projects);
        if committed.removed {
            self.removals.send_modify(|version| *version += 1);
        }
        if let Some(heard) = committed.heard {
            self.known.appended(committed.position, heard);
        }
        if committed.releases {
            self.releases_due.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::journal::{Journal, JournalSettings};
    use crate::model::{Event, Serial};

    #[tokio::test]
    async fn a_slice_that_is_to_be_looked_through_for_releases_is_told_of_and_a_small_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
        let due = journal.releases_due().subscribe();
        let event = |serial| Event {
            serial: Serial(serial),
            name: "a".to_owned(),
            version: Some("1".to_owned()),
            time: 0,
            action: "new release".to_owned(),
        };
        journal.append(vec![event(1)], Serial(0), Serial(1)).await.unwrap();
        assert!(!due.has_changed().unwrap());
        let last = 1 + i64::try_from(crate::journal::releases::AT_ONCE).unwrap() + 1;
        journal.append((2..=last).map(event).collect(), Serial(1), Serial(last)).await.unwrap();
        assert!(due.has_changed().unwrap());
    }
}
