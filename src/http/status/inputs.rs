//! What the status pages are told by parts that the edge does not know.

use std::pin::Pin;
use std::sync::Arc;

use crate::index::Tombstone;
use crate::model::{Event, ProjectName, Sha256};

/// A question whose answer takes a moment. The error is for people: it names no path.
pub type Ask<Q, A> = Arc<dyn Fn(Q) -> Pin<Box<dyn Future<Output = Result<A, String>> + Send>> + Send + Sync>;

/// What the status pages ask; the parts are named by the composition root.
#[derive(Clone)]
pub struct StatusInputs {
    /// The newest events, at most so many, the newest first. It must not scan.
    pub newest_events: Ask<usize, Vec<Event>>,
    /// How much is kept.
    pub kept_files: Arc<dyn Fn() -> KeptFiles + Send + Sync>,
    /// Which of these files are kept, by digest and size.
    pub are_kept: Ask<Vec<(Sha256, Option<u64>)>, Vec<bool>>,
    /// Whether reading needs a token.
    pub is_closed: Arc<dyn Fn() -> bool + Send + Sync>,
    /// What was taken of a project away.
    pub removals: Ask<ProjectName, Removals>,
}

/// How many bytes of package files are kept, and may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptFiles {
    /// Bytes that are kept, as far as they are counted.
    pub bytes: u64,
    /// The most that may be.
    pub max_bytes: u64,
    /// All are counted.
    pub counted: bool,
}

/// What is known of what upstream took of a project away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removals {
    /// The list of projects has it.
    pub listed: bool,
    /// It is in quarantine.
    pub quarantined: bool,
    /// The last event that took something away.
    pub last: Option<Event>,
    /// Files that are not to be had, by their names, the newest first.
    pub files: Vec<(String, Tombstone)>,
}
