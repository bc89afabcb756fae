//! What pages, documents and files have in common: upstream, the journal, the settings, and what is remembered beside them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use super::IndexSettings;
use super::unknown_budget::Unknown;
use crate::bounded::{Bounded, by_count};
use crate::journal::Journal;
use crate::metric;
use crate::model::{FilePath, ProjectName, Serial};
use crate::revalidate::Wait;
use crate::upstream::{FileHead, Upstream};

/// Paths whose project is remembered in memory. 100,000 of some 250 bytes: the files that are asked for often.
pub(super) const PATHS: u64 = 100_000;

/// Projects for which is remembered that something changed. 10,000 of some 100 bytes; one that is forgotten is read again.
const CHANGED: u64 = 10_000;

/// Files whose sizes and times are remembered in memory. 10,000 of some 300 bytes: those of the projects that change.
const HEADS: u64 = 10_000;

/// A file's address and its digests: another file at the same address is asked for anew.
type FileId = (String, BTreeMap<String, String>);

/// What is remembered of files.
type Heads = Bounded<FileId, FileHead>;

/// How a page or document was come by.
pub(super) fn counter(outcome: &'static str) -> metrics::Counter {
    metrics::counter!(metric::INDEX_REQUESTS_TOTAL, "outcome" => outcome)
}

/// What the parts of the index share.
pub(super) struct Shared {
    pub(super) upstream: Upstream,
    pub(super) journal: Journal,
    pub(super) settings: IndexSettings,
    /// Whose a path is: of files asked for lately, and of pages that could not be kept.
    pub(super) projects_of: Bounded<FilePath, ProjectName>,
    /// The last change of what of a project's metadata is not to be advertised.
    pub(super) unadvertised: Bounded<ProjectName, u64>,
    /// What names that upstream may not have may cost it.
    pub(super) unknown: Unknown,
    /// What the server of the files says of those for which a page states too little.
    pub(super) heads: Heads,
    /// The highest serial that a page or document here has; -1 before there is one.
    seen: AtomicI64,
    /// When upstream stated it, in Unix seconds.
    seen_at: AtomicI64,
    /// Pages and documents that were current. Looked up once: it is on the way of every file.
    pub(super) hits: metrics::Counter,
}

impl Shared {
    pub(super) fn new(upstream: Upstream, journal: Journal, settings: IndexSettings) -> Self {
        Self {
            upstream,
            journal,
            projects_of: by_count(PATHS),
            unadvertised: by_count(CHANGED),
            unknown: Unknown::new(&settings),
            heads: by_count(HEADS),
            seen: AtomicI64::new(-1),
            seen_at: AtomicI64::new(0),
            hits: counter("hit"),
            settings,
        }
    }

    /// Unix seconds by the journal's clock.
    pub(super) fn now(&self) -> i64 {
        self.journal.clock().unix()
    }

    /// How long a client waits.
    pub(super) fn wait(&self) -> Wait {
        Wait { slow_after: self.settings.patience, deadline: self.settings.deadline }
    }

    /// A page or document has this serial, stated `at`, in Unix seconds.
    pub(super) fn saw(&self, serial: Option<Serial>, at: i64) {
        if let Some(serial) = serial
            && self.seen.fetch_max(serial.0, Ordering::Relaxed) < serial.0
        {
            self.seen_at.store(at, Ordering::Relaxed);
        }
    }

    /// The highest serial that is known here. It falls only where a page's serial turns out to have been wrong.
    pub(super) fn last_serial(&self) -> Option<Serial> {
        let head = self.journal.last_serial();
        let seen = Serial(self.seen.load(Ordering::Relaxed));
        if seen.0 < 0 || Some(seen) <= head {
            return head;
        }
        if self.journal.disproves(seen, self.seen_at.load(Ordering::Relaxed)) {
            // Unless a higher one has come meanwhile.
            let _ = self.seen.compare_exchange(seen.0, -1, Ordering::Relaxed, Ordering::Relaxed);
            return head;
        }
        Some(seen)
    }
}
