//! What a sandbox can be told at its start.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::scale::ScaleSettings;
use crate::model::Clock;

/// Settings of a sandbox; the default one listens on a free port of the loopback and has no limits.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// Where to listen. Default: a free port of 127.0.0.1.
    pub listen: SocketAddr,
    /// The host that file addresses name, with the sandbox's own port; `localhost` makes the file host
    /// another origin than the index. Default: the index's.
    pub files_host: Option<String>,
    /// How long methods take, by name. Upstream's `list_packages_with_serial` takes 10 to 15 s; the
    /// default is no delay, since most tests wait for something else.
    pub delays: Vec<(String, Duration)>,
    /// Default: none.
    pub rate_limit: Option<RateLimit>,
    /// Rows of one `changelog_since_serial`. Default: 50,000, as upstream.
    pub changelog_rows: usize,
    /// `/simple/` has a JSON form. Default: yes.
    pub simple_json: bool,
    /// Files have an `ETag`. docs/wire.md section 8 has it on all but files, the file host itself gives one, and
    /// resuming needs one. Default: yes; without it only `Last-Modified` tells versions of a file apart.
    pub file_etags: bool,
    /// An empty or missing `User-Agent` gets 406. Default: no, since `curl -A ''` is not the usual test.
    pub refuse_anonymous: bool,
    /// When what happens at run time happens, and what answers say in `Date`. Default: `None`; each event comes two
    /// seconds after the one before it, from the last of the fixtures on, so that runs are alike.
    pub clock: Option<Clock>,
    /// A large index instead of the fixtures. Default: the fixtures.
    pub scale: Option<ScaleSettings>,
}

/// How many XML-RPC calls are answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Calls per second in the long run. Above 0.
    pub per_second: f64,
    /// Calls at once after a rest.
    pub burst: u32,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            files_host: None,
            delays: Vec::new(),
            rate_limit: None,
            changelog_rows: 50_000,
            simple_json: true,
            file_etags: true,
            refuse_anonymous: false,
            clock: None,
            scale: None,
        }
    }
}
