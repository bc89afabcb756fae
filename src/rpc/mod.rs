//! What each method means (WIRE.md section 4): the table, the checks, and where answers come from.

mod answer;
mod arguments;
mod changelog;
mod feed;
mod packages;
mod release;
mod releases;
mod rescue;
mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use answer::{Answer, StreamError};
pub use feed::{Feed, FeedCut, FeedError, FeedSettings, Subscription, Told};
pub use table::{Kind, Lifetime, METHODS, Method, Param, Source};

use crate::index::Index;
use crate::journal::Journal;
use crate::upstream::Upstream;
use crate::xmlrpc::{Call, DecodeError, Fault, Limits, Value, decode_call};
use arguments::Arguments;
use table::Verb;

/// Bounds of the methods.
#[derive(Debug, Clone)]
pub struct RpcSettings {
    /// The time within which a call is answered: in full, with a correct slice, or with a fault that says
    /// when to come back. Default 4 s: the oldest clients wait for 5.
    pub deadline: Duration,
    /// The deepest nesting of a call's elements. Default 64.
    pub depth: usize,
    /// The most events in one answer. Default 50,000, as upstream's.
    pub changelog_rows: usize,
}

impl Default for RpcSettings {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(4), depth: 64, changelog_rows: 50_000 }
    }
}

/// The methods over what they answer from.
#[derive(Clone)]
pub struct Rpc(Arc<Inner>);

struct Inner {
    journal: Journal,
    index: Index,
    upstream: Upstream,
    settings: RpcSettings,
}

impl Rpc {
    /// Puts the methods together.
    pub fn new(journal: Journal, index: Index, upstream: Upstream, settings: RpcSettings) -> Self {
        Self(Arc::new(Inner { journal, index, upstream, settings }))
    }

    /// Reads a call. Takes milliseconds for the largest: not on the reactor for those.
    pub fn decode(&self, document: &[u8]) -> Result<Call, DecodeError> {
        decode_call(document, Limits { depth: self.0.settings.depth })
    }

    /// Answers a call, with a fault where it must be, within the deadline. `origin` is the address that
    /// the client used for us, such as `http://127.0.0.1:3141`.
    pub async fn answer(&self, call: Result<Call, DecodeError>, origin: &str) -> Answer {
        let started = Instant::now();
        let (method, answered) = match call {
            Ok(call) => match table::find(&call.method) {
                Some(method) => (method.name, self.run(method, &call, origin).await),
                None => ("unknown", Err(Fault::method_not_found())),
            },
            Err(error) => {
                tracing::debug!(%error, "a call could not be read");
                ("unreadable", Err(Fault::parse_error()))
            }
        };
        let outcome = answered.as_ref().map_or_else(|fault| fault.code.to_string(), |_| "ok".to_owned());
        metrics::counter!("cheesewire_rpc_calls_total", "method" => method, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("cheesewire_rpc_seconds", "method" => method)
            .record(started.elapsed().as_secs_f64());
        answered.unwrap_or_else(|fault| {
            tracing::debug!(method, %fault, "a call got a fault");
            Answer::fault(&fault)
        })
    }

    async fn run(&self, method: &Method, call: &Call, origin: &str) -> Result<Answer, Fault> {
        let arguments = Arguments::check(method, &call.params)?;
        let deadline = self.0.settings.deadline;
        // What is asked of upstream runs in tasks of its own; the next call finds it done.
        match tokio::time::timeout(deadline, self.verb(method.verb, &arguments, call.wide, origin)).await {
            Ok(answered) => answered,
            Err(_) => Err(Fault::unavailable(deadline)),
        }
    }

    async fn verb(
        &self,
        verb: Verb,
        arguments: &Arguments,
        wide: bool,
        origin: &str,
    ) -> Result<Answer, Fault> {
        let value = match verb {
            Verb::ChangelogSinceSerial => return self.changelog_since_serial(arguments, wide).await,
            Verb::ListPackages => return self.list_packages(wide).await,
            Verb::ListPackagesWithSerial => return self.list_packages_with_serial(wide).await,
            Verb::ChangelogLastSerial => self.changelog_last_serial().await?,
            Verb::PackageReleases => self.package_releases(arguments).await?,
            Verb::ReleaseUrls => self.release_urls(arguments, origin).await?,
            Verb::ReleaseData => self.release_data(arguments).await?,
            Verb::PackageRoles => self.package_roles(arguments).await?,
            Verb::ListMethods => METHODS.iter().map(|method| method.name).collect::<Value>(),
        };
        Answer::value(&value, wide)
    }
}
