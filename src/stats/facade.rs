//! Statistics as their users hold them: opened once, cloned freely.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Mutex as Turn;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::commit::{Committer, Spellings};
use super::counts::{Counts, Unwritten};
use super::database::Database;
use super::parts::Parts;
use super::published::Made;
use super::{Agent, Day, File, StatsError, StatsSettings};
use crate::bounded::{Bounded, by_count};
use crate::metric;
use crate::model::ProjectName;

/// User agents that are known by their bytes, each with some 700; and the longest such.
const AGENTS: u64 = 4096;
const LONGEST_AGENT: usize = 1024;
/// Registered spellings that are remembered.
const SPELLINGS: usize = 10_000;

/// Tells the registered spelling of a project, if it is known.
pub type Spell =
    Arc<dyn Fn(ProjectName) -> Pin<Box<dyn Future<Output = Option<String>> + Send>> + Send + Sync>;

/// The statistics of one data folder. Clones are one.
#[derive(Clone)]
pub struct Stats(Arc<Inner>);

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stats")
    }
}

struct Inner {
    settings: StatsSettings,
    database: Database,
    spell: Spell,
    counts: Counts,
    parts: Parts,
    agents: Bounded<Box<[u8]>, Arc<Agent>>,
    writing: Arc<Turn<Writing>>,
    state: Mutex<StatsState>,
    made: Made,
}

/// What is to be written, and what helps to write it. Who has it writes.
struct Writing {
    unwritten: Unwritten,
    committer: Committer,
    spellings: Spellings,
    /// Projects whose spelling is not known: asked for again once others are forgotten.
    unspelled: HashSet<ProjectName>,
}

/// How statistics are.
#[derive(Debug, Clone, Default)]
pub struct StatsState {
    /// When counts were last written.
    pub last_commit: Option<Instant>,
    /// Downloads that are counted and not written yet, as of the last attempt.
    pub uncommitted: u64,
    /// Why the last attempt to write failed, without paths; `None` if it did not.
    pub write_error: Option<String>,
    /// Why the last attempt to seal a day failed, without paths; `None` if it did not.
    pub seal_error: Option<String>,
    /// The first day that is not sealed.
    pub oldest_unsealed: Option<Day>,
}

impl Stats {
    /// Opens the statistics in a folder that exists, and makes them if there are none. One process at a time may count;
    /// others may read, and collect.
    pub async fn open(folder: &Path, settings: StatsSettings, spell: Spell) -> Result<Self, StatsError> {
        let folder = folder.to_owned();
        let open = move || Database::open(&folder);
        let database = spawn_blocking(open).await.map_err(|_| StatsError::Lost)??;
        Ok(Self::over(database, settings, spell))
    }

    /// Opens the statistics in a folder for reading, whether or not a relay counts into them. Fails if there are none.
    pub async fn open_to_read(folder: &Path, settings: StatsSettings) -> Result<Self, StatsError> {
        let folder = folder.to_owned();
        let open = move || Database::open_read_only(&folder);
        let database = spawn_blocking(open).await.map_err(|_| StatsError::Lost)??;
        Ok(Self::over(database, settings, Arc::new(|_| Box::pin(async { None }))))
    }

    fn over(database: Database, settings: StatsSettings, spell: Spell) -> Self {
        let writing = Writing {
            unwritten: Unwritten::default(),
            committer: Committer::new(settings.agents_a_day),
            spellings: Spellings::new(),
            unspelled: HashSet::new(),
        };
        Self(Arc::new(Inner {
            parts: Parts::new(settings.parts, settings.parts_lifetime),
            settings,
            database,
            spell,
            counts: Counts::default(),
            agents: by_count(AGENTS),
            writing: Arc::new(Turn::new(writing)),
            state: Mutex::default(),
            made: Made::default(),
        }))
    }

    /// Whether downloads are counted.
    pub fn is_enabled(&self) -> bool {
        self.0.settings.enabled
    }

    /// A user agent as it is counted, by the bytes that a client sent.
    pub fn agent(&self, sent: &[u8]) -> Arc<Agent> {
        if let Some(known) = self.0.agents.get(sent) {
            return known;
        }
        let agent = Arc::new(Agent::read(sent, self.0.settings.agent_bytes));
        if sent.len() <= LONGEST_AGENT {
            self.0.agents.insert(sent.into(), agent.clone());
        }
        agent
    }

