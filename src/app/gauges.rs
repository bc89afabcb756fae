//! What is looked at whenever somebody asks for the metrics, because nothing changes it that could tell.

use metrics_process::Collector;

use crate::journal::Journal;
use crate::metric;

/// Looks at the journal and at the process.
pub(super) struct Gauges {
    journal: Journal,
    process: Collector,
}

impl Gauges {
    pub(super) fn new(journal: Journal) -> Self {
        Self { journal, process: Collector::default() }
    }

    /// Sets the gauges to what is so now. Reads a few small files of the system's about this process.
    pub(super) fn look(&self) {
        metrics::gauge!(metric::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1);
        #[expect(
            clippy::cast_precision_loss,
            reason = "gauges; the queue is short, and 2^53 seconds are long"
        )]
        {
            metrics::gauge!(metric::JOURNAL_JOBS_WAITING).set(self.journal.jobs_waiting() as f64);
            if let Some(as_of) = self.journal.as_of() {
                // A clock that was set back makes nothing come from later.
                let age = self.journal.clock().unix().saturating_sub(as_of).max(0);
                metrics::gauge!(metric::FOLLOW_AGE_SECONDS).set(age as f64);
            }
        }
        self.process.collect();
    }
}

/// Gives the recorder the help texts of the process's own metrics.
pub(super) fn describe() {
    Collector::default().describe();
}
