//! Open files: many systems start a process with 1,024 and allow it far more if it asks.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open besides connections and the files that they carry: journal, cache, upstream, logs.
const OTHERS: u64 = 256;

/// Raises the process's limit on open files as far as the system allows, and tells how many of the wanted connections
/// fit: each may carry an open file.
pub fn affordable_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { raised.current } else { limit.current };
    // None is no limit.
    let Some(files) = current else { return wanted };
    let affordable = usize::try_from(files.saturating_sub(OTHERS) / 2).unwrap_or(usize::MAX).max(1);
    if affordable < wanted {
        tracing::warn!(
            files,
            connections = affordable,
            "the limit on open files (ulimit -n, LimitNOFILE) is too low for http.max_connections = {wanted}"
        );
    }
    affordable.min(wanted)
}
