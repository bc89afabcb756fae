//! Counts bodies when they are over.

use metrics::{Counter, counter};

use super::source::Source;
use crate::metric;

/// How a body ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// All of it was handed out.
    Complete,
    /// The client went before that.
    Left,
    /// It could not be had.
    Failed,
}

/// The counters, looked up once: a look by name costs about as much as finding a file in memory.
#[derive(Debug)]
pub(super) struct Counters([OfSource; Source::ALL.len()]);

#[derive(Debug)]
struct OfSource {
    complete: Counter,
    left: Counter,
    failed: Counter,
    bytes: Counter,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self(Source::ALL.map(|source| {
            let source = source.word();
            let files = |outcome: &'static str| {
                counter!(metric::FILES_TOTAL, "source" => source, "outcome" => outcome)
            };
            OfSource {
                complete: files("complete"),
                left: files("left"),
                failed: files("failed"),
                bytes: counter!(metric::FILE_BYTES_TOTAL, "source" => source),
            }
        }))
    }

    /// One body is over.
    pub(super) fn count(&self, source: Source, outcome: Outcome, bytes: u64) {
        let of = &self.0[source as usize];
        of.bytes.increment(bytes);
        match outcome {
            Outcome::Complete => of.complete.increment(1),
            Outcome::Left => of.left.increment(1),
            Outcome::Failed => of.failed.increment(1),
        }
    }
}
