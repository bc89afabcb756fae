//! What is looked at whenever somebody asks for the metrics, because nothing that changes it could tell.

use procfs::process::{LimitValue, Process};

use crate::journal::Journal;
use crate::metric;

/// Looks at the journal and at the process.
pub(super) struct Gauges {
    journal: Journal,
}

impl Gauges {
    pub(super) fn new(journal: Journal) -> Self {
        Self { journal }
    }

    /// Sets the gauges to what is so now. Reads a few small files of the system's about this process.
    pub(super) fn look(&self) {
        metrics::gauge!(metric::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1);
        metrics::gauge!(metric::JOURNAL_JOBS_WAITING).set(whole(self.journal.jobs_waiting() as u64));
        if let Some(as_of) = self.journal.as_of() {
            // A clock that was set back makes nothing come from later.
            let age = self.journal.clock().unix().saturating_sub(as_of);
            metrics::gauge!(metric::FOLLOW_AGE_SECONDS).set(whole(u64::try_from(age).unwrap_or(0)));
        }
        // Without them there is less to see, and nothing else is wrong.
        if let Err(error) = process() {
            tracing::debug!(%error, "the system does not tell of this process");
        }
    }
}

/// What the system tells of this process (man 5 proc).
fn process() -> procfs::ProcResult<()> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let ticks = procfs::ticks_per_second();
    metrics::counter!(metric::PROCESS_CPU_SECONDS_TOTAL).absolute((stat.utime + stat.stime) / ticks);
    metrics::gauge!(metric::PROCESS_THREADS).set(whole(u64::try_from(stat.num_threads).unwrap_or(0)));
    metrics::gauge!(metric::PROCESS_VIRTUAL_MEMORY_BYTES).set(whole(stat.vsize));
    metrics::gauge!(metric::PROCESS_RESIDENT_MEMORY_BYTES).set(whole(stat.rss * procfs::page_size()));
    metrics::gauge!(metric::PROCESS_START_TIME_SECONDS)
        .set(whole(procfs::boot_time_secs()? + stat.starttime / ticks));
    metrics::gauge!(metric::PROCESS_OPEN_FDS).set(whole(process.fd_count()? as u64));
    if let LimitValue::Value(most) = process.limits()?.max_open_files.soft_limit {
        metrics::gauge!(metric::PROCESS_MAX_FDS).set(whole(most));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for gauges; 2^53 of anything here is beyond any machine")]
fn whole(value: u64) -> f64 {
    value as f64
}