    /// Counts a file that went out whole. `shard`: any number; those who count at the same time should have different ones.
    pub fn whole(&self, shard: usize, file: &Arc<File>, agent: &Arc<Agent>) {
        self.0.counts.add(shard, self.today(), file, agent, 1);
    }

    /// Counts a file of `size` bytes of which a part went out, if that completes it.
    pub fn part(&self, client: IpAddr, file: &Arc<File>, agent: &Arc<Agent>, part: Range<u64>, size: u64) {
        if self.0.parts.add(client, agent, file, part, size, Instant::now()) {
            self.whole(0, file, agent);
        }
    }

    /// Writes what is counted, in one transaction. What cannot be written stays in memory, up to a bound. If the caller
    /// leaves, it is done all the same.
    pub async fn flush(&self) -> Result<(), StatsError> {
        let mut writing = self.0.writing.clone().lock_owned().await;
        let lost = writing.unwritten.add(self.0.counts.take()) + self.0.counts.take_lost();
        if lost > 0 {
            metrics::counter!(metric::STATS_LOST_DOWNLOADS_TOTAL).increment(lost);
            tracing::error!(lost, "downloads are not counted: too many wait to be written");
        }
        metrics::gauge!(metric::STATS_PARTS).set(u32::try_from(self.0.parts.len()).unwrap_or(u32::MAX));
        if writing.unwritten.is_empty() {
            return Ok(());
        }
        self.spell(&mut writing).await;
        let stats = self.clone();
        // The blocking thread has the turn: nobody can write the same a second time, whatever becomes of the caller.
        let write = move || stats.commit(&mut writing);
        spawn_blocking(write).await.map_err(|_| StatsError::Lost)?
    }

    fn commit(&self, writing: &mut Writing) -> Result<(), StatsError> {
        let Writing { unwritten, committer, spellings, .. } = writing;
        let total = unwritten.total();
        let committed = self
            .0
            .database
            .write_here(|transaction| committer.commit(transaction, unwritten.rows(), spellings));
        let mut state = self.state_mut();
        match committed {
            Ok(others) => {
                unwritten.clear();
                metrics::counter!(metric::STATS_DOWNLOADS_TOTAL).increment(total);
                metrics::counter!(metric::STATS_OTHER_AGENTS_TOTAL).increment(others);
                metrics::gauge!(metric::STATS_UNCOMMITTED).set(0.0);
                if state.write_error.take().is_some() {
                    tracing::info!(downloads = total, "downloads are written again");
                }
                (state.uncommitted, state.last_commit) = (0, Some(Instant::now()));
                Ok(())
            }
            Err(error) => {
                committer.forget();
                metrics::counter!(metric::STATS_FAILED_COMMITS_TOTAL).increment(1);
                #[expect(clippy::cast_precision_loss, reason = "a gauge")]
                metrics::gauge!(metric::STATS_UNCOMMITTED).set(total as f64);
                if state.write_error.replace(error.reason()).is_none() {
                    tracing::error!(%error, downloads = total, "downloads cannot be written; they stay in memory");
                }
                state.uncommitted = total;
                Err(error)
            }
        }
    }

    /// Finds out the spellings that are needed.
    async fn spell(&self, writing: &mut Writing) {
        if writing.spellings.len() + writing.unspelled.len() >= SPELLINGS {
            writing.spellings.clear();
            writing.unspelled.clear();
        }
        let needed: HashSet<_> = writing.unwritten.rows().map(|row| row.file.project.clone()).collect();
        for name in needed {
            if writing.spellings.contains_key(&name) || writing.unspelled.contains(&name) {
                continue;
            }
            match (self.0.spell)(name.clone()).await {
                // Only another spelling of the same name can be one.
                Some(spelling) if ProjectName::parse(&spelling).is_ok_and(|read| read == name) => {
                    writing.spellings.insert(name, spelling.into());
                }
                _ => {
                    writing.unspelled.insert(name);
                }
            }
        }
    }

    /// How they are.
    pub fn state(&self) -> StatsState {
        self.state_mut().clone()
    }

    pub(super) fn state_mut(&self) -> MutexGuard<'_, StatsState> {
        // Whole values only.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(super) fn made(&self) -> &Made {
        &self.0.made
    }

    pub(super) fn settings(&self) -> &StatsSettings {
        &self.0.settings
    }

    pub(super) fn today(&self) -> Day {
        Day::at(self.0.settings.clock.unix())
    }
}
