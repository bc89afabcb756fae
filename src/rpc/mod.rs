//! What each method means (docs/wire.md section 4): the table, the checks, and where answers come from.

mod answer;
mod arguments;
mod changelog;
mod counts;
mod cursor;
mod feed;
mod kept_renderings;
mod multicall;
mod old;
mod packages;
mod page;
mod quick;
mod relayed;
mod release;
mod releases;
mod rendered;
mod rendering;
mod rescue;
mod rows;
mod scan;
mod search;
mod settings;
mod statistics;
mod system;
mod table;
mod upstream_methods;

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use crate::journal::Hit;
pub use answer::{Answer, Pieces, StreamError, Streamed};
pub use feed::{Feed, FeedCut, FeedError, FeedSettings, Manner, Piece, Subscription, Told};
pub use old::{DoapRecord, FeedDocument, OldAddresses};
pub use quick::QUICK;
pub use rendered::Coder;
pub use search::{HITS, SearchError};
pub use settings::{RpcSettings, SearchSettings};
pub use table::{Kind, Lifetime, METHODS, Method, Param, Source};

use crate::index::Index;
use crate::journal::Journal;
use crate::stats::Stats;
use crate::upstream::Upstream;
use crate::xmlrpc::{Call, DecodeError, Fault, Limits, Value, decode_call};
use arguments::Arguments;
use counts::count;
use quick::Quick;
use relayed::Relayed;
use rendered::Renderings;
use table::Verb;

/// The word for a call that cannot be read, where methods are counted.
pub const UNREADABLE: &str = "unreadable";
/// The word for a method that there is not.
const UNKNOWN: &str = "unknown";

/// The name under which calls of a method are counted: one word for all that there are not.
pub fn method_name(asked: &str) -> &'static str {
    table::find(asked).map_or(UNKNOWN, |method| method.name)
}

/// The client that calls, as the edge sees it.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Tells the address by which it called the relay, such as `http://127.0.0.1:3141`; few methods need it.
    pub origin: &'a (dyn Fn() -> String + Sync),
    /// The longest that it waits, instead of [`RpcSettings::deadline`].
    pub deadline: Option<Duration>,
    /// How a bulk answer is coded for it.
    pub coder: Option<Coder>,
}

/// What a method has to know of its call besides the arguments.
#[derive(Clone, Copy)]
struct Ask<'a> {
    origin: &'a (dyn Fn() -> String + Sync),
    coder: Option<Coder>,
    wide: bool,
    /// The time that is left for it.
    deadline: Duration,
}

/// The methods over what they answer from.
#[derive(Clone)]
pub struct Rpc(Arc<Inner>);

struct Inner {
    journal: Journal,
    index: Index,
    upstream: Upstream,
    stats: Stats,
    renderings: Renderings,
    relayed: Relayed,
    quick: Quick,
    settings: RpcSettings,
}

impl Rpc {
    /// Puts the methods together.
    pub fn new(
        journal: Journal,
        index: Index,
        upstream: Upstream,
        stats: Stats,
        settings: RpcSettings,
    ) -> Self {
        let renderings = Renderings::new(settings.memo_bytes, settings.memo_entry);
        let relayed = relayed::engine(upstream.clone(), journal.clone(), &settings);
        let quick = Quick::new();
        Self(Arc::new(Inner { journal, index, upstream, stats, renderings, relayed, quick, settings }))
    }

    /// Reads a call. Takes milliseconds for the largest: not on the reactor for those.
    pub fn decode(&self, document: &[u8]) -> Result<Call, DecodeError> {
        let call = decode_call(document, Limits { depth: self.0.settings.depth });
        if let Ok(call) = &call {
            self.0.quick.remember(document, call);
        }
        call
    }

    /// The answer to a call that is known by its bytes and needs no waiting, if it is one. `started`: when the call
    /// came.
    pub fn quick(&self, document: &[u8], started: Instant) -> Option<Bytes> {
        self.0.quick.answer(document, started, || self.0.journal.current_last_serial().ok())
    }

    /// Answers a call, with a fault where it must be, within the deadline.
    pub async fn answer(&self, call: Result<Call, DecodeError>, caller: Caller<'_>) -> Answer {
        let answered = match call {
            Ok(call) => self.counted(&call, |method, call| self.run(method, call, caller)).await,
            Err(error) => {
                tracing::debug!(%error, "a call could not be read");
                let answered = Err(Fault::parse_error());
                count(UNREADABLE, &answered, Instant::now());
                answered
            }
        };
        answered.unwrap_or_else(|fault| Answer::fault(&fault))
    }

