//! How long a client waits, and how much it takes.

use std::time::Duration;

/// How long a client waits, and how much of an answer it takes. `Default` has what suits most programs.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// The program's name for `User-Agent`, with a way to reach who runs it, such as `mirror/1.2 (+ops@corp.test)`.
    pub agent: String,
    /// Longest wait for a connection; 10 s.
    pub connect_timeout: Duration,
    /// Longest silence between bytes, also before the first one; 30 s. A relay answers a call within its own deadline, which is
    /// shorter (`rpc.deadline`, 4 s).
    pub read_timeout: Duration,
    /// Longest time for a whole call; 5 min, for the list of all projects over a slow line. Files have no such limit.
    pub call_timeout: Duration,
    /// Most bytes of an answer, decoded; 256 MiB, three times what the list of all projects of PyPI takes. Files have no such limit.
    pub answer_limit: usize,
    /// From one question to the next while a [`Changelog`](super::Changelog) has nothing new; 30 s. A relay asks upstream once a
    /// minute (`follow.interval`).
    pub pause: Duration,
    /// Most events of one answer of a [`Changelog`](super::Changelog); `None` leaves it to the relay, which gives at most 50,000.
    pub events_at_once: Option<i32>,
    /// How often a page or a file is asked for again that failed on the way or with a status of 500 or more; 2.
    pub retries: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            agent: concat!("cheesewire/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_mins(5),
            answer_limit: 256 << 20,
            pause: Duration::from_secs(30),
            events_at_once: None,
            retries: 2,
        }
    }
}
