//! The composition root: names the concrete parts, starts them, and ends them in order.

mod exposure;
mod gauges;
mod memory;
mod pages;
mod reloading;
mod state;
mod tasks;
mod watching;

use std::net::{self, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::blob::{OpenError, Store};
use crate::collect::collect_for_ever;
use crate::config::Config;
use crate::follow::{self, FollowStatus};
use crate::http::{self, Admin, Edge, Limits, Listen, ListenerSettings, Look, Origins, Parts, Push};
use crate::index::{Index, Signatures};
use crate::journal::{Journal, JournalError};
use crate::metric;
use crate::model::Algorithm;
use crate::push::{Master, Mirror, Wants};
use crate::relay::{Bringer, PrefetchSettings, Relay};
use crate::rpc::{Feed, OldAddresses, Rpc};
use crate::signing::Signer;
use crate::stats::{Spell, Stats, StatsError, StatsSettings};
use crate::tls::TlsSettings;
use crate::upstream::{Upstream, UpstreamError};
use gauges::Gauges;
use reloading::Reloading;
pub use reloading::{Orders, Reread, SetLog, Settings};
use state::State;
use tasks::Tasks;
pub use watching::FileError;
use watching::Watching;

/// Bounds of histograms' buckets in seconds: from an answer out of memory to a client's timeout.
const BUCKETS: [f64; 12] = [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 4.0, 10.0];
/// Ten years.
const FOR_EVER: Duration = Duration::from_hours(24 * 3652);
/// How long tasks beside requests may take to end if requests took all of the drain time.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// How often the metrics' samples are folded into their buckets, so that they do not pile up unread.
const UPKEEP: Duration = Duration::from_secs(5);

/// Why the relay does not start, or ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The address can't be listened on.
    #[error("can't listen on {address}: {error}; choose another with --listen, such as 127.0.0.1:0")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// A socket that listens already can't be taken over.
    #[error("can't take over a socket that listens already: {0}")]
    Handed(std::io::Error),
    /// There is no address to listen on.
    #[error("no address to listen on; give one with --listen")]
    Nowhere,
    /// The certificate or the tokens can't be used.
    #[error(transparent)]
    Files(#[from] FileError),
    /// The journal can't be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The cache can't be opened.
    #[error(transparent)]
    Cache(#[from] OpenError),
    /// The statistics can't be opened.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// The upstream settings make no client.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The thread that writes the journal is gone: a fault of the relay's.
    #[error("the journal's writer ended by itself; its reason is in the log")]
    WriterEnded,
    /// Another recorder of metrics is installed in this process.
    #[error("metrics can't be recorded: {0}")]
    Metrics(String),
}

/// A relay, put together and listening.
pub struct App {
    listeners: Vec<(TcpListener, Listen)>,
    addresses: Vec<SocketAddr>,
    settings: ListenerSettings,
    /// What encrypts, if something does.
    tls: Option<(TlsAcceptor, TlsSettings)>,
    edge: Edge,
    journal: Journal,
    stats: Stats,
    tasks: TaskTracker,
    /// Ends what runs beside requests.
    background: CancellationToken,
    /// Set when the order to stop has come.
    stopping: CancellationToken,
}

impl App {
    /// Opens journal and cache, starts what runs in the background, and listens.
    pub async fn build(config: &Config) -> Result<Self, AppError> {
        // Nobody gives orders.
        Self::build_on(config, Vec::new(), Orders::none()).await
    }

    /// The same on sockets that listen already, if there are any: then the addresses of `http.listen` do not matter, and what the
    /// first one has of its own is that of the first socket, and so on. At each of `orders` certificate, tokens and settings are read again.
    pub async fn build_on(
        config: &Config,
        handed: Vec<net::TcpListener>,
        orders: Orders,
    ) -> Result<Self, AppError> {
        let metrics = recorder()?;
        // First: a second relay by mistake should complain of the address, not of locks.
        let listeners = listeners(handed, &config.http.listen).await?;
        let listens: Vec<_> = listeners.iter().map(|(_, listen)| *listen).collect();
        let addresses: Vec<_> = listens.iter().map(|listen| listen.address).collect();
        let &first = addresses.first().ok_or(AppError::Nowhere)?;
        let (limits, prefetch) = (Limits::new(&config.http.clients), watch::channel(config.prefetch.clone()));
        let watching = Watching::open(config, Reloading::new(limits.clone(), prefetch.0))?;
        let encryption = watching.encryption(&config.tls)?;

        let journal = Journal::open(&config.data, config.journal.clone()).await?;
        let counted = Stats::open(&config.data, config.stats.clone(), spell(&journal)).await?;
        let store = Store::open(&config.store)?;
        let upstream = Upstream::new(config.upstream.clone())?;
        let tasks = TaskTracker::new();
        let index = Index::new(upstream.clone(), journal.clone(), config.index.clone());
        let kept = store.clone();
        index.read_kept_by(Arc::new(move |sha256| {
            let kept = kept.clone();
            Box::pin(async move { kept.digest(sha256, Algorithm::Md5).await })
        }));
        let wants = Wants::new(config.push.clone(), journal.clone(), upstream.clone());
        let relay = Relay::with_bringer(
            index.clone(),
            journal.clone(),
            upstream.clone(),
            store.clone(),
            config.relay.clone(),
            tasks.clone(),
            wants.clone().map(|wants| wants as Arc<dyn Bringer>),
        );
        let rpc =
            Rpc::new(journal.clone(), index.clone(), upstream.clone(), counted.clone(), config.rpc.clone());

        let background = CancellationToken::new();
        let mirror = wants.map(|wants| Mirror::new(wants, relay.clone()));
        let (to_mirrors, asked) = (relay.clone(), upstream.clone());
        let master = Master::new(config.push.clone(), to_mirrors, asked, tasks.clone(), background.clone());
        let push = Push { mirror, master };
        let (told, followed) = watch::channel(FollowStatus::default());
        let kept = Tasks::new(tasks.clone(), background.clone());
        let (following, asking, how) = (journal.clone(), upstream.clone(), config.follow.clone());
        kept.keep(state::FOLLOWING, move |stop| {
            follow::run(following.clone(), asking.clone(), how.clone(), told.clone(), stop)
        });
        learn(&kept, &index, &upstream);
        let pages = pages::inputs(&journal, &store, &index, &counted, watching.guard().clone());
        tend_files(&kept, store, &relay, &prefetch.1);
        if let Some(mirror) = &push.mirror {
            keep(&kept, "push", mirror, Mirror::ask_for_ever);
        }
        tend_statistics(&kept, &counted, &upstream, &config.stats);
        watching.keep(&kept, config, orders);
        keep(&kept, "metrics", &metrics, upkeep);
        keep(&kept, "memory", &(), |()| memory::give_back_for_ever());
        keep(&kept, "releases", &journal, |journal| async move { journal.enter_releases_for_ever().await });
        keep(&kept, "journal", &journal, |journal| async move { journal.try_writing_for_ever().await });
        warm(&kept, &journal);

        let stopping = CancellationToken::new();
        let feed = Feed::new(journal.clone(), config.feed.clone(), stopping.clone());
        let admin = Admin {
            metrics: render(metrics, Gauges::new(journal.clone())),
            state: look(State::new(
                journal.clone(),
                counted.clone(),
                followed,
                kept,
                push.mirror.clone(),
                watching.clone(),
                config,
            )),
            stopping: stopping.clone(),
        };
        let origins = Origins::new(config.http.public_url.as_ref().map(Url::as_str), first);
        let old = OldAddresses::new(journal.clone(), index.clone(), rpc.clone());
        let signatures = Signatures::new(index.clone(), Signer::start(&config.data, &config.signing));
        let (guard, proxies) = (watching.guard().clone(), &config.http.clients.trusted_proxies);
        exposure::warn(&listens, proxies, encryption.is_some(), guard.is_closed());
        let stats = counted.clone();
        let parts =
            Parts { rpc, feed, index, relay, old, signatures, push, stats, admin, pages, guard, limits };
        let mut edge = Edge::new(parts, config.http.calls, &origins, &config.http.cors);
        if upstream.is_bundled() {
            edge.say_disconnected_since(journal.as_of());
        }
        let mut settings = config.http.listener.clone();
        settings.max_connections = http::affordable_connections(settings.max_connections);
        Ok(Self {
            listeners,
            addresses,
            settings,
            tls: encryption,
            edge,
            journal,
            stats: counted,
            tasks,
            background,
            stopping,
        })
    }

    /// Where it listens, in the order of `http.listen`.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Set once it ends: because it was told to, or by itself.
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Serves until `stop`; then lets requests and fetches end within the drain time, and closes the journal. Fails if it
    /// had to end by itself.
    pub async fn run(self, stop: CancellationToken) -> Result<(), AppError> {
        for address in &self.addresses {
            tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
        }
        // Feeds have to hear of it before requests are waited for.
        let stopping = self.stopping;
        let told = async {
            let ended = tokio::select! {
                () = stop.cancelled() => Ok(()),
                () = self.journal.writer_ended() => Err(AppError::WriterEnded),
            };
            stopping.cancel();
            let now = Instant::now();
            // No end is one that is too far away.
            (now.checked_add(self.settings.drain).unwrap_or(now + FOR_EVER), ended)
        };
        let ((end, ended), ()) =
            tokio::join!(told, http::serve(self.listeners, self.edge, &self.settings, self.tls, &stopping));
        self.background.cancel();
        self.tasks.close();
        // What is left of the drain time; what ends at once when told to may do so in any case.
        let end = end.max(Instant::now() + LAST_WORDS);
        if tokio::time::timeout_at(end, self.tasks.wait()).await.is_err() {
            tracing::warn!("fetches still running were cut at the drain deadline; nothing of them is kept");
        }
        // The drained downloads are counted by now. If it fails, that is told of, and they are lost.
        let _ = self.stats.flush().await;
        self.journal.close().await;
        tracing::info!("stopped");
        ended
    }
}

/// The sockets that listen already, or new ones.
async fn listeners(
    handed: Vec<net::TcpListener>,
    wanted: &[Listen],
) -> Result<Vec<(TcpListener, Listen)>, AppError> {
    if handed.is_empty() { listen(wanted).await } else { take_over(handed, wanted) }
}

/// Listens on these addresses; what comes back has those that were found for port 0.
async fn listen(wanted: &[Listen]) -> Result<Vec<(TcpListener, Listen)>, AppError> {
    let mut listeners = Vec::new();
    for &listen in wanted {
        let wrong = |error| AppError::Listen { address: listen.address, error };
        let listener = TcpListener::bind(listen.address).await.map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        listeners.push((listener, Listen { address, ..listen }));
    }
    Ok(listeners)
}

/// The same of sockets that listen already.
fn take_over(
    handed: Vec<net::TcpListener>,
    wanted: &[Listen],
) -> Result<Vec<(TcpListener, Listen)>, AppError> {
    let wanted = wanted.iter().copied().map(Some).chain(std::iter::repeat(None));
    let take = |(socket, wanted): (net::TcpListener, Option<Listen>)| {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let listen = wanted.map_or(Listen::at(address), |wanted| Listen { address, ..wanted });
        Ok((TcpListener::from_std(socket)?, listen))
    };
    handed.into_iter().zip(wanted).map(take).collect::<Result<_, _>>().map_err(AppError::Handed)
}

/// The process's recorder of metrics: one, however many relays tests build.
fn recorder() -> Result<PrometheusHandle, AppError> {
    static RECORDER: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    let install = || {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?;
        let recorder = builder.install_recorder()?;
        metric::describe();
        Ok(recorder)
    };
    RECORDER
        .get_or_init(|| install().map_err(|error: BuildError| error.to_string()))
        .clone()
        .map_err(AppError::Metrics)
}

/// The metrics as text, after a look at what nobody counts.
fn render(metrics: PrometheusHandle, gauges: Gauges) -> Arc<dyn Fn() -> String + Send + Sync> {
    Arc::new(move || {
        gauges.look();
        metrics.render()
    })
}

async fn upkeep(metrics: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

/// Keeps `run` running on clones of `part`; it is dropped when all is stopped.
fn keep<P, T>(
    tasks: &Tasks,
    name: &'static str,
    part: &P,
    run: impl Fn(P) -> T + Send + Sync + Copy + 'static,
) where
    P: Clone + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let part = part.clone();
    tasks.keep(name, move |stop| {
        let part = part.clone();
        async move {
            stop.run_until_cancelled(run(part)).await;
        }
    });
}

/// Reads ahead what pages need.
fn warm(kept: &Tasks, journal: &Journal) {
    let journal = journal.clone();
    kept.once(async move {
        if let Err(error) = journal.warm().await {
            tracing::warn!(%error, "names could not be read ahead; pages are answered without");
        }
    });
}

/// Reads documents for search, where there is somebody who has them.
fn learn(kept: &Tasks, index: &Index, upstream: &Upstream) {
    if !upstream.is_bundled() {
        keep(kept, "search", index, |index| async move { index.learn_for_ever().await });
    }
}

/// Keeps the cache within its bounds, fetches files in advance, and takes out what has to go.
fn tend_files(kept: &Tasks, store: Store, relay: &Relay, prefetch: &watch::Receiver<PrefetchSettings>) {
    kept.keep("cache", move |stop| {
        let store = store.clone();
        async move {
            store.tend(stop.clone()).await;
            // There is nothing to tend in a folder that is read-only.
            stop.cancelled().await;
        }
    });
    let (prefetcher, prefetch) = (relay.clone(), prefetch.clone());
    kept.keep("prefetch", move |stop| {
        let (prefetcher, mut prefetch) = (prefetcher.clone(), prefetch.clone());
        async move {
            while !stop.is_cancelled() {
                let settings = prefetch.borrow_and_update().clone();
                let ended = stop.child_token();
                let fetching = async {
                    prefetcher.prefetch_for_ever(settings, ended.clone()).await;
                    // There is nothing to fetch without rules.
                    ended.cancelled().await;
                };
                tokio::select! {
                    () = fetching => {}
                    // Who gives them lives as long as the relay.
                    Ok(()) = prefetch.changed() => {}
                }
            }
        }
    });
    let sweeper = relay.clone();
    kept.keep("sweep", move |stop| {
        let sweeper = sweeper.clone();
        async move { sweeper.sweep_for_ever(stop).await }
    });
}

/// Writes what is counted, seals days, and collects those of other mirrors.
fn tend_statistics(kept: &Tasks, counted: &Stats, upstream: &Upstream, settings: &StatsSettings) {
    let tended = counted.clone();
    kept.keep("statistics", move |stop| {
        let tended = tended.clone();
        async move { tended.tend(stop).await }
    });
    let (collected, asked, how_collected) = (counted.clone(), upstream.clone(), settings.clone());
    kept.keep("collect", move |stop| {
        collect_for_ever(asked.clone(), collected.clone(), how_collected.clone(), stop)
    });
}

/// Tells registered spellings by the journal.
fn spell(journal: &Journal) -> Spell {
    let journal = journal.clone();
    Arc::new(move |name| {
        let journal = journal.clone();
        // Without it the name's normal form has to do.
        Box::pin(
            async move { journal.registered(&name).await.ok().flatten().map(|project| project.spelling) },
        )
    })
}

fn look(state: State) -> Look {
    Arc::new(move || Box::pin(state.clone().readiness()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sockets_beyond_the_addresses_have_nothing_of_their_own() {
        let socket = || net::TcpListener::bind("127.0.0.1:0").unwrap();
        let handed = vec![socket(), socket()];
        let addresses = handed.iter().map(|socket| socket.local_addr().unwrap()).collect::<Vec<_>>();
        let deadline = Some(Duration::from_secs(9));
        let wanted =
            Listen { deadline, plain: true, admin: true, ..Listen::at("192.0.2.1:1".parse().unwrap()) };
        let taken = take_over(handed, &[wanted]).unwrap();
        let taken: Vec<_> = taken.into_iter().map(|(_, listen)| listen).collect();
        assert_eq!(taken, [Listen { address: addresses[0], ..wanted }, Listen::at(addresses[1])]);
    }
}