    /// Finds the method, runs it, and counts how that ended.
    async fn counted<'a, F>(
        &self,
        call: &'a Call,
        run: impl FnOnce(&'static Method, &'a Call) -> F,
    ) -> Result<Answer, Fault>
    where
        F: Future<Output = Result<Answer, Fault>>,
    {
        let started = Instant::now();
        let (method, answered) = match table::find(&call.method) {
            Some(method) => (method.name, run(method, call).await),
            None => (UNKNOWN, Err(table::unknown(&call.method))),
        };
        count(method, &answered, started);
        answered
    }

    async fn run(&self, method: &Method, call: &Call, caller: Caller<'_>) -> Result<Answer, Fault> {
        let arguments = Arguments::check(method, &call.params)?;
        let settings = &self.0.settings;
        let deadline = caller.deadline.map_or(settings.deadline, |own| own.min(settings.longest_deadline));
        let ask = Ask { origin: caller.origin, coder: caller.coder, wide: call.wide, deadline };
        if method.verb == Verb::Multicall {
            // Its calls share the deadline among themselves.
            return self.multicall(&arguments, ask).await;
        }
        // What is asked of upstream runs in tasks of its own; the next call finds it done.
        let mut answering = std::pin::pin!(self.verb(method.verb, &arguments, ask));
        // Most answers are at hand, and need no timer.
        if let Poll::Ready(answered) = futures_util::poll!(&mut answering) {
            return answered;
        }
        match tokio::time::timeout(deadline, answering).await {
            Ok(answered) => answered,
            Err(_) => Err(self.too_late(method)),
        }
    }

    /// The fault for a call whose time is up: when it is worth coming back.
    fn too_late(&self, method: &Method) -> Fault {
        match method.source {
            Source::Upstream | Source::Ownership => self.upstream_too_late(),
            _ => Fault::unavailable(self.0.settings.deadline),
        }
    }

    fn upstream_too_late(&self) -> Fault {
        Fault::unavailable(self.0.settings.deadline.max(self.0.upstream.silence()))
    }

    async fn verb(&self, verb: Verb, arguments: &Arguments, ask: Ask<'_>) -> Result<Answer, Fault> {
        let value = match verb {
            Verb::Changelog => return self.changelog(arguments, ask).await,
            Verb::ChangelogPage => return self.changelog_page(arguments, ask).await,
            Verb::ChangelogSinceSerial => return self.changelog_since_serial(arguments, ask).await,
            Verb::ChangedPackages => return self.changed_packages(arguments, ask).await,
            Verb::UpdatedReleases => return self.updated_releases(arguments, ask).await,
            Verb::ListPackages => return self.list_packages(false, ask).await,
            Verb::ListPackagesPage => return self.list_packages_page(arguments, ask).await,
            Verb::ListPackagesWithSerial => return self.list_packages(true, ask).await,
            Verb::ChangelogLastSerial => self.changelog_last_serial().await?,
            Verb::PackageReleases => self.package_releases(arguments).await?,
            Verb::ReleaseUrls => self.release_urls(arguments, &(ask.origin)()).await?,
            Verb::ReleaseData => self.release_data(arguments).await?,
            Verb::Search => self.search(arguments, ask).await?,
            Verb::PackageRoles => return self.package_roles(arguments, ask).await,
            Verb::UserPackages => return self.user_packages(arguments, ask).await,
            Verb::Browse => return self.browse(arguments, ask).await,
            Verb::Multicall => return self.multicall(arguments, ask).await,
            Verb::ReleaseDownloads => self.release_downloads(arguments).await?,
            Verb::TopPackages => self.top_packages(arguments).await?,
            Verb::PackageHostingMode => Value::from("pypi-only"),
            // A write of a project that PyPI abandoned; upstream's own words.
            Verb::PostCheesecake => return Err(Fault::raised("RuntimeError", "This API has been removed.")),
            Verb::ListMethods => system::list_methods(),
            Verb::MethodHelp => system::method_help(arguments)?,
            Verb::MethodSignature => system::method_signature(arguments)?,
        };
        Answer::value(&value, ask.wide)
    }
}
